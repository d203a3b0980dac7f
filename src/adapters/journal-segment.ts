/**
 * One segment file of the journal as bytes. A segment holds records of all matches of a process, in the order they
 * became durable. Layout, little-endian: 16 bytes head (`HYPJSEG1`, u32 segment number, u32 CRC-32 of those 12), then
 * records: u24 payload bytes, u8 kind, u32 match index, u32 seq, u32 CRC-32 of the payload, u32 CRC-32 of those 16,
 * payload. The checksum of the head lets a reader trust the length of a record whose payload is damaged. Every group
 * commit ends in a COMMIT record, so that a torn tail can be told from damage to what was durable.
 */
import { crc32 as nativeCrc32 } from 'node:zlib';
import { GameError } from '../kernel/errors.ts';
import { crc32 } from '../kernel/hash.ts';
import { RECORD_MAX_BYTES } from '../match/journal.ts';

export const SEGMENT_HEAD_BYTES = 16;
export const RECORD_HEAD_BYTES = 20;
/** The payload and the tick or epoch in front of it. */
const PAYLOAD_MAX_BYTES = RECORD_MAX_BYTES + 64;

/** Kinds beside those of a match: a group commit's end, and a match that was removed. */
export const COMMIT = 32;
export const REMOVED = 33;

const MAGIC = Buffer.from('HYPJSEG1', 'latin1');
/** Above it, the native function is faster than the table in spite of its call. */
const NATIVE_FROM_BYTES = 96;

/** CRC-32 by whichever way is faster for so many bytes. */
export function checksum(bytes: Uint8Array): number {
  return bytes.length < NATIVE_FROM_BYTES ? crc32(bytes) : nativeCrc32(bytes);
}

export function segmentHead(number: number): Buffer {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt32LE(number, 8);
  head.writeUInt32LE(crc32(head.subarray(0, 12)), 12);
  return head;
}

/** Framed records one after another. Grows by doubling, shrinks when a burst is over. */
export class GrowingRecords {
  #buffer: Buffer = Buffer.allocUnsafe(1024);
  #bytes = 0;
  #records = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get records(): number {
    return this.#records;
  }

  /** Where a record of at most so many bytes can be written, from {@link bytes} on. */
  protected roomFor(bytes: number): Buffer {
    const need = this.#bytes + bytes;
    if (need > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(need, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#bytes);
      this.#buffer = grown;
    }
    return this.#buffer;
  }

  /** @param end of the record that was written */
  protected written(end: number): void {
    this.#bytes = end;
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

/** Records that wait for a commit. */
export class PendingRecords extends GrowingRecords {
  append(kind: number, match: number, seq: number, payload: Uint8Array): void {
    const at = this.bytes;
    const length = RECORD_HEAD_BYTES + payload.length;
    const to = this.roomFor(length);
    to.writeUInt32LE((payload.length | (kind << 24)) >>> 0, at);
    to.writeUInt32LE(match, at + 4);
    to.writeUInt32LE(seq, at + 8);
    to.writeUInt32LE(checksum(payload), at + 12);
    to.writeUInt32LE(crc32(to.subarray(at, at + 16)), at + 16);
    to.set(payload, at + RECORD_HEAD_BYTES);
    this.written(at + length);
  }
}

export interface SegmentRecord {
  readonly kind: number;
  readonly match: number;
  readonly seq: number;
  /** Where the record begins and ends in the segment. */
  readonly start: number;
  readonly end: number;
  readonly payload: Buffer;
}

/** A stretch that is no whole record. Match and seq are known when only a payload was hit. */
export interface Damage {
  readonly start: number;
  readonly match?: number;
  readonly seq?: number;
}

/** The record at `at`; a damage if there is none; undefined if nothing but its absence can be said. */
export function recordAt(segment: Buffer, at: number): SegmentRecord | (Damage & { readonly end: number }) | undefined {
  if (at + RECORD_HEAD_BYTES > segment.length) return undefined;
  if (crc32(segment.subarray(at, at + 16)) !== segment.readUInt32LE(at + 16)) return undefined;
  const word = segment.readUInt32LE(at);
  const length = word & 0xffffff;
  const start = at;
  const end = at + RECORD_HEAD_BYTES + length;
  const match = segment.readUInt32LE(at + 4);
  const seq = segment.readUInt32LE(at + 8);
  const payload = segment.subarray(at + RECORD_HEAD_BYTES, end);
  const isWhole = length <= PAYLOAD_MAX_BYTES && end <= segment.length;
  if (!isWhole || checksum(payload) !== segment.readUInt32LE(at + 12)) return { start, end, match, seq };
  return { kind: word >>> 24, match, seq, start, end, payload };
}

export interface SegmentScan {
  readonly records: readonly SegmentRecord[];
  /** Damage to what had been durable. */
  readonly damages: readonly Damage[];
  /** Where a torn tail was cut off; the length of the segment when it is clean. */
  readonly length: number;
  /** What the torn tail hit first. */
  readonly torn?: Damage;
}

/**
 * Reads a segment from end to end. In the last segment of a journal, damage inside the last group commit is a torn tail:
 * everything from it on had not been acknowledged when the process died, and is cut. Other damage is reported and
 * stepped over.
 * @throws GameError JOURNAL_CORRUPT if another version of this program wrote the segment
 */
export function scanSegment(segment: Buffer, isLast: boolean): SegmentScan {
  const records: SegmentRecord[] = [];
  const damages: Damage[] = [];
  if (segment.length < SEGMENT_HEAD_BYTES) return { records, damages, length: 0, torn: { start: 0 } };
  refuseOtherVersion(segment);

  let lastCommitStart = SEGMENT_HEAD_BYTES;
  let nextCommitStart = SEGMENT_HEAD_BYTES;
  let at = SEGMENT_HEAD_BYTES;
  let isLost = false;
  while (at < segment.length) {
    const found = recordAt(segment, at);
    if (found === undefined) {
      // The length is not to be trusted either: look for the next head, byte by byte.
      if (!isLost) damages.push({ start: at });
      isLost = true;
      at++;
      continue;
    }
    if (!('kind' in found)) {
      damages.push(found);
      isLost = found.end > segment.length;
      at = isLost ? at + 1 : found.end;
      continue;
    }
    isLost = false;
    at = found.end;
    if (found.kind === COMMIT) {
      lastCommitStart = nextCommitStart;
      nextCommitStart = found.end;
    } else {
      records.push(found);
    }
  }
  // Without a COMMIT at the very end, the last commit is what follows the last COMMIT.
  const tailStart = nextCommitStart === segment.length ? lastCommitStart : nextCommitStart;
  const torn = isLast ? damages.find(({ start }) => start >= tailStart) : undefined;
  if (torn === undefined) return { records, damages, length: segment.length };
  return {
    records: records.filter(({ end }) => end <= torn.start),
    damages: damages.filter(({ start }) => start < torn.start),
    length: torn.start,
    torn,
  };
}

/** A damaged head harms nobody, as no record depends on it; a sound one of another version must not be misread. */
function refuseOtherVersion(segment: Buffer): void {
  const isSound = crc32(segment.subarray(0, 12)) === segment.readUInt32LE(12);
  if (isSound && !segment.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new GameError('JOURNAL_CORRUPT', { reason: 'a segment was written by another version' });
  }
}
