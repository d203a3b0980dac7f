import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type GoldenMatch, readEntries, verifyGolden, writeEntries } from '../golden/golden-match.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/arena-match.json', import.meta.url), 'utf8')) as GoldenMatch;

describe('golden match', () => {
  it('gives the recorded hash after every 30th tick, the recorded standings and the recorded maps', () => {
    assert.deepEqual(verifyGolden(golden), []);
    assert.ok(golden.ticks > 900 && golden.hashes.length > 30 && golden.maps.length > 2);
  });

  it('a single different input is noticed, with the tick', () => {
    const entries = [...readEntries(golden.entries)];
    const entry = entries[400]!;
    const intents = entry.intents.map(({ seat, intent }) => ({
      seat,
      intent: { ...intent, moveX: intent.moveX > 0 ? -127 : 127 },
    }));
    entries[400] = { ...entry, intents };
    const forged = { ...golden, entries: writeEntries(entries) };
    assert.match(verifyGolden(forged).join('\n'), /hash after 420 ticks is/);
  });

  it('another version, map or score is named', () => {
    const maps = [{ ...golden.maps[0]!, crc: 1 }];
    const faults = verifyGolden({ ...golden, version: golden.version + 1, maps, standings: [] }).join('\n');
    for (const word of ['version', 'generated map', 'standings']) assert.match(faults, new RegExp(word));
  });
});
