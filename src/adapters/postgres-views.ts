/**
 * Views in PostgreSQL: a fold's writes and its checkpoint in one transaction. That transaction does not wait for the
 * disk: if the machine dies, view and checkpoint go back together and the log, which did wait, is folded again.
 */
import type { Migration } from 'kysely/migration';
import pg from 'pg';
import type { Checkpoint, NamedCheckpoint, ViewStore } from '../events/projection.ts';
import { GameError } from '../kernel/errors.ts';
import type { Database, Tx } from './database.ts';
import { queryBuilderOn } from './migrate.ts';
import { MIGRATIONS } from './migrations/index.ts';
import { PostgresLocks } from './postgres-locks.ts';

/** Emptying a large view may take this long, ms. */
const RESET_TIMEOUT_MS = 300_000;
/** Schema in which dropped tables are made again, before they are moved to their place. */
const REPAIR_SCHEMA = 'hypogeum_repair';
/** Advisory lock of the repair; its space is that of the migrations. */
const REPAIR_LOCK = { space: 0x48_59_50, item: 2 } as const;
const UNDEFINED_TABLE = '42P01';

export class PostgresViews implements ViewStore<Tx> {
  readonly #database: Database;
  readonly #locks: PostgresLocks;
  readonly #migrations: Readonly<Record<string, Migration>>;

  /** @param migrations which make the tables, for {@link restoreTables} */
  constructor(database: Database, migrations: Readonly<Record<string, Migration>> = MIGRATIONS) {
    this.#database = database;
    this.#locks = new PostgresLocks(database);
    this.#migrations = migrations;
  }

  whileHolding(name: string, signal: AbortSignal, work: (lost: AbortSignal) => Promise<void>): Promise<void> {
    return this.#locks.whileHolding(name, signal, work);
  }

  async checkpoint(name: string): Promise<Checkpoint> {
    const { rows } = await this.#database.query<{ position: number; version: number }>(
      'select position, version from event_checkpoints where name = $1',
      [name],
    );
    return rows[0] ?? { position: 0, version: 0 };
  }

  async checkpoints(): Promise<readonly NamedCheckpoint[]> {
    const { rows } = await this.#database.query<Omit<NamedCheckpoint, 'movedAtMs'> & { moved_at: Date }>(
      'select name, position, version, moved_at from event_checkpoints order by name collate "C"',
    );
    return rows.map(({ moved_at, ...row }) => ({ ...row, movedAtMs: moved_at.getTime() }));
  }

  async advance(name: string, from: number, to: Checkpoint, work: (tx: Tx) => Promise<void>): Promise<void> {
    // To the beginning goes only who empties its view; one that was forgotten stands there already.
    const timeout = to.position === 0 ? { timeoutMs: RESET_TIMEOUT_MS } : {};
    try {
      await this.#database.transaction(async (tx) => {
        await move(tx, name, from, to);
        await work(tx);
      }, timeout);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== UNDEFINED_TABLE) throw error;
      throw new GameError('VIEW_MISSING', { name, reason: error.message }, error);
    }
  }

  async forget(name: string): Promise<void> {
    await this.#database.query(
      'update event_checkpoints set position = 0, version = 0, moved_at = now() where name = $1',
      [name],
    );
  }

  /**
   * Runs the migrations in a schema of their own and moves the wanted tables from there, so that a table comes back
   * exactly as it is made, with its indexes.
   */
  async restoreTables(tables: readonly string[]): Promise<readonly string[]> {
    const client = await this.#database.connect('repair');
    client.on('error', () => undefined);
    try {
      const missing = await missingOf(client, tables);
      if (missing.length === 0) return [];
      await client.query('begin');
      await client.query('select pg_advisory_xact_lock($1, $2)', [REPAIR_LOCK.space, REPAIR_LOCK.item]);
      const { rows } = await client.query<{ home: string }>('select quote_ident(current_schema()) as home');
      const stillMissing = await missingOf(client, missing);
      await client.query(`create schema ${REPAIR_SCHEMA}; set local search_path = ${REPAIR_SCHEMA}`);
      const db = await queryBuilderOn(client);
      for (const name of Object.keys(this.#migrations).sort()) await this.#migrations[name]!.up(db);
      for (const table of stillMissing) {
        await client.query(`alter table ${REPAIR_SCHEMA}.${pg.escapeIdentifier(table)} set schema ${rows[0]!.home}`);
      }
      await client.query(`drop schema ${REPAIR_SCHEMA} cascade`);
      await client.query('commit');
      return missing;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Lets go of all locks. */
  close(): Promise<void> {
    return this.#locks.close();
  }
}

/** First thing in the transaction, so that two who work on one name come one after the other. */
async function move(tx: Tx, name: string, from: number, to: Checkpoint): Promise<void> {
  const row = `${pg.escapeLiteral(name)}, ${integer(to.position)}, ${integer(to.version)}`;
  const set = `position = ${integer(to.position)}, version = ${integer(to.version)}, moved_at = now()`;
  const where = `event_checkpoints.position = ${integer(from)}`;
  const move =
    from === 0
      ? `insert into event_checkpoints (name, position, version) values (${row})
         on conflict (name) do update set ${set} where ${where}`
      : `update event_checkpoints set ${set} where name = ${pg.escapeLiteral(name)} and ${where}`;
  // Two statements in one message, which takes no parameters.
  const answers = (await tx.query(`set local synchronous_commit = off; ${move}`)) as unknown as pg.QueryResult[];
  if (answers[1]!.rowCount !== 1) throw new GameError('CHECKPOINT_MOVED', { name, from });
}

function integer(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no position`);
  return value;
}

async function missingOf(client: pg.Client, tables: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select name from unnest($1::text[]) name where to_regclass(quote_ident(name)) is null',
    [tables],
  );
  return rows.map(({ name }) => name);
}
