/**
 * What tickets, matches and parties are kept in: named texts and sorted sets that change together or not at all, and
 * forget themselves. The port; its rules are test/contract/ticket-store.contract.ts, which every adapter runs. What the
 * texts mean is the ticket store's business (ticket-store.ts), written once over this.
 */

/** A change of several cells, made as one or not at all. */
export interface CellChange {
  /** What each of these cells must hold (undefined: nothing) for the change to be made. */
  readonly expect: ReadonlyMap<string, string | undefined>;
  /** Made only while this is the newest lease of the pool. */
  readonly fence?: { readonly pool: string; readonly fence: number };
  readonly write: readonly { readonly name: string; readonly text: string; readonly lifeMs: number }[];
  readonly remove: readonly string[];
  /** Puts members into sorted sets, or elsewhere in them; a set forgets itself `lifeMs` after the last of these. */
  readonly place: readonly {
    readonly set: string;
    readonly member: string;
    readonly score: number;
    readonly lifeMs: number;
  }[];
  readonly take: readonly { readonly set: string; readonly member: string }[];
  /** Told to every process once the change is made. */
  readonly tell: readonly string[];
}

/** `conflict`: another change was first. `fenced`: a newer lease of the pool exists. Nothing is changed by either. */
export type CommitOutcome = 'done' | 'conflict' | 'fenced';

export interface Lease {
  /** Grows with every holder, also over a loss of the store; changes made under another one are refused. */
  readonly fence: number;
  /** True for the first answer under this fence. */
  readonly isNew: boolean;
}

export interface TicketCells {
  /** Milliseconds by the one clock of the store, as far as a round trip tells. */
  nowMs(): number;
  /** What the cells hold, in the same order. @throws GameError STORE_UNAVAILABLE, OVERLOADED */
  read(names: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** Members by ascending score, those of one score by name; at most `limit`, none above `scoreMax`. @throws as {@link read} */
  members(set: string, limit: number, scoreMax?: number): Promise<readonly string[]>;
  /** How many members there are, and how many come before this one; undefined if it is not there. @throws as {@link read} */
  rank(set: string, member: string): Promise<{ readonly size: number; readonly before: number | undefined }>;
  /** @throws as {@link read}: then it is not known whether the change was made */
  commit(change: CellChange): Promise<CommitOutcome>;
  /**
   * Takes or keeps the lease of a pool for so long; undefined while somebody else has it.
   * @throws as {@link read}
   */
  lease(pool: string, holder: string, lifeMs: number): Promise<Lease | undefined>;
  /** Lets go of a lease that is held, so that nobody has to wait for its end. @throws as {@link read} */
  yieldLease(pool: string, holder: string): Promise<void>;
  /**
   * Calls back with everything that is told, from now on; with undefined when something may have been missed. Returns
   * what ends it.
   */
  onTold(listener: (topic: string | undefined) => void): () => void;
  close(): Promise<void>;
}
