/** How a body moves: the one mover of server, predicting client, bot and replay. */
import { ceilSqrt, clamp, cosine, divideRounded, floorSqrt, sine, TRIG_ONE } from './integers.ts';
import { type ArenaMap, stopsBodies, TILE_SHIFT } from './map.ts';
import {
  ACCELERATION,
  BODY_HALF_UNITS,
  BRAKING,
  BUTTONS,
  DASH_COOLDOWN_TICKS,
  DASH_TICKS,
  DASH_VELOCITY,
  MOVE_MAX,
  RUN_VELOCITY,
  SLIDING,
  VELOCITY_MAX,
  VELOCITY_PER_UNIT,
} from './tuning.ts';

/** All that moving reads and writes; an avatar of the schema is one. Integers. */
export interface Body {
  /** Centre, 1/64 m. */
  x: number;
  y: number;
  /** 1/1024 m per tick. */
  vx: number;
  vy: number;
  /** Steps until the next dash may start, 0 to 75; the first five of them are the dash itself. */
  dash: number;
}

/** What moving reads of an intent. */
export interface MoveIntent {
  /** Wanted direction, -127 to 127 an axis; longer than 127 in all counts as 127. */
  readonly moveX: number;
  readonly moveY: number;
  /** 1/256 turn; a dash without a direction goes there. */
  readonly aim: number;
  /** Bits of BUTTONS. */
  readonly buttons: number;
}

/** Whether that `dash` counter belongs to a body in the middle of a dash. */
export function isDashing(dash: number): boolean {
  return dash > DASH_COOLDOWN_TICKS - DASH_TICKS;
}

/**
 * Advances one body by one fixed tick, in place. Integers only, so every engine agrees to the bit; no
 * clock, no dice, no other bodies. Called once for every input, on the server and in the predicting client.
 * The body stays outside walls and inside the map if it was before, however fast it is.
 */
export function stepBody(body: Body, intent: MoveIntent, map: ArenaMap): void {
  const moveX = clamp(intent.moveX | 0, -MOVE_MAX, MOVE_MAX);
  const moveY = clamp(intent.moveY | 0, -MOVE_MAX, MOVE_MAX);
  // Rounded up: a direction never gets longer than it is.
  const length = Math.max(MOVE_MAX, ceilSqrt(moveX * moveX + moveY * moveY));
  let dash = body.dash > 0 ? body.dash - 1 : 0;
  let vx = body.vx;
  let vy = body.vy;
  if (dash === 0 && (intent.buttons & BUTTONS.DASH) !== 0) {
    dash = DASH_COOLDOWN_TICKS;
    if (moveX === 0 && moveY === 0) {
      vx = Math.trunc((cosine(intent.aim) * DASH_VELOCITY) / TRIG_ONE);
      vy = Math.trunc((sine(intent.aim) * DASH_VELOCITY) / TRIG_ONE);
    } else {
      const size = ceilSqrt(moveX * moveX + moveY * moveY);
      vx = Math.trunc((moveX * DASH_VELOCITY) / size);
      vy = Math.trunc((moveY * DASH_VELOCITY) / size);
    }
  } else if (!isDashing(dash)) {
    const wantX = Math.trunc((moveX * RUN_VELOCITY) / length);
    const wantY = Math.trunc((moveY * RUN_VELOCITY) / length);
    const gapX = wantX - vx;
    const gapY = wantY - vy;
    const gap = floorSqrt(gapX * gapX + gapY * gapY);
    const isFast = vx * vx + vy * vy > RUN_VELOCITY * RUN_VELOCITY;
    const change = isFast ? SLIDING : wantX === 0 && wantY === 0 ? BRAKING : ACCELERATION;
    if (gap <= change) {
      vx = wantX;
      vy = wantY;
    } else {
      vx += Math.trunc((gapX * change) / gap);
      vy += Math.trunc((gapY * change) / gap);
    }
  }
  vx = clamp(vx, -VELOCITY_MAX, VELOCITY_MAX);
  vy = clamp(vy, -VELOCITY_MAX, VELOCITY_MAX);

  let dx = divideRounded(vx, VELOCITY_PER_UNIT);
  let dy = divideRounded(vy, VELOCITY_PER_UNIT);
  if (dx * dx + dy * dy > RUN_STEP_UNITS * RUN_STEP_UNITS && vx * vx + vy * vy <= RUN_VELOCITY * RUN_VELOCITY) {
    // Rounding both axes up would make odd directions faster than straight ones.
    if (Math.abs(dx) > Math.abs(dy)) dx -= Math.sign(dx);
    else dy -= Math.sign(dy);
  }

  // One axis after the other: what a wall stops on one, the other keeps. Each sweeps every tile it crosses.
  let x = body.x;
  let y = body.y;
  if (dx !== 0) {
    const sign = dx > 0 ? 1 : -1;
    const front = dx > 0 ? BODY_HALF_UNITS - 1 : -BODY_HALF_UNITS;
    const top = (y - BODY_HALF_UNITS) >> TILE_SHIFT;
    const bottom = (y + BODY_HALF_UNITS - 1) >> TILE_SHIFT;
    const last = (x + dx + front) >> TILE_SHIFT;
    let column = (x + front) >> TILE_SHIFT;
    x += dx;
    while (column !== last) {
      column += sign;
      if (isColumnBlocked(map, column, top, bottom)) {
        x = dx > 0 ? (column << TILE_SHIFT) - BODY_HALF_UNITS : ((column + 1) << TILE_SHIFT) + BODY_HALF_UNITS;
        vx = 0;
        break;
      }
    }
  }
  if (dy !== 0) {
    const sign = dy > 0 ? 1 : -1;
    const front = dy > 0 ? BODY_HALF_UNITS - 1 : -BODY_HALF_UNITS;
    const left = (x - BODY_HALF_UNITS) >> TILE_SHIFT;
    const right = (x + BODY_HALF_UNITS - 1) >> TILE_SHIFT;
    const last = (y + dy + front) >> TILE_SHIFT;
    let row = (y + front) >> TILE_SHIFT;
    y += dy;
    while (row !== last) {
      row += sign;
      if (isRowBlocked(map, row, left, right)) {
        y = dy > 0 ? (row << TILE_SHIFT) - BODY_HALF_UNITS : ((row + 1) << TILE_SHIFT) + BODY_HALF_UNITS;
        vy = 0;
        break;
      }
    }
  }
  body.x = x;
  body.y = y;
  body.vx = vx;
  body.vy = vy;
  body.dash = dash;
}

/** What running speed covers in one tick, 1/64 m. */
const RUN_STEP_UNITS = RUN_VELOCITY / VELOCITY_PER_UNIT;

function isColumnBlocked(map: ArenaMap, column: number, top: number, bottom: number): boolean {
  for (let row = top; row <= bottom; row++) if (stopsBodies(map, column, row)) return true;
  return false;
}

function isRowBlocked(map: ArenaMap, row: number, left: number, right: number): boolean {
  for (let column = left; column <= right; column++) if (stopsBodies(map, column, row)) return true;
  return false;
}
