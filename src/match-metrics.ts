/** What the match machinery counts, as metric families. Connects `src/match`, which knows no metrics, with `src/ops`. */
import { TRACKS } from './cluster/canary.ts';
import type { InputTotals } from './match/input-plugin.ts';
import { type InterestTotals, VISIBLE_BOUNDS } from './match/interest-plugin.ts';
import type { JournalTotals } from './match/journal-totals.ts';
import type { PingTotals } from './match/ping-plugin.ts';
import type { CountByCode, RoomTotals } from './match/room-totals.ts';
import type { SettlerReading } from './match/settler.ts';
import { TICK_PHASES, type TickTotals, type TickTotalsSample } from './match/tick-metrics.ts';
import { counter, counterBy, gauge, type MetricFamily } from './ops/metrics.ts';
import type { MatchResultsReading } from './results/match-results.ts';
import type { SessionTotals } from './sessions/session.ts';

export interface MatchTotals {
  readonly tick: TickTotals;
  readonly input: InputTotals;
  readonly interest: InterestTotals;
  readonly journal: JournalTotals;
  readonly ping: PingTotals;
  readonly sessions: SessionTotals;
  readonly room: RoomTotals;
}

export function* matchMetrics(totals: MatchTotals): Iterable<MetricFamily> {
  yield* tickMetrics([...totals.tick.collect()]);
  yield* inputMetrics(totals.input);
  yield* interestMetrics(totals.interest);
  yield* journalMetrics(totals.journal);
  yield* pingMetrics(totals.ping);
  yield* sessionMetrics(totals.sessions);
  yield* roomMetrics(totals.room);
}

/** What becomes of matches that have ended. */
export function* settlerMetrics(reading: SettlerReading): Iterable<MetricFamily> {
  yield gauge(
    'hypogeum_results_waiting',
    'Ended matches whose result is not durable in the log yet.',
    reading.resultsWaiting,
  );
  yield gauge(
    'hypogeum_results_waiting_seconds',
    'Age of the oldest result that is not durable in the log yet.',
    reading.resultsWaitingSeconds,
  );
  yield counter('hypogeum_results_reported_total', 'Results handed to the log.', reading.resultsReportedTotal);
  yield counter(
    'hypogeum_result_failures_total',
    'Tries to hand a result to the log that failed.',
    reading.resultFailuresTotal,
  );
  yield counter(
    'hypogeum_results_lost_total',
    'Results given up, as neither journal nor log could be written.',
    reading.resultsLostTotal,
  );
}

/** Results as the log took them. */
export function* resultMetrics(reading: MatchResultsReading): Iterable<MetricFamily> {
  yield counter('hypogeum_results_repeated_total', 'Reports of a result that was there already.', reading.repeatsTotal);
  yield counter(
    'hypogeum_result_conflicts_total',
    'Reports of another result of a match than the first, which stands.',
    reading.conflictsTotal,
  );
}

function* tickMetrics(rooms: readonly TickTotalsSample[]): Iterable<MetricFamily> {
  const byRoom = (name: string, help: string, of: (sample: TickTotalsSample) => number): MetricFamily =>
    counterBy(
      name,
      help,
      'room',
      rooms.map((sample) => [sample.roomName, of(sample)]),
    );
  yield {
    name: 'hypogeum_tick_duration_seconds',
    help: 'Wall time of one tick by phase; the budget of phase total is 1 / tick rate.',
    type: 'histogram',
    samples: rooms.flatMap((sample) =>
      TICK_PHASES.map((phase) => {
        const { upperBoundsSeconds, counts, sumSeconds } = sample.durations[phase];
        return { labels: { room: sample.roomName, phase }, bounds: upperBoundsSeconds, counts, sum: sumSeconds };
      }),
    ),
  };
  yield {
    name: 'hypogeum_tick_deviation_seconds',
    help: 'Distance between the start of a tick and its ideal time.',
    type: 'histogram',
    samples: rooms.map(({ roomName, deviation }) => ({
      labels: { room: roomName },
      bounds: deviation.upperBoundsSeconds,
      counts: deviation.counts,
      sum: deviation.sumSeconds,
    })),
  };
  yield {
    name: 'hypogeum_tick_loops',
    help: 'Tick loops running.',
    type: 'gauge',
    samples: rooms.map(({ roomName, liveLoops }) => ({ labels: { room: roomName }, value: liveLoops })),
  };
  yield byRoom('hypogeum_ticks_total', 'Ticks run.', (sample) => sample.ticks);
  yield byRoom(
    'hypogeum_tick_overruns_total',
    'Ticks that took longer than their period.',
    (sample) => sample.overruns,
  );
  yield byRoom(
    'hypogeum_tick_catchups_total',
    'Ticks that began when the next one was already due.',
    (sample) => sample.catchUps,
  );
  yield byRoom(
    'hypogeum_ticks_dropped_total',
    'Ticks left out because they were too late.',
    (sample) => sample.dropped,
  );
  yield byRoom('hypogeum_patches_total', 'State patches sent to a room.', (sample) => sample.patches);
  yield byRoom('hypogeum_patches_shed_total', 'Patches left out under overload.', (sample) => sample.patchesShed);
}

