/**
 * A backup of the database: every table at one moment, with hashes by which a restored database is proven equal. Written
 * by {@link createBackup} while the server runs; read back into an empty database, all or nothing, by
 * {@link restoreBackup}. How it lies on disk is in backup-file.ts.
 */
import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Migration } from 'kysely/migration';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { z } from 'zod';
import { GameError } from '../kernel/errors.ts';
import { type BackupRecord, packBackup, RECORD_BYTES_MAX, unpackBackup } from './backup-file.ts';
import type { Database } from './database.ts';
import { lockSchema, migrateInside, queryBuilderOn } from './migrate.ts';
import { MIGRATIONS } from './migrations/index.ts';

type Migrations = Readonly<Record<string, Migration>>;

const FORMAT = 1;
const NAME = z.string().min(1).max(63);
const COUNT = z.int().nonnegative();

const metaShape = z.strictObject({
  format: z.literal(FORMAT),
  createdAtMs: COUNT,
  server: z.string().max(64),
  migrations: z.array(z.string().max(255)).max(10_000),
});
const tableShape = z.strictObject({ name: NAME, columns: z.array(NAME).min(1).max(1600) });
const tableEndShape = z.strictObject({ rows: COUNT, hash: z.string().max(64) });
const sequenceShape = z.strictObject({ name: NAME, value: z.string().max(20), isCalled: z.boolean() });
const endShape = z.strictObject({ tables: COUNT, rows: COUNT });

/** One table of a backup. */
export interface BackupTable {
  readonly name: string;
  readonly rows: number;
  /** Of all rows, whatever their order; computed by the server. */
  readonly hash: string;
}

export interface BackupSummary {
  /** When it was made, ms since 1970. */
  readonly createdAtMs: number;
  /** Version of the server that it was made on. */
  readonly server: string;
  readonly migrations: readonly string[];
  readonly tables: readonly BackupTable[];
  readonly rows: number;
  /** Of the file. */
  readonly bytes: number;
}

/** Told what is worked on, and how far it is, 0 to 1. */
export type BackupProgress = (what: string, share: number) => void;

/** Settings on which the text of a value depends, so that a row has one text on every server. */
const CANONICAL = `set local timezone = 'UTC'; set local datestyle = 'ISO, MDY'; set local intervalstyle = 'postgres';
  set local extra_float_digits = 1; set local bytea_output = 'hex'; set local client_encoding = 'UTF8';
  set local standard_conforming_strings = on`;

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/**
 * Writes a backup of everything as it is at one moment; others work on meanwhile.
 * @param path must not exist; it appears when it is whole and on the disk
 * @throws GameError BACKUP_TARGET if the file exists, SCHEMA_OLDER if the database was never migrated,
 *   DATABASE_UNAVAILABLE; errors of the file system
 */
export async function createBackup(
  database: Database,
  path: string,
  secret: string,
  onProgress: BackupProgress = () => undefined,
): Promise<BackupSummary> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw new GameError('BACKUP_TARGET', { reason: `${path} exists; it is not overwritten` });
  const client = await database.connect('backup');
  client.on('error', () => undefined);
  const draft = `${path}.${process.pid}.partial`;
  try {
    await client.query(`begin isolation level repeatable read read only; ${CANONICAL}`);
    const summary: { current?: Omit<BackupSummary, 'bytes'> } = {};
    const records = readDatabase(client, onProgress, (found) => {
      summary.current = found;
    });
    await pipeline(packBackup(records, secret), createWriteStream(draft, { mode: 0o600, flags: 'wx' }));
    const file = await open(draft, 'r');
    const { size } = await file.stat();
    await file.sync().finally(() => file.close());
    await rename(draft, path);
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close());
    return { ...summary.current!, bytes: size };
  } finally {
    await client.end().catch(() => undefined);
    await rm(draft, { force: true });
  }
}

const json = (type: string, body: unknown): BackupRecord => ({ type, body: Buffer.from(JSON.stringify(body)) });

