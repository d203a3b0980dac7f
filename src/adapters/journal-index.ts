/**
 * What the segments of a journal hold: which matches, where their records lie, and what is damaged. Built once by
 * reading every segment; from then on kept up to date in memory, so that a match is read back without a search.
 *
 * Damage is told per match. A record whose payload was hit names its match by itself; one whose head was hit leaves a
 * gap in its match's seq; and if it was the last of its match, that match has no end and is marked torn. So nothing
 * that misses a record is taken for whole.
 */
import { open as openFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ByteReader } from '../kernel/bytes.ts';
import { GameError } from '../kernel/errors.ts';
import type { MatchHeader } from '../kernel/match-header.ts';
import {
  isSnapshot,
  parseClaimRecord,
  parseOpenRecord,
  RECORD,
  type RecordedMatch,
  type RecordedTail,
  RecordFold,
  SNAPSHOTS_KEPT,
} from '../match/journal.ts';
import {
  PendingRecords,
  REMOVED,
  recordAt,
  type SegmentRecord,
  type SegmentScan,
  scanSegment,
} from './journal-segment.ts';

/** Records handled before the ticks of the process get their turn. */
const RECORDS_PER_TURN = 500;
/** Extents closer than this are read in one go. */
const READ_THROUGH_BYTES = 8192;
const SEGMENT_NAME = /^([0-9]{10})\.seg$/;

