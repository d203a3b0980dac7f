import assert from 'node:assert/strict';
import { MemoryCanary } from '../../src/adapters/memory-canary.ts';
import { RedisCanary } from '../../src/adapters/redis-canary.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { until } from '../fixtures/until.ts';
import { canaryStoreContract } from './canary-store.contract.ts';

describe('the canary in memory', () => {
  canaryStoreContract('memory', async () => {
    const store = new MemoryCanary();
    return { stores: [store, store], dispose: async () => undefined };
  });
});

describe('the canary in Redis', () => {
  let redis: RedisServer;
  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.stop());

  canaryStoreContract('Redis', async () => {
    await redis.command((client) => client.flushall());
    const stores = [new RedisCanary({ url: redis.url }), new RedisCanary({ url: redis.url })] as const;
    // Their subscriptions are made in the background.
    await until(
      async () => (await redis.command((client) => client.pubsub('NUMSUB', 'hypogeum:canary-changed')))[1] === 2,
      'both to listen',
    );
    return { stores, dispose: async () => void (await Promise.all(stores.map((store) => store.close()))) };
  });

  it('refuses while Redis is away, and answers again when it is back', async () => {
    const store = new RedisCanary({ url: redis.url, timeoutMs: 100 });
    try {
      await store.write({ phase: 'promoted', build: 'x' }, 'a', (await store.read()).revision);
      await redis.kill();
      const isAway = (error: unknown) => error instanceof GameError && error.code === 'STORE_UNAVAILABLE';
      await assert.rejects(store.read(), isAway);
      await redis.start();
      const record = await until(() => store.read().catch(() => undefined), 'an answer');
      assert.equal(record.revision, 0);
    } finally {
      await store.close();
    }
  });

  it('takes a state that it cannot read for none', async () => {
    await redis.command((client) => client.hset('hypogeum:canary', 'state', '{"phase":"later"}', 'revision', '7'));
    const store = new RedisCanary({ url: redis.url });
    try {
      assert.deepEqual(await store.read(), { state: { phase: 'none' }, revision: 7, by: '' });
    } finally {
      await store.close();
    }
  });
});
