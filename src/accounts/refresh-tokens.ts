/**
 * Refresh tokens: `<session>.<family>.<secret>`, all random, of which the store keeps hashes.
 *
 * `family` stays the same for a sign-in and proves that a token once belonged to it; `secret` changes with each use.
 * A token of the family whose secret is neither the present one nor, for a few seconds, the one before was used twice:
 * thief or owner, so the sign-in ends. Without the family's proof nothing happens at all, so that knowing a session's id
 * is not enough to end it.
 *
 * The successor is computed from the token and the server's secret: whoever repeats a refresh because the answer was
 * lost, or because two tabs asked at once, gets the same successor, and no second one exists.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GameError } from '../kernel/errors.ts';

/** How long a sign-in lasts without being used, days. */
export const REFRESH_DAYS = 30;
/** How long the token before the present one still gets the present one, ms: a lost answer is asked for again at once. */
export const REFRESH_GRACE_MS = 10_000;

const TOKEN = /^(s-[A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

export interface RefreshToken {
  readonly sessionId: string;
  readonly family: string;
  readonly secret: string;
}

/** What the store keeps of a token: SHA-256, as its parts have 128 random bits or more. */
export interface RefreshHashes {
  readonly family: Buffer;
  readonly secret: Buffer;
}

export function newRefreshToken(): RefreshToken {
  return {
    sessionId: `s-${randomBytes(16).toString('base64url')}`,
    family: randomBytes(16).toString('base64url'),
    secret: randomBytes(32).toString('base64url'),
  };
}

export function writeRefreshToken({ sessionId, family, secret }: RefreshToken): string {
  return `${sessionId}.${family}.${secret}`;
}

/** @throws GameError REFRESH_INVALID for anything that is none */
export function readRefreshToken(text: unknown): RefreshToken {
  const found = typeof text === 'string' && text.length < 128 ? TOKEN.exec(text) : null;
  if (found === null) throw new GameError('REFRESH_INVALID');
  return { sessionId: found[1]!, family: found[2]!, secret: found[3]! };
}

export function hashesOf({ family, secret }: RefreshToken): RefreshHashes {
  return { family: sha256(family), secret: sha256(secret) };
}

/** @param key the server's secret */
export function successorOf(token: RefreshToken, key: Buffer): RefreshToken {
  const secret = createHmac('sha256', key).update('refresh').update(writeRefreshToken(token)).digest('base64url');
  return { ...token, secret };
}

/** A sign-in as the store has it. */
export interface StoredRefresh {
  readonly family: Buffer;
  readonly secret: Buffer;
  /** The one before; null before the first use. */
  readonly previous: Buffer | null;
  readonly rotatedAtMs: number;
  readonly expiresAtMs: number;
  /** null while it lasts. */
  readonly endedAtMs: number | null;
}

/**
 * What a token that is presented amounts to: `rotate` it, `repeat` its successor, `reused` (end the sign-in), or
 * `unknown` (do nothing).
 */
export function judgeRefresh(
  stored: StoredRefresh | undefined,
  presented: RefreshHashes,
  nowMs: number,
): 'rotate' | 'repeat' | 'reused' | 'unknown' {
  if (stored === undefined || !timingSafeEqual(stored.family, presented.family)) return 'unknown';
  if (stored.endedAtMs !== null || stored.expiresAtMs <= nowMs) return 'unknown';
  if (timingSafeEqual(stored.secret, presented.secret)) return 'rotate';
  const isPrevious = stored.previous !== null && timingSafeEqual(stored.previous, presented.secret);
  return isPrevious && nowMs - stored.rotatedAtMs < REFRESH_GRACE_MS ? 'repeat' : 'reused';
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
