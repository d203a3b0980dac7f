/**
 * A cluster with players on it, for benches of what happens when its processes go: a gate behind a plain load balancer,
 * so many processes that run matches, a private Redis and database, and probes in a process of their own.
 */
import { readFileSync } from 'node:fs';
import { RedisJournal } from '../../../src/adapters/redis-journal.ts';
import { JournalTotals } from '../../../src/match/journal-totals.ts';
import { type Member, TestCluster } from '../../../test/fixtures/cluster.ts';
import { TcpProxy } from '../../../test/fixtures/tcp-proxy.ts';
import { until } from '../../../test/fixtures/until.ts';
import type { ProbePulse } from '../../driver/probe-player.ts';
import type { ProbeVerdict } from '../../driver/probe-worker.ts';
import { Probes } from '../../driver/probes.ts';
import type { JournaledMatch } from '../../driver/witness.ts';

export interface ClusterStageOptions {
  readonly processes: number;
  readonly rooms: number;
  readonly playersPerRoom: number;
  readonly seed: number;
  /** `HYPOGEUM_*` for all processes. */
  readonly env?: Readonly<Record<string, string>>;
  readonly progress: (text: string) => void;
}

/** Longest that a player may take to be back; what takes longer is lost. */
const BACK_MS = 30_000;
/** A player that the SDK would not let come back by itself yet: it wants a room to have been up for so long. */
const MIN_UPTIME_MS = 5_500;
const REALTIME = { HYPOGEUM_ROLES: 'realtime,worker' };
const GATE = { HYPOGEUM_ROLES: 'gate' };

/** What one process leaving did to the players whose rooms it ran, or, of a gate, who came through it. */
export interface Departure {
  readonly rooms: number;
  /** Those that another process runs now. */
  readonly roomsBack: number;
  readonly players: number;
  readonly playersBack: number;
  /** Of each player that is back, without a patch, ms. */
  readonly pausesMs: readonly number[];
}

export class ClusterStage {
  readonly cluster: TestCluster;
  readonly probes: Probes;
  readonly #options: ClusterStageOptions;
  readonly #journal: RedisJournal;
  /** The load balancer: new connections go to the gate that it names. */
  readonly #front: TcpProxy;
  #gate: Member;

  private constructor(
    options: ClusterStageOptions,
    cluster: TestCluster,
    gate: Member,
    front: TcpProxy,
    probes: Probes,
    journal: RedisJournal,
  ) {
    this.#options = options;
    this.cluster = cluster;
    this.#gate = gate;
    this.#front = front;
    this.probes = probes;
    this.#journal = journal;
  }

