import assert from 'node:assert/strict';
import fc from 'fast-check';
import { adopterOf, canPlay, moverOf } from '../../src/cluster/adoption-plan.ts';
import type { ProcessCard } from '../../src/cluster/directory.ts';
import { choosePlace, fullness, hasRoom, Placement } from '../../src/cluster/placement.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { cardOf, roomOf } from '../contract/cluster-directory.contract.ts';

const SEED = 20261126;

const card: fc.Arbitrary<Omit<ProcessCard, 'processId'>> = fc
  .record({
    roles: fc.subarray(['gate', 'realtime', 'worker'] as const, { minLength: 1 }),
    buildId: fc.constantFrom('old', 'new'),
    region: fc.constantFrom('eu', 'us'),
    isDraining: fc.boolean(),
    canAdopt: fc.boolean(),
    simVersion: fc.constantFrom(1, 2),
    tickP99Ms: fc.integer({ min: 0, max: 40 }),
    players: fc.nat(500),
    slots: fc.nat(4),
  })
  .map(({ slots, tickP99Ms, players, simVersion, ...rest }) => {
    const load = { tickP99Ms, players, rooms: 4 - slots, matchSlots: 4, matchSlotsAvailable: slots };
    const { processId: _, ...base } = cardOf('');
    return { ...base, ...rest, plays: { arena: { simId: 'arena', simVersion, schemaHash: 'a' } }, load };
  });
const cards = fc.array(card, { maxLength: 8 }).map((some) => some.map((one, at) => ({ ...one, processId: `p${at}` })));
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('placement', () => {
  it('chooses a process that runs rooms, does not drain and has a slot, whenever there is one', () => {
    fc.assert(
      fc.property(cards, random, (all, at) => {
        const chosen = choosePlace(all, { roomName: 'arena' }, () => at);
        if (chosen === undefined) assert.ok(!all.some((one) => hasRoom(one)));
        else assert.ok(hasRoom(chosen));
      }),
      { seed: SEED },
    );
  });

  it('keeps to the build and the region that are wanted, while those have a slot', () => {
    fc.assert(
      fc.property(cards, random, (all, at) => {
        const wish = { buildId: 'new', region: 'eu' };
        const chosen = choosePlace(all, wish, () => at);
        const able = all.filter((one) => hasRoom(one));
        const ofBuild = able.filter(({ buildId }) => buildId === 'new');
        const among = ofBuild.length > 0 ? ofBuild : able;
        if (ofBuild.length > 0) assert.equal(chosen?.buildId, 'new');
        if (among.some(({ region }) => region === 'eu')) assert.equal(chosen?.region, 'eu');
      }),
      { seed: SEED },
    );
  });

  it('takes the less full of two, so the fullest of all gets nothing while there is another', () => {
    fc.assert(
      fc.property(cards, random, random, (all, first, second) => {
        const able = all.filter((one) => hasRoom(one));
        const fullest = Math.max(...able.map((one) => fullness(one)));
        if (able.filter((one) => fullness(one) === fullest).length !== 1 || able.length < 2) return;
        const draws = [first, second].values();
        const chosen = choosePlace(all, {}, () => draws.next().value!)!;
        assert.ok(fullness(chosen) < fullest);
      }),
      { seed: SEED },
    );
  });

  it('sends a match to the region that it is for, in place of the own, while that has a slot', () => {
    const placement = new Placement({
      processes: () => [
        { ...cardOf('here'), region: 'eu' },
        { ...cardOf('there'), region: 'us' },
      ],
      wishOf: () => ({ region: 'eu' }),
    });
    assert.equal(placement.choose('arena'), 'here');
    assert.equal(placement.choose('arena', undefined, 'us'), 'there');
  });

  it('keeps a room that takes no slot where it was asked for, if rooms may be there, and else finds a place', () => {
    fc.assert(
      fc.property(cards, (all) => {
        const placement = new Placement({ processes: () => all, wishOf: () => ({}) });
        const able = all.filter(({ isDraining, roles }) => !isDraining && roles.includes('realtime'));
        if (able.length === 0) {
          assert.throws(
            () => placement.chooseHost('queue', 'p0'),
            (error: GameError) => error.code === 'NO_SLOTS',
          );
          return;
        }
        const chosen = placement.chooseHost('queue', 'p0');
        assert.ok(able.some(({ processId }) => processId === chosen));
        if (able.some(({ processId }) => processId === 'p0')) assert.equal(chosen, 'p0');
      }),
      { seed: SEED },
    );
  });

  it('never sends more matches than there are slots, whatever it hears meanwhile, and then refuses NO_SLOTS', () => {
    fc.assert(
      fc.property(cards, (all) => {
        const placement = new Placement({ processes: () => all, wishOf: () => ({}) });
        const slots = placement.slotsAvailable();
        const sent = new Map<string, number>();
        for (let at = 0; at < slots; at++) {
          const processId = placement.choose('arena');
          sent.set(processId, (sent.get(processId) ?? 0) + 1);
        }
        for (const [processId, count] of sent) {
          assert.ok(count <= all.find((one) => one.processId === processId)!.load.matchSlotsAvailable);
        }
        assert.equal(placement.slotsAvailable(), 0);
        assert.throws(
          () => placement.choose('arena'),
          (error: GameError) => error instanceof GameError && error.code === 'NO_SLOTS',
        );
      }),
      { seed: SEED },
    );
  });
});

