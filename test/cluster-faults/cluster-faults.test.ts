import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Room } from '@colyseus/sdk';
import { CLOSE } from '../../src/kernel/errors.ts';
import { FaultStage, type Runner } from '../fixtures/fault-stage.ts';
import { until } from '../fixtures/until.ts';

const SIZE = { runners: 3, rooms: 4, playersPerRoom: 3 };
/** In which the others take over what a process had that stands still. */
const TAKEN_OVER_MS = 30_000;

/**
 * One cluster and one set of players for all of them: whoever lives through one fault meets the next. A test that fails
 * leaves its cluster behind, and the next one gets a new one.
 */
describe('a cluster under faults', function () {
  this.timeout(300_000);
  let stage: FaultStage | undefined;

  /** After each fault the books are kept, what it took away is brought back, and nothing may be left over. */
  function fault(title: string, run: (cluster: FaultStage) => Promise<void>): void {
    it(title, async () => {
      stage ??= await FaultStage.open(SIZE);
      await run(stage);
      await stage.account();
      await stage.accountForLeftovers();
    });
  }

  async function isTakenOver(cluster: FaultStage, victim: Runner): Promise<void> {
    const isOver = async () => (await cluster.roomsOf(victim)).length === 0;
    await until(isOver, 'its rooms to be elsewhere', TAKEN_OVER_MS);
  }

  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return;
    for (const { process, processId } of stage?.cluster.members ?? []) {
      console.log(`--- ${processId}\n${process.output().split('\n').slice(-40).join('\n')}`);
    }
    await stage?.close();
    stage = undefined;
  });
  after(() => stage?.close());

  fault('a process that is killed: its players come again through a gate that stands alone', async (cluster) => {
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    assert.ok(rooms.length > 0);
    const gatesCuts = async () => (await cluster.gate.metric('hypogeum_gate_cut_total', '{reason="owner-died"}')) ?? 0;
    const before = await gatesCuts();
    await cluster.kill(victim);
    const facts = await cluster.goOn();
    const moved = facts.filter(({ roomId }) => rooms.some((room) => room.roomId === roomId));
    assert.equal(moved.length, rooms.length * SIZE.playersPerRoom);
    assert.ok(moved.every(({ resumes }) => resumes === 1));
    // The kernel may have closed the socket of the dead process before the gate heard of its death.
    assert.ok((await gatesCuts()) - before <= moved.length);
    assert.equal((await cluster.gate.metric('hypogeum_rooms')) ?? 0, 0);
  });

  fault('the gate that is killed, and another in its place', async (cluster) => {
    const before = await cluster.probes.pulse();
    cluster.gate.kill('SIGKILL');
    await cluster.gate.process.exited;
    await cluster.replaceGate();
    const facts = await cluster.goOn();
    assert.ok(facts.every(({ resumes }, at) => resumes === before[at]!.resumes + 1));
  });

  fault('a process that is stopped, replaced, and wakes up: it does not say a word to anybody', async (cluster) => {
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    victim.member.kill('SIGSTOP');
    await isTakenOver(cluster, victim);
    await cluster.goOn();
    victim.member.kill('SIGCONT');
    await cluster.cluster.isWhole();
    await cluster.goOn();
    for (const { matchId, epoch } of await cluster.registered()) {
      if (rooms.some((room) => room.matchId === matchId)) assert.ok(epoch > 1, 'another owner');
    }
  });

  /** Everything goes on where it was. */
  async function nothingMoves(cluster: FaultStage, run: () => Promise<void>): Promise<void> {
    const owners = await cluster.registered();
    await run();
    const isKnown = async () => (await cluster.registered()).length === owners.length;
    await until(isKnown, 'the rooms to be registered again', 20_000);
    await cluster.goOn();
    const again = new Map((await cluster.registered()).map((room) => [room.roomId, room.processId]));
    for (const { roomId, processId } of owners) assert.equal(again.get(roomId), processId, 'nobody else took it');
  }

  fault('Redis killed, and back without anything', (cluster) =>
    nothingMoves(cluster, async () => {
      await cluster.cluster.redis.kill();
      await delay(1_000);
      await cluster.cluster.redis.start();
    }),
  );

  fault('Redis that hangs for ten seconds', (cluster) =>
    nothingMoves(cluster, async () => {
      cluster.cluster.redis.pause();
      await delay(10_000);
      cluster.cluster.redis.resume();
    }),
  );

  fault('all processes that run matches cut off from a Redis that hangs for them alone', async (cluster) => {
    for (const { redis } of cluster.living) redis.stall();
    // The gate still hears Redis, and nothing from them.
    for (const { member } of cluster.living) {
      await cluster.gate.process.said(new RegExp(`is dead peer="${member.processId}"`), TAKEN_OVER_MS);
    }
    for (const { redis } of cluster.living) redis.heal();
    await cluster.cluster.isWhole();
  });

  fault('a process cut off from Redis, whose rooms go elsewhere, and back', async (cluster) => {
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    victim.redis.cut();
    await isTakenOver(cluster, victim);
    await cluster.goOn();
    victim.redis.heal();
    await cluster.cluster.isWhole();
    const facts = await cluster.goOn();
    assert.ok(facts.filter(({ roomId }) => rooms.some((room) => room.roomId === roomId)).every(({ isOpen }) => isOpen));
  });

  fault('a way to Redis that is late and uneven', async (cluster) => {
    for (const { redis } of cluster.living) redis.lag = { oneWayMs: 40, jitterMs: 60 };
    await cluster.goOn(100);
    for (const { redis } of cluster.living) redis.lag = undefined;
  });

  fault('a way to Redis that loses connections again and again', async (cluster) => {
    const losses = () => cluster.living.reduce((total, { redis }) => total + redis.losses, 0);
    const before = losses();
    for (const { redis } of cluster.living) redis.lossPerChunk = 0.01;
    await until(() => losses() >= before + 30, 'thirty connections to be lost', 60_000);
    for (const { redis } of cluster.living) redis.lossPerChunk = 0;
  });

  fault('connections to Redis that are reset', async (cluster) => {
    for (const { redis } of cluster.living) redis.reset();
  });

  for (const way of ['there', 'back'] as const) {
    fault(`a half-open way to Redis: what goes ${way} is swallowed`, async (cluster) => {
      const victim = await cluster.busiest();
      victim.redis.swallow(way);
      await isTakenOver(cluster, victim);
      await cluster.goOn();
      victim.redis.heal();
      await cluster.cluster.isWhole();
    });
  }

  fault('the database away while a match ends: its result is written once when it is back', async (cluster) => {
    const [room] = await cluster.registered();
    const { matchId, roomId } = room!;
    for (const { database } of cluster.living) database.cut();
    await cluster.goOn(60);
    await cluster.probes.leave(roomId);
    await until(async () => (await cluster.registered()).every((other) => other.roomId !== roomId), 'the match to end');
    assert.equal((await cluster.results()).get(matchId), undefined);
    for (const { database } of cluster.living) database.heal();
    await until(async () => (await cluster.results()).get(matchId) === 1, 'the result', 30_000);
  });

  fault('a wall clock that steps by an hour, forward and back, in an owner and in who takes over', async (cluster) => {
    const [first, second] = cluster.living;
    first!.member.kill('SIGUSR2');
    await first!.member.process.said(/the clock was stepped/);
    await cluster.account();
    // What the one wrote is read by those whose clock is an hour behind it, and the other way round.
    await cluster.kill(first!);
    await cluster.account();
    second!.member.kill('SIGUSR2');
    await second!.member.process.said(/the clock was stepped/);
    await cluster.refill();
    const third = cluster.living.find((runner) => runner !== second)!;
    await cluster.kill(third);
    await cluster.account();
    second!.member.kill('SIGUSR2');
  });

  fault('a process told to go while it adopts the rooms of one that died', async (cluster) => {
    const victim = await cluster.busiest();
    const [next, last] = cluster.living.filter((runner) => runner !== victim);
    const adopted = async () => (await cluster.roomsOf(next!)).length + (await cluster.roomsOf(last!)).length;
    const before = await adopted();
    await cluster.kill(victim);
    await until(async () => (await adopted()) > before, 'the adoption to be under way');
    next!.member.kill('SIGTERM');
    assert.equal(await next!.member.process.exited, 0);
  });

  fault('two processes told to go at once', async (cluster) => {
    const leaving = cluster.living.slice(0, 2);
    for (const { member } of leaving) member.kill('SIGTERM');
    assert.deepEqual(await Promise.all(leaving.map(({ member }) => member.process.exited)), [0, 0]);
  });

  fault('a process killed while it hands over its rooms', async (cluster) => {
    const victim = await cluster.busiest();
    const rooms = (await cluster.roomsOf(victim)).length;
    victim.member.kill('SIGTERM');
    await until(async () => (await cluster.roomsOf(victim)).length < rooms, 'the first room to be handed over');
    await cluster.kill(victim);
  });

  fault('all processes that run matches killed at once, and started again', async (cluster) => {
    await Promise.all(cluster.living.map((runner) => cluster.kill(runner)));
    await cluster.refill();
  });

  describe('a match that cannot go on', () => {
    const closeCodes = [CLOSE.MATCH_PARKED];

    /** It is given up, and nothing else is. */
    async function isParked(cluster: FaultStage, roomId: string): Promise<void> {
      const facts = await cluster.goOn(20, { closeCodes });
      assert.deepEqual([...new Set(facts.filter(({ isOpen }) => !isOpen).map((fact) => fact.roomId))], [roomId]);
      assert.ok(facts.every((fact) => fact.isOpen === (fact.roomId !== roomId)));
      const room = (await cluster.registered()).find((other) => other.roomId === roomId);
      assert.equal(room?.state, 'parked');
      assert.equal(await cluster.journalState(room.matchId), 'parked');
      await cluster.account({ closeCodes });
      await cluster.probes.leave(roomId);
    }

    fault('as its journal holds nonsense is parked and kept, and its players are told', async (cluster) => {
      const victim = await cluster.busiest();
      const [room] = await cluster.roomsOf(victim);
      // While it stands still nobody takes its rooms yet.
      victim.member.kill('SIGSTOP');
      await cluster.spoil(room!.matchId);
      await cluster.kill(victim);
      await isParked(cluster, room!.roomId);
    });

    fault('as restoring it kills the process: the second that dies of it is the last', async (cluster) => {
      const victim = await cluster.busiest();
      const [room] = await cluster.roomsOf(victim);
      await cluster.setFatal([room!.roomId]);
      await cluster.kill(victim);
      await until(() => cluster.living.length === SIZE.runners - 3, 'two more to die of it', TAKEN_OVER_MS);
      await cluster.refill({ closeCodes });
      await isParked(cluster, room!.roomId);
    });
  });

  describe('tokens', () => {
    /** A player of its own, who is not among the probes. */
    async function guest(cluster: FaultStage): Promise<Room> {
      const client = await cluster.cluster.client(cluster.gate);
      const room = (await client.joinOrCreate('arena', {})) as Room;
      room.reconnection.enabled = false;
      room.onMessage('*', () => undefined);
      await until(() => room.state !== undefined, 'the first state');
      return room;
    }

    /** It loses its connection, as by a reload of its page. */
    async function lose(room: Room): Promise<string> {
      const { reconnectionToken } = room;
      const left = new Promise((resolve) => room.onLeave(resolve));
      room.connection.close(4010);
      await left;
      return reconnectionToken;
    }

    async function seats(cluster: FaultStage, roomId: string): Promise<number | undefined> {
      return (await cluster.cluster.listed()).get(roomId)?.clients;
    }

    fault('one used twice at once lets one of the two in, and the seat is one', async (cluster) => {
      const room = await guest(cluster);
      const token = await lose(room);
      const open = new Set<Room>();
      const tries = await Promise.allSettled(
        [1, 2].map(async () => {
          const again = (await (await cluster.cluster.client(cluster.gate)).reconnect(token)) as Room;
          again.reconnection.enabled = false;
          again.onMessage('*', () => undefined);
          open.add(again);
          again.onLeave(() => void open.delete(again));
          return again;
        }),
      );
      await until(() => open.size === 1, `one of the two to be in: ${tries.map(({ status }) => status)}`);
      await until(async () => (await seats(cluster, room.roomId)) === 1, 'one seat');
      const [one] = open;
      let patches = 0;
      one!.onStateChange(() => void patches++);
      await until(() => patches > 10, 'it to play');
      await one!.leave();
    });

    fault('a forged one, and one of another room, let nobody in and throw nobody out', async (cluster) => {
      const room = await guest(cluster);
      const token = await lose(room);
      const [, secret] = token.split(':');
      const [other] = (await cluster.registered()).filter(({ roomId }) => roomId !== room.roomId);
      const client = await cluster.cluster.client(cluster.gate);
      const forged = `${secret!.slice(0, -1)}${secret!.endsWith('A') ? 'B' : 'A'}`;
      for (const wrong of [`${room.roomId}:${forged}`, `${other!.roomId}:${secret}`, `no-such-room:${secret}`]) {
        await assert.rejects(client.reconnect(wrong), (error: { code?: number }) => {
          assert.ok(error.code !== undefined && error.code !== 500, `${wrong}: ${JSON.stringify(error)}`);
          return true;
        });
      }
      // It still works for whom it was meant.
      const again = await client.reconnect(token);
      again.onMessage('*', () => undefined);
      await again.leave();
    });
  });
});

describe('a crowd of 200 that loses its connections at once', function () {
  this.timeout(300_000);

  it('is back, every one in its seat, and its rooms have gone on', async () => {
    const stage = await FaultStage.open(
      { runners: 2, rooms: 4, playersPerRoom: 50 },
      { env: { HYPOGEUM_PATCH_EVERY_TICKS: '6' }, inputsPerSecond: 5 },
    );
    try {
      const before = await stage.probes.pulse();
      stage.front.reset();
      await until(
        async () => (await stage.probes.pulse()).every(({ resumes }, at) => resumes > before[at]!.resumes),
        'everybody to be back',
        60_000,
      );
      await stage.account();
      await stage.accountForLeftovers();
    } finally {
      await stage.close();
    }
  });
});