  /** Starts everything and fills it. */
  static async open(options: ClusterStageOptions): Promise<ClusterStage> {
    const { processes, playersPerRoom, progress, env } = options;
    progress(`starting a gate and ${processes} processes`);
    const cluster = await TestCluster.start(0, {
      env: {
        HYPOGEUM_LOG_LEVEL: 'info',
        HYPOGEUM_MATCH_MINUTES: '60',
        HYPOGEUM_MAX_PLAYERS: String(playersPerRoom),
        // The players say in X-Forwarded-For that they live apart, as behind a proxy: limits per address stay on.
        HYPOGEUM_PROXY_HOPS: '1',
        ...env,
      },
    });
    let probes: Probes | undefined;
    let journal: RedisJournal | undefined;
    let front: TcpProxy | undefined;
    try {
      const gate = await cluster.add(GATE);
      front = await TcpProxy.start(portOf(gate));
      for (let i = 0; i < processes; i++) await cluster.add(REALTIME);
      await cluster.isWhole();
      const { seed } = options;
      const endpoint = `http://127.0.0.1:${front.port}`;
      probes = await Probes.start({ endpoint, roomName: 'arena', seed, areAddressesApart: true });
      journal = await RedisJournal.open({ url: cluster.redis.url, totals: new JournalTotals() });
      const stage = new ClusterStage(options, cluster, gate, front, probes, journal);
      await stage.#fill();
      return stage;
    } catch (error) {
      await probes?.stop();
      await journal?.close();
      await front?.close();
      await cluster.stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.probes.stop();
    await this.#journal.close();
    await this.#front.close();
    await this.cluster.stop();
  }

  /** One more process, ready. */
  replace(): Promise<Member> {
    return this.cluster.add(REALTIME);
  }

  /** Processes that run matches. */
  get runners(): Member[] {
    return this.cluster.living.filter(({ isGate }) => !isGate);
  }

  /** Ids of the rooms that a process runs, as the framework lists them. */
  async roomsOf({ processId }: Member): Promise<string[]> {
    return [...(await this.cluster.listed())]
      .filter(([, row]) => row.processId === processId)
      .map(([roomId]) => roomId);
  }

  /**
   * Starts another gate, through which comes who connects from now on.
   * @returns the former one, through which all players still are
   */
  async replaceGate(): Promise<Member> {
    const former = this.#gate;
    this.#gate = await this.cluster.add(GATE);
    this.#front.target = portOf(this.#gate);
    return former;
  }

  /** Lets a process go by `leave`, and waits until its players are back. */
  async depart(member: Member, leave: () => void): Promise<Departure> {
    const rooms = new Set(await this.roomsOf(member));
    const isTheirs = ({ roomId }: ProbePulse): boolean => member.isGate || rooms.has(roomId);
    const before = await this.probes.pulse();
    const leftAtMs = performance.timeOrigin + performance.now();
    leave();
    const isBack = (pulse: ProbePulse, at: number): boolean =>
      pulse.isOpen && pulse.resumes > before[at]!.resumes && pulse.lastPatchAtMs > leftAtMs;
    const after = await until(
      async () => {
        const now = await this.probes.pulse();
        return now.every((pulse, at) => !isTheirs(pulse) || !pulse.isOpen || isBack(pulse, at)) && now;
      },
      'everybody to be back',
      BACK_MS,
    ).catch(() => this.probes.pulse());
    const listed = await this.cluster.listed();
    const facts = await this.probes.facts();
    const back = facts.filter((fact, at) => isTheirs(fact) && isBack(after[at]!, at));
    return {
      rooms: rooms.size,
      roomsBack: [...rooms].filter((roomId) => (listed.get(roomId)?.processId ?? member.processId) !== member.processId)
        .length,
      players: before.filter(isTheirs).length,
      playersBack: back.length,
      pausesMs: back.map(({ pauses }) =>
        Math.max(0, ...pauses.filter((p) => p.endedAtMs > leftAtMs).map(({ ms }) => ms)),
      ),
    };
  }

  /** All that the players saw so far, against the journals of their matches. */
  async judge(): Promise<ProbeVerdict[]> {
    const facts = await this.probes.facts();
    const matchIds = new Set(facts.map(({ matchId }) => matchId));
    return this.probes.judge(async () => {
      const matches: JournaledMatch[] = [];
      for (const matchId of matchIds) {
        const match = await this.#journal.load(matchId);
        if (match !== undefined) matches.push(match);
      }
      return matches;
    });
  }

  /** Resident memory of gate and processes, and what Redis holds, bytes. */
  async memory(): Promise<{ processes: number; gate: number; redis: number }> {
    const info = await this.cluster.redis.command((client) => client.info('memory'));
    return {
      processes: this.runners.reduce((sum, { process }) => sum + residentBytes(process.child.pid!), 0),
      gate: residentBytes(this.#gate.process.child.pid!),
      redis: Number(/^used_memory:(\d+)/m.exec(info)?.[1]),
    };
  }

  /** Room after room, so that each is full before the next is made. */
  async #fill(): Promise<void> {
    const { rooms, playersPerRoom, progress } = this.#options;
    for (let room = 0; room < rooms; room++) {
      progress(`filling room ${room + 1} of ${rooms}`);
      const { roomId } = await this.probes.join();
      await Promise.all(Array.from({ length: playersPerRoom - 1 }, () => this.probes.join(roomId)));
    }
    const joinedAtMs = performance.now();
    await until(async () => {
      const pulse = await this.probes.pulse();
      return pulse.every(({ patches }) => patches > 30) && performance.now() - joinedAtMs > MIN_UPTIME_MS;
    }, 'everybody to play');
  }
}

function portOf({ url }: Member): number {
  return Number(new URL(url).port);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024;
}
