/** Taking and leaving seats, appearing, being hurt and dying. */
import { nextBelow } from '../kernel/rng.ts';
import { angleOf } from './integers.ts';
import {
  AMMO_START,
  ASSIST_TICKS,
  HP_MAX,
  RESPAWN_TICKS,
  ROCKETS_START,
  SCORE_MAX,
  SPAWN_CHOICES,
  SPAWN_PROTECTION_TICKS,
  UNITS_PER_METRE,
} from './tuning.ts';
import { type ArenaWorld, ATTACKERS, HEAD, NAME_UNITS_MAX, ROCKET, ROCKET_WORDS, SEAT, SEAT_WORDS } from './world.ts';

/** Gives a free seat to somebody, who appears at once. A taken or unknown seat is left alone. */
export function takeSeat(world: ArenaWorld, seat: number, name: string, playerId: string, isBot: boolean): void {
  if (!isSeat(world, seat) || world.isUsed(seat)) return;
  world.words[world.seatAt(seat) + SEAT.OCCUPANT] = isBot ? 2 : 1;
  world.names[seat] = boundedName(name);
  world.playerIds[seat] = boundedName(playerId);
  spawn(world, seat);
}

/** Frees a seat and forgets everything about who sat there: rockets vanish, old damage earns nothing. */
export function leaveSeat(world: ArenaWorld, seat: number): void {
  if (!isSeat(world, seat) || !world.isUsed(seat)) return;
  const { words } = world;
  const at = world.seatAt(seat);
  words.fill(0, at, at + SEAT_WORDS);
  world.names[seat] = '';
  world.playerIds[seat] = '';
  removeRockets(world, seat);
  for (let victim = 0; victim < world.capacity; victim++) {
    const list = world.seatAt(victim) + SEAT.ATTACKERS;
    for (let i = list; i < list + 2 * ATTACKERS; i += 2) {
      if (words[i] === seat + 1) words[i] = words[i + 1] = 0;
    }
  }
}

/** Whether that is a seat of this match at all. */
export function isSeat(world: ArenaWorld, seat: number): boolean {
  return Number.isInteger(seat) && seat >= 0 && seat < world.capacity;
}

/** Takes the rockets of one seat, or all of them, out of the air. */
export function removeRockets(world: ArenaWorld, seat?: number): void {
  for (let slot = 0; slot < world.rocketSlots; slot++) {
    const at = world.rocketAt(slot);
    if (seat === undefined || world.words[at + ROCKET.SEAT] === seat) world.words.fill(0, at, at + ROCKET_WORDS);
  }
}

/** Puts whoever sits there into the arena with a new life; scores stay. */
export function spawn(world: ArenaWorld, seat: number): void {
  const { words, map, tick } = world;
  const at = world.seatAt(seat);
  words[at + SEAT.IS_ALIVE] = 0;
  const place = map.spawns[chooseSpawn(world)]!;
  words[at + SEAT.IS_ALIVE] = 1;
  words[at + SEAT.X] = place.x;
  words[at + SEAT.Y] = place.y;
  words[at + SEAT.VX] = 0;
  words[at + SEAT.VY] = 0;
  words[at + SEAT.DASH] = 0;
  const half = UNITS_PER_METRE / 2;
  words[at + SEAT.AIM] = angleOf(map.columns * half - place.x, map.rows * half - place.y);
  words[at + SEAT.HP] = HP_MAX;
  words[at + SEAT.AMMO] = AMMO_START;
  words[at + SEAT.ROCKETS] = ROCKETS_START;
  words[at + SEAT.RIFLE_READY] = tick;
  words[at + SEAT.ROCKET_READY] = tick;
  words[at + SEAT.PROTECTED_UNTIL] = tick + SPAWN_PROTECTION_TICKS;
  words[at + SEAT.RESPAWN_AT] = 0;
  words[at + SEAT.BORN] = tick;
  words[at + SEAT.IDLE] = 0;
  words.fill(0, at + SEAT.ATTACKERS, at + SEAT.ATTACKERS + 2 * ATTACKERS);
}

const farthest = new Int32Array(SPAWN_CHOICES);
const distances = new Float64Array(SPAWN_CHOICES);

