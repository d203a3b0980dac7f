import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresRatings, ratingsView } from '../../src/adapters/postgres-ratings-view.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { runRatingsCli } from '../../src/cli/ratings.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { MatchEnded } from '../../src/events/match-events.ts';
import { Projector } from '../../src/events/projector.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';

const A = playerNamed('A');

describe('npm run ratings', () => {
  let db: FreshDatabase;
  let log: PostgresLog;
  let views: PostgresViews;
  let projector: Projector<never>;

  beforeEach(async () => {
    db = await freshDatabase();
    log = new PostgresLog({ database: db.database, catalogue: EVENTS });
    views = new PostgresViews(db.database);
    projector = new Projector({ log, store: views, projections: [ratingsView()] }) as unknown as Projector<never>;
  });
  afterEach(async () => {
    await projector.stop();
    await views.close();
    await log.close();
    await db.drop();
  });

  async function run(
    ...argv: string[]
  ): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runRatingsCli(argv, { env: { DATABASE_URL: db.url }, stdout, stderr });
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }

  /** Matches of five players, each of whom wins some. */
  async function play(count: number): Promise<void> {
    const words = ['A', 'B', 'C', 'D', 'E'];
    let position = 0;
    for (let i = 0; i < count; i++) {
      const order = words.map((_, at) => words[(at * ((i % 4) + 1) + i) % words.length]!);
      const match = endedMatch(
        `m-${i}`,
        order.map((word, at) => standing(word, at + 1)),
      );
      const stream = `match/${match.matchId}`;
      ({ position } = await log.append({ stream, expected: 0, events: [MatchEnded(match)] }));
    }
    projector.start();
    await projector.caughtUp(position);
  }

  it('rebuild deletes all ratings and finds the same numbers again, beside a server that follows the log', async () => {
    await play(40);
    const before = await new PostgresRatings(db.database).ratingsOf(A);
    assert.equal(before[0]?.matches, 40);
    const { code, out } = await run('rebuild');
    assert.match(out, /^Rebuilt\. 200 changes of ratings compared, all equal\.$/m);
    assert.equal(code, 0);
    assert.deepEqual(await new PostgresRatings(db.database).ratingsOf(A), before);
  });

  it('rebuild runs also where no server does, and compares what was there', async () => {
    await play(5);
    await projector.stop();
    const { code, out } = await run('rebuild', '--json');
    assert.deepEqual(JSON.parse(out), { compared: 25, different: 0, differences: [] });
    assert.equal(code, 0);
  });

  it('rebuild names what differed from the results, puts it right, and exits with 1', async () => {
    await play(5);
    await db.database.query(`update rating_history set mu = mu + 1e-9 where player_id = $1 and match_id = 'm-3'`, [A]);
    await db.database.query(`delete from rating_history where player_id = $1 and match_id = 'm-4'`, [A]);
    const { code, out } = await run('rebuild');
    assert.equal(code, 1);
    assert.match(out, /2 changes of ratings differ/);
    assert.match(out, new RegExp(`arena ${A} m-4: mu none before, \\d`));
    assert.equal((await run('rebuild')).code, 0);
  });

  it('rebuild of nothing compares nothing', async () => {
    const { code, out } = await run('rebuild');
    assert.match(out, /^Rebuilt\. 0 changes/);
    assert.equal(code, 0);
  });

  it('show tells the ratings of a player and what made them', async () => {
    await play(12);
    const { code, out } = await run('show', A, '--limit', '2');
    assert.equal(code, 0);
    assert.match(out, /^arena: \d+ points \(mu [\d.]+, sigma [\d.]+, 12 matches\)$/m);
    assert.deepEqual(
      [...out.matchAll(/ {2}(m-\d+) {2}[+-]\d+/g)].map(([, id]) => id),
      ['m-11', 'm-10'],
    );
    const json = JSON.parse((await run('show', A, '--json')).out);
    assert.deepEqual([json.ratings[0].matches, json.ratings[0].isProvisional], [12, false]);
    assert.match((await run('show', playerNamed('nobody'))).out, /has no rating/);
  });

  it('says what is wrong in a line, with a code of its own', async () => {
    for (const argv of [
      [],
      ['burn'],
      ['show'],
      ['show', "a-'; drop table ratings"],
      ['rebuild', 'x'],
      ['show', A, '--limit', '0'],
    ]) {
      const { code, err, out } = await run(...argv);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, /Usage:/);
      assert.equal(out, '');
    }
    assert.match((await run('--help')).out, /^Usage:/);
    const stderr = new PassThrough();
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
    assert.equal(await runRatingsCli(['rebuild'], { env, stdout: new PassThrough(), stderr }), 3);
    assert.match(String(stderr.read()), /^DATABASE_UNAVAILABLE: .*\n$/);
  });
});
