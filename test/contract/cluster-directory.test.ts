import { MemoryCluster } from '../../src/adapters/memory-cluster.ts';
import { RedisCluster } from '../../src/adapters/redis-cluster.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { clusterDirectoryContract } from './cluster-directory.contract.ts';

clusterDirectoryContract('memory, one process', async () => {
  const store = new MemoryCluster();
  return { store: async () => store, dispose: () => store.close() };
});

describe('with Redis', () => {
  let redis: RedisServer;
  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.stop());

  clusterDirectoryContract('Redis', async () => {
    await redis.command((client) => client.flushall());
    const open: RedisCluster[] = [];
    return {
      async store(processId) {
        const store = await RedisCluster.open({ url: redis.url, processId });
        open.push(store);
        return store;
      },
      async dispose() {
        for (const store of open.splice(0)) await store.close();
      },
    };
  });
});
