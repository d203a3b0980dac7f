/**
 * Who of the waiting must not meet whom, kept as tickets come and go. Block lists are long and name people who are mostly
 * elsewhere: they are read once, when their ticket comes, and from then on stand for numbers, so that whom a newcomer is
 * blocked by is a scan over numbers and no look-up of strings.
 */
import type { Ticket } from './ticket.ts';

/** Bits of a filter: of some hundred newcomers it takes one in a thousand strangers for one of them. */
const FILTER_BITS = 2 ** 19;

export class Blocks {
  /** By slot: how many others it must not meet. */
  counts = new Int32Array(0);
  /** By slot: those others, ascending. */
  readonly #others: (Int32Array | undefined)[] = [];
  /** By slot: its block list as numbers, in the list's order. */
  readonly #hashes: (Int32Array | undefined)[] = [];

  /** Makes room for so many slots. */
  grow(slots: number): void {
    const counts = new Int32Array(slots);
    counts.set(this.counts);
    this.counts = counts;
  }

  /** Whether somebody of one has blocked somebody of the other. */
  has(a: number, b: number): boolean {
    const count = this.counts[a]!;
    return count > 0 && this.counts[b]! > 0 && placeIn(this.#others[a]!, count, b) >= 0;
  }

  /**
   * In steps, a slot each.
   * @param newcomers slots
   * @param before slots that were there already
   * @param tickets by slot
   * @param slotOf by player id, newcomers included
   */
  *add(
    newcomers: readonly number[],
    before: Int32Array,
    tickets: readonly (Ticket | undefined)[],
    slotOf: ReadonlyMap<string, number>,
  ): Generator<undefined, void, undefined> {
    let named = 0;
    for (const slot of newcomers) {
      yield;
      const { blocked } = tickets[slot]!;
      named += blocked.length;
      this.#hashes[slot] = blocked.length === 0 ? undefined : hashesOf(blocked);
    }
    // Few names are looked up; of many, first of all those who wait.
    const waiting = named > slotOf.size ? new IdFilter(slotOf.keys()) : undefined;
    for (const slot of newcomers) {
      this.#meet(slot, waiting, tickets, slotOf);
      yield;
    }
    if (before.length === 0) return;
    const arrived = new IdFilter([]);
    for (const slot of newcomers) for (const { playerId } of tickets[slot]!.players) arrived.add(hashOf(playerId));
    const isNew = new Set(newcomers);
    for (const slot of before) {
      if (this.#hashes[slot] === undefined) continue;
      this.#meet(slot, arrived, tickets, slotOf, isNew);
      yield;
    }
  }

  remove(slot: number): void {
    const others = this.#others[slot];
    for (let i = 0; i < this.counts[slot]!; i++) {
      const other = others![i]!;
      const at = placeIn(this.#others[other]!, this.counts[other]!, slot);
      this.#others[other]!.copyWithin(at, at + 1, this.counts[other]!--);
    }
    this.counts[slot] = 0;
    this.#others[slot] = undefined;
    this.#hashes[slot] = undefined;
  }

  /** Links a slot with whom of the filter it has blocked, and of `among`. */
  #meet(
    slot: number,
    filter: IdFilter | undefined,
    tickets: readonly (Ticket | undefined)[],
    slotOf: ReadonlyMap<string, number>,
    among?: ReadonlySet<number>,
  ): void {
    const hashes = this.#hashes[slot];
    if (hashes === undefined) return;
    const bits = filter?.bits;
    for (let i = 0; i < hashes.length; i++) {
      if (bits !== undefined && !mayHave(bits, hashes[i]!)) continue;
      const other = slotOf.get(tickets[slot]!.blocked[i]!);
      if (other === undefined || other === slot || (among !== undefined && !among.has(other))) continue;
      this.#link(slot, other);
      this.#link(other, slot);
    }
  }

  #link(slot: number, other: number): void {
    const count = this.counts[slot]!;
    let others = this.#others[slot];
    if (others === undefined || others.length === count) {
      const larger = new Int32Array(Math.max(4, 2 * count));
      if (others !== undefined) larger.set(others);
      others = larger;
      this.#others[slot] = others;
    }
    const at = placeIn(others, count, other);
    if (at >= 0) return;
    others.copyWithin(-at, -at - 1, count);
    others[-at - 1] = other;
    this.counts[slot] = count + 1;
  }
}

/** A set of ids that may take a stranger for one of them. */
class IdFilter {
  readonly bits = new Int32Array(FILTER_BITS / 32);

  constructor(ids: Iterable<string>) {
    for (const id of ids) this.add(hashOf(id));
  }

  add(hash: number): void {
    this.bits[(hash >>> 5) & (FILTER_BITS / 32 - 1)]! |= 1 << hash;
  }
}

function mayHave(bits: Int32Array, hash: number): boolean {
  return ((bits[(hash >>> 5) & (FILTER_BITS / 32 - 1)]! >>> hash) & 1) === 1;
}

function hashesOf(ids: readonly string[]): Int32Array {
  const hashes = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) hashes[i] = hashOf(ids[i]!);
  return hashes;
}

/** FNV-1a over UTF-16, with its high bits mixed into the low ones. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

/** Where a value is among the first so many, ascending; if it is not, `-1 - at` for where it would be. */
function placeIn(values: Int32Array, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low < count && values[low] === value ? low : -1 - low;
}
