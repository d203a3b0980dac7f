/** What of the rules has a visible size, in metres. */
import { BODY_RADIUS_UNITS, HP_MAX, SPLASH_RADIUS_UNITS, UNITS_PER_METRE } from '../../../src/sim/tuning.ts';
import type { Proportions } from './scene.ts';

export const ARENA_PROPORTIONS: Proportions = {
  bodyRadius: BODY_RADIUS_UNITS / UNITS_PER_METRE,
  hpMax: HP_MAX,
  splashRadius: SPLASH_RADIUS_UNITS / UNITS_PER_METRE,
};
