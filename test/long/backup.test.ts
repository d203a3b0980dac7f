import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { createBackup, restoreBackup, verifyBackup } from '../../src/adapters/backup.ts';
import { type BackupRecord, packBackup, unpackBackup } from '../../src/adapters/backup-file.ts';
import { Database } from '../../src/adapters/database.ts';
import { checkSchema, migrate } from '../../src/adapters/migrate.ts';
import { runBackupCli } from '../../src/cli/backup.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { emptyDatabaseUrl, type FreshDatabase, freshDatabase, privatePostgres } from '../fixtures/database.ts';
import { rowsOf } from '../golden/schema/golden-schema.ts';

const KEY = 'correct horse battery staple';
/** Whatever somebody might have as a name, a reason or a message. */
const HOSTILE = [
  `Robert'); drop table account; --`,
  'tab\tline\nreturn\rback\\slash \\N \\. \\\\.',
  '\\.',
  '',
  '"quoted", {braced}, (row), NULL, null',
  '‮ right to left, 🏛️, Ωmega, é and é',
  'x'.repeat(10_000),
  '\u0001\u001f\u007f\u2028',
];

async function failure(work: Promise<unknown>): Promise<GameError> {
  const error = await work.then(
    () => assert.fail('it was accepted'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof GameError, String((error as Error).stack));
  return error;
}

describe('backup file', () => {
  async function* records(...bodies: string[]): AsyncGenerator<BackupRecord> {
    for (const body of bodies) yield { type: 'D', body: Buffer.from(body) };
  }
  async function pack(...bodies: string[]): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of packBackup(records(...bodies), KEY)) pieces.push(piece as Buffer);
    return Buffer.concat(pieces);
  }
  async function unpack(file: Buffer, key = KEY): Promise<string[]> {
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0; at < file.length; at += 1000) yield file.subarray(at, at + 1000);
    }
    const found: string[] = [];
    for await (const { body } of unpackBackup(pieces(), key)) found.push(body.toString());
    return found;
  }

  it('gives back what was put in, of any size', async () => {
    const noise = Array.from({ length: 400_000 }, (_, at) =>
      String.fromCharCode(33 + ((at * 7919 + (at >> 3)) % 90)),
    ).join('');
    for (const bodies of [[], [''], ['a', '', 'b'], [noise.slice(0, 65_536)], [noise, noise]]) {
      assert.deepEqual(await unpack(await pack(...bodies)), bodies);
    }
  });

  it('shows nothing of its content, and never looks the same twice', async () => {
    const [one, two] = [await pack('a secret'), await pack('a secret')];
    assert.equal(one.length, two.length);
    assert.equal(one.includes('secret'), false);
    // All but the first eight bytes, which say what it is, and the length of the chunk.
    assert.notDeepEqual(one.subarray(8, 24), two.subarray(8, 24));
    assert.notDeepEqual(one.subarray(92), two.subarray(92));
  });

  it('is refused with another key', async () => {
    assert.equal((await failure(unpack(await pack('x'), 'another key altogether'))).code, 'BACKUP_KEY');
  });

  it('is refused when a byte of it is changed: any of the header and of the length, some of the rest', async () => {
    const file = await pack('some content', 'more of it');
    for (let at = 0; at < file.length; at++) {
      // Each costs the slow derivation of the key, and inside of a chunk they are all alike.
      if (at >= 92 && at < file.length - 2 && at % 13 !== 0) continue;
      const changed = Buffer.from(file);
      changed[at]! ^= 1 << (at % 8);
      assert.equal((await failure(unpack(changed))).code, 'BACKUP_CORRUPT', `byte ${at} of ${file.length}`);
    }
  });

  it('is refused when it is cut off, continued, or its chunks are swapped, repeated, left out or of another file', async () => {
    let state = 1;
    // Incompressible, so that there are some chunks.
    const noise = Array.from({ length: 300_000 }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return String.fromCharCode(32 + ((state >> 16) % 95));
    }).join('');
    const file = await pack(noise);
    const header = file.subarray(0, 88);
    const chunks: Buffer[] = [];
    for (let at = 88; at < file.length; ) {
      const length = (file.readUInt32BE(at) & 0x7fff_ffff) + 20;
      chunks.push(file.subarray(at, at + length));
      at += length;
    }
    assert.ok(chunks.length >= 4);
    assert.deepEqual(await unpack(Buffer.concat([header, ...chunks])), [noise]);
    const [a, b, ...rest] = chunks as [Buffer, Buffer, ...Buffer[]];
    const other = await pack(noise);
    const wrong: Record<string, Buffer[]> = {
      'without its last byte': [file.subarray(0, -1)],
      'without its last chunk': [header, ...chunks.slice(0, -1)],
      'header only': [header],
      'half a header': [header.subarray(0, 40)],
      nothing: [],
      continued: [file, Buffer.from('x')],
      swapped: [header, b, a, ...rest],
      repeated: [header, a, a, b, ...rest],
      'left out': [header, a, ...rest],
      'of another file': [header, other.subarray(88, 88 + a.length), b, ...rest],
      'with the header of another file': [other.subarray(0, 88), ...chunks],
    };
    for (const [what, parts] of Object.entries(wrong)) {
      assert.equal((await failure(unpack(Buffer.concat(parts)))).code, 'BACKUP_CORRUPT', what);
    }
  });
});

