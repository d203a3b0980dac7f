/** The canary of one process without Redis: the same rules, though there is no other build to send matches to. */
import { type CanaryState, COHORT_PLAYERS_MAX, NO_CANARY } from '../cluster/canary.ts';
import type { CanaryRecord, CanaryStore } from '../cluster/canary-desk.ts';
import { GameError } from '../kernel/errors.ts';

export class MemoryCanary implements CanaryStore {
  #record: CanaryRecord = { state: NO_CANARY, revision: 0, by: '' };
  readonly #listeners = new Set<() => void>();
  readonly #cohorts = new Map<string, Set<string>>();

  async read(): Promise<CanaryRecord> {
    return this.#record;
  }

  async write(state: CanaryState, by: string, revision: number): Promise<boolean> {
    if (revision !== this.#record.revision) return false;
    this.#record = { state, by, revision: revision + 1 };
    for (const listener of this.#listeners) listener();
    return true;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  async isMember(cohort: string, playerId: string): Promise<boolean> {
    return this.#cohorts.get(cohort)?.has(playerId) ?? false;
  }

  async members(cohort: string): Promise<readonly string[]> {
    return [...(this.#cohorts.get(cohort) ?? [])].sort();
  }

  async addMembers(cohort: string, playerIds: readonly string[]): Promise<number> {
    const before = this.#cohorts.get(cohort) ?? new Set();
    const after = new Set([...before, ...playerIds]);
    if (after.size > COHORT_PLAYERS_MAX) throw new GameError('COHORT_FULL', { cohort, playersMax: COHORT_PLAYERS_MAX });
    this.#cohorts.set(cohort, after);
    return after.size - before.size;
  }

  async removeMembers(cohort: string, playerIds: readonly string[]): Promise<number> {
    const before = this.#cohorts.get(cohort) ?? new Set();
    const after = new Set([...before].filter((playerId) => !playerIds.includes(playerId)));
    if (after.size === 0) this.#cohorts.delete(cohort);
    else this.#cohorts.set(cohort, after);
    return before.size - after.size;
  }
}
