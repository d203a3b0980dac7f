/** Accounts, the persons behind them, what they sign in with, and the keys that verify their tokens. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const accounts: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // The fold of each account's stream, kept in the transaction that appends to it.
    await sql`
      create table account (
        player_id text collate "C" primary key,
        is_anonymous boolean not null,
        role text not null check (role in ('player', 'moderator', 'admin')),
        ban_reason text,
        ban_until_ms bigint,
        is_erased boolean not null default false,
        length int not null,
        created_at_ms bigint not null
      )`.execute(db);
    // Personal data: deleted when a person is erased.
    await sql`
      create table person (
        player_id text collate "C" primary key references account,
        email text,
        name text,
        name_key text collate "C",
        name_search text collate "C",
        constraint person_name_key unique (name_key)
      )`.execute(db);
    await sql`create index person_name_search on person (name_search, player_id) where name is not null`.execute(db);
    await sql`
      create table credential (
        player_id text collate "C" primary key references account,
        email_key bytea not null,
        password_hash bytea not null,
        constraint credential_pair unique (email_key, password_hash)
      )`.execute(db);
    await sql`
      create table session (
        session_id text collate "C" primary key,
        player_id text collate "C" not null references account,
        family_hash bytea not null,
        secret_hash bytea not null,
        previous_hash bytea,
        created_at_ms bigint not null,
        rotated_at_ms bigint not null,
        expires_at_ms bigint not null,
        ended_at_ms bigint,
        ended_reason text
      )`.execute(db);
    await sql`create index session_player on session (player_id) where ended_at_ms is null`.execute(db);
    await sql`create index session_ended on session (ended_at_ms) where ended_at_ms is not null`.execute(db);
    await sql`create index session_expires on session (expires_at_ms)`.execute(db);
    // Public halves only.
    await sql`
      create table token_key (
        kid text collate "C" primary key,
        x text not null,
        not_after_ms bigint not null
      )`.execute(db);
    await sql`create table account_secret (only_one boolean primary key default true check (only_one), value bytea not null)`.execute(
      db,
    );
  },
};
