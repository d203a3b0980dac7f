/**
 * Bytes one player receives per second, payload and WebSocket header, in rooms of several sizes: the arena, a usual
 * Colyseus room of the same game, and the same room sending its whole state as JSON. Spread over the map everybody
 * moves, shoots and dies; the worst case is everybody moving about in the middle of it, where interest management has
 * nothing to leave out and nobody rests.
 */
import { runStage, type StageReport, type Subject } from '../driver/stage.ts';
import type { Behaviour } from '../driver/swarm-worker.ts';
import { atMost, defineBench, type Goal, median, type ResultRow } from './bench.ts';

interface Variant {
  readonly subject: Subject;
  readonly behaviour: Behaviour;
}

const VARIANTS: readonly Variant[] = [
  { subject: 'arena', behaviour: 'wander' },
  { subject: 'plain', behaviour: 'wander' },
  { subject: 'json', behaviour: 'wander' },
  { subject: 'arena', behaviour: 'gather' },
  { subject: 'plain', behaviour: 'gather' },
];

const SUBJECT_NAMES = { arena: 'arena', plain: 'plain Colyseus', json: 'JSON, full state', raw: 'raw' } as const;
const PLACE_NAMES = { wander: 'spread over the map', gather: 'all in one place' } as const;

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
    const measured: { players: number; variant: Variant; bytes: number }[] = [];
    const bytesOf = (players: number, subject: Subject, behaviour: Behaviour): number =>
      measured.find(
        ({ players: size, variant }) =>
          size === players && variant.subject === subject && variant.behaviour === behaviour,
      )?.bytes ?? Number.NaN;
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
              progress: (text) => progress(`${players} players, ${PLACE_NAMES[variant.behaviour]}: ${text}`),
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
        measured.push({ players, variant, bytes });
        results.push({
          players,
          place: PLACE_NAMES[variant.behaviour],
          subject: SUBJECT_NAMES[variant.subject],
          bytesPerSecond: bytes,
          framesPerSecond: middle((r) => r.framesPerSecond / r.players),
          bytesPerFrame: middle((r) => r.bytesPerSecond / r.framesPerSecond),
        });
      }
    }
    const goals: Goal[] = [];
    if (options.players.includes(GOAL_PLAYERS)) {
      const spread = bytesOf(GOAL_PLAYERS, 'arena', 'wander');
      const share = spread / bytesOf(GOAL_PLAYERS, 'plain', 'wander');
      goals.push(atMost(`share of plain Colyseus, ${GOAL_PLAYERS} spread over the map`, share, 0.2, ''));
      goals.push(atMost(`${GOAL_PLAYERS} spread over the map`, spread, 5000, 'B/s'));
    }
    return {
      results: results.map((row, i) => {
        const { players, variant, bytes } = measured[i]!;
        return { ...row, shareOfPlain: bytes / bytesOf(players, 'plain', variant.behaviour) };
      }),
      goals,
    };
  },
});
