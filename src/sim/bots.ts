/** Bots: what somebody in that seat would press now. They see the world as it is and press what players press. */
import { angleOf, clamp, divideRounded, floorSqrt, mix } from './integers.ts';
import type { ArenaIntent } from './intent.ts';
import { canSee, TILE_SHIFT } from './map.ts';
import { ARRIVED, NO_WAY, REACH_TILES, STEP_X, STEP_Y } from './navigation.ts';
import {
  BUTTONS,
  MOVE_MAX,
  PHASE_ENDED,
  PICKUP_AMMO,
  PICKUP_HEALTH,
  PICKUP_ROCKETS,
  REWIND_PER_TICK,
  RIFLE_RANGE_UNITS,
  ROCKET_VELOCITY,
  UNITS_PER_METRE,
  VELOCITY_PER_UNIT,
} from './tuning.ts';
import { pastPosition } from './weapons.ts';
import type { ArenaWorld } from './world.ts';

/** Enemies looked for among the nearest so many: a look costs more than a distance. */
const LOOKS = 3;
/** Farther enemies and pickups do not draw a bot: 40 m. */
const INTEREST_UNITS = 40 * UNITS_PER_METRE;
/** Most a bot turns in a tick, 1/256 turn. */
const TURN_MAX = 9;
/** Slowness to notice, by bot: 3 to 8 ticks. */
const REACTION_TICKS = 3;
const REACTION_SPREAD_TICKS = 6;
/** Wandering of the hand, by bot: up to 4 to 8 in 1/256 turn to either side, a new drift every 12 ticks. */
const SWAY = 4;
const SWAY_SPREAD = 5;
const SWAY_TICKS = 12;
const HURT_HP = 45;
const WEAK_HP = 75;
const ROCKET_LEAST_UNITS = 4 * UNITS_PER_METRE;
const ROCKET_MOST_UNITS = 18 * UNITS_PER_METRE;
const NEAR_UNITS = 5 * UNITS_PER_METRE;
const FAR_UNITS = 12 * UNITS_PER_METRE;

const NEUTRAL: ArenaIntent = { moveX: 0, moveY: 0, aim: 0, buttons: 0, rewind: 0 };

// Scratch of one call; `think` neither keeps nor expects anything in them.
const nearSeats = new Int32Array(LOOKS);
const nearSquares = new Float64Array(LOOKS);
const past = { x: 0, y: 0 };
const before = { x: 0, y: 0 };
const way = { x: 0, y: 0 };

/**
 * What the bot in that seat asks for in the next tick. Pure: the same world gives the same intent, and the
 * world is left as it is; variety comes from tick and seat. For a free or dead seat, or after the end, neutral.
 */
