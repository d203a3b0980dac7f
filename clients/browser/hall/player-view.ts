/** A player's page: ratings and matches of anybody, and of oneself purse, items and what came and went. */
import { element } from '../hud/element.ts';
import { amountText } from './assets.ts';
import {
  actionButton,
  dateOf,
  heading,
  line,
  loaded,
  momentOf,
  playerLink,
  table,
  type View,
  type ViewContext,
} from './view.ts';

interface Player {
  readonly playerId: string;
  readonly name: string;
  readonly isAnonymous: boolean;
  readonly createdAtMs: number;
}

interface Rating {
  readonly mode: string;
  readonly points: number;
  readonly isProvisional: boolean;
  readonly matches: number;
}

interface PlayedMatch {
  readonly matchId: string;
  readonly roomName: string;
  readonly reason: 'completed' | 'abandoned' | 'shutdown';
  readonly endedAtMs: number;
  readonly participants: number;
  readonly rank: number;
  readonly score: Readonly<Record<string, number>>;
}

interface Amount {
  readonly asset: string;
  readonly amountMinor: number;
}

interface HistoryEntry {
  readonly position: number;
  readonly atMs: number;
  readonly reason: string;
  readonly changes: readonly { readonly asset: string; readonly deltaMinor: number }[];
}

/** `#me` */
export const meView: View = (body, context) => {
  const { account } = context.session;
  if (account === undefined) {
    body.append(
      heading('Your profile'),
      line('Nobody is signed in here. Play a match as a guest, or sign in.'),
      element('a', { class: 'button-plain', href: '#account', text: 'Sign in' }),
    );
    return;
  }
  const title = heading(account.name || 'Your profile');
  if (account.isAnonymous) title.append(element('span', { class: 'tag', text: 'guest' }));
  body.append(title);
  if (account.isAnonymous) {
    body.append(
      element('p', { class: 'hall-line' }, [
        'You play as a guest. ',
        element('a', { href: '#account', text: 'Register' }),
        ' to keep everything below, on every device.',
      ]),
    );
  }
  body.append(purse(context), ratingsOf('me', context), matchesOf('me', context), historyOf(context));
};

/** `#player/<playerId>` */
export const playerView: View = (body, context) => {
  const { api, session, signal, words } = context;
  const playerId = words[0] ?? '';
  if (playerId === session.account?.playerId) {
    meView(body, context);
    return;
  }
  const address = `players/${encodeURIComponent(playerId)}`;
  const title = heading('Player');
  body.append(
    title,
    loaded(
      signal,
      'the player',
      () => api.get<Player>(`/api/${address}`, signal),
      (player) => {
        title.textContent = player.name;
        return [
          line(`Here since ${dateOf(player.createdAtMs)}${player.isAnonymous ? ', as a guest' : ''}.`),
          element('div', { class: 'hall-row' }, [
            actionButton('Add friend', async () => {
              await api.put(`/api/me/friends/${playerId}`);
              location.hash = '#friends';
            }),
            element('a', { class: 'button-plain', href: `#trade/with/${playerId}`, text: 'Trade' }),
            actionButton('Block', async () => {
              await api.put(`/api/me/blocks/${playerId}`);
              location.hash = '#friends';
            }),
          ]),
          ratingsOf(address, context),
          matchesOf(address, context),
        ];
      },
    ),
  );
};

function ratingsOf(address: string, { api, signal }: ViewContext): HTMLElement {
  return section(
    'Rating',
    loaded(
      signal,
      'the rating',
      () => api.get<{ ratings: Rating[] }>(`/api/${address}/ratings`, signal),
      ({ ratings }) => {
        if (ratings.length === 0) return [line('No rated match yet.')];
        return [
          element(
            'ul',
            { class: 'hall-cards' },
            ratings.map(({ mode, points, isProvisional, matches }) =>
              element('li', {}, [
                element('b', { class: 'number', text: points.toLocaleString() }),
                element('span', { text: `${mode} · ${count(matches, 'match', 'matches')}` }),
                ...(isProvisional ? [element('span', { class: 'tag', text: 'provisional' })] : []),
              ]),
            ),
          ),
        ];
      },
    ),
  );
}

function matchesOf(address: string, { api, signal }: ViewContext): HTMLElement {
  const columns = [
    ['When', false],
    ['Mode', false],
    ['Place', true],
    ['Frags', true],
    ['Replay', false],
  ] as const;
  const page = (before: number | undefined): HTMLElement =>
    loaded(
      signal,
      'the matches',
      () => {
        const from = before === undefined ? '' : `&before=${before}`;
        return api.get<{ matches: PlayedMatch[]; next: number | null }>(
          `/api/${address}/matches?limit=10${from}`,
          signal,
        );
      },
      ({ matches, next }) => {
        if (matches.length === 0) return [line('No match yet.')];
        const rows = matches.map((match) => ({
          cells: [
            element('a', { href: `#match/${match.matchId}`, text: momentOf(match.endedAtMs) }),
            match.roomName,
            match.reason === 'completed' ? `${match.rank} of ${match.participants}` : 'not counted',
            String(match.score['frags'] ?? '–'),
            replayLink(match.matchId),
          ],
        }));
        return [table('Matches, the newest first', columns, rows), ...(next === null ? [] : [older(() => page(next))])];
      },
    );
  return section('Matches', page(undefined));
}

