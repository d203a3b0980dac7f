/** The arena's world: every deciding number in one Int32Array, so that copying and hashing it is trivial. */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { GameError } from '../kernel/errors.ts';
import { crc32, type Hash64, hashWords } from '../kernel/hash.ts';
import { seedSfc32 } from '../kernel/rng.ts';
import type { MatchSetup, Standing } from '../kernel/simulation.ts';
import { isDashing } from './body.ts';
import { type ArenaMap, arenaMap, isBlocked, MAP_NAMES, type MapName } from './map.ts';
import {
  AMMO_MAX,
  DASH_COOLDOWN_TICKS,
  ENDED_TICKS_DEFAULT,
  HISTORY_TICKS,
  HP_MAX,
  LIVE_TICKS_DEFAULT,
  MAP_SIDE_MAX_METRES,
  MAP_SIDE_MIN_METRES,
  PHASE_ENDED,
  PHASE_TICKS_MAX,
  PHASE_WARM_UP,
  ROCKETS_MAX,
  SCORE_MAX,
  SEATS_MAX,
  SEATS_MIN,
  SIM_VERSION,
  VELOCITY_MAX,
  WARM_UP_TICKS_DEFAULT,
} from './tuning.ts';

/** A match setup with every default filled in. */
export interface ArenaSetup {
  /** 0 to 2^32 - 1. Decides dice and, for `generated`, the map. */
  readonly seed: number;
  readonly map: MapName;
  /** Sides of a generated map, m; the drawn map's own otherwise. */
  readonly width: number;
  readonly height: number;
  readonly warmupTicks: number;
  readonly liveTicks: number;
  readonly endedTicks: number;
  /** Seats that must be taken before the match goes live. */
  readonly minPlayers: number;
  /** Seats there are, 2 to 128. */
  readonly capacity: number;
}

/** Words of the header, by place. The setup is among them, so that the hash covers it. */
export const HEAD = {
  TICK: 0,
  PHASE: 1,
  PHASE_STARTED: 2,
  PHASE_ENDS: 3,
  DICE: 4,
  ROCKET_ID: 8,
  SEED: 9,
  MAP: 10,
  WIDTH: 11,
  HEIGHT: 12,
  WARM_UP_TICKS: 13,
  LIVE_TICKS: 14,
  ENDED_TICKS: 15,
  MIN_PLAYERS: 16,
  CAPACITY: 17,
} as const;
const HEAD_WORDS = 18;

/** Latest attackers kept a victim, for assists. */
export const ATTACKERS = 4;

/** Words of a seat, by place. A free seat is all zeros. */
export const SEAT = {
  /** 0 free, 1 player, 2 bot. */
  OCCUPANT: 0,
  IS_ALIVE: 1,
  X: 2,
  Y: 3,
  VX: 4,
  VY: 5,
  DASH: 6,
  AIM: 7,
  HP: 8,
  AMMO: 9,
  ROCKETS: 10,
  /** First tick in which the weapon fires again. */
  RIFLE_READY: 11,
  ROCKET_READY: 12,
  /** First tick in which damage counts. */
  PROTECTED_UNTIL: 13,
  /** Tick at which a dead one appears again. */
  RESPAWN_AT: 14,
  /** Tick of the current life's first position; no shot may be judged by one before it. */
  BORN: 15,
  SHOTS: 16,
  FRAGS: 17,
  DEATHS: 18,
  ASSISTS: 19,
  /** Ticks without an intent. */
  IDLE: 20,
  /** Pairs of seat + 1 (0 for none) and tick of that seat's last damage. */
  ATTACKERS: 21,
  /** Pairs of x and y at the end of tick t, at place t modulo HISTORY_TICKS. */
  PAST: 21 + 2 * ATTACKERS,
} as const;
export const SEAT_WORDS = SEAT.PAST + 2 * HISTORY_TICKS;
const SEAT_NAMES = [
  'occupant',
  'isAlive',
  'x',
  'y',
  'vx',
  'vy',
  'dash',
  'aim',
  'hp',
  'ammo',
  'rockets',
  'rifleReady',
  'rocketReady',
  'protectedUntil',
  'respawnAt',
  'born',
  'shots',
  'frags',
  'deaths',
  'assists',
  'idle',
];
const HEAD_NAMES = [
  'tick',
  'phase',
  'phaseStarted',
  'phaseEnds',
  'dice[0]',
  'dice[1]',
  'dice[2]',
  'dice[3]',
  'rocketId',
  'seed',
  'map',
  'width',
  'height',
  'warmupTicks',
  'liveTicks',
  'endedTicks',
  'minPlayers',
  'capacity',
];

