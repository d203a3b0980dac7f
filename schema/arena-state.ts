/** What players of the arena see. Browser and Unity decode exactly these; see docs/protocol.md before a change. */
import { type SchemaType, schema, t } from '@colyseus/schema';

/** View tag of fields that only the entity's owner receives. */
export const OWNER = 2;

/** Bits of {@link Avatar}.flags. */
export const AVATAR_FLAGS = { ALIVE: 1, PROTECTED: 2, DASHING: 4, CONNECTED: 8 } as const;

/**
 * One fighter. All numbers are the simulation's own integers, so prediction starts exact. The fields
 * marked full-state-only are hot: they travel with a join or when the avatar comes into view, and from
 * then on in the segments that the interest serializer writes.
 */
export const Avatar = schema(
  {
    seat: t.uint8().default(0),
    name: t.string().default(''),
    isBot: t.boolean().default(false),
    hp: t.uint8().default(0),
    /** Position, 1/64 m. */
    x: t.int16().default(0).fullStateOnly(),
    y: t.int16().default(0).fullStateOnly(),
    /** Velocity, 1/1024 m per tick: only who predicts the avatar needs it. */
    vx: t.int16().default(0).fullStateOnly().view(OWNER),
    vy: t.int16().default(0).fullStateOnly().view(OWNER),
    /** Where the avatar points, 1/256 turn, 0 along +x, clockwise as y points down. */
    aim: t.uint8().default(0).fullStateOnly(),
    /** Rifle shots fired, modulo 256: a change is a tracer to draw. */
    shots: t.uint8().default(0).fullStateOnly(),
    flags: t.uint8().default(0).fullStateOnly(),
    /** Ticks until the next dash; see DASH in src/sim/tuning.ts. */
    dash: t.uint8().default(0).fullStateOnly().view(OWNER),
    ammo: t.uint8().default(0).fullStateOnly().view(OWNER),
    rockets: t.uint8().default(0).fullStateOnly().view(OWNER),
  },
  'Avatar',
);
export type Avatar = SchemaType<typeof Avatar>;

/** A rocket in flight; moves on a straight line, so its velocity never changes. */
export const Rocket = schema(
  {
    seat: t.uint8().default(0),
    x: t.int16().default(0).fullStateOnly(),
    y: t.int16().default(0).fullStateOnly(),
    vx: t.int16().default(0),
    vy: t.int16().default(0),
  },
  'Rocket',
);
export type Rocket = SchemaType<typeof Rocket>;

/** A place where health or ammunition lies, or will lie again. */
export const Pickup = schema(
  {
    kind: t.uint8().default(0),
    x: t.int16().default(0),
    y: t.int16().default(0),
    isTaken: t.boolean().default(false),
  },
  'Pickup',
);
export type Pickup = SchemaType<typeof Pickup>;

/** One line of the scoreboard; everybody sees all of them. */
export const Score = schema(
  {
    seat: t.uint8().default(0),
    name: t.string().default(''),
    isBot: t.boolean().default(false),
    isConnected: t.boolean().default(true),
    frags: t.uint16().default(0),
    deaths: t.uint16().default(0),
    assists: t.uint16().default(0),
    /** Smoothed round trip, ms, 0 for bots; refreshed every 2 s. */
    pingMs: t.uint16().default(0),
  },
  'Score',
);
export type Score = SchemaType<typeof Score>;

/** One place of the kill feed, used again and again: a kill is new when its number is. */
export const Kill = schema(
  {
    /** Counts the kills of the match from 1; 0 is an empty place. */
    number: t.uint16().default(0),
    /** Equal to the victim for a suicide. */
    killer: t.uint8().default(0),
    victim: t.uint8().default(0),
    /** Seat, or NOBODY. */
    assist: t.uint8().default(0),
    /** Index into WEAPONS. */
    weapon: t.uint8().default(0),
  },
  'Kill',
);
export type Kill = SchemaType<typeof Kill>;
export const NOBODY = 255;
export const WEAPONS = ['rifle', 'rocket'] as const;

/** One place for explosions, used again and again: in the state because a message each would cost a frame. */
export const Explosion = schema(
  {
    /** Counts the explosions of the match from 1, modulo 65536; 0 is an empty place. */
    number: t.uint16().default(0),
    x: t.int16().default(0),
    y: t.int16().default(0),
  },
  'Explosion',
);
export type Explosion = SchemaType<typeof Explosion>;

/** Values of {@link ArenaState}.phase. */
export const PHASES = ['warm-up', 'live', 'ended'] as const;

export const ArenaState = schema(
  {
    matchId: t.string().default(''),
    simVersion: t.uint16().default(0),
    tickRateHz: t.uint8().default(30),
    /** Map name, or `generated`, in which case `seed` and the size make it. */
    map: t.string().default(''),
    seed: t.uint32().default(0),
    phase: t.uint8().default(0),
    /** Tick at which the phase ends. */
    phaseEndsTick: t.uint32().default(0),
    /** Tick of the first patch after the last phase change, so that a client can count down. */
    phaseTick: t.uint32().default(0),
    scores: t.map(Score),
    pickups: t.array(Pickup),
    avatars: t.map(Avatar).view(),
    rockets: t.map(Rocket).view(),
    /** The latest ones, in no particular order. */
    kills: t.array(Kill),
    explosions: t.array(Explosion),
    /** Sides of the map, m: what a `generated` one is made from besides `seed`. */
    mapWidth: t.uint16().default(0),
    mapHeight: t.uint16().default(0),
  },
  'ArenaState',
);
export type ArenaState = SchemaType<typeof ArenaState>;
