import assert from 'node:assert/strict';
import type { StoredEvent } from '../../src/events/event-log.ts';
import { BOARDS, Boards } from '../../src/leaderboards/boards.ts';
import { contributionsOf, type Entry, withScore } from '../../src/leaderboards/scoring.ts';
import { endedEvent, endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';
import { TEST_BOARDS } from './stage.ts';

const [A, B] = [playerNamed('A'), playerNamed('B')];

/** The entry after scores at positions 1, 2, 3… */
function folded(boardId: string, scores: readonly number[]): [number, number] {
  const board = TEST_BOARDS.get(boardId)!;
  const season = board.seasons.at(0);
  const entry = scores.reduce<Entry | undefined>(
    (before, score, n) => withScore(board, before, { board, season, playerId: A, score, position: n + 1 }),
    undefined,
  )!;
  return [entry.score, entry.achieved];
}

describe('scores of leaderboards', () => {
  for (const [operator, scores, score, achieved] of [
    ['sum', [3, 4, -2], 5, 3],
    ['sum', [3, 0, 0], 3, 1],
    ['sum', [Number.MAX_SAFE_INTEGER, 5], Number.MAX_SAFE_INTEGER, 1],
    ['sum', [Number.MIN_SAFE_INTEGER, -5, 1], Number.MIN_SAFE_INTEGER + 1, 3],
    ['best', [30, 20, 25, 20], 20, 2],
    ['latest', [5, 9, 2, 2], 2, 3],
  ] as const) {
    it(`are ${score} by ${operator} of ${scores.join(', ')}, since the ${achieved}. of them`, () => {
      assert.deepEqual(folded(operator, scores), [score, achieved]);
    });
  }

  const of = (event: StoredEvent) =>
    contributionsOf(TEST_BOARDS, event).map(({ board, season, playerId, score }) => [
      board.id,
      season.id,
      playerId,
      score,
    ]);

  it('come from completed matches of the room type only, of people only, by the declared column', () => {
    const bot = { ...standing('', 2), playerId: '', isBot: true };
    const standings = [standing('A', 1), bot, standing('B', 3), standing('C', 4, { score: { deaths: 9 } })];
    const frags = 'weekly-frags';
    assert.deepEqual(of(endedEvent(7, endedMatch('m', standings))), [
      [frags, '2023-11-13', A, 9],
      [frags, '2023-11-13', B, 7],
    ]);
    for (const reason of ['abandoned', 'shutdown'] as const) {
      assert.deepEqual(of(endedEvent(7, endedMatch('m', standings, { reason }))), []);
    }
    assert.deepEqual(of(endedEvent(7, endedMatch('m', standings, { roomName: 'tag' }))), []);
  });

  it('never take a column from what every object has, nor tell 0 from -0', () => {
    const boards = new Boards([
      {
        id: 'x',
        title: 'x',
        operator: 'sum',
        order: 'ascending',
        source: { roomName: 'arena', column: 'constructor' },
      },
      { id: 'y', title: 'y', operator: 'sum', order: 'ascending', source: { roomName: 'arena', column: 'frags' } },
    ]);
    const event = endedEvent(1, endedMatch('m', [standing('A', 1, { score: { frags: -0 } })]));
    const [only, ...others] = contributionsOf(boards, event);
    assert.equal(others.length, 0);
    assert.ok(Object.is(only!.score, 0));
  });

  it('belong to boards with unique kebab-case names', () => {
    const board = { id: 'a', title: 'a', operator: 'sum', order: 'descending', source: 'submitted' } as const;
    assert.throws(() => new Boards([board, board]), RangeError);
    for (const id of ['A', 'a b', '', '-a', 'x'.repeat(49)])
      assert.throws(() => new Boards([{ ...board, id }]), RangeError);
    assert.ok(BOARDS.all.length > 0);
  });
});
