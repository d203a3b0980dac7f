import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ClientState, CloseCode, matchMaker } from '@colyseus/core';
import * as z from 'zod';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import type { WordWorld } from '../../src/kernel/words.ts';
import { socketOf } from '../../src/match/colyseus-internals.ts';
import type { Durability } from '../../src/match/journal-plugin.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { LateJournal } from '../fixtures/late-journal.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { TagRoom } from '../fixtures/tag/tag-room.ts';

/** Shows the tick in every way in which a room can: hot and cold fields, a broadcast, an answer. */
class ShowingRoom extends TagRoom {
  #tick = -1;

  protected override get durability(): Durability {
    return 'wal';
  }

  protected override commands() {
    return { ask: this.command(z.unknown(), () => ({ tick: this.#tick })) };
  }

  say(type: string, payload: unknown): void {
    this.announce(type, payload);
  }

  protected override project(world: WordWorld, tick = 0): void {
    super.project(world);
    this.#tick = tick;
    for (const runner of this.state.runners.values()) runner.assign({ x: tick, name: String(tick) });
    if (tick % 3 === 0) this.broadcast('tick', { tick });
  }
}

class HastyRoom extends ShowingRoom {
  protected override get durability(): Durability {
    return 'batch';
  }
}

describe('what players see of a match', () => {
  let journal: LateJournal;
  let server: GameServer;
  /** Ticks that somebody saw before they were durable. */
  let early: string[];

  beforeEach(async () => {
    early = [];
    journal = new LateJournal();
    server = await GameServer.start({ rooms: { showing: ShowingRoom, hasty: HastyRoom }, journal });
  });
  afterEach(async () => {
    journal.isStalled = false;
    await server.close();
    await journal.close();
  });

  /** Joins and holds everything that comes against what a successor would find at that moment. */
  async function join(room: TagRoom): Promise<{ player: TestPlayer; seen: number[] }> {
    const seen: number[] = [];
    const player = await server.join(room.roomId);
    const { matchId } = room as unknown as { matchId: string };
    const see = (tick: number, where: string): void => {
      seen.push(tick);
      if (tick >= (journal.durableTicks.get(matchId) ?? 0)) early.push(`${where} of tick ${tick}`);
    };
    const seeState = (): void => {
      for (const { x, name } of player.state?.runners?.values() ?? []) {
        see(x, 'patch');
        see(Number(name), 'patch, cold');
      }
    };
    player.room.onMessage('tick', ({ tick }: { tick: number }) => see(tick, 'broadcast'));
    player.room.onStateChange(seeState);
    const timer = setInterval(() => {
      player.room.request('ask', {}).then(
        ({ tick }: { tick: number }) => see(tick, 'answer'),
        () => undefined,
      );
    }, 20);
    player.room.onLeave(() => clearInterval(timer));
    return { player, seen };
  }

  it('is durable, with wal, at whatever moment the process would die and however late the journal acknowledges', async () => {
    const room = await server.createRoom<TagRoom>('showing');
    const first = await join(room);
    await first.player.patched(30);
    const second = await join(room);
    await second.player.patched(30);
    await first.player.patched(30);
    assert.deepEqual(early, []);
    for (const { seen } of [first, second]) {
      assert.ok(seen.length > 60);
      assert.ok(seen.at(-1)! > seen[0]!);
    }
    assert.deepEqual(server.bugs, []);
  });

  it('is durable, with wal, also of what waits for who is away', async () => {
    const room = await server.createRoom<ShowingRoom>('showing');
    const { player: away } = await join(room);
    const { player } = await join(room);
    await Promise.all([away, player].map((one) => one.patched(5)));
    away.room.reconnection.enabled = false;
    socketOf(room.clients.getById(away.room.sessionId)! as never).terminate!();
    await until(() => room.clients.length === 1, 'the loss to be noticed');
    const { matchId } = player.welcomes[0]!;
    const recorded: number[] = [];
    const heard: number[] = [];
    player.room.onMessage('notice', ({ number }: { number: number }) => {
      heard.push(number);
      if (journal.durableSessions.get(matchId)! < recorded[number]!) early.push(`notice ${number}`);
    });
    for (let number = 0; number < 20; number++) {
      room.say('notice', { number });
      recorded.push(journal.sessions.get(matchId)!);
      await until(() => heard.length === number + 1, 'it to be heard');
    }
    assert.equal(new Set(recorded).size, 20, 'each is in the journal');
    assert.deepEqual(early, []);
  });

  it('is ahead of the journal with batch, which this test would notice', async () => {
    const room = await server.createRoom<TagRoom>('hasty');
    const { player } = await join(room);
    await player.patched(30);
    assert.ok(early.length > 0);
  });

  it('stands still while the journal does not acknowledge, and goes on in order when it does', async () => {
    const room = await server.createRoom<TagRoom>('showing');
    const { player, seen } = await join(room);
    await player.patched(10);
    journal.isStalled = true;
    await until(() => server.log.some(({ msg }) => msg.includes('stands still')), 'the room to stand still');
    const stoodAt = room.plugins.tick.tick;
    const { patches } = player;
    // A room beside it goes on, as it shows what is not durable.
    const other = await server.createRoom<TagRoom>('hasty');
    await until(() => other.plugins.tick.tick > 10, 'the other room to tick');
    assert.equal(room.plugins.tick.tick, stoodAt);
    assert.equal(player.patches, patches);
    journal.isStalled = false;
    await player.patched(20);
    assert.ok(room.plugins.tick.tick > stoodAt);
    assert.ok(server.log.some(({ msg }) => msg.includes('goes on: its journal answers')));
    assert.deepEqual(early, []);
    assert.ok(Math.max(...seen) >= stoodAt);
  });

  it('is durable also of who comes while no tick runs, however late the journal has it', async () => {
    const room = await server.createRoom<TagRoom>('showing');
    const former = await server.raw(room.roomId);
    const { sessionId, token } = former;
    room.plugins.tick.pause();
    await room.plugins.journal.flush();
    journal.isStalled = true;
    former.socket.terminate();
    await until(() => room.clients.length === 0, 'the loss to be noticed');
    const query = `sessionId=${sessionId}&reconnectionToken=${token}&skipHandshake=1`;
    const player = server.socket(`/${matchMaker.processId}/${room.roomId}?${query}`);
    // Longer than anybody waits for the journal.
    await until(() => room.clients[0]?.state === ClientState.JOINING, 'the room to let it in');
    const pong = once(player.socket, 'pong');
    player.socket.ping();
    await pong;
    assert.equal(player.token, undefined, 'a token that only this process knows');
    journal.isStalled = false;
    await until(() => player.token, 'it to be let in');
  });

  it('ends with what is durable when somebody else has taken the match over', async () => {
    const room = await server.createRoom<TagRoom>('showing');
    const { player, seen } = await join(room);
    await player.patched(10);
    journal.isStalled = true;
    const { tick } = room.plugins.tick;
    await until(() => room.plugins.tick.tick > tick + 3, 'ticks that are not durable');
    const last = Math.max(...seen);
    player.room.reconnection.enabled = false;
    journal.fail('JOURNAL_FENCED');
    await until(() => player.leftWith, 'the room to end');
    assert.equal(Math.max(...seen), last);
    assert.deepEqual(early, []);
  });

  it('goes on, unrecorded and said so, when the journal has failed for good', async () => {
    const room = await server.createRoom<TagRoom>('showing');
    const { player } = await join(room);
    await player.patched(10);
    journal.isStalled = true;
    await until(() => server.log.some(({ msg }) => msg.includes('stands still')), 'the room to stand still');
    journal.fail('JOURNAL_UNAVAILABLE');
    await player.patched(20);
    assert.ok(server.log.some(({ msg }) => msg.includes('unrecorded')));
  });
});

describe('what players see of a match that somebody else claims while its owner ticks on, as after a stall', () => {
  let redis: RedisServer;
  let journals: RedisJournal[];
  let server: GameServer;

  before(async () => {
    redis = await RedisServer.start();
    const open = () => RedisJournal.open({ url: redis.url, totals: new JournalTotals() });
    journals = [await open(), await open()];
    server = await GameServer.start({ rooms: { showing: ShowingRoom }, journal: journals[0]! });
  });
  after(async () => {
    await server.close();
    for (const journal of journals) await journal.close();
    await redis.stop();
  });

  it('is all in what the new owner reads, whenever it claims', async () => {
    const claim = async (): Promise<void> => {
      const room = await server.createRoom<TagRoom>('showing');
      const player = await server.join(room.roomId);
      player.room.reconnection.enabled = false;
      const { matchId } = player.welcomes[0] ?? (await until(() => player.welcomes[0], 'a welcome'));
      let seen = -1;
      player.room.onMessage('tick', ({ tick }: { tick: number }) => {
        seen = Math.max(seen, tick);
      });
      player.room.onStateChange(() => {
        for (const { x } of player.state.runners.values()) seen = Math.max(seen, x);
      });
      await player.patched(20);
      const header = (await journals[1]!.loadTail(matchId))!.header;
      const writer = await journals[1]!.open(header, 2);
      const { firstTick, entries } = (await journals[1]!.loadTail(matchId))!;
      assert.equal(await until(() => player.leftWith, 'its former owner to let go'), CloseCode.MAY_TRY_RECONNECT);
      assert.ok(seen > 0 && seen < firstTick + entries.length, `${seen} of ${firstTick + entries.length}`);
      await writer.close();
    };
    for (let round = 0; round < 3; round++) await Promise.all([claim(), claim(), claim(), claim()]);
  });
});
