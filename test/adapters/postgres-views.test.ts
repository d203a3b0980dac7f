import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Kysely, sql } from 'kysely';
import { Database, type Tx } from '../../src/adapters/database.ts';
import { MIGRATIONS } from '../../src/adapters/migrations/index.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresParked } from '../../src/adapters/postgres-parked.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import type { Projection } from '../../src/events/projection.ts';
import { Projector } from '../../src/events/projector.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { Counted, TEST_EVENTS, until } from '../fixtures/events-of-tests.ts';

const TABLE = [
  'create table sums (id integer primary key generated always as identity, stream text unique, sum bigint)',
  'create index sums_by_sum on sums (sum desc)',
];

/** Makes the table of {@link sumView}; a migration like any other. */
const SUMS = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of TABLE) await sql.raw(statement).execute(db);
  },
};

/** Adds up, so that an event folded twice or not at all shows. */
function sumView(tables: readonly string[] = ['sums']): Projection<Tx> {
  return {
    name: 'sums',
    version: 1,
    types: [Counted.type],
    tables,
    fold: async (tx, events) => {
      for (const { stream, payload } of events) {
        await tx.query(
          'insert into sums (stream, sum) values ($1, $2) on conflict (stream) do update set sum = sums.sum + excluded.sum',
          [stream, (payload as { n: number }).n],
        );
      }
    },
    reset: async (tx) => {
      await tx.query('truncate sums');
    },
  };
}

