import assert from 'node:assert/strict';
import { Health } from '../../src/ops/health.ts';
import { type MetricFamily, Metrics, renderFamily } from '../../src/ops/metrics.ts';

describe('a metric family in text format', () => {
  it('has help, type and a line a sample, with labels escaped', () => {
    const family: MetricFamily = {
      name: 'hypogeum_things_total',
      help: 'Things,\nand \\ more.',
      type: 'counter',
      samples: [{ value: 3 }, { labels: { kind: 'a"b\\c\nd' }, value: 0.5 }],
    };
    assert.equal(
      renderFamily(family),
      [
        '# HELP hypogeum_things_total Things,\\nand \\\\ more.',
        '# TYPE hypogeum_things_total counter',
        'hypogeum_things_total 3',
        'hypogeum_things_total{kind="a\\"b\\\\c\\nd"} 0.5',
      ].join('\n'),
    );
  });

  it('cumulates the buckets of a histogram and counts all in the last', () => {
    const samples = [
      { labels: { room: 'arena' }, bounds: [0.001, 0.01], counts: new Float64Array([2, 3, 4]), sum: 0.25 },
    ];
    assert.deepEqual(renderFamily({ name: 'x_seconds', help: 'X.', type: 'histogram', samples }).split('\n').slice(2), [
      'x_seconds_bucket{room="arena",le="0.001"} 2',
      'x_seconds_bucket{room="arena",le="0.01"} 5',
      'x_seconds_bucket{room="arena",le="+Inf"} 9',
      'x_seconds_sum{room="arena"} 0.25',
      'x_seconds_count{room="arena"} 9',
    ]);
  });

  it('of a histogram with a bucket too few is a bug, not a wrong number', () => {
    const samples = [{ bounds: [1, 2], counts: [1, 2], sum: 1 }];
    assert.throws(() => renderFamily({ name: 'x', help: 'X.', type: 'histogram', samples }), RangeError);
  });
});

describe('metrics', () => {
  it('show what is true at the scrape, pulled sources included', async () => {
    const health = new Health();
    let players = 0;
    const metrics = new Metrics({ buildId: 'b1', health, load: () => ({ players, rooms: 1 }) });
    let bytes = 1;
    metrics.addSource(() => [
      { name: 'hypogeum_bytes_total', help: 'B.', type: 'counter', samples: [{ value: bytes }] },
    ]);
    assert.match(await metrics.text(), /^hypogeum_ready 0$/m);
    health.advance('ready');
    players = 7;
    bytes = 2;
    metrics.countRefusal('http', 'TOO_LARGE');
    metrics.countRefusal('http', 'TOO_LARGE');
    const text = await metrics.text();
    assert.match(text, /^hypogeum_ready 1$/m);
    assert.match(text, /^hypogeum_players 7$/m);
    assert.match(text, /^hypogeum_bytes_total 2$/m);
    assert.match(text, /^hypogeum_refusals_total\{surface="http",code="TOO_LARGE"\} 2$/m);
    assert.match(text, /^hypogeum_build_info\{build="b1",node="v\d+\.\d+\.\d+"\} 1$/m);
  });

  it('of a second server in one process begin at zero', async () => {
    const make = () => new Metrics({ buildId: 'b', health: new Health(), load: () => ({ players: 0, rooms: 0 }) });
    const first = make();
    first.countSignIn();
    assert.match(await first.text(), /^hypogeum_sign_ins_total 1$/m);
    assert.match(await make().text(), /^hypogeum_sign_ins_total 0$/m);
  });
});

describe('health', () => {
  it('goes from starting over ready to draining and never back', () => {
    const health = new Health();
    assert.equal(health.phase, 'starting');
    health.advance('ready');
    assert.equal(health.isReady, true);
    health.advance('draining');
    health.advance('ready');
    assert.equal(health.phase, 'draining');
  });
});
