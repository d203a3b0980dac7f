/**
 * Brings the schema of a database to what this program needs. Under a lock, so any number of processes may start at
 * once; in one transaction, so it is all there or as it was; and never past what this program knows.
 */
import type { Kysely, PostgresPoolClient, Transaction } from 'kysely';
import type { Migration } from 'kysely/migration';
import type pg from 'pg';
import { GameError } from '../kernel/errors.ts';
import type { Database } from './database.ts';
import { MIGRATIONS } from './migrations/index.ts';

/** Names of the advisory lock that migrations take: any number that nobody else uses. */
const LOCK = { space: 0x48_59_50, item: 1 } as const;
const TABLE = 'kysely_migration';

/**
 * Runs every migration that the database has not seen.
 * @returns the names of those that were run now; empty when the schema was current
 * @throws GameError SCHEMA_NEWER (`detail.unknown`: migrations that this program does not know), DATABASE_UNAVAILABLE;
 *   what a migration throws, after which nothing is changed
 */
export async function migrate(
  database: Database,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<readonly string[]> {
  const client = await database.connect('migrations');
  // A broken connection rejects the statement under way; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    // What a start finds nearly always, in one round trip and without the lock.
    if ((await pending(client, migrations)).length === 0) return [];
    await client.query('select pg_advisory_lock($1, $2)', [LOCK.space, LOCK.item]);
    const names = await pending(client, migrations);
    if (names.length > 0) await runAll(client, migrations);
    return names;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Proves that the schema is what this program needs, and changes nothing.
 * @throws GameError SCHEMA_NEWER, SCHEMA_OLDER (`detail.pending`), DATABASE_UNAVAILABLE
 */
export async function checkSchema(database: Database): Promise<void> {
  const client = await database.connect('schema check');
  client.on('error', () => undefined);
  try {
    const names = await pending(client, MIGRATIONS);
    if (names.length > 0) throw new GameError('SCHEMA_OLDER', { pending: names });
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Names that the database has not seen. */
async function pending(client: pg.Client, migrations: Readonly<Record<string, Migration>>): Promise<string[]> {
  const known = Object.keys(migrations).sort();
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [TABLE]);
  if (!rows[0]!.there) return known;
  const { rows: done } = await client.query<{ name: string }>(`select name from ${TABLE} order by name`);
  const names = new Set(done.map(({ name }) => name));
  const unknown = [...names].filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) throw new GameError('SCHEMA_NEWER', { unknown });
  return known.filter((name) => !names.has(name));
}

async function runAll(client: pg.Client, migrations: Readonly<Record<string, Migration>>): Promise<void> {
  const db = await queryBuilderOn(client);
  try {
    await db.transaction().execute((trx) => migrateInside(trx, migrations));
  } finally {
    await db.destroy();
  }
}

/** A query builder whose statements all run on one connection, which is the caller's to end. */
export async function queryBuilderOn(client: pg.Client): Promise<Kysely<unknown>> {
  const kysely = await import('kysely');
  const leased = Object.assign(client, { release: () => undefined }) as unknown as PostgresPoolClient;
  const pool = { options: {}, connect: async () => leased, end: async () => undefined };
  return new kysely.Kysely({ dialect: new kysely.PostgresDialect({ pool }) });
}

/** Keeps others from changing the schema until the transaction under way ends. */
export async function lockSchema(client: pg.Client): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1, $2)', [LOCK.space, LOCK.item]);
}

/** Runs what is missing as part of a transaction of the caller, who sees to it that nobody else does the same. */
export async function migrateInside(
  trx: Transaction<unknown>,
  migrations: Readonly<Record<string, Migration>>,
): Promise<void> {
  const { Migrator } = await import('kysely/migration');
  let fault: unknown;
  const noting = ({ up }: Migration): Migration => ({
    async up(db) {
      try {
        await up(db);
      } catch (error) {
        fault ??= error;
        throw error;
      }
    },
  });
  const noted = Object.fromEntries(Object.entries(migrations).map(([name, migration]) => [name, noting(migration)]));
  const { error } = await new Migrator({ db: trx, provider: { getMigrations: async () => noted } }).migrateToLatest();
  // After a failed statement the migrator fails again at letting go of its own lock, and reports that instead.
  if (error !== undefined) throw fault ?? error;
}
