/**
 * For PM2 (`npx pm2 start`), which is not a dependency: it is AGPL. One process; a cluster needs the cluster services.
 * Only the export named `apps` starts under an ES module package.
 */
export const apps = [
  {
    name: 'hypogeum',
    script: 'src/main.ts',
    interpreter: 'node_modules/.bin/node',
    exec_mode: 'fork',
    instances: 1,
    env: { NODE_ENV: 'production' },
    // The process says 'ready' once it accepts players, and drains on PM2's SIGINT.
    wait_ready: true,
    listen_timeout: 15_000,
    shutdown_with_message: false,
    // Above HYPOGEUM_DRAIN_SECONDS (20).
    kill_timeout: 25_000,
    // A faulty configuration, folder or port does not mend by starting again.
    stop_exit_codes: [64, 69, 73, 78],
    max_restarts: 10,
    exp_backoff_restart_delay: 200,
  },
];
