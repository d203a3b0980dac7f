/** What is said to a player who is away, while the match moves from one killed process to the next. */
import assert from 'node:assert/strict';
import { CloseCode } from '@colyseus/core';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const SAYING_BUILD = new URL('../fixtures/another-build.ts', import.meta.url).href;
/** Longest that a process may take to start, and players to be where they belong. */
const ORDER_MS = 60_000;
/** Lost on the way, not thrown out and not left. */
const LOST = CloseCode.MAY_TRY_RECONNECT;

describe('a player who is away while its process is killed', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let gate: Member;
  let witness: TestPlayer;
  let unmute: () => void;

  const start = () =>
    cluster.add({
      HYPOGEUM_ROLES: 'realtime,worker',
      NODE_OPTIONS: `--import=${SAYING_BUILD}`,
      ARENA_LIVE_SECONDS: '1800',
    });

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(0, { env: { HYPOGEUM_MAX_PLAYERS: '2' } });
    gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    await Promise.all([start(), start()]);
    await cluster.isWhole();
  });
  afterEach(function () {
    if (this.currentTest?.state !== 'failed') return;
    for (const { process, processId } of cluster.members) {
      console.log(`--- ${processId}\n${process.output().split('\n').slice(-30).join('\n')}`);
    }
  });
  after(async () => {
    if (witness !== undefined) witness.room.reconnection.enabled = false;
    await cluster.stop();
    unmute();
  });

  /** As by a reload of its page: it comes back with its token, and has forgotten everything else. */
  async function goAway(player: TestPlayer): Promise<string> {
    const seat = String(await player.seat());
    player.room.reconnection.enabled = false;
    const { reconnectionToken } = player.room;
    player.room.connection.close(LOST);
    await until(() => witness.state.scores.get(seat)?.isConnected === false, 'the loss to be noticed', ORDER_MS);
    return reconnectionToken;
  }

  async function comeBack(token: string): Promise<TestPlayer> {
    const player = new TestPlayer(await (await cluster.client(gate)).reconnect(token));
    await player.patched(10);
    return player;
  }

  /** Resolves when the witness has heard it. */
  async function say(type: string, payload: Record<string, unknown>): Promise<void> {
    const heard = witness.messages.length;
    witness.room.send('say', { type, payload });
    await until(() => witness.messages.length > heard, 'it to be said', ORDER_MS);
    assert.deepEqual(witness.messages.at(-1), { type, message: payload });
  }

  /** Kills the process that runs the match, starts another, and waits for the witness to be back. */
  async function move(): Promise<void> {
    const { roomId } = witness.room;
    const { processId } = (await cluster.listed()).get(roomId)!;
    const owner = cluster.living.find((member) => member.processId === processId)!;
    const { resumes } = witness;
    owner.kill('SIGKILL');
    await until(() => witness.resumes > resumes, 'the witness to be back', ORDER_MS);
    await witness.patched(10);
    assert.notEqual((await cluster.listed()).get(roomId)!.processId, processId);
    await start();
    await cluster.isWhole();
  }

  it('gets what was kept for it, once, and is told how much it missed, wherever the match is by then', async () => {
    witness = new TestPlayer(await (await cluster.client(gate)).joinOrCreate('arena'));
    let player = new TestPlayer(await (await cluster.client(gate)).joinById(witness.room.roomId));
    await Promise.all([witness, player].map((one) => one.patched(10)));
    const seat = await player.seat();

    // Said before the kill, and again after it.
    let token = await goAway(player);
    await say('notice', { code: 'FIRST' });
    await say('emote', { which: 1 });
    await say('emote', { which: 2 });
    await move();
    await say('notice', { code: 'SECOND' });
    await say('emote', { which: 3 });
    player = await comeBack(token);
    assert.equal(await player.seat(), seat);
    const [first, second, missed, ...more] = player.messages;
    assert.deepEqual(
      [first, second],
      [
        { type: 'notice', message: { code: 'FIRST' } },
        { type: 'notice', message: { code: 'SECOND' } },
      ],
    );
    assert.equal(missed?.type, 'missed');
    // Three, but for those whose count died with the process; that there were any did not.
    const { emote } = (missed.message as { types: { emote: number } }).types;
    assert.ok(emote === 2 || emote === 3, String(emote));
    assert.deepEqual(more, []);

    // That it was told is known to the next process as well.
    token = await goAway(player);
    await move();
    player = await comeBack(token);
    assert.deepEqual(player.messages, []);

    // Who is back and is told hears of it from one who was there all the time.
    await say('emote', { which: 4 });
    await until(() => player.messages.length > 0, 'it to be heard', ORDER_MS);
    assert.deepEqual(player.messages, [{ type: 'emote', message: { which: 4 } }]);
    await player.leave();
  });
});
