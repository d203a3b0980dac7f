import assert from 'node:assert/strict';
import type { IRoomCache } from '@colyseus/core';
import { DurableDriver } from '../../src/adapters/durable-driver.ts';
import { RedisServer } from '../fixtures/redis-server.ts';

describe('the list of rooms in Redis', () => {
  let redis: RedisServer;
  let driver: DurableDriver;
  const faults: unknown[] = [];

  before(async () => {
    redis = await RedisServer.start();
    driver = new DurableDriver({
      url: redis.url,
      registryKey: (roomId) => `test:${roomId}`,
      onFault: (error) => faults.push(error),
      onDuplicate: () => undefined,
    });
  });
  after(async () => {
    await driver.shutdown();
    await redis.stop();
    assert.deepEqual(faults, []);
  });

  const row = (roomId: string, processId = 'p1') =>
    ({ roomId, processId, name: 'arena', clients: 2, maxClients: 4 }) as IRoomCache;
  const listed = async (roomId: string) => (await driver.query({ roomId }))[0];

  it('never has a room again that was taken off it, whatever is said of it later', async () => {
    const room = row('ended');
    assert.equal(await driver.insert(room), true);
    assert.equal(await driver.remove('ended'), true);
    await driver.update(room, { $inc: { clients: -1 } as Partial<IRoomCache> });
    await driver.persist(room);
    assert.equal(await listed('ended'), undefined);
  });

  it('has a room again that is made anew, as when it comes back to this process', async () => {
    const room = row('back');
    await driver.insert(room);
    await driver.remove('back');
    assert.equal(await driver.insert(room), true);
    await driver.update(room, { $inc: { clients: -1 } as Partial<IRoomCache> });
    assert.equal((await listed('back'))?.clients, 1);
  });

  it('forgets a room that went elsewhere, came back to this process and ended here', async () => {
    const room = row('round');
    await driver.insert(room);
    driver.disowned.add('round');
    await driver.remove('round');
    await redis.command((client) => client.hdel('roomcaches', 'round'));
    assert.equal(await driver.insert(room), true);
    await driver.update(room, { $inc: { clients: -1 } as Partial<IRoomCache> });
    assert.equal((await listed('round'))?.clients, 1);
    assert.equal(await driver.remove('round'), true);
    assert.equal(await listed('round'), undefined);
  });

  it('leaves alone what is another process’s', async () => {
    await driver.insert(row('theirs', 'p2'));
    await driver.insert(row('mine'));
    assert.equal(await driver.remove('theirs'), false);
    assert.equal(await driver.persist({ ...row('theirs'), clients: 9 } as IRoomCache), false);
    assert.equal((await listed('theirs'))?.clients, 2);
  });
});
