/** Writes the arena's world into the state that players see. Only what differs is written: a write is a patch. */
import {
  type ArenaState,
  AVATAR_FLAGS,
  Avatar,
  Explosion,
  Kill,
  NOBODY,
  Pickup,
  Rocket,
  Score,
  WEAPONS,
} from '../schema/arena-state.ts';
import { hotIndexesOf, hotValuesOf } from '../src/match/colyseus-internals.ts';
import type { InterestPlugin } from '../src/match/interest-plugin.ts';
import type { ArenaWorld } from '../src/sim/arena.ts';
import { TICK_RATE_HZ } from '../src/sim/tuning.ts';
import type { Player } from './game-room.ts';

/** Ticks between two refreshes of round trips on the scoreboard. */
const PINGS_EVERY_TICKS = 2 * TICK_RATE_HZ;

/** Kills and explosions that one patch can carry; more in one patch would go unseen. */
const KILLS_SHOWN = 8;
const EXPLOSIONS_SHOWN = 8;
/** Numbers of events wrap within a uint16 and leave out 0. */
const NUMBERS = 65_535;

const HOT = hotIndexesOf(new Avatar(), ['x', 'y', 'vx', 'vy', 'aim', 'shots', 'flags', 'dash', 'ammo', 'rockets']);

type Interest = Pick<InterestPlugin, 'track' | 'move' | 'untrack' | 'observe' | 'ownerOf'>;

/** What the room knows of who sits in the seats. */
export interface SeatDirectory {
  /** True for bots. */
  isConnected(seat: number): boolean;
  /** Smoothed round trip, ms; 0 for bots. */
  rttMs(seat: number): number;
  /** Of who sits there, with a connection or without; empty for bots. */
  sessionId(seat: number): string;
  /** The connected one. */
  client(seat: number): Player | undefined;
}

/** What stands in the state of a new match before tick 0. */
export function fillArena(state: ArenaState, { setup, map }: ArenaWorld): void {
  state.map = setup.map;
  // The dice come from the seed, too: who knows it foresees spawns and spread. Only a generated map needs it.
  state.seed = setup.map === 'generated' ? setup.seed : 0;
  state.mapWidth = map.columns;
  state.mapHeight = map.rows;
  state.pickups.push(...map.pickups.map(({ kind, x, y }) => new Pickup().assign({ kind, x, y })));
  for (let i = 0; i < KILLS_SHOWN; i++) state.kills.push(new Kill());
  for (let i = 0; i < EXPLOSIONS_SHOWN; i++) state.explosions.push(new Explosion());
}

/** The places of a list that is used round and round, each with the number of what it shows. */
class Round<Place extends { number: number }> {
  readonly #places: readonly Place[];
  #at: number;
  #number: number;

  /** Goes on after the newest: the one that is not followed by its successor. */
  constructor(places: readonly Place[]) {
    this.#places = places;
    const newest = places.findIndex(
      ({ number }, i) => number !== 0 && places[(i + 1) % places.length]!.number !== (number % NUMBERS) + 1,
    );
    this.#at = newest + 1;
    this.#number = newest < 0 ? 0 : places[newest]!.number;
  }

  /** The place for the next one, already numbered. */
  next(): Place {
    const place = this.#places[this.#at++ % this.#places.length]!;
    this.#number = (this.#number % NUMBERS) + 1;
    place.number = this.#number;
    return place;
  }
}

export class ArenaProjection {
  readonly #state: ArenaState;
  readonly #world: ArenaWorld;
  readonly #interest: Interest;
  readonly #seats: SeatDirectory;
  readonly #avatars: (Avatar | undefined)[] = [];
  readonly #scores: (Score | undefined)[] = [];
  readonly #rockets: (Rocket | undefined)[] = [];
  readonly #rocketIds: number[] = [];
  /** Those of the state, without the proxy in front of its arrays. */
  readonly #pickups: readonly Pickup[];
  readonly #kills: Round<Kill>;
  readonly #explosions: Round<Explosion>;

  /** Of a state that shows the world already, too: a restored one. */
  constructor(state: ArenaState, world: ArenaWorld, interest: Interest, seats: SeatDirectory) {
    this.#state = state;
    this.#world = world;
    this.#interest = interest;
    this.#seats = seats;
    this.#pickups = [...state.pickups];
    this.#kills = new Round([...state.kills]);
    this.#explosions = new Round([...state.explosions]);
    for (let seat = 0; seat < world.capacity; seat++) {
      const avatar = state.avatars.get(String(seat));
      if (avatar === undefined) continue;
      this.#avatars[seat] = avatar;
      this.#scores[seat] = state.scores.get(String(seat));
    }
    for (let slot = 0; slot < world.rocketSlots; slot++) {
      const id = world.rocketId(slot);
      const rocket = id === 0 ? undefined : state.rockets.get(String(id));
      if (rocket === undefined) continue;
      this.#rockets[slot] = rocket;
      this.#rocketIds[slot] = id;
    }
  }

  /** After the step of `tick`. */
  update(tick: number): void {
    this.#updatePhase(tick);
    for (let seat = 0; seat < this.#world.capacity; seat++) this.#updateSeat(seat);
    this.#updateRockets();
    this.#updatePickups();
    this.#updateEvents();
    if (tick % PINGS_EVERY_TICKS === 0) this.#updatePings();
  }

  /** The client in the seat sees the arena from its avatar, as soon as there is one. */
  follow(client: Player, seat: number): void {
    const avatar = this.#avatars[seat];
    if (avatar !== undefined) this.#interest.observe(client, avatar);
  }

  #updatePhase(tick: number): void {
    const { phase, phaseEndsTick } = this.#world;
    const state = this.#state;
    if (state.phase === phase && state.phaseEndsTick === phaseEndsTick) return;
    state.phase = phase;
    state.phaseEndsTick = phaseEndsTick;
    state.phaseTick = tick + 1;
  }