describe('views in PostgreSQL', function () {
  this.timeout(30_000);
  let db: FreshDatabase;
  let log: PostgresLog;
  let store: PostgresViews;
  let projector: Projector<Tx> | undefined;
  let children: ChildProcess[];

  beforeEach(async () => {
    db = await freshDatabase();
    log = new PostgresLog({ database: db.database, catalogue: TEST_EVENTS });
    store = new PostgresViews(db.database, { ...MIGRATIONS, '999-sums': SUMS });
    children = [];
    await db.database.query(TABLE.join(';'));
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await projector?.stop();
    projector = undefined;
    await store.close();
    await log.close();
    await db.drop();
  });

  async function count(to: number): Promise<number> {
    const appended = await Promise.all(
      Array.from({ length: to }, (_, n) => log.append({ stream: 'test/a', expected: 'any', events: [Counted({ n })] })),
    );
    return Math.max(...appended.map(({ position }) => position));
  }
  async function sum(): Promise<number | undefined> {
    const { rows } = await db.database.query<{ sum: number }>(`select sum from sums where stream = 'test/a'`);
    return rows[0]?.sum;
  }
  function start(view = sumView()): Projector<Tx> {
    projector = new Projector({ log, store, projections: [view], retryMaxMs: 50 });
    projector.start();
    return projector;
  }
  async function holder(): Promise<ChildProcess> {
    const child = spawn(process.execPath, ['test/fixtures/lock-child.ts', db.url, 'view/sums'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout!, 'data');
    return child;
  }

  it('folds the log of PostgreSQL, each event once', async () => {
    await start().caughtUp(await count(500));
    assert.equal(await sum(), (499 * 500) / 2);
  });

  for (const [what, signal] of [
    ['was killed', 'SIGKILL'],
    ['hangs and holds its connection open', 'SIGSTOP'],
  ] as const) {
    it(`are taken over within two seconds from a process that ${what}`, async () => {
      const child = await holder();
      const position = await count(10);
      start();
      await assert.rejects(
        projector!.caughtUp(position, undefined, 700),
        (error) => (error as GameError).code === 'VIEW_BEHIND',
      );
      child.kill(signal);
      // The one deadline that is a promise: two seconds, and what a loaded machine adds to it.
      await projector!.caughtUp(position, undefined, 2_000 + 1_500);
      assert.equal(await sum(), 45);
    });
  }

  it('go on elsewhere when the connection that holds the lock breaks', async () => {
    await start().caughtUp(await count(10));
    const other = new PostgresViews(db.database);
    const second = new Projector({ log, store: other, projections: [sumView()], retryMaxMs: 50 });
    second.start();
    try {
      for (let round = 1; round <= 5; round++) {
        await db.database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'hypogeum locks'`,
        );
        const position = await count(10);
        await until(async () => (await store.checkpoint('view/sums')).position >= position, 'the view at the end');
        assert.equal(await sum(), 45 * (round + 1));
      }
    } finally {
      await second.stop();
      await other.close();
    }
  });

  it('are made again and rebuilt when somebody dropped their table', async () => {
    await start().caughtUp(await count(20));
    await db.database.query('drop table sums');
    await projector!.caughtUp(await count(5));
    assert.equal(await sum(), 190 + 10);
    const { rows } = await db.database.query(`select indexname from pg_indexes where tablename = 'sums' order by 1`);
    assert.deepEqual(
      rows.map(({ indexname }) => indexname),
      ['sums_by_sum', 'sums_pkey', 'sums_stream_key'],
    );
    const { rows: leftovers } = await db.database.query(`select 1 from pg_namespace where nspname = 'hypogeum_repair'`);
    assert.deepEqual(leftovers, []);
  });

  it('say which table is missing when it is not theirs to make', async () => {
    await start(sumView([])).caughtUp(await count(3));
    await db.database.query('alter table sums rename to hidden');
    await count(3);
    const reading = () => projector!.readings[0]!;
    await until(() => reading().phase === 'stopped', 'a stopped view');
    assert.equal((reading().error as GameError).code, 'VIEW_MISSING');
    assert.match(reading().error!.message, /sums/);
    await db.database.query('alter table hidden rename to sums');
    await projector!.caughtUp(6);
    assert.equal(await sum(), 6);
  });

  it('are emptied in the time that a large one takes, not in that of a statement, when somebody wants them rebuilt', async () => {
    const database = await Database.open({ url: db.url, connectionsMax: 5, timeoutMs: 400 });
    const impatient = new PostgresViews(database, MIGRATIONS);
    const view = sumView();
    const slow: Projection<Tx> = {
      ...view,
      async reset(tx) {
        await tx.query('select pg_sleep(1)');
        await view.reset(tx);
      },
    };
    projector = new Projector({ log, store: impatient, projections: [slow], retryMaxMs: 50 });
    try {
      const position = await count(5);
      await impatient.advance('view/sums', 0, { position: 0, version: 1 }, view.reset);
      projector.start();
      await projector.caughtUp(position);
      await impatient.forget('view/sums');
      const rebuilds = () => projector!.readings[0]!.rebuildsTotal;
      await until(() => rebuilds() === 1, 'a rebuild');
      await projector.caughtUp(position);
      assert.equal(await sum(), 10);
    } finally {
      await projector.stop();
      await impatient.close();
      await database.close();
    }
  });

  it('stay with their checkpoint, whatever stands in names and reasons', async () => {
    const hostile = `view/x'; drop table event_checkpoints; --`;
    await store.advance(hostile, 0, { position: 3, version: 1 }, async () => undefined);
    assert.deepEqual(await store.checkpoint(hostile), { position: 3, version: 1 });
    const parked = new PostgresParked(db.database);
    const { events } = await log.append({ stream: 'test/a', expected: 0, events: [Counted({ n: 1 })] });
    const reason = `'; drop table parked_events; -- \0 \u{1f4a5} ${'x'.repeat(10_000)}`;
    await parked.park({ consumer: hostile, event: events[0]!, attempts: 5, reason, parkedAtMs: 1 });
    const [kept] = await parked.list(hostile);
    assert.deepEqual(kept!.event, events[0]);
    assert.equal(kept!.reason.length, 1_000);
    assert.deepEqual([...(await parked.counts())], [[hostile, 1]]);
    for (const position of [Number.NaN, -1, 1.5, 2 ** 53]) {
      await assert.rejects(
        store.advance('view/y', 0, { position, version: 1 }, async () => undefined),
        RangeError,
      );
    }
  });
});
