import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { MemoryTickets } from '../../src/adapters/memory-tickets.ts';
import { RedisTickets } from '../../src/adapters/redis-tickets.ts';
import { TicketStore } from '../../src/matchmaking/ticket-store.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { until } from '../fixtures/until.ts';
import { newTicket, playerOf, refusal, ticketStoreContract } from './ticket-store.contract.ts';

describe('tickets in memory', () => {
  ticketStoreContract('memory', async () => {
    const cells = new MemoryTickets();
    return { cells, others: cells, dispose: () => cells.close() };
  });
});

describe('tickets in Redis', () => {
  let redis: RedisServer;
  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.stop());

  const opened = () => RedisTickets.open({ url: redis.url, prefix: `${randomUUID()}:`, halfOpenAfterMs: 50 });

  ticketStoreContract('Redis', async () => {
    const prefix = `${randomUUID()}:`;
    const [cells, others] = await Promise.all([0, 1].map(() => RedisTickets.open({ url: redis.url, prefix })));
    return { cells: cells!, others: others!, dispose: () => Promise.all([cells!.close(), others!.close()]) as never };
  });

  it('leave no key that has no end, but the fences of the pools', async () => {
    const prefix = `${randomUUID()}:`;
    const cells = await RedisTickets.open({ url: redis.url, prefix });
    const store = new TicketStore(cells);
    const { fence } = (await cells.lease('duel', 'me', 60_000))!;
    const { ticket } = await store.enqueue(newTicket('ann'));
    await store.enqueue(newTicket('bob'));
    const match = { mode: 'duel', region: null, teams: [[ticket]], bots: [], roles: {} };
    const claim = { matchId: 'm', playsMatchId: 'm', match, roomId: null, asked: [playerOf('ann')], checkMs: 1 };
    await store.claim(claim, { pool: 'duel', fence });
    await store.answer(playerOf('ann'), true);
    await store.want({ matchId: 'w', roomId: 'r', mode: 'duel', region: null, freeSeats: [1], players: [] });
    await store.tellPoolFacts('duel', { waitMsP50: 1, waiting: 1 }, { pool: 'duel', fence });
    await redis.command(async (client) => {
      const keys = await client.keys(`${prefix}*`);
      assert.ok(keys.length >= 10, keys.join());
      const endless: string[] = [];
      for (const key of keys) if ((await client.pttl(key)) < 0) endless.push(key.slice(prefix.length));
      assert.deepEqual(endless, ['{matchmaking}:fences']);
    });
    await cells.close();
  });

  it('are refused while Redis is away, and found by a fence that goes on growing when it comes back empty', async () => {
    const cells = await opened();
    const store = new TicketStore(cells);
    const before = (await cells.lease('duel', 'me', 60_000))!;
    const missed: unknown[] = [];
    cells.onTold((topic) => missed.push(topic));
    await redis.kill();
    assert.equal(await refusal(store.enqueue(newTicket('ann'))), 'STORE_UNAVAILABLE');
    await redis.start();
    const after = await until(() => cells.lease('duel', 'me', 60_000).catch(() => undefined), 'Redis to answer');
    assert.ok(after.isNew && after.fence > before.fence);
    await until(() => missed.includes(undefined), 'everybody to be told to look again');
    assert.equal((await store.enqueue(newTicket('ann'))).state, 'queued');
    await cells.close();
  });
});
