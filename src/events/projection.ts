/**
 * Views: what the log amounts to, kept ready for questions. A view is a fold of the log and nothing else, so it can be
 * deleted and built again. This file is what a view has to be, and the port that keeps it (its rules are
 * test/contract/view-store.contract.ts); `projector.ts` runs it.
 */
import type { StoredEvent } from './event-log.ts';

/**
 * A fold of the log into tables (or whatever `Tx` writes to). The fold sees every event of its types exactly once, in
 * order: its writes and its checkpoint are one transaction.
 */
export interface Projection<Tx> {
  /** Kebab-case; names the checkpoint and `npm run views -- rebuild NAME`. */
  readonly name: string;
  /** From 1; raised when the fold or its tables change: the view is then rebuilt at start. */
  readonly version: number;
  /** Types that the fold wants; all others are skipped. */
  readonly types: readonly string[];
  /** Folds one page of events, oldest first. Throws only for a bug or a fault of the store: the page is then tried again. */
  fold(tx: Tx, events: readonly StoredEvent[]): Promise<void>;
  /** Deletes everything that was folded. */
  reset(tx: Tx): Promise<void>;
  /** Tables that hold nothing but this fold. When somebody dropped one, it is made again and the view rebuilt. */
  readonly tables?: readonly string[];
}

/**
 * Something that acts on events, at least once each, in order: it issues commands, whose idempotency keys come from
 * the event, so that what it does happens once.
 */
export interface Reactor {
  /** Kebab-case. Its parked events are those of consumer `reactor/NAME`. */
  readonly name: string;
  readonly types: readonly string[];
  /**
   * Resolves when it is done for good. Rejected, it is called again; after too many times the event is parked. A store
   * that does not answer (see {@link isOutage}) is waited for, however long.
   */
  react(event: StoredEvent): Promise<void>;
}

/** Where a name stands in the log: it has dealt with everything up to that position. */
export interface Checkpoint {
  readonly position: number;
  /** Of the fold that got there; 0 when it never ran or was told to begin again. */
  readonly version: number;
}

export interface NamedCheckpoint extends Checkpoint {
  readonly name: string;
  readonly movedAtMs: number;
}

/** Where checkpoints and views are kept. */
export interface ViewStore<Tx> {
  /**
   * Runs `work` while this process alone holds the name; waits until that is so or `signal` aborts. The lock falls to
   * another process as soon as this one ends or loses its connection; `lost` then aborts. `work` has to end soon after
   * `lost` or `signal` has.
   * @throws what `work` throws
   */
  whileHolding(name: string, signal: AbortSignal, work: (lost: AbortSignal) => Promise<void>): Promise<void>;
  /** Where a name stands; position 0 and version 0 for one that never ran. */
  checkpoint(name: string): Promise<Checkpoint>;
  /** Everyone who ever ran, by name. */
  checkpoints(): Promise<readonly NamedCheckpoint[]>;
  /**
   * One transaction: `work`, and the checkpoint moved from `from` to `to`. It may be lost when the store's machine dies
   * just then, but only both together, and what they held is in the log.
   * @throws GameError CHECKPOINT_MOVED if it does not stand at `from`: somebody else works on it
   * @throws GameError VIEW_MISSING if a table that `work` uses is not there
   */
  advance(name: string, from: number, to: Checkpoint, work: (tx: Tx) => Promise<void>): Promise<void>;
  /**
   * Makes a name begin again, at position 0 and version 0: whoever works on it is fenced off (CHECKPOINT_MOVED), finds
   * the version changed and builds its view anew.
   */
  forget(name: string): Promise<void>;
  /** Makes those of the tables that were dropped again, empty. @returns their names */
  restoreTables(tables: readonly string[]): Promise<readonly string[]>;
}