async function* readDatabase(
  client: pg.Client,
  onProgress: BackupProgress,
  onDone: (found: Omit<BackupSummary, 'bytes'>) => void,
): AsyncGenerator<BackupRecord> {
  const meta = {
    format: FORMAT,
    createdAtMs: Date.now(),
    server: await settingOf(client, 'server_version'),
    migrations: await migrationsOf(client),
  };
  yield json('M', meta);
  const tables = await tablesOf(client);
  const done: BackupTable[] = [];
  for (const [at, { name, columns }] of tables.entries()) {
    onProgress(name, at / tables.length);
    yield json('T', { name, columns });
    const list = columns.map(quote).join(', ');
    const copy = client.query(copyTo(`copy (select ${list} from ${quote(name)}) to stdout`));
    for await (const piece of copy as AsyncIterable<Buffer>) {
      for (let from = 0; from < piece.length; from += RECORD_BYTES_MAX) {
        yield { type: 'D', body: piece.subarray(from, from + RECORD_BYTES_MAX) };
      }
    }
    const end = await hashOf(client, name, columns);
    yield json('E', end);
    done.push({ name, ...end });
  }
  for (const sequence of await sequencesOf(client)) yield json('S', sequence);
  const rows = done.reduce((sum, table) => sum + table.rows, 0);
  yield json('Z', { tables: done.length, rows });
  await client.query('commit');
  onProgress('done', 1);
  onDone({ createdAtMs: meta.createdAtMs, server: meta.server, migrations: meta.migrations, tables: done, rows });
}

/**
 * Reads a whole backup and believes nothing: decrypts, decompresses, checks order and counts.
 * @throws GameError BACKUP_KEY, BACKUP_CORRUPT; errors of the file system
 */
export function verifyBackup(path: string, secret: string, onProgress?: BackupProgress): Promise<BackupSummary> {
  return readBackup(path, secret, {}, onProgress);
}

/**
 * Fills an empty database with a backup, in one transaction: the schema of then by our migrations, every row, every
 * sequence; then proves each table equal by its hash. The next start of the server migrates it to the schema of now.
 * @throws GameError BACKUP_TARGET if the database is not empty, SCHEMA_NEWER if the backup was made by a newer program,
 *   BACKUP_KEY, BACKUP_CORRUPT, DATABASE_UNAVAILABLE; nothing is changed then
 */
export async function restoreBackup(
  database: Database,
  path: string,
  secret: string,
  onProgress?: BackupProgress,
  migrations: Migrations = MIGRATIONS,
): Promise<BackupSummary> {
  // Before anything is touched: most of what can be wrong is wrong with the file.
  await verifyBackup(path, secret, onProgress && ((what, share) => onProgress(`checking ${what}`, share / 2)));
  const client = await database.connect('restore');
  client.on('error', () => undefined);
  const db = await queryBuilderOn(client);
  try {
    return await db.transaction().execute(async (trx) => {
      await client.query(CANONICAL);
      // Against a server that starts at the same moment, or another restore.
      await lockSchema(client);
      const present = await relationsOf(client);
      if (present.length > 0) throw new GameError('BACKUP_TARGET', { reason: 'the database has tables', present });
      const into = new Filling(client, migrations, (wanted) => migrateInside(trx, wanted));
      const show = onProgress && ((what: string, share: number) => onProgress(`restoring ${what}`, 0.5 + share / 2));
      return await readBackup(path, secret, into, show);
    });
  } finally {
    await db.destroy();
    await client.end().catch(() => undefined);
  }
}

/** What is done with the parts of a backup as they are read; nothing for those that only look. */
interface BackupSink {
  meta?(migrations: readonly string[]): Promise<void>;
  tableBegins?(name: string, columns: readonly string[]): Promise<void>;
  data?(piece: Buffer): Promise<void>;
  tableEnds?(table: BackupTable): Promise<void>;
  sequence?(sequence: z.output<typeof sequenceShape>): Promise<void>;
  ends?(): Promise<void>;
}

/** Into an empty database, inside a transaction. */
class Filling implements BackupSink {
  readonly #client: pg.Client;
  readonly #migrations: Migrations;
  readonly #migrate: (wanted: Migrations) => Promise<void>;
  #copy: ReturnType<typeof copyFrom> | undefined;
  #columns: readonly string[] = [];
  #expected = new Set<string>();

