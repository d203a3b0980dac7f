/** Reading a JSON body that may come from anybody, and telling apart what a parser would quietly repair. */
import { GameError } from '../kernel/errors.ts';

/** Objects and lists inside of each other. Our deepest body has four. */
const DEPTH_MAX = 16;

/**
 * The value of a JSON text; nothing counts as `{}`.
 * @throws GameError INVALID_INPUT for what is no JSON, nests deeper than 16, has a member twice (a proxy in front might
 * believe the other one), or a member that would set a prototype
 */
export function readJson(text: string): unknown {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new GameError('INVALID_INPUT', { body: 'is no JSON' });
  }
  checkMembers(text);
  return value;
}

/** Walks a text that is known to be JSON. */
function checkMembers(text: string): void {
  /** Names seen in each open object; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') {
      if (open.length === DEPTH_MAX) throw new GameError('INVALID_INPUT', { body: `nests deeper than ${DEPTH_MAX}` });
      open.push(char === '{' ? new Set() : undefined);
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, at);
      const names = open.at(-1);
      if (names !== undefined && isName(text, end)) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (name === '__proto__') throw new GameError('INVALID_INPUT', { body: 'has a member `__proto__`' });
        if (names.has(name)) throw new GameError('INVALID_INPUT', { body: 'has a member twice' });
        names.add(name);
      }
      at = end - 1;
    }
  }
}

/** Behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function isName(text: string, end: number): boolean {
  let at = end;
  while (' \t\n\r'.includes(text[at]!)) at++;
  return text[at] === ':';
}

/**
 * True if every string in it, names included, can be stored and sent: well-formed Unicode without NUL, which
 * PostgreSQL's text refuses.
 */
export function hasPlainText(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (Array.isArray(value)) return value.every(hasPlainText);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, inner]) => hasPlainText(name) && hasPlainText(inner));
}

/** The same text for the same value, in whatever order its members stand. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
