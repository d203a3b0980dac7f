/**
 * The journal on disk: one log for all matches of the process, in segments under one folder, made durable by group
 * commits. A commit is one write and one fdatasync for everything that was appended meanwhile, so its cost does not
 * grow with the number of matches, and no match waits for it.
 *
 * When the disk refuses (full, EIO), the matches that had something in that commit fail and go on unrecorded; what they
 * had durable stays valid. Nothing is retried, as the kernel may have dropped the pages of a failed fdatasync: the
 * segment is abandoned at its last good byte, and the next commit begins another. A new match thus finds out by itself
 * whether there is space again.
 */
import { open as openFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GameError } from '../kernel/errors.ts';
import { MATCH_ID, type MatchHeader } from '../kernel/match-header.ts';
import {
  claimRecord,
  isSnapshot,
  type JournalLag,
  type JournalReader,
  type JournalSummary,
  type JournalWriter,
  type MatchJournal,
  openRecord,
  RECORD,
  RECORD_MAX_BYTES,
  type RecordedMatch,
  type RecordedTail,
  type RecordKind,
  RecordWriter,
} from '../match/journal.ts';
import { JournalTotals } from '../match/journal-totals.ts';
import { JournalIndex, MatchLog, NO_FLIGHT, newSegment, type Segment, segmentName } from './journal-index.ts';
import { COMMIT, PendingRecords, REMOVED, SEGMENT_HEAD_BYTES, segmentHead } from './journal-segment.ts';
import { lockFolder } from './process-lock.ts';

const COMMIT_EVERY_MS = 50;
const SEGMENT_BYTES = 16 * 2 ** 20;
const CAPACITY_BYTES = 8 * 2 ** 30;
/** About a minute of 100 busy matches. */
const BUFFER_MAX_BYTES = 64 * 2 ** 20;
const MATCH_BUFFER_MAX_BYTES = 2 * RECORD_MAX_BYTES;
const NOTHING = new Uint8Array(0);

/** One segment being written. A seam: tests put a full or failing disk behind it. */
export interface SegmentFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  datasync(): Promise<void>;
  truncate(lengthBytes: number): Promise<void>;
  close(): Promise<void>;
}
/** Creates an empty file that must not exist, with its name durable. */
export type CreateSegment = (path: string) => Promise<SegmentFile>;

export interface FileJournalOptions {
  /** Made if missing; held by one process at a time. */
  readonly folder: string;
  readonly totals: JournalTotals;
  /** Most that a crash loses, apart from the duration of one commit; 1 to 1,000, default 50. */
  readonly commitEveryMs?: number;
  /** A segment is closed at the first commit that passes it; default 16 MiB. */
  readonly segmentBytes?: number;
  /** All segments together; above it the disk counts as full. Default 8 GiB. */
  readonly capacityBytes?: number;
  /**
   * What may wait for the disk, over all matches (default 64 MiB) and of one (default 8 MiB). The match whose record
   * passes a bound fails: to drop single records would make it look whole.
   */
  readonly bufferMaxBytes?: number;
  readonly matchBufferMaxBytes?: number;
  /** Once when the store begins to refuse; until `onRecovered`, later refusals are only counted. */
  readonly onDegraded?: (error: Error, matchIds: readonly string[]) => void;
  readonly onRecovered?: () => void;
  readonly createSegment?: CreateSegment;
}

interface ActiveSegment {
  readonly segment: Segment;
  readonly file: SegmentFile;
}

interface Removal {
  readonly index: number;
  isDurable: boolean;
}

class FileWriter extends RecordWriter {
  readonly matchId: string;
  readonly epoch: number;
  readonly #journal: FileJournal;
  readonly #log: MatchLog;
  #failure: GameError | undefined;

  constructor(journal: FileJournal, log: MatchLog, epoch: number) {
    super();
    this.#journal = journal;
    this.#log = log;
    this.matchId = log.matchId;
    this.epoch = epoch;
  }

  get failure(): GameError | undefined {
    return this.#failure;
  }

