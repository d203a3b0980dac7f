/** How long the ticks of all rooms of a process took lately, from totals that only grow. */
import { TICK_DURATION_BOUNDS_SECONDS, type TickTotals } from './tick-metrics.ts';

/** Length of "lately", s, and of the pieces that it forgets it by. */
const WINDOW_SECONDS = 5;
const SAMPLE_EVERY_MS = 1_000;

export class RecentTicks {
  readonly #totals: TickTotals;
  /** Counts by bucket at the end of the last seconds, oldest first. */
  readonly #samples: number[][] = [];
  #sampledMs = Number.NEGATIVE_INFINITY;

  constructor(totals: TickTotals) {
    this.#totals = totals;
  }

  /**
   * Upper bound of the bucket that holds the 99th percentile, ms; 0 without ticks. Ask at least once a second or the
   * window is longer.
   */
  p99Ms(nowMs: number): number {
    const counts = this.#counts();
    if (nowMs - this.#sampledMs >= SAMPLE_EVERY_MS) {
      this.#sampledMs = nowMs;
      this.#samples.push(counts);
      if (this.#samples.length > WINDOW_SECONDS) this.#samples.shift();
    }
    const oldest = this.#samples[0]!;
    const recent = counts.map((count, at) => count - oldest[at]!);
    const ticks = recent.reduce((sum, count) => sum + count, 0);
    if (ticks === 0) return 0;
    let below = 0;
    for (const [at, count] of recent.entries()) {
      below += count;
      if (below >= ticks * 0.99) return 1_000 * (TICK_DURATION_BOUNDS_SECONDS[at] ?? 1);
    }
    return 1_000;
  }

  #counts(): number[] {
    const counts = new Array<number>(TICK_DURATION_BOUNDS_SECONDS.length + 1).fill(0);
    for (const { durations } of this.#totals.collect()) {
      const of = durations.total.counts;
      for (let at = 0; at < counts.length; at++) counts[at]! += of[at]!;
    }
    return counts;
  }
}
