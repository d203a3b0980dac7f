import assert from 'node:assert/strict';
import { matchMaker } from '@colyseus/core';
import { GameServer } from '../fixtures/game-server.ts';
import { ProbeArena } from './probe-rooms.ts';

const ADMIN = {
  playerId: `a-${'a'.repeat(22)}`,
  isAnonymous: false,
  role: 'admin',
  sessionId: `s-${'a'.repeat(22)}`,
} as const;

describe('a room on the list of rooms', () => {
  let game: GameServer;
  before(async () => {
    game = await GameServer.start({ rooms: { arena: ProbeArena }, env: { HYPOGEUM_BUILD_ID: '1.4.0' } });
  });
  afterEach(async () => {
    await game.clear();
    assert.deepEqual(game.bugs, []);
  });
  after(() => game.close());

  const rowOf = async (roomId: string) => (await matchMaker.query({ roomId } as object))[0];

  it('is never private by the word of a player: it would hold a slot, and nobody could come in', async () => {
    const client = await game.client();
    const player = game.adopt(await client.joinOrCreate('arena', { isPrivate: true, region: 'mars', traceId: 'x' }));
    assert.equal((await rowOf(player.room.roomId))?.private, false);
    const { header } = (await game.server.services.journal.load(player.room.roomId))!;
    assert.deepEqual([header.isPrivate, header.traceId?.length], [undefined, 32]);
  });

  it('says in the same moment that its build is tried, and that it is taken back', async () => {
    const room = await game.createRoom<ProbeArena>('arena');
    const player = await game.join(room.roomId);
    await player.seat();
    // What it would say by itself it says between two ticks.
    room.plugins.tick.pause();
    const { token } = await game.server.tokens.issue(ADMIN);
    const act = async (body: object): Promise<unknown> => {
      const response = await fetch(`${game.endpoint}/ops/canary`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, await response.text());
      return (await rowOf(room.roomId))?.metadata?.track;
    };
    assert.equal(await act({ action: 'percent', build: '1.4.0', percent: 10 }), 'canary');
    assert.equal(await act({ action: 'promote' }), 'stable');
    assert.equal(await act({ action: 'rollback' }), 'canary');
    assert.equal(await act({ action: 'clear' }), 'stable');
    room.plugins.tick.resume();
  });
});
