/** Where those who follow the log stand, and the events that they gave up on. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const views: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table event_checkpoints (
        name text primary key,
        position bigint not null check (position >= 0),
        version integer not null check (version >= 0),
        moved_at timestamptz not null default now()
      ) with (fillfactor = 50)
    `.execute(db);
    // The event is kept as the consumer was given it: what it is lifted to may change with the next program.
    await sql`
      create table parked_events (
        consumer text not null,
        position bigint not null check (position > 0),
        event text not null,
        attempts integer not null,
        reason text not null,
        parked_at_ms bigint not null,
        is_replaying boolean not null default false,
        primary key (consumer, position)
      )
    `.execute(db);
  },
};
