/**
 * The replay file: a finished match as its inputs, with hashes to prove a re-simulation against. Pure: the
 * browser reads the same files as the command line. Compression is handed in, as it differs between the two.
 *
 * Layout, little-endian: `HYPR`, u8 container version, u8 compression (0 none, 1 raw deflate), u16 zero, u32 header
 * bytes, u32 body bytes before compression, u32 CRC-32 of that body, u32 CRC-32 of everything before this field plus
 * the header; then the header as JSON, never compressed so that a list needs only the first kilobytes; then the body
 * to the end of the file. Body: varint entries, that many blobs (see entry-codec.ts), varint hashes, that many pairs of
 * u32 (hi, lo).
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { GameError } from './errors.ts';
import { crc32, type Hash64 } from './hash.ts';
import { boolean, integer, list, object, text } from './json-check.ts';
import { type MatchHeader, type MatchResult, parseMatchHeader, parseMatchResult } from './match-header.ts';

/** Name of a replay file: `<matchId>.hypr`. */
export const REPLAY_EXTENSION = '.hypr';
/** A recorded hash every so many ticks: one a second at 30 Hz. */
export const HASH_EVERY_TICKS = 30;

/** What a reader accepts; a file above any of these is refused as {@link GameError} REPLAY_CORRUPT. */
export const REPLAY_LIMITS = {
  fileBytes: 64 * 2 ** 20,
  headerBytes: 2 ** 20,
  /** Body before compression; 10 minutes of 128 players are about 15 MiB. */
  bodyBytes: 256 * 2 ** 20,
  /** 24 h at 60 Hz. */
  ticks: 24 * 3600 * 60,
  entryBytes: 2 ** 16,
  /** Seats taken over the whole match, rejoining counted again. */
  players: 4096,
} as const;

const MAGIC = 0x52505948;
const CONTAINER_VERSION = 1;
const FIXED_BYTES = 24;
const COMPRESSION_NONE = 0;
const COMPRESSION_DEFLATE_RAW = 1;

/** Somebody who held a seat for a while. A player who comes back is listed again. */
export interface ReplayPlayer {
  readonly seat: number;
  readonly name: string;
  /** Pseudonym: the same over all replays of one server, and nothing else can be told from it. Empty for bots. */
  readonly playerId: string;
  readonly isBot: boolean;
  readonly joinedTick: number;
  /** Absent when the player stayed to the end. */
  readonly leftTick?: number;
}

export interface ReplayHeader extends MatchHeader {
  readonly players: readonly ReplayPlayer[];
  /** Absent when a fault cut the match short. */
  readonly result?: MatchResult;
  /** Entries in the file, ticks 0 to `ticks - 1`. */
  readonly ticks: number;
  /** Hash of the world after the last entry, 16 hexadecimal digits; empty without entries. */
  readonly finalHash: string;
  readonly hashEveryTicks: number;
}

export interface Replay {
  readonly header: ReplayHeader;
  /** Entry bytes by tick, see entry-codec.ts. */
  readonly entries: readonly Uint8Array[];
  /** Element k is the world's hash after entry `(k + 1) * hashEveryTicks - 1`. */
  readonly hashes: readonly Hash64[];
}

/** Packs bytes as raw deflate (RFC 1951). */
export type Deflate = (bytes: Uint8Array) => Promise<Uint8Array>;
/** Unpacks raw deflate; rejects if the bytes are damaged or unpack to more than `maxBytes`. */
export type Inflate = (bytes: Uint8Array, maxBytes: number) => Promise<Uint8Array>;

/**
 * The whole file. Stored plain when no `deflate` is given.
 * @throws RangeError if the match is above {@link REPLAY_LIMITS}, so that nothing is written that no reader accepts
 */
