/**
 * Who this browser is signed in as: kept over reloads, shared by its tabs, and renewed before its token is over. A
 * refresh token is good once, so tabs take turns in using it.
 */
import { Refusal, send } from './http.ts';

export interface Account {
  readonly playerId: string;
  readonly isAnonymous: boolean;
  /** Empty when it has none. */
  readonly name: string;
  readonly email: string | null;
}

interface Kept {
  readonly account: Account;
  readonly token: string;
  /** By the clock of this machine. */
  readonly expiresAtMs: number;
  readonly refreshToken: string;
}

export interface SignInAnswer {
  readonly user: { readonly playerId: string; readonly isAnonymous: boolean; name?: string; email?: string | null };
  readonly token: string;
  readonly refreshToken?: string;
}

const SESSION_KEY = 'hypogeum-session';
const REFRESH_LOCK = 'hypogeum-refresh';
/** How long before its end a token is renewed. */
const MARGIN_MS = 60_000;
/** Where a token does not say how long it is good. */
const DEFAULT_LIFE_MS = 15 * 60_000;
/** Refusals after which a sign-in is over for good. */
const ENDED = new Set(['REFRESH_INVALID', 'REFRESH_REUSED', 'AUTH_REVOKED', 'ACCOUNT_BANNED', 'ACCOUNT_ERASED']);

export class Session {
  readonly #listeners = new Set<() => void>();
  #kept: Kept | undefined;
  /** True once this tab is somebody else than the other tabs of this browser. */
  #isOfTab = false;
  #renewing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.#kept = readKept();
    this.#plan();
    addEventListener('storage', (event) => {
      if (this.#isOfTab || (event.key !== SESSION_KEY && event.key !== null)) return;
      this.#kept = readKept();
      this.#changed();
    });
  }

  /** Undefined before the first sign-in of this browser. */
  get account(): Account | undefined {
    return this.#kept?.account;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A token that is good for now; undefined when nobody is signed in. @throws Refusal, TypeError without a network */
  async token(): Promise<string | undefined> {
    if (this.#kept !== undefined && this.#kept.expiresAtMs - MARGIN_MS < Date.now()) await this.renew(this.#kept.token);
    return this.#kept?.token;
  }

  /** Gets another token in place of one that was refused or is about to end. Signs out when there is none to be had. */
  renew(refused: string): Promise<void> {
    this.#renewing ??= inTurn(() => this.#renew(refused)).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** A guest, if nobody is signed in. */
  async ensure(): Promise<void> {
    if ((await this.token()) !== undefined) return;
    // Two tabs that open at once become one guest, not two.
    await inTurn(async () => {
      if (!this.#isOfTab) this.#kept = readKept();
      if (this.#kept === undefined) this.#accept(await send<SignInAnswer>('POST', '/auth/anonymous', { body: {} }));
      else this.#changed();
    });
  }

  /** Becomes a new guest in this tab only: another tab plays as who this browser is. */
  async becomeGuestOfTab(): Promise<void> {
    const answer = await send<SignInAnswer>('POST', '/auth/anonymous', { body: {} });
    this.#isOfTab = true;
    this.#accept(answer);
  }

  /** Makes the guest an account for good, or a new account where there is no guest. */
  async register(email: string, password: string, name: string): Promise<void> {
    const token = await this.token();
    const body = { email, password, options: name === '' ? {} : { name } };
    this.#accept(await send<SignInAnswer>('POST', '/auth/register', { body, token }));
  }

  async signIn(email: string, password: string): Promise<void> {
    this.#accept(await send<SignInAnswer>('POST', '/auth/login', { body: { email, password } }));
  }

  /** Forgets it here at once, whatever the server says. */
  async signOut(isEverywhere: boolean): Promise<void> {
    const token = await this.token().catch(() => undefined);
    try {
      if (token !== undefined) await send('POST', '/auth/sign-out', { body: { everywhere: isEverywhere }, token });
    } finally {
      this.#forget();
    }
  }

  /** The server has told a new name. */
  rename(name: string): void {
    if (this.#kept === undefined) return;
    this.#keep({ ...this.#kept, account: { ...this.#kept.account, name } });
  }

  async #renew(refused: string): Promise<void> {
    const shared = this.#isOfTab ? this.#kept : readKept();
    if (shared !== undefined && shared.token !== refused) {
      // Another tab was here first.
      this.#kept = shared;
      this.#changed();
      return;
    }
    if (shared === undefined || shared.refreshToken === '') {
      this.#forget();
      return;
    }
    try {
      this.#accept(await send<SignInAnswer>('POST', '/auth/refresh', { body: { refreshToken: shared.refreshToken } }));
    } catch (error) {
      if (!(error instanceof Refusal) || !ENDED.has(error.code)) throw error;
      this.#forget();
    }
  }

  #accept({ user, token, refreshToken = '' }: SignInAnswer): void {
    const { playerId, isAnonymous, name = '', email = null } = user;
    const account = { playerId, isAnonymous, name, email };
    this.#keep({ account, token, refreshToken, expiresAtMs: Date.now() + lifeMs(token) });
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    if (!this.#isOfTab) writeKept(kept);
    this.#changed();
  }

  #forget(): void {
    this.#kept = undefined;
    if (!this.#isOfTab) writeKept(undefined);
    this.#changed();
  }

  #changed(): void {
    this.#plan();
    for (const listener of this.#listeners) listener();
  }

  /** Renews in time, so that a match that outlasts a token can still be resumed. */
  #plan(): void {
    clearTimeout(this.#timer);
    if (this.#kept === undefined || this.#kept.refreshToken === '') return;
    const { token, expiresAtMs } = this.#kept;
    const waitMs = Math.max(1_000, expiresAtMs - MARGIN_MS - Date.now());
    this.#timer = setTimeout(() => {
      // Without a network: whoever needs a token asks again, and so does this.
      this.renew(token).catch(() => {
        this.#timer = setTimeout(() => this.#plan(), 10_000);
      });
    }, waitMs);
  }
}

/** One tab of this browser at a time, where the browser can tell them apart. */
function inTurn(task: () => Promise<void>): Promise<void> {
  // Without a secure context there are no locks; the server forgives two tabs that refresh within a few seconds.
  return navigator.locks === undefined ? task() : navigator.locks.request(REFRESH_LOCK, task);
}

/** How long a fresh token is good, by the server's clock alone. */
function lifeMs(token: string): number {
  try {
    const part = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const { exp, iat } = JSON.parse(atob(part)) as { exp: number; iat: number };
    return exp > iat ? (exp - iat) * 1000 : DEFAULT_LIFE_MS;
  } catch {
    return DEFAULT_LIFE_MS;
  }
}

function readKept(): Kept | undefined {
  try {
    const kept = JSON.parse(localStorage.getItem(SESSION_KEY) ?? 'null') as Kept | null;
    return typeof kept?.token === 'string' && typeof kept.account?.playerId === 'string' ? kept : undefined;
  } catch {
    return undefined;
  }
}

function writeKept(kept: Kept | undefined): void {
  try {
    if (kept === undefined) localStorage.removeItem(SESSION_KEY);
    else localStorage.setItem(SESSION_KEY, JSON.stringify(kept));
  } catch {
    // Storage is off: signed in until the page is left.
  }
}
