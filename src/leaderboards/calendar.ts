/**
 * Seasons: which stretch of time a moment belongs to, by the calendar of a place. Pure but for the time-zone data of
 * the running Node. Every process of a deployment must therefore run the same Node; what was closed stays as its
 * event says.
 *
 * A season begins at the first moment at which the clocks of its zone show its first date or a later one. So there is
 * one start a season although a day may have 23 or 25 hours, begin at one o'clock (midnight skipped) or never happen
 * (a zone that crosses the date line), and clocks set back over midnight do not reopen yesterday.
 */
export type SeasonLength = 'day' | 'week' | 'month';

export interface Calendar {
  /** Weeks begin on Monday. */
  readonly every: SeasonLength;
  /** IANA name, such as `Europe/Rome`. */
  readonly timeZone: string;
}

export interface Season {
  /** The local date on which it begins, `2026-11-23`, so ids sort by time; `all` when there are no seasons. */
  readonly id: string;
  /** Wall clock, ms since 1970. */
  readonly startsAtMs: number;
  /** First moment after it; undefined when it never ends. */
  readonly endsAtMs: number | undefined;
}

/** The one season of a board without seasons. */
export const ALL_TIME: Season = Object.freeze({ id: 'all', startsAtMs: 0, endsAtMs: undefined });
export const SEASON_ID = /^(?:all|\d{4}-\d{2}-\d{2})$/;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Local dates run up to 14 h before and 12 h behind UTC; with local mean times of old, below 16. */
const OFFSET_MAX_MS = 16 * HOUR_MS;
/** Computed seasons that are remembered, a calendar. */
const REMEMBERED_MAX = 16;

/** Tells the season of any moment, by one calendar. */
export class SeasonClock {
  readonly #calendar: Calendar | undefined;
  readonly #format: Intl.DateTimeFormat | undefined;
  #remembered: Season[] = [];

  /** @throws RangeError for a time zone that Node does not know */
  constructor(calendar: Calendar | undefined) {
    this.#calendar = calendar;
    if (calendar === undefined) return;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: calendar.timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** @param atMs wall clock, ms since 1970, not negative */
  at(atMs: number): Season {
    if (this.#calendar === undefined) return ALL_TIME;
    const known = this.#remembered.find((season) => season.startsAtMs <= atMs && atMs < season.endsAtMs!);
    if (known !== undefined) return known;
    let first = firstDate(atMs + this.#offsetMs(atMs), this.#calendar.every);
    // Clocks set back over midnight show yesterday once more although its successor has begun; a date that a zone
    // skipped has no length.
    for (;;) {
      const next = nextDate(first, this.#calendar.every);
      if (this.#startMs(next) > atMs) break;
      first = next;
    }
    return this.#remember(first);
  }

  /** The season of that id. Undefined for an id that no season has, such as a Tuesday for weeks. */
  named(id: string): Season | undefined {
    if (this.#calendar === undefined) return id === ALL_TIME.id ? ALL_TIME : undefined;
    if (!SEASON_ID.test(id) || id === ALL_TIME.id) return undefined;
    const dateMs = Date.parse(`${id}T00:00:00Z`);
    // The years that seasons can be in; the engine's calendar also has dates that no clock will show.
    if (Number.isNaN(dateMs) || isoDate(dateMs) !== id || dateMs < 0) return undefined;
    if (firstDate(dateMs, this.#calendar.every) !== dateMs) return undefined;
    const season = this.at(Math.max(0, this.#startMs(dateMs)));
    return season.id === id ? season : undefined;
  }

  before(season: Season): Season | undefined {
    return season.startsAtMs <= 0 ? undefined : this.at(season.startsAtMs - 1);
  }

  #remember(dateMs: number): Season {
    const season: Season = Object.freeze({
      id: isoDate(dateMs),
      startsAtMs: this.#startMs(dateMs),
      endsAtMs: this.#startMs(nextDate(dateMs, this.#calendar!.every)),
    });
    this.#remembered = [season, ...this.#remembered].slice(0, REMEMBERED_MAX);
    return season;
  }

  /** First moment at which local time is `dateMs` (a local midnight, counted as if it were UTC) or later. */
  #startMs(dateMs: number): number {
    let low = dateMs - OFFSET_MAX_MS;
    let high = dateMs + OFFSET_MAX_MS;
    const before = this.#offsetMs(low);
    const after = this.#offsetMs(high);
    if (before === after) return dateMs - before;
    // The moment at which the offset changes; no zone ever changed twice in 32 hours.
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offsetMs(middle) === before) low = middle;
      else high = middle;
    }
    return dateMs - before < high ? dateMs - before : Math.max(high, dateMs - after);
  }

  /** Local time minus UTC, ms. */
  #offsetMs(atMs: number): number {
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format!.formatToParts(atMs)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts;
    const localMs = Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
    return localMs - Math.floor(atMs / 1000) * 1000;
  }
}

/** First date of the season that a local time lies in; both counted as if they were UTC, ms. */
function firstDate(localMs: number, every: SeasonLength): number {
  const date = Math.floor(localMs / DAY_MS) * DAY_MS;
  if (every === 'day') return date;
  const parts = new Date(date);
  if (every === 'month') return Date.UTC(parts.getUTCFullYear(), parts.getUTCMonth(), 1);
  return date - ((parts.getUTCDay() + 6) % 7) * DAY_MS;
}

function nextDate(dateMs: number, every: SeasonLength): number {
  if (every === 'day') return dateMs + DAY_MS;
  if (every === 'week') return dateMs + 7 * DAY_MS;
  const parts = new Date(dateMs);
  return Date.UTC(parts.getUTCFullYear(), parts.getUTCMonth() + 1, 1);
}

function isoDate(dateMs: number): string {
  return new Date(dateMs).toISOString().slice(0, 10);
}
