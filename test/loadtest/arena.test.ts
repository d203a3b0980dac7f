import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sumOf } from '../../loadtest/driver/prometheus-text.ts';
import type { ServerProcess } from '../../loadtest/driver/server-process.ts';
import { Stage } from '../../loadtest/driver/stage.ts';
import { Swarm } from '../../loadtest/driver/swarm.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';

const LOADTEST = fileURLToPath(new URL('../../loadtest/loadtest.ts', import.meta.url));
const OFFICIAL_TOOL = fileURLToPath(new URL('../../loadtest/colyseus-loadtest.ts', import.meta.url));
const OFFICIAL_BOT = fileURLToPath(new URL('../../loadtest/arena.ts', import.meta.url));

/** Only after this time from the join an SDK comes back by itself, and a little. */
const SDK_MIN_UPTIME_SECONDS = 5.2;

async function playersReach(server: ServerProcess, wanted: number): Promise<void> {
  while (sumOf(await server.scrape(), 'hypogeum_players') !== wanted) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('load on the arena', () => {
  let stage: Stage;

  before(async () => {
    stage = await Stage.open({
      subject: 'arena',
      players: 4,
      perRoom: 8,
      tickRateHz: 20,
      patchEveryTicks: 1,
      seconds: 1,
      joinsPerSecond: 1000,
      progress: () => {},
    });
  });
  after(() => stage?.close());

  it('is taken in whole from light players: they join, are acknowledged, and the server tells its ticks', async () => {
    const joins = await stage.join(4);
    assert.deepEqual(joins, { ok: 4, failed: 0, rooms: 1, failures: {} });
    const measured = await stage.measure(0.5);
    assert.equal(measured.players, 4);
    assert.equal(measured.dropped, 0);
    assert.ok(measured.patchesPerSecond > 0);
    assert.ok(measured.acksPerSecond > 0 && measured.ackP50Ms > 0);
    assert.ok(measured.tickP99Ms > 0 && measured.tickLateP99Ms > 0);
    assert.ok(measured.serverCpuShare > 0);
  });

  it('comes over the SDK from `npm run loadtest`, which reads the server tick and keeps to its limits', async () => {
    const argv = ['arena', '--endpoint', stage.server.endpoint, '--clients', '3', '--seconds', '0.5', '--settle', '0'];
    const limits = ['--max-join-failures', '0', '--max-drops', '0', '--max-tick-p99-ms', '60000', '--json'];
    const child = spawn(process.execPath, [LOADTEST, ...argv, ...limits], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, HYPOGEUM_METRICS_TOKEN: stage.server.metricsToken },
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0, stdout);
    const { results } = JSON.parse(stdout) as { results: Record<string, number>[] };
    const { joinsOk, ackP99Ms, tickP99Ms } = results[0]!;
    assert.equal(joinsOk, 3);
    assert.ok(ackP99Ms! > 0, 'inputs of the SDK are acknowledged');
    assert.ok(tickP99Ms! > 0, 'tick times come from /metrics');
  });

  it('tells players who come back by themselves from those who are lost, as who has only just joined is to an SDK', async () => {
    const proxy = await TcpProxy.start(stage.server.port);
    const swarm = await Swarm.start({
      destination: { endpoint: `http://127.0.0.1:${proxy.port}/`, roomName: 'arena', dialect: 'arena' },
      mode: 'sdk',
      behaviour: 'wander',
      inputsPerSecond: 20,
      seed: 1,
      namePrefix: 'cut-',
      workers: 1,
    });
    try {
      await swarm.ramp({ players: 2, perSecond: 1000 });
      const early = await swarm.measure(SDK_MIN_UPTIME_SECONDS);
      assert.deepEqual([early.players, early.dropped, early.resumed, early.lost], [2, 0, 0, {}]);
      proxy.reset();
      const facts = async () => swarm.measure(0.2);
      let window = await facts();
      while (window.resumed < 2) window = await facts();
      assert.deepEqual([window.players, window.dropped, window.resumed, window.lost], [2, 2, 2, {}]);
      // What is sent after it is acknowledged, and counted, on the new connection.
      while (window.acksPerSecond === 0) window = await facts();
      await swarm.ramp({ players: 1, perSecond: 1000 });
      proxy.reset();
      while (window.resumed < 4 || window.dropped < 5) window = await facts();
      assert.deepEqual([window.players, window.dropped, window.resumed], [2, 5, 4]);
      assert.deepEqual(window.lost, { '1006 Room uptime too short for reconnection.': 1 });
    } finally {
      await swarm.stop();
      await proxy.close();
    }
  });

  it('comes from the official tool without a terminal, and SIGTERM leaves its summary in --output', async () => {
    const { server } = stage;
    const others = sumOf(await server.scrape(), 'hypogeum_players') ?? 0;
    const folder = await mkdtemp(join(tmpdir(), 'hypogeum-loadtest-'));
    const output = join(folder, 'summary.log');
    const tool = spawn(
      process.execPath,
      [
        OFFICIAL_TOOL,
        OFFICIAL_BOT,
        '--room',
        'arena',
        '--numClients',
        '3',
        '--endpoint',
        server.endpoint,
        '--output',
        output,
      ],
      { stdio: ['ignore', 'ignore', 'ignore'] },
    );
    const ended = new Promise((resolve) => tool.once('exit', resolve));
    try {
      await playersReach(server, others + 3);
      const before = sumOf(await server.scrape(), 'hypogeum_inputs_applied_total') ?? 0;
      while ((sumOf(await server.scrape(), 'hypogeum_inputs_applied_total') ?? 0) < before + 30) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      tool.kill('SIGTERM');
      await ended;
    }
    const summary = await readFile(output, 'utf8');
    assert.match(summary, /Successful connections: 3\s+Failed connections: 0\s+Total errors: 0/);
    await rm(folder, { recursive: true });
  });
});
