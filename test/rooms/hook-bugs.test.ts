import assert from 'node:assert/strict';
import type { Player } from '../../rooms/game-room.ts';
import { FRAME, GameServer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from './probe-rooms.ts';

const SECRET = 'a secret of the server';

/** A game with a bug in one of its hooks, wherever a test wants it. */
class BuggyArena extends ProbeArena {
  bugIn: 'onSeated' | 'onLeave' | 'onDrop' | undefined;

  #meet(hook: BuggyArena['bugIn']): void {
    if (this.bugIn === hook) throw new TypeError(SECRET);
  }

  protected override onSeated(client: Player, seat: number): void {
    super.onSeated(client, seat);
    this.#meet('onSeated');
  }

  override async onLeave(client: Player): Promise<void> {
    super.onLeave(client);
    this.#meet('onLeave');
  }

  override onDrop(client: Player, code?: number): Promise<void> | undefined {
    this.#meet('onDrop');
    return super.onDrop(client, code);
  }
}

describe('a bug in a hook of a game', () => {
  let game: GameServer;
  before(async () => {
    game = await GameServer.start({ rooms: { buggy: BuggyArena } });
  });
  afterEach(() => game.clear());
  after(() => game.close());

  const faultsIn = (hook: string) => new Map(game.server.services.totals.room.faults.collect()).get(hook) ?? 0;
  const isLogged = () => game.bugs.some((line) => line.startsWith('bug in a room') && line.includes(SECRET));

  it('refuses who joins with INTERNAL, tells nothing of itself, and leaves the seat free', async () => {
    const room = await game.createRoom<BuggyArena>('buggy');
    const witness = await game.join(room.roomId);
    await witness.avatar();
    room.bugIn = 'onSeated';
    await assert.rejects(game.join(room.roomId), (error: Error) => {
      assert.match(error.message, /^INTERNAL: /);
      return true;
    });
    assert.equal(faultsIn('onJoin'), 1);
    assert.ok(isLogged());
    room.bugIn = undefined;
    const ticks = room.entries.length;
    await until(() => room.entries.length > ticks + 2, 'the seat to be given back');
    assert.ok(!room.match.world.isUsed(1));
    assert.equal(await (await game.join(room.roomId)).seat(), 1);
  });

  it('in coming back is as silent to the player', async () => {
    const room = await game.createRoom<BuggyArena>('buggy');
    const player = await game.raw(room.roomId);
    const witness = await game.join(room.roomId);
    await witness.avatar();
    const token = room.clients.getById(player.sessionId)!.reconnectionToken;
    player.socket.terminate();
    await until(() => room.clients.length === 1, 'the loss');
    room.bugIn = 'onSeated';
    const again = game.socket(`/p/${room.roomId}?sessionId=${player.sessionId}&reconnectionToken=${token}`);
    await again.ended();
    assert.equal(again.frames[0]?.[0], FRAME.ERROR);
    assert.match(String(again.frames[0]), /INTERNAL: /);
    assert.ok(!String(again.frames[0]).includes(SECRET));
    assert.equal(faultsIn('onReconnect'), 1);
    await until(() => !room.match.world.isUsed(0), 'the seat to be free');
  });

  for (const hook of ['onLeave', 'onDrop'] as const) {
    it(`in ${hook} is counted and logged, and the seat becomes free`, async () => {
      const room = await game.createRoom<BuggyArena>('buggy');
      const [player, witness] = [await game.raw(room.roomId), await game.join(room.roomId)];
      await witness.avatar();
      const before = faultsIn(hook);
      room.bugIn = hook;
      if (hook === 'onLeave') player.send(FRAME.LEAVE_ROOM);
      else player.socket.terminate();
      await until(() => faultsIn(hook) === before + 1, 'the fault to be counted');
      await until(() => !room.match.world.isUsed(0), 'the seat to be free');
      room.bugIn = undefined;
    });
  }
});
