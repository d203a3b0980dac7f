/** The hall behind the door: players and leaderboards. Each screen has an address, so that it can be kept and sent. */
import { element } from '../hud/element.ts';
import type { Api } from '../net/api.ts';
import type { Finder } from '../net/finder.ts';
import type { Session } from '../net/session.ts';
import { accountView } from './account-view.ts';
import { boardsView } from './boards-view.ts';
import { friendsView } from './friends-view.ts';
import { matchView, meView, playerView } from './player-view.ts';
import { queueView } from './queue-view.ts';
import { shopView } from './shop-view.ts';
import { tradeView } from './trade-view.ts';
import type { View } from './view.ts';

/** By the first word of the address behind `#`. */
const VIEWS: Readonly<Record<string, View>> = {
  queue: queueView,
  boards: boardsView,
  me: meView,
  player: playerView,
  match: matchView,
  friends: friendsView,
  shop: shopView,
  trade: tradeView,
  account: accountView,
};

/** What the menu offers, in its order. */
export const HALL_LINKS = [
  ['queue', 'Find a match'],
  ['boards', 'Leaderboards'],
  ['me', 'Profile'],
  ['friends', 'Friends'],
  ['shop', 'Shop'],
  ['trade', 'Trades'],
  ['account', 'Account'],
] as const;

export class Hall {
  readonly root = element('main', { class: 'hall', 'aria-label': 'Players and leaderboards' });
  readonly #session: Session;
  readonly #api: Api;
  readonly #finder: Finder;
  readonly #behind: HTMLElement;
  readonly #onLeave: () => void;
  readonly #body = element('div', { class: 'hall-body' });
  readonly #links: readonly (readonly [name: string, link: HTMLAnchorElement])[];
  #screen = new AbortController();
  #shownAs: string | undefined;
  /** What had the focus behind it, to get it back. */
  #cameFrom: HTMLElement | undefined;

  /**
   * @param behind what it covers: out of reach of keys and screen readers while the hall is open
   * @param onLeave called when it closes itself, so that the door can open
   */
  constructor(session: Session, api: Api, finder: Finder, behind: HTMLElement, onLeave: () => void) {
    this.#behind = behind;
    this.#session = session;
    this.#api = api;
    this.#finder = finder;
    this.#onLeave = onLeave;
    this.#links = HALL_LINKS.map(([name, text]) => [name, element('a', { href: `#${name}`, text })]);
    this.root.append(
      element('header', { class: 'hall-head' }, [
        element('a', { class: 'hall-home', href: '#', text: 'Hypogeum' }),
        element(
          'nav',
          { class: 'hall-tabs', 'aria-label': 'Hall' },
          this.#links.map(([, link]) => link),
        ),
        element('a', { class: 'button-plain', href: '#', text: 'Back to the door' }),
      ]),
      this.#body,
    );
    this.root.hidden = true;
    addEventListener('hashchange', () => this.follow());
    session.onChange(() => {
      // A renewed token changes nothing to be seen; another person does.
      if (!this.root.hidden && this.#who() !== this.#shownAs) this.#show();
    });
    this.root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') location.hash = '';
    });
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  /** Shows what the address asks for; true if that is a screen of the hall. */
  follow(): boolean {
    const name = words()[0] ?? '';
    if (Object.hasOwn(VIEWS, name)) {
      this.#show();
      return true;
    }
    if (this.isOpen) {
      this.close();
      this.#onLeave();
      this.#cameFrom?.focus({ preventScroll: true });
    }
    return false;
  }

  close(): void {
    this.#screen.abort();
    this.root.hidden = true;
    this.#behind.inert = false;
    this.#body.replaceChildren();
  }

  #show(): void {
    const [name = '', ...rest] = words();
    const view = VIEWS[name];
    if (view === undefined) return;
    this.#screen.abort();
    this.#screen = new AbortController();
    this.#shownAs = this.#who();
    if (this.root.hidden) {
      const focused = document.activeElement;
      this.#cameFrom = focused instanceof HTMLElement && this.#behind.contains(focused) ? focused : undefined;
    }
    this.root.hidden = false;
    this.#behind.inert = true;
    for (const [of, link] of this.#links) {
      if (of === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    const body = element('div', { class: 'hall-screen' });
    view(body, {
      api: this.#api,
      session: this.#session,
      finder: this.#finder,
      signal: this.#screen.signal,
      words: rest,
    });
    this.#body.replaceChildren(body);
    this.root.scrollTop = 0;
    body.querySelector<HTMLElement>('h2')?.focus({ preventScroll: true });
  }

  #who(): string {
    const { account } = this.#session;
    return account === undefined ? '' : `${account.playerId} ${account.isAnonymous}`;
  }
}

function words(): string[] {
  return location.hash.slice(1).split('/');
}
