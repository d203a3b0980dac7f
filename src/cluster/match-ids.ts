/**
 * One id for one creation of a room. The framework asks another process to make a room and, when no answer came in time,
 * makes it here: both must be the same match, and then it is settled which of the two rooms stays. So whoever asks gives
 * the id, never the client and never the room.
 */

import type { Track } from './canary.ts';

/** What a room is made with, by this server's word and never by a client's. */
export interface CreationOptions {
  /** Also the id of the room. */
  matchId?: string;
  /** It is offered to nobody who asks for any room. */
  isPrivate?: true;
  /** Where it is to run, if it can be had there; that of the process which is asked where not given. */
  region?: string;
  /** Of the player who is the first in it, see `trackOfJoin`. */
  track?: Track;
  /** Of what it is made for. */
  traceId?: string;
}

export class MatchIds {
  readonly #newMatchId: () => string;
  /** Options of players: of no other may the id be set here, as another part of the server has given it. */
  readonly #ofPlayers = new WeakSet<object>();

  /** @param newMatchId unique over all processes and starts */
  constructor(newMatchId: () => string) {
    this.#newMatchId = newMatchId;
  }

  /** A copy of what a player sent, without anything that only this server may say. */
  ofPlayer<O extends object>(options: O | undefined): O & CreationOptions {
    const { matchId, isPrivate, region, track, traceId, ...own } = (options ?? {}) as O & CreationOptions;
    this.#ofPlayers.add(own);
    return own as unknown as O & CreationOptions;
  }

  /** Call once for each creation, before anybody is asked to make the room. */
  stamp(options: CreationOptions): void {
    if (this.#ofPlayers.has(options)) options.matchId = this.#newMatchId();
  }
}
