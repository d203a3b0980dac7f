import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { readConfig } from '../../src/config.ts';

interface App {
  readonly name: string;
  readonly script: string;
  readonly exec_mode: string;
  readonly instances: number;
  readonly env: Readonly<Record<string, string>>;
  readonly wait_ready: boolean;
  readonly shutdown_with_message: boolean;
  readonly listen_timeout: number;
  readonly kill_timeout: number;
  readonly stop_exit_codes: readonly number[];
}

const STORES = { DATABASE_URL: 'postgres://h/d', REDIS_URL: 'redis://h' };

/** The file as PM2 loads it, in a process of its own: it looks at the environment. */
function load(env: Record<string, string>): { apps: readonly App[]; stderr: string; status: number | null } {
  const file = resolve('ecosystem.config.js');
  const program = `const { apps } = await import(${JSON.stringify(file)}); console.log(JSON.stringify(apps));`;
  const args = ['--input-type=module', '-e', program];
  const inherited = { PATH: process.env['PATH'] ?? '' };
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...inherited, ...env },
  });
  return { apps: status === 0 ? JSON.parse(stdout) : [], stderr, status };
}

describe('ecosystem.config.js', () => {
  const { apps } = load(STORES);

  it('is two processes for matches, a worker and a gate', () => {
    assert.deepEqual(apps.map(({ env }) => env['HYPOGEUM_ROLES']).sort(), ['gate', 'realtime', 'realtime', 'worker']);
    assert.equal(new Set(apps.map(({ name }) => name)).size, apps.length);
  });

  it('is a configuration that the server takes, each process on a port of its own, all but the gate out of reach', () => {
    const configs = apps.map(({ env }) => readConfig({ ...STORES, ...env }));
    assert.equal(new Set(configs.map(({ http }) => http.port)).size, apps.length);
    for (const { http, cluster, isProduction } of configs) {
      assert.ok(isProduction);
      const isGate = cluster.roles.includes('gate');
      assert.equal(http.host, isGate ? '0.0.0.0' : '127.0.0.1');
      if (!isGate) assert.deepEqual(cluster.advertise, { host: '127.0.0.1', port: http.port });
    }
  });

  it('waits for the word ready, and longer for the end than a drain may take', () => {
    for (const app of apps) {
      assert.ok(app.wait_ready && !app.shutdown_with_message);
      assert.equal(app.exec_mode, 'fork');
      assert.equal(app.instances, 1);
      assert.ok(existsSync(app.script));
      assert.ok(app.kill_timeout > readConfig({ ...STORES, ...app.env }).drainSeconds * 1000);
    }
    const slow = load({ ...STORES, HYPOGEUM_DRAIN_SECONDS: '300' }).apps;
    assert.ok(slow.every(({ kill_timeout }) => kill_timeout > 300_000));
  });

  it('leaves a process alone that cannot start, and starts one again that was killed: to PM2 that is exit code 0', () => {
    for (const { stop_exit_codes } of apps) assert.deepEqual([...stop_exit_codes], [64, 69, 73, 78]);
  });

  it('says plainly what is missing', () => {
    const { status, stderr } = load({ REDIS_URL: ' ' });
    assert.notEqual(status, 0);
    assert.match(stderr, /DATABASE_URL and REDIS_URL must be set \(in the environment or in \.env\)/);
    assert.match(load({ DATABASE_URL: 'postgres://h/d' }).stderr, /Error: REDIS_URL must be set/);
  });
});
