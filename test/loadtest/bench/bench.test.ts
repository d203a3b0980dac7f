import assert from 'node:assert/strict';
import {
  alternate,
  atLeast,
  atMost,
  formatReport,
  formatTable,
  median,
  parseOptions,
  percentile,
  reportLine,
  UsageError,
} from '../../../loadtest/bench/bench.ts';

const specs = {
  rounds: { type: 'number', default: 3, quick: 1, min: 1, max: 9, help: 'rounds' },
  rates: { type: 'numbers', default: [20, 30], min: 10, max: 60, help: 'rates' },
  kind: { type: 'string', default: 'a', choices: ['a', 'b'], help: 'kind' },
  deep: { type: 'boolean', help: 'deep' },
} as const;

describe('the bench frame', () => {
  it('gives every option its default, and its quick value only under --quick', () => {
    assert.deepEqual(parseOptions(specs, []), { rounds: 3, rates: [20, 30], kind: 'a', deep: false });
    assert.deepEqual(parseOptions(specs, [], true), { rounds: 1, rates: [20, 30], kind: 'a', deep: false });
  });

  it('takes what the command line gives over default and quick value', () => {
    assert.deepEqual(parseOptions(specs, ['--rounds', '2', '--rates=10,60', '--kind', 'b', '--deep'], true), {
      rounds: 2,
      rates: [10, 60],
      kind: 'b',
      deep: true,
    });
  });

  for (const argv of [
    ['--rounds', '0'],
    ['--rounds', 'x'],
    ['--rounds', '1,2'],
    ['--rounds='],
    ['--rates', '10,61'],
    ['--rates', '10,,20'],
    ['--kind', 'c'],
    ['--unknown'],
    ['positional'],
    ['--deep=1'],
  ]) {
    it(`refuses ${argv.join(' ')} as wrong usage`, () => {
      assert.throws(() => parseOptions(specs, argv), UsageError);
    });
  }

  it('takes the mean of the middle two as the median of an even count', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.throws(() => median([]), RangeError);
  });

  it('takes the nearest rank as percentile', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    assert.equal(percentile(values, 0.99), 99);
    assert.equal(percentile(values, 0), 1);
    assert.equal(percentile(values, 1), 100);
    assert.throws(() => percentile([], 0.5), RangeError);
    assert.throws(() => percentile(values, 99), RangeError);
  });

  it('counts a goal at its limit as met, and one without a number as missed', () => {
    assert.equal(atMost('x', 1.5, 1.5, 'ms').met, true);
    assert.equal(atMost('x', Number.NaN, 1.5, 'ms').met, false);
    assert.equal(atLeast('x', 49_999, 50_000, '/s').met, false);
    assert.equal(atLeast('x', Number.NaN, 0, '/s').met, false);
  });

  it('runs the variants of every other round in opposite order', async () => {
    const calls: string[] = [];
    const measured = await alternate(['a', 'b', 'c'], 2, async (variant, round) => {
      calls.push(variant);
      return `${variant}${round}`;
    });
    assert.equal(calls.join(''), 'abccba');
    assert.deepEqual(measured, { a: ['a0', 'a1'], b: ['b0', 'b1'], c: ['c0', 'c1'] });
  });

  it('aligns the table and shows what was not measured as a dash', () => {
    assert.equal(
      formatTable([
        { name: 'one', ms: 1.23456 },
        { name: 'three', ms: null },
      ]),
      'name      ms\n-----  -----\none    1.235\nthree      –',
    );
  });

  it('names every goal, met or missed, and says so in the JSON line', () => {
    const report = { results: [{ a: 1 }], goals: [atMost('speed', 2, 1, 'ms'), atMost('calm', 1, 1, 'ms')] };
    assert.match(formatReport(report), /MISSED {2}speed: 2 ms \(goal <= 1\)\nmet {5}calm/);
    const line = reportLine('x', report);
    assert.ok(!line.includes('\n'));
    const parsed = JSON.parse(line);
    assert.deepEqual(Object.keys(parsed), ['bench', 'machine', 'results', 'goals']);
    assert.deepEqual(parsed.goals[0], { name: 'speed', value: 2, unit: 'ms', goal: '<= 1', met: false });
  });
});
