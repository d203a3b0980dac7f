/** The journal in memory, for tests and for servers that are told to keep nothing. The rules are those of the disk. */
import { GameError } from '../kernel/errors.ts';
import { MATCH_ID, type MatchHeader } from '../kernel/match-header.ts';
import {
  claimRecord,
  isSnapshot,
  type JournalLag,
  type JournalState,
  type JournalSummary,
  type JournalWriter,
  type MatchJournal,
  openRecord,
  RECORD,
  RECORD_MAX_BYTES,
  type RecordedMatch,
  type RecordedTail,
  RecordFold,
  type RecordKind,
  RecordWriter,
  SNAPSHOTS_KEPT,
} from '../match/journal.ts';
import type { JournalTotals } from '../match/journal-totals.ts';

const CAPACITY_BYTES = 256 * 2 ** 20;

export interface MemoryJournalOptions {
  readonly totals: JournalTotals;
  /** Above it the store counts as full and the match whose record passes it fails; default 256 MiB. */
  readonly capacityBytes?: number;
}

interface StoredRecord {
  readonly kind: RecordKind;
  readonly payload: Uint8Array;
  readonly epoch: number;
  /** Entries before it. */
  readonly ticks: number;
}

interface Stored {
  readonly header: MatchHeader;
  readonly records: StoredRecord[];
  /** Those of the records that are snapshots, the oldest first. */
  readonly snapshots: StoredRecord[];
  epoch: number;
  ticks: number;
  bytes: number;
  isEnded: boolean;
  writer: MemoryWriter | undefined;
}

export class MemoryJournal implements MatchJournal {
  readonly #matches = new Map<string, Stored>();
  readonly #totals: JournalTotals;
  #bytes = 0;
  #isClosed = false;
  /** May be changed while it runs: a smaller one makes the store refuse. */
  capacityBytes: number;

  constructor({ totals, capacityBytes = CAPACITY_BYTES }: MemoryJournalOptions) {
    this.#totals = totals;
    this.capacityBytes = capacityBytes;
  }

  async open(header: MatchHeader, epoch: number): Promise<JournalWriter> {
    const { matchId } = header;
    if (!MATCH_ID.test(matchId)) throw new RangeError('matchId is not 1 to 64 letters, digits, _ or -');
    if (this.#isClosed) throw new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'closed' });
    const known = this.#matches.get(matchId);
    if (known !== undefined && epoch <= known.epoch) {
      throw new GameError('JOURNAL_FENCED', { matchId, epoch, seen: known.epoch });
    }
    if (known?.isEnded) throw new GameError('MATCH_ENDED', { matchId });
    known?.writer?.fail(new GameError('JOURNAL_FENCED', { matchId, epoch: known.epoch, seen: epoch }));
    const stored: Stored = known ?? {
      header,
      records: [],
      snapshots: [],
      epoch,
      ticks: 0,
      bytes: 0,
      isEnded: false,
      writer: undefined,
    };
    stored.epoch = epoch;
    const writer = new MemoryWriter(this, stored, epoch);
    stored.writer = writer;
    this.append(
      stored,
      known === undefined ? RECORD.OPEN : RECORD.CLAIM,
      known === undefined ? openRecord(header, epoch) : claimRecord(epoch),
    );
    if (writer.failure !== undefined) throw writer.failure;
    this.#matches.set(matchId, stored);
    return writer;
  }

  async load(matchId: string): Promise<RecordedMatch | undefined> {
    const stored = this.#matches.get(matchId);
    if (stored === undefined) return undefined;
    const fold = new RecordFold(matchId);
    for (const { kind, payload } of stored.records) fold.push(kind, payload);
    return fold.match(false);
  }

  async loadTail(matchId: string): Promise<RecordedTail | undefined> {
    const stored = this.#matches.get(matchId);
    const [oldest] = stored?.snapshots ?? [];
    if (stored === undefined || oldest === undefined) return this.load(matchId);
    const fold = new RecordFold(matchId);
    fold.begin(stored.header, oldest.epoch, oldest.ticks);
    for (const { kind, payload } of stored.records.slice(stored.records.indexOf(oldest))) fold.push(kind, payload);
    return fold.tail(false);
  }

  async list(): Promise<JournalSummary[]> {
    return [...this.#matches.values()].map(({ header, epoch, ticks, bytes, isEnded, writer }) => ({
      matchId: header.matchId,
      state: ((): JournalState => (isEnded ? 'ended' : writer === undefined ? 'unfinished' : 'open'))(),
      header,
      epoch,
      ticks,
      bytes,
      isTorn: false,
    }));
  }

  async remove(matchId: string): Promise<void> {
    const stored = this.#matches.get(matchId);
    if (stored === undefined) return;
    stored.writer?.fail(new GameError('JOURNAL_FENCED', { matchId, reason: 'removed' }));
    this.#matches.delete(matchId);
    this.#bytes -= stored.bytes;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { header, writer } of this.#matches.values()) {
      writer?.fail(new GameError('JOURNAL_UNAVAILABLE', { matchId: header.matchId, reason: 'closed' }));
    }
  }

  /** For writers. Never throws. */
  append(stored: Stored, kind: RecordKind, payload: Uint8Array): void {
    const isFull = this.#bytes + payload.length > this.capacityBytes;
    if (isFull || payload.length > RECORD_MAX_BYTES + 32) {
      this.#totals.failures++;
      const reason = isFull ? 'ENOSPC' : 'a record is too large';
      stored.writer?.fail(new GameError('JOURNAL_UNAVAILABLE', { matchId: stored.header.matchId, reason }));
      return;
    }
    const record: StoredRecord = { kind, payload: payload.slice(), epoch: stored.epoch, ticks: stored.ticks };
    stored.records.push(record);
    this.#grow(stored, payload.length);
    if (isSnapshot(kind)) this.#turnOver(stored, record);
    if (kind === RECORD.ENTRY) stored.ticks++;
    else if (kind === RECORD.END) stored.isEnded = true;
    this.#totals.records++;
    this.#totals.bytes += payload.length;
  }

  #turnOver(stored: Stored, newest: StoredRecord): void {
    stored.snapshots.push(newest);
    if (stored.snapshots.length <= SNAPSHOTS_KEPT) return;
    const oldest = stored.snapshots.shift()!;
    stored.records.splice(stored.records.indexOf(oldest), 1);
    this.#grow(stored, -oldest.payload.length);
  }

  #grow(stored: Stored, moreBytes: number): void {
    stored.bytes += moreBytes;
    this.#bytes += moreBytes;
  }
}

class MemoryWriter extends RecordWriter {
  readonly matchId: string;
  readonly epoch: number;
  readonly lag: JournalLag = { records: 0, bytes: 0 };
  readonly #journal: MemoryJournal;
  readonly #stored: Stored;
  #failure: GameError | undefined;

  constructor(journal: MemoryJournal, stored: Stored, epoch: number) {
    super();
    this.#journal = journal;
    this.#stored = stored;
    this.matchId = stored.header.matchId;
    this.epoch = epoch;
  }

  get failure(): GameError | undefined {
    return this.#failure;
  }

  fail(failure: GameError): void {
    this.#failure ??= failure;
    this.release();
  }

  protected append(kind: RecordKind, payload: Uint8Array): void {
    if (this.#failure === undefined && this.#stored.writer === this) this.#journal.append(this.#stored, kind, payload);
  }

  protected release(): void {
    if (this.#stored.writer === this) this.#stored.writer = undefined;
  }

  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
