import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ByteReader, ByteWriter } from '../../src/kernel/bytes.ts';
import { readEntry, writeEntry } from '../../src/kernel/entry-codec.ts';
import { hashText } from '../../src/kernel/hash.ts';
import type { Entry, SeatEvent } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, type ArenaWorld, arena, think } from '../../src/sim/arena.ts';
import { faultOf } from '../../src/sim/world.ts';
import { SEED } from './arena-scene.ts';

const byte = fc.integer({ min: 0, max: 255 });
const axis = fc.integer({ min: -128, max: 127 });
/** Any intent that the codec can carry, mostly with the finger on a trigger. */
const anyIntent: fc.Arbitrary<ArenaIntent> = fc.record({
  moveX: axis,
  moveY: axis,
  aim: byte,
  buttons: byte,
  rewind: byte,
});
const anySeat = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 9 }) }, { weight: 1, arbitrary: byte });
const anyEvent: fc.Arbitrary<SeatEvent> = fc.oneof(
  fc.record({
    kind: fc.constant('join' as const),
    seat: anySeat,
    name: fc.string({ unit: 'binary', maxLength: 80 }),
    playerId: fc.string({ maxLength: 80 }),
    isBot: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('leave' as const), seat: anySeat }),
);
const anyTick = fc.record({
  events: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(anyEvent, { maxLength: 4 }) },
  ),
  intents: fc.array(fc.record({ seat: anySeat, intent: anyIntent }), { maxLength: 12 }),
  /** Ticks of bots alone before this one, so that there is fighting to disturb. */
  botTicks: fc.integer({ min: 0, max: 20 }),
});
const anySetup = fc.record({
  seed: fc.integer({ min: 0, max: 0xffffffff }),
  capacity: fc.integer({ min: 2, max: 9 }),
  map: fc.constantFrom('colosseum', 'generated'),
  width: fc.integer({ min: 16, max: 40 }),
  height: fc.integer({ min: 16, max: 40 }),
  warmupTicks: fc.integer({ min: 0, max: 60 }),
  liveTicks: fc.integer({ min: 1, max: 400 }),
  endedTicks: fc.integer({ min: 0, max: 30 }),
  minPlayers: fc.integer({ min: 1, max: 2 }),
});
const anyMatch = fc.record({ setup: anySetup, script: fc.array(anyTick, { minLength: 5, maxLength: 25 }) });
type Match = typeof anyMatch extends fc.Arbitrary<infer T> ? T : never;

/** Plays a scripted match with bots in all seats that are taken, calling back after every tick. */
function play({ setup, script }: Match, after: (world: ArenaWorld, entry: Entry<ArenaIntent>) => void): ArenaWorld {
  const world = arena.create(setup);
  const step = (events: readonly SeatEvent[], extra: Entry<ArenaIntent>['intents']): void => {
    const intents = Array.from({ length: setup.capacity }, (_, seat) => ({ seat, intent: think(world, seat) }));
    const entry = { tick: world.tick, events, intents: [...intents, ...extra] };
    arena.step(world, entry);
    after(world, entry);
  };
  step(
    Array.from({ length: setup.capacity }, (_, seat) => ({
      kind: 'join',
      seat,
      name: `b${seat}`,
      playerId: '',
      isBot: true,
    })),
    [],
  );
  for (const { events, intents, botTicks } of script) {
    for (let i = 0; i < botTicks; i++) step([], []);
    step(events, intents);
  }
  return world;
}

function textOf(world: ArenaWorld): string {
  return hashText(arena.hash(world, { hi: 0, lo: 0 }));
}

describe('sim/properties of any match', () => {
  it('nobody leaves the map or enters a wall, hp and magazines stay in bounds, free seats stay empty', () => {
    let kills = 0;
    let explosions = 0;
    let ends = 0;
    fc.assert(
      fc.property(anyMatch, (match) => {
        const last = play(match, (world) => {
          assert.equal(faultOf(world), undefined);
          kills += world.events.kills.length;
          explosions += world.events.explosions.length;
        });
        if (arena.isOver(last)) ends++;
      }),
      { seed: SEED, numRuns: 150 },
    );
    // Otherwise the property was tried on matches in which nothing happened.
    assert.ok(kills > 20 && explosions > 100 && ends > 5, `${kills} kills, ${explosions} bursts, ${ends} ends`);
  });

  it('scores only grow within a phase, by what the events say, and a life is one death', () => {
    fc.assert(
      fc.property(anyMatch, (match) => {
        const before = new Map<string, readonly number[]>();
        play(match, (world, entry) => {
          for (let seat = 0; seat < world.capacity; seat++) {
            const touched = entry.events.some((event) => event.seat === seat);
            const scores = [world.frags(seat), world.deaths(seat), world.assists(seat)];
            const known = touched ? undefined : before.get(`${world.phase}/${seat}`);
            if (known !== undefined) {
              const { kills } = world.events;
              const gained = [
                kills.filter((kill) => kill.killer === seat && kill.victim !== seat).length,
                kills.filter((kill) => kill.victim === seat).length,
                kills.filter((kill) => kill.assist === seat).length,
              ];
              assert.deepEqual(
                scores,
                known.map((score, i) => score + gained[i]!),
              );
            }
            before.set(`${world.phase}/${seat}`, scores);
          }
        });
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  it('encoding and decoding at any tick is the identity, and the copy goes on alike', () => {
    fc.assert(
      fc.property(anyMatch, fc.integer({ min: 0, max: 200 }), (match, at) => {
        let copy: ArenaWorld | undefined;
        play(match, (world, entry) => {
          if (copy !== undefined) {
            arena.step(copy, entry);
            assert.equal(textOf(copy), textOf(world));
          }
          if (entry.tick !== at) return;
          copy = arena.decode(arena.encode(world));
          assert.deepEqual(copy.words, world.words);
          assert.deepEqual([copy.names, copy.playerIds], [world.names, world.playerIds]);
        });
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  it('a match played from its written journal is the same match', () => {
    fc.assert(
      fc.property(anyMatch, (match) => {
        const journal = new ByteWriter();
        const hashes: string[] = [];
        play(match, (world, entry) => {
          writeEntry(journal, entry, arena);
          hashes.push(textOf(world));
        });
        const from = new ByteReader(journal.bytes());
        const again = arena.create(match.setup);
        for (const hash of hashes) {
          arena.step(again, readEntry(from, arena));
          assert.equal(textOf(again), hash);
        }
        assert.equal(from.remaining, 0);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it('numbers that no codec carries do not break it either', () => {
    const wild = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, Infinity, -Infinity, 1e300));
    const wildIntent = fc.record({ moveX: wild, moveY: wild, aim: wild, buttons: wild, rewind: wild });
    fc.assert(
      fc.property(fc.array(wildIntent, { maxLength: 60 }), (intents) => {
        const world = arena.create({ seed: 4, capacity: 2, warmupTicks: 0, minPlayers: 1 });
        arena.step(world, {
          tick: 0,
          events: [{ kind: 'join', seat: 0, name: 'x', playerId: '', isBot: false }],
          intents: [],
        });
        for (const intent of intents) {
          arena.step(world, { tick: world.tick, events: [], intents: [{ seat: 0, intent }] });
          assert.equal(faultOf(world), undefined);
        }
      }),
      { seed: SEED, numRuns: 100 },
    );
  });
});