export async function packReplay(replay: Replay, deflate?: Deflate): Promise<Uint8Array<ArrayBuffer>> {
  const body = writeBody(replay);
  const header = new TextEncoder().encode(JSON.stringify(replay.header));
  parseReplayHeader(JSON.parse(JSON.stringify(replay.header)));
  if (header.length > REPLAY_LIMITS.headerBytes) throw new RangeError(`replay header of ${header.length} bytes`);
  const payload = deflate === undefined ? body : await deflate(body);
  const file = new ByteWriter(FIXED_BYTES + header.length + payload.length)
    .u32(MAGIC)
    .u8(CONTAINER_VERSION)
    .u8(deflate === undefined ? COMPRESSION_NONE : COMPRESSION_DEFLATE_RAW)
    .u16(0)
    .u32(header.length)
    .u32(body.length)
    .u32(crc32(body));
  file.u32(crc32(header, crc32(file.view())));
  const bytes = file.raw(header).raw(payload).bytes();
  if (bytes.length > REPLAY_LIMITS.fileBytes) throw new RangeError(`replay file of ${bytes.length} bytes`);
  return bytes;
}

function writeBody({ header, entries, hashes }: Replay): Uint8Array<ArrayBuffer> {
  if (entries.length !== header.ticks) throw new RangeError(`${entries.length} entries for ${header.ticks} ticks`);
  if (hashes.length !== hashCount(header)) throw new RangeError(`${hashes.length} hashes for ${header.ticks} ticks`);
  let bytes = 16 + hashes.length * 8;
  for (const entry of entries) {
    if (entry.length > REPLAY_LIMITS.entryBytes) throw new RangeError(`entry of ${entry.length} bytes`);
    bytes += entry.length + 3;
  }
  if (bytes > REPLAY_LIMITS.bodyBytes) throw new RangeError(`replay body of ${bytes} bytes`);
  const body = new ByteWriter(bytes).varint(entries.length);
  for (const entry of entries) body.blob(entry);
  body.varint(hashes.length);
  for (const { hi, lo } of hashes) body.u32(hi).u32(lo);
  return body.bytes();
}

function hashCount({ ticks, hashEveryTicks }: ReplayHeader): number {
  return Math.floor(ticks / hashEveryTicks);
}

interface Frame {
  readonly isDeflated: boolean;
  readonly headerBytes: number;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
  readonly headCrc: number;
}

function readFrame(bytes: Uint8Array): Frame {
  const from = new ByteReader(bytes);
  if (from.u32() !== MAGIC) throw new RangeError('it does not begin as a replay does');
  const version = from.u8();
  if (version !== CONTAINER_VERSION) throw new GameError('REPLAY_VERSION', { container: version });
  const compression = from.u8();
  if (compression > COMPRESSION_DEFLATE_RAW || from.u16() !== 0) throw new RangeError('unknown compression');
  const frame: Frame = {
    isDeflated: compression === COMPRESSION_DEFLATE_RAW,
    headerBytes: from.u32(),
    bodyBytes: from.u32(),
    bodyCrc: from.u32(),
    headCrc: from.u32(),
  };
  if (frame.headerBytes > REPLAY_LIMITS.headerBytes) throw new RangeError(`header of ${frame.headerBytes} bytes`);
  if (frame.bodyBytes > REPLAY_LIMITS.bodyBytes) throw new RangeError(`body of ${frame.bodyBytes} bytes`);
  return frame;
}

/**
 * Bytes from the start of the file that {@link readReplayHeader} needs, told from its first 24.
 * @throws GameError REPLAY_CORRUPT, REPLAY_VERSION
 */
export function replayHeadBytes(first: Uint8Array): number {
  return refuseDamage(() => FIXED_BYTES + readFrame(first).headerBytes);
}

/** The header alone, from the file's first bytes. @throws GameError REPLAY_CORRUPT, REPLAY_VERSION */
export function readReplayHeader(bytes: Uint8Array): ReplayHeader {
  return refuseDamage(() => checkedHeader(readFrame(bytes), bytes));
}

