/** Reads cells, decides, and writes them as one change; reads and decides again if somebody else was first. */
import { GameError } from '../kernel/errors.ts';
import type { CellChange, TicketCells } from './ticket-cells.ts';

/** Tries of one change. Above: OVERLOADED, for so many at once want the same. */
const TRIES_MAX = 24;
/** Longest pause before another try, ms: those who collided do not collide again. */
const PAUSE_MS = 8;

/** What is held by a lease: changes under it are refused once there is a newer one. */
export interface Fenced {
  readonly pool: string;
  readonly fence: number;
}

export class Transaction {
  readonly #cells: TicketCells;
  readonly #expect = new Map<string, string | undefined>();
  readonly #written = new Map<string, { text: string; lifeMs: number } | undefined>();
  readonly #place: CellChange['place'][number][] = [];
  readonly #take: CellChange['take'][number][] = [];
  readonly #tell = new Set<string>();

  constructor(cells: TicketCells) {
    this.#cells = cells;
  }

  /** By the store's clock, ms. */
  get nowMs(): number {
    return this.#cells.nowMs();
  }

  async read<T>(name: string): Promise<T | undefined> {
    return (await this.readAll<T>([name]))[0];
  }

  /** What the cells hold, as this change leaves them so far. */
  async readAll<T>(names: readonly string[]): Promise<readonly (T | undefined)[]> {
    const unknown = names.filter((name) => !this.#expect.has(name) && !this.#written.has(name));
    if (unknown.length > 0) {
      const texts = await this.#cells.read(unknown);
      unknown.forEach((name, at) => {
        this.#expect.set(name, texts[at]);
      });
    }
    return names.map((name) => {
      const text = this.#written.has(name) ? this.#written.get(name)?.text : this.#expect.get(name);
      return text === undefined ? undefined : (JSON.parse(text) as T);
    });
  }

  write(name: string, value: unknown, lifeMs: number): void {
    this.#written.set(name, { text: JSON.stringify(value), lifeMs });
  }

  remove(name: string): void {
    this.#written.set(name, undefined);
  }

  place(set: string, member: string, score: number, lifeMs: number): void {
    this.#place.push({ set, member, score, lifeMs });
  }

  take(set: string, member: string): void {
    this.#take.push({ set, member });
  }

  /** Once it is done. */
  tell(topic: string): void {
    this.#tell.add(topic);
  }

  change(fence: Fenced | undefined): CellChange {
    const written = [...this.#written];
    return {
      expect: this.#expect,
      ...(fence === undefined ? {} : { fence }),
      write: written.flatMap(([name, cell]) => (cell === undefined ? [] : [{ name, ...cell }])),
      remove: written.flatMap(([name, cell]) => (cell === undefined ? [name] : [])),
      place: this.#place,
      take: this.#take,
      tell: [...this.#tell],
    };
  }
}

/**
 * Runs `decide` until what it read is still so when it is written; its answer. Nothing is written when it throws.
 * @throws what `decide` throws; GameError OVERLOADED, STORE_UNAVAILABLE; LEASE_LOST if `fence` is not the newest
 */
export async function transact<T>(
  cells: TicketCells,
  decide: (tx: Transaction) => Promise<T>,
  fence?: Fenced,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const tx = new Transaction(cells);
    const answer = await decide(tx);
    const outcome = await cells.commit(tx.change(fence));
    if (outcome === 'done') return answer;
    if (outcome === 'fenced') throw new GameError('LEASE_LOST', { pool: fence?.pool });
    if (attempt === TRIES_MAX) throw new GameError('OVERLOADED', { tries: TRIES_MAX });
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(attempt, PAUSE_MS)));
  }
}
