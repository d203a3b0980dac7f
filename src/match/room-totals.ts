/** What happened in the rooms of one process, in plain numbers that the metrics endpoint pulls. */

/** Counts by a word from a closed set, fit for a label. */
export class CountByCode {
  readonly #counts = new Map<string, number>();

  add(code: string): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  collect(): Iterable<readonly [code: string, count: number]> {
    return this.#counts.entries();
  }
}

export class RoomTotals {
  /** By track: `stable`, or `canary` of the build that is tried. */
  readonly matchesCreated = new CountByCode();
  /** Matches that a bug has ended, by track. */
  readonly matchesFailed = new CountByCode();
  joins = 0;
  /** Connections lost without a goodbye, whose seat was held. */
  drops = 0;
  /** Seats taken again by their player. */
  resumes = 0;
  /** Restored matches whose re-simulation did not give the recorded hashes: a bug worth an alarm. */
  divergences = 0;
  /** Snapshots left out, as they were larger than a record of the journal may be. */
  snapshotsTooLarge = 0;
  /** Messages of a type that the room does not know; ignored. */
  unknownMessages = 0;
  /** Predictions that clients had to correct, as they report it. */
  corrections = 0;
  /** Corrections without a cause on the server, as clients report it: the two simulations disagree. */
  desyncs = 0;
  /** Matches that a former process of this one had left in its files, by what became of them here. */
  readonly adoptions = new CountByCode();
  readonly joinsRefused = new CountByCode();
  /** Commands refused, by code. */
  readonly refusals = new CountByCode();
  /** Bugs caught, by the hook or phase they were in. */
  readonly faults = new CountByCode();
}
