/** What a tick loop measures: a sliding window per room, and totals per room type for Prometheus. */
import { CumulativeHistogram, type HistogramSample, SlidingHistogram } from './tick-histogram.ts';

/** The measured parts of a tick, in the order in which they run; `total` is all of them and the room's clock. */
export const TICK_PHASES = ['inputs', 'step', 'project', 'patch', 'total'] as const;
export type TickPhase = (typeof TICK_PHASES)[number];

/** Fine around a millisecond and around the budgets of 60, 30 and 20 Hz and their 80 %. */
export const TICK_DURATION_BOUNDS_SECONDS = [
  0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.0133,
  0.0167, 0.02, 0.0267, 0.0333, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1,
] as const;

export const TICK_DEVIATION_BOUNDS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.00125, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1,
] as const;

/** All loops of one room type since the process began. Only grows, but for `liveLoops`. */
export interface TickTotalsSample {
  /** The name under which the room type is defined: a closed set, fit for a label. */
  readonly roomName: string;
  readonly liveLoops: number;
  readonly ticks: number;
  /** Ticks that took longer than their period. */
  readonly overruns: number;
  /** Ticks that began when the next one was already due. */
  readonly catchUps: number;
  /** Ticks that never ran because they were more than four periods late. */
  readonly dropped: number;
  readonly patches: number;
  /** Patches that the configured cadence had asked for and overload left out. */
  readonly patchesShed: number;
  readonly durations: Readonly<Record<TickPhase, HistogramSample>>;
  /** Distance between the start of a tick and its ideal time, early or late. */
  readonly deviation: HistogramSample;
}

class RoomTypeTotals implements TickTotalsSample {
  readonly roomName: string;
  liveLoops = 0;
  ticks = 0;
  overruns = 0;
  catchUps = 0;
  dropped = 0;
  patches = 0;
  patchesShed = 0;
  readonly durations: Readonly<Record<TickPhase, CumulativeHistogram>>;
  readonly deviation = new CumulativeHistogram(TICK_DEVIATION_BOUNDS_SECONDS);

  constructor(roomName: string) {
    this.roomName = roomName;
    this.durations = {
      inputs: new CumulativeHistogram(TICK_DURATION_BOUNDS_SECONDS),
      step: new CumulativeHistogram(TICK_DURATION_BOUNDS_SECONDS),
      project: new CumulativeHistogram(TICK_DURATION_BOUNDS_SECONDS),
      patch: new CumulativeHistogram(TICK_DURATION_BOUNDS_SECONDS),
      total: new CumulativeHistogram(TICK_DURATION_BOUNDS_SECONDS),
    };
  }
}

/** Process-wide totals. Make one, hand it to every room; whoever renders metrics pulls {@link collect}. */
export class TickTotals {
  readonly #byRoomName = new Map<string, RoomTypeTotals>();

  /** The totals of every room type that ever had a loop, in order of first appearance. Live objects: read, don't keep. */
  collect(): Iterable<TickTotalsSample> {
    return this.#byRoomName.values();
  }

  /** Where the loops of a room type count. */
  of(roomName: string): RoomTypeTotals {
    let totals = this.#byRoomName.get(roomName);
    if (totals === undefined) {
      totals = new RoomTypeTotals(roomName);
      this.#byRoomName.set(roomName, totals);
    }
    return totals;
  }
}

/** One room in numbers: JSON-able, for a listing's metadata. Times are of the last ten seconds, counts since the start. */
export interface TickSnapshot {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly deviationP99Ms: number;
  readonly ticks: number;
  readonly overruns: number;
  readonly catchUps: number;
  readonly dropped: number;
  readonly patches: number;
  readonly patchesShed: number;
}

/** Measures one loop, and adds to the totals of its room type. */
export class TickMetrics {
  readonly #totals: RoomTypeTotals;
  readonly #periodMs: number;
  readonly #duration = new SlidingHistogram();
  readonly #deviation = new SlidingHistogram();
  #ticks = 0;
  #overruns = 0;
  #catchUps = 0;
  #dropped = 0;
  #patches = 0;
  #patchesShed = 0;
  #isLive = true;

  constructor(totals: TickTotals, roomName: string, periodMs: number) {
    this.#totals = totals.of(roomName);
    this.#periodMs = periodMs;
    this.#totals.liveLoops++;
  }

  recordPhase(phase: TickPhase, durationMs: number): void {
    this.#totals.durations[phase].observe(durationMs / 1000);
  }

  /** @returns whether the tick took longer than its period */
  recordTick(nowMs: number, durationMs: number, deviationMs: number): boolean {
    this.#ticks++;
    this.#totals.ticks++;
    this.#duration.record(nowMs, durationMs);
    this.#deviation.record(nowMs, deviationMs);
    this.#totals.durations.total.observe(durationMs / 1000);
    this.#totals.deviation.observe(deviationMs / 1000);
    if (durationMs <= this.#periodMs) return false;
    this.#overruns++;
    this.#totals.overruns++;
    return true;
  }

  countCatchUp(): void {
    this.#catchUps++;
    this.#totals.catchUps++;
  }

  countDropped(ticks: number): void {
    this.#dropped += ticks;
    this.#totals.dropped += ticks;
  }

  countPatch(): void {
    this.#patches++;
    this.#totals.patches++;
  }

  countShedPatch(): void {
    this.#patchesShed++;
    this.#totals.patchesShed++;
  }

  /** The loop has ended; its counts stay in the totals. */
  close(): void {
    if (!this.#isLive) return;
    this.#isLive = false;
    this.#totals.liveLoops--;
  }

  snapshot(nowMs: number): TickSnapshot {
    this.#duration.advance(nowMs);
    this.#deviation.advance(nowMs);
    const round = (ms: number) => Math.round(ms * 1000) / 1000;
    return {
      p50Ms: round(this.#duration.quantileMs(0.5)),
      p99Ms: round(this.#duration.quantileMs(0.99)),
      maxMs: round(this.#duration.maxMs),
      deviationP99Ms: round(this.#deviation.quantileMs(0.99)),
      ticks: this.#ticks,
      overruns: this.#overruns,
      catchUps: this.#catchUps,
      dropped: this.#dropped,
      patches: this.#patches,
      patchesShed: this.#patchesShed,
    };
  }
}
