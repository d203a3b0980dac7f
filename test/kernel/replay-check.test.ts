import assert from 'node:assert/strict';
import fc from 'fast-check';
import { diffReplays, verifyReplay } from '../../src/kernel/replay-check.ts';
import type { Replay } from '../../src/kernel/replay-file.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { counterEntry, entryBytes, playReplay } from '../fixtures/recorded-match.ts';

const sim = counterSim();
const seed = 20261121;

function withEntry(replay: Replay, tick: number, add: number): Replay {
  const entry = { ...counterEntry(tick), intents: [{ seat: 1, intent: { add } }] };
  return { ...replay, entries: replay.entries.with(tick, entryBytes(entry)) };
}

describe('verifying a replay', () => {
  it('compares every recorded hash and the final one, and tells how far it is', async () => {
    const replay = await playReplay('m', 2500);
    const progress: number[] = [];
    const found = verifyReplay(sim, replay, (tick, ticks) => {
      assert.equal(ticks, 2500);
      progress.push(tick);
    });
    // 83 of every 30th tick and the final one, which is none of them.
    assert.deepEqual(found, { kind: 'same', ticks: 2500, hashesCompared: 84 });
    assert.equal(progress.at(-1), 2500);
    assert.ok(progress.length >= 3);
  });

  it('finds a changed rule at the first recorded hash after the tick it struck', async () => {
    const replay = await playReplay('m', 100);
    for (const [bugAtTick, seen, agreed] of [
      [0, 29, -1],
      [29, 29, -1],
      [30, 59, 29],
      [75, 89, 59],
      [95, 99, 89],
    ] as const) {
      const found = verifyReplay(counterSim({ bugAtTick }), replay);
      assert.equal(found.kind, 'diverged');
      assert.ok(found.kind === 'diverged');
      assert.deepEqual([found.tick, found.agreedTick], [seen, agreed]);
      assert.notEqual(found.recorded, found.simulated);
      assert.match(found.simulated, /^[0-9a-f]{16}$/);
    }
  });

  it('finds any single changed input', async () => {
    const replay = await playReplay('m', 90);
    fc.assert(
      fc.property(fc.nat({ max: 89 }), fc.integer({ min: 101, max: 127 }), (tick, add) => {
        // No entry of the fixture adds more than 99.
        assert.equal(verifyReplay(sim, withEntry(replay, tick, add)).kind, 'diverged');
      }),
      { seed, numRuns: 100 },
    );
  });

  it('finds a final hash that is not the world’s', async () => {
    const replay = await playReplay('m', 45);
    const forged = { ...replay, header: { ...replay.header, finalHash: '0'.repeat(16) } };
    const found = verifyReplay(sim, forged);
    assert.ok(found.kind === 'diverged');
    assert.equal(found.tick, 44);
    assert.equal(found.agreedTick, 29);
  });

  it('refuses a replay of another simulation or version', async () => {
    const replay = await playReplay('m', 5);
    assert.throws(() => verifyReplay(counterSim({ version: 2 }), replay), { code: 'REPLAY_VERSION' });
    const other = { ...replay, header: { ...replay.header, simId: 'chess' } };
    assert.throws(() => verifyReplay(sim, other), { code: 'REPLAY_VERSION' });
  });

  it('refuses entries that cannot be read or are of another tick, and a setup that is none', async () => {
    const replay = await playReplay('m', 5);
    for (const bytes of [
      new Uint8Array(0),
      Uint8Array.of(3, 1, 9, 0),
      Uint8Array.of(2, 1, 1, 0, 0, 2, 0xff, 0xfe, 0, 0),
      replay.entries[2]!,
      Uint8Array.of(...replay.entries[3]!, 0),
      Uint8Array.of(3, 0, 255, 255, 255, 127),
    ]) {
      assert.throws(() => verifyReplay(sim, { ...replay, entries: replay.entries.with(3, bytes) }), {
        code: 'REPLAY_CORRUPT',
      });
    }
    const setup = { ...replay, header: { ...replay.header, setup: { seed: 1, goal: 0 } } };
    assert.throws(() => verifyReplay(sim, setup), { code: 'REPLAY_CORRUPT' });
  });

  it('an empty match is the same as itself', async () => {
    assert.deepEqual(verifyReplay(sim, await playReplay('m', 0)), { kind: 'same', ticks: 0, hashesCompared: 0 });
  });
});

describe('comparing two replays', () => {
  it('a replay is the same as itself, also under other player ids', async () => {
    const a = await playReplay('a', 60);
    const b = await playReplay('b', 60, (id) => `${id}-elsewhere`);
    assert.deepEqual(diffReplays(sim, a, b), { kind: 'same', ticks: 60 });
  });

  it('names the first tick and field in which the worlds differ', async () => {
    const a = await playReplay('a', 90);
    const b = withEntry(a, 41, 120);
    const found = diffReplays(sim, a, b);
    assert.ok(found.kind === 'diverged');
    assert.equal(found.tick, 41);
    assert.equal(found.inputsDifferAtTick, 41);
    assert.match(found.field, /^seats\.[0-9]\.total$/);
    assert.notEqual(found.a, found.b);
  });

  it('names the setup when it is that', async () => {
    const found = diffReplays(sim, await playReplay('a', 9), await playReplay('b', 9, (id) => id, 8));
    assert.deepEqual(found, { kind: 'setup', field: 'seed', a: '7', b: '8' });
  });

  it('names the lengths when one goes on longer, and the inputs when they had no effect', async () => {
    const a = await playReplay('a', 50);
    assert.deepEqual(diffReplays(sim, a, await playReplay('b', 40)), { kind: 'length', aTicks: 50, bTicks: 40 });
    const idle = { ...counterEntry(12), intents: [...counterEntry(12).intents, { seat: 99, intent: { add: 1 } }] };
    const b = { ...a, entries: a.entries.with(12, entryBytes(idle)) };
    assert.deepEqual(diffReplays(sim, a, b), { kind: 'inputs', inputsDifferAtTick: 12 });
  });
});