describe('backup', () => {
  let folder: string;
  let source: FreshDatabase;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-backup-'));
    source = await freshDatabase();
    await fill(source.database);
  });

  after(async () => {
    await source.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Rows in tables of several areas: hostile texts, missing values, the largest numbers, references. */
  async function fill(database: Database): Promise<void> {
    for (const [at, text] of HOSTILE.entries()) {
      const id = `a-${at}`;
      await database.query(
        `insert into account (player_id, is_anonymous, role, ban_reason, length, created_at_ms)
         values ($1, false, 'player', $2, 1, $3)`,
        [id, text, String(Number.MAX_SAFE_INTEGER)],
      );
      await database.query('insert into person (player_id, email, name_key) values ($1, $2, $3)', [
        id,
        text,
        at === 0 ? null : id,
      ]);
      await database.query('insert into credential (player_id, email_key, password_hash) values ($1, $2, $3)', [
        id,
        Buffer.from([0, 255, 10, 13, 92, at]),
        Buffer.alloc(0),
      ]);
    }
    await database.query(
      `insert into ratings (mode, player_id, mu, sigma, matches)
       select 'duel', 'a-' || n, 25 + n / 7.0, 1 / (n + 3.0), n from generate_series(1, 2000) n`,
    );
  }

  async function empty(): Promise<{ database: Database; drop(): Promise<void> }> {
    const { url, drop } = await emptyDatabaseUrl();
    const database = await Database.open({ url, connectionsMax: 2 });
    return {
      database,
      async drop() {
        await database.close();
        await drop();
      },
    };
  }

  it('comes back equal, row by row, with the same schema', async () => {
    const path = join(folder, 'whole.backup');
    const made = await createBackup(source.database, path, KEY);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const { database, drop } = await empty();
    try {
      const restored = await restoreBackup(database, path, KEY);
      assert.deepEqual(restored, made);
      assert.deepEqual(await verifyBackup(path, KEY), made);
      assert.deepEqual(await rowsOf(database), await rowsOf(source.database));
      assert.equal(
        made.rows,
        (await rowsOf(database)).reduce((sum, { rows }) => sum + rows, 0),
      );
      assert.ok(made.rows > 2000);
      await checkSchema(database);
      const emails = await database.query<{ email: string }>('select email from person order by player_id');
      assert.deepEqual(
        emails.rows.map(({ email }) => email),
        HOSTILE,
      );
    } finally {
      await drop();
    }
  });

  it('is of one moment, although others write meanwhile', async () => {
    const path = join(folder, 'moment.backup');
    const before = await rowsOf(source.database);
    let wrote = Promise.resolve();
    await createBackup(source.database, path, KEY, (_what, share) => {
      if (share > 0) return;
      wrote = source.database.query(`delete from ratings where player_id = 'a-1'`).then(() => undefined);
    });
    await wrote;
    const { database, drop } = await empty();
    try {
      await restoreBackup(database, path, KEY);
      const restored = await rowsOf(database);
      const now = await rowsOf(source.database);
      assert.ok([before, now].some((rows) => JSON.stringify(rows) === JSON.stringify(restored)));
    } finally {
      await drop();
    }
  });

  it('keeps what a schema may have: sequences where they stood, computed columns, references, triggers', async () => {
    const path = join(folder, 'schema.backup');
    const up: Migration['up'] = async (db) => {
      // Named so that neither order of the alphabet is the order of references.
      await sql`create table b_root (id bigint generated always as identity primary key, word text not null)`.execute(
        db,
      );
      await sql`create table a_leaf (
        id serial primary key, root bigint not null references b_root, before int references a_leaf,
        doubled bigint generated always as (root * 2) stored)`.execute(db);
      await sql`create table c_seed (id int primary key)`.execute(db);
      await sql`insert into c_seed values (1)`.execute(db);
      await sql`create function shout() returns trigger language plpgsql as
        $$ begin new.word := upper(new.word); return new; end $$`.execute(db);
      await sql`create trigger shouted before insert on b_root for each row execute function shout()`.execute(db);
    };
    const migrations = { '001-all': { up } };
    const [a, b] = [await empty(), await empty()];
    try {
      await migrate(a.database, migrations);
      await a.database.query(`insert into b_root (word) select 'w' || n from generate_series(1, 40) n`);
      await a.database.query(`update b_root set word = 'quiet' where id = 1`);
      await a.database.query('insert into a_leaf (root, before) values (1, 3), (2, null), (40, 1)');
      await a.database.query('update c_seed set id = 2');
      await createBackup(a.database, path, KEY);
      await restoreBackup(b.database, path, KEY, undefined, migrations);
      assert.deepEqual(await rowsOf(b.database), await rowsOf(a.database));
      const next = (database: Database): Promise<unknown> =>
        database
          .query(
            `with root as (insert into b_root (word) values ('last') returning id, word),
               leaf as (insert into a_leaf (root) values (1) returning id, doubled)
             select root.id as root, root.word, leaf.id as leaf, leaf.doubled from root, leaf`,
          )
          .then(({ rows }) => rows);
      assert.deepEqual(await next(b.database), [{ root: 41, word: 'LAST', leaf: 4, doubled: 2 }]);
      assert.deepEqual(await next(a.database), [{ root: 41, word: 'LAST', leaf: 4, doubled: 2 }]);
    } finally {
      await a.drop();
      await b.drop();
    }
  });

  it('is restored into an empty database only, and what is there stays', async () => {
    const path = join(folder, 'target.backup');
    await createBackup(source.database, path, KEY);
    const { database, drop } = await empty();
    try {
      await database.query(`create table precious as select 1 as one`);
      assert.equal((await failure(restoreBackup(database, path, KEY))).code, 'BACKUP_TARGET');
      assert.equal((await database.query('select * from precious')).rowCount, 1);
      await database.query('drop table precious');
      await restoreBackup(database, path, KEY);
      assert.equal((await failure(restoreBackup(database, path, KEY))).code, 'BACKUP_TARGET');
    } finally {
      await drop();
    }
  });

  it('that is damaged or does not fit leaves the database empty', async () => {
    const path = join(folder, 'damaged.backup');
    await createBackup(source.database, path, KEY);
    const file = await readFile(path);
    file[Math.floor(file.length / 2)]! ^= 1;
    await writeFile(path, file);
    const { database, drop } = await empty();
    try {
      assert.equal((await failure(restoreBackup(database, path, KEY))).code, 'BACKUP_CORRUPT');
      assert.equal((await failure(restoreBackup(database, path, 'another key altogether'))).code, 'BACKUP_KEY');
      assert.deepEqual(await rowsOf(database), []);
    } finally {
      await drop();
    }
  });

  it('whose rows do not come out as they went in is refused', async () => {
    const path = join(folder, 'lying.backup');
    await createBackup(source.database, path, KEY);
    // Whole and with the right key, but one digit of one row is another.
    async function* altered(): AsyncGenerator<BackupRecord> {
      const { createReadStream } = await import('node:fs');
      for await (const { type, body } of unpackBackup(createReadStream(path) as AsyncIterable<Buffer>, KEY)) {
        const text = body.toString('latin1');
        yield {
          type,
          body: type === 'D' ? Buffer.from(text.replace('\t9007199254740991', '\t9007199254740990'), 'latin1') : body,
        };
      }
    }
    const lying = join(folder, 'altered.backup');
    await writeFile(lying, packBackup(altered(), KEY));
    const { database, drop } = await empty();
    try {
      const error = await failure(restoreBackup(database, lying, KEY));
      assert.equal(error.code, 'BACKUP_CORRUPT');
      assert.match(error.message, /did not come out the same/);
      assert.deepEqual(await rowsOf(database), []);
    } finally {
      await drop();
    }
  });

  it('of a newer program is refused', async () => {
    const path = join(folder, 'newer.backup');
    const newer = await freshDatabase();
    const { database, drop } = await empty();
    try {
      await newer.database.query(`insert into kysely_migration (name, timestamp) values ('999-future', 'later')`);
      await createBackup(newer.database, path, KEY);
      const error = await failure(restoreBackup(database, path, KEY));
      assert.deepEqual([error.code, error.detail['unknown']], ['SCHEMA_NEWER', ['999-future']]);
    } finally {
      await newer.drop();
      await drop();
    }
  });

  it('goes from PostgreSQL 18 to 15 and back', async () => {
    const [there, back] = [join(folder, 'there.backup'), join(folder, 'back.backup')];
    const old = await privatePostgres({ major: 15 });
    const { database, drop } = await empty();
    try {
      const made = await createBackup(source.database, there, KEY);
      const on15 = await Database.open({ url: old.url, connectionsMax: 2 });
      await restoreBackup(on15, there, KEY);
      const again = await createBackup(on15, back, KEY);
      await on15.close();
      await restoreBackup(database, back, KEY);
      assert.deepEqual(again.tables, made.tables);
    } finally {
      await old.drop();
      await drop();
    }
  });

  it('never overwrites a file, and leaves none behind when it fails', async () => {
    const path = join(folder, 'mine.txt');
    await writeFile(path, 'mine');
    assert.equal((await failure(createBackup(source.database, path, KEY))).code, 'BACKUP_TARGET');
    assert.equal(await readFile(path, 'utf8'), 'mine');
    const { database, drop } = await empty();
    try {
      await failure(createBackup(database, join(folder, 'nothing.backup'), KEY));
      const left = (await readdir(folder)).filter((name) => name.includes('nothing') || name.includes('partial'));
      assert.deepEqual(left, []);
    } finally {
      await drop();
    }
  });

  it('backs up and restores a hundred thousand rows', async () => {
    const path = join(folder, 'large.backup');
    const large = await freshDatabase();
    const { database, drop } = await empty();
    try {
      await large.database.query(
        `insert into match_results (match_id, position, room_name, reason, created_at_ms, ended_at_ms, ticks, tick_rate_hz, standings)
         select md5(n::text), n, 'arena', 'time', n, n + 1, 9000, 30, jsonb_build_object('score', n, 'name', md5((n * 7)::text))
         from generate_series(1, 100000) n`,
      );
      const made = await createBackup(large.database, path, KEY);
      const restored = await restoreBackup(database, path, KEY);
      assert.deepEqual(restored.tables, made.tables);
      assert.equal(made.tables.find(({ name }) => name === 'match_results')?.rows, 100_000);
    } finally {
      await large.drop();
      await drop();
    }
  });
});

