/**
 * What a backup is on disk: records, compressed, cut into chunks, each encrypted and bound to its place and to the file,
 * the last one marked as last. Whatever is changed, cut off, added, swapped or taken from another file is noticed; without
 * the key nothing can be read.
 *
 *     magic 8 | salt 16 | proof of the key 32 | SHA-256 of all before 32
 *     chunks: length u32 (top bit: last) | AES-256-GCM of at most 64 KiB | tag 16
 *     inside, decompressed (gzip), records: type u8 | length u32 | bytes
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createGunzip, createGzip } from 'node:zlib';
import { GameError } from '../kernel/errors.ts';

const MAGIC = Buffer.from('HYPBKUP1', 'latin1');
const SALT_BYTES = 16;
const HEADER_BYTES = MAGIC.length + SALT_BYTES + 32 + 32;
const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const LAST = 0x8000_0000;
/** Bytes of one record; longer data is cut by {@link writeBackup}'s caller. Above, on reading: damaged. */
export const RECORD_BYTES_MAX = 1024 * 1024;

/** One piece of a backup: what it is, as a letter, and its bytes. */
export interface BackupRecord {
  readonly type: string;
  readonly body: Buffer;
}

interface Keys {
  readonly cipher: Buffer;
  readonly proof: Buffer;
}

/** A pass phrase, made slow to guess, into the keys of one file. */
async function keysOf(secret: string, salt: Buffer): Promise<Keys> {
  const derive = promisify(scrypt) as (p: string, s: Buffer, n: number, o: object) => Promise<Buffer>;
  const bytes = await derive(secret.normalize('NFC'), salt, 64, { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 });
  return { cipher: bytes.subarray(0, 32), proof: createHmac('sha256', bytes.subarray(32)).update(MAGIC).digest() };
}

/** Every chunk has its own nonce: the key is of this file alone, the place counts, and the last one is another. */
function nonceOf(place: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt8(isLast ? 1 : 0, 0);
  nonce.writeBigUInt64BE(BigInt(place), 4);
  return nonce;
}

const damaged = (reason: string, cause?: unknown): GameError => new GameError('BACKUP_CORRUPT', { reason }, cause);

/** Bytes of a file that holds the records, as they come. */
export function packBackup(records: AsyncIterable<BackupRecord>, secret: string): Readable {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  const source = Readable.from(frame(records));
  // A fault of the source ends the compressor, and so reaches the reader.
  void pipeline(source, gzip).catch(() => undefined);
  return Readable.from(encrypt(gzip, secret), { objectMode: false });
}

async function* frame(records: AsyncIterable<BackupRecord>): AsyncGenerator<Buffer> {
  for await (const { type, body } of records) {
    if (body.length > RECORD_BYTES_MAX) throw new RangeError(`a record of ${body.length} bytes`);
    const head = Buffer.alloc(5);
    head.write(type, 'latin1');
    head.writeUInt32BE(body.length, 1);
    yield head;
    if (body.length > 0) yield body;
  }
}

async function* encrypt(source: AsyncIterable<Buffer>, secret: string): AsyncGenerator<Buffer> {
  const salt = randomBytes(SALT_BYTES);
  const { cipher: key, proof } = await keysOf(secret, salt);
  const open = Buffer.concat([MAGIC, salt, proof]);
  const header = Buffer.concat([open, createHash('sha256').update(open).digest()]);
  yield header;
  let place = 0;
  const seal = (plain: Buffer, isLast: boolean): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(place++, isLast), { authTagLength: TAG_BYTES });
    cipher.setAAD(header);
    const head = Buffer.alloc(4);
    head.writeUInt32BE((plain.length | (isLast ? LAST : 0)) >>> 0);
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const piece of source) {
    held.push(piece);
    heldBytes += piece.length;
    // More than one, never just one: the last chunk is not empty unless everything is.
    if (heldBytes <= CHUNK_BYTES) continue;
    let all = Buffer.concat(held);
    for (; all.length > CHUNK_BYTES; all = all.subarray(CHUNK_BYTES)) yield seal(all.subarray(0, CHUNK_BYTES), false);
    held = [all];
    heldBytes = all.length;
  }
  yield seal(Buffer.concat(held), true);
}

