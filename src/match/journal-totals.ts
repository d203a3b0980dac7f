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
}

/** One per process: its journal counts what is written, its rooms what becomes of matches. */
export class JournalTotals {
  bytes = 0;
  records = 0;
  commits = 0;
  failures = 0;
  archived = 0;
  archiveFailures = 0;
  /** When the oldest record that is not durable was appended, `performance.now()`; absent when all are. */
  oldestPendingAtMs: number | undefined;

  collect(): JournalReading {
    return {
      bytesTotal: this.bytes,
      recordsTotal: this.records,
      commitsTotal: this.commits,
      failuresTotal: this.failures,
      archivedTotal: this.archived,
      archiveFailuresTotal: this.archiveFailures,
      lagSeconds: this.oldestPendingAtMs === undefined ? 0 : (performance.now() - this.oldestPendingAtMs) / 1000,
    };
  }
}
