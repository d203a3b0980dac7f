/**
 * How long `npm start` takes until players can come: with a database that has to be made first, with one that is there,
 * and with one that was left behind by `kill -9`. Real processes, the private PostgreSQL included; the client is not built.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, defineBench, median } from './bench.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const GOAL_MS = 1000;
const TIMEOUT_MS = 60_000;
const STARTS = ['cold', 'warm', 'after kill -9'] as const;
type Start = (typeof STARTS)[number];

export default defineBench({
  name: 'start',
  summary: 'from starting the program to ready, its private database included',
  options: {
    rounds: { type: 'number', default: 7, quick: 1, min: 1, max: 99, help: 'fresh data folders, the median is shown' },
  },
  async run({ options, progress }) {
    const measured: Record<Start, number[]> = { cold: [], warm: [], 'after kill -9': [] };
    for (let round = 0; round < options.rounds; round++) {
      const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-bench-start-'));
      try {
        for (const start of STARTS) {
          progress(`round ${round + 1} of ${options.rounds}: ${start}`);
          const { child, readyMs } = await startProgram(dataDir);
          measured[start].push(readyMs);
          // The warm one is killed, so that the last one finds what that leaves.
          const exited = once(child, 'exit');
          child.kill(start === 'warm' ? 'SIGKILL' : 'SIGTERM');
          await exited;
        }
      } finally {
        await untilServerIsGone(dataDir);
        await rm(dataDir, { recursive: true, force: true });
      }
    }
    return {
      results: STARTS.map((start) => ({
        start,
        rounds: options.rounds,
        bestMs: Math.round(Math.min(...measured[start])),
        medianMs: Math.round(median(measured[start])),
        worstMs: Math.round(Math.max(...measured[start])),
      })),
      goals: [atMost('warm start, median', Math.round(median(measured.warm)), GOAL_MS, 'ms')],
    };
  },
});

/** @returns the program, ready, and the time from before it was spawned until it said so, ms */
async function startProgram(dataDir: string): Promise<{ child: ChildProcess; readyMs: number }> {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(HYPOGEUM_|DATABASE_URL|REDIS_URL|NATS_URL)/.test(name),
  );
  const startedMs = performance.now();
  const child = spawn(process.execPath, [MAIN, '--no-build'], {
    env: { ...Object.fromEntries(own), HYPOGEUM_DATA: dataDir, HYPOGEUM_PORT: '0', HYPOGEUM_LOG_LEVEL: 'warn' },
    // A folder without .env, whose settings would be measured.
    cwd: dataDir,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  try {
    const outcome = await Promise.race([
      once(child, 'message').then(() => 'ready'),
      once(child, 'exit').then(([code]) => `ended with ${String(code)}`),
    ]);
    if (outcome !== 'ready') throw new Error(`the program ${outcome}:\n${said}`);
    return { child, readyMs: performance.now() - startedMs };
  } finally {
    clearTimeout(timer);
  }
}

/** The private server outlives its program by the moment it takes to stop. */
async function untilServerIsGone(dataDir: string): Promise<void> {
  const path = join(dataDir, 'postgres', 'postmaster.pid');
  for (const endMs = performance.now() + TIMEOUT_MS; performance.now() < endMs; ) {
    const isThere = await readFile(path).then(
      () => true,
      () => false,
    );
    if (!isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
