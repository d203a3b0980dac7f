import assert from 'node:assert/strict';
import {
  bucketsBetween,
  bucketsOf,
  parsePrometheusText,
  quantileOf,
  sumOf,
} from '../../loadtest/driver/prometheus-text.ts';

const NAME = 'hypogeum_tick_duration_seconds';

function scrapeOf(total: readonly [number, number, number]): ReturnType<typeof parsePrometheusText> {
  return parsePrometheusText(
    [
      `# HELP ${NAME} Wall time.`,
      `# TYPE ${NAME} histogram`,
      `${NAME}_bucket{room="arena",phase="total",le="0.001"} ${total[0]}`,
      `${NAME}_bucket{room="arena",phase="total",le="0.002"} ${total[1]}`,
      `${NAME}_bucket{room="arena",phase="total",le="+Inf"} ${total[2]}`,
      `${NAME}_bucket{room="arena",phase="step",le="0.001"} 1000`,
      `${NAME}_bucket{room="arena",phase="step",le="+Inf"} 1000`,
      'hypogeum_ticks_dropped_total{room="arena"} 3',
      'hypogeum_ticks_dropped_total{room="tag"} 4 1700000000000',
      '',
    ].join('\n'),
  );
}

describe('reading Prometheus text', () => {
  it('reads names, labels with escapes, values and time stamps, and passes over everything else', () => {
    const samples = parsePrometheusText(
      '# HELP a b\n\nplain 1\nwith{path="C:\\\\x\\n\\"y\\"",b="{}"} -2.5e-3 1700\nnot a sample at all\nend{le="+Inf"} +Inf\n',
    );
    assert.deepEqual(samples, [
      { name: 'plain', labels: {}, value: 1 },
      { name: 'with', labels: { path: 'C:\\x\n"y"', b: '{}' }, value: -0.0025 },
      { name: 'end', labels: { le: '+Inf' }, value: Number.POSITIVE_INFINITY },
    ]);
  });

  it('adds up the series whose labels fit, and says when there is none', () => {
    const samples = scrapeOf([0, 0, 0]);
    assert.equal(sumOf(samples, 'hypogeum_ticks_dropped_total'), 7);
    assert.equal(sumOf(samples, 'hypogeum_ticks_dropped_total', { room: 'tag' }), 4);
    assert.equal(sumOf(samples, 'hypogeum_nothing'), undefined);
  });

  it('finds quantiles of what happened between two scrapes, of the asked phase only', () => {
    const before = bucketsOf(scrapeOf([100, 100, 100]), NAME, { phase: 'total' });
    const after = bucketsOf(scrapeOf([150, 190, 200]), NAME, { phase: 'total' });
    const between = bucketsBetween(before, after);
    // 50 up to 1 ms, 40 up to 2 ms, 10 above.
    assert.equal(quantileOf(between, 0.25), 0.0005);
    assert.equal(quantileOf(between, 0.5), 0.001);
    assert.equal(quantileOf(between, 0.7), 0.0015);
    assert.equal(quantileOf(between, 0.99), 0.002, 'above the last finite bound it answers that bound');
  });

  it('has no quantile of nothing', () => {
    const same = bucketsOf(scrapeOf([1, 2, 3]), NAME, { phase: 'total' });
    assert.ok(Number.isNaN(quantileOf(bucketsBetween(same, same), 0.5)));
    assert.ok(Number.isNaN(quantileOf(new Map(), 0.5)));
  });
});