describe('who takes over a room', () => {
  it('is the same for all survivors, in whatever order they know of one another, and can play it', () => {
    fc.assert(
      fc.property(cards, fc.uuid(), fc.nat(), (all, roomId, turn) => {
        const room = roomOf(roomId, 'dead');
        const turned = all.map((_, at) => all[(at + turn) % all.length]!);
        const adopter = adopterOf(room, all);
        assert.equal(adopterOf(room, turned)?.processId, adopter?.processId);
        const able = all.filter((one) => canPlay(one, room));
        assert.equal(adopter === undefined, able.length === 0);
        if (adopter === undefined) return;
        assert.ok(able.includes(adopter));
        assert.ok(adopter.canAdopt);
        if (able.some(({ isDraining }) => !isDraining)) assert.equal(adopter.isDraining, false);
      }),
      { seed: SEED },
    );
  });

  it('is one that is good for its build, while there is one that stays and can play it; at a drain, too', () => {
    fc.assert(
      fc.property(cards, fc.uuid(), fc.constantFrom('old', 'new'), (all, roomId, buildId) => {
        const isKeeper = (build: string, card: ProcessCard) => card.buildId === build;
        const room = roomOf(roomId, 'p0', { buildId });
        const able = all.filter((one) => !one.isDraining && canPlay(one, room));
        const adopter = adopterOf(room, all, isKeeper);
        if (able.some((one) => one.buildId === buildId)) assert.equal(adopter?.buildId, buildId);
        assert.equal(adopter === undefined, adopterOf(room, all) === undefined);
        const others = able.filter(({ processId }) => processId !== 'p0');
        const target = moverOf(room, all, isKeeper);
        if (others.some((one) => one.buildId === buildId)) assert.equal(target?.buildId, buildId);
        assert.equal(target === undefined, moverOf(room, all) === undefined);
      }),
      { seed: SEED },
    );
  });

  it('spreads: of a hundred rooms three equal survivors have each a share', () => {
    const three = ['a', 'b', 'c'].map((processId) => cardOf(processId));
    const counts = new Map<string, number>();
    for (let at = 0; at < 100; at++) {
      const { processId } = adopterOf(roomOf(`mwx9zbgo-${at.toString(16).padStart(16, '0')}`, 'dead'), three)!;
      counts.set(processId, (counts.get(processId) ?? 0) + 1);
    }
    for (const processId of ['a', 'b', 'c'])
      assert.ok(counts.get(processId)! >= 15, `${processId}: ${counts.get(processId)}`);
  });

  it('is nobody at a drain but another process that stays and can play it', () => {
    fc.assert(
      fc.property(cards, (all) => {
        const room = roomOf('r', 'p0');
        const target = moverOf(room, all);
        const able = all.filter((one) => one.processId !== 'p0' && !one.isDraining && canPlay(one, room));
        assert.equal(target === undefined, able.length === 0);
        if (target !== undefined) assert.equal(fullness(target), Math.min(...able.map((one) => fullness(one))));
      }),
      { seed: SEED },
    );
  });
});
