/** Many players in several processes, steered from one: ramp up, measure a window, go. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LatencyHistogram } from './latency-histogram.ts';
import { processCpuMs } from './process-cpu.ts';
import type { WorkerAnswer, WorkerCommand, WorkerSetup } from './swarm-worker.ts';

export interface SwarmOptions extends WorkerSetup {
  readonly workers: number;
  /** Binds all workers to this CPU with taskset. */
  readonly cpu?: number;
}

/** Counts of a window over all workers; rates are per second of the window. What became of players is told since the start. */
export interface WindowReport {
  readonly seconds: number;
  /** Players connected at its end. */
  readonly players: number;
  /** Connections that ended although nobody asked them to. */
  readonly dropped: number;
  /** Players who came back by themselves. */
  readonly resumed: number;
  /** Players who did not, and will not, by why; whoever else is not connected is on the way back. */
  readonly lost: Readonly<Record<string, number>>;
  readonly framesPerSecond: number;
  readonly patchesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly inputsPerSecond: number;
  readonly acksPerSecond: number;
  /** Inputs that the driver was too busy to send; above 0 the driver, not the server, was the limit. */
  readonly inputsSkipped: number;
  readonly ackP50Ms: number;
  readonly ackP95Ms: number;
  readonly ackP99Ms: number;
  /** Of one core, over all workers; NaN without /proc. */
  readonly driverCpuShare: number;
}

export interface JoinReport {
  readonly ok: number;
  readonly failed: number;
  /** Different rooms that players are in. */
  readonly rooms: number;
  readonly failures: Readonly<Record<string, number>>;
}

export interface RampOptions {
  readonly players: number;
  readonly perSecond: number;
  /** Players that share a room: the first creates it, the others join it by id. 0 leaves it to the server. */
  readonly perRoom?: number;
  readonly onProgress?: (joined: number, failed: number) => void;
}

type Report = Extract<WorkerAnswer, { kind: 'report' }>;
type Joined = Extract<WorkerAnswer, { kind: 'joined' }>;

/** Answer to those whose room could not be created: another room is not what was asked for. */
const NO_ROOM: Joined = { kind: 'joined', id: -1, roomId: '', error: 'its room was not created' };
/** Joins of one worker that may be under way at once: more only queue in the server. */
const JOINS_UNDER_WAY = 16;

export class Swarm {
  readonly #workers: ChildProcess[];
  readonly #awaitedJoins = new Map<number, (answer: Joined) => void>();
  readonly #awaitedReports = new Map<ChildProcess, (answer: Report) => void>();
  readonly #failures: Record<string, number> = {};
  readonly #rooms = new Set<string>();
  readonly #faulted: Promise<never>;
  #fault!: (error: Error) => void;
  #isStopping = false;
  #asked = 0;
  #joined = 0;
  #failed = 0;
  #rateHz = 0;