  #updateSeat(seat: number): void {
    const world = this.#world;
    const avatar = this.#avatars[seat];
    if (!world.isUsed(seat)) {
      if (avatar !== undefined) this.#removeSeat(seat, avatar);
      return;
    }
    const isConnected = this.#seats.isConnected(seat);
    // A seat that changes hands within one tick is another fighter, whatever its name.
    if (avatar === undefined || this.#interest.ownerOf(avatar) !== this.#seats.sessionId(seat)) {
      if (avatar !== undefined) this.#removeSeat(seat, avatar);
      this.#writeAvatar(seat, this.#addSeat(seat), isConnected);
    } else {
      this.#writeAvatar(seat, avatar, isConnected);
    }
    const score = this.#scores[seat]!;
    score.isConnected = isConnected;
    score.frags = world.frags(seat);
    score.deaths = world.deaths(seat);
    score.assists = world.assists(seat);
  }

  #writeAvatar(seat: number, avatar: Avatar, isConnected: boolean): void {
    const world = this.#world;
    const x = world.x(seat);
    const y = world.y(seat);
    const hot = hotValuesOf(avatar);
    hot[HOT.x] = x;
    hot[HOT.y] = y;
    hot[HOT.vx] = world.vx(seat);
    hot[HOT.vy] = world.vy(seat);
    hot[HOT.aim] = world.aim(seat);
    hot[HOT.shots] = world.shots(seat);
    hot[HOT.dash] = world.dash(seat);
    hot[HOT.ammo] = world.ammo(seat);
    hot[HOT.rockets] = world.rockets(seat);
    hot[HOT.flags] =
      (world.isAlive(seat) ? AVATAR_FLAGS.ALIVE : 0) |
      (world.protectedTicks(seat) > 0 ? AVATAR_FLAGS.PROTECTED : 0) |
      (world.isDashing(seat) ? AVATAR_FLAGS.DASHING : 0) |
      (isConnected ? AVATAR_FLAGS.CONNECTED : 0);
    avatar.hp = world.hp(seat);
    this.#interest.move(avatar, x, y);
  }

  #addSeat(seat: number): Avatar {
    const name = this.#world.name(seat);
    const isBot = this.#world.isBot(seat);
    const key = String(seat);
    const score = new Score().assign({ seat, name, isBot });
    this.#scores[seat] = score;
    this.#state.scores.set(key, score);
    const avatar = new Avatar().assign({ seat, name, isBot });
    this.#avatars[seat] = avatar;
    this.#state.avatars.set(key, avatar);
    // Its player may have lost the connection since it joined, and comes back with the same session.
    const sessionId = this.#seats.sessionId(seat);
    this.#interest.track(avatar, sessionId === '' ? {} : { owner: sessionId });
    const client = this.#seats.client(seat);
    if (client !== undefined) this.#interest.observe(client, avatar);
    return avatar;
  }

  #removeSeat(seat: number, avatar: Avatar): void {
    this.#interest.untrack(avatar);
    this.#state.avatars.delete(String(seat));
    this.#state.scores.delete(String(seat));
    this.#avatars[seat] = undefined;
    this.#scores[seat] = undefined;
  }

  #updateRockets(): void {
    const world = this.#world;
    for (let slot = 0; slot < world.rocketSlots; slot++) {
      const id = world.rocketId(slot);
      let rocket = this.#rockets[slot];
      if (rocket !== undefined && this.#rocketIds[slot] !== id) {
        this.#interest.untrack(rocket);
        this.#state.rockets.delete(String(this.#rocketIds[slot]));
        rocket = undefined;
        this.#rockets[slot] = undefined;
      }
      if (id === 0) continue;
      if (rocket === undefined) {
        rocket = new Rocket().assign({
          seat: world.rocketSeat(slot),
          vx: world.rocketVx(slot),
          vy: world.rocketVy(slot),
        });
        this.#rockets[slot] = rocket;
        this.#rocketIds[slot] = id;
        this.#state.rockets.set(String(id), rocket);
        this.#interest.track(rocket);
      }
      rocket.x = world.rocketX(slot);
      rocket.y = world.rocketY(slot);
      this.#interest.move(rocket, rocket.x, rocket.y);
    }
  }

  #updatePickups(): void {
    const pickups = this.#pickups;
    for (let index = 0; index < pickups.length; index++) pickups[index]!.isTaken = this.#world.isTaken(index);
  }

  #updateEvents(): void {
    const { kills, explosions } = this.#world.events;
    for (const { killer, victim, assist, weapon } of kills) {
      const place = this.#kills.next();
      place.killer = killer;
      place.victim = victim;
      place.assist = assist < 0 ? NOBODY : assist;
      place.weapon = WEAPONS.indexOf(weapon);
    }
    for (const { x, y } of explosions) {
      const place = this.#explosions.next();
      place.x = x;
      place.y = y;
    }
  }

  #updatePings(): void {
    for (let seat = 0; seat < this.#scores.length; seat++) {
      const score = this.#scores[seat];
      const rttMs = score === undefined ? 0 : this.#seats.rttMs(seat);
      // Not measured yet, or not again: the last one stands.
      if (rttMs > 0) score!.pingMs = Math.min(Math.round(rttMs), 65_535);
    }
  }
}
