/** Looking for a match: alone or with a party, why it takes a while, and the question whether one is ready. */
import { element, setText } from '../hud/element.ts';
import type { Finder, Party, Ticket } from '../net/finder.ts';
import { sentenceFor } from '../net/sentences.ts';
import { reasonOf, spanOf } from '../net/waiting.ts';
import { actionButton, form, heading, line, type View } from './view.ts';

const REDRAW_MS = 500;

/** `#queue`, `#queue/join/<code>` with an invitation. */
export const queueView: View = (body, { finder, session, signal, words }) => {
  const search = element('section', { class: 'queue-card', 'aria-label': 'Your search', 'aria-live': 'polite' });
  const party = element('section', { class: 'queue-card', 'aria-label': 'Your party', 'aria-live': 'polite' });
  body.append(heading('Find a match'), element('div', { class: 'queue' }, [search, party]));

  let searchShown = '';
  let partyShown: Party | 'none' | undefined;
  let clock: (() => void) | undefined;
  const show = (): void => {
    const own = session.account?.playerId;
    const kind = shapeOf(finder, own);
    if (kind !== searchShown) {
      searchShown = kind;
      clock = drawSearch(search, finder, own);
    }
    clock?.();
    if ((finder.party ?? 'none') !== partyShown) {
      partyShown = finder.party ?? 'none';
      drawParty(party, finder, own, words[0] === 'join' ? (words[1] ?? '') : '');
    }
  };
  const end = finder.onChange(show);
  const timer = setInterval(() => clock?.(), REDRAW_MS);
  signal.addEventListener('abort', () => {
    end();
    clearInterval(timer);
    finder.forget();
  });
  show();
  void finder.look().catch(() => undefined);
};

/** What decides which buttons there are; the rest is written into what is there. */
function shapeOf({ ticket, party, isSearching }: Finder, own: string | undefined): string {
  if (!isSearching)
    return `idle ${ticket?.ticketId} ${ticket?.code} ${party?.leaderId === own} ${party?.members.length}`;
  return `${ticket!.state} ${ticket!.readyCheck?.isAsked}`;
}

/** Draws it; what is returned brings its times and numbers up to date. */
function drawSearch(root: HTMLElement, finder: Finder, own: string | undefined): () => void {
  const { ticket } = finder;
  if (!finder.isSearching || ticket === undefined) {
    root.replaceChildren(...idle(finder, own));
    return () => undefined;
  }
  if (ticket.state === 'ready-check') return drawReadyCheck(root, finder);
  const time = element('p', { class: 'queue-time', role: 'timer' });
  const reason = element('p', { class: 'queue-reason' });
  const facts = element('p', { class: 'hall-hint' });
  root.replaceChildren(
    element('h3', { text: 'Looking for a match' }),
    time,
    reason,
    facts,
    actionButton('Stop looking', () => finder.cancel()),
  );
  return () => {
    const now = finder.ticket;
    if (now === undefined) return;
    setText(time, spanOf(finder.waitedMs));
    setText(reason, reasonOf(now));
    setText(facts, factsOf(now, finder.waitedMs));
  };
}

function idle(finder: Finder, own: string | undefined): readonly Node[] {
  const { ticket, party } = finder;
  const said: Node[] = [];
  if (ticket?.state === 'cancelled' && ticket.code !== null && ticket.byPlayerId !== own) {
    said.push(element('p', { class: 'hall-error', role: 'status', text: sentenceFor(ticket.code) }));
  }
  if (party !== undefined && party.leaderId !== own) {
    return [
      element('h3', { text: 'Ready when your leader is' }),
      ...said,
      line('The leader of the party starts the search.'),
    ];
  }
  const count = party?.members.length ?? 1;
  const start = element('button', { class: 'button-main', type: 'button', text: 'Find match' });
  const fault = element('p', { class: 'hall-error', role: 'alert' });
  fault.hidden = true;
  start.addEventListener('click', async () => {
    start.disabled = true;
    start.textContent = 'One moment …';
    fault.hidden = true;
    try {
      await finder.search();
    } catch (error) {
      fault.textContent = sentenceFor(codeOf(error));
      fault.hidden = false;
      start.disabled = false;
      start.textContent = 'Find match';
    }
  });
  const who = count > 1 ? `The ${count} of you come into the same match.` : 'Against players about as good as you.';
  return [element('h3', { text: 'A fair match' }), ...said, line(who), start, fault];
}

