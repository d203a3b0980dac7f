import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CATCH_UPS_MAX,
  EARLY_MS,
  LATE_MAX_PERIODS,
  PREEMPTION_DEPTH_MAX,
  type TickLoop,
  TickScheduler,
  WAKE_MAX_MS,
} from '../../src/match/tick-scheduler.ts';
import { VirtualClock } from './virtual-clock.ts';

const seed = 20261121;
const rates = fc.integer({ min: 10, max: 60 });

function setUp(clock = new VirtualClock()) {
  const reported: unknown[] = [];
  const scheduler = new TickScheduler({ clock, reportFault: (error) => reported.push(error) });
  // The scheduler catches what a task throws, failed assertions too: they fail the test once time has passed.
  const faults: unknown[] = [];
  const run = clock.run.bind(clock);
  clock.run = (untilMs) => {
    run(untilMs);
    if (faults.length > 0) throw faults[0];
  };
  const add = (rateHz: number, onTick: (scheduledMs: number, dropped: number) => void = () => {}): TickLoop =>
    scheduler.add(rateHz, {
      onTick: (due) => onTick(due.scheduledMs, due.dropped),
      onFault: (error) => faults.push(error),
    });
  return { clock, scheduler, reported, add };
}

describe('TickScheduler', () => {
  it('does not drift: after two hours every rate has run exactly its ticks, each within the timer lag of its time', () => {
    const twoHoursMs = 7_200_000;
    fc.assert(
      fc.property(rates, fc.double({ min: 0, max: 1e9, noNaN: true }), fc.integer(), (rateHz, startMs, salt) => {
        let state = salt | 1;
        // A lag of 0 to 2 ms, different at every timer.
        const lag = () => {
          state = (Math.imul(state, 1664525) + 1013904223) | 0;
          return (state >>> 0) / 2 ** 31;
        };
        const { clock, add } = setUp(new VirtualClock({ startMs, lag }));
        let ticks = 0;
        let worstMs = 0;
        let lastMs = 0;
        add(rateHz, (scheduledMs) => {
          ticks++;
          lastMs = scheduledMs;
          worstMs = Math.max(worstMs, Math.abs(clock.nowMs - scheduledMs));
        });
        clock.run(startMs + twoHoursMs + 3);
        assert.ok(Math.abs(ticks - 7200 * rateHz) <= 1, `${ticks} ticks at ${rateHz} Hz`);
        assert.ok(worstMs <= 3.5, `a tick was ${worstMs} ms off its time`);
        assert.ok(Math.abs(lastMs - startMs - ((ticks - 1) * 1000) / rateHz) < 1e-3);
      }),
      { seed, numRuns: 6 },
    );
  });

  it('spreads loops of equal rate: no gap is more than twice the even one', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 120 }), (rateHz, count) => {
        const { add } = setUp();
        const phases = Array.from({ length: count }, () => add(rateHz).phaseMs).sort((a, b) => a - b);
        const periodMs = 1000 / rateHz;
        const gaps = phases.map((phase, i) =>
          i === 0 ? phase + periodMs - phases[count - 1]! : phase - phases[i - 1]!,
        );
        assert.ok(Math.max(...gaps) <= (2 * periodMs) / count + 1e-6);
        assert.ok(Math.min(...gaps) >= periodMs / (2 * count) - 1e-6);
      }),
      { seed },
    );
  });

  it('puts a new loop into the middle of the largest gap that stopped ones have left', () => {
    const { add } = setUp();
    const loops = Array.from({ length: 8 }, () => add(20)).sort((a, b) => a.phaseMs - b.phaseMs);
    for (const loop of loops.slice(3, 6)) loop.stop();
    const phaseMs = add(20).phaseMs;
    assert.ok(Math.abs(phaseMs - (loops[2]!.phaseMs + loops[6]!.phaseMs) / 2) < 1e-6);
  });

  it('runs the first tick within one period and never before its time by more than the tolerance', () => {
    fc.assert(
      fc.property(fc.array(rates, { minLength: 1, maxLength: 40 }), (all) => {
        const { clock, add } = setUp(new VirtualClock({ startMs: 12_345.678 }));
        const first = new Map<number, number>();
        all.forEach((rateHz, i) => {
          add(rateHz, (scheduledMs) => {
            assert.ok(clock.nowMs >= scheduledMs - EARLY_MS);
            if (!first.has(i)) first.set(i, scheduledMs);
          });
        });
        clock.run(12_345.678 + 101);
        all.forEach((rateHz, i) => {
          assert.ok(first.get(i)! - 12_345.678 <= 1000 / rateHz + 1e-6);
        });
      }),
      { seed },
    );
  });

  it('accounts for every slot of the grid under any load: run once or dropped, in order, never more than four late', () => {
    const load = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(rates, load, (rateHz, costs) => {
        const { clock, scheduler, add } = setUp();
        const periodMs = 1000 / rateHz;
        let slots = 0;
        let ticks = 0;
        let originMs = 0;
        add(rateHz, (scheduledMs, dropped) => {
          slots += dropped;
          if (ticks === 0) originMs = scheduledMs;
          assert.ok(Math.abs(scheduledMs - originMs - slots * periodMs) < 1e-6, 'off the grid');
          assert.ok(clock.nowMs - scheduledMs <= LATE_MAX_PERIODS * periodMs + 1e-6, 'ran too late');
          slots++;
          clock.spend(costs[ticks % costs.length]!);
          ticks++;
        });
        clock.run(5000);
        assert.equal(scheduler.counts.ticks, ticks);
        assert.equal(scheduler.counts.dropped, slots - ticks);
      }),
      { seed },
    );
  });

  it('drops after a long pause only what is more than four periods late, and tells the next tick how many', () => {
    const { clock, add, scheduler } = setUp();
    const dropped: number[] = [];
    add(20, (_scheduledMs, count) => {
      dropped.push(count);
      if (dropped.length === 1) clock.spend(520);
    });
    clock.run(1000);
    // Due at 0, 50, ...; free again at 520, when 50 to 300 are more than 200 ms late: six ticks.
    assert.deepEqual(
      dropped.filter((count) => count > 0),
      [6],
    );
    assert.equal(scheduler.counts.ticks, 21 - 6);
  });

  it('catches up in turns: between two ticks of a late loop every other due loop runs, and a wake-up stays bounded', () => {
    const { clock, add } = setUp();
    const order: string[] = [];
    let isStalled = true;
    add(20, () => order.push('a'));
    add(20, () => {
      order.push('b');
      if (isStalled) clock.spend(180);
      isStalled = false;
    });
    add(20, () => order.push('c'));
    clock.run(190);
    order.length = 0;
    clock.run(280);
    assert.equal(new Set(order.slice(0, 3)).size, 3);
    for (let i = 3; i < order.length; i++) assert.notEqual(order[i], order[i - 1], order.join(''));
  });

  it('runs at most three ticks of a loop in one wake-up', () => {
    const { clock, scheduler, add } = setUp();
    let ticks = 0;
    add(60, () => {
      ticks++;
    });
    clock.run(1);
    ticks = 0;
    clock.nowMs += 66.5;
    const before = scheduler.counts.wakes;
    scheduler.poll();
    assert.equal(ticks, 1 + CATCH_UPS_MAX);
    assert.equal(scheduler.counts.wakes, before);
    clock.run(clock.nowMs);
    assert.equal(ticks, 1 + CATCH_UPS_MAX + 1);
  });

  it('ends a long wake-up so that sockets are served, and goes on at once', () => {
    const { clock, scheduler, add } = setUp();
    for (let i = 0; i < 10; i++) add(10, () => clock.spend(4));
    clock.run(300);
    // All ten are late together: one wake-up may not take 40 ms.
    const ticksBefore = scheduler.counts.ticks;
    clock.nowMs += 95;
    scheduler.poll();
    const ran = scheduler.counts.ticks - ticksBefore;
    assert.ok(ran * 4 <= WAKE_MAX_MS + 4, `${ran} ticks of 4 ms`);
    const stoppedAtMs = clock.nowMs;
    clock.run(stoppedAtMs);
    assert.ok(scheduler.counts.ticks - ticksBefore > ran, 'it did not go on without delay');
  });

  it('shares an overload among loops of equal rate, to a few ticks however long it lasts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 30 }), fc.double({ min: 0.9, max: 6, noNaN: true }), (count, load) => {
        const costMs = (load * 1000) / 30 / count;
        const { clock, add } = setUp();
        const ticks = new Array<number>(count).fill(0);
        for (let i = 0; i < count; i++) {
          add(30, () => {
            ticks[i]!++;
            clock.spend(costMs);
          });
        }
        clock.run(60_000);
        const least = Math.min(...ticks);
        assert.ok(Math.max(...ticks) - least <= 6, ticks.join(' '));
        assert.ok(least * load * count * 1.05 > 1800 * Math.min(1, load) * count, 'time was left unused');
      }),
      { seed, numRuns: 25 },
    );
  });

  it('lets loops be added and stopped at any time, in ticks too, and stopped ones never run again', () => {
    const action = fc.record({
      atMs: fc.integer({ min: 0, max: 2000 }),
      isAdd: fc.boolean(),
      pick: fc.nat({ max: 50 }),
      rateHz: rates,
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (script) => {
        const { clock, scheduler, add } = setUp();
        const running: { loop: TickLoop; isStopped: boolean }[] = [];
        const pending = [...script].sort((a, b) => a.atMs - b.atMs);
        const act = () => {
          while (pending.length > 0 && pending[0]!.atMs <= clock.nowMs) {
            const { isAdd, pick, rateHz } = pending.shift()!;
            if (isAdd || running.length === 0) {
              const entry = { isStopped: false } as { loop: TickLoop; isStopped: boolean };
              entry.loop = add(rateHz, () => {
                assert.equal(entry.isStopped, false, 'a stopped loop ran');
                clock.spend(0.3);
                act();
              });
              running.push(entry);
            } else {
              const entry = running.splice(pick % running.length, 1)[0]!;
              entry.isStopped = true;
              entry.loop.stop();
              entry.loop.stop();
            }
          }
        };
        add(60, act);
        clock.run(2500);
        assert.equal(pending.length, 0);
        assert.equal(scheduler.loopCount, running.length + 1);
        assert.equal(scheduler.counts.faults, 0);
      }),
      { seed },
    );
  });

  for (const costMs of [0, WAKE_MAX_MS + 1]) {
    it(`never runs a loop again that was stopped while it waited to catch up, by a tick of ${costMs} ms`, () => {
      const { clock, add } = setUp();
      let ticks = 0;
      let isStopped = false;
      const victim = add(20, () => {
        assert.equal(isStopped, false, 'a stopped loop ran');
        ticks++;
      });
      add(20, () => {
        // The victim has run, is behind and waits: this loop has its turn first.
        if (ticks < 2) return;
        victim.stop();
        isStopped = true;
        clock.spend(costMs);
      });
      clock.run(30);
      clock.nowMs = 160;
      clock.run(2000);
      assert.equal(ticks, 2);
      assert.equal(isStopped, true);
    });
  }

  it('sets no timer while there is no loop, so that the process may end', () => {
    const { clock, add } = setUp();
    assert.equal(clock.isArmed, false);
    const loop = add(30);
    assert.equal(clock.isArmed, true);
    loop.stop();
    assert.equal(clock.isArmed, false);
  });

  it('ends a loop whose task throws, once, and runs all others on', async () => {
    const { clock, scheduler, reported, add } = setUp();
    let ticks = 0;
    let faults = 0;
    add(30, () => {
      ticks++;
    });
    const bad = new Error('bad task');
    scheduler.add(30, {
      onTick() {
        throw bad;
      },
      onFault(error) {
        faults++;
        assert.equal(error, bad);
        throw new Error('bad handler');
      },
    });
    clock.run(1000);
    await Promise.resolve();
    assert.equal(faults, 1);
    assert.equal(scheduler.loopCount, 1);
    assert.equal(scheduler.counts.faults, 1);
    assert.deepEqual(
      reported.map((error) => (error as Error).message),
      ['bad handler'],
    );
    assert.ok(ticks >= 30);
  });

  it('ticks nothing while it is held, tells every loop so at its times, and catches up with nothing', () => {
    const clock = new VirtualClock();
    let isHeld = false;
    const scheduler = new TickScheduler({ clock, reportFault: () => assert.fail(), isHeld: () => isHeld });
    const seen: string[] = [];
    const [onTick, onHeld] = [() => void seen.push('tick'), () => void seen.push('held')];
    scheduler.add(10, { onTick, onHeld, onFault: () => assert.fail() });
    scheduler.add(10, { onTick, onFault: () => assert.fail() });
    clock.run(999);
    assert.deepEqual(seen, new Array(20).fill('tick'));
    isHeld = true;
    clock.run(1_999);
    assert.deepEqual(seen.splice(0), [...new Array(20).fill('tick'), ...new Array(10).fill('held')]);
    isHeld = false;
    clock.run(2_999);
    assert.deepEqual(seen, new Array(20).fill('tick'));
    assert.equal(scheduler.counts.ticks, 40);
  });

  it('refuses a rate that is no whole number from 10 to 60', () => {
    const { add } = setUp();
    for (const rateHz of [9, 61, 30.5, Number.NaN, -30]) assert.throws(() => add(rateHz), RangeError);
  });

  describe('poll', () => {
    it('runs a due tick from inside other work and leaves nothing for the timer to repeat', () => {
      const { clock, scheduler, add } = setUp();
      const at: number[] = [];
      add(20, () => at.push(clock.nowMs));
      clock.run(10);
      clock.nowMs = 49.2;
      scheduler.poll();
      assert.equal(at.length, 1);
      clock.nowMs = 49.6;
      scheduler.poll();
      assert.deepEqual(at, [0, 49.6]);
      clock.run(99);
      assert.equal(at.length, 2);
      clock.run(101);
      assert.equal(at.length, 3);
    });

    it('inside a tick runs the other rooms, never the same one, and accounts for the time they take', () => {
      const { clock, scheduler, add } = setUp();
      const order: string[] = [];
      let ownMs = 0;
      add(20, () => {
        order.push('a');
        const startMs = clock.nowMs - scheduler.preemptedMs;
        clock.spend(60);
        scheduler.poll();
        clock.spend(1);
        ownMs = clock.nowMs - scheduler.preemptedMs - startMs;
      });
      add(20, () => {
        order.push('b');
        clock.spend(5);
      });
      clock.run(1);
      assert.equal(order.slice(0, 2).join(''), 'ab');
      assert.equal(scheduler.counts.preemptions, 1);
      assert.equal(ownMs, 61);
      assert.equal(scheduler.preemptedMs, 5);
    });

    it('nests no deeper than the stated depth and counts nested time once', () => {
      const { clock, scheduler, add } = setUp();
      let depth = 0;
      let deepest = 0;
      for (let i = 0; i < 8; i++) {
        add(10, () => {
          depth++;
          deepest = Math.max(deepest, depth);
          clock.spend(30);
          scheduler.poll();
          depth--;
        });
      }
      clock.run(1000);
      assert.equal(deepest, 1 + PREEMPTION_DEPTH_MAX);
      assert.ok(scheduler.preemptedMs < clock.nowMs);
    });
  });
});
