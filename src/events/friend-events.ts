/**
 * Who is whose friend. Stream `friends/<a>/<b>`, both ids in ascending order: one stream a pair, so that two who act at
 * once are put into an order.
 */
import * as z from 'zod';
import { defineEvent } from './event.ts';

const playerId = z.string().min(1).max(64);
/** `playerId` did it, `otherId` is the one it is about. */
const pair = z.strictObject({ playerId, otherId: playerId });

export const FriendRequested = defineEvent('friend.requested', pair);
/** `playerId` took what `otherId` had asked. */
export const FriendAccepted = defineEvent('friend.accepted', pair);
/** The friendship ended, or the request was declined or taken back. */
export const FriendRemoved = defineEvent('friend.removed', pair);
/** Also ends friendship and requests of both. */
export const FriendBlocked = defineEvent('friend.blocked', pair);
export const FriendUnblocked = defineEvent('friend.unblocked', pair);

export const FRIEND_EVENTS = [FriendRequested, FriendAccepted, FriendRemoved, FriendBlocked, FriendUnblocked] as const;
export type FriendPayload = z.output<typeof pair>;
