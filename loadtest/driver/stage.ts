/**
 * One measured run of a bench: a server of its own, players of their own, a window, and everybody gone. The arena and
 * its peers are set up here, so that every bench compares the same things.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dialect } from './player.ts';
import { bucketsBetween, bucketsOf, quantileOf, type Sample, sumOf } from './prometheus-text.ts';
import { freePort, ServerProcess, separateCpus } from './server-process.ts';
import { Swarm, type WindowReport } from './swarm.ts';
import type { Behaviour } from './swarm-worker.ts';

/** Whom a bench can measure: the arena, a usual Colyseus room, the same with JSON states, and bare `ws`. */
export type Subject = 'arena' | 'plain' | 'json' | 'raw';

export interface StageOptions {
  readonly subject: Subject;
  readonly players: number;
  readonly perRoom: number;
  readonly tickRateHz: number;
  /** Of the arena; the peers send `patchRateHz`. */
  readonly patchEveryTicks: number;
  readonly seconds: number;
  readonly joinsPerSecond: number;
  /** Payload of the frames that `raw` sends, bytes. */
  readonly rawFrameBytes?: number;
  readonly behaviour?: Behaviour;
  readonly mode?: 'sdk' | 'light';
  readonly inputsPerSecond?: number;
  /** Binds server and players to one CPU each, where there are two. */
  readonly isPinned?: boolean;
  readonly settleSeconds?: number;
  readonly progress: (text: string) => void;
}

/** What one run measured. NaN where the subject does not tell. */
export interface StageReport extends WindowReport {
  readonly joinsOk: number;
  readonly joinsFailed: number;
  readonly failures: Readonly<Record<string, number>>;
  /** CPU of the server process with all its threads, of one core. */
  readonly serverCpuShare: number;
  /** Delay of the server's event loop, 99 %, as it reports it itself. */
  readonly loopDelayP99Ms: number;
  /** Whole ticks, 99 %, and how late they began. */
  readonly tickP99Ms: number;
  readonly tickLateP99Ms: number;
  readonly ticksDropped: number;
  /** Mean payload of a state or patch frame, bytes. */
  readonly frameBytes: number;
}

/** Node options that the server is shipped with (`npm start`). */
const SERVER_NODE_OPTIONS = ['--max-semi-space-size=4'];
const ARENA_READY_TIMEOUT_MS = 60_000;
const METRICS_TOKEN = 'a-token-of-the-bench';
/** First full states, their garbage and the optimizing compiler are not the steady state. */
const SETTLE_SECONDS = 3;

const PEERS = new URL('../peers/', import.meta.url);
const ARENA = new URL('../../src/main.ts', import.meta.url);

/** A subject that is running, with players on it. */
export class Stage {
  readonly server: ServerProcess;
  readonly swarm: Swarm;
  readonly #options: StageOptions;
  readonly #dataDir: string | undefined;

  private constructor(options: StageOptions, server: ServerProcess, swarm: Swarm, dataDir: string | undefined) {
    this.#options = options;
    this.server = server;
    this.swarm = swarm;
    this.#dataDir = dataDir;
  }