function* inputMetrics(input: InputTotals): Iterable<MetricFamily> {
  yield counter('hypogeum_inputs_applied_total', 'Input frames that became intents.', input.applied);
  yield counter(
    'hypogeum_inputs_dropped_total',
    'Input frames dropped because a seat had too many waiting.',
    input.dropped,
  );
  yield counter('hypogeum_input_floods_total', 'Seconds in which a client flooded.', input.floods);
}

function* interestMetrics(interest: InterestTotals): Iterable<MetricFamily> {
  yield counter('hypogeum_state_frames_total', 'State frames sent to clients.', interest.frames);
  yield counter('hypogeum_state_bytes_total', 'Bytes of state frames, without WebSocket headers.', interest.bytes);
  yield counter('hypogeum_hot_segments_total', 'Entity segments sent in state frames.', interest.hotSegments);
  yield counterBy('hypogeum_hot_segments_deferred_total', 'Entity segments put off, by reason.', 'reason', [
    ['ring', interest.deferredByRing],
    ['budget', interest.deferredByBudget],
    ['back_pressure', interest.deferredByBackPressure],
  ]);
  yield counter(
    'hypogeum_state_frames_skipped_total',
    'Frames not sent because the socket was clogged.',
    interest.framesSkipped,
  );
  yield counter(
    'hypogeum_slow_consumers_total',
    'Clients dropped because they did not keep up.',
    interest.slowConsumersDropped,
  );
  yield counterBy('hypogeum_view_changes_total', 'Entities that came into or left the view of a client.', 'change', [
    ['add', interest.viewAdds],
    ['remove', interest.viewRemoves],
  ]);
  yield {
    name: 'hypogeum_visible_entities',
    help: 'Entities in the view of a client, per state frame.',
    type: 'histogram',
    samples: [{ bounds: VISIBLE_BOUNDS, counts: interest.visibleCounts, sum: interest.visibleSum }],
  };
}

function* journalMetrics(journal: JournalTotals): Iterable<MetricFamily> {
  const reading = journal.collect();
  yield counter('hypogeum_journal_bytes_total', 'Bytes made durable, framing included.', reading.bytesTotal);
  yield counter('hypogeum_journal_records_total', 'Records made durable.', reading.recordsTotal);
  yield counter('hypogeum_journal_commits_total', 'Group commits.', reading.commitsTotal);
  yield counter('hypogeum_journal_failures_total', 'Matches that went on unrecorded.', reading.failuresTotal);
  yield counter('hypogeum_journal_archived_total', 'Matches that became replay files.', reading.archivedTotal);
  yield counter(
    'hypogeum_journal_archive_failures_total',
    'Matches whose replay could not be written; their journals were kept.',
    reading.archiveFailuresTotal,
  );
  yield gauge('hypogeum_journal_lag_seconds', 'Age of the oldest record that is not durable yet.', reading.lagSeconds);
  yield gauge('hypogeum_journal_buffered_bytes', 'What waits for the store of the journal.', reading.bufferedBytes);
  yield {
    name: 'hypogeum_journal_ack_seconds',
    help: 'From handing a group commit to the store until it was acknowledged.',
    type: 'histogram',
    samples: [reading.ackSeconds],
  };
  yield counter(
    'hypogeum_journal_fenced_total',
    'Writers refused because a newer owner of their match exists.',
    reading.fencedTotal,
  );
  yield counter(
    'hypogeum_journal_rewritten_total',
    'Matches written again because the store had lost them.',
    reading.rewrittenTotal,
  );
  yield gauge(
    'hypogeum_journal_unkept_matches',
    'Matches that could not be written again, as not all of them is kept in memory.',
    reading.unkept,
  );
}

