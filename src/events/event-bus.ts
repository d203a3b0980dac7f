/**
 * Events for other processes. The log is the truth; the bus delivers copies of it, later if it must, never less. This
 * file is the port; its rules are test/contract/event-bus.contract.ts.
 */
import type { StoredEvent } from './event-log.ts';

export interface Delivery {
  readonly event: StoredEvent;
  /** 1 the first time. */
  readonly attempt: number;
}

export interface ConsumeOptions {
  /** Kebab-case, unique; the bus remembers under it what was handled. */
  readonly name: string;
  readonly types: readonly string[];
  /** Tries before an event is parked. Default 5. */
  readonly attemptsMax?: number;
  /** Resolved: handled. Rejected: delivered again, after a while. */
  readonly handle: (delivery: Delivery) => Promise<void>;
}

/** An event that a consumer failed on too often; the consumer has gone on without it. */
export interface ParkedEvent {
  readonly consumer: string;
  readonly event: StoredEvent;
  readonly attempts: number;
  /** What it failed with, the last time. */
  readonly reason: string;
  readonly parkedAtMs: number;
}

export interface EventBus {
  /**
   * Delivers every event of the types, at least once, in order but for those tried again, from the first event of the
   * log on. Several processes may consume under one name and share the work. Returns what ends it; resolves once
   * running.
   */
  consume(options: ConsumeOptions): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** Where parked events wait for a person. */
export interface ParkedEvents {
  park(parked: ParkedEvent): Promise<void>;
  /** Oldest first, at most 1,000. */
  list(consumer?: string): Promise<readonly ParkedEvent[]>;
  get(consumer: string, position: number): Promise<ParkedEvent | undefined>;
  /** @returns whether it was there */
  remove(consumer: string, position: number): Promise<boolean>;
}
