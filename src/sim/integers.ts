/** Integer arithmetic that every engine agrees on to the bit: roots, rounding, directions. */

/** Length of a direction vector: sines and cosines are in 1/16384. */
export const TRIG_ONE = 16384;

/** sin(i / 256 turn) * 16384 for the first quarter turn, rounded; literal, because `Math.sin` may differ by engine. */
const QUARTER_SINE = [
  0, 402, 804, 1205, 1606, 2006, 2404, 2801, 3196, 3590, 3981, 4370, 4756, 5139, 5520, 5897, 6270, 6639, 7005, 7366,
  7723, 8076, 8423, 8765, 9102, 9434, 9760, 10080, 10394, 10702, 11003, 11297, 11585, 11866, 12140, 12406, 12665, 12916,
  13160, 13395, 13623, 13842, 14053, 14256, 14449, 14635, 14811, 14978, 15137, 15286, 15426, 15557, 15679, 15791, 15893,
  15986, 16069, 16143, 16207, 16261, 16305, 16340, 16364, 16379, 16384,
];

const SINE = /* @__PURE__ */ (() => {
  const table = new Int32Array(256);
  for (let i = 0; i < 256; i++) {
    const half = i & 127;
    const value = QUARTER_SINE[half <= 64 ? half : 128 - half]!;
    table[i] = i < 128 ? value : -value;
  }
  return table;
})();

/** Sine of an angle in 1/256 turn, any integer, in 1/16384. */
export function sine(angle: number): number {
  return SINE[angle & 255]!;
}

/** Cosine of an angle in 1/256 turn, any integer, in 1/16384. */
export function cosine(angle: number): number {
  return SINE[(angle + 64) & 255]!;
}

/**
 * The angle, 0 to 255 in 1/256 turn, of the table direction nearest to the vector; 0 for the null vector.
 * 0 points along +x and angles grow towards +y. Both parts within ±65536.
 */
export function angleOf(dx: number, dy: number): number {
  if (dx === 0 && dy === 0) return 0;
  const ax = Math.abs(dx);
  const ay = Math.abs(dy);
  // Binary search in the first octant for the last angle whose direction is not beyond the vector.
  let low = 0;
  let high = 64;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (ax * SINE[middle]! <= ay * SINE[middle + 64]!) low = middle;
    else high = middle;
  }
  // The nearer neighbour has the smaller sine of the angle between.
  const past = ay * SINE[low + 64]! - ax * SINE[low]!;
  const short = ax * SINE[high]! - ay * SINE[high + 64]!;
  const first = past <= short ? low : high;
  const upper = dx >= 0 ? first : 128 - first;
  return (dy >= 0 ? upper : 256 - upper) & 255;
}

/** Largest integer whose square is at most `n`; `n` an integer 0 to 2^52. The float root is only a first guess. */
export function floorSqrt(n: number): number {
  let root = Math.floor(Math.sqrt(n));
  while (root * root > n) root--;
  while ((root + 1) * (root + 1) <= n) root++;
  return root;
}

/** Smallest integer whose square is at least `n`; `n` an integer 0 to 2^52. */
export function ceilSqrt(n: number): number {
  const root = floorSqrt(n);
  return root * root === n ? root : root + 1;
}

/** `a / b` rounded to the nearest integer, halves away from zero, so that left and right are alike; `b` positive. */
export function divideRounded(a: number, b: number): number {
  const half = b >> 1;
  return a >= 0 ? Math.trunc((a + half) / b) : -Math.trunc((half - a) / b);
}

export function clamp(value: number, least: number, most: number): number {
  return value < least ? least : value > most ? most : value;
}

/** Scrambles two integers into 32 unsigned bits: variety for bots that must not touch the world's dice. */
export function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 12;
  h = Math.imul(h, 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}
