/**
 * Latencies in buckets that grow with the value: recording costs a few nanoseconds, and histograms of several
 * processes add up, which percentiles do not.
 */

/** Finest step, ms. */
const UNIT_MS = 0.01;
/** Buckets per doubling: a percentile is at most 1/32 above the truth. */
const STEPS_LOG2 = 5;
const STEPS = 1 << STEPS_LOG2;
/** Values from 0.01 ms × 2^23 on (84 s) share the last bucket. */
const DOUBLINGS = 18;
const BUCKETS = STEPS * (DOUBLINGS + 1);

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;

  get count(): number {
    return this.#total;
  }

  /** @param ms 0 or more; anything that is not (a clock that went back, NaN) counts as 0 */
  record(ms: number): void {
    const units = ms > 0 ? Math.min(Math.floor(ms / UNIT_MS), 0x7fffffff) : 0;
    this.#counts[bucketOf(units)]! += 1;
    this.#total++;
  }

  /** Adds the counts that another histogram, maybe of another process, handed out with `toCounts`. */
  add(counts: readonly number[]): void {
    for (let i = 0; i + 1 < counts.length; i += 2) {
      const bucket = counts[i]!;
      const count = counts[i + 1]!;
      if (!Number.isInteger(bucket) || bucket < 0 || bucket >= BUCKETS) throw new RangeError(`no bucket ${bucket}`);
      this.#counts[bucket]! += count;
      this.#total += count;
    }
  }

  /** The non-empty buckets as `[index, count, index, count, …]`, JSON-able. */
  toCounts(): number[] {
    const pairs: number[] = [];
    for (let i = 0; i < BUCKETS; i++) if (this.#counts[i]! > 0) pairs.push(i, this.#counts[i]!);
    return pairs;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** The value in ms that `share` (0 to 1) of all records do not pass; NaN without records. */
  percentileMs(share: number): number {
    if (this.#total === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]!;
      if (seen >= rank) return upperUnits(i) * UNIT_MS;
    }
    return upperUnits(BUCKETS - 1) * UNIT_MS;
  }
}

function bucketOf(units: number): number {
  if (units < STEPS) return units;
  const doubling = 31 - Math.clz32(units) - STEPS_LOG2;
  return Math.min(BUCKETS - 1, STEPS * (doubling + 1) + ((units >>> doubling) - STEPS));
}

/** The first value that is above bucket `index`. */
function upperUnits(index: number): number {
  if (index < STEPS) return index + 1;
  const doubling = Math.floor(index / STEPS) - 1;
  return ((index % STEPS) + STEPS + 1) * 2 ** doubling;
}
