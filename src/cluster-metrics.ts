/** What the cluster counts, as metric families. Connects `src/cluster`, which knows no metrics, with `src/ops`. */
import type { Clustering } from './clustering.ts';
import type { MetricFamily } from './ops/metrics.ts';

export function* clusterMetrics({ membership, placement, slotsAvailable }: Clustering): Iterable<MetricFamily> {
  const { reading } = membership;
  const one = (name: string, help: string, type: 'counter' | 'gauge', value: number): MetricFamily => ({
    name,
    help,
    type,
    samples: [{ value }],
  });
  yield {
    name: 'hypogeum_match_slots_available',
    help: 'Matches that can still be taken: by this process (scope own), and by the whole cluster as this process knows it.',
    type: 'gauge',
    samples: [
      { labels: { scope: 'own' }, value: slotsAvailable },
      { labels: { scope: 'cluster' }, value: placement.slotsAvailable() },
    ],
  };
  yield one(
    'hypogeum_cluster_processes',
    'Processes that live, as this one knows.',
    'gauge',
    membership.processes().length,
  );
  yield one('hypogeum_cluster_beats_total', 'Beats that the cluster acknowledged.', 'counter', reading.beatsTotal);
  yield one('hypogeum_cluster_beats_failed_total', 'Beats in vain.', 'counter', reading.beatsFailedTotal);
  yield one(
    'hypogeum_cluster_fenced_total',
    'Times that the rooms of this process stood still as it had not been acknowledged.',
    'counter',
    reading.fencedTotal,
  );
  yield one('hypogeum_cluster_deaths_total', 'Processes that this one declared dead.', 'counter', reading.buriedTotal);
  yield one(
    'hypogeum_cluster_rooms_lost_total',
    'Rooms of this process that another one had taken over.',
    'counter',
    reading.roomsLostTotal,
  );
  yield one(
    'hypogeum_cluster_heals_total',
    'Times that Redis had lost what it held and was told again.',
    'counter',
    reading.healedTotal,
  );
}
