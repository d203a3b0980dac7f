import assert from 'node:assert/strict';
import { MemoryCluster } from '../../src/adapters/memory-cluster.ts';
import type { StoredRoom } from '../../src/cluster/cluster-store.ts';
import { Coordinator } from '../../src/cluster/coordinator.ts';
import type { RoomOwner } from '../../src/cluster/directory.ts';
import { Membership } from '../../src/cluster/membership.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { cardOf, SILENT } from '../contract/cluster-directory.contract.ts';
import { until } from '../fixtures/until.ts';

const ROOM = { roomId: 'r', roomName: 'arena', matchId: 'r', buildId: 'b', ...cardOf('here').plays['arena']! };

/** A store that may be away for rooms. */
class Absent extends MemoryCluster {
  isAway = false;

  override async put(room: StoredRoom, owner: RoomOwner): Promise<boolean> {
    if (this.isAway) throw new GameError('STORE_UNAVAILABLE');
    return super.put(room, owner);
  }
}

function memberOf(store: MemoryCluster): Membership {
  return new Membership({ store, processId: 'here', log: SILENT, card: () => cardOf('here') });
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
      log: SILENT,
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

  it('is looked after by who can take matches over, whoever else has a smaller id', async () => {
    const store = new MemoryCluster();
    await store.beat({ card: cardOf('a', { canAdopt: false }), beat: 1 });
    const dead = { ...ROOM, simVersion: 2, epoch: 1, processId: 'dead', state: 'running' } as const;
    await store.put(dead, { processId: 'dead', host: '127.0.0.1', port: 1 });
    const membership = memberOf(store);
    await membership.join();
    const coordinator = new Coordinator({
      membership,
      store,
      log: SILENT,
      adopt: async () => ({ kind: 'lost' }),
      listJournal: async () => [],
      hasRoom: () => false,
      isDraining: () => false,
      waitForBuildMs: 0,
    });
    coordinator.start();
    await until(
      async () => (await membership.placeOf('r')).state === 'parked',
      'the match nobody can play to be parked',
    );
    assert.equal(membership.processes().length, 2, 'while the other is there');
    await coordinator.close();
    await membership.leave();
  });
});