/** Words of a rocket, by place. A free slot is all zeros. */
export const ROCKET = {
  /** Counts up over the match from 1; 0 is a free slot. */
  ID: 0,
  SEAT: 1,
  /** 1/1024 m: finer than bodies, so that a slanting flight is straight. */
  X: 2,
  Y: 3,
  /** 1/1024 m per tick. */
  VX: 4,
  VY: 5,
  /** Tick in which it bursts by itself. */
  EXPIRES: 6,
} as const;
export const ROCKET_WORDS = 7;
const ROCKET_NAMES = ['id', 'seat', 'x', 'y', 'vx', 'vy', 'expires'];

export type Weapon = 'rifle' | 'rocket';

export interface KillEvent {
  /** Equal to `victim` for a suicide. */
  readonly killer: number;
  readonly victim: number;
  readonly weapon: Weapon;
  /** Seat that helped, or -1. */
  readonly assist: number;
}

export interface ShotEvent {
  readonly seat: number;
  /** Where it began and ended, 1/64 m. */
  readonly x: number;
  readonly y: number;
  readonly toX: number;
  readonly toY: number;
  /** Seat it hit, or -1. */
  readonly victim: number;
}

export interface ExplosionEvent {
  /** Whose rocket. */
  readonly seat: number;
  /** 1/64 m. */
  readonly x: number;
  readonly y: number;
}

/** What happened in the last step, for eyes and ears: not part of the world, not encoded, decides nothing. */
export interface ArenaEvents {
  readonly kills: KillEvent[];
  readonly shots: ShotEvent[];
  readonly explosions: ExplosionEvent[];
}

/** Longest name and player id kept, UTF-16 units. */
export const NAME_UNITS_MAX = 64;

/**
 * One match. Rooms and clients read it through its methods; seats are 0 to `capacity - 1`. Only the
 * rules in this folder write it.
 */
export class ArenaWorld {
  readonly setup: ArenaSetup;
  readonly map: ArenaMap;
  readonly capacity: number;
  /** Places for rockets in flight; see {@link rocketId}. */
  readonly rocketSlots: number;
  /** Everything that decides. */
  readonly words: Int32Array<ArrayBuffer>;
  readonly names: string[];
  readonly playerIds: string[];
  readonly events: ArenaEvents = { kills: [], shots: [], explosions: [] };
  /** Word of rocket slot 0 and of pickup 0. */
  readonly rocketsAt: number;
  readonly pickupsAt: number;
  /** Of the step under way: intents taken by seat, who dealt the fatal blow (-1 nobody), whether by rocket. */
  readonly taken: Uint8Array;
  readonly fatalBy: Int16Array;
  readonly fatalByRocket: Uint8Array;

