/** sfc32, a small fast chaotic generator whose 128-bit state is four words that the caller owns. */

/** Fills `words[at .. at+3]` from a seed (any integer; its low 32 bits count) and discards the first 12 outputs. */
export function seedSfc32(words: Int32Array, at: number, seed: number): void {
  words[at] = 0x9e3779b9 | 0;
  words[at + 1] = 0x243f6a88 | 0;
  words[at + 2] = seed | 0;
  words[at + 3] = 1;
  for (let i = 0; i < 12; i++) nextUint32(words, at);
}

/** The next output, 0 to 2^32 - 1; advances the state in place. */
export function nextUint32(words: Int32Array, at: number): number {
  const a = words[at]!;
  const b = words[at + 1]!;
  const c = words[at + 2]!;
  const d = words[at + 3]!;
  const t = (a + b + d) | 0;
  words[at + 3] = (d + 1) | 0;
  words[at] = b ^ (b >>> 9);
  words[at + 1] = (c + (c << 3)) | 0;
  words[at + 2] = (((c << 21) | (c >>> 11)) + t) | 0;
  return t >>> 0;
}

/** An integer 0 to `bound - 1`, bound 1 to 65536, by multiplication so that no float decides. */
export function nextBelow(words: Int32Array, at: number, bound: number): number {
  return ((nextUint32(words, at) >>> 16) * bound) >>> 16;
}
