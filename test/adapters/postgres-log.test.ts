import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Database } from '../../src/adapters/database.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { type Append, AppendChain, type Appended } from '../../src/events/event-log.ts';
import { Counted, everything, isRefusal, LOG_TEST_EVENTS, Noted, streamOf } from '../contract/event-log.contract.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';

const append = (stream: string, expected: Append['expected'], text: string, key?: string): Append => ({
  stream,
  expected,
  events: [Noted({ text })],
  ...(key === undefined ? {} : { key }),
});

describe('PostgresLog', () => {
  let fresh: FreshDatabase;
  let database: Database;
  let log: PostgresLog;
  const opened: PostgresLog[] = [];

  function another(options: { readonly queueMax?: number } = {}): PostgresLog {
    const one = new PostgresLog({ database, catalogue: LOG_TEST_EVENTS, ...options });
    opened.push(one);
    return one;
  }

  beforeEach(async () => {
    fresh = await freshDatabase();
    database = fresh.database;
    log = another();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await fresh.drop();
  });

  /** Resolves once so many connections of the database wait for a lock. */
  async function untilWaiting(count: number): Promise<void> {
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
      const { rows } = await database.query<{ n: number }>(
        `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      if (rows[0]!.n >= count) return;
    }
    assert.fail('nobody waits for a lock');
  }

  it('never lets a reader skip what commits late', async () => {
    await log.append(append('a/1', 0, 'one'));
    const slow = await database.connect('slow writer');
    await slow.query('begin');
    await log.appendWithin(slow as unknown as pg.PoolClient, append('a/2', 0, 'slow'));
    const fast = Promise.all([log.append(append('a/3', 0, 'fast')), another().append(append('a/4', 0, 'fast'))]);
    await untilWaiting(2);
    assert.deepEqual([(await everything(log)).length, await log.head()], [1, 1]);
    await slow.query('commit');
    await slow.end();
    await fast;
    const seen = (await everything(log, 1)).map(({ position, stream }) => [position, stream]);
    assert.deepEqual(seen[0], [2, 'a/2']);
    assert.deepEqual(
      seen.map(([position]) => position),
      [2, 3, 4],
    );
  });

  it('gives positions of a transaction that was undone to the next one', async () => {
    await assert.rejects(
      database.transaction(async (tx) => {
        await log.appendWithin(tx, append('a/1', 0, 'undone', 'k'));
        throw new Error('changed my mind');
      }),
      /changed my mind/,
    );
    const { position, isRepeat } = await log.append(append('a/1', 0, 'one', 'k'));
    assert.deepEqual([position, isRepeat], [1, false]);
  });

  it('appends within a transaction of the caller, refuses and repeats there', async () => {
    await log.append(append('a/1', 0, 'one', 'k'));
    await database.transaction(async (tx) => {
      await assert.rejects(log.appendWithin(tx, append('a/1', 0, 'x')), isRefusal('LOG_CONFLICT', { length: 1 }));
      assert.equal((await log.appendWithin(tx, append('a/1', 0, 'x', 'k'))).isRepeat, true);
      assert.equal((await log.appendWithin(tx, append('a/1', 'any', 'two'))).position, 2);
      assert.equal((await log.appendWithin(tx, append('a/1', 2, 'three'))).position, 3);
    });
    assert.equal((await streamOf(log, 'a/1')).length, 3);
  });

  it('lets several processes race on one stream and on the same keys: each key once, no gap', async () => {
    const logs = [log, another(), another()];
    const answers = await Promise.all(
      logs.flatMap((each) =>
        Array.from({ length: 100 }, (_, i) => each.append(append(`a/${i % 3}`, 'any', `${i}`, `k${i}`))),
      ),
    );
    assert.equal(answers.filter(({ isRepeat }) => !isRepeat).length, 100);
    const all = await everything(log);
    assert.equal(new Set(all.map(({ key }) => key)).size, 100);
    for (let i = 0; i < 100; i++) assert.deepEqual(answers[i]!.events, answers[200 + i]!.events);
    const winners = await Promise.allSettled(logs.map((each) => each.append(append('b/1', 0, 'x'))));
    assert.equal(winners.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('breaks a chain when another process came between, also for what would fit again', async () => {
    await log.append(append('a/1', 0, 'one'));
    const chain = new AppendChain();
    const rival = another();
    await rival.append(append('a/1', 1, 'rival'));
    const outcomes = await Promise.allSettled([
      log.append({ ...append('a/1', 1, 'x'), chain }),
      log.append({ ...append('a/1', 2, 'x'), chain }),
    ]);
    for (const outcome of outcomes) isRefusal('LOG_CONFLICT')((outcome as PromiseRejectedResult).reason);
    assert.equal(chain.isBroken, true);
    assert.equal((await streamOf(log, 'a/1')).length, 2);
  });

  it('keeps what it acknowledged when connections are killed, and repeats bring each key once', async () => {
    const killer = await database.connect('killer');
    const keys = Array.from({ length: 400 }, (_, i) => `k${i}`);
    const acknowledged = new Map<string, Appended>();
    let failures = 0;
    const commands = keys.map(async (key, i) => {
      while (!acknowledged.has(key)) {
        try {
          acknowledged.set(key, await log.append(append(`a/${i % 7}`, 'any', key, key)));
        } catch (error) {
          isRefusal('DATABASE_UNAVAILABLE')(error);
          failures++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    for (let kill = 0; kill < 5 || failures === 0; kill++) {
      await killer.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`);
      // More work for the next kill to hit.
      commands.push(
        log.append(append('b/1', 'any', 'x')).then(
          () => undefined,
          () => void failures++,
        ),
      );
    }
    await killer.end();
    await Promise.all(commands);
    const all = (await everything(log)).filter(({ key }) => key !== undefined);
    assert.equal(all.length, keys.length);
    for (const event of all) assert.deepEqual(acknowledged.get(event.key!)!.events, [event]);
  });

  it('does not fail others when the server refuses one of a batch', async () => {
    await database.query(`alter table events add check (payload not like '%poison%')`);
    const outcomes = await Promise.allSettled(
      ['one', 'poison', 'two'].map((text, i) => log.append(append(`a/${i}`, 0, text))),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(await log.head(), 2);
  });

  it('refuses with OVERLOADED what its queue does not hold, and stores the rest', async () => {
    const small = another({ queueMax: 10 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, (_, i) => small.append(append('a/1', 'any', `${i}`))),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 10);
    for (const outcome of outcomes) if (outcome.status === 'rejected') isRefusal('OVERLOADED')(outcome.reason);
    assert.equal(await log.head(), 10);
  });

  const damages: readonly (readonly [what: string, sql: string, code: string])[] = [
    ['a changed payload', `update events set payload = '{"text":"ona"}' where position = 2`, 'EVENT_CORRUPT'],
    ['a changed type', `update events set type = 'log-test.counted' where position = 2`, 'EVENT_CORRUPT'],
    ['a changed place', `update events set seq = 9 where position = 2`, 'EVENT_CORRUPT'],
    ['a changed key', `update events set key = 'other' where position = 2`, 'EVENT_CORRUPT'],
    ['a missing row', `delete from events where position = 2`, 'LOG_GAP'],
    ['a missing end', `delete from events where position = 3`, 'LOG_GAP'],
  ];
  for (const [what, sql, code] of damages) {
    it(`finds ${what} when it reads, and what is before it still reads`, async () => {
      for (const i of [0, 1, 2]) await log.append(append('a/1', i, 'one', `k${i}`));
      await database.query(sql);
      await assert.rejects(everything(log), isRefusal(code));
      if (what !== 'a missing end') await assert.rejects(streamOf(log, 'a/1'), isRefusal(code));
      const first = await log.readAll(0, { pageMax: 1 })[Symbol.asyncIterator]().next();
      assert.equal(first.value?.[0]?.position, 1);
    });
  }

  it('refuses types it does not know and versions newer than its own', async () => {
    const { EventCatalogue, defineEvent } = await import('../../src/events/event.ts');
    const newer = defineEvent(Noted.type, Noted.shape, [(payload) => payload]);
    const strange = defineEvent('log-test.strange', Noted.shape);
    const future = new PostgresLog({ database, catalogue: new EventCatalogue([newer, strange]) });
    await future.append({ stream: 'a/1', expected: 0, events: [newer({ text: 'x' })] });
    await future.append({ stream: 'a/2', expected: 0, events: [strange({ text: 'x' })] });
    await future.close();
    await assert.rejects(streamOf(log, 'a/1'), isRefusal('EVENT_VERSION', { position: 1, version: 2, known: 1 }));
    await assert.rejects(streamOf(log, 'a/2'), isRefusal('EVENT_UNKNOWN', { position: 2 }));
  });

  it('lifts what an older program wrote', async () => {
    const { EventCatalogue, defineEvent } = await import('../../src/events/event.ts');
    const z = await import('zod');
    const older = defineEvent(Counted.type, z.strictObject({ count: z.number() }));
    const past = new PostgresLog({ database, catalogue: new EventCatalogue([older]) });
    await past.append({ stream: 'a/1', expected: 0, events: [older({ count: 1.25 })] });
    await past.close();
    const [event] = await streamOf(log, 'a/1');
    assert.deepEqual([event!.version, event!.payload], [1, { countMinor: 125 }]);
  });

  it('tells watchers of other processes, also after the connection that listens was lost', async () => {
    const other = another();
    let calls = 0;
    const end = log.watch(() => calls++);
    await log.append(append('a/1', 0, 'one'));
    const { rows } = await database.query<{ pid: number }>(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hypogeum event watch'`,
    );
    assert.ok(rows.length <= 1);
    await other.append(append('a/1', 1, 'two'));
    const before = calls;
    for (const deadline = Date.now() + 10_000; calls === before && Date.now() < deadline; ) {
      await once(AbortSignal.timeout(50), 'abort');
    }
    assert.ok(calls > before);
    end();
  });

  it('tells own watchers of what was appended within a transaction, not with the next look a second later', async () => {
    let calls = 0;
    const end = log.watch(() => calls++);
    const heardOf = async (work: () => Promise<unknown>): Promise<void> => {
      const before = calls;
      await work();
      for (const deadline = Date.now() + 10_000; calls === before && Date.now() < deadline; ) await delay(5);
      assert.ok(calls > before);
    };
    // Listening says so by a call of its own; here by what another process appends.
    await heardOf(() => another().append(append('a/1', 0, 'one')));
    const beganAtMs = performance.now();
    for (let n = 0; n < 10; n++) {
      await heardOf(() => database.transaction((tx) => log.appendWithin(tx, append('a/2', n, 'within'))));
    }
    // The looks alone would take ten times a second.
    assert.ok(performance.now() - beganAtMs < 5_000);
    end();
  });

  it('looks up keys and streams through indexes, whatever the size of the table', async () => {
    // Plans are made on an empty table by the first append and kept for the session.
    await log.append(append('a/1', 0, 'first', 'first'));
    await database.query(`
      insert into events (position, stream, seq, type, version, payload, key, nth, recorded_at_ms, checksum)
      select i, 's/' || i % 1000, i, 'log-test.noted', 1, '{}', 'key' || i, 0, 0, 0 from generate_series(2, 50000) i`);
    await database.query('update event_head set position = 50000');
    const scanned = async () => {
      await database.query('select pg_stat_force_next_flush()').catch(() => undefined);
      const { rows } = await database.query<{ n: number }>(`
        select coalesce(seq_tup_read, 0) + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'events') as n
        from pg_stat_user_tables where relname = 'events'`);
      return Number(rows[0]!.n);
    };
    const before = await scanned();
    await Promise.all(Array.from({ length: 100 }, (_, i) => log.append(append(`n/${i}`, 0, 'x', `n${i}`))));
    const read = (await scanned()) - before;
    assert.ok(read < 5_000, `read ${read} rows for 100 appends`);
  });
});
