/** Tables of the views `results` and `ratings`; all in them is folded from `match.ended`. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const results: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table match_results (
        match_id text primary key,
        position bigint not null,
        room_name text not null,
        reason text not null,
        created_at_ms bigint not null,
        ended_at_ms bigint not null,
        ticks bigint not null,
        tick_rate_hz int not null,
        standings jsonb not null
      )`.execute(db);
    await sql`
      create table match_players (
        player_id text not null,
        position bigint not null,
        match_id text not null,
        rank int not null,
        ticks bigint not null,
        left_tick bigint,
        score jsonb not null,
        primary key (player_id, position)
      )`.execute(db);
    await sql`
      create table ratings (
        mode text not null,
        player_id text not null,
        mu double precision not null,
        sigma double precision not null,
        matches int not null,
        primary key (player_id, mode)
      )`.execute(db);
    await sql`
      create table rating_history (
        mode text not null,
        player_id text not null,
        position bigint not null,
        match_id text not null,
        rated_at_ms bigint not null,
        mu_before double precision not null,
        sigma_before double precision not null,
        mu double precision not null,
        sigma double precision not null,
        matches int not null,
        primary key (player_id, mode, position)
      )`.execute(db);
  },
};
