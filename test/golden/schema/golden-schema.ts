/**
 * The schema of every release with rows in every table, as SQL: `<version>.sql.gz`, written by make-schema.ts when a
 * release is made and never changed. Migrations are tested up from each.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Database } from '../../../src/adapters/database.ts';

export interface GoldenSchema {
  readonly version: string;
  readonly sql: string;
}

/** Rows of one table in some of its columns. */
export interface TableRows {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** Of all rows, whatever their order. */
  readonly hash: string;
}

const FOLDER = new URL('./', import.meta.url);
const SUFFIX = '.sql.gz';

/** Every release that had a database, oldest first. */
export function readGolden(): GoldenSchema[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => ({
      version: name.slice(0, -SUFFIX.length),
      sql: gunzipSync(readFileSync(new URL(name, FOLDER))).toString(),
    }))
    .sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}

export async function restoreGolden(database: Database, { sql }: GoldenSchema): Promise<void> {
  const client = await database.connect('golden');
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** The tables of a migrator itself: those change with every migration. */
const IS_OURS = `n.nspname = 'public' and c.relname not like 'kysely_%'`;

/** @param wanted the tables and columns to look at; default: all */
export async function rowsOf(database: Database, wanted?: readonly TableRows[]): Promise<TableRows[]> {
  const tables = wanted ?? (await tablesOf(database));
  const found: TableRows[] = [];
  for (const { table, columns } of tables) {
    const record = `row(${columns.map((column) => `"${column}"`).join(', ')})::text`;
    const { rows } = await database.query<{ rows: number; hash: string }>(
      `select count(*)::int as rows, coalesce(sum(hashtextextended(${record}, 0)::numeric), 0)::text as hash from "${table}"`,
    );
    found.push({ table, columns, ...rows[0]! });
  }
  return found;
}

async function tablesOf(database: Database): Promise<{ table: string; columns: string[] }[]> {
  const { rows } = await database.query<{ table: string; columns: string[] }>(
    `select c.relname as table, array_agg(a.attname::text order by a.attnum) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where ${IS_OURS} and c.relkind = 'r' group by c.relname order by c.relname`,
  );
  return rows;
}
