import assert from 'node:assert/strict';
import fc from 'fast-check';
import { percentile } from '../../loadtest/bench/bench.ts';
import { CumulativeHistogram, SlidingHistogram } from '../../src/match/tick-histogram.ts';

const seed = 20261121;
const duration = fc.oneof(
  fc.double({ min: 0, max: 0.1, noNaN: true }),
  fc.double({ min: 0, max: 50, noNaN: true }),
  fc.double({ min: 0, max: 60_000, noNaN: true }),
);

describe('SlidingHistogram', () => {
  it('names every quantile to within 1/32 of its value or 1 µs, and the maximum exactly', () => {
    fc.assert(
      fc.property(
        fc.array(duration, { minLength: 1, maxLength: 300 }),
        fc.constantFrom(0, 0.5, 0.9, 0.99, 1),
        (values, share) => {
          const histogram = new SlidingHistogram();
          for (const value of values) histogram.record(500, value);
          const exact = percentile(values, share);
          const got = histogram.quantileMs(share);
          assert.ok(Math.abs(got - exact) <= exact / 32 + 0.001, `${got} for ${exact}`);
          assert.equal(histogram.maxMs, Math.max(...values));
          assert.equal(histogram.count, values.length);
        },
      ),
      { seed },
    );
  });

  it('holds exactly the last ten slices, whatever the pauses between records', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 4000 }), duration), { minLength: 1, maxLength: 80 }), (script) => {
        const histogram = new SlidingHistogram({ sliceCount: 10, sliceMs: 1000 });
        const all: { slice: number; value: number }[] = [];
        let nowMs = 123_456;
        for (const [pauseMs, value] of script) {
          nowMs += pauseMs;
          histogram.record(nowMs, value);
          all.push({ slice: Math.floor(nowMs / 1000), value });
          const kept = all.filter(({ slice }) => slice > Math.floor(nowMs / 1000) - 10);
          assert.equal(histogram.count, kept.length);
          assert.equal(histogram.maxMs, Math.max(...kept.map((one) => one.value)));
        }
      }),
      { seed },
    );
  });

  it('reads 0 once everything is forgotten', () => {
    const histogram = new SlidingHistogram();
    histogram.record(0, 7);
    histogram.advance(10_000);
    assert.deepEqual([histogram.count, histogram.maxMs, histogram.quantileMs(0.99)], [0, 0, 0]);
  });

  it('counts what is negative as 0 and what is longer than 67 s as that, without losing it', () => {
    const histogram = new SlidingHistogram();
    histogram.record(0, -1);
    histogram.record(0, 1e12);
    assert.equal(histogram.count, 2);
    assert.equal(histogram.quantileMs(0), 0);
    assert.ok(histogram.quantileMs(1) > 60_000);
  });
});

describe('CumulativeHistogram', () => {
  it('puts a value at a bound into the bucket below it, and above the last bound into the infinite one', () => {
    const histogram = new CumulativeHistogram([0.001, 0.01]);
    for (const seconds of [0, 0.001, 0.0011, 0.01, 5]) histogram.observe(seconds);
    assert.deepEqual([...histogram.counts], [2, 2, 1]);
    assert.equal(histogram.count, 5);
    assert.ok(Math.abs(histogram.sumSeconds - 5.0121) < 1e-12);
  });
});
