/** Rifle and rocket. Everything a shot decides is integers; dice come from the world. */
import { nextBelow } from '../kernel/rng.ts';
import { hurt } from './fighters.ts';
import { clamp, cosine, divideRounded, floorSqrt, sine, TRIG_ONE } from './integers.ts';
import { canSee, castRay } from './map.ts';
import {
  BODY_RADIUS_UNITS,
  HISTORY_TICKS,
  REWIND_PER_TICK,
  RIFLE_COOLDOWN_TICKS,
  RIFLE_DAMAGE,
  RIFLE_RANGE_UNITS,
  RIFLE_SPREAD,
  ROCKET_COOLDOWN_TICKS,
  ROCKET_LIFE_TICKS,
  ROCKET_RADIUS_UNITS,
  ROCKET_VELOCITY,
  SPLASH_DAMAGE,
  SPLASH_RADIUS_UNITS,
  SPLASH_SELF_SIXTEENTHS,
  SPLASH_VELOCITY,
  VELOCITY_MAX,
  VELOCITY_PER_UNIT,
} from './tuning.ts';
import { type ArenaWorld, HEAD, ROCKET, ROCKET_WORDS, SEAT } from './world.ts';

const seen = { x: 0, y: 0 };

/**
 * Where a seat stood `rewind` eighths of a tick before the end of the previous tick; between two ticks, in
 * between. Never a position of an earlier life or occupant.
 * @param rewind 0 to REWIND_MAX
 * @returns false if the present life had not begun then
 */
export function pastPosition(world: ArenaWorld, seat: number, rewind: number, out: { x: number; y: number }): boolean {
  const { words } = world;
  const at = world.seatAt(seat);
  const newer = world.tick - 1 - Math.trunc(rewind / REWIND_PER_TICK);
  const born = words[at + SEAT.BORN]!;
  if (newer < born) return false;
  const past = at + SEAT.PAST;
  const place = past + 2 * (newer & (HISTORY_TICKS - 1));
  out.x = words[place]!;
  out.y = words[place + 1]!;
  const part = rewind % REWIND_PER_TICK;
  if (part !== 0 && newer - 1 >= born) {
    const before = past + 2 * ((newer - 1) & (HISTORY_TICKS - 1));
    out.x += divideRounded((words[before]! - out.x) * part, REWIND_PER_TICK);
    out.y += divideRounded((words[before + 1]! - out.y) * part, REWIND_PER_TICK);
  }
  return true;
}

/** Fires the rifle if it is ready and loaded: an instant shot, judged by where the shooter saw the others. */
export function fireRifle(world: ArenaWorld, seat: number, rewind: number): void {
  const { words, map, tick } = world;
  const at = world.seatAt(seat);
  if (words[at + SEAT.RIFLE_READY]! > tick || words[at + SEAT.AMMO] === 0) return;
  words[at + SEAT.RIFLE_READY] = tick + RIFLE_COOLDOWN_TICKS;
  words[at + SEAT.AMMO] = words[at + SEAT.AMMO]! - 1;
  words[at + SEAT.SHOTS] = (words[at + SEAT.SHOTS]! + 1) & 255;
  words[at + SEAT.PROTECTED_UNTIL] = 0;
  const x = words[at + SEAT.X]!;
  const y = words[at + SEAT.Y]!;
  const aim = words[at + SEAT.AIM]!;
  const sway = nextBelow(words, HEAD.DICE, 2 * RIFLE_SPREAD + 1) - RIFLE_SPREAD;
  const dx = cosine(aim) - divideRounded(sway * sine(aim), TRIG_ONE);
  const dy = sine(aim) + divideRounded(sway * cosine(aim), TRIG_ONE);
  // Distances along the shot and beside it are both in units times TRIG_ONE.
  let reach = castRay(map, x, y, dx, dy, TRIG_ONE, RIFLE_RANGE_UNITS) * TRIG_ONE;
  let victim = -1;
  for (let other = 0; other < world.capacity; other++) {
    if (other === seat || words[world.seatAt(other) + SEAT.IS_ALIVE] === 0) continue;
    if (!pastPosition(world, other, rewind, seen)) continue;
    const toX = seen.x - x;
    const toY = seen.y - y;
    let along = toX * dx + toY * dy;
    if (along < 0) {
      // Behind, unless the shooter stands inside the other.
      if (toX * toX + toY * toY > BODY_RADIUS_UNITS * BODY_RADIUS_UNITS) continue;
      along = 0;
    }
    if (along >= reach || Math.abs(toX * dy - toY * dx) > BODY_RADIUS_UNITS * TRIG_ONE) continue;
    reach = along;
    victim = other;
  }
  const distance = Math.trunc(reach / TRIG_ONE);
  world.events.shots.push({
    seat,
    x,
    y,
    toX: x + Math.trunc((dx * distance) / TRIG_ONE),
    toY: y + Math.trunc((dy * distance) / TRIG_ONE),
    victim,
  });
  if (victim >= 0) hurt(world, victim, seat, RIFLE_DAMAGE, false);
}