  constructor(setup: ArenaSetup) {
    this.setup = setup;
    this.map = arenaMap(setup.map, setup.seed, setup.width, setup.height);
    this.capacity = setup.capacity;
    this.rocketSlots = rocketSlotsFor(setup.capacity);
    this.rocketsAt = HEAD_WORDS + setup.capacity * SEAT_WORDS;
    this.pickupsAt = this.rocketsAt + this.rocketSlots * ROCKET_WORDS;
    this.words = new Int32Array(this.pickupsAt + this.map.pickups.length);
    this.names = new Array<string>(setup.capacity).fill('');
    this.playerIds = new Array<string>(setup.capacity).fill('');
    this.taken = new Uint8Array(setup.capacity);
    this.fatalBy = new Int16Array(setup.capacity).fill(-1);
    this.fatalByRocket = new Uint8Array(setup.capacity);
  }

  /** First word of a seat. */
  seatAt(seat: number): number {
    return HEAD_WORDS + seat * SEAT_WORDS;
  }

  /** First word of a rocket slot. */
  rocketAt(slot: number): number {
    return this.rocketsAt + slot * ROCKET_WORDS;
  }

  #seat(seat: number, place: number): number {
    return this.words[HEAD_WORDS + seat * SEAT_WORDS + place]!;
  }

  /** The next tick to step; what is read here is the state at the end of the tick before it. */
  get tick(): number {
    return this.words[HEAD.TICK]!;
  }

  /** PHASE_WARM_UP, PHASE_LIVE or PHASE_ENDED. */
  get phase(): number {
    return this.words[HEAD.PHASE]!;
  }

  get phaseStartedTick(): number {
    return this.words[HEAD.PHASE_STARTED]!;
  }

  /** Tick at which the phase ends; a warm-up past it waits for players. */
  get phaseEndsTick(): number {
    return this.words[HEAD.PHASE_ENDS]!;
  }

  get seatsTaken(): number {
    let count = 0;
    for (let seat = 0; seat < this.capacity; seat++) if (this.isUsed(seat)) count++;
    return count;
  }

  isUsed(seat: number): boolean {
    return this.#seat(seat, SEAT.OCCUPANT) !== 0;
  }
  isBot(seat: number): boolean {
    return this.#seat(seat, SEAT.OCCUPANT) === 2;
  }
  isAlive(seat: number): boolean {
    return this.#seat(seat, SEAT.IS_ALIVE) !== 0;
  }
  /** Display name; empty for a free seat. */
  name(seat: number): string {
    return this.names[seat]!;
  }
  /** Stable identity; empty for bots and free seats. */
  playerId(seat: number): string {
    return this.playerIds[seat]!;
  }
  /** Centre, 1/64 m; of a dead one, where it fell. */
  x(seat: number): number {
    return this.#seat(seat, SEAT.X);
  }
  y(seat: number): number {
    return this.#seat(seat, SEAT.Y);
  }
  /** 1/1024 m per tick. */
  vx(seat: number): number {
    return this.#seat(seat, SEAT.VX);
  }
  vy(seat: number): number {
    return this.#seat(seat, SEAT.VY);
  }
  /** 1/256 turn, 0 along +x towards +y. */
  aim(seat: number): number {
    return this.#seat(seat, SEAT.AIM);
  }
  /** Steps until the next dash, 0 to 75. */
  dash(seat: number): number {
    return this.#seat(seat, SEAT.DASH);
  }
  isDashing(seat: number): boolean {
    return isDashing(this.#seat(seat, SEAT.DASH));
  }
  /** 0 to 100. */
  hp(seat: number): number {
    return this.#seat(seat, SEAT.HP);
  }
  ammo(seat: number): number {
    return this.#seat(seat, SEAT.AMMO);
  }
  rockets(seat: number): number {
    return this.#seat(seat, SEAT.ROCKETS);
  }
  /** Rifle shots fired, modulo 256. */
  shots(seat: number): number {
    return this.#seat(seat, SEAT.SHOTS);
  }
  frags(seat: number): number {
    return this.#seat(seat, SEAT.FRAGS);
  }
  deaths(seat: number): number {
    return this.#seat(seat, SEAT.DEATHS);
  }
  assists(seat: number): number {
    return this.#seat(seat, SEAT.ASSISTS);
  }
  /** Ticks of spawn protection left. */
  protectedTicks(seat: number): number {
    return Math.max(0, this.#seat(seat, SEAT.PROTECTED_UNTIL) - this.tick);
  }
  /** Ticks until a dead one appears again; 0 for the living. */
  respawnTicks(seat: number): number {
    return this.isAlive(seat) ? 0 : Math.max(0, this.#seat(seat, SEAT.RESPAWN_AT) - this.tick);
  }
  /** Tick of the first position of this life: a larger one than before means a jump, not a move. */
  bornTick(seat: number): number {
    return this.#seat(seat, SEAT.BORN);
  }

  /** Unique over the match and growing, from 1; 0 if the slot is free. */
  rocketId(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.ID]!;
  }
  rocketSeat(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.SEAT]!;
  }
  /** 1/64 m. */
  rocketX(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.X]! >> 4;
  }
  rocketY(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.Y]! >> 4;
  }
  /** 1/1024 m per tick; never changes in flight. */
  rocketVx(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.VX]!;
  }
  rocketVy(slot: number): number {
    return this.words[this.rocketAt(slot) + ROCKET.VY]!;
  }

  /** Whether the pickup at `map.pickups[index]` was taken and is not back yet. */
  isTaken(index: number): boolean {
    return this.words[this.pickupsAt + index]! > this.tick;
  }
}

