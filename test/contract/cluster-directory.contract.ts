/**
 * What a {@link ClusterStore} is, asked as the cluster asks it, and what a {@link ClusterDirectory} on top of it says. Every
 * adapter runs it; it is the port's definition.
 */
import assert from 'node:assert/strict';
import { canPlay } from '../../src/cluster/adoption-plan.ts';
import type { ClusterNews, ClusterStore, StoredRoom } from '../../src/cluster/cluster-store.ts';
import type { ProcessCard } from '../../src/cluster/directory.ts';
import { type ClusterLog, Membership } from '../../src/cluster/membership.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { until } from '../fixtures/until.ts';

export interface ClusterHarness {
  /** As the process of that id has it. */
  store(processId: string): Promise<ClusterStore>;
  dispose(): Promise<void>;
}

export const SILENT: ClusterLog = { debug() {}, info() {}, warn() {}, error() {} };

export function cardOf(processId: string, more: Partial<ProcessCard> = {}): ProcessCard {
  return {
    processId,
    host: '127.0.0.1',
    port: 1000,
    roles: ['gate', 'realtime', 'worker'],
    buildId: 'test',
    region: 'local',
    plays: { arena: { simId: 'arena', simVersion: 1, schemaHash: 'a' } },
    canAdopt: true,
    isDraining: false,
    load: { tickP99Ms: 0, players: 0, rooms: 0, matchSlots: 10, matchSlotsAvailable: 10 },
    ...more,
  };
}

export function roomOf(roomId: string, processId: string, more: Partial<StoredRoom> = {}): StoredRoom {
  return {
    roomId,
    roomName: 'arena',
    matchId: roomId,
    buildId: 'test',
    simId: 'arena',
    simVersion: 1,
    schemaHash: 'a',
    epoch: 1,
    processId,
    state: 'running',
    ...more,
  };
}

