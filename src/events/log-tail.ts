/** The end of the log, as a process knows it: asked for once for all who follow, whenever something was appended. */
import type { EventLog } from './event-log.ts';

/** Marks of when the head was where: one each, at most so many, ms. The oldest is a minute old. */
const MARK_EVERY_MS = 100;
const MARKS_MAX = 600;

export class LogTail {
  readonly #log: EventLog;
  readonly #nowMs: () => number;
  #head = 0;
  #unwatch: (() => void) | undefined;
  #asking: Promise<void> | undefined;
  #isStale = false;
  #marks: { readonly position: number; readonly atMs: number }[] = [];
  readonly #waiters = new Set<() => void>();

  constructor(log: EventLog, nowMs: () => number = Date.now) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  start(): void {
    this.#unwatch ??= this.#log.watch(() => this.#refresh());
    this.#refresh();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    await this.#asking;
  }

  /** Newest durable position known here. */
  get head(): number {
    return this.#head;
  }

  /** Resolves when the head is beyond a position, the time is up, or `signal` aborts. */
  beyond(position: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#head > position || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#waiters.delete(look);
        resolve();
      };
      const look = (): void => {
        if (this.#head > position) done();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done, { once: true });
      this.#waiters.add(look);
    });
  }

  /**
   * How long the oldest event after a position has been there, seconds.
   * @param recordedAtMs when the event at the position was recorded, for events older than this process
   */
  ageSeconds(position: number, recordedAtMs: number | undefined): number {
    if (position >= this.#head) return 0;
    const [oldest] = this.#marks;
    const mark = this.#marks.find((each) => each.position > position);
    const isInside = oldest !== undefined && oldest.position <= position;
    const sinceMs = isInside ? mark?.atMs : (recordedAtMs ?? oldest?.atMs);
    return Math.max(0, this.#nowMs() - (sinceMs ?? this.#nowMs())) / 1000;
  }

  #refresh(): void {
    this.#isStale = true;
    this.#asking ??= this.#ask();
  }

  async #ask(): Promise<void> {
    // The first answer is awaited after `#asking` is set.
    await null;
    while (this.#isStale && this.#unwatch !== undefined) {
      this.#isStale = false;
      let head: number;
      try {
        head = await this.#log.head();
      } catch {
        break; // Asked again within a second; whoever reads meanwhile finds out why.
      }
      if (head === this.#head) continue;
      this.#head = head;
      this.#mark(head);
      for (const look of [...this.#waiters]) look();
    }
    // In the same breath as the last look at `#isStale`, or who sets it in between would wait for nothing.
    this.#asking = undefined;
  }

  #mark(position: number): void {
    const atMs = this.#nowMs();
    const last = this.#marks.at(-1);
    // After the log was restored to an earlier state the old marks are of another log.
    if (last !== undefined && position < last.position) this.#marks = [];
    else if (last !== undefined && atMs - last.atMs < MARK_EVERY_MS) return;
    this.#marks.push({ position, atMs });
    if (this.#marks.length > MARKS_MAX) this.#marks.shift();
  }
}
