/** Proving a replay against the rules, and naming the first difference of two. Pure, shared with the browser. */
import { ByteReader } from './bytes.ts';
import { readEntry } from './entry-codec.ts';
import { GameError } from './errors.ts';
import { type Hash64, hashText } from './hash.ts';
import type { Replay } from './replay-file.ts';
import type { Entry, Simulation } from './simulation.ts';

/** Called about every 1,000 ticks and once at the end. */
export type OnProgress = (tick: number, ticks: number) => void;
const PROGRESS_EVERY_TICKS = 1024;

/** `tick` is the entry after which the hashes differ; the last hash that still agreed was after `agreedTick` (-1: none). */
export type Verification =
  | { readonly kind: 'same'; readonly ticks: number; readonly hashesCompared: number }
  | {
      readonly kind: 'diverged';
      readonly tick: number;
      readonly agreedTick: number;
      readonly recorded: string;
      readonly simulated: string;
    };

/**
 * Plays the replay again from its setup and compares every recorded hash.
 * @throws GameError REPLAY_VERSION if another simulation, or another version of it, made the replay
 * @throws GameError REPLAY_CORRUPT if an entry cannot be read or the setup is none of this simulation's
 */
export function verifyReplay<World, Intent>(
  simulation: Simulation<World, Intent>,
  replay: Replay,
  onProgress?: OnProgress,
): Verification {
  const { header, entries, hashes } = replay;
  const world = createWorld(simulation, replay);
  const actual: Hash64 = { hi: 0, lo: 0 };
  let agreedTick = -1;
  let hashesCompared = 0;
  for (let tick = 0; tick < entries.length; tick++) {
    simulation.step(world, decodeEntry(simulation, replay, tick));
    if (tick % PROGRESS_EVERY_TICKS === 0) onProgress?.(tick, entries.length);
    const isLast = tick === entries.length - 1;
    const hash = (tick + 1) % header.hashEveryTicks === 0 ? hashes[(tick + 1) / header.hashEveryTicks - 1] : undefined;
    if (hash === undefined && !isLast) continue;
    const simulated = hashText(simulation.hash(world, actual));
    for (const recorded of [hash && hashText(hash), isLast ? header.finalHash : undefined]) {
      if (recorded === undefined) continue;
      hashesCompared++;
      if (recorded !== simulated) return { kind: 'diverged', tick, agreedTick, recorded, simulated };
    }
    agreedTick = tick;
  }
  onProgress?.(entries.length, entries.length);
  return { kind: 'same', ticks: entries.length, hashesCompared };
}

export type Difference =
  | { readonly kind: 'same'; readonly ticks: number }
  /** The matches were set up differently, so that nothing after it can be compared. */
  | { readonly kind: 'setup'; readonly field: string; readonly a: string; readonly b: string }
  | {
      readonly kind: 'diverged';
      /** First entry after which the worlds differ; -1 when they differ before the first. */
      readonly tick: number;
      /** First field that differs, in the simulation's own order. */
      readonly field: string;
      readonly a: string;
      readonly b: string;
      /** First tick whose inputs differ; absent when the inputs up to `tick` are equal. */
      readonly inputsDifferAtTick?: number;
    }
  /** Equal in every field as far as both go, though inputs may differ. */
  | { readonly kind: 'length'; readonly aTicks: number; readonly bTicks: number }
  /** The worlds stay equal to the end although some inputs had no effect. */
  | { readonly kind: 'inputs'; readonly inputsDifferAtTick: number };

/**
 * Plays both replays side by side and names the first tick and field in which their worlds differ. Names and
 * player ids are no part of it: they decide nothing.
 * @throws GameError REPLAY_VERSION, REPLAY_CORRUPT as {@link verifyReplay}
 */
