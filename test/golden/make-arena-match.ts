/**
 * Writes arena-match.json anew: run it after a deliberate change of the rules, with SIM_VERSION raised.
 * Bots play all seats, but two seats reach the match like players do: late, bunched, silent, in the past.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { crc32 } from '../../src/kernel/hash.ts';
import type { Entry, SeatEvent, SeatIntent } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, arena, think } from '../../src/sim/arena.ts';
import { mix } from '../../src/sim/integers.ts';
import { generateMap } from '../../src/sim/map.ts';
import { REWIND_MAX } from '../../src/sim/tuning.ts';
import { type GoldenMatch, playGolden, writeEntries } from './golden-match.ts';

const FILE = new URL('arena-match.json', import.meta.url);
const SETUP = { seed: 20261121, capacity: 8, warmupTicks: 90, liveTicks: 810, endedTicks: 60, minPlayers: 4 };
const TICKS = SETUP.warmupTicks + SETUP.liveTicks + SETUP.endedTicks;

/** Who comes and goes, by tick. */
const EVENTS: Readonly<Record<number, readonly SeatEvent[]>> = {
  0: [0, 1, 2, 3, 4].map((seat) => join(seat, true)),
  10: [join(5, false), join(6, false)],
  200: [{ kind: 'leave', seat: 2 }],
  201: [join(7, true)],
  260: [join(2, true)],
  500: [
    { kind: 'leave', seat: 6 },
    { kind: 'leave', seat: 3 },
  ],
  501: [join(3, true)],
  560: [join(6, false), join(6, true), { kind: 'leave', seat: 200 }],
  [SETUP.warmupTicks + SETUP.liveTicks + 5]: [{ kind: 'leave', seat: 0 }, join(0, true)],
};

function join(seat: number, isBot: boolean): SeatEvent {
  return {
    kind: 'join',
    seat,
    isBot,
    name: `${isBot ? 'Bot' : 'Player'} ${seat}`,
    playerId: isBot ? '' : `player-${seat}`,
  };
}

const world = arena.create(SETUP);
const entries: Entry<ArenaIntent>[] = [];
const held = new Map<number, ArenaIntent[]>();
for (let tick = 0; tick < TICKS; tick++) {
  const intents: SeatIntent<ArenaIntent>[] = [];
  for (let seat = 0; seat < SETUP.capacity; seat++) {
    if (!world.isUsed(seat)) continue;
    const intent = think(world, seat);
    if (world.isBot(seat)) {
      intents.push({ seat, intent });
      continue;
    }
    // Silent for a second now and then; otherwise frames arrive alone, or up to five at once.
    if (Math.trunc(tick / 30) % 9 === seat) continue;
    const queue = held.get(seat) ?? [];
    queue.push({ ...intent, rewind: mix(seat, tick) % (REWIND_MAX + 1) });
    held.set(seat, queue);
    if (mix(seat ^ 0x99, tick) % 3 === 0 || queue.length === 5) {
      for (const late of queue.splice(0)) intents.push({ seat, intent: late });
    }
  }
  const entry = { tick, events: EVENTS[tick] ?? [], intents };
  arena.step(world, entry);
  entries.push(entry);
}

const maps = [
  { seed: 1, width: 16, height: 16 },
  { seed: 2, width: 80, height: 60 },
  { seed: 0xffffffff, width: 201, height: 97 },
].map((size) => ({ ...size, crc: crc32(generateMap(size.seed, size.width, size.height).tiles) }));
const golden: GoldenMatch = { ...playGolden(SETUP, entries), maps, entries: writeEntries(entries) };

if (existsSync(FILE)) {
  const old = JSON.parse(readFileSync(FILE, 'utf8')) as GoldenMatch;
  const isOtherHistory = old.entries === golden.entries && old.hashes.join() !== golden.hashes.join();
  if (old.version === golden.version && isOtherHistory && !process.argv.includes('--same-version')) {
    console.error(
      `The same inputs give another match, yet the version still is ${golden.version}: raise SIM_VERSION in ` +
        'src/sim/tuning.ts, or pass --same-version if no match of this version was ever kept.',
    );
    process.exit(1);
  }
}
writeFileSync(FILE, `${JSON.stringify(golden, null, 1)}\n`);
console.log(`${golden.ticks} ticks, ${golden.hashes.length} hashes, last ${golden.hashes.at(-1)}`);
console.log(golden.standings.join('\n'));
