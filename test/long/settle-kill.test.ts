import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/adapters/database.ts';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import { FileReplays } from '../../src/adapters/file-replays.ts';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import { migrate } from '../../src/adapters/migrate.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { MatchEnded, type MatchEndedPayload } from '../../src/events/match-events.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { MatchSettler } from '../../src/match/settler.ts';
import { MatchResults } from '../../src/results/match-results.ts';
import { type FreshDatabase, freshDatabase, type PrivatePostgres, privatePostgres } from '../fixtures/database.ts';
import { playerNamed } from '../fixtures/ended-match.ts';
import { CounterMatch, matchHeader } from '../fixtures/recorded-match.ts';
import { until } from '../fixtures/until.ts';

const CHILD = new URL('../fixtures/settle-child.ts', import.meta.url).pathname;
const SEED = 20261123;

describe('a result, when something dies between the end of a match and its being written', () => {
  let folder: string;
  let db: FreshDatabase;
  const logs: PostgresLog[] = [];
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-settle-'));
    db = await freshDatabase();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(logs.splice(0).map((log) => log.close()));
    await db.drop();
    await rm(folder, { recursive: true, force: true });
  });

  function openLog(database = db.database): PostgresLog {
    const log = new PostgresLog({ database, catalogue: EVENTS });
    logs.push(log);
    return log;
  }

  /** Results by match id, as the log has them. */
  async function resultsIn(log: PostgresLog): Promise<Map<string, MatchEndedPayload[]>> {
    const found = new Map<string, MatchEndedPayload[]>();
    for await (const page of log.readAll(0, { types: [MatchEnded.type] })) {
      for (const { payload } of page) {
        const result = payload as MatchEndedPayload;
        found.set(result.matchId, [...(found.get(result.matchId) ?? []), result]);
      }
    }
    return found;
  }

  /** A child that plays and settles until it is killed. */
  function play(doing: string): { readonly lines: string[]; kill(): Promise<void> } {
    const child = spawn(process.execPath, [CHILD, folder, db.url, doing], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const closed = once(child, 'close');
    const lines: string[] = [];
    let rest = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
    });
    return {
      lines,
      async kill() {
        child.kill('SIGKILL');
        await closed;
      },
    };
  }

  const endedIn = (lines: readonly string[]) =>
    lines.filter((line) => line.startsWith('ended ')).map((line) => line.slice('ended '.length));

  /** What the next start does. @returns ids that are replays then */
  async function settleNow(log: PostgresLog): Promise<Set<string>> {
    const totals = new JournalTotals();
    const journal = await FileJournal.open({ folder: join(folder, 'journal'), totals });
    try {
      const replays = await FileReplays.open({ folder: join(folder, 'replays'), keep: 100_000 });
      const results = new MatchResults({ log, onConflict: assert.fail });
      const settler = new MatchSettler({
        journal,
        replays,
        results: { report: async (report) => void (await results.report(report)) },
        totals,
        onFault: (error) => assert.fail(error as Error),
        onLost: assert.fail,
      });
      await settler.adopt();
      assert.equal(await settler.close(), 0);
      const left = (await journal.list()).filter(({ state }) => state === 'ended');
      assert.deepEqual(left, [], 'no journal of an ended match is left');
      return new Set((await replays.list(1_000)).map(({ id }) => id));
    } finally {
      await journal.close();
    }
  }

  for (const step of ['report', 'archive', 'remove'] as const) {
    it(`is written once by the next start, with its replay, if it is killed before the step ${step}`, async () => {
      const child = play(step);
      await until(() => child.lines.filter((line) => line === `at ${step}`).length === 3, 'three matches to get there');
      await child.kill();
      const ids = endedIn(child.lines);
      assert.equal(ids.length, 3);
      const log = openLog();
      assert.equal((await resultsIn(log)).size, step === 'report' ? 0 : 3);
      const replays = await settleNow(log);
      const results = await resultsIn(log);
      for (const id of ids) {
        assert.equal(results.get(id)?.length, 1);
        assert.deepEqual(
          results.get(id)![0]!.standings.map(({ playerId, rank }) => [playerId, rank]),
          [
            [playerNamed('A'), 1],
            [playerNamed('B'), 2],
          ],
        );
        assert.ok(replays.has(id));
      }
      assert.equal(results.size, 3);
    });
  }

  it('is there once for every match that ended, however often the process is killed at random', async function () {
    this.timeout(60_000);
    const rng = new Int32Array(4);
    seedSfc32(rng, 0, SEED);
    const ended: string[] = [];
    for (let i = 0; i < 6; i++) {
      const child = play('many');
      await until(() => child.lines.includes('adopted'), 'the next start to settle what was left');
      const wanted = 1 + nextBelow(rng, 0, 12);
      await until(() => endedIn(child.lines).length >= wanted, `${wanted} matches to end`);
      // Not at a line, but anywhere after it.
      await new Promise((resolve) => setTimeout(resolve, nextBelow(rng, 0, 15)));
      await child.kill();
      assert.deepEqual(
        child.lines.filter((line) => /^(conflict|lost|fault)/.test(line)),
        [],
      );
      ended.push(...endedIn(child.lines));
    }
    const log = openLog();
    const replays = await settleNow(log);
    const results = await resultsIn(log);
    for (const id of ended) {
      assert.equal(results.get(id)?.length, 1, `${id} has one result`);
      assert.ok(replays.has(id), `${id} has a replay`);
    }
    assert.ok([...results.values()].every((of) => of.length === 1));
  });

  it('is written once when two processes settle the same journal at the same time', async () => {
    const journal = new MemoryJournal({ totals: new JournalTotals() });
    for (let i = 0; i < 20; i++) {
      const header = matchHeader(`m-${i}`);
      await new CounterMatch(await journal.open(header, 1), header).play(30).end().writer.close();
    }
    const other = await Database.open({ url: db.url, connectionsMax: 3 });
    try {
      const faults: unknown[] = [];
      const settlers = [openLog(), openLog(other)].map((log) => {
        const results = new MatchResults({ log, onConflict: assert.fail });
        return new MatchSettler({
          journal,
          replays: { put: async () => {}, pseudonym: (id) => id },
          results: { report: async (report) => void (await results.report(report)) },
          totals: new JournalTotals(),
          onFault: (error) => faults.push(error),
          onLost: assert.fail,
        });
      });
      await Promise.all(settlers.map((settler) => settler.adopt()));
      await until(async () => (await journal.list()).length === 0, 'everything to be settled');
      const results = await resultsIn(logs[0]!);
      assert.equal(results.size, 20);
      assert.ok([...results.values()].every((of) => of.length === 1));
      await Promise.all(settlers.map((settler) => settler.close()));
      assert.deepEqual(faults, [], 'who comes late finds the journal gone, and that is fine');
    } finally {
      await logs.pop()!.close();
      await other.close();
    }
  });
});

