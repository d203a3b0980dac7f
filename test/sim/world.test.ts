import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ByteWriter } from '../../src/kernel/bytes.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { crc32, hashText } from '../../src/kernel/hash.ts';
import { arena, think } from '../../src/sim/arena.ts';
import { type ArenaWorld, HEAD, SEAT } from '../../src/sim/world.ts';
import { joins, liveWorld, SEED, tick, ticks } from './arena-scene.ts';

/** A world in the middle of a fight, with names that need care and rockets in the air. */
function busyWorld(): ArenaWorld {
  const world = liveWorld(5);
  tick(world, [], [{ kind: 'leave', seat: 2 }]);
  tick(world, [], [{ kind: 'join', seat: 2, name: 'Żółw 🐢', playerId: 'p/2', isBot: true }]);
  const seats = [0, 1, 2, 3, 4];
  for (let i = 0; i < 200; i++)
    tick(
      world,
      seats.map((seat) => ({ seat, intent: think(world, seat) })),
    );
  tick(world, [{ seat: 0, intent: { moveX: 0, moveY: 0, aim: 3, buttons: 2, rewind: 0 } }]);
  return world;
}

function textOf(world: ArenaWorld): string {
  return hashText(arena.hash(world, { hi: 0, lo: 0 }));
}

function refusal(bytes: Uint8Array): string {
  try {
    arena.decode(bytes);
  } catch (error) {
    if (error instanceof GameError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** The same bytes with a checksum that fits, as a bug or a forger would write them. */
function sealed(bytes: Uint8Array): Uint8Array {
  const body = bytes.subarray(0, bytes.length - 4);
  return new ByteWriter().raw(body).u32(crc32(body)).bytes();
}

describe('sim/world', () => {
  it('a decoded world is the encoded one: words, hash, names, map and what comes next', () => {
    const world = busyWorld();
    const copy = arena.decode(arena.encode(world));
    assert.deepEqual(copy.words, world.words);
    assert.deepEqual([copy.names, copy.playerIds, copy.setup], [world.names, world.playerIds, world.setup]);
    assert.deepEqual(copy.map.tiles, world.map.tiles);
    assert.equal(copy.name(2), 'Żółw 🐢');
    assert.deepEqual(arena.encode(copy), arena.encode(world));
    for (let i = 0; i < 120; i++) {
      const intents = [0, 1, 2, 3, 4].map((seat) => ({ seat, intent: think(world, seat) }));
      assert.deepEqual(
        intents,
        [0, 1, 2, 3, 4].map((seat) => ({ seat, intent: think(copy, seat) })),
      );
      tick(world, intents);
      tick(copy, intents);
      assert.equal(textOf(copy), textOf(world));
      assert.deepEqual(copy.events, world.events);
    }
  });

  it('refuses every single flipped byte and every truncation', () => {
    const bytes = arena.encode(busyWorld());
    for (let i = 0; i < bytes.length; i++) {
      const broken = bytes.slice();
      broken[i]! ^= 1 << (i & 7);
      assert.equal(refusal(broken), 'SNAPSHOT_CORRUPT', `byte ${i}`);
      assert.equal(refusal(bytes.subarray(0, i)), 'SNAPSHOT_CORRUPT', `cut to ${i}`);
    }
    assert.equal(refusal(new Uint8Array([...bytes, 0])), 'SNAPSHOT_CORRUPT');
  });

  it('refuses a whole world of another version by that name', () => {
    const bytes = arena.encode(busyWorld());
    const other = bytes.slice();
    other[4] = arena.version + 1;
    assert.equal(refusal(sealed(other)), 'SNAPSHOT_VERSION');
    other[0]! ^= 1;
    assert.equal(refusal(sealed(other)), 'SNAPSHOT_CORRUPT', 'not a world at all');
  });

  it('refuses whatever has a right checksum and wrong content, and never crashes on it', () => {
    const bytes = arena.encode(busyWorld());
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.nat({ max: bytes.length - 5 }),
        fc.integer({ min: 0, max: 255 }),
        fc.nat({ max: 3 }),
        (at, value, cut) => {
          const forged = bytes.slice(0, bytes.length - cut);
          forged[at] = value;
          const answer = refusal(sealed(forged));
          if (answer === 'accepted') accepted++;
          else assert.match(answer, /^SNAPSHOT_/);
        },
      ),
      { seed: SEED, numRuns: 400 },
    );
    assert.ok(accepted < 400);
    assert.equal(refusal(sealed(new Uint8Array([...bytes, 0]))), 'SNAPSHOT_CORRUPT', 'bytes beyond the end');
  });

  it('refuses a forged world with a fighter in a wall, too much life or a negative magazine', () => {
    for (const [what, value] of [
      [SEAT.X, 0],
      [SEAT.HP, 101],
      [SEAT.AMMO, -1],
      [SEAT.OCCUPANT, 3],
      [SEAT.BORN, 1 << 20],
    ] as const) {
      const world = busyWorld();
      world.words[world.seatAt(1) + what] = value;
      assert.equal(refusal(arena.encode(world)), 'SNAPSHOT_CORRUPT', `word ${what}`);
    }
  });

  it('the hash sees every word', () => {
    const world = busyWorld();
    const before = textOf(world);
    for (let i = 0; i < world.words.length; i++) {
      world.words[i]! ^= 1;
      assert.notEqual(textOf(world), before, `word ${i}`);
      world.words[i]! ^= 1;
    }
    assert.equal(textOf(world), before);
  });

  it('fields names every word once, in the order of the words', () => {
    const world = busyWorld();
    for (let i = 0; i < world.words.length; i++) world.words[i] = i * 3 + 1;
    world.words[HEAD.CAPACITY] = 16;
    const fields = [...arena.fields(world)];
    assert.equal(fields.length, world.words.length);
    assert.equal(new Set(fields.map(([path]) => path)).size, fields.length);
    assert.deepEqual(
      fields.map(([, value]) => value),
      [...world.words],
    );
    const byPath = new Map(fields);
    assert.equal(byPath.get('seat[3].hp'), world.words[world.seatAt(3) + SEAT.HP]);
    assert.equal(byPath.get('seat[4].past[15].y'), world.words[world.seatAt(4) + SEAT.PAST + 31]);
    assert.ok(byPath.has('rocket[0].expires') && byPath.has('pickup[0].backAt') && byPath.has('dice[3]'));
  });

  it('setups out of range are refused by key, and keys of others left alone', () => {
    const base = { seed: 1 };
    const wrongs: Record<string, number | string>[] = [
      { seed: -1 },
      { seed: 2 ** 32 },
      { seed: 0.5 },
      { capacity: 1 },
      { capacity: 129 },
      { map: 'dungeon' },
      { map: 'generated', width: 15 },
      { map: 'generated', height: 501 },
      { liveTicks: 0 },
      { warmupTicks: -1 },
      { endedTicks: 1e12 },
      { minPlayers: 0 },
      { minPlayers: 17 },
      { capacity: '8' },
    ];
    for (const wrong of wrongs) {
      const key = Object.keys(wrong).at(-1)!;
      assert.throws(() => arena.create({ ...base, ...wrong }), new RegExp(`RangeError: setup\\.${key} `));
    }
    const world = arena.create({ ...base, mode: 'duel', isRanked: true });
    assert.deepEqual([world.capacity, world.map.name, world.phaseEndsTick], [16, 'colosseum', 300]);
  });

  it('an intent is five bytes, and any five bytes are an intent', () => {
    const world = liveWorld(2);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 5, maxLength: 5 }), (bytes) => {
        const reader = { at: 0 };
        const to = new ByteWriter();
        const from = {
          u8: () => bytes[reader.at++]!,
          i8: () => (bytes[reader.at++]! << 24) >> 24,
        };
        const intent = arena.readIntent(from as Parameters<typeof arena.readIntent>[0]);
        arena.writeIntent(to, intent);
        assert.deepEqual(to.bytes(), Uint8Array.from(bytes));
        tick(world, [{ seat: 0, intent }]);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it('names are kept bounded and well-formed, so that they survive encoding', () => {
    const world = liveWorld(2);
    tick(world, [], [{ kind: 'join', seat: 1, name: 'taken', playerId: '', isBot: false }]);
    assert.equal(world.name(1), 'Player 1');
    tick(world, [], [{ kind: 'leave', seat: 1 }]);
    tick(world, [], [{ kind: 'join', seat: 1, name: `${'x'.repeat(63)}🐢`, playerId: 'y'.repeat(5000), isBot: false }]);
    assert.equal(world.name(1).length, 64);
    assert.ok(world.name(1).isWellFormed());
    assert.equal(world.playerId(1).length, 64);
    assert.deepEqual(arena.decode(arena.encode(world)).names, world.names);
  });

  it('standings list the seated, best first: frags, then fewer deaths; who is equal in both draws', () => {
    const world = liveWorld(4);
    const scores = [
      [3, 2],
      [5, 9],
      [3, 1],
      [3, 2],
    ] as const;
    scores.forEach(([frags, deaths], seat) => {
      world.words[world.seatAt(seat) + SEAT.FRAGS] = frags;
      world.words[world.seatAt(seat) + SEAT.DEATHS] = deaths;
    });
    assert.deepEqual(
      arena.standings(world).map(({ seat, rank }) => [seat, rank]),
      [
        [1, 1],
        [2, 2],
        [0, 3],
        [3, 3],
      ],
    );
    tick(world, [], [{ kind: 'leave', seat: 1 }]);
    assert.deepEqual(arena.standings(world)[0], {
      seat: 2,
      name: 'Player 2',
      playerId: 'p2',
      isBot: false,
      rank: 1,
      score: { frags: 3, deaths: 1, assists: 0 },
    });
  });

  it('a world of 128 seats steps and survives encoding', () => {
    const world = arena.create({ seed: 5, capacity: 128, map: 'generated', width: 200, height: 150, minPlayers: 1 });
    tick(world, [], joins(...Array.from({ length: 128 }, (_, seat) => seat)));
    ticks(world, 20);
    assert.equal(world.seatsTaken, 128);
    assert.equal(textOf(arena.decode(arena.encode(world))), textOf(world));
  });
});
