/**
 * Where a page ended: the board, the season, the last entry shown and what of the log the first page showed. Opaque to
 * clients. It carries nothing secret and grants nothing: any text is refused, or leads to a page that its bearer could
 * have asked for anyway, so it needs no signature.
 */
import { GameError } from '../kernel/errors.ts';
import type { SeasonKey } from './board-index.ts';
import type { Entry } from './scoring.ts';

export interface Cursor {
  readonly last: Entry;
  /** Position that the first page reflected: what changed later is marked as moved. */
  readonly since: number;
}

/** Characters of a cursor at most. */
export const CURSOR_CHARS_MAX = 320;
const FORM = /^1\|([a-z0-9-]{1,48})\|(all|\d{4}-\d\d-\d\d)\|(-?\d{1,16})\|(\d{1,16})\|(\d{1,16})\|([!-~]{1,64})$/;

export function encodeCursor({ boardId, seasonId }: SeasonKey, { last, since }: Cursor): string {
  const text = ['1', boardId, seasonId, last.score, last.achieved, since, last.playerId].join('|');
  return Buffer.from(text, 'latin1').toString('base64url');
}

/** @throws GameError INVALID_INPUT for anything that is not a cursor of this board and season */
export function decodeCursor({ boardId, seasonId }: SeasonKey, cursor: string): Cursor {
  const bytes = cursor.length <= CURSOR_CHARS_MAX ? Buffer.from(cursor, 'base64url') : Buffer.alloc(0);
  const parts = FORM.exec(bytes.toString('latin1'));
  // One spelling a cursor: what decodes to the same bytes otherwise is not ours.
  if (parts === null || bytes.toString('base64url') !== cursor || parts[1] !== boardId || parts[2] !== seasonId) {
    throw refusal();
  }
  const [score, achieved, since] = [Number(parts[3]), Number(parts[4]), Number(parts[5])];
  if (![score, achieved, since].every(Number.isSafeInteger)) throw refusal();
  return { last: { playerId: parts[6]!, score: score! + 0, achieved: achieved! }, since: since! };
}

function refusal(): GameError {
  return new GameError('INVALID_INPUT', { field: 'cursor', reason: 'not a cursor of this board and season' });
}
