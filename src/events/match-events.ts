/** What other areas are told of matches. */
import * as z from 'zod';
import { defineEvent } from './event.ts';

const standing = z.strictObject({
  seat: z.int().min(0).max(255),
  /** Empty for a bot. Never a display name: that is personal data. */
  playerId: z.string().max(64),
  isBot: z.boolean(),
  /** Team of the seat, 0-based; absent in a free-for-all. */
  team: z.int().min(0).max(255).optional(),
  /** 1 is best; equal ranks are a draw. */
  rank: z.int().min(1).max(4096),
  /** Ticks the player was seated, to weigh who left early or came late. */
  ticks: z.int().min(0),
  /** When the player gave the match up; absent for who stayed until it was decided. Ranked after all who stayed. */
  leftTick: z.int().min(0).optional(),
  /** The game's own integer columns, such as frags and deaths. */
  score: z.record(z.string().max(32), z.int()),
});

/**
 * A match ended and this is how, once for ever. Stream `match/<id>`, key `match-ended/<id>`: whoever reports it again
 * is answered with the first.
 */
export const MatchEnded = defineEvent(
  'match.ended',
  z.strictObject({
    matchId: z.string().max(64),
    /** Room type, such as `arena`; ratings and boards are kept by it. */
    roomName: z.string().max(64),
    reason: z.enum(['completed', 'abandoned', 'shutdown']),
    createdAtMs: z.int().min(0),
    /** Length of the match. */
    ticks: z.int().min(0),
    tickRateHz: z.int().min(1).max(240),
    /**
     * Best first; everybody who was seated when it was decided, and who had left before, a player once. Of a match with
     * very many leavers those who were seated for the shortest time are left out.
     */
    standings: z.array(standing).max(4096),
  }),
);
export type MatchEndedPayload = ReturnType<typeof MatchEnded>['payload'];
