/** A server under test as a process of its own: bound to a CPU, awaited until it is ready, always stopped. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { processCpuMs } from './process-cpu.ts';
import { parsePrometheusText, type Sample } from './prometheus-text.ts';

export interface ServerLaunch {
  /** Script that node runs. */
  readonly script: URL;
  readonly argv?: readonly string[];
  readonly nodeOptions?: readonly string[];
  /** Added to the environment, from which every `HYPOGEUM_*` of the caller is taken away. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory; one without a `.env`, for a server that reads it. */
  readonly cwd?: string;
  /** Port on which it will answer `/readyz` with 200. */
  readonly port: number;
  /** Binds it to this CPU with taskset. */
  readonly cpu?: number;
  readonly readyTimeoutMs?: number;
  readonly metricsToken?: string;
}

const READY_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 50;
const STOP_TIMEOUT_MS = 8_000;
/** What is kept of the server's output to explain a failed start. */
const OUTPUT_KEPT_CHARS = 4_000;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class ServerProcess {
  readonly port: number;
  readonly endpoint: string;
  /** Bearer token of its `/metrics`; empty where it wants none. */
  readonly metricsToken: string;
  readonly #child: ChildProcess;
  readonly #headers: Record<string, string>;
  #output = '';

  private constructor(launch: ServerLaunch) {
    this.port = launch.port;
    this.endpoint = `ws://127.0.0.1:${launch.port}`;
    this.metricsToken = launch.metricsToken ?? '';
    this.#headers = launch.metricsToken === undefined ? {} : { authorization: `Bearer ${launch.metricsToken}` };
    const command = [
      process.execPath,
      ...(launch.nodeOptions ?? []),
      fileURLToPath(launch.script),
      ...(launch.argv ?? []),
    ];
    if (launch.cpu !== undefined) command.unshift('taskset', '--cpu-list', String(launch.cpu));
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('HYPOGEUM_'));
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...Object.fromEntries(inherited), ...launch.env },
      ...(launch.cwd === undefined ? {} : { cwd: launch.cwd }),
    });
    running.add(this.#child);
    this.#child.once('exit', () => running.delete(this.#child));
    const keep = (text: string) => {
      this.#output = (this.#output + text).slice(-OUTPUT_KEPT_CHARS);
    };
    this.#child.stdout!.setEncoding('utf8').on('data', keep);
    this.#child.stderr!.setEncoding('utf8').on('data', keep);
  }

  /** @throws Error with the end of its output when it does not become ready in time */
  static async start(launch: ServerLaunch): Promise<ServerProcess> {
    const server = new ServerProcess(launch);
    let startError: Error | undefined;
    server.#child.once('error', (error) => {
      startError = error;
    });
    const deadlineMs = performance.now() + (launch.readyTimeoutMs ?? READY_TIMEOUT_MS);
    while (!(await server.#isReady())) {
      const isGone = server.#child.exitCode !== null || server.#child.signalCode !== null;
      if (startError !== undefined || isGone || performance.now() > deadlineMs) {
        await server.stop();
        const why = startError?.message ?? (isGone ? 'ended' : 'was not ready in time');
        throw new Error(`${fileURLToPath(launch.script)} ${why}:\n${server.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    return server;
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/readyz`, { signal: AbortSignal.timeout(1000) });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      // Not listening yet; the deadline decides.
      return false;
    }
  }

  /** CPU time it has used so far, ms. */
  cpuMs(): number {
    return processCpuMs(this.#child.pid!);
  }

  /** @throws Error when it does not answer with metrics */
  scrape(): Promise<Sample[]> {
    return scrape(`http://127.0.0.1:${this.port}/metrics`, this.#headers);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}

/** @throws Error when the address does not answer with 200 */
export async function scrape(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Sample[]> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return parsePrometheusText(text);
}

/** A TCP port of the loopback interface that nothing listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Two CPUs, one for the server and one for the load; undefined where they cannot be had. */
export function separateCpus(): { readonly server: number; readonly load: number } | undefined {
  try {
    const list = execFileSync('taskset', ['--cpu-list', '--pid', String(process.pid)], { encoding: 'utf8' });
    const cpus = expandCpuList(list.slice(list.lastIndexOf(':') + 1).trim());
    return cpus.length >= 2 ? { server: cpus[0]!, load: cpus[1]! } : undefined;
  } catch {
    // No taskset: the bench runs unbound and says so.
    return undefined;
  }
}

/** `0-2,5` as [0, 1, 2, 5]. */
export function expandCpuList(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}
