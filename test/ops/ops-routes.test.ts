import assert from 'node:assert/strict';
import { MemoryCanary } from '../../src/adapters/memory-canary.ts';
import { CanaryDesk } from '../../src/cluster/canary-desk.ts';
import type { ProcessCard } from '../../src/cluster/directory.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { opsRoutes } from '../../src/ops-routes.ts';
import { type Answer, madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';

const ADMIN = madeUpCaller('ada', 'admin');
const CALLERS = { admin: ADMIN, moderator: madeUpCaller('mo', 'moderator'), player: madeUpCaller('pip') };

function processOf(processId: string, buildId: string): ProcessCard {
  const load = { tickP99Ms: 1.5, players: 7, rooms: 2, matchSlots: 50, matchSlotsAvailable: 48 };
  const place = { host: '127.0.0.1', port: 2581, region: 'local' };
  return { processId, ...place, roles: ['realtime'], buildId, plays: {}, canAdopt: true, isDraining: false, load };
}

const PROCESSES = [processOf('here', '1.3.0'), processOf('there', '1.4.0')];
const ROOM = {
  roomId: 'room-1',
  roomName: 'arena',
  matchId: 'room-1',
  buildId: '1.3.0',
  processId: 'here',
  epoch: 3,
  state: 'running',
  simId: 'arena',
  simVersion: 1,
  schemaHash: 'x',
};

describe('the routes of operators', () => {
  let api: ServedApi;
  let desk: CanaryDesk;
  let drained: (readonly [processId: string, by: string])[];
  let audited: Record<string, unknown>[];
  let rooms: (typeof ROOM)[];

  beforeEach(async () => {
    const store = new MemoryCanary();
    const options = { store, buildId: '1.3.0', initial: undefined, onChange: () => {}, onFault: () => {} };
    desk = new CanaryDesk({ ...options, processes: () => PROCESSES });
    await desk.start();
    [drained, audited, rooms] = [[], [], [ROOM]];
    const routes = opsRoutes({
      processId: () => 'here',
      processes: () => PROCESSES,
      rooms: async () => rooms,
      async drain(processId, by) {
        if (!PROCESSES.some((card) => card.processId === processId)) throw new GameError('PROCESS_UNKNOWN');
        drained.push([processId, by]);
      },
      canary: desk,
      cohorts: store,
      audit: (facts) => void audited.push(facts),
    });
    api = await serveForTest(routes, { callers: CALLERS });
  });
  afterEach(async () => {
    await api.close();
    await desk.close();
    assert.deepEqual(api.bugs, []);
  });

  const post = (path: string, body: unknown, token = 'admin'): Promise<Answer> =>
    api.ask(path, { method: 'POST', token, body });
  const get = (path: string, token?: string): Promise<Answer> => api.ask(path, { token });

  it('answer nobody but admins', async () => {
    for (const path of ['/ops/cluster', '/ops/canary']) {
      assert.equal((await get(path)).body.code, 'AUTH_MISSING');
      assert.equal((await get(path, 'player')).body.code, 'NOT_ALLOWED');
      assert.equal((await get(path, 'moderator')).body.code, 'NOT_ALLOWED');
      assert.equal((await get(path, 'admin')).status, 200);
    }
    for (const [path, body] of [
      ['/ops/drain', {}],
      ['/ops/canary', { action: 'promote' }],
    ] as const) {
      assert.equal((await post(path, body, 'moderator')).body.code, 'NOT_ALLOWED');
    }
    assert.deepEqual([drained, audited], [[], []]);
  });

  it('tell processes with their load and build, and rooms with owner and epoch, bounded', async () => {
    await desk.change('x', () => ({ phase: 'percent', build: '1.4.0', percent: 10 }));
    const { body } = await get('/ops/cluster', 'admin');
    assert.equal(body.processId, 'here');
    assert.equal(body.canary, 'build 1.4.0 gets 10 % of new matches');
    assert.deepEqual(
      body.processes.map(({ processId, track, matchSlotsAvailable }: Record<string, unknown>) => [
        processId,
        track,
        matchSlotsAvailable,
      ]),
      [
        ['here', 'stable', 48],
        ['there', 'canary', 48],
      ],
    );
    const { simId: _, simVersion: __, schemaHash: ___, ...told } = ROOM;
    assert.deepEqual(body.rooms, [told]);
    rooms = Array.from({ length: 1_001 }, (_, at) => ({ ...ROOM, roomId: `room-${at}` }));
    const many = (await get('/ops/cluster', 'admin')).body;
    assert.deepEqual([many.rooms.length, many.roomsTotal], [1_000, 1_001]);
  });

  it('drain this process or another one, and say in the log who wanted it', async () => {
    assert.deepEqual(await post('/ops/drain', {}).then(({ status, body }) => [status, body]), [
      202,
      { processId: 'here' },
    ]);
    assert.equal((await post('/ops/drain', { processId: 'there' })).status, 202);
    assert.deepEqual(drained, [
      ['here', ADMIN.playerId],
      ['there', ADMIN.playerId],
    ]);
    assert.deepEqual(audited[1], { by: ADMIN.playerId, action: 'drain', process: 'there' });
    assert.equal((await post('/ops/drain', { processId: 'nobody' })).body.code, 'PROCESS_UNKNOWN');
    assert.equal((await post('/ops/drain', { processId: '../x' })).body.code, 'INVALID_INPUT');
    assert.equal((await post('/ops/drain', { force: true })).body.code, 'INVALID_INPUT');
  });

  it('try a build, promote it, roll it back', async () => {
    const tried = await post('/ops/canary', { action: 'percent', build: '1.4.0', percent: 10 });
    assert.deepEqual(tried.body, {
      state: { phase: 'percent', build: '1.4.0', percent: 10 },
      revision: 1,
      by: ADMIN.playerId,
      text: 'build 1.4.0 gets 10 % of new matches',
    });
    assert.equal((await post('/ops/canary', { action: 'promote' })).body.state.phase, 'promoted');
    assert.equal((await post('/ops/canary', { action: 'promote' })).body.code, 'CANARY_NONE');
    assert.equal((await post('/ops/canary', { action: 'rollback' })).body.state.phase, 'rolled-back');
    assert.equal((await post('/ops/canary', { action: 'clear' })).body.state.phase, 'none');
    assert.equal((await post('/ops/canary', { action: 'rollback' })).body.code, 'CANARY_NONE');
    assert.deepEqual((await get('/ops/canary', 'admin')).body.state, { phase: 'none' });
    assert.deepEqual(audited[0], { by: ADMIN.playerId, action: 'canary percent', build: '1.4.0', percent: 10 });
  });

  it('keep cohorts, and count their players in the log without naming them', async () => {
    const playerIds = [madeUpCaller('one').playerId, madeUpCaller('two').playerId];
    assert.equal((await post('/ops/canary', { action: 'add-players', cohort: 'testers', playerIds })).status, 200);
    assert.deepEqual((await get('/ops/canary?cohort=testers', 'admin')).body.players, [...playerIds].sort());
    await post('/ops/canary', { action: 'remove-players', cohort: 'testers', playerIds: [playerIds[0]] });
    assert.deepEqual((await get('/ops/canary?cohort=testers', 'admin')).body.players, [playerIds[1]]);
    assert.deepEqual(audited[0], {
      by: ADMIN.playerId,
      action: 'canary add-players',
      cohort: 'testers',
      players: 2,
    });
  });

  it('refuse what has not the documented shape', async () => {
    const id = madeUpCaller('one').playerId;
    for (const body of [
      {},
      { action: 'percent', build: '1.4.0', percent: 101 },
      { action: 'percent', build: '1.4.0', percent: 0.5 },
      { action: 'percent', build: 'a b', percent: 5 },
      { action: 'cohort', build: '1.4.0', cohort: 'Testers' },
      { action: 'promote', build: '1.4.0' },
      { action: 'add-players', cohort: 'testers', playerIds: [] },
      { action: 'add-players', cohort: 'testers', playerIds: Array(101).fill(id) },
      { action: 'add-players', cohort: 'testers', playerIds: ['*'] },
    ]) {
      assert.equal((await post('/ops/canary', body)).body.code, 'INVALID_INPUT', JSON.stringify(body));
    }
    assert.equal(desk.record.revision, 0);
  });
});
