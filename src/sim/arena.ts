/** The arena as the match machinery sees it, and what rooms and clients need of it. */
import type { Simulation } from '../kernel/simulation.ts';
import { type ArenaIntent, readIntent, writeIntent } from './intent.ts';
import { stepWorld } from './step.ts';
import { PHASE_ENDED, SEATS_MAX, SIM_VERSION, TICK_RATE_HZ } from './tuning.ts';
import { type ArenaWorld, createWorld, decodeWorld, encodeWorld, fieldsOf, hashWorld, standingsOf } from './world.ts';

export { think } from './bots.ts';
export type { ArenaIntent } from './intent.ts';
export { type ArenaMap, arenaMap, type MapName } from './map.ts';
export type { ArenaEvents, ArenaSetup, ArenaWorld, KillEvent } from './world.ts';

/**
 * Top-down deathmatch. Setup keys, all optional but `seed` (0 to 2^32 - 1): `map` ('colosseum' or
 * 'generated'), `width` and `height` of a generated map (16 to 500 m), `warmupTicks`, `liveTicks`,
 * `endedTicks`, `minPlayers`, `capacity` (2 to 128).
 */
export const arena: Simulation<ArenaWorld, ArenaIntent> = {
  id: 'arena',
  version: SIM_VERSION,
  tickRateHz: TICK_RATE_HZ,
  maxSeats: SEATS_MAX,
  create: createWorld,
  step: stepWorld,
  tickOf: (world) => world.tick,
  isOver: (world) => world.phase === PHASE_ENDED && world.tick >= world.phaseEndsTick,
  standings: standingsOf,
  encode: encodeWorld,
  decode: decodeWorld,
  hash: hashWorld,
  fields: fieldsOf,
  writeIntent,
  readIntent,
};
