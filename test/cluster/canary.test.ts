import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type CanaryState,
  describeCanary,
  isKeeper,
  isOfRoleCohort,
  isPicked,
  parseCanary,
  placesFor,
  promote,
  rollBack,
  trackOfBuild,
  trackOfJoin,
} from '../../src/cluster/canary.ts';
import type { ProcessCard } from '../../src/cluster/directory.ts';
import { GameError } from '../../src/kernel/errors.ts';

const OLD = '1.3.0';
const NEW = '1.4.0';

function card(buildId: string, facts: Partial<ProcessCard> = {}): ProcessCard {
  return {
    processId: `p-${buildId}`,
    host: '127.0.0.1',
    port: 1,
    roles: ['realtime'],
    buildId,
    region: 'local',
    plays: {},
    canAdopt: true,
    isDraining: false,
    load: { tickP99Ms: 0, players: 0, rooms: 0, matchSlots: 10, matchSlotsAvailable: 10 },
    ...facts,
  };
}

const builds = fc.constantFrom(OLD, NEW, '1.2.0');
const cards = fc.array(
  fc
    .record({ buildId: builds, isDraining: fc.boolean(), role: fc.constantFrom('realtime', 'worker', 'gate') })
    .map(({ buildId, isDraining, role }) => card(buildId, { isDraining, roles: [role as 'realtime'] })),
  { maxLength: 8 },
);
const states: fc.Arbitrary<CanaryState> = fc.oneof(
  fc.constant<CanaryState>({ phase: 'none' }),
  fc.record({ phase: fc.constant('percent' as const), build: builds, percent: fc.integer({ min: 0, max: 100 }) }),
  fc.record({ phase: fc.constant('cohort' as const), build: builds, cohort: fc.constant('testers') }),
  fc.record({ phase: fc.constantFrom('promoted' as const, 'rolled-back' as const), build: builds }),
);
const matches = fc.record({
  matchId: fc.option(fc.stringMatching(/^[\w-]{1,30}$/), { nil: undefined }),
  track: fc.constantFrom('stable' as const, 'canary' as const, undefined),
});
const takesMatches = ({ isDraining, roles }: ProcessCard) => !isDraining && roles.includes('realtime');

