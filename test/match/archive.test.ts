import assert from 'node:assert/strict';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import { inflateRaw } from '../../src/kernel/inflate.ts';
import { verifyReplay } from '../../src/kernel/replay-check.ts';
import { packReplay, REPLAY_LIMITS, unpackReplay } from '../../src/kernel/replay-file.ts';
import type { SeatEvent } from '../../src/kernel/simulation.ts';
import { replayOf } from '../../src/match/archive.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { entryBytes, matchHeader } from '../fixtures/recorded-match.ts';

describe('archiving', () => {
  it('makes a replay also of a match that somebody joined and left more often than a header may name', async () => {
    const sim = counterSim();
    const journal = new MemoryJournal({ totals: new JournalTotals() });
    const header = matchHeader('busy');
    const writer = await journal.open(header, 1);
    const world = sim.create(header.setup);
    const hash = { hi: 0, lo: 0 };
    for (let tick = 0; tick < REPLAY_LIMITS.players + 100; tick++) {
      const events: SeatEvent[] = [{ kind: 'join', seat: 0, name: 'x'.repeat(96), playerId: 'player', isBot: false }];
      if (tick > 0) events.unshift({ kind: 'leave', seat: 0 });
      const entry = { tick, events, intents: [] };
      sim.step(world, entry);
      writer.entry(tick, entryBytes(entry), sim.hash(world, hash));
    }
    await writer.close();
    const replay = await replayOf((await journal.load('busy'))!, (id) => id);
    assert.equal(replay.header.players.length, REPLAY_LIMITS.players);
    const read = await unpackReplay(await packReplay(replay), inflateRaw);
    assert.equal(verifyReplay(sim, read).kind, 'same', 'only the list is cut, not the match');
  });
});
