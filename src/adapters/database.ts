/**
 * PostgreSQL as the adapters use it: one bounded pool behind one {@link Guard}. Every statement has a time limit on both
 * sides, a server that is gone is answered with a code, and a connection whose work ran out of time is thrown away, so
 * that nobody gets another's unfinished transaction.
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import { GameError } from '../kernel/errors.ts';
import { limitTime } from '../kernel/time-limit.ts';
import { Guard, type GuardState } from './guard.ts';

/** First version whose SQL we use. */
const SERVER_VERSION_MIN = 15;

/** A connection inside a transaction: `tx.query(sql, values)`. */
export type Tx = pg.PoolClient;

export interface DatabaseOptions {
  /** `postgres://…`, also over a Unix socket (`postgres://user:password@/name?host=/folder`). */
  readonly url: string;
  /** Connections, 1 to 100. Default 10. */
  readonly connectionsMax?: number;
  /** Pieces of work that may wait for a connection. Above: OVERLOADED. Default 1,000. */
  readonly queueMax?: number;
  /** One statement or transaction, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** One attempt to connect, ms. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Failures in a row after which the server is left alone, and for how long, ms. Default 5 and 500. */
  readonly failuresToOpen?: number;
  readonly halfOpenAfterMs?: number;
  readonly onStateChange?: (state: GuardState) => void;
}

export interface TransactionOptions {
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readonly isReadOnly?: boolean;
  /** Instead of the database's own limit. The statement limit of the server is raised with it. */
  readonly timeoutMs?: number;
}

/** SQLSTATE classes and codes that say that the server is not there, not that the request was wrong. */
const OUTAGE_STATES = /^(08...|53...|57P0.|57014|58...|25P0[34])$/;
/** What the operating system says when there is nobody on the other side. */
const OUTAGE_ERRNOS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTCONN',
]);
/** What pg and its pool say when a connection broke or did not come about; they give it no code. */
const OUTAGE_TEXT =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/;