function drawReadyCheck(root: HTMLElement, finder: Finder): () => void {
  const isAsked = finder.ticket?.readyCheck?.isAsked === true;
  const time = element('p', { class: 'queue-time', role: 'timer' });
  const facts = element('p', { class: 'queue-reason' });
  const ready = element('button', { class: 'button-main', type: 'button', text: 'I am ready' });
  ready.addEventListener('click', () => {
    ready.disabled = true;
    void finder.answer(true).catch(() => {
      ready.disabled = false;
    });
  });
  root.replaceChildren(
    element('h3', { text: 'A match is found' }),
    time,
    facts,
    ...(isAsked ? [ready, actionButton('Not now', () => finder.answer(false))] : []),
  );
  if (isAsked) ready.focus({ preventScroll: true });
  return () => {
    const check = finder.ticket?.readyCheck;
    if (check == null) return;
    setText(time, spanOf(finder.remainingMs));
    setText(facts, `${check.ready} of ${check.players} are ready.`);
  };
}

function drawParty(root: HTMLElement, finder: Finder, own: string | undefined, invitation: string): void {
  const { party } = finder;
  if (party === undefined) {
    root.replaceChildren(
      element('h3', { text: 'With friends' }),
      line('A party always comes into the same match.'),
      actionButton('Make a party', () => finder.makeParty()),
      form(
        'Join a party',
        [{ name: 'code', label: 'Invitation code', type: 'text', autocomplete: 'off', value: invitation }],
        'Join',
        async ({ code }) => {
          await finder.joinParty(code!.replaceAll(/[\s-]/g, ''));
          return '';
        },
      ),
    );
    return;
  }
  const isLeader = party.leaderId === own;
  const isOver = party.codeRemainingMs === 0;
  root.replaceChildren(
    element('h3', { text: `Your party, ${party.members.length} of ${party.playersMax}` }),
    element(
      'ul',
      { class: 'hall-people' },
      party.members.map(({ playerId, name }) => {
        const called = name ?? 'A player without a name';
        const marks = [
          ...(playerId === party.leaderId ? [element('span', { class: 'tag', text: 'leads' })] : []),
          ...(playerId === own ? [element('span', { class: 'tag', text: 'you' })] : []),
        ];
        const kick = isLeader && playerId !== own;
        return element('li', {}, [
          element('span', {}, [called, ...marks]),
          ...(kick ? [actionButton('Remove', () => finder.kick(playerId), `Remove ${called} from the party`)] : []),
        ]);
      }),
    ),
    ...(party.members.length < party.playersMax
      ? [
          line(isOver ? 'The invitation has expired.' : 'Friends join with this code:'),
          ...(isOver
            ? []
            : [element('p', { class: 'queue-code', text: `${party.code.slice(0, 4)} ${party.code.slice(4)}` })]),
        ]
      : []),
    element('div', { class: 'hall-row' }, [
      ...(isLeader ? [actionButton('New code', () => finder.renewCode())] : []),
      actionButton('Leave the party', () => finder.leaveParty()),
    ]),
  );
}

function factsOf({ position, queueSize, estimatedMs }: Ticket, waitedMs: number): string {
  const facts: string[] = [];
  if (position !== null && queueSize > 1) facts.push(`Number ${position} of ${queueSize} in the queue.`);
  if (estimatedMs !== null && estimatedMs > 0) facts.push(`Usually ${spanOf(waitedMs + estimatedMs)} in all.`);
  return facts.join(' ');
}

function codeOf(error: unknown): string {
  return (error as { code?: string } | null)?.code ?? '';
}
