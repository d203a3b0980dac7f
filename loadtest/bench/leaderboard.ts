/**
 * A leaderboard of a million: what a question costs the index in memory, the index in Redis, and a plain
 * `select count(*)` over an indexed table, the usual way to find a rank. All three stand on the same rows and are asked
 * for the same players in the same run.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/adapters/database.ts';
import { EmbeddedPostgres } from '../../src/adapters/embedded-postgres.ts';
import { MemoryBoards } from '../../src/adapters/memory-boards.ts';
import { migrate } from '../../src/adapters/migrate.ts';
import { BoardsView, PostgresBoards } from '../../src/adapters/postgres-boards.ts';
import { RedisBoards } from '../../src/adapters/redis-boards.ts';
import { ScoreSubmitted } from '../../src/events/leaderboard-events.ts';
import { BoardFeeder } from '../../src/leaderboards/board-feeder.ts';
import type { BoardIndex, BoardReader, RankedEntry, SeasonKey } from '../../src/leaderboards/board-index.ts';
import { Boards } from '../../src/leaderboards/boards.ts';
import { RedisServer } from '../../test/fixtures/redis-server.ts';
import { atLeast, atMost, defineBench, percentile, type ResultRow } from './bench.ts';

const KEY: SeasonKey = { boardId: 'bench', seasonId: 'all', order: 'descending' };
const BOARDS = new Boards([
  { id: 'bench', title: 'Bench', operator: 'best', order: 'descending', source: 'submitted' },
]);
/** Scores 0 to this: some are shared, most are not. */
const SCORE_MAX = 2_000_000;
const REACH = 5;
const PAGE = 25;

export default defineBench({
  name: 'leaderboard',
  summary: 'submit, rank, around-me and page among a million, in memory, in Redis and counted in SQL',
  options: {
    entries: { type: 'number', default: 1_000_000, quick: 20_000, min: 100, max: 5_000_000, help: 'players' },
    samples: {
      type: 'number',
      default: 5_000,
      quick: 200,
      min: 10,
      max: 1_000_000,
      help: 'of each question to an index',
    },
    'sql-samples': { type: 'number', default: 20, quick: 10, min: 5, max: 10_000, help: 'of each question to SQL' },
  },
  async run({ options, progress }) {
    const { entries, samples } = options;
    const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-bench-boards-'));
    const closers: (() => Promise<unknown>)[] = [() => rm(dataDir, { recursive: true, force: true })];
    try {
      progress('starting PostgreSQL and Redis');
      const postgres = await EmbeddedPostgres.start({ dataDir });
      closers.unshift(() => postgres.stop());
      const database = await Database.open({ url: postgres.url, timeoutMs: 120_000 });
      closers.unshift(() => database.close());
      await migrate(database);
      const server = await RedisServer.start();
      closers.unshift(() => server.stop());
      const redis = await RedisBoards.open({ url: server.url, orderOf: () => KEY.order, timeoutMs: 10_000 });
      closers.unshift(() => redis.close());

      progress(`writing ${entries} rows`);
      await fill(database, entries);
      const table = new PostgresBoards(database);
      const memory = new MemoryBoards(() => KEY.order);
      const results: ResultRow[] = [];
      const load = async (store: string, index: BoardIndex): Promise<void> => {
        progress(`filling ${store}`);
        const feeder = new BoardFeeder({ boards: BOARDS, index, table, watch: () => () => undefined });
        const beganAtMs = performance.now();
        await feeder.sync();
        const seconds = (performance.now() - beganAtMs) / 1000;
        results.push({ store, question: 'fill from the table', samples: 1, 'p50 ms': seconds * 1000, 'p99 ms': null });
      };
      await load('memory', memory);
      await load('redis', redis);

      const p50Ms = new Map<string, number>();
      const p99Ms = new Map<string, number>();
      const measure = async (store: string, question: string, count: number, ask: (n: number) => Promise<unknown>) => {
        progress(`${store}: ${question}`);
        for (let n = 0; n < Math.min(count / 10, 200); n++) await ask(n);
        const tookMs = new Float64Array(count);
        for (let n = 0; n < count; n++) {
          const beganAtMs = performance.now();
          await ask(n);
          tookMs[n] = performance.now() - beganAtMs;
        }
        const [p50, p99] = [percentile(tookMs, 0.5), percentile(tookMs, 0.99)];
        p50Ms.set(`${store} ${question}`, p50);
        p99Ms.set(`${store} ${question}`, p99);
        results.push({ store, question, samples: count, 'p50 ms': p50, 'p99 ms': p99 });
      };
      const someone = (n: number): string => playerOf(1 + ((n * 7_919 + 13) % entries));
      // Not those who submitted: the same players with the same scores in every store.
      const asked = (n: number): string => someone(n + 100_000);
      const deep = (await memory.around(KEY, someone(1), 0, 0))![0]!;

      for (const [store, index] of [
        ['memory', memory],
        ['redis', redis],
      ] as const) {
        let mark = (await index.mark())!;
        let position = entries;
        await measure(store, 'submit', samples, async (n) => {
          const change = { ...KEY, playerId: someone(n), score: (n * 104_729) % SCORE_MAX, achieved: ++position };
          const to = { ...mark, after: String(position), position };
          if (!(await index.apply(mark, [change], to, new Map([['bench', 'all']])))) throw new Error('fed by another');
          mark = to;
        });
        await measure(store, 'rank', samples, async (n) => expectOne(await index.of(KEY, [asked(n)])));
        await measure(store, 'around', samples, (n) => index.around(KEY, asked(n), REACH, REACH));
        await measure(store, 'top', samples, () => index.page(KEY, undefined, PAGE));
        await measure(store, 'deep page', samples, () => index.page(KEY, deep, PAGE));
      }

      const sqlSamples = options['sql-samples'];
      const view = new BoardsView(BOARDS);
      let position = entries;
      await measure('sql', 'submit', sqlSamples, (n) =>
        database.transaction((tx) => {
          const payload = { boardId: 'bench', playerId: someone(n), score: SCORE_MAX + n };
          const event = {
            ...ScoreSubmitted(payload),
            position: ++position,
            stream: 'leaderboard/bench',
            seq: position,
          };
          return view.fold(tx, [{ ...event, key: undefined, recordedAtMs: position }]);
        }),
      );
      await measure('sql', 'rank', sqlSamples, (n) => countRank(database, asked(n)));
      await measure('sql', 'around', sqlSamples, (n) => table.around(KEY, asked(n), REACH, REACH));
      await measure('sql', 'top', sqlSamples, () => table.page(KEY, undefined, PAGE));
      await measure('sql', 'deep page', sqlSamples, () => table.page(KEY, deep, PAGE));
      await checkEqual(table, memory, redis, someone);

      const ratio = (store: string) => p50Ms.get('sql rank')! / p50Ms.get(`${store} rank`)!;
      return {
        results,
        goals: [
          atMost('rank in memory, p99', p99Ms.get('memory rank')!, 0.1, 'ms'),
          atMost('rank in Redis, p99', p99Ms.get('redis rank')!, 5, 'ms'),
          atLeast('count(*) over rank in memory, p50', ratio('memory'), 100, 'x'),
          atLeast('count(*) over rank in Redis, p50', ratio('redis'), 10, 'x'),
        ],
      };
    } finally {
      for (const close of closers) await close();
    }
  },
});

