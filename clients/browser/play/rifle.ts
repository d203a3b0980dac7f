/**
 * Shots for the eye. One's own are shown when the trigger is pulled, without waiting for the server; those of others
 * when their counter changes. What they hit is the server's to say: this only finds where a line ends.
 */
import { cosine, sine, TRIG_ONE } from '../../../src/sim/integers.ts';
import { type ArenaMap, castRay } from '../../../src/sim/map.ts';
import {
  BODY_RADIUS_UNITS,
  BUTTONS,
  RIFLE_COOLDOWN_TICKS,
  RIFLE_RANGE_UNITS,
  UNITS_PER_METRE,
} from '../../../src/sim/tuning.ts';
import type { FighterView } from '../draw/scene.ts';

/** From the middle of the body to the end of the barrel, metres. */
export const MUZZLE_M = 0.72;

export interface ShotLine {
  x: number;
  y: number;
  toX: number;
  toY: number;
  /** Seat of the first fighter on the line, or -1. */
  victim: number;
}

/** The line of a shot from (x, y), metres, in direction `aim`, 1/256 turn: to the first wall or other fighter. */
export function traceShot(
  map: ArenaMap,
  shooter: number,
  x: number,
  y: number,
  aim: number,
  fighters: readonly FighterView[],
): ShotLine {
  const dx = cosine(aim) / TRIG_ONE;
  const dy = sine(aim) / TRIG_ONE;
  const fromX = Math.round(x * UNITS_PER_METRE);
  const fromY = Math.round(y * UNITS_PER_METRE);
  let reach = castRay(map, fromX, fromY, cosine(aim), sine(aim), TRIG_ONE, RIFLE_RANGE_UNITS) / UNITS_PER_METRE;
  let victim = -1;
  for (const fighter of fighters) {
    if (fighter.seat === shooter || !fighter.isAlive) continue;
    const along = (fighter.x - x) * dx + (fighter.y - y) * dy;
    const beside = Math.abs((fighter.x - x) * dy - (fighter.y - y) * dx);
    if (along <= 0 || along >= reach || beside > BODY_RADIUS_UNITS / UNITS_PER_METRE) continue;
    reach = along;
    victim = fighter.seat;
  }
  const muzzle = Math.min(MUZZLE_M, reach);
  return { x: x + dx * muzzle, y: y + dy * muzzle, toX: x + dx * reach, toY: y + dy * reach, victim };
}

/** The own rifle as the client may expect it: pace and rounds, brought back to the truth with every acknowledgement. */
export class OwnRifle {
  #cooldownTicks = 0;
  /** Inputs with a shot that the server has not acknowledged yet. */
  readonly #unacknowledged: number[] = [];

  /**
   * Call once for each input sent.
   * @param ammo rounds the server last told of
   * @returns whether this input fires
   */
  pull(seq: number, buttons: number, ammo: number): boolean {
    if (this.#cooldownTicks > 0) this.#cooldownTicks--;
    if ((buttons & BUTTONS.FIRE) === 0 || this.#cooldownTicks > 0 || ammo <= this.#unacknowledged.length) return false;
    this.#cooldownTicks = RIFLE_COOLDOWN_TICKS;
    this.#unacknowledged.push(seq);
    return true;
  }

  acknowledge(seq: number): void {
    while (this.#unacknowledged.length > 0 && this.#unacknowledged[0]! <= seq) this.#unacknowledged.shift();
  }

  reset(): void {
    this.#unacknowledged.length = 0;
    this.#cooldownTicks = 0;
  }
}