/** Enough for what everybody can have in flight at the usual pace; a full sky refuses the shot and costs nothing. */
function rocketSlotsFor(capacity: number): number {
  return Math.max(16, capacity * 2);
}

/**
 * Fills defaults in and checks ranges; keys that are not the arena's are left alone.
 * @throws RangeError naming the key
 */
export function parseSetup(setup: MatchSetup): ArenaSetup {
  const integer = (key: string, fallback: number, least: number, most: number): number => {
    const value = setup[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw new RangeError(`setup.${key} is an integer from ${least} to ${most}, not ${JSON.stringify(value)}`);
    }
    return value;
  };
  const map = setup['map'] ?? 'colosseum';
  if (map !== 'colosseum' && map !== 'generated') {
    throw new RangeError(`setup.map is one of ${MAP_NAMES.join(', ')}, not ${JSON.stringify(map)}`);
  }
  const isDrawn = map === 'colosseum';
  const capacity = integer('capacity', 16, SEATS_MIN, SEATS_MAX);
  return {
    seed: integer('seed', 0, 0, 0xffffffff),
    map,
    width: isDrawn ? 80 : integer('width', 80, MAP_SIDE_MIN_METRES, MAP_SIDE_MAX_METRES),
    height: isDrawn ? 60 : integer('height', 60, MAP_SIDE_MIN_METRES, MAP_SIDE_MAX_METRES),
    warmupTicks: integer('warmupTicks', WARM_UP_TICKS_DEFAULT, 0, PHASE_TICKS_MAX),
    liveTicks: integer('liveTicks', LIVE_TICKS_DEFAULT, 1, PHASE_TICKS_MAX),
    endedTicks: integer('endedTicks', ENDED_TICKS_DEFAULT, 0, PHASE_TICKS_MAX),
    minPlayers: integer('minPlayers', 2, 1, capacity),
    capacity,
  };
}

/** The world before tick 0: empty seats, warm-up. @throws RangeError if the setup is out of range */
export function createWorld(matchSetup: MatchSetup): ArenaWorld {
  const setup = parseSetup(matchSetup);
  const world = new ArenaWorld(setup);
  const { words } = world;
  words[HEAD.PHASE] = PHASE_WARM_UP;
  words[HEAD.PHASE_ENDS] = setup.warmupTicks;
  seedSfc32(words, HEAD.DICE, setup.seed);
  words[HEAD.SEED] = setup.seed;
  words[HEAD.MAP] = MAP_NAMES.indexOf(setup.map);
  words[HEAD.WIDTH] = setup.width;
  words[HEAD.HEIGHT] = setup.height;
  words[HEAD.WARM_UP_TICKS] = setup.warmupTicks;
  words[HEAD.LIVE_TICKS] = setup.liveTicks;
  words[HEAD.ENDED_TICKS] = setup.endedTicks;
  words[HEAD.MIN_PLAYERS] = setup.minPlayers;
  words[HEAD.CAPACITY] = setup.capacity;
  return world;
}

