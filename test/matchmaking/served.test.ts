/** Matchmaking as a whole server offers it: over HTTP and through the queue room, to a seat in a real room. */
import assert from 'node:assert/strict';
import type { Client } from '@colyseus/sdk';
import { ArenaRoom } from '../../rooms/arena-room.ts';
import { QueueRoom } from '../../rooms/queue-room.ts';
import { arenaRules, defineRules } from '../../src/matchmaking/rules.ts';
import { GameServer, until } from '../fixtures/game-server.ts';

const rules = defineRules({ ...arenaRules({ playersMax: 16, botsFillTo: 0 }), partialAfterSeconds: 0, bots: null });

interface Ticket {
  readonly ticketId: string;
  readonly state: string;
  readonly tag: string;
  readonly playerIds: readonly string[];
  readonly match: { readonly matchId: string; readonly seat: Parameters<Client['consumeSeatReservation']>[0] } | null;
}

describe('matchmaking of a server', () => {
  let game: GameServer;
  before(async () => {
    game = await GameServer.start({
      rooms: { arena: ArenaRoom, queue: QueueRoom },
      modes: [{ rules, roomName: 'arena', readyCheck: 'parties' }],
    });
  });
  afterEach(() => {
    assert.deepEqual(game.bugs, []);
    return game.clear();
  });
  after(() => game.close());

  const ask = async (client: Client, method: string, path: string, body?: unknown) => {
    const response = await fetch(`${game.endpoint}/api/matchmaking${path}`, {
      method,
      headers: {
        authorization: `Bearer ${client.auth.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body: answer };
  };
  const matched = async (client: Client, tag: string): Promise<Ticket> => {
    let ticket = { tag } as Ticket;
    return until(async () => {
      const { body } = await ask(client, 'GET', `/tickets/mine?after=${ticket.tag}&waitSeconds=5`);
      ticket = body as unknown as Ticket;
      return ticket.state === 'matched' && ticket;
    }, 'the ticket to be matched');
  };

  it('two who queue over HTTP are given seats in one room, which the SDK takes as they are', async () => {
    const clients = [await game.client(), await game.client()];
    const tickets: Ticket[] = [];
    for (const client of clients) {
      const { status, body } = await ask(client, 'POST', '/tickets', {
        mode: 'arena',
        name: `Player ${tickets.length}`,
      });
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(body['state'], 'queued');
      tickets.push(body as unknown as Ticket);
    }
    const done = await Promise.all(clients.map((client, at) => matched(client, tickets[at]!.tag)));
    assert.equal(done[0]!.match!.matchId, done[1]!.match!.matchId);
    const players = [];
    for (const [at, client] of clients.entries()) {
      players.push(game.adopt(await client.consumeSeatReservation(done[at]!.match!.seat)));
    }
    for (const player of players) await player.seat();
    const room = game.room(done[0]!.match!.seat.roomId);
    const inRoom = [...room.clients].map(({ auth }) => (auth as { playerId: string }).playerId).sort();
    assert.deepEqual(inRoom, tickets.map(({ playerIds }) => playerIds[0]!).sort());
  });
});