function* pingMetrics(ping: PingTotals): Iterable<MetricFamily> {
  const { sent, lost, rtt, jitter } = ping.collect();
  yield {
    name: 'hypogeum_rtt_seconds',
    help: 'Round trips of WebSocket pings.',
    type: 'histogram',
    samples: [{ bounds: rtt.bounds, counts: rtt.counts, sum: rtt.sum }],
  };
  yield {
    name: 'hypogeum_jitter_seconds',
    help: 'Jitter of clients, as smoothed with each answer to a ping.',
    type: 'histogram',
    samples: [{ bounds: jitter.bounds, counts: jitter.counts, sum: jitter.sum }],
  };
  yield counter('hypogeum_pings_total', 'Pings sent.', sent);
  yield counter('hypogeum_pings_lost_total', 'Pings not answered before the next.', lost);
}

/** Both are there from the start: a rate has something to begin from. */
function byTrack(name: string, help: string, counts: CountByCode): MetricFamily {
  const found = new Map(counts.collect());
  return counterBy(
    name,
    help,
    'track',
    TRACKS.map((track) => [track, found.get(track) ?? 0]),
  );
}

function* sessionMetrics(sessions: SessionTotals): Iterable<MetricFamily> {
  const { ended: _, ...now } = sessions.now;
  yield {
    name: 'hypogeum_sessions',
    help: 'Sessions in running matches, by state.',
    type: 'gauge',
    samples: Object.entries(now).map(([state, value]) => ({ labels: { state }, value })),
  };
  yield counterBy(
    'hypogeum_sessions_ended_total',
    'Sessions that are over, by why. Those that expired were away for too long.',
    'reason',
    Object.entries(sessions.ended),
  );
  yield counter(
    'hypogeum_away_messages_delivered_total',
    'Messages to absent players that they got when they came back.',
    sessions.messagesDelivered,
  );
  yield counter(
    'hypogeum_away_messages_lost_total',
    'Messages to absent players of which they were told that they are lost.',
    sessions.messagesLost,
  );
}

function* roomMetrics(room: RoomTotals): Iterable<MetricFamily> {
  yield byTrack(
    'hypogeum_matches_created_total',
    'Matches made, by track: stable, or canary for those of the build that is tried.',
    room.matchesCreated,
  );
  yield byTrack(
    'hypogeum_matches_failed_total',
    'Matches that a bug has ended, by track. A bad canary is seen here.',
    room.matchesFailed,
  );
  yield counter('hypogeum_room_joins_total', 'Players seated.', room.joins);
  yield counter('hypogeum_room_drops_total', 'Connections lost whose seat was held.', room.drops);
  yield counter('hypogeum_room_resumes_total', 'Seats taken again after a drop.', room.resumes);
  yield counter(
    'hypogeum_snapshots_too_large_total',
    'Snapshots of rooms left out, as they are larger than a record of the journal may be.',
    room.snapshotsTooLarge,
  );
  yield counter(
    'hypogeum_match_divergences_total',
    'Restored matches that did not come out as recorded: a bug.',
    room.divergences,
  );
  yield counterBy(
    'hypogeum_room_joins_refused_total',
    'Joins refused by rooms, by code.',
    'code',
    room.joinsRefused.collect(),
  );
  yield counterBy('hypogeum_commands_refused_total', 'Commands refused, by code.', 'code', room.refusals.collect());
  yield counter('hypogeum_unknown_messages_total', 'Messages of unknown type, ignored.', room.unknownMessages);
  yield counterBy(
    'hypogeum_room_faults_total',
    'Bugs caught in rooms, by hook or phase.',
    'where',
    room.faults.collect(),
  );
  yield counter(
    'hypogeum_client_corrections_total',
    'Predictions that clients report to have corrected.',
    room.corrections,
  );
  yield counter(
    'hypogeum_client_desyncs_total',
    'Corrections that clients report without a cause on the server.',
    room.desyncs,
  );
}
