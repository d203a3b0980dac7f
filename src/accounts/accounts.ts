/**
 * Accounts: who somebody is, and the sign-ins with which it says so. Every command decides on the locked account, and
 * is answered when row and event are durable.
 *
 * Who somebody is, is the pair of e-mail and password: one argon2 hash, salted with the e-mail, looked up together with
 * it. Several accounts may claim one address, told apart by their passwords, since no mail is sent that would prove
 * whose it is. So a registration with somebody else's address goes through like any other and tells nothing, nobody can
 * occupy another's address, and each path costs one hash and one look-up whether the address is known or not.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Caller, Role } from '../api/route.ts';
import {
  AccountCreated,
  AccountExported,
  AccountPasswordSet,
  AccountRenamed,
  AccountSessionsEnded,
  type BanReason,
} from '../events/account-events.ts';
import type { NewEvent } from '../events/event.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import { checkName, guestName } from '../kernel/names.ts';
import {
  type Actor,
  actorName,
  banAt,
  decideBan,
  decideErase,
  decideRole,
  decideUnban,
  decideUpgrade,
  mustBeWelcome,
  mustExist,
  mustOutrank,
} from './account.ts';
import { normalEmail, normalPassword } from './credentials.ts';
import { nameKey, searchKey } from './name-key.ts';
import type { PasswordHasher } from './password-hasher.ts';
import {
  hashesOf,
  judgeRefresh,
  newRefreshToken,
  REFRESH_DAYS,
  type RefreshToken,
  readRefreshToken,
  successorOf,
  writeRefreshToken,
} from './refresh-tokens.ts';
import type { AccountStore, Change, Credential, Held, Profile, Session } from './store.ts';

/** Sign-ins of one account at once. Above: the oldest ends. */
export const SESSIONS_MAX = 20;
const DAY_MS = 86_400_000;
/** Events of an account that an export holds: the newest. */
export const EXPORTED_EVENTS_MAX = 1_000;

/** Bounds guessing, by key; `RateLimit` of src/ops is one. */
export interface Budget {
  take(key: string): boolean;
  isSpent(key: string): boolean;
}

/** Signs tokens; `Tokens` of src/sessions is one. */
export interface TokenIssuer {
  issue(identity: Caller): Promise<{ readonly token: string; readonly expiresAtSeconds: number }>;
}

/** Hands out what another area knows of a player, JSON-able. */
export type Exporter = (playerId: string) => Promise<unknown>;

export interface AccountsOptions {
  readonly store: AccountStore;
  readonly log: Pick<EventLog, 'read'>;
  readonly tokens: TokenIssuer;
  readonly hasher: PasswordHasher;
  /** Wrong passwords of one network for one e-mail, and of one network for all. */
  readonly wrongPerPair: Budget;
  readonly wrongPerNetwork: Budget;
  /** By name of the section in an export. */
  readonly exporters?: Readonly<Record<string, Exporter>>;
  readonly nowMs?: () => number;
}

/** What its owner sees of an account. */
export interface User {
  readonly playerId: string;
  readonly isAnonymous: boolean;
  readonly role: Role;
  readonly name: string;
  /** False while the name is one that we made up. */
  readonly hasName: boolean;
  readonly email: string | null;
  readonly sessionId: string;
}

/** A sign-in, as the SDK's `client.auth` wants it. */
export interface SignedIn {
  readonly user: User;
  readonly token: string;
  readonly expiresAtSeconds: number;
  readonly refreshToken: string;
  readonly refreshExpiresAtSeconds: number;
}

interface Admission {
  readonly held: Held;
  readonly caller: Caller;
  readonly refresh: RefreshToken;
  readonly expiresAtMs: number;
}

type NameChoice = { readonly text: string; readonly key: string; readonly search: string };

const NOBODY = { email: null, name: null } as const;

