/** The first thing a player sees: a name, one click, and what the keys do. */
import { element } from './element.ts';
import type { ReplayLine } from './replay-lines.ts';

const NAME_KEY = 'hypogeum-name';
export const NAME_CHARS_MAX = 20;

/** Offered to who has no name yet: one click is then enough. */
const NAMES = ['Aelia', 'Cassia', 'Drusa', 'Felix', 'Lucan', 'Livia', 'Magnus', 'Nero', 'Octavia', 'Quintus'] as const;

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ['W A S D', 'move'],
  ['Mouse', 'aim, left to shoot, right for a rocket'],
  ['Space', 'dash'],
  ['Tab · N', 'scoreboard · connection'],
];

/** The same for thumbs; a device without a mouse shows these instead. */
const THUMBS: readonly (readonly [thumb: string, what: string])[] = [
  ['Left thumb', 'move'],
  ['Right thumb', 'aim; push further to shoot'],
  ['Buttons', 'rocket, dash'],
];

export class Door {
  readonly root = element('main', { class: 'door' });
  readonly #name = element('input', {
    id: 'player-name',
    name: 'name',
    type: 'text',
    maxlength: String(NAME_CHARS_MAX),
    autocomplete: 'nickname',
    spellcheck: 'false',
    enterkeyhint: 'go',
    required: '',
  });
  readonly #play = element('button', { class: 'button-main', type: 'submit', text: 'Play' });
  readonly #error = element('p', { class: 'door-error', role: 'alert' });
  readonly #replays = element('nav', { class: 'door-replays', 'aria-label': 'Replays' });

  /**
   * @param onPlay called with a trimmed, non-empty name
   * @param links address and text of what else there is
   */
  constructor(onPlay: (name: string) => void, links: readonly (readonly [href: string, text: string])[]) {
    this.#name.value = readName() || NAMES[Math.floor(Math.random() * NAMES.length)]!;
    const form = element('form', { novalidate: '' }, [
      element('label', { for: 'player-name', text: 'Your name' }),
      this.#name,
      this.#play,
    ]);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const name = this.#name.value.trim();
      if (name === '') {
        this.fail('Please choose a name of 1 to 20 visible characters.');
        this.#name.focus();
        return;
      }
      keepName(name);
      onPlay(name);
    });
    const controls = (kind: string, lines: typeof KEYS): HTMLElement =>
      element(
        'dl',
        { class: `door-keys ${kind}` },
        lines.flatMap(([control, what]) => [element('dt', { text: control }), element('dd', { text: what })]),
      );
    this.root.append(
      element('div', { class: 'door-card' }, [
        element('h1', { text: 'Hypogeum' }),
        element('p', { class: 'door-line', text: 'One arena. Rockets, a rifle, and a dash.' }),
        form,
        this.#error,
        element(
          'nav',
          { class: 'door-hall', 'aria-label': 'Players and leaderboards' },
          links.map(([href, text]) => element('a', { href, text })),
        ),
        controls('for-mouse', KEYS),
        controls('for-touch', THUMBS),
        this.#replays,
      ]),
    );
    this.#error.hidden = true;
    this.#replays.hidden = true;
  }

  get name(): string {
    return this.#name.value.trim();
  }

  /** Ready for a click. */
  open(): void {
    this.root.hidden = false;
    this.#play.disabled = false;
    this.#play.textContent = 'Play';
    (this.#name.value === '' ? this.#name : this.#play).focus({ preventScroll: true });
  }

  wait(text: string): void {
    this.#error.hidden = true;
    this.#play.disabled = true;
    this.#play.textContent = text;
  }

  fail(sentence: string): void {
    this.#error.textContent = sentence;
    this.#error.hidden = sentence === '';
  }

  close(): void {
    this.root.hidden = true;
  }

  showReplays(lines: readonly ReplayLine[]): void {
    this.#replays.hidden = lines.length === 0;
    const list = element(
      'ul',
      {},
      lines.map(({ id, label, note }) =>
        element('li', {}, [
          element('a', { href: `?replay=${encodeURIComponent(id)}` }, [
            element('span', { text: label }),
            element('span', { text: note }),
          ]),
        ]),
      ),
    );
    this.#replays.replaceChildren(element('h2', { text: 'Latest matches' }), list);
  }
}

function readName(): string {
  try {
    return (localStorage.getItem(NAME_KEY) ?? '').slice(0, NAME_CHARS_MAX);
  } catch {
    return '';
  }
}

function keepName(name: string): void {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    // Storage is off: the name is asked for again next time.
  }
}
