import assert from 'node:assert/strict';
import {
  arenaRules,
  defineRules,
  FOUR_VS_FOUR,
  latencyWindowMsOf,
  playersFull,
  type RulesInput,
  ratingWindowOf,
  rulesShape,
  ticketRating,
} from '../../src/matchmaking/rules.ts';
import { clampLatencies, partyLatencies, TICKET_LIMITS, ticketShape } from '../../src/matchmaking/ticket.ts';

const DUEL: RulesInput = { mode: 'duel', teams: 2, teamSize: 1, playersMin: 2, deadlineSeconds: 60 };

describe('rules of a mode', () => {
  it('have a default for all but the shape of a match and its deadline', () => {
    const rules = defineRules(DUEL);
    assert.equal(playersFull(rules), 2);
    assert.equal(rules.bots, null);
    assert.deepEqual(rules.weights, { rating: 1, wait: 0.05, latency: 0.1 });
    assert.equal(playersFull(FOUR_VS_FOUR), 8);
  });

  it('are refused where they contradict themselves', () => {
    const contradictions: readonly [Partial<RulesInput>, RegExp][] = [
      [{ playersMin: 3 }, /more than the teams hold/],
      [{ teams: 64, teamSize: 3 }, /at most 128 players/],
      [{ bots: { afterSeconds: 61 } }, /past the deadline/],
      [{ bots: { afterSeconds: 1, fillTo: 3 } }, /more than a match holds/],
      [{ roles: { healer: 2 } }, /more slots than a team/],
      [{ teamSize: 2, roles: { healer: 1 } }, /a match is full/],
      [{ ratingWindow: { start: 5, growthPerSecond: 1, max: 4 } }, /start is above max/],
      [{ unknown: 1 } as never, /unknown/i],
    ];
    for (const [part, message] of contradictions) {
      const { error } = rulesShape.safeParse({ ...DUEL, ...part });
      assert.match(error?.message ?? 'accepted', message, JSON.stringify(part));
    }
  });

  it('of the arena hold for every number of seats and bots that can be configured', () => {
    for (const playersMax of [1, 2, 3, 16, 100]) {
      for (const botsFillTo of [0, 1, 2, playersMax]) {
        const rules = arenaRules({ playersMax, botsFillTo });
        assert.equal(playersFull(rules), playersMax);
        assert.ok(rules.bots!.fillTo! <= playersMax);
      }
    }
  });

  it('widen with the wait, up to a bound', () => {
    const rules = defineRules({ ...DUEL, ratingWindow: { start: 2, growthPerSecond: 0.5, max: 5 } });
    assert.deepEqual(
      [-1_000, 0, 2_000, 6_000, 1e9].map((waitedMs) => ratingWindowOf(rules, waitedMs)),
      [2, 2, 3, 5, 5],
    );
    assert.equal(latencyWindowMsOf(rules, 10_000), 100);
  });

  it('say what a party counts for', () => {
    const players = [20, 30, 40].map((mu, i) => ({ playerId: `p${i}`, mu, sigma: 1 }));
    assert.equal(ticketRating({ partyRating: 'mean' }, players), 30);
    assert.equal(ticketRating({ partyRating: 'best' }, players), 40);
  });
});

describe('a ticket', () => {
  it('has latencies that are clamped, of regions that exist, the nearest ones', () => {
    const measured = { eu: 20.4, us: -3, asia: 1e9, mars: 1, 'no name': 5, x: 'fast', y: Number.NaN };
    assert.deepEqual(
      clampLatencies(measured, (name) => name !== 'mars'),
      { us: 0, eu: 20, asia: TICKET_LIMITS.latencyMsMax },
    );
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`r${i}`, 100 - i]));
    assert.deepEqual(Object.keys(clampLatencies(many)).length, TICKET_LIMITS.regionsMax);
    assert.equal(clampLatencies(many)['r99'], 1);
  });

  it('of a party has the worst latency of its players, to regions that all of them measured', () => {
    assert.deepEqual(partyLatencies([{ eu: 20, us: 90 }, {}, { eu: 30, asia: 10 }]), { eu: 30 });
    assert.deepEqual(partyLatencies([{}, {}]), {});
  });

  it('is refused beyond its bounds, and gets what it may leave out', () => {
    const ticket = {
      ticketId: 't',
      mode: 'duel',
      players: [{ playerId: 'p', mu: 25, sigma: 8 }],
      latencies: { eu: 20 },
      createdAtMs: 1,
    };
    const { blocked, acceptsBackfill } = ticketShape.parse(ticket);
    assert.deepEqual([blocked, acceptsBackfill], [[], true]);
    const regions = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`r${i}`, 1]));
    for (const wrong of [
      { players: [] },
      { players: [{ playerId: 'p', mu: Number.NaN, sigma: 8 }] },
      { players: [{ playerId: 'p', mu: 25, sigma: 0 }] },
      { latencies: { eu: 1_001 } },
      { latencies: regions },
      { blocked: Array.from({ length: 1_001 }, (_, i) => `p${i}`) },
    ]) {
      assert.equal(ticketShape.safeParse({ ...ticket, ...wrong }).success, false, JSON.stringify(wrong).slice(0, 60));
    }
  });
});
