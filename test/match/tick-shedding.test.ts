import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TickShedding } from '../../src/match/tick-shedding.ts';

const seed = 20261121;

/** Feeds seconds in which the first `strained` of `rateHz` ticks are strained; returns the level after each. */
function feed(shedding: TickShedding, rateHz: number, seconds: readonly number[]): number[] {
  return seconds.map((strained) => {
    for (let i = 0; i < rateHz; i++) shedding.observe(i < strained);
    return shedding.level;
  });
}

describe('TickShedding', () => {
  it('sheds nothing for strain below a quarter of the ticks, however long', () => {
    const shedding = new TickShedding(30);
    assert.deepEqual(new Set(feed(shedding, 30, new Array(100).fill(7))), new Set([0]));
  });

  it('rises one level at a time, at the tick that completes a quarter of a second, and no higher than 2', () => {
    const shedding = new TickShedding(20);
    const levels = Array.from({ length: 20 }, () => shedding.observe(true));
    assert.deepEqual(levels, [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
  });

  it('falls by one level after three calm seconds', () => {
    const shedding = new TickShedding(20);
    for (let i = 0; i < 5; i++) shedding.observe(true);
    assert.deepEqual(feed(shedding, 20, [0, 0, 0, 0]), [1, 1, 0, 0]);
  });

  it('waits twice as long after every relapse, so that a load between two levels does not swing', () => {
    const shedding = new TickShedding(20);
    const waits: number[] = [];
    for (let relapse = 0; relapse < 6; relapse++) {
      for (let i = 0; i < 5; i++) shedding.observe(true);
      let seconds = 0;
      while (shedding.level > 0) {
        feed(shedding, 20, [0]);
        seconds++;
      }
      waits.push(seconds);
    }
    assert.deepEqual(waits, [3, 6, 12, 24, 48, 48]);
    feed(shedding, 20, new Array(97).fill(0));
    for (let i = 0; i < 5; i++) shedding.observe(true);
    assert.deepEqual(feed(shedding, 20, [0, 0, 0]), [1, 1, 0]);
  });

  it('moves by at most one level a tick and never falls at a strained tick', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 60 }), fc.array(fc.boolean(), { maxLength: 2000 }), (rateHz, ticks) => {
        const shedding = new TickShedding(rateHz);
        let before: number = shedding.level;
        for (const isStrained of ticks) {
          const level = shedding.observe(isStrained);
          assert.ok(Math.abs(level - before) <= 1);
          if (isStrained) assert.ok(level >= before);
          before = level;
        }
      }),
      { seed },
    );
  });
});
