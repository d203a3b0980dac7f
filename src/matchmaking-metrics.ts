/** What matchmaking counts, as metric families. Labels are modes and outcomes, both closed sets. */
import type { MatchmakingTotals, PoolTotals } from './matchmaking/totals.ts';
import type { MetricFamily } from './ops/metrics.ts';

type Row = readonly [name: string, help: string, type: 'counter' | 'gauge', of: (pool: PoolTotals) => number];

const ROWS: readonly Row[] = [
  [
    'hypogeum_queue_tickets',
    'Tickets that wait, as the leader of the pool last saw it.',
    'gauge',
    (pool) => pool.waiting,
  ],
  ['hypogeum_queue_matches_pending', 'Matches whose seats are not handed out yet.', 'gauge', (pool) => pool.pending],
  ['hypogeum_queue_leader', '1 in the process that leads the pool.', 'gauge', (pool) => (pool.isLeading ? 1 : 0)],
  ['hypogeum_queue_matches_total', 'Matches made.', 'counter', (pool) => pool.matchesMade],
  [
    'hypogeum_queue_backfills_total',
    'Running matches that were given players.',
    'counter',
    (pool) => pool.backfillsMade,
  ],
  [
    'hypogeum_queue_seatings_failed_total',
    'Matches that got no room or no seats; their tickets went back to the front.',
    'counter',
    (pool) => pool.seatingsFailed,
  ],
  [
    'hypogeum_queue_takeovers_total',
    'Times that this process took the lease of the pool.',
    'counter',
    (pool) => pool.takeovers,
  ],
  [
    'hypogeum_queue_fenced_total',
    'Changes of this process that were refused, as another one leads the pool.',
    'counter',
    (pool) => pool.fenced,
  ],
];

export function* matchmakingMetrics(totals: MatchmakingTotals): Iterable<MetricFamily> {
  const pools = [...totals.collect()];
  for (const [name, help, type, of] of ROWS) {
    yield { name, help, type, samples: pools.map(([mode, pool]) => ({ labels: { mode }, value: of(pool) })) };
  }
  yield {
    name: 'hypogeum_queue_tickets_total',
    help: 'What became of tickets: queued, matched, cancelled, abandoned, declined, barred, or returned to the queue.',
    type: 'counter',
    samples: pools.flatMap(([mode, pool]) =>
      [...pool.outcomes].map(([outcome, value]) => ({ labels: { mode, outcome }, value })),
    ),
  };
  for (const [name, help, of] of [
    ['hypogeum_queue_wait_seconds', 'From queueing to the seat, of tickets that were matched.', 'waits'],
    ['hypogeum_queue_cycle_seconds', 'One look at a pool, its claims included.', 'cycles'],
  ] as const) {
    yield {
      name,
      help,
      type: 'histogram',
      samples: pools.map(([mode, pool]) => {
        const { bounds, counts, sum } = pool[of];
        return { labels: { mode }, bounds, counts, sum };
      }),
    };
  }
}
