/**
 * Bytes one player receives per second, payload and WebSocket header, in rooms of several sizes: the arena, a usual
 * Colyseus room of the same game, and the same room sending its whole state as JSON. Everybody moves and shoots, spread
 * over the map; the arena is measured once more with everybody moving about in the middle of it, where interest
 * management has nothing to leave out.
 */
import { runStage, type StageReport, type Subject } from '../driver/stage.ts';
import type { Behaviour } from '../driver/swarm-worker.ts';
import { atMost, defineBench, type Goal, median, type ResultRow } from './bench.ts';

interface Variant {
  readonly label: string;
  readonly subject: Subject;
  readonly behaviour: Behaviour;
}

const VARIANTS: readonly Variant[] = [
  { label: 'arena, spread', subject: 'arena', behaviour: 'wander' },
  { label: 'arena, all in one place', subject: 'arena', behaviour: 'gather' },
  { label: 'plain Colyseus', subject: 'plain', behaviour: 'wander' },
  { label: 'JSON, full state', subject: 'json', behaviour: 'wander' },
];

/** Size of room that the goals are about. */
const GOAL_PLAYERS = 100;
/** In which everybody has walked from the farthest spawn to the middle of the map; test/loadtest/gather.test.ts. */
const GATHER_TICKS = 360;

export default defineBench({
  name: 'bandwidth',
  summary: 'bytes per player and second in rooms of 20, 50 and 100: the arena, a usual Colyseus room, JSON',
  options: {
    players: { type: 'numbers', default: [20, 50, 100], min: 2, max: 128, quick: [10], help: 'sizes of the one room' },
    seconds: { type: 'number', default: 10, min: 1, max: 600, quick: 1, help: 'measured window' },
    rounds: { type: 'number', default: 1, min: 1, max: 20, help: 'runs of every variant; medians are printed' },
    'tick-rate': { type: 'number', default: 20, min: 10, max: 60, help: 'steps, and inputs of a player, a second' },
    'patch-every': { type: 'number', default: 1, min: 1, max: 6, help: 'ticks from patch to patch' },
    'joins-per-second': { type: 'number', default: 50, min: 1, max: 1000, help: 'pace of the ramp' },
  },
  async run({ options, isQuick, progress }) {
    const results: ResultRow[] = [];
    const bytesOf = new Map<string, number>();
    for (const players of options.players) {
      for (const variant of VARIANTS) {
        const runs: StageReport[] = [];
        for (let round = 0; round < options.rounds; round++) {
          const isGathering = variant.behaviour === 'gather';
          runs.push(
            await runStage({
              subject: variant.subject,
              behaviour: variant.behaviour,
              // Finding the way needs the decoded state.
              mode: isGathering ? 'sdk' : 'light',
              players,
              perRoom: players,
              tickRateHz: options['tick-rate'],
              patchEveryTicks: options['patch-every'],
              seconds: options.seconds,
              joinsPerSecond: options['joins-per-second'],
              progress: (text) => progress(`${players} players, ${variant.label}: ${text}`),
              ...(isQuick
                ? { settleSeconds: 0.2 }
                : isGathering
                  ? { settleSeconds: 2 + GATHER_TICKS / options['tick-rate'] }
                  : {}),
            }),
          );
        }
        const middle = (pick: (report: StageReport) => number) => median(runs.map(pick));
        const bytes = middle((r) => r.bytesPerSecond / r.players);
        bytesOf.set(`${variant.label} ${players}`, bytes);
        results.push({
          players,
          variant: variant.label,
          bytesPerSecond: bytes,
          framesPerSecond: middle((r) => r.framesPerSecond / r.players),
          bytesPerFrame: middle((r) => r.bytesPerSecond / r.framesPerSecond),
        });
      }
    }
    const compared = results.map((row) => ({
      ...row,
      shareOfPlain: Number(row['bytesPerSecond']) / bytesOf.get(`plain Colyseus ${row['players']}`)!,
    }));
    const goals: Goal[] = [];
    const spread = bytesOf.get(`arena, spread ${GOAL_PLAYERS}`);
    const plain = bytesOf.get(`plain Colyseus ${GOAL_PLAYERS}`);
    if (spread !== undefined && plain !== undefined) {
      goals.push(atMost(`share of plain Colyseus, ${GOAL_PLAYERS} spread over the map`, spread / plain, 0.2, ''));
      goals.push(atMost(`${GOAL_PLAYERS} spread over the map`, spread, 5000, 'B/s'));
    }
    return { results: compared, goals };
  },
});