function checkedHeader(frame: Frame, bytes: Uint8Array): ReplayHeader {
  const header = bytes.subarray(FIXED_BYTES, FIXED_BYTES + frame.headerBytes);
  if (header.length !== frame.headerBytes) throw new RangeError('it ends inside its header');
  if (crc32(header, crc32(bytes.subarray(0, FIXED_BYTES - 4))) !== frame.headCrc) {
    throw new RangeError('the checksum of its header does not fit');
  }
  return parseReplayHeader(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header)));
}

/** Reads a whole file from an untrusted source. @throws GameError REPLAY_CORRUPT, REPLAY_VERSION */
export async function unpackReplay(bytes: Uint8Array, inflate: Inflate): Promise<Replay> {
  const { frame, header } = refuseDamage(() => {
    if (bytes.length > REPLAY_LIMITS.fileBytes) throw new RangeError(`file of ${bytes.length} bytes`);
    const fixed = readFrame(bytes);
    return { frame: fixed, header: checkedHeader(fixed, bytes) };
  });
  let body = bytes.subarray(FIXED_BYTES + frame.headerBytes);
  if (frame.isDeflated) {
    try {
      body = await inflate(body, frame.bodyBytes);
    } catch (error) {
      throw new GameError('REPLAY_CORRUPT', { reason: 'its body does not unpack' }, error);
    }
  }
  return refuseDamage(() => {
    if (body.length !== frame.bodyBytes) throw new RangeError('its body has another length than stated');
    if (crc32(body) !== frame.bodyCrc) throw new RangeError('the checksum of its body does not fit');
    return { header, ...readBody(header, body) };
  });
}

function readBody(header: ReplayHeader, body: Uint8Array): Pick<Replay, 'entries' | 'hashes'> {
  const from = new ByteReader(body);
  if (from.varint() !== header.ticks) throw new RangeError('it has another number of entries than stated');
  const entries: Uint8Array[] = [];
  for (let tick = 0; tick < header.ticks; tick++) {
    const entry = from.blob();
    if (entry.length > REPLAY_LIMITS.entryBytes) throw new RangeError(`entry of ${entry.length} bytes`);
    entries.push(entry);
  }
  if (from.varint() !== hashCount(header)) throw new RangeError('it has another number of hashes than stated');
  const hashes: Hash64[] = [];
  for (let i = hashCount(header); i > 0; i--) hashes.push({ hi: from.u32(), lo: from.u32() });
  if (from.remaining > 0) throw new RangeError('bytes follow its end');
  return { entries, hashes };
}

function parseReplayHeader(value: unknown): ReplayHeader {
  const from = object(value, 'header');
  const ticks = integer(from, 'ticks', 0, REPLAY_LIMITS.ticks);
  const finalHash = text(from, 'finalHash');
  if (!(ticks === 0 ? /^$/ : /^[0-9a-f]{16}$/).test(finalHash)) throw new RangeError('finalHash is no hash');
  return {
    ...parseMatchHeader(value),
    players: list(from, 'players', REPLAY_LIMITS.players).map((player) => parsePlayer(player, ticks)),
    ...(from['result'] === undefined ? {} : { result: parseMatchResult(from['result']) }),
    ticks,
    finalHash,
    hashEveryTicks: integer(from, 'hashEveryTicks', 1, REPLAY_LIMITS.ticks),
  };
}

function parsePlayer(value: unknown, ticks: number): ReplayPlayer {
  const from = object(value, 'player');
  const joinedTick = integer(from, 'joinedTick', 0, ticks);
  return {
    seat: integer(from, 'seat', 0, 255),
    name: text(from, 'name'),
    playerId: text(from, 'playerId'),
    isBot: boolean(from, 'isBot'),
    joinedTick,
    ...(from['leftTick'] === undefined ? {} : { leftTick: integer(from, 'leftTick', joinedTick, ticks) }),
  };
}

/** Whatever is wrong with a stranger's bytes is one refusal. */
function refuseDamage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof GameError) throw error;
    // RangeError from the readers, SyntaxError from JSON, TypeError from a text that is not UTF-8.
    throw new GameError('REPLAY_CORRUPT', { reason: (error as Error).message }, error);
  }
}
