import assert from 'node:assert/strict';
import { Database } from '../../src/adapters/database.ts';
import { RedisCluster } from '../../src/adapters/redis-cluster.ts';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import { dial } from '../../src/cluster/tunnel.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { standStill } from '../fixtures/stall.ts';

/** Limits that the questions below have, ms, and how long this process then stands still. */
const LIMIT_MS = 600;
const STALL_MS = 900;
/** The same for a connection, which takes a server a moment even where it has little else to do. */
const CONNECT_LIMIT_MS = 2_000;
const CONNECT_STALL_MS = 2_500;

/** Asks, stands still until the answer is long there and its time long over, and gives what is made of that. */
async function answerAfterStall<T>(ask: () => Promise<T>, turns: number, stallMs = STALL_MS): Promise<T> {
  const answer = ask();
  answer.catch(() => undefined);
  // Long enough in the loop for the question to be sent, or not at all.
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  standStill(stallMs);
  return answer;
}

describe('after a stall of this process', () => {
  let redis: RedisServer;
  let fresh: FreshDatabase;

  before(async () => {
    redis = await RedisServer.start();
    fresh = await freshDatabase();
  });

  after(async () => {
    await redis.stop();
    await fresh.drop();
  });

  for (const [moment, turns] of [
    ['sent', 3],
    ['not sent yet', 0],
  ] as const) {
    it(`the cluster's store is not found away for a question that was ${moment}`, async () => {
      const store = await RedisCluster.open({ url: redis.url, processId: 'stalled', timeoutMs: LIMIT_MS });
      try {
        assert.deepEqual(await answerAfterStall(() => store.processes(), turns), []);
      } finally {
        await store.close();
      }
    });

    it(`the journal is not found away for a question that was ${moment}`, async () => {
      const totals = new JournalTotals();
      const journal = await RedisJournal.open({ url: redis.url, totals, answerMs: LIMIT_MS, silenceMs: LIMIT_MS });
      try {
        assert.deepEqual(await answerAfterStall(() => journal.list(), turns), []);
      } finally {
        await journal.close();
      }
    });

    it(`the database is not found away for a question that was ${moment}`, async () => {
      const database = await Database.open({ url: fresh.url, connectionsMax: 1, timeoutMs: LIMIT_MS });
      try {
        const { rows } = await answerAfterStall(() => database.query('select 1 as one'), turns);
        assert.deepEqual(rows, [{ one: 1 }]);
        assert.equal(database.guard.totals.timedOut, 0);
      } finally {
        await database.close();
      }
    });
  }

  it('a store that was being connected to is not found away', async () => {
    const store = await answerAfterStall(
      () => RedisCluster.open({ url: redis.url, processId: 'stalled', timeoutMs: LIMIT_MS }),
      0,
    );
    await store.close();
    const options = { url: fresh.url, connectionsMax: 1, connectTimeoutMs: CONNECT_LIMIT_MS, timeoutMs: 10_000 };
    const database = await answerAfterStall(() => Database.open(options), 0, CONNECT_STALL_MS);
    await database.close();
  });

  it('another process is not taken for one that hangs', async () => {
    // Anything that answers with a status will do: what is asked is for Redis to say that line.
    const { answer } = dial({
      host: '127.0.0.1',
      port: redis.port,
      head: Buffer.from('PING "HTTP/1.1 101"\r\n'),
      answerMs: LIMIT_MS,
    });
    const dialled = await answerAfterStall(() => answer, 0);
    assert.equal(dialled.state, 'answered');
    if (dialled.state === 'answered') dialled.far.destroy();
  });
});