export function think(world: ArenaWorld, seat: number): ArenaIntent {
  if (world.phase === PHASE_ENDED || !world.isUsed(seat) || !world.isAlive(seat)) return NEUTRAL;
  const { map, tick } = world;
  const x = world.x(seat);
  const y = world.y(seat);
  const character = mix(seat, world.setup.seed);
  const enemies = findNearest(world, seat, x, y);
  let target = -1;
  for (let i = 0; i < enemies && target < 0; i++) {
    const other = nearSeats[i]!;
    if (nearSquares[i]! > RIFLE_RANGE_UNITS * RIFLE_RANGE_UNITS) break;
    if (world.protectedTicks(other) === 0 && canSee(map, x, y, world.x(other), world.y(other))) target = other;
  }

  let buttons = 0;
  let moveX = 0;
  let moveY = 0;
  let aim = world.aim(seat);
  if (target >= 0) {
    const reaction = REACTION_TICKS + (character % REACTION_SPREAD_TICKS);
    const hand = SWAY + ((character >>> 8) % SWAY_SPREAD);
    const distance = floorSqrt((world.x(target) - x) ** 2 + (world.y(target) - y) ** 2);
    const wantsRocket =
      world.rockets(seat) > 0 &&
      distance > ROCKET_LEAST_UNITS &&
      distance < ROCKET_MOST_UNITS &&
      mix(seat ^ 0x51, tick >> 5) % 3 === 0;
    expectTarget(
      world,
      target,
      reaction + (wantsRocket ? Math.trunc((distance * VELOCITY_PER_UNIT) / ROCKET_VELOCITY) : 0),
      reaction,
    );
    const wanted = angleOf(past.x - x, past.y - y) + sway(seat, tick, hand);
    const off = turnBetween(aim, wanted);
    aim = (aim + clamp(off, -TURN_MAX, TURN_MAX)) & 255;
    if (Math.abs(off) <= TURN_MAX) {
      if (wantsRocket) buttons |= BUTTONS.ROCKET;
      else if (mix(seat ^ 0x3c, tick >> 4) % 4 !== 0) buttons |= BUTTONS.FIRE;
    }
    const health = world.hp(seat) < HURT_HP ? findPickup(world, x, y, PICKUP_HEALTH) : -1;
    if (health >= 0) {
      walkTo(world, x, y, map.pickups[health]!.x, map.pickups[health]!.y);
      moveX = way.x;
      moveY = way.y;
    } else {
      // Circle the other, nearer if far, back if near; change sides now and then.
      const side = (mix(seat ^ 0x77, Math.trunc((tick + seat * 5) / 18)) & 1) === 0 ? 1 : -1;
      const toX = world.x(target) - x;
      const toY = world.y(target) - y;
      const ahead = distance > FAR_UNITS ? 1 : distance < NEAR_UNITS ? -1 : 0;
      moveX = ahead * toX - side * toY;
      moveY = ahead * toY + side * toX;
    }
    if (mix(seat ^ 0x1d, tick) % 90 === 0) buttons |= BUTTONS.DASH;
  } else {
    chooseWay(world, seat, x, y, enemies > 0 ? nearSeats[0]! : -1);
    moveX = way.x;
    moveY = way.y;
    if (moveX !== 0 || moveY !== 0) {
      aim = (aim + clamp(turnBetween(aim, angleOf(moveX, moveY)), -TURN_MAX, TURN_MAX)) & 255;
    }
    if (mix(seat ^ 0x1d, tick) % 200 === 0) buttons |= BUTTONS.DASH;
  }
  const length = floorSqrt(moveX * moveX + moveY * moveY);
  if (length > 0) {
    moveX = Math.trunc((moveX * MOVE_MAX) / length);
    moveY = Math.trunc((moveY * MOVE_MAX) / length);
  }
  return {
    moveX: clamp(moveX, -MOVE_MAX, MOVE_MAX),
    moveY: clamp(moveY, -MOVE_MAX, MOVE_MAX),
    aim,
    buttons,
    rewind: 0,
  };
}

/** Puts the nearest living others into the scratch, nearest first, and returns how many. */
function findNearest(world: ArenaWorld, seat: number, x: number, y: number): number {
  let count = 0;
  for (let other = 0; other < world.capacity; other++) {
    if (other === seat || !world.isAlive(other)) continue;
    const dx = world.x(other) - x;
    const dy = world.y(other) - y;
    const squared = dx * dx + dy * dy;
    if (squared > INTEREST_UNITS * INTEREST_UNITS) continue;
    let place = count;
    while (place > 0 && squared < nearSquares[place - 1]!) place--;
    if (place >= LOOKS) continue;
    for (let i = Math.min(count, LOOKS - 1); i > place; i--) {
      nearSeats[i] = nearSeats[i - 1]!;
      nearSquares[i] = nearSquares[i - 1]!;
    }
    nearSeats[place] = other;
    nearSquares[place] = squared;
    if (count < LOOKS) count++;
  }
  return count;
}

/** Where the target will be in `ahead` ticks, judged like a person: from what it did a reaction time ago. */
function expectTarget(world: ArenaWorld, target: number, ahead: number, reactionTicks: number): void {
  const isKnown =
    pastPosition(world, target, reactionTicks * REWIND_PER_TICK, past) &&
    pastPosition(world, target, (reactionTicks + 1) * REWIND_PER_TICK, before);
  if (!isKnown) {
    past.x = world.x(target);
    past.y = world.y(target);
    return;
  }
  past.x += (past.x - before.x) * ahead;
  past.y += (past.y - before.y) * ahead;
}

/** A drift of the hand that moves smoothly from one random value to the next. */
function sway(seat: number, tick: number, most: number): number {
  const epoch = Math.trunc(tick / SWAY_TICKS);
  const part = tick % SWAY_TICKS;
  const from = (mix(seat, epoch) % (2 * most + 1)) - most;
  const to = (mix(seat, epoch + 1) % (2 * most + 1)) - most;
  return from + divideRounded((to - from) * part, SWAY_TICKS);
}

/** The shorter turn from one angle to another, -128 to 127 in 1/256 turn. */
function turnBetween(from: number, to: number): number {
  return ((to - from + 128) & 255) - 128;
}

