/**
 * What becomes of a match that has ended: its result is reported, its journal becomes a replay, and only when both are
 * durable is the journal forgotten. The journal is the outbox: what fails is tried again for as long as the process
 * lives, and by the next one that opens the journal. Every step may be repeated, so it does not matter where it broke
 * off, or who else tries.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ByteReader } from '../kernel/bytes.ts';
import { readEntryHead } from '../kernel/entry-codec.ts';
import { ERRORS, GameError } from '../kernel/errors.ts';
import type { MatchReport } from '../kernel/match-header.ts';
import { replayOf } from './archive.ts';
import type { MatchJournal, RecordedMatch } from './journal.ts';
import type { JournalTotals } from './journal-totals.ts';
import type { ReplayStore } from './replay-store.ts';
import { Roster } from './roster.ts';

const FIRST_RETRY_MS = 250;
/** While a store does not answer. */
const RETRY_MS_MAX = 3_000;
/** For one match with a fault of its own. */
const FAULTY_RETRY_MS_MAX = 300_000;
/** How often a shared journal is looked through for what dead processes have left. */
const WATCH_EVERY_MS = 15_000;
/** Results that wait in memory alone, as their journal could not be written. Above: the oldest is given up, and said. */
const UNRECORDED_MAX = 1_000;

/** Takes note, for ever, of how matches ended. */
export interface ResultSink {
  /**
   * Resolves once the result is durable, or a result of this match was.
   * @throws GameError DATABASE_UNAVAILABLE, OVERLOADED: try again
   */
  report(report: MatchReport): Promise<void>;
}

export type SettleStep = 'report' | 'archive' | 'remove' | 'list';

export interface SettlerOptions {
  readonly journal: Pick<MatchJournal, 'list' | 'load' | 'remove'>;
  readonly replays: Pick<ReplayStore, 'put' | 'pseudonym'>;
  /** Without it matches only become replays. */
  readonly results?: ResultSink;
  readonly totals: JournalTotals;
  /**
   * Once for a match and step until that succeeds; it is tried again. Without a match for `list`: which ones have ended
   * could not be read.
   */
  readonly onFault: (error: unknown, matchId: string | undefined, step: SettleStep) => void;
  /** A result that waited in memory alone is given up. */
  readonly onLost: (matchId: string) => void;
}

/** A reading for metrics; `Total` members only grow. */
export interface SettlerReading {
  /** Ended matches whose result is not durable in the log yet. */
  readonly resultsWaiting: number;
  /** Age of the oldest of them, seconds; 0 without any. */
  readonly resultsWaitingSeconds: number;
  readonly resultsReportedTotal: number;
  readonly resultFailuresTotal: number;
  readonly resultsLostTotal: number;
}

/** How far one match has come. */
interface Case {
  readonly matchId: string;
  /** Read from the journal when it is missing. */
  report: MatchReport | undefined;
  /** False: the journal could not be written, so there is nothing to archive. */
  readonly isRecorded: boolean;
  readonly sinceMs: number;
  readonly faults: Set<SettleStep>;
  isReported: boolean;
  isArchived: boolean;
  tries: number;
  /** Not before, `performance.now()`. */
  dueMs: number;
  working: Promise<boolean> | undefined;
}

export interface Settling {
  /** Whether there is a replay now. Never rejects. */
  readonly archived: Promise<boolean>;
  /** Whether everything is done now; what is not is tried again in the background. Never rejects. */
  readonly settled: Promise<boolean>;
}

export class MatchSettler {
  readonly #options: SettlerOptions;
  readonly #cases = new Map<string, Case>();
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #watching: Promise<void> | undefined;
  /** At the last look. */
  #hadEnded: ReadonlySet<string> = new Set();
  #isListFaulty = false;
  #closing: Promise<number> | undefined;
  #wake = new AbortController();
  #reported = 0;
  #failures = 0;
  #lost = 0;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Settles a match of this process that has just ended. */
  settle(report: MatchReport, { isRecorded }: { readonly isRecorded: boolean }): Settling {
    const { matchId } = report.header;
    const one = this.#cases.get(matchId) ?? this.#open(matchId, isRecorded, report);
    if (one.working !== undefined) return { archived: one.working.then(() => one.isArchived), settled: one.working };
    const archived = this.#archive(one);
    const settled = this.#work(one, archived);
    one.working = settled;
    return { archived, settled };
  }

