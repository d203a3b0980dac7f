/** Checksums and hashes over bytes and words. Pure integers, so every engine agrees to the bit. */

const CRC_TABLE = /* @__PURE__ */ (() => {
  const table = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    table[n] = c >>> 0;
  }
  return table;
})();

/** CRC-32 (IEEE 802.3) of the bytes, 0 to 2^32 - 1. Detects damage, not malice. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  let c = ~seed;
  for (let i = 0; i < bytes.length; i++) c = CRC_TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}

/** A 64-bit hash as two unsigned 32-bit halves: cheaper than a bigint in a tick. */
export interface Hash64 {
  hi: number;
  lo: number;
}

/**
 * Hashes the first `count` words of `words`, two 32-bit murmur3 lanes that differ in constants. Not
 * cryptographic: it finds divergence of simulations, not forgery.
 */
export function hashWords(words: Int32Array, count: number, out: Hash64): Hash64 {
  let a = 0x9747b28c | 0;
  let b = 0x3c6ef372 | 0;
  for (let i = 0; i < count; i++) {
    const w = words[i]!;
    let k = Math.imul(w, 0xcc9e2d51 | 0);
    k = (k << 15) | (k >>> 17);
    a ^= Math.imul(k, 0x1b873593);
    a = (a << 13) | (a >>> 19);
    a = (Math.imul(a, 5) + 0xe6546b64) | 0;
    k = Math.imul(w, 0x85ebca6b | 0);
    k = (k << 17) | (k >>> 15);
    b ^= Math.imul(k, 0xc2b2ae35 | 0);
    b = (b << 11) | (b >>> 21);
    b = (Math.imul(b, 5) + 0x38495ab5) | 0;
  }
  out.hi = finish(a ^ count);
  out.lo = finish(b + a + count);
  return out;
}

function finish(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b | 0);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35 | 0);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The hash as 16 lower-case hexadecimal digits, as golden files and reports print it. */
export function hashText(hash: Hash64): string {
  return hash.hi.toString(16).padStart(8, '0') + hash.lo.toString(16).padStart(8, '0');
}
