import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Tx } from '../../src/adapters/database.ts';
import { PostgresRatings, ratingsView } from '../../src/adapters/postgres-ratings-view.ts';
import { PostgresResults, resultsView } from '../../src/adapters/postgres-results-view.ts';
import type { StoredEvent } from '../../src/events/event-log.ts';
import type { MatchEndedPayload } from '../../src/events/match-events.ts';
import type { Projection } from '../../src/events/projection.ts';
import { loadModel, NEW_RATING, type Rating, ratedTeams, rateTeams } from '../../src/ratings/rating.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { endedEvent, endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';

const MAX = Number.MAX_SAFE_INTEGER;

describe('the views of results and ratings in PostgreSQL', () => {
  let db: FreshDatabase;
  let results: PostgresResults;
  let ratings: PostgresRatings;
  const views: readonly Projection<Tx>[] = [resultsView(), ratingsView()];

  before(async () => {
    db = await freshDatabase();
    results = new PostgresResults(db.database);
    ratings = new PostgresRatings(db.database);
  });
  beforeEach(() =>
    db.database.transaction(async (tx) => {
      for (const view of views) await view.reset(tx);
    }),
  );
  after(() => db.drop());

  async function fold(events: readonly StoredEvent[], pageMax = events.length): Promise<void> {
    for (let at = 0; at < events.length; at += pageMax) {
      await db.database.transaction(async (tx) => {
        for (const view of views) await view.fold(tx, events.slice(at, at + pageMax));
      });
    }
  }

  const dump = async (): Promise<unknown> => {
    const { rows } = await db.database.query(`select * from rating_history order by mode, player_id, position`);
    const { rows: newest } = await db.database.query('select * from ratings order by mode, player_id');
    return { rows, newest };
  };

  const [A, B] = [playerNamed('A'), playerNamed('B')];

  it('give a result back as it was', async () => {
    const match = endedMatch('m-1', [
      standing('A', 1, { team: 0 }),
      { ...standing('', 2), playerId: '', isBot: true },
      standing('B', 3, { leftTick: 500, ticks: 400 }),
    ]);
    await fold([endedEvent(7, match)]);
    assert.deepEqual(await results.match('m-1'), { ...match, endedAtMs: 1_700_000_007_000 });
    assert.equal(await results.match('m-2'), undefined);
  });

  it('answer the history of a player in pages that stay what they are when more matches end', async () => {
    const play = (position: number) =>
      endedEvent(position, endedMatch(`m-${position}`, [standing('A', 1), standing('B', 2)]));
    await fold([1, 2, 3, 4, 5].map(play));
    const first = await results.matchesOf(A, MAX, 2);
    await fold([play(6)]);
    const second = await results.matchesOf(A, first.at(-1)!.position, 2);
    assert.deepEqual(
      [...first, ...second].map(({ matchId }) => matchId),
      ['m-5', 'm-4', 'm-3', 'm-2'],
    );
    const { rank, participants, matchTicks, score, leftTick } = first[0]!;
    assert.deepEqual(
      { rank, participants, matchTicks, score, leftTick },
      {
        rank: 1,
        participants: 2,
        matchTicks: 9_000,
        score: { frags: 9 },
        leftTick: undefined,
      },
    );
    assert.deepEqual(await results.matchesOf(playerNamed('nobody'), MAX, 10), []);
  });

  it('take the first result of a match, whatever else its stream holds', async () => {
    const first = endedMatch('m', [standing('A', 1), standing('B', 2)]);
    const second = endedMatch('m', [standing('B', 1), standing('A', 2)]);
    await fold([endedEvent(1, first), endedEvent(2, second, 2)], 1);
    assert.equal((await results.match('m'))!.standings[0]!.playerId, A);
    const [{ mu, matches }] = (await ratings.ratingsOf(A)) as unknown as [Rating];
    assert.ok(mu > NEW_RATING.mu);
    assert.equal(matches, 1);
  });

  it('keep ratings apart by mode, and what every match changed', async () => {
    await fold([
      endedEvent(1, endedMatch('m-1', [standing('A', 1), standing('B', 2)])),
      endedEvent(2, endedMatch('m-2', [standing('B', 1), standing('A', 2)], { roomName: 'duel' })),
      endedEvent(3, endedMatch('m-3', [standing('A', 1), standing('B', 2)], { reason: 'shutdown' })),
      endedEvent(4, endedMatch('m-4', [standing('A', 1), standing('B', 2)])),
    ]);
    assert.deepEqual(
      (await ratings.ratingsOf(A)).map(({ mode, matches, mu }) => [mode, matches, mu > NEW_RATING.mu]),
      [
        ['arena', 2, true],
        ['duel', 1, false],
      ],
    );
    const history = await ratings.historyOf(B, 'arena', MAX, 10);
    assert.deepEqual(
      history.map(({ matchId, matches }) => [matchId, matches]),
      [
        ['m-4', 2],
        ['m-1', 1],
      ],
    );
    assert.equal(history[0]!.muBefore, history[1]!.mu);
    assert.equal(history[1]!.muBefore, NEW_RATING.mu);
    assert.deepEqual(
      (await ratings.historyOf(B, 'arena', 4, 10)).map(({ matchId }) => matchId),
      ['m-1'],
    );
  });

  it('have the same numbers to the last bit however the log is cut into pages, and those of a fold in memory', async () => {
    const model = await loadModel();
    const player = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const seats = fc
      .uniqueArray(player, { minLength: 2, maxLength: 6 })
      .chain((words) =>
        fc.tuple(
          ...words.map((word) =>
            fc.record({ rank: fc.integer({ min: 1, max: 4 }), isLeaver: fc.boolean(), word: fc.constant(word) }),
          ),
        ),
      );
    const flow = fc.array(fc.record({ seats, hasTeams: fc.boolean(), mode: fc.constantFrom('arena', 'duel') }), {
      minLength: 1,
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(flow, fc.integer({ min: 1, max: 9 }), async (matches, pageMax) => {
        const events = matches.map(({ seats: rows, hasTeams, mode }, i) => {
          const listed = rows.map(({ word, rank, isLeaver }, seat) =>
            standing(word, rank, { ...(hasTeams ? { team: seat % 2 } : {}), ...(isLeaver ? { leftTick: 5_000 } : {}) }),
          );
          return endedEvent(i + 1, endedMatch(`m-${i}`, listed, { roomName: mode }));
        });
        const reset = () => db.database.transaction((tx) => views[1]!.reset(tx));
        const foldRatings = async (size: number) => {
          for (let at = 0; at < events.length; at += size) {
            await db.database.transaction((tx) => views[1]!.fold(tx, events.slice(at, at + size)));
          }
        };
        await reset();
        await foldRatings(pageMax);
        const paged = await dump();
        await reset();
        await foldRatings(events.length);
        assert.deepEqual(await dump(), paged);
        const { newest } = paged as {
          newest: { mode: string; player_id: string; mu: number; sigma: number; matches: number }[];
        };
        assert.deepEqual(
          newest.map(({ mode, player_id: id, mu, sigma, matches: n }) => [`${mode} ${id}`, { mu, sigma, matches: n }]),
          [...inMemory(events.map(({ payload }) => payload))].sort(([a], [b]) => (a < b ? -1 : 1)),
        );
      }),
      { seed: 20261123, numRuns: 20 },
    );

    function inMemory(payloads: readonly MatchEndedPayload[]): Map<string, Rating> {
      const all = new Map<string, Rating>();
      for (const payload of payloads) {
        const teams = ratedTeams(payload);
        if (teams === undefined) continue;
        const key = (id: string) => `${payload.roomName} ${id}`;
        for (const [id, rating] of rateTeams(teams, (id) => all.get(key(id)) ?? NEW_RATING, model))
          all.set(key(id), rating);
      }
      return all;
    }
  });
});
