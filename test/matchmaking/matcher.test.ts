import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createMatcher, createSteppingMatcher, type MatchResult, match } from '../../src/matchmaking/matcher.ts';
import { winProbabilityError } from '../../src/matchmaking/quality.ts';
import {
  defineRules,
  latencyWindowMsOf,
  playersFull,
  type Rules,
  type RulesInput,
  ratingWindowOf,
  ticketRating,
} from '../../src/matchmaking/rules.ts';
import type { Backfill, Ticket } from '../../src/matchmaking/ticket.ts';
import { NOW_MS, party, pools, ticket } from '../fixtures/tickets.ts';

const seed = 20261126;
const WINDOWS = {
  ratingWindow: { start: 3, growthPerSecond: 0.5, max: 12 },
  latencyWindowMs: { start: 60, growthPerSecond: 5, max: 200 },
} satisfies Partial<RulesInput>;

const DUEL = defineRules({ mode: 'test', teams: 2, teamSize: 1, playersMin: 2, deadlineSeconds: 60, ...WINDOWS });
/** Of every kind: alone and in teams, with bots and without, small matches and full ones, roles. */
const MODES: Readonly<Record<string, Rules>> = {
  duel: DUEL,
  'two of three': defineRules({ ...DUEL, teamSize: 3, playersMin: 6 }),
  'two of up to three, with bots': defineRules({
    ...DUEL,
    teamSize: 3,
    playersMin: 4,
    bots: { afterSeconds: 20, peopleMin: 2 },
  }),
  'three of two': defineRules({ ...DUEL, teams: 3, teamSize: 2, playersMin: 3, bots: { afterSeconds: 30 } }),
  'all against all': defineRules({ ...DUEL, teams: 1, teamSize: 6, playersMin: 2 }),
  'all against all, with bots': defineRules({
    ...DUEL,
    teams: 1,
    teamSize: 8,
    playersMin: 3,
    bots: { afterSeconds: 15, fillTo: 5 },
  }),
  'with roles': defineRules({ ...DUEL, teamSize: 3, playersMin: 6, roles: { healer: 1, tank: 1 } }),
  'with roles and bots': defineRules({
    ...DUEL,
    teamSize: 3,
    playersMin: 6,
    roles: { healer: 1, tank: 1 },
    bots: { afterSeconds: 30, peopleMin: 3 },
  }),
};

const poolOf = (rules: Rules, waitMsMax = 70_000) =>
  pools({ ticketsMax: 40, partyMax: 3, waitMsMax, hasRoles: Object.keys(rules.roles).length > 0 });

const ids = (tickets: readonly Ticket[]): string[] => tickets.map(({ ticketId }) => ticketId);
const teamIds = ({ matches }: MatchResult): string[][][] => matches.map(({ teams }) => teams.map(ids));
const rolesOf = (t: Ticket) => t.players.map(({ playerId, roles }) => ({ playerId, roles }));

function checkSame(one: MatchResult, other: MatchResult): void {
  assert.deepEqual(one.matches, other.matches);
  assert.deepEqual(one.backfilled, other.backfilled);
  assert.deepEqual([...one.reasons], [...other.reasons]);
}

/** What every answer keeps, whatever the pool. */
function checkResult(tickets: readonly Ticket[], rules: Rules, result: MatchResult, nowMs = NOW_MS): void {
  const seen = new Set<string>();
  for (const found of result.matches) {
    const all = found.teams.flat();
    assert.equal(found.teams.length, rules.teams);
    assert.equal(found.bots.length, rules.teams);
    for (const one of all) {
      for (const { playerId } of one.players) {
        assert.ok(!seen.has(playerId), 'nobody is in two matches');
        seen.add(playerId);
      }
      assert.ok(tickets.includes(one), 'a party is never split or changed');
      assert.equal(found.teams.filter((team) => team.includes(one)).length, 1);
    }
    const players = all.flatMap((one) => one.players);
    const bots = found.bots.reduce((sum, count) => sum + count, 0);
    assert.ok(players.length + bots <= playersFull(rules));
    if (bots === 0) assert.ok(players.length >= rules.playersMin, 'enough people');
    else
      assert.ok(
        all.some((one) => nowMs - one.createdAtMs >= rules.bots!.afterSeconds * 1_000),
        'bots come late',
      );
    if (rules.teams > 1) {
      const sides = found.teams.map((team, t) => team.reduce((sum, one) => sum + one.players.length, found.bots[t]!));
      assert.equal(new Set(sides).size, 1, 'teams are of equal size');
    }
    for (const a of all) {
      for (const b of all) {
        if (a === b) continue;
        assert.ok(!b.players.some(({ playerId }) => a.blocked.includes(playerId)), 'who blocked each other never meet');
      }
    }
    checkWindows(all, rules, found.region, found.quality.isOverdue, nowMs);
    checkRoles(found.teams, rules, found.roles, found.bots);
  }
  for (const { teams } of result.backfilled) {
    for (const { players } of teams.flat()) {
      for (const { playerId } of players) {
        assert.ok(!seen.has(playerId));
        seen.add(playerId);
      }
    }
  }
  for (const one of tickets) {
    const isPlaced = seen.has(one.players[0]!.playerId);
    assert.equal(result.reasons.has(one.ticketId), !isPlaced, 'who is not placed is told why');
  }
}

