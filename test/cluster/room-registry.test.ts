import assert from 'node:assert/strict';
import { MemoryCluster } from '../../src/adapters/memory-cluster.ts';
import type { StoredRoom } from '../../src/cluster/cluster-store.ts';
import { Coordinator } from '../../src/cluster/coordinator.ts';
import type { RoomOwner } from '../../src/cluster/directory.ts';
import { Membership } from '../../src/cluster/membership.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { until } from '../fixtures/until.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const PLAYS = { arena: { simId: 'arena', simVersion: 1, schemaHash: 'aa' } };
const ROOM = { roomId: 'r', roomName: 'arena', matchId: 'r', buildId: 'b', ...PLAYS.arena };

/** A store that may be away for rooms. */
class Absent extends MemoryCluster {
  isAway = false;

  override async put(room: StoredRoom, owner: RoomOwner): Promise<boolean> {
    if (this.isAway) throw new GameError('STORE_UNAVAILABLE');
    return super.put(room, owner);
  }
}

function memberOf(store: MemoryCluster): Membership {
  return new Membership({
    store,
    processId: 'here',
    log: silent,
    card: () => ({
      processId: 'here',
      host: '127.0.0.1',
      port: 1,
      roles: ['realtime'],
      buildId: 'b',
      region: '',
      plays: PLAYS,
      canAdopt: true,
      isDraining: false,
      load: { tickP99Ms: 0, players: 0, rooms: 0, matchSlots: 9, matchSlotsAvailable: 9 },
    }),
  });
}

describe('the registry of rooms', () => {
  it('hears with the next beat that a room takes players, if the store was away as it opened', async () => {
    const store = new Absent();
    const membership = memberOf(store);
    await membership.beatNow();
    assert.ok(await membership.take({ ...ROOM, epoch: 2 }));
    store.isAway = true;
    await membership.opened('r');
    await membership.beatNow();
    assert.equal((await membership.placeOf('r')).state, 'moving');
    store.isAway = false;
    await membership.beatNow();
    await until(async () => (await membership.placeOf('r')).state === 'running', 'the registry to hear it');
  });

  it('is not told again of a room that was claimed here and then by somebody else', async () => {
    const store = new MemoryCluster();
    const membership = memberOf(store);
    const coordinator = new Coordinator({
      membership,
      store,
      log: silent,
      adopt: async () => {
        await membership.take({ ...ROOM, epoch: 2 });
        return { kind: 'lost' };
      },
      listJournal: async () => [],
      hasRoom: () => false,
      isDraining: () => false,
      waitForBuildMs: 1_000,
    });
    assert.equal(await coordinator.take({ ...ROOM, epoch: 1, processId: 'gone' }), 'lost');
    assert.ok(!membership.owns('r'));
    await coordinator.close();
  });
});
