import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Timeline } from '../../clients/browser/replay/timeline.ts';
import { ByteWriter } from '../../src/kernel/bytes.ts';
import { writeEntry } from '../../src/kernel/entry-codec.ts';
import { type Hash64, hashText } from '../../src/kernel/hash.ts';
import type { Replay } from '../../src/kernel/replay-file.ts';
import type { Entry, SeatEvent } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, arena, think } from '../../src/sim/arena.ts';

const TICKS = 700;
const SEATS = 4;
const SETUP = { seed: 20261121, capacity: SEATS, warmupTicks: 30, liveTicks: 5000 };

/** A match of bots, with the hash of the world before each tick. */
function recordMatch(): { replay: Replay; hashAt: readonly string[] } {
  const world = arena.create(SETUP);
  const hash: Hash64 = { hi: 0, lo: 0 };
  const hashAt = [hashText(arena.hash(world, hash))];
  const entries: Uint8Array[] = [];
  const hashes: Hash64[] = [];
  for (let tick = 0; tick < TICKS; tick++) {
    const events: SeatEvent[] =
      tick < SEATS ? [{ kind: 'join', seat: tick, name: `Bot ${tick}`, playerId: '', isBot: true }] : [];
    const seats = Array.from({ length: Math.min(tick, SEATS) }, (_, seat) => seat);
    const intents = seats.map((seat) => ({ seat, intent: think(world, seat) }));
    const entry: Entry<ArenaIntent> = { tick, events, intents };
    const bytes = new ByteWriter();
    writeEntry(bytes, entry, arena);
    entries.push(bytes.bytes());
    arena.step(world, entry);
    hashAt.push(hashText(arena.hash(world, hash)));
    if ((tick + 1) % 30 === 0) hashes.push({ ...hash });
  }
  return {
    hashAt,
    replay: {
      header: {
        matchId: 'timeline',
        roomName: 'arena',
        simId: arena.id,
        simVersion: arena.version,
        tickRateHz: 30,
        setup: SETUP,
        createdAtMs: 0,
        buildId: '',
        players: [],
        ticks: TICKS,
        finalHash: hashAt[TICKS]!,
        hashEveryTicks: 30,
      },
      entries,
      hashes,
    },
  };
}

describe('the timeline of a replay', () => {
  const { replay, hashAt } = recordMatch();
  const hashOf = (timeline: Timeline<Parameters<typeof arena.step>[0], ArenaIntent>): string =>
    hashText(arena.hash(timeline.world, { hi: 0, lo: 0 }));

  it('is at any tick, forwards or back, the world that was played there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: TICKS + 5 }), { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (jumps, isScouted) => {
          const timeline = new Timeline(arena, replay);
          if (isScouted) while (timeline.scout(5));
          for (const jump of jumps) {
            timeline.seek(jump);
            const tick = Math.max(0, Math.min(TICKS, jump));
            assert.equal(timeline.tick, tick);
            assert.equal(hashOf(timeline), hashAt[tick]);
          }
        },
      ),
      { seed: 20261121, numRuns: 20 },
    );
  });

  it('is verified by all its hashes, whatever is watched meanwhile', () => {
    const timeline = new Timeline(arena, replay);
    timeline.seek(300);
    while (timeline.scout(5)) timeline.step();
    assert.deepEqual(timeline.verdict, { kind: 'verified', hashes: replay.hashes.length });
    assert.equal(timeline.scoutedTicks, TICKS);
  });

  it('names the first recorded tick that does not come out the same', () => {
    const hashes = replay.hashes.map((hash, k) => (k === 9 ? { hi: hash.hi, lo: hash.lo ^ 1 } : hash));
    const timeline = new Timeline(arena, { ...replay, hashes });
    while (timeline.scout(5));
    assert.deepEqual(timeline.verdict, { kind: 'diverged', tick: 299 });
  });

  it('does not pass over a wrong last hash', () => {
    const header = { ...replay.header, finalHash: '0000000000000000' };
    const timeline = new Timeline(arena, { ...replay, header });
    while (timeline.scout(5));
    assert.deepEqual(timeline.verdict, { kind: 'diverged', tick: TICKS - 1 });
  });

  it('stops at the end', () => {
    const timeline = new Timeline(arena, replay);
    timeline.seek(TICKS);
    assert.equal(timeline.step(), false);
    assert.equal(timeline.tick, TICKS);
  });
});
