/** How far those are who follow the log, as metric families. Connects `src/events`, which knows no metrics, with `src/ops`. */
import type { FollowerReading } from './events/follower.ts';
import type { ReactorReading } from './events/reactor-loop.ts';
import type { MetricFamily, NumberSample } from './ops/metrics.ts';

export interface EventReadings {
  readonly views: readonly FollowerReading[];
  readonly reactors: readonly ReactorReading[];
  /** The relay to NATS, where there is one. */
  readonly relay?: FollowerReading;
  /** Events that wait for a person, by consumer; as last asked. */
  readonly parked: ReadonlyMap<string, number>;
}

/**
 * Names are a closed set: those of the views, reactors and consumers of this program. Lag is told by the process that
 * works, or that would and cannot; of the others there is none, so that a sum over processes is right.
 */
export function* eventMetrics({ views, reactors, relay, parked }: EventReadings): Iterable<MetricFamily> {
  const all = [...views, ...reactors, ...(relay === undefined ? [] : [relay])];
  const telling = all.filter(({ position }) => position !== undefined);
  const gauge = (name: string, help: string, of: (each: FollowerReading) => number): MetricFamily => ({
    name,
    help,
    type: 'gauge',
    samples: samples(telling, of),
  });
  const counter = (name: string, help: string, of: (each: FollowerReading) => number): MetricFamily => ({
    name,
    help,
    type: 'counter',
    samples: samples(all, of),
  });
  yield gauge(
    'hypogeum_follower_lag_events',
    'Events of the log that are not dealt with yet.',
    (each) => each.lagEvents,
  );
  yield gauge('hypogeum_follower_lag_seconds', 'Age of the oldest of them.', (each) => each.lagSeconds);
  yield {
    name: 'hypogeum_follower_working',
    help: '1 in the process that works, 0 in those that stand by.',
    type: 'gauge',
    samples: samples(all, ({ phase }) => (phase === 'following' ? 1 : 0)),
  };
  yield {
    name: 'hypogeum_follower_stopped',
    help: '1 while it cannot go on; the log says why.',
    type: 'gauge',
    samples: samples(all, ({ phase }) => (phase === 'stopped' ? 1 : 0)),
  };
  yield counter('hypogeum_follower_events_total', 'Events dealt with.', (each) => each.handledTotal);
  yield counter('hypogeum_follower_failures_total', 'Times it could not go on.', (each) => each.failuresTotal);
  yield counter(
    'hypogeum_follower_rebuilds_total',
    'Times it began again at the first event.',
    (each) => each.rebuildsTotal,
  );
  yield {
    name: 'hypogeum_reactor_failed_tries_total',
    help: 'Events that a reactor or consumer failed on, each try.',
    type: 'counter',
    samples: reactors.map(({ name, failedTriesTotal }) => ({ labels: { name }, value: failedTriesTotal })),
  };
  yield {
    name: 'hypogeum_parked_events',
    help: 'Events that were given up on and wait for a person; see npm run bus.',
    type: 'gauge',
    samples: [...parked].map(([name, value]) => ({ labels: { name }, value })),
  };
}

function samples(followers: readonly FollowerReading[], of: (each: FollowerReading) => number): NumberSample[] {
  return followers.map((each) => ({ labels: { name: each.name }, value: of(each) }));
}
