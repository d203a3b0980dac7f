/** `npm run dev`: the server restarts and the client rebuilds as files change. Reload the page to see a change of the client. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  console.log(`Usage: npm run dev

Watches server and client. Settings as for npm start (npm start -- --help); a restart waits at most one second for
matches to end unless HYPOGEUM_DRAIN_SECONDS says otherwise. Ctrl-C ends both.`);
  process.exit(0);
}

const children: ChildProcess[] = [];
let isEnding = false;

function run(name: string, args: readonly string[]): void {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    // Ctrl-C reaches a whole process group: the server would take the copy that its watcher passes on for a second one.
    detached: true,
    env: { HYPOGEUM_DRAIN_SECONDS: '1', ...process.env },
  });
  children.push(child);
  child.once('exit', (code) => {
    if (isEnding) return;
    console.error(`${name} ended with ${code}`);
    end(code ?? 1);
  });
}

function end(code: number): void {
  isEnding = true;
  process.exitCode = code;
  for (const child of children) child.kill('SIGTERM');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => end(0));

run('vite', ['node_modules/vite/bin/vite.js', 'build', 'clients/browser', '--watch', '--logLevel', 'warn']);
run('server', ['--watch', '--watch-preserve-output', 'src/main.ts', '--no-build']);
