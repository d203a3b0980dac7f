/** A new build beside the old one: a share of the matches, a cohort, all, none; and matches that stay what they were. */
import assert from 'node:assert/strict';
import type { Client } from '@colyseus/sdk';
import { CloseCode } from '@colyseus/sdk';
import { isPicked } from '../../src/cluster/canary.ts';
import { arena } from '../../src/sim/arena.ts';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { mute, TestPlayer } from '../fixtures/game-server.ts';
import { until } from '../fixtures/until.ts';

const OLD = '1.3.0';
const NEW = '1.4.0';
const NEWER_RULES = {
  NODE_OPTIONS: `--import ${new URL('../fixtures/another-build.ts', import.meta.url).href}`,
  ARENA_VERSION: String(arena.version + 1),
};
const MOVED_MS = 40_000;

describe('a new build beside the old one', function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  let gate: Member;
  let old: Member;
  let fresh: Member;
  /** One in a match of each build, for as long as it may last. */
  let onOld: TestPlayer;
  let onNew: TestPlayer;
  const players: TestPlayer[] = [];
  let unmute: () => void;

  before(async () => {
    unmute = mute();
    cluster = await TestCluster.start(0, {
      env: { HYPOGEUM_MAX_PLAYERS: '2', HYPOGEUM_MATCH_MINUTES: '60', HYPOGEUM_DRAIN_SECONDS: '15' },
    });
    old = await cluster.add({ HYPOGEUM_BUILD_ID: OLD });
    gate = await cluster.add({ HYPOGEUM_ROLES: 'gate' });
    onOld = await play();
    fresh = await cluster.add({ HYPOGEUM_BUILD_ID: NEW });
    await cluster.isWhole(3);
  });
  after(async () => {
    await Promise.all(players.map((player) => player.leave()));
    await cluster.stop();
    unmute();
  });

  async function enter(client: Client, roomId?: string): Promise<TestPlayer> {
    const player = new TestPlayer(
      await (roomId === undefined ? client.joinOrCreate('arena') : client.joinById(roomId)),
    );
    players.push(player);
    await player.patched();
    return player;
  }
  /** A match that is full. @returns one of its two */
  async function play(): Promise<TestPlayer> {
    // Seats that nobody came to take would be in the way of the second.
    const present = (id: string) =>
      players.filter(({ room, leftWith }) => room.roomId === id && leftWith === undefined);
    const isSettled = async () =>
      [...(await cluster.listed())].every(([roomId, { clients }]) => clients === present(roomId).length);
    await until(isSettled, 'seats that nobody takes to be free again', 20_000);
    const player = await enter(await cluster.client(gate));
    const { roomId } = player.room;
    // Who came into an open room has filled it.
    if ((await cluster.listed()).get(roomId)!.clients < 2) await enter(await cluster.client(gate), roomId);
    return player;
  }
  const placeOf = async ({ room }: TestPlayer) => (await cluster.listed()).get(room.roomId)?.processId;

  /** A seat in a new match: whoever else is there fills the rooms that are open. */
  async function newMatches(count: number): Promise<{ roomId: string; processId: string }[]> {
    const made = new Map<string, { roomId: string; processId: string }>();
    const before = await cluster.listed();
    while (made.size < count) {
      const seat = await cluster.reserve(gate);
      if (!before.has(seat.roomId)) made.set(seat.roomId, seat);
    }
    return [...made.values()];
  }

  /** As an operator types it; resolves when every process knows. */
  async function type(text: string, ...words: string[]): Promise<void> {
    const heard = runners().map(({ process }) => process.output().length);
    const { code, output } = await cluster.type(...words);
    assert.equal(code, 0, output);
    assert.ok(output.includes(text), output);
    for (const [at, { process }] of runners().entries()) {
      await until(() => process.output().slice(heard[at]).includes(`canary: ${text}`), 'every process to know');
    }
  }
  const runners = () => cluster.living.filter(({ isGate }) => !isGate);

  async function assertUndisturbed(player: TestPlayer, { processId }: Member, resumes = 0): Promise<void> {
    await player.patched(5);
    assert.deepEqual([player.leftWith, player.resumes, await placeOf(player)], [undefined, resumes, processId]);
  }

  it('gets the share of new matches that it is given, picked by their ids', async () => {
    await type(`build ${NEW} gets 100 % of new matches`, 'canary', 'set', '--build', NEW, '--percent', '100');
    onNew = await play();
    assert.equal(await placeOf(onNew), fresh.processId);
    await type(`build ${NEW} gets 40 % of new matches`, 'canary', 'set', '--build', NEW, '--percent', '40');
    const made = await newMatches(16);
    for (const { roomId, processId } of made) {
      assert.equal(processId, isPicked(roomId, 40) ? fresh.processId : old.processId, roomId);
    }
    await assertUndisturbed(onOld, old);
    await assertUndisturbed(onNew, fresh);
  });

  it('gets the matches of a named cohort, whose members and others do not meet', async () => {
    const tester = await cluster.client(gate);
    const { user } = (await tester.auth.getUserData()) as { user: { playerId: string } };
    const added = await cluster.type('cohort', 'add', 'testers', user.playerId);
    assert.deepEqual(added, { code: 0, output: '1 player added to testers.\n' });
    await type(
      `build ${NEW} gets the new matches of the cohort testers`,
      ...['canary', 'set', '--build', NEW, '--cohort', 'testers'],
    );
    const inside = await enter(tester);
    const outside = await enter(await cluster.client(gate));
    assert.deepEqual([await placeOf(inside), await placeOf(outside)], [fresh.processId, old.processId]);
    // Each has a free seat, and gets who is like them.
    const other = await enter(await cluster.client(gate));
    assert.equal(await placeOf(other), old.processId);
    await assertUndisturbed(onOld, old);
    await assertUndisturbed(onNew, fresh);
  });

  it('promoted, gets all new matches; those of the old one go on there', async () => {
    await type(`build ${NEW} is promoted: it gets all new matches`, 'promote');
    for (const { processId } of await newMatches(4)) assert.equal(processId, fresh.processId);
    await assertUndisturbed(onOld, old);
    const again = await cluster.type('promote');
    assert.equal(again.code, 1);
    assert.match(again.output, /^CANARY_NONE/);
  });

  it('rolled back, gets no match and no player any more; its own go on', async () => {
    // A seat is free in a match of it.
    const open = await enter(await cluster.client(gate));
    const track = async () => {
      const row = (await cluster.listed()).get(open.room.roomId) as { metadata?: { track?: string } } | undefined;
      return row?.metadata?.track;
    };
    const former = await track();
    await type(`build ${NEW} is rolled back: it gets no new matches`, 'rollback');
    // The list of rooms hears it a moment after the processes.
    await until(async () => (await track()) !== former, 'its match to be offered as one of a build that is tried');
    for (let at = 0; at < 6; at++) assert.equal((await cluster.reserve(gate)).processId, old.processId);
    assert.equal(await placeOf(open), fresh.processId);
    await assertUndisturbed(open, fresh);
    await assertUndisturbed(onNew, fresh);
  });

  it('rolled back, takes over no match of the other: neither at a drain nor after a death', async () => {
    const matches = [onOld];
    while (matches.length < 4) matches.push(await play());
    const goOn = async (there: Member, resumes: number) => {
      await until(() => matches.every((player) => player.resumes === resumes), 'the players to be back', MOVED_MS);
      for (const player of matches) await assertUndisturbed(player, there, resumes);
    };
    // By load the other build would be the better place: this one is full.
    const addFull = async (): Promise<Member> => {
      const full = await cluster.add({ HYPOGEUM_BUILD_ID: OLD, HYPOGEUM_MATCH_SLOTS: '1' });
      await cluster.isWhole();
      // Open rooms of others are filled first; then it is the empty one.
      while ((await placeOf(await play())) !== full.processId);
      const slots = (member: Member, scope: string) =>
        member.metric('hypogeum_match_slots_available', `{scope="${scope}"}`);
      const areTold = async () => {
        const own = await Promise.all(runners().map((member) => slots(member, 'own')));
        const all = await Promise.all(runners().map((member) => slots(member, 'cluster')));
        return all.every((sum) => sum === own.reduce((total, one) => total! + one!, 0));
      };
      await until(areTold, 'everybody to know that it is full');
      return full;
    };
    const second = await addFull();
    old.kill('SIGTERM');
    assert.equal(await old.process.exited, 0, old.process.output().slice(-3_000));
    await goOn(second, 1);
    const third = await addFull();
    second.kill('SIGKILL');
    await goOn(third, 2);
    await assertUndisturbed(onNew, fresh);
    old = third;
  });

  it('with newer rules, never goes on with a match of the old one, which waits for who can', async () => {
    await type('no build is tried: new matches go to any build', 'canary', 'clear');
    const newer = await cluster.add({ HYPOGEUM_BUILD_ID: '2.0.0', ...NEWER_RULES });
    await cluster.isWhole();
    fresh.kill('SIGTERM');
    assert.equal(await fresh.process.exited, 0);
    await until(() => onNew.resumes === 1, 'it to go on where its rules are', MOVED_MS);
    await assertUndisturbed(onNew, old, 1);

    old.kill('SIGKILL');
    await cluster.isWholeFor(newer, 2);
    // Whoever looks finds it, and leaves it alone.
    await until(async () => !(await cluster.listed()).has(onOld.room.roomId), 'it to be nowhere');
    const made = await cluster.reserve(gate);
    assert.equal(made.processId, newer.processId);
    const another = await cluster.add({ HYPOGEUM_BUILD_ID: NEW });
    await until(() => onOld.resumes === 3 && onNew.resumes === 2, 'both to go on', MOVED_MS);
    await assertUndisturbed(onOld, another, 3);
    await assertUndisturbed(onNew, another, 2);
    assert.equal((await newer.metric('hypogeum_adoptions_total', '{outcome="adopted"}')) ?? 0, 0);

    // And at a drain: it is played to the end of the time there is, and then it is over, and said to be.
    another.kill('SIGTERM');
    assert.equal(await another.process.exited, 0, another.process.output().slice(-3_000));
    for (const player of [onOld, onNew]) {
      await until(() => player.leftWith !== undefined, 'the player to be told');
      assert.equal(player.leftWith, CloseCode.SERVER_SHUTDOWN);
    }
    assert.equal((await newer.metric('hypogeum_adoptions_total', '{outcome="adopted"}')) ?? 0, 0);
  });
});
