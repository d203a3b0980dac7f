/** How many commands each client of a room may send. */
import { GameError } from '../kernel/errors.ts';

/** A burst, and a sustained rate. */
const BURST = 20;
const PER_SECOND = 5;

interface Budget {
  tokens: number;
  refilledAtMs: number;
}

/** One budget a session, for as long as it is in the room. */
export class CommandBudgets {
  readonly #budgets = new Map<string, Budget>();

  /**
   * @param nowMs on any clock that does not run backwards
   * @throws GameError RATE_LIMITED
   */
  spend(sessionId: string, nowMs: number): void {
    let budget = this.#budgets.get(sessionId);
    if (budget === undefined) {
      budget = { tokens: BURST, refilledAtMs: nowMs };
      this.#budgets.set(sessionId, budget);
    }
    budget.tokens = Math.min(BURST, budget.tokens + ((nowMs - budget.refilledAtMs) / 1000) * PER_SECOND);
    budget.refilledAtMs = nowMs;
    if (budget.tokens < 1) throw new GameError('RATE_LIMITED');
    budget.tokens--;
  }

  forget(sessionId: string): void {
    this.#budgets.delete(sessionId);
  }
}
