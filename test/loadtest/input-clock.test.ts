import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InputClock } from '../../loadtest/driver/input-clock.ts';
import type { Player } from '../../loadtest/driver/player.ts';

interface CountingPlayer extends Player {
  sentAtMs: number[];
}

function countingPlayer(): CountingPlayer {
  const sentAtMs: number[] = [];
  return {
    roomId: '',
    advertisedRateHz: 0,
    isOpen: true,
    sentAtMs,
    sendInput: (nowMs) => sentAtMs.push(nowMs),
    leave: () => {},
  };
}

function clockAt(startMs: number): { clock: InputClock; time: { nowMs: number }; skipped: () => number } {
  const time = { nowMs: startMs };
  let skipped = 0;
  const clock = new InputClock(
    (inputs) => {
      skipped += inputs;
    },
    () => time.nowMs,
  );
  return { clock, time, skipped: () => skipped };
}

describe('the input clock', () => {
  it('gives every player its rate to within one input, however unevenly it is woken', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 150 }),
        fc.array(fc.double({ min: 0.1, max: 15, noNaN: true }), { minLength: 100, maxLength: 300 }),
        (rateHz, count, wakesMs) => {
          const { clock, time, skipped } = clockAt(1e6);
          const players = Array.from({ length: count }, countingPlayer);
          for (const player of players) clock.add(player);
          clock.start(rateHz);
          clock.stop();
          for (const wakeMs of wakesMs) {
            time.nowMs += wakeMs;
            clock.beat();
          }
          const wanted = ((time.nowMs - 1e6) * rateHz) / 1000;
          for (const { sentAtMs } of players) {
            assert.ok(Math.abs(sentAtMs.length - wanted) <= 1, `${sentAtMs.length} inputs, not ${wanted}`);
          }
          assert.equal(skipped(), 0);
        },
      ),
      { seed: 20261121, numRuns: 40 },
    );
  });

  it('spreads the players over the period', () => {
    const { clock, time } = clockAt(0);
    const players = Array.from({ length: 64 }, countingPlayer);
    for (const player of players) clock.add(player);
    clock.start(10);
    clock.stop();
    for (; time.nowMs < 100; time.nowMs += 1) clock.beat();
    const bySlice = new Map<number, number>();
    for (const { sentAtMs } of players) {
      const slice = Math.floor(sentAtMs[0]! / 10);
      bySlice.set(slice, (bySlice.get(slice) ?? 0) + 1);
    }
    assert.equal(bySlice.size, 10);
    for (const [slice, count] of bySlice) assert.ok(count <= 8, `${count} players in slice ${slice}`);
  });

  it('leaves out what is more than three periods late and counts it, instead of flooding', () => {
    const { clock, time, skipped } = clockAt(0);
    const player = countingPlayer();
    clock.add(player);
    clock.start(10);
    clock.stop();
    time.nowMs = 2000;
    clock.beat();
    assert.ok(player.sentAtMs.length <= 5, `${player.sentAtMs.length} inputs at once`);
    assert.equal(player.sentAtMs.length + skipped(), 21);
  });

  it('does not send for players whose connection is gone', () => {
    const { clock, time } = clockAt(0);
    const gone = { ...countingPlayer(), isOpen: false };
    clock.add(gone);
    clock.start(10);
    clock.stop();
    time.nowMs = 250;
    clock.beat();
    assert.deepEqual(gone.sentAtMs, []);
  });
});