/** A spawn, by dice, among those whose nearest fighter is farthest away. */
function chooseSpawn(world: ArenaWorld): number {
  const { words, map, capacity } = world;
  let choices = 0;
  let isEmpty = true;
  for (let index = 0; index < map.spawns.length; index++) {
    const { x, y } = map.spawns[index]!;
    let nearest = Number.MAX_SAFE_INTEGER;
    for (let seat = 0; seat < capacity; seat++) {
      const at = world.seatAt(seat);
      if (words[at + SEAT.IS_ALIVE] === 0) continue;
      isEmpty = false;
      const dx = words[at + SEAT.X]! - x;
      const dy = words[at + SEAT.Y]! - y;
      nearest = Math.min(nearest, dx * dx + dy * dy);
    }
    // Insertion into the short list, farthest first; of equals the lower index stays.
    let place = choices;
    while (place > 0 && nearest > distances[place - 1]!) place--;
    if (place >= SPAWN_CHOICES) continue;
    for (let i = Math.min(choices, SPAWN_CHOICES - 1); i > place; i--) {
      farthest[i] = farthest[i - 1]!;
      distances[i] = distances[i - 1]!;
    }
    farthest[place] = index;
    distances[place] = nearest;
    if (choices < SPAWN_CHOICES) choices++;
  }
  if (isEmpty) return nextBelow(words, HEAD.DICE, map.spawns.length);
  return farthest[nextBelow(words, HEAD.DICE, choices)]!;
}

/**
 * Takes hit points from a victim. Whoever falls to 0 dies at the end of the step, so that two who shoot
 * each other in the same tick both count, whatever their seats.
 */
export function hurt(world: ArenaWorld, victim: number, attacker: number, damage: number, isRocket: boolean): void {
  const { words, tick } = world;
  const at = world.seatAt(victim);
  if (damage <= 0 || words[at + SEAT.HP]! <= 0 || words[at + SEAT.PROTECTED_UNTIL]! > tick) return;
  const left = Math.max(0, words[at + SEAT.HP]! - damage);
  words[at + SEAT.HP] = left;
  if (attacker !== victim) noteAttacker(words, at + SEAT.ATTACKERS, attacker, tick);
  if (left === 0) {
    world.fatalBy[victim] = attacker;
    world.fatalByRocket[victim] = isRocket ? 1 : 0;
  }
}

/** Replaces the attacker's own earlier note, else a free one, else the oldest. */
function noteAttacker(words: Int32Array, list: number, attacker: number, tick: number): void {
  let place = list;
  for (let i = list; i < list + 2 * ATTACKERS; i += 2) {
    if (words[i] === attacker + 1) {
      place = i;
      break;
    }
    const isFree = words[i] === 0;
    if (words[place] !== 0 && (isFree || words[i + 1]! < words[place + 1]!)) place = i;
  }
  words[place] = attacker + 1;
  words[place + 1] = tick;
}

/** Buries everybody who fell to 0 in this step, in seat order. */
export function resolveDeaths(world: ArenaWorld): void {
  const { words, fatalBy, tick } = world;
  for (let victim = 0; victim < world.capacity; victim++) {
    const killer = fatalBy[victim]!;
    if (killer < 0) continue;
    fatalBy[victim] = -1;
    const at = world.seatAt(victim);
    let assist = -1;
    if (killer !== victim) {
      addScore(words, world.seatAt(killer) + SEAT.FRAGS);
      let latest = tick - ASSIST_TICKS;
      for (let i = at + SEAT.ATTACKERS; i < at + SEAT.ATTACKERS + 2 * ATTACKERS; i += 2) {
        const helper = words[i]! - 1;
        if (helper >= 0 && helper !== killer && words[i + 1]! > latest) {
          assist = helper;
          latest = words[i + 1]!;
        }
      }
      if (assist >= 0) addScore(words, world.seatAt(assist) + SEAT.ASSISTS);
    }
    addScore(words, at + SEAT.DEATHS);
    words[at + SEAT.IS_ALIVE] = 0;
    words[at + SEAT.VX] = 0;
    words[at + SEAT.VY] = 0;
    words[at + SEAT.DASH] = 0;
    words[at + SEAT.PROTECTED_UNTIL] = 0;
    words[at + SEAT.RESPAWN_AT] = tick + RESPAWN_TICKS;
    words.fill(0, at + SEAT.ATTACKERS, at + SEAT.ATTACKERS + 2 * ATTACKERS);
    const weapon = world.fatalByRocket[victim] === 1 ? 'rocket' : 'rifle';
    world.events.kills.push({ killer, victim, weapon, assist });
  }
}

function addScore(words: Int32Array, at: number): void {
  if (words[at]! < SCORE_MAX) words[at] = words[at]! + 1;
}

/** Cut to a bounded, well-formed string: half a surrogate pair would not survive UTF-8. */
function boundedName(text: string): string {
  return text.slice(0, NAME_UNITS_MAX).toWellFormed();
}
