import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { definePlugins, defineRoom, defineServer, matchMaker, Room, type Server } from '@colyseus/core';
import { type SchemaType, schema, t } from '@colyseus/schema';
import { Client } from '@colyseus/sdk';
import { WebSocketTransport } from '@colyseus/ws-transport';
import { TickTotals } from '../../src/match/tick-metrics.ts';
import { type FaultPhase, type TickOptions, TickPlugin } from '../../src/match/tick-plugin.ts';
import { TickScheduler } from '../../src/match/tick-scheduler.ts';
import { VirtualClock } from './virtual-clock.ts';

const TickState = schema({ tick: t.uint32().default(0) }, 'TickState');
type TickState = SchemaType<typeof TickState>;
const TickInput = schema({ move: t.int8().default(0) }, 'TickInput');

class TickRoom extends Room<{ state: TickState; input: SchemaType<typeof TickInput> }> {
  override state = new TickState();
  override inputs = this.defineInput(TickInput, {});
  override plugins = definePlugins([new TickPlugin()]);
  override autoDispose = false;
  clockTicks = 0;

  constructor() {
    super();
    (this.clock as unknown as { now: () => number }).now = () => performance.now();
    const tick = this.clock.tick.bind(this.clock);
    this.clock.tick = () => {
      this.clockTicks++;
      tick();
    };
  }
}

