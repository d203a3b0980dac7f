import assert from 'node:assert/strict';
import { MemoryCluster } from '../../src/adapters/memory-cluster.ts';
import type { ProcessAnswer, ProcessRequest } from '../../src/cluster/cluster-store.ts';
import { Drain, type MovableRoom } from '../../src/cluster/drain.ts';
import { Membership } from '../../src/cluster/membership.ts';
import { cardOf, SILENT } from '../contract/cluster-directory.contract.ts';
import { until } from '../fixtures/until.ts';

/** Another process, which answers as the test says. */
class Answering extends MemoryCluster {
  outcome = 'adopted';
  onAsk: () => void = () => {};

  override async ask(_processId: string, _request: ProcessRequest): Promise<ProcessAnswer> {
    this.onAsk();
    return { outcome: this.outcome };
  }
}

/** What was done to a room, in its order. */
class FakeRoom implements MovableRoom {
  readonly done: string[] = [];
  seatReservationTimeout = 8;
  settledInMs = 0;
  readonly clients = { length: 1 };
  readonly #onRetire: () => void;

  constructor(onRetire: () => void) {
    this.#onRetire = onRetire;
  }

  async lock(): Promise<void> {
    this.done.push('lock');
  }

  async handOver(): Promise<{ epoch: number }> {
    this.done.push('handOver');
    return { epoch: 1 };
  }

  sendAway(): void {
    this.done.push('sendAway');
  }

  unfreeze(): void {
    this.done.push('unfreeze');
  }

  retire(): void {
    this.done.push('retire');
    this.#onRetire();
  }
}

describe('cluster/drain', () => {
  let store: Answering;
  let membership: Membership;
  let isDraining: boolean;
  let rooms: Map<string, FakeRoom>;

  beforeEach(async () => {
    store = new Answering();
    isDraining = false;
    rooms = new Map();
    membership = new Membership({ store, processId: 'here', card: () => cardOf('here', { isDraining }), log: SILENT });
    await store.beat({ card: cardOf('there'), beat: 1 });
    await membership.join();
  });

  afterEach(() => membership.leave());

  async function run(roomId: string): Promise<FakeRoom> {
    const room = new FakeRoom(() => membership.forget(roomId));
    rooms.set(roomId, room);
    await membership.begin({ roomId, roomName: 'arena', matchId: roomId });
    await membership.opened(roomId);
    return room;
  }

  function drain(withinMs: number, desertedMs = 60_000): { readonly it: Drain; readonly over: Promise<void> } {
    const roomOf = (roomId: string) => rooms.get(roomId);
    const it = new Drain({ membership, store, log: SILENT, roomOf, seatsMs: 0, desertedMs });
    isDraining = true;
    return { it, over: it.run(withinMs) };
  }

  it('sends players on their way once whoever dials is held, and before the match is claimed', async () => {
    const room = await run('r1');
    let placeAtAsk = '';
    let doneAtAsk: readonly string[] = [];
    store.onAsk = () => {
      placeAtAsk = membership.rooms.get('r1')!.state;
      doneAtAsk = [...room.done];
    };
    const { it, over } = drain(5_000);
    await over;
    assert.equal(placeAtAsk, 'moving');
    assert.deepEqual(doneAtAsk, ['lock', 'handOver', 'sendAway']);
    assert.deepEqual(room.done, ['lock', 'handOver', 'sendAway', 'retire']);
    assert.deepEqual({ moved: it.progress.moved, left: it.progress.left }, { moved: 1, left: 0 });
  });

  it('moves the others first while somebody has only just joined, and that match as soon as it is settled', async () => {
    const [fresh, settled] = [await run('fresh'), await run('settled')];
    fresh.settledInMs = 1_000;
    const { over } = drain(60_000);
    await until(() => settled.done.includes('retire'), 'the other match to move');
    assert.deepEqual(fresh.done, ['lock']);
    fresh.settledInMs = 0;
    await over;
    assert.ok(fresh.done.includes('retire'));
  });

  it('does not wait for who has only just joined when its time runs out before', async () => {
    const room = await run('r1');
    room.settledInMs = 60_000;
    await drain(2_000).over;
    assert.ok(room.done.includes('retire'));
  });

  it('takes a match back that the other process refused, and tries again', async () => {
    const room = await run('r1');
    store.outcome = 'lost';
    store.onAsk = () => {
      if (room.done.includes('unfreeze')) store.outcome = 'adopted';
    };
    const { it, over } = drain(10_000);
    await until(() => room.done.includes('unfreeze'), 'it to be taken back');
    await over;
    assert.deepEqual(room.done, ['lock', 'handOver', 'sendAway', 'unfreeze', 'handOver', 'sendAway', 'retire']);
    assert.equal(it.progress.refused, 1);
  });

  it('leaves a match alone that nobody else can play, until its time is over', async () => {
    const room = await run('r1');
    await store.leave('there');
    await until(() => membership.processes().length === 1, 'the other process to be gone');
    const { it, over } = drain(300);
    await over;
    assert.deepEqual(room.done, ['lock']);
    assert.equal(it.progress.left, 1);
  });

  it('does not wait for a match that has nowhere to go and nobody connected', async () => {
    const [played, empty] = [await run('played'), await run('empty')];
    empty.clients.length = 0;
    await store.leave('there');
    await until(() => membership.processes().length === 1, 'the other process to be gone');
    let isOver = false;
    const { it, over } = drain(60_000, 600);
    void over.then(() => {
      isOver = true;
    });
    const sinceMs = performance.now();
    await until(() => performance.now() - sinceMs > 1_200, 'longer than an empty match is waited for');
    assert.ok(!isOver, 'the other one is played');
    played.clients.length = 0;
    await over;
    assert.equal(it.progress.left, 2);
  });

  it('waits for a match whose players come back, and for one without players that can move', async () => {
    const [room, other] = [await run('r1'), await run('r2')];
    room.clients.length = 0;
    other.clients.length = 0;
    other.settledInMs = 5_000;
    store.outcome = 'lost';
    const { it, over } = drain(60_000, 0);
    await until(() => it.progress.refused > 1, 'another try');
    store.outcome = 'adopted';
    other.settledInMs = 0;
    await over;
    assert.equal(it.progress.moved, 2);
  });

  it('without a match is over at once', async () => {
    await drain(60_000).over;
  });
});