export function hashWorld(world: ArenaWorld, out: Hash64): Hash64 {
  return hashWords(world.words, world.words.length, out);
}

/** `HYPW`, little-endian. */
const MAGIC = 0x57505948;
/** Above any legal world: 128 seats and all that flies and lies there. */
const WORDS_MAX = 1 << 16;

/**
 * Layout: u32 magic, u16 version, varint word count, the words as zigzag varints (a 0 is followed by the
 * varint count of further zeros), name and player id of each taken seat, u32 CRC-32 of all before it. The
 * place of magic, version and checksum is the same in every version.
 */
export function encodeWorld(world: ArenaWorld): Uint8Array<ArrayBuffer> {
  const { words } = world;
  const to = new ByteWriter(4096);
  to.u32(MAGIC).u16(SIM_VERSION).varint(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    to.varint(((word << 1) ^ (word >> 31)) >>> 0);
    if (word === 0) {
      let zeros = 0;
      while (i + 1 < words.length && words[i + 1] === 0) {
        zeros++;
        i++;
      }
      to.varint(zeros);
    }
  }
  for (let seat = 0; seat < world.capacity; seat++) {
    if (world.isUsed(seat)) to.string(world.names[seat]!).string(world.playerIds[seat]!);
  }
  return to.u32(crc32(to.view())).bytes();
}

/**
 * The world that {@link encodeWorld} wrote.
 * @throws GameError SNAPSHOT_CORRUPT if the checksum or the content does not fit, SNAPSHOT_VERSION if it is
 * whole but of another version
 */
export function decodeWorld(bytes: Uint8Array): ArenaWorld {
  if (bytes.length < 10) throw new GameError('SNAPSHOT_CORRUPT', { sizeBytes: bytes.length });
  const body = bytes.subarray(0, bytes.length - 4);
  if (new ByteReader(bytes.subarray(bytes.length - 4)).u32() !== crc32(body)) throw new GameError('SNAPSHOT_CORRUPT');
  const from = new ByteReader(body);
  if (from.u32() !== MAGIC) throw new GameError('SNAPSHOT_CORRUPT', { reason: 'not a world' });
  const version = from.u16();
  if (version !== SIM_VERSION) throw new GameError('SNAPSHOT_VERSION', { version, known: SIM_VERSION });
  try {
    return readWorld(from);
  } catch (error) {
    // Whole by its checksum and yet no world: written by a bug or by hand. Every read below throws one of these.
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new GameError('SNAPSHOT_CORRUPT', { reason: error.message }, error);
    }
    throw error;
  }
}