class MismatchedRoom extends TickRoom {
  override inputs = this.defineInput(TickInput, { tickRate: 60 });
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!isTrue()) {
    if (performance.now() > deadlineMs) throw new Error(`waited 10 s for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('TickPlugin', () => {
  let server: Server;
  let endpoint: string;

  before(async () => {
    const httpServer = createServer();
    server = defineServer({
      rooms: { ticks: defineRoom(TickRoom), mismatched: defineRoom(MismatchedRoom) },
      transport: new WebSocketTransport({ server: httpServer }),
      greet: false,
      gracefullyShutdown: false,
    });
    await server.listen(0, '127.0.0.1');
    endpoint = `ws://127.0.0.1:${(httpServer.address() as AddressInfo).port}`;
  });

  after(() => server.gracefullyShutdown(false));

  async function createRoom<R extends TickRoom>(name = 'ticks'): Promise<R> {
    const { roomId } = await matchMaker.createRoom(name, {});
    return matchMaker.getLocalRoomById(roomId) as unknown as R;
  }

  /** A loop in virtual time; `calls` holds phase and tick of everything that ran. */
  function setUp(room: TickRoom, overrides: Partial<TickOptions> = {}, clock = new VirtualClock()) {
    const scheduler = new TickScheduler({
      clock,
      reportFault: (error) => {
        throw error;
      },
    });
    const totals = new TickTotals();
    const calls: string[] = [];
    const faults: [unknown, FaultPhase][] = [];
    const options: TickOptions = {
      scheduler,
      totals,
      rateHz: 20,
      patchEveryTicks: 1,
      firstTick: 0,
      phases: {
        inputs: (tick) => calls.push(`inputs ${tick}`),
        step: (tick) => calls.push(`step ${tick}`),
        project: (tick) => calls.push(`project ${tick}`),
        patch: (tick) => calls.push(`patch ${tick}`),
      },
      onFault: (error, phase) => faults.push([error, phase]),
      ...overrides,
    };
    return { room, clock, scheduler, totals, calls, faults, options, tick: room.plugins.tick };
  }

  const patchesOf = (calls: readonly string[]) =>
    calls.filter((call) => call.startsWith('patch')).map((call) => Number(call.split(' ')[1]));

  it('runs clock, inputs, step, project and patch in this order, once a tick, from the first tick given', async () => {
    const { room, clock, calls, options, tick } = setUp(await createRoom(), { firstTick: 1000 });
    tick.start(options);
    assert.equal(tick.tick, 1000);
    room.clockTicks = 0;
    clock.run(101);
    assert.deepEqual(
      calls,
      [1000, 1001, 1002].flatMap((n) => [`inputs ${n}`, `step ${n}`, `project ${n}`, `patch ${n}`]),
    );
    assert.equal(tick.tick, 1003);
    assert.equal(room.clockTicks, 3);
    await room.disconnect();
  });

  it('leaves the room clock alone when the room broadcasts its patch', async () => {
    const { room, options, clock, tick } = setUp(await createRoom());
    tick.start({ ...options, phases: { ...options.phases, patch: () => room.broadcastPatch() } });
    room.clockTicks = 0;
    clock.run(501);
    assert.equal(room.clockTicks, 11);
    await room.disconnect();
  });

  for (const patchEveryTicks of [1, 2, 3, 6]) {
    it(`sends one patch per ${patchEveryTicks} ticks, on the last of them`, async () => {
      const { room, clock, calls, options, tick } = setUp(await createRoom(), { patchEveryTicks });
      tick.start(options);
      clock.run(50 * 24 - 1);
      assert.deepEqual(
        patchesOf(calls),
        Array.from({ length: 24 / patchEveryTicks }, (_, i) => (i + 1) * patchEveryTicks - 1),
      );
      await room.disconnect();
    });
  }

  it('catches up after a pause with one patch at the end, and sheds nothing', async () => {
    const { room, clock, calls, options, tick } = setUp(await createRoom());
    let isFirst = true;
    tick.start({
      ...options,
      phases: {
        ...options.phases,
        step: () => {
          if (isFirst) clock.spend(120);
          isFirst = false;
        },
      },
    });
    clock.run(301);
    // Tick 0 ends at 120, when 1 and 2 are due: one patch for the three.
    assert.deepEqual(patchesOf(calls), [2, 3, 4, 5, 6]);
    const stats = tick.snapshot();
    assert.deepEqual(
      [stats?.ticks, stats?.overruns, stats?.catchUps, stats?.dropped, stats?.patches, stats?.patchesShed],
      [7, 1, 1, 0, 5, 2],
    );
    assert.equal(tick.shedLevel, 0);
    await room.disconnect();
  });

  it('under lasting overload halves patches, then quarters them, then drops ticks, and counts everything', async () => {
    const { room, clock, calls, options, tick, totals } = setUp(await createRoom());
    const order: string[] = [];
    tick.start({
      ...options,
      phases: {
        ...options.phases,
        step: (n) => {
          clock.spend(56);
          const seen = tick.snapshot()?.dropped ? 'dropped' : `level ${tick.shedLevel}`;
          if (order.at(-1) !== seen) order.push(seen);
          options.phases.step(n);
        },
      },
    });
    clock.run(20_000);
    assert.deepEqual(order, ['level 0', 'level 1', 'level 2', 'dropped']);
    const stats = tick.snapshot()!;
    const steps = calls.filter((call) => call.startsWith('step'));
    assert.deepEqual(
      steps.slice(0, 300),
      Array.from({ length: 300 }, (_, n) => `step ${n}`),
    );
    assert.ok(stats.dropped > 0 && stats.overruns === stats.ticks);
    assert.equal(stats.patches + stats.patchesShed, stats.ticks);
    const patches = patchesOf(calls);
    // Level 2, and at most two ticks put off: never starved.
    assert.ok(patches.length >= stats.ticks / 6 - 1, `${patches.length} patches in ${stats.ticks} ticks`);
    assert.ok(patches.slice(1).every((n, i) => n - patches[i]! <= 4 + 2));
    const [sample] = totals.collect();
    assert.deepEqual(
      [sample?.ticks, sample?.overruns, sample?.dropped, sample?.patches, sample?.patchesShed],
      [stats.ticks, stats.overruns, stats.dropped, stats.patches, stats.patchesShed],
    );
    await room.disconnect();
  });

  it('returns to the configured cadence once the load is gone', async () => {
    const { room, clock, calls, options, tick } = setUp(await createRoom(), { rateHz: 30 });
    tick.start({
      ...options,
      phases: {
        ...options.phases,
        step: () => {
          if (clock.nowMs < 3000) clock.spend(40);
        },
      },
    });
    clock.run(3000);
    assert.equal(tick.shedLevel, 2);
    clock.run(20_000);
    assert.equal(tick.shedLevel, 0);
    calls.length = 0;
    clock.run(21_000);
    assert.ok(patchesOf(calls).length >= 30);
    await room.disconnect();
  });

  it('never makes patches rarer than four a second unless configured so', async () => {
    const { room, clock, calls, options, tick } = setUp(await createRoom(), { rateHz: 10, patchEveryTicks: 2 });
    let isHeavy = true;
    tick.start({
      ...options,
      phases: {
        ...options.phases,
        step: () => {
          if (isHeavy) clock.spend(105);
        },
      },
    });
    clock.run(4000);
    isHeavy = false;
    assert.equal(tick.shedLevel, 2);
    clock.run(5000);
    calls.length = 0;
    clock.run(6000);
    assert.equal(patchesOf(calls).length, 5);
    await room.disconnect();
  });

  for (const phase of ['inputs', 'step', 'project', 'patch'] as const) {
    it(`ends the loop of the room whose ${phase} throws, and only that one`, async () => {
      const { room, clock, scheduler, faults, options, tick, totals } = setUp(await createRoom());
      const other = await createRoom();
      other.plugins.tick.start(options);
      const bug = new Error(phase);
      tick.start({
        ...options,
        phases: {
          ...options.phases,
          [phase]: (n: number) => {
            if (n === 3) throw bug;
          },
        },
      });
      clock.run(1001);
      assert.deepEqual(faults, [[bug, phase]]);
      assert.equal(tick.isRunning, false);
      assert.equal(tick.tick, 3);
      assert.equal(scheduler.loopCount, 1);
      assert.equal([...totals.collect()][0]?.liveLoops, 1);
      assert.ok(other.plugins.tick.tick >= 20);
      await Promise.all([room.disconnect(), other.disconnect()]);
    });
  }

  it('goes through the later phases of the tick in which it is stopped, and runs no other', async () => {
    const { room, clock, calls, options, tick } = setUp(await createRoom());
    tick.start({
      ...options,
      phases: {
        ...options.phases,
        step: (n) => {
          if (n === 1) tick.stop();
        },
      },
    });
    clock.run(1000);
    assert.deepEqual(patchesOf(calls), [0, 1]);
    assert.equal(tick.isRunning, false);
    await room.disconnect();
  });

  it('stops by itself when the room is disposed, and its counts stay in the totals', async () => {
    const { room, clock, scheduler, options, totals, tick } = setUp(await createRoom());
    tick.start(options);
    clock.run(101);
    await room.disconnect();
    assert.equal(scheduler.loopCount, 0);
    assert.equal(clock.isArmed, false);
    const [sample] = totals.collect();
    assert.deepEqual([sample?.roomName, sample?.liveLoops, sample?.ticks], ['ticks', 0, 3]);
  });

  it('measures phases and total without the time that other rooms take in between', async () => {
    const { room, clock, options, totals, tick, scheduler } = setUp(await createRoom());
    const other = await createRoom();
    const otherTotals = new TickTotals();
    const cost = (ms: number) => () => clock.spend(ms);
    tick.start({
      ...options,
      phases: {
        inputs: cost(1),
        step: cost(2),
        project: cost(3),
        patch: () => {
          clock.spend(20);
          tick.poll();
          clock.spend(6);
        },
      },
    });
    other.plugins.tick.start({ ...options, totals: otherTotals, phases: { ...options.phases, step: cost(9) } });
    clock.run(49 * 20);
    assert.ok(scheduler.counts.preemptions >= 19);
    const [sample] = totals.collect();
    const mean = (phase: 'inputs' | 'step' | 'project' | 'patch' | 'total') =>
      Math.round((sample!.durations[phase].sumSeconds / sample!.durations[phase].count) * 1e6) / 1000;
    assert.deepEqual(
      ['inputs', 'step', 'project', 'patch', 'total'].map((p) => mean(p as 'total')),
      [1, 2, 3, 26, 32],
    );
    assert.equal(tick.snapshot()?.maxMs, 32);
    await Promise.all([room.disconnect(), other.disconnect()]);
  });

  it('refuses a second start, a wrong number, and a tick rate that defineInput does not share', async () => {
    const { room, scheduler, options, tick } = setUp(await createRoom());
    for (const patchEveryTicks of [0, 7, 1.5]) {
      assert.throws(() => tick.start({ ...options, patchEveryTicks }), RangeError);
    }
    for (const firstTick of [-1, 0.5, 2 ** 53]) assert.throws(() => tick.start({ ...options, firstTick }), RangeError);
    assert.throws(() => tick.start({ ...options, rateHz: 61 }), RangeError);
    tick.start(options);
    assert.throws(() => tick.start(options), /runs already/);
    const mismatched = await createRoom('mismatched');
    assert.throws(() => mismatched.plugins.tick.start(options), /60 Hz, but the room ticks at 20 Hz/);
    assert.equal(scheduler.loopCount, 1);
    await Promise.all([room.disconnect(), mismatched.disconnect()]);
  });

  it('tells the SDK the true tick rate and patch interval, and every patch shows a whole number of ticks', async () => {
    const room = await createRoom();
    const scheduler = new TickScheduler({
      reportFault: (error) => {
        throw error;
      },
    });
    const { options, faults } = setUp(room);
    const sent = new Set<number>();
    const clockTicksBefore = room.clockTicks;
    room.plugins.tick.start({
      ...options,
      scheduler,
      rateHz: 60,
      patchEveryTicks: 3,
      phases: {
        inputs: () => {},
        step: () => {},
        project: (tick) => {
          room.state.tick = tick + 1;
        },
        patch: (tick) => {
          sent.add(tick + 1);
          room.broadcastPatch();
        },
      },
    });
    const client = new Client(endpoint);
    const joined = await client.joinById<TickState>(room.roomId);
    const seen: number[] = [];
    joined.onStateChange((state) => seen.push(state.tick));
    const input = joined.input() as { tickRate?: number; patchRate?: number };
    await until(() => seen.length >= 12, 'a dozen patches');
    assert.deepEqual([input.tickRate, input.patchRate], [60, 50]);
    // No timer of the framework ticks the clock beside the loop.
    assert.equal(room.clockTicks - clockTicksBefore, room.plugins.tick.tick);
    // The first is the full state, which may be of any tick.
    const patched = seen.slice(1);
    assert.ok(
      patched.every((tick, i) => sent.has(tick) && (i === 0 || tick > patched[i - 1]!)),
      patched.join(' '),
    );
    assert.deepEqual(faults, []);
    await joined.leave();
    await room.disconnect();
    assert.equal(scheduler.loopCount, 0);
  });
});
