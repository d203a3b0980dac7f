import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePort, ServerProcess } from '../../loadtest/driver/server-process.ts';

const SCRIPT = fileURLToPath(new URL('../../loadtest/loadtest.ts', import.meta.url));
const RAW = new URL('../../loadtest/peers/raw-ws.ts', import.meta.url);

async function runLoadTest(argv: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [SCRIPT, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

describe('npm run loadtest', () => {
  let server: ServerProcess;
  let target: string[];

  before(async () => {
    const port = await freePort();
    server = await ServerProcess.start({ script: RAW, argv: [`--port=${port}`], port });
    target = ['raw', '--endpoint', server.endpoint, '--dialect', 'raw', '--mode', 'light', '--clients', '4'];
    target.push('--seconds', '0.4', '--inputs-per-second', '20', '--joins-per-second', '1000', '--settle', '0');
  });
  after(() => server?.stop());

  it('exits with 0 and prints a table when every limit holds', async () => {
    const { code, stdout } = await runLoadTest([
      ...target,
      '--max-join-failures',
      '0',
      '--min-patches-per-second',
      '1',
    ]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /joinsOk +4/);
    assert.match(stdout, /met {5}max-join-failures/);
  });

  it('exits with 1 when a limit is passed or was not measured, and ends in one line of JSON', async () => {
    const limits = ['--max-ack-p50-ms', '0', '--max-tick-p99-ms', '1000', '--max-drops', '0'];
    const { code, stdout } = await runLoadTest([...target, ...limits, '--json']);
    assert.equal(code, 1);
    const line = JSON.parse(stdout) as {
      bench: string;
      machine: object;
      results: { joinsOk: number; tickP99Ms: number | null }[];
      goals: { name: string; met: boolean }[];
    };
    assert.equal(line.bench, 'loadtest');
    assert.equal(line.results[0]?.joinsOk, 4);
    assert.equal(line.results[0]?.tickP99Ms, null);
    assert.deepEqual(
      line.goals.map(({ name, met }) => [name, met]),
      [
        ['max-ack-p50-ms', false],
        ['max-tick-p99-ms', false],
        ['max-drops', true],
      ],
    );
  });

  it('exits with 1 when nobody could join, and says why', async () => {
    const port = await freePort();
    const { code, stdout } = await runLoadTest([...target, '--endpoint', `ws://127.0.0.1:${port}`]);
    assert.equal(code, 1);
    assert.match(stdout, /4 joins failed: ECONNREFUSED/);
  });

  it('exits with 2 on wrong usage and with 0 on --help', async () => {
    const wrong = await runLoadTest(['arena', '--clients', 'many']);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--clients is a number/);
    const help = await runLoadTest(['--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Exit codes/);
  });
});
