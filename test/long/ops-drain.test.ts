/** `POST /ops/drain` under players: their matches move, nobody is dropped, and the process ends well. */
import assert from 'node:assert/strict';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const MATCHES = 5;
const GONE_MS = 60_000;

describe('a drain that admins ask for', function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  let gate: Member;
  const players: TestPlayer[] = [];
  const admins: { readonly playerId: string; readonly token: string }[] = [];
  let unmute: () => void;

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(3, {
      env: { HYPOGEUM_MAX_PLAYERS: '2', HYPOGEUM_MATCH_MINUTES: '60', HYPOGEUM_DRAIN_SECONDS: '60' },
    });
    gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    for (let at = 0; at < 2; at++) admins.push(await cluster.account(gate, 'admin'));
    for (let at = 0; at < 2 * MATCHES; at++) {
      const player = new TestPlayer(await (await cluster.client(gate)).joinOrCreate('arena', { name: `P${at}` }));
      players.push(player);
      await player.patched();
    }
  });
  after(async () => {
    await Promise.all(players.map((player) => player.leave()));
    await cluster.stop();
    unmute();
  });

  const runners = () => cluster.living.filter(({ isGate }) => !isGate);
  async function roomsOf({ processId }: Member): Promise<string[]> {
    return [...(await cluster.listed())].filter(([, row]) => row.processId === processId).map(([roomId]) => roomId);
  }
  async function busiest(): Promise<Member> {
    const counted = await Promise.all(
      runners().map(async (member) => [(await roomsOf(member)).length, member] as const),
    );
    return counted.sort(([a], [b]) => b - a)[0]![1];
  }

  async function drain(through: Member, token: string | undefined, body: object) {
    const response = await fetch(`${through.url}/ops/drain`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { code?: string; processId?: string } };
  }
  const isReady = async ({ url }: Member) => (await fetch(`${url}/readyz`)).status === 200;

  /** Everybody plays on in the seat that was theirs, and was away at most once more. */
  async function assertNobodyDropped(seats: readonly number[], resumesMax: readonly number[]): Promise<void> {
    for (const [at, player] of players.entries()) {
      await player.patched(5);
      assert.equal(player.leftWith, undefined);
      assert.equal(await player.seat(), seats[at]);
      assert.ok(player.resumes <= resumesMax[at]!, `player ${at} came back ${player.resumes} times`);
    }
  }

  it('is refused by code to everybody else, and nothing drains', async () => {
    const [one] = runners();
    const [player, moderator] = [await cluster.account(gate, 'player'), await cluster.account(gate, 'moderator')];
    const body = { processId: one!.processId };
    assert.deepEqual((await drain(one!, undefined, body)).body.code, 'AUTH_MISSING');
    assert.deepEqual((await drain(one!, 'no.good.token', body)).body.code, 'AUTH_MALFORMED');
    for (const { token } of [player, moderator]) {
      for (const through of [one!, gate]) {
        const refused = await drain(through, token, body);
        assert.deepEqual([refused.status, refused.body.code], [403, 'NOT_ALLOWED']);
      }
    }
    const unknown = await drain(one!, admins[0]!.token, { processId: 'nobody' });
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'PROCESS_UNKNOWN']);
    for (const member of runners()) assert.ok(await isReady(member));
    for (const member of runners()) assert.doesNotMatch(member.process.output(), /draining/);
  });

  it('by two of them at once moves every match; nobody is dropped, and the process exits 0', async () => {
    const victim = await busiest();
    const [other] = runners().filter((member) => member !== victim);
    const rooms = await roomsOf(victim);
    assert.ok(rooms.length > 0);
    const seats = await Promise.all(players.map((player) => player.seat()));
    const queuer = await cluster.client(victim);
    const queued = new TestPlayer(await queuer.joinOrCreate('queue', { mode: 'arena' }));
    const answers = await Promise.all([
      drain(victim, admins[0]!.token, {}),
      drain(other!, admins[1]!.token, { processId: victim.processId }),
    ]);
    for (const { status, body } of answers) assert.deepEqual([status, body], [202, { processId: victim.processId }]);
    await until(async () => !(await isReady(victim)), 'it to be ready for nobody');
    const late = await cluster.reserve(victim).catch((error: Error) => error.message);
    assert.match(String(late), /DRAINING/);
    // A third time, in the middle of it: it is as it was.
    assert.equal((await drain(other!, admins[0]!.token, { processId: victim.processId })).status, 202);

    assert.equal(await victim.process.exited, 0, victim.process.output().slice(-3_000));
    for (const member of runners()) assert.ok(await isReady(member));
    const listed = await cluster.listed();
    for (const roomId of rooms)
      assert.ok(runners().some(({ processId }) => listed.get(roomId)?.processId === processId));
    await assertNobodyDropped(
      seats,
      players.map(({ room }) => (rooms.includes(room.roomId) ? 1 : 0)),
    );
    const output = victim.process.output();
    assert.equal(output.match(/ info {2}draining /g)?.length, 1, output);
    assert.equal(output.match(/a match has moved/g)?.length, rooms.length);
    assert.match(output, new RegExp(`an operator acts by="${admins[0]!.playerId}" action="drain"`));
    assert.match(other!.process.output(), new RegExp(`an operator acts by="${admins[1]!.playerId}" action="drain"`));
    // Who queued there was told about every two seconds all the while, and then that it is over.
    const told = queued.messages.filter(({ type }) => type === 'ticket');
    assert.ok(told.length > 0 && told.length < 40, `${told.length} times`);
    await until(() => queued.leftWith !== undefined, 'who queued there to be told to go');
    const gone = await drain(other!, admins[0]!.token, { processId: victim.processId });
    assert.equal(gone.body.code, 'PROCESS_UNKNOWN');
  });

  it('of two processes at once hands matches to neither, but to the one that stays', async () => {
    await cluster.add();
    await cluster.isWhole();
    const [stays, ...go] = runners().reverse();
    const rooms = (await Promise.all(go.map(roomsOf))).flat();
    const seats = await Promise.all(players.map((player) => player.seat()));
    const resumes = players.map((player) => player.resumes);
    const answers = await Promise.all(
      go.map((member, at) => drain(stays!, admins[at]!.token, { processId: member.processId })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [202, 202],
    );
    for (const { process } of go) assert.equal(await process.exited, 0, process.output().slice(-3_000));
    await until(async () => (await roomsOf(stays!)).length === MATCHES, 'all matches to be with the one', GONE_MS);
    await assertNobodyDropped(
      seats,
      players.map(({ room }, at) => resumes[at]! + (rooms.includes(room.roomId) ? 1 : 0)),
    );
    for (const { process } of [...go, stays!]) assert.doesNotMatch(process.output(), /a match did not move|bug in /);
  });
});