  /** Starts server and driver; nobody has joined yet. */
  static async open(options: StageOptions): Promise<Stage> {
    const cpus = options.isPinned ? separateCpus() : undefined;
    const dataDir = options.subject === 'arena' ? await mkdtemp(join(tmpdir(), 'hypogeum-bench-')) : undefined;
    let server: ServerProcess | undefined;
    try {
      server = await startSubject(options, dataDir, cpus?.server);
      const swarm = await Swarm.start({
        destination: {
          endpoint: server.endpoint,
          roomName: options.subject === 'arena' ? 'arena' : 'plain',
          dialect: dialectOf(options.subject),
          areAddressesApart: true,
        },
        mode: options.mode ?? 'light',
        behaviour: options.behaviour ?? 'wander',
        inputsPerSecond: options.inputsPerSecond ?? options.tickRateHz,
        seed: 1,
        namePrefix: 'bench-',
        workers: 1,
        ...(cpus === undefined ? {} : { cpu: cpus.load }),
      });
      return new Stage(options, server, swarm, dataDir);
    } catch (error) {
      await server?.stop();
      if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Lets that many more in. @throws Error when a tenth of them could not: the numbers would be of another game */
  async join(players: number): Promise<{ ok: number; failed: number; failures: Readonly<Record<string, number>> }> {
    const { subject, joinsPerSecond, progress } = this.#options;
    const joins = await this.swarm.ramp({
      players,
      perSecond: joinsPerSecond,
      onProgress: (ok, failed) => progress(`${subject}: ${ok} joined${failed > 0 ? `, ${failed} failed` : ''}`),
    });
    if (joins.failed * 10 > joins.ok) {
      throw new Error(`${subject}: ${joins.failed} joins failed: ${JSON.stringify(joins.failures)}`);
    }
    return joins;
  }

  async settle(seconds = this.#options.settleSeconds ?? SETTLE_SECONDS): Promise<void> {
    this.#options.progress(`${this.#options.subject}: settling`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }

  async measure(seconds = this.#options.seconds): Promise<Omit<StageReport, 'joinsOk' | 'joinsFailed' | 'failures'>> {
    const { subject, progress } = this.#options;
    const before = await this.server.scrape();
    const cpuBeforeMs = this.server.cpuMs();
    const startMs = performance.now();
    const window = await this.swarm.measure(seconds, (left) => progress(`${subject}: measuring, ${left} s left`));
    const elapsedMs = performance.now() - startMs;
    const cpuAfterMs = this.server.cpuMs();
    const after = await this.server.scrape();
    return {
      ...window,
      serverCpuShare: (cpuAfterMs - cpuBeforeMs) / elapsedMs,
      loopDelayP99Ms: (sumOf(after, 'nodejs_eventloop_lag_p99_seconds') ?? Number.NaN) * 1000,
      tickP99Ms: quantileBetween(before, after, 'hypogeum_tick_duration_seconds', { phase: 'total' }) * 1000,
      tickLateP99Ms: quantileBetween(before, after, 'hypogeum_tick_deviation_seconds', {}) * 1000,
      ticksDropped: (sumOf(after, DROPPED) ?? Number.NaN) - (sumOf(before, DROPPED) ?? Number.NaN),
      frameBytes: payloadBytes(window.bytesPerSecond / window.framesPerSecond),
    };
  }

  async close(): Promise<void> {
    await this.swarm.stop();
    await this.server.stop();
    if (this.#dataDir !== undefined) await rm(this.#dataDir, { recursive: true, force: true });
  }
}

/** Opens a stage, fills it, measures one window and closes it. */
export async function runStage(options: StageOptions): Promise<StageReport> {
  const stage = await Stage.open(options);
  try {
    const joins = await stage.join(options.players);
    await stage.settle();
    const measured = await stage.measure();
    return { ...measured, joinsOk: joins.ok, joinsFailed: joins.failed, failures: joins.failures };
  } finally {
    await stage.close();
  }
}

const DROPPED = 'hypogeum_ticks_dropped_total';

function quantileBetween(
  before: readonly Sample[],
  after: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  return quantileOf(bucketsBetween(bucketsOf(before, name, labels), bucketsOf(after, name, labels)), 0.99);
}

function dialectOf(subject: Subject): Dialect {
  return subject === 'json' ? 'plain' : subject;
}

/** Frames without their WebSocket header, of the usual lengths. */
function payloadBytes(frameBytes: number): number {
  return frameBytes - (frameBytes < 128 ? 2 : 4);
}

async function startSubject(
  options: StageOptions,
  dataDir: string | undefined,
  cpu: number | undefined,
): Promise<ServerProcess> {
  const port = await freePort();
  const pin = cpu === undefined ? {} : { cpu };
  const patchRateHz = options.tickRateHz / options.patchEveryTicks;
  const peer = (script: string, extra: Readonly<Record<string, number>>) =>
    ServerProcess.start({
      script: new URL(script, PEERS),
      argv: Object.entries({ port, 'per-room': options.perRoom, ...extra }).map(
        ([name, value]) => `--${name}=${value}`,
      ),
      nodeOptions: SERVER_NODE_OPTIONS,
      port,
      ...pin,
    });
  if (options.subject === 'raw') {
    return peer('raw-ws.ts', { rate: patchRateHz, bytes: options.rawFrameBytes ?? 250 });
  }
  if (options.subject !== 'arena') {
    return peer('plain-server.ts', {
      tick: options.tickRateHz,
      patch: patchRateHz,
      json: options.subject === 'json' ? 1 : 0,
    });
  }
  return ServerProcess.start({
    script: ARENA,
    argv: ['--no-build'],
    cwd: dataDir!,
    nodeOptions: SERVER_NODE_OPTIONS,
    port,
    ...pin,
    readyTimeoutMs: ARENA_READY_TIMEOUT_MS,
    metricsToken: METRICS_TOKEN,
    env: {
      NODE_ENV: 'production',
      HYPOGEUM_PORT: String(port),
      HYPOGEUM_HOST: '127.0.0.1',
      HYPOGEUM_DATA: dataDir!,
      HYPOGEUM_LOG_LEVEL: 'warn',
      HYPOGEUM_METRICS_TOKEN: METRICS_TOKEN,
      HYPOGEUM_MONITOR_PASSWORD: 'only-for-the-bench',
      // The players say in X-Forwarded-For that they live apart, as behind a proxy: limits per address stay on.
      HYPOGEUM_PROXY_HOPS: '1',
      HYPOGEUM_BOTS: '0',
      HYPOGEUM_MAX_PLAYERS: String(options.perRoom),
      HYPOGEUM_TICK_RATE: String(options.tickRateHz),
      HYPOGEUM_PATCH_EVERY_TICKS: String(options.patchEveryTicks),
      HYPOGEUM_MATCH_MINUTES: '60',
      // Nobody waits for the players of a bench to come back.
      HYPOGEUM_DRAIN_SECONDS: '2',
    },
  });
}