function checkWindows(
  all: readonly Ticket[],
  rules: Rules,
  region: string | null,
  isOverdue: boolean,
  nowMs: number,
): void {
  const waited = (one: Ticket) => nowMs - one.createdAtMs;
  assert.equal(
    isOverdue,
    all.some((one) => waited(one) >= rules.deadlineSeconds * 1_000),
  );
  for (const one of all) {
    const measured = Object.values(one.latencies);
    if (region === null) assert.equal(measured.length, 0, 'no region only where nobody measured');
    else if (measured.length > 0) assert.ok(Object.hasOwn(one.latencies, region), 'a region that was measured');
    if (isOverdue) continue;
    if (region !== null && measured.length > 0) {
      const accepted = Math.max(latencyWindowMsOf(rules, waited(one)), Math.min(...measured));
      assert.ok(one.latencies[region]! <= accepted, 'a region that all accept');
    }
    for (const other of all) {
      const distance = Math.abs(ticketRating(rules, one.players) - ticketRating(rules, other.players));
      assert.ok(distance <= ratingWindowOf(rules, waited(one)) + 1e-9, 'a rating that all accept');
    }
  }
}

function checkRoles(
  teams: readonly (readonly Ticket[])[],
  rules: Rules,
  roles: Readonly<Record<string, string>>,
  bots: readonly number[],
): void {
  for (const [t, team] of teams.entries()) {
    const players = team.flatMap(rolesOf);
    const filled = new Map<string, number>();
    for (const { playerId, roles: wishes } of players) {
      const role = roles[playerId];
      if (role === undefined) continue;
      assert.ok(wishes === undefined || wishes.includes(role), 'nobody plays what they did not offer');
      filled.set(role, (filled.get(role) ?? 0) + 1);
    }
    let missing = 0;
    for (const [role, count] of Object.entries(rules.roles)) {
      assert.ok((filled.get(role) ?? 0) <= count, 'no quota is passed');
      missing += count - (filled.get(role) ?? 0);
    }
    assert.ok(missing <= bots[t]!, 'quotas are met, or bots meet them');
  }
}

