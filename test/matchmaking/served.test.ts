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

  /** What a client of the queue room hears, by type. */
  const listen = (room: Awaited<ReturnType<Client['joinOrCreate']>>) => {
    const heard: { readonly type: string; readonly message: Record<string, unknown> }[] = [];
    room.onMessage('*', (type, message) => void heard.push({ type: String(type), message }));
    return {
      heard,
      first: (type: string) => until(() => heard.find((one) => one.type === type)?.message, `the queue to say ${type}`),
    };
  };
  const join = async (client: Client, options: object = {}) =>
    client.joinOrCreate('queue', { mode: 'arena', latencies: {}, ...options });
  const liveTicket = async (client: Client) => {
    const { body } = await ask(client, 'GET', '/tickets/mine');
    return body['state'] === 'queued' || body['state'] === 'ready-check' ? body : undefined;
  };

  it('two who join the queue room hear where they stand and are handed seats that the SDK takes', async () => {
    const clients = [await game.client(), await game.client()];
    const queue = await join(clients[0]!, { name: 'Ann' });
    const ann = listen(queue);
    const told = await ann.first('ticket');
    assert.equal(told['position'], 1);
    await until(
      () => ann.heard.some(({ message }) => (message['why'] as { code?: string } | null)?.code === 'TOO_FEW'),
      'why',
    );
    const bob = listen(await join(clients[1]!, { name: 'Bob' }));
    const seats = await Promise.all([ann.first('matched'), bob.first('matched')]);
    assert.equal(seats[0]!['matchId'], seats[1]!['matchId']);
    for (const [at, client] of clients.entries()) {
      await game.adopt(await client.consumeSeatReservation(seats[at]!['seat'] as never)).seat();
    }
  });

  it('who leaves the queue room waits no more; who only loses its connection does', async () => {
    const client = await game.client();
    const queue = await join(client);
    queue.reconnection.minUptime = 0;
    let resumes = 0;
    queue.onReconnect(() => void resumes++);
    const ann = listen(queue);
    const { ticketId } = await ann.first('ticket');
    queue.connection.close(4010);
    await until(() => resumes === 1, 'the queue to be resumed');
    assert.equal((await liveTicket(client))?.['ticketId'], ticketId);
    const again = listen(await join(client));
    assert.equal((await again.first('ticket'))['ticketId'], ticketId, 'a second device waits on the same ticket');
    await queue.leave();
    await until(async () => (await liveTicket(client)) === undefined, 'the ticket to be cancelled');
    assert.equal((await again.first('cancelled'))['code'], 'TICKET_CANCELLED');
  });

  it('the queue room refuses by code whom the queue would, and a rank that a client claims is nobody’s', async () => {
    const client = await game.client();
    await assert.rejects(join(client, { mode: 'none' }), /^\S*Error: MODE_UNKNOWN/);
    await assert.rejects(join(client, { latencies: { local: -1 } }), /INVALID_INPUT/);
    assert.equal(await liveTicket(client), undefined);
    const queue = await join(client, { rank: 3_000, rating: { mu: 99 } });
    assert.equal((await listen(queue).first('ticket'))['state'], 'queued');
    await queue.leave();
  });

  it('who queues alone is seated in a running match with free seats', async () => {
    const host = await game.client();
    const running = game.adopt(await host.joinOrCreate('arena', { name: 'Host' }));
    await running.seat();
    const client = await game.client();
    const { body } = await ask(client, 'POST', '/tickets', { mode: 'arena', name: 'Late' });
    const { match } = await matched(client, body['tag'] as string);
    assert.equal(match!.seat.roomId, running.room.roomId);
    await game.adopt(await client.consumeSeatReservation(match!.seat)).seat();
  });

  it('nobody is seated in a running match that is locked, as before it moves: the ticket waits on', async () => {
    const host = await game.client();
    const running = game.adopt(await host.joinOrCreate('arena', { name: 'Host' }));
    await running.seat();
    await game.room(running.room.roomId).lock();
    const client = await game.client();
    const { body } = await ask(client, 'POST', '/tickets', { mode: 'arena' });
    const returned = async () => {
      const text = await (await fetch(`${game.endpoint}/metrics`)).text();
      return /^hypogeum_queue_tickets_total\{mode="arena",outcome="returned"\} [1-9]/m.test(text);
    };
    await until(returned, 'the ticket to come back');
    const ticket = await liveTicket(client);
    assert.deepEqual([ticket?.['ticketId'], ticket?.['match']], [body['ticketId'], null]);
    await ask(client, 'DELETE', '/tickets/mine');
  });

  it('a party comes into one match once all of it is ready', async () => {
    const clients = [await game.client(), await game.client(), await game.client()];
    const [leader, member, stranger] = clients as [Client, Client, Client];
    const { body: party } = await ask(leader, 'POST', '/parties', { name: 'Lead' });
    const { body: joined } = await ask(member, 'POST', '/parties/join', { code: String(party['code']).toLowerCase() });
    assert.equal((joined['members'] as unknown[]).length, 2);
    await ask(leader, 'POST', '/tickets', { mode: 'arena' });
    await ask(stranger, 'POST', '/tickets', { mode: 'arena' });
    for (const client of [leader, member]) {
      await until(async () => (await liveTicket(client))?.['state'] === 'ready-check', 'the party to be asked');
      await ask(client, 'PUT', '/tickets/mine/ready', { isReady: true });
    }
    const done = await Promise.all([leader, member].map((client) => matched(client, '')));
    assert.equal(new Set(done.map(({ match }) => match!.seat.roomId)).size, 1);
  });

  it('the metrics tell of waits, matches and cycles by mode', async () => {
    const text = await (await fetch(`${game.endpoint}/metrics`)).text();
    assert.match(text, /^hypogeum_queue_matches_total\{mode="arena"\} [1-9]/m);
    assert.match(text, /^hypogeum_queue_wait_seconds_count\{mode="arena"\} [1-9]/m);
    assert.match(text, /^hypogeum_queue_cycle_seconds_count\{mode="arena"\} [1-9]/m);
    assert.match(text, /^hypogeum_queue_tickets_total\{mode="arena",outcome="matched"\} [1-9]/m);
  });
});
