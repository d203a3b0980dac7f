/** Tables of the view `economy`; all in them is folded from the stream `economy`. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const economy: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Which event of the stream is the last one in the view.
    await sql`
      create table economy_head (
        only_row boolean primary key default true check (only_row),
        seq bigint not null
      )`.execute(db);
    await sql`
      create table economy_balances (
        account text not null,
        asset text not null,
        amount_minor bigint not null,
        primary key (account, asset)
      ) with (fillfactor = 60)`.execute(db);
    await sql`
      create table economy_entries (
        account text not null,
        position bigint not null,
        asset text not null,
        delta_minor bigint not null,
        at_ms bigint not null,
        type text not null,
        reason text not null,
        cause text not null,
        primary key (account, position, asset)
      )`.execute(db);
    await sql`
      create table economy_items (
        item_id text primary key,
        kind text not null,
        owner text not null
      )`.execute(db);
    await sql`
      create table economy_owners (
        item_id text not null,
        position bigint not null,
        at_ms bigint not null,
        sender text not null,
        receiver text not null,
        reason text not null,
        primary key (item_id, position)
      )`.execute(db);
    await sql`create table economy_holds (hold_id text primary key, body text not null)`.execute(db);
    await sql`create table economy_trades (trade_id text primary key, body text not null)`.execute(db);
    await sql`create table economy_erased (player_id text primary key)`.execute(db);
  },
};
