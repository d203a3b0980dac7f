/** Who defeated whom, newest last, each line for a few seconds. */
import { element } from './element.ts';

const LINES_MAX = 5;
const LINE_MS = 6000;

export class KillFeed {
  readonly root = element('ul', { class: 'feed', 'aria-label': 'Kill feed', 'aria-live': 'off' });
  readonly #endsAtMs: number[] = [];

  /** Adds a line. Empty `killer` means that nobody else was involved. */
  add(nowMs: number, killer: string, victim: string, how: string, isOwn: boolean): void {
    const line = element('li', isOwn ? { class: 'is-own' } : {});
    if (killer !== '') line.append(element('b', { text: killer }));
    line.append(element('span', { class: 'feed-weapon', text: how }), element('b', { text: victim }));
    this.root.append(line);
    this.#endsAtMs.push(nowMs + LINE_MS);
    while (this.root.childElementCount > LINES_MAX) this.#dropOldest();
  }

  refresh(nowMs: number): void {
    while (this.#endsAtMs.length > 0 && this.#endsAtMs[0]! <= nowMs) this.#dropOldest();
  }

  clear(): void {
    while (this.#endsAtMs.length > 0) this.#dropOldest();
  }

  #dropOldest(): void {
    this.#endsAtMs.shift();
    this.root.firstElementChild?.remove();
  }
}
