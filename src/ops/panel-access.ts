/**
 * Who may use an operator's panel: bearers of its password, from its own pages only.
 *
 * Browsers send Basic credentials along with any request to a site, also with those that another site's page makes,
 * and the monitor's API acts on GET. So besides the password a request must not come from elsewhere: a foreign `Origin`
 * or a `Sec-Fetch-Site` other than same-origin (or none: typed in, or not a browser) is refused before the password
 * is looked at.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode } from '../kernel/errors.ts';
import type { RateLimit } from './rate-limit.ts';

/** A password as it may be stored when it is random: 128 bits need no slow hash. */
export function hashPassword(password: string): string {
  return `sha256:${createHash('sha256').update(password).digest('hex')}`;
}

export interface PanelAccessOptions {
  /** {@link hashPassword} of the password. */
  readonly passwordHash: string;
  /** Wrong passwords of one address. */
  readonly wrongPasswords: RateLimit;
}

export class PanelAccess {
  readonly #expected: Buffer;
  readonly #wrongPasswords: RateLimit;

  constructor({ passwordHash, wrongPasswords }: PanelAccessOptions) {
    this.#expected = Buffer.from(passwordHash);
    this.#wrongPasswords = wrongPasswords;
  }

  /** Undefined when the request may pass, else why not. `AUTH_MISSING` and `AUTH_SIGNATURE` ask for the password. */
  refusalOf(headers: IncomingHttpHeaders, address: string): ErrorCode | undefined {
    if (!isOwnPage(headers)) return 'FOREIGN_ORIGIN';
    if (this.#wrongPasswords.isSpent(address)) return 'RATE_LIMITED';
    const password = basicPassword(headers.authorization);
    if (password === undefined) return 'AUTH_MISSING';
    const given = Buffer.from(hashPassword(password));
    if (given.length === this.#expected.length && timingSafeEqual(given, this.#expected)) return undefined;
    this.#wrongPasswords.take(address);
    return 'AUTH_SIGNATURE';
  }
}

/** False when a page of another origin (also of a sibling domain or another port) made the request. */
export function isOwnPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return headers.origin === undefined || isOriginOfHost(headers.origin, headers.host);
}

/** True when the origin names the very host and port that the request was sent to. */
export function isOriginOfHost(origin: string, host: string | undefined): boolean {
  if (host === undefined) return false;
  try {
    const url = new URL(origin);
    return url.origin === origin && url.host === new URL(`${url.protocol}//${host}`).host;
  } catch {
    return false;
  }
}

/** True for a bearer token that equals the expected one, in constant time. */
export function isBearer(headers: IncomingHttpHeaders, expected: string): boolean {
  const given = /^Bearer (.{1,256})$/i.exec(headers.authorization ?? '')?.[1];
  if (given === undefined) return false;
  return timingSafeEqual(Buffer.from(hashPassword(given)), Buffer.from(hashPassword(expected)));
}

function basicPassword(header: string | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=_-]{1,1024})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? undefined : decoded.slice(colon + 1);
}
