import assert from 'node:assert/strict';
import { CLOSE } from '../../src/kernel/errors.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { arena } from '../../src/sim/arena.ts';
import { GameServer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from './probe-rooms.ts';

describe('the seats of a full match', () => {
  let game: GameServer;
  before(async () => {
    game = await GameServer.start({
      rooms: { arena: ProbeArena },
      // Ticks so far apart that a newcomer is faster.
      env: { HYPOGEUM_MAX_PLAYERS: '2', HYPOGEUM_TICK_RATE: '10' },
    });
  });
  after(() => game.close());

  it('are free for a newcomer as soon as somebody left, in the same tick already', async () => {
    const room = await game.createRoom<ProbeArena>('arena');
    const witness = await game.join(room.roomId, { name: 'Aelia' });
    await witness.avatar();
    let player = await game.join(room.roomId, { name: 'Drusa' });
    await player.avatar();
    for (let i = 0; i < 5; i++) {
      void player.leave();
      await until(() => room.clients.length === 1, 'the leave');
      // The matchmaker unlocks the room a moment after.
      player = await until(
        () =>
          game.join(room.roomId, { name: 'Drusa' }).catch((error: Error) => {
            if (/is locked/.test(error.message)) return undefined;
            throw error;
          }),
        'the seat',
      );
      assert.equal(await player.seat(), 1);
      const { room: joined } = player;
      await until(
        () => joined.state?.avatars?.get('1')?.ammo === room.match.world.ammo(1) && room.match.world.ammo(1) > 0,
        'what only its owner sees',
      );
    }
    const inOneTick = room.entries.filter(({ events }) => events.length === 2);
    assert.ok(inOneTick.length > 0, 'a leave and a join of one seat share an entry');
    await room.plugins.journal.flush();
    const recorded = (await game.server.services.journal.load(room.match.id))!;
    const restored = restoreMatch(arena, { ...recorded, snapshots: [] });
    assert.equal(restored.divergedAtTick, undefined);
    assert.deepEqual([restored.world.name(0), restored.world.name(1)], ['Aelia', 'Drusa']);
  });

  it('are one each: a second connection that does not want to take over is refused and the first goes on, and the sign-in stays its own', async () => {
    const room = await game.createRoom<ProbeArena>('arena');
    const { identity } = await game.server.tokens.issueAnonymous();
    const player = await game.join(room.roomId, { name: 'Aelia' }, identity);
    await player.avatar();
    assert.notEqual(player.room.sessionId, identity.sessionId);
    await assert.rejects(game.join(room.roomId, { name: 'Aelia', takeOver: false }, identity), /SEAT_TAKEN/);
    assert.equal(room.clients.length, 1);
    const tick = room.match.world.tick;
    await until(() => room.match.world.tick > tick + 2, 'the match to go on');
    assert.equal(room.clients.getById(player.room.sessionId)?.auth?.signInId, identity.sessionId);
    assert.ok(player.room.connection.isOpen);
  });

  it('go to another device of their player although the match is full, and to nobody else', async () => {
    const room = await game.createRoom<ProbeArena>('arena');
    const { identity } = await game.server.tokens.issueAnonymous();
    const first = await game.join(room.roomId, { name: 'Aelia' }, identity);
    const other = await game.join(room.roomId, { name: 'Drusa' });
    await Promise.all([first.avatar(), other.avatar()]);
    await until(() => room.locked, 'the match to be full');
    await assert.rejects(game.join(room.roomId, { name: 'Livia' }), /is locked/);
    await assert.rejects(game.join(room.roomId, { takeOver: false }, identity), /is locked/);
    const second = await game.join(room.roomId, {}, identity);
    assert.equal(await second.seat(), await first.seat());
    await until(() => first.leftWith === CLOSE.SEAT_TAKEN_OVER, 'the first device to be shown out');
    assert.equal(other.leftWith, undefined);
    // The place that was made for it is nobody's.
    await assert.rejects(game.join(room.roomId, { name: 'Livia' }), /MATCH_FULL|is locked/);
    await second.patched();
    assert.equal(room.clients.length, 2);
  });
});
