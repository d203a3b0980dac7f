import assert from 'node:assert/strict';
import { eventMetrics } from '../src/event-metrics.ts';
import type { FollowerReading } from '../src/events/follower.ts';

const READING: FollowerReading = {
  name: 'view/a',
  phase: 'following',
  position: 7,
  head: 10,
  lagEvents: 3,
  lagSeconds: 1.5,
  error: undefined,
  handledTotal: 7,
  pagesTotal: 2,
  failuresTotal: 1,
  rebuildsTotal: 1,
  fencedTotal: 0,
};

describe('metrics of those who follow the log', () => {
  it('tell the lag of who works or cannot, not of who stands by', () => {
    const views = [
      READING,
      { ...READING, name: 'view/b', phase: 'stopped' as const, error: new Error('why') },
      { ...READING, name: 'view/c', phase: 'waiting' as const, position: undefined, lagEvents: 0 },
    ];
    const reactors = [{ ...READING, name: 'reactor/r', failedTriesTotal: 4, parkedTotal: 1 }];
    const families = [...eventMetrics({ views, reactors, parked: new Map([['reactor/r', 1]]) })];
    const values = (name: string): unknown[] => {
      const family = families.find((each) => each.name === name)!;
      return [...family.samples].map((sample) => [sample.labels!['name'], (sample as { value: number }).value]);
    };
    assert.deepEqual(values('hypogeum_follower_lag_events'), [
      ['view/a', 3],
      ['view/b', 3],
      ['reactor/r', 3],
    ]);
    assert.deepEqual(values('hypogeum_follower_stopped'), [
      ['view/a', 0],
      ['view/b', 1],
      ['view/c', 0],
      ['reactor/r', 0],
    ]);
    assert.deepEqual(values('hypogeum_reactor_failed_tries_total'), [['reactor/r', 4]]);
    assert.deepEqual(values('hypogeum_parked_events'), [['reactor/r', 1]]);
    for (const { name, type } of families) assert.equal(name.endsWith('_total'), type === 'counter', name);
  });
});