/**
 * The records of a file.
 * @throws GameError BACKUP_KEY, BACKUP_CORRUPT; also after records were yielded, so nothing may be believed before the end
 */
export async function* unpackBackup(source: AsyncIterable<Buffer>, secret: string): AsyncGenerator<BackupRecord> {
  const gunzip = createGunzip();
  let fault: unknown;
  const feeding = pipeline(Readable.from(decrypt(source, secret)), gunzip).catch((error: unknown) => {
    fault ??= error;
  });
  const bytes = new ByteReader(gunzip);
  try {
    for (let head = await bytes.take(5, true); head !== undefined; head = await bytes.take(5, true)) {
      const length = head.readUInt32BE(1);
      if (length > RECORD_BYTES_MAX) throw damaged('a record is too long');
      yield { type: head.toString('latin1', 0, 1), body: (await bytes.take(length, false))! };
    }
    await feeding;
    if (fault !== undefined) throw fault;
  } catch (error) {
    gunzip.destroy();
    await feeding;
    // What the decryption found comes first: what the decompressor says is a consequence of it.
    const cause = fault instanceof GameError ? fault : error;
    if (cause instanceof GameError || !isZlibError(cause)) throw cause;
    throw damaged('the compressed data is not whole', cause);
  } finally {
    gunzip.destroy();
  }
}

const isZlibError = (error: unknown): boolean => {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return (
    code.startsWith('Z_') || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_TRAILING_JUNK_AFTER_STREAM_END'
  );
};

async function* decrypt(source: AsyncIterable<Buffer>, secret: string): AsyncGenerator<Buffer> {
  const bytes = new ByteReader(source);
  const header = await bytes.take(HEADER_BYTES, false);
  if (!header!.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged('this is no backup');
  const open = header!.subarray(0, HEADER_BYTES - 32);
  if (
    !createHash('sha256')
      .update(open)
      .digest()
      .equals(header!.subarray(HEADER_BYTES - 32))
  ) {
    throw damaged('the header is damaged');
  }
  const { cipher: key, proof } = await keysOf(secret, header!.subarray(MAGIC.length, MAGIC.length + SALT_BYTES));
  if (!timingSafeEqual(proof, open.subarray(MAGIC.length + SALT_BYTES))) throw new GameError('BACKUP_KEY');
  for (let place = 0, isLast = false; !isLast; place++) {
    const head = (await bytes.take(4, false))!.readUInt32BE();
    isLast = head >= LAST;
    const length = isLast ? head - LAST : head;
    if (length > CHUNK_BYTES) throw damaged(`chunk ${place} is too long`);
    const sealed = (await bytes.take(length + TAG_BYTES, false))!;
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(place, isLast), { authTagLength: TAG_BYTES });
    decipher.setAAD(header!);
    decipher.setAuthTag(sealed.subarray(length));
    let plain: Buffer;
    try {
      plain = Buffer.concat([decipher.update(sealed.subarray(0, length)), decipher.final()]);
    } catch (error) {
      throw damaged(`chunk ${place} is damaged`, error);
    }
    yield plain;
  }
  if ((await bytes.take(1, true)) !== undefined) throw damaged('something follows the end');
}

/** Takes exact numbers of bytes from a stream of pieces. */
class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** @param mayEnd whether the stream may end just here: undefined then. @throws GameError BACKUP_CORRUPT if it ends earlier */
  async take(bytes: number, mayEnd: boolean): Promise<Buffer | undefined> {
    while (this.#bytes < bytes) {
      const { value, done } = await this.#source.next();
      if (done === true) {
        if (mayEnd && this.#bytes === 0) return undefined;
        throw damaged('it is cut off');
      }
      this.#pieces.push(value);
      this.#bytes += value.length;
    }
    const all = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = all.length > bytes ? [all.subarray(bytes)] : [];
    this.#bytes -= bytes;
    return all.subarray(0, bytes);
  }
}
