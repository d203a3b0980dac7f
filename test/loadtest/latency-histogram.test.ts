import assert from 'node:assert/strict';
import fc from 'fast-check';
import { percentile } from '../../loadtest/bench/bench.ts';
import { LatencyHistogram } from '../../loadtest/driver/latency-histogram.ts';
import { countsBetween } from '../../loadtest/driver/swarm.ts';

const SEED = { seed: 20261121 };
const latencies = fc.array(fc.double({ min: 0, max: 80_000, noNaN: true }), { minLength: 1, maxLength: 200 });

function histogramOf(values: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('a latency histogram', () => {
  it('gives percentiles that are never below the truth and at most a 32nd and 0.01 ms above it', () => {
    fc.assert(
      fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const truth = percentile(values, share);
        const given = histogramOf(values).percentileMs(share);
        assert.ok(given >= truth - 1e-9, `${given} is below ${truth}`);
        assert.ok(given <= truth * (1 + 1 / 32) + 0.01 + 1e-9, `${given} is far above ${truth}`);
      }),
      SEED,
    );
  });

  it('adds up over processes as if one had recorded everything', () => {
    fc.assert(
      fc.property(latencies, latencies, (here, there) => {
        const sum = histogramOf(here);
        sum.add(histogramOf(there).toCounts());
        assert.deepEqual(sum.toCounts(), histogramOf([...here, ...there]).toCounts());
        assert.equal(sum.count, here.length + there.length);
      }),
      SEED,
    );
  });

  it('knows a window as the difference of two readings', () => {
    fc.assert(
      fc.property(latencies, latencies, (earlier, later) => {
        const histogram = histogramOf(earlier);
        const before = histogram.toCounts();
        for (const value of later) histogram.record(value);
        assert.deepEqual(countsBetween(before, histogram.toCounts()), histogramOf(later).toCounts());
      }),
      SEED,
    );
  });

  it('takes what is no latency as 0, has no percentile of nothing, and refuses buckets it does not have', () => {
    const histogram = histogramOf([-5, Number.NaN]);
    assert.equal(histogram.count, 2);
    assert.equal(histogram.percentileMs(1), 0.01);
    histogram.clear();
    assert.ok(Number.isNaN(histogram.percentileMs(0.5)));
    assert.throws(() => histogram.add([1_000_000, 1]), RangeError);
  });
});