export function diffReplays<World, Intent>(
  simulation: Simulation<World, Intent>,
  a: Replay,
  b: Replay,
  onProgress?: OnProgress,
): Difference {
  const worldA = createWorld(simulation, a);
  const worldB = createWorld(simulation, b);
  const setup = firstDifference(Object.entries(a.header.setup).sort(), Object.entries(b.header.setup).sort());
  if (setup !== undefined) return { kind: 'setup', ...setup };

  const hashA: Hash64 = { hi: 0, lo: 0 };
  const hashB: Hash64 = { hi: 0, lo: 0 };
  const ticks = Math.min(a.entries.length, b.entries.length);
  let inputsDifferAtTick: number | undefined;
  for (let tick = -1; tick < ticks; tick++) {
    if (tick >= 0) {
      const entryA = decodeEntry(simulation, a, tick);
      const entryB = decodeEntry(simulation, b, tick);
      if (inputsDifferAtTick === undefined && !isSameInput(entryA, entryB)) inputsDifferAtTick = tick;
      simulation.step(worldA, entryA);
      simulation.step(worldB, entryB);
      if (tick % PROGRESS_EVERY_TICKS === 0) onProgress?.(tick, ticks);
    }
    simulation.hash(worldA, hashA);
    simulation.hash(worldB, hashB);
    if (hashA.hi === hashB.hi && hashA.lo === hashB.lo) continue;
    const difference = firstDifference(simulation.fields(worldA), simulation.fields(worldB));
    // A hash over more than `fields` names still tells that something differs.
    const named = difference ?? { field: 'hash', a: hashText(hashA), b: hashText(hashB) };
    return { kind: 'diverged', tick, ...named, ...(inputsDifferAtTick === undefined ? {} : { inputsDifferAtTick }) };
  }
  onProgress?.(ticks, ticks);
  if (a.entries.length !== b.entries.length) {
    return { kind: 'length', aTicks: a.entries.length, bTicks: b.entries.length };
  }
  return inputsDifferAtTick === undefined ? { kind: 'same', ticks } : { kind: 'inputs', inputsDifferAtTick };
}

/** The entry of one tick. @throws GameError REPLAY_CORRUPT */
export function decodeEntry<Intent>(
  simulation: Pick<Simulation<unknown, Intent>, 'writeIntent' | 'readIntent'>,
  replay: Replay,
  tick: number,
): Entry<Intent> {
  let entry: Entry<Intent>;
  const from = new ByteReader(replay.entries[tick]!);
  try {
    entry = readEntry(from, simulation);
  } catch (error) {
    throw new GameError('REPLAY_CORRUPT', { tick, reason: (error as Error).message }, error);
  }
  if (entry.tick !== tick || from.remaining > 0) {
    throw new GameError('REPLAY_CORRUPT', { tick, reason: 'the entry is not this tick’s alone' });
  }
  return entry;
}

/**
 * The world before the first entry.
 * @throws GameError REPLAY_VERSION, REPLAY_CORRUPT
 */
export function createWorld<World>(
  simulation: Pick<Simulation<World, unknown>, 'id' | 'version' | 'create'>,
  { header }: Pick<Replay, 'header'>,
): World {
  if (header.simId !== simulation.id || header.simVersion !== simulation.version) {
    throw new GameError('REPLAY_VERSION', {
      replay: `${header.simId} ${header.simVersion}`,
      simulation: `${simulation.id} ${simulation.version}`,
    });
  }
  try {
    return simulation.create(header.setup);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new GameError('REPLAY_CORRUPT', { reason: error.message }, error);
  }
}

/** Equal in what decides: player ids are pseudonyms that differ between servers, names are for people. */
function isSameInput(a: Entry<unknown>, b: Entry<unknown>): boolean {
  const events = (entry: Entry<unknown>) =>
    entry.events.map((event) => [event.kind, event.seat, event.kind === 'join' && event.isBot]);
  return JSON.stringify([events(a), a.intents]) === JSON.stringify([events(b), b.intents]);
}

function firstDifference(
  a: Iterable<readonly [string, unknown]>,
  b: Iterable<readonly [string, unknown]>,
): { field: string; a: string; b: string } | undefined {
  const inA = a[Symbol.iterator]();
  const inB = b[Symbol.iterator]();
  for (;;) {
    const nextA = inA.next();
    const nextB = inB.next();
    if (nextA.done && nextB.done) return undefined;
    const [fieldA, valueA] = nextA.done ? [undefined, undefined] : nextA.value;
    const [fieldB, valueB] = nextB.done ? [undefined, undefined] : nextB.value;
    if (fieldA !== fieldB) {
      return { field: fieldA ?? fieldB ?? '', a: fieldA === undefined ? 'absent' : String(valueA), b: absent(fieldB) };
    }
    if (valueA !== valueB) return { field: fieldA!, a: String(valueA), b: String(valueB) };
  }
}

function absent(field: string | undefined): string {
  return field === undefined ? 'absent' : `field ${field}`;
}
