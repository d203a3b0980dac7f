import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  loadModel,
  MODEL,
  NEW_RATING,
  type Rating,
  ratedTeams,
  rateTeams,
  ratingPoints,
} from '../../src/ratings/rating.ts';
import { endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';

const model = await loadModel();
const rate = (match: Parameters<typeof ratedTeams>[0], before: ReadonlyMap<string, Rating> = new Map()) => {
  const teams = ratedTeams(match);
  return teams === undefined ? undefined : rateTeams(teams, (id) => before.get(id) ?? NEW_RATING, model);
};
const [A, B, C, D] = ['A', 'B', 'C', 'D'].map(playerNamed) as [string, string, string, string];

describe('ratings', () => {
  it('rise for who wins, fall for who loses, and become surer for both', () => {
    const rated = rate(endedMatch('m', [standing('A', 1), standing('B', 2), standing('C', 3)]))!;
    assert.ok(rated.get(A)!.mu > NEW_RATING.mu);
    assert.ok(rated.get(C)!.mu < NEW_RATING.mu);
    assert.ok(rated.get(A)!.mu > rated.get(B)!.mu && rated.get(B)!.mu > rated.get(C)!.mu);
    for (const { sigma, matches } of rated.values()) {
      assert.ok(sigma < NEW_RATING.sigma);
      assert.equal(matches, 1);
    }
  });

  it('stay together in a draw of equals', () => {
    const rated = rate(endedMatch('m', [standing('A', 1), standing('B', 1)]))!;
    assert.deepEqual(rated.get(A), rated.get(B));
    assert.equal(rated.get(A)!.mu, NEW_RATING.mu);
  });

  it('are those of Weng and Lin, worked out by hand for two new players', () => {
    const rated = rate(endedMatch('m', [standing('A', 1), standing('B', 2)]))!;
    const variance = MODEL.sigma ** 2 + MODEL.tau ** 2;
    const c = Math.sqrt(2 * (variance + MODEL.beta ** 2));
    // Equals win half of the time: half a win more, or less, than expected.
    assert.equal(rated.get(A)!.mu.toFixed(8), (MODEL.mu + (variance / c) * 0.5).toFixed(8));
    assert.equal(rated.get(B)!.mu.toFixed(8), (MODEL.mu - (variance / c) * 0.5).toFixed(8));
    const shrink = Math.sqrt(1 - (variance / c ** 2) * 0.25 * (Math.sqrt(variance) / c));
    assert.equal(rated.get(A)!.sigma.toFixed(8), (Math.sqrt(variance) * shrink).toFixed(8));
  });

  it('of a team move together, and by the rank of the team', () => {
    const rated = rate(
      endedMatch('m', [
        standing('C', 1, { team: 1 }),
        standing('A', 2, { team: 0 }),
        standing('D', 1, { team: 1 }),
        standing('B', 2, { team: 0 }),
      ]),
    )!;
    assert.deepEqual(rated.get(A), rated.get(B));
    assert.deepEqual(rated.get(C), rated.get(D));
    assert.ok(rated.get(C)!.mu > rated.get(A)!.mu);
  });

  it('of who left fall behind all who stayed; the team that was left does not lose for it', () => {
    const left = standing('D', 4, { team: 1, ticks: 4_000, leftTick: 4_000 });
    const match = endedMatch('m', [standing('C', 1, { team: 1 }), standing('A', 2, { team: 0 }), left]);
    assert.deepEqual(ratedTeams(match), [
      { rank: 1, playerIds: [C] },
      { rank: 2, playerIds: [A] },
      { rank: 4, playerIds: [D] },
    ]);
    const rated = rate(match)!;
    assert.ok(rated.get(C)!.mu > NEW_RATING.mu);
    assert.ok(rated.get(D)!.mu < rated.get(A)!.mu);
  });

  it('do not change for bots, for who was there too short, or against them alone', () => {
    const bot = { ...standing('x', 1), playerId: '', isBot: true };
    const late = standing('C', 1, { ticks: 899 });
    assert.deepEqual(ratedTeams(endedMatch('m', [bot, late, standing('A', 2), standing('B', 3)])), [
      { rank: 2, playerIds: [A] },
      { rank: 3, playerIds: [B] },
    ]);
    assert.equal(ratedTeams(endedMatch('m', [bot, bot, standing('A', 3)])), undefined);
    assert.equal(ratedTeams(endedMatch('m', [late, standing('A', 2)])), undefined);
  });

  it('count half of a short match as long enough', () => {
    const short = endedMatch('m', [standing('A', 1, { ticks: 20 }), standing('B', 2, { ticks: 19 })], { ticks: 39 });
    assert.equal(ratedTeams(short), undefined);
    assert.equal(ratedTeams({ ...short, ticks: 38 })!.length, 2);
  });

  it('do not change for a match that was not played to its end', () => {
    for (const reason of ['abandoned', 'shutdown'] as const) {
      assert.equal(ratedTeams(endedMatch('m', [standing('A', 1), standing('B', 2)], { reason })), undefined);
    }
  });

  it('do not depend on the order in which a result lists its players', () => {
    const rows = fc.uniqueArray(
      fc.record({ word: fc.stringMatching(/^[a-f]{1,3}$/), rank: fc.integer({ min: 1, max: 4 }), team: fc.nat(2) }),
      { minLength: 2, maxLength: 9, selector: ({ word }) => word },
    );
    fc.assert(
      fc.property(rows, fc.boolean(), fc.nat(), (players, hasTeams, turn) => {
        const listed = players.map(({ word, rank, team }) => standing(word, rank, hasTeams ? { team } : {}));
        const turned = [...listed.slice(turn % listed.length), ...listed.slice(0, turn % listed.length)].reverse();
        const sorted = (order: typeof listed) => [...(rate(endedMatch('m', order)) ?? [])].sort();
        assert.deepEqual(sorted(listed), sorted(turned));
      }),
      { seed: 20261123 },
    );
  });

  it('stay finite and positive over a thousand matches of the same two, whoever wins', () => {
    const before = new Map<string, Rating>();
    for (let i = 0; i < 1_000; i++) {
      const rated = rate(endedMatch(`m${i}`, [standing('A', 1), standing('B', i % 7 === 0 ? 1 : 2)]), before)!;
      for (const [id, rating] of rated) before.set(id, rating);
    }
    for (const { mu, sigma, matches } of before.values()) {
      assert.ok(Number.isFinite(mu) && sigma > 0 && sigma < NEW_RATING.sigma);
      assert.equal(matches, 1_000);
    }
  });

  it('are shown as points: 1,000 at first, never below 0', () => {
    assert.equal(ratingPoints(NEW_RATING), 1_000);
    assert.equal(ratingPoints({ mu: -40, sigma: 8 }), 0);
    assert.equal(ratingPoints({ mu: 30, sigma: 1 }), 2_080);
  });
});
