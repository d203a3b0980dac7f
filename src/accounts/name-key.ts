/**
 * When two names are the same name. Pure. Nobody may look like somebody else in a scoreboard, so letters that are drawn
 * alike count as one: case, accents, width, and the look-alikes of Latin, Greek, Cyrillic and digits.
 */

// Drawn alike in lower case, or in the upper case that a player may have typed. Each row: what stands for all, then the rest.
const ALIKE = [
  ['a', 'аαɑ'],
  ['b', 'вβьЬ'],
  ['c', 'сϲ'],
  ['d', 'ԁ'],
  ['e', 'еεєҽ'],
  ['h', 'һнη'],
  ['i', '1l|!ӏіιɩ'],
  ['j', 'ј'],
  ['k', 'кκ'],
  ['m', 'м'],
  ['n', 'ո'],
  ['o', '0оοσօ'],
  ['p', 'рρ'],
  ['q', 'ԛ'],
  ['s', '5$ѕ'],
  ['t', 'тτ'],
  ['u', 'υս'],
  ['v', 'νѵ'],
  ['w', 'ԝωш'],
  ['x', 'хχ'],
  ['y', 'уγү'],
  ['z', 'ζ'],
] as const;

const CANON = new Map(ALIKE.flatMap(([canon, rest]) => [...rest].map((letter) => [letter, canon] as const)));
const UNCOUNTED = /[\p{M}\p{P}\p{Z}]/gu;

/** How names are looked up by their first letters: case and accents do not count. */
export function searchKey(name: string): string {
  return name.normalize('NFKD').toLowerCase().replace(/\p{M}/gu, '');
}

/** @param name as `checkName` gave it; the result is never empty for one of those */
export function nameKey(name: string): string {
  const bare = name.normalize('NFKD').toLowerCase().replace(/ß/g, 'ss').replace(/rn/g, 'm').replace(/vv/g, 'w');
  const counted = [...bare.replace(/[!|]/g, 'i').replace(UNCOUNTED, '')]
    .map((letter) => CANON.get(letter) ?? letter)
    .join('');
  // A name of nothing but dots is still a name.
  return counted === '' ? `=${bare.replaceAll(' ', '')}` : counted;
}
