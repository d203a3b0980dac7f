/** `npm run dev`: the server restarts and the client rebuilds as files change. Reload the page to see a change of the client. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchFiles } from './file-watch.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SERVER_FOLDERS = ['rooms', 'schema', 'src'] as const;
/** One save, or one checkout, is many events; ms without another before the server restarts. */
const SETTLE_MS = 100;

const words = process.argv.slice(2);
if (words.includes('--help') || words.includes('-h')) {
  console.log(`Usage: npm run dev

Watches server and client. Settings as for npm start (npm start -- --help); a restart waits at most one second for
matches to end unless HYPOGEUM_DRAIN_SECONDS says otherwise. Ctrl-C ends both.`);
  process.exit(0);
}
if (words.length > 0) {
  console.error(`npm run dev takes no options, not ${words[0]}; settings are in the environment or in .env`);
  process.exit(64);
}

let isEnding = false;
let restartTimer: NodeJS.Timeout | undefined;
/** What changed since the server that runs, or ran, was started. */
let changed: string | undefined;
let server: ChildProcess | undefined;

const client = run(['node_modules/vite/bin/vite.js', 'build', 'clients/browser', '--watch', '--logLevel', 'warn']);
client.once('exit', (code) => {
  if (isEnding) return;
  console.error(`the client's builder ended with ${code}`);
  end(code || 1);
});
startServer();
const stopWatching = watchFiles(
  SERVER_FOLDERS.map((folder) => join(ROOT, folder)),
  (path) => {
    if (!path.endsWith('.ts') && !path.endsWith('.json')) return;
    changed = path;
    clearTimeout(restartTimer);
    restartTimer = setTimeout(restart, SETTLE_MS);
  },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => end(0));

function run(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    // Ctrl-C reaches a whole process group: the server would take the copy that is passed on for a second one.
    detached: true,
    env: { HYPOGEUM_DRAIN_SECONDS: '1', ...process.env },
  });
}

function startServer(): void {
  changed = undefined;
  const started = run(['src/main.ts', '--no-build']);
  server = started;
  started.once('exit', (code) => {
    server = undefined;
    if (isEnding) return;
    if (changed !== undefined) startServer();
    else console.error(`the server ended with ${code}; it starts again when a file changes`);
  });
}

/** A server that runs is followed by the next one when it has ended: they share port and folder. */
function restart(): void {
  if (isEnding || changed === undefined) return;
  console.error(`${relative(ROOT, changed)} changed: restarting`);
  if (server === undefined) startServer();
  // A second signal would cut the end of its matches short.
  else if (!server.killed) server.kill('SIGTERM');
}

function end(code: number): void {
  isEnding = true;
  process.exitCode = code;
  clearTimeout(restartTimer);
  stopWatching();
  client.kill('SIGTERM');
  server?.kill('SIGTERM');
}
