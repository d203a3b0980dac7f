/**
 * Questions to a leaderboard, and the fast copies that answer them. The truth is the log, its fold is a table
 * (src/adapters/postgres-boards.ts), and an index is a copy of the table's recent seasons that knows ranks without
 * counting. This file is the port; its rules are test/contract/board-index.contract.ts and board-reader.contract.ts.
 */
import type { Order } from './boards.ts';
import type { Entry } from './scoring.ts';

/** One season of one board. */
export interface SeasonKey {
  readonly boardId: string;
  readonly seasonId: string;
  readonly order: Order;
}

export interface RankedEntry extends Entry {
  /** Dense: 1 for the best score, and each next different score one more; equal scores share it. */
  readonly rank: number;
}

/** Entries of a page or around a player at most. */
export const PAGE_MAX = 100;
/** Players asked for by name at once at most: a list of friends and oneself. */
export const PLAYERS_MAX = 501;

/** Entries stand in the order of `compareEntries`. Every answer is of one moment. */
export interface BoardReader {
  /**
   * Entries that stand strictly after `after` (which need not be there any more), or the first ones, and how many there
   * are in all.
   * @param limit 1 to {@link PAGE_MAX} + 1
   * @throws GameError STORE_UNAVAILABLE, DATABASE_UNAVAILABLE
   */
  page(key: SeasonKey, after: Entry | undefined, limit: number): Promise<BoardPage>;
  /** A player with at most so many before and after; undefined if it is not on the board. */
  around(key: SeasonKey, playerId: string, before: number, after: number): Promise<readonly RankedEntry[] | undefined>;
  /** Those of the players that are on the board, best first, with their ranks among all. */
  of(key: SeasonKey, playerIds: readonly string[]): Promise<readonly RankedEntry[]>;
}

export interface BoardPage {
  readonly entries: readonly RankedEntry[];
  /** Players on the board in all. */
  readonly players: number;
  /** Newest position of the log that the answer is known to reflect. */
  readonly position: number;
}

/** What an entry is from now on; without a score it is gone. */
export interface BoardChange extends Omit<SeasonKey, 'order'> {
  readonly playerId: string;
  readonly score: number | undefined;
  readonly achieved: number;
}

/** How much of the table an index has. */
export interface FeedMark {
  /** Another one: the table was built anew, and nothing of the index is to be trusted. */
  readonly generation: string;
  /** Place in the order of changes; only the table knows how to read it. Empty: before the first. */
  readonly after: string;
  /** What the table had folded when it was read. */
  readonly position: number;
  /** False while it is filled for the first time: questions are then refused. */
  readonly isReady: boolean;
}

export interface BoardIndex extends BoardReader {
  /** How far it is; undefined for one that is empty, new or has lost its data. @throws GameError STORE_UNAVAILABLE */
  mark(): Promise<FeedMark | undefined>;
  /**
   * Writes changes and the mark as one, if it still stands at `from`; undefined: if it is empty.
   * @param from what {@link mark} or the last successful call gave
   * @param oldest by board, the first season that is kept. It only moves on: what was before is forgotten, and
   *   questions about it are refused with STORE_UNAVAILABLE, as are those about a board that is not in it
   * @returns false, and nothing is written, when it stands elsewhere
   */
  apply(
    from: FeedMark | undefined,
    changes: readonly BoardChange[],
    to: FeedMark,
    oldest: ReadonlyMap<string, string>,
  ): Promise<boolean>;
  /** Forgets everything that it has of a generation; of another one, nothing. */
  reset(generation: string): Promise<void>;
}

/** The table as an index is fed from it. */
export interface BoardFeed {
  /**
   * One consistent look: where the table stands and the changes after a place in their order, at most `limit`.
   * @param oldest by board, the first season that is wanted; boards that are not in it are left out
   */
  changes(after: string, limit: number, oldest: ReadonlyMap<string, string>): Promise<FeedPage>;
}

export interface FeedPage {
  readonly generation: string;
  /** Position up to which the table is folded. */
  readonly position: number;
  /** When the newest folded event was recorded, ms since 1970; 0 before the first. */
  readonly recordedAtMs: number;
  /** True while the table is built anew and does not yet have what it had before. */
  readonly isRebuilding: boolean;
  readonly changes: readonly BoardChange[];
  /** Place of the last of them; what was asked for if there are none. */
  readonly after: string;
}
