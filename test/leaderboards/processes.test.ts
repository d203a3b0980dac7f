import assert from 'node:assert/strict';
import { Database, type Tx } from '../../src/adapters/database.ts';
import { MemoryBoards } from '../../src/adapters/memory-boards.ts';
import { BoardsView, PostgresBoards } from '../../src/adapters/postgres-boards.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { RedisBoards } from '../../src/adapters/redis-boards.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { ScoreSubmitted, SeasonClosed } from '../../src/events/leaderboard-events.ts';
import { MatchEnded } from '../../src/events/match-events.ts';
import { Projector } from '../../src/events/projector.ts';
import { BoardFeeder } from '../../src/leaderboards/board-feeder.ts';
import type { BoardIndex, SeasonKey } from '../../src/leaderboards/board-index.ts';
import { SeasonCloser } from '../../src/leaderboards/season-closer.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { endedMatch, playerNamed, standing } from '../fixtures/ended-match.ts';
import { until } from '../fixtures/events-of-tests.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { TEST_BOARDS } from './stage.ts';

const FRAGS = { boardId: 'weekly-frags', order: 'descending' } as const;
const DAILY = { boardId: 'daily', order: 'descending' } as const;

/** Everything of leaderboards that a process runs, on the real log. */
class Process {
  readonly database: Database;
  readonly log: PostgresLog;
  readonly views: PostgresViews;
  readonly projector: Projector<Tx>;
  readonly table: PostgresBoards;
  readonly feeder: BoardFeeder;
  readonly closer: SeasonCloser;

  constructor(database: Database, index: BoardIndex, nowMs: () => number) {
    this.database = database;
    this.log = new PostgresLog({ database, catalogue: EVENTS, nowMs });
    this.views = new PostgresViews(database);
    const projections = [new BoardsView(TEST_BOARDS)];
    this.projector = new Projector({ log: this.log, store: this.views, projections });
    this.table = new PostgresBoards(database);
    const watch = (onAppended: () => void) => this.log.watch(onAppended);
    this.feeder = new BoardFeeder({ boards: TEST_BOARDS, index, table: this.table, watch, nowMs });
    this.closer = new SeasonCloser({ boards: TEST_BOARDS, log: this.log, table: this.table, nowMs, everyMs: 20 });
  }

  start(): void {
    this.projector.start();
    this.feeder.start();
    this.closer.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.closer.stop(), this.feeder.stop(), this.projector.stop()]);
    await this.views.close();
    await this.log.close();
    await this.database.close();
  }
}

describe('leaderboards of several processes on one log', () => {
  let db: FreshDatabase;
  let redis: RedisServer;
  let processes: Process[];
  let shared: RedisBoards[];
  const clock = { nowMs: 0 };

  before(async () => {
    redis = await RedisServer.start();
  });
  beforeEach(async () => {
    await redis.command((client) => client.flushall());
    clock.nowMs = Date.parse('2026-11-23T12:00:00Z');
    db = await freshDatabase();
    const orderOf = (boardId: string) => TEST_BOARDS.get(boardId)?.order;
    shared = [await RedisBoards.open({ url: redis.url, orderOf }), await RedisBoards.open({ url: redis.url, orderOf })];
    processes = [];
    for (const index of [new MemoryBoards(orderOf), new MemoryBoards(orderOf), ...shared]) {
      processes.push(new Process(await Database.open({ url: db.url, connectionsMax: 3 }), index, () => clock.nowMs));
    }
    for (const each of processes) each.start();
  });
  afterEach(async () => {
    await Promise.all(processes.map((each) => each.stop()));
    for (const index of shared) await index.close();
    await db.drop();
  });
  after(() => redis.stop());

  const seen = async ({ feeder }: Process, key: SeasonKey): Promise<[string, number, number][]> => {
    if (!feeder.reading.isReady) return [];
    const { entries } = await feeder.page(key, undefined, 10);
    return entries.map(({ playerId, score, rank }) => [playerId, score, rank]);
  };
  const report = (process: Process, matchId: string, winners: readonly string[]) => {
    const standings = winners.map((name, n) => standing(name, n + 1));
    return process.log.append({
      stream: `match/${matchId}`,
      expected: 'any',
      key: `match-ended/${matchId}`,
      events: [MatchEnded(endedMatch(matchId, standings))],
    });
  };

  it('show the same in each, whoever reported it, and a result that is reported twice counts once', async () => {
    await Promise.all(processes.map((each, n) => report(each, `m${n % 2}`, n % 2 === 0 ? ['A', 'B'] : ['B', 'C'])));
    const expected = [
      [playerNamed('B'), 17, 1],
      [playerNamed('A'), 9, 2],
      [playerNamed('C'), 8, 3],
    ];
    for (const each of processes) {
      const key = { ...FRAGS, seasonId: '2026-11-23' };
      await until(
        async () => JSON.stringify(await seen(each, key)) === JSON.stringify(expected),
        'the same everywhere',
      );
    }
  });

  it('close a season once while all of them try, though nobody plays any more', async () => {
    const [first] = processes as [Process];
    await first.log.append({
      stream: 'leaderboard/daily',
      expected: 'any',
      events: [ScoreSubmitted({ boardId: 'daily', playerId: 'a', score: 3 })],
    });
    const key = { ...DAILY, seasonId: '2026-11-23' };
    for (const each of processes) {
      await until(async () => (await seen(each, key)).length === 1, 'the score everywhere');
    }
    clock.nowMs = Date.parse('2026-11-27T00:00:00Z');
    const closed = async (): Promise<unknown[]> => {
      const found: unknown[] = [];
      for await (const events of first.log.readAll(0, { types: [SeasonClosed.type] })) {
        found.push(...events.map(({ payload }) => (payload as { seasonId: string }).seasonId));
      }
      return found;
    };
    await until(async () => (await first.table.seasons('daily', undefined, 5))[0]?.closedAtMs !== undefined, 'closed');
    // Every closer has looked once more after that.
    await Promise.all(processes.map(({ closer }) => closer.close()));
    assert.deepEqual(await closed(), ['2026-11-23']);
    for (const each of processes) assert.deepEqual(await seen(each, key), [['a', 3, 1]]);
  });
});