export function clusterDirectoryContract(name: string, open: () => Promise<ClusterHarness>): void {
  describe(`cluster directory: ${name}`, () => {
    let harness: ClusterHarness;
    let store: ClusterStore;
    const news: ClusterNews[] = [];
    const ownerOf = (processId: string) => ({ processId, host: '127.0.0.1', port: 1000 });
    const put = (room: StoredRoom) => store.put(room, ownerOf(room.processId));

    beforeEach(async () => {
      harness = await open();
      store = await harness.store('a');
      news.length = 0;
      store.onNews((one) => news.push(one));
    });
    afterEach(async () => {
      await harness.dispose();
    });

    describe('processes', () => {
      it('are known from their first beat to their leave, with the card of the last', async () => {
        const first = await store.beat({ card: cardOf('a'), beat: 1 });
        assert.equal(first.wasKnown, false);
        assert.deepEqual(first.processes, [{ card: cardOf('a'), beat: 1 }]);
        const second = await store.beat({ card: cardOf('a', { port: 2 }), beat: 2 });
        assert.equal(second.wasKnown, true);
        assert.equal(second.generation, first.generation);
        assert.equal(second.processes[0]?.card.port, 2);
        await store.leave('a');
        await until(() => news.some(({ kind }) => kind === 'gone'), 'the news');
        assert.equal((await store.beat({ card: cardOf('a'), beat: 3 })).wasKnown, false);
      });

      it('are buried once, by the beat that stood still, and not if they have beaten since', async () => {
        await store.beat({ card: cardOf('a'), beat: 1 });
        await store.beat({ card: cardOf('b'), beat: 7 });
        assert.equal(await store.bury('b', 6), false);
        assert.equal(await store.bury('b', 7), true);
        assert.equal(await store.bury('b', 7), false);
        await until(() => news.some((one) => one.kind === 'gone' && one.processId === 'b'), 'the news');
        assert.equal((await store.beat({ card: cardOf('b'), beat: 8 })).wasKnown, false);
      });
    });

    describe('rooms', () => {
      it('are begun once: a second creation of the id finds that there is one', async () => {
        assert.equal(await store.begin(roomOf('r', 'a')), 1);
        assert.equal(await store.begin(roomOf('r', 'a')), undefined);
        await put(roomOf('r', 'a'));
        assert.equal(await store.begin(roomOf('r', 'b')), undefined);
      });

      it('that another process began and told nobody of are taken over with the next epoch', async () => {
        assert.equal(await store.begin(roomOf('r', 'a')), 1);
        assert.equal(await store.begin(roomOf('r', 'b')), 2);
        assert.equal(await put(roomOf('r', 'a', { epoch: 1 })), false);
        assert.equal(await put(roomOf('r', 'b', { epoch: 2 })), true);
        assert.deepEqual(await store.roomsOf('a'), []);
      });

      it('are written by the larger epoch only, and by one process an epoch', async () => {
        assert.equal(await put(roomOf('r', 'a', { epoch: 2 })), true);
        assert.equal(await put(roomOf('r', 'b', { epoch: 1 })), false);
        assert.equal(await put(roomOf('r', 'b', { epoch: 2 })), false);
        assert.equal(await put(roomOf('r', 'a', { epoch: 2, state: 'moving' })), true);
        assert.equal(await put(roomOf('r', 'b', { epoch: 3, state: 'moving' })), true);
        assert.deepEqual(await store.roomsOf('b'), [roomOf('r', 'b', { epoch: 3, state: 'moving' })]);
        assert.deepEqual(await store.owners(), ['b']);
      });

      it('tell all their owner when they begin to run, or run elsewhere, and not again', async () => {
        await store.begin(roomOf('r', 'a'));
        await put(roomOf('r', 'a'));
        await put(roomOf('r', 'a'));
        await put(roomOf('r', 'b', { epoch: 2, state: 'moving' }));
        await put(roomOf('r', 'b', { epoch: 2 }));
        await put(roomOf('last', 'a'));
        await until(() => news.some((one) => one.kind === 'owner' && one.roomId === 'last'), 'the news');
        assert.deepEqual(
          news.map((one) => one.kind === 'owner' && `${one.roomId} ${one.owner.processId}`),
          ['r a', 'r b', 'last a'],
        );
      });

      it('are forgotten by their owner only; parked ones stay, and are nobody’s', async () => {
        await put(roomOf('r', 'a', { epoch: 2 }));
        await store.release('r', 'b', 2);
        await store.release('r', 'a', 1);
        assert.ok(await store.room('r'));
        await store.release('r', 'a', 2);
        assert.equal(await store.room('r'), undefined);
        assert.deepEqual(await store.owners(), []);
        await put(roomOf('p', 'a'));
        await put(roomOf('p', 'a', { state: 'parked' }));
        await store.release('p', 'a', 1);
        assert.equal((await store.room('p'))?.room.state, 'parked');
        assert.deepEqual(await store.owners(), []);
      });
    });

    describe('the place of a room', () => {
      let member: Membership;
      let canAdopt: boolean;
      beforeEach(async () => {
        canAdopt = true;
        member = new Membership({ store, processId: 'a', card: () => cardOf('a', { canAdopt }), log: SILENT });
        await member.join();
      });
      afterEach(() => member.leave());

      it('is unknown, moving while it is made, running, moving without its process, and parked', async () => {
        assert.deepEqual(await member.placeOf('r'), { state: 'unknown' });
        assert.equal(await member.begin({ roomId: 'r', roomName: 'arena', matchId: 'r' }), 1);
        assert.deepEqual(await member.placeOf('r'), { state: 'moving' });
        await member.opened('r');
        assert.deepEqual(await member.placeOf('r'), {
          state: 'running',
          processId: 'a',
          host: '127.0.0.1',
          port: 1000,
        });
        await put(roomOf('r', 'dead', { epoch: 2 }));
        assert.deepEqual(await member.placeOf('r'), { state: 'moving' });
        await member.park(roomOf('r', 'dead', { epoch: 1 }));
        assert.deepEqual(await member.placeOf('r'), { state: 'moving' }, 'claimed since');
        await member.park(roomOf('r', 'dead', { epoch: 2 }));
        assert.deepEqual(await member.placeOf('r'), { state: 'parked' });
      });

      it('is parked also by who has claimed it in vain itself, and then it is not its own any more', async () => {
        await put(roomOf('r', 'dead'));
        assert.ok(await member.take(roomOf('r', 'dead', { epoch: 2 })));
        assert.ok(await member.take(roomOf('r', 'dead', { epoch: 3 })));
        await member.park(roomOf('r', 'dead'));
        assert.deepEqual(await member.placeOf('r'), { state: 'parked' });
        assert.ok(!member.owns('r'));
      });

      it('is told to who listens, once it runs', async () => {
        const told: string[] = [];
        const end = member.onOwner((roomId, owner) => told.push(`${roomId} ${owner.processId}`));
        await member.begin({ roomId: 'r', roomName: 'arena', matchId: 'r' });
        await member.opened('r');
        await until(() => told.length > 0, 'the owner');
        end();
        await put(roomOf('s', 'a'));
        await until(() => news.some((one) => one.kind === 'owner' && one.roomId === 's'), 'the news');
        assert.deepEqual(told, ['r a']);
      });

      it('of one match is in one room: another creation is refused MATCH_EXISTS, until it is over', async () => {
        const creation = { roomId: 'r', roomName: 'arena', matchId: 'r' };
        await member.begin(creation);
        await assert.rejects(member.begin(creation), (error: GameError) => error.code === 'MATCH_EXISTS');
        assert.equal(member.owns('r'), true);
        await member.released('r');
        assert.equal(member.owns('r'), false);
        assert.equal(await member.begin(creation), 1);
      });

      it('is for nobody else to take where rooms are not restored as they were; it is made all the same', async () => {
        await member.begin({ roomId: 'r', roomName: 'arena', matchId: 'r' });
        assert.ok(canPlay(cardOf('b'), (await store.room('r'))!.room));
        canAdopt = false;
        await member.begin({ roomId: 's', roomName: 'arena', matchId: 's' });
        await member.opened('s');
        assert.equal((await member.placeOf('s')).state, 'running');
        for (const able of [cardOf('b'), cardOf('b', { canAdopt })]) {
          assert.equal(canPlay(able, (await store.room('s'))!.room), false);
        }
      });

      it('that turns out to be elsewhere is given up here', async () => {
        const lost: string[] = [];
        member.onRoomLost((roomId) => lost.push(roomId));
        await member.begin({ roomId: 'r', roomName: 'arena', matchId: 'r' });
        await put(roomOf('r', 'b', { epoch: 2, state: 'moving' }));
        await member.opened('r');
        assert.deepEqual(lost, ['r']);
        assert.equal(member.owns('r'), false);
      });
    });
  });
}
