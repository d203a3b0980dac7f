/** Rooms for matches, by the framework's matchmaker: in this process or in another one of its cluster. */
import { randomBytes } from 'node:crypto';
import { generateId, matchMaker } from '@colyseus/core';
import type { CreationOptions } from '../cluster/match-ids.ts';
import { GameError } from '../kernel/errors.ts';
import type { MatchOrder, MatchRooms, Seated } from '../matchmaking/mode.ts';
import type { SeatReservation } from '../matchmaking/ticket-store.ts';

type Listing = Parameters<typeof matchMaker.reserveMultipleSeatsFor>[0];

export class ColyseusMatchRooms implements MatchRooms {
  readonly #log: { info(facts: object, text: string): void };

  constructor(log: { info(facts: object, text: string): void }) {
    this.#log = log;
  }

  async open({ matchId, roomName, region, players }: MatchOrder): Promise<ReadonlyMap<string, SeatReservation>> {
    // The server's word: clients cannot create rooms, and what they say of these is taken away where they join.
    const creation: CreationOptions = {
      matchId,
      isPrivate: true,
      ...(region === null ? {} : { region }),
      traceId: newTraceId(),
    };
    const listing = await matchMaker.createRoom(roomName, creation);
    return this.#hold(listing, players, creation.traceId!);
  }

  async fill(roomId: string, players: readonly Seated[]): Promise<ReadonlyMap<string, SeatReservation>> {
    const [listing] = await matchMaker.query({ roomId });
    // Full, or about to move to another process, where seats that are not taken do not go along.
    if (listing === undefined || listing.locked) throw new GameError('MATCH_FULL', { roomId });
    return this.#hold(listing as Listing, players, newTraceId());
  }

  /** All seats or none: those that were held of too few free themselves. */
  async #hold(
    listing: Listing,
    players: readonly Seated[],
    traceId: string,
  ): Promise<ReadonlyMap<string, SeatReservation>> {
    const seats = players.map(({ identity, name, team }) => ({
      sessionId: generateId(),
      // As a client's own options would be, and as the class that `admitting` derives would identify it.
      options: { ...(name === null ? {} : { name }), team, traceId },
      auth: { ...identity },
    }));
    const held = await matchMaker.reserveMultipleSeatsFor(listing, seats);
    const free = held.filter((isHeld) => isHeld).length;
    const { roomId, processId } = listing;
    if (free < players.length) throw new GameError('MATCH_FULL', { roomId, free, wanted: players.length });
    this.#log.info({ trace: traceId, roomId, in: processId, players: free }, 'seats are held for who queued');
    return new Map(
      players.map(({ identity }, at) => [
        identity.playerId,
        matchMaker.buildSeatReservation(listing, seats[at]!.sessionId) as SeatReservation,
      ]),
    );
  }
}

/** As of a request without a `traceparent`. */
function newTraceId(): string {
  return randomBytes(16).toString('hex');
}
