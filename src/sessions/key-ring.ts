/**
 * Keys that sign and verify tokens. Each process signs with a key of its own, which never leaves its memory and is
 * changed every day; what is shared is the public half, published before the first token is signed with it and kept
 * until the last is over. So every process verifies the tokens of every other, also of those that have ended, no two
 * can rotate against each other, and nobody who reads a disk or the database can sign.
 *
 * With `HYPOGEUM_TOKEN_KEY` all processes sign with that key instead, and an operator rotates it by changing it: the
 * former one stays published until its tokens are over.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
} from 'jose';
import { GameError } from '../kernel/errors.ts';

export const ALGORITHM = 'EdDSA';
export const CURVE = 'Ed25519';
/** How long a key signs, ms. */
const ROTATE_MS = 24 * 3_600_000;
/** How much longer a published key is accepted than it should sign and its tokens last, ms: the store may be away then. */
const SPARE_MS = 24 * 3_600_000;
const ASK_EVERY_MS = 1_000;
/** Verifications that wait for the next asking. Above: OVERLOADED. */
const WAITING_MAX = 1_000;
const KEY_ID = /^[A-Za-z0-9_-]{43}$/;

/** The public half of a key. */
export interface PublicKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly x: string;
  readonly notAfterMs: number;
}

/** Where processes tell each other of their keys. */
export interface PublishedKeys {
  /** Adds a key, or moves its end back; forgets those past theirs. */
  publish(key: PublicKey, nowMs: number): Promise<void>;
  list(nowMs: number): Promise<readonly PublicKey[]>;
}

export interface KeyRingOptions {
  /** Without it the ring knows its own key only. */
  readonly published?: PublishedKeys;
  /** Signs for ever, in place of keys of its own. */
  readonly fixed?: JWK;
  /** Life of a token, ms. */
  readonly tokenMs: number;
  readonly nowMs: () => number;
  /** The store is asked for keys at most this often, ms, however many unknown ones are presented. Default 1,000. */
  readonly askEveryMs?: number;
  /** Told when a new key could not be published; the former one goes on signing. */
  readonly onFault?: (error: unknown) => void;
}

export interface Signer {
  readonly kid: string;
  readonly key: CryptoKey;
}

interface Own extends Signer {
  readonly x: string;
  readonly sinceMs: number;
}

interface Known {
  readonly x: string;
  readonly key: CryptoKey;
  notAfterMs: number;
}

export class KeyRing {
  readonly #options: KeyRingOptions;
  #own!: Own;
  readonly #known = new Map<string, Known>();
  #rotating: Promise<void> | undefined;
  #asking: Promise<void> | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #waiting = 0;

  private constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the own key is published.
   * @throws GameError CONFIG_INVALID if `fixed` is not a private Ed25519 key; what `published` throws
   */
  static async open(options: KeyRingOptions): Promise<KeyRing> {
    const ring = new KeyRing(options);
    await ring.#adopt(await ownKey(options.fixed, options.nowMs()));
    await ring.#ask();
    return ring;
  }

