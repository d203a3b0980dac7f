/** What leaderboards are told and what they tell. Scores of matches reach them through {@link MatchEnded} instead. */
import * as z from 'zod';
import { defineEvent } from './event.ts';

/** Kebab-case name of a board. */
const boardId = z
  .string()
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/)
  .max(48);
/** `all`, or the local date on which the season begins. */
const seasonId = z.string().regex(/^(?:all|\d{4}-\d{2}-\d{2})$/);
const playerId = z.string().min(1).max(64);

/** A score that the studio's own backend or an admin sent. Stream `leaderboard/<boardId>`. */
export const ScoreSubmitted = defineEvent(
  'leaderboard.score-submitted',
  z.strictObject({ boardId, playerId, score: z.int() }),
);
export type ScoreSubmittedPayload = ReturnType<typeof ScoreSubmitted>['payload'];

/**
 * The end of a season went by. Says nothing but that the log is past it: its own `recordedAtMs` is what counts, so
 * that a season ends although nobody plays. Stream `leaderboard/<boardId>`; repeats are harmless.
 */
export const SeasonEnded = defineEvent('leaderboard.season-ended', z.strictObject({ boardId, seasonId }));

/**
 * A season is over and these were the best: what prizes are paid by. Stream `leaderboard/<boardId>`, key
 * `season-closed/<boardId>/<seasonId>`, so once for ever.
 */
export const SeasonClosed = defineEvent(
  'leaderboard.season-closed',
  z.strictObject({
    boardId,
    seasonId,
    /** Wall clock, ms since 1970: first moment of the season and first after it. */
    startsAtMs: z.int().min(0),
    endsAtMs: z.int().min(0),
    /** Players with a score. */
    players: z.int().min(0),
    /** Best first, with dense ranks; ties in the order in which they got there. */
    top: z.array(z.strictObject({ playerId, score: z.int(), rank: z.int().min(1) })).max(100),
  }),
);
export type SeasonClosedPayload = ReturnType<typeof SeasonClosed>['payload'];

export const LEADERBOARD_EVENTS = [ScoreSubmitted, SeasonEnded, SeasonClosed] as const;
