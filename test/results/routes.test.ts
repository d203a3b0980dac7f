import assert from 'node:assert/strict';
import { PostgresRatings, ratingsView } from '../../src/adapters/postgres-ratings-view.ts';
import { PostgresResults, resultsView } from '../../src/adapters/postgres-results-view.ts';
import { PROVISIONAL_MATCHES } from '../../src/ratings/rating.ts';
import { ratingRoutes } from '../../src/ratings/routes.ts';
import { resultRoutes } from '../../src/results/routes.ts';
import { madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { endedEvent, endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';

const [A, B] = [playerNamed('A'), playerNamed('B')];
const MATCHES = 25;

describe('the questions about results and ratings', () => {
  let db: FreshDatabase;
  let api: ServedApi;
  const ada = { ...madeUpCaller('ada'), playerId: A };
  const token = 'ada';

  before(async () => {
    db = await freshDatabase();
    const results = new PostgresResults(db.database);
    const ratings = new PostgresRatings(db.database);
    const bot = { ...standing('', 3), playerId: '', isBot: true };
    const events = Array.from({ length: MATCHES }, (_, i) =>
      endedEvent(
        i + 1,
        endedMatch(`m-${i}`, [standing('A', 1), standing('B', 2, { leftTick: 8_000, ticks: 8_000 }), bot]),
      ),
    );
    await db.database.transaction(async (tx) => {
      for (const view of [resultsView(), ratingsView()]) await view.fold(tx, events);
    });
    const namesOf = async (ids: readonly string[]) => new Map(ids.includes(A) ? [[A, 'Ada']] : []);
    api = await serveForTest([...resultRoutes({ results, namesOf }), ...ratingRoutes({ ratings })], {
      callers: { [token]: ada },
    });
  });
  after(async () => {
    assert.deepEqual(api.bugs, []);
    await api.close();
    await db.drop();
  });

  it('tell how a match ended, with the names that people have now and none for who has none', async () => {
    const { status, body } = await api.ask('/api/matches/m-3', { token });
    assert.equal(status, 200);
    assert.deepEqual(
      body.standings.map(({ playerId, name, isBot, rank, leftTick }: Record<string, unknown>) => [
        playerId,
        name,
        isBot,
        rank,
        leftTick,
      ]),
      [
        [A, 'Ada', false, 1, undefined],
        [B, '', false, 2, 8_000],
        ['', '', true, 3, undefined],
      ],
    );
    assert.equal(body.endedAtMs, 1_700_000_004_000);
  });

  it('page through the matches of a player to the end, each once', async () => {
    const seen: string[] = [];
    let before = '';
    for (let pages = 0; pages < 10; pages++) {
      const { status, body } = await api.ask(`/api/players/${B}/matches?limit=7${before}`, { token });
      assert.equal(status, 200);
      seen.push(...body.matches.map(({ matchId }: { matchId: string }) => matchId));
      if (body.next === null) break;
      before = `&before=${body.next}`;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: MATCHES }, (_, i) => `m-${MATCHES - 1 - i}`),
    );
  });

  it('tell the caller of itself', async () => {
    const mine = await api.ask('/api/me/matches?limit=1', { token });
    assert.deepEqual(mine.body.matches[0].matchId, `m-${MATCHES - 1}`);
    const { body } = await api.ask('/api/me/ratings', { token });
    assert.equal(body.ratings.length, 1);
    const [{ mode, matches, isProvisional, points }] = body.ratings;
    assert.deepEqual([mode, matches, isProvisional], ['arena', MATCHES, false]);
    assert.ok(points > 1_000);
  });

  it('tell how a rating came about, and until when it was provisional', async () => {
    const { body } = await api.ask(`/api/players/${B}/ratings/arena?limit=100`, { token });
    assert.equal(body.changes.length, MATCHES);
    assert.equal(body.next, null);
    const provisional = body.changes.filter(({ isProvisional }: { isProvisional: boolean }) => isProvisional);
    assert.equal(provisional.length, PROVISIONAL_MATCHES - 1);
    const [newest, older] = body.changes;
    assert.equal(newest.pointsBefore, older.points);
    const first = await api.ask(`/api/players/${B}/ratings/arena?limit=1`, { token });
    assert.equal(first.body.next, MATCHES);
  });

  it('answer with nothing for who never played, and NOT_FOUND for a match that there is not', async () => {
    const nobody = playerNamed('nobody');
    assert.deepEqual((await api.ask(`/api/players/${nobody}/matches`, { token })).body, { matches: [], next: null });
    assert.deepEqual((await api.ask(`/api/players/${nobody}/ratings`, { token })).body, { ratings: [] });
    const { status, body } = await api.ask('/api/matches/none', { token });
    assert.deepEqual([status, body.code], [404, 'NOT_FOUND']);
  });

  it('refuse whatever is no id, no number, or too much of it', async () => {
    const injection = encodeURIComponent("a-'; drop table ratings; --");
    for (const path of [
      `/api/matches/${injection}`,
      '/api/matches/%00',
      `/api/matches/${'x'.repeat(65)}`,
      `/api/players/${injection}/matches`,
      `/api/players/${injection}/ratings`,
      `/api/players/${A}/ratings/${injection}`,
      ...['0', '-1', '51', '1.5', 'NaN', '1e400', "1'"].map((n) => `/api/me/matches?limit=${encodeURIComponent(n)}`),
      ...['0', '-1', '9007199254740993', 'x'].map((n) => `/api/me/matches?before=${n}`),
      '/api/me/matches?limit=1&limit=2',
      '/api/me/matches?offset=3',
    ]) {
      const { status, body } = await api.ask(path, { token });
      assert.deepEqual([path, status, body.code], [path, 400, 'INVALID_INPUT']);
    }
    assert.equal((await api.ask('/api/me/matches')).status, 401);
  });
});
