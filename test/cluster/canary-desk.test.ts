import assert from 'node:assert/strict';
import { MemoryCanary } from '../../src/adapters/memory-canary.ts';
import { type CanaryState, promote, rollBack } from '../../src/cluster/canary.ts';
import { CanaryDesk, type CanaryStore } from '../../src/cluster/canary-desk.ts';
import type { ProcessCard } from '../../src/cluster/directory.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { until } from '../fixtures/until.ts';

const TRIED: CanaryState = { phase: 'percent', build: '1.4.0', percent: 10 };
const OF_TESTERS: CanaryState = { phase: 'cohort', build: '1.4.0', cohort: 'testers' };

function processOf(buildId: string): ProcessCard {
  const load = { tickP99Ms: 0, players: 0, rooms: 0, matchSlots: 1, matchSlotsAvailable: 1 };
  const place = { host: '127.0.0.1', port: 1, region: 'local' };
  return {
    processId: buildId,
    ...place,
    roles: ['realtime'],
    buildId,
    plays: {},
    canAdopt: true,
    isDraining: false,
    load,
  };
}

describe('the desk of the canary', () => {
  let desks: CanaryDesk[];
  let faults: unknown[];
  beforeEach(() => {
    desks = [];
    faults = [];
  });
  afterEach(() => Promise.all(desks.map((desk) => desk.close())));

  async function open(store: CanaryStore, initial?: CanaryState, buildId = '1.4.0'): Promise<CanaryDesk> {
    const desk = new CanaryDesk({
      store,
      buildId,
      initial,
      processes: () => [processOf('1.3.0'), processOf('1.4.0')],
      onChange: () => {},
      onFault: (error) => void faults.push(error),
      lookEveryMs: 5,
    });
    desks.push(desk);
    await desk.start();
    return desk;
  }

  it('sets what the configuration says, but not over what somebody has set', async () => {
    const store = new MemoryCanary();
    const first = await open(store, TRIED);
    assert.deepEqual(first.record.state, TRIED);
    await first.change('p-admin', rollBack);
    const second = await open(store, TRIED);
    assert.deepEqual(second.record.state, { phase: 'rolled-back', build: '1.4.0' });
    assert.deepEqual(faults, []);
  });

  it('knows of a change by another process', async () => {
    const store = new MemoryCanary();
    const [one, other] = [await open(store, TRIED), await open(store, undefined, '1.3.0')];
    assert.equal(one.track, 'canary');
    assert.equal(other.track, 'stable');
    const record = await one.change('p-admin', promote);
    assert.deepEqual(record, { state: { phase: 'promoted', build: '1.4.0' }, revision: 2, by: 'p-admin' });
    await until(() => other.record.revision === 2, 'the other one to know');
    assert.equal(one.track, 'stable');
  });

  it('refuses a change that another one overtook, and one that is none', async () => {
    const store = new MemoryCanary();
    const desk = await open(store, TRIED);
    const overtaken = desk.change('a', (state) => {
      void store.write({ phase: 'none' }, 'b', 1);
      return promote(state);
    });
    await assert.rejects(overtaken, (error) => error instanceof GameError && error.code === 'CANARY_CHANGED');
    await assert.rejects(
      desk.change('a', promote),
      (error) => error instanceof GameError && error.code === 'CANARY_NONE',
    );
  });

  it('goes on with what it knows while the store is away, says so once, and knows players of no list', async () => {
    const memory = new MemoryCanary();
    await memory.addMembers('testers', ['p-t']);
    let isAway = false;
    const store = new Proxy(memory, {
      get(target, name: keyof MemoryCanary) {
        if (isAway && name !== 'onChange') return async () => Promise.reject(new GameError('STORE_UNAVAILABLE'));
        return target[name].bind(target);
      },
    });
    const desk = await open(store, OF_TESTERS);
    const tester = async () => ({ playerId: 'p-t', role: 'player' });
    assert.equal(await desk.trackOfJoin(tester), 'canary');
    isAway = true;
    await until(() => faults.length > 0, 'the fault to be said');
    await desk.look();
    await desk.look();
    assert.equal(faults.length, 1);
    assert.deepEqual(desk.record.state, OF_TESTERS);
    assert.equal(await desk.trackOfJoin(tester), 'stable');
    isAway = false;
    await desk.look();
    assert.equal(await desk.trackOfJoin(tester), 'canary');
  });

  it('tells a store that forgot everything what it knew, also where a new process was faster', async () => {
    const bad: CanaryState = { phase: 'rolled-back', build: '1.4.0' };
    let memory = new MemoryCanary();
    const store = new Proxy({} as CanaryStore, {
      get: (_, name: keyof CanaryStore) => (memory[name] as (...args: never[]) => unknown).bind(memory),
    });
    const desk = await open(store, TRIED);
    await desk.change('p-admin', rollBack);
    memory = new MemoryCanary();
    await desk.look();
    assert.deepEqual((await memory.read()).state, bad);
    // What a process that just starts has from its configuration is older than what people decided.
    memory = new MemoryCanary();
    await memory.write(TRIED, '', 0);
    await desk.look();
    assert.deepEqual((await memory.read()).state, bad);
    assert.deepEqual(desk.record.state, bad);
  });

  it('tells cohorts by role apart without any list', async () => {
    const desk = await open(new MemoryCanary(), { phase: 'cohort', build: '1.4.0', cohort: 'moderators' });
    assert.equal(await desk.trackOfJoin(async () => ({ playerId: 'p', role: 'admin' })), 'canary');
    assert.equal(await desk.trackOfJoin(async () => ({ playerId: 'p', role: 'player' })), 'stable');
    assert.equal(await desk.trackOfJoin(async () => undefined), 'stable');
  });

  it('asks who a player is only where that matters', async () => {
    const desk = await open(new MemoryCanary(), TRIED);
    assert.equal(await desk.trackOfJoin(() => assert.fail('nobody need be asked')), undefined);
  });
});