describe('npm run backup', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-backup-cli-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function run(
    env: Record<string, string>,
    ...argv: string[]
  ): Promise<{ code: number; out: string; err: string }> {
    const said = { out: '', err: '' };
    const into = (which: 'out' | 'err'): Writable =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          said[which] += chunk.toString();
          done();
        },
      });
    const code = await runBackupCli(argv, { env, stdout: into('out'), stderr: into('err') });
    return { code, ...said };
  }

  it('creates, verifies and restores, from one database into the private one of another folder', async () => {
    const source = await freshDatabase();
    const file = join(folder, 'it.backup');
    const key = { HYPOGEUM_BACKUP_KEY: KEY };
    try {
      await source.database.query(`insert into ratings values ('duel', 'a-1', 25, 8, 0)`);
      const created = await run({ ...key, DATABASE_URL: source.url }, 'create', file);
      assert.equal(created.code, 0, created.err);
      assert.match(created.err, /\d+ % ratings/);
      const hash = /ratings +1 +(-?\d+)/.exec(created.out)?.[1];
      const verified = await run(key, 'verify', file, '--json');
      assert.equal(verified.code, 0, verified.err);
      const { tables } = JSON.parse(verified.out) as { tables: { name: string; hash: string }[] };
      assert.equal(tables.find(({ name }) => name === 'ratings')?.hash, hash);
      const data = join(folder, 'data');
      const restored = await run(key, 'restore', file, '--data', data);
      assert.equal(restored.code, 0, restored.err);
      assert.match(restored.out, /restored, every table equal/);
      const again = await run(key, 'restore', file, '--data', data);
      assert.deepEqual([again.code, /BACKUP_TARGET/.test(again.err)], [3, true]);
      const back = await run(key, 'create', join(folder, 'back.backup'), '--data', data, '--json');
      assert.deepEqual((JSON.parse(back.out) as { tables: unknown }).tables, tables);
    } finally {
      await source.drop();
    }
  });

  it('says what is wrong, each in its own way', async () => {
    const key = { HYPOGEUM_BACKUP_KEY: KEY };
    assert.deepEqual(
      [(await run(key, '--help')).code, (await run(key)).code, (await run(key, 'mend', 'x')).code],
      [0, 2, 2],
    );
    assert.equal((await run(key, 'create')).code, 2);
    assert.match((await run({}, 'verify', 'x')).err, /HYPOGEUM_BACKUP_KEY has to be set/);
    assert.match((await run(key, 'verify', join(folder, 'none'))).err, /ENOENT/);
    const mistyped = await run(key, 'create', join(folder, 'x.backup'), '--data', join(folder, 'typo'));
    assert.deepEqual([mistyped.code, /there is no database/.test(mistyped.err)], [3, true]);
    await writeFile(join(folder, 'noise'), Buffer.alloc(1000, 7));
    const noise = await run(key, 'restore', join(folder, 'noise'), '--data', join(folder, 'new'));
    assert.deepEqual([noise.code, /this is no backup/.test(noise.err)], [1, true]);
    assert.equal((await readdir(folder)).includes('new'), false, 'nothing was made for it');
  });
});
