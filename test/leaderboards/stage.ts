/** Boards with everything behind them: a log whose clock the test turns, the fold in PostgreSQL, an index, a closer. */
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { BoardsView, PostgresBoards } from '../../src/adapters/postgres-boards.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { ScoreSubmitted } from '../../src/events/leaderboard-events.ts';
import { viewKey } from '../../src/events/projector.ts';
import { BoardFeeder } from '../../src/leaderboards/board-feeder.ts';
import type { BoardIndex, RankedEntry } from '../../src/leaderboards/board-index.ts';
import { Boards } from '../../src/leaderboards/boards.ts';
import { contributionsOf, type Entry, withScore } from '../../src/leaderboards/scoring.ts';
import { SeasonCloser } from '../../src/leaderboards/season-closer.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';

export const TEST_BOARDS = new Boards([
  { id: 'sum', title: 'Sum', operator: 'sum', order: 'descending', source: 'submitted' },
  { id: 'best', title: 'Best', operator: 'best', order: 'ascending', source: 'submitted' },
  { id: 'latest', title: 'Latest', operator: 'latest', order: 'descending', source: 'submitted' },
  {
    id: 'daily',
    title: 'Day in Rome',
    operator: 'sum',
    order: 'descending',
    calendar: { every: 'day', timeZone: 'Europe/Rome' },
    source: 'submitted',
  },
  {
    id: 'weekly-frags',
    title: 'Frags',
    operator: 'sum',
    order: 'descending',
    calendar: { every: 'week', timeZone: 'America/New_York' },
    source: { roomName: 'arena', column: 'frags' },
  },
]);

export class BoardStage {
  readonly db: FreshDatabase;
  readonly log: MemoryLog;
  readonly view = new BoardsView(TEST_BOARDS);
  readonly views: PostgresViews;
  readonly table: PostgresBoards;
  readonly clock: { nowMs: number };

  private constructor(db: FreshDatabase, clock: { nowMs: number }) {
    this.db = db;
    this.clock = clock;
    this.log = new MemoryLog({ catalogue: EVENTS, nowMs: () => clock.nowMs });
    this.views = new PostgresViews(db.database);
    this.table = new PostgresBoards(db.database);
  }

  static async open(now: string): Promise<BoardStage> {
    return new BoardStage(await freshDatabase(), { nowMs: Date.parse(now) });
  }

  setClock(now: string): void {
    this.clock.nowMs = Date.parse(now);
  }

  score(boardId: string, playerId: string, score: number, key?: string) {
    return this.log.append({
      stream: `leaderboard/${boardId}`,
      expected: 'any',
      events: [ScoreSubmitted({ boardId, playerId, score })],
      ...(key === undefined ? {} : { key }),
    });
  }

  /** Folds what is new, in pages, as the projector does. */
  async fold(pageMax = 1000, pagesMax = Number.POSITIVE_INFINITY): Promise<void> {
    const key = viewKey(this.view.name);
    let { position } = await this.views.checkpoint(key);
    let pages = 0;
    for await (const events of this.log.readAll(position, { types: this.view.types, pageMax })) {
      if (events.length === 0) continue;
      if (pages++ >= pagesMax) return;
      const to = events.at(-1)!.position;
      await this.views.advance(key, position, { position: to, version: 1 }, (tx) => this.view.fold(tx, events));
      position = to;
    }
  }

  /** Begins the view anew, without folding. */
  async resetView(): Promise<void> {
    const key = viewKey(this.view.name);
    const { position } = await this.views.checkpoint(key);
    await this.views.advance(key, position, { position: 0, version: 1 }, (tx) => this.view.reset(tx));
  }

  feeder(index: BoardIndex, changesMax = 7): BoardFeeder {
    return new BoardFeeder({
      boards: TEST_BOARDS,
      index,
      table: this.table,
      watch: (onAppended) => this.log.watch(onAppended),
      nowMs: () => this.clock.nowMs,
      changesMax,
    });
  }

  closer(): SeasonCloser {
    return new SeasonCloser({ boards: TEST_BOARDS, log: this.log, table: this.table, nowMs: () => this.clock.nowMs });
  }

  /** Folds and closes until there is nothing to close, as time would. */
  async settle(closers = [this.closer()]): Promise<void> {
    for (;;) {
      await this.fold();
      const waiting = await Promise.all(closers.map((closer) => closer.close()));
      await this.fold();
      if (waiting.every((count) => count === 0)) return;
    }
  }

  async ofType<Payload>(type: string): Promise<{ payload: Payload; recordedAtMs: number; position: number }[]> {
    const found: { payload: Payload; recordedAtMs: number; position: number }[] = [];
    for await (const events of this.log.readAll(0, { types: [type] }))
      found.push(...(events as readonly unknown[] as typeof found));
    return found;
  }

  async close(): Promise<void> {
    await this.views.close();
    await this.db.drop();
  }
}

/** What a season looks like, by folding all of the log at once and sorting; without erased players. */
export async function modelOf(
  stage: BoardStage,
  boardId: string,
  seasonId: string,
  erased: ReadonlySet<string> = new Set(),
): Promise<RankedEntry[]> {
  const board = TEST_BOARDS.get(boardId)!;
  const entries = new Map<string, Entry>();
  for await (const events of stage.log.readAll(0)) {
    for (const added of events.flatMap((event) => contributionsOf(TEST_BOARDS, event))) {
      if (added.board !== board || added.season.id !== seasonId || erased.has(added.playerId)) continue;
      entries.set(added.playerId, withScore(board, entries.get(added.playerId), added));
    }
  }
  const sign = board.order === 'descending' ? -1 : 1;
  const sorted = [...entries.values()].sort(
    (a, b) => sign * (a.score - b.score) || a.achieved - b.achieved || (a.playerId < b.playerId ? -1 : 1),
  );
  const scores = [...new Set(sorted.map(({ score }) => score))];
  return sorted.map((entry) => ({ ...entry, rank: scores.indexOf(entry.score) + 1 }));
}
