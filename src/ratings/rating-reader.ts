/** What is known of ratings. The port; src/adapters/postgres-ratings-view.ts folds and answers it. */
import type { Rating } from './rating.ts';

export interface PlayerRating extends Rating {
  /** Room type. */
  readonly mode: string;
}

/** What one match did to a rating. */
export interface RatingChange {
  readonly matchId: string;
  /** When the result became durable, ms since 1970. */
  readonly ratedAtMs: number;
  readonly muBefore: number;
  readonly sigmaBefore: number;
  readonly mu: number;
  readonly sigma: number;
  /** Rated matches, this one included. */
  readonly matches: number;
  /** Place in the log: orders the history and names the next page. */
  readonly position: number;
}

export interface RatingReader {
  /** By mode, ascending; empty for who was never rated. @throws GameError DATABASE_UNAVAILABLE, OVERLOADED */
  ratingsOf(playerId: string): Promise<readonly PlayerRating[]>;
  /**
   * The newest first, those with a position below `before`, at most `limit`.
   * @throws GameError DATABASE_UNAVAILABLE, OVERLOADED
   */
  historyOf(playerId: string, mode: string, before: number, limit: number): Promise<readonly RatingChange[]>;
}
