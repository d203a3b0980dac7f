/** Small scenes for the tests of the arena: worlds in which everybody stands where the test wants. */
import type { Entry, SeatEvent, SeatIntent } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, arena } from '../../src/sim/arena.ts';
import { type ArenaMap, parseMap } from '../../src/sim/map.ts';
import { HISTORY_TICKS, PHASE_LIVE } from '../../src/sim/tuning.ts';
import { type ArenaWorld, HEAD, SEAT } from '../../src/sim/world.ts';

/** The seed of every property test. */
export const SEED = 20261121;

export const NEUTRAL: ArenaIntent = { moveX: 0, moveY: 0, aim: 0, buttons: 0, rewind: 0 };

/** A hall of 14 x 8 m with a pillar and a shaft in it. */
export const HALL: ArenaMap = parseMap(
  'colosseum',
  `
################
#S.............#
#..............#
#......##......#
#......##......#
#..............#
#...~~.........#
#...~~........S#
#..............#
################`,
);

export function joins(...seats: number[]): SeatEvent[] {
  return seats.map((seat) => ({ kind: 'join', seat, name: `Player ${seat}`, playerId: `p${seat}`, isBot: false }));
}

/** Steps the world by one tick. */
export function tick(
  world: ArenaWorld,
  intents: readonly SeatIntent<ArenaIntent>[] = [],
  events: readonly SeatEvent[] = [],
): void {
  arena.step(world, { tick: world.tick, events, intents } satisfies Entry<ArenaIntent>);
}

export function ticks(world: ArenaWorld, count: number, intents: readonly SeatIntent<ArenaIntent>[] = []): void {
  for (let i = 0; i < count; i++) tick(world, intents);
}

/**
 * Steps until something is so, and says how many ticks that took.
 * @throws Error if it is not so after 1,000 ticks
 */
export function tickUntil(
  world: ArenaWorld,
  isSo: () => boolean,
  intents: readonly SeatIntent<ArenaIntent>[] = [],
): number {
  for (let count = 0; count <= 1000; count++) {
    if (isSo()) return count;
    tick(world, intents);
  }
  throw new Error('what the test waits for does not happen within 1,000 ticks');
}

/** A live match of that many seats, all taken, unprotected, old enough that every past position is their own. */
export function liveWorld(seats: number, setup: Readonly<Record<string, number | string>> = {}): ArenaWorld {
  const world = arena.create({ seed: 1, warmupTicks: 0, minPlayers: 1, capacity: Math.max(2, seats), ...setup });
  tick(world, [], joins(...Array.from({ length: seats }, (_, seat) => seat)));
  ticks(world, HISTORY_TICKS + 1);
  for (let seat = 0; seat < seats; seat++) world.words[world.seatAt(seat) + SEAT.PROTECTED_UNTIL] = 0;
  if (world.words[HEAD.PHASE] !== PHASE_LIVE) throw new Error('the scene is not live');
  return world;
}

/** Puts a fighter somewhere, with the past of one who always stood there. Metres. */
export function place(world: ArenaWorld, seat: number, xMetres: number, yMetres: number): void {
  const at = world.seatAt(seat);
  world.words[at + SEAT.X] = xMetres * 64;
  world.words[at + SEAT.Y] = yMetres * 64;
  for (let i = 0; i < HISTORY_TICKS; i++) {
    world.words[at + SEAT.PAST + 2 * i] = xMetres * 64;
    world.words[at + SEAT.PAST + 2 * i + 1] = yMetres * 64;
  }
}

/** Sets a word of a seat, such as hit points. */
export function setSeat(world: ArenaWorld, seat: number, place: number, value: number): void {
  world.words[world.seatAt(seat) + place] = value;
}
