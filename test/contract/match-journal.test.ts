import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { FaultyDisk } from '../fixtures/faulty-disk.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { matchJournalContract } from './match-journal.contract.ts';

matchJournalContract('memory', async () => {
  const totals = new JournalTotals();
  const journal = new MemoryJournal({ totals });
  const { capacityBytes } = journal;
  return {
    journal,
    totals,
    exhaust: () => {
      journal.capacityBytes = 0;
    },
    relieve: () => {
      journal.capacityBytes = capacityBytes;
    },
    dispose: () => journal.close(),
  };
});

for (const [name, segmentBytes] of [
  ['files', undefined],
  ['files, a segment a commit', 1],
] as const) {
  matchJournalContract(name, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hypogeum-journal-'));
    const totals = new JournalTotals();
    const disk = new FaultyDisk();
    const journal = await FileJournal.open({
      folder,
      totals,
      createSegment: disk.createSegment,
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
    });
    return {
      journal,
      totals,
      exhaust: () => disk.refuseWith('ENOSPC'),
      relieve: () => disk.relieve(),
      dispose: async () => {
        disk.relieve();
        await journal.close();
        await rm(folder, { recursive: true });
      },
    };
  });
}

describe('MatchJournal in Redis', () => {
  let redis: RedisServer;

  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.stop());

  matchJournalContract('redis', async () => {
    const totals = new JournalTotals();
    // So that what a store refuses for good is told from what it will take in a moment within a test.
    const journal = await RedisJournal.open({ url: redis.url, totals, patienceMs: 200, answerMs: 400 });
    const limitMemory = (bytes: number) => redis.command((client) => client.config('SET', 'maxmemory', String(bytes)));
    return {
      journal,
      totals,
      exhaust: async () => void (await limitMemory(1)),
      relieve: async () => void (await limitMemory(0)),
      dispose: async () => {
        await limitMemory(0);
        await journal.close();
        await redis.command((client) => client.flushall());
      },
    };
  });
});
