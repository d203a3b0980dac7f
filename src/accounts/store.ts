/** Where accounts, persons, credentials and sign-ins are kept; src/adapters/postgres-accounts.ts is the one that is. */
import type { NewEvent } from '../events/event.ts';
import type { Account } from './account.ts';
import type { StoredRefresh } from './refresh-tokens.ts';

/** Personal data, deleted when the person is erased. */
export interface Person {
  /** As typed; null until somebody registers. */
  readonly email: string | null;
  /** Display name; null for one that has none of its own. */
  readonly name: string | null;
}

/** E-mail and password, as hashes: who knows both is let in. */
export interface Credential {
  /** HMAC of the normal e-mail. */
  readonly emailKey: Buffer;
  readonly passwordHash: Buffer;
}

export interface Session extends StoredRefresh {
  readonly sessionId: string;
  readonly createdAtMs: number;
}

/** What a command wants done, all or nothing. */
export interface Change {
  readonly events: readonly NewEvent[];
  readonly person?: {
    readonly email?: string;
    readonly name?: { readonly text: string; readonly key: string; readonly search: string } | null;
  };
  readonly credential?: Credential;
  readonly startSession?: Session;
  /** New hash, the former one becomes the previous. */
  readonly rotateSession?: { readonly sessionId: string; readonly secret: Buffer; readonly expiresAtMs: number };
  /** Sign-ins to end; the event that tells of it is among `events`. */
  readonly endSessions?: readonly string[];
  /** Deletes person, credentials and sign-ins. */
  readonly erase?: boolean;
}

/** An account as a command sees it, locked until the command is done. */
export interface Held {
  readonly account: Account | undefined;
  readonly person: Person | undefined;
  readonly credential: Credential | undefined;
  /** Sign-ins that last, oldest first. */
  readonly sessions: readonly Session[];
}

/** An account and its person, to be shown. */
export interface Profile {
  readonly account: Account;
  readonly person: Person;
  readonly createdAtMs: number;
}

export interface EndedSession {
  readonly sessionId: string;
  readonly playerId: string;
  readonly reason: string;
}

/** All methods: throws GameError DATABASE_UNAVAILABLE, OVERLOADED. */
export interface AccountStore {
  /** 32 random bytes, the same for every process on the store, made when first asked for. */
  secret(): Promise<Buffer>;
  /**
   * One transaction: the account is locked, `decide` looks at it, and what it decides is written together with its
   * events; durable when it resolves. What `decide` throws undoes everything.
   * @throws GameError NAME_TAKEN, ACCOUNT_EXISTS (the credential is another account's)
   */
  change<T>(playerId: string, decide: (held: Held) => { readonly change: Change; readonly result: T }): Promise<T>;
  /** Whose credential it is. */
  findCredential(credential: Credential): Promise<string | undefined>;
  /** Whose sign-in it is, also of one that has ended; and the e-mail that the account has now. */
  findSession(
    sessionId: string,
  ): Promise<{ readonly playerId: string; readonly session: Session; readonly emailKey: Buffer | null } | undefined>;
  profile(playerId: string): Promise<Profile | undefined>;
  /** Display names by player; those without one of their own are absent. At most 1,000 ids. */
  namesOf(playerIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** By first letters of the name (a `searchKey`), in its order. */
  search(prefix: string, limit: number): Promise<readonly { readonly playerId: string; readonly name: string }[]>;
  /** Sign-ins that ended at or after a time. */
  endedSince(sinceMs: number): Promise<readonly EndedSession[]>;
  /** Forgets sign-ins whose time was over before a time; at most 1,000 at once. @returns how many */
  forgetSessions(beforeMs: number): Promise<number>;
}
