/** What two players are to each other, and what each may do about it. Pure. */
import { isEvent, type NewEvent } from '../events/event.ts';
import {
  FriendAccepted,
  FriendBlocked,
  type FriendPayload,
  FriendRemoved,
  FriendRequested,
  FriendUnblocked,
} from '../events/friend-events.ts';

/** Of a pair, as their stream has it. */
export interface Friendship {
  readonly isFriends: boolean;
  /** Who asked and has no answer yet. */
  readonly askedBy: string | undefined;
  /** Who blocks the other: none, one or both. */
  readonly blockedBy: readonly string[];
}

/** The same from one side. `none` also for one who is blocked: who blocks is not told. */
export type Relation = 'none' | 'friend' | 'sent' | 'received' | 'blocked';

export type FriendCommand = 'ask' | 'remove' | 'block' | 'unblock';

export const STRANGERS: Friendship = Object.freeze({ isFriends: false, askedBy: undefined, blockedBy: [] });

/** What happens when `playerId` gives the command about `otherId`; nothing if it is so already. */
export function decide(
  friendship: Friendship,
  command: FriendCommand,
  playerId: string,
  otherId: string,
): NewEvent<FriendPayload> | undefined {
  const pair = { playerId, otherId };
  const isBlocking = friendship.blockedBy.includes(playerId);
  switch (command) {
    case 'ask':
      // Asking a player who blocks oneself looks like asking any other; asking one whom oneself blocks does nothing.
      if (friendship.isFriends || friendship.blockedBy.length > 0 || friendship.askedBy === playerId) return undefined;
      return friendship.askedBy === otherId ? FriendAccepted(pair) : FriendRequested(pair);
    case 'remove':
      return friendship.isFriends || friendship.askedBy !== undefined ? FriendRemoved(pair) : undefined;
    case 'block':
      return isBlocking ? undefined : FriendBlocked(pair);
    case 'unblock':
      return isBlocking ? FriendUnblocked(pair) : undefined;
  }
}

/** The pair after one of its events. */
export function evolve(
  friendship: Friendship,
  event: { readonly type: string; readonly payload: unknown },
): Friendship {
  if (isEvent(FriendRequested, event)) return { ...friendship, askedBy: event.payload.playerId };
  if (isEvent(FriendAccepted, event)) return { ...friendship, isFriends: true, askedBy: undefined };
  if (isEvent(FriendRemoved, event)) return { ...friendship, isFriends: false, askedBy: undefined };
  if (isEvent(FriendBlocked, event)) {
    return { ...STRANGERS, blockedBy: [...friendship.blockedBy, event.payload.playerId] };
  }
  if (isEvent(FriendUnblocked, event)) {
    return { ...friendship, blockedBy: friendship.blockedBy.filter((id) => id !== event.payload.playerId) };
  }
  return friendship;
}

export function relationOf(friendship: Friendship, playerId: string): Relation {
  if (friendship.blockedBy.includes(playerId)) return 'blocked';
  if (friendship.isFriends) return 'friend';
  if (friendship.askedBy === undefined) return 'none';
  return friendship.askedBy === playerId ? 'sent' : 'received';
}

/** The stream of a pair, whoever of them is named first. */
export function streamOf(a: string, b: string): string {
  return a < b ? `friends/${a}/${b}` : `friends/${b}/${a}`;
}
