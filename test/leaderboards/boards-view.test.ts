import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryBoards } from '../../src/adapters/memory-boards.ts';
import { AccountErased } from '../../src/events/account-events.ts';
import { SeasonClosed, type SeasonClosedPayload, SeasonEnded } from '../../src/events/leaderboard-events.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { SeasonKey } from '../../src/leaderboards/board-index.ts';
import { BoardStage, modelOf, TEST_BOARDS } from './stage.ts';

const orderOf = (boardId: string) => TEST_BOARDS.get(boardId)?.order;
const keyOf = (boardId: string, seasonId: string): SeasonKey => ({ boardId, seasonId, order: orderOf(boardId)! });
const isRefusal = (code: string) => (error: unknown) => error instanceof GameError && error.code === code;

describe('leaderboards in the log, the table and the indexes', () => {
  let stage: BoardStage;
  const inTable = async (boardId: string, seasonId: string) =>
    (await stage.table.page(keyOf(boardId, seasonId), undefined, 100)).entries;
  const erase = (playerId: string) =>
    stage.log.append({
      stream: `account/${playerId}`,
      expected: 'any',
      events: [AccountErased({ playerId, by: 'operator' })],
    });

  beforeEach(async () => {
    stage = await BoardStage.open('2026-11-23T12:00:00Z');
  });
  afterEach(() => stage.close());

  it('are the fold of the log, however it is cut into pages, and the same again when they are rebuilt', async () => {
    const player = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', `'; drop table board_entries; --`);
    const step = fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({
          boardId: fc.constantFrom('sum', 'best', 'latest', 'daily'),
          player,
          score: fc.integer({ min: -4, max: 4 }),
          passHours: fc.constantFrom(0, 0, 0, 1, 7),
        }),
      },
      { weight: 1, arbitrary: fc.record({ erase: player }) },
    );
    const index = new MemoryBoards(orderOf);
    const feeder = stage.feeder(index);
    const erased = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        async (steps, pageMax, isRebuilt) => {
          for (const step of steps) {
            if ('erase' in step) {
              await erase(step.erase);
              erased.add(step.erase);
            } else {
              stage.clock.nowMs += step.passHours * 3_600_000;
              await stage.score(step.boardId, step.player, step.score);
            }
          }
          if (isRebuilt) await stage.resetView();
          await stage.fold(pageMax);
          await feeder.sync();
          for (const board of TEST_BOARDS.all.slice(0, 4)) {
            const { id } = board.seasons.at(feeder.nowMs);
            const model = await modelOf(stage, board.id, id, erased);
            assert.deepEqual(await inTable(board.id, id), model);
            assert.deepEqual((await index.page(keyOf(board.id, id), undefined, 100)).entries, model);
          }
        },
      ),
      { seed: 20261123, numRuns: 25 },
    );
  });

  it('count a score for the season in which it was recorded, to the millisecond, also when the clock is set back', async () => {
    stage.setClock('2026-10-24T21:59:59.999Z');
    await stage.score('daily', 'a', 1);
    stage.setClock('2026-10-24T22:00:00.000Z');
    await stage.score('daily', 'a', 2);
    stage.setClock('2026-10-25T22:59:59.999Z');
    await stage.score('daily', 'a', 4);
    stage.setClock('2026-10-25T23:00:00.000Z');
    await stage.score('daily', 'a', 8);
    stage.setClock('2026-10-25T22:00:00.000Z');
    await stage.score('daily', 'a', 16);
    await stage.fold();
    const scores = async (day: string) => (await inTable('daily', day)).map(({ score }) => score);
    assert.deepEqual(
      [await scores('2026-10-24'), await scores('2026-10-25'), await scores('2026-10-26')],
      [[1], [6], [24]],
    );
    assert.deepEqual(
      (await stage.table.seasons('daily', undefined, 10)).map(({ id, startsAtMs, endsAtMs }) => [
        id,
        (endsAtMs! - startsAtMs) / 3_600_000,
      ]),
      [
        ['2026-10-26', 24],
        ['2026-10-25', 25],
        ['2026-10-24', 24],
      ],
    );
  });

  it('close each season once with its best, by two processes at once, after days of downtime', async () => {
    for (const day of ['20', '21', '22']) {
      stage.setClock(`2026-11-${day}T12:00:00Z`);
      for (const [n, player] of ['a', 'b', 'c'].entries()) await stage.score('daily', player, n === 2 ? 1 : n + 1);
    }
    stage.setClock('2026-11-26T09:00:00Z');
    await stage.settle([stage.closer(), stage.closer()]);
    await stage.settle([stage.closer(), stage.closer()]);
    const closed = await stage.ofType<SeasonClosedPayload>(SeasonClosed.type);
    assert.deepEqual(
      closed.map(({ payload: { boardId, seasonId, players } }) => [boardId, seasonId, players]),
      [
        ['daily', '2026-11-20', 3],
        ['daily', '2026-11-21', 3],
        ['daily', '2026-11-22', 3],
      ],
    );
    assert.deepEqual(closed[0]!.payload.top, [
      { playerId: 'b', score: 2, rank: 1 },
      { playerId: 'a', score: 1, rank: 2 },
      { playerId: 'c', score: 1, rank: 2 },
    ]);
    const [row] = await stage.table.seasons('daily', '2026-11-21', 5);
    assert.equal(row!.closedAtMs, closed[0]!.recordedAtMs);
  });

  it('close a season only when the log itself has passed its end, and not again when the clock is set back', async () => {
    stage.setClock('2026-11-22T22:30:00Z');
    await stage.score('daily', 'a', 3);
    await stage.fold();
    assert.equal(await stage.closer().close(), 0);
    assert.deepEqual(await stage.ofType(SeasonEnded.type), []);
    stage.setClock('2026-11-22T23:00:00Z');
    assert.equal(await stage.closer().close(), 1);
    // The log has been told that time passed; until the view has it too, nothing can be closed, nor is it told again.
    assert.equal(await stage.closer().close(), 1);
    assert.equal((await stage.ofType(SeasonEnded.type)).length, 1);
    assert.deepEqual(await stage.ofType(SeasonClosed.type), []);
    await stage.settle();
    stage.setClock('2026-11-22T22:00:00Z');
    await stage.score('daily', 'a', 5);
    await stage.settle();
    const closed = await stage.ofType<SeasonClosedPayload>(SeasonClosed.type);
    assert.deepEqual(
      closed.map(({ payload }) => [payload.seasonId, payload.top]),
      [['2026-11-22', [{ playerId: 'a', score: 3, rank: 1 }]]],
    );
    assert.deepEqual(
      (await inTable('daily', '2026-11-22')).map(({ score }) => score),
      [3],
    );
  });

  it('take an erased player from every board and season, and do not bring it back for what comes later', async () => {
    await stage.score('sum', 'a', 5);
    await stage.score('daily', 'a', 5);
    await stage.score('sum', 'b', 5);
    const index = new MemoryBoards(orderOf);
    const feeder = stage.feeder(index);
    await stage.fold();
    await feeder.sync();
    await erase('a');
    await stage.score('sum', 'a', 7);
    await stage.score('best', 'a', 7);
    await stage.fold();
    await feeder.sync();
    for (const reader of [stage.table, index]) {
      for (const [board, season, players] of [
        ['sum', 'all', ['b']],
        ['best', 'all', []],
        ['daily', '2026-11-23', []],
      ] as const) {
        const { entries } = await reader.page(keyOf(board, season), undefined, 10);
        assert.deepEqual(
          entries.map(({ playerId }) => playerId),
          players,
        );
        assert.equal(await reader.around(keyOf(board, season), 'a', 1, 1), undefined);
      }
    }
  });

  it('never show a half-built table: an index keeps what it has, the table refuses until it is whole again', async () => {
    for (let n = 0; n < 30; n++) await stage.score('sum', `p${n}`, n);
    await stage.fold();
    const index = new MemoryBoards(orderOf);
    const feeder = stage.feeder(index);
    await feeder.sync();
    const before = await feeder.page(keyOf('sum', 'all'), undefined, 50);
    assert.equal(before.entries.length, 30);
    await stage.resetView();
    const late = stage.feeder(new MemoryBoards(orderOf));
    for (let page = 0; page < 5; page++) {
      await feeder.sync();
      await late.sync();
      assert.deepEqual(await feeder.page(keyOf('sum', 'all'), undefined, 50), before);
      await assert.rejects(stage.table.page(keyOf('sum', 'all'), undefined, 5), isRefusal('STORE_UNAVAILABLE'));
      await assert.rejects(late.page(keyOf('sum', 'all'), undefined, 5), isRefusal('STORE_UNAVAILABLE'));
      await stage.fold(5, 1);
    }
    await stage.fold();
    await feeder.sync();
    await late.sync();
    assert.deepEqual(await feeder.page(keyOf('sum', 'all'), undefined, 50), before);
    assert.deepEqual(await late.page(keyOf('sum', 'all'), undefined, 50), before);
    assert.equal(feeder.reading.rebuildsTotal, 2);
  });

  it('refuse questions to the table beyond a bound, and leave the database to others', async () => {
    await stage.score('sum', 'a', 1);
    await stage.fold();
    const asked = Array.from({ length: 150 }, () => stage.table.page(keyOf('sum', 'all'), undefined, 5));
    const outcomes = await Promise.allSettled(asked);
    const refused = outcomes.filter((each) => each.status === 'rejected' && isRefusal('OVERLOADED')(each.reason));
    assert.equal(refused.length, 150 - 102);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 102);
  });

  it('answer about old seasons from the table when the index has moved on', async () => {
    await stage.score('daily', 'a', 1);
    await stage.fold();
    const feeder = stage.feeder(new MemoryBoards(orderOf));
    await feeder.sync();
    stage.setClock('2026-11-30T12:00:00Z');
    await feeder.sync();
    assert.equal((await feeder.page(keyOf('daily', '2026-11-23'), undefined, 5)).entries[0]?.playerId, 'a');
    assert.equal(feeder.reading.fallbacksTotal, 0);
  });
});
