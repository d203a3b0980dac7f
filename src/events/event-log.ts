/**
 * The log of what happened: the only truth outside of matches. This file is the port; its rules are
 * test/contract/event-log.contract.ts, which every adapter runs.
 */
import type { NewEvent } from './event.ts';

/** Bounds of one append; above: RangeError, as they are ours to keep. */
export const LOG_LIMITS = Object.freeze({
  streamCharsMax: 128,
  keyCharsMax: 200,
  eventsPerAppendMax: 256,
  /** JSON of one payload, bytes. */
  payloadBytesMax: 64 * 1024,
});

/** All or nothing: what one command did. */
export interface Append {
  /** `area/id`, such as `account/a-…`. */
  readonly stream: string;
  /** Length of the stream as the caller last saw it; 0 for a new one; `any` when the order does not matter. */
  readonly expected: number | 'any';
  readonly events: readonly NewEvent[];
  /**
   * Idempotency key of the command, unique over the whole log. A repeat appends nothing and is answered with what
   * the first one appended, whatever was expected.
   */
  readonly key?: string;
  /** What the command asked for, such as a hash of it; a repeat of the key with another one is refused. */
  readonly fingerprint?: string;
  /** For one who appends before earlier appends have resolved, and builds on them. */
  readonly chain?: AppendChain;
}

/**
 * Appends that build on one another, by one log object. Once one of them is refused, fails or turns out to be a repeat,
 * the log breaks the chain, and those that were handed in after it are refused with LOG_CONFLICT, even if the length that
 * they expect came about meanwhile through somebody else.
 */
export class AppendChain {
  isBroken = false;
}

/** An event as the log has it. Its payload is in the newest shape of its definition. */
export interface StoredEvent<Payload = unknown> {
  /** Place in the log over all streams: 1, 2, 3, … without gaps, in the order in which they became durable. */
  readonly position: number;
  readonly stream: string;
  /** Place in its stream, from 1, without gaps. */
  readonly seq: number;
  readonly type: string;
  /** Version it was written with. */
  readonly version: number;
  readonly payload: Payload;
  readonly key: string | undefined;
  /** Wall clock when it was appended, ms since 1970; never smaller than that of the position before. */
  readonly recordedAtMs: number;
}

export interface Appended {
  /** Length of the stream after it. */
  readonly length: number;
  /** Position of the last event of it. */
  readonly position: number;
  /** True when the key was known: `events` are those of the first time. */
  readonly isRepeat: boolean;
  readonly events: readonly StoredEvent[];
}

export interface EventLog {
  /**
   * Appends all events or none; resolves once they are durable. Many callers share one transaction. Calls on one
   * stream that are made one after another are appended in that order, also when none of them has resolved yet, so a
   * caller may expect what its own earlier calls will have made of the stream.
   * @throws GameError LOG_CONFLICT (`detail.length` is the present one) if another writer got there first
   * @throws GameError KEY_REUSED if the key stands for another command
   * @throws GameError DATABASE_UNAVAILABLE; whether it was appended is then unknown, and repeating it with its key is safe
   * @throws GameError EVENT_UNKNOWN; TypeError for a payload that does not fit; RangeError past {@link LOG_LIMITS}
   */
  append(append: Append): Promise<Appended>;
  /**
   * What a command with this key appended, oldest first; empty when there was none.
   * @throws GameError DATABASE_UNAVAILABLE and what reading throws
   */
  findKey(key: string): Promise<readonly StoredEvent[]>;
  /**
   * Events of one stream with `seq > after`, oldest first.
   * @throws GameError EVENT_CORRUPT, EVENT_UNKNOWN, EVENT_VERSION, DATABASE_UNAVAILABLE
   */
  read(stream: string, after?: number): AsyncIterable<StoredEvent>;
  /**
   * Events of all streams with `position > after`, oldest first, up to what is durable now, in pages. Never skips one
   * that becomes durable later.
   * @throws as {@link read}; LOG_GAP if a position is missing
   */
  readAll(after: number, options?: ReadAllOptions): AsyncIterable<readonly StoredEvent[]>;
  /** Position of the newest durable event; 0 for an empty log. */
  head(): Promise<number>;
  /**
   * Calls back, soon, after anything was appended by any process, and at least every second; for those who follow the
   * log. Returns what ends it.
   */
  watch(onAppended: () => void): () => void;
}

export interface ReadAllOptions {
  /** Only these types; positions between are then not checked for gaps. */
  readonly types?: readonly string[];
  /** Events of one page, 1 to 10,000. Default 1,000. */
  readonly pageMax?: number;
}