  /**
   * Takes on what the journal holds of ended matches: of a former process, or of another one.
   * @param isShared other processes write the journal too and settle their own: only what had ended at the last call
   *   already is taken on, for those who ended it have had their time. Who takes the same on at the same time does no harm
   * @returns matches settled; the others are tried again in the background
   */
  async adopt({ isShared = false } = {}): Promise<number> {
    try {
      const ended = (await this.#options.journal.list()).filter(({ state }) => state === 'ended');
      for (const { matchId } of ended) {
        if (!this.#cases.has(matchId) && (!isShared || this.#hadEnded.has(matchId))) this.#open(matchId, true);
      }
      this.#hadEnded = new Set(ended.map(({ matchId }) => matchId));
      this.#isListFaulty = false;
    } catch (error) {
      if (!this.#isListFaulty) this.#options.onFault(error, undefined, 'list');
      this.#isListFaulty = true;
    }
    const before = this.#cases.size;
    await this.#pass();
    this.#keepTrying();
    return before - this.#cases.size;
  }

  /** Takes on again and again what other processes leave in a journal that they share; until `close`. */
  watch(everyMs = WATCH_EVERY_MS): void {
    this.#watching ??= this.#watch(everyMs);
  }

  async #watch(everyMs: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.adopt({ isShared: true });
      await delay(everyMs, undefined, { ref: false, signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** Tries again at once: what it waited for may be back. */
  retryNow(): void {
    this.#wake.abort();
  }

  collect(): SettlerReading {
    const waiting = [...this.#cases.values()].filter(({ isReported }) => !isReported);
    const oldestMs = Math.min(...waiting.map(({ sinceMs }) => sinceMs));
    return {
      resultsWaiting: waiting.length,
      resultsWaitingSeconds: waiting.length === 0 ? 0 : (performance.now() - oldestMs) / 1000,
      resultsReportedTotal: this.#reported,
      resultFailuresTotal: this.#failures,
      resultsLostTotal: this.#lost,
    };
  }

  /**
   * Lets what is under way end, for so long at most; the journal keeps the rest. Idempotent.
   * @returns matches left to the next process
   */
  close(withinMs = 5_000): Promise<number> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async #close(withinMs: number): Promise<number> {
    this.#stop.abort();
    this.#wake.abort();
    const work = [this.#loop, this.#watching, ...[...this.#cases.values()].map(({ working }) => working)];
    const patience = new AbortController();
    await Promise.race([
      Promise.allSettled(work),
      delay(withinMs, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
    for (const { matchId, isRecorded, isReported } of this.#cases.values()) {
      if (!isRecorded && !isReported) this.#lose(matchId);
    }
    return this.#cases.size;
  }

  #open(matchId: string, isRecorded: boolean, report?: MatchReport): Case {
    const one: Case = {
      matchId,
      report,
      isRecorded,
      sinceMs: performance.now(),
      faults: new Set(),
      isReported: this.#options.results === undefined,
      isArchived: false,
      tries: 0,
      dueMs: 0,
      working: undefined,
    };
    this.#cases.set(matchId, one);
    if (!isRecorded) this.#boundUnrecorded();
    return one;
  }

  #boundUnrecorded(): void {
    const unrecorded = [...this.#cases.values()].filter((one) => !one.isRecorded);
    if (unrecorded.length <= UNRECORDED_MAX) return;
    this.#lose(unrecorded[0]!.matchId);
  }

  #lose(matchId: string): void {
    this.#cases.delete(matchId);
    this.#lost++;
    this.#options.onLost(matchId);
  }

  async #work(one: Case, archiving = this.#archive(one)): Promise<boolean> {
    // Side by side: a replay is there for who played also while the log does not answer, and the other way round.
    const [isReported, isArchived] = await Promise.all([this.#report(one), archiving]);
    const isDone = isReported && (isArchived || !one.isRecorded) && (await this.#remove(one));
    one.working = undefined;
    if (isDone) this.#cases.delete(one.matchId);
    else this.#keepTrying();
    return isDone;
  }

  async #report(one: Case): Promise<boolean> {
    if (one.isReported) return true;
    return this.#try(one, 'report', async () => {
      if (one.report === undefined) {
        const recorded = await this.#load(one);
        if (recorded === undefined) return;
        one.report = await reportOf(recorded);
      }
      await this.#options.results!.report(one.report);
      one.isReported = true;
      this.#reported++;
    });
  }

  async #archive(one: Case): Promise<boolean> {
    if (!one.isRecorded) return false;
    if (one.isArchived) return true;
    const { replays, totals } = this.#options;
    const isDone = await this.#try(one, 'archive', async () => {
      const recorded = await this.#load(one);
      if (recorded === undefined) return;
      await replays.put(await replayOf(recorded, replays.pseudonym));
      one.isArchived = true;
      totals.archived++;
    });
    if (!isDone) totals.archiveFailures++;
    return isDone;
  }

  async #remove(one: Case): Promise<boolean> {
    if (!one.isRecorded) return true;
    return this.#try(one, 'remove', () => this.#options.journal.remove(one.matchId));
  }

  /** Undefined when somebody else has settled it all and forgotten the journal. */
  async #load({ matchId }: Case): Promise<RecordedMatch | undefined> {
    const recorded = await this.#options.journal.load(matchId);
    if (recorded !== undefined && recorded.end === undefined)
      throw new GameError('JOURNAL_CORRUPT', { matchId, reason: 'it has no end' });
    return recorded;
  }

  async #try(one: Case, step: SettleStep, act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      one.faults.delete(step);
      return true;
    } catch (error) {
      if (step === 'report') this.#failures++;
      const mayHeal = error instanceof GameError && ERRORS[error.code].retry;
      one.tries++;
      const waitMs = Math.min(
        FIRST_RETRY_MS * 2 ** Math.min(one.tries, 20),
        mayHeal ? RETRY_MS_MAX : FAULTY_RETRY_MS_MAX,
      );
      one.dueMs = performance.now() + waitMs;
      if (!one.faults.has(step)) this.#options.onFault(error, one.matchId, step);
      one.faults.add(step);
      return false;
    }
  }

  /** One after another, so that a start with many left over does not fill the memory with their journals. */
  async #pass(): Promise<void> {
    for (const one of [...this.#cases.values()]) {
      if (this.#stop.signal.aborted) return;
      if (one.working !== undefined || one.dueMs > performance.now()) continue;
      one.working = this.#work(one);
      await one.working;
    }
  }

  /** Runs for as long as anything waits. */
  #keepTrying(): void {
    if (this.#loop !== undefined || this.#cases.size === 0 || this.#stop.signal.aborted) return;
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#cases.size > 0 && !this.#stop.signal.aborted) {
      const dueMs = Math.min(...[...this.#cases.values()].map((one) => one.dueMs));
      const waitMs = Math.min(Math.max(dueMs - performance.now(), FIRST_RETRY_MS), RETRY_MS_MAX);
      await delay(waitMs, undefined, { ref: false, signal: this.#wake.signal }).catch(() => {
        for (const one of this.#cases.values()) one.dueMs = 0;
      });
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      await this.#pass();
    }
    this.#loop = undefined;
  }
}

/** What the room would have reported; of a journal of 0.1, which does not say who took part, told from its entries. */
async function reportOf({ header, entries, end }: RecordedMatch): Promise<MatchReport> {
  const { reason, standings, participants } = end!.result;
  const ticks = entries.length;
  if (participants !== undefined) return { header, ticks, reason, participants };
  const roster = new Roster();
  for (const { bytes } of entries) roster.note(readEntryHead(new ByteReader(bytes)), () => []);
  return { header, ticks, reason, participants: roster.participants(ticks, standings) };
}
