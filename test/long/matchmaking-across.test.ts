/** Queues in one process, matches in another: tickets, seats, backfill, and rooms that cannot be had. */
import assert from 'node:assert/strict';
import type { Client, Room as SdkRoom } from '@colyseus/sdk';
import { Redis } from 'ioredis';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

interface Ticket {
  readonly ticketId: string;
  readonly state: string;
  readonly tag: string;
  readonly waitedMs: number;
  readonly position: number | null;
  readonly code: string | null;
  readonly match: { readonly matchId: string; readonly seat: Parameters<Client['consumeSeatReservation']>[0] } | null;
}

/** A match of two at once; and long enough for a seat that is filled again. */
const SEATS = 2;
const MATCHED_MS = 30_000;

describe('matches that are made in another process than the one that queues', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  /** Leads the queues and has no slot left for a match. */
  let queues: Member;
  /** Has slots, and never leads. */
  let host: Member;
  let watch: Redis;
  const players: TestPlayer[] = [];
  /** In queue rooms. */
  const queued: TestPlayer[] = [];
  /** Rows of the list of rooms, as they were written. */
  const written: { readonly roomId: string; readonly private: boolean }[] = [];
  let unmute: () => void;

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(0, {
      // Logs in JSON name what people at a terminal are spared.
      env: { HYPOGEUM_MAX_PLAYERS: String(SEATS), HYPOGEUM_MATCH_MINUTES: '60', NODE_ENV: 'production' },
    });
    const asking = new Redis(cluster.redis.url);
    watch = await asking.monitor();
    asking.disconnect();
    watch.on('monitor', (_time: string, args: string[]) => {
      for (const arg of args) {
        if (arg.startsWith('{') && arg.includes('"roomId"') && arg.includes('"private"')) written.push(JSON.parse(arg));
      }
    });
    queues = await cluster.add({ HYPOGEUM_MATCH_SLOTS: '1' });
    const full = await cluster.client(queues);
    await enter(await full.joinOrCreate('arena'));
    await enter(await (await cluster.client(queues)).joinById(players[0]!.room.roomId));
    host = await cluster.add({ HYPOGEUM_ROLES: 'gate,realtime', HYPOGEUM_MATCH_SLOTS: '2' });
    await cluster.isWhole();
    await until(async () => (await slots(queues, 'own')) === 0, 'the queues to have no slot');
  });
  after(async () => {
    watch?.disconnect();
    await Promise.all([...players, ...queued].map((player) => player.leave()));
    await cluster.stop();
    unmute();
  });

  const slots = (member: Member, scope: 'own' | 'cluster') =>
    member.metric('hypogeum_match_slots_available', `{scope="${scope}"}`);

  const linesOf = (member: Member) =>
    member.process
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): { msg: string; roomId?: string; trace?: string } => JSON.parse(line));

  async function enter(room: SdkRoom): Promise<TestPlayer> {
    const player = new TestPlayer(room);
    players.push(player);
    await player.patched();
    return player;
  }

  async function ask(client: Client, member: Member, method: string, path: string, body?: object): Promise<Ticket> {
    const response = await fetch(`${member.url}/api/matchmaking${path}`, {
      method,
      headers: {
        authorization: `Bearer ${client.auth.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.ok(response.ok, text);
    return JSON.parse(text);
  }
  const queue = (client: Client, name: string) => ask(client, queues, 'POST', '/tickets', { mode: 'arena', name });
  const look = (client: Client, after = '') =>
    ask(client, queues, 'GET', `/tickets/mine${after === '' ? '' : `?after=${after}&waitSeconds=5`}`);
  function matched(client: Client): Promise<Ticket> {
    let tag = '';
    return until(
      async () => {
        const ticket = await look(client, tag);
        assert.notEqual(ticket.state, 'cancelled', String(ticket.code));
        ({ tag } = ticket);
        return ticket.state === 'matched' && ticket;
      },
      'the ticket to be matched',
      MATCHED_MS,
    );
  }

  /** Joins the queue room, and what it is told of its seat. */
  async function queueUp(through: Member, name: string) {
    const client = await cluster.client(through);
    const player = new TestPlayer(await client.joinOrCreate('queue', { mode: 'arena', name }));
    queued.push(player);
    const matched = () => player.messages.find(({ type }) => type === 'matched')?.message;
    return { client, room: player.room, matched };
  }

  it('who queue over HTTP are given seats there, take them through the process that they know, and play', async () => {
    const clients = [await cluster.client(queues), await cluster.client(queues)];
    await queue(clients[0]!, 'Ann');
    await queue(clients[1]!, 'Bob');
    const tickets = await Promise.all(clients.map(matched));
    const [ann, bob] = await Promise.all(
      clients.map(async (client, at) => enter(await client.consumeSeatReservation(tickets[at]!.match!.seat))),
    );
    assert.equal(ann!.room.roomId, bob!.room.roomId);
    assert.equal(tickets[0]!.match!.seat.processId, host.processId);
    assert.equal((await cluster.listed()).get(ann!.room.roomId)?.processId, host.processId);
    assert.notEqual(await ann!.seat(), await bob!.seat());
  });

  it('their room was never offered to anybody else, from its first row on the list on', async () => {
    const { roomId } = players.at(-1)!.room;
    const rows = written.filter((row) => row.roomId === roomId);
    assert.ok(rows.length > 0);
    assert.deepEqual(
      rows.filter((row) => !row.private),
      [],
    );
    assert.ok(
      written.some((row) => row.roomId !== roomId && !row.private),
      'other rooms are',
    );
  });

  it('what they are part of is found in the logs of both processes by one trace id', async () => {
    const { roomId } = players.at(-1)!.room;
    const held = linesOf(queues).find((line) => line.msg.startsWith('seats are held') && line.roomId === roomId);
    assert.match(String(held?.trace), /^[0-9a-f]{32}$/);
    const said = linesOf(host).filter((line) => line.roomId === roomId);
    assert.deepEqual(said.map(({ msg }) => msg).sort(), ['match created', 'player joined', 'player joined']);
    for (const line of said) assert.equal(line.trace, held!.trace);
  });

  it('who join the queue room, in whichever process, are given seats there', async () => {
    const ann = await queueUp(queues, 'Ann');
    assert.equal((await cluster.listed()).get(ann.room.roomId)?.processId, queues.processId, 'a queue takes no slot');
    const bob = await queueUp(host, 'Bob');
    assert.equal(bob.room.roomId, ann.room.roomId);
    const seats = await Promise.all([ann, bob].map(({ matched }) => until(matched, 'a seat', MATCHED_MS)));
    for (const [at, { client }] of [ann, bob].entries()) {
      const player = await enter(await client.consumeSeatReservation(seats[at]!['seat'] as never));
      assert.equal((await cluster.listed()).get(player.room.roomId)?.processId, host.processId);
    }
  });

  it('a running match there is filled up again', async () => {
    const [stays, leaves] = players.slice(-2);
    await leaves!.leave();
    const client = await cluster.client(queues);
    await queue(client, 'Late');
    const { match } = await matched(client);
    assert.equal(match!.seat.roomId, stays!.room.roomId);
    const late = await enter(await client.consumeSeatReservation(match!.seat));
    assert.equal(await late.seat(), await leaves!.seat(), 'the seat that was left');
  });

  it('no seat, as that process stands still: tickets wait on, with their age, and are the first when it wakes', async () => {
    // One slot: the others have to wait for it.
    const emptied = players.slice(2, 4);
    await Promise.all(emptied.map((player) => player.leave()));
    await until(async () => (await slots(queues, 'cluster')) === 1, 'a slot');
    const clients: Client[] = [];
    for (let at = 0; at < 4; at++) clients.push(await cluster.client(queues));
    host.kill('SIGSTOP');
    const first = [await queue(clients[0]!, 'Ann'), await queue(clients[1]!, 'Bob')];
    const returned = async () =>
      (await queues.metric('hypogeum_queue_tickets_total', '{mode="arena",outcome="returned"}')) ?? 0;
    const before = await returned();
    await until(async () => (await returned()) >= before + 2, 'the tickets to come back', MATCHED_MS);
    const later = [await queue(clients[2]!, 'Cid'), await queue(clients[3]!, 'Dee')];
    host.kill('SIGCONT');
    const seated = await Promise.all([matched(clients[0]!), matched(clients[1]!)]);
    for (const [at, ticket] of seated.entries()) {
      assert.equal(ticket.ticketId, first[at]!.ticketId);
      const player = await enter(await clients[at]!.consumeSeatReservation(ticket.match!.seat));
      assert.equal((await cluster.listed()).get(player.room.roomId)?.processId, host.processId);
    }
    for (const [at, ticket] of later.entries()) {
      const now = await look(clients[2 + at]!);
      assert.deepEqual([now.ticketId, now.state], [ticket.ticketId, 'queued']);
      await ask(clients[2 + at]!, queues, 'DELETE', '/tickets/mine');
    }
    // That no room can be had is counted, and nobody's fault.
    assert.ok((await queues.metric('hypogeum_queue_seatings_failed_total', '{mode="arena"}'))! > 0);
    for (const { process } of [queues, host]) assert.doesNotMatch(process.output(), /matchmaking failed|bug in /);
  });
});
