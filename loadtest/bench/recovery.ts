/**
 * What players notice when a process that runs their match is killed: rooms on several processes, players over the
 * unmodified SDK through a gate, and one process after another killed at a random moment and replaced. Everything that
 * every player saw is held against the journal in the end.
 *
 * `killed` is SIGKILL, after which the kernel closes the sockets, so that the death can be seen. `frozen` is SIGSTOP, with
 * the sockets open: only the lease tells, as when a machine is lost. It is woken once its rooms are elsewhere, and must
 * not say a word to anybody; then it is killed.
 */
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import type { Member } from '../../test/fixtures/cluster.ts';
import { atLeast, atMost, defineBench, percentile, type ResultRow } from './bench.ts';
import { ClusterStage, type Departure } from './recovery/cluster-stage.ts';

const HOWS = ['killed', 'frozen'] as const;
type How = (typeof HOWS)[number];

/** Ticks that one departure may take back of what a player saw, by durability; without a journal there is no match left. */
const TAKEN_BACK_MAX: Readonly<Record<string, number>> = { wal: 0, batch: 2 };

/** A kill at least so long after the last one, and up to twice that, ms. */
const APART_MS = 700;
/** Kills after which memory is looked at first: by then every part of the program has run. */
const WARM_KILLS = 5;
const MIB = 2 ** 20;

export default defineBench({
  name: 'recovery',
  summary: 'processes killed at random under players: rooms and players back, pauses, ticks taken back, memory',
  options: {
    kills: { type: 'number', default: 50, quick: 3, min: 1, max: 10_000, help: 'processes killed' },
    frozen: {
      type: 'number',
      default: 5,
      quick: 1,
      min: 0,
      max: 1000,
      help: 'processes stopped instead, after the kills',
    },
    rooms: { type: 'number', default: 9, quick: 3, min: 1, max: 1000, help: 'rooms in all' },
    bots: { type: 'number', default: 5, quick: 3, min: 1, max: 128, help: 'players a room' },
    processes: { type: 'number', default: 3, min: 2, max: 32, help: 'processes that run matches' },
    durability: { type: 'string', default: 'wal', choices: Object.keys(TAKEN_BACK_MAX), help: 'of all matches' },
    seed: { type: 'number', default: 1, min: 0, max: 2 ** 31, help: 'decides who is killed when, and what players do' },
  },
  async run({ options, progress }) {
    const dice = new Int32Array(4);
    seedSfc32(dice, 0, options.seed);
    const draw = (below: number): number => nextBelow(dice, 0, below);
    const stage = await ClusterStage.open({
      processes: options.processes,
      rooms: options.rooms,
      playersPerRoom: options.bots,
      seed: options.seed,
      env: { HYPOGEUM_DURABILITY: options.durability },
      progress,
    });
    const departures: Record<How, Departure[]> = { killed: [], frozen: [] };
    const memory: { processes: number; gate: number; redis: number }[] = [];
    try {
      const total = options.kills + options.frozen;
      for (let count = 0; count < total; count++) {
        const how: How = count < options.kills ? 'killed' : 'frozen';
        await new Promise((resolve) => setTimeout(resolve, APART_MS + draw(APART_MS)));
        const victim = await pick(stage, draw);
        const departure = await stage.depart(victim, () => victim.kill(how === 'killed' ? 'SIGKILL' : 'SIGSTOP'));
        departures[how].push(departure);
        progress(
          `${count + 1} of ${total} ${how}: ${departure.roomsBack} of ${departure.rooms} rooms, ` +
            `${departure.playersBack} of ${departure.players} players back`,
        );
        if (how === 'frozen') await wake(victim);
        await stage.replace();
        await stage.cluster.isWhole();
        if (count + 1 === Math.min(WARM_KILLS, options.kills) || count + 1 === options.kills) {
          memory.push(await stage.memory());
        }
      }
      progress('comparing what was seen with the journals');
      await stage.probes.play(false);
      await new Promise((resolve) => setTimeout(resolve, APART_MS));
      const facts = await stage.probes.facts();
      const verdicts = await stage.judge();
      const takenBackMax = TAKEN_BACK_MAX[options.durability]!;
      for (const { matchId, seat, oddities, ...verdict } of verdicts) {
        const isOdd = verdict.mismatches > 0 || verdict.mostTakenBack > takenBackMax;
        if (isOdd) progress(`seat ${seat} of match ${matchId}: ${oddities.join('; ')}`);
      }
      const sum = <T>(list: readonly T[], of: (item: T) => number): number => list.reduce((n, item) => n + of(item), 0);
      const rows = HOWS.filter((how) => departures[how].length > 0).map((how) => rowOf(how, departures[how]));
      const [warm, last] = [memory[0]!, memory.at(-1)!];
      const seen: ResultRow = {
        departure: 'all',
        count: total,
        frames: sum(verdicts, ({ frames }) => frames),
        viewMismatches: sum(verdicts, ({ mismatches, othersMismatched }) => mismatches + othersMismatched),
        ticksTakenBack: sum(verdicts, ({ ticksTakenBack }) => ticksTakenBack),
        mostTakenBack: Math.max(...verdicts.map(({ mostTakenBack }) => mostTakenBack)),
        identityLosses: sum(facts, ({ identityLosses }) => identityLosses),
        spuriousCallbacks: sum(facts, ({ spuriousCallbacks }) => spuriousCallbacks),
        inputsUnacked: sum(facts, ({ inputsUnacked }) => inputsUnacked),
        diverged: verdicts.filter(({ divergedAtTick }) => divergedAtTick !== undefined).length,
      };
      const held: ResultRow = {
        departure: 'memory',
        count: options.kills,
        processesWarmMiB: round(warm.processes / MIB),
        processesLastMiB: round(last.processes / MIB),
        gateWarmMiB: round(warm.gate / MIB),
        gateLastMiB: round(last.gate / MIB),
        redisWarmMiB: round(warm.redis / MIB),
        redisLastMiB: round(last.redis / MIB),
      };
      const killed = departures.killed;
      const all = [...killed, ...departures.frozen];
      return {
        results: [...rows, seen, held],
        goals: [
          atLeast('rooms restored', (100 * sum(all, (d) => d.roomsBack)) / sum(all, (d) => d.rooms), 100, '%'),
          atLeast('players resumed', (100 * sum(all, (d) => d.playersBack)) / sum(all, (d) => d.players), 100, '%'),
          atMost('without patches after a kill, 99 %', pauseOf(killed, 0.99), 1000, 'ms'),
          atMost('ticks taken back at one time', seen['mostTakenBack'] as number, takenBackMax, 'ticks'),
          atMost('views that differ from the journal', seen['viewMismatches'] as number, 0, 'frames'),
          atLeast('matches judged', verdicts.length, facts.length, 'players'),
          atMost('objects that were others after a resume', seen['identityLosses'] as number, 0, 'objects'),
          atMost('callbacks for nothing', seen['spuriousCallbacks'] as number, 0, 'callbacks'),
          atMost('inputs never answered', seen['inputsUnacked'] as number, 0, 'inputs'),
          atMost('memory after the last kill, of that after the first five', last.processes / warm.processes, 1.1, 'x'),
        ],
      };
    } finally {
      await stage.close();
    }
  },
});

