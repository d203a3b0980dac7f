/** Friends as players use them. */
import type { EventLog } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import {
  decide,
  evolve,
  type FriendCommand,
  type Friendship,
  type Relation,
  relationOf,
  STRANGERS,
  streamOf,
} from './friendship.ts';

export interface FriendRow {
  readonly otherId: string;
  readonly relation: Exclude<Relation, 'none'>;
  readonly sinceMs: number;
}

/** The view of who is whose friend. */
export interface FriendTable {
  /** Everybody that a player has to do with: friends first, then requests received, sent, and the blocked; newest first. */
  list(playerId: string, limit: number): Promise<readonly FriendRow[]>;
  /** How many of each relation. */
  counts(playerId: string): Promise<Readonly<Record<FriendRow['relation'], number>>>;
  /** Ids of friends, at most `limit`. */
  friendsOf(playerId: string, limit: number): Promise<readonly string[]>;
}

/**
 * Relations of each kind that a player may have. Counted in the view, which is a moment behind, so a burst of commands
 * at once may end a little above; lists are cut at the bound in any case.
 */
export const FRIENDS_MAX = 500;
/** Events of a pair, all of which every command about it reads. Above, nothing begins any more: it can only be ended. */
export const PAIR_EVENTS_MAX = 1_000;
/** Tries of a command whose pair is acted on by others at the same time. */
const TRIES_MAX = 5;

export interface FriendsOptions {
  readonly log: Pick<EventLog, 'append' | 'read'>;
  readonly table: FriendTable;
  readonly isPlayer: (playerId: string) => Promise<boolean>;
}

export class Friends {
  readonly #options: FriendsOptions;

  constructor(options: FriendsOptions) {
    this.#options = options;
  }

  /** At most four times {@link FRIENDS_MAX}, {@link FRIENDS_MAX} of each relation. @throws GameError DATABASE_UNAVAILABLE */
  list(playerId: string): Promise<readonly FriendRow[]> {
    return this.#options.table.list(playerId, FRIENDS_MAX);
  }

  /** At most {@link FRIENDS_MAX}. @throws GameError DATABASE_UNAVAILABLE */
  friendsOf(playerId: string): Promise<readonly string[]> {
    return this.#options.table.friendsOf(playerId, FRIENDS_MAX);
  }

  /**
   * Does it, durably; nothing if it is so already, so it is safe to repeat.
   *
   * `ask` also accepts what the other had asked; `remove` also declines and takes back; `block` ends everything else.
   * @returns what the two are now, from the player's side. Somebody who is blocked sees a request that was sent
   * @throws GameError FRIEND_SELF, PLAYER_UNKNOWN, FRIENDS_FULL, LOG_CONFLICT, DATABASE_UNAVAILABLE; RATE_LIMITED past
   *   {@link PAIR_EVENTS_MAX}
   */
  async command(command: FriendCommand, playerId: string, otherId: string): Promise<Relation> {
    if (playerId === otherId) throw new GameError('FRIEND_SELF');
    const stream = streamOf(playerId, otherId);
    for (let attempt = 1; ; attempt++) {
      const { friendship, length } = await this.#load(stream);
      const event = decide(friendship, command, playerId, otherId);
      if (event === undefined) return seenBy(friendship, command, playerId, otherId);
      const isBeginning = command === 'ask' || command === 'unblock';
      if (isBeginning && length >= PAIR_EVENTS_MAX) throw new GameError('RATE_LIMITED', { eventsMax: PAIR_EVENTS_MAX });
      await this.#admit(command, friendship, playerId, otherId);
      try {
        await this.#options.log.append({ stream, expected: length, events: [event] });
        return relationOf(evolve(friendship, event), playerId);
      } catch (error) {
        if (!(error instanceof GameError) || error.code !== 'LOG_CONFLICT' || attempt === TRIES_MAX) throw error;
      }
    }
  }

  async #load(stream: string): Promise<{ friendship: Friendship; length: number }> {
    let friendship = STRANGERS;
    let length = 0;
    for await (const event of this.#options.log.read(stream)) {
      friendship = evolve(friendship, event);
      length = event.seq;
    }
    return { friendship, length };
  }

  /** Refuses what would go past the bounds, or is about nobody. What makes lists shorter is always admitted. */
  async #admit(command: FriendCommand, friendship: Friendship, playerId: string, otherId: string): Promise<void> {
    if (command !== 'ask' && command !== 'block') return;
    const { table, isPlayer } = this.#options;
    if (!(await isPlayer(otherId))) throw new GameError('PLAYER_UNKNOWN');
    const own = await table.counts(playerId);
    if (command === 'block') {
      if (own.blocked >= FRIENDS_MAX) throw new GameError('FRIENDS_FULL', { whose: 'own', max: FRIENDS_MAX });
      return;
    }
    const others = await table.counts(otherId);
    const isAccepting = friendship.askedBy === otherId;
    if (own.friend >= FRIENDS_MAX || (!isAccepting && own.sent >= FRIENDS_MAX)) {
      throw new GameError('FRIENDS_FULL', { whose: 'own', max: FRIENDS_MAX });
    }
    if (others.friend >= FRIENDS_MAX || (!isAccepting && others.received >= FRIENDS_MAX)) {
      throw new GameError('FRIENDS_FULL', { whose: 'other', max: FRIENDS_MAX });
    }
  }
}

/** A block is not told to the blocked: what it asks looks as if it had been sent. */
function seenBy(friendship: Friendship, command: FriendCommand, playerId: string, otherId: string): Relation {
  const relation = relationOf(friendship, playerId);
  return command === 'ask' && relation === 'none' && friendship.blockedBy.includes(otherId) ? 'sent' : relation;
}
