/** Why a ticket waits, in a sentence for a player. */
import type { Ticket } from './finder.ts';

/** `0:07`, `1:30`. */
export function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** One sentence; of reasons that this page does not know, that it looks. */
export function reasonOf({ why, position }: Pick<Ticket, 'why' | 'position'>): string {
  if (position === null) return 'A match is found. Your seat is being made ready …';
  if (why === null) return 'Looking around …';
  const number = (name: string): number => (typeof why[name] === 'number' ? (why[name] as number) : 0);
  switch (why.code) {
    case 'TOO_FEW': {
      const missing = Math.max(1, number('playersMin') - number('players'));
      return missing === 1 ? 'One more player is needed.' : `${missing} more players are needed.`;
    }
    case 'RATING_WINDOW':
      return 'Others wait, but they play much better or worse than you. The search widens while you wait.';
    case 'LATENCY':
      return 'Others wait, but too far away for a good connection. The search widens while you wait.';
    case 'BLOCKED':
      return 'Others wait, but you or they have blocked each other.';
    case 'FILLING': {
      const startsInMs = why['startsInMs'];
      const soon =
        typeof startsInMs === 'number' && startsInMs > 0 ? ` It starts in ${spanOf(startsInMs)} at the latest.` : '';
      return `${number('players')} players are together; a fuller match is waited for.${soon}`;
    }
    case 'PARTY_SIZE':
      return 'Your party is larger than this mode takes.';
    case 'ROLES':
    case 'ROLES_SHORT':
      return 'Players for other roles are missing.';
    case 'COMBINATION':
      return 'The parties that wait do not fit together yet.';
    case 'DUPLICATE':
      return 'One of you waits with an older search already.';
    default:
      return 'Looking for players …';
  }
}
