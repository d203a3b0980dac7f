/**
 * One batch of appends on its way to PostgreSQL: what of it can be stored, if streams are as long as thought and keys as
 * new, and how it goes over the wire.
 */
import { type AppendChain, LOG_LIMITS } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import { type CheckedAppend, contentChecksum } from './log-append.ts';

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

/** A one-dimensional array in PostgreSQL's binary form, which costs neither side any quoting. */
class ArrayWriter {
  #bytes: Buffer;
  #at = HEADER_BYTES;
  #count = 0;
  #hasNull = 0;
  readonly #oid: number;

  constructor(type: keyof typeof OID, bytes: number) {
    this.#oid = OID[type];
    this.#bytes = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  }

  text(value: string | undefined): void {
    this.#count++;
    const worst = this.#at + 4 + (value?.length ?? 0) * 3;
    if (worst > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(worst * 2);
      this.#bytes.copy(larger, 0, 0, this.#at);
      this.#bytes = larger;
    }
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
    this.#at = this.#bytes.writeInt32BE(4, this.#at);
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
  }

  int8(value: number): void {
    this.#count++;
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
}

/** Bytes set aside for a name in an array; grows when it is not enough. */
const NAME_BYTES = 64;

/**
 * The arrays of `event_append`, from `p_keys` on.
 * @param checks keys that must be new and streams that must have their length; others are left to the unique indexes
 */
export function encode(
  batch: readonly CheckedAppend[],
  { verdicts, count, before }: Decision,
  checks: { readonly keys: readonly string[]; readonly streams: readonly string[] },
): Buffer[] {
  const { keys: newKeys } = checks;
  const keys = new ArrayWriter('text', newKeys.length * NAME_BYTES);
  for (const key of newKeys) keys.text(key);
  const streams = new ArrayWriter('text', checks.streams.length * NAME_BYTES);
  const lengths = new ArrayWriter('int8', checks.streams.length * 12);
  for (const stream of checks.streams) {
    streams.text(stream);
    lengths.int8(before.get(stream)!);
  }
  const name = new ArrayWriter('text', count * NAME_BYTES);
  const seq = new ArrayWriter('int8', count * 12);
  const type = new ArrayWriter('text', count * NAME_BYTES);
  const version = new ArrayWriter('int4', count * 8);
  const payload = new ArrayWriter('text', count * 512);
  const keyOf = new ArrayWriter('text', count * NAME_BYTES);
  const nth = new ArrayWriter('int4', count * 8);
  const fingerprint = new ArrayWriter('text', count * NAME_BYTES);
  const checksum = new ArrayWriter('int8', count * 12);
  for (let i = 0; i < batch.length; i++) {
    const verdict = verdicts[i]!;
    if (verdict.kind !== 'store') continue;
    const { append, texts } = batch[i]!;
    for (let j = 0; j < texts.length; j++) {
      const event = append.events[j]!;
      const text = texts[j]!;
      const place = verdict.length + j + 1;
      name.text(append.stream);
      seq.int8(place);
      type.text(event.type);
      version.int4(event.version);
      payload.text(text);
      keyOf.text(append.key);
      nth.int4(j);
      fingerprint.text(append.fingerprint);
      const content = contentChecksum(event.type, event.version, append.stream, append.key ?? '', text);
      checksum.int8((content ^ (((place % 2 ** 32) * 31) % 2 ** 32)) >>> 0);
    }
  }
  return [keys, streams, lengths, name, seq, type, version, payload, keyOf, nth, fingerprint, checksum].map((array) =>
    array.done(),
  );
}

/** Batches are no larger than this, so that the head of the log is not held long. */
export const BATCH_LIMITS = Object.freeze({ appendsMax: 2_048, eventsMax: 8_192, weightMax: 8 * 1024 * 1024 });

if (BATCH_LIMITS.eventsMax < LOG_LIMITS.eventsPerAppendMax) throw new RangeError('a batch holds less than one append');
