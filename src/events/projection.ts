/**
 * Views: what the log amounts to, kept ready for questions. A view is a fold of the log and nothing else, so it can be
 * deleted and built again. This file is what a view has to be; `projector.ts` runs it.
 */
import type { StoredEvent } from './event-log.ts';

/**
 * A fold of the log into tables (or whatever `Tx` writes to). The fold sees every event of its types exactly once, in
 * order: its writes and its checkpoint are one transaction.
 */
export interface Projection<Tx> {
  /** Kebab-case; names the checkpoint and `npm run views -- rebuild NAME`. */
  readonly name: string;
  /** Raised when the fold or its tables change: the view is then rebuilt at start. */
  readonly version: number;
  /** Types that the fold wants; all others are skipped. */
  readonly types: readonly string[];
  /** Folds one page of events, oldest first. Throws only for a bug or a fault of the store: the page is then tried again. */
  fold(tx: Tx, events: readonly StoredEvent[]): Promise<void>;
  /** Deletes everything that was folded. */
  reset(tx: Tx): Promise<void>;
}

/**
 * Something that acts on events, at least once each, in order: it issues commands, whose idempotency keys come from
 * the event, so that what it does happens once.
 */
export interface Reactor {
  readonly name: string;
  readonly types: readonly string[];
  /** Resolves when it is done for good. Rejected, it is called again; after too many times the event is parked. */
  react(event: StoredEvent): Promise<void>;
}

/** Where checkpoints and views are kept. */
export interface ViewStore<Tx> {
  /**
   * Runs `work` while this process alone holds the name; waits until that is so or `signal` aborts. The lock falls to
   * another process as soon as this one ends or loses its connection; `lost` then aborts.
   */
  whileHolding(name: string, signal: AbortSignal, work: (lost: AbortSignal) => Promise<void>): Promise<void>;
  /** Where a name stands; position 0 and version 0 for one that never ran. */
  checkpoint(name: string): Promise<{ readonly position: number; readonly version: number }>;
  /**
   * One transaction: `work`, and the checkpoint moved from `from` to `to`.
   * @throws GameError CHECKPOINT_MOVED if it does not stand at `from`: somebody else works on it
   */
  advance(
    name: string,
    from: number,
    to: { readonly position: number; readonly version: number },
    work: (tx: Tx) => Promise<void>,
  ): Promise<void>;
}
