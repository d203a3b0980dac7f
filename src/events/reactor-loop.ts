/**
 * Hands events to somebody who acts on them: at least once each, in order. One that fails is tried again, ever more
 * slowly; after too many tries it is parked for a person to look at, and the next one follows. Behind reactors and the
 * local bus.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type ErrorCode, GameError } from '../kernel/errors.ts';
import type { Delivery, ParkedEvents } from './event-bus.ts';
import type { EventLog, StoredEvent } from './event-log.ts';
import { Follower, type FollowerReading } from './follower.ts';
import type { LogTail } from './log-tail.ts';
import type { ViewStore } from './projection.ts';

/** Tries before an event is parked. */
export const ATTEMPTS_MAX = 5;
/** Pause before the second try, ms; it doubles, up to the most. */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Events of a page. A crash repeats at most so many. */
const PAGE_MAX = 256;
/** Within a page the checkpoint is stored this often, ms. */
const STORE_EVERY_MS = 250;
/** Characters of a reason that are kept. */
const REASON_CHARS_MAX = 1_000;

/** Codes that say that a store is not there: waiting helps, trying something else does not. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'DATABASE_UNAVAILABLE',
  'STORE_UNAVAILABLE',
  'BUS_UNAVAILABLE',
  'OVERLOADED',
]);

/** Whether a failure says nothing about the event, as a store behind it was not there. */
export function isOutage(error: unknown): boolean {
  return error instanceof GameError && OUTAGES.has(error.code);
}

/** What a parked event says of its failure. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, REASON_CHARS_MAX);
}

export interface ReactorLoopOptions {
  /** Of checkpoint, lock and parked events: `reactor/NAME` or `bus/NAME`. */
  readonly name: string;
  readonly types: readonly string[];
  readonly handle: (delivery: Delivery) => Promise<void>;
  readonly log: EventLog;
  readonly tail: LogTail;
  readonly store: ViewStore<unknown>;
  readonly parked: ParkedEvents;
  readonly attemptsMax?: number;
  /** Pause before the second try of an event, ms. Default 100; it doubles up to 5,000. */
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  readonly onChange?: (reading: FollowerReading) => void;
  readonly onParked?: (consumer: string, event: StoredEvent, reason: string) => void;
}

export interface ReactorReading extends FollowerReading {
  /** Tries that failed, and events parked, since the start of this process. */
  readonly failedTriesTotal: number;
  readonly parkedTotal: number;
}

export class ReactorLoop {
  readonly #options: ReactorLoopOptions;
  readonly #follower: Follower;
  #failedTries = 0;
  #parkedCount = 0;

  constructor(options: ReactorLoopOptions) {
    const { name, types, log, tail, store, onChange, retryMaxMs } = options;
    this.#options = options;
    this.#follower = new Follower({
      name,
      version: 1,
      types,
      log,
      tail,
      store,
      pageMax: PAGE_MAX,
      work: {
        handle: (events, from, to, signal) => this.#handle(events, from, to, signal),
        // To begin anew is to be handed everything again, which it has to stand; there is nothing to delete.
        reset: (from) => this.#store(from, 0),
        idle: (signal) => this.#replay(signal),
      },
      ...(onChange === undefined ? {} : { onChange }),
      ...(retryMaxMs === undefined ? {} : { retryMaxMs }),
    });
  }

  start(): void {
    this.#follower.start();
  }

  /** Ends it after the event at hand. */
  stop(): Promise<void> {
    return this.#follower.stop();
  }

  get reading(): ReactorReading {
    return { ...this.#follower.reading, failedTriesTotal: this.#failedTries, parkedTotal: this.#parkedCount };
  }

  /** @throws GameError VIEW_BEHIND when not everything up to there is handled (or parked) in time */
  caughtUp(position: number, timeoutMs: number): Promise<void> {
    return this.#follower.caughtUp(position, timeoutMs);
  }

  #store(from: number, to: number): Promise<void> {
    const { store, name } = this.#options;
    return store.advance(name, from, { position: to, version: 1 }, async () => undefined);
  }

  async #handle(events: readonly StoredEvent[], from: number, to: number, signal: AbortSignal): Promise<number> {
    let stored = from;
    let done = from;
    let storedAtMs = performance.now();
    for (const event of events) {
      if (!(await this.#deliver(event, signal))) {
        if (done > stored) await this.#store(stored, done);
        return done;
      }
      done = event.position;
      if (performance.now() - storedAtMs < STORE_EVERY_MS || done === to) continue;
      await this.#store(stored, done);
      stored = done;
      storedAtMs = performance.now();
    }
    await this.#store(stored, to);
    return to;
  }

  /** Tries an event until it is handled or parked. @returns whether it was, before `signal` aborted */
  async #deliver(event: StoredEvent, signal: AbortSignal): Promise<boolean> {
    const { handle, attemptsMax = ATTEMPTS_MAX, retryFirstMs = RETRY_FIRST_MS } = this.#options;
    const { retryMaxMs = RETRY_MAX_MS } = this.#options;
    let attempt = 1;
    for (let pauseMs = retryFirstMs; !signal.aborted; pauseMs = Math.min(retryMaxMs, pauseMs * 2)) {
      try {
        await handle({ event, attempt });
        return true;
      } catch (error) {
        if (!isOutage(error)) {
          this.#failedTries++;
          if (attempt >= attemptsMax) {
            await this.#park(event, attempt, error);
            return true;
          }
          attempt++;
        }
      }
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  async #park(event: StoredEvent, attempts: number, error: unknown): Promise<void> {
    const { parked, name: consumer, onParked } = this.#options;
    const reason = reasonOf(error);
    await parked.park({ consumer, event, attempts, reason, parkedAtMs: Date.now() });
    this.#parkedCount++;
    onParked?.(consumer, event, reason);
  }

  /** Takes up what a person has sent back. */
  async #replay(signal: AbortSignal): Promise<void> {
    const { parked, name, handle, log } = this.#options;
    await replayParked({
      parked,
      log,
      consumer: name,
      signal,
      handle: (event, attempt) => handle({ event, attempt }),
      attemptsMax: this.#options.attemptsMax ?? ATTEMPTS_MAX,
      onFailed: () => this.#failedTries++,
    });
  }
}

export interface ReplayOptions {
  readonly parked: ParkedEvents;
  readonly log: EventLog;
  readonly consumer: string;
  readonly attemptsMax: number;
  readonly signal: AbortSignal;
  readonly handle: (event: StoredEvent, attempt: number) => Promise<void>;
  readonly onFailed: () => void;
}

/** Hands a consumer what was sent back to it, each as often as any other event; what still fails is parked again. */
export async function replayParked(options: ReplayOptions): Promise<void> {
  const { parked, log, consumer, attemptsMax, signal, handle, onFailed } = options;
  for (const { event } of await parked.replays(consumer)) {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        // As the log has it: it may have been repaired, or be read by a newer program than the one that parked it.
        await handle((await eventAt(log, event.position)) ?? event, attempt);
        await parked.remove(consumer, event.position);
        break;
      } catch (error) {
        // It stays marked and is taken up again when the store is back.
        if (isOutage(error)) return;
        onFailed();
        if (attempt < attemptsMax) continue;
        await parked.park({ consumer, event, attempts: attempt, reason: reasonOf(error), parkedAtMs: Date.now() });
        break;
      }
    }
  }
}

/** The event at a position. @throws what reading throws */
export async function eventAt(log: Pick<EventLog, 'readAll'>, position: number): Promise<StoredEvent | undefined> {
  for await (const page of log.readAll(position - 1, { pageMax: 1 })) return page[0];
  return undefined;
}
