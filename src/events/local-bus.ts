/**
 * The bus of a program without NATS: consumers follow the log itself. What was handled is remembered where views keep
 * their checkpoints, so it survives a restart; of several processes that consume under one name one works and another
 * takes over.
 */
import { type ConsumeOptions, checkConsumeOptions, type EventBus, type ParkedEvents } from './event-bus.ts';
import type { EventLog, StoredEvent } from './event-log.ts';
import type { FollowerReading } from './follower.ts';
import { LogTail } from './log-tail.ts';
import type { ViewStore } from './projection.ts';
import { ReactorLoop, type ReactorReading } from './reactor-loop.ts';

export interface LocalBusOptions {
  readonly log: EventLog;
  readonly store: ViewStore<unknown>;
  readonly parked: ParkedEvents;
  readonly tail?: LogTail;
  /** Pause before the second try, ms. Default 100; it doubles up to `retryMaxMs`, default 5,000. */
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  readonly onChange?: (reading: FollowerReading) => void;
  readonly onParked?: (consumer: string, event: StoredEvent, reason: string) => void;
}

/** Name of checkpoint, lock and parked events of a consumer. */
export function consumerKey(name: string): string {
  return `bus/${name}`;
}

export class LocalBus implements EventBus {
  readonly #options: LocalBusOptions;
  readonly #tail: LogTail;
  readonly #ownsTail: boolean;
  readonly #loops = new Map<string, ReactorLoop>();

  constructor(options: LocalBusOptions) {
    this.#options = options;
    this.#tail = options.tail ?? new LogTail(options.log);
    this.#ownsTail = options.tail === undefined;
  }

  async consume(options: ConsumeOptions): Promise<() => Promise<void>> {
    checkConsumeOptions(options);
    const { name, types, attemptsMax, handle } = options;
    if (this.#loops.has(name)) throw new RangeError(`${name} consumes already`);
    if (this.#ownsTail) this.#tail.start();
    const loop = new ReactorLoop({
      ...this.#options,
      name: consumerKey(name),
      types,
      handle,
      tail: this.#tail,
      ...(attemptsMax === undefined ? {} : { attemptsMax }),
    });
    this.#loops.set(name, loop);
    loop.start();
    return async () => {
      await loop.stop();
      if (this.#loops.get(name) === loop) this.#loops.delete(name);
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#loops.values()].map((loop) => loop.stop()));
    this.#loops.clear();
    if (this.#ownsTail) await this.#tail.stop();
  }

  get readings(): readonly ReactorReading[] {
    return [...this.#loops.values()].map((loop) => loop.reading);
  }
}
