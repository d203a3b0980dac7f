import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { PrivateRedis } from '../../src/cli/cluster/private-redis.ts';
import { until } from '../fixtures/until.ts';

describe('the private Redis of a cluster', () => {
  let dataDir: string;
  let redis: PrivateRedis;
  let died: string[];
  let restarts: number;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-private-redis-'));
    [died, restarts] = [[], 0];
    redis = await PrivateRedis.start({
      dataDir,
      onDied: (reason) => void died.push(reason),
      onRestarted: () => void restarts++,
    });
  });

  afterEach(async () => {
    await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('is started again when it dies, on its port and with what it held', async () => {
    const client = new Redis(redis.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    try {
      await client.set('kept', 'yes');
      process.kill(redis.pid!, 'SIGKILL');
      await until(() => restarts === 1, 'it to be back');
      assert.equal(await client.get('kept'), 'yes');
      assert.deepEqual(died, ['ended with SIGKILL']);
    } finally {
      client.disconnect();
    }
  });

  it('is left alone once it is stopped, also while it cannot be started again', async () => {
    await rm(join(dataDir, 'redis'), { recursive: true });
    process.kill(redis.pid!, 'SIGKILL');
    await until(() => died.length >= 4, 'some tries in vain');
    await redis.stop();
    const tries = died.length;
    await new Promise(setImmediate);
    assert.deepEqual([died.length, restarts, redis.pid], [tries, 0, undefined]);
  });
});
