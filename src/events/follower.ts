/**
 * One who follows the log: reads on from its checkpoint, page by page, and hands each page to its work. Views,
 * reactors, consumers of the local bus and the relay to NATS are followers. Of all processes that follow under one name
 * one works; the others wait for its lock.
 *
 * What goes wrong stops this follower alone. It lets go of its lock, so that a process that can go on may, and tries
 * again, ever more slowly; it never skips an event.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { GameError } from '../kernel/errors.ts';
import type { EventLog, StoredEvent } from './event-log.ts';
import type { LogTail } from './log-tail.ts';
import type { ViewStore } from './projection.ts';

/** Events of a page: of the first, and at most. */
const PAGE_FIRST = 1_000;
const PAGE_MAX = 10_000;
/** A page whose handling takes less makes the next one bigger; more than the second makes it smaller, ms. */
const PAGE_FAST_MS = 150;
const PAGE_SLOW_MS = 1_000;
/** Beginning of one page to that of the next, at least, ms: when events pour in, few big pages cost less than many small. */
const PAGE_EVERY_MS = 20;
/** A checkpoint that passes only events of other types is stored at most this often, ms. */
const PASS_EVERY_MS = 100;
/** How often one who has nothing to do looks whether somebody moved its checkpoint, ms. */
const LOOK_EVERY_MS = 1_000;
/** First pause after a failure, ms; it doubles. */
const RETRY_FIRST_MS = 100;
/** Longest pause after a failure, ms. */
const RETRY_MAX_MS = 5_000;
/** How often one who waits for another process to catch up asks, ms. */
const ASK_EVERY_MS = 25;

/** What a follower does with events. */
export interface FollowerWork {
  /**
   * Deals with events, oldest first, and moves the checkpoint from `from` to `to`; with no events just that.
   * @param signal aborts when the lock is lost or the program ends: stop after the event at hand
   * @returns where the checkpoint stands now, which is before `to` only if `signal` has aborted
   */
  handle(events: readonly StoredEvent[], from: number, to: number, signal: AbortSignal): Promise<number>;
  /** Deletes what was made and moves the checkpoint from `from` to 0, of the present version. */
  reset(from: number): Promise<void>;
  /** Called every second or so, between pages, by the one who works. */
  idle?(signal: AbortSignal): Promise<void>;
}

export interface FollowerOptions {
  /** Of checkpoint and lock: `view/NAME`, `reactor/NAME`, … */
  readonly name: string;
  readonly version: number;
  /** All types when absent. */
  readonly types?: readonly string[];
  readonly log: EventLog;
  readonly tail: LogTail;
  readonly store: Pick<ViewStore<unknown>, 'whileHolding' | 'checkpoint' | 'restoreTables'>;
  readonly work: FollowerWork;
  /** Tables that may be made again when they are missing. */
  readonly tables?: readonly string[];
  /** Called when the phase changes, or the reason to be stopped. */
  readonly onChange?: (reading: FollowerReading) => void;
  /** Events of a page at most, 1 to 10,000. */
  readonly pageMax?: number;
  /** Longest pause after a failure, ms. */
  readonly retryMaxMs?: number;
}

/** `waiting`: another process works. `following`: this one does. `stopped`: it cannot go on, `error` says why. */
export type FollowerPhase = 'waiting' | 'following' | 'stopped';

export interface FollowerReading {
  readonly name: string;
  readonly phase: FollowerPhase;
  /** Everything up to here is done; undefined while this process has not worked. */
  readonly position: number | undefined;
  /** Newest position of the log that this process knows of. */
  readonly head: number;
  /** 0 unless this process works, or is stopped. */
  readonly lagEvents: number;
  /** How long the oldest event that is not done has been there. */
  readonly lagSeconds: number;
  /** Why it is stopped. */
  readonly error: Error | undefined;
  /** Since the start of this process. */
  readonly handledTotal: number;
  readonly pagesTotal: number;
  readonly failuresTotal: number;
  readonly rebuildsTotal: number;
  /** How often another process was found to have moved the checkpoint. */
  readonly fencedTotal: number;
}

