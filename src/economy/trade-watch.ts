/** Lets those who look at a trade wait until something happens to it, so that both windows are live. */
import type { NewEvent } from '../events/event.ts';
import { GameError } from '../kernel/errors.ts';
import type { Ledger } from './ledger.ts';

/** Who may wait at once. Above: OVERLOADED, and the client asks again in a while. */
const WAITERS_MAX = 2_000;

export class TradeWatch {
  readonly #waiters = new Map<string, Set<() => void>>();
  #count = 0;
  #isClosed = false;
  readonly #end: () => void;

  constructor(ledger: Pick<Ledger, 'onDurable'>) {
    this.#end = ledger.onDurable((event) => this.#hear(event));
  }

  /**
   * Answers with what `look` finds as soon as that is newer, or with undefined when the time is up, `signal` aborts or the
   * watch is closed.
   * @throws GameError OVERLOADED; what `look` throws
   */
  async newer<T>(
    tradeId: string,
    look: () => Promise<T | undefined>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      // Armed before looking, so that nothing can happen unseen between the two.
      const waiter = this.#arm(tradeId, until, signal);
      try {
        const found = await look();
        if (found !== undefined || this.#isClosed || signal.aborted || performance.now() >= until) return found;
        await waiter.woken;
      } finally {
        waiter.disarm();
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#end();
    for (const waiters of [...this.#waiters.values()]) for (const wake of [...waiters]) wake();
  }

  #arm(tradeId: string, until: number, signal: AbortSignal): { readonly woken: Promise<void>; disarm(): void } {
    if (this.#count >= WAITERS_MAX) throw new GameError('OVERLOADED', { waitersMax: WAITERS_MAX });
    this.#count++;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(0, until - performance.now()));
    const wake = (): void => resolve();
    signal.addEventListener('abort', wake, { once: true });
    const waiters = this.#waiters.get(tradeId) ?? new Set();
    this.#waiters.set(tradeId, waiters.add(wake));
    return {
      woken: promise,
      disarm: () => {
        this.#count--;
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        waiters.delete(wake);
        if (waiters.size === 0 && this.#waiters.get(tradeId) === waiters) this.#waiters.delete(tradeId);
      },
    };
  }

  #hear({ payload }: NewEvent): void {
    const { tradeId } = payload as { tradeId?: string };
    if (tradeId === undefined) return;
    for (const wake of [...(this.#waiters.get(tradeId) ?? [])]) wake();
  }
}
