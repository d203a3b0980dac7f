/**
 * The leaderboards of this game: a studio declares its own here. A board is never renamed and its operator, order and
 * calendar never change once it has scores; declare a new one instead.
 */
import { type Calendar, SeasonClock } from './calendar.ts';

/** What becomes of a player's score when another one comes in. */
export type Operator = 'best' | 'latest' | 'sum';
/** `descending`: more is better. */
export type Order = 'descending' | 'ascending';

export interface BoardDeclaration {
  /** Kebab-case, at most 48 characters. */
  readonly id: string;
  readonly title: string;
  readonly operator: Operator;
  readonly order: Order;
  /** Without one the board has a single season, `all`. */
  readonly calendar?: Calendar;
  /**
   * Where scores come from: a column of the standings of completed matches of one room type (people only, no bots), or
   * the admin route.
   */
  readonly source: { readonly roomName: string; readonly column: string } | 'submitted';
}

export interface Board extends BoardDeclaration {
  readonly seasons: SeasonClock;
}

/** Every board of a program, by id. */
export class Boards {
  readonly #byId = new Map<string, Board>();

  /** @throws RangeError for an id that is not kebab-case or taken, or an unknown time zone */
  constructor(declarations: readonly BoardDeclaration[]) {
    for (const declaration of declarations) {
      const { id, calendar } = declaration;
      if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(id) || id.length > 48) throw new RangeError(`${id} is no board id`);
      if (this.#byId.has(id)) throw new RangeError(`the board ${id} is declared twice`);
      this.#byId.set(id, Object.freeze({ ...declaration, seasons: new SeasonClock(calendar) }));
    }
  }

  get all(): readonly Board[] {
    return [...this.#byId.values()];
  }

  get(id: string): Board | undefined {
    return this.#byId.get(id);
  }
}

export const BOARDS = new Boards([
  {
    id: 'arena-frags-weekly',
    title: 'Frags of the week',
    operator: 'sum',
    order: 'descending',
    calendar: { every: 'week', timeZone: 'UTC' },
    source: { roomName: 'arena', column: 'frags' },
  },
  {
    id: 'arena-best-frags',
    title: 'Most frags in one match',
    operator: 'best',
    order: 'descending',
    source: { roomName: 'arena', column: 'frags' },
  },
  {
    id: 'event-points-daily',
    title: 'Event points of the day',
    operator: 'sum',
    order: 'descending',
    calendar: { every: 'day', timeZone: 'Europe/Rome' },
    source: 'submitted',
  },
  {
    id: 'trial-ms-monthly',
    title: 'Fastest trial of the month',
    operator: 'best',
    order: 'ascending',
    calendar: { every: 'month', timeZone: 'Europe/Rome' },
    source: 'submitted',
  },
]);
