import assert from 'node:assert/strict';
import { InputTotals } from '../src/match/input-plugin.ts';
import { InterestTotals } from '../src/match/interest-plugin.ts';
import { JournalTotals } from '../src/match/journal-totals.ts';
import { PingTotals } from '../src/match/ping-plugin.ts';
import { RoomTotals } from '../src/match/room-totals.ts';
import { TickMetrics, TickTotals } from '../src/match/tick-metrics.ts';
import { matchMetrics, resultMetrics, settlerMetrics } from '../src/match-metrics.ts';
import { renderFamily } from '../src/ops/metrics.ts';
import { SessionTotals } from '../src/sessions/session.ts';

function totals() {
  return {
    tick: new TickTotals(),
    input: new InputTotals(),
    interest: new InterestTotals(),
    journal: new JournalTotals(),
    ping: new PingTotals(),
    room: new RoomTotals(),
    sessions: new SessionTotals(),
  };
}

describe('the metrics of matches', () => {
  it('are named by the house rule, once each, and render before anything happened', () => {
    const families = [
      ...matchMetrics(totals()),
      ...settlerMetrics({
        resultsWaiting: 0,
        resultsWaitingSeconds: 0,
        resultsReportedTotal: 0,
        resultFailuresTotal: 0,
        resultsLostTotal: 0,
      }),
      ...resultMetrics({ recordedTotal: 0, repeatsTotal: 0, conflictsTotal: 0 }),
    ];
    assert.equal(new Set(families.map(({ name }) => name)).size, families.length);
    for (const family of families) {
      assert.match(family.name, /^hypogeum(_[a-z]+)+$/);
      assert.equal(family.name.endsWith('_total'), family.type === 'counter', family.name);
      renderFamily(family);
    }
  });

  it('show what was counted, ticks by room type and phase', () => {
    const all = totals();
    const loop = new TickMetrics(all.tick, 'arena', 1000 / 30);
    loop.recordPhase('step', 2);
    loop.recordTick(0, 40, 0.2);
    all.room.refusals.add('INVALID_INPUT');
    all.room.desyncs = 3;
    all.ping.observe(45);
    all.interest.bytes = 1234;
    const text = [...matchMetrics(all)].map(renderFamily).join('\n');
    for (const line of [
      'hypogeum_tick_duration_seconds_bucket{room="arena",phase="step",le="0.002"} 1',
      'hypogeum_tick_duration_seconds_bucket{room="arena",phase="step",le="0.0015"} 0',
      'hypogeum_tick_duration_seconds_count{room="arena",phase="total"} 1',
      'hypogeum_tick_overruns_total{room="arena"} 1',
      'hypogeum_commands_refused_total{code="INVALID_INPUT"} 1',
      'hypogeum_client_desyncs_total 3',
      'hypogeum_rtt_seconds_count 1',
      'hypogeum_state_bytes_total 1234',
    ]) {
      assert.ok(text.split('\n').includes(line), `${line} in\n${text}`);
    }
  });
});
