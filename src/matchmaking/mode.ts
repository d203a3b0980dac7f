/** What players may queue for, and what matchmaking asks of the rest of the server. */
import type { ErrorCode } from '../kernel/errors.ts';
import type { Rules } from './rules.ts';
import type { SeatIdentity, SeatReservation } from './ticket-store.ts';

export interface Mode {
  readonly rules: Rules;
  /** Name of the room that its matches are played in. */
  readonly roomName: string;
  /** Who is asked whether it is there, once a match is found: those who came as a party, everybody or nobody. */
  readonly readyCheck: 'nobody' | 'parties' | 'everybody';
}

/** Who is to be seated, and how the room shall know it. */
export interface Seated {
  readonly identity: SeatIdentity;
  readonly name: string | null;
  readonly team: number;
}

/** A match that is to have a room. */
export interface MatchOrder {
  readonly matchId: string;
  readonly roomName: string;
  readonly region: string | null;
  readonly bots: readonly number[];
  readonly players: readonly Seated[];
}

/** Where matches are played: rooms of this process or of others. */
export interface MatchRooms {
  /**
   * Makes the room of a match, or takes the one there is of that match id, and holds a seat for each player.
   * @returns seats by player id
   * @throws anything: then the match does not come about, and seats that are held already free themselves
   */
  open(order: MatchOrder): Promise<ReadonlyMap<string, SeatReservation>>;
  /** Holds seats in a room that runs. @throws as {@link open} */
  fill(roomId: string, players: readonly Seated[]): Promise<ReadonlyMap<string, SeatReservation>>;
}

/** What is known of players. */
export interface PlayerFacts {
  /** The rating in that mode; that of a new player for who has none. @throws GameError DATABASE_UNAVAILABLE */
  ratingOf(playerId: string, mode: string): Promise<{ readonly mu: number; readonly sigma: number }>;
  /** Whom the player does not want to meet. @throws GameError DATABASE_UNAVAILABLE */
  blockedBy(playerId: string): Promise<readonly string[]>;
  /** Why the sign-in may not play any more, if that is so. */
  barredBy(signInId: string): ErrorCode | undefined;
}

/** A place where matches are played, and where a client measures the way to it. */
export interface Region {
  readonly region: string;
  /** URL, or a path of the address by which the client came; a GET of it is the round trip. */
  readonly pingUrl: string;
}
