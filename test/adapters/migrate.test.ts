import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { Database } from '../../src/adapters/database.ts';
import { checkSchema, migrate } from '../../src/adapters/migrate.ts';
import { MIGRATIONS } from '../../src/adapters/migrations/index.ts';
import { emptyDatabaseUrl, privatePostgres } from '../fixtures/database.ts';
import { readGolden, restoreGolden, rowsOf } from '../golden/schema/golden-schema.ts';

/** What earlier migrations have made is there, and each is run once, or the insert or the table fails. */
const CHAIN: Record<string, Migration> = {
  '001-one': {
    up: async (db) => {
      await sql`create table step (name text primary key)`.execute(db);
      await sql`insert into step values ('one')`.execute(db);
    },
  },
  '002-two': { up: async (db) => void (await sql`insert into step values ('two')`.execute(db)) },
  '003-three': { up: async (db) => void (await sql`insert into step values ('three')`.execute(db)) },
};
const pick = (...names: string[]): Record<string, Migration> =>
  Object.fromEntries(names.map((name) => [name, CHAIN[name]!]));

describe('migrations', () => {
  let database: Database;
  let url: string;
  let drop: () => Promise<void>;

  beforeEach(async () => {
    ({ url, drop } = await emptyDatabaseUrl());
    database = await Database.open({ url, connectionsMax: 2 });
  });

  afterEach(async () => {
    await database.close();
    await drop();
  });

  const steps = async (): Promise<string[]> => {
    const { rows } = await database.query<{ name: string }>('select name from step');
    return rows.map(({ name }) => name);
  };

  it('run in order, each once, and only what is missing', async () => {
    assert.deepEqual(await migrate(database, pick('001-one', '002-two')), ['001-one', '002-two']);
    assert.deepEqual(await migrate(database, CHAIN), ['003-three']);
    assert.deepEqual(await migrate(database, CHAIN), []);
    assert.deepEqual(await steps(), ['one', 'two', 'three']);
  });

  it('run once when many processes start at the same time', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, () => Database.open({ url, connectionsMax: 1 })));
    const results = await Promise.all([database, ...others].map((each) => migrate(each, CHAIN)));
    assert.deepEqual(results.flat().sort(), Object.keys(CHAIN));
    assert.deepEqual(await steps(), ['one', 'two', 'three']);
    await Promise.all(others.map((each) => each.close()));
  });

  it('leave everything as it was when one of them fails', async () => {
    const broken: Migration = { up: async (db) => void (await sql`select * from nowhere`.execute(db)) };
    await migrate(database, pick('001-one'));
    await assert.rejects(migrate(database, { ...CHAIN, '004-broken': broken }), /"nowhere" does not exist/);
    assert.deepEqual(await steps(), ['one']);
    assert.deepEqual(await migrate(database, CHAIN), ['002-two', '003-three']);
  });

  it('of a newer program make an older one refuse and name what it does not know', async () => {
    await migrate(database, CHAIN);
    await assert.rejects(migrate(database, pick('001-one')), {
      code: 'SCHEMA_NEWER',
      detail: { unknown: ['002-two', '003-three'] },
    });
    assert.deepEqual(await steps(), ['one', 'two', 'three']);
  });

  it('that are missing are named by a check, which changes nothing', async () => {
    const names = Object.keys(MIGRATIONS).sort();
    await assert.rejects(checkSchema(database), { code: 'SCHEMA_OLDER', detail: { pending: names } });
    const { rowCount } = await database.query(`select 1 from pg_class where relname = 'kysely_migration'`);
    assert.equal(rowCount, 0);
    await migrate(database);
    await checkSchema(database);
  });

  it('are listed, every file of the folder, under its own name', () => {
    const files = readdirSync(new URL('../../src/adapters/migrations/', import.meta.url)).filter((name) =>
      /^\d/.test(name),
    );
    assert.deepEqual(Object.keys(MIGRATIONS).sort(), files.map((name) => name.replace(/\.ts$/, '')).sort());
  });

  it('run on PostgreSQL 15', async () => {
    const server = await privatePostgres({ major: 15 });
    try {
      const old = await Database.open({ url: server.url });
      assert.deepEqual(await migrate(old), Object.keys(MIGRATIONS).sort());
      assert.deepEqual(await migrate(old), []);
      await old.close();
    } finally {
      await server.drop();
    }
  });

  for (const golden of readGolden()) {
    it(`lead from release ${golden.version} to here, with every row that it had`, async () => {
      await restoreGolden(database, golden);
      const before = await rowsOf(database);
      assert.ok(before.reduce((sum, { rows }) => sum + rows, 0) > 0, 'a release without a row tests nothing');
      await migrate(database);
      await checkSchema(database);
      // In the columns of then: what a later migration adds is beside the point.
      assert.deepEqual(await rowsOf(database, before), before);
    });
  }
});
