import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Client } from '@colyseus/sdk';
import { runClusterCli } from '../../src/cli/cluster.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const PASSWORD = 'of the monitor';
const START_MS = 120_000;

interface Listed {
  readonly name: string | null;
  readonly processId: string;
  readonly port: number;
  readonly roles: readonly string[];
  readonly buildId: string;
  readonly isListening: boolean;
  readonly isDraining: boolean;
  readonly load: { readonly rooms: number; readonly players: number };
}

describe('a small cluster from the command line', function () {
  this.timeout(300_000);
  let folder: string;
  let database: Awaited<ReturnType<typeof freshDatabase>>;
  let port: number;
  let cluster: ChildProcess;
  let output = '';
  let exited: Promise<number | string>;
  const players: TestPlayer[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-cluster-cli-'));
    database = await freshDatabase();
    port = await freePort();
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HYPOGEUM_')));
    cluster = spawn(
      process.execPath,
      ['src/cli/cluster.ts', 'up', '--no-build', '--realtime', '2', '--port', String(port), '--build', '1.3.0'],
      {
        env: {
          ...env,
          HYPOGEUM_DATA: folder,
          HYPOGEUM_MONITOR_PASSWORD: PASSWORD,
          HYPOGEUM_DRAIN_SECONDS: '15',
          DATABASE_URL: database.url,
          REDIS_URL: '',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [cluster.stdout!, cluster.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    exited = new Promise((resolve) => cluster.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')));
    await Promise.race([
      until(() => /cluster \| ready at/.test(output), 'the cluster to be ready', START_MS),
      exited.then((code) => assert.fail(`the cluster ended with ${code}:\n${output}`)),
    ]);
  });

  after(async () => {
    for (const player of players) await player.leave();
    if (cluster.exitCode === null && cluster.signalCode === null) {
      cluster.kill('SIGTERM');
      await exited;
    }
    await database.drop();
    await rm(folder, { recursive: true, force: true, maxRetries: 100, retryDelay: 5 });
  });

  async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runClusterCli(argv, { env: { HYPOGEUM_DATA: folder }, stdout, stderr });
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }

  async function processes(): Promise<readonly Listed[]> {
    const { out } = await run('status', '--json');
    return (JSON.parse(out) as { processes: readonly Listed[] }).processes;
  }

  async function enter(): Promise<TestPlayer> {
    const base = `http://127.0.0.1:${port}`;
    const { token } = (await (await fetch(`${base}/auth/anonymous`, { method: 'POST' })).json()) as { token: string };
    const client = new Client(base);
    client.auth.token = token;
    const player = new TestPlayer(await client.joinOrCreate('arena', { name: 'Ada' }));
    players.push(player);
    await player.patched();
    return player;
  }

  it('has the processes it was asked for, by name, with roles and build', async () => {
    const listed = await processes();
    assert.deepEqual(listed.map(({ name }) => name).sort(), ['gate-1', 'realtime-1', 'realtime-2', 'worker-1']);
    for (const { roles, name, buildId, isListening } of listed) {
      assert.deepEqual(roles, [name!.split('-')[0]]);
      assert.equal(buildId, '1.3.0');
      assert.equal(isListening, true);
    }
    const { out, code } = await run('status');
    assert.equal(code, 0);
    assert.match(out, new RegExp(`Players connect to http://localhost:${port}/`));
  });

  it('lets players in through the gate, and shows who is where', async () => {
    const ada = await enter();
    const bob = await enter();
    assert.equal(ada.room.roomId, bob.room.roomId);
    const owner = await until(
      async () => (await processes()).find(({ load }) => load.players === 2),
      'a process to say that it has two players',
    );
    assert.equal(owner.load.rooms, 1);
    assert.deepEqual(owner.roles, ['realtime']);
  });

  it('has a monitor that shows and reaches rooms of every process, whichever is asked', async () => {
    const { roomId } = players[0]!.room;
    const headers = { authorization: `Basic ${Buffer.from(`me:${PASSWORD}`).toString('base64')}` };
    for (const { port: each, name } of (await processes()).filter(({ roles }) => !roles.includes('gate'))) {
      const ask = async (path: string) => {
        const response = await fetch(`http://127.0.0.1:${each}/monitor/api${path}`, { headers });
        assert.equal(response.status, 200, `${name} ${path}: ${await response.clone().text()}`);
        return response.json() as Promise<Record<string, unknown>>;
      };
      const { rooms } = (await ask('')) as { rooms: { roomId: string; clients: number }[] };
      assert.deepEqual(
        rooms.map((room) => [room.roomId, room.clients]),
        [[roomId, 2]],
        String(name),
      );
      const room = (await ask(`/room?roomId=${roomId}`)) as { clients: { sessionId: string }[]; state: object };
      assert.deepEqual(
        room.clients.map(({ sessionId }) => sessionId).sort(),
        players.map(({ room: own }) => own.sessionId).sort(),
      );
      const before = players[0]!.messages.length;
      const args = encodeURIComponent(JSON.stringify([players[0]!.room.sessionId, 'hello', { from: name }]));
      await ask(`/room/call?roomId=${roomId}&method=_sendMessageToClient&args=${args}`);
      await until(() => players[0]!.messages.length > before, `a word from ${name}`);
      assert.deepEqual(players[0]!.messages.at(-1)?.message, { from: name });
    }
  });

  it('takes one process out for good by a drain, which the others and the supervisor notice', async () => {
    const spare = (await processes()).find(({ roles, load }) => roles.includes('realtime') && load.rooms === 0)!;
    const { code, out } = await run('drain', spare.name!);
    assert.equal(code, 0, out);
    await until(
      async () => !(await processes()).some(({ processId }) => processId === spare.processId),
      'the process to be gone',
      60_000,
    );
    const word = `cluster | ${spare.name} has drained and is gone`;
    await until(() => output.includes(word), 'the supervisor to say so');
    await players[0]!.patched();
  });

  it('tries a build on new matches and takes it back, in all processes at once', async () => {
    assert.equal((await run('canary', 'set', '--build', '1.4.0', '--percent', '10')).code, 0);
    await until(() => /canary: build 1\.4\.0 gets 10 %/.test(output), 'the processes to know');
    assert.match((await run('rollback')).out, /^build 1\.4\.0 is rolled back/);
    assert.equal((await run('promote')).code, 1);
    assert.equal((await run('canary', 'clear')).code, 0);
  });

  it('replaces every process, one after another, by another build', async () => {
    const before = new Map((await processes()).map(({ name, processId }) => [name, processId]));
    const { code, out } = await run('roll', '--build', '1.3.1');
    assert.equal(code, 0, `${out}\n${output}`);
    const after = await processes();
    assert.deepEqual(after.map(({ name }) => name).sort(), [...before.keys()].sort());
    for (const { name, processId, buildId } of after) {
      assert.notEqual(processId, before.get(name));
      assert.equal(buildId, '1.3.1');
    }
    // The gate holds its port all the time, and so somebody answers.
    const player = await enter();
    await player.patched();
  });

  it('starts a process again that is killed', async () => {
    const { out } = await run('status', '--json');
    const { posts } = JSON.parse(out) as { posts: { name: string; pid: number; restarts: number }[] };
    const worker = posts.find(({ name }) => name === 'worker-1')!;
    process.kill(worker.pid, 'SIGKILL');
    await until(
      async () => {
        const { posts: now } = JSON.parse((await run('status', '--json')).out) as {
          posts: { name: string; pid: number; state: string }[];
        };
        return now.some(({ name, pid, state }) => name === 'worker-1' && state === 'ready' && pid !== worker.pid);
      },
      'another worker',
      60_000,
    );
  });

  it('refuses a second cluster on the same folder, and leaves the first alone', async () => {
    const { code, err } = await run('up', '--no-build', '--port', '0');
    assert.equal(code, 3);
    assert.match(err, /^DATA_IN_USE/);
    assert.equal((await run('status')).code, 0);
  });

  it('drains all processes on SIGTERM and ends 0; nothing of it is left', async () => {
    cluster.kill('SIGTERM');
    assert.equal(await exited, 0, output.slice(-4_000));
    assert.match(output, /cluster \| all processes drain/);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
    assert.equal((await run('status')).code, 3);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
