/**
 * Keeps an index like the table, and answers from the table while the index cannot. Writes are absolute and move the
 * index's own mark with them, so feeding it twice, from several processes, or after it was lost, leads to the same.
 */
import { GameError } from '../kernel/errors.ts';
import type { BoardFeed, BoardIndex, BoardPage, BoardReader, FeedMark, RankedEntry, SeasonKey } from './board-index.ts';
import type { Boards } from './boards.ts';
import type { Entry } from './scoring.ts';

/** Changes of one write: a few ms of an index's time. */
const CHANGES_MAX = 2_000;
/** The table is folded soon after the log grew; how long and how often to look for that. */
const HOT_MS = 1_000;
const HOT_EVERY_MS = 50;

export interface BoardFeederOptions {
  readonly boards: Boards;
  readonly index: BoardIndex;
  readonly table: BoardReader & BoardFeed;
  /** `EventLog.watch` */
  readonly watch: (onAppended: () => void) => () => void;
  readonly nowMs?: () => number;
  /** Told when feeding fails; it is tried again within a second. */
  readonly onError?: (error: unknown) => void;
  readonly changesMax?: number;
}

/** Since the start, and how it stands. */
export interface BoardFeederReading {
  readonly isReady: boolean;
  readonly position: number;
  readonly changesTotal: number;
  /** Questions that the table answered as the index could not. */
  readonly fallbacksTotal: number;
  /** Times the index was empty, or of another generation, and was filled anew. */
  readonly rebuildsTotal: number;
}

export class BoardFeeder implements BoardReader {
  readonly #options: BoardFeederOptions;
  readonly #nowMs: () => number;
  readonly #changesMax: number;
  /** First season of each board that the index has; only moves on. */
  readonly #oldest = new Map<string, string>();
  /** The index was told of {@link #oldest}. */
  #isWindowTold = false;
  #mark: FeedMark | undefined;
  #recordedAtMs = 0;
  #changes = 0;
  #fallbacks = 0;
  #rebuilds = 0;
  #unwatch: (() => void) | undefined;
  #hotUntilMs = 0;
  #running: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;

  constructor(options: BoardFeederOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#changesMax = options.changesMax ?? CHANGES_MAX;
  }

  start(): void {
    this.#unwatch ??= this.#options.watch(() => {
      this.#hotUntilMs = performance.now() + HOT_MS;
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined;
      });
    });
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    await this.#running;
  }

  get reading(): BoardFeederReading {
    return {
      isReady: this.#mark?.isReady === true,
      position: this.#mark?.position ?? 0,
      changesTotal: this.#changes,
      fallbacksTotal: this.#fallbacks,
      rebuildsTotal: this.#rebuilds,
    };
  }

  /** Wall clock, but never before what the log has: which season it is. */
  get nowMs(): number {
    return Math.max(this.#nowMs(), this.#recordedAtMs);
  }

  page(key: SeasonKey, after: Entry | undefined, limit: number): Promise<BoardPage> {
    return this.#ask(key, (reader) => reader.page(key, after, limit));
  }

  around(key: SeasonKey, playerId: string, before: number, after: number) {
    return this.#ask(key, (reader) => reader.around(key, playerId, before, after));
  }

  of(key: SeasonKey, playerIds: readonly string[]): Promise<readonly RankedEntry[]> {
    return this.#ask(key, (reader) => reader.of(key, playerIds));
  }

  async #ask<T>(key: SeasonKey, question: (reader: BoardReader) => Promise<T>): Promise<T> {
    const { index, table } = this.#options;
    const oldest = this.#oldest.get(key.boardId);
    if (oldest === undefined || key.seasonId < oldest) return question(table);
    try {
      return await question(index);
    } catch (error) {
      if (!(error instanceof GameError) || (error.code !== 'STORE_UNAVAILABLE' && error.code !== 'OVERLOADED')) {
        throw error;
      }
      this.#fallbacks++;
      return question(table);
    }
  }

  async #run(): Promise<void> {
    do {
      try {
        await this.sync();
      } catch (error) {
        this.#options.onError?.(error);
        return; // The log calls again within a second.
      }
      if (this.#unwatch === undefined || performance.now() >= this.#hotUntilMs) return;
      await new Promise((resolve) => setTimeout(resolve, HOT_EVERY_MS));
    } while (this.#unwatch !== undefined);
  }

  /** Brings the index to where the table is now. One at a time; a call meanwhile gets the one that runs. */
  sync(): Promise<void> {
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  async #sync(): Promise<void> {
    const { index, table } = this.#options;
    this.#moveWindow();
    // Asked each time: an index outside of this process may have lost everything since, or be fed by another one.
    let mark = await index.mark();
    for (;;) {
      this.#mark = mark;
      const page = await table.changes(mark?.after ?? '', this.#changesMax, this.#oldest);
      this.#recordedAtMs = Math.max(this.#recordedAtMs, page.recordedAtMs);
      if (mark === undefined) {
        if (page.isRebuilding) return;
        this.#rebuilds++;
      } else if (mark.generation !== page.generation || page.position < mark.position) {
        // Until the table is complete again, what the index has is better than nothing.
        if (page.isRebuilding) return;
        await index.reset(mark.generation);
        mark = await index.mark();
        continue;
      }
      const isLast = page.changes.length < this.#changesMax;
      const to: FeedMark = {
        generation: page.generation,
        after: page.after,
        position: isLast ? page.position : (mark?.position ?? 0),
        isReady: mark?.isReady === true || isLast,
      };
      if (mark !== undefined && this.#isWindowTold && page.changes.length === 0 && sameMark(mark, to)) return;
      const isDone = await index.apply(mark, page.changes, to, this.#oldest);
      if (isDone) {
        this.#changes += page.changes.length;
        this.#isWindowTold = true;
      }
      mark = isDone ? to : await index.mark();
      this.#mark = mark;
      if (isDone && isLast) return;
    }
  }

  /** The index holds the present season of each board and the one before. */
  #moveWindow(): void {
    for (const { id, seasons } of this.#options.boards.all) {
      const present = seasons.at(this.nowMs);
      const first = seasons.before(present)?.id ?? present.id;
      const oldest = this.#oldest.get(id);
      if (oldest !== undefined && oldest >= first) continue;
      this.#oldest.set(id, first);
      this.#isWindowTold = false;
    }
  }
}

function sameMark(a: FeedMark, b: FeedMark): boolean {
  return a.generation === b.generation && a.after === b.after && a.position === b.position && a.isReady === b.isReady;
}