/** Without anybody to shoot at: get what is short, else look for the nearest enemy, else roam. */
function chooseWay(world: ArenaWorld, seat: number, x: number, y: number, enemy: number): void {
  const { map, tick } = world;
  const navigation = map.navigation;
  let pickup = world.hp(seat) < WEAK_HP ? findPickup(world, x, y, PICKUP_HEALTH) : -1;
  if (pickup < 0 && world.ammo(seat) < 25) pickup = findPickup(world, x, y, PICKUP_AMMO);
  if (pickup < 0 && world.rockets(seat) === 0) pickup = findPickup(world, x, y, PICKUP_ROCKETS);
  if (pickup >= 0) {
    walkTo(world, x, y, map.pickups[pickup]!.x, map.pickups[pickup]!.y);
    return;
  }
  let tile = -1;
  if (enemy >= 0)
    tile = navigation.zoneTile(navigation.zoneOf(world.x(enemy) >> TILE_SHIFT, world.y(enemy) >> TILE_SHIFT));
  if (tile < 0) tile = navigation.zoneTile(mix(seat ^ 0x2b, Math.trunc(tick / 240)) % navigation.zones);
  if (tile < 0) {
    way.x = map.columns * (UNITS_PER_METRE / 2) - x;
    way.y = map.rows * (UNITS_PER_METRE / 2) - y;
    return;
  }
  const goalX = ((tile % map.columns) << TILE_SHIFT) + UNITS_PER_METRE / 2;
  const goalY = (Math.trunc(tile / map.columns) << TILE_SHIFT) + UNITS_PER_METRE / 2;
  walkTo(world, x, y, goalX, goalY);
  if (way.x === 0 && way.y === 0 && enemy >= 0) {
    // In the middle of the enemy's zone and still not seen it: straight on.
    way.x = world.x(enemy) - x;
    way.y = world.y(enemy) - y;
  }
}

/** The nearest pickup of that kind that lies there, or -1. */
function findPickup(world: ArenaWorld, x: number, y: number, kind: number): number {
  const { pickups } = world.map;
  let best = -1;
  let nearest = INTEREST_UNITS * INTEREST_UNITS;
  for (let i = 0; i < pickups.length; i++) {
    const pickup = pickups[i]!;
    if (pickup.kind !== kind || world.isTaken(i)) continue;
    const squared = (pickup.x - x) ** 2 + (pickup.y - y) ** 2;
    if (squared < nearest) {
      nearest = squared;
      best = i;
    }
  }
  return best;
}

/** Sets `way` to the direction of the next bit of the shortest way; to nothing on arrival. */
function walkTo(world: ArenaWorld, x: number, y: number, goalX: number, goalY: number): void {
  const { map } = world;
  const navigation = map.navigation;
  let column = x >> TILE_SHIFT;
  let row = y >> TILE_SHIFT;
  let goalColumn = goalX >> TILE_SHIFT;
  let goalRow = goalY >> TILE_SHIFT;
  if (Math.abs(goalColumn - column) > REACH_TILES || Math.abs(goalRow - row) > REACH_TILES) {
    // Beyond what a field of ways covers: first to a zone on the line there.
    const stageColumn = column + clamp(goalColumn - column, -REACH_TILES + 7, REACH_TILES - 7);
    const stageRow = row + clamp(goalRow - row, -REACH_TILES + 7, REACH_TILES - 7);
    const stage = navigation.zoneTile(navigation.zoneOf(stageColumn, stageRow));
    if (stage >= 0) {
      goalColumn = stage % map.columns;
      goalRow = Math.trunc(stage / map.columns);
    }
  }
  let step = navigation.stepTowards(goalColumn, goalRow, column, row);
  if (step === NO_WAY) {
    way.x = goalX - x;
    way.y = goalY - y;
    return;
  }
  // Along the first straight stretch, up to three tiles, so that the walk is not a staircase.
  const first = step;
  for (let i = 0; i < 3 && step === first && step !== ARRIVED; i++) {
    column += STEP_X[step]!;
    row += STEP_Y[step]!;
    step = navigation.stepTowards(goalColumn, goalRow, column, row);
  }
  way.x = (column << TILE_SHIFT) + UNITS_PER_METRE / 2 - x;
  way.y = (row << TILE_SHIFT) + UNITS_PER_METRE / 2 - y;
}
