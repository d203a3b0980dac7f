import assert from 'node:assert/strict';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

describe('matches of a process that is gone', function () {
  this.timeout(180_000);
  let cluster: TestCluster;
  const players: TestPlayer[] = [];
  let unmute: () => void;

  before(() => {
    unmute = mute();
  });
  after(() => unmute());
  beforeEach(async () => {
    cluster = await TestCluster.start(2, { env: { HYPOGEUM_MAX_PLAYERS: '2' } });
  });
  afterEach(async () => {
    await Promise.all(players.splice(0).map((player) => player.leave()));
    await cluster.stop();
  });

  /** Two players in a match; the process that runs it, and the other one, which both of them talk to. */
  async function match(): Promise<{ roomId: string; owner: Member; other: Member; pair: TestPlayer[] }> {
    const [first, second] = cluster.members;
    const client = await cluster.client(first!);
    const room = await client.joinOrCreate('arena', { name: 'Aelia' });
    const one = new TestPlayer(room);
    players.push(one);
    const listed = await until(async () => (await cluster.listed()).get(room.roomId), 'the room to be listed');
    const owner = listed.processId === first!.processId ? first! : second!;
    const other = owner === first ? second! : first!;
    const two = new TestPlayer(await (await cluster.client(other)).joinById(room.roomId, { name: 'Brutus' }));
    players.push(two);
    await two.patched();
    return { roomId: room.roomId, owner, other, pair: [one, two] };
  }

  it('go on in another one at once, under the same id, with the players that reach it', async () => {
    const { roomId, owner, other, pair } = await match();
    const [, two] = pair;
    const seat = await two!.seat();
    owner.kill('SIGKILL');
    await owner.process.exited;
    await until(
      async () => (await cluster.listed()).get(roomId)?.processId === other.processId,
      'the match to go on in the other process',
    );
    await until(() => two!.resumes > 0, 'the player to be back');
    await two!.patched();
    assert.equal(two!.welcomes.at(-1)?.seat, seat);
    assert.equal(await other.metric('hypogeum_adoptions_total', '{outcome="adopted"}'), 1);
    assert.equal((await cluster.listed()).size, 1);
  });

  it('move away when the process is told to end, which then ends with 0', async () => {
    const { roomId, owner, other, pair } = await match();
    const [, two] = pair;
    owner.kill('SIGTERM');
    assert.equal(await owner.process.exited, 0, owner.process.output());
    assert.equal((await cluster.listed()).get(roomId)?.processId, other.processId);
    await until(() => two!.resumes > 0, 'the player to be back');
    await two!.patched();
    assert.match(owner.process.output(), /a match has moved/);
  });

  it('have one owner after the former one was stopped and wakes: it gives them up, and is a member again', async () => {
    const { roomId, owner, other, pair } = await match();
    const [, two] = pair;
    owner.kill('SIGSTOP');
    await until(
      async () => (await cluster.listed()).get(roomId)?.processId === other.processId,
      'the match to go on in the other process',
      20_000,
    );
    await until(() => two!.resumes > 0, 'the player to be back', 20_000);
    owner.kill('SIGCONT');
    await cluster.isWhole(2);
    await until(async () => (await owner.metric('hypogeum_rooms')) === 0, 'the stopped process to let go of the match');
    assert.equal((await cluster.listed()).get(roomId)?.processId, other.processId);
    assert.equal(await owner.metric('hypogeum_epochs_refused_total'), 1);
    await two!.patched();
  });

  it('and those that run are known again, in one room each, after Redis has lost everything', async () => {
    const { roomId, owner, pair } = await match();
    await cluster.redis.command((client) => client.flushall());
    await until(async () => (await cluster.listed()).has(roomId), 'the room to be listed again');
    await cluster.isWhole(2);
    for (const member of cluster.members) {
      const room = await cluster.reserve(member).catch((error: Error) => error.message);
      assert.ok(typeof room === 'string' || room.roomId !== roomId, 'the match of two is full');
    }
    assert.equal((await cluster.listed()).get(roomId)?.processId, owner.processId);
    await pair[1]!.patched();
    assert.equal(pair[1]!.resumes, 0);
  });

  it('go on when every process was killed at once and one is started again', async () => {
    const { roomId, owner, other } = await match();
    owner.kill('SIGKILL');
    other.kill('SIGKILL');
    await Promise.all([owner.process.exited, other.process.exited]);
    const fresh = await cluster.add();
    await until(
      async () => (await cluster.listed()).get(roomId)?.processId === fresh.processId,
      'the match to go on in the new process',
      20_000,
    );
    assert.equal(await fresh.metric('hypogeum_adoptions_total', '{outcome="adopted"}'), 1);
  });

  it('are made once, although the process that was asked to make one stood still meanwhile', async () => {
    // Who has a match already is fuller: the next one goes to the other.
    const first = await cluster.reserve(cluster.members[0]!);
    await cluster.reserve(cluster.members[0]!);
    const asked = cluster.members.find(({ processId }) => processId === first.processId);
    const stopped = cluster.members.find(({ processId }) => processId !== first.processId);
    stopped!.kill('SIGSTOP');
    const seat = await cluster.reserve(asked!);
    assert.notEqual(seat.roomId, first.roomId);
    assert.match(asked!.process.output(), /create room request timed out/);
    await cluster.isWholeFor(asked!, 1);
    stopped!.kill('SIGCONT');
    await cluster.isWhole(2);
    await until(async () => (await stopped!.metric('hypogeum_rooms')) === 0, 'what it made late to be thrown away');
    const listed = await cluster.listed();
    for (const [roomId, { processId }] of listed) {
      assert.equal(processId, asked!.processId, `${roomId} is where it was made in time`);
    }
    assert.equal(seat.processId, asked!.processId);
  });
});
