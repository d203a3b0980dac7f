/** The table of all players: held open with Tab, shown by itself when a match ends, and beside a replay. */
import { element } from './element.ts';

/** One line, already in order, best first. */
export interface ScoreLine {
  readonly name: string;
  readonly isBot: boolean;
  readonly isOwn: boolean;
  readonly isAway: boolean;
  readonly frags: number;
  readonly deaths: number;
  readonly assists: number;
  /** `undefined` where a ping makes no sense, such as in a replay. */
  readonly pingMs: number | undefined;
}

/** Best first: more frags, then fewer deaths, then the lower seat, as the rules rank. */
export function compareScores(
  a: { frags: number; deaths: number; seat: number },
  b: { frags: number; deaths: number; seat: number },
): number {
  return b.frags - a.frags || a.deaths - b.deaths || a.seat - b.seat;
}

export class Scoreboard {
  readonly root = element('section', { class: 'board', 'aria-label': 'Scoreboard' });
  readonly foot = element('div', { class: 'board-foot' });
  readonly #title = element('h2');
  readonly #body = element('tbody');
  #drawn = '';

  constructor() {
    const heads = ['#', 'Player', 'Frags', 'Deaths', 'Assists', 'Ping'];
    const head = element(
      'tr',
      {},
      heads.map((text) => element('th', { scope: 'col', text })),
    );
    this.root.append(this.#title, element('table', {}, [element('thead', {}, [head]), this.#body]), this.foot);
    this.root.hidden = true;
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  show(isOpen: boolean): void {
    this.root.hidden = !isOpen;
  }

  set title(text: string) {
    if (this.#title.textContent !== text) this.#title.textContent = text;
  }

  /** Redraws the rows, if anything in them has changed. */
  fill(lines: readonly ScoreLine[]): void {
    const drawn = JSON.stringify(lines);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#body.replaceChildren(...lines.map((line, index) => this.#row(line, index)));
  }

  #row(line: ScoreLine, index: number): HTMLElement {
    const name = element('td', { text: line.name });
    if (line.isBot) name.append(element('span', { class: 'tag', text: 'bot' }));
    if (line.isAway) name.append(element('span', { class: 'tag', text: 'away' }));
    const ping = line.isBot || line.pingMs === undefined ? '–' : `${line.pingMs} ms`;
    const numbers = [`${line.frags}`, `${line.deaths}`, `${line.assists}`, ping];
    const state = [line.isOwn ? 'is-own' : '', line.isAway ? 'is-away' : ''].join(' ').trim();
    return element('tr', state === '' ? {} : { class: state }, [
      element('td', { class: 'number', text: `${index + 1}` }),
      name,
      ...numbers.map((text) => element('td', { class: 'number', text })),
    ]);
  }
}
