import assert from 'node:assert/strict';
import { RedisBoards } from '../../src/adapters/redis-boards.ts';
import type { BoardFeeder } from '../../src/leaderboards/board-feeder.ts';
import type { RankedEntry, SeasonKey } from '../../src/leaderboards/board-index.ts';
import { until } from '../fixtures/events-of-tests.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { BoardStage, TEST_BOARDS } from './stage.ts';

const KEY: SeasonKey = { boardId: 'sum', seasonId: 'all', order: 'descending' };
const PLAYERS = 40;

describe('leaderboards while Redis fails', () => {
  let redis: RedisServer;
  let stage: BoardStage;
  let boards: RedisBoards[];
  let right: readonly RankedEntry[];

  const open = async (): Promise<{ index: RedisBoards; feeder: BoardFeeder }> => {
    const orderOf = (boardId: string) => TEST_BOARDS.get(boardId)?.order;
    const index = await RedisBoards.open({ url: redis.url, orderOf, timeoutMs: 500, halfOpenAfterMs: 20 });
    boards.push(index);
    return { index, feeder: stage.feeder(index, 5) };
  };
  /** What the feeder answers is right, and whether the index gave it. */
  const ask = async (feeder: BoardFeeder): Promise<boolean> => {
    const before = feeder.reading.fallbacksTotal;
    assert.deepEqual((await feeder.page(KEY, undefined, 100)).entries, right);
    const at = right.findIndex(({ playerId }) => playerId === 'p7');
    assert.deepEqual(await feeder.around(KEY, 'p7', 1, 1), right.slice(at - 1, at + 2));
    return feeder.reading.fallbacksTotal === before;
  };
  const isBack = (feeder: BoardFeeder) => async (): Promise<boolean> => {
    const isFed = await feeder.sync().then(
      () => true,
      () => false,
    );
    return (await ask(feeder)) && isFed;
  };

  before(async () => {
    redis = await RedisServer.start();
  });
  beforeEach(async () => {
    boards = [];
    await redis.command((client) => client.flushall());
    stage = await BoardStage.open('2026-11-23T12:00:00Z');
    for (let n = 0; n < PLAYERS; n++) await stage.score('sum', `p${n}`, PLAYERS - n);
    await stage.fold();
    right = (await stage.table.page(KEY, undefined, 100)).entries;
    assert.equal(right.length, PLAYERS);
  });
  afterEach(async () => {
    for (const index of boards) await index.close();
    await stage.close();
  });
  after(() => redis.stop());

  it('are answered right by the table after a flush, and by Redis again once it was filled anew', async () => {
    const { feeder } = await open();
    await feeder.sync();
    assert.equal(await ask(feeder), true);
    await redis.command((client) => client.flushall());
    assert.equal(await ask(feeder), false);
    await feeder.sync();
    assert.equal(await ask(feeder), true);
    assert.equal(feeder.reading.rebuildsTotal, 2);
  });

  it('are right in every moment while two processes fill it and it is flushed again and again', async () => {
    const [one, two] = [(await open()).feeder, (await open()).feeder];
    let answers = 0;
    let isDone = false;
    const asking = (async () => {
      while (!isDone) {
        await ask(one);
        await ask(two);
        answers++;
      }
    })();
    for (let round = 0; round < 5; round++) {
      const feeding = Promise.all([one.sync(), two.sync()]);
      await redis.command((client) => client.flushall());
      await feeding;
    }
    await until(async () => (await isBack(one)()) && (await isBack(two)()), 'both answered by Redis');
    isDone = true;
    await asking;
    assert.ok(answers > 0);
  });

  it('lose nothing when a part of the data is evicted: it is found out, and filled anew', async () => {
    const { feeder } = await open();
    for (const part of ['e', 'p', 'l', 'c']) {
      await feeder.sync();
      assert.equal(await ask(feeder), true, part);
      const [key] = await redis.command((client) => client.keys(`*:sum/all:${part}`));
      assert.equal(await redis.command((client) => client.del(key!)), 1);
      assert.equal(await ask(feeder), false, part);
    }
    await feeder.sync();
    assert.equal(await ask(feeder), true);
    const keys = await redis.command((client) => client.keys('*'));
    assert.deepEqual(keys.map((key) => key.slice(key.lastIndexOf(':') + 1)).sort(), ['c', 'e', 'l', 'p', 'state']);
  });

  it('are answered by the table while Redis is dead, and by Redis soon after it is back, empty', async () => {
    const { feeder, index } = await open();
    await feeder.sync();
    await redis.kill();
    for (let n = 0; n < 8; n++) assert.equal(await ask(feeder), false);
    assert.notEqual(index.guard.state, 'closed');
    await assert.rejects(feeder.sync(), { code: 'STORE_UNAVAILABLE' });
    await stage.score('sum', 'p39', 1000);
    await stage.fold();
    right = (await stage.table.page(KEY, undefined, 100)).entries;
    assert.equal(right[0]!.playerId, 'p39');
    await redis.start();
    await until(isBack(feeder), 'answered by Redis');
    assert.equal(index.guard.state, 'closed');
  });

  it('are not taken back by an older copy of Redis: the table answers until it has caught up', async () => {
    const { feeder } = await open();
    await feeder.sync();
    const keys = await redis.command((client) => client.keys('*'));
    const copies = await redis.command((client) => Promise.all(keys.map((key) => client.dumpBuffer(key))));
    await stage.score('sum', 'p39', 1000);
    await stage.fold();
    right = (await stage.table.page(KEY, undefined, 100)).entries;
    await feeder.sync();
    assert.equal(await ask(feeder), true);
    await redis.command(async (client) => {
      await client.flushall();
      for (const [n, key] of keys.entries()) await client.restore(key, 0, copies[n]!);
    });
    assert.equal(await ask(feeder), false);
    await feeder.sync();
    assert.equal(await ask(feeder), true);
    assert.equal(feeder.reading.rebuildsTotal, 1);
  });
});
