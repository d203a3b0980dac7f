/** Leaderboards as clients and the studio's backend use them. */
import type { EventLog } from '../events/event-log.ts';
import { ScoreSubmitted } from '../events/leaderboard-events.ts';
import { GameError } from '../kernel/errors.ts';
import { type BoardReader, PLAYERS_MAX, type RankedEntry, type SeasonKey } from './board-index.ts';
import type { Board, Boards } from './boards.ts';
import type { Season } from './calendar.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { SeasonTable } from './season-closer.ts';

export interface LeaderboardsOptions {
  readonly boards: Boards;
  /** Answers questions: the feeder of an index. Its clock tells the present season. */
  readonly reader: BoardReader & { readonly nowMs: number };
  readonly table: Pick<SeasonTable, 'seasons'>;
  readonly log: Pick<EventLog, 'append'>;
  /** Ids of a player's friends, at most 500. */
  readonly friendsOf: (playerId: string) => Promise<readonly string[]>;
  /** Display names; players without one are left out. At most {@link PLAYERS_MAX} ids. */
  readonly namesOf: (playerIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** Whether there is such an account. */
  readonly isPlayer: (playerId: string) => Promise<boolean>;
}

/** A row of a board as clients see it. */
export interface BoardRow {
  readonly rank: number;
  readonly playerId: string;
  /** Null for a player without a display name. */
  readonly name: string | null;
  readonly score: number;
  /** On a further page: it changed after the first page, so an earlier page may have shown it elsewhere. */
  readonly hasMoved: boolean;
}

export interface SeasonFacts {
  readonly board: string;
  readonly season: string;
  readonly startsAtMs: number;
  readonly endsAtMs: number | null;
}

export interface BoardPageAnswer extends SeasonFacts {
  readonly players: number;
  readonly rows: BoardRow[];
  /** Of the next page; null on the last one. */
  readonly cursor: string | null;
}

export interface RowsAnswer extends SeasonFacts {
  readonly rows: BoardRow[];
}

export class Leaderboards {
  readonly #options: LeaderboardsOptions;

  constructor(options: LeaderboardsOptions) {
    this.#options = options;
  }

  /** Every board with its present season. */
  list(): readonly { board: Board; season: Season }[] {
    const { boards, reader } = this.#options;
    return boards.all.map((board) => ({ board, season: board.seasons.at(reader.nowMs) }));
  }

  /**
   * One page. Stable under writes: an entry that keeps its score while somebody pages is shown exactly once, whoever
   * else comes, moves or goes. One that changes meanwhile may be shown again at its new place, then with `hasMoved`, or
   * not at all if it moved to what was shown already. Ranks are of the moment of their page.
   * @throws GameError BOARD_UNKNOWN, SEASON_UNKNOWN, INVALID_INPUT, STORE_UNAVAILABLE, DATABASE_UNAVAILABLE
   */
  async page(
    boardId: string,
    options: { readonly season?: string | undefined; readonly cursor?: string | undefined; readonly limit: number },
  ): Promise<BoardPageAnswer> {
    const { key, season } = this.#season(boardId, options.season);
    const cursor = options.cursor === undefined ? undefined : decodeCursor(key, options.cursor);
    // One more than asked for tells whether there is a next page.
    const page = await this.#options.reader.page(key, cursor?.last, options.limit + 1);
    const since = cursor?.since ?? page.position;
    const entries = page.entries.slice(0, options.limit);
    const last = entries.at(-1);
    const hasMore = last !== undefined && page.entries.length > options.limit;
    return {
      ...factsOf(key, season),
      players: page.players,
      rows: await this.#rows(entries, cursor?.since),
      cursor: hasMore ? encodeCursor(key, { last, since }) : null,
    };
  }

  /**
   * A player with those before and after.
   * @throws GameError as {@link page}; PLAYER_UNKNOWN if it is not on the board in that season
   */
  async around(boardId: string, seasonId: string | undefined, playerId: string, reach: number): Promise<RowsAnswer> {
    const { key, season } = this.#season(boardId, seasonId);
    const entries = await this.#options.reader.around(key, playerId, reach, reach);
    if (entries === undefined) throw new GameError('PLAYER_UNKNOWN', { board: boardId, season: season.id });
    return { ...factsOf(key, season), rows: await this.#rows(entries) };
  }

  /** A player and its friends, best first, with their ranks among all. @throws GameError as {@link page} */
  async friends(boardId: string, seasonId: string | undefined, playerId: string): Promise<RowsAnswer> {
    const { key, season } = this.#season(boardId, seasonId);
    const friends = await this.#options.friendsOf(playerId);
    const wanted = [playerId, ...friends].slice(0, PLAYERS_MAX);
    return { ...factsOf(key, season), rows: await this.#rows(await this.#options.reader.of(key, wanted)) };
  }

  /** Seasons in which somebody scored, newest first, at most 100 of those before an id. @throws GameError BOARD_UNKNOWN */
  async seasons(boardId: string, before: string | undefined) {
    this.#board(boardId);
    return this.#options.table.seasons(boardId, before, 100);
  }

  /**
   * Takes a score from the studio's own backend; durable when it resolves, on the board soon after.
   * @param key idempotency key: a repeat is counted once
   * @returns the position of its event
   * @throws GameError BOARD_UNKNOWN; NOT_ALLOWED for a board that matches feed; PLAYER_UNKNOWN; KEY_REUSED;
   *   DATABASE_UNAVAILABLE
   */
  async submit(boardId: string, playerId: string, score: number, key: string, fingerprint: string): Promise<number> {
    const board = this.#board(boardId);
    if (board.source !== 'submitted') throw new GameError('NOT_ALLOWED', { reason: 'matches feed this board' });
    if (!(await this.#options.isPlayer(playerId))) throw new GameError('PLAYER_UNKNOWN');
    const events = [ScoreSubmitted({ boardId, playerId, score })];
    const { position } = await this.#options.log.append({
      stream: `leaderboard/${boardId}`,
      expected: 'any',
      key,
      fingerprint,
      events,
    });
    return position;
  }

  #board(boardId: string): Board {
    const board = this.#options.boards.get(boardId);
    if (board === undefined) throw new GameError('BOARD_UNKNOWN');
    return board;
  }

  #season(boardId: string, seasonId: string | undefined): { key: SeasonKey; season: Season } {
    const board = this.#board(boardId);
    const present = board.seasons.at(this.#options.reader.nowMs);
    const season = seasonId === undefined ? present : board.seasons.named(seasonId);
    // A season to come has no entries, and would have the index asked for what it may not have yet.
    if (season === undefined || season.startsAtMs > present.startsAtMs) throw new GameError('SEASON_UNKNOWN');
    return { key: { boardId, seasonId: season.id, order: board.order }, season };
  }

  async #rows(entries: readonly RankedEntry[], since = Number.POSITIVE_INFINITY): Promise<BoardRow[]> {
    const names = await this.#options.namesOf(entries.map(({ playerId }) => playerId));
    return entries.map(({ playerId, rank, score, achieved }) => ({
      rank,
      playerId,
      name: names.get(playerId) ?? null,
      score,
      hasMoved: achieved > since,
    }));
  }
}

function factsOf({ boardId, seasonId }: SeasonKey, { startsAtMs, endsAtMs }: Season): SeasonFacts {
  return { board: boardId, season: seasonId, startsAtMs, endsAtMs: endsAtMs ?? null };
}
