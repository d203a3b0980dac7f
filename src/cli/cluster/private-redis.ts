/**
 * A private Redis for a cluster on this machine, from the `redis-server` that is installed on it. It keeps what it holds
 * in `<dataDir>/redis`, so that also a machine that is switched off finds its matches again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { GameError } from '../../kernel/errors.ts';

const START_MS = 10_000;
const STOP_MS = 10_000;
const POLL_MS = 20;
/** From the first try to start one again that died to the slowest, ms. */
const RESTART_MS = { first: 50, longest: 5_000 } as const;

export interface PrivateRedisOptions {
  readonly dataDir: string;
  /** Name or path of the program. */
  readonly program?: string;
  readonly onDied?: (reason: string) => void;
  readonly onRestarted?: () => void;
}

export class PrivateRedis {
  readonly url: string;
  readonly #options: PrivateRedisOptions;
  readonly #folder: string;
  readonly #port: number;
  readonly #password: string;
  #child: ChildProcess | undefined;
  readonly #stop = new AbortController();
  #restarting: Promise<void> | undefined;

  private constructor(options: PrivateRedisOptions, folder: string, port: number) {
    this.#options = options;
    this.#folder = folder;
    this.#port = port;
    this.#password = randomBytes(24).toString('base64url');
    this.url = `redis://:${this.#password}@127.0.0.1:${port}`;
  }

  /**
   * Starts it and waits until it answers. One that a killed cluster left behind is stopped first.
   * @throws GameError STORE_UNAVAILABLE if there is no `redis-server`, or it does not start
   */
  static async start(options: PrivateRedisOptions): Promise<PrivateRedis> {
    const folder = join(resolve(options.dataDir), 'redis');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await stopOrphan(folder);
    const redis = new PrivateRedis(options, folder, await freePort());
    await redis.#launch();
    return redis;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What was written is on disk. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#restarting;
    const child = this.#child;
    if (child === undefined) return;
    const exited = new Promise((resolveWith) => child.once('exit', resolveWith));
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(late);
  }

  async #launch(): Promise<void> {
    const program = this.#options.program ?? 'redis-server';
    // Settings go in by the standard input: the password would be seen in a list of processes.
    const child = spawn(program, ['-'], { cwd: this.#folder, stdio: ['pipe', 'pipe', 'ignore'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-400);
    });
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (error) => reject(missing(program, error)));
      child.once('exit', () => {
        reject(new GameError('STORE_UNAVAILABLE', { reason: `redis-server ended: ${said.trim().split('\n').at(-1)}` }));
      });
    });
    failed.catch(() => undefined);
    child.stdin.on('error', () => undefined);
    child.stdin.end(
      [
        `port ${this.#port}`,
        'bind 127.0.0.1',
        `requirepass ${this.#password}`,
        'appendonly yes',
        'appendfsync everysec',
        'save ""',
        'maxmemory-policy noeviction',
        'pidfile redis.pid',
        '',
      ].join('\n'),
    );
    try {
      await this.#answers(failed);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    this.#child = child;
    child.once('exit', (code, signal) => {
      this.#child = undefined;
      if (!this.#stop.signal.aborted) this.#restarting = this.#restart(`ended with ${code ?? signal}`);
    });
  }

  async #answers(failed: Promise<never>): Promise<void> {
    const client = new Redis(this.url, {
      retryStrategy: () => POLL_MS,
      maxRetriesPerRequest: null,
      lazyConnect: false,
    });
    client.on('error', () => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const reason = `redis-server does not answer in ${START_MS / 1000} s`;
      timer = setTimeout(() => reject(new GameError('STORE_UNAVAILABLE', { reason })), START_MS);
    });
    try {
      await Promise.race([client.ping(), failed, late]);
    } finally {
      clearTimeout(timer);
      client.disconnect();
    }
  }

  async #restart(reason: string): Promise<void> {
    this.#options.onDied?.(reason);
    const { signal } = this.#stop;
    for (let waitMs: number = RESTART_MS.first; !signal.aborted; waitMs = Math.min(waitMs * 2, RESTART_MS.longest)) {
      try {
        await this.#launch();
        this.#options.onRestarted?.();
        return;
      } catch (error) {
        this.#options.onDied?.((error as Error).message);
        await delay(waitMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

function missing(program: string, error: Error): GameError {
  const reason = `${program} cannot be started (${(error as NodeJS.ErrnoException).code}): install Redis 7, or give --redis URL or REDIS_URL`;
  return new GameError('STORE_UNAVAILABLE', { reason }, error);
}

/** Stops the server of a cluster that was killed: it would hold the files. It is known by its folder, not by its number. */
async function stopOrphan(folder: string): Promise<void> {
  const text = await readFile(join(folder, 'redis.pid'), 'utf8').catch(() => '');
  const pid = Number(text.trim());
  if (!Number.isSafeInteger(pid) || pid <= 1 || !(await isServerOf(pid, folder))) return;
  process.kill(pid, 'SIGTERM');
  const deadlineMs = performance.now() + STOP_MS;
  while (await isServerOf(pid, folder)) {
    if (performance.now() > deadlineMs) process.kill(pid, 'SIGKILL');
    await delay(POLL_MS);
  }
}

async function isServerOf(pid: number, folder: string): Promise<boolean> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (!words.includes('redis-server')) return false;
  return (await readlink(`/proc/${pid}/cwd`).catch(() => undefined)) === folder;
}

function freePort(): Promise<number> {
  return new Promise((resolveWith, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolveWith(port));
    });
  });
}
