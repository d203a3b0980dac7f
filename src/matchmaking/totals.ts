/** What one process counts of matchmaking, in plain numbers that the metrics endpoint pulls. */

/** Upper bounds of waits, s. */
export const WAIT_BOUNDS_S = [0.5, 1, 2, 5, 10, 15, 30, 45, 60, 90, 120, 300, 600] as const;
/** Upper bounds of the time of one cycle, s. */
export const CYCLE_BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

/** Waits of the latest matched that an estimate is made of. */
const RECENT_MAX = 128;

/** A histogram that is not cumulated: one count more than bounds, the last being all above. */
export class Buckets {
  readonly bounds: readonly number[];
  readonly counts: Uint32Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Uint32Array(bounds.length + 1);
  }

  add(value: number): void {
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.counts[at < 0 ? this.bounds.length : at]!++;
    this.sum += value;
  }
}

/** What became of tickets; a closed set, fit for a label. */
export type TicketOutcome = 'queued' | 'matched' | 'cancelled' | 'abandoned' | 'returned' | 'declined' | 'barred';

export class PoolTotals {
  /** From the first queueing to the seat. */
  readonly waits = new Buckets(WAIT_BOUNDS_S);
  readonly cycles = new Buckets(CYCLE_BOUNDS_S);
  readonly outcomes = new Map<TicketOutcome, number>();
  /** As of the last cycle; 0 in a process that does not lead the pool. */
  waiting = 0;
  /** Matches of which not all seats are handed out yet. */
  pending = 0;
  isLeading = false;
  matchesMade = 0;
  /** Times that running matches got players. */
  backfillsMade = 0;
  /** Matches that did not come about: no room, no seat. */
  seatingsFailed = 0;
  /** Times that this process took the lease of the pool. */
  takeovers = 0;
  /** Changes refused as another process had the lease. */
  fenced = 0;
  readonly #recentMs: number[] = [];

  count(outcome: TicketOutcome, by = 1): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + by);
  }

  noteWait(waitedMs: number): void {
    this.waits.add(waitedMs / 1000);
    this.#recentMs.push(waitedMs);
    if (this.#recentMs.length > RECENT_MAX) this.#recentMs.shift();
  }

  /** Median of the latest waits, ms; null before there were any. */
  get waitMsP50(): number | null {
    if (this.#recentMs.length === 0) return null;
    return [...this.#recentMs].sort((a, b) => a - b)[Math.floor(this.#recentMs.length / 2)]!;
  }
}

/** By mode, of the modes that there are. */
export class MatchmakingTotals {
  readonly #pools = new Map<string, PoolTotals>();

  of(mode: string): PoolTotals {
    const pool = this.#pools.get(mode) ?? new PoolTotals();
    this.#pools.set(mode, pool);
    return pool;
  }

  collect(): Iterable<readonly [mode: string, totals: PoolTotals]> {
    return this.#pools.entries();
  }
}
