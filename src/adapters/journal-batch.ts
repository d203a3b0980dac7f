/**
 * Records of one match in one piece, as the journal in Redis stores them. Layout: u32 CRC-32 of what follows,
 * little-endian; u8 version; varint records before this batch; varint entries (ticks) after it; varint bytes of records
 * before it; then the records, each varint payload bytes, u8 kind, payload. So the first and the last batch of a match
 * say all that a list shows, and a batch that is missing is noticed. A snapshot is a batch of its own which does not
 * count, so that it can go when newer ones have replaced it.
 */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { isSnapshot, RECORD, type RecordKind, SNAPSHOTS_KEPT } from '../match/journal.ts';
import { checksum, GrowingRecords } from './journal-segment.ts';

const VERSION = 1;
const CHECKSUM_BYTES = 4;
/** A rewritten match comes in batches of about this size: few commands, and none that holds the store up. */
const REWRITE_BATCH_BYTES = 64 * 2 ** 10;

/** Most bytes in front of a payload: its length, and its kind. */
const HEAD_BYTES_MAX = 9;

/** Records as they are in a batch. */
export class RecordArea extends GrowingRecords {
  append(kind: RecordKind, payload: Uint8Array): void {
    const to = this.roomFor(HEAD_BYTES_MAX + payload.length);
    let at = this.bytes;
    let length = payload.length;
    for (; length >= 0x80; length = Math.floor(length / 0x80)) to[at++] = (length % 0x80) | 0x80;
    to[at++] = length;
    to[at++] = kind;
    to.set(payload, at);
    this.written(at + payload.length);
  }
}

/** What becomes one batch. */
export interface Part {
  readonly area: Buffer;
  readonly records: number;
  readonly isSnapshot: boolean;
  /** Entries of the match, and records of its writer, up to its end. */
  readonly ticks: number;
  readonly upTo: number;
}

/** What a match has appended and its store has not taken yet, in parts. A snapshot that newer ones replace is left out. */
export class WaitingParts {
  readonly #parts: Part[] = [];
  readonly #open = new RecordArea();
  #closedBytes = 0;

  get bytes(): number {
    return this.#closedBytes + this.#open.bytes;
  }

  /** Whether there is more than one part, or a snapshot. */
  get isCut(): boolean {
    return this.#parts.length > 0;
  }

  /** @param before what the match had until now */
  append(kind: RecordKind, payload: Uint8Array, before: Pick<Part, 'ticks' | 'upTo'>): void {
    if (!isSnapshot(kind)) {
      this.#open.append(kind, payload);
      return;
    }
    this.#close(before, false);
    this.#open.append(kind, payload);
    this.#close({ ticks: before.ticks, upTo: before.upTo + 1 }, true);
    const snapshots = this.#parts.filter((part) => part.isSnapshot);
    if (snapshots.length > SNAPSHOTS_KEPT) this.#leaveOut(this.#parts.indexOf(snapshots[0]!));
  }

