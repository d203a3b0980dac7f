import assert from 'node:assert/strict';
import { CloseCode } from '@colyseus/core';
import { ArenaRoom } from '../../rooms/arena-room.ts';
import { FRAME, GameServer, until } from '../fixtures/game-server.ts';

describe('a player who comes back before the loss of the old socket is noticed', () => {
  let game: GameServer;

  before(async () => {
    game = await GameServer.start({ rooms: { arena: ArenaRoom } });
  });

  after(() => game?.close());

  it('takes the same seat again: a reload of the page can be quicker than its goodbye', async () => {
    const { roomId } = await game.createRoom<ArenaRoom>('arena');
    const before = await game.join(roomId, { name: 'Aelia' });
    const seat = await before.seat();
    await before.avatar();
    before.room.reconnection.enabled = false;

    const client = await game.client();
    const after = game.adopt(await client.reconnect(before.room.reconnectionToken));
    assert.equal(after.room.sessionId, before.room.sessionId);
    assert.equal(await after.seat(), seat);
    assert.equal((await after.avatar())['seat'], seat);
    assert.equal(await until(() => before.leftWith, 'the old socket to be closed'), 4002);
    assert.equal(game.server.services.totals.room.resumes, 1);
    assert.deepEqual(game.bugs, []);
  });

  it('still loses the seat when it is thrown out', async () => {
    const { roomId } = await game.createRoom<ArenaRoom>('arena');
    const player = await game.join(roomId, { name: 'Drusa' });
    await player.avatar();
    game.room<ArenaRoom>(roomId).kickClient(player.room.sessionId, 4002);
    const client = await game.client();
    await assert.rejects(client.reconnect(player.room.reconnectionToken));
  });

  it('is let in with the last token that it got, however often a newer one was lost on its way, and with no older or forged one', async () => {
    const room = await game.createRoom<ArenaRoom>('arena');
    const { roomId } = room;
    let player = await game.raw(roomId, { name: 'Marcia' });
    const { sessionId } = player;
    const oldest = player.token!;
    player.socket.terminate();
    await until(() => room.clients.length === 0, 'the loss to be noticed');
    let token = oldest;
    let former = oldest;
    for (const isHeard of [false, false, true, true]) {
      const stale = player;
      player = await game.comeBack(roomId, sessionId, token);
      assert.equal(player.closed, undefined);
      if (stale.token !== oldest) assert.equal((await stale.ended()).code, CloseCode.WITH_ERROR);
      if (!isHeard) continue;
      player.send(FRAME.JOIN_ROOM);
      await until(() => player.patches > 0, 'the state');
      former = token;
      token = player.token!;
    }
    for (const wrong of [former, oldest, 'forged']) {
      assert.equal((await (await game.comeBack(roomId, sessionId, wrong)).ended()).code, CloseCode.FAILED_TO_RECONNECT);
      await assert.rejects((await game.client()).reconnect(`${roomId}:${wrong}`));
    }
    const { patches } = player;
    await until(() => player.patches > patches + 2, 'the match to go on for it');
    assert.equal(room.clients.length, 1);
    assert.deepEqual(game.bugs, []);
  });

  it('is answered every input that it sent before it was let in, as an SDK does that plays on while it comes back', async () => {
    const { roomId } = await game.createRoom<ArenaRoom>('arena');
    const player = await game.raw(roomId, { name: 'Livia' }, { isAcknowledged: false });
    for (let i = 1; i <= 5; i++) player.send(FRAME.ROOM_INPUT_RELIABLE, 0x80, i);
    player.send(FRAME.JOIN_ROOM);
    await until(() => player.acked === 5, 'all five to be acknowledged');
    player.send(FRAME.ROOM_INPUT_RELIABLE, 0x80, 6);
    await until(() => player.acked === 6, 'and those after them');
    assert.deepEqual(game.bugs, []);
  });
});
