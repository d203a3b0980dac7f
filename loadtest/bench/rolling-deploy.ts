/**
 * A deploy under players: every process of a loaded cluster is replaced, one after another, by starting a new one and
 * telling the old one to go (SIGTERM), so that it hands its rooms over. What players see of it is a pause.
 */
import { atMost, defineBench, percentile, type ResultRow } from './bench.ts';
import { ClusterStage, type Departure } from './recovery/cluster-stage.ts';

const SETTLE_MS = 700;
/** Pause that the drain itself may cost a room, ms; a client's own first try to reconnect comes after 200. */
const GOAL_MS = 300;

export default defineBench({
  name: 'rolling-deploy',
  summary: 'every process of a loaded cluster replaced one after another: matches and players dropped, pauses',
  options: {
    rounds: { type: 'number', default: 2, quick: 1, min: 1, max: 1000, help: 'deploys, one after another' },
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
    const departures: Departure[] = [];
    const drainsMs: number[] = [];
    let ill = 0;
    try {
      for (let round = 0; round < options.rounds; round++) {
        const old = [...stage.runners];
        for (const [at, member] of old.entries()) {
          progress(`deploy ${round + 1} of ${options.rounds}: process ${at + 1} of ${old.length}`);
          await stage.replace();
          await stage.cluster.isWhole();
          await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
          const startMs = performance.now();
          departures.push(await stage.depart(member, () => member.kill('SIGTERM')));
          if ((await member.process.exited) !== 0) ill++;
          drainsMs.push(performance.now() - startMs);
        }
      }
      progress('comparing what was seen with the journals');
      await stage.probes.play(false);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const facts = await stage.probes.facts();
      const verdicts = await stage.judge();
      const sum = <T>(list: readonly T[], of: (item: T) => number): number => list.reduce((n, item) => n + of(item), 0);
      const pauses = departures.flatMap(({ pausesMs }) => pausesMs);
      const pauseMs = (share: number): number =>
        pauses.length === 0 ? Number.NaN : Math.round(percentile(pauses, share));
      const row: ResultRow = {
        processesReplaced: departures.length,
        rooms: options.rooms,
        roomsMoved: sum(departures, (d) => d.roomsBack),
        roomsDropped: sum(departures, (d) => d.rooms - d.roomsBack),
        players: facts.length,
        playersDropped: facts.filter(({ isOpen }) => !isOpen).length,
        pauseP50Ms: pauseMs(0.5),
        pauseP99Ms: pauseMs(0.99),
        pauseMaxMs: pauseMs(1),
        drainP50Ms: Math.round(percentile(drainsMs, 0.5)),
        drainMaxMs: Math.round(percentile(drainsMs, 1)),
        exitsNotZero: ill,
      };
      const seen = sum(verdicts, ({ mismatches, othersMismatched }) => mismatches + othersMismatched);
      return {
        results: [row],
        goals: [
          atMost('matches dropped', row['roomsDropped'] as number, 0, 'matches'),
          atMost('players dropped', row['playersDropped'] as number, 0, 'players'),
          atMost('without patches, longest', row['pauseMaxMs'] as number, GOAL_MS, 'ms'),
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
          atMost('exits with another code than 0', ill, 0, 'processes'),
        ],
      };
    } finally {
      await stage.close();
    }
  },
});
