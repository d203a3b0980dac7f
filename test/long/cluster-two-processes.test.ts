import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { Client, type Room as SdkRoom } from '@colyseus/sdk';
import { runPlayerCli } from '../../src/cli/player.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import { TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

describe('two processes with one Redis', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  const joined: SdkRoom[] = [];

  before(async () => {
    cluster = await TestCluster.start(2, { env: { HYPOGEUM_MAX_PLAYERS: '2', HYPOGEUM_MATCH_SLOTS: '3' } });
  });
  after(async () => {
    for (const room of joined) room.reconnection.enabled = false;
    await Promise.allSettled(joined.map((room) => room.leave()));
    await cluster.stop();
  });

  it('know of each other, and of the match slots of both', async () => {
    for (const member of cluster.members) {
      assert.equal(await member.metric('hypogeum_match_slots_available', '{scope="own"}'), 3);
      assert.equal(await member.metric('hypogeum_match_slots_available', '{scope="cluster"}'), 6);
    }
  });

  it('give seats in rooms of both, whichever is asked, and the room of a match that waits to the next', async () => {
    // Two seats a match: every other player opens one. A seat is reserved, whoever asked and wherever the room is.
    const seats: { roomId: string; processId: string }[] = [];
    for (let at = 0; at < 8; at++) {
      const client = await cluster.client(cluster.members[at % 2]!);
      const { token } = client.auth;
      const response = await fetch(`${cluster.members[at % 2]!.url}/matchmake/joinOrCreate/arena`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ name: `P${at}`, matchId: 'of-the-client' }),
      });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      seats.push(JSON.parse(text));
    }
    const rooms = new Map<string, number>();
    for (const { roomId } of seats) rooms.set(roomId, (rooms.get(roomId) ?? 0) + 1);
    assert.deepEqual([...rooms.values()], [2, 2, 2, 2]);
    assert.ok(!rooms.has('of-the-client'));
    const listed = await cluster.listed();
    assert.deepEqual([...listed.keys()].sort(), [...rooms.keys()].sort());
    const hosts = new Set([...listed.values()].map(({ processId }) => processId));
    assert.equal(hosts.size, 2, 'four matches in a row do not all go to one process of three slots');
  });

  it('refuse NO_SLOTS when no process has a slot left', async () => {
    const client = await cluster.client(cluster.members[0]!);
    // Seats that nobody takes are free again after a while, and rooms with them: asked at once, and often enough.
    const ask = async (): Promise<string> => {
      const response = await fetch(`${cluster.members[0]!.url}/matchmake/joinOrCreate/arena`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${client.auth.token}` },
        body: '{}',
      });
      return response.text();
    };
    const answers = await Promise.all(Array.from({ length: 24 }, ask));
    assert.ok(
      answers.some((text) => text.includes('NO_SLOTS')),
      answers.join('\n'),
    );
    assert.ok((await cluster.listed()).size <= 6);
  });

  it('leave none of a killed process on the lists, and go on giving seats at once', async () => {
    const [killed, left] = cluster.members;
    assert.ok([...(await cluster.listed()).values()].some(({ processId }) => processId === killed!.processId));
    killed!.kill('SIGKILL');
    await killed!.process.exited;
    await until(
      async () => ![...(await cluster.listed()).values()].some(({ processId }) => processId === killed!.processId),
      'its rooms to leave the list',
    );
    await cluster.isWhole(1);
    assert.equal(await left!.metric('hypogeum_cluster_deaths_total'), 1);
  });
});

describe('a ban at one process', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let unmute: () => void;
  const players: TestPlayer[] = [];

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(2);
  });
  after(async () => {
    await Promise.all(players.map((player) => player.leave()));
    await cluster.stop();
    unmute();
  });

  /** Who may ban: made by the operators' command, as the first one has to be. */
  async function admin(url: string): Promise<string> {
    const [email, password] = ['admin@example.org', 'a long enough password'];
    const client = new Client(url);
    client.auth.token = undefined as unknown as string;
    const { user } = (await client.auth.registerWithEmailAndPassword(email, password)) as {
      user: { playerId: string };
    };
    const nowhere = new PassThrough().resume();
    const streams = { stdin: new PassThrough(), stdout: nowhere, stderr: nowhere };
    const env = { DATABASE_URL: cluster.databaseUrl };
    assert.equal(await runPlayerCli(['role', user.playerId, 'admin'], { env, ...streams }), 0);
    return (await client.auth.signInWithEmailAndPassword(email, password)).token;
  }

  it('shows the player out of its match at the other, by code and for good; who else plays there notices nothing', async () => {
    const first = await cluster.client(cluster.members[0]!);
    const witness = new TestPlayer(await first.joinOrCreate('arena'));
    players.push(witness);
    const { roomId } = witness.room;
    const owner = (await cluster.listed()).get(roomId)!.processId;
    const home = cluster.members.find(({ processId }) => processId === owner)!;
    const other = cluster.members.find((member) => member !== home)!;
    // One came straight to the process of the match, one through the other.
    const cheats = await Promise.all([home, other].map((member) => cluster.client(member)));
    const banned: TestPlayer[] = [];
    for (const cheat of cheats) {
      const player = new TestPlayer(await cheat.joinById(roomId));
      players.push(player);
      banned.push(player);
      await player.patched();
    }
    const token = await admin(other.url);
    for (const [at, cheat] of cheats.entries()) {
      const { playerId } = (await cheat.auth.getUserData()).user as { playerId: string };
      const response = await fetch(`${other.url}/api/admin/players/${playerId}/ban`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'idempotency-key': `ban-${at}-of-the-test`,
        },
        body: JSON.stringify({ reason: 'cheating', untilMs: Date.now() + 3_600_000 }),
      });
      assert.equal(response.status, 200, await response.text());
      const player = banned[at]!;
      assert.equal(await until(() => player.leftWith, 'the player to be shown out'), CLOSE.BANNED);
      assert.equal(player.resumes, 0);
      await assert.rejects(cheat.joinById(roomId), /ACCOUNT_BANNED/);
    }
    await until(async () => (await cluster.listed()).get(roomId)?.clients === 1, 'their seats to be free');
    await witness.patched(4);
    assert.deepEqual([witness.leftWith, witness.resumes], [undefined, 0]);
  });
});