/** Launches a rocket if the launcher is ready, loaded and the sky not full. It flies from this tick on. */
export function fireRocket(world: ArenaWorld, seat: number): void {
  const { words, tick } = world;
  const at = world.seatAt(seat);
  if (words[at + SEAT.ROCKET_READY]! > tick || words[at + SEAT.ROCKETS] === 0) return;
  let slot = 0;
  while (slot < world.rocketSlots && words[world.rocketAt(slot) + ROCKET.ID] !== 0) slot++;
  if (slot === world.rocketSlots) return;
  words[at + SEAT.ROCKET_READY] = tick + ROCKET_COOLDOWN_TICKS;
  words[at + SEAT.ROCKETS] = words[at + SEAT.ROCKETS]! - 1;
  words[at + SEAT.PROTECTED_UNTIL] = 0;
  const aim = words[at + SEAT.AIM]!;
  const id = (words[HEAD.ROCKET_ID]! + 1) & 0x7fffffff || 1;
  words[HEAD.ROCKET_ID] = id;
  const rocket = world.rocketAt(slot);
  words[rocket + ROCKET.ID] = id;
  words[rocket + ROCKET.SEAT] = seat;
  words[rocket + ROCKET.X] = words[at + SEAT.X]! * VELOCITY_PER_UNIT;
  words[rocket + ROCKET.Y] = words[at + SEAT.Y]! * VELOCITY_PER_UNIT;
  words[rocket + ROCKET.VX] = divideRounded(cosine(aim) * ROCKET_VELOCITY, TRIG_ONE);
  words[rocket + ROCKET.VY] = divideRounded(sine(aim) * ROCKET_VELOCITY, TRIG_ONE);
  words[rocket + ROCKET.EXPIRES] = tick + ROCKET_LIFE_TICKS;
}

/** Flies every rocket by one tick, sweeping its way: it bursts on the first wall or body, or at its end. */
export function stepRockets(world: ArenaWorld): void {
  const { words, map, tick } = world;
  const span = ROCKET_VELOCITY / VELOCITY_PER_UNIT;
  const rim = (BODY_RADIUS_UNITS + ROCKET_RADIUS_UNITS) * ROCKET_VELOCITY;
  for (let slot = 0; slot < world.rocketSlots; slot++) {
    const at = world.rocketAt(slot);
    if (words[at + ROCKET.ID] === 0) continue;
    const owner = words[at + ROCKET.SEAT]!;
    const x = words[at + ROCKET.X]! >> 4;
    const y = words[at + ROCKET.Y]! >> 4;
    const vx = words[at + ROCKET.VX]!;
    const vy = words[at + ROCKET.VY]!;
    const free = castRay(map, x, y, vx, vy, ROCKET_VELOCITY, span);
    // A unit before the wall: the burst must see the room it happens in.
    let reach = (free < span ? Math.max(0, free - 1) : free) * ROCKET_VELOCITY;
    let struck = -1;
    for (let seat = 0; seat < world.capacity; seat++) {
      const body = world.seatAt(seat);
      if (seat === owner || words[body + SEAT.IS_ALIVE] === 0) continue;
      const toX = words[body + SEAT.X]! - x;
      const toY = words[body + SEAT.Y]! - y;
      let along = toX * vx + toY * vy;
      if (Math.abs(toX * vy - toY * vx) > rim) continue;
      if (along < 0) {
        if (toX * toX + toY * toY > BODY_RADIUS_UNITS * BODY_RADIUS_UNITS) continue;
        along = 0;
      }
      // Of several at the same distance the lowest seat is struck; at full reach a body still is.
      if (along > reach || (along === reach && struck >= 0)) continue;
      reach = along;
      struck = seat;
    }
    if (struck >= 0 || free < span || words[at + ROCKET.EXPIRES]! <= tick) {
      const distance = Math.trunc(reach / ROCKET_VELOCITY);
      words.fill(0, at, at + ROCKET_WORDS);
      const burstX = x + Math.trunc((vx * distance) / ROCKET_VELOCITY);
      const burstY = y + Math.trunc((vy * distance) / ROCKET_VELOCITY);
      explode(world, owner, burstX, burstY, struck, vx, vy);
    } else {
      words[at + ROCKET.X] = words[at + ROCKET.X]! + vx;
      words[at + ROCKET.Y] = words[at + ROCKET.Y]! + vy;
    }
  }
}

/** Hurts and pushes everybody near who is not behind a wall; whoever was struck takes it in full. */
function explode(world: ArenaWorld, owner: number, x: number, y: number, struck: number, vx: number, vy: number): void {
  const { words, map, tick } = world;
  world.events.explosions.push({ seat: owner, x, y });
  const outer = SPLASH_RADIUS_UNITS + BODY_RADIUS_UNITS;
  for (let seat = 0; seat < world.capacity; seat++) {
    const at = world.seatAt(seat);
    if (words[at + SEAT.IS_ALIVE] === 0 || words[at + SEAT.PROTECTED_UNTIL]! > tick) continue;
    let awayX = words[at + SEAT.X]! - x;
    let awayY = words[at + SEAT.Y]! - y;
    const squared = awayX * awayX + awayY * awayY;
    if (squared >= outer * outer) continue;
    let length = floorSqrt(squared);
    const share = seat === struck ? SPLASH_RADIUS_UNITS : Math.min(SPLASH_RADIUS_UNITS, outer - length);
    if (share <= 0) continue;
    if (seat !== struck && !canSee(map, x, y, words[at + SEAT.X]!, words[at + SEAT.Y]!)) continue;
    if (length === 0) {
      awayX = vx;
      awayY = vy;
      length = ROCKET_VELOCITY;
    }
    const push = Math.trunc((SPLASH_VELOCITY * share) / SPLASH_RADIUS_UNITS);
    const pushedX = words[at + SEAT.VX]! + Math.trunc((awayX * push) / length);
    const pushedY = words[at + SEAT.VY]! + Math.trunc((awayY * push) / length);
    words[at + SEAT.VX] = clamp(pushedX, -VELOCITY_MAX, VELOCITY_MAX);
    words[at + SEAT.VY] = clamp(pushedY, -VELOCITY_MAX, VELOCITY_MAX);
    let damage = Math.trunc((SPLASH_DAMAGE * share) / SPLASH_RADIUS_UNITS);
    if (seat === owner) damage = (damage * SPLASH_SELF_SIXTEENTHS) >> 4;
    hurt(world, seat, owner, damage, true);
  }
}
