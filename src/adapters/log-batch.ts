/**
 * One batch of appends on its way to PostgreSQL: what of it can be stored, if streams are as long as thought and keys as
 * new, and how it goes over the wire.
 */
import { type AppendChain, LOG_LIMITS } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import type { CheckedAppend } from './log-append.ts';

/** What is known of the log while a batch is decided. */
export interface LogFacts {
  /** Lengths of streams as last seen. */
  readonly lengths: Map<string, number>;
  /** Keys that the log has, with their fingerprint. */
  readonly keys: Map<string, string | null>;
}

/** What becomes of one append if the facts hold. */
export type Verdict =
  /** `index` is the place of its first event in the batch, from 0; `length` that of the stream before it. */
  | { readonly kind: 'store'; readonly index: number; readonly length: number }
  /** The log has the key, or an earlier append of the batch (`first`) does. */
  | { readonly kind: 'repeat'; readonly first: number | undefined }
  | { readonly kind: 'refuse'; readonly error: GameError };

export interface Decision {
  readonly verdicts: readonly Verdict[];
  /** Events to store, all appends together. */
  readonly count: number;
  /** Lengths that streams must have before, and have after. */
  readonly before: Map<string, number>;
  readonly after: Map<string, number>;
  /** Keys that the log must not have. */
  readonly newKeys: readonly string[];
}

/**
 * Decides a batch in order, each append against what those before it made. A stream of which nothing is known is taken
 * to be as long as its first append expects.
 */
export function decide(batch: readonly CheckedAppend[], facts: LogFacts): Decision {
  const before = new Map<string, number>();
  const after = new Map<string, number>();
  const newKeys = new Set<string>();
  /** Which append of the batch stores a key. */
  const storers = new Map<string, number>();
  const broken = new Set<AppendChain>();
  let count = 0;
  const verdicts = batch.map((checked, i): Verdict => {
    const { chain } = checked.append;
    if (chain === undefined) return judge(checked, i);
    const isBroken = chain.isBroken || broken.has(chain);
    const verdict = isBroken
      ? { kind: 'refuse' as const, error: brokenChain(checked.append.stream) }
      : judge(checked, i);
    if (verdict.kind !== 'store') broken.add(chain);
    return verdict;
  });
  return { verdicts, count, before, after, newKeys: [...newKeys] };

  function brokenChain(stream: string): GameError {
    return new GameError('LOG_CONFLICT', { stream, length: after.get(stream) ?? facts.lengths.get(stream) });
  }

  function judge({ append }: CheckedAppend, i: number): Verdict {
    const { stream, expected, key, fingerprint } = append;
    if (key !== undefined) {
      const stored = facts.keys.get(key);
      const first = storers.get(key);
      if (stored !== undefined || first !== undefined) {
        const known = stored === undefined ? batch[first!]!.append.fingerprint : (stored ?? undefined);
        return known === fingerprint
          ? { kind: 'repeat', first: stored === undefined ? first : undefined }
          : { kind: 'refuse', error: new GameError('KEY_REUSED', {}) };
      }
      // Also that of an append that is refused below: if the log has it, it is a repeat instead.
      newKeys.add(key);
    }
    let length = after.get(stream);
    if (length === undefined) {
      length = facts.lengths.get(stream) ?? (expected === 'any' ? 0 : expected);
      before.set(stream, length);
      after.set(stream, length);
    }
    if (expected !== 'any' && expected !== length) {
      return { kind: 'refuse', error: new GameError('LOG_CONFLICT', { stream, length }) };
    }
    if (key !== undefined) storers.set(key, i);
    after.set(stream, length + append.events.length);
    const index = count;
    count += append.events.length;
    return { kind: 'store', index, length };
  }
}

const OID = { int4: 23, int8: 20, text: 25 } as const;
const HEADER_BYTES = 20;
/** Of an array that is new. */
const FIRST_BYTES = 1_024;

/** A one-dimensional array in PostgreSQL's binary form, which costs neither side any quoting. */
class ArrayWriter {
  #bytes: Buffer;
  #at = HEADER_BYTES;
  #count = 0;
  #hasNull = 0;
  readonly #oid: number;

  constructor(type: keyof typeof OID) {
    this.#oid = OID[type];
    this.#bytes = Buffer.allocUnsafe(FIRST_BYTES);
  }

  get capacityBytes(): number {
    return this.#bytes.length;
  }

  /** Empty again; what {@link done} gave before is overwritten from now on. */
  reset(): void {
    this.#at = HEADER_BYTES;
    this.#count = 0;
    this.#hasNull = 0;
  }

  text(value: string | undefined): void {
    this.#count++;
    this.#ensure(4 + (value?.length ?? 0) * 3);
    if (value === undefined) {
      this.#hasNull = 1;
      this.#at = this.#bytes.writeInt32BE(-1, this.#at);
      return;
    }
    const written = this.#bytes.write(value, this.#at + 4, 'utf8');
    this.#bytes.writeInt32BE(written, this.#at);
    this.#at += 4 + written;
  }