  private constructor(workers: ChildProcess[]) {
    this.#workers = workers;
    this.#faulted = new Promise((_, reject) => {
      this.#fault = reject;
    });
    // Reported by whoever waits; without a waiter it must not end the process.
    this.#faulted.catch(() => {});
  }

  /** Starts the worker processes. @throws Error when one does not come up */
  static async start(options: SwarmOptions): Promise<Swarm> {
    const script = fileURLToPath(new URL('./swarm-worker.ts', import.meta.url));
    const pin =
      options.cpu === undefined
        ? {}
        : { execPath: 'taskset', execArgv: ['--cpu-list', String(options.cpu), process.execPath] };
    const children = Array.from({ length: options.workers }, () =>
      fork(script, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], ...pin }),
    );
    const swarm = new Swarm(children);
    const { workers: _, cpu: __, ...setup } = options;
    const ready = children.map((child) => swarm.#listen(child));
    for (const child of children) child.send({ kind: 'setup', setup } satisfies WorkerCommand);
    await Promise.race([Promise.all(ready), swarm.#faulted]);
    return swarm;
  }

  /** Inputs per second and player, as of the last window. */
  get rateHz(): number {
    return this.#rateHz;
  }

  /** Joins `players` more. Failed joins are counted, not thrown. */
  async ramp(options: RampOptions): Promise<JoinReport> {
    const { players, perSecond, perRoom = 0, onProgress } = options;
    const underWay = new Set<Promise<void>>();
    const roomIds = new Map<number, Promise<string>>();
    const startMs = performance.now();
    for (let i = 0; i < players; i++) {
      const dueMs = startMs + (i * 1000) / perSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 1) await Promise.race([new Promise((resolve) => setTimeout(resolve, waitMs)), this.#faulted]);
      while (underWay.size >= JOINS_UNDER_WAY * this.#workers.length) {
        await Promise.race([...underWay, this.#faulted]);
      }
      const room = perRoom > 0 ? Math.floor(i / perRoom) : -1;
      const isFirst = room >= 0 && !roomIds.has(room);
      const joining = (async () => {
        const roomId = room < 0 ? undefined : isFirst ? 'create' : await roomIds.get(room);
        const answer = roomId === '' ? NO_ROOM : await this.#join(roomId);
        if (answer.error === undefined) {
          this.#joined++;
          this.#rooms.add(answer.roomId);
        } else {
          this.#failed++;
          this.#failures[answer.error] = (this.#failures[answer.error] ?? 0) + 1;
        }
        onProgress?.(this.#joined, this.#failed);
        return answer.roomId;
      })();
      if (isFirst) roomIds.set(room, joining);
      const counted = joining.then(() => {
        underWay.delete(counted);
      });
      underWay.add(counted);
    }
    await Promise.race([Promise.all(underWay), this.#faulted]);
    return { ok: this.#joined, failed: this.#failed, rooms: this.#rooms.size, failures: { ...this.#failures } };
  }

  /** Changes the rate of every player. */
  setInputsPerSecond(inputsPerSecond: number): void {
    for (const worker of this.#workers) worker.send({ kind: 'rate', inputsPerSecond } satisfies WorkerCommand);
  }

  /** Counts for that long. */
  async measure(seconds: number, onProgress?: (secondsLeft: number) => void): Promise<WindowReport> {
    const before = await this.#reports();
    const cpuBefore = this.#cpuMs();
    const endMs = performance.now() + seconds * 1000;
    for (let leftMs = seconds * 1000; leftMs > 0; leftMs = endMs - performance.now()) {
      onProgress?.(Math.ceil(leftMs / 1000));
      await Promise.race([new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 1000))), this.#faulted]);
    }
    const cpuAfter = this.#cpuMs();
    const after = await this.#reports();
    const elapsed = after.map((report, i) => (report.atMs - before[i]!.atMs) / 1000);
    const rate = (pick: (report: Report['report']) => number): number =>
      after.reduce((sum, { report }, i) => sum + (pick(report) - pick(before[i]!.report)) / elapsed[i]!, 0);
    const total = (pick: (report: Report['report']) => number): number =>
      after.reduce((sum, { report }, i) => sum + pick(report) - pick(before[i]!.report), 0);
    const ack = new LatencyHistogram();
    after.forEach(({ report }, i) => {
      ack.add(countsBetween(before[i]!.report.ackCounts, report.ackCounts));
    });
    this.#rateHz = Math.max(0, ...after.map(({ rateHz }) => rateHz));
    const meanSeconds = elapsed.reduce((sum, s) => sum + s, 0) / elapsed.length;
    return {
      seconds: meanSeconds,
      players: after.reduce((sum, { report }) => sum + report.joined - report.dropped + report.resumed, 0),
      dropped: after.reduce((sum, { report }) => sum + report.dropped, 0),
      resumed: after.reduce((sum, { report }) => sum + report.resumed, 0),
      lost: sumByReason(after.map(({ report }) => report.lost)),
      framesPerSecond: rate((r) => r.frames),
      patchesPerSecond: rate((r) => r.patches),
      bytesPerSecond: rate((r) => r.bytes),
      inputsPerSecond: rate((r) => r.inputsSent),
      acksPerSecond: rate((r) => r.inputsAcked),
      inputsSkipped: total((r) => r.inputsSkipped),
      ackP50Ms: ack.percentileMs(0.5),
      ackP95Ms: ack.percentileMs(0.95),
      ackP99Ms: ack.percentileMs(0.99),
      driverCpuShare: (cpuAfter - cpuBefore) / 1000 / meanSeconds,
    };
  }

  /** Everybody leaves and the processes end. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(
      this.#workers.map(async (worker) => {
        if (worker.exitCode !== null || worker.signalCode !== null) return;
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        if (worker.connected) worker.send({ kind: 'stop' } satisfies WorkerCommand);
        const timer = setTimeout(() => worker.kill('SIGKILL'), 5000);
        await ended;
        clearTimeout(timer);
      }),
    );
  }

  #listen(child: ChildProcess): Promise<void> {
    child.once('error', (error) => this.#fault(error));
    child.once('exit', (code, signal) => {
      if (!this.#isStopping) this.#fault(new Error(`a load worker ended with ${signal ?? `code ${code}`}`));
    });
    return new Promise((resolve) => {
      child.on('message', (answer: WorkerAnswer) => {
        if (answer.kind === 'ready') resolve();
        else if (answer.kind === 'joined') {
          this.#awaitedJoins.get(answer.id)?.(answer);
          this.#awaitedJoins.delete(answer.id);
        } else {
          this.#awaitedReports.get(child)?.(answer);
          this.#awaitedReports.delete(child);
        }
      });
    });
  }

  #join(roomId: string | undefined): Promise<Joined> {
    const id = this.#asked++;
    const worker = this.#workers[id % this.#workers.length]!;
    const answered = new Promise<Joined>((resolve) => this.#awaitedJoins.set(id, resolve));
    worker.send({ kind: 'join', id, ...(roomId === undefined ? {} : { roomId }) } satisfies WorkerCommand);
    return Promise.race([answered, this.#faulted]);
  }

  #reports(): Promise<Report[]> {
    const reports = this.#workers.map((worker) => {
      const answered = new Promise<Report>((resolve) => this.#awaitedReports.set(worker, resolve));
      worker.send({ kind: 'report' } satisfies WorkerCommand);
      return answered;
    });
    return Promise.race([Promise.all(reports), this.#faulted]);
  }

  #cpuMs(): number {
    try {
      return this.#workers.reduce((sum, { pid }) => sum + processCpuMs(pid!), 0);
    } catch {
      // Not Linux: the share is a courtesy, the load test works without it.
      return Number.NaN;
    }
  }
}

function sumByReason(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const each of counts) {
    for (const [reason, count] of Object.entries(each)) sums[reason] = (sums[reason] ?? 0) + count;
  }
  return sums;
}

/** What was added to a histogram between two of its `toCounts`. */
export function countsBetween(before: readonly number[], after: readonly number[]): number[] {
  const earlier = new Map<number, number>();
  for (let i = 0; i < before.length; i += 2) earlier.set(before[i]!, before[i + 1]!);
  const added: number[] = [];
  for (let i = 0; i < after.length; i += 2) {
    const count = after[i + 1]! - (earlier.get(after[i]!) ?? 0);
    if (count > 0) added.push(after[i]!, count);
  }
  return added;
}
