/** Trades that are over, as they ended: who repeats the command that closed one is answered with it, also by another process. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const closedTrades: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`create table economy_trades_closed (trade_id text primary key, body text not null)`.execute(db);
  },
};
