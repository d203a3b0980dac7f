/** Plays a match of bots and writes it as a replay file. Arguments: file, players, ticks, seed. */
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { ByteWriter } from '../../../src/kernel/bytes.ts';
import { writeEntry } from '../../../src/kernel/entry-codec.ts';
import { type Hash64, hashText } from '../../../src/kernel/hash.ts';
import { HASH_EVERY_TICKS, packReplay } from '../../../src/kernel/replay-file.ts';
import type { Entry, SeatEvent } from '../../../src/kernel/simulation.ts';
import { type ArenaIntent, arena, think } from '../../../src/sim/arena.ts';

const [file = '', playersText, ticksText, seedText] = process.argv.slice(2);
const players = Number(playersText);
const ticks = Number(ticksText);
const seats = Array.from({ length: players }, (_, seat) => seat);

// Live from the first tick to the last: the dearest kind of match.
const setup = { seed: Number(seedText), capacity: players, warmupTicks: 0, liveTicks: ticks, endedTicks: 0 };
const world = arena.create(setup);
const joins: SeatEvent[] = seats.map((seat) => ({
  kind: 'join',
  seat,
  name: `Bot ${seat}`,
  playerId: '',
  isBot: true,
}));
const entries: Uint8Array[] = [];
const hashes: Hash64[] = [];
const hash: Hash64 = { hi: 0, lo: 0 };
const bytes = new ByteWriter();
for (let tick = 0; tick < ticks; tick++) {
  const intents = tick === 0 ? [] : seats.map((seat) => ({ seat, intent: think(world, seat) }));
  const entry: Entry<ArenaIntent> = { tick, events: tick === 0 ? joins : [], intents };
  arena.step(world, entry);
  writeEntry(bytes.clear(), entry, arena);
  entries.push(bytes.bytes());
  arena.hash(world, hash);
  if ((tick + 1) % HASH_EVERY_TICKS === 0) hashes.push({ ...hash });
}
const replay = await packReplay(
  {
    header: {
      matchId: 'bench',
      roomName: 'arena',
      simId: arena.id,
      simVersion: arena.version,
      tickRateHz: arena.tickRateHz,
      setup,
      createdAtMs: 0,
      buildId: '',
      players: seats.map((seat) => ({ seat, name: `Bot ${seat}`, playerId: '', isBot: true, joinedTick: 0 })),
      result: { reason: 'completed', standings: arena.standings(world) },
      ticks,
      finalHash: hashText(hash),
      hashEveryTicks: HASH_EVERY_TICKS,
    },
    entries,
    hashes,
  },
  promisify(deflateRaw),
);
await writeFile(file, replay);
const frags = arena.standings(world).reduce((sum, { score }) => sum + (score['frags'] ?? 0), 0);
process.stdout.write(`${JSON.stringify({ bytes: replay.length, frags })}\n`);
