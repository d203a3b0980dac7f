/** E-mail addresses and passwords as people type them, brought to one form. Pure. */
import { domainToASCII } from 'node:url';
import { GameError } from '../kernel/errors.ts';

/** Longest address, characters (RFC 5321). */
export const EMAIL_CHARS_MAX = 254;
/** UTF-16 units. Long enough for sentences, short enough that hashing costs the same for all. */
export const PASSWORD_CHARS_MIN = 8;
export const PASSWORD_CHARS_MAX = 256;

const UNSEEN = /[\p{C}\p{Z}]/u;

/**
 * The form in which two spellings of one address are the same: NFKC, lower case, host names in ASCII.
 * @throws GameError CREDENTIALS_INVALID
 */
export function normalEmail(raw: unknown): string {
  if (typeof raw !== 'string' || raw.length > EMAIL_CHARS_MAX + 64) throw invalid('email');
  const text = raw.trim().normalize('NFKC').toLowerCase().normalize('NFKC');
  const at = text.lastIndexOf('@');
  if (at < 1 || UNSEEN.test(text) || !text.isWellFormed()) throw invalid('email');
  const local = text.slice(0, at);
  const host = domainToASCII(text.slice(at + 1));
  const email = `${local}@${host}`;
  if (host === '' || local.includes('@') || email.length > EMAIL_CHARS_MAX) throw invalid('email');
  return email;
}

/**
 * The password as it is hashed: NFKC, so that it is the same from every keyboard.
 * @throws GameError CREDENTIALS_INVALID
 */
export function normalPassword(raw: unknown): string {
  if (typeof raw !== 'string' || raw.length > PASSWORD_CHARS_MAX) throw invalid('password');
  if (raw.length < PASSWORD_CHARS_MIN || !raw.isWellFormed()) throw invalid('password');
  return raw.normalize('NFKC');
}

function invalid(field: 'email' | 'password'): GameError {
  return new GameError('CREDENTIALS_INVALID', { field });
}