/** Whether an error of pg means that the server is not there. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof GameError) return error.code === 'DATABASE_UNAVAILABLE';
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.every(isDatabaseOutage);
  if (error instanceof pg.DatabaseError) return OUTAGE_STATES.test(error.code ?? '');
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? OUTAGE_TEXT.test(error.message) : OUTAGE_ERRNOS.has(code);
}

/** int8 as a number when it is exact, else refused: nothing that we count comes near 2^53. */
function exactInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} is not exact as a number`);
  return value;
}

/** Parsers of column types: pg's own, but for int8 (and arrays of it), which come as exact numbers. */
const INT8 = pg.types.builtins.INT8;
const INT8_ARRAY = 1016;
const int8Array = pg.types.getTypeParser(INT8_ARRAY as never, 'text') as (text: string) => (string | null)[];
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary' && oid === INT8) return exactInt8;
    if (format !== 'binary' && oid === INT8_ARRAY) {
      return (text: string) => int8Array(text).map((item) => (item === null ? null : exactInt8(item)));
    }
    return pg.types.getTypeParser(oid as never, format as never);
  },
};

/** What pg gives a callback of `connect`. */
type Connected = (error: Error | null, client?: pg.Client) => void;

/** pg's own limit on connecting knows nothing of stalls: one of this process at its start would take the server for gone. */
class PatientClient extends pg.Client {
  readonly #connectMs: number;

  constructor(config: pg.ClientConfig & { readonly connectMs: number }) {
    super(config);
    this.#connectMs = config.connectMs;
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<pg.Client> | undefined {
    if (callback === undefined) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => (error === null ? resolve(client!) : reject(error)));
      });
    }
    const { connection } = this as unknown as { readonly connection: { readonly stream: Socket } };
    const done = limitTime(this.#connectMs, () => {
      connection.stream.destroy(new Error('timeout exceeded when trying to connect'));
    });
    super.connect((error: Error | null, client?: pg.Client) => {
      done();
      callback(error, client);
    });
    return undefined;
  }
}

export class Database {
  /** Stands before everything below. */
  readonly guard: Guard;
  readonly url: string;
  readonly #pool: pg.Pool;
  readonly #timeoutMs: number;
  readonly #connectTimeoutMs: number;

  /** Connects when first used; {@link open} also proves that the server answers and is new enough. */
  constructor(options: DatabaseOptions) {
    const { url, connectionsMax = 10, queueMax = 1_000, timeoutMs = 10_000, connectTimeoutMs = 3_000 } = options;
    this.url = url;
    this.#timeoutMs = timeoutMs;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#pool = new pg.Pool({
      ...this.#clientConfig('hypogeum'),
      max: connectionsMax,
      // The guard lets no more in than there are connections, so nobody waits here for anything but a new connection.
      Client: PatientClient as unknown as typeof pg.Client,
      idleTimeoutMillis: 60_000,
    });
    // An idle connection that breaks is replaced when it is wanted; without a listener it would end the process.
    this.#pool.on('error', () => undefined);
    // An error event of a connection also rejects its query; without a listener it would end the process. The pool takes
    // its own away as it hands a connection out, and the server's last words may stand right behind its first ones.
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
    this.guard = new Guard({
      name: 'postgres',
      timeoutMs,
      concurrencyMax: connectionsMax,
      queueMax,
      failuresToOpen: options.failuresToOpen ?? 5,
      halfOpenAfterMs: options.halfOpenAfterMs ?? 500,
      isOutage: isDatabaseOutage,
      unavailable: 'DATABASE_UNAVAILABLE',
      ...(options.onStateChange === undefined ? {} : { onStateChange: options.onStateChange }),
    });
  }

  /**
   * Opens and proves that the server lets us in and is new enough.
   * @throws GameError DATABASE_UNAVAILABLE, also for a wrong password or name; DATABASE_TOO_OLD
   */
  static async open(options: DatabaseOptions): Promise<Database> {
    const database = new Database(options);
    try {
      const { rows } = await database.query<{ version: string }>(
        `select current_setting('server_version_num') as version`,
      );
      const version = Number(rows[0]!.version);
      if (version < SERVER_VERSION_MIN * 10_000) {
        throw new GameError('DATABASE_TOO_OLD', { version: Math.floor(version / 10_000), wanted: SERVER_VERSION_MIN });
      }
      return database;
    } catch (error) {
      await database.close();
      if (!(error instanceof pg.DatabaseError)) throw error;
      throw new GameError('DATABASE_UNAVAILABLE', { store: 'postgres', outcome: 'none', reason: error.message }, error);
    }
  }

  /** Connections open now, in use or idle. */
  get connections(): number {
    return this.#pool.totalCount;
  }

  /**
   * One statement, its own transaction. int8 comes as a number, numeric as text.
   * @param query SQL with `$1`…, or a config with `name` for a prepared statement
   * @throws GameError DATABASE_UNAVAILABLE, OVERLOADED; pg.DatabaseError for what the server refuses
   */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    query: string | pg.QueryConfig,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<Row>> {
    return this.guard.run((signal) =>
      this.#withClient(signal, (client) => client.query<Row>(query as string, values as unknown[] | undefined)),
    );
  }

  /**
   * One transaction, committed when `work` resolves, undone when it rejects. When DATABASE_UNAVAILABLE comes out and
   * `detail.outcome` is not `none`, it may have been committed: only work that is safe to repeat may be repeated.
   * @throws as {@link query}; what `work` throws
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const { isolation = 'read committed', isReadOnly = false, timeoutMs = this.#timeoutMs } = options;
    const begin = `begin isolation level ${isolation}${isReadOnly ? ' read only' : ''}`;
    const limits =
      timeoutMs === this.#timeoutMs
        ? ''
        : `; set local statement_timeout = ${timeoutMs}; set local idle_in_transaction_session_timeout = ${timeoutMs}`;
    return this.guard.run(
      (signal) =>
        this.#withClient(signal, async (client) => {
          await client.query(begin + limits);
          let result: T;
          try {
            result = await work(client);
          } catch (error) {
            // If this fails too, the connection is broken, and what broke it is the first error.
            await client.query('rollback').catch(() => undefined);
            throw error;
          }
          await client.query('commit');
          return result;
        }),
      timeoutMs,
    );
  }

  /**
   * A connection of one's own, outside of the pool and the guard, without limits on statements: for LISTEN, advisory
   * locks held long, and COPY. The caller ends it and listens for its `error`.
   * @throws GameError DATABASE_UNAVAILABLE
   */
  async connect(name: string): Promise<pg.Client> {
    const client = new PatientClient({
      ...this.#clientConfig(`hypogeum ${name}`),
      statement_timeout: 0,
      idle_in_transaction_session_timeout: 0,
    });
    // The first words may come with the last ones, before the caller listens.
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      if (!isDatabaseOutage(error)) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      throw new GameError('DATABASE_UNAVAILABLE', { store: 'postgres', outcome: 'none', reason }, error);
    }
  }

  /** Ends every connection. Work under way is cut off. */
  async close(): Promise<void> {
    if (!this.#pool.ended && !this.#pool.ending) await this.#pool.end();
  }

  #clientConfig(name: string): pg.ClientConfig & { connectMs: number } {
    return {
      connectionString: this.url,
      application_name: name,
      keepAlive: true,
      connectMs: this.#connectTimeoutMs,
      types,
      // The server gives up a little after us, so that a statement whose answer nobody awaits ends there too.
      statement_timeout: this.#timeoutMs + 500,
      idle_in_transaction_session_timeout: this.#timeoutMs + 500,
      // A generic plan made for an empty table stays bad when the table has grown.
      options: '-c plan_cache_mode=force_custom_plan',
    };
  }

  async #withClient<T>(signal: AbortSignal, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      if (!isDatabaseOutage(error)) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      throw new GameError('DATABASE_UNAVAILABLE', { store: 'postgres', outcome: 'none', reason }, error);
    }
    if (signal.aborted) {
      client.release();
      throw new Error('out of time');
    }
    let isReleased = false;
    const release = (error?: Error): void => {
      if (isReleased) return;
      isReleased = true;
      client.release(error);
    };
    const discard = (): void => release(new Error('out of time'));
    signal.addEventListener('abort', discard, { once: true });
    try {
      const result = await work(client);
      release();
      return result;
    } catch (error) {
      release(isDatabaseOutage(error) ? (error as Error) : undefined);
      throw error;
    } finally {
      signal.removeEventListener('abort', discard);
    }
  }
}
