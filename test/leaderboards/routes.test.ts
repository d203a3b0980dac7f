import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryBoards } from '../../src/adapters/memory-boards.ts';
import { ScoreSubmitted } from '../../src/events/leaderboard-events.ts';
import type { BoardFeeder } from '../../src/leaderboards/board-feeder.ts';
import { Leaderboards } from '../../src/leaderboards/leaderboards.ts';
import { leaderboardRoutes } from '../../src/leaderboards/routes.ts';
import { madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { BoardStage, TEST_BOARDS } from './stage.ts';

const PLAYERS = Array.from({ length: 12 }, (_, n) => madeUpCaller(`p${n}`).playerId);
const HOSTILE = [
  `'; drop table board_entries; --`,
  `' or '1'='1`,
  '../..',
  '%00',
  'x'.repeat(2_000),
  '💥',
  '{}',
  '-1',
  'NaN',
];

describe('routes of leaderboards', () => {
  let stage: BoardStage;
  let feeder: BoardFeeder;
  let api: ServedApi;
  let friends: readonly string[] = [];

  const catchUp = async (): Promise<void> => {
    await stage.fold();
    await feeder.sync();
  };

  before(async () => {
    stage = await BoardStage.open('2026-11-23T12:00:00Z');
    feeder = stage.feeder(new MemoryBoards((boardId) => TEST_BOARDS.get(boardId)?.order));
    const leaderboards = new Leaderboards({
      boards: TEST_BOARDS,
      reader: feeder,
      table: stage.table,
      log: stage.log,
      friendsOf: async () => friends,
      namesOf: async (ids) =>
        new Map(ids.filter((id) => id !== PLAYERS[1]).map((id) => [id, `Name of ${id.slice(-3)}`])),
      isPlayer: async (id) => PLAYERS.includes(id),
    });
    api = await serveForTest(leaderboardRoutes(leaderboards), {
      callers: { me: madeUpCaller('p3'), admin: madeUpCaller('boss', 'admin'), stranger: madeUpCaller('x') },
    });
    for (const [n, id] of PLAYERS.entries()) await stage.score('sum', id, 100 - 10 * Math.floor(n / 2));
    await catchUp();
  });
  after(async () => {
    assert.deepEqual(api.bugs, []);
    await api.close();
    await stage.close();
  });

  it('list the boards with their present season', async () => {
    const { body } = await api.ask('/api/leaderboards');
    assert.equal(body.boards.length, TEST_BOARDS.all.length);
    const daily = body.boards.find(({ board }: { board: string }) => board === 'daily');
    assert.deepEqual(daily, {
      board: 'daily',
      title: 'Day in Rome',
      operator: 'sum',
      order: 'descending',
      every: 'day',
      timeZone: 'Europe/Rome',
      season: '2026-11-23',
      startsAtMs: Date.parse('2026-11-22T23:00:00Z'),
      endsAtMs: Date.parse('2026-11-23T23:00:00Z'),
    });
  });

  it('page through a board, each player once, and end with no cursor', async () => {
    const seen: [string, number][] = [];
    let path = '/api/leaderboards/sum?limit=5';
    for (const size of [5, 5, 2]) {
      const { status, body } = await api.ask(path);
      assert.equal(status, 200);
      assert.equal(body.rows.length, size);
      assert.equal(body.players, 12);
      seen.push(...body.rows.map(({ playerId, rank }: { playerId: string; rank: number }) => [playerId, rank]));
      path = `/api/leaderboards/sum?limit=5&cursor=${body.cursor}`;
      assert.equal(body.cursor === null, size === 2);
    }
    assert.deepEqual(
      seen,
      PLAYERS.map((id, n) => [id, Math.floor(n / 2) + 1]),
    );
    assert.equal((await api.ask('/api/leaderboards/sum?limit=12')).body.cursor, null);
  });

  it('name players, and say which rows of a further page have moved since the first', async () => {
    const first = await api.ask('/api/leaderboards/sum?limit=2');
    assert.deepEqual(
      first.body.rows.map(({ name, hasMoved }: { name: string; hasMoved: boolean }) => [name, hasMoved]),
      [
        [`Name of ${PLAYERS[0]!.slice(-3)}`, false],
        [null, false],
      ],
    );
    await stage.score('sum', PLAYERS[0]!, -95);
    await catchUp();
    const next = await api.ask(`/api/leaderboards/sum?limit=50&cursor=${first.body.cursor}`);
    assert.deepEqual(
      next.body.rows
        .filter(({ hasMoved }: { hasMoved: boolean }) => hasMoved)
        .map((row: { playerId: string }) => row.playerId),
      [PLAYERS[0]],
    );
    await stage.score('sum', PLAYERS[0]!, 95);
    await catchUp();
  });

  it('show a player with its neighbours, and oneself by token', async () => {
    const { body } = await api.ask('/api/leaderboards/sum/around?reach=1', { token: 'me' });
    assert.deepEqual(
      body.rows.map(({ playerId }: { playerId: string }) => playerId),
      PLAYERS.slice(2, 5),
    );
    const other = await api.ask(`/api/leaderboards/sum/around?reach=0&playerId=${PLAYERS[7]}`);
    assert.deepEqual([other.body.rows.length, other.body.rows[0].rank], [1, 4]);
    assert.equal((await api.ask('/api/leaderboards/sum/around')).body.code, 'AUTH_MISSING');
    assert.equal((await api.ask('/api/leaderboards/sum/around', { token: 'stranger' })).body.code, 'PLAYER_UNKNOWN');
  });

  it('show oneself and friends with their ranks among all', async () => {
    friends = [PLAYERS[9]!, PLAYERS[0]!, madeUpCaller('not-on-it').playerId];
    const { body } = await api.ask('/api/leaderboards/sum/friends', { token: 'me' });
    const ranks = new Map<string, number>(
      body.rows.map((row: { playerId: string; rank: number }) => [row.playerId, row.rank]),
    );
    assert.equal(ranks.size, 3);
    assert.deepEqual([ranks.get(PLAYERS[3]!), ranks.get(PLAYERS[9]!)], [2, 5]);
    assert.equal((await api.ask('/api/leaderboards/sum/friends')).body.code, 'AUTH_MISSING');
  });

  it('take a score from the studio once a key, durably, on boards that matches do not feed', async () => {
    const body = { playerId: PLAYERS[2], score: 42 };
    const path = '/api/admin/leaderboards/daily/scores';
    const post = (more: object, path: string, token = 'admin', key: string | undefined = 'k1') =>
      api.ask(path, { method: 'POST', token, body: { ...body, ...more }, ...(key === undefined ? {} : { key }) });
    const first = await post({}, path);
    assert.equal(first.status, 201);
    assert.deepEqual((await post({}, path)).body, first.body);
    assert.equal((await post({ score: 43 }, path)).body.code, 'KEY_REUSED');
    assert.equal(
      (await post({}, '/api/admin/leaderboards/weekly-frags/scores', 'admin', 'k2')).body.code,
      'NOT_ALLOWED',
    );
    assert.equal((await post({}, path, 'me', 'k3')).body.code, 'NOT_ALLOWED');
    assert.equal(
      (await post({ playerId: madeUpCaller('nobody').playerId }, path, 'admin', 'k4')).body.code,
      'PLAYER_UNKNOWN',
    );
    assert.equal((await api.ask(path, { method: 'POST', token: 'admin', body })).body.code, 'KEY_MISSING');
    for (const score of [1.5, 2 ** 53, -(2 ** 53), '7', null, Number.NaN]) {
      assert.equal((await post({ score }, path, 'admin', 'k5')).body.code, 'INVALID_INPUT', String(score));
    }
    const submitted = await stage.ofType(ScoreSubmitted.type);
    assert.equal(submitted.filter(({ payload }) => (payload as { boardId: string }).boardId === 'daily').length, 1);
    await catchUp();
    const { body: page } = await api.ask('/api/leaderboards/daily');
    assert.deepEqual(
      page.rows.map((row: { playerId: string; score: number }) => [row.playerId, row.score]),
      [[PLAYERS[2], 42]],
    );
    const { body: seasons } = await api.ask('/api/leaderboards/daily/seasons');
    assert.deepEqual(
      seasons.seasons.map(({ season, closedAtMs }: { season: string; closedAtMs: null }) => [season, closedAtMs]),
      [['2026-11-23', null]],
    );
  });

  it('refuse boards, seasons and parameters that are not there', async () => {
    for (const [path, code] of [
      ['/api/leaderboards/nope', 'BOARD_UNKNOWN'],
      ['/api/leaderboards/nope/seasons', 'BOARD_UNKNOWN'],
      ['/api/leaderboards/sum?season=2026-11-23', 'SEASON_UNKNOWN'],
      ['/api/leaderboards/daily?season=2026-11-24', 'SEASON_UNKNOWN'],
      ['/api/leaderboards/daily?season=2026-02-30', 'SEASON_UNKNOWN'],
      ['/api/leaderboards/sum?limit=101', 'INVALID_INPUT'],
      ['/api/leaderboards/sum?limit=0', 'INVALID_INPUT'],
      ['/api/leaderboards/sum?limit=1.5', 'INVALID_INPUT'],
      ['/api/leaderboards/sum?other=1', 'INVALID_INPUT'],
    ]) {
      assert.equal((await api.ask(path!)).body.code, code, path);
    }
    assert.equal((await api.ask('/api/leaderboards/daily?season=2026-11-20')).body.rows.length, 0);
  });

  it('refuse hostile text in every parameter with a code', async () => {
    for (const text of HOSTILE.map(encodeURIComponent)) {
      for (const path of [
        `/api/leaderboards/${text}`,
        `/api/leaderboards/sum?season=${text}`,
        `/api/leaderboards/sum?cursor=${text}`,
        `/api/leaderboards/sum?limit=${text}`,
        `/api/leaderboards/sum/around?playerId=${text}`,
        `/api/leaderboards/sum/seasons?before=${text}`,
      ]) {
        const { status, body } = await api.ask(path);
        assert.ok(status >= 400 && status < 500, `${status} ${path}`);
        assert.equal(typeof body.code, 'string');
      }
    }
  });

  it('refuse a cursor that was tampered with, or answer with a page that is right', async () => {
    const { body } = await api.ask('/api/leaderboards/sum?limit=3');
    const bytes = Buffer.from(body.cursor, 'base64url');
    const foreign = await api.ask(`/api/leaderboards/latest?cursor=${body.cursor}`);
    assert.equal(foreign.body.code, 'INVALID_INPUT');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, isCut) => {
          const changed = Buffer.from(bytes);
          changed[at]! ^= flip;
          const cursor = (isCut ? changed.subarray(0, at) : changed).toString('base64url') || 'A';
          const { status, body: page } = await api.ask(`/api/leaderboards/sum?limit=50&cursor=${cursor}`);
          if (status === 400) assert.equal(page.code, 'INVALID_INPUT');
          else {
            assert.equal(status, 200);
            const ids = page.rows.map(({ playerId }: { playerId: string }) => playerId);
            const all = (await feeder.page({ boardId: 'sum', seasonId: 'all', order: 'descending' }, undefined, 50))
              .entries;
            assert.deepEqual(
              ids,
              all.slice(all.length - ids.length).map(({ playerId }) => playerId),
            );
          }
        },
      ),
      { seed: 20261123, numRuns: 100 },
    );
  });
});