function playerOf(n: number): string {
  return `a-${String(n).padStart(22, '0')}`;
}

/** Rows as the fold would have left them. */
async function fill(database: Database, entries: number): Promise<void> {
  await database.query(
    `insert into board_entries
     select 'bench', 'all', 'a-' || lpad(n::text, 22, '0'), score, -score, n, n
     from (select n, (n::bigint * 48271) % $2 as score from generate_series(1, $1::int) n) as row`,
    [entries, SCORE_MAX],
  );
  await database.query('update board_state set position = $1', [entries]);
  await database.query('vacuum analyze board_entries');
}

/** What most would write: how many stand before, by counting. */
async function countRank(database: Database, playerId: string): Promise<number> {
  const { rows } = await database.query<{ better: number }>(
    `select count(*) as better from board_entries where board_id = 'bench' and season_id = 'all' and score is not null
     and sort_key < (select sort_key from board_entries
       where board_id = 'bench' and season_id = 'all' and player_id = $1)`,
    [playerId],
  );
  return rows[0]!.better;
}

function expectOne(entries: readonly RankedEntry[]): void {
  if (entries.length !== 1) throw new Error('a player is missing');
}

/** The indexes were written to apart from the table, so they are compared with each other, and the table with itself. */
async function checkEqual(
  table: BoardReader,
  memory: BoardReader,
  redis: BoardReader,
  someone: (n: number) => string,
): Promise<void> {
  for (let n = 0; n < 5; n++) {
    const [own] = await memory.of(KEY, [someone(n)]);
    const [other] = await redis.of(KEY, [someone(n)]);
    if (JSON.stringify(own) !== JSON.stringify(other)) throw new Error('memory and Redis do not agree');
    expectOne(await table.of(KEY, [someone(n)]));
  }
}
