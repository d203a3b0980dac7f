/**
 * A map that forgets what was put in long ago: keeps the newest `keptMax` at least, twice as many at most. Two
 * generations, as a Map from whose front one deletes gets slower with every deletion.
 */
export class Recent<K, V> {
  readonly #keptMax: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(keptMax: number) {
    this.#keptMax = keptMax;
  }

  get(key: K): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  has(key: K): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#keptMax && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