/** One that runs something, so that every kill is felt. */
async function pick(stage: ClusterStage, draw: (below: number) => number): Promise<Member> {
  const candidates: Member[] = [];
  for (const member of stage.runners) if ((await stage.roomsOf(member)).length > 0) candidates.push(member);
  if (candidates.length === 0) throw new Error('no process runs a room');
  return candidates[draw(candidates.length)]!;
}

/** Lets a frozen process find out that it is not the owner any more, and ends it. */
async function wake(member: Member): Promise<void> {
  member.kill('SIGCONT');
  await new Promise((resolve) => setTimeout(resolve, APART_MS));
  member.kill('SIGKILL');
  await member.process.exited;
}

function rowOf(how: How, departures: readonly Departure[]): ResultRow {
  const sum = (of: (departure: Departure) => number): number => departures.reduce((n, d) => n + of(d), 0);
  return {
    departure: how,
    count: departures.length,
    rooms: sum((d) => d.rooms),
    roomsBack: sum((d) => d.roomsBack),
    players: sum((d) => d.players),
    playersBack: sum((d) => d.playersBack),
    pauseP50Ms: pauseOf(departures, 0.5),
    pauseP99Ms: pauseOf(departures, 0.99),
    pauseMaxMs: pauseOf(departures, 1),
  };
}

function pauseOf(departures: readonly Departure[], share: number): number {
  const pauses = departures.flatMap(({ pausesMs }) => pausesMs);
  return pauses.length === 0 ? Number.NaN : Math.round(percentile(pauses, share));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
