/**
 * The key of hop marks, one for all processes of a cluster: whoever comes first makes it, everybody reads it. It is kept
 * at `hypogeum:hop-key`. Should Redis lose it, the next process that looks puts back what it has; should two have put
 * different ones meanwhile, the one in Redis counts, and the other is still accepted for a while.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { HopKey } from '../cluster/hop-mark.ts';
import { GameError } from '../kernel/errors.ts';
import { within } from '../kernel/time-limit.ts';

export interface RedisHopKeyOptions {
  /** `redis://…` or `rediss://…` */
  readonly url: string;
  /** Default `hypogeum:hop-key`. */
  readonly name?: string;
  /** How often it is looked up, ms. Default 10,000. */
  readonly everyMs?: number;
  /** One look, ms. Default 1,000. */
  readonly timeoutMs?: number;
}

const KEY_BYTES = 32;
/** Former keys that are accepted: as many as can have been current within the life of a mark. */
const FORMER_MAX = 2;
/** Looks for the reason that a mark did not fit are at least so far apart, ms: anybody may send one. */
const MISMATCH_LOOK_MS = 1_000;

export class RedisHopKey implements HopKey {
  readonly #redis: Redis;
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #timer: NodeJS.Timeout;
  #accepted: readonly Buffer[] = [];
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  private constructor({ url, name = 'hypogeum:hop-key', everyMs = 10_000, timeoutMs = 1_000 }: RedisHopKeyOptions) {
    this.#name = name;
    this.#timeoutMs = timeoutMs;
    this.#redis = new Redis(url, {
      connectTimeout: timeoutMs,
      enableOfflineQueue: true,
      maxRetriesPerRequest: 1,
      retryStrategy: (tries) => Math.min(50 * tries, 1_000),
    });
    this.#redis.on('error', () => {
      // Said by who keeps the registry of processes; marks are signed with what is known.
    });
    this.#timer = setInterval(() => void this.#look().catch(() => undefined), everyMs);
    this.#timer.unref();
  }

  /** @throws GameError STORE_UNAVAILABLE if Redis does not answer */
  static async open(options: RedisHopKeyOptions): Promise<RedisHopKey> {
    const key = new RedisHopKey(options);
    try {
      await key.#look();
    } catch (error) {
      key.close();
      throw new GameError('STORE_UNAVAILABLE', { store: 'redis' }, error);
    }
    return key;
  }

  get current(): Buffer | undefined {
    return this.#accepted[0];
  }

  get accepted(): readonly Buffer[] {
    return this.#accepted;
  }

  onMismatch(): void {
    if (performance.now() - this.#lookedAtMs >= MISMATCH_LOOK_MS) void this.#look().catch(() => undefined);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#redis.disconnect();
  }

  #look(): Promise<void> {
    this.#lookedAtMs = performance.now();
    this.#looking ??= within(this.#lookOnce(), this.#timeoutMs).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const own = this.current ?? randomBytes(KEY_BYTES);
    await this.#redis.setnx(this.#name, own.toString('base64'));
    const key = Buffer.from((await this.#redis.get(this.#name)) ?? '', 'base64');
    // Deleted in between, or not ours: the next look makes it good.
    if (key.length !== KEY_BYTES || this.current?.equals(key)) return;
    this.#accepted = [key, ...this.#accepted.filter((former) => !former.equals(key))].slice(0, 1 + FORMER_MAX);
  }
}
