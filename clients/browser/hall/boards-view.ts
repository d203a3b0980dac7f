/** Leaderboards: one tab each, the top, around oneself, or friends, of any season. */
import { element } from '../hud/element.ts';
import { dateOf, heading, line, loaded, playerLink, table, tabs, type View, type ViewContext } from './view.ts';

interface Board {
  readonly board: string;
  readonly title: string;
  readonly season: string;
  readonly every: 'day' | 'week' | 'month' | null;
  readonly timeZone: string | null;
  readonly endsAtMs: number | null;
}

interface Row {
  readonly rank: number;
  readonly playerId: string;
  readonly name: string | null;
  readonly score: number;
}

interface Page {
  readonly rows: readonly Row[];
  readonly players?: number;
  readonly cursor?: string | null;
}

interface Season {
  readonly season: string;
  readonly startsAtMs: number;
  readonly endsAtMs: number | null;
}

const PAGE = 25;
const PARTS = [
  ['top', 'Top'],
  ['around', 'Around me'],
  ['friends', 'Friends'],
] as const;
const PERIODS = { day: 'every day', week: 'every week', month: 'every month' } as const;

/** `#boards/<board>/<part>/<season>` */
export const boardsView: View = (body, context) => {
  const { api, signal, words } = context;
  body.append(
    heading('Leaderboards'),
    loaded(
      signal,
      'the leaderboards',
      () => api.get<{ boards: Board[] }>('/api/leaderboards', signal),
      ({ boards }) => {
        const board = boards.find((one) => one.board === words[0]) ?? boards[0];
        if (board === undefined) return [line('This server keeps no leaderboards.')];
        const here = (one: Board): string => `#boards/${one.board}`;
        const part = PARTS.find(([name]) => name === words[1])?.[0] ?? 'top';
        const season = words[2] ?? '';
        return [
          tabs(
            'Leaderboards',
            boards.map((one) => [here(one), one.title, one === board] as const),
          ),
          element('div', { class: 'hall-row' }, [
            tabs(
              'Part of the leaderboard',
              PARTS.map(([name, text]) => [`${here(board)}/${name}/${season}`, text, name === part] as const),
            ),
            ...(board.every === null ? [] : [seasonChoice(board, part, season, context)]),
          ]),
          partOf(board, part, season, context),
        ];
      },
    ),
  );
};

function seasonChoice(board: Board, part: string, season: string, { api, signal }: ViewContext): HTMLElement {
  return loaded(
    signal,
    'the seasons',
    () => api.get<{ seasons: Season[] }>(`/api/leaderboards/${board.board}/seasons`, signal),
    ({ seasons }) => {
      const select = element('select', { id: 'hall-season' });
      const past = seasons.filter((one) => one.season !== board.season);
      const choices = [['', 'This season'], ...past.map((one) => [one.season, `From ${dateOf(one.startsAtMs)}`])];
      for (const [value, text] of choices) select.append(element('option', { value: value!, text: text! }));
      select.value = season;
      select.addEventListener('change', () => {
        location.hash = `#boards/${board.board}/${part}/${select.value}`;
      });
      return [element('label', { for: 'hall-season', text: 'Season' }), select];
    },
  );
}

function partOf(board: Board, part: 'top' | 'around' | 'friends', season: string, context: ViewContext): HTMLElement {
  const { api, session, signal } = context;
  const of = season === '' ? '' : `season=${encodeURIComponent(season)}`;
  const address = `/api/leaderboards/${board.board}`;
  if (part !== 'top' && session.account === undefined) {
    return element('div', {}, [line('Play a match or sign in first: then you have a place here.'), signInLink()]);
  }
  if (part !== 'top') {
    return loaded(
      signal,
      'the leaderboard',
      () => api.get<Page>(`${address}/${part}?${of}`, signal),
      ({ rows }) => {
        if (rows.length > 0) return [rowsTable(board, rows, context)];
        return [line(part === 'around' ? 'You have no score here yet.' : 'None of your friends has a score here yet.')];
      },
    );
  }
  return loaded(
    signal,
    'the leaderboard',
    () => api.get<Page>(`${address}?limit=${PAGE}&${of}`, signal),
    (first) => {
      if (first.rows.length === 0) return [line('Nobody has a score here yet. The next match may change that.')];
      const shown = rowsTable(board, first.rows, context);
      const ends = board.endsAtMs !== null && season === '' ? ` Ends on ${dateOf(board.endsAtMs)}.` : '';
      const again = board.every === null ? '' : ` Starts anew ${PERIODS[board.every]}, ${board.timeZone} time.`;
      const foot = line(`${first.players?.toLocaleString() ?? ''} players.${again}${ends}`);
      return [shown, moreButton(board, address, of, first.cursor, shown, context), foot];
    },
  );
}

function moreButton(
  board: Board,
  address: string,
  of: string,
  first: string | null | undefined,
  shown: HTMLTableElement,
  context: ViewContext,
): HTMLElement {
  const root = element('div', { class: 'hall-part' });
  const offer = (cursor: string | null | undefined): void => {
    root.replaceChildren();
    if (cursor === null || cursor === undefined) return;
    const button = element('button', { class: 'button-plain', type: 'button', text: 'Show more' });
    button.addEventListener('click', () => {
      const path = `${address}?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}&${of}`;
      root.replaceChildren(
        loaded(
          context.signal,
          'more',
          () => context.api.get<Page>(path, context.signal),
          (page) => {
            shown.tBodies[0]!.append(...rowsTable(board, page.rows, context).tBodies[0]!.rows);
            queueMicrotask(() => offer(page.cursor));
            return [];
          },
        ),
      );
    });
    root.append(button);
  };
  offer(first);
  return root;
}

function rowsTable(board: Board, rows: readonly Row[], { session }: ViewContext): HTMLTableElement {
  const own = session.account?.playerId;
  return table(
    board.title,
    [
      ['Rank', true],
      ['Player', false],
      ['Score', true],
    ],
    rows.map((row) => ({
      isOwn: row.playerId === own,
      cells: [String(row.rank), playerLink(row.playerId, row.name), row.score.toLocaleString()],
    })),
  );
}

function signInLink(): HTMLElement {
  return element('a', { class: 'button-plain', href: '#account', text: 'Sign in' });
}
