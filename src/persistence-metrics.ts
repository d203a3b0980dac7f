/** What database, log, views, reactors and areas count, as metric families. Connects them with `src/ops`. */
import { DURATION_BOUNDS_S, type RouteTotals } from './api/route-totals.ts';
import { eventMetrics } from './event-metrics.ts';
import { resultMetrics } from './match-metrics.ts';
import type { MetricFamily, NumberSample } from './ops/metrics.ts';
import type { Persistence } from './persistence.ts';

type Row<T> = readonly [name: string, help: string, type: 'counter' | 'gauge', of: (one: T) => number];

export function* persistenceMetrics(persistence: Persistence): Iterable<MetricFamily> {
  const { guards, projector, reactors, relay, eventLog, ledger, boards, database, revocations } = persistence;
  yield* rows(guards, ({ name }) => ({ store: name }), [
    [
      'hypogeum_breaker_state',
      '0 closed: all well. 1 half-open. 2 open: the store does not answer and is left alone.',
      'gauge',
      ({ state }) => ({ closed: 0, 'half-open': 1, open: 2 })[state],
    ],
    ['hypogeum_store_work_running', 'Pieces of work under way in a store.', 'gauge', ({ running }) => running],
    ['hypogeum_store_work_queued', 'Pieces of work that wait for their turn.', 'gauge', ({ queued }) => queued],
    ['hypogeum_store_work_total', 'Pieces of work that a store did.', 'counter', ({ totals }) => totals.done],
    [
      'hypogeum_store_failures_total',
      'Pieces of work that ended because the store was not there, time-outs included.',
      'counter',
      ({ totals }) => totals.failed,
    ],
    [
      'hypogeum_store_refusals_total',
      'Pieces of work not even tried: the breaker was open or the queue full.',
      'counter',
      ({ totals }) => totals.refusedOpen + totals.refusedFull,
    ],
  ]);
  yield* single([
    ['hypogeum_database_connections', 'Connections to PostgreSQL in the pool.', 'gauge', () => database.connections],
    ['hypogeum_log_appends_total', 'Appends made durable by this process.', 'counter', () => eventLog.totals.appends],
    ['hypogeum_log_events_total', 'Events made durable by this process.', 'counter', () => eventLog.totals.events],
    ['hypogeum_log_batches_total', 'Transactions that held them.', 'counter', () => eventLog.totals.batches],
    [
      'hypogeum_log_batches_redecided_total',
      'Batches decided anew as another process was first.',
      'counter',
      () => eventLog.totals.redecided,
    ],
    ['hypogeum_log_queued', 'Appends that wait for their batch.', 'gauge', () => eventLog.queued],
    ['hypogeum_ledger_pending', 'Economy commands under way.', 'gauge', () => ledger.reading.pending],
    ['hypogeum_ledger_appends_total', 'Economy commands appended.', 'counter', () => ledger.reading.appendedTotal],
    ['hypogeum_ledger_refusals_total', 'Economy commands refused.', 'counter', () => ledger.reading.refusedTotal],
    [
      'hypogeum_ledger_recoveries_total',
      'Times that commands on their way were taken back and decided again.',
      'counter',
      () => ledger.reading.recoveriesTotal,
    ],
    ['hypogeum_revoked_sessions', 'Ended sign-ins that are remembered.', 'gauge', () => revocations.size],
    [
      'hypogeum_boards_ready',
      '1 while the leaderboard index answers.',
      'gauge',
      () => (boards.reading.isReady ? 1 : 0),
    ],
    [
      'hypogeum_boards_fallbacks_total',
      'Leaderboard questions that the table answered as the index could not.',
      'counter',
      () => boards.reading.fallbacksTotal,
    ],
    [
      'hypogeum_boards_rebuilds_total',
      'Times the index was filled anew.',
      'counter',
      () => boards.reading.rebuildsTotal,
    ],
  ]);
  yield* eventMetrics({
    views: projector.readings,
    reactors: reactors.readings,
    parked: persistence.parkedCounts,
    ...(relay === undefined ? {} : { relay: relay.reading }),
  });
  yield* resultMetrics(persistence.results.collect());
}

/** What routes were asked, how it ended and how long it took. */
export function* routeMetrics(totals: RouteTotals): Iterable<MetricFamily> {
  const readings = [...totals.collect()];
  yield {
    name: 'hypogeum_http_requests_total',
    help: 'Requests by route and outcome: ok, gone (the client went away), or a code of docs/errors.md.',
    type: 'counter',
    samples: readings.flatMap(({ route, outcomes }) =>
      [...outcomes].map(([outcome, value]) => ({ labels: { route, outcome }, value })),
    ),
  };
  yield {
    name: 'hypogeum_http_duration_seconds',
    help: 'From the request to the end of its answer; long polls wait on purpose.',
    type: 'histogram',
    samples: readings.map(({ route, durations, durationSumSeconds }) => ({
      labels: { route },
      bounds: DURATION_BOUNDS_S,
      counts: durations,
      sum: durationSumSeconds,
    })),
  };
}

function* rows<T>(
  ones: readonly T[],
  labelsOf: (one: T) => Readonly<Record<string, string>>,
  table: readonly Row<T>[],
): Iterable<MetricFamily> {
  for (const [name, help, type, of] of table) {
    const samples: NumberSample[] = ones.map((one) => ({ labels: labelsOf(one), value: of(one) }));
    yield { name, help, type, samples };
  }
}

function* single(table: readonly Row<void>[]): Iterable<MetricFamily> {
  for (const [name, help, type, of] of table) yield { name, help, type, samples: [{ value: of() }] };
}
