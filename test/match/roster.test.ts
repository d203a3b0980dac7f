import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SeatEvent, Standing } from '../../src/kernel/simulation.ts';
import { Roster } from '../../src/match/roster.ts';

const join = (seat: number, playerId: string): SeatEvent => ({
  kind: 'join',
  seat,
  name: 'any',
  playerId,
  isBot: playerId === '',
});
const leave = (seat: number): SeatEvent => ({ kind: 'leave', seat });
const row = (seat: number, playerId: string, facts: Partial<Standing> = {}): Standing => ({
  seat,
  name: 'any',
  playerId,
  isBot: playerId === '',
  score: { points: 10 - seat },
  ...facts,
});
const none = () => assert.fail('nobody left') as never;

describe('the roster of a match', () => {
  it('says how long everybody was seated, best first, bots too', () => {
    const roster = new Roster();
    roster.note({ tick: 0, events: [join(0, 'ada'), join(1, '')] }, none);
    roster.note({ tick: 40, events: [join(2, 'grace')] }, none);
    assert.deepEqual(roster.participants(100, [row(2, 'grace'), row(0, 'ada'), row(1, '')]), [
      { seat: 2, playerId: 'grace', isBot: false, rank: 1, ticks: 60, score: { points: 8 } },
      { seat: 0, playerId: 'ada', isBot: false, rank: 2, ticks: 100, score: { points: 10 } },
      { seat: 1, playerId: '', isBot: true, rank: 3, ticks: 100, score: { points: 9 } },
    ]);
  });

  it('ranks who left after all who stayed, together, with the score they left with', () => {
    const roster = new Roster();
    roster.note({ tick: 0, events: ['ada', 'grace', 'mary', 'emmy'].map((id, seat) => join(seat, id)) }, none);
    roster.note({ tick: 30, events: [leave(1)] }, () => [row(1, 'grace', { score: { points: 99 } })]);
    roster.note({ tick: 60, events: [leave(2)] }, () => [row(2, 'mary', { score: { points: 1 } })]);
    const [first, second, ...left] = roster.participants(90, [row(3, 'emmy'), row(0, 'ada')]);
    assert.deepEqual([first!.playerId, second!.playerId], ['emmy', 'ada']);
    assert.deepEqual(left, [
      { seat: 2, playerId: 'mary', isBot: false, rank: 3, ticks: 60, leftTick: 60, score: { points: 1 } },
      { seat: 1, playerId: 'grace', isBot: false, rank: 3, ticks: 30, leftTick: 30, score: { points: 99 } },
    ]);
  });

  it('counts a player who came back to another seat once: all ticks, the last score, and not as one who left', () => {
    const roster = new Roster();
    roster.note({ tick: 0, events: [join(0, 'ada'), join(1, 'grace')] }, none);
    roster.note({ tick: 10, events: [leave(0)] }, () => [row(0, 'ada', { score: { points: 50 } })]);
    roster.note({ tick: 40, events: [join(2, 'ada')] }, none);
    const ada = roster.participants(100, [row(1, 'grace'), row(2, 'ada')]).filter(({ playerId }) => playerId === 'ada');
    assert.deepEqual(ada, [{ seat: 2, playerId: 'ada', isBot: false, rank: 2, ticks: 70, score: { points: 8 } }]);
  });

  it('gives equal ranks to who drew, counts the next from its place, and keeps teams', () => {
    const roster = new Roster();
    roster.note({ tick: 0, events: ['a', 'b', 'c', 'd'].map((id, seat) => join(seat, id)) }, none);
    roster.note({ tick: 5, events: [leave(3)] }, () => [row(3, 'd', { team: 1 })]);
    const told = roster.participants(9, [
      row(2, 'c', { rank: 7, team: 1 }),
      row(0, 'a', { rank: 2, team: 0 }),
      row(1, 'b', { rank: 2, team: 0 }),
    ]);
    assert.deepEqual(
      told.map(({ playerId, rank, team }) => [playerId, rank, team]),
      [
        ['a', 1, 0],
        ['b', 1, 0],
        ['c', 3, 1],
        ['d', 4, 1],
      ],
    );
  });

  it('names every person once, whatever they do, and their ticks add up to the time the seats were taken', () => {
    const step = fc.record({ seat: fc.nat(3), player: fc.nat(5), pause: fc.nat(20), isLeave: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const roster = new Roster();
        const seated = new Map<number, string>();
        const people = new Set<string>();
        let tick = 0;
        let taken = 0;
        for (const { seat, player, pause, isLeave } of steps) {
          taken += seated.size * pause;
          tick += pause;
          const playerId = `p${player}`;
          // As a room has it: nobody sits twice, and only a taken seat is left.
          if (!isLeave && (seated.has(seat) || [...seated.values()].includes(playerId))) continue;
          if (isLeave && !seated.has(seat)) continue;
          roster.note({ tick, events: [isLeave ? leave(seat) : join(seat, playerId)] }, () => []);
          if (isLeave) seated.delete(seat);
          else seated.set(seat, playerId);
          if (!isLeave) people.add(playerId);
        }
        const told = roster.participants(
          tick,
          [...seated].map(([seat, id]) => row(seat, id)),
        );
        assert.deepEqual(told.map(({ playerId }) => playerId).sort(), [...people].sort());
        assert.equal(
          told.reduce((sum, { ticks }) => sum + ticks, 0),
          taken,
        );
        const stayed = told.filter(({ leftTick }) => leftTick === undefined);
        assert.deepEqual(stayed.map(({ playerId }) => playerId).sort(), [...seated.values()].sort());
        assert.ok(told.slice(stayed.length).every(({ rank }) => rank === stayed.length + 1));
      }),
      { seed: 20261123 },
    );
  });
});
