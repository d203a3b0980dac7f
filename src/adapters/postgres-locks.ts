/**
 * Names that one process at a time may hold, as session locks of PostgreSQL, all of a process on one connection of its
 * own. The server ends a session that has not been heard of for a moment, so another process takes over within two
 * seconds, however the holder went: killed, stopped, cut off, or hung. What the old holder does before it notices has to
 * be fenced by other means (checkpoints are).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { within } from '../kernel/time-limit.ts';
import type { Database } from './database.ts';

/** How often a process is heard of, and asks for what it waits for, ms. */
const BEAT_MS = 300;
/** A session not heard of for so long is ended by the server; the process gives up on one that does not answer, ms. */
const SILENCE_MS = 1_400;
/** Pause before connecting again, ms. */
const RECONNECT_MS = 250;
/** Told apart from other users of advisory locks by the hash's seed. */
const SEED = 0x48_59_50;

interface Claim {
  readonly name: string;
  readonly granted: () => void;
}

export class PostgresLocks {
  readonly #database: Database;
  readonly #waiting = new Set<Claim>();
  readonly #held = new Map<string, AbortController>();
  /** Names whose work has ended but which the server still holds for us. */
  readonly #released = new Set<string>();
  #client: pg.Client | undefined;
  #beating: Promise<void> | undefined;
  #alarm = new AbortController();
  #isClosed = false;

  constructor(database: Database) {
    this.#database = database;
  }

  /** As ViewStore.whileHolding. */
  async whileHolding(name: string, signal: AbortSignal, work: (lost: AbortSignal) => Promise<void>): Promise<void> {
    if (signal.aborted || this.#isClosed) return;
    const lost = await this.#claim(name, signal);
    if (lost === undefined) return;
    try {
      await work(lost.signal);
    } finally {
      if (this.#held.get(name) === lost) {
        this.#held.delete(name);
        this.#released.add(name);
        this.#hurry();
      }
    }
  }

  /** Ends the connection; all locks are lost. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#hurry();
    await this.#beating;
  }

  #claim(name: string, signal: AbortSignal): Promise<AbortController | undefined> {
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#waiting.delete(claim);
        resolve(undefined);
      };
      const claim: Claim = {
        name,
        granted: () => {
          signal.removeEventListener('abort', leave);
          this.#waiting.delete(claim);
          const lost = new AbortController();
          this.#held.set(name, lost);
          resolve(lost);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(claim);
      this.#hurry();
    });
  }

  /** Makes the next beat come now. */
  #hurry(): void {
    this.#alarm.abort();
    this.#beating ??= this.#beatOn().finally(() => {
      this.#beating = undefined;
      if (!this.#isClosed && this.#isNeeded) this.#hurry();
    });
  }

  get #isNeeded(): boolean {
    return this.#waiting.size > 0 || this.#held.size > 0 || this.#released.size > 0;
  }

  async #beatOn(): Promise<void> {
    while (!this.#isClosed && this.#isNeeded) {
      this.#alarm = new AbortController();
      try {
        this.#client ??= await this.#connect();
        await this.#beat(this.#client);
        await this.#pause(BEAT_MS, this.#alarm.signal);
      } catch {
        // Whatever it was: without this connection nothing is held.
        this.#drop();
        // Not to be hurried: a server that is down is not asked in a busy loop.
        await this.#pause(RECONNECT_MS);
      }
    }
    this.#drop();
  }

  async #pause(ms: number, signal?: AbortSignal): Promise<void> {
    await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }

  async #connect(): Promise<pg.Client> {
    const client = await this.#database.connect('locks');
    client.on('error', () => this.#lose(client));
    client.on('end', () => this.#lose(client));
    await within(
      client.query(
        `set idle_session_timeout = ${SILENCE_MS}; set statement_timeout = ${SILENCE_MS};
         set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 1;
         set tcp_user_timeout = ${SILENCE_MS}`,
      ),
      SILENCE_MS,
    );
    return client;
  }

  async #beat(client: pg.Client): Promise<void> {
    const released = [...this.#released];
    // One claim a name: a session that holds a lock would be given it again.
    const wanted = new Map<string, Claim>();
    for (const claim of this.#waiting) {
      const isOurs = this.#held.has(claim.name) || this.#released.has(claim.name);
      if (!isOurs && !wanted.has(claim.name)) wanted.set(claim.name, claim);
    }
    if (released.length > 0) {
      await within(
        client.query(`select pg_advisory_unlock(hashtextextended(name, ${SEED})) from unnest($1::text[]) name`, [
          released,
        ]),
        SILENCE_MS,
      );
      for (const name of released) this.#released.delete(name);
    }
    const { rows } = await within(
      client.query<{ name: string; ok: boolean }>(
        `select name, pg_try_advisory_lock(hashtextextended(name, ${SEED})) as ok from unnest($1::text[]) name`,
        [[...wanted.keys()]],
      ),
      SILENCE_MS,
    );
    for (const { name, ok } of rows) {
      const claim = wanted.get(name)!;
      if (!ok) continue;
      if (this.#waiting.has(claim)) claim.granted();
      else this.#released.add(name); // Whoever wanted it has left meanwhile.
    }
    // Names that were just let go may be wanted by a neighbour.
    if (released.length > 0 && this.#waiting.size > 0) this.#alarm.abort();
  }

  #lose(client: pg.Client): void {
    if (this.#client !== client) return;
    this.#drop();
    this.#alarm.abort();
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    this.#released.clear();
    for (const [name, lost] of [...this.#held]) {
      this.#held.delete(name);
      lost.abort();
    }
    // A server that hangs would not answer a goodbye.
    if (client !== undefined) void client.end().catch(() => undefined);
    (client as unknown as { connection?: { stream?: { destroy(): void } } } | undefined)?.connection?.stream?.destroy();
  }
}
