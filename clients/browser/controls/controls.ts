/** What the player wants, whatever device they hold. One of these feeds the input frame of each fixed step. */
import { BUTTONS } from '../../../schema/arena-input.ts';

/** Longest axis value on the wire. */
export const AXIS_MAX = 127;

/** The wish of one device at this moment. Axes -127 to 127, together no longer than 127. */
export interface Wish {
  moveX: number;
  moveY: number;
  /** 1/256 turn, 0 along +x, clockwise; `undefined` while the device does not aim. */
  aim: number | undefined;
  /** Bits of {@link BUTTONS}. */
  buttons: number;
}

/** Clamps a direction to length 127 and rounds it to integers, as the room would. */
export function axes(x: number, y: number, out: Wish): void {
  const length = Math.hypot(x, y);
  const scale = length > 1 ? AXIS_MAX / length : AXIS_MAX;
  out.moveX = Math.round(x * scale);
  out.moveY = Math.round(y * scale);
}

/** Radians to 1/256 turn, 0 to 255. */
export function turnOf(radians: number): number {
  return Math.round((radians / (2 * Math.PI)) * 256) & 255;
}

/** 1/256 turn to radians. */
export function radiansOf(turn: number): number {
  return (turn / 256) * 2 * Math.PI;
}

export { BUTTONS };
