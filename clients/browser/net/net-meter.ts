/** Measures one connection for the net graph: round trip, jitter, bytes, corrections. No timers of its own. */

/** What the net graph shows, refreshed four times a second. */
export interface NetReading {
  /** Network round trip, ms, smoothed; 0 until measured. */
  rttMs: number;
  /** Mean deviation of the patch interval, ms, as RFC 3550 smooths it. */
  jitterMs: number;
  /** Server tick of the newest patch, estimated from the server clock. */
  tick: number;
  patchBytesPerSecond: number;
  patchesPerSecond: number;
  correctionsPerSecond: number;
  /** Inputs sent and not yet acknowledged. */
  pendingInputs: number;
}

const WINDOW_MS = 1000;
const SAMPLES_MAX = 128;

/** Sums of a quantity over the last second, in a ring of time stamps. */
class SlidingSum {
  readonly #times = new Float64Array(SAMPLES_MAX);
  readonly #values = new Float64Array(SAMPLES_MAX);
  #head = 0;
  #count = 0;
  #sum = 0;

  add(atMs: number, value: number): void {
    this.#expire(atMs);
    if (this.#count === SAMPLES_MAX) this.#dropOldest();
    const at = (this.#head + this.#count) % SAMPLES_MAX;
    this.#times[at] = atMs;
    this.#values[at] = value;
    this.#count++;
    this.#sum += value;
  }

  sum(nowMs: number): number {
    this.#expire(nowMs);
    return this.#sum;
  }

  count(nowMs: number): number {
    this.#expire(nowMs);
    return this.#count;
  }

  #expire(nowMs: number): void {
    while (this.#count > 0 && this.#times[this.#head]! <= nowMs - WINDOW_MS) this.#dropOldest();
  }

  #dropOldest(): void {
    this.#sum -= this.#values[this.#head]!;
    this.#head = (this.#head + 1) % SAMPLES_MAX;
    this.#count--;
  }
}

const HISTORY = 100;

export class NetMeter {
  readonly reading: NetReading = {
    rttMs: 0,
    jitterMs: 0,
    tick: 0,
    patchBytesPerSecond: 0,
    patchesPerSecond: 0,
    correctionsPerSecond: 0,
    pendingInputs: 0,
  };
  /** Bytes of the last {@link HISTORY} frames and the gap before each, oldest first from `historyAt`. */
  readonly historyBytes = new Float64Array(HISTORY);
  readonly historyGapMs = new Float64Array(HISTORY);
  historyAt = 0;

  readonly #frames = new SlidingSum();
  readonly #corrections = new SlidingSum();
  #lastFrameAtMs = -1;
  #intervalMs = 0;

  /** One frame from the server of `bytes` bytes has arrived. */
  frame(nowMs: number, bytes: number): void {
    this.#frames.add(nowMs, bytes);
    const gapMs = this.#lastFrameAtMs < 0 ? 0 : nowMs - this.#lastFrameAtMs;
    this.#lastFrameAtMs = nowMs;
    this.historyBytes[this.historyAt] = bytes;
    this.historyGapMs[this.historyAt] = gapMs;
    this.historyAt = (this.historyAt + 1) % HISTORY;
    if (gapMs <= 0 || gapMs > 500) return;
    this.#intervalMs = this.#intervalMs === 0 ? gapMs : this.#intervalMs + (gapMs - this.#intervalMs) / 32;
    const deviationMs = Math.abs(gapMs - this.#intervalMs);
    this.reading.jitterMs += (deviationMs - this.reading.jitterMs) / 16;
  }

  /** A round trip was measured. */
  roundTrip(ms: number): void {
    const { rttMs } = this.reading;
    this.reading.rttMs = rttMs === 0 ? ms : rttMs + (ms - rttMs) / 4;
  }

  correction(nowMs: number): void {
    this.#corrections.add(nowMs, 1);
  }

  /** Brings `reading` up to date. */
  refresh(nowMs: number, tick: number, pendingInputs: number): NetReading {
    const { reading } = this;
    reading.tick = tick;
    reading.pendingInputs = pendingInputs;
    reading.patchBytesPerSecond = this.#frames.sum(nowMs);
    reading.patchesPerSecond = this.#frames.count(nowMs);
    reading.correctionsPerSecond = this.#corrections.count(nowMs);
    return reading;
  }

  /** Forgets the cadence after a reconnection, so that the gap does not read as jitter. */
  restart(): void {
    this.#lastFrameAtMs = -1;
  }
}