describe('results, while the database is down,', () => {
  let server: PrivatePostgres;
  let database: Database;

  before(async function () {
    this.timeout(60_000);
    server = await privatePostgres({ isDurable: true });
    database = await Database.open({ url: server.url, timeoutMs: 2_000, connectTimeoutMs: 500 });
    await migrate(database);
  });
  after(async () => {
    await database.close();
    await server.drop();
  });

  it('wait in the journal and are written once when it is back; the replays are there at once', async () => {
    const journal = new MemoryJournal({ totals: new JournalTotals() });
    const log = new PostgresLog({ database, catalogue: EVENTS });
    const results = new MatchResults({ log, onConflict: assert.fail });
    const archived: string[] = [];
    const settler = new MatchSettler({
      journal,
      replays: { put: async ({ header }) => void archived.push(header.matchId), pseudonym: (id) => id },
      results: { report: async (report) => void (await results.report(report)) },
      totals: new JournalTotals(),
      onFault: () => undefined,
      onLost: assert.fail,
    });
    await server.kill9();
    for (let i = 0; i < 10; i++) {
      const header = matchHeader(`down-${i}`);
      await new CounterMatch(await journal.open(header, 1), header).play(30).end().writer.close();
      const participants = [
        { seat: 0, playerId: playerNamed('A'), isBot: false, rank: 1, ticks: 30, score: { total: 1 } },
      ];
      const report = { header, ticks: 30, reason: 'completed' as const, participants };
      assert.equal(await settler.settle(report, { isRecorded: true }).archived, true);
    }
    await until(() => settler.collect().resultFailuresTotal >= 10, 'every first try to fail');
    assert.equal(settler.collect().resultsWaiting, 10);
    assert.equal((await journal.list()).length, 10);
    await server.start();
    await until(() => settler.collect().resultsWaiting === 0, 'the results');
    await until(async () => (await journal.list()).length === 0, 'the journals to be forgotten');
    const seen: string[] = [];
    for await (const page of log.readAll(0, { types: [MatchEnded.type] })) {
      for (const { payload } of page) seen.push((payload as MatchEndedPayload).matchId);
    }
    assert.deepEqual(seen.sort(), archived.sort());
    assert.equal(new Set(seen).size, 10);
    await settler.close();
    await log.close();
  });
});
