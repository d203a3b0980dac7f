/** What the cluster counts, as metric families. Connects `src/cluster`, which knows no metrics, with `src/ops`. */
import { ADOPTION_BOUNDS_S } from './cluster/coordinator.ts';
import type { Membership } from './cluster/membership.ts';
import type { Clustering } from './clustering.ts';
import { counter, gauge, type MetricFamily } from './ops/metrics.ts';

export interface MatchMoves {
  /** What became of matches that this process went on with at its start, by outcome. */
  readonly adoptions: Iterable<readonly [outcome: string, count: number]>;
  /** Whether this process can go on with matches of others at all. */
  readonly isAble: boolean;
  /** Matches of this process that went on elsewhere. */
  readonly retired: number;
}

/** What any process counts as a member of the cluster, one without rooms too. */
export function* membershipMetrics(membership: Membership): Iterable<MetricFamily> {
  const { reading } = membership;
  yield gauge('hypogeum_cluster_processes', 'Processes that live, as this one knows.', membership.processes().length);
  yield counter('hypogeum_cluster_beats_total', 'Beats that the cluster acknowledged.', reading.beatsTotal);
  yield counter('hypogeum_cluster_beats_failed_total', 'Beats in vain.', reading.beatsFailedTotal);
  yield counter('hypogeum_cluster_deaths_total', 'Processes that this one declared dead.', reading.buriedTotal);
  yield counter(
    'hypogeum_cluster_heals_total',
    'Times that Redis had lost what it held and was told again.',
    reading.healedTotal,
  );
}

export function* clusterMetrics(
  { coordinator, drain, membership, placement, slotsAvailable }: Clustering,
  { adoptions, isAble, retired }: MatchMoves,
): Iterable<MetricFamily> {
  const { reading } = membership;
  yield* membershipMetrics(membership);
  yield {
    name: 'hypogeum_match_slots_available',
    help: 'Matches that can still be taken: by this process (scope own), and by the whole cluster as this process knows it.',
    type: 'gauge',
    samples: [
      { labels: { scope: 'own' }, value: slotsAvailable },
      { labels: { scope: 'cluster' }, value: placement.slotsAvailable() },
    ],
  };
  yield counter(
    'hypogeum_cluster_fenced_total',
    'Times that the rooms of this process stood still as it had not been acknowledged.',
    reading.fencedTotal,
  );
  yield counter(
    'hypogeum_cluster_rooms_lost_total',
    'Rooms of this process that another one had taken over.',
    reading.roomsLostTotal,
  );
  yield gauge(
    'hypogeum_adoption_enabled',
    '0 where this process goes on with no match of another or a former one, as the installed schema library does not fit.',
    isAble ? 1 : 0,
  );
  const outcomes = new Map<string, number>(adoptions);
  for (const [outcome, count] of coordinator?.reading.outcomes ?? []) {
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
  }
  yield {
    name: 'hypogeum_adoptions_total',
    help: 'Matches of other processes, or of a former one, that this process tried to go on with, by what came of it.',
    type: 'counter',
    samples: [...outcomes].map(([outcome, value]) => ({ labels: { outcome }, value })),
  };
  if (coordinator !== undefined) {
    const { seconds, waiting } = coordinator.reading;
    yield {
      name: 'hypogeum_adoption_seconds',
      help: 'From when this process knew that a match had lost its process to when it went on here.',
      type: 'histogram',
      samples: [{ bounds: ADOPTION_BOUNDS_S, counts: seconds.counts, sum: seconds.sum }],
    };
    yield gauge('hypogeum_adoptions_waiting', 'Matches that are being restored here, or wait for it.', waiting);
  }
  const { progress } = drain;
  yield counter(
    'hypogeum_epochs_refused_total',
    'Matches that ended here silently because the store knew a newer owner.',
    Math.max(0, retired - progress.moved),
  );
  yield gauge('hypogeum_draining', '1 while the matches of this process move away.', progress.isDraining ? 1 : 0);
  yield {
    name: 'hypogeum_drain_matches',
    help: 'Matches of the drain: moved to another process, and left here.',
    type: 'gauge',
    samples: [
      { labels: { state: 'moved' }, value: progress.moved },
      { labels: { state: 'left' }, value: progress.isDraining ? progress.left : 0 },
    ],
  };
  yield gauge(
    'hypogeum_drain_pause_seconds_max',
    'Longest time for which a match stood still as it moved away.',
    progress.longestPauseSeconds,
  );
}