export class Follower {
  readonly name: string;
  readonly #options: FollowerOptions;
  readonly #pageLimit: number;
  readonly #end = new AbortController();
  #running: Promise<void> | undefined;
  #phase: FollowerPhase = 'waiting';
  #error: Error | undefined;
  /** Everything up to here is done. */
  #at: number | undefined;
  /** Where the checkpoint is stored; behind {@link #at} while only events of other types came. */
  #stored = 0;
  #storedAtMs = 0;
  #pageBeganAtMs = 0;
  #lookedAtMs = 0;
  #lastRecordedAtMs: number | undefined;
  #pageMax: number;
  /** Events to go in small pages, as a damaged one is among them. */
  #cautious = 0;
  #failuresInRow = 0;
  #handled = 0;
  #pages = 0;
  #failures = 0;
  #rebuilds = 0;
  #fenced = 0;
  readonly #waiters = new Set<() => void>();

  constructor(options: FollowerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#pageLimit = Math.max(1, Math.min(PAGE_MAX, options.pageMax ?? PAGE_MAX));
    this.#pageMax = Math.min(PAGE_FIRST, this.#pageLimit);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends it after the page (or the event) at hand. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  get reading(): FollowerReading {
    const { tail } = this.#options;
    const at = this.#phase === 'waiting' ? undefined : this.#at;
    const lagEvents = at === undefined ? 0 : Math.max(0, tail.head - at);
    return {
      name: this.name,
      phase: this.#phase,
      position: at,
      head: tail.head,
      lagEvents,
      lagSeconds: at === undefined || lagEvents === 0 ? 0 : tail.ageSeconds(at, this.#lastRecordedAtMs),
      error: this.#error,
      handledTotal: this.#handled,
      pagesTotal: this.#pages,
      failuresTotal: this.#failures,
      rebuildsTotal: this.#rebuilds,
      fencedTotal: this.#fenced,
    };
  }

  /**
   * Resolves once everything up to a position is done, by whatever process.
   * @throws GameError VIEW_BEHIND when it is not in time
   */
  async caughtUp(position: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (this.#phase === 'following') {
        if (this.#at! >= position) return;
      } else {
        const stored = await this.#options.store.checkpoint(this.name);
        if (stored.version === this.#options.version && stored.position >= position) return;
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        const facts = { name: this.name, wanted: position, position: this.#at ?? null };
        throw new GameError('VIEW_BEHIND', { ...facts, reason: this.#error?.message.slice(0, 200) ?? null });
      }
      await this.#moved(this.#phase === 'following' ? leftMs : Math.min(leftMs, ASK_EVERY_MS));
    }
  }

  /** Resolves when it got further, changed its phase, or the time is up. */
  #moved(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiters.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiters]) done();
  }

  #enter(phase: FollowerPhase, error?: Error): void {
    const isNew = phase !== this.#phase || error?.message !== this.#error?.message;
    this.#phase = phase;
    this.#error = error;
    this.#wake();
    if (isNew) this.#options.onChange?.(this.reading);
  }

  async #run(): Promise<void> {
    const { store, retryMaxMs = RETRY_MAX_MS } = this.#options;
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        await store.whileHolding(this.name, signal, (lost) => this.#follow(AbortSignal.any([signal, lost])));
        if (!signal.aborted) this.#enter('waiting');
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof GameError && error.code === 'CHECKPOINT_MOVED') {
          this.#fenced++;
          this.#enter('waiting');
        } else {
          this.#failures++;
          this.#enter('stopped', error instanceof Error ? error : new Error(String(error)));
        }
        const pauseMs = Math.min(retryMaxMs, RETRY_FIRST_MS * 2 ** Math.min(20, this.#failuresInRow++));
        await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
    this.#enter('waiting');
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { log, tail, store, work, tables = [] } = this.#options;
    await this.#settle();
    while (!signal.aborted) {
      if (this.#at! > tail.head && this.#at! > (await log.head())) {
        throw new GameError('CHECKPOINT_AHEAD', { name: this.name, position: this.#at, head: await log.head() });
      }
      if (this.#phase !== 'following') this.#enter('following');
      try {
        if (this.#at! < tail.head) await this.#catchUp(tail.head, signal);
        else await tail.beyond(this.#at!, this.#stored < this.#at! ? PASS_EVERY_MS : LOOK_EVERY_MS, signal);
        if (this.#stored < this.#at! && performance.now() - this.#storedAtMs >= PASS_EVERY_MS) await this.#pass(signal);
        if (signal.aborted || performance.now() - this.#lookedAtMs < LOOK_EVERY_MS) continue;
        this.#lookedAtMs = performance.now();
        const stored = await store.checkpoint(this.name);
        if (stored.position !== this.#stored || stored.version !== this.#options.version) await this.#settle();
        await work.idle?.(signal);
      } catch (error) {
        if (!(error instanceof GameError) || error.code !== 'VIEW_MISSING') throw error;
        if ((await store.restoreTables(tables)).length === 0) throw error;
        await this.#rebuild();
      }
    }
    if (this.#stored < this.#at! && this.#end.signal.aborted) await this.#pass(this.#end.signal);
  }

  /** Goes to where the checkpoint stands; begins anew if that is of another version. */
  async #settle(): Promise<void> {
    const { store, version } = this.#options;
    const stored = await store.checkpoint(this.name);
    if (stored.version === version) this.#stand(stored.position);
    else await this.#rebuild();
  }

  async #rebuild(): Promise<void> {
    const { store, work, tables = [] } = this.#options;
    const { position } = await store.checkpoint(this.name);
    try {
      await work.reset(position);
    } catch (error) {
      if (!(error instanceof GameError) || error.code !== 'VIEW_MISSING') throw error;
      if ((await store.restoreTables(tables)).length === 0) throw error;
      await work.reset(position);
    }
    this.#rebuilds++;
    this.#lastRecordedAtMs = undefined;
    this.#stand(0);
  }

  #stand(position: number): void {
    this.#at = position;
    this.#stored = position;
    this.#wake();
  }

  async #pass(signal: AbortSignal): Promise<void> {
    this.#stored = await this.#options.work.handle([], this.#stored, this.#at!, signal);
    this.#storedAtMs = performance.now();
  }

  /** Handles everything up to `head`, which is durable, and maybe more. */
  async #catchUp(head: number, signal: AbortSignal): Promise<void> {
    const { log, types } = this.#options;
    const pauseMs = PAGE_EVERY_MS - (performance.now() - this.#pageBeganAtMs);
    if (pauseMs > 1) await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    this.#pageBeganAtMs = performance.now();
    let isAgain = true;
    while (isAgain && !signal.aborted) {
      isAgain = false;
      const pageMax = this.#pageMax;
      const options = types === undefined ? { pageMax } : { types, pageMax };
      const pages = log.readAll(this.#at!, options)[Symbol.asyncIterator]();
      // While a page is handled the next one is read.
      let reading = pages.next();
      try {
        for (;;) {
          const { value: events, done } = await reading;
          if (done || signal.aborted) break;
          const isFull = events.length >= pageMax;
          if (isFull) {
            reading = pages.next();
            reading.catch(() => undefined);
          }
          await this.#handle(events, signal);
          if (!isFull && this.#at! >= head) break;
          if (this.#pageMax !== pageMax) {
            isAgain = true;
            break;
          }
          if (!isFull) reading = pages.next();
        }
      } catch (error) {
        if (!isReadFault(error) || pageMax === 1) throw error;
        // Somewhere in this page is an event that cannot be read: go up to it.
        this.#cautious = pageMax;
        this.#pageMax = Math.max(1, Math.floor(pageMax / 8));
        isAgain = true;
      } finally {
        // A page that was read ahead is nobody's now; what it fails with comes again with the next one.
        await reading.catch(() => undefined);
        await pages.return?.();
      }
    }
    if (signal.aborted) return;
    // All of our types up to `head` were read; what else is there is for others.
    if (this.#at! < head) this.#at = head;
    this.#failuresInRow = 0;
    this.#wake();
  }

  async #handle(events: readonly StoredEvent[], signal: AbortSignal): Promise<void> {
    const last = events.at(-1);
    if (last === undefined) return;
    const beganAtMs = performance.now();
    const reached = await this.#options.work.handle(events, this.#stored, last.position, signal);
    this.#storedAtMs = performance.now();
    this.#stand(reached);
    this.#failuresInRow = 0;
    this.#handled += events.length;
    this.#pages++;
    this.#lastRecordedAtMs = last.recordedAtMs;
    this.#cautious = Math.max(0, this.#cautious - events.length);
    const tookMs = performance.now() - beganAtMs;
    if (tookMs > PAGE_SLOW_MS) this.#pageMax = Math.max(1, this.#pageMax >> 1);
    else if (tookMs < PAGE_FAST_MS && this.#cautious === 0 && events.length >= this.#pageMax) {
      this.#pageMax = Math.min(this.#pageLimit, this.#pageMax * 2);
    }
  }
}

/** Whether an event, not the store, is why nothing was read. */
function isReadFault(error: unknown): boolean {
  return error instanceof GameError && (error.code.startsWith('EVENT_') || error.code === 'LOG_GAP');
}