function readWorld(from: ByteReader): ArenaWorld {
  const count = from.varint();
  if (count < HEAD_WORDS || count > WORDS_MAX) throw new RangeError(`${count} words`);
  const words = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const zigzag = from.varint();
    if (zigzag > 0xffffffff) throw new RangeError(`word ${i} has more than 32 bits`);
    words[i] = (zigzag >>> 1) ^ -(zigzag & 1);
    if (zigzag === 0) {
      const zeros = from.varint();
      if (zeros >= count - i) throw new RangeError(`zeros after word ${i} pass the end`);
      i += zeros;
    }
  }
  const setup = parseSetup({
    seed: words[HEAD.SEED]! >>> 0,
    map: MAP_NAMES[words[HEAD.MAP]!] ?? 'unknown',
    width: words[HEAD.WIDTH]!,
    height: words[HEAD.HEIGHT]!,
    warmupTicks: words[HEAD.WARM_UP_TICKS]!,
    liveTicks: words[HEAD.LIVE_TICKS]!,
    endedTicks: words[HEAD.ENDED_TICKS]!,
    minPlayers: words[HEAD.MIN_PLAYERS]!,
    capacity: words[HEAD.CAPACITY]!,
  });
  const world = new ArenaWorld(setup);
  if (world.words.length !== count) throw new RangeError(`${count} words, not ${world.words.length}`);
  world.words.set(words);
  for (let seat = 0; seat < world.capacity; seat++) {
    if (!world.isUsed(seat)) continue;
    world.names[seat] = from.string();
    world.playerIds[seat] = from.string();
  }
  if (from.remaining !== 0) throw new RangeError(`${from.remaining} bytes too many`);
  const fault = faultOf(world);
  if (fault !== undefined) throw new RangeError(fault);
  return world;
}

/**
 * The first broken invariant of a world, in words, or undefined: what every legal world holds at the end
 * of every tick. Decoding refuses worlds by it, and the property tests are stated with it.
 */
export function faultOf(world: ArenaWorld): string | undefined {
  const { words, capacity, map } = world;
  const within = (value: number, least: number, most: number): boolean => value >= least && value <= most;
  if (world.tick < 0) return `tick ${world.tick}`;
  if (!within(world.phase, PHASE_WARM_UP, PHASE_ENDED)) return `phase ${world.phase}`;
  for (let seat = 0; seat < capacity; seat++) {
    const at = world.seatAt(seat);
    const is = (what: string, place: number): string => `seat ${seat}: ${what} ${words[at + place]}`;
    if (!within(words[at + SEAT.OCCUPANT]!, 0, 2)) return is('occupant', SEAT.OCCUPANT);
    if (!world.isUsed(seat)) {
      for (let i = 0; i < SEAT_WORDS; i++) if (words[at + i] !== 0) return is('free, yet holds', i);
      continue;
    }
    if (!within(words[at + SEAT.IS_ALIVE]!, 0, 1)) return is('isAlive', SEAT.IS_ALIVE);
    if (isBlocked(map, world.x(seat), world.y(seat)))
      return `seat ${seat}: in a wall at ${world.x(seat)}, ${world.y(seat)}`;
    if (!within(world.vx(seat), -VELOCITY_MAX, VELOCITY_MAX)) return is('vx', SEAT.VX);
    if (!within(world.vy(seat), -VELOCITY_MAX, VELOCITY_MAX)) return is('vy', SEAT.VY);
    if (!within(world.dash(seat), 0, DASH_COOLDOWN_TICKS)) return is('dash', SEAT.DASH);
    if (!within(world.aim(seat), 0, 255)) return is('aim', SEAT.AIM);
    if (!within(world.hp(seat), 0, HP_MAX)) return is('hp', SEAT.HP);
    if (world.isAlive(seat) !== world.hp(seat) > 0)
      return is(world.isAlive(seat) ? 'alive with hp' : 'dead with hp', SEAT.HP);
    if (!within(world.ammo(seat), 0, AMMO_MAX)) return is('ammo', SEAT.AMMO);
    if (!within(world.rockets(seat), 0, ROCKETS_MAX)) return is('rockets', SEAT.ROCKETS);
    if (!within(world.shots(seat), 0, 255)) return is('shots', SEAT.SHOTS);
    for (const place of [SEAT.FRAGS, SEAT.DEATHS, SEAT.ASSISTS]) {
      if (!within(words[at + place]!, 0, SCORE_MAX)) return is('score', place);
    }
    for (let i = 0; i < ATTACKERS; i++) {
      if (!within(words[at + SEAT.ATTACKERS + 2 * i]!, 0, capacity)) return is('attacker', SEAT.ATTACKERS + 2 * i);
    }
    if (!within(world.bornTick(seat), 0, world.tick)) return is('born', SEAT.BORN);
  }
  for (let slot = 0; slot < world.rocketSlots; slot++) {
    const at = world.rocketAt(slot);
    if (words[at + ROCKET.ID] === 0) {
      for (let i = 0; i < ROCKET_WORDS; i++) if (words[at + i] !== 0) return `rocket slot ${slot}: free, yet not empty`;
      continue;
    }
    const seat = world.rocketSeat(slot);
    if (!within(seat, 0, capacity - 1) || !world.isUsed(seat)) return `rocket slot ${slot}: of seat ${seat}`;
    if (!within(world.rocketVx(slot), -VELOCITY_MAX, VELOCITY_MAX)) return `rocket slot ${slot}: vx`;
    if (!within(world.rocketVy(slot), -VELOCITY_MAX, VELOCITY_MAX)) return `rocket slot ${slot}: vy`;
    const column = world.rocketX(slot) >> 6;
    const row = world.rocketY(slot) >> 6;
    if (!within(column, 0, map.columns - 1) || !within(row, 0, map.rows - 1)) return `rocket slot ${slot}: off the map`;
  }
  return undefined;
}