  int4(value: number): void {
    this.#count++;
    this.#ensure(8);
    this.#at = this.#bytes.writeInt32BE(4, this.#at);
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
  }

  int8(value: number): void {
    this.#count++;
    this.#ensure(12);
    this.#at = this.#bytes.writeInt32BE(8, this.#at);
    this.#at = this.#bytes.writeInt32BE(Math.floor(value / 2 ** 32), this.#at);
    this.#at = this.#bytes.writeUInt32BE(value % 2 ** 32, this.#at);
  }

  done(): Buffer {
    this.#bytes.writeInt32BE(this.#count === 0 ? 0 : 1, 0);
    this.#bytes.writeInt32BE(this.#hasNull, 4);
    this.#bytes.writeInt32BE(this.#oid, 8);
    if (this.#count === 0) return this.#bytes.subarray(0, 12);
    this.#bytes.writeInt32BE(this.#count, 12);
    this.#bytes.writeInt32BE(1, 16);
    return this.#bytes.subarray(0, this.#at);
  }

  #ensure(bytes: number): void {
    const wanted = this.#at + bytes;
    if (wanted <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(wanted * 2);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** Memory that an encoder keeps for the next batch; what a larger one took is given back. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024;

/** The call that stores a batch. The payloads come first, as pg makes room for a message by what it has so far. */
export const APPEND_SQL = `select event_append($2, $3, $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
  $9::text[], $10::integer[], $1::text[], $11::text[], $12::integer[], $13::text[], $14::bigint[])`;

/**
 * Writes batches as the arguments of {@link APPEND_SQL}, one after another into the same memory: memory outside of the
 * heap that is new for each batch makes V8 look through all of the heap several times a second.
 */
export class BatchEncoder {
  readonly #newKeys = new ArrayWriter('text');
  readonly #streams = new ArrayWriter('text');
  readonly #lengths = new ArrayWriter('int8');
  readonly #name = new ArrayWriter('text');
  readonly #seq = new ArrayWriter('int8');
  readonly #type = new ArrayWriter('text');
  readonly #version = new ArrayWriter('int4');
  readonly #payload = new ArrayWriter('text');
  readonly #key = new ArrayWriter('text');
  readonly #nth = new ArrayWriter('int4');
  readonly #fingerprint = new ArrayWriter('text');
  readonly #checksum = new ArrayWriter('int8');
  readonly #all = [
    this.#newKeys,
    this.#streams,
    this.#lengths,
    this.#name,
    this.#seq,
    this.#type,
    this.#version,
    this.#payload,
    this.#key,
    this.#nth,
    this.#fingerprint,
    this.#checksum,
  ];

  /** False for one that has grown too large to be kept for the next batch. */
  get isKeepable(): boolean {
    let bytes = 0;
    for (const array of this.#all) bytes += array.capacityBytes;
    return bytes <= KEPT_BYTES_MAX;
  }

  /**
   * @param checks keys that must be new and streams that must have their length; others are left to the unique indexes
   * @returns the arguments, good until the next call
   */
  encode(
    batch: readonly CheckedAppend[],
    { verdicts, before }: Decision,
    checks: { readonly keys: readonly string[]; readonly streams: readonly string[] },
    nowMs: number,
    origin: string,
  ): unknown[] {
    for (const array of this.#all) array.reset();
    for (const key of checks.keys) this.#newKeys.text(key);
    for (const stream of checks.streams) {
      this.#streams.text(stream);
      this.#lengths.int8(before.get(stream)!);
    }
    for (let i = 0; i < batch.length; i++) {
      const verdict = verdicts[i]!;
      if (verdict.kind === 'store') this.#write(batch[i]!, verdict.length);
    }
    const arrays = [
      this.#newKeys,
      this.#streams,
      this.#lengths,
      this.#name,
      this.#seq,
      this.#type,
      this.#version,
      this.#key,
      this.#nth,
      this.#fingerprint,
      this.#checksum,
    ];
    return [this.#payload.done(), nowMs, origin, ...arrays.map((array) => array.done())];
  }

  #write({ append, texts, checksums }: CheckedAppend, length: number): void {
    const { stream, key, fingerprint, events } = append;
    for (let j = 0; j < texts.length; j++) {
      const { type, version } = events[j]!;
      const place = length + j + 1;
      this.#name.text(stream);
      this.#seq.int8(place);
      this.#type.text(type);
      this.#version.int4(version);
      this.#payload.text(texts[j]!);
      this.#key.text(key);
      this.#nth.int4(j);
      this.#fingerprint.text(fingerprint);
      this.#checksum.int8((checksums[j]! ^ (((place % 2 ** 32) * 31) % 2 ** 32)) >>> 0);
    }
  }
}

/** Batches are no larger than this, so that the head of the log is not held long. */
export const BATCH_LIMITS = Object.freeze({ appendsMax: 2_048, eventsMax: 8_192, weightMax: 8 * 1024 * 1024 });

if (BATCH_LIMITS.eventsMax < LOG_LIMITS.eventsPerAppendMax) throw new RangeError('a batch holds less than one append');
