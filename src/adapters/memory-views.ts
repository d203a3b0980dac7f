/** Views, checkpoints and parked events in memory, for tests: gone with the process, and of one process only. */
import type { ParkedEvent, ParkedEvents } from '../events/event-bus.ts';
import type { Checkpoint, NamedCheckpoint, ViewStore } from '../events/projection.ts';
import { GameError } from '../kernel/errors.ts';

/** Tables of a view: what was written in a transaction that fails is undone. */
export type MemoryTx = Map<string, unknown>;

export class MemoryViews implements ViewStore<MemoryTx> {
  /** Committed rows, by whatever key the folds choose. */
  rows: ReadonlyMap<string, unknown> = new Map();
  readonly #checkpoints = new Map<string, NamedCheckpoint>();
  readonly #holders = new Map<string, AbortController>();
  #queue: Promise<unknown> = Promise.resolve();
  readonly #waiters = new Set<() => void>();

  async whileHolding(name: string, signal: AbortSignal, work: (lost: AbortSignal) => Promise<void>): Promise<void> {
    while (this.#holders.has(name) && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          this.#waiters.delete(done);
          resolve();
        };
        signal.addEventListener('abort', done, { once: true });
        this.#waiters.add(done);
      });
    }
    if (signal.aborted) return;
    const lost = new AbortController();
    this.#holders.set(name, lost);
    try {
      await work(lost.signal);
    } finally {
      this.#release(name, lost);
    }
  }

  /** Takes a name from whoever holds it, as a broken connection does. */
  breakLock(name: string): void {
    const holder = this.#holders.get(name);
    if (holder === undefined) return;
    this.#release(name, holder);
    holder.abort();
  }

  async checkpoint(name: string): Promise<Checkpoint> {
    const { position, version } = this.#checkpoints.get(name) ?? { position: 0, version: 0 };
    return { position, version };
  }

  async checkpoints(): Promise<readonly NamedCheckpoint[]> {
    return [...this.#checkpoints.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  advance(name: string, from: number, to: Checkpoint, work: (tx: MemoryTx) => Promise<void>): Promise<void> {
    const run = this.#queue.then(async () => {
      const { position } = await this.checkpoint(name);
      if (position !== from) throw new GameError('CHECKPOINT_MOVED', { name, from });
      const tx = new Map(this.rows);
      await work(tx);
      this.rows = tx;
      this.#checkpoints.set(name, { name, ...to, movedAtMs: Date.now() });
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async forget(name: string): Promise<void> {
    await this.#queue;
    if (this.#checkpoints.has(name)) {
      this.#checkpoints.set(name, { name, position: 0, version: 0, movedAtMs: Date.now() });
    }
  }

  async restoreTables(): Promise<readonly string[]> {
    return [];
  }

  #release(name: string, holder: AbortController): void {
    if (this.#holders.get(name) !== holder) return;
    this.#holders.delete(name);
    for (const done of [...this.#waiters]) done();
  }
}

export class MemoryParked implements ParkedEvents {
  readonly #parked = new Map<string, ParkedEvent>();

  async park(parked: Omit<ParkedEvent, 'isReplaying'>): Promise<void> {
    this.#parked.set(key(parked.consumer, parked.event.position), { ...parked, isReplaying: false });
  }

  async list(consumer?: string): Promise<readonly ParkedEvent[]> {
    return this.#sorted((each) => consumer === undefined || each.consumer === consumer).slice(0, 1_000);
  }

  async get(consumer: string, position: number): Promise<ParkedEvent | undefined> {
    return this.#parked.get(key(consumer, position));
  }

  async remove(consumer: string, position: number): Promise<boolean> {
    return this.#parked.delete(key(consumer, position));
  }

  async replay(consumer: string, position: number): Promise<boolean> {
    const parked = this.#parked.get(key(consumer, position));
    if (parked !== undefined) this.#parked.set(key(consumer, position), { ...parked, isReplaying: true });
    return parked !== undefined;
  }

  async replays(consumer: string): Promise<readonly ParkedEvent[]> {
    return this.#sorted((each) => each.consumer === consumer && each.isReplaying).slice(0, 100);
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (const { consumer } of this.#parked.values()) counts.set(consumer, (counts.get(consumer) ?? 0) + 1);
    return counts;
  }

  #sorted(isWanted: (parked: ParkedEvent) => boolean): ParkedEvent[] {
    return [...this.#parked.values()]
      .filter(isWanted)
      .sort((a, b) => a.event.position - b.event.position || (a.consumer < b.consumer ? -1 : 1));
  }
}

function key(consumer: string, position: number): string {
  return `${consumer} ${position}`;
}
