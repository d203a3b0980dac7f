/**
 * Leaderboards in PostgreSQL: the fold of the log into tables, the questions that only these can answer (old seasons,
 * and any while an index is not there), and the changes that feed the indexes. A rank is counted here, so its cost
 * grows with the board; that is what the indexes are for.
 */
import { AccountErased } from '../events/account-events.ts';
import { isEvent } from '../events/event.ts';
import type { StoredEvent } from '../events/event-log.ts';
import { ScoreSubmitted, SeasonClosed, SeasonEnded } from '../events/leaderboard-events.ts';
import { MatchEnded } from '../events/match-events.ts';
import type { Projection } from '../events/projection.ts';
import { GameError } from '../kernel/errors.ts';
import type {
  BoardChange,
  BoardFeed,
  BoardPage,
  BoardReader,
  FeedPage,
  RankedEntry,
  SeasonKey,
} from '../leaderboards/board-index.ts';
import { BOARDS, type Boards } from '../leaderboards/boards.ts';
import { type Contribution, contributionsOf, type Entry, withScore } from '../leaderboards/scoring.ts';
import type { OpenSeasons, SeasonRow, SeasonTable } from '../leaderboards/season-closer.ts';
import { type Database, isDatabaseOutage, type Tx } from './database.ts';
import { Guard } from './guard.ts';

interface EntryRow extends Entry {
  readonly boardId: string;
  readonly seasonId: string;
}

/** The fold. */
export class BoardsView implements Projection<Tx> {
  readonly name = 'boards';
  readonly version = 1;
  readonly tables = ['board_entries', 'board_seasons', 'board_erased', 'board_state'];
  readonly types = [MatchEnded.type, ScoreSubmitted.type, SeasonEnded.type, SeasonClosed.type, AccountErased.type];
  readonly #boards: Boards;

  constructor(boards: Boards) {
    this.#boards = boards;
  }

  async fold(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    const last = events.at(-1);
    if (last === undefined) return;
    // Erasures divide the page: what came before them goes, what comes after does not come back.
    let run: StoredEvent[] = [];
    for (const event of events) {
      if (isEvent(AccountErased, event)) {
        await this.#foldScores(tx, run);
        run = [];
        await this.#erase(tx, event.payload.playerId, event.position);
      } else if (isEvent(SeasonClosed, event)) {
        const { boardId, seasonId } = event.payload;
        await this.#foldScores(tx, run);
        run = [];
        await tx.query('update board_seasons set closed_at_ms = $3 where board_id = $1 and season_id = $2', [
          boardId,
          seasonId,
          event.recordedAtMs,
        ]);
      } else run.push(event);
    }
    await this.#foldScores(tx, run);
    await tx.query('update board_state set position = $1, recorded_at_ms = $2', [last.position, last.recordedAtMs]);
  }

  async reset(tx: Tx): Promise<void> {
    await tx.query('truncate board_entries, board_seasons, board_erased');
    // Indexes see by the generation that all they have is of the past, and by complete_from when they may begin anew.
    await tx.query(`
      insert into board_state (generation, position, recorded_at_ms, complete_from)
      values (gen_random_uuid()::text, 0, 0, 0)
      on conflict (is_only) do update set generation = excluded.generation, position = 0, recorded_at_ms = 0,
        complete_from = greatest(board_state.position, board_state.complete_from)`);
  }