  constructor(client: pg.Client, migrations: Migrations, migrate: (wanted: Migrations) => Promise<void>) {
    this.#client = client;
    this.#migrations = migrations;
    this.#migrate = migrate;
  }

  async meta(names: readonly string[]): Promise<void> {
    const unknown = names.filter((name) => !Object.hasOwn(this.#migrations, name));
    if (unknown.length > 0) throw new GameError('SCHEMA_NEWER', { unknown });
    await this.#migrate(Object.fromEntries(names.map((name) => [name, this.#migrations[name]!])));
    const tables = await tablesOf(this.#client);
    this.#expected = new Set(tables.map(({ name }) => name));
    if (tables.length === 0) return;
    // What migrations put there is in the backup too, as it had become.
    await this.#client.query(`truncate ${tables.map(({ name }) => quote(name)).join(', ')}`);
    for (const { name } of tables) await this.#client.query(`alter table ${quote(name)} disable trigger user`);
  }

  async tableBegins(name: string, columns: readonly string[]): Promise<void> {
    if (!this.#expected.delete(name))
      throw new GameError('BACKUP_CORRUPT', { reason: `table ${name} is not expected` });
    this.#columns = columns;
    this.#copy = this.#client.query(copyFrom(`copy ${quote(name)} (${columns.map(quote).join(', ')}) from stdin`));
    // Awaited in tableEnds; a fault before that is met at the next write.
    this.#copy.on('error', () => undefined);
  }

  async data(piece: Buffer): Promise<void> {
    const copy = this.#copy!;
    await new Promise<void>((resolve, reject) => {
      copy.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }

  async tableEnds({ name, rows, hash }: BackupTable): Promise<void> {
    const copy = this.#copy!;
    await new Promise<void>((resolve, reject) => {
      copy.once('error', reject);
      copy.once('finish', resolve);
      copy.end();
    });
    const found = await hashOf(this.#client, name, this.#columns);
    if (found.rows !== rows || found.hash !== hash) {
      throw new GameError('BACKUP_CORRUPT', {
        reason: `table ${name} did not come out the same`,
        rows,
        restored: found.rows,
      });
    }
  }

  async sequence({ name, value, isCalled }: z.output<typeof sequenceShape>): Promise<void> {
    await this.#client.query('select setval($1::regclass, $2::bigint, $3)', [quote(name), value, isCalled]);
  }

  async ends(): Promise<void> {
    if (this.#expected.size > 0) {
      throw new GameError('BACKUP_CORRUPT', { reason: `without ${[...this.#expected].join(', ')}` });
    }
    for (const { name } of await tablesOf(this.#client)) {
      await this.#client.query(`alter table ${quote(name)} enable trigger user`);
    }
    await this.#client.query('analyze');
  }
}

async function readBackup(
  path: string,
  secret: string,
  sink: BackupSink,
  onProgress: BackupProgress = () => undefined,
): Promise<BackupSummary> {
  const handle = await open(path, 'r');
  const { size } = await handle.stat();
  const file = handle.createReadStream({ highWaterMark: 256 * 1024 });
  const tables: BackupTable[] = [];
  let meta: z.output<typeof metaShape> | undefined;
  let table: z.output<typeof tableShape> | undefined;
  let rows = 0;
  let lines = 0;
  let isEnded = false;
  try {
    for await (const { type, body } of unpackBackup(file as AsyncIterable<Buffer>, secret)) {
      if (isEnded || (meta === undefined) !== (type === 'M')) throw damaged('records are out of order');
      if ((table !== undefined) !== (type === 'D' || type === 'E')) throw damaged('records are out of order');
      if (type === 'M') {
        meta = parse(metaShape, body);
        await sink.meta?.(meta.migrations);
      } else if (type === 'T') {
        table = parse(tableShape, body);
        lines = 0;
        onProgress(table.name, file.bytesRead / size);
        await sink.tableBegins?.(table.name, table.columns);
      } else if (type === 'D') {
        // In the text format of COPY a line feed ends a row and occurs nowhere else.
        for (let at = body.indexOf(10); at !== -1; at = body.indexOf(10, at + 1)) lines++;
        await sink.data?.(body);
      } else if (type === 'E') {
        const end = { name: table!.name, ...parse(tableEndShape, body) };
        if (end.rows !== lines) throw damaged(`table ${end.name} has ${lines} rows instead of ${end.rows}`);
        await sink.tableEnds?.(end);
        tables.push(end);
        rows += end.rows;
        table = undefined;
      } else if (type === 'S') {
        await sink.sequence?.(parse(sequenceShape, body));
      } else if (type === 'Z') {
        const end = parse(endShape, body);
        if (end.tables !== tables.length || end.rows !== rows) throw damaged('the totals do not fit');
        isEnded = true;
      } else throw damaged(`a record of type ${JSON.stringify(type)}`);
    }
    if (!isEnded) throw damaged('it is cut off');
    await sink.ends?.();
  } finally {
    file.destroy();
  }
  onProgress('done', 1);
  const { createdAtMs, server, migrations } = meta!;
  return { createdAtMs, server, migrations, tables, rows, bytes: size };
}

const damaged = (reason: string): GameError => new GameError('BACKUP_CORRUPT', { reason });

function parse<Shape extends z.ZodType>(shape: Shape, body: Buffer): z.output<Shape> {
  try {
    return shape.parse(JSON.parse(body.toString()));
  } catch (error) {
    throw new GameError('BACKUP_CORRUPT', { reason: 'a record does not have its shape' }, error);
  }
}

/** Order-independent and computed where the rows are: the sum of the first 64 bits of each row's SHA-256. */
async function hashOf(
  client: pg.Client,
  table: string,
  columns: readonly string[],
): Promise<{ rows: number; hash: string }> {
  const record = `row(${columns.map(quote).join(', ')})::text`;
  const { rows } = await client.query<{ rows: number; hash: string }>(
    `select count(*) as rows,
       coalesce(sum(('x' || encode(substr(sha256(convert_to(${record}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)::text as hash
     from ${quote(table)}`,
  );
  return rows[0]!;
}

async function settingOf(client: pg.Client, name: string): Promise<string> {
  const { rows } = await client.query<{ value: string }>('select current_setting($1) as value', [name]);
  return rows[0]!.value;
}

async function migrationsOf(client: pg.Client): Promise<string[]> {
  const { rows: found } = await client.query(`select 1 where to_regclass('kysely_migration') is not null`);
  if (found.length === 0) throw new GameError('SCHEMA_OLDER', { reason: 'the database is empty' });
  const { rows } = await client.query<{ name: string }>('select name from kysely_migration order by name');
  return rows.map(({ name }) => name);
}

/** Ours, in an order in which each comes after those that it refers to. */
async function tablesOf(client: pg.Client): Promise<{ name: string; columns: string[] }[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; refers: string[] }>(
    `select c.relname as name,
       (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
       (select coalesce(array_agg(distinct r.relname::text), '{}') from pg_constraint k
        join pg_class r on r.oid = k.confrelid where k.conrelid = c.oid and k.contype = 'f') as refers
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = current_schema() and c.relkind = 'r' and c.relname not like 'kysely\\_%' order by c.relname`,
  );
  const placed = new Set<string>();
  const ordered: { name: string; columns: string[] }[] = [];
  while (ordered.length < rows.length) {
    const next = rows.filter(
      ({ name, refers }) => !placed.has(name) && refers.every((other) => other === name || placed.has(other)),
    );
    if (next.length === 0) throw new Error('tables refer to each other in a circle');
    for (const { name, columns } of next) {
      placed.add(name);
      ordered.push({ name, columns });
    }
  }
  return ordered;
}

async function relationsOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = current_schema() and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') order by 1 limit 5`,
  );
  return rows.map(({ name }) => name);
}

async function sequencesOf(client: pg.Client): Promise<z.output<typeof sequenceShape>[]> {
  const { rows } = await client.query<{ name: string }>(
    `select sequencename as name from pg_sequences where schemaname = current_schema() order by 1`,
  );
  const found: z.output<typeof sequenceShape>[] = [];
  for (const { name } of rows) {
    const { rows: state } = await client.query<{ value: string; called: boolean }>(
      `select last_value::text as value, is_called as called from ${quote(name)}`,
    );
    found.push({ name, value: state[0]!.value, isCalled: state[0]!.called });
  }
  return found;
}
