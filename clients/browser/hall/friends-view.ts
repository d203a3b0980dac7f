/** Friends, requests, blocked players, and finding somebody by name. */
import { element } from '../hud/element.ts';
import { actionButton, form, heading, line, loaded, playerLink, type View } from './view.ts';

type Relation = 'friend' | 'sent' | 'received' | 'blocked';

interface Known {
  readonly playerId: string;
  readonly name: string | null;
  readonly relation: Relation;
}

type Command = readonly [text: string, method: 'put' | 'delete', list: 'friends' | 'blocks'];

const GROUPS: readonly (readonly [relation: Relation, title: string, commands: readonly Command[]])[] = [
  [
    'received',
    'They ask to be your friend',
    [
      ['Accept', 'put', 'friends'],
      ['Decline', 'delete', 'friends'],
    ],
  ],
  ['friend', 'Your friends', [['Remove', 'delete', 'friends']]],
  ['sent', 'You have asked', [['Take back', 'delete', 'friends']]],
  ['blocked', 'Blocked', [['Unblock', 'delete', 'blocks']]],
];

/** `#friends` */
export const friendsView: View = (body, { api, session, signal }) => {
  body.append(heading('Friends'));
  if (session.account === undefined) {
    body.append(
      line('Play a match or sign in first: then you can have friends here.'),
      element('a', { class: 'button-plain', href: '#account', text: 'Sign in' }),
    );
    return;
  }
  const known = new Map<string, Known>();
  const groups = element('div', { class: 'hall-part', 'aria-live': 'polite' });
  // Shown from the answer: the list of the server may be a moment behind it.
  const act = async (player: Omit<Known, 'relation'>, method: 'put' | 'delete', list: 'friends' | 'blocks') => {
    const { relation } = await api[method]<{ relation: Relation | 'none' }>(`/api/me/${list}/${player.playerId}`);
    known.delete(player.playerId);
    if (relation !== 'none') known.set(player.playerId, { ...player, relation });
    show();
  };
  const show = (): void => {
    if (known.size === 0) groups.replaceChildren(line('No friends yet. Find somebody by name, or on a leaderboard.'));
    else groups.replaceChildren(...GROUPS.flatMap((group) => groupOf(group, [...known.values()], act)));
  };
  const asked = loaded(
    signal,
    'your friends',
    () => api.get<{ players: Known[] }>('/api/me/friends', signal),
    ({ players }) => {
      for (const player of players) if (!known.has(player.playerId)) known.set(player.playerId, player);
      show();
      return [groups];
    },
  );
  const found = element('div', { class: 'hall-part', 'aria-live': 'polite' });
  const search = form(
    'Find a player',
    [{ name: 'name', label: 'Beginning of the name', type: 'text', autocomplete: 'off' }],
    'Search',
    async ({ name }) => {
      const { players } = await api.get<{ players: { playerId: string; name: string }[] }>(
        `/api/players?name=${encodeURIComponent(name!)}&limit=10`,
        signal,
      );
      const others = players.filter(({ playerId }) => playerId !== session.account?.playerId);
      found.replaceChildren(
        people(
          others.map((player) => [
            player.playerId,
            player.name,
            [actionButton('Add friend', () => act(player, 'put', 'friends'), `Add ${player.name} as a friend`)],
          ]),
        ),
      );
      return others.length === 0 ? 'Nobody has a name that begins so.' : '';
    },
  );
  body.append(asked, search, found);
};

function groupOf(
  [relation, title, commands]: (typeof GROUPS)[number],
  players: readonly Known[],
  act: (player: Known, method: 'put' | 'delete', list: 'friends' | 'blocks') => Promise<void>,
): HTMLElement[] {
  const group = players.filter((player) => player.relation === relation);
  if (group.length === 0) return [];
  return [
    element('h3', { text: title }),
    people(
      group.map((player) => [
        player.playerId,
        player.name,
        commands.map(([text, method, list]) =>
          actionButton(text, () => act(player, method, list), `${text}: ${player.name ?? 'a player without a name'}`),
        ),
      ]),
    ),
  ];
}

function people(rows: readonly (readonly [id: string, name: string | null, actions: readonly Node[]])[]): HTMLElement {
  return element(
    'ul',
    { class: 'hall-people' },
    rows.map(([id, name, actions]) =>
      element('li', {}, [playerLink(id, name), element('span', { class: 'hall-row' }, actions)]),
    ),
  );
}
