/**
 * What passing WebSockets on to another process costs: the same players against the same owner directly, through a gate
 * that is mounted in a server, and through one that stands alone. The owner is nothing but `ws`, so that the ratio is not
 * made small by a game. Owner, gate and players are processes of their own; owner and gate share a CPU where there are two.
 */
import { freePort, ServerProcess, separateCpus } from '../driver/server-process.ts';
import { Swarm, type WindowReport } from '../driver/swarm.ts';
import { alternate, atMost, defineBench, median, type ResultRow } from './bench.ts';

const PEERS = new URL('../peers/', import.meta.url);
const VARIANTS = ['direct', 'mounted', 'alone'] as const;
type Variant = (typeof VARIANTS)[number];

interface Measured extends WindowReport {
  /** Shares of a core. */
  readonly ownerCpu: number;
  readonly gateCpu: number;
}

export default defineBench({
  name: 'gate',
  summary: 'CPU and delay of WebSockets through a gate, mounted and alone, against none',
  options: {
    players: { type: 'number', default: 100, min: 1, max: 2000, quick: 10, help: 'players' },
    rate: { type: 'number', default: 30, min: 1, max: 120, help: 'frames a second and player, each way' },
    bytes: { type: 'number', default: 121, min: 9, max: 4000, help: 'frame to a player; 121 is that of the arena' },
    rounds: { type: 'number', default: 3, min: 1, max: 50, quick: 1, help: 'rounds, in turning order' },
    seconds: { type: 'number', default: 6, min: 1, max: 600, quick: 1, help: 'window of every round' },
  },
  async run({ options, progress }) {
    const cpus = separateCpus();
    const measured = await alternate(VARIANTS, options.rounds, async (variant, round) => {
      progress(`${variant}, round ${round + 1} of ${options.rounds}`);
      return measure(variant, options, cpus);
    });
    const results: ResultRow[] = VARIANTS.map((variant) => {
      const of = (pick: (one: Measured) => number): number => median(measured[variant].map(pick));
      return {
        way: variant,
        framesPerSecond: of((one) => one.framesPerSecond),
        inputsPerSecond: of((one) => one.inputsPerSecond),
        ownerCpuPercent: 100 * of((one) => one.ownerCpu),
        gateCpuPercent: 100 * of((one) => one.gateCpu),
        ratio: median(
          measured[variant].map((one, round) => (one.ownerCpu + one.gateCpu) / measured.direct[round]!.ownerCpu),
        ),
        ackP50Ms: of((one) => one.ackP50Ms),
        ackP99Ms: of((one) => one.ackP99Ms),
        dropped: of((one) => one.dropped),
        pinned: cpus !== undefined,
      };
    });
    const goals = results
      .slice(1)
      .map(({ way, gateCpuPercent }) =>
        atMost(`CPU of 100 players through the gate ${way}`, (Number(gateCpuPercent) / options.players) * 100, 15, '%'),
      );
    return { results, goals };
  },
});

async function measure(
  variant: Variant,
  { players, rate, bytes, seconds }: { players: number; rate: number; bytes: number; seconds: number },
  cpus: ReturnType<typeof separateCpus>,
): Promise<Measured> {
  const pin = cpus === undefined ? {} : { cpu: cpus.server };
  const ends: (() => Promise<void>)[] = [];
  try {
    const port = await freePort();
    const owner = await ServerProcess.start({
      script: new URL('raw-ws.ts', PEERS),
      argv: ['--port', port, '--rate', rate, '--bytes', bytes].map(String),
      port,
      ...pin,
    });
    ends.push(() => owner.stop());
    let gate: ServerProcess | undefined;
    if (variant !== 'direct') {
      const gatePort = await freePort();
      gate = await ServerProcess.start({
        script: new URL('gate-process.ts', PEERS),
        argv: ['--port', String(gatePort), '--owner', String(port), ...(variant === 'mounted' ? ['--mounted'] : [])],
        port: gatePort,
        ...pin,
      });
      const running = gate;
      ends.push(() => running.stop());
    }
    const swarm = await Swarm.start({
      destination: { endpoint: (gate ?? owner).endpoint, roomName: 'plain', dialect: 'raw', path: '/owner/room' },
      mode: 'light',
      behaviour: 'wander',
      inputsPerSecond: rate,
      seed: 1,
      namePrefix: 'bench-',
      workers: 1,
      ...(cpus === undefined ? {} : { cpu: cpus.load }),
    });
    ends.push(() => swarm.stop());
    const joins = await swarm.ramp({ players, perSecond: 200 });
    if (joins.failed > 0) throw new Error(`${variant}: joins failed: ${JSON.stringify(joins.failures)}`);
    // Nothing of the joins is left in the window.
    await swarm.measure(0.5);
    const before = [owner.cpuMs(), gate?.cpuMs() ?? 0] as const;
    const startMs = performance.now();
    const window = await swarm.measure(seconds);
    const elapsedMs = performance.now() - startMs;
    return {
      ...window,
      ownerCpu: (owner.cpuMs() - before[0]) / elapsedMs,
      gateCpu: ((gate?.cpuMs() ?? 0) - before[1]) / elapsedMs,
    };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
