/**
 * Every number a designer of the arena turns, with its unit. Lengths are in units of 1/64 m, velocities
 * in 1/1024 m per tick (a sixteenth of a unit per tick), angles in 1/256 turn, times in ticks of 1/30 s.
 * A change here changes the rules: raise {@link SIM_VERSION} and make the golden match anew.
 */

/** Raised with every change of rules or of the encoded world. */
export const SIM_VERSION = 1;
/** Ticks per second these numbers are tuned for. */
export const TICK_RATE_HZ = 30;
/** Position units in a metre. */
export const UNITS_PER_METRE = 64;
/** Velocity units in a position unit per tick. */
export const VELOCITY_PER_UNIT = 16;

// Seats and maps
export const SEATS_MIN = 2;
export const SEATS_MAX = 128;
export const MAP_SIDE_MIN_METRES = 16;
/** Below 512 m, so that a position fits the int16 of the wire. */
export const MAP_SIDE_MAX_METRES = 500;

// Input
/** Bits of an intent's `buttons`; the input schema carries the same. */
export const BUTTONS = { FIRE: 1, ROCKET: 2, DASH: 4 } as const;
/** Longest move vector; a longer one counts as this long. */
export const MOVE_MAX = 127;
/** Intents of one seat that count in one tick; more are ignored. */
export const MAX_INTENTS_PER_TICK = 4;
/** Ticks without an intent for which a body waits for a late frame; after them it coasts to rest. */
export const IDLE_AFTER_TICKS = 8;

// Body
/** Half the side of the square that collides with walls: 0.375 m. */
export const BODY_HALF_UNITS = 24;
/** Radius of the disc that bullets and rockets hit: 0.4375 m. */
export const BODY_RADIUS_UNITS = 28;
/** 8 m/s. A multiple of 16 whose diagonal is one too, nearly: rounding makes no direction faster. */
export const RUN_VELOCITY = 272;
/** Change of velocity per tick while a direction is asked for. */
export const ACCELERATION = 72;
/** Change of velocity per tick towards rest. */
export const BRAKING = 56;
/** Change of velocity per tick above running speed: after a dash or a blast. */
export const SLIDING = 90;
/** Fastest along one axis, 60 m/s, whatever blasts add up to. */
export const VELOCITY_MAX = 2048;
/** 18.75 m/s. */
export const DASH_VELOCITY = 640;
/** Ticks of held dash velocity. */
export const DASH_TICKS = 5;
/** From the start of a dash to the next one, 2.5 s; what the `dash` counter starts at. Fits a uint8. */
export const DASH_COOLDOWN_TICKS = 75;

// Health
export const HP_MAX = 100;
export const RESPAWN_TICKS = 45;
/** Ends earlier with the first shot. */
export const SPAWN_PROTECTION_TICKS = 60;
/** Among how many of the spawns farthest from enemies the dice choose. */
export const SPAWN_CHOICES = 3;
/** Damage this recent earns the assist: 5 s. */
export const ASSIST_TICKS = 150;

// Rifle: hitscan
export const RIFLE_COOLDOWN_TICKS = 5;
export const RIFLE_DAMAGE = 13;
/** 16 m, about half a screen: nobody is hit from where it is not shown (see the rings of rooms/arena-room.ts). */
export const RIFLE_RANGE_UNITS = 1024;
/** Largest deviation to either side, in 1/16384 of the distance: about 0.6 degrees. */
export const RIFLE_SPREAD = 160;
export const AMMO_START = 60;
export const AMMO_MAX = 150;

// Rocket
export const ROCKET_COOLDOWN_TICKS = 24;
/** 22 m/s. */
export const ROCKET_VELOCITY = 752;
export const ROCKET_LIFE_TICKS = 60;
/** Added to the body's radius when a rocket flies by. */
export const ROCKET_RADIUS_UNITS = 8;
export const ROCKETS_START = 3;
export const ROCKETS_MAX = 12;
/** 3 m, measured from the rim of the body. */
export const SPLASH_RADIUS_UNITS = 192;
/** In the centre; falls linearly to 0 at the radius. */
export const SPLASH_DAMAGE = 85;
/** Share of the damage that a shooter takes from its own rocket, in 1/16. */
export const SPLASH_SELF_SIXTEENTHS = 8;
/** Velocity a blast adds in its centre; falls linearly to 0 at the radius. */
export const SPLASH_VELOCITY = 560;

// Lag compensation
/** A rewind counts eighths of a tick. */
export const REWIND_PER_TICK = 8;
/** 500 ms: how far in the past a shot may be judged, in eighths of a tick. */
export const REWIND_MAX = 120;
/** Past positions kept a seat; a power of two. */
export const HISTORY_TICKS = 16;

// Pickups
export const PICKUP_KINDS = ['health', 'ammo', 'rockets'] as const;
export const PICKUP_HEALTH = 0;
export const PICKUP_AMMO = 1;
export const PICKUP_ROCKETS = 2;
/** What one gives, by kind. */
export const PICKUP_GIVES = [35, 40, 3] as const;
/** Until it lies there again, by kind: 12 s, 12 s, 20 s. */
export const PICKUP_RESPAWN_TICKS = [360, 360, 600] as const;
/** Reach along either axis: 0.75 m. */
export const PICKUP_REACH_UNITS = 48;

// Phases
export const PHASE_WARM_UP = 0;
export const PHASE_LIVE = 1;
export const PHASE_ENDED = 2;
export const WARM_UP_TICKS_DEFAULT = 10 * TICK_RATE_HZ;
export const LIVE_TICKS_DEFAULT = 5 * 60 * TICK_RATE_HZ;
export const ENDED_TICKS_DEFAULT = 15 * TICK_RATE_HZ;
/** Longest a phase may be set to last: a day. */
export const PHASE_TICKS_MAX = 24 * 3600 * TICK_RATE_HZ;
/** What frags, deaths and assists stop at: they travel as uint16. */
export const SCORE_MAX = 65535;
