import type { SchedulerClock } from '../../src/match/tick-scheduler.ts';

/** Time that passes only when a test says so, or when a task spends it. Timers fire late by `lag()`. */
export class VirtualClock implements SchedulerClock {
  nowMs: number;
  readonly lag: () => number;
  #wakeMs = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;

  constructor(options: { readonly startMs?: number; readonly lag?: () => number } = {}) {
    this.nowMs = options.startMs ?? 0;
    this.lag = options.lag ?? (() => 0);
  }

  now(): number {
    return this.nowMs;
  }

  wakeAfter(delayMs: number, wake: () => void): () => void {
    if (this.#wake !== undefined) throw new Error('a second timer was set while one is pending');
    this.#wakeMs = this.nowMs + delayMs + this.lag();
    this.#wake = wake;
    return () => {
      this.#wake = undefined;
    };
  }

  get isArmed(): boolean {
    return this.#wake !== undefined;
  }

  /** Spends time inside a task. */
  spend(ms: number): void {
    this.nowMs += ms;
  }

  /** Lets time pass until `untilMs`, firing the timer as often as it is set. */
  run(untilMs: number): void {
    while (this.#wake !== undefined && this.#wakeMs <= untilMs) {
      const wake = this.#wake;
      this.#wake = undefined;
      this.nowMs = Math.max(this.nowMs, this.#wakeMs);
      wake();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }
}
