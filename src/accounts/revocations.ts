/**
 * Sign-ins that ended while tokens of theirs are still good. A token is verified without asking the database, so every
 * process follows the log for what ends a sign-in, remembers it for the life of a token, and tells its rooms. What was
 * ended before the process started is asked of the store.
 */
import { AccountBanned, AccountSessionsEnded } from '../events/account-events.ts';
import { isEvent } from '../events/event.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import type { Ban } from './account.ts';
import type { AccountStore } from './store.ts';

/** Between two looks at what may be forgotten, ms. */
const FORGET_EVERY_MS = 60_000;
/** Clocks of two processes of ours may differ by this much, ms. */
const CLOCKS_APART_MS = 60_000;

/** Somebody who may not play on. */
export interface Revoked {
  readonly playerId: string;
  readonly sessionId: string;
  readonly code: 'ACCOUNT_BANNED' | 'AUTH_REVOKED';
}

export interface RevocationsOptions {
  readonly log: Pick<EventLog, 'head' | 'readAll' | 'watch'>;
  readonly store: Pick<AccountStore, 'endedSince' | 'profile'>;
  /** Longest life of a token, ms. */
  readonly tokenMs: number;
  readonly nowMs?: () => number;
  /** Told when the log could not be read; it is tried again with the next append, within a second. */
  readonly onFault?: (error: unknown) => void;
}

interface Entry {
  readonly code: Revoked['code'];
  readonly ban: Ban | undefined;
  readonly endedAtMs: number;
}

export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #nowMs: () => number;
  readonly #ended = new Map<string, Entry>();
  readonly #listeners = new Set<(revoked: Revoked) => void>();
  /** Bans by player, to say why to who is thrown out. */
  readonly #bans = new Map<string, { readonly ban: Ban; readonly atMs: number }>();
  #position = 0;
  #stopWatching: () => void = () => {};
  #reading: Promise<void> | undefined;
  #isStale = false;
  #isClosed = false;
  #forgotAtMs = 0;

  constructor(options: RevocationsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Knows all that is still relevant when it resolves, and follows from there. @throws what log and store throw */
  async start(): Promise<void> {
    const { log, store, tokenMs } = this.#options;
    // In this order: what happens in between is met twice.
    this.#position = await log.head();
    const sinceMs = this.#nowMs() - tokenMs - CLOCKS_APART_MS;
    for (const { playerId, sessionId, reason } of await store.endedSince(sinceMs)) {
      const ban = reason === 'banned' ? ((await store.profile(playerId))?.account.ban ?? undefined) : undefined;
      this.#add(playerId, sessionId, reason, ban);
    }
    this.#stopWatching = log.watch(() => this.#refresh());
    this.#refresh();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWatching();
    await this.#reading;
  }

  /** Sign-ins remembered. */
  get size(): number {
    return this.#ended.size;
  }

  /** @throws GameError AUTH_REVOKED, ACCOUNT_BANNED with `reason` and `untilMs` */
  check(sessionId: string): void {
    const entry = this.#ended.get(sessionId);
    if (entry !== undefined) throw new GameError(entry.code, { ...entry.ban });
  }

  /** Calls back once for each sign-in that ends, from now on. Returns what ends it. */
  onRevoked(listener: (revoked: Revoked) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #refresh(): void {
    this.#isStale = true;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
  }

  async #read(): Promise<void> {
    const types = [AccountSessionsEnded.type, AccountBanned.type];
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false;
      try {
        // The head first: events of other types need not be read again and again.
        const head = await this.#options.log.head();
        if (head <= this.#position) continue;
        for await (const page of this.#options.log.readAll(this.#position, { types })) {
          for (const event of page) this.#fold(event);
          this.#position = Math.max(this.#position, page.at(-1)?.position ?? 0);
        }
        this.#position = Math.max(this.#position, head);
      } catch (error) {
        this.#options.onFault?.(error);
        return;
      }
      this.#forget();
    }
  }

  #fold(event: StoredEvent): void {
    if (isEvent(AccountBanned, event)) {
      const { playerId, reason, untilMs } = event.payload;
      this.#bans.set(playerId, { ban: { reason, untilMs }, atMs: this.#nowMs() });
    } else if (isEvent(AccountSessionsEnded, event)) {
      const { playerId, sessionIds, reason } = event.payload;
      for (const sessionId of sessionIds) this.#add(playerId, sessionId, reason, this.#bans.get(playerId)?.ban);
    }
  }

  #add(playerId: string, sessionId: string, reason: string, ban: Ban | undefined): void {
    if (this.#ended.has(sessionId)) return;
    const code = reason === 'banned' ? 'ACCOUNT_BANNED' : 'AUTH_REVOKED';
    const endedAtMs = this.#nowMs();
    this.#ended.set(sessionId, { code, ban: code === 'ACCOUNT_BANNED' ? ban : undefined, endedAtMs });
    for (const listener of [...this.#listeners]) listener({ playerId, sessionId, code });
  }

  /** By then every token of the sign-in is over, also by a clock that is late. */
  #forget(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#forgotAtMs < FORGET_EVERY_MS) return;
    this.#forgotAtMs = nowMs;
    const beforeMs = nowMs - this.#options.tokenMs - 2 * CLOCKS_APART_MS;
    for (const [id, { endedAtMs }] of this.#ended) if (endedAtMs < beforeMs) this.#ended.delete(id);
    for (const [id, { atMs }] of this.#bans) if (atMs < beforeMs) this.#bans.delete(id);
  }
}
