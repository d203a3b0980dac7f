/**
 * What stands between this process and a store it depends on: a bulkhead, a circuit breaker and a timeout, in that order
 * from the caller to the store. A slow store can take no more than its share of this process, a dead one is not asked
 * again and again, and nobody waits for ever.
 */
import {
  BrokenCircuitError,
  type BulkheadPolicy,
  BulkheadRejectedError,
  bulkhead,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  IsolatedCircuitError,
} from 'cockatiel';
import { type ErrorCode, GameError } from '../kernel/errors.ts';
import { OutOfTime, within } from '../kernel/time-limit.ts';

export interface GuardOptions {
  /** Names the store in refusals, logs and metrics: `postgres`, `redis`, `nats`. */
  readonly name: string;
  /** One piece of work may take this long, ms; what it did is unknown afterwards. */
  readonly timeoutMs: number;
  /** Pieces of work at once. */
  readonly concurrencyMax: number;
  /** Pieces of work that may wait for their turn. Above: refused with OVERLOADED. */
  readonly queueMax: number;
  /** Failures in a row that open the breaker. */
  readonly failuresToOpen: number;
  /** After this long an open breaker lets one piece of work try, ms. */
  readonly halfOpenAfterMs: number;
  /** Whether an error says that the store is not there, unlike one that says what was wrong with the request. */
  readonly isOutage: (error: unknown) => boolean;
  /** Code of the refusal while the store is not there. */
  readonly unavailable: ErrorCode;
  readonly onStateChange?: (state: GuardState) => void;
}

/** `closed`: all well. `open`: refused without asking. `half-open`: one piece of work tries. */
export type GuardState = 'closed' | 'half-open' | 'open';

/** Readings since the start, for metrics. */
export interface GuardTotals {
  readonly done: number;
  /** Ended with an error that is no outage, such as a broken constraint. */
  readonly faulted: number;
  /** Ended because the store was not there, time-outs included. */
  readonly failed: number;
  readonly timedOut: number;
  /** Not even tried: the breaker was open. */
  readonly refusedOpen: number;
  /** Not even tried: the queue was full. */
  readonly refusedFull: number;
}

const STATES: Readonly<Record<CircuitState, GuardState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
};

export class Guard {
  readonly name: string;
  readonly #options: GuardOptions;
  readonly #bulkhead: BulkheadPolicy;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #totals = { done: 0, faulted: 0, failed: 0, timedOut: 0, refusedOpen: 0, refusedFull: 0 };

  constructor(options: GuardOptions) {
    this.name = options.name;
    this.#options = options;
    this.#bulkhead = bulkhead(options.concurrencyMax, options.queueMax);
    this.#breaker = circuitBreaker(
      handleWhen((error) => error instanceof OutOfTime || options.isOutage(error)),
      { halfOpenAfter: options.halfOpenAfterMs, breaker: new ConsecutiveBreaker(options.failuresToOpen) },
    );
    this.#breaker.onStateChange((state) => options.onStateChange?.(STATES[state]));
  }

  get state(): GuardState {
    return STATES[this.#breaker.state];
  }

  /** Pieces of work under way. */
  get running(): number {
    return this.#options.concurrencyMax - this.#bulkhead.executionSlots;
  }

  /** Pieces of work that wait for their turn. */
  get queued(): number {
    return this.#options.queueMax - this.#bulkhead.queueSlots;
  }

  get totals(): GuardTotals {
    return { ...this.#totals };
  }

  /**
   * Runs one piece of work. `signal` aborts when its time is up: the work must then let go of what it holds, and its
   * result is nobody's any more.
   * @param timeoutMs instead of the guard's own
   * @throws GameError of {@link GuardOptions.unavailable}; `detail.outcome` is `none` if nothing was sent to the store,
   *   else `unknown`: it may have been done. OVERLOADED if too many wait. What the work throws otherwise
   */
  async run<T>(work: (signal: AbortSignal) => Promise<T>, timeoutMs = this.#options.timeoutMs): Promise<T> {
    try {
      const result = await this.#bulkhead.execute(() => {
        // The breaker itself would let them wait for the one that tries, which may take all of its time.
        if (this.#breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
        return this.#breaker.execute(() => {
          const end = new AbortController();
          return within(work(end.signal), timeoutMs, () => end.abort());
        });
      });
      this.#totals.done++;
      return result;
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #translate(error: unknown): unknown {
    const { name: store, unavailable, isOutage } = this.#options;
    if (error instanceof BulkheadRejectedError) {
      this.#totals.refusedFull++;
      return new GameError('OVERLOADED', { store }, error);
    }
    if (error instanceof BrokenCircuitError || error instanceof IsolatedCircuitError) {
      this.#totals.refusedOpen++;
      return new GameError(
        unavailable,
        { store, outcome: 'none', reason: 'it failed before; asked again soon' },
        error,
      );
    }
    if (error instanceof OutOfTime) {
      this.#totals.failed++;
      this.#totals.timedOut++;
      return new GameError(unavailable, { store, outcome: 'unknown', reason: error.message }, error);
    }
    if (!isOutage(error)) {
      this.#totals.faulted++;
      return error;
    }
    this.#totals.failed++;
    if (error instanceof GameError) return error;
    const { code, message } = error as NodeJS.ErrnoException;
    return new GameError(unavailable, { store, outcome: 'unknown', reason: code ?? message }, error);
  }
}
