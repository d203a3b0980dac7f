/** A connection to a Redis that this process can do without for a while, with what stands before it. */
import { Redis, type RedisOptions, ReplyError } from 'ioredis';
import { GameError } from '../kernel/errors.ts';
import { Guard, type GuardState } from './guard.ts';

export interface RedisLinkOptions {
  /** `redis://…` or `rediss://…` */
  readonly url: string;
  /** Before every key. Default `hypogeum:`. */
  readonly prefix?: string;
  /** One question or change, ms. Default 1,000. */
  readonly timeoutMs?: number;
  readonly halfOpenAfterMs?: number;
  readonly onStateChange?: (state: GuardState) => void;
}

/** What Redis says when it is there and does not serve now. */
const NOT_NOW = /^(LOADING|READONLY|MASTERDOWN|MISCONF|CLUSTERDOWN|TRYAGAIN|BUSY|UNBLOCKED|NOREPLICAS)|\bOOM\b/;

/** Whether an error says that Redis is not there, unlike one that says what was wrong with the request. */
export function isRedisOutage(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof GameError) return false;
  return !(error instanceof ReplyError) || NOT_NOW.test(error.message);
}

/** Not connected yet. It connects again by itself; what finds no connection is refused, not kept: its time would be over. */
export function redisLink({ url, timeoutMs = 1_000 }: RedisLinkOptions, more: RedisOptions = {}): Redis {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 5), 1_000),
    ...more,
  });
  // The guard says when it is gone. Without a listener the error would be printed.
  redis.on('error', () => undefined);
  return redis;
}

/** @param name of the guard, in refusals, logs and metrics */
export function redisGuard(name: string, queueMax: number, options: RedisLinkOptions): Guard {
  return new Guard({
    name,
    timeoutMs: options.timeoutMs ?? 1_000,
    concurrencyMax: 64,
    queueMax,
    failuresToOpen: 5,
    halfOpenAfterMs: options.halfOpenAfterMs ?? 500,
    isOutage: isRedisOutage,
    unavailable: 'STORE_UNAVAILABLE',
    ...(options.onStateChange === undefined ? {} : { onStateChange: options.onStateChange }),
  });
}
