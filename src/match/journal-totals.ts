/** Counters of all journals of a process, for metrics to pull. */

/** A reading of {@link JournalTotals}; `Total` members only grow. */
export interface JournalReading {
  /** Durable bytes, framing included. */
  readonly bytesTotal: number;
  /** Durable records. */
  readonly recordsTotal: number;
  /** Group commits, each one write and one wait for the disk for all matches together. */
  readonly commitsTotal: number;
  /** Matches whose recording was refused or broke off; they went on unrecorded. Fencing is not counted. */
  readonly failuresTotal: number;
  /** Matches that became replay files. */
  readonly archivedTotal: number;
  /** Matches whose replay file could not be written; their journals were kept. */
  readonly archiveFailuresTotal: number;
  /** Age of the oldest record that is not durable yet, seconds; 0 when all are. */
  readonly lagSeconds: number;
  /** What waits for the store, bytes. */
  readonly bufferedBytes: number;
  /** Writers refused because a newer owner of their match exists. */
  readonly fencedTotal: number;
  /** Matches written again because the store had lost them, in part or wholly. */
  readonly rewrittenTotal: number;
  /** Matches that could not be written again, as not all of them is kept here: too long, or taken over a moment ago. */
  readonly unkept: number;
  /** From handing a group commit to the store until it was acknowledged. `counts` is one longer than `bounds`. */
  readonly ackSeconds: { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number };
}

/** Upper bounds of the histogram of acknowledgements, seconds; one more bucket is above. */
export const ACK_BOUNDS_SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5] as const;

/** One per process: its journal counts what is written, its rooms what becomes of matches. */
export class JournalTotals {
  bytes = 0;
  records = 0;
  commits = 0;
  failures = 0;
  archived = 0;
  archiveFailures = 0;
  fenced = 0;
  rewritten = 0;
  unkept = 0;
  bufferedBytes = 0;
  readonly #ackCounts: number[] = new Array(ACK_BOUNDS_SECONDS.length + 1).fill(0);
  #ackSumSeconds = 0;
  /** When the oldest record that is not durable was appended, `performance.now()`; absent when all are. */
  oldestPendingAtMs: number | undefined;

  observeAck(ms: number): void {
    const seconds = ms / 1000;
    let bucket = 0;
    while (bucket < ACK_BOUNDS_SECONDS.length && seconds > ACK_BOUNDS_SECONDS[bucket]!) bucket++;
    this.#ackCounts[bucket]!++;
    this.#ackSumSeconds += seconds;
  }

  collect(): JournalReading {
    return {
      bytesTotal: this.bytes,
      recordsTotal: this.records,
      commitsTotal: this.commits,
      failuresTotal: this.failures,
      archivedTotal: this.archived,
      archiveFailuresTotal: this.archiveFailures,
      lagSeconds: this.oldestPendingAtMs === undefined ? 0 : (performance.now() - this.oldestPendingAtMs) / 1000,
      bufferedBytes: this.bufferedBytes,
      fencedTotal: this.fenced,
      rewrittenTotal: this.rewritten,
      unkept: this.unkept,
      ackSeconds: { bounds: ACK_BOUNDS_SECONDS, counts: [...this.#ackCounts], sum: this.#ackSumSeconds },
    };
  }
}
