/**
 * What a gate writes on a request that it passes on to another process: whose request it is, and that it must not be
 * passed on again. Signed with a key that the processes of a cluster share, so that nobody else can claim an address.
 *
 * A mark is `v1;<address>;<expiry>;<signature>`: the player's address, wall-clock ms in base 36, and HMAC-SHA256 over
 * what is before it, base64url. Without a valid signature the header says only "do not pass me on", which harms nobody
 * but its sender.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';

/** Lower case, as Node names it. */
export const HOP_HEADER = 'x-hypogeum-hop';

/** How long a mark is good for, ms. Clocks of two machines may differ by that much before marks count for nothing. */
export const HOP_MARK_MS = 30_000;

/** Longest mark that is looked at, characters: version, the longest IPv6 address, time, signature. */
const MARK_CHARS_MAX = 128;
const VERSION = 'v1';
/** What stands for a mark while there is no key: it still ends loops. */
const UNSIGNED = 'unsigned';

/** The shared key; see `RedisHopKey`. */
export interface HopKey {
  /** Signs; undefined until the store was reached for the first time. */
  readonly current: Buffer | undefined;
  /** What may have been signed with: the current one first, then those that were current lately. */
  readonly accepted: readonly Buffer[];
  /** A mark did not fit: the key may have changed. May look it up again, and not too often. */
  onMismatch(): void;
}

export interface HopMarksOptions {
  readonly key: HopKey;
  /** Wall clock, ms; injected by tests. */
  readonly nowMs?: () => number;
}

export class HopMarks {
  readonly #key: HopKey;
  readonly #nowMs: () => number;

  constructor({ key, nowMs = Date.now }: HopMarksOptions) {
    this.#key = key;
    this.#nowMs = nowMs;
  }

  /** The header's value for a request of that player. */
  sign(address: string): string {
    const { current } = this.#key;
    if (current === undefined || isIP(address) === 0) return UNSIGNED;
    const signed = `${VERSION};${address};${(this.#nowMs() + HOP_MARK_MS).toString(36)}`;
    return `${signed};${signatureOf(signed, current)}`;
  }

  /** The player's address, if the mark is one of this cluster and of now. */
  addressOf(mark: string): string | undefined {
    if (mark === UNSIGNED || mark.length > MARK_CHARS_MAX) return undefined;
    const [version, address, expiry, signature, ...more] = mark.split(';');
    if (version !== VERSION || address === undefined || expiry === undefined || signature === undefined)
      return undefined;
    if (more.length > 0 || isIP(address) === 0) return undefined;
    const signed = `${version};${address};${expiry}`;
    if (!this.#key.accepted.some((key) => isEqual(signature, signatureOf(signed, key)))) {
      this.#key.onMismatch();
      return undefined;
    }
    const leftMs = Number.parseInt(expiry, 36) - this.#nowMs();
    return leftMs >= 0 && leftMs <= 2 * HOP_MARK_MS ? address : undefined;
  }
}

/** How the guard of an HTTP surface reads marks. */
export function hopOf(marks: HopMarks): { readonly header: string; addressOf(mark: string): string | undefined } {
  return { header: HOP_HEADER, addressOf: (mark) => marks.addressOf(mark) };
}

function signatureOf(signed: string, key: Buffer): string {
  return createHmac('sha256', key).update(signed).digest('base64url');
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
