/** What is known of matches that have ended. The port; src/adapters/postgres-results-view.ts folds and answers it. */
import type { MatchEndedPayload } from '../events/match-events.ts';

export interface EndedMatch extends MatchEndedPayload {
  /** When the result became durable, ms since 1970. */
  readonly endedAtMs: number;
}

/** A match as one player has it in the history. */
export interface PlayedMatch {
  readonly matchId: string;
  readonly roomName: string;
  readonly reason: MatchEndedPayload['reason'];
  readonly endedAtMs: number;
  readonly matchTicks: number;
  readonly tickRateHz: number;
  /** People and bots in the standings. */
  readonly participants: number;
  readonly rank: number;
  readonly ticks: number;
  readonly leftTick: number | undefined;
  readonly score: Readonly<Record<string, number>>;
  /** Place in the log: orders the history and names the next page. */
  readonly position: number;
}

export interface ResultReader {
  /** @throws GameError DATABASE_UNAVAILABLE, OVERLOADED */
  match(matchId: string): Promise<EndedMatch | undefined>;
  /**
   * The newest first, those with a position below `before`, at most `limit`. A match that ends meanwhile comes before the
   * first page and moves nothing.
   * @throws GameError DATABASE_UNAVAILABLE, OVERLOADED
   */
  matchesOf(playerId: string, before: number, limit: number): Promise<readonly PlayedMatch[]>;
}
