/** Token buckets by remote address, in bounded memory. */

export interface RateLimitOptions {
  /** Requests that may come at once. */
  readonly burst: number;
  /** Requests per second that come back. */
  readonly perSecond: number;
  /** Addresses remembered; those longest unseen are forgotten, which fills their bucket. */
  readonly addressesMax: number;
  /** Monotonic clock, ms; injected by tests. */
  readonly nowMs?: () => number;
}

interface Bucket {
  tokens: number;
  refilledAtMs: number;
}

export class RateLimit {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #addressesMax: number;
  readonly #nowMs: () => number;
  // In order of last use: Map keeps insertion order, and a used entry is inserted anew.
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#burst = options.burst;
    this.#perMs = options.perSecond / 1000;
    this.#addressesMax = options.addressesMax;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Takes one token of the address; false when there is none. */
  take(address: string): boolean {
    const bucket = this.#refilled(address);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** True while a {@link take} would fail; takes nothing. */
  isSpent(address: string): boolean {
    return this.#refilled(address).tokens < 1;
  }

  get addresses(): number {
    return this.#buckets.size;
  }

  #refilled(address: string): Bucket {
    const nowMs = this.#nowMs();
    const known = this.#buckets.get(address);
    if (known !== undefined) {
      this.#buckets.delete(address);
      this.#buckets.set(address, known);
      known.tokens = Math.min(this.#burst, known.tokens + (nowMs - known.refilledAtMs) * this.#perMs);
      known.refilledAtMs = nowMs;
      return known;
    }
    if (this.#buckets.size >= this.#addressesMax) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const fresh = { tokens: this.#burst, refilledAtMs: nowMs };
    this.#buckets.set(address, fresh);
    return fresh;
  }
}
