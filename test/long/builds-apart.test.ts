/** A process goes, and the others run a build with other rules: its matches are theirs to leave alone. */
import assert from 'node:assert/strict';
import { Database } from '../../src/adapters/database.ts';
import { MatchEnded } from '../../src/events/match-events.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import { arena } from '../../src/sim/arena.ts';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const ANOTHER_BUILD = new URL('../fixtures/another-build.ts', import.meta.url).href;
/** Longest that a process may take to start, and players to be where they belong. */
const ORDER_MS = 60_000;
/** Longer than a drain of {@link BRIEF_S} and the starts of processes while a match is played. */
const LONG_S = 1_800;
const BRIEF_S = 25;

describe('a match that no other process can play', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let gate: Member;
  let database: Database;
  let players: TestPlayer[] = [];
  let unmute: () => void;

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(0, { env: { HYPOGEUM_MAX_PLAYERS: '2' } });
    gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    database = await Database.open({ url: cluster.databaseUrl, connectionsMax: 2 });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') {
      for (const { process, processId } of cluster.members) {
        console.log(`--- ${processId}\n${process.output().split('\n').slice(-30).join('\n')}`);
      }
    }
    for (const player of players) player.room.reconnection.enabled = false;
    for (const member of cluster.living) {
      if (member === gate) continue;
      member.kill('SIGKILL');
      await member.process.exited;
    }
    await Promise.all(players.splice(0).map((player) => player.leave()));
  });
  after(async () => {
    await database?.close();
    await cluster.stop();
    unmute();
  });

  async function start(build: 'old' | 'new', env: Readonly<Record<string, string>> = {}): Promise<Member> {
    const member = await cluster.add({
      HYPOGEUM_ROLES: 'realtime,worker',
      HYPOGEUM_BUILD_ID: build,
      NODE_OPTIONS: `--import=${ANOTHER_BUILD}`,
      ARENA_VERSION: String(arena.version + (build === 'new' ? 1 : 0)),
      ...env,
    });
    await cluster.isWhole();
    return member;
  }

  /** Two players in a match of this process, before there is another. */
  async function match(): Promise<string> {
    const first = new TestPlayer(await (await cluster.client(gate)).joinOrCreate('arena'));
    const second = new TestPlayer(await (await cluster.client(gate)).joinById(first.room.roomId));
    players = [first, second];
    await Promise.all(players.map((player) => player.patched(10)));
    return first.welcomes[0]!.matchId;
  }

  async function results(matchId: string): Promise<{ reason: string }[]> {
    const { rows } = await database.query<{ reason: string }>(
      `select payload::jsonb ->> 'reason' as reason from events where type = $1 and payload::jsonb ->> 'matchId' = $2`,
      [MatchEnded.type, matchId],
    );
    return rows;
  }

  const adoptions = async (member: Member, outcome: string): Promise<number> =>
    (await member.metric('hypogeum_adoptions_total', `{outcome="${outcome}"}`)) ?? 0;

  /** What processes that cannot play it have said of a match. */
  const lines = (members: readonly Member[], matchId: string): string[] =>
    members
      .flatMap(({ process }) => process.output().split('\n'))
      .filter((line) => line.includes(`matchId="${matchId}"`))
      .map((line) => /(?:WARN|ERROR) +(.*?) matchId=/.exec(line)?.[1] ?? line);

  async function record(matchId: string): Promise<{ processId: string; state: string; epoch: number } | undefined> {
    const text = await cluster.redis.command((client) => client.get(`hypogeum:{cluster}:room:${matchId}`));
    return text === null ? undefined : JSON.parse(text);
  }

  it('ends by itself while its process drains, with one result', async () => {
    const old = await start('old', { ARENA_LIVE_SECONDS: String(BRIEF_S), HYPOGEUM_DRAIN_SECONDS: '120' });
    const matchId = await match();
    const fresh = await start('new');
    old.kill('SIGTERM');
    await until(async () => (await fetch(`${old.url}/readyz`)).status === 503, 'it to be drained');
    assert.deepEqual(await results(matchId), [], 'the drain came first');
    await until(() => players.every(({ leftWith }) => leftWith !== undefined), 'the match to end', ORDER_MS);
    assert.deepEqual(
      players.map(({ leftWith, resumes }) => [leftWith, resumes]),
      players.map(() => [CLOSE.MATCH_ENDED, 0]),
    );
    assert.ok(players.every(({ messages }) => messages.some(({ type }) => type === 'match-ended')));
    assert.equal(await old.process.exited, 0);
    assert.deepEqual(await results(matchId), [{ reason: 'completed' }]);
    assert.equal(await adoptions(fresh, 'adopted'), 0);
    assert.equal(await record(matchId), undefined);
    assert.equal((await cluster.listed()).size, 0);
  });

  it('is cut short at the end of the drain, with one result', async () => {
    const old = await start('old', { ARENA_LIVE_SECONDS: String(LONG_S), HYPOGEUM_DRAIN_SECONDS: '6' });
    const matchId = await match();
    const fresh = await start('new');
    old.kill('SIGTERM');
    const patches = players.map((player) => player.patches);
    await until(
      () => old.process.output().includes('matches of this process have moved'),
      'the drain to be over',
      ORDER_MS,
    );
    assert.ok(
      players.every((player, at) => player.patches > patches[at]!),
      'it was played until then',
    );
    assert.equal(await old.process.exited, 0);
    await until(() => players.every(({ leftWith }) => leftWith !== undefined), 'the players to be told', ORDER_MS);
    assert.ok(players.every(({ resumes }) => resumes === 0));
    assert.deepEqual(await results(matchId), [{ reason: 'shutdown' }]);
    assert.equal(await adoptions(fresh, 'adopted'), 0);
    assert.equal(await record(matchId), undefined);
    assert.equal((await cluster.listed()).size, 0);
  });

  it('waits, when its process was killed, for one that can play it, and goes on there', async () => {
    const old = await start('old', { ARENA_LIVE_SECONDS: String(LONG_S) });
    const matchId = await match();
    const fresh = await start('new');
    const objects = players.map((player) => [player.state, player.state.avatars.get('0')]);
    old.kill('SIGKILL');
    await fresh.process.said(/a match waits for a process that can play it/, ORDER_MS);
    const before = (await record(matchId))!;
    assert.deepEqual([before.processId, before.state, before.epoch], [old.processId, 'running', 1], 'nobody claims it');
    const again = await start('old', { ARENA_LIVE_SECONDS: String(LONG_S) });
    await until(() => players.every(({ resumes }) => resumes === 1), 'the players to be back', ORDER_MS);
    await Promise.all(players.map((player) => player.patched(10)));
    assert.equal((await record(matchId))?.processId, again.processId);
    assert.deepEqual(
      players.map((player, at) => [
        player.state === objects[at]![0],
        player.state.avatars.get('0') === objects[at]![1],
      ]),
      players.map(() => [true, true]),
    );
    assert.deepEqual(lines([fresh], matchId), ['a match waits for a process that can play it'], 'it is said once');
    assert.deepEqual(await results(matchId), []);
  });

  it('is parked, when its process was killed and nobody who can play it comes, and its players are told', async () => {
    const old = await start('old', { ARENA_LIVE_SECONDS: String(LONG_S) });
    const matchId = await match();
    const env = { HYPOGEUM_WAIT_FOR_BUILD_SECONDS: '4' };
    const fresh = [await start('new', env), await start('new', env)];
    old.kill('SIGKILL');
    await until(() => players.every(({ leftWith }) => leftWith !== undefined), 'the players to be told', ORDER_MS);
    assert.deepEqual(
      players.map(({ leftWith, resumes }) => [leftWith, resumes]),
      players.map(() => [CLOSE.MATCH_PARKED, 0]),
    );
    assert.equal((await record(matchId))?.state, 'parked');
    assert.deepEqual(
      lines(fresh, matchId),
      ['a match waits for a process that can play it', 'a match is parked: nobody can play it'],
      'one of them says so',
    );
    assert.equal((await cluster.listed()).size, 0);
    const state = await cluster.redis.command((client) => client.exists(`hypogeum:journal:${matchId}`));
    assert.equal(state, 1, 'its journal is kept');
    assert.deepEqual(await results(matchId), []);
    // Nobody takes up again what is parked.
    const again = await start('old');
    assert.equal(await adoptions(again, 'adopted'), 0);
    assert.equal((await record(matchId))?.state, 'parked');
  });
});
