/** What the gate counts, as metric families. Connects `src/cluster`, which knows no metrics, with `src/ops`. */
import { type GateTotals, HOLD_BOUNDS_S } from './cluster/gate-totals.ts';
import { counter, counterBy, gauge, type MetricFamily } from './ops/metrics.ts';

export function* gateMetrics(totals: GateTotals): Iterable<MetricFamily> {
  yield gauge('hypogeum_gate_tunnels', 'WebSockets that are passed on to other processes now.', totals.tunnels);
  yield counter(
    'hypogeum_gate_tunnels_opened_total',
    'WebSockets that were passed on to other processes.',
    totals.opened,
  );
  yield gauge('hypogeum_gate_held_upgrades', 'Upgrades that wait until somebody runs their room.', totals.held);
  yield counterBy(
    'hypogeum_gate_cut_total',
    'Tunnels ended by the gate: another process runs the room, its process died, or this one goes.',
    'reason',
    Object.entries(totals.cuts),
  );
  yield counterBy(
    'hypogeum_gate_holds_total',
    'Upgrades that were held, by what became of them: let through, client left, nobody ran the room in time, refused.',
    'outcome',
    Object.entries(totals.holds),
  );
  yield counterBy(
    'hypogeum_gate_dial_failures_total',
    'Owners that could not be had: no connection, no answer in time, or the room is not there.',
    'reason',
    Object.entries(totals.dialFailures),
  );
  yield {
    name: 'hypogeum_gate_hold_seconds',
    help: 'How long upgrades were held.',
    type: 'histogram',
    samples: [{ bounds: HOLD_BOUNDS_S, counts: totals.holdCounts, sum: totals.holdSecondsSum }],
  };
}
