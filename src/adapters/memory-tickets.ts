/** Cells of the matchmaking in the memory of one process: what runs without Redis, and the model that Redis is held to. */
import type { CellChange, CommitOutcome, Lease, TicketCells } from '../matchmaking/ticket-cells.ts';

/** Expired cells are looked for so often, in changes. */
const SWEEP_EVERY = 256;

export class MemoryTickets implements TicketCells {
  readonly #nowMs: () => number;
  readonly #texts = new Map<string, { readonly text: string; readonly endsAtMs: number }>();
  readonly #sets = new Map<string, { readonly scores: Map<string, number>; endsAtMs: number }>();
  readonly #leases = new Map<string, { readonly holder: string; readonly fence: number; endsAtMs: number }>();
  readonly #fences = new Map<string, number>();
  readonly #listeners = new Set<(topic: string | undefined) => void>();
  #changes = 0;

  /** @param nowMs a clock that never goes back, ms since any moment */
  constructor(nowMs: () => number = () => performance.timeOrigin + performance.now()) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return Math.floor(this.#nowMs());
  }

  async read(names: readonly string[]): Promise<readonly (string | undefined)[]> {
    return names.map((name) => this.#text(name));
  }

  async members(set: string, limit: number, scoreMax = Number.POSITIVE_INFINITY): Promise<readonly string[]> {
    return this.#sorted(set)
      .filter(([, score]) => score <= scoreMax)
      .slice(0, limit)
      .map(([member]) => member);
  }

  async rank(set: string, member: string): Promise<{ size: number; before: number | undefined }> {
    const scores = this.#scores(set);
    const own = scores?.get(member);
    if (scores === undefined || own === undefined) return { size: scores?.size ?? 0, before: undefined };
    let before = 0;
    for (const [other, score] of scores) if (score < own || (score === own && other < member)) before++;
    return { size: scores.size, before };
  }

  async commit(change: CellChange): Promise<CommitOutcome> {
    if (change.fence !== undefined && (this.#fences.get(change.fence.pool) ?? 0) !== change.fence.fence)
      return 'fenced';
    for (const [name, text] of change.expect) if (this.#text(name) !== text) return 'conflict';
    const nowMs = this.#nowMs();
    for (const name of change.remove) this.#texts.delete(name);
    for (const { name, text, lifeMs } of change.write) this.#texts.set(name, { text, endsAtMs: nowMs + lifeMs });
    for (const { set, member } of change.take) {
      const scores = this.#scores(set);
      scores?.delete(member);
      if (scores?.size === 0) this.#sets.delete(set);
    }
    for (const { set, member, score, lifeMs } of change.place) {
      const scores = this.#scores(set) ?? new Map<string, number>();
      this.#sets.set(set, { scores: scores.set(member, score), endsAtMs: nowMs + lifeMs });
    }
    if (++this.#changes % SWEEP_EVERY === 0) this.#sweep(nowMs);
    // Later, as a store would: who changed it goes on first.
    if (change.tell.length > 0) {
      setImmediate(() => {
        for (const topic of change.tell) for (const listener of [...this.#listeners]) listener(topic);
      });
    }
    return 'done';
  }

  async lease(pool: string, holder: string, lifeMs: number): Promise<Lease | undefined> {
    const nowMs = this.#nowMs();
    const held = this.#leases.get(pool);
    if (held !== undefined && held.endsAtMs > nowMs) {
      if (held.holder !== holder) return undefined;
      held.endsAtMs = nowMs + lifeMs;
      return { fence: held.fence, isNew: false };
    }
    const fence = (this.#fences.get(pool) ?? 0) + 1;
    this.#fences.set(pool, fence);
    this.#leases.set(pool, { holder, fence, endsAtMs: nowMs + lifeMs });
    return { fence, isNew: true };
  }

  async yieldLease(pool: string, holder: string): Promise<void> {
    if (this.#leases.get(pool)?.holder === holder) this.#leases.delete(pool);
  }

  onTold(listener: (topic: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  /** Names of all cells that hold something, ascending. */
  names(): readonly string[] {
    this.#sweep(this.#nowMs());
    return [...this.#texts.keys(), ...this.#sets.keys()].sort();
  }

  #text(name: string): string | undefined {
    const cell = this.#texts.get(name);
    return cell !== undefined && cell.endsAtMs > this.#nowMs() ? cell.text : undefined;
  }

  #scores(set: string): Map<string, number> | undefined {
    const found = this.#sets.get(set);
    return found !== undefined && found.endsAtMs > this.#nowMs() ? found.scores : undefined;
  }

  #sorted(set: string): (readonly [member: string, score: number])[] {
    return [...(this.#scores(set) ?? [])].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
  }

  #sweep(nowMs: number): void {
    for (const [name, { endsAtMs }] of this.#texts) if (endsAtMs <= nowMs) this.#texts.delete(name);
    for (const [name, { endsAtMs }] of this.#sets) if (endsAtMs <= nowMs) this.#sets.delete(name);
  }
}
