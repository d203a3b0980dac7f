/**
 * What the match machinery (rooms, journal, recovery, replay) knows of a game: a pure fold over entries.
 * A game implements {@link Simulation}; nothing in `src/match` knows a particular one.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { Hash64 } from './hash.ts';

/** Somebody takes or gives up a seat. Seats are small integers, 0 to `maxSeats - 1`, reused after a leave. */
export type SeatEvent =
  | {
      readonly kind: 'join';
      readonly seat: number;
      /** Display name, already checked. */
      readonly name: string;
      /** Stable identity of the player over matches; empty for a bot. */
      readonly playerId: string;
      readonly isBot: boolean;
    }
  | { readonly kind: 'leave'; readonly seat: number };

/** What the player in one seat asks for, one of possibly several within a tick (catch-up), in order. */
export interface SeatIntent<Intent> {
  readonly seat: number;
  readonly intent: Intent;
}

/**
 * Everything that happens to a match in one tick. Events come first, in the order they happened; then the
 * intents in ascending seat order, a seat's own in the order it sent them. A seat without an intent simply
 * has none: what that means is the game's to say.
 */
export interface Entry<Intent> {
  /** Index of the tick this entry advances; 0 is the first. Entries are contiguous. */
  readonly tick: number;
  readonly events: readonly SeatEvent[];
  readonly intents: readonly SeatIntent<Intent>[];
}

/** How a match is set up. JSON-able, integers and strings only; recorded in the journal's header. */
export type MatchSetup = Readonly<Record<string, number | string | boolean>> & { readonly seed: number };

/** One row of a final or running scoreboard, best first. */
export interface Standing {
  readonly seat: number;
  readonly name: string;
  readonly playerId: string;
  readonly isBot: boolean;
  /** 1 is best; equal ones are a draw. Absent: the place in the list, so that nobody draws. */
  readonly rank?: number;
  /** 0-based, 0 to 255; absent in a game without teams. */
  readonly team?: number;
  /** The game's own integer columns, such as frags and deaths. */
  readonly score: Readonly<Record<string, number>>;
}

/**
 * A game: rules without a clock, without randomness of its own, without floats that decide anything.
 * `World` is mutable and owned by one match; `Intent` is one client frame after sanitising.
 */
export interface Simulation<World, Intent> {
  /** Kebab-case name, such as `arena`. */
  readonly id: string;
  /** Raised with every change of rules or of the encoding; matches of another version are refused. */
  readonly version: number;
  /** Ticks per second the rules are tuned for, 10 to 60. */
  readonly tickRateHz: number;
  /** Seats in the largest match. */
  readonly maxSeats: number;

  /** The world before tick 0. @throws RangeError if the setup is out of range */
  create(setup: MatchSetup): World;
  /** Advances the world by the entry's tick, in place. Never throws on any entry that the codec can carry. */
  step(world: World, entry: Entry<Intent>): void;
  /** The index of the next tick to step. */
  tickOf(world: World): number;
  /** True once the rules have ended the match for good; the room then closes. */
  isOver(world: World): boolean;
  standings(world: World): Standing[];

  /** Versioned binary with checksum; `decode(encode(w))` is `w` in everything that decides. */
  encode(world: World): Uint8Array<ArrayBuffer>;
  /** @throws GameError SNAPSHOT_CORRUPT, SNAPSHOT_VERSION */
  decode(bytes: Uint8Array): World;
  /** Hash over everything that decides; cheap enough for every tick. Writes into `out` and returns it. */
  hash(world: World, out: Hash64): Hash64;
  /** Name and value of every deciding field in a fixed order, for naming the first difference of two worlds. */
  fields(world: World): Iterable<readonly [path: string, value: number | string]>;

  writeIntent(to: ByteWriter, intent: Intent): void;
  /** Total: any bytes that are long enough are a legal intent. @throws RangeError past the end */
  readIntent(from: ByteReader): Intent;
}
