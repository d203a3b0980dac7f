/**
 * Events for other processes. The log is the truth; the bus delivers copies of it, later if it must, never less. This
 * file is the port; its rules are test/contract/event-bus.contract.ts.
 */
import type { StoredEvent } from './event-log.ts';

export interface Delivery {
  readonly event: StoredEvent;
  /** 1 the first time, and again the first time after a parked event was sent back. */
  readonly attempt: number;
}

export interface ConsumeOptions {
  /** Kebab-case, at most 64 characters, unique; the bus remembers under it what was handled. */
  readonly name: string;
  /** At least one. */
  readonly types: readonly string[];
  /** Tries before an event is parked, 1 to 100. Default 5. */
  readonly attemptsMax?: number;
  /**
   * Resolved: handled. Rejected: delivered again, after a while. A store that does not answer is no try: such an event
   * is delivered until it is there again.
   */
  readonly handle: (delivery: Delivery) => Promise<void>;
}

/** An event that a consumer failed on too often; the consumer has gone on without it. */
export interface ParkedEvent {
  /** `bus/NAME` of a consumer of the bus, `reactor/NAME` of a reactor. */
  readonly consumer: string;
  readonly event: StoredEvent;
  readonly attempts: number;
  /** What it failed with, the last time; at most 1,000 characters. */
  readonly reason: string;
  readonly parkedAtMs: number;
  /** A person has sent it back to its consumer, which has not handled it yet. */
  readonly isReplaying: boolean;
}

export interface EventBus {
  /**
   * Delivers every event of the types, at least once, in order but for those tried again, from the first event of the
   * log on. Several processes may consume under one name: they share the work, or one works and another takes over.
   * Returns what ends it, which waits for the handling under way.
   * @throws RangeError for options out of range, or a name that this bus object consumes already
   */
  consume(options: ConsumeOptions): Promise<() => Promise<void>>;
  /** Ends everything. */
  close(): Promise<void>;
}

/** Where parked events wait for a person. */
export interface ParkedEvents {
  /** Parks an event, or parks it once more after a replay that failed. */
  park(parked: Omit<ParkedEvent, 'isReplaying'>): Promise<void>;
  /** Oldest position first, at most 1,000. */
  list(consumer?: string): Promise<readonly ParkedEvent[]>;
  get(consumer: string, position: number): Promise<ParkedEvent | undefined>;
  /** @returns whether it was there */
  remove(consumer: string, position: number): Promise<boolean>;
  /** Sends it back to its consumer, which takes it up in a second or two, in whatever process. @returns whether it was there */
  replay(consumer: string, position: number): Promise<boolean>;
  /** What was sent back to a consumer, oldest position first, at most 100. */
  replays(consumer: string): Promise<readonly ParkedEvent[]>;
  /** How many wait, by consumer. */
  counts(): Promise<ReadonlyMap<string, number>>;
}

/** Names of consumers, views and reactors. */
export const BUS_NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;

/** Characters of a name. */
export const BUS_NAME_CHARS_MAX = 64;

/** @throws RangeError if options of {@link EventBus.consume} are out of range */
export function checkConsumeOptions({ name, types, attemptsMax = 1 }: ConsumeOptions): void {
  if (!BUS_NAME.test(name) || name.length > BUS_NAME_CHARS_MAX)
    throw new RangeError(`${name} is no name of a consumer`);
  if (types.length === 0) throw new RangeError(`${name} wants no types`);
  if (!Number.isInteger(attemptsMax) || attemptsMax < 1 || attemptsMax > 100) {
    throw new RangeError(`${name}: attemptsMax ${attemptsMax} is not 1 to 100`);
  }
}
