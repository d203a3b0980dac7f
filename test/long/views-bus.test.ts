import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import type { Tx } from '../../src/adapters/database.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresParked } from '../../src/adapters/postgres-parked.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { runBusCli } from '../../src/cli/bus.ts';
import { runViewsCli } from '../../src/cli/views.ts';
import { LocalBus } from '../../src/events/local-bus.ts';
import type { Projection } from '../../src/events/projection.ts';
import { Projector } from '../../src/events/projector.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { Counted, TEST_EVENTS, until } from '../fixtures/events-of-tests.ts';
import { PrivateNats } from '../fixtures/nats-server.ts';

const VIEW: Projection<Tx> = {
  name: 'counter',
  version: 1,
  types: [Counted.type],
  fold: async (tx, events) => {
    await tx.query('update counter set n = n + $1', [events.length]);
  },
  reset: async (tx) => {
    await tx.query('update counter set n = 0');
  },
};

describe('the commands for views and bus', () => {
  let db: FreshDatabase;
  let log: PostgresLog;
  let store: PostgresViews;

  beforeEach(async () => {
    db = await freshDatabase();
    log = new PostgresLog({ database: db.database, catalogue: TEST_EVENTS });
    store = new PostgresViews(db.database);
    await db.database.query('create table counter (n integer not null); insert into counter values (0)');
  });
  afterEach(async () => {
    await store.close();
    await log.close();
    await db.drop();
  });

  async function run(command: 'views' | 'bus', argv: readonly string[], more: Record<string, string> = {}) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const context = { env: { DATABASE_URL: db.url, ...more }, stdout, stderr, catalogue: TEST_EVENTS };
    const code =
      command === 'views' ? await runViewsCli(argv, { ...context, views: [VIEW] }) : await runBusCli(argv, context);
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }
  const views = (...argv: string[]) => run('views', argv);
  const bus = (...argv: string[]) => run('bus', argv);
  async function count(n: number): Promise<void> {
    await log.append({ stream: 'test/a', expected: 'any', events: Array.from({ length: n }, () => Counted({ n: 1 })) });
  }
  const counted = async (): Promise<number> =>
    (await db.database.query<{ n: number }>('select n from counter')).rows[0]!.n;

  it('list views, and rebuild one where no server runs', async () => {
    await count(30);
    assert.match((await views('list')).out, /counter +1 +0 +to be built/);
    const { code, out } = await views('rebuild', 'counter');
    assert.equal(code, 0);
    assert.match(out, /^counter is built from 30 events/);
    assert.equal(await counted(), 30);
    const json = JSON.parse((await views('list', '--json')).out);
    assert.deepEqual(json, {
      head: 30,
      views: [{ name: 'counter', version: 1, position: 30, head: 30, state: 'built' }],
    });
  });

  it('rebuild a view beside a server that folds it', async () => {
    await count(30);
    const projector = new Projector({ log, store, projections: [VIEW] });
    projector.start();
    try {
      await projector.caughtUp(30);
      await db.database.query('update counter set n = 1000');
      const { code } = await views('rebuild', 'counter');
      assert.equal(code, 0);
      assert.equal(await counted(), 30);
      assert.equal(projector.readings[0]!.rebuildsTotal, 2);
    } finally {
      await projector.stop();
    }
  });

  it('tell how far everybody is behind', async () => {
    await count(10);
    await store.advance('view/counter', 0, { position: 4, version: 1 }, async () => undefined);
    const { lags } = JSON.parse((await views('lag', '--json')).out);
    assert.equal(lags.length, 1);
    assert.deepEqual([lags[0].name, lags[0].position, lags[0].lagEvents], ['view/counter', 4, 6]);
    assert.match((await views('lag')).out, /view\/counter +4 +6/);
  });

  it('give up on a rebuild that cannot go on, with the reason', async () => {
    await count(3);
    await db.database.query('drop table counter');
    const { code, err } = await views('rebuild', 'counter');
    assert.equal(code, 3);
    assert.match(err, /^VIEW_MISSING: .*counter/);
  });

  it('list, show, send back and discard parked events', async () => {
    const parked = new PostgresParked(db.database);
    let isCured = false;
    const local = new LocalBus({ log, store, parked, retryFirstMs: 1 });
    await local.consume({
      name: 'reader',
      types: [Counted.type],
      attemptsMax: 2,
      handle: async () => {
        if (!isCured) throw new Error('poison \u001b[31m');
      },
    });
    try {
      await count(2);
      await until(async () => (await parked.list()).length === 2, 'two parked');
      const { out } = await bus('parked', 'list');
      assert.match(out, /bus\/reader +1 +test\.counted +2 .* parked +poison/);
      assert.ok(!out.includes('\u001b'));
      assert.equal((await bus('parked', 'list', 'bus/other')).out, 'Nothing is parked.\n');
      assert.deepEqual(JSON.parse((await bus('parked', 'show', 'bus/reader', '1', '--json')).out).event.payload, {
        n: 1,
      });
      assert.match((await bus('status')).out, /bus\/reader +2 +0 +0 s +2/);
      isCured = true;
      assert.equal((await bus('parked', 'replay', 'bus/reader', '1')).code, 0);
      await until(async () => (await parked.list()).length === 1, 'one handled');
      assert.match((await bus('parked', 'discard', 'bus/reader', '2')).out, /Discarded/);
      assert.deepEqual(await parked.list(), []);
      for (const command of ['show', 'replay', 'discard']) {
        const none = await bus('parked', command, "bus/x'; drop table parked_events", '2');
        assert.equal(none.code, 1);
        assert.match(none.err, /^Nothing is parked/);
      }
    } finally {
      await local.close();
    }
  });

  it('tell what NATS holds, also when it is empty or not there', async () => {
    const nats = await PrivateNats.start();
    try {
      const { out } = await run('bus', ['status'], { NATS_URL: nats.url });
      assert.match(out, /NATS holds 0 messages/);
      await nats.kill();
      const { code, err } = await run('bus', ['status'], { NATS_URL: nats.url });
      assert.equal(code, 3);
      assert.match(err, /^BUS_UNAVAILABLE/);
    } finally {
      await nats.stop();
    }
  });

  it('explain themselves, and refuse what makes no sense', async () => {
    assert.match((await views('--help')).out, /^Usage: npm run views/);
    assert.match((await bus('--help')).out, /^Usage: npm run bus/);
    for (const argv of [[], ['fly'], ['rebuild'], ['list', 'x'], ['rebuild', 'a', 'b'], ['list', '--wrong']]) {
      assert.equal((await views(...argv)).code, 2, argv.join(' '));
    }
    for (const place of ['0', '-1', '1.5', 'NaN', '9007199254740993', '1; drop', '']) {
      assert.equal((await bus('parked', 'show', 'bus/a', place)).code, 2, place);
    }
    for (const argv of [[], ['parked'], ['parked', 'eat'], ['status', 'x'], ['parked', 'replay', 'a']]) {
      assert.equal((await bus(...argv)).code, 2, argv.join(' '));
    }
    const { code, err } = await views('rebuild', 'nothing');
    assert.equal(code, 3);
    assert.match(err, /^VIEW_UNKNOWN/);
  });
});
