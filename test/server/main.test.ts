import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type Room } from '@colyseus/sdk';
import { configKeys } from '../../src/config.ts';
import { sharedDatabase } from '../fixtures/database.ts';
import { type MainProcess, npmStart, startMain } from '../fixtures/main-process.ts';

/** Lines of an output that are not empty. */
function lines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

/** Whether a process, or with a negative id any of a group, is there. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('npm start', function () {
  this.timeout(40_000);
  let folder: string;
  let databaseUrl: string;
  const running: MainProcess[] = [];

  /** On a database that is there already, unless `DATABASE_URL` is set to something else; empty: a private one. */
  function start(env: Record<string, string> = {}, args?: readonly string[], cwd?: string): MainProcess {
    const own = { HYPOGEUM_PORT: '0', HYPOGEUM_DATA: join(folder, 'data'), DATABASE_URL: databaseUrl };
    const main = startMain({ ...own, ...env }, args, cwd);
    running.push(main);
    return main;
  }

  async function ready(main: MainProcess): Promise<string> {
    const [, url] = await main.said(/ready .*?url"?[=:]"(http:[^"]+)\/"/);
    return url!;
  }

  async function joinArena(base: string): Promise<Room> {
    const client = new Client(base);
    client.auth.token = undefined as unknown as string;
    await client.auth.signInAnonymously();
    // The SDK keeps a token for every client of the process, and so for the rooms of other tests, which know no tokens.
    await new Client(base).auth.signOut();
    const room = await client.joinOrCreate('arena', { name: 'Ada' });
    room.onMessage('*', () => {});
    return room;
  }

  before(async () => {
    databaseUrl = (await sharedDatabase()).url;
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-main-'));
  });

  afterEach(async () => {
    for (const main of running.splice(0)) {
      main.child.kill('SIGKILL');
      await main.exited;
    }
    // The database of one that was killed ends a moment later, and writes until then.
    await rm(folder, { recursive: true, maxRetries: 100, retryDelay: 5 });
  });

  it('goes on and drains when whoever read what it prints has gone', async () => {
    const main = start({ HYPOGEUM_LOG_LEVEL: 'debug' });
    const base = await ready(main);
    main.child.stdout!.destroy();
    main.child.stderr!.destroy();
    for (let i = 0; i < 3; i++) assert.equal((await fetch(`${base}/api/nothing`)).status, 404);
    const room = await joinArena(base);
    await room.leave();
    main.child.kill('SIGTERM');
    assert.equal(await main.exited, 0);
  });

  it('becomes ready, says where, tells its parent, and ends 0 on SIGTERM', async () => {
    const main = start();
    const base = await ready(main);
    assert.equal((await fetch(`${base}/readyz`)).status, 200);
    const [facts, word, ...more] = main.messages;
    const { processId, port } = facts as { processId: string; port: number };
    assert.match(processId, /^[\w-]+$/);
    assert.equal(port, Number(new URL(base).port));
    assert.deepEqual([word, ...more], ['ready']);
    main.child.kill('SIGTERM');
    assert.equal(await main.exited, 0);
  });

  it('makes its secrets at the first start, shows the monitor password once, and keeps both for the next', async () => {
    const first = start({ DATABASE_URL: '' });
    const base = await ready(first);
    const [, password] = await first.said(/shown only this once: (\S+)/);
    const login = { authorization: `Basic ${Buffer.from(`me:${password}`).toString('base64')}` };
    assert.equal((await fetch(`${base}/monitor/`, { headers: login })).status, 200);
    const issued = (await (await fetch(`${base}/auth/anonymous`, { method: 'POST' })).json()) as { token: string };
    first.child.kill('SIGTERM');
    await first.exited;
    for (const name of ['monitor-password', 'postgres-password']) {
      const path = join(folder, 'data', name);
      assert.equal((await stat(path)).mode & 0o777, 0o600, name);
      assert.ok(!(await readFile(path, 'utf8')).includes(password!), name);
    }

    const second = start({ DATABASE_URL: '' });
    const again = await ready(second);
    assert.equal((await fetch(`${again}/monitor/`, { headers: login })).status, 200);
    assert.doesNotMatch(second.output(), /password/);
    const bearer = { authorization: `Bearer ${issued.token}` };
    assert.equal(
      (await fetch(`${again}/auth/userdata`, { headers: bearer })).status,
      200,
      'a token of the former process',
    );
  });

  it('reads .env in the working directory (the environment wins), and in production logs one JSON object a line', async () => {
    const settings = [
      'HYPOGEUM_BUILD_ID=from-file',
      'HYPOGEUM_PORT=1',
      'NODE_ENV=production',
      'HYPOGEUM_HOST=127.0.0.1',
    ];
    await writeFile(join(folder, '.env'), `${settings.join('\n')}\n`);
    const main = start({ HYPOGEUM_MONITOR_PASSWORD: 'long enough' }, undefined, folder);
    const [found] = await main.said(/.*"ready".*/);
    const line = JSON.parse(found) as { msg: string; build: string };
    assert.equal(line.msg, 'ready');
    assert.equal(line.build, 'from-file');
    for (const text of lines(main.output())) JSON.parse(text);
  });

  describe('that cannot start says why in one line and ends non-zero:', () => {
    async function refused(main: MainProcess): Promise<{ code: number | string; line: string }> {
      const code = await main.exited;
      const said = lines(main.output());
      assert.equal(said.length, 1, main.output());
      return { code, line: said[0]! };
    }

    it('a port in use', async () => {
      const blocker: Server = createServer();
      await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
      try {
        const port = String((blocker.address() as AddressInfo).port);
        const { code, line } = await refused(start({ HYPOGEUM_PORT: port }));
        assert.equal(code, 69);
        assert.match(line, new RegExp(`^PORT_IN_USE: .*port=${port}`));
      } finally {
        blocker.close();
      }
    });

    it('a data folder that cannot be written', async () => {
      // Also root cannot make a folder below a file.
      await writeFile(join(folder, 'file'), '');
      const { code, line } = await refused(start({ HYPOGEUM_DATA: join(folder, 'file', 'data') }));
      assert.equal(code, 73);
      assert.match(line, /^DATA_UNWRITABLE: .*ENOTDIR/);
    });

    it('a data folder that another process uses', async () => {
      await ready(start());
      const { code, line } = await refused(start());
      assert.equal(code, 73);
      assert.match(line, /^DATA_IN_USE: .*pid=\d+/);
    });

    it('faults in the configuration, all of them', async () => {
      const { code, line } = await refused(start({ HYPOGEUM_PORT: 'x', HYPOGEUM_BOTS: '-1', HYPOGEUM_PROT: '1' }));
      assert.equal(code, 78);
      assert.match(
        line,
        /^CONFIG_INVALID: .*HYPOGEUM_PORT: .*HYPOGEUM_BOTS: .*HYPOGEUM_PROT: .*did you mean HYPOGEUM_PORT\?/,
      );
      assert.ok(!existsSync(join(folder, 'data')), 'nothing was made');
    });
  });

  it('with an unknown option ends 64 and points to the usage, without pushing the fault off the screen', async () => {
    const main = start({}, ['--prot', '1']);
    assert.equal(await main.exited, 64);
    assert.match(main.output(), /--prot/);
    assert.match(main.output(), /npm start -- --help/);
    assert.ok(lines(main.output()).length < 10, main.output());
  });

  it('--help shows every setting and ends 0', async () => {
    const main = start({ HYPOGEUM_PORT: 'broken' }, ['--help']);
    assert.equal(await main.exited, 0);
    for (const key of configKeys()) assert.ok(main.output().includes(key), key);
  });

  describe('when it drains', () => {
    it('tells players, is not held up by a connection that says nothing, and ends 0', async () => {
      const main = start();
      const base = await ready(main);
      const silent = connect(Number(new URL(base).port), '127.0.0.1');
      silent.on('error', () => {});
      await new Promise((resolve) => silent.once('connect', resolve));
      const room = await joinArena(base);
      const left = new Promise<number>((resolve) => room.onLeave(resolve));
      main.child.kill('SIGTERM');
      assert.equal(await left, 4001);
      assert.equal(await main.exited, 0);
      assert.match(main.output(), /draining/);
      assert.match(main.output(), /match disposed/);
    });

    for (const [how, signal] of [
      ['npm alone is told to end, as by a container', 'SIGTERM'],
      ['Ctrl-C reaches it twice, from the terminal and from npm', 'SIGINT'],
    ] as const) {
      it(`does so too when ${how}`, async () => {
        const npm = npmStart({ HYPOGEUM_PORT: '0', HYPOGEUM_DATA: join(folder, 'data') });
        const group = -npm.child.pid!;
        try {
          const base = await ready(npm);
          const room = await joinArena(base);
          const left = new Promise<number>((resolve) => room.onLeave(resolve));
          process.kill(signal === 'SIGINT' ? group : npm.child.pid!, signal);
          assert.equal(await left, 4001);
          assert.equal(await npm.exited, 0);
          assert.match(npm.output(), /match disposed/);
          assert.doesNotMatch(npm.output(), /second signal/);
          await assert.rejects(fetch(`${base}/healthz`), 'nothing listens any more');
        } finally {
          if (isAlive(group)) process.kill(group, 'SIGKILL');
          await npm.exited;
        }
      });
    }

    it('ends at once on a second signal', async () => {
      const main = start();
      await ready(main);
      // Both are pending before the process handles the first: a drain takes longer than that.
      main.child.kill('SIGINT');
      main.child.kill('SIGTERM');
      const code = await main.exited;
      assert.ok(code === 130 || code === 143, String(code));
      assert.match(main.output(), /second signal/);
    });
  });
});
