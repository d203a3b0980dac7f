import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GameError } from '../../src/kernel/errors.ts';
import { hashText } from '../../src/kernel/hash.ts';
import { type WordWorld, wordWorlds } from '../../src/kernel/words.ts';

const SEED = 20261121;
const LAYOUT = { version: 3, head: ['tick', 'goal'], seat: ['x', 'score'], maxSeats: 4 } as const;
const worlds = wordWorlds(LAYOUT);

const seatEvent = fc.oneof(
  fc.record({
    kind: fc.constant('join' as const),
    seat: fc.nat(5),
    name: fc.string({ maxLength: 20 }),
    playerId: fc.string({ maxLength: 20 }),
    isBot: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('leave' as const), seat: fc.nat(5) }),
);
const world = fc
  .tuple(
    fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { minLength: 10, maxLength: 10 }),
    fc.array(seatEvent),
  )
  .map(([words, events]): WordWorld => {
    const made = worlds.empty();
    for (const event of events) worlds.sit(made, event);
    made.words.set(words);
    return made;
  });
const hash = (of: WordWorld) => hashText(worlds.hash(of, { hi: 0, lo: 0 }));

describe('a world of words', () => {
  it('is itself again after encoding and decoding', () => {
    fc.assert(
      fc.property(world, (made) => {
        const again = worlds.decode(worlds.encode(made));
        assert.deepEqual(again, made);
        assert.equal(hash(again), hash(made));
      }),
      { seed: SEED },
    );
  });

  it('has another hash and another field for every word that differs', () => {
    fc.assert(
      fc.property(world, fc.nat(9), (made, at) => {
        const other = worlds.decode(worlds.encode(made));
        other.words[at]! ^= 1;
        assert.notEqual(hash(other), hash(made));
        const before = [...worlds.fields(made)];
        const differing = [...worlds.fields(other)].filter(([, value], i) => value !== before[i]![1]);
        assert.equal(differing.length, 1);
      }),
      { seed: SEED },
    );
  });

  it('names every word once, in order', () => {
    assert.deepEqual(
      [...worlds.fields(worlds.empty())].map(([name]) => name),
      ['tick', 'goal', ...[0, 1, 2, 3].flatMap((seat) => [`seats.${seat}.x`, `seats.${seat}.score`])],
    );
  });

  it('refuses bytes that are damaged anywhere, cut short, too long or of another layout', () => {
    fc.assert(
      fc.property(world, fc.nat(), fc.integer({ min: 1, max: 255 }), (made, at, flip) => {
        const bytes = worlds.encode(made);
        const refuses = (damaged: Uint8Array) =>
          assert.throws(
            () => worlds.decode(damaged),
            (error) => error instanceof GameError && /^SNAPSHOT_(CORRUPT|VERSION)$/.test(error.code),
          );
        const flipped = bytes.slice();
        flipped[at % bytes.length]! ^= flip;
        refuses(flipped);
        refuses(bytes.subarray(0, at % bytes.length));
        refuses(Uint8Array.of(...bytes, flip));
        assert.throws(() => wordWorlds({ ...LAYOUT, seat: ['x'] }).decode(bytes), { code: 'SNAPSHOT_CORRUPT' });
        assert.throws(() => wordWorlds({ ...LAYOUT, version: 4 }).decode(bytes), { code: 'SNAPSHOT_VERSION' });
      }),
      { seed: SEED },
    );
  });

  it('clears the words of a seat that changes hands, and no others', () => {
    const made = worlds.empty();
    made.words.fill(7);
    assert.equal(worlds.sit(made, { kind: 'join', seat: 1, name: 'a', playerId: 'p', isBot: false }), true);
    assert.deepEqual([...made.words], [7, 7, 7, 7, 0, 0, 7, 7, 7, 7]);
    assert.deepEqual(made.sitters[1], { name: 'a', playerId: 'p', isBot: false });
    made.words.fill(7);
    assert.equal(worlds.sit(made, { kind: 'leave', seat: 1 }), true);
    assert.deepEqual([...made.words.subarray(worlds.seatAt(1), worlds.seatAt(2))], [0, 0]);
    assert.equal(made.sitters[1], undefined);
    assert.equal(worlds.sit(made, { kind: 'leave', seat: 4 }), false, 'there is no such seat');
  });

  it('is refused with names that stand twice, or numbers out of range', () => {
    assert.throws(() => wordWorlds({ ...LAYOUT, head: ['tick', 'tick'] }), RangeError);
    for (const version of [0, 256, 1.5]) assert.throws(() => wordWorlds({ ...LAYOUT, version }), RangeError);
    for (const maxSeats of [0, 129, 2.5]) assert.throws(() => wordWorlds({ ...LAYOUT, maxSeats }), RangeError);
  });
});