/**
 * Best first: more frags, then fewer deaths; who is equal in both draws and stands in the order of seats. Those who
 * left are not in it.
 */
export function standingsOf(world: ArenaWorld): Standing[] {
  const rows: Standing[] = [];
  for (let seat = 0; seat < world.capacity; seat++) {
    if (!world.isUsed(seat)) continue;
    rows.push({
      seat,
      name: world.name(seat),
      playerId: world.playerId(seat),
      isBot: world.isBot(seat),
      score: { frags: world.frags(seat), deaths: world.deaths(seat), assists: world.assists(seat) },
    });
  }
  const byScore = ({ score: a }: Standing, { score: b }: Standing): number =>
    b['frags']! - a['frags']! || a['deaths']! - b['deaths']!;
  rows.sort((a, b) => byScore(a, b) || a.seat - b.seat);
  let rank = 1;
  return rows.map((row, at) => {
    if (at > 0 && byScore(rows[at - 1]!, row) !== 0) rank = at + 1;
    return { ...row, rank };
  });
}

/** Path and value of every deciding word, in the order of the words. */
export function* fieldsOf(world: ArenaWorld): Generator<readonly [path: string, value: number]> {
  const { words } = world;
  for (let i = 0; i < HEAD_WORDS; i++) yield [HEAD_NAMES[i]!, words[i]!];
  for (let seat = 0; seat < world.capacity; seat++) {
    const at = world.seatAt(seat);
    for (let i = 0; i < SEAT_NAMES.length; i++) yield [`seat[${seat}].${SEAT_NAMES[i]}`, words[at + i]!];
    for (let i = 0; i < ATTACKERS; i++) {
      yield [`seat[${seat}].attacker[${i}].seat`, words[at + SEAT.ATTACKERS + 2 * i]!];
      yield [`seat[${seat}].attacker[${i}].tick`, words[at + SEAT.ATTACKERS + 2 * i + 1]!];
    }
    for (let i = 0; i < HISTORY_TICKS; i++) {
      yield [`seat[${seat}].past[${i}].x`, words[at + SEAT.PAST + 2 * i]!];
      yield [`seat[${seat}].past[${i}].y`, words[at + SEAT.PAST + 2 * i + 1]!];
    }
  }
  for (let slot = 0; slot < world.rocketSlots; slot++) {
    for (let i = 0; i < ROCKET_WORDS; i++)
      yield [`rocket[${slot}].${ROCKET_NAMES[i]}`, words[world.rocketAt(slot) + i]!];
  }
  for (let i = 0; i < world.map.pickups.length; i++) yield [`pickup[${i}].backAt`, words[world.pickupsAt + i]!];
}
