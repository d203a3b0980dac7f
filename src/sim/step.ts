/** One tick of the arena: the fold that makes a match out of its entries. */
import type { Entry } from '../kernel/simulation.ts';
import { type Body, stepBody } from './body.ts';
import { isSeat, leaveSeat, removeRockets, resolveDeaths, spawn, takeSeat } from './fighters.ts';
import { clamp } from './integers.ts';
import type { ArenaIntent } from './intent.ts';
import {
  AMMO_MAX,
  BUTTONS,
  HISTORY_TICKS,
  HP_MAX,
  IDLE_AFTER_TICKS,
  MAX_INTENTS_PER_TICK,
  PHASE_ENDED,
  PHASE_LIVE,
  PHASE_WARM_UP,
  PICKUP_GIVES,
  PICKUP_REACH_UNITS,
  PICKUP_RESPAWN_TICKS,
  REWIND_MAX,
  ROCKETS_MAX,
} from './tuning.ts';
import { fireRifle, fireRocket, stepRockets } from './weapons.ts';
import { type ArenaWorld, HEAD, SEAT } from './world.ts';

/**
 * Advances the world by one tick, in place, and tells in `world.events` what there was to see. Total:
 * events of unknown, taken or empty seats, joins after the end and surplus intents are ignored, numbers
 * out of range clamped. `entry.tick` is the journal's; the world counts its own.
 */
export function stepWorld(world: ArenaWorld, entry: Entry<ArenaIntent>): void {
  const { words, events } = world;
  // Assigning length 0 would also drop the arrays' storage every tick.
  if (events.kills.length > 0) events.kills.length = 0;
  if (events.shots.length > 0) events.shots.length = 0;
  if (events.explosions.length > 0) events.explosions.length = 0;

  for (const event of entry.events) {
    if (event.kind === 'leave') leaveSeat(world, event.seat);
    else if (world.phase !== PHASE_ENDED) takeSeat(world, event.seat, event.name, event.playerId, event.isBot);
  }
  stepPhase(world);
  if (world.phase !== PHASE_ENDED) {
    for (const { seat, intent } of entry.intents) act(world, seat, intent);
    stepIdle(world);
    stepRockets(world);
    resolveDeaths(world);
    stepPickups(world);
    stepRespawns(world);
    notePositions(world);
  }
  words[HEAD.TICK] = words[HEAD.TICK]! + 1;
}

/** Warm-up, until it lasted and enough are seated; live, for its time; ended, where nothing moves. */
function stepPhase(world: ArenaWorld): void {
  const { words, tick, setup } = world;
  if (world.phase === PHASE_WARM_UP) {
    if (tick < world.phaseEndsTick || world.seatsTaken < setup.minPlayers) return;
    enterPhase(words, PHASE_LIVE, tick, setup.liveTicks);
    removeRockets(world);
    words.fill(0, world.pickupsAt);
    // All leave before the first appears: nobody keeps clear of where somebody no longer is.
    for (let seat = 0; seat < world.capacity; seat++) {
      const at = world.seatAt(seat);
      words[at + SEAT.IS_ALIVE] = 0;
      words[at + SEAT.FRAGS] = 0;
      words[at + SEAT.DEATHS] = 0;
      words[at + SEAT.ASSISTS] = 0;
    }
    for (let seat = 0; seat < world.capacity; seat++) if (world.isUsed(seat)) spawn(world, seat);
  } else if (world.phase === PHASE_LIVE && tick >= world.phaseEndsTick) {
    enterPhase(words, PHASE_ENDED, tick, setup.endedTicks);
    removeRockets(world);
  }
}

function enterPhase(words: Int32Array, phase: number, tick: number, lastsTicks: number): void {
  words[HEAD.PHASE] = phase;
  words[HEAD.PHASE_STARTED] = tick;
  words[HEAD.PHASE_ENDS] = tick + lastsTicks;
}

const body: Body = { x: 0, y: 0, vx: 0, vy: 0, dash: 0 };
const sane = { moveX: 0, moveY: 0, aim: 0, buttons: 0 };

/** Applies one intent: exactly one step of the body, then its weapons. */
function act(world: ArenaWorld, seat: number, intent: ArenaIntent): void {
  if (!isSeat(world, seat) || world.taken[seat]! >= MAX_INTENTS_PER_TICK) return;
  world.taken[seat] = world.taken[seat]! + 1;
  const { words } = world;
  const at = world.seatAt(seat);
  if (words[at + SEAT.IS_ALIVE] === 0) return;
  sane.moveX = intent.moveX;
  sane.moveY = intent.moveY;
  sane.aim = intent.aim & 255;
  sane.buttons = intent.buttons;
  words[at + SEAT.AIM] = sane.aim;
  moveSeat(world, at);
  if ((sane.buttons & BUTTONS.FIRE) !== 0) fireRifle(world, seat, clamp(intent.rewind | 0, 0, REWIND_MAX));
  if ((sane.buttons & BUTTONS.ROCKET) !== 0) fireRocket(world, seat);
}

