/**
 * The database as commands find it: `DATABASE_URL`, or the private PostgreSQL of the data folder; the server's own one
 * if it runs, else one that is started for the time of the command.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { Database } from '../adapters/database.ts';
import { EmbeddedPostgres, runningPostgresUrl } from '../adapters/embedded-postgres.ts';
import { checkSchema, migrate } from '../adapters/migrate.ts';
import { GameError } from '../kernel/errors.ts';

export interface CliDatabase {
  readonly database: Database;
  /** Also stops what was started for this command. */
  close(): Promise<void>;
}

export interface CliDatabaseOptions {
  /** An empty one counts as unset. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  /** Makes a private database where there is none; without it that is a mistyped folder. Default false. */
  readonly isCreated?: boolean;
  /** Takes the database with whatever schema it has. Default false: it must be that of this program. */
  readonly hasAnySchema?: boolean;
  /** One statement or transaction, ms. Default 60,000: nobody waits for a command but its user. */
  readonly timeoutMs?: number;
}

/**
 * @throws GameError DATABASE_UNAVAILABLE, DATABASE_TOO_OLD, DATABASE_FAILED, DATA_IN_USE (the server is just starting),
 *   SCHEMA_NEWER, SCHEMA_OLDER
 */
export async function openCliDatabase(options: CliDatabaseOptions): Promise<CliDatabase> {
  const { timeoutMs = 60_000, hasAnySchema = false } = options;
  const given = options.databaseUrl?.trim() || (await runningPostgresUrl(options.dataDir));
  const server = given === undefined ? await startPrivate(options) : undefined;
  let database: Database | undefined;
  try {
    database = await Database.open({ url: given ?? server!.url, connectionsMax: 4, timeoutMs });
    // Nobody else is there to migrate a database that we started.
    if (!hasAnySchema) await (server === undefined ? checkSchema(database) : migrate(database));
  } catch (error) {
    await database?.close();
    await server?.stop();
    throw error;
  }
  const opened = database;
  return {
    database: opened,
    async close() {
      await opened.close();
      await server?.stop();
    },
  };
}

/** The environment with `.env` under it, as the server reads it; what a command needs of it is not in its arguments. */
export function cliEnvironment(): Readonly<Record<string, string | undefined>> {
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return process.env;
    throw new GameError('CONFIG_INVALID', { faults: [`.env: ${(error as Error).message}`] }, error);
  }
}

async function startPrivate({ dataDir, isCreated = false }: CliDatabaseOptions): Promise<EmbeddedPostgres> {
  const folder = resolve(dataDir);
  if (!isCreated && !existsSync(join(folder, 'postgres'))) {
    throw new GameError('DATABASE_FAILED', { reason: `there is no database in ${folder}; is it the right folder?` });
  }
  return EmbeddedPostgres.start({ dataDir: folder });
}