describe('the matcher', () => {
  for (const [name, rules] of Object.entries(MODES)) {
    it(`splits no party, brings no blocked pair together, keeps windows, regions and roles: ${name}`, () => {
      fc.assert(
        fc.property(poolOf(rules), (tickets) => checkResult(tickets, rules, match(tickets, NOW_MS, rules))),
        { seed, numRuns: 150 },
      );
    });

    it(`answers the same for the same pool, in whatever order it comes: ${name}`, () => {
      const turned = poolOf(rules).chain((tickets) =>
        fc.tuple(fc.constant(tickets), fc.shuffledSubarray(tickets, { minLength: tickets.length })),
      );
      fc.assert(
        fc.property(turned, ([tickets, shuffled]) => {
          const first = match(tickets, NOW_MS, rules);
          const second = match(shuffled, NOW_MS, rules);
          checkSame(second, first);
        }),
        { seed, numRuns: 60 },
      );
    });
  }

  for (const [name, rules] of Object.entries(MODES)) {
    it(`answers the same when it remembers the tickets of the cycle before: ${name}`, () => {
      const cycles = fc.array(
        fc.record({ comes: fc.nat(20), goes: fc.nat(6), again: fc.nat(6), turns: fc.boolean() }),
        {
          minLength: 2,
          maxLength: 5,
        },
      );
      fc.assert(
        fc.property(poolOf(rules), cycles, fc.constantFrom(null, -1, 1), (tickets, drawn, twinMs) => {
          const remembering = createMatcher();
          const arriving = [...tickets];
          // A player with a second ticket, older or younger, which comes first; until one of the two is gone.
          const [one] = tickets as [Ticket];
          if (twinMs !== null) arriving.push({ ...one, ticketId: 'twin', createdAtMs: one.createdAtMs + twinMs });
          let waiting: Ticket[] = [];
          let before: { readonly kept: MatchResult; readonly told: readonly unknown[] } | undefined;
          for (const [cycle, { comes, goes, again, turns }] of drawn.entries()) {
            waiting.push(...arriving.splice(-comes, comes));
            waiting = waiting.filter((_, i) => goes === 0 || i % (goes + 1) !== 0);
            // Who queues again is another object with the same id, and maybe with another rating.
            waiting = waiting.map((one, i) =>
              again > 0 && i % (again + 1) === 1
                ? { ...one, players: one.players.map((player) => ({ ...player, mu: player.mu + 1 })) }
                : one,
            );
            if (turns) waiting.reverse();
            const nowMs = NOW_MS + cycle * 5_000;
            const result = remembering(waiting, nowMs, rules);
            checkSame(result, match(waiting, nowMs, rules));
            if (before !== undefined)
              assert.deepEqual([...before.kept.reasons], before.told, 'an answer stays as it was');
            before = { kept: result, told: [...result.reasons] };
            for (const [ticketId, why] of result.reasons) assert.deepEqual(result.reasons.get(ticketId), why);
            waiting = waiting.filter(({ ticketId }) => result.reasons.has(ticketId));
          }
        }),
        { seed, numRuns: 60 },
      );
    });
  }

  for (const [name, rules] of Object.entries(MODES).filter(([, { bots }]) => bots !== null)) {
    it(`lets nobody wait past the deadline where there are bots: ${name}`, () => {
      fc.assert(
        fc.property(poolOf(rules, 0), (tickets) => {
          let waiting = tickets;
          for (let second = 0; second <= rules.deadlineSeconds; second++) {
            const nowMs = NOW_MS + second * 1_000;
            const result = match(waiting, nowMs, rules);
            checkResult(waiting, rules, result, nowMs);
            waiting = waiting.filter(({ ticketId }) => result.reasons.has(ticketId));
            for (const { placedInMs } of result.reasons.values()) assert.notEqual(placedInMs, 0);
          }
          const ended = match(waiting, NOW_MS + rules.deadlineSeconds * 1_000, rules).reasons;
          for (const { code } of ended.values())
            assert.ok(code === 'ROLES' || code === 'PARTY_SIZE', `nobody is left over, but for ${code}`);
        }),
        { seed, numRuns: 15 },
      );
    });
  }

  it('lets nobody wait past the deadline without bots as long as others do, whatever their ratings', () => {
    const rules = MODES['all against all']!;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 2, maxLength: 30 }), (mus) => {
        const tickets = mus.map((mu, i) => ticket(`t${i}`, mu, { createdAtMs: NOW_MS - 60_000 }));
        const { reasons } = match(tickets, NOW_MS, rules);
        assert.ok(reasons.size <= 1, 'of an uneven rest one may be alone');
      }),
      { seed },
    );
  });

  it('makes two teams as even as any split of the same parties', () => {
    const rules = MODES['two of three']!;
    fc.assert(
      fc.property(poolOf(rules), (tickets) => {
        for (const { teams, quality } of match(tickets, NOW_MS, rules).matches) {
          const all = teams.flat();
          for (let split = 0; split < 2 ** all.length; split++) {
            const sides = [0, 1].map((side) =>
              all.filter((_, i) => ((split >>> i) & 1) === side).flatMap((one) => one.players),
            );
            if (sides[0]!.length !== sides[1]!.length) continue;
            const error = winProbabilityError(
              sides.map((players) => ({
                mu: players.reduce((sum, { mu }) => sum + mu, 0),
                sigmaSquared: players.reduce((sum, { sigma }) => sum + sigma ** 2, 0),
              })),
            );
            assert.ok(quality.winProbabilityError <= error + 1e-9);
          }
        }
      }),
      { seed, numRuns: 100 },
    );
  });

  it('serves the oldest first, and prefers who is near', () => {
    const tickets = [
      ticket('young', 25),
      ticket('old', 26, { createdAtMs: NOW_MS - 10_000 }),
      ticket('near', 26.5, { createdAtMs: NOW_MS - 1_000 }),
    ];
    assert.deepEqual(teamIds(match(tickets, NOW_MS, DUEL)), [[['old'], ['near']]]);
  });

  it('asks both sides: who waited long does not get who just came and is far', () => {
    const old = ticket('old', 25, { createdAtMs: NOW_MS - 14_000 });
    assert.equal(match([old, ticket('new', 29)], NOW_MS, DUEL).matches.length, 0);
    const later = ticket('new', 29, { createdAtMs: NOW_MS - 2_000 });
    assert.equal(match([old, later], NOW_MS, DUEL).matches.length, 1);
  });

  it('takes the oldest of two tickets with the same player, and no party with a player twice', () => {
    const twice = [
      ticket('b', 25, { players: [{ playerId: 'x', mu: 25, sigma: 5 }] }),
      ticket('a', 25, { players: [{ playerId: 'x', mu: 25, sigma: 5 }], createdAtMs: NOW_MS - 1 }),
      ticket('c', 25),
    ];
    const { matches, reasons } = match(twice, NOW_MS, DUEL);
    assert.deepEqual(ids(matches[0]!.teams.flat()), ['a', 'c']);
    assert.deepEqual(reasons.get('b'), { waitedMs: 0, placedInMs: null, code: 'DUPLICATE', ticketId: 'a' });
    const same = { playerId: 'y', mu: 25, sigma: 5 };
    const rules = MODES['two of three']!;
    assert.equal(
      match([ticket('d', 25, { players: [same, same] })], NOW_MS, rules).reasons.get('d')!.code,
      'DUPLICATE',
    );
  });

  it('tells both of two tickets apart from cycle to cycle, and lets the second in when the first is gone', () => {
    const matcher = createMatcher();
    const x = { players: [{ playerId: 'x', mu: 25, sigma: 5 }] };
    const [older, younger, far] = [
      ticket('a', 25, x),
      ticket('b', 25, { ...x, createdAtMs: NOW_MS + 1 }),
      ticket('c', 90),
    ];
    const codeOf = (tickets: readonly Ticket[]) => matcher(tickets, NOW_MS + 2, DUEL).reasons.get('b')!.code;
    assert.equal(codeOf([younger, far]), 'RATING_WINDOW');
    assert.equal(codeOf([younger, far, older]), 'DUPLICATE');
    assert.equal(codeOf([younger, far, older]), 'DUPLICATE');
    assert.equal(codeOf([younger, far]), 'RATING_WINDOW');
  });

  it('finds a role that few play past all the others who are nearer', () => {
    const rules = MODES['with roles']!;
    const one = (id: string, mu: number, role: string, more: Partial<Ticket> = {}) =>
      ticket(id, mu, { players: [{ playerId: id, mu, sigma: 5, roles: [role] }], ...more });
    const many = Array.from({ length: 600 }, (_, i) => one(`d${i}`, 25 + (i % 100) / 100, 'damage'));
    const few = ['healer', 'tank'].flatMap((role) => [27, 27.5].map((mu) => one(`${role}${mu}`, mu, role)));
    const { matches } = match([...many, ...few], NOW_MS, rules);
    assert.equal(matches.length, 1);
    assert.equal(matches[0]!.teams.flat().length, 6);
    // Without one of them nobody can be placed, and it is the roles that everybody is told.
    const { reasons } = match([...many, ...few.slice(1)], NOW_MS, rules);
    assert.equal(reasons.size, 603);
    for (const { code } of reasons.values()) assert.equal(code, 'ROLES_SHORT');
    // Past the deadline they are found wherever they are.
    const createdAtMs = NOW_MS - rules.deadlineSeconds * 1_000;
    const far = few.map((healerOrTank) => ({ ...healerOrTank, players: [{ ...healerOrTank.players[0]!, mu: 500 }] }));
    const overdue = [...many, ...far].map((each) => ({ ...each, createdAtMs }));
    assert.equal(match(overdue, NOW_MS, rules).matches.length, 1);
  });

  it('does a cycle in steps of no more than a ticket', () => {
    fc.assert(
      fc.property(poolOf(DUEL), (tickets) => {
        const steps = createSteppingMatcher()(tickets, NOW_MS, DUEL);
        for (const _ of tickets) assert.ok(!steps.next().done);
      }),
      { seed, numRuns: 20 },
    );
  });

  it('refuses tickets of another mode', () => {
    assert.throws(() => match([ticket('t', 25, { mode: 'other' })], NOW_MS, DUEL), RangeError);
  });
});

