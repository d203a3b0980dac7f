/** Who leads the queues is killed while clients queue, in a cluster of real processes with real rooms. */
import assert from 'node:assert/strict';
import type { Client } from '@colyseus/sdk';
import { Redis } from 'ioredis';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const CLIENTS = 24;
/** Of a match. */
const SEATS = 2;
const KILLS = 3;
const PENDING = 'hypogeum:{matchmaking}:pending/arena';
const FENCES = 'hypogeum:{matchmaking}:fences';
/** Longest that anything may take: queues stand still for 2 s at a kill, seats that nobody takes for 8 s. */
const ORDER_MS = 90_000;

interface Ticket {
  readonly state: string;
  readonly tag: string;
  readonly code: string | null;
  readonly match: {
    readonly matchId: string;
    readonly seat: Parameters<Client['consumeSeatReservation']>[0] | null;
  } | null;
}

/** Who leads the queues, and how many others its matches are played by. */
const CLUSTERS = [
  { name: 'and plays no matches itself', matcher: { HYPOGEUM_ROLES: 'worker' }, hosts: 2 },
  { name: 'and runs some of the matches itself', matcher: {}, hosts: 0 },
] as const;

for (const { name, matcher, hosts } of CLUSTERS) {
  describe(`a process that leads the queues, ${name}, killed again and again`, function () {
    this.timeout(300_000);
    let cluster: TestCluster;
    let gate: Member;
    let watch: Redis;
    const players = new Map<Client, TestPlayer>();
    let unmute: () => void;

    before(async () => {
      unmute = mute();
      cluster = await TestCluster.start(0, {
        env: { HYPOGEUM_MAX_PLAYERS: String(SEATS), HYPOGEUM_MATCH_MINUTES: '60' },
      });
      watch = new Redis(cluster.redis.url);
      gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
      const members = [matcher, matcher, ...Array.from({ length: hosts }, () => ({ HYPOGEUM_ROLES: 'realtime' }))];
      for (const env of members) await cluster.add(env);
      await cluster.isWhole();
    });
    afterEach(function () {
      if (this.currentTest?.state !== 'failed') return;
      for (const { process, processId } of cluster.members) {
        console.log(`--- ${processId}\n${process.output().split('\n').slice(-40).join('\n')}`);
      }
    });
    after(async () => {
      for (const { room } of players.values()) room.reconnection.enabled = false;
      watch?.disconnect();
      await cluster.stop();
      unmute();
    });

    /** What the gate answers; while the process that was to answer dies, once more. */
    async function ask(client: Client, method: string, path: string, body?: object): Promise<Ticket> {
      return until(
        async () => {
          const response = await fetch(`${gate.url}/api/matchmaking${path}`, {
            method,
            headers: {
              authorization: `Bearer ${client.auth.token}`,
              ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': keyOf(client) }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          });
          const text = await response.text();
          if (response.status >= 500) return undefined;
          assert.ok(response.ok, text);
          return JSON.parse(text) as Ticket;
        },
        `an answer to ${method} ${path}`,
        ORDER_MS,
      );
    }
    /** How often each has queued. */
    const rounds = new Map<Client, number>();
    const keyOf = (client: Client): string => `${client.auth.token!.slice(-16)}-${rounds.get(client)}`;

    /** Queues until it sits somewhere, as a game's client does. */
    async function play(client: Client): Promise<void> {
      for (let round = 1; !players.has(client); round++) {
        rounds.set(client, round);
        let ticket = await ask(client, 'POST', '/tickets', { mode: 'arena', name: 'Ann' });
        while (ticket.state !== 'matched') {
          assert.notEqual(ticket.state, 'cancelled', String(ticket.code));
          ticket = await ask(client, 'GET', `/tickets/mine?after=${ticket.tag}&waitSeconds=5`);
        }
        const { matchId, seat } = ticket.match!;
        const room = await client.consumeSeatReservation(seat!).catch((error: unknown) => {
          // Its process died with the seat before it was taken.
          assert.equal(hosts, 0, `a seat that cannot be had: ${JSON.stringify(error)}`);
        });
        if (room === undefined) continue;
        const player = new TestPlayer(room);
        players.set(client, player);
        await until(() => player.patches > 2, 'it to play', ORDER_MS);
        assert.equal(player.welcomes[0]!.matchId, matchId);
      }
    }

    const leader = () =>
      until(
        async () => {
          const leads = await Promise.all(
            cluster.living
              .filter(({ isGate }) => !isGate)
              .map(async (member) => [member, await member.metric('hypogeum_queue_leader', '{mode="arena"}')] as const),
          );
          return leads.find(([, leading]) => leading === 1)?.[0];
        },
        'somebody to lead',
        ORDER_MS,
      );

    it('leaves every client with one seat in one match', async () => {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => cluster.client(gate)));
      const [first, ...others] = clients;
      const playing = [play(first!)];
      for (let kill = 0; kill < KILLS; kill++) {
        const leads = await leader();
        const fence = () => watch.hget(FENCES, 'arena');
        const before = await fence();
        const some = others.splice(0, Math.ceil((CLIENTS - 1) / (KILLS + 1)));
        playing.push(...some.map(play));
        // In the midst of it: tickets are claimed, and have no seats yet. That lasts for some ten ms.
        const isSeating = async () => (await watch.exists(PENDING)) === 1;
        await until(isSeating, 'seats to be asked for', ORDER_MS);
        leads.kill('SIGKILL');
        await leads.process.exited;
        await until(async () => (await fence()) !== before, 'another to lead', ORDER_MS);
        await cluster.add(matcher);
      }
      playing.push(...others.map(play));
      await Promise.all(playing);

      await until(
        () => [...players.values()].every(({ room }) => room.connection.isOpen),
        'everybody to be connected',
        ORDER_MS,
      );
      const seats = [...players.values()].map(({ room }) => room.roomId);
      const byRoom = Map.groupBy(seats, (roomId) => roomId);
      assert.deepEqual(
        [...byRoom.values()].map(({ length }) => length),
        Array(CLIENTS / SEATS).fill(SEATS),
      );
      assert.equal(new Set([...players.values()].map(({ room }) => room.sessionId)).size, CLIENTS);
    });

    it('leaves no room behind that nobody is in', async () => {
      const rooms = new Set([...players.values()].map(({ room }) => room.roomId));
      const odd = async (): Promise<string[]> => {
        const listed = await cluster.listed();
        const registered = (await watch.keys('hypogeum:{cluster}:room:*')).map((key) => key.split(':').at(-1)!);
        return [
          ...[...rooms].filter((roomId) => listed.get(roomId)?.clients !== SEATS),
          ...[...listed.keys(), ...registered].filter((roomId) => !rooms.has(roomId)),
        ];
      };
      await until(async () => (await odd()).length === 0, 'only those rooms to be there', ORDER_MS).catch(async () =>
        assert.fail(`rooms: ${JSON.stringify(await odd())}, listed: ${JSON.stringify([...(await cluster.listed())])}`),
      );
      const patches = [...players.values()].map((player) => player.patches);
      await until(
        () => [...players.values()].every((player, at) => player.patches > patches[at]! + 30),
        'everybody to play',
        ORDER_MS,
      );
      assert.ok([...players.values()].every(({ leftWith }) => leftWith === undefined));
    });

    it('leaves no ticket that waits, and none that is claimed', async () => {
      const left = await watch.keys('hypogeum:{matchmaking}:*');
      const kinds = left.map((key) => key.slice('hypogeum:{matchmaking}:'.length).split('/')[0]!);
      for (const kind of ['queue', 'pending', 'seen']) assert.ok(!kinds.includes(kind), `${kind}: ${left.join(' ')}`);
    });
  });
}
