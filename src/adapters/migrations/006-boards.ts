/** Views of leaderboards and of friends: folds of the log, so all of it can be dropped and built again. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const boards: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table board_entries (
        board_id text collate "C" not null,
        season_id text collate "C" not null,
        player_id text collate "C" not null,
        -- null: the player was erased; the row stays to tell the indexes
        score bigint,
        -- ascending is best first, whatever the order of the board
        sort_key bigint not null,
        achieved bigint not null,
        changed bigint not null,
        primary key (board_id, season_id, player_id)
      )`.execute(db);
    await sql`
      create index board_entries_standing on board_entries (board_id, season_id, sort_key, achieved, player_id)
      where score is not null`.execute(db);
    await sql`
      create index board_entries_changed on board_entries (changed, board_id, season_id, player_id)`.execute(db);
    await sql`create index board_entries_player on board_entries (player_id)`.execute(db);
    await sql`
      create table board_seasons (
        board_id text collate "C" not null,
        season_id text collate "C" not null,
        starts_at_ms bigint not null,
        -- null: it never ends
        ends_at_ms bigint,
        closed_at_ms bigint,
        primary key (board_id, season_id)
      )`.execute(db);
    await sql`
      create index board_seasons_open on board_seasons (ends_at_ms) where closed_at_ms is null`.execute(db);
    await sql`create table board_erased (player_id text collate "C" primary key)`.execute(db);
    await sql`
      create table board_state (
        is_only boolean primary key default true check (is_only),
        generation text not null,
        position bigint not null,
        recorded_at_ms bigint not null,
        -- what the table had folded before it was reset; until it is there again it is incomplete
        complete_from bigint not null
      )`.execute(db);
    await sql`
      insert into board_state (generation, position, recorded_at_ms, complete_from)
      values (gen_random_uuid()::text, 0, 0, 0)`.execute(db);
    await sql`
      create table friends (
        player_id text collate "C" not null,
        other_id text collate "C" not null,
        relation text not null check (relation in ('friend', 'sent', 'received', 'blocked')),
        since_ms bigint not null,
        primary key (player_id, other_id)
      )`.execute(db);
    await sql`create index friends_other on friends (other_id)`.execute(db);
    await sql`create table friends_erased (player_id text collate "C" primary key)`.execute(db);
  },
};