describe('why a ticket waits', () => {
  const reasonOf = (tickets: readonly Ticket[], rules: Rules, nowMs = NOW_MS) => {
    const { waitedMs, placedInMs, ...cause } = match(tickets, nowMs, rules).reasons.get('me')!;
    return cause;
  };
  const me = (more: Partial<Ticket> = {}) => ticket('me', 25, { createdAtMs: NOW_MS - 2_000, ...more });

  it('is told by code, with numbers', () => {
    assert.deepEqual(reasonOf([me()], DUEL), { code: 'TOO_FEW', players: 1, playersMin: 2 });
    assert.deepEqual(reasonOf([me(), ticket('far', 35)], DUEL), {
      code: 'RATING_WINDOW',
      withinMin: 21,
      withinMax: 29,
      candidates: 0,
      playersMin: 2,
    });
    const [here, there] = [{ latencies: { eu: 20, us: 150 } }, { latencies: { eu: 150, us: 20 } }];
    assert.deepEqual(reasonOf([me(here), ticket('other', 25, there)], DUEL), {
      code: 'LATENCY',
      withinMs: 70,
      candidates: 0,
      playersMin: 2,
    });
    assert.deepEqual(reasonOf([me({ blocked: ['foe.0'] }), ticket('foe', 25)], DUEL), {
      code: 'BLOCKED',
      candidates: 1,
      blocked: 1,
      playersMin: 2,
    });
    assert.deepEqual(reasonOf([party('me', [25, 25])], DUEL), { code: 'PARTY_SIZE', size: 2, sizeMax: 1 });
  });

  it('is told where parties, roles or a fuller match are in the way', () => {
    const trios = MODES['two of three']!;
    const pairs = ['me', 'b', 'c'].map((id) => party(id, [25, 25]));
    assert.deepEqual(reasonOf(pairs, trios), { code: 'COMBINATION', candidates: 4 });
    const roles = MODES['with roles']!;
    const healer = (id: string) => ticket(id, 0, { players: [{ playerId: id, mu: 25, sigma: 5, roles: ['healer'] }] });
    assert.deepEqual(reasonOf(['me', 'b', 'c', 'd', 'e', 'f'].map(healer), roles), {
      code: 'ROLES_SHORT',
      candidates: 5,
    });
    const two = { playerId: 'p', mu: 25, sigma: 5, roles: ['healer'] };
    const onlyHealers = ticket('me', 0, { players: [two, { ...two, playerId: 'q' }, { ...two, playerId: 'r' }] });
    assert.deepEqual(reasonOf([onlyHealers], roles), { code: 'ROLES' });
    const all = MODES['all against all']!;
    assert.deepEqual(reasonOf([me(), ticket('b', 25)], all), {
      code: 'FILLING',
      players: 2,
      playersWanted: 6,
      startsInMs: 8_000,
    });
  });

  it('comes with the time until bots or the deadline, where that is promised', () => {
    const rules = MODES['all against all, with bots']!;
    const { waitedMs, placedInMs } = match([me()], NOW_MS, rules).reasons.get('me')!;
    assert.deepEqual([waitedMs, placedInMs], [2_000, 13_000]);
    assert.equal(match([me()], NOW_MS, DUEL).reasons.get('me')!.placedInMs, null);
  });
});

