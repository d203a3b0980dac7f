/**
 * What one player of the arena sees of it, as numbers: once as its client decoded them, once as the world of its owner
 * has them. Where both come to the same hash, the client sees nothing that did not happen.
 *
 * In it is what a client always has current: phase, own avatar, scoreboard, pickups, kills, explosions. Not in it is what
 * no journal knows (connections, round trips) and where others are, which interest may send later, see `witness.ts`.
 */
import { type ArenaState, AVATAR_FLAGS, NOBODY, WEAPONS } from '../../schema/arena-state.ts';
import { type Hash64, hashWords } from '../../src/kernel/hash.ts';
import type { ArenaWorld } from '../../src/sim/arena.ts';

/** Places that the kill feed and the explosions go round in, and where their numbers wrap; as rooms/arena-projection.ts. */
const PLACES = 8;
const NUMBERS = 65_535;
const SEATS_MAX = 128;
const WORDS_MAX = 4096;

const KEYS = Array.from({ length: SEATS_MAX }, (_, seat) => String(seat));
const words = new Int32Array(WORDS_MAX);
const hash: Hash64 = { hi: 0, lo: 0 };

/** Of what was written to the words; 52 of its 64 bits, so that it is a number. */
function hashed(count: number): number {
  hashWords(words, count, hash);
  return hash.hi * 2 ** 20 + (hash.lo & 0xfffff);
}

/** As the client in the seat has it. */
export function hashSeen(state: ArenaState, seat: number): number {
  let at = 0;
  words[at++] = state.phase;
  words[at++] = state.phaseEndsTick;
  words[at++] = state.phaseTick;
  const own = state.avatars?.get(KEYS[seat]!);
  words[at++] = own === undefined ? 0 : 1;
  if (own !== undefined) {
    words[at++] = own.x;
    words[at++] = own.y;
    words[at++] = own.vx;
    words[at++] = own.vy;
    words[at++] = own.aim;
    words[at++] = own.shots;
    words[at++] = own.flags & ~AVATAR_FLAGS.CONNECTED;
    words[at++] = own.dash;
    words[at++] = own.ammo;
    words[at++] = own.rockets;
    words[at++] = own.hp;
  }
  const { scores } = state;
  for (let at1 = 0, found = 0; at1 < SEATS_MAX && found < scores.size; at1++) {
    const score = scores.get(KEYS[at1]!);
    if (score === undefined) continue;
    found++;
    words[at++] = at1;
    words[at++] = score.isBot ? 1 : 0;
    words[at++] = score.frags;
    words[at++] = score.deaths;
    words[at++] = score.assists;
  }
  words[at++] = -1;
  for (const { isTaken } of state.pickups) words[at++] = isTaken ? 1 : 0;
  for (const { number, killer, victim, assist, weapon } of state.kills) {
    words[at++] = number;
    words[at++] = killer;
    words[at++] = victim;
    words[at++] = assist;
    words[at++] = weapon;
  }
  for (const { number, x, y } of state.explosions) {
    words[at++] = number;
    words[at++] = x;
    words[at++] = y;
  }
  return hashed(at);
}

/** The same, of a world that is stepped from tick 0. */
export class OwnerSight {
  readonly #world: ArenaWorld;
  readonly #kills = new Int32Array(PLACES * 5);
  readonly #explosions = new Int32Array(PLACES * 3);
  #killCount = 0;
  #explosionCount = 0;
  #phase = 0;
  #phaseEndsTick = 0;
  #phaseTick = 0;

  constructor(world: ArenaWorld) {
    this.#world = world;
  }

  /** After the step of `tick`. */
  note(tick: number): void {
    const { phase, phaseEndsTick, events } = this.#world;
    if (phase !== this.#phase || phaseEndsTick !== this.#phaseEndsTick) {
      this.#phase = phase;
      this.#phaseEndsTick = phaseEndsTick;
      this.#phaseTick = tick + 1;
    }
    for (const { killer, victim, assist, weapon } of events.kills) {
      const at = (this.#killCount % PLACES) * 5;
      const row = [0, killer, victim, assist < 0 ? NOBODY : assist, WEAPONS.indexOf(weapon)];
      row[0] = (this.#killCount++ % NUMBERS) + 1;
      this.#kills.set(row, at);
    }
    for (const { x, y } of events.explosions) {
      const at = (this.#explosionCount % PLACES) * 3;
      this.#explosions.set([(this.#explosionCount++ % NUMBERS) + 1, x, y], at);
    }
  }

  /** What the player in the seat is to see. */
  hashOf(seat: number): number {
    const world = this.#world;
    let at = 0;
    words[at++] = this.#phase;
    words[at++] = this.#phaseEndsTick;
    words[at++] = this.#phaseTick;
    words[at++] = world.isUsed(seat) ? 1 : 0;
    if (world.isUsed(seat)) {
      words[at++] = world.x(seat);
      words[at++] = world.y(seat);
      words[at++] = world.vx(seat);
      words[at++] = world.vy(seat);
      words[at++] = world.aim(seat);
      words[at++] = world.shots(seat);
      words[at++] =
        (world.isAlive(seat) ? AVATAR_FLAGS.ALIVE : 0) |
        (world.protectedTicks(seat) > 0 ? AVATAR_FLAGS.PROTECTED : 0) |
        (world.isDashing(seat) ? AVATAR_FLAGS.DASHING : 0);
      words[at++] = world.dash(seat);
      words[at++] = world.ammo(seat);
      words[at++] = world.rockets(seat);
      words[at++] = world.hp(seat);
    }
    for (let other = 0; other < world.capacity; other++) {
      if (!world.isUsed(other)) continue;
      words[at++] = other;
      words[at++] = world.isBot(other) ? 1 : 0;
      words[at++] = world.frags(other);
      words[at++] = world.deaths(other);
      words[at++] = world.assists(other);
    }
    words[at++] = -1;
    for (let index = 0; index < world.map.pickups.length; index++) words[at++] = world.isTaken(index) ? 1 : 0;
    words.set(this.#kills, at);
    at += this.#kills.length;
    words.set(this.#explosions, at);
    at += this.#explosions.length;
    return hashed(at);
  }
}