describe('a canary', () => {
  it('is read from one line, and only from a whole one', () => {
    assert.deepEqual(parseCanary('build=1.4.0,percent=10'), { phase: 'percent', build: NEW, percent: 10 });
    assert.deepEqual(parseCanary(' build=1.4.0,cohort=testers '), { phase: 'cohort', build: NEW, cohort: 'testers' });
    for (const text of [
      '',
      'build=1.4.0',
      'percent=10',
      'build=1.4.0,percent=101',
      'build=1.4.0,percent=1.5',
      'build=1.4.0,percent=10,cohort=testers',
      'build=1 4,percent=10',
      'build=1.4.0,cohort=Testers',
    ]) {
      assert.equal(parseCanary(text), undefined, text);
    }
  });

  it('picks the share of matches that it says', () => {
    for (const percent of [0, 1, 10, 50, 99, 100]) {
      const total = 20_000;
      let picked = 0;
      for (let at = 0; at < total; at++) if (isPicked(`mh2k${at.toString(36)}-${at * 7919}`, percent)) picked++;
      const wanted = (total * percent) / 100;
      // Four standard deviations of a fair draw.
      const slack = 4 * Math.sqrt((total * percent * (100 - percent)) / 10_000);
      assert.ok(Math.abs(picked - wanted) <= slack, `${percent} %: ${picked} of ${total}`);
    }
  });

  it('picks the same matches again, and with a larger share those and more', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 64 }), fc.nat(100), fc.nat(100), (id, a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        const picked = isPicked(id, less);
        return isPicked(`${id}`, less) === picked && (!picked || isPicked(id, more));
      }),
    );
  });

  it('is given only processes that take matches, and always one if there is any', () => {
    fc.assert(
      fc.property(states, matches, cards, (state, match, processes) => {
        const places = placesFor(state, match, processes).flat();
        const isOnce = new Set(places).size === places.length;
        return isOnce && places.every(takesMatches) && places.length > 0 === processes.some(takesMatches);
      }),
    );
  });

  it('is chosen or not, and takes nothing that was not meant for it, unless nobody else is there', () => {
    fc.assert(
      fc.property(states, matches, cards, (state, match, processes) => {
        if (state.phase === 'none') return;
        const isNew = ({ buildId }: ProcessCard) => buildId === state.build;
        const side = (is: boolean) => processes.filter((each) => takesMatches(each) && isNew(each) === is);
        const [news, olds] = [side(true), side(false)];
        const isMeantForNew =
          state.phase === 'promoted' ||
          (state.phase === 'cohort' && match.track === 'canary') ||
          (state.phase === 'percent' && match.matchId !== undefined && isPicked(match.matchId, state.percent));
        const tiers = isMeantForNew ? [news, olds] : [olds.length > 0 ? olds : news];
        assert.deepEqual(
          placesFor(state, match, processes),
          tiers.filter((tier, at) => tier.length > 0 || (at === 0 && news.length + olds.length === 0)).slice(0, 2),
        );
      }),
    );
  });

  it('that is rolled back gets no match while another build takes some', () => {
    const state: CanaryState = { phase: 'rolled-back', build: NEW };
    const match = { matchId: 'm', track: undefined };
    assert.deepEqual(
      placesFor(state, match, [card(NEW), card(OLD)]).map((tier) => tier.map(({ buildId }) => buildId)),
      [[OLD]],
    );
    // In the middle of a deploy backwards: better this one than none.
    assert.deepEqual(
      placesFor(state, match, [card(NEW), card(OLD, { isDraining: true })]).map((tier) => tier[0]!.buildId),
      [NEW],
    );
  });

  it('puts players into any open room, but for cohorts and what was rolled back', () => {
    const both = [card(OLD), card(NEW)];
    const percent: CanaryState = { phase: 'percent', build: NEW, percent: 50 };
    const cohort: CanaryState = { phase: 'cohort', build: NEW, cohort: 'testers' };
    const rolledBack: CanaryState = { phase: 'rolled-back', build: NEW };
    assert.equal(trackOfJoin({ phase: 'none' }, false, both), undefined);
    assert.equal(trackOfJoin(percent, false, both), undefined);
    assert.equal(trackOfJoin({ phase: 'promoted', build: NEW }, false, both), undefined);
    assert.equal(trackOfJoin(cohort, true, both), 'canary');
    assert.equal(trackOfJoin(cohort, false, both), 'stable');
    assert.equal(trackOfJoin(rolledBack, true, both), 'stable');
    // Nobody could make such a room: everybody would be alone in one.
    assert.equal(trackOfJoin(cohort, true, [card(OLD)]), undefined);
    assert.equal(trackOfJoin(cohort, false, [card(NEW)]), undefined);
    assert.equal(trackOfJoin(rolledBack, false, [card(NEW), card(OLD, { roles: ['worker'] })]), undefined);
  });

  it('makes rooms that those for whom they are made may be put into', () => {
    fc.assert(
      fc.property(states, fc.boolean(), cards, (state, isMember, processes) => {
        const track = trackOfJoin(state, isMember, processes);
        if (track === undefined) return;
        for (const { buildId } of placesFor(state, { matchId: 'm', track }, processes)[0]!) {
          assert.equal(trackOfBuild(state, buildId), track);
        }
      }),
    );
  });

  it('is promoted or rolled back only if it is tried; also a promoted one is rolled back', () => {
    const tried: CanaryState[] = [
      { phase: 'percent', build: NEW, percent: 5 },
      { phase: 'cohort', build: NEW, cohort: 'testers' },
    ];
    for (const state of tried) {
      assert.deepEqual(promote(state), { phase: 'promoted', build: NEW });
      assert.deepEqual(rollBack(state), { phase: 'rolled-back', build: NEW });
      assert.deepEqual(rollBack(promote(state)), { phase: 'rolled-back', build: NEW });
    }
    const isRefused = (error: unknown) => error instanceof GameError && error.code === 'CANARY_NONE';
    assert.throws(() => promote({ phase: 'none' }), isRefused);
    assert.throws(() => promote(rollBack(tried[0]!)), isRefused);
    assert.throws(() => rollBack({ phase: 'none' }), isRefused);
  });

  it('labels its matches until they are over, also after it was rolled back', () => {
    const state: CanaryState = { phase: 'percent', build: NEW, percent: 5 };
    assert.equal(trackOfBuild(state, NEW), 'canary');
    assert.equal(trackOfBuild(state, OLD), 'stable');
    assert.equal(trackOfBuild(rollBack(state), NEW), 'canary');
    assert.equal(trackOfBuild(promote(state), NEW), 'stable');
    assert.equal(trackOfBuild({ phase: 'none' }, NEW), 'stable');
  });

  it('has cohorts by role, which no list can change, and others', () => {
    assert.equal(isOfRoleCohort('admins', 'admin'), true);
    assert.equal(isOfRoleCohort('admins', 'moderator'), false);
    assert.equal(isOfRoleCohort('moderators', 'admin'), true);
    assert.equal(isOfRoleCohort('moderators', 'player'), false);
    assert.equal(isOfRoleCohort('testers', 'admin'), undefined);
  });

  it('is described in one line for every phase', () => {
    fc.assert(
      fc.property(states, (state) => {
        const line = describeCanary(state);
        return !line.includes('\n') && (state.phase === 'none' || line.includes(state.build));
      }),
    );
  });

  it('keeps matches that move on their track, off a build that was rolled back, and minds no build otherwise', () => {
    const keeps = (state: CanaryState, from: string) =>
      [OLD, '1.2.0', NEW].filter((buildId) => isKeeper(state, from, card(buildId)));
    for (const state of [
      { phase: 'percent', build: NEW, percent: 10 },
      { phase: 'cohort', build: NEW, cohort: 'testers' },
    ] as const) {
      assert.deepEqual(keeps(state, OLD), [OLD, '1.2.0']);
      assert.deepEqual(keeps(state, NEW), [NEW]);
    }
    const bad = { phase: 'rolled-back', build: NEW } as const;
    for (const from of [OLD, NEW]) assert.deepEqual(keeps(bad, from), [OLD, '1.2.0']);
    for (const state of [{ phase: 'none' }, { phase: 'promoted', build: NEW }] as const) {
      for (const from of [OLD, NEW]) assert.deepEqual(keeps(state, from), [OLD, '1.2.0', NEW]);
    }
  });
});
