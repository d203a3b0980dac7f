/**
 * A small cluster for PM2 (`npx pm2 start ecosystem.config.js`), which is not a dependency: it is AGPL. Players connect to
 * the gate; the processes behind it are reached by it only, on this machine. `npm run cluster -- up` does the same without
 * PM2; docs/cluster.md tells the two apart.
 *
 * `PM2_CONCURRENT_ACTIONS=1 npx pm2 reload ecosystem.config.js` replaces one after another: two at once would leave their matches
 * nowhere to go.
 *
 * Needs DATABASE_URL and REDIS_URL, in the environment of `pm2 start` or in .env: processes of one cluster share both, and
 * PM2 is no place to run a database. `HYPOGEUM_PORT` is the gate's (2567), everything else as `npm start -- --help` has it.
 *
 * Only the export named `apps` starts under an ES module package.
 */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

const settings = { ...dotEnv(), ...process.env };
const missing = ['DATABASE_URL', 'REDIS_URL'].filter((name) => (settings[name] ?? '').trim() === '');
if (missing.length > 0) {
  throw new Error(`${missing.join(' and ')} must be set (in the environment or in .env) for a cluster under PM2`);
}

/** Longest time from SIGINT to exit, seconds; the default of HYPOGEUM_DRAIN_SECONDS. */
const drainSeconds = Number(settings.HYPOGEUM_DRAIN_SECONDS?.trim() || 20);

function app(name, role, env) {
  return {
    name,
    script: 'src/main.ts',
    interpreter: 'node_modules/.bin/node',
    // One client for all: `npm run build` before a start or a reload.
    args: '--no-build',
    exec_mode: 'fork',
    instances: 1,
    env: { NODE_ENV: 'production', HYPOGEUM_ROLES: role, ...env },
    // The process says 'ready' once it takes work, and drains on PM2's SIGINT.
    wait_ready: true,
    listen_timeout: 60_000,
    shutdown_with_message: false,
    // Longer than a drain takes, or rooms would die in the middle of moving.
    kill_timeout: (drainSeconds + 10) * 1000,
    // A faulty configuration, folder or port does not mend by starting again. Not 0: PM2 takes a process that was killed
    // for one that ended with 0. So it also starts a process again that drained; `pm2 stop NAME` drains one for good.
    stop_exit_codes: [64, 69, 73, 78],
    max_restarts: 10,
    exp_backoff_restart_delay: 200,
  };
}

/** Behind the gate: each on a port of its own, which the others learn from the cluster and metrics may be read from. */
function inner(name, role, port) {
  return app(name, role, {
    HYPOGEUM_HOST: '127.0.0.1',
    HYPOGEUM_PORT: String(port),
    HYPOGEUM_ADVERTISE: `127.0.0.1:${port}`,
  });
}

export const apps = [
  inner('hypogeum-worker-1', 'worker', 2571),
  inner('hypogeum-realtime-1', 'realtime', 2581),
  inner('hypogeum-realtime-2', 'realtime', 2582),
  app('hypogeum-gate-1', 'gate', {}),
];

function dotEnv() {
  try {
    return parseEnv(readFileSync('.env', 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}
