/** What every log checks of an append before it takes it, and how rows become events again. */
import { crc32 } from 'node:zlib';
import type { EventCatalogue } from '../events/event.ts';
import { type Append, LOG_LIMITS, type StoredEvent } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';

/** Names of streams, keys and fingerprints: printable ASCII, which every store keeps and compares alike. */
const PRINTABLE = /^[\x20-\x7e]+$/;

/** An append that was found in order, with the JSON of each payload. */
export interface CheckedAppend {
  readonly append: Append;
  readonly texts: readonly string[];
  /** {@link contentChecksum} of each event; made here, when the caller's turn is, and not while others wait for a batch. */
  readonly checksums: readonly number[];
  /** UTF-16 units of all texts and names: what it weighs in a queue. */
  readonly weight: number;
}

/**
 * Checks bounds, definitions and payloads.
 * @throws RangeError past {@link LOG_LIMITS} or for a name that is not printable ASCII; GameError EVENT_UNKNOWN;
 *   TypeError for a payload that does not fit
 */
export function checkAppend(append: Append, catalogue: EventCatalogue): CheckedAppend {
  const { stream, expected, events, key, fingerprint } = append;
  checkName('stream', stream, LOG_LIMITS.streamCharsMax);
  if (key !== undefined) checkName('key', key, LOG_LIMITS.keyCharsMax);
  if (fingerprint !== undefined) checkName('fingerprint', fingerprint, LOG_LIMITS.keyCharsMax);
  if (expected !== 'any' && !(Number.isSafeInteger(expected) && expected >= 0)) {
    throw new RangeError(`expected is a length or 'any', not ${expected}`);
  }
  if (!(events.length >= 1 && events.length <= LOG_LIMITS.eventsPerAppendMax)) {
    throw new RangeError(`an append has 1 to ${LOG_LIMITS.eventsPerAppendMax} events, not ${events.length}`);
  }
  let weight = stream.length + (key?.length ?? 0);
  const texts: string[] = [];
  const checksums: number[] = [];
  for (const event of events) {
    const text = JSON.stringify(catalogue.seal(event).payload);
    const isLong =
      text.length > LOG_LIMITS.payloadBytesMax ||
      (text.length > LOG_LIMITS.payloadBytesMax / 3 && Buffer.byteLength(text) > LOG_LIMITS.payloadBytesMax);
    if (isLong) throw new RangeError(`${event.type}: more than ${LOG_LIMITS.payloadBytesMax} bytes`);
    weight += text.length;
    texts.push(text);
    checksums.push(contentChecksum(event.type, event.version, stream, key ?? '', text));
  }
  return { append, texts, checksums, weight };
}

function checkName(what: string, name: string, charsMax: number): void {
  if (name.length > charsMax || !PRINTABLE.test(name)) {
    throw new RangeError(`a ${what} has 1 to ${charsMax} printable ASCII characters`);
  }
}

/** A row as a store keeps it. */
export interface EventRow {
  readonly position: number;
  readonly stream: string;
  readonly seq: number;
  readonly type: string;
  readonly version: number;
  /** Exactly the JSON that was appended. */
  readonly payload: string;
  readonly key: string | null;
  readonly recordedAtMs: number;
  readonly checksum: number;
}

/** CRC-32 of what an append says of an event, before it has its place. */
export function contentChecksum(type: string, version: number, stream: string, key: string, payload: string): number {
  return crc32(`${type}\n${version}\n${stream}\n${key}\n${payload}`);
}

/** The checksum of a row: of content and place. The SQL of the append says the same. */
export function rowChecksum(content: number, position: number, seq: number): number {
  return (content ^ (position % 2 ** 32) ^ (((seq % 2 ** 32) * 31) % 2 ** 32)) >>> 0;
}

/**
 * The event of a row, in the newest shape.
 * @throws GameError EVENT_CORRUPT, EVENT_UNKNOWN, EVENT_VERSION, each with `position`
 */
export function eventOfRow(row: EventRow, catalogue: EventCatalogue): StoredEvent {
  const { position, stream, seq, type, version, payload: text, key, recordedAtMs, checksum } = row;
  const content = contentChecksum(type, version, stream, key ?? '', text);
  if (rowChecksum(content, position, seq) !== checksum) {
    throw new GameError('EVENT_CORRUPT', { position, reason: 'the checksum does not fit' });
  }
  try {
    const payload = catalogue.read(type, version, JSON.parse(text));
    return { position, stream, seq, type, version, payload, key: key ?? undefined, recordedAtMs };
  } catch (error) {
    if (error instanceof GameError) throw new GameError(error.code, { position, ...error.detail }, error);
    throw new GameError('EVENT_CORRUPT', { position, reason: (error as Error).message }, error);
  }
}

/** @throws GameError LOG_GAP when a page does not continue where the one before ended */
export function checkNoGap(events: readonly { readonly position: number }[], after: number): void {
  for (const [i, { position }] of events.entries()) {
    if (position !== after + 1 + i) throw new GameError('LOG_GAP', { position: after + 1 + i, found: position });
  }
}

/** Page size as asked for. @throws RangeError */
export function pageMaxOf(pageMax = 1_000): number {
  if (!(Number.isInteger(pageMax) && pageMax >= 1 && pageMax <= 10_000)) {
    throw new RangeError(`pageMax is 1 to 10,000, not ${pageMax}`);
  }
  return pageMax;
}
