/**
 * An ordered set that knows every element's place: a treap with the sizes of its subtrees, in columns instead of
 * objects, so that a million elements cost neither a million objects nor the collector's time. Add, remove, place and
 * element at a place take O(log n).
 *
 * Elements are (rank key, achieved, id), ascending; the caller negates scores of which more is better.
 */
const NONE = 0;
const FIRST_CAPACITY = 1024;

export class RankedTree {
  // Slot 0 is the empty subtree: size 0, never written.
  #keys = new Float64Array(FIRST_CAPACITY);
  #achieved = new Float64Array(FIRST_CAPACITY);
  #ids: string[] = [''];
  #left = new Int32Array(FIRST_CAPACITY);
  #right = new Int32Array(FIRST_CAPACITY);
  #size = new Int32Array(FIRST_CAPACITY);
  #priority = new Int32Array(FIRST_CAPACITY);
  #root = NONE;
  #used = 1;
  readonly #free: number[] = [];
  #random = 0x9e3779b9 | 0;
  /** Scratch of the way down, so that no operation allocates. */
  #wayLow = NONE;
  #wayHigh = NONE;

  get size(): number {
    return this.#size[this.#root]!;
  }

  /** Adds an element that is not there yet. @returns its slot, good until it is removed */
  add(key: number, achieved: number, id: string): number {
    const slot = this.#take(key, achieved, id);
    this.#root = this.#insert(this.#root, slot);
    return slot;
  }

  /** Removes an element that is there. */
  remove(slot: number): void {
    this.#root = this.#without(this.#root, slot);
    this.#ids[slot] = '';
    this.#free.push(slot);
  }

  /** How many elements stand before this one, which need not be there. */
  placeOf(key: number, achieved: number, id: string): number {
    let place = 0;
    for (let at = this.#root; at !== NONE; ) {
      if (this.#compare(at, key, achieved, id) < 0) {
        place += this.#size[this.#left[at]!]! + 1;
        at = this.#right[at]!;
      } else at = this.#left[at]!;
    }
    return place;
  }

  /** Slot of the element at a place, which must be at least 0 and below the size. */
  at(place: number): number {
    let at = this.#root;
    for (;;) {
      const before = this.#size[this.#left[at]!]!;
      if (place === before) return at;
      if (place < before) at = this.#left[at]!;
      else {
        place -= before + 1;
        at = this.#right[at]!;
      }
    }
  }

  keyOf(slot: number): number {
    return this.#keys[slot]!;
  }

  achievedOf(slot: number): number {
    return this.#achieved[slot]!;
  }

  idOf(slot: number): string {
    return this.#ids[slot]!;
  }

  #take(key: number, achieved: number, id: string): number {
    const slot = this.#free.pop() ?? this.#used++;
    if (slot === this.#keys.length) this.#grow();
    this.#keys[slot] = key;
    this.#achieved[slot] = achieved;
    this.#ids[slot] = id;
    this.#left[slot] = NONE;
    this.#right[slot] = NONE;
    this.#size[slot] = 1;
    // xorshift32: a tree needs no better randomness, and the same history makes the same tree.
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    this.#priority[slot] = this.#random;
    return slot;
  }

  #grow(): void {
    const double = <T extends Float64Array | Int32Array>(column: T): T => {
      const larger = new (column.constructor as new (length: number) => T)(column.length * 2);
      larger.set(column);
      return larger;
    };
    this.#keys = double(this.#keys);
    this.#achieved = double(this.#achieved);
    this.#left = double(this.#left);
    this.#right = double(this.#right);
    this.#size = double(this.#size);
    this.#priority = double(this.#priority);
  }

  /** Below 0: the element of the slot stands before the one given. */
  #compare(slot: number, key: number, achieved: number, id: string): number {
    const byKey = this.#keys[slot]! - key;
    if (byKey !== 0) return byKey;
    const byAchieved = this.#achieved[slot]! - achieved;
    if (byAchieved !== 0) return byAchieved;
    const own = this.#ids[slot]!;
    return own < id ? -1 : own > id ? 1 : 0;
  }

  #resize(at: number): void {
    this.#size[at] = this.#size[this.#left[at]!]! + this.#size[this.#right[at]!]! + 1;
  }

  #insert(at: number, slot: number): number {
    if (at === NONE) return slot;
    if (this.#priority[slot]! > this.#priority[at]!) {
      this.#split(at, slot);
      this.#left[slot] = this.#wayLow;
      this.#right[slot] = this.#wayHigh;
      this.#resize(slot);
      return slot;
    }
    const isAfter = this.#compare(at, this.#keys[slot]!, this.#achieved[slot]!, this.#ids[slot]!) < 0;
    if (isAfter) this.#right[at] = this.#insert(this.#right[at]!, slot);
    else this.#left[at] = this.#insert(this.#left[at]!, slot);
    this.#size[at]!++;
    return at;
  }

  /** Splits a subtree into what stands before and after the slot's element: {@link #wayLow} and {@link #wayHigh}. */
  #split(at: number, slot: number): void {
    if (at === NONE) {
      this.#wayLow = NONE;
      this.#wayHigh = NONE;
      return;
    }
    if (this.#compare(at, this.#keys[slot]!, this.#achieved[slot]!, this.#ids[slot]!) < 0) {
      this.#split(this.#right[at]!, slot);
      this.#right[at] = this.#wayLow;
      this.#wayLow = at;
    } else {
      this.#split(this.#left[at]!, slot);
      this.#left[at] = this.#wayHigh;
      this.#wayHigh = at;
    }
    this.#resize(at);
  }

  #without(at: number, slot: number): number {
    if (at === slot) return this.#merge(this.#left[at]!, this.#right[at]!);
    const isAfter = this.#compare(at, this.#keys[slot]!, this.#achieved[slot]!, this.#ids[slot]!) < 0;
    if (isAfter) this.#right[at] = this.#without(this.#right[at]!, slot);
    else this.#left[at] = this.#without(this.#left[at]!, slot);
    this.#size[at]!--;
    return at;
  }

  #merge(low: number, high: number): number {
    if (low === NONE) return high;
    if (high === NONE) return low;
    if (this.#priority[low]! > this.#priority[high]!) {
      this.#right[low] = this.#merge(this.#right[low]!, high);
      this.#resize(low);
      return low;
    }
    this.#left[high] = this.#merge(low, this.#left[high]!);
    this.#resize(high);
    return high;
  }
}
