import assert from 'node:assert/strict';
import { Predict } from '@colyseus/sdk';
import { verifyReplay } from '../../src/kernel/replay-check.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { TagRoom } from '../fixtures/tag/tag-room.ts';
import { stepRunner, type TagIntent, tag } from '../fixtures/tag/tag-sim.ts';

class ShortTag extends TagRoom {
  protected override setupMatch(seed: number): MatchSetup {
    return { seed, ticks: 60 };
  }
}

describe('a game of tag', () => {
  let server: GameServer;
  before(async () => {
    server = await GameServer.start({ rooms: { tag: TagRoom, short: ShortTag } });
  });
  afterEach(() => server.clear());
  after(() => server.close());

  async function join(
    roomId: string,
  ): Promise<{ player: TestPlayer; runner: { x: number; y: number; isIt: boolean } }> {
    const player = await server.join(roomId);
    const seat = await player.seat();
    return { player, runner: await until(() => player.state?.runners?.get(String(seat)), 'the own runner') };
  }

  it('is played: who is it runs to the other and tags, and everybody sees it', async () => {
    const { roomId } = await server.createRoom('tag');
    const chaser = await join(roomId);
    const prey = await join(roomId);
    assert.equal(chaser.runner.isIt, true);
    const input = chaser.player.room.input<TagIntent & { moveX: number }>();
    await until(async () => {
      input.data.moveX = Math.sign(prey.runner.x - chaser.runner.x);
      input.send();
      await chaser.player.patched(1);
      return prey.runner.isIt;
    }, 'the tag');
    await until(() => !chaser.runner.isIt && prey.player.state.runners.get('0').isIt === false, 'both to see it');
  });

  it('is predicted by the same step, exactly', async () => {
    const { roomId } = await server.createRoom('tag');
    const { player, runner } = await join(roomId);
    const input = player.room.input<{ moveX: number; moveY: number }>();
    const predicted = Predict.get(player.room).reconciler(runner, {
      input,
      step: (_context, body, command) => stepRunner(body, command),
    });
    const start = { x: runner.x, y: runner.y };
    for (let i = 0; i < 10; i++) {
      Object.assign(input.data, { moveX: 1, moveY: i % 3 === 0 ? -1 : 0 });
      input.send();
    }
    const ahead = { x: predicted.state.x, y: predicted.state.y };
    assert.ok(ahead.x > start.x && ahead.y < start.y, 'it moves before the server has answered');
    await until(() => input.lastProcessed === 10, 'the acknowledgement');
    await player.patched();
    assert.deepEqual({ x: runner.x, y: runner.y }, ahead);
    assert.deepEqual({ x: predicted.state.x, y: predicted.state.y }, ahead);
  });

  it('is recorded, and its replay verifies', async () => {
    const { roomId } = await server.createRoom('short');
    const { player } = await join(roomId);
    const { matchId } = player.welcomes[0]!;
    const input = player.room.input<{ moveX: number }>();
    input.data.moveX = 1;
    let answered = 0;
    await until(() => {
      if (player.patches > answered) input.send();
      answered = player.patches;
      return player.leftWith !== undefined;
    }, 'the end');
    assert.equal(player.leftWith, 4100);
    const { replays } = server.server.services;
    await until(async () => (await replays.list(10)).some(({ id }) => id === matchId), 'the replay');
    const replay = await replays.read(matchId);
    assert.equal(replay.header.simId, 'tag');
    assert.deepEqual(
      replay.header.result?.standings.map(({ score }) => Object.keys(score)),
      [['itTicks']],
    );
    assert.deepEqual(verifyReplay(tag, replay), { kind: 'same', ticks: 60, hashesCompared: 3 });
  });
});
