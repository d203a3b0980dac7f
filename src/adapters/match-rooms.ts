/** Rooms for matches, by the framework's matchmaker: in this process or in another one of its cluster. */
import { generateId, matchMaker } from '@colyseus/core';
import type { MatchOrder, MatchRooms, Seated } from '../matchmaking/mode.ts';
import type { SeatReservation } from '../matchmaking/ticket-store.ts';

type Listing = Parameters<typeof matchMaker.reserveMultipleSeatsFor>[0];

export class ColyseusMatchRooms implements MatchRooms {
  async open({ matchId, roomName, region, players }: MatchOrder): Promise<ReadonlyMap<string, SeatReservation>> {
    // The server's word: clients cannot create rooms, and a match id of theirs is taken away where they join.
    const listing = await matchMaker.createRoom(roomName, { matchId, region });
    // Who did not queue for it does not come in by chance.
    await matchMaker.remoteRoomCall(listing.roomId, 'setPrivate', [true]);
    return hold(listing, players);
  }

  async fill(roomId: string, players: readonly Seated[]): Promise<ReadonlyMap<string, SeatReservation>> {
    const [listing] = await matchMaker.query({ roomId });
    if (listing === undefined) throw new Error(`room ${roomId} is not listed any more`);
    return hold(listing as Listing, players);
  }
}

/** All seats or none: those that were held of too few free themselves. */
async function hold(listing: Listing, players: readonly Seated[]): Promise<ReadonlyMap<string, SeatReservation>> {
  const seats = players.map(({ identity, name, team }) => ({
    sessionId: generateId(),
    // As a client's own options would be, and as the class that `admitting` derives would identify it.
    options: { ...(name === null ? {} : { name }), team },
    auth: { ...identity },
  }));
  const held = await matchMaker.reserveMultipleSeatsFor(listing, seats);
  const free = held.filter((isHeld) => isHeld).length;
  if (free < players.length) throw new Error(`room ${listing.roomId} has ${free} of ${players.length} seats`);
  return new Map(
    players.map(({ identity }, at) => [
      identity.playerId,
      matchMaker.buildSeatReservation(listing, seats[at]!.sessionId) as SeatReservation,
    ]),
  );
}
