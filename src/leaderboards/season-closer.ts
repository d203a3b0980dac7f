/**
 * Ends seasons, once each. Which season a score counts for needs no closing: it follows from when its event was
 * recorded, so a season is over for everybody at the same position of the log, whatever the clocks of processes say
 * later. Closing writes down what the result was.
 *
 * A season may be closed once the fold of the log holds an event recorded at its end or later: the times of the log
 * never run backwards, so no more scores can come for it. Where nobody plays, the closer itself appends such an event.
 * Any number of processes may do this at any time; the key of the closing event makes it happen once.
 */
import type { EventLog } from '../events/event-log.ts';
import { SeasonClosed, SeasonEnded } from '../events/leaderboard-events.ts';
import type { BoardReader } from './board-index.ts';
import type { Boards } from './boards.ts';
import type { Season } from './calendar.ts';

/** A season in which somebody scored. */
export interface SeasonRow extends Season {
  readonly boardId: string;
  readonly closedAtMs: number | undefined;
}

export interface OpenSeasons {
  /** When the newest folded event was recorded. */
  readonly recordedAtMs: number;
  /** Oldest end first, at most 1,000. */
  readonly seasons: readonly SeasonRow[];
}

/** Seasons as the fold of the log knows them. */
export interface SeasonTable extends BoardReader {
  /** Newest first, of those before an id. @throws GameError DATABASE_UNAVAILABLE */
  seasons(boardId: string, before: string | undefined, limit: number): Promise<readonly SeasonRow[]>;
  /** Seasons that are not closed and whose end is not after that. @throws GameError as `BoardReader` */
  openSeasons(endedBeforeMs: number): Promise<OpenSeasons>;
}

export interface SeasonCloserOptions {
  readonly boards: Boards;
  readonly log: Pick<EventLog, 'append'>;
  readonly table: SeasonTable;
  /** Wall clock, ms since 1970. */
  readonly nowMs?: () => number;
  /** Between two looks. Default 5,000. */
  readonly everyMs?: number;
  /** Told of a look that failed; the next one tries again. */
  readonly onError?: (error: unknown) => void;
}

/** Places that the closing event names. */
const TOP = 100;
const MINUTE_MS = 60_000;

export class SeasonCloser {
  readonly #options: SeasonCloserOptions;
  readonly #nowMs: () => number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: SeasonCloserOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#look();
    this.#timer = setInterval(() => this.#look(), this.#options.everyMs ?? 5_000);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#looking;
  }

  /**
   * Closes what can be closed now.
   * @returns how many of the seasons that are over could not be closed yet, as the fold does not reach past their end
   */
  async close(): Promise<number> {
    const { boards, log, table } = this.#options;
    const nowMs = this.#nowMs();
    const { recordedAtMs, seasons } = await table.openSeasons(nowMs);
    let waiting = 0;
    for (const { boardId, id: seasonId, startsAtMs, endsAtMs } of seasons) {
      const board = boards.get(boardId);
      // Not declared any more, or an end that never comes: the query has no such rows, the types do.
      if (board === undefined || endsAtMs === undefined) continue;
      const stream = `leaderboard/${boardId}`;
      if (recordedAtMs < endsAtMs) {
        waiting++;
        // A key of this minute: processes do not fill the log, and one whose clock was ahead does not block the rest.
        const key = `season-ended/${boardId}/${seasonId}/${Math.floor(nowMs / MINUTE_MS)}`;
        await log.append({ stream, expected: 'any', key, events: [SeasonEnded({ boardId, seasonId })] });
        continue;
      }
      const { entries, players } = await table.page({ boardId, seasonId, order: board.order }, undefined, TOP);
      const top = entries.map(({ playerId, score, rank }) => ({ playerId, score, rank }));
      const closed = SeasonClosed({ boardId, seasonId, startsAtMs: Math.max(0, startsAtMs), endsAtMs, players, top });
      await log.append({ stream, expected: 'any', key: `season-closed/${boardId}/${seasonId}`, events: [closed] });
    }
    return waiting;
  }

  #look(): void {
    this.#looking ??= this.close()
      .then(
        () => undefined,
        (error: unknown) => this.#options.onError?.(error),
      )
      .finally(() => {
        this.#looking = undefined;
      });
  }
}
