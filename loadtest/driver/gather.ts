/** Brings a player to the middle of the map and keeps it moving about there: the crowd that interest cannot thin out. */
import { type ArenaMap, arenaMap } from '../../src/sim/arena.ts';
import { STEP_X, STEP_Y } from '../../src/sim/navigation.ts';
import type { TrackStep } from './input-track.ts';

/** 1 m in units of position, and its half. */
const TILE_UNITS = 64;
/** Within this of the middle a player moves as it likes: 4 m. */
const CROWD_UNITS = 4 * TILE_UNITS;
const FULL_SPEED = 127;

export class Gatherer {
  readonly #map: ArenaMap;
  readonly #goalColumn: number;
  readonly #goalRow: number;

  /** @param map the arena's drawn map unless told otherwise */
  constructor(map: ArenaMap = arenaMap('colosseum', 0, 0, 0)) {
    this.#map = map;
    const { columns, rows, navigation } = map;
    const goal = navigation.zoneTile(navigation.zoneOf(columns >> 1, rows >> 1));
    this.#goalColumn = goal % columns;
    this.#goalRow = Math.trunc(goal / columns);
  }

  /** Where the crowd stands, 1/64 m. */
  get goal(): { readonly x: number; readonly y: number } {
    return { x: centreOf(this.#goalColumn), y: centreOf(this.#goalRow) };
  }

  /** What somebody at that place does instead of `step`: nobody shoots, because the dead would leave the crowd. */
  steer(x: number, y: number, step: TrackStep): TrackStep {
    const { goal } = this;
    if (Math.hypot(goal.x - x, goal.y - y) <= CROWD_UNITS) return { ...step, buttons: 0 };
    const column = Math.trunc(x / TILE_UNITS);
    const row = Math.trunc(y / TILE_UNITS);
    const way = this.#map.navigation.stepTowards(this.#goalColumn, this.#goalRow, column, row);
    // Off the ways, as in a corner: shaking oneself free is as good as any plan.
    if (way >= STEP_X.length) return { ...step, buttons: 0 };
    const dx = centreOf(column + STEP_X[way]!) - x;
    const dy = centreOf(row + STEP_Y[way]!) - y;
    const length = Math.hypot(dx, dy) || 1;
    return {
      moveX: Math.round((dx / length) * FULL_SPEED),
      moveY: Math.round((dy / length) * FULL_SPEED),
      aim: step.aim,
      buttons: 0,
    };
  }
}

function centreOf(tile: number): number {
  return tile * TILE_UNITS + TILE_UNITS / 2;
}
