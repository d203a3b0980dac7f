/**
 * A deploy under players: every process of a loaded cluster is replaced, one after another, by starting a new one and
 * telling the old one to go (SIGTERM): those that run matches hand them over, and of the gate the players come back
 * through its successor. What players see of it is a pause.
 */
import type { Member } from '../../test/fixtures/cluster.ts';
import { atMost, defineBench, percentile } from './bench.ts';
import { ClusterStage, type Departure } from './recovery/cluster-stage.ts';

const SETTLE_MS = 700;
/** Pause that the drain itself may cost a room, ms; a client's own first try to reconnect comes after 200. */
const GOAL_MS = 300;

export default defineBench({
  name: 'rolling-deploy',
  summary: 'every process of a loaded cluster replaced one after another: matches and players dropped, pauses',
  options: {
    rounds: { type: 'number', default: 1, min: 1, max: 1000, help: 'deploys, one after another' },
    rooms: { type: 'number', default: 9, quick: 3, min: 1, max: 1000, help: 'rooms in all' },
    bots: { type: 'number', default: 5, quick: 3, min: 1, max: 128, help: 'players a room' },
    processes: { type: 'number', default: 3, quick: 2, min: 2, max: 32, help: 'processes that run matches' },
    seed: { type: 'number', default: 1, min: 0, max: 2 ** 31, help: 'decides what players do' },
  },
  async run({ options, progress }) {
    const stage = await ClusterStage.open({
      processes: options.processes,
      rooms: options.rooms,
      playersPerRoom: options.bots,
      seed: options.seed,
      progress,
    });
    const departures: Record<'processes' | 'gates', Departed[]> = { processes: [], gates: [] };
    try {
      for (let round = 0; round < options.rounds; round++) {
        const old = [...stage.runners];
        for (const [at, member] of old.entries()) {
          progress(`deploy ${round + 1} of ${options.rounds}: process ${at + 1} of ${old.length}`);
          await stage.replace();
          departures.processes.push(await goes(stage, member));
        }
        progress(`deploy ${round + 1} of ${options.rounds}: the gate`);
        departures.gates.push(await goes(stage, await stage.replaceGate()));
      }
      progress('comparing what was seen with the journals');
      await stage.probes.play(false);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const facts = await stage.probes.facts();
      const verdicts = await stage.judge();
      const sum = <T>(list: readonly T[], of: (item: T) => number): number => list.reduce((n, item) => n + of(item), 0);
      const dropped = facts.filter(({ isOpen }) => !isOpen).length;
      const processes = rowOf('processes', departures.processes);
      const exits = [...departures.processes, ...departures.gates].filter(({ exit }) => exit !== 0);
      const seen = sum(verdicts, ({ mismatches, othersMismatched }) => mismatches + othersMismatched);
      return {
        results: [processes, rowOf('gates', departures.gates)],
        goals: [
          atMost('matches dropped', processes.rooms - processes.roomsBack, 0, 'matches'),
          atMost('players dropped', dropped, 0, 'players'),
          atMost('without patches as its match moves, longest', processes.pauseMaxMs, GOAL_MS, 'ms'),
          atMost(
            'ticks taken back',
            sum(verdicts, ({ ticksTakenBack }) => ticksTakenBack),
            0,
            'ticks',
          ),
          atMost('views that differ from the journal', seen, 0, 'frames'),
          atMost(
            'objects that were others after a move',
            sum(facts, (f) => f.identityLosses),
            0,
            'objects',
          ),
          atMost(
            'callbacks for nothing',
            sum(facts, (f) => f.spuriousCallbacks),
            0,
            'callbacks',
          ),
          atMost(
            'inputs never answered',
            sum(facts, (f) => f.inputsUnacked),
            0,
            'inputs',
          ),
          atMost('exits with another code than 0', exits.length, 0, 'processes'),
        ],
      };
    } finally {
      await stage.close();
    }
  },
});

interface Departed extends Departure {
  readonly exit: number | string;
  /** From the signal to the exit, ms. */
  readonly tookMs: number;
}

/** Tells a process to go whose successor is there. */
async function goes(stage: ClusterStage, member: Member): Promise<Departed> {
  await stage.cluster.isWhole();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const startMs = performance.now();
  const exited = member.process.exited.then((exit) => ({ exit, tookMs: performance.now() - startMs }));
  const departure = await stage.depart(member, () => member.kill('SIGTERM'));
  return { ...departure, ...(await exited) };
}

function rowOf(replaced: string, departed: readonly Departed[]) {
  const sum = (of: (departure: Departed) => number): number => departed.reduce((count, one) => count + of(one), 0);
  const pauses = departed.flatMap(({ pausesMs }) => pausesMs);
  const pauseMs = (share: number): number => (pauses.length === 0 ? Number.NaN : Math.round(percentile(pauses, share)));
  const tookMs = departed.map((one) => one.tookMs);
  return {
    replaced,
    count: departed.length,
    rooms: sum(({ rooms }) => rooms),
    roomsBack: sum(({ roomsBack }) => roomsBack),
    players: sum(({ players }) => players),
    playersBack: sum(({ playersBack }) => playersBack),
    pauseP50Ms: pauseMs(0.5),
    pauseP99Ms: pauseMs(0.99),
    pauseMaxMs: pauseMs(1),
    tookP50Ms: Math.round(percentile(tookMs, 0.5)),
    tookMaxMs: Math.round(percentile(tookMs, 1)),
  };
}
