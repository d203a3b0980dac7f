import assert from 'node:assert/strict';
import fc from 'fast-check';
import { predictWin } from 'openskill';
import { winProbability, winProbabilityError } from '../../src/matchmaking/quality.ts';
import { fillRoles, RoleCounts, splitTeams, spreadOf, teamSeats } from '../../src/matchmaking/teams.ts';
import { MODEL } from '../../src/ratings/rating.ts';

const seed = 20261126;
const rating = fc.record({ mu: fc.integer({ min: -20, max: 80 }), sigma: fc.integer({ min: 1, max: 9 }) });

describe('the chance to win', () => {
  it('is what OpenSkill predicts with the parameters of the ratings', () => {
    const team = fc.array(rating, { minLength: 1, maxLength: 5 });
    const sideOf = (players: readonly { mu: number; sigma: number }[]) => ({
      mu: players.reduce((sum, { mu }) => sum + mu, 0),
      sigmaSquared: players.reduce((sum, { sigma }) => sum + sigma ** 2, 0),
    });
    fc.assert(
      fc.property(team, team, (a, b) => {
        const [expected] = predictWin([a, b], MODEL);
        const own = winProbability(sideOf(a), sideOf(b));
        assert.ok(Math.abs(own - expected!) < 1e-6, `${own} and ${expected}`);
      }),
      { seed },
    );
  });

  it('of a single side, or of equals, has no error', () => {
    assert.equal(winProbabilityError([{ mu: 25, sigmaSquared: 1 }]), 0);
    assert.ok(winProbabilityError(new Array(4).fill({ mu: 25, sigmaSquared: 9 })) < 1e-8);
  });
});

describe('teams', () => {
  it('are never less even than when filled in the order given, and hold everybody', () => {
    const task = fc
      .record({
        teams: fc.integer({ min: 2, max: 6 }),
        seats: fc.integer({ min: 1, max: 8 }),
        parties: fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -40, max: 80 })), {
          minLength: 1,
          maxLength: 30,
        }),
      })
      .map(({ teams, seats, parties }) => ({
        teams,
        seats,
        sizes: parties.map(([size]) => size),
        strengths: parties.map(([, strength]) => strength),
        steps: 500,
      }));
    let compared = 0;
    fc.assert(
      fc.property(task, (drawn) => {
        const naive = fillInOrder(drawn.sizes, drawn.teams, drawn.seats);
        const split = splitTeams(drawn);
        if (naive === undefined) return;
        assert.ok(split !== undefined);
        compared++;
        assert.ok(spreadOf(drawn, split) <= spreadOf(drawn, naive) + 1e-6);
        for (let t = 0; t < drawn.teams; t++) {
          const seated = drawn.sizes.reduce((sum, size, p) => sum + (split[p] === t ? size : 0), 0);
          assert.ok(seated <= drawn.seats);
        }
      }),
      { seed, numRuns: 500 },
    );
    assert.ok(compared > 20, `${compared} splits were compared`);
  });
});

describe('counts of roles', () => {
  it('give up only where no choice of players fills the teams', () => {
    const seats = teamSeats({ healer: 1, tank: 1 }, 3);
    const counts = new RoleCounts(seats);
    const player = fc.option(fc.uniqueArray(fc.constantFrom('healer', 'tank', 'damage'), { minLength: 1 }), {
      nil: undefined,
    });
    let impossible = 0;
    fc.assert(
      fc.property(fc.array(player, { maxLength: 9 }), (drawn) => {
        const players = drawn.map((roles, i) => ({ playerId: `p${i}`, ...(roles === undefined ? {} : { roles }) }));
        if (counts.mayFill(counts.of(players), players.length, 2)) return;
        impossible++;
        for (let set = 0; set < 2 ** players.length; set++) {
          const chosen = players.filter((_, i) => (set >>> i) & 1);
          if (chosen.length !== 6) continue;
          // Taken together is what teams can do at most.
          const both = { roles: [...seats.roles, ...seats.roles], open: 2 * seats.open };
          assert.equal(fillRoles(chosen, both), undefined);
        }
      }),
      { seed, numRuns: 300 },
    );
    assert.ok(impossible > 100, `${impossible} pools were too small or lacked a role`);
  });
});

function fillInOrder(sizes: readonly number[], teams: number, seats: number): number[] | undefined {
  const free = new Array<number>(teams).fill(seats);
  const team: number[] = [];
  for (const size of sizes) {
    const t = free.findIndex((left) => left >= size);
    if (t === -1) return undefined;
    free[t]! -= size;
    team.push(t);
  }
  return team;
}