export class Accounts {
  readonly #options: AccountsOptions;
  readonly #secret: Buffer;
  readonly #nowMs: () => number;
  /** Pairs of e-mail and network that signed in lately: their next attempts go before those of strangers. */
  readonly #known = new Set<string>();
  readonly #exporting = new Set<string>();

  private constructor(options: AccountsOptions, secret: Buffer) {
    this.#options = options;
    this.#secret = secret;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** @throws GameError DATABASE_UNAVAILABLE */
  static async open(options: AccountsOptions): Promise<Accounts> {
    return new Accounts(options, await options.store.secret());
  }

  /** A new account of nobody in particular. */
  async signInAnonymously(): Promise<SignedIn> {
    const playerId = newPlayerId();
    return this.#admit(playerId, () => ({ events: [AccountCreated({ playerId, isAnonymous: true })] }));
  }

  /**
   * A new account with e-mail and password, or these for the caller's anonymous one, which stays the same account.
   * @param caller the bearer of a token, if there was one
   * @throws GameError CREDENTIALS_INVALID, NAME_INVALID, NAME_TAKEN, RATE_LIMITED, OVERLOADED; ACCOUNT_EXISTS if the
   *   caller is registered already, or the very pair of e-mail and password is
   */
  async register(
    request: { readonly email: unknown; readonly password: unknown; readonly name?: unknown },
    network: string,
    caller?: Caller,
  ): Promise<SignedIn> {
    const { email, password } = checked(request);
    const name = request.name === undefined ? undefined : this.#nameOf(request.name);
    const credential = await this.#credential(email, password, network);
    // ACCOUNT_EXISTS tells that a pair is right, so each try counts as a guess.
    this.#countWrong(credential, network);
    const person = { email, ...(name === undefined ? {} : { name }) };
    if (caller === undefined) {
      const playerId = newPlayerId();
      const events = [AccountCreated({ playerId, isAnonymous: false })];
      return this.#admit(playerId, () => ({ events, person, credential }));
    }
    // The anonymous sign-in lasts: whoever plays goes on playing.
    return this.#admit(caller.playerId, ({ account }) => ({
      events: decideUpgrade(account, this.#nowMs()),
      person,
      credential,
    }));
  }

  /**
   * A device that has signed in to the account before shows it by its last refresh token, used up or not, and then has
   * a budget of its own for that account: nobody in its network can spend that.
   * @throws GameError CREDENTIALS_INVALID, CREDENTIALS_WRONG, ACCOUNT_BANNED, RATE_LIMITED, OVERLOADED
   */
  async signIn(
    request: { readonly email: unknown; readonly password: unknown; readonly refreshToken?: unknown },
    network: string,
  ): Promise<SignedIn> {
    const { email, password } = checked(request);
    const device = request.refreshToken === undefined ? undefined : await this.#deviceOf(email, request.refreshToken);
    const source = device?.sessionId ?? network;
    const credential = await this.#credential(email, password, source);
    const playerId = await this.#options.store.findCredential(credential);
    // It vouches for its own account only: anybody may have one under the same e-mail, and as many devices as sign-ins.
    const isVouched = device !== undefined && playerId === device.playerId;
    if (playerId === undefined || !(isVouched || source === network || this.#mayGuess(credential, network))) {
      this.#countWrong(credential, source);
      if (source !== network) this.#countWrong(credential, network);
      throw new GameError('CREDENTIALS_WRONG');
    }
    const signedIn = await this.#admit(playerId, ({ account, credential: present }) => {
      // Changed or erased between the two looks.
      if (present === undefined || !isSame(present, credential)) throw new GameError('CREDENTIALS_WRONG');
      mustBeWelcome(account, this.#nowMs());
      return { events: [] };
    });
    this.#remember(pairOf(credential, source));
    return signedIn;
  }

  /**
   * A new token and a new refresh token for a refresh token. Repeated within ten seconds: the same refresh token.
   * @throws GameError REFRESH_INVALID, REFRESH_REUSED (the sign-in has ended), ACCOUNT_BANNED
   */
  async refresh(text: unknown): Promise<SignedIn> {
    const presented = readRefreshToken(text);
    const hashes = hashesOf(presented);
    const found = await this.#options.store.findSession(presented.sessionId);
    if (found === undefined) throw new GameError('REFRESH_INVALID');
    const refresh = successorOf(presented, this.#secret);
    const verdict = await this.#options.store.change(found.playerId, (held) => {
      const nowMs = this.#nowMs();
      const session = held.sessions.find(({ sessionId }) => sessionId === presented.sessionId);
      const judged = judgeRefresh(session, hashes, nowMs);
      if (judged === 'unknown') {
        // Why it ended is told to who held it.
        const ban = held.account === undefined ? undefined : banAt(held.account, nowMs);
        if (ban !== undefined && judgeFamily(found.session, hashes)) throw new GameError('ACCOUNT_BANNED', { ...ban });
        throw new GameError('REFRESH_INVALID');
      }
      if (judged === 'reused') {
        return { change: this.#ending(held, 'reused', 'self', [presented.sessionId]), result: undefined };
      }
      const account = mustBeWelcome(held.account, nowMs);
      const expiresAtMs = judged === 'rotate' ? nowMs + REFRESH_DAYS * DAY_MS : session!.expiresAtMs;
      const { secret } = hashesOf(refresh);
      const { sessionId } = presented;
      const change: Change =
        judged === 'rotate' ? { events: [], rotateSession: { sessionId, secret, expiresAtMs } } : { events: [] };
      return { change, result: { held, caller: callerOf(account, sessionId), refresh, expiresAtMs } };
    });
    if (verdict === undefined) throw new GameError('REFRESH_REUSED');
    return this.#answer(verdict);
  }

  /** Ends the caller's sign-in, or all of its account; idempotent. @returns how many ended */
  signOut(caller: Caller, isEverywhere: boolean): Promise<number> {
    return this.#options.store.change(caller.playerId, (held) => {
      const ids = held.sessions.map(({ sessionId }) => sessionId);
      const ended = isEverywhere ? ids : ids.filter((id) => id === caller.sessionId);
      return { change: this.#ending(held, 'signed-out', 'self', ended), result: ended.length };
    });
  }

  /**
   * Another password for a registered account; every other sign-in of it ends.
   * @throws GameError CREDENTIALS_INVALID, CREDENTIALS_WRONG, ACCOUNT_EXISTS, RATE_LIMITED, OVERLOADED
   */
  async changePassword(
    caller: Caller,
    request: { readonly password: unknown; readonly newPassword: unknown },
    network: string,
  ): Promise<void> {
    const { email, credential } = await this.#prove(caller.playerId, request.password, network);
    const next = await this.#credential(email, normalPassword(request.newPassword), network);
    // As with a registration, ACCOUNT_EXISTS tells that the pair is another one's.
    this.#countWrong(next, network);
    await this.#options.store.change(caller.playerId, (held) => {
      mustBeWelcome(held.account, this.#nowMs());
      if (held.credential === undefined || !isSame(held.credential, credential)) {
        throw new GameError('CREDENTIALS_WRONG');
      }
      return { change: this.#passwordSet(held, next, 'self', caller.sessionId), result: undefined };
    });
  }

  /**
   * For operators, as no mail is sent: another password for an account, whose sign-ins end.
   * @param email only for an account that has none, or to give it another one
   * @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, CREDENTIALS_INVALID, ACCOUNT_EXISTS
   */
  async setPassword(playerId: string, password: unknown, email?: unknown): Promise<void> {
    const { person } = await this.#find(playerId);
    const address = normalEmail(email ?? person.email ?? undefined);
    const next = await this.#credential(address, normalPassword(password));
    await this.#options.store.change(playerId, (held) => {
      const account = mustExist(held.account);
      const upgrade = account.isAnonymous ? decideUpgrade(account, this.#nowMs()) : [];
      const change = this.#passwordSet(held, next, 'operator');
      return {
        change: { ...change, events: [...upgrade, ...change.events], person: { email: address } },
        result: null,
      };
    });
  }

  /** The caller, as it sees itself. @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED */
  async me(caller: Caller): Promise<User> {
    const { account, person } = await this.#find(caller.playerId);
    return userOf(callerOf(account, caller.sessionId), person);
  }

  /**
   * Another display name; null gives the name up. Of two who want one name at once, one gets it.
   * @throws GameError NAME_INVALID, NAME_TAKEN, ACCOUNT_BANNED
   */
  async rename(playerId: string, raw: unknown): Promise<string> {
    const name = raw === null ? null : this.#nameOf(raw);
    return this.#setName(playerId, name, 'self', (account) => mustBeWelcome(account, this.#nowMs()));
  }

  /** Takes a name away from somebody below. @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, NOT_ALLOWED */
  clearName(playerId: string, actor: Actor): Promise<string> {
    return this.#setName(playerId, null, actorName(actor, playerId), (account) =>
      mustOutrank(actor, mustExist(account)),
    );
  }

  async #setName(
    playerId: string,
    name: NameChoice | null,
    by: string,
    check: (account: Held['account']) => void,
  ): Promise<string> {
    await this.#options.store.change(playerId, ({ account, person }) => {
      check(account);
      if (person?.name === (name?.text ?? null)) return { change: { events: [] }, result: undefined };
      const events = [AccountRenamed({ playerId, by })];
      return { change: { events, person: { name } }, result: undefined };
    });
    return name?.text ?? guestName(playerId);
  }

  /** What everybody may know of a player. @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED */
  async find(playerId: string): Promise<{ playerId: string; name: string; createdAtMs: number; isAnonymous: boolean }> {
    const { account, person, createdAtMs } = await this.#find(playerId);
    return { playerId, name: person.name ?? guestName(playerId), createdAtMs, isAnonymous: account.isAnonymous };
  }

  /** Players whose name begins so; case and accents do not count. @param limit 1 to 50 */
  search(prefix: string, limit: number): Promise<readonly { readonly playerId: string; readonly name: string }[]> {
    return this.#options.store.search(searchKey(prefix), limit);
  }

  /** What to call players, of up to 1,000: their display name, or a guest's. Erased and unknown ones are guests. */
  async namesOf(playerIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const names = await this.#options.store.namesOf(playerIds);
    return new Map(playerIds.map((id) => [id, names.get(id) ?? guestName(id)]));
  }

  /** For those who moderate: the account without e-mail. @throws GameError PLAYER_UNKNOWN */
  async inspect(playerId: string): Promise<Profile> {
    const found = await this.#options.store.profile(playerId);
    if (found === undefined) throw new GameError('PLAYER_UNKNOWN');
    return found;
  }

  /** @param untilMs null for good @throws as {@link decideBan} */
  ban(playerId: string, actor: Actor, reason: BanReason, untilMs: number | null): Promise<void> {
    return this.#options.store.change(playerId, (held) => {
      const events = decideBan(held.account, actor, reason, untilMs, this.#nowMs());
      return { change: this.#withEnding(held, events, 'banned', actorName(actor, playerId)), result: undefined };
    });
  }

  /** @returns whether there was a ban @throws as {@link decideUnban} */
  unban(playerId: string, actor: Actor): Promise<boolean> {
    return this.#options.store.change(playerId, ({ account }) => {
      const events = decideUnban(account, actor, this.#nowMs());
      return { change: { events }, result: events.length > 0 };
    });
  }

  /** Sign-ins of the account end, as their tokens carry the old role. @throws as {@link decideRole} */
  setRole(playerId: string, actor: Actor, role: Role): Promise<boolean> {
    return this.#options.store.change(playerId, (held) => {
      const events = decideRole(held.account, actor, role);
      if (events.length === 0) return { change: { events }, result: false };
      return { change: this.#withEnding(held, events, 'role', actorName(actor, playerId)), result: true };
    });
  }

  /** Ends every sign-in of an account. @returns how many @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, NOT_ALLOWED */
  endSessions(playerId: string, actor: Actor): Promise<number> {
    return this.#options.store.change(playerId, (held) => {
      mustOutrank(actor, mustExist(held.account));
      const ids = held.sessions.map(({ sessionId }) => sessionId);
      const change = this.#ending(held, 'signed-out', actorName(actor, playerId), ids);
      return { change, result: ids.length };
    });
  }

  /**
   * Everything that is known of a person, for itself. That it was handed out is an event.
   * @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED; RATE_LIMITED while it is being handed out already
   */
  async export(playerId: string, actor: Actor): Promise<Record<string, unknown>> {
    if (this.#exporting.has(playerId)) throw new GameError('RATE_LIMITED');
    this.#exporting.add(playerId);
    try {
      return await this.#export(playerId, actor);
    } finally {
      this.#exporting.delete(playerId);
    }
  }

  async #export(playerId: string, actor: Actor): Promise<Record<string, unknown>> {
    const { account, person, createdAtMs } = await this.#find(playerId);
    const { sessions, length } = await this.#options.store.change(playerId, (held) => {
      const { length: before } = mustExist(held.account);
      const events = [AccountExported({ playerId, by: actorName(actor, playerId) })];
      return { change: { events }, result: { sessions: held.sessions, length: before + events.length } };
    });
    const events: Omit<StoredEvent, 'stream' | 'key'>[] = [];
    for await (const { position, seq, type, version, payload, recordedAtMs } of this.#options.log.read(
      `account/${playerId}`,
      Math.max(0, length - EXPORTED_EVENTS_MAX),
    )) {
      events.push({ position, seq, type, version, payload, recordedAtMs });
    }
    const others: Record<string, unknown> = {};
    for (const [section, exporter] of Object.entries(this.#options.exporters ?? {})) {
      others[section] = await exporter(playerId);
    }
    const { length: _, ...facts } = account;
    return {
      account: { ...facts, createdAtMs },
      person,
      signIns: sessions.map(({ sessionId, createdAtMs: startedAtMs, rotatedAtMs: usedAtMs, expiresAtMs }) => ({
        sessionId,
        startedAtMs,
        usedAtMs,
        expiresAtMs,
      })),
      events,
      ...others,
    };
  }

  /**
   * Removes the person: names, e-mail, credentials and sign-ins are deleted. What the account owned is for others to
   * deal with, who hear of it as an event.
   * @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, NOT_ALLOWED
   */
  erase(playerId: string, actor: Actor): Promise<void> {
    return this.#options.store.change(playerId, (held) => {
      const events = decideErase(held.account, actor);
      const change = this.#withEnding(held, events, 'erased', actorName(actor, playerId));
      return { change: { ...change, erase: true }, result: undefined };
    });
  }

  /**
   * Erases the caller, who proves once more who it is: with the password, or, when it never registered, with the
   * refresh token of this sign-in.
   * @throws GameError CREDENTIALS_WRONG, REFRESH_INVALID, RATE_LIMITED, OVERLOADED
   */
  async eraseSelf(
    caller: Caller,
    proof: { readonly password?: unknown; readonly refreshToken?: unknown },
    network: string,
  ): Promise<void> {
    const { account } = await this.#find(caller.playerId);
    if (account.isAnonymous) {
      const token = readRefreshToken(proof.refreshToken);
      const found = await this.#options.store.findSession(token.sessionId);
      const isOurs = found?.playerId === caller.playerId && token.sessionId === caller.sessionId;
      const judged = isOurs ? judgeRefresh(found.session, hashesOf(token), this.#nowMs()) : 'unknown';
      if (judged !== 'rotate' && judged !== 'repeat') throw new GameError('REFRESH_INVALID');
    } else {
      await this.#prove(caller.playerId, proof.password, network);
    }
    await this.erase(caller.playerId, caller);
  }

  /** Deletes sign-ins whose time was over a day ago. @returns how many */
  async tidy(): Promise<number> {
    return this.#options.store.forgetSessions(this.#nowMs() - DAY_MS);
  }

  /** Starts a sign-in in the transaction of what `decide` wants. */
  async #admit(playerId: string, decide: (held: Held) => Change): Promise<SignedIn> {
    const refresh = newRefreshToken();
    const nowMs = this.#nowMs();
    const expiresAtMs = nowMs + REFRESH_DAYS * DAY_MS;
    const startSession: Session = {
      sessionId: refresh.sessionId,
      ...hashesOf(refresh),
      previous: null,
      createdAtMs: nowMs,
      rotatedAtMs: nowMs,
      expiresAtMs,
      endedAtMs: null,
    };
    const admission = await this.#options.store.change(playerId, (held) => {
      const change = decide(held);
      const surplus = held.sessions.slice(0, Math.max(0, held.sessions.length + 1 - SESSIONS_MAX));
      const ids = surplus.map(({ sessionId }) => sessionId);
      const ending = this.#ending(held, 'too-many', 'self', ids);
      const isCreated = held.account === undefined;
      const isAnonymous = isCreated ? change.credential === undefined : held.account!.isAnonymous && !change.credential;
      const role = held.account?.role ?? 'player';
      const caller: Caller = { playerId, isAnonymous, role, sessionId: refresh.sessionId };
      const person = {
        email: change.person?.email ?? held.person?.email ?? null,
        name: change.person?.name?.text ?? held.person?.name ?? null,
      };
      return {
        change: { ...change, ...ending, events: [...change.events, ...ending.events], startSession },
        result: { held: { ...held, person }, caller, refresh, expiresAtMs },
      };
    });
    return this.#answer(admission);
  }

  async #answer({ held, caller, refresh, expiresAtMs }: Admission): Promise<SignedIn> {
    const { token, expiresAtSeconds } = await this.#options.tokens.issue(caller);
    return {
      user: userOf(caller, held.person ?? NOBODY),
      token,
      expiresAtSeconds,
      refreshToken: writeRefreshToken(refresh),
      refreshExpiresAtSeconds: Math.floor(expiresAtMs / 1000),
    };
  }

  #withEnding(
    held: Held,
    events: readonly NewEvent[],
    reason: 'banned' | 'role' | 'erased' | 'password',
    by: string,
    exceptId?: string,
  ): Change {
    const ids = held.sessions.map(({ sessionId }) => sessionId).filter((id) => id !== exceptId);
    const ending = this.#ending(held, reason, by, ids);
    return { ...ending, events: [...events, ...ending.events] };
  }

  #ending(
    { account }: Held,
    reason: ReturnType<typeof AccountSessionsEnded>['payload']['reason'],
    by: string,
    sessionIds: readonly string[],
  ): Change {
    if (sessionIds.length === 0) return { events: [] };
    const { playerId } = account!;
    const events = [AccountSessionsEnded({ playerId, sessionIds: [...sessionIds], reason, by })];
    return { events, endSessions: sessionIds };
  }

  #passwordSet(held: Held, credential: Credential, by: string, exceptId?: string): Change {
    const events = [AccountPasswordSet({ playerId: held.account!.playerId, by })];
    return { ...this.#withEnding(held, events, 'password', by, exceptId), credential };
  }

  async #find(playerId: string): Promise<Profile> {
    const found = await this.#options.store.profile(playerId);
    mustExist(found?.account);
    return found!;
  }

  /** The caller's present credential, if that is the password. */
  async #prove(
    playerId: string,
    password: unknown,
    network: string,
  ): Promise<{ readonly email: string; readonly credential: Credential }> {
    const { person } = await this.#find(playerId);
    if (person.email === null) throw new GameError('CREDENTIALS_WRONG');
    const credential = await this.#credential(person.email, normalPassword(password), network);
    if ((await this.#options.store.findCredential(credential)) !== playerId) {
      this.#countWrong(credential, network);
      throw new GameError('CREDENTIALS_WRONG');
    }
    return { email: person.email, credential };
  }

  #emailKey(email: string): Buffer {
    return createHmac('sha256', this.#secret).update('email').update(email).digest();
  }

  /** The sign-in of an account with that e-mail to which a refresh token once belonged. */
  async #deviceOf(email: string, text: unknown): Promise<{ sessionId: string; playerId: string } | undefined> {
    let token: RefreshToken;
    try {
      token = readRefreshToken(text);
    } catch {
      return undefined; // No proof; then it is like any other of its network.
    }
    const found = await this.#options.store.findSession(token.sessionId);
    const isProved = found !== undefined && judgeFamily(found.session, hashesOf(token));
    if (!isProved || !found.emailKey?.equals(this.#emailKey(email))) return undefined;
    return { sessionId: token.sessionId, playerId: found.playerId };
  }

  /**
   * One argon2 hash, unless too much was guessed from this network or device; an operator has none. The salt is made of the server's
   * secret and the e-mail.
   */
  async #credential(email: string, password: string, network?: string): Promise<Credential> {
    const emailKey = this.#emailKey(email);
    if (network !== undefined && !this.#mayGuess({ emailKey }, network)) throw new GameError('RATE_LIMITED');
    const isKnown = this.#known.has(pairOf({ emailKey }, network ?? ''));
    const salt = createHmac('sha256', this.#secret).update('salt').update(email).digest().subarray(0, 16);
    return { emailKey, passwordHash: await this.#options.hasher.hash(password, salt, network ?? '', isKnown) };
  }

  #mayGuess(credential: Pick<Credential, 'emailKey'>, source: string): boolean {
    const { wrongPerPair, wrongPerNetwork } = this.#options;
    return !wrongPerPair.isSpent(pairOf(credential, source)) && !wrongPerNetwork.isSpent(source);
  }

  #countWrong(credential: Credential, network: string): void {
    this.#options.wrongPerPair.take(pairOf(credential, network));
    this.#options.wrongPerNetwork.take(network);
  }

  #remember(pair: string): void {
    this.#known.delete(pair);
    this.#known.add(pair);
    if (this.#known.size > 10_000) this.#known.delete(this.#known.values().next().value!);
  }

  #nameOf(raw: unknown): NameChoice {
    const text = checkName(raw);
    const key = nameKey(text);
    // Otherwise somebody could look like a guest who has no name.
    if (/^guest.{0,4}$/u.test(key)) throw new GameError('NAME_TAKEN');
    return { text, key, search: searchKey(text) };
  }
}

function newPlayerId(): string {
  return `a-${randomBytes(16).toString('base64url')}`;
}

function checked(request: { readonly email: unknown; readonly password: unknown }): {
  email: string;
  password: string;
} {
  return { email: normalEmail(request.email), password: normalPassword(request.password) };
}

function pairOf({ emailKey }: Pick<Credential, 'emailKey'>, network: string): string {
  return `${emailKey.toString('base64')} ${network}`;
}

function isSame(a: Credential, b: Credential): boolean {
  return a.emailKey.equals(b.emailKey) && a.passwordHash.equals(b.passwordHash);
}

function judgeFamily(session: Session, hashes: { readonly family: Buffer }): boolean {
  return session.family.equals(hashes.family);
}

function callerOf(account: { playerId: string; isAnonymous: boolean; role: Role }, sessionId: string): Caller {
  const { playerId, isAnonymous, role } = account;
  return { playerId, isAnonymous, role, sessionId };
}

function userOf(caller: Caller, person: { readonly email: string | null; readonly name: string | null }): User {
  const { playerId, isAnonymous, role, sessionId } = caller;
  const { email, name } = person;
  return { playerId, isAnonymous, role, name: name ?? guestName(playerId), hasName: name !== null, email, sessionId };
}