  async #erase(tx: Tx, playerId: string, position: number): Promise<void> {
    await tx.query('insert into board_erased (player_id) values ($1) on conflict do nothing', [playerId]);
    await tx.query('update board_entries set score = null, changed = $2 where player_id = $1', [playerId, position]);
  }

  async #foldScores(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    const contributions = events.flatMap((event) => contributionsOf(this.#boards, event));
    if (contributions.length === 0) return;
    const erased = await this.#erasedAmong(tx, contributions);
    const byEntry = new Map<string, Contribution[]>();
    for (const contribution of contributions) {
      if (erased.has(contribution.playerId)) continue;
      const name = nameOf(contribution.board.id, contribution.season.id, contribution.playerId);
      const list = byEntry.get(name);
      if (list === undefined) byEntry.set(name, [contribution]);
      else list.push(contribution);
    }
    const present = await this.#present(
      tx,
      [...byEntry.values()].map(([first]) => first!),
    );
    const changed: { board: Contribution['board']; seasonId: string; entry: Entry }[] = [];
    for (const [name, list] of byEntry) {
      const { board, season } = list[0]!;
      const before = present.get(name);
      const entry = list.reduce<Entry | undefined>((folded, added) => withScore(board, folded, added), before)!;
      if (entry !== before) changed.push({ board, seasonId: season.id, entry });
    }
    await this.#write(tx, changed);
    await this.#writeSeasons(tx, contributions);
  }

  async #erasedAmong(tx: Tx, contributions: readonly Contribution[]): Promise<Set<string>> {
    const { rows } = await tx.query<{ player_id: string }>(
      'select player_id from board_erased where player_id = any ($1::text[])',
      [[...new Set(contributions.map(({ playerId }) => playerId))]],
    );
    return new Set(rows.map(({ player_id }) => player_id));
  }

  async #present(tx: Tx, wanted: readonly Contribution[]): Promise<Map<string, Entry>> {
    const { rows } = await tx.query<EntryRow>(
      `select e.board_id as "boardId", e.season_id as "seasonId", e.player_id as "playerId", e.score, e.achieved
       from unnest($1::text[], $2::text[], $3::text[]) as wanted (board_id, season_id, player_id)
       join board_entries e using (board_id, season_id, player_id)`,
      [
        wanted.map(({ board }) => board.id),
        wanted.map(({ season }) => season.id),
        wanted.map(({ playerId }) => playerId),
      ],
    );
    return new Map(
      rows.map(({ boardId, seasonId, playerId, score, achieved }) => [
        nameOf(boardId, seasonId, playerId),
        { playerId, score, achieved },
      ]),
    );
  }

  async #write(tx: Tx, changed: readonly { board: Contribution['board']; seasonId: string; entry: Entry }[]) {
    if (changed.length === 0) return;
    await tx.query(
      `insert into board_entries (board_id, season_id, player_id, score, sort_key, achieved, changed)
       select *, achieved from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
         as entry (board_id, season_id, player_id, score, sort_key, achieved)
       on conflict (board_id, season_id, player_id) do update set score = excluded.score,
         sort_key = excluded.sort_key, achieved = excluded.achieved, changed = excluded.changed`,
      [
        changed.map(({ board }) => board.id),
        changed.map(({ seasonId }) => seasonId),
        changed.map(({ entry }) => entry.playerId),
        changed.map(({ entry }) => entry.score),
        changed.map(({ board, entry }) => sortKey(board.order, entry.score)),
        changed.map(({ entry }) => entry.achieved),
      ],
    );
  }

  async #writeSeasons(tx: Tx, contributions: readonly Contribution[]): Promise<void> {
    const seasons = [
      ...new Map(contributions.map((each) => [nameOf(each.board.id, each.season.id, ''), each])).values(),
    ];
    await tx.query(
      `insert into board_seasons (board_id, season_id, starts_at_ms, ends_at_ms)
       select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) on conflict do nothing`,
      [
        seasons.map(({ board }) => board.id),
        seasons.map(({ season }) => season.id),
        seasons.map(({ season }) => season.startsAtMs),
        seasons.map(({ season }) => season.endsAtMs ?? null),
      ],
    );
  }
}

interface StateRow {
  readonly generation: string;
  readonly position: number;
  readonly recorded_at_ms: number;
  readonly complete_from: number;
}

const STATE = '(select row_to_json(s) from board_state s) as state';
const ENTRY = `json_build_object('playerId', player_id, 'score', score, 'achieved', achieved, 'rank', rank)`;
const OF_SEASON = 'board_id = $1 and season_id = $2 and score is not null';

/** The fold of this game's boards. */
export function boardsView(): BoardsView {
  return new BoardsView(BOARDS);
}

