/** What is asked of the view `economy`. The port; src/adapters/postgres-economy-view.ts folds and answers it. */
import type { LedgerSnapshot } from './ledger-state.ts';
import type { Trade } from './trade.ts';

/** One event as one account has it in its history. */
export interface HistoryEntry {
  /** Place in the log: orders the history and names the next page. */
  readonly position: number;
  readonly atMs: number;
  readonly type: string;
  readonly reason: string;
  readonly cause: string;
  /** What it gained and lost; a unique item by its id, as 1 or -1. */
  readonly changes: readonly { readonly asset: string; readonly deltaMinor: number }[];
}

/** One link of the chain of owners. */
export interface Ownership {
  readonly position: number;
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

export interface Provenance {
  readonly itemId: string;
  readonly kind: string;
  /** An account. */
  readonly owner: string;
  /** Oldest first; begins at `mint`. The newest 1,000. */
  readonly owners: readonly Ownership[];
}

export interface LedgerReader {
  /** Everything, at one place of the stream. @throws GameError DATABASE_UNAVAILABLE, OVERLOADED */
  snapshot(): Promise<LedgerSnapshot>;
  /** Newest first, those before a position, at most `limit` events. @throws as {@link snapshot} */
  history(account: string, before: number, limit: number): Promise<readonly HistoryEntry[]>;
  /** @throws as {@link snapshot} */
  provenance(itemId: string): Promise<Provenance | undefined>;
  /** As it ended: a ledger knows the last ones that itself saw closing, and not those before its start. @throws as {@link snapshot} */
  closedTrade(tradeId: string): Promise<Trade | undefined>;
}
