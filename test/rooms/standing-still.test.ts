import assert from 'node:assert/strict';
import type { Durability } from '../../src/match/journal-plugin.ts';
import { FRAME, GameServer, type RawPlayer, until } from '../fixtures/game-server.ts';
import { LateJournal } from '../fixtures/late-journal.ts';
import { TagRoom } from '../fixtures/tag/tag-room.ts';

class WaitingRoom extends TagRoom {
  protected override get durability(): Durability {
    return 'wal';
  }
}

/** Frames of an honest client in ten seconds are as many as the framework takes in one. */
const TEN_SECONDS = 640;

describe('a match that stands still', () => {
  let journal: LateJournal;
  let game: GameServer;

  beforeEach(async () => {
    journal = new LateJournal();
    game = await GameServer.start({ rooms: { tag: WaitingRoom }, journal });
  });
  afterEach(async () => {
    journal.isStalled = false;
    await game.close();
    await journal.close();
  });

  /** Ten seconds of inputs; resolves when the room has had them all. */
  async function play(player: RawPlayer): Promise<void> {
    const { room } = game.server.services.totals;
    const { unknownMessages } = room;
    for (let i = 1; i < TEN_SECONDS - 1; i++) player.send(FRAME.ROOM_INPUT_RELIABLE, 0x80, i & 1);
    player.send(FRAME.ROOM_DATA, 0xa1, 'x');
    await until(() => player.closed ?? room.unknownMessages > unknownMessages, 'the inputs to arrive');
  }

  /** Stands still for half a minute, as the room's clock has it, while its player sends on. */
  async function standStill(room: TagRoom, player: RawPlayer): Promise<void> {
    const clock = room.clock as unknown as { now: () => number; currentTime: number };
    const { tick } = room.plugins.tick;
    const { elapsedTime } = room.clock;
    let aheadMs = 0;
    clock.now = () => performance.now() + aheadMs;
    for (let i = 0; i < 3; i++) {
      const { currentTime } = clock;
      await play(player);
      aheadMs += 10_000;
      await until(() => player.closed ?? clock.currentTime >= currentTime + 10_000, 'the clock of the room to go on');
    }
    assert.equal(player.closed, undefined);
    assert.equal(room.plugins.tick.tick, tick);
    assert.ok(room.clock.elapsedTime - elapsedTime >= 30_000);
  }

  it('as its journal does not answer keeps its players, however much they send meanwhile', async () => {
    const room = await game.createRoom<TagRoom>('tag');
    const player = await game.raw(room.roomId);
    journal.isStalled = true;
    await until(() => !room.plugins.journal.mayTick, 'the room to stand still');
    await standStill(room, player);
    journal.isStalled = false;
    const { patches } = player;
    await until(() => player.patches > patches + 2, 'the match to go on');
    await play(player);
    assert.equal(player.closed, undefined);
  });

  it('as it is handed over keeps them, too', async () => {
    const room = await game.createRoom<TagRoom>('tag');
    const player = await game.raw(room.roomId);
    await room.handOver();
    await standStill(room, player);
    room.unfreeze();
    const { patches } = player;
    await until(() => player.patches > patches + 2, 'the match to go on');
    assert.equal(player.closed, undefined);
  });
});