function moveSeat(world: ArenaWorld, at: number): void {
  const { words } = world;
  body.x = words[at + SEAT.X]!;
  body.y = words[at + SEAT.Y]!;
  body.vx = words[at + SEAT.VX]!;
  body.vy = words[at + SEAT.VY]!;
  body.dash = words[at + SEAT.DASH]!;
  stepBody(body, sane, world.map);
  words[at + SEAT.X] = body.x;
  words[at + SEAT.Y] = body.y;
  words[at + SEAT.VX] = body.vx;
  words[at + SEAT.VY] = body.vy;
  words[at + SEAT.DASH] = body.dash;
}

/** A body without a frame waits for it; one whose player has been silent for long coasts to rest. */
function stepIdle(world: ArenaWorld): void {
  const { words, taken } = world;
  for (let seat = 0; seat < world.capacity; seat++) {
    const at = world.seatAt(seat);
    const isSilent = taken[seat] === 0;
    taken[seat] = 0;
    if (words[at + SEAT.IS_ALIVE] === 0) continue;
    if (!isSilent) {
      words[at + SEAT.IDLE] = 0;
    } else if (words[at + SEAT.IDLE]! < IDLE_AFTER_TICKS) {
      words[at + SEAT.IDLE] = words[at + SEAT.IDLE]! + 1;
    } else {
      sane.moveX = 0;
      sane.moveY = 0;
      sane.aim = words[at + SEAT.AIM]!;
      sane.buttons = 0;
      moveSeat(world, at);
    }
  }
}

/** What a seat holds of what that kind of pickup gives, and how much it may hold. */
const PICKUP_PLACES = [SEAT.HP, SEAT.AMMO, SEAT.ROCKETS] as const;
const PICKUP_LIMITS = [HP_MAX, AMMO_MAX, ROCKETS_MAX] as const;

/** Gives every pickup that lies there to the nearest fighter in reach who has room for it. */
function stepPickups(world: ArenaWorld): void {
  const { words, map, tick } = world;
  for (let index = 0; index < map.pickups.length; index++) {
    if (world.isTaken(index)) continue;
    const { kind, x, y } = map.pickups[index]!;
    const holds = PICKUP_PLACES[kind]!;
    const limit = PICKUP_LIMITS[kind]!;
    let taker = -1;
    let nearest = Number.MAX_SAFE_INTEGER;
    for (let seat = 0; seat < world.capacity; seat++) {
      const at = world.seatAt(seat);
      const dx = Math.abs(words[at + SEAT.X]! - x);
      const dy = Math.abs(words[at + SEAT.Y]! - y);
      if (dx > PICKUP_REACH_UNITS || dy > PICKUP_REACH_UNITS) continue;
      if (words[at + SEAT.IS_ALIVE] === 0 || words[at + holds]! >= limit || dx * dx + dy * dy >= nearest) continue;
      nearest = dx * dx + dy * dy;
      taker = at;
    }
    if (taker < 0) continue;
    words[taker + holds] = Math.min(limit, words[taker + holds]! + PICKUP_GIVES[kind]!);
    words[world.pickupsAt + index] = tick + PICKUP_RESPAWN_TICKS[kind]!;
  }
}

function stepRespawns(world: ArenaWorld): void {
  const { words, tick } = world;
  for (let seat = 0; seat < world.capacity; seat++) {
    const at = world.seatAt(seat);
    if (words[at + SEAT.OCCUPANT] === 0 || words[at + SEAT.IS_ALIVE] !== 0) continue;
    if (words[at + SEAT.RESPAWN_AT]! <= tick) spawn(world, seat);
  }
}

/** Keeps where everybody ended this tick, for shots that will be judged by it. */
function notePositions(world: ArenaWorld): void {
  const { words } = world;
  const place = SEAT.PAST + 2 * (world.tick & (HISTORY_TICKS - 1));
  for (let seat = 0; seat < world.capacity; seat++) {
    const at = world.seatAt(seat);
    words[at + place] = words[at + SEAT.X]!;
    words[at + place + 1] = words[at + SEAT.Y]!;
  }
}
