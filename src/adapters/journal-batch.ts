/**
 * Records of one match in one piece, as the journal in Redis stores them. Layout: u32 CRC-32 of what follows,
 * little-endian; u8 version; varint records before this batch; varint entries (ticks) after it; varint bytes of records
 * before it; then the records, each varint payload bytes, u8 kind, payload. So the first and the last batch of a match
 * say all that a list shows, and a batch that is missing is noticed.
 */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { RECORD, type RecordKind } from '../match/journal.ts';
import { checksum } from './journal-segment.ts';

const VERSION = 1;
const CHECKSUM_BYTES = 4;
/** A rewritten match comes in batches of about this size: few commands, and none that holds the store up. */
const REWRITE_BATCH_BYTES = 64 * 2 ** 10;
/** Snapshots a copy keeps: the newest, and one more in case it cannot be read. */
const COPY_SNAPSHOTS = 2;

/** Records one after another. Grows by doubling, shrinks when a burst is over. */
export class RecordArea {
  #buffer: Buffer = Buffer.allocUnsafe(1024);
  #bytes = 0;
  #records = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get records(): number {
    return this.#records;
  }

  append(kind: RecordKind, payload: Uint8Array): void {
    const need = this.#bytes + 9 + payload.length;
    if (need > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(need, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#bytes);
      this.#buffer = grown;
    }
    const to = this.#buffer;
    let at = this.#bytes;
    let length = payload.length;
    for (; length >= 0x80; length = Math.floor(length / 0x80)) to[at++] = (length % 0x80) | 0x80;
    to[at++] = length;
    to[at++] = kind;
    to.set(payload, at);
    this.#bytes = at + payload.length;
    this.#records++;
  }

  /** What was appended; valid until the next call. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  clear(): void {
    this.#bytes = 0;
    this.#records = 0;
    if (this.#buffer.length > 2 ** 18) this.#buffer = Buffer.allocUnsafe(1024);
  }
}

/** Where a batch stands in its match. */
export interface BatchPlace {
  /** Records before it. */
  readonly seq: number;
  /** Entries recorded with it. */
  readonly ticks: number;
  /** Bytes of records before it. */
  readonly bytes: number;
}

export interface Batch extends BatchPlace {
  readonly records: readonly StoredRecord[];
  /** Bytes of its own records. */
  readonly ownBytes: number;
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
  return { seq, ticks, bytes, records: [...recordsOf(area)], ownBytes: area.length };
}

interface StoredRecord {
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
    if (kind === RECORD.SNAPSHOT || this.#open.bytes >= REWRITE_BATCH_BYTES) this.#close(false);
    this.#open.append(kind, payload);
    if (kind === RECORD.ENTRY) this.#openTicks++;
    if (kind !== RECORD.SNAPSHOT) return;
    this.#close(true);
    const snapshots = this.#pieces.filter(({ isSnapshot }) => isSnapshot);
    if (snapshots.length <= COPY_SNAPSHOTS) return;
    this.#pieces.splice(this.#pieces.indexOf(snapshots[0]!), 1);
    this.#closedBytes -= snapshots[0]!.bytes.length;
  }

  #close(isSnapshot: boolean): void {
    const { records } = this.#open;
    if (records === 0) return;
    const bytes = Buffer.from(this.#open.view());
    this.#pieces.push({ bytes, records, ticks: this.#openTicks, isSnapshot });
    this.#closedBytes += bytes.length;
    this.#open.clear();
    this.#openTicks = 0;
  }

  *records(): Iterable<StoredRecord> {
    this.#close(false);
    for (const { bytes } of this.#pieces) yield* recordsOf(bytes);
  }

  /** The match in batches, and where the next one would stand. */
  batches(): { readonly batches: Buffer[]; readonly end: BatchPlace } {
    this.#close(false);
    const batches: Buffer[] = [];
    let place: BatchPlace = { seq: 0, ticks: 0, bytes: 0 };
    for (let at = 0; at < this.#pieces.length; ) {
      const parts: Buffer[] = [];
      let { seq, ticks, bytes } = place;
      for (; at < this.#pieces.length && (parts.length === 0 || bytes - place.bytes < REWRITE_BATCH_BYTES); at++) {
        const piece = this.#pieces[at]!;
        parts.push(piece.bytes);
        seq += piece.records;
        ticks += piece.ticks;
        bytes += piece.bytes.length;
      }
      batches.push(encodeBatch({ seq: place.seq, ticks, bytes: place.bytes }, Buffer.concat(parts)));
      place = { seq, ticks, bytes };
    }
    return { batches, end: place };
  }
}
