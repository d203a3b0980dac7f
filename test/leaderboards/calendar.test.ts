import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ALL_TIME, SeasonClock, type SeasonLength } from '../../src/leaderboards/calendar.ts';

const HOUR_MS = 3_600_000;
const ZONES = [
  'UTC',
  'Europe/Rome',
  'America/New_York',
  'America/St_Johns',
  'America/Sao_Paulo',
  'America/Havana',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Beirut',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Pacific/Kwajalein',
] as const;

function hoursOf(every: SeasonLength, timeZone: string, at: string): { id: string; hours: number; starts: string } {
  const season = new SeasonClock({ every, timeZone }).at(Date.parse(at));
  return {
    id: season.id,
    hours: (season.endsAtMs! - season.startsAtMs) / HOUR_MS,
    starts: new Date(season.startsAtMs).toISOString(),
  };
}

describe('SeasonClock', () => {
  for (const [what, every, zone, at, id, hours, starts] of [
    ['a plain day', 'day', 'Europe/Rome', '2026-11-23T12:00:00Z', '2026-11-23', 24, '2026-11-22T23:00:00.000Z'],
    [
      'the day clocks go forward',
      'day',
      'Europe/Rome',
      '2026-03-29T12:00:00Z',
      '2026-03-29',
      23,
      '2026-03-28T23:00:00.000Z',
    ],
    [
      'the day clocks go back',
      'day',
      'Europe/Rome',
      '2026-10-25T12:00:00Z',
      '2026-10-25',
      25,
      '2026-10-24T22:00:00.000Z',
    ],
    [
      'a day half an hour longer',
      'day',
      'Australia/Lord_Howe',
      '2026-04-05T02:00:00Z',
      '2026-04-05',
      24.5,
      '2026-04-04T13:00:00.000Z',
    ],
    [
      'a day without midnight',
      'day',
      'America/Sao_Paulo',
      '2018-11-04T12:00:00Z',
      '2018-11-04',
      23,
      '2018-11-04T03:00:00.000Z',
    ],
    [
      'the day before it',
      'day',
      'America/Sao_Paulo',
      '2018-11-04T02:59:59Z',
      '2018-11-03',
      24,
      '2018-11-03T03:00:00.000Z',
    ],
    [
      'a day that ends twice',
      'day',
      'America/Sao_Paulo',
      '2019-02-17T02:30:00Z',
      '2019-02-16',
      25,
      '2019-02-16T02:00:00.000Z',
    ],
    [
      'a day that begins twice',
      'day',
      'America/Havana',
      '2026-11-01T05:30:00Z',
      '2026-11-01',
      25,
      '2026-11-01T04:00:00.000Z',
    ],
    [
      'a minute that shows tomorrow, then today',
      'day',
      'America/St_Johns',
      '2010-11-07T03:00:00Z',
      '2010-11-07',
      25,
      '2010-11-07T02:30:00.000Z',
    ],
    [
      'the day after a date that never was',
      'day',
      'Pacific/Apia',
      '2011-12-30T10:00:00Z',
      '2011-12-31',
      24,
      '2011-12-30T10:00:00.000Z',
    ],
    [
      'a week with a change',
      'week',
      'America/New_York',
      '2026-03-08T12:00:00Z',
      '2026-03-02',
      167,
      '2026-03-02T05:00:00.000Z',
    ],
    [
      'a month with a change',
      'month',
      'America/New_York',
      '2026-11-30T12:00:00Z',
      '2026-11-01',
      721,
      '2026-11-01T04:00:00.000Z',
    ],
    [
      'February of a leap year',
      'month',
      'UTC',
      '2028-02-29T23:59:59.999Z',
      '2028-02-01',
      29 * 24,
      '2028-02-01T00:00:00.000Z',
    ],
  ] as const) {
    it(`knows ${what} (${zone})`, () => assert.deepEqual(hoursOf(every, zone, at), { id, hours, starts }));
  }

  it('divides all time into seasons that touch, in every zone and through every change of clocks', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.constantFrom<SeasonLength>('day', 'week', 'month'),
        fc.integer({ min: 0, max: Date.UTC(2037, 11, 31) }),
        (timeZone, every, atMs) => {
          const clock = new SeasonClock({ every, timeZone });
          const season = clock.at(atMs);
          assert.ok(season.startsAtMs <= atMs && atMs < season.endsAtMs!);
          assert.equal(clock.at(season.endsAtMs! - 1).id, season.id);
          const next = clock.at(season.endsAtMs!);
          assert.equal(next.startsAtMs, season.endsAtMs);
          assert.ok(next.id > season.id);
          // Another clock, which has computed nothing yet, says the same; so does the name.
          const other = new SeasonClock({ every, timeZone });
          assert.deepEqual(other.at(season.endsAtMs!), next);
          if (season.startsAtMs > 0) {
            assert.deepEqual(other.named(season.id), season);
            assert.deepEqual(other.before(next), season);
          }
        },
      ),
      { seed: 20261123, numRuns: 400 },
    );
  });

  it('changes seasons at each local midnight of a year of hours, never back', () => {
    for (const timeZone of ZONES) {
      const clock = new SeasonClock({ every: 'day', timeZone });
      let last = '';
      let changes = 0;
      for (let atMs = Date.UTC(2026, 0, 1); atMs < Date.UTC(2027, 0, 1); atMs += HOUR_MS / 2) {
        const { id } = clock.at(atMs);
        assert.ok(id >= last, `${timeZone} ${id} after ${last}`);
        if (id !== last) changes++;
        last = id;
      }
      assert.ok(changes === 365 || changes === 366, `${timeZone}: ${changes}`);
    }
  });

  it('has no season of a wrong, unreal or malformed name', () => {
    const weeks = new SeasonClock({ every: 'week', timeZone: 'Europe/Rome' });
    assert.equal(weeks.named('2026-11-23')?.id, '2026-11-23');
    for (const name of ['2026-11-24', '2026-02-30', '2026-13-01', 'all', '', '0000-00-00', "';drop", '2026-11-23 ']) {
      assert.equal(weeks.named(name), undefined, name);
    }
    assert.equal(new SeasonClock({ every: 'day', timeZone: 'Pacific/Apia' }).named('2011-12-30'), undefined);
  });

  it('has one season without end where there is no calendar', () => {
    const clock = new SeasonClock(undefined);
    assert.deepEqual([clock.at(0), clock.at(Date.now()), clock.named('all')], [ALL_TIME, ALL_TIME, ALL_TIME]);
    assert.equal(clock.named('2026-11-23'), undefined);
    assert.equal(clock.before(ALL_TIME), undefined);
  });

  it('refuses a time zone that does not exist', () => {
    assert.throws(() => new SeasonClock({ every: 'day', timeZone: 'Europe/Atlantis' }), RangeError);
  });
});
