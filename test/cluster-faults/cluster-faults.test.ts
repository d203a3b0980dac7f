import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Room } from '@colyseus/sdk';
import { FaultStage } from '../fixtures/fault-stage.ts';
import { until } from '../fixtures/until.ts';

const RUNNERS = 3;
const ROOMS = 4;
const PLAYERS = 3;

/**
 * One cluster and one set of players for all of them: whoever lives through one fault meets the next. A test that fails
 * leaves its cluster behind, and the next one gets a new one.
 */
describe('a cluster under faults', function () {
  this.timeout(180_000);
  let stage: FaultStage | undefined;

  async function ready(): Promise<FaultStage> {
    if (stage === undefined) {
      stage = await FaultStage.open(RUNNERS, PLAYERS);
      await stage.fill(ROOMS);
    }
    await stage.refill(RUNNERS);
    return stage;
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

  it('a process that is killed', async () => {
    const cluster = await ready();
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    assert.ok(rooms.length > 0);
    await cluster.kill(victim);
    const facts = await cluster.account();
    const moved = facts.filter(({ roomId }) => rooms.some((room) => room.roomId === roomId));
    assert.ok(moved.length >= PLAYERS && moved.every(({ resumes }) => resumes >= 1));
  });

  it('a process that is stopped, replaced, and wakes up: it does not say a word to anybody', async () => {
    const cluster = await ready();
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    victim.member.kill('SIGSTOP');
    await until(async () => (await cluster.roomsOf(victim)).length === 0, 'its rooms to be elsewhere', 30_000);
    await cluster.goOn();
    victim.member.kill('SIGCONT');
    await cluster.cluster.isWhole();
    await cluster.account();
    for (const { matchId, epoch } of await cluster.registered()) {
      if (rooms.some((room) => room.matchId === matchId)) assert.ok(epoch > 1, 'another owner');
    }
  });

  it('Redis killed, and back without anything', async () => {
    const cluster = await ready();
    const owners = await cluster.registered();
    await cluster.cluster.redis.kill();
    await delay(1_000);
    await cluster.cluster.redis.start();
    await until(
      async () => (await cluster.registered()).length === owners.length,
      'the rooms to be registered again',
      20_000,
    );
    const facts = await cluster.account();
    assert.ok(facts.every(({ isOpen }) => isOpen));
    const again = new Map((await cluster.registered()).map((room) => [room.roomId, room.processId]));
    for (const { roomId, processId } of owners) assert.equal(again.get(roomId), processId, 'nobody else took it');
  });

  it('Redis that hangs for ten seconds', async () => {
    const cluster = await ready();
    for (const { redis } of cluster.living) redis.stall();
    await delay(10_000);
    for (const { redis } of cluster.living) redis.heal();
    await cluster.account();
  });

  it('a process cut off from Redis, whose rooms go elsewhere, and back', async () => {
    const cluster = await ready();
    const victim = await cluster.busiest();
    const rooms = await cluster.roomsOf(victim);
    victim.redis.cut();
    await until(async () => (await cluster.roomsOf(victim)).length === 0, 'its rooms to be elsewhere', 30_000);
    await cluster.goOn();
    victim.redis.heal();
    await cluster.cluster.isWhole();
    const facts = await cluster.account();
    assert.ok(facts.filter(({ roomId }) => rooms.some((room) => room.roomId === roomId)).every(({ isOpen }) => isOpen));
  });

  it('a way to Redis that is late and uneven', async () => {
    const cluster = await ready();
    for (const { redis } of cluster.living) redis.lag = { oneWayMs: 40, jitterMs: 60 };
    await cluster.goOn(150);
    for (const { redis } of cluster.living) redis.lag = undefined;
    await cluster.account();
  });

  it('a way to Redis that loses connections again and again', async () => {
    const cluster = await ready();
    for (const { redis } of cluster.living) redis.lossPerChunk = 0.01;
    await delay(5_000);
    for (const { redis } of cluster.living) redis.lossPerChunk = 0;
    assert.ok(cluster.living.some(({ redis }) => redis.losses > 0));
    await cluster.account();
  });

  it('connections to Redis that are reset', async () => {
    const cluster = await ready();
    for (const { redis } of cluster.living) redis.reset();
    await cluster.account();
  });

  for (const way of ['there', 'back'] as const) {
    it(`a half-open way to Redis: what goes ${way} is swallowed`, async () => {
      const cluster = await ready();
      const victim = await cluster.busiest();
      victim.redis.swallow(way);
      await until(async () => (await cluster.roomsOf(victim)).length === 0, 'its rooms to be elsewhere', 30_000);
      await cluster.goOn();
      victim.redis.heal();
      await cluster.cluster.isWhole();
      await cluster.account();
    });
  }

  it('the database away while a match ends: its result is written once when it is back', async () => {
    const cluster = await ready();
    const [room] = await cluster.registered();
    const { matchId, roomId } = room!;
    for (const { database } of cluster.living) database.cut();
    await cluster.goOn(60);
    await cluster.probes.leave(roomId);
    await until(async () => (await cluster.registered()).every((other) => other.roomId !== roomId), 'the match to end');
    assert.equal((await cluster.results()).get(matchId), undefined);
    for (const { database } of cluster.living) database.heal();
    await until(async () => (await cluster.results()).get(matchId) === 1, 'the result', 30_000);
    await cluster.account();
    await cluster.fill(1);
  });

  it('a wall clock that steps by an hour, forward and back, in an owner and in who takes over', async () => {
    const cluster = await ready();
    const [first, second] = cluster.living;
    first!.member.kill('SIGUSR2');
    await first!.member.process.said(/the clock was stepped/);
    await cluster.account();
    // What the one wrote is read by those whose clock is an hour behind it, and the other way round.
    await cluster.kill(first!);
    await cluster.account();
    second!.member.kill('SIGUSR2');
    await second!.member.process.said(/the clock was stepped/);
    await cluster.refill(RUNNERS);
    const third = cluster.living.find((runner) => runner !== second)!;
    await cluster.kill(third);
    await cluster.account();
    second!.member.kill('SIGUSR2');
    await cluster.account();
  });

  it('a process told to go while it adopts the rooms of one that died', async () => {
    const cluster = await ready();
    const victim = await cluster.busiest();
    const [next, last] = cluster.living.filter((runner) => runner !== victim);
    await cluster.kill(victim);
    await until(
      async () => (await cluster.roomsOf(next!)).length + (await cluster.roomsOf(last!)).length > 0,
      'the adoption to be under way',
    );
    next!.member.kill('SIGTERM');
    assert.equal(await next!.member.process.exited, 0);
    await cluster.account();
  });

  it('two processes told to go at once', async () => {
    const cluster = await ready();
    const leaving = cluster.living.slice(0, 2);
    for (const { member } of leaving) member.kill('SIGTERM');
    assert.deepEqual(await Promise.all(leaving.map(({ member }) => member.process.exited)), [0, 0]);
    await cluster.account();
  });

  it('a process killed while it hands over its rooms', async () => {
    const cluster = await ready();
    const victim = await cluster.busiest();
    const rooms = (await cluster.roomsOf(victim)).length;
    victim.member.kill('SIGTERM');
    await until(async () => (await cluster.roomsOf(victim)).length < rooms, 'the first room to be handed over');
    await cluster.kill(victim);
    await cluster.account();
  });

  it('all processes that run matches killed at once, and started again', async () => {
    const cluster = await ready();
    await Promise.all(cluster.living.map((runner) => cluster.kill(runner)));
    await cluster.refill(RUNNERS);
    await cluster.account();
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

    it('one used twice at once lets one of the two in, and the seat is one', async () => {
      const cluster = await ready();
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
      await cluster.account();
    });

    it('a forged one, and one of another room, let nobody in and throw nobody out', async () => {
      const cluster = await ready();
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
      await cluster.account();
    });
  });
});

describe('a crowd of 200 that loses its connections at once', function () {
  this.timeout(180_000);

  it('is back, every one in its seat, and its rooms have gone on', async () => {
    const stage = await FaultStage.open(2, 50, {
      env: { HYPOGEUM_PATCH_EVERY_TICKS: '6' },
      inputsPerSecond: 5,
    });
    try {
      await stage.fill(4);
      stage.front.reset();
      await until(
        async () => (await stage.probes.pulse()).every(({ resumes }) => resumes === 1),
        'everybody to be back',
        60_000,
      );
      await stage.account();
    } finally {
      await stage.close();
    }
  });
});