  get lag(): JournalLag {
    if (this.#log.writer !== this) return { records: 0, bytes: 0 };
    const { pending, inFlight } = this.#log;
    return { records: pending.records + inFlight.records, bytes: pending.bytes + inFlight.bytes };
  }

  fail(failure: GameError): void {
    this.#failure ??= failure;
    if (this.#log.writer === this) this.#log.writer = undefined;
  }

  protected append(kind: RecordKind, payload: Uint8Array): void {
    if (this.#failure === undefined && this.#log.writer === this) this.#journal.append(this.#log, kind, payload);
  }

  protected release(): void {
    if (this.#log.writer === this) this.#log.writer = undefined;
  }

  async flush(): Promise<void> {
    const target = this.#log.nextSeq;
    while (this.#failure === undefined && this.#log.durableSeq < target) await this.#journal.commitNow();
    if (this.#failure !== undefined) throw this.#failure;
  }
}

export class FileJournal implements MatchJournal {
  readonly #options: FileJournalOptions;
  readonly #commitEveryMs: number;
  readonly #segmentBytes: number;
  readonly #capacityBytes: number;
  readonly #bufferMaxBytes: number;
  readonly #matchBufferMaxBytes: number;
  readonly #totals: JournalTotals;
  readonly #index: JournalIndex;
  /** Matches with pending records. */
  readonly #dirty = new Set<MatchLog>();
  #removals: Removal[] = [];
  #pendingBytes = 0;
  #active: ActiveSegment | undefined;
  #staging: Buffer = Buffer.allocUnsafe(2 ** 16);
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #collecting: Promise<void> = Promise.resolve();
  #isDegraded = false;
  #isClosed = false;
  #unlock: () => Promise<void> = async () => undefined;

  private constructor(options: FileJournalOptions, index: JournalIndex) {
    this.#index = index;
    this.#options = options;
    this.#commitEveryMs = options.commitEveryMs ?? COMMIT_EVERY_MS;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.#bufferMaxBytes = options.bufferMaxBytes ?? BUFFER_MAX_BYTES;
    this.#matchBufferMaxBytes = options.matchBufferMaxBytes ?? MATCH_BUFFER_MAX_BYTES;
    this.#totals = options.totals;
  }

  /**
   * Takes the folder, reads what former processes left and cuts torn tails.
   * @throws GameError DATA_UNWRITABLE if the folder cannot be written, DATA_IN_USE if another process holds it
   * @throws GameError JOURNAL_CORRUPT if another version of this program wrote it
   */
  static async open(options: FileJournalOptions): Promise<FileJournal> {
    const unlock = await lockFolder(options.folder);
    try {
      const journal = new FileJournal(options, await JournalIndex.read(options.folder, true));
      journal.#unlock = unlock;
      await journal.#collect();
      return journal;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /**
   * Reads the folder as it is, also while a server writes it, and changes nothing. Matches that a server has open
   * read as unfinished.
   */
  static async inspect(folder: string): Promise<JournalReader> {
    return new FileJournal({ folder, totals: new JournalTotals() }, await JournalIndex.read(folder, false));
  }

  async list(): Promise<JournalSummary[]> {
    return [...this.#index.byIndex.values()]
      .sort((a, b) => a.index - b.index)
      .map((log) => ({
        matchId: log.matchId,
        state:
          log.damage !== undefined
            ? 'corrupt'
            : log.isEnded
              ? 'ended'
              : log.writer !== undefined
                ? 'open'
                : 'unfinished',
        ...(log.header === undefined ? {} : { header: log.header }),
        epoch: log.epoch,
        ticks: log.ticks,
        bytes: log.bytes,
        isTorn: log.isTorn,
      }));
  }

  async open(header: MatchHeader, epoch: number): Promise<JournalWriter> {
    const { matchId } = header;
    if (!MATCH_ID.test(matchId)) throw new RangeError('matchId is not 1 to 64 letters, digits, _ or -');
    if (this.#isClosed) throw new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'closed' });
    let log = this.#index.byId.get(matchId);
    if (log?.damage !== undefined) throw new GameError('JOURNAL_CORRUPT', { matchId, reason: log.damage });
    if (log !== undefined && epoch <= log.epoch)
      throw new GameError('JOURNAL_FENCED', { matchId, epoch, seen: log.epoch });
    if (log !== undefined && (log.isEnded || log.isEndPending)) throw new GameError('MATCH_ENDED', { matchId });

    const isNew = log === undefined;
    log ??= new MatchLog(this.#index.nextIndex++, matchId, header);
    log.writer?.fail(new GameError('JOURNAL_FENCED', { matchId, epoch: log.epoch, seen: epoch }));
    log.epoch = epoch;
    const writer = new FileWriter(this, log, epoch);
    log.writer = writer;
    this.#index.byId.set(matchId, log);
    this.#index.byIndex.set(log.index, log);
    this.append(log, isNew ? RECORD.OPEN : RECORD.CLAIM, isNew ? openRecord(header, epoch) : claimRecord(epoch));
    try {
      await writer.flush();
    } catch (error) {
      if (log.durableSeq === 0) this.#index.forget(log);
      throw error;
    }
    return writer;
  }

  async load(matchId: string): Promise<RecordedMatch | undefined> {
    const log = await this.#durable(matchId);
    return log && this.#index.load(log);
  }

  async loadTail(matchId: string): Promise<RecordedTail | undefined> {
    const log = await this.#durable(matchId);
    return log && this.#index.loadTail(log);
  }

  async #durable(matchId: string): Promise<MatchLog | undefined> {
    const log = this.#index.byId.get(matchId);
    if (log === undefined) return undefined;
    if (log.pending.records + log.inFlight.records > 0) await this.commitNow();
    return log.durableSeq === 0 ? undefined : log;
  }

  async remove(matchId: string): Promise<void> {
    const log = this.#index.byId.get(matchId);
    if (log === undefined) return;
    log.writer?.fail(new GameError('JOURNAL_FENCED', { matchId, reason: 'removed' }));
    log.isRemoved = true;
    this.#dropPending(log);
    this.#index.forget(log);
    const removal: Removal = { index: log.index, isDurable: false };
    this.#removals.push(removal);
    await this.commitNow();
    // On a full disk the removal cannot be recorded, but whole segments may go and make space.
    await this.#collect();
    const isLeft = [...this.#index.segments.values()].some(({ matches }) => matches.has(log.index));
    if (isLeft && !removal.isDurable) {
      throw new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'its removal could not be recorded' });
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    while (this.#dirty.size > 0 || this.#removals.length > 0 || this.#running !== undefined) await this.commitNow();
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const { matchId, writer } of this.#index.byIndex.values()) {
      writer?.fail(new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'closed' }));
    }
    await this.#seal();
    await this.#collecting;
    await this.#unlock();
  }

  /** For writers. Never throws. */
  append(log: MatchLog, kind: RecordKind, payload: Uint8Array): void {
    const before = log.pending.bytes;
    let refusal: string | undefined;
    if (this.#isClosed) refusal = 'closed';
    else if (payload.length > RECORD_MAX_BYTES + 32) refusal = 'a record is too large';
    else if (before + payload.length > this.#matchBufferMaxBytes) refusal = 'the disk does not keep up';
    else if (this.#pendingBytes + payload.length > this.#bufferMaxBytes) refusal = 'the disk does not keep up';
    if (refusal !== undefined) {
      this.#fail(log, refusal);
      return;
    }
    if (isSnapshot(kind))
      log.pendingMarks.push({ seq: log.nextSeq, tick: log.appendedTicks, epoch: log.epoch, start: before });
    log.pending.append(kind, log.index, log.nextSeq++, payload);
    this.#pendingBytes += log.pending.bytes - before;
    this.#totals.bufferedBytes = this.#pendingBytes;
    if (kind === RECORD.ENTRY) log.appendedTicks++;
    else if (kind === RECORD.END) log.isEndPending = true;
    this.#dirty.add(log);
    this.#totals.oldestPendingAtMs ??= performance.now();
    this.#timer ??= setTimeout(() => void this.commitNow(), this.#commitEveryMs);
  }

  /**
   * Starts a commit of all that is pending now, at once or after the one under way, together with everybody else who
   * asks meanwhile. Never rejects: writers and removals know whether they became durable.
   */
  commitNow(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queued ??= this.#commitAfter(this.#running);
    return this.#queued;
  }

  async #commitAfter(running: Promise<void> | undefined): Promise<void> {
    await running;
    // What is appended from here on, in the same turn too, is the next commit's.
    this.#queued = undefined;
    this.#running = this.#commit();
    await this.#running;
    this.#running = undefined;
  }

  async #commit(): Promise<void> {
    const logs = [...this.#dirty];
    const removals = this.#removals;
    if (this.#isClosed || (logs.length === 0 && removals.length === 0)) return;
    const extents: number[] = [];
    const batch = new Batch(this.#staging);
    for (const log of logs) {
      extents.push(batch.length);
      batch.add(log.pending.view());
      const { records, bytes } = log.pending;
      const { nextSeq: seq, appendedTicks: ticks, isEndPending: isEnd, pendingMarks: marks } = log;
      log.inFlight = { records, bytes, seq, ticks, isEnd, marks };
      log.pending.clear();
      log.pendingMarks = [];
    }
    extents.push(batch.length);
    const frame = new PendingRecords();
    for (const { index } of removals) frame.append(REMOVED, index, 0, NOTHING);
    frame.append(COMMIT, 0, 0, NOTHING);
    batch.add(frame.view());
    this.#staging = batch.buffer;
    this.#dirty.clear();
    this.#removals = [];
    this.#pendingBytes = 0;
    const gatheredAtMs = performance.now();

    let error: Error | undefined;
    let segment: Segment | undefined;
    try {
      segment = await this.#write(batch.view());
    } catch (thrown) {
      error = thrown as Error;
      await this.#abandon();
    }
    // What is pending now came in after that.
    this.#totals.oldestPendingAtMs = this.#dirty.size > 0 ? gatheredAtMs : undefined;
    this.#totals.bufferedBytes = this.#pendingBytes;
    if (segment !== undefined) {
      this.#totals.observeAck(performance.now() - gatheredAtMs);
      const start = segment.bytes - batch.length;
      logs.forEach((log, i) => {
        this.#settle(log, segment, start + extents[i]!, start + extents[i + 1]!);
      });
      for (const removal of removals) {
        removal.isDurable = true;
        segment.removals.add(removal.index);
      }
      this.#totals.commits++;
      this.#totals.bytes += batch.length;
      if (this.#isDegraded) {
        this.#isDegraded = false;
        this.#options.onRecovered?.();
      }
      if (segment.bytes >= this.#segmentBytes) {
        await this.#seal();
        void this.#collect();
      }
    } else {
      this.#refuse(logs, error!);
    }
  }

  #settle(log: MatchLog, segment: Segment, start: number, end: number): void {
    const { seq, ticks, isEnd, records, marks } = log.inFlight;
    log.inFlight = NO_FLIGHT;
    log.durableSeq = seq;
    log.ticks = ticks;
    log.isEnded ||= isEnd;
    segment.matches.add(log.index);
    log.addExtent(segment.number, start, end);
    for (const mark of marks) log.addMark({ ...mark, segment: segment.number, start: start + mark.start });
    this.#totals.records += records;
  }

  async #write(bytes: Uint8Array): Promise<Segment> {
    let held = 0;
    for (const segment of this.#index.segments.values()) held += segment.bytes;
    if (held + bytes.length > this.#capacityBytes) {
      throw Object.assign(new Error(`the journal is at its bound of ${this.#capacityBytes} bytes`), {
        code: 'ENOSPC',
      });
    }
    this.#active ??= await this.#begin();
    const { segment, file } = this.#active;
    await file.write(bytes, segment.bytes);
    await file.datasync();
    segment.bytes += bytes.length;
    return segment;
  }

  async #begin(): Promise<ActiveSegment> {
    const number = this.#index.nextSegment++;
    const path = join(this.#options.folder, segmentName(number));
    const file = await (this.#options.createSegment ?? createSegmentFile)(path);
    try {
      await file.write(segmentHead(number), 0);
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
    const segment = newSegment(number, path, SEGMENT_HEAD_BYTES);
    this.#index.segments.set(number, segment);
    return { segment, file };
  }

  /** After a failed write: the segment ends at its last good byte. A reader would cut it there too. */
  async #abandon(): Promise<void> {
    if (this.#active === undefined) return;
    const { file, segment } = this.#active;
    await file.truncate(segment.bytes).catch(() => undefined);
    await this.#seal();
    if (segment.matches.size > 0 || segment.removals.size > 0) return;
    this.#index.segments.delete(segment.number);
    await rm(segment.path, { force: true }).catch(() => undefined);
  }

  async #seal(): Promise<void> {
    if (this.#active === undefined) return;
    const { file, segment } = this.#active;
    this.#active = undefined;
    segment.isSealed = true;
    await file.close().catch(() => undefined);
  }

  #refuse(logs: readonly MatchLog[], error: Error): void {
    const reason = (error as NodeJS.ErrnoException).code ?? error.message;
    const matchIds: string[] = [];
    for (const log of logs) {
      log.inFlight = NO_FLIGHT;
      if (log.isRemoved) continue;
      matchIds.push(log.matchId);
      this.#fail(log, reason, error);
    }
    if (this.#isDegraded) return;
    this.#isDegraded = true;
    this.#options.onDegraded?.(error, matchIds);
  }

  #fail(log: MatchLog, reason: string, cause?: Error): void {
    this.#dropPending(log);
    const { writer } = log;
    if (writer === undefined) return;
    this.#totals.failures++;
    writer.fail(new GameError('JOURNAL_UNAVAILABLE', { matchId: log.matchId, reason }, cause));
  }

  /** As if nothing had been appended since the last commit, so that a later owner goes on without a gap. */
  #dropPending(log: MatchLog): void {
    this.#pendingBytes -= log.pending.bytes;
    log.pending.clear();
    log.pendingMarks = [];
    log.nextSeq = log.inFlight.records > 0 ? log.inFlight.seq : log.durableSeq;
    log.appendedTicks = log.inFlight.records > 0 ? log.inFlight.ticks : log.ticks;
    log.isEndPending = log.isEnded || log.inFlight.isEnd;
    this.#dirty.delete(log);
  }

  /** Deletes the segments in which every match was removed. */
  #collect(): Promise<void> {
    this.#collecting = this.#collecting.then(async () => {
      for (const segment of [...this.#index.segments.values()]) {
        if (!segment.isSealed || [...segment.matches].some((index) => this.#index.byIndex.has(index))) continue;
        const others = [...this.#index.segments.values()].filter((other) => other !== segment);
        // Removals of matches that older or newer segments still hold must outlive this one.
        const kept = [...segment.removals]
          .filter((index) => others.some(({ matches }) => matches.has(index)))
          .filter((index) => !others.some(({ removals }) => removals.has(index)))
          .map((index) => ({ index, isDurable: false }));
        this.#removals.push(...kept);
        if (kept.length > 0) await this.commitNow();
        if (kept.some(({ isDurable }) => !isDurable)) continue;
        try {
          await rm(segment.path, { force: true });
          this.#index.segments.delete(segment.number);
        } catch {
          // It stays known and is tried again with the next removal.
        }
      }
    });
    return this.#collecting;
  }
}

/** Copies pieces into one buffer that is kept from commit to commit. */
class Batch {
  buffer: Buffer;
  length = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  add(piece: Buffer): void {
    const need = this.length + piece.length;
    if (need > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(need, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    piece.copy(this.buffer, this.length);
    this.length = need;
  }

  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

/** The default of `createSegment`: a file of the real disk. */
export async function createSegmentFile(path: string): Promise<SegmentFile> {
  const file = await openFile(path, 'wx', 0o600);
  const folder = await openFile(join(path, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return {
    async write(bytes, position) {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
        at += bytesWritten;
      }
    },
    datasync: () => file.datasync(),
    truncate: (lengthBytes) => file.truncate(lengthBytes),
    close: () => file.close(),
  };
}
