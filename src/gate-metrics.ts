/** What the gate counts, as metric families. Connects `src/cluster`, which knows no metrics, with `src/ops`. */
import { type GateTotals, HOLD_BOUNDS_S } from './cluster/gate-totals.ts';
import type { MetricFamily } from './ops/metrics.ts';

export function* gateMetrics(totals: GateTotals): Iterable<MetricFamily> {
  const gauge = (name: string, help: string, value: number): MetricFamily => ({
    name,
    help,
    type: 'gauge',
    samples: [{ value }],
  });
  const counterBy = (
    name: string,
    help: string,
    label: string,
    counts: Readonly<Record<string, number>>,
  ): MetricFamily => ({
    name,
    help,
    type: 'counter',
    samples: Object.entries(counts).map(([word, value]) => ({ labels: { [label]: word }, value })),
  });
  yield gauge('hypogeum_gate_tunnels', 'WebSockets that are passed on to other processes now.', totals.tunnels);
  yield {
    name: 'hypogeum_gate_tunnels_opened_total',
    help: 'WebSockets that were passed on to other processes.',
    type: 'counter',
    samples: [{ value: totals.opened }],
  };
  yield gauge('hypogeum_gate_held_upgrades', 'Upgrades that wait until somebody runs their room.', totals.held);
  yield counterBy(
    'hypogeum_gate_cut_total',
    'Tunnels cut: another process runs the room, its process died, or this one ended.',
    'reason',
    totals.cuts,
  );
  yield counterBy(
    'hypogeum_gate_holds_total',
    'Upgrades that were held, by what became of them: let through, client left, nobody ran the room in time, refused.',
    'outcome',
    totals.holds,
  );
  yield counterBy(
    'hypogeum_gate_dial_failures_total',
    'Owners that could not be had: no connection, no answer in time, or the room is not there.',
    'reason',
    totals.dialFailures,
  );
  yield {
    name: 'hypogeum_gate_hold_seconds',
    help: 'How long upgrades were held.',
    type: 'histogram',
    samples: [{ bounds: HOLD_BOUNDS_S, counts: totals.holdCounts, sum: totals.holdSecondsSum }],
  };
}