describe('bots', () => {
  it('fill a match after the stated wait, not before, up to the stated number', () => {
    const rules = MODES['all against all, with bots']!;
    const alone = [ticket('t', 25)];
    assert.equal(match(alone, NOW_MS + 14_999, rules).matches.length, 0);
    assert.deepEqual(match(alone, NOW_MS + 15_000, rules).matches[0]!.bots, [4]);
  });

  it('wait for as many people as the rules want, and past the deadline for nobody', () => {
    const rules = MODES['two of up to three, with bots']!;
    const alone = [ticket('t', 25)];
    assert.equal(match(alone, NOW_MS + 59_000, rules).matches.length, 0);
    const [found] = match(alone, NOW_MS + 60_000, rules).matches;
    assert.deepEqual(found!.bots, [2, 3]);
    assert.deepEqual(match([...alone, ticket('u', 25)], NOW_MS + 20_000, rules).matches[0]!.bots, [2, 2]);
  });
});

describe('backfill', () => {
  const rules = MODES['two of three']!;
  const running = (more: Partial<Backfill> = {}): Backfill => ({
    matchId: 'm',
    mode: 'test',
    region: 'eu',
    freeSeats: [1, 1],
    players: [
      { playerId: 'a', mu: 30, sigma: 5, team: 0, blocked: [] },
      { playerId: 'b', mu: 20, sigma: 5, team: 1, blocked: [] },
    ],
    createdAtMs: NOW_MS,
    ...more,
  });
  const filledBy = (tickets: readonly Ticket[], request: Backfill, by = rules) =>
    match(tickets, NOW_MS, by, [request]).backfilled.map(({ teams }) => teams.map(ids));

  it('comes before new matches, the oldest first, and to the weaker side', () => {
    const tickets = [
      ticket('new', 25),
      ticket('old', 25, { createdAtMs: NOW_MS - 5_000 }),
      ticket('older', 26, { createdAtMs: NOW_MS - 6_000 }),
    ];
    assert.deepEqual(filledBy(tickets, running()), [[['old'], ['older']]]);
    assert.deepEqual(filledBy(tickets, running({ freeSeats: [0, 2] })), [[[], ['older', 'old']]]);
  });

  it('takes nobody who is far in rating or region, too many, blocked, there already, or who does not want to', () => {
    const enemies = [{ playerId: 'a', mu: 25, sigma: 5, team: 0, blocked: ['t.0'] }];
    const cases: readonly [Ticket, Partial<Backfill>][] = [
      [ticket('t', 31), {}],
      [ticket('t', 25, { latencies: { eu: 150, us: 20 } }), {}],
      [ticket('t', 25, { latencies: { us: 20 } }), { region: 'mars' }],
      [party('t', [25, 25]), {}],
      [ticket('t', 25, { blocked: ['b'] }), {}],
      [ticket('t', 25), { players: enemies }],
      [ticket('t', 25, { players: [{ playerId: 'a', mu: 25, sigma: 5 }] }), {}],
      [ticket('t', 25, { acceptsBackfill: false }), {}],
      [ticket('t', 25), { freeSeats: [0, 0] }],
    ];
    for (const [one, more] of cases) assert.deepEqual(filledBy([one], running(more)), [], JSON.stringify([one, more]));
    assert.deepEqual(filledBy([ticket('t', 25)], running()), [[[], ['t']]]);
    assert.deepEqual(filledBy([ticket('t', 90)], running({ players: [] })), [[['t'], []]]);
  });

  it('takes the roles that are missing', () => {
    const player = { playerId: 'p', mu: 25, sigma: 5 };
    const request = running({
      freeSeats: [1, 0],
      players: [
        { playerId: 'a', mu: 25, sigma: 5, team: 0, role: 'healer', blocked: [] },
        { playerId: 'c', mu: 25, sigma: 5, team: 0, blocked: [] },
      ],
    });
    const byRoles = MODES['with roles']!;
    const healer = ticket('h', 25, { players: [{ ...player, roles: ['healer'] }] });
    const tank = ticket('t', 25, { players: [{ ...player, playerId: 'q', roles: ['tank'] }] });
    const [done] = match([healer, tank], NOW_MS, byRoles, [request]).backfilled;
    assert.deepEqual([done!.teams.map(ids), done!.roles], [[['t'], []], { q: 'tank' }]);
  });

  it('puts nobody into two matches, and never passes the free seats', () => {
    const requests = fc.array(
      fc.record({ free: fc.tuple(fc.nat(3), fc.nat(3)), mu: fc.integer({ min: 0, max: 50 }), ageMs: fc.nat(60_000) }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(poolOf(rules), requests, (tickets, drawn) => {
        const wanted = drawn.map(({ free, mu, ageMs }, i) =>
          running({
            matchId: `m${i}`,
            freeSeats: free,
            players: [{ playerId: `r${i}`, mu, sigma: 5, team: 0, blocked: [] }],
            createdAtMs: NOW_MS - ageMs,
          }),
        );
        const result = match(tickets, NOW_MS, rules, wanted);
        checkResult(tickets, rules, result);
        for (const { matchId, teams } of result.backfilled) {
          const { freeSeats } = wanted.find((one) => one.matchId === matchId)!;
          for (const [t, team] of teams.entries()) {
            assert.ok(team.reduce((sum, one) => sum + one.players.length, 0) <= freeSeats[t]!);
          }
        }
        checkSame(match([...tickets].reverse(), NOW_MS, rules, [...wanted].reverse()), result);
      }),
      { seed, numRuns: 100 },
    );
  });
});