export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.seg`;
}

export interface Segment {
  readonly number: number;
  readonly path: string;
  /** Good bytes. */
  bytes: number;
  /** Indexes of matches with records in it, removed ones too. */
  readonly matches: Set<number>;
  /** Indexes whose removal is recorded in it. */
  readonly removals: Set<number>;
  isSealed: boolean;
}

export function newSegment(number: number, path: string, bytes: number): Segment {
  return { number, path, bytes, matches: new Set(), removals: new Set(), isSealed: false };
}

/** What the journal needs of a writer: to tell it that it is over. */
export interface FencedWriter {
  fail(failure: GameError): void;
}

interface InFlight {
  readonly records: number;
  readonly bytes: number;
  /** Of the next record after it. */
  readonly seq: number;
  readonly ticks: number;
  readonly isEnd: boolean;
  readonly marks: readonly Omit<SnapshotMark, 'segment'>[];
}
export const NO_FLIGHT: InFlight = { records: 0, bytes: 0, seq: 0, ticks: 0, isEnd: false, marks: [] };

/** Where a durable snapshot lies. */
export interface SnapshotMark {
  readonly seq: number;
  /** Entries before it, and the epoch it was taken in. */
  readonly tick: number;
  readonly epoch: number;
  readonly segment: number;
  /** Byte of the segment at which its record begins. */
  readonly start: number;
}

/** All the process knows of one match. */
export class MatchLog {
  readonly index: number;
  readonly matchId: string;
  readonly header: MatchHeader | undefined;
  epoch = 0;
  /** Seq of the next record to append, and of the next to become durable. */
  nextSeq = 0;
  durableSeq = 0;
  /** Entries appended, and durable. */
  appendedTicks = 0;
  ticks = 0;
  bytes = 0;
  isEnded = false;
  isTorn = false;
  /** What is wrong with it, if it cannot be read. */
  damage: string | undefined;
  /** Seq of the record that was hit, if that is known. */
  damagedSeq = -1;
  /** Triples: segment number, start, end. */
  readonly extents: number[] = [];
  /** The newest durable snapshots, the older first. Older ones stay in their segments, and go with them. */
  readonly marks: SnapshotMark[] = [];
  readonly pending = new PendingRecords();
  /** Of the snapshots among what is pending; `start` counts from its beginning. */
  pendingMarks: Omit<SnapshotMark, 'segment'>[] = [];
  /** In the commit that is under way. */
  inFlight: InFlight = NO_FLIGHT;
  isEndPending = false;
  writer: FencedWriter | undefined;
  isRemoved = false;

  constructor(index: number, matchId: string, header: MatchHeader | undefined) {
    this.index = index;
    this.matchId = matchId;
    this.header = header;
  }

  addExtent(segment: number, start: number, end: number): void {
    const last = this.extents.length - 3;
    this.bytes += end - start;
    if (last >= 0 && this.extents[last] === segment && this.extents[last + 2] === start) this.extents[last + 2] = end;
    else this.extents.push(segment, start, end);
  }

  addMark(mark: SnapshotMark): void {
    this.marks.push(mark);
    if (this.marks.length > SNAPSHOTS_KEPT) this.marks.shift();
  }
}

export class JournalIndex {
  readonly byId = new Map<string, MatchLog>();
  readonly byIndex = new Map<number, MatchLog>();
  /** By number, the oldest first. */
  readonly segments = new Map<number, Segment>();
  /** Above every number on the disk. */
  nextIndex = 1;
  nextSegment = 1;

  /**
   * Reads a folder. The owner cuts torn tails off the files; a mere reader ignores them and what a server at work deletes.
   * @throws GameError JOURNAL_CORRUPT if another version of this program wrote it
   */
  static async read(folder: string, isOwner: boolean): Promise<JournalIndex> {
    const index = new JournalIndex();
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && !isOwner) return [];
      throw error;
    });
    const removed = new Set<number>();
    const segmentNames = names.filter((name) => SEGMENT_NAME.test(name)).sort();
    for (const name of segmentNames) {
      const number = Number(SEGMENT_NAME.exec(name)![1]);
      const path = join(folder, name);
      index.nextSegment = Math.max(index.nextSegment, number + 1);
      let bytes: Buffer;
      try {
        bytes = await readFile(path);
      } catch (error) {
        // A server at work may have deleted it since.
        if (!isOwner && (error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        throw error;
      }
      const scan = scanSegment(bytes, name === segmentNames.at(-1));
      if (isOwner && scan.length < bytes.length) await cut(path, scan.length);
      const segment = newSegment(number, path, scan.length);
      segment.isSealed = true;
      index.segments.set(number, segment);
      await index.#take(segment, scan, removed);
    }
    for (const match of removed) {
      const log = index.byIndex.get(match);
      if (log !== undefined) index.forget(log);
    }
    return index;
  }

  /** Lets go of a match in memory. */
  forget(log: MatchLog): void {
    if (this.byId.get(log.matchId) === log) this.byId.delete(log.matchId);
    this.byIndex.delete(log.index);
  }

  /**
   * A match as far as it is durable.
   * @throws GameError JOURNAL_CORRUPT
   */
  async load(log: MatchLog): Promise<RecordedMatch> {
    const fold = new RecordFold(log.matchId);
    await this.#fold(log, fold, log.extents.slice(), 0);
    return fold.match(log.isTorn);
  }

  /**
   * What follows the oldest kept snapshot, as far as it is durable.
   * @throws GameError JOURNAL_CORRUPT
   */
  async loadTail(log: MatchLog): Promise<RecordedTail> {
    const [mark] = log.marks;
    const from = mark === undefined ? undefined : extentsFrom(log.extents, mark);
    if (mark === undefined || from === undefined || log.header === undefined) return this.load(log);
    const fold = new RecordFold(log.matchId);
    fold.begin(log.header, mark.epoch, mark.tick);
    await this.#fold(log, fold, from, mark.seq);
    return fold.tail(log.isTorn);
  }

  /** @param firstSeq of the record that the extents begin with */
  async #fold(log: MatchLog, fold: RecordFold, extents: readonly number[], firstSeq: number): Promise<void> {
    if (log.damage !== undefined) throw new GameError('JOURNAL_CORRUPT', { matchId: log.matchId, reason: log.damage });
    const bytes = await this.#readExtents(log, extents);
    const corrupt = (reason: string) => new GameError('JOURNAL_CORRUPT', { matchId: log.matchId, reason });
    const records: SegmentRecord[] = [];
    for (let at = 0; at < bytes.length; ) {
      const seq = firstSeq + records.length;
      const record = recordAt(bytes, at);
      if (record === undefined || !('kind' in record) || record.match !== log.index) {
        throw corrupt(`record ${seq} is damaged`);
      }
      if (record.kind === RECORD.CLAIM && record.seq < seq) records.length = Math.max(record.seq - firstSeq, 0);
      if (record.seq !== firstSeq + records.length) throw corrupt(`record ${firstSeq + records.length} is missing`);
      records.push(record);
      at = record.end;
      if (records.length % RECORDS_PER_TURN === 0) await nextTurn();
    }
    for (const [i, { kind, payload }] of records.entries()) {
      fold.push(kind, payload);
      if (i % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await nextTurn();
    }
  }

  /** Records of a match, in order, as one buffer. */
  async #readExtents(log: MatchLog, extents: readonly number[]): Promise<Buffer> {
    const whole = Buffer.allocUnsafe(extentBytes(extents));
    let at = 0;
    for (let i = 0; i < extents.length; ) {
      const segment = this.segments.get(extents[i]!);
      if (segment === undefined)
        throw new GameError('JOURNAL_UNAVAILABLE', { matchId: log.matchId, reason: 'removed' });
      const file = await openFile(segment.path, 'r');
      try {
        while (i < extents.length && extents[i] === segment.number) {
          const from = extents[i + 1]!;
          let last = i;
          while (
            extents[last + 3] === segment.number &&
            extents[last + 4]! - extents[last + 2]! <= READ_THROUGH_BYTES
          ) {
            last += 3;
          }
          const run = Buffer.allocUnsafe(extents[last + 2]! - from);
          await readFully(file, run, from, log.matchId);
          for (; i <= last; i += 3) at += run.copy(whole, at, extents[i + 1]! - from, extents[i + 2]! - from);
        }
      } finally {
        await file.close();
      }
    }
    return whole;
  }

  async #take(segment: Segment, scan: SegmentScan, removed: Set<number>): Promise<void> {
    // Damages and records in the order of the file, so that a match knows what it had when it was hit.
    const { records, damages } = scan;
    let nextDamage = 0;
    for (const [i, record] of records.entries()) {
      if (i % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await nextTurn();
      while (nextDamage < damages.length && damages[nextDamage]!.start < record.start) {
        this.#noteDamage(segment, damages[nextDamage++]!);
      }
      this.nextIndex = Math.max(this.nextIndex, record.match + 1);
      if (record.kind === REMOVED) {
        removed.add(record.match);
        segment.removals.add(record.match);
      } else {
        this.#indexRecord(segment, record);
      }
    }
    for (; nextDamage < damages.length; nextDamage++) this.#noteDamage(segment, damages[nextDamage]!);
    if (scan.torn !== undefined) this.#noteTorn();
  }

  #indexRecord(segment: Segment, record: SegmentRecord): void {
    const { kind, match, seq, start, end, payload } = record;
    segment.matches.add(match);
    const log = this.byIndex.get(match) ?? this.#meet(record);
    log.addExtent(segment.number, start, end);
    log.isTorn = false;
    if (kind === RECORD.CLAIM && seq <= log.damagedSeq) log.damage = undefined;
    if (log.damage !== undefined) return;
    if (kind === RECORD.CLAIM && seq <= log.nextSeq) {
      // What the store had refused may still have reached the disk, whole or in part; the new owner's claim cuts it off.
      log.epoch = parseClaimRecord(payload);
      log.isEnded = false;
      while (log.marks.length > 0 && log.marks.at(-1)!.seq >= seq) log.marks.pop();
    } else if (seq !== log.nextSeq) {
      log.damage = `record ${log.nextSeq} is missing`;
      return;
    }
    log.nextSeq = seq + 1;
    log.durableSeq = log.nextSeq;
    if (isSnapshot(kind)) log.addMark({ seq, tick: log.ticks, epoch: log.epoch, segment: segment.number, start });
    if (kind === RECORD.ENTRY) log.ticks = new ByteReader(payload).varint() + 1;
    else if (kind === RECORD.END) log.isEnded = true;
    log.appendedTicks = log.ticks;
    log.isEndPending = log.isEnded;
  }

  /** The first record of a match, which should be its header. */
  #meet({ kind, match, seq, payload }: Pick<SegmentRecord, 'kind' | 'match' | 'seq' | 'payload'>): MatchLog {
    let log: MatchLog;
    try {
      if (kind !== RECORD.OPEN || seq !== 0) throw new RangeError('its header is missing');
      const { epoch, header } = parseOpenRecord(payload);
      log = new MatchLog(match, header.matchId, header);
      log.epoch = epoch;
    } catch (error) {
      log = new MatchLog(match, `damaged-${match}`, undefined);
      log.damage = (error as Error).message;
    }
    this.byIndex.set(match, log);
    this.byId.set(log.matchId, log);
    return log;
  }

  #noteDamage(segment: Segment, { match, seq }: { match?: number; seq?: number }): void {
    // Nobody knows whose record it was: a gap shows it later, or else it was the last of some match.
    if (match === undefined || seq === undefined) {
      this.#noteTorn();
      return;
    }
    // A group commit's own mark belongs to no match.
    if (match === 0) return;
    segment.matches.add(match);
    this.nextIndex = Math.max(this.nextIndex, match + 1);
    const log = this.byIndex.get(match) ?? this.#meet({ kind: 0, match, seq, payload: Buffer.alloc(0) });
    if (log.damage !== undefined) return;
    log.damage = `record ${seq} is damaged`;
    log.damagedSeq = seq;
  }

  #noteTorn(): void {
    for (const log of this.byIndex.values()) if (!log.isEnded) log.isTorn = true;
  }
}

/** What lies at or behind a snapshot; undefined if that is not where records are known to be. */
function extentsFrom(extents: readonly number[], { segment, start }: SnapshotMark): number[] | undefined {
  for (let i = extents.length - 3; i >= 0; i -= 3) {
    const [number, from, to] = [extents[i]!, extents[i + 1]!, extents[i + 2]!];
    if (number === segment && from <= start && start < to) return [segment, start, to, ...extents.slice(i + 3)];
  }
  return undefined;
}

function extentBytes(extents: readonly number[]): number {
  let bytes = 0;
  for (let i = 0; i < extents.length; i += 3) bytes += extents[i + 2]! - extents[i + 1]!;
  return bytes;
}

async function cut(path: string, lengthBytes: number): Promise<void> {
  const file = await openFile(path, 'r+');
  try {
    await file.truncate(lengthBytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

type FileHandle = Awaited<ReturnType<typeof openFile>>;

async function readFully(file: FileHandle, into: Buffer, position: number, matchId: string): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await file.read(into, at, into.length - at, position + at);
    if (bytesRead === 0)
      throw new GameError('JOURNAL_CORRUPT', { matchId, reason: 'a segment is shorter than it was' });
    at += bytesRead;
  }
}