/** What the tables answer. */
export class PostgresBoards implements BoardReader, BoardFeed, SeasonTable {
  readonly #database: Pick<Database, 'query'>;
  /** Counting a large board is dear: while an index is away, questions must not take every connection from the log. */
  readonly #questions = new Guard({
    name: 'boards table',
    timeoutMs: 10_000,
    concurrencyMax: 2,
    queueMax: 100,
    failuresToOpen: 5,
    halfOpenAfterMs: 1_000,
    isOutage: isDatabaseOutage,
    unavailable: 'DATABASE_UNAVAILABLE',
  });

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  async page(key: SeasonKey, after: Entry | undefined, limit: number): Promise<BoardPage> {
    const row = await this.#ask<{ players: number; entries: RankedEntry[] | null }>(
      `with page as (
         select player_id, score, sort_key, achieved from board_entries
         where ${OF_SEASON} and ($3::bigint is null or (sort_key, achieved, player_id) > ($3, $4::bigint, $5::text))
         order by sort_key, achieved, player_id limit $6
       ), ranked as (
         select *, dense_rank() over (order by sort_key) + (
           select count(*) from (select distinct sort_key from board_entries
             where ${OF_SEASON} and sort_key < (select min(sort_key) from page)) as better) as rank
         from page
       )
       select ${STATE}, (select count(*) from board_entries where ${OF_SEASON}) as players,
         (select json_agg(${ENTRY} order by sort_key, achieved, player_id) from ranked) as entries`,
      [
        key.boardId,
        key.seasonId,
        after === undefined ? null : sortKey(key.order, after.score),
        after?.achieved ?? null,
        after?.playerId ?? null,
        limit,
      ],
    );
    return { entries: row.entries ?? [], players: row.players, position: row.state.position };
  }

  async around(key: SeasonKey, playerId: string, before: number, after: number) {
    const row = await this.#ask<{ entries: RankedEntry[] | null }>(
      `with own as (
         select sort_key, achieved, player_id from board_entries where ${OF_SEASON} and player_id = $3
       ), near as (
         (select e.* from board_entries e, own where e.board_id = $1 and e.season_id = $2 and e.score is not null
            and (e.sort_key, e.achieved, e.player_id) < (own.sort_key, own.achieved, own.player_id)
          order by e.sort_key desc, e.achieved desc, e.player_id desc limit $4)
         union all
         (select e.* from board_entries e, own where e.board_id = $1 and e.season_id = $2 and e.score is not null
            and (e.sort_key, e.achieved, e.player_id) >= (own.sort_key, own.achieved, own.player_id)
          order by e.sort_key, e.achieved, e.player_id limit $5)
       ), ranked as (
         select *, dense_rank() over (order by sort_key) + (
           select count(*) from (select distinct sort_key from board_entries
             where ${OF_SEASON} and sort_key < (select min(sort_key) from near)) as better) as rank
         from near
       )
       select ${STATE}, (select json_agg(${ENTRY} order by sort_key, achieved, player_id) from ranked) as entries`,
      [key.boardId, key.seasonId, playerId, before, after + 1],
    );
    return row.entries ?? undefined;
  }

  async of(key: SeasonKey, playerIds: readonly string[]): Promise<readonly RankedEntry[]> {
    const row = await this.#ask<{ entries: RankedEntry[] | null }>(
      `with levels as (
         select sort_key, row_number() over (order by sort_key) as rank
         from (select distinct sort_key from board_entries where ${OF_SEASON}) as each
       ), wanted as (
         select e.*, levels.rank from board_entries e join levels using (sort_key)
         where e.board_id = $1 and e.season_id = $2 and e.score is not null and e.player_id = any ($3::text[])
       )
       select ${STATE}, (select json_agg(${ENTRY} order by sort_key, achieved, player_id) from wanted) as entries`,
      [key.boardId, key.seasonId, playerIds],
    );
    return row.entries ?? [];
  }

  async changes(after: string, limit: number, oldest: ReadonlyMap<string, string>): Promise<FeedPage> {
    const [changed = '-1', boardId = '', seasonId = '', playerId = ''] = after === '' ? [] : after.split('|');
    const { rows } = await this.#database.query<{
      state: StateRow | null;
      changes: (EntryRow & { score: number | null; changed: number })[] | null;
    }>(
      `with page as (
         -- No join: it would be sorted, all of it for each page. '~' is after every season.
         select * from board_entries
         where (changed, board_id, season_id, player_id) > ($1::bigint, $2::text, $3::text, $4::text)
           and season_id >= coalesce(($7::text[])[array_position($6::text[], board_id)], '~') collate "C"
         order by changed, board_id, season_id, player_id limit $5
       )
       select ${STATE}, (select json_agg(json_build_object('boardId', board_id, 'seasonId', season_id, 'playerId',
         player_id, 'score', score, 'achieved', achieved, 'changed', changed)
         order by changed, board_id, season_id, player_id) from page) as changes`,
      [changed, boardId, seasonId, playerId, limit, [...oldest.keys()], [...oldest.values()]],
    );
    const { state, changes } = rows[0]!;
    if (state === null) throw rebuilding();
    const last = changes?.at(-1);
    return {
      generation: state.generation,
      position: state.position,
      recordedAtMs: state.recorded_at_ms,
      isRebuilding: state.position < state.complete_from,
      changes: (changes ?? []).map(
        ({ changed: _, score, ...change }): BoardChange => ({ ...change, score: score ?? undefined }),
      ),
      after: last === undefined ? after : [last.changed, last.boardId, last.seasonId, last.playerId].join('|'),
    };
  }

  async seasons(boardId: string, before: string | undefined, limit: number): Promise<readonly SeasonRow[]> {
    const { rows } = await this.#database.query<SeasonSqlRow>(
      `select * from board_seasons where board_id = $1 and ($2::text is null or season_id < $2 collate "C")
       order by season_id desc limit $3`,
      [boardId, before ?? null, limit],
    );
    return rows.map(seasonRow);
  }

  async openSeasons(endedBeforeMs: number): Promise<OpenSeasons> {
    const row = await this.#ask<{ seasons: SeasonSqlRow[] | null }>(
      `select ${STATE}, (select json_agg(o order by o.ends_at_ms, o.board_id) from (
         select * from board_seasons where closed_at_ms is null and ends_at_ms <= $1
         order by ends_at_ms, board_id limit 1000) as o) as seasons`,
      [endedBeforeMs],
    );
    return { recordedAtMs: row.state.recorded_at_ms, seasons: (row.seasons ?? []).map(seasonRow) };
  }

  /** One statement, so one moment; refused while the tables are being built anew. */
  async #ask<Row extends object>(text: string, values: readonly unknown[]): Promise<Row & { state: StateRow }> {
    const { rows } = await this.#questions.run(() =>
      this.#database.query<Row & { state: StateRow | null }>(text, values),
    );
    const { state } = rows[0]!;
    if (state === null || state.position < state.complete_from) throw rebuilding();
    return rows[0] as Row & { state: StateRow };
  }
}

interface SeasonSqlRow {
  readonly board_id: string;
  readonly season_id: string;
  readonly starts_at_ms: number;
  readonly ends_at_ms: number | null;
  readonly closed_at_ms: number | null;
}

function seasonRow(row: SeasonSqlRow): SeasonRow {
  return {
    boardId: row.board_id,
    id: row.season_id,
    startsAtMs: row.starts_at_ms,
    endsAtMs: row.ends_at_ms ?? undefined,
    closedAtMs: row.closed_at_ms ?? undefined,
  };
}

function rebuilding(): GameError {
  return new GameError('STORE_UNAVAILABLE', { store: 'boards', reason: 'rebuilding' });
}

function sortKey(order: SeasonKey['order'], score: number): number {
  return order === 'descending' ? 0 - score : score;
}

function nameOf(boardId: string, seasonId: string, playerId: string): string {
  return `${boardId}/${seasonId}/${playerId}`;
}
