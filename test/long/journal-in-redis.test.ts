import assert from 'node:assert/strict';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { GameServer, until } from '../fixtures/game-server.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { TagRoom } from '../fixtures/tag/tag-room.ts';

class ShortTag extends TagRoom {
  protected override setupMatch(seed: number): MatchSetup {
    return { seed, ticks: 90 };
  }
}

describe('a server whose matches are recorded in Redis', () => {
  let redis: RedisServer;
  let server: GameServer;
  /** As another process sees it. */
  let other: RedisJournal;

  before(async () => {
    redis = await RedisServer.start();
    server = await GameServer.start({ rooms: { tag: TagRoom, short: ShortTag }, env: { REDIS_URL: redis.url } });
    other = await RedisJournal.open({ url: redis.url, totals: new JournalTotals() });
  });
  after(async () => {
    redis.resume();
    await server.close();
    await other.close();
    await redis.stop();
  });

  const totals = () => server.server.services.totals.journal.collect();

  it('stands still while Redis is paused, goes on when it is back, and has everything', async () => {
    assert.equal(server.server.services.settings.durability, 'wal');
    const room = await server.createRoom<TagRoom>('tag');
    const player = await server.join(room.roomId);
    await player.patched(20);
    redis.pause();
    await until(() => server.log.some(({ msg }) => msg.includes('stands still')), 'the room to stand still');
    const stoodAt = room.plugins.tick.tick;
    redis.resume();
    await player.patched(20);
    assert.ok(room.plugins.tick.tick > stoodAt);
    assert.equal(player.leftWith, undefined);
    const { matchId } = await until(() => player.welcomes[0], 'a welcome');
    const recorded = await other.load(matchId);
    assert.ok(recorded!.entries.length >= stoodAt);
    assert.equal(totals().failuresTotal, 0);
  });

  it('writes its matches again into a Redis that was emptied, whole, and its players notice nothing', async () => {
    const room = await server.createRoom<TagRoom>('tag');
    const player = await server.join(room.roomId);
    await player.patched(20);
    const before = room.plugins.tick.tick;
    await redis.command((client) => client.flushall());
    await player.patched(20);
    const { matchId } = await until(() => player.welcomes[0], 'a welcome');
    await until(async () => ((await other.load(matchId))?.entries.length ?? 0) > before, 'the match to be whole again');
    assert.ok(totals().rewrittenTotal >= 1);
    assert.equal(totals().failuresTotal, 0);
    assert.equal(player.leftWith, undefined);
    assert.equal(player.resumes, 0);
  });

  it('takes a match out of Redis when it has ended and is settled', async () => {
    const { roomId } = await server.createRoom('short');
    const player = await server.join(roomId);
    const { matchId } = await until(() => player.welcomes[0], 'a welcome');
    assert.ok((await other.load(matchId)) !== undefined);
    player.room.reconnection.enabled = false;
    await until(() => player.leftWith, 'the match to end');
    await until(async () => (await other.load(matchId)) === undefined, 'the match to be settled');
    assert.ok(!(await other.list()).some((summary) => summary.matchId === matchId));
  });
});
