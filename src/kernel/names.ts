/**
 * Display names: what a player may call itself. Pure.
 *
 * The rule, in order:
 * 1. A name arrives as a string of at most 256 UTF-16 units; anything else is refused before any work is done on it.
 * 2. It is brought to NFKC, so that look-alikes of width and ligature become the plain letters; variation selectors
 *    are dropped; runs of white space become one space; the ends are trimmed.
 * 3. Refused is what cannot be seen or rearranges what others see: control characters, zero-width and bidirectional
 *    marks, fillers and blanks, lone surrogates, private-use and unassigned code points, more than
 *    {@link NAME_MARKS_MAX} combining marks in a row, and combining marks with nothing below them.
 * 4. What remains has 1 to 20 visible characters (grapheme clusters) and at most {@link NAME_BYTES_MAX} bytes of UTF-8.
 */
import { GameError } from './errors.ts';

/** Longest raw name that is looked at, UTF-16 units. */
export const NAME_RAW_MAX = 256;
/** Visible characters (grapheme clusters) of a name. */
export const NAME_LENGTH_MAX = 20;
/** UTF-8 bytes of a name: what a journal and a scoreboard have to carry at most. */
export const NAME_BYTES_MAX = 96;
/** Combining marks in a row; Vietnamese and Thai need two, stacked decorations need many. */
export const NAME_MARKS_MAX = 3;

const VARIATION_SELECTORS = /[\uFE00-\uFE0F]/gu;
const WHITE_SPACE = /[\t\n\r\p{Zs}]+/gu;
// Line breaks count as control characters: only real spaces and tabs at the ends are forgiven by trimming.
const LINE_BREAK = /[\n\v\f\r\u0085\u2028\u2029]/u;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;
const STACKED_MARKS = new RegExp(`\\p{M}{${NAME_MARKS_MAX + 1},}`, 'u');
const FLOATING_MARK = /^\p{M}| \p{M}/u;

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });
const UTF8 = new TextEncoder();

/**
 * The name as others will see it.
 * @throws GameError NAME_INVALID, whose detail names the reason: `shape`, `long`, `unseen`, `marks` or `empty`
 */
export function checkName(raw: unknown): string {
  if (typeof raw !== 'string') throw new GameError('NAME_INVALID', { reason: 'shape' });
  if (raw.length > NAME_RAW_MAX) throw new GameError('NAME_INVALID', { reason: 'long' });
  if (LINE_BREAK.test(raw)) throw new GameError('NAME_INVALID', { reason: 'unseen' });
  const name = raw.normalize('NFKC').replace(VARIATION_SELECTORS, '').replace(WHITE_SPACE, ' ').trim();
  if (name === '') throw new GameError('NAME_INVALID', { reason: 'empty' });
  if (UNSEEN.test(name)) throw new GameError('NAME_INVALID', { reason: 'unseen' });
  if (STACKED_MARKS.test(name) || FLOATING_MARK.test(name)) throw new GameError('NAME_INVALID', { reason: 'marks' });
  if (countGraphemes(name) > NAME_LENGTH_MAX || UTF8.encode(name).length > NAME_BYTES_MAX) {
    throw new GameError('NAME_INVALID', { reason: 'long' });
  }
  return name;
}

/** What a player is called who says nothing: stable for one player, no promise of being unique. */
export function guestName(playerId: string): string {
  const tail = playerId.replaceAll(/[^A-Za-z0-9]/g, '').slice(-4);
  return `Guest ${tail.padStart(4, '0')}`;
}

function countGraphemes(text: string): number {
  let count = 0;
  for (const _ of GRAPHEMES.segment(text)) count++;
  return count;
}