function purse({ api, signal }: ViewContext): HTMLElement {
  interface Items {
    readonly stacks: readonly Amount[];
    readonly uniques: readonly { readonly itemId: string; readonly kind: string; readonly isHeld: boolean }[];
  }
  return section(
    'Purse and items',
    loaded(
      signal,
      'your purse',
      () =>
        Promise.all([
          api.get<{ balances: Amount[]; held: Amount[] }>('/api/me/wallet', signal),
          api.get<Items>('/api/me/items', signal),
        ]),
      ([{ balances, held }, { stacks, uniques }]) => {
        const currencies = balances.filter(({ asset }) => !asset.startsWith('item/'));
        const cards = [
          ...currencies.map((one) => [amountText(one), 'in your purse'] as const),
          ...held.map((one) => [amountText(one), 'on hold'] as const),
          ...stacks.map((one) => [amountText(one), 'item'] as const),
          ...uniques.map(({ kind, isHeld }) => [kind, isHeld ? 'one of a kind, on hold' : 'one of a kind'] as const),
        ];
        if (cards.length === 0) return [line('Nothing yet: finished matches earn coins.')];
        return [
          element(
            'ul',
            { class: 'hall-cards' },
            cards.map(([what, note]) =>
              element('li', {}, [element('b', { text: what }), element('span', { text: note })]),
            ),
          ),
        ];
      },
    ),
  );
}

function historyOf({ api, signal }: ViewContext): HTMLElement {
  const columns = [
    ['When', false],
    ['What for', false],
    ['Change', true],
  ] as const;
  const page = (before: number | undefined): HTMLElement =>
    loaded(
      signal,
      'what came and went',
      () => {
        const from = before === undefined ? '' : `&before=${before}`;
        return api.get<{ entries: HistoryEntry[]; next?: number }>(`/api/me/history?limit=10${from}`, signal);
      },
      ({ entries, next }) => {
        if (entries.length === 0) return [line('Nothing yet.')];
        const rows = entries.map(({ atMs, reason, changes }) => ({
          cells: [
            momentOf(atMs),
            reason.replaceAll('-', ' '),
            changes
              .map(({ asset, deltaMinor }) =>
                asset.startsWith('i-')
                  ? `${deltaMinor > 0 ? '+' : '−'} an item`
                  : `${deltaMinor > 0 ? '+' : '−'}${amountText({ asset, amountMinor: Math.abs(deltaMinor) })}`,
              )
              .join(', '),
          ],
        }));
        const list = table('What came and went, the newest first', columns, rows);
        return [list, ...(next === undefined ? [] : [older(() => page(next))])];
      },
    );
  return section('What came and went', page(undefined));
}

/** `#match/<matchId>` */
export const matchView: View = (body, { api, session, signal, words }) => {
  interface Match extends Omit<PlayedMatch, 'participants' | 'rank' | 'score'> {
    readonly standings: readonly {
      readonly playerId: string;
      readonly name: string;
      readonly isBot: boolean;
      readonly rank: number;
      readonly leftTick?: number;
      readonly score: Readonly<Record<string, number>>;
    }[];
  }
  const endings = {
    completed: 'Played to the end',
    abandoned: 'Abandoned',
    shutdown: 'Cut short by the server',
  } as const;
  body.append(
    heading('Match'),
    loaded(
      signal,
      'the match',
      () => api.get<Match>(`/api/matches/${encodeURIComponent(words[0] ?? '')}`, signal),
      (match) => {
        const rows = match.standings.map((row) => ({
          isOwn: row.playerId !== '' && row.playerId === session.account?.playerId,
          cells: [
            String(row.rank),
            row.isBot ? 'Bot' : playerLink(row.playerId, row.name),
            String(row.score['frags'] ?? '–'),
            String(row.score['deaths'] ?? '–'),
            row.leftTick === undefined ? '' : 'left early',
          ],
        }));
        return [
          line(`${endings[match.reason]}, ${momentOf(match.endedAtMs)}.`),
          table(
            'Standings',
            [
              ['Rank', true],
              ['Player', false],
              ['Frags', true],
              ['Deaths', true],
              ['', false],
            ],
            rows,
          ),
          element('div', { class: 'hall-row' }, [replayLink(match.matchId)]),
        ];
      },
    ),
  );
};

/** Loads the next page in its own place. */
function older(page: () => HTMLElement): HTMLElement {
  const button = element('button', { class: 'button-plain', type: 'button', text: 'Show older' });
  button.addEventListener('click', () => button.replaceWith(page()));
  return button;
}

function replayLink(matchId: string): HTMLElement {
  return element('a', { href: `?replay=${encodeURIComponent(matchId)}`, text: 'Watch' });
}

function section(title: string, content: HTMLElement): HTMLElement {
  return element('section', { class: 'hall-section' }, [element('h3', { text: title }), content]);
}

function count(number: number, one: string, more: string): string {
  return `${number.toLocaleString()} ${number === 1 ? one : more}`;
}
