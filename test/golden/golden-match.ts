/** A recorded match and the hashes it must give, in every engine: pure, so that Node and browsers run the same. */
import { ByteReader, ByteWriter } from '../../src/kernel/bytes.ts';
import { readEntry, writeEntry } from '../../src/kernel/entry-codec.ts';
import { crc32, hashText } from '../../src/kernel/hash.ts';
import type { Entry, MatchSetup } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, arena } from '../../src/sim/arena.ts';
import { generateMap } from '../../src/sim/map.ts';

/** Ticks between two recorded hashes. */
export const GOLDEN_EVERY_TICKS = 30;

export interface GoldenMatch {
  readonly simulation: string;
  readonly version: number;
  readonly setup: MatchSetup;
  readonly ticks: number;
  /** Hash after ticks 30, 60, … and after the last, 16 hexadecimal digits each. */
  readonly hashes: readonly string[];
  /** Lines `name frags/deaths/assists`, best first. */
  readonly standings: readonly string[];
  /** Generated maps and the CRC-32 of their tiles. */
  readonly maps: readonly { seed: number; width: number; height: number; crc: number }[];
  /** Base64 of the entries, one after the other. */
  readonly entries: string;
}

/** Plays the entries in a new world and returns what the golden file records of it. */
export function playGolden(
  setup: MatchSetup,
  entries: Iterable<Entry<ArenaIntent>>,
): Omit<GoldenMatch, 'entries' | 'maps'> {
  const world = arena.create(setup);
  const hash = { hi: 0, lo: 0 };
  const hashes: string[] = [];
  let ticks = 0;
  for (const entry of entries) {
    arena.step(world, entry);
    ticks++;
    if (ticks % GOLDEN_EVERY_TICKS === 0) hashes.push(hashText(arena.hash(world, hash)));
  }
  hashes.push(hashText(arena.hash(world, hash)));
  const standings = arena
    .standings(world)
    .map(({ name, score }) => `${name} ${score['frags']}/${score['deaths']}/${score['assists']}`);
  return { simulation: arena.id, version: arena.version, setup, ticks, hashes, standings };
}

/** What of the recorded match this engine does not reproduce, in words; empty if it is the same to the bit. */
export function verifyGolden(golden: GoldenMatch): string[] {
  const faults: string[] = [];
  const compare = (what: string, actual: unknown, expected: unknown): void => {
    if (actual !== expected) faults.push(`${what} is ${actual}, not ${expected}`);
  };
  compare('simulation', arena.id, golden.simulation);
  compare('version', arena.version, golden.version);
  for (const { seed, width, height, crc } of golden.maps) {
    compare(`generated map ${seed} of ${width} x ${height} m`, crc32(generateMap(seed, width, height).tiles), crc);
  }
  const played = playGolden(golden.setup, readEntries(golden.entries));
  compare('length in ticks', played.ticks, golden.ticks);
  compare('count of hashes', played.hashes.length, golden.hashes.length);
  // After the first divergence every hash differs: one line says when.
  const first = golden.hashes.findIndex((hash, i) => played.hashes[i] !== hash);
  if (first >= 0) {
    const tick = Math.min((first + 1) * GOLDEN_EVERY_TICKS, golden.ticks);
    compare(`hash after ${tick} ticks`, played.hashes[first], golden.hashes[first]);
  }
  compare('standings', played.standings.join(', '), golden.standings.join(', '));
  return faults;
}

export function writeEntries(entries: readonly Entry<ArenaIntent>[]): string {
  const to = new ByteWriter(1 << 16);
  for (const entry of entries) writeEntry(to, entry, arena);
  let text = '';
  for (const byte of to.view()) text += String.fromCharCode(byte);
  return btoa(text);
}

export function* readEntries(base64: string): Generator<Entry<ArenaIntent>> {
  const from = new ByteReader(Uint8Array.from(atob(base64), (mark) => mark.charCodeAt(0)));
  while (from.remaining > 0) yield readEntry(from, arena);
}
