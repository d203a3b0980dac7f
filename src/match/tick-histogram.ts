/** Histograms that a tick loop can afford: an increment in a typed array, no labels, no allocation. */

/** Buckets per doubling; a quantile is off by at most 1/32 of its value. */
const SUB_BUCKETS = 16;
const SUB_BITS = 4;
/** 2^26 µs, 67 s: anything longer counts as that. */
const TOP_MICROS = 2 ** 26 - 1;
const BUCKET_COUNT = (26 - SUB_BITS + 1) * SUB_BUCKETS;

function bucketOf(ms: number): number {
  const micros = Math.min(TOP_MICROS, Math.max(0, Math.round(ms * 1000)));
  if (micros < SUB_BUCKETS) return micros;
  const shift = 31 - Math.clz32(micros) - SUB_BITS;
  return shift * SUB_BUCKETS + (micros >> shift);
}

/** The middle of a bucket, in milliseconds. */
function millisOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket / 1000;
  const shift = (bucket >> SUB_BITS) - 1;
  const low = (bucket - shift * SUB_BUCKETS) * 2 ** shift;
  return (low + (2 ** shift - 1) / 2) / 1000;
}

/**
 * Durations of the last `sliceCount * sliceMs` milliseconds, in log-linear buckets of 1 µs at the fine end. Forgets by
 * whole slices. Times are monotonic milliseconds given by the caller and must not go back by more than a slice.
 */
export class SlidingHistogram {
  readonly #sliceMs: number;
  readonly #slices: Uint32Array[];
  readonly #maxima: Float64Array;
  readonly #window = new Uint32Array(BUCKET_COUNT);
  #current = 0;
  #sliceEndMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(options: { readonly sliceCount?: number; readonly sliceMs?: number } = {}) {
    const sliceCount = options.sliceCount ?? 10;
    this.#sliceMs = options.sliceMs ?? 1000;
    this.#slices = Array.from({ length: sliceCount }, () => new Uint32Array(BUCKET_COUNT));
    this.#maxima = new Float64Array(sliceCount);
  }

  record(nowMs: number, durationMs: number): void {
    if (nowMs >= this.#sliceEndMs) this.advance(nowMs);
    const bucket = bucketOf(durationMs);
    const slice = this.#slices[this.#current]!;
    slice[bucket] = slice[bucket]! + 1;
    this.#window[bucket] = this.#window[bucket]! + 1;
    this.#count++;
    if (durationMs > this.#maxima[this.#current]!) this.#maxima[this.#current] = durationMs;
  }

  /** Forgets what is older than the window at `nowMs`. */
  advance(nowMs: number): void {
    if (nowMs < this.#sliceEndMs) return;
    const passed = Math.min(this.#slices.length, Math.floor((nowMs - this.#sliceEndMs) / this.#sliceMs) + 1);
    for (let i = 0; i < passed; i++) {
      this.#current = (this.#current + 1) % this.#slices.length;
      const oldest = this.#slices[this.#current]!;
      for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        const count = oldest[bucket]!;
        if (count === 0) continue;
        this.#window[bucket] = this.#window[bucket]! - count;
        this.#count -= count;
        oldest[bucket] = 0;
      }
      this.#maxima[this.#current] = 0;
    }
    this.#sliceEndMs = (Math.floor(nowMs / this.#sliceMs) + 1) * this.#sliceMs;
  }

  /** Durations in the window. */
  get count(): number {
    return this.#count;
  }

  /** The longest duration in the window, exact; 0 when it is empty. */
  get maxMs(): number {
    let max = 0;
    for (const value of this.#maxima) if (value > max) max = value;
    return max;
  }

  /** Nearest-rank quantile, `share` 0 to 1, to within 1/32 of its value or 1 µs; 0 when the window is empty. */
  quantileMs(share: number): number {
    if (this.#count === 0) return 0;
    let rank = Math.max(1, Math.ceil(share * this.#count));
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
      rank -= this.#window[bucket]!;
      if (rank <= 0) return Math.min(millisOf(bucket), this.maxMs);
    }
    return this.maxMs;
  }
}

/** A histogram as Prometheus wants it, in plain numbers. */
export interface HistogramSample {
  /** Upper bounds in seconds, ascending, without the last, infinite one. */
  readonly upperBoundsSeconds: readonly number[];
  /** Observations per bucket, not cumulative; one more than there are bounds, the last is the infinite bucket. */
  readonly counts: ArrayLike<number>;
  readonly sumSeconds: number;
  readonly count: number;
}

/** Counts since the process began, in fixed buckets. */
export class CumulativeHistogram implements HistogramSample {
  readonly upperBoundsSeconds: readonly number[];
  readonly counts: Float64Array;
  #sumSeconds = 0;
  #count = 0;

  constructor(upperBoundsSeconds: readonly number[]) {
    this.upperBoundsSeconds = upperBoundsSeconds;
    this.counts = new Float64Array(upperBoundsSeconds.length + 1);
  }

  get sumSeconds(): number {
    return this.#sumSeconds;
  }

  get count(): number {
    return this.#count;
  }

  observe(seconds: number): void {
    const bounds = this.upperBoundsSeconds;
    let bucket = 0;
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
    this.counts[bucket] = this.counts[bucket]! + 1;
    this.#sumSeconds += seconds;
    this.#count++;
  }
}