  /** The next part; undefined when there is nothing. */
  shift(now: Pick<Part, 'ticks' | 'upTo'>): Part | undefined {
    if (this.#parts.length === 0) this.#close(now, false);
    const part = this.#parts.shift();
    this.#closedBytes -= part?.area.length ?? 0;
    return part;
  }

  clear(): void {
    this.#parts.length = 0;
    this.#closedBytes = 0;
    this.#open.clear();
  }

  #close({ ticks, upTo }: Pick<Part, 'ticks' | 'upTo'>, isSnapshot: boolean): void {
    const { records } = this.#open;
    if (records === 0) return;
    const area = Buffer.from(this.#open.view());
    this.#parts.push({ area, records, isSnapshot, ticks, upTo });
    this.#closedBytes += area.length;
    this.#open.clear();
  }

  #leaveOut(at: number): void {
    const [old] = this.#parts.splice(at, 1);
    this.#closedBytes -= old!.area.length;
    const [before, after] = [this.#parts[at - 1], this.#parts[at]];
    if (before === undefined || after === undefined || before.isSnapshot || after.isSnapshot) return;
    const area = Buffer.concat([before.area, after.area]);
    this.#parts.splice(at - 1, 2, { ...after, area, records: before.records + after.records });
  }
}

/** Where a batch stands in its match. */
export interface BatchPlace {
  /** Records before it, without snapshots. */
  readonly seq: number;
  /** Entries recorded with it. */
  readonly ticks: number;
  /** Bytes of records before it, without snapshots. */
  readonly bytes: number;
}

export interface Batch extends BatchPlace {
  readonly records: readonly StoredRecord[];
  /** Its records, as they were appended. */
  readonly area: Uint8Array;
  readonly isSnapshot: boolean;
  /** Where the next one stands. */
  readonly next: BatchPlace;
}

export function encodeBatch({ seq, ticks, bytes }: BatchPlace, records: Uint8Array): Buffer {
  const head = new ByteWriter(32).u8(VERSION).varint(seq).varint(ticks).varint(bytes).view();
  const batch = Buffer.allocUnsafe(CHECKSUM_BYTES + head.length + records.length);
  batch.set(head, CHECKSUM_BYTES);
  batch.set(records, CHECKSUM_BYTES + head.length);
  batch.writeUInt32LE(checksum(batch.subarray(CHECKSUM_BYTES)), 0);
  return batch;
}

/** Keeps views of the bytes. @throws RangeError if they are damaged or of another version */
export function decodeBatch(batch: Buffer): Batch {
  const rest = batch.subarray(CHECKSUM_BYTES);
  if (batch.length < CHECKSUM_BYTES || checksum(rest) !== batch.readUInt32LE(0))
    throw new RangeError('a batch of records is damaged');
  const from = new ByteReader(rest);
  const version = from.u8();
  if (version !== VERSION) throw new RangeError(`a batch is of version ${version}`);
  const [seq, ticks, bytes] = [from.varint(), from.varint(), from.varint()];
  const area = from.raw(from.remaining);
  const records = [...recordsOf(area)];
  const isOne = records.length === 1 && isSnapshot(records[0]!.kind);
  const next = isOne ? { seq, ticks, bytes } : { seq: seq + records.length, ticks, bytes: bytes + area.length };
  return { seq, ticks, bytes, records, area, isSnapshot: isOne, next };
}

export interface StoredRecord {
  readonly kind: RecordKind;
  readonly payload: Uint8Array;
}

function* recordsOf(area: Uint8Array): Iterable<StoredRecord> {
  const from = new ByteReader(area);
  while (from.remaining > 0) {
    const length = from.varint();
    const kind = from.u8() as RecordKind;
    yield { kind, payload: from.raw(length) };
  }
}

interface Piece {
  readonly bytes: Buffer;
  readonly records: number;
  readonly ticks: number;
  readonly isSnapshot: boolean;
}

/** One that can be stored by itself. */
export interface CopiedBatch {
  readonly batch: Buffer;
  readonly isSnapshot: boolean;
}

/**
 * All that a match needs to be written anew: its records without the snapshots that newer ones have replaced. About
 * 1.5 MB for ten minutes of ten players.
 */
export class MatchCopy {
  readonly #pieces: Piece[] = [];
  readonly #open = new RecordArea();
  #openTicks = 0;
  #closedBytes = 0;

  get bytes(): number {
    return this.#closedBytes + this.#open.bytes;
  }

  append(kind: RecordKind, payload: Uint8Array): void {
    if (isSnapshot(kind) || this.#open.bytes >= REWRITE_BATCH_BYTES) this.#close(false);
    this.#open.append(kind, payload);
    if (kind === RECORD.ENTRY) this.#openTicks++;
    if (isSnapshot(kind)) this.#close(true);
  }

  /** Puts in front what former owners had recorded. */
  prepend(former: MatchCopy): void {
    former.#close(false);
    this.#pieces.unshift(...former.#pieces);
    this.#closedBytes += former.#closedBytes;
    this.#forgetSnapshots();
  }

  #close(isSnapshot: boolean): void {
    const { records } = this.#open;
    if (records === 0) return;
    const bytes = Buffer.from(this.#open.view());
    this.#pieces.push({ bytes, records, ticks: this.#openTicks, isSnapshot });
    this.#closedBytes += bytes.length;
    this.#open.clear();
    this.#openTicks = 0;
    if (isSnapshot) this.#forgetSnapshots();
  }

  #forgetSnapshots(): void {
    for (const old of this.#pieces.filter((piece) => piece.isSnapshot).slice(0, -SNAPSHOTS_KEPT)) {
      this.#pieces.splice(this.#pieces.indexOf(old), 1);
      this.#closedBytes -= old.bytes.length;
    }
  }

  /** The match in batches, and where the next one would stand. */
  batches(): { readonly batches: CopiedBatch[]; readonly end: BatchPlace } {
    this.#close(false);
    const batches: CopiedBatch[] = [];
    let place: BatchPlace = { seq: 0, ticks: 0, bytes: 0 };
    for (let at = 0; at < this.#pieces.length; ) {
      if (this.#pieces[at]!.isSnapshot) {
        batches.push({ batch: encodeBatch(place, this.#pieces[at++]!.bytes), isSnapshot: true });
        continue;
      }
      const parts: Buffer[] = [];
      let { seq, ticks, bytes } = place;
      for (; at < this.#pieces.length && bytes - place.bytes < REWRITE_BATCH_BYTES; at++) {
        const piece = this.#pieces[at]!;
        if (piece.isSnapshot) break;
        parts.push(piece.bytes);
        seq += piece.records;
        ticks += piece.ticks;
        bytes += piece.bytes.length;
      }
      batches.push({
        batch: encodeBatch({ seq: place.seq, ticks, bytes: place.bytes }, Buffer.concat(parts)),
        isSnapshot: false,
      });
      place = { seq, ticks, bytes };
    }
    return { batches, end: place };
  }
}