  /** What signs now. Looks in passing whether it is time for the next. */
  signer(): Signer {
    if (this.#options.nowMs() - this.#own.sinceMs >= ROTATE_MS) void this.rotate();
    return this.#own;
  }

  /** Takes a new key into use once it is published; the former stays accepted. Never rejects. */
  rotate(): Promise<void> {
    this.#rotating ??= (async () => {
      try {
        await this.#adopt(await ownKey(this.#options.fixed, this.#options.nowMs()));
      } catch (error) {
        this.#options.onFault?.(error);
      } finally {
        this.#rotating = undefined;
      }
    })();
    return this.#rotating;
  }

  /**
   * The key of an id; undefined when there is none, or its time is over.
   * @throws GameError OVERLOADED; what the store throws when only it could tell
   */
  async find(kid: string): Promise<CryptoKey | undefined> {
    if (kid === this.#own.kid) return this.#known.get(kid)?.key;
    if (!this.#known.has(kid) && this.#options.published !== undefined && KEY_ID.test(kid)) await this.#askInTurn();
    const found = this.#known.get(kid);
    return found === undefined || found.notAfterMs <= this.#options.nowMs() ? undefined : found.key;
  }

  /** Every key whose tokens may still be good, as RFC 7517 has it. */
  jwks(): JSONWebKeySet {
    const nowMs = this.#options.nowMs();
    const keys = [...this.#known]
      .filter(([kid, { notAfterMs }]) => notAfterMs > nowMs || kid === this.#own.kid)
      .map(([kid, { x }]) => ({ kty: 'OKP', crv: CURVE, alg: ALGORITHM, use: 'sig', kid, x }));
    return { keys };
  }

  /** Asks the store for keys of other processes, so that {@link jwks} has them. */
  refresh(): Promise<void> {
    return this.#askInTurn();
  }

  async #adopt(own: Own): Promise<void> {
    const { published, tokenMs, nowMs } = this.#options;
    const { kid, x } = own;
    const notAfterMs = nowMs() + ROTATE_MS + tokenMs + SPARE_MS;
    await published?.publish({ kid, x, notAfterMs }, nowMs());
    await this.#learn({ kid, x, notAfterMs });
    this.#own = own;
  }

  async #learn({ kid, x, notAfterMs }: PublicKey): Promise<void> {
    const known = this.#known.get(kid);
    if (known !== undefined) known.notAfterMs = Math.max(known.notAfterMs, notAfterMs);
    else {
      const key = (await importJWK({ kty: 'OKP', crv: CURVE, x }, ALGORITHM)) as CryptoKey;
      this.#known.set(kid, { x, key, notAfterMs });
    }
  }

  /** Resolves when the store was asked after the call. One asking serves all who wait for it. */
  async #askInTurn(): Promise<void> {
    if (this.#options.published === undefined) return;
    if (this.#waiting >= WAITING_MAX) throw new GameError('OVERLOADED', { what: 'token keys' });
    this.#waiting++;
    try {
      this.#asking ??= this.#askNext();
      await this.#asking;
    } finally {
      this.#waiting--;
    }
  }

  async #askNext(): Promise<void> {
    const waitMs = this.#askedAtMs + (this.#options.askEveryMs ?? ASK_EVERY_MS) - performance.now();
    // Also when there is nothing to wait for: before this returns its promise has not been kept, and could not be let go.
    await delay(Math.max(0, waitMs));
    // Whoever comes while the store is being asked may have a key that it did not have yet.
    this.#asking = undefined;
    await this.#ask();
  }

  async #ask(): Promise<void> {
    const { published, nowMs } = this.#options;
    if (published === undefined) return;
    this.#askedAtMs = performance.now();
    for (const key of await published.list(nowMs())) await this.#learn(key);
    for (const [kid, { notAfterMs }] of this.#known) {
      if (notAfterMs <= nowMs() && kid !== this.#own.kid) this.#known.delete(kid);
    }
  }
}

/** The given key, checked, or a fresh one. */
async function ownKey(fixed: JWK | undefined, sinceMs: number): Promise<Own> {
  if (fixed === undefined) {
    const pair = await generateKeyPair(ALGORITHM, { crv: CURVE });
    const { x } = await exportJWK(pair.publicKey);
    const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: CURVE, x: x! });
    return { kid, key: pair.privateKey as CryptoKey, x: x!, sinceMs };
  }
  const { kty, crv, x, d } = fixed;
  if (kty !== 'OKP' || crv !== CURVE || typeof d !== 'string' || typeof x !== 'string') {
    throw new GameError('CONFIG_INVALID', { key: 'HYPOGEUM_TOKEN_KEY', wanted: `a private ${CURVE} key as a JWK` });
  }
  try {
    const key = (await importJWK({ kty, crv, x, d }, ALGORITHM)) as CryptoKey;
    return { kid: await calculateJwkThumbprint({ kty, crv, x }), key, x, sinceMs };
  } catch (cause) {
    throw new GameError('CONFIG_INVALID', { key: 'HYPOGEUM_TOKEN_KEY', wanted: 'a valid key' }, cause);
  }
}
