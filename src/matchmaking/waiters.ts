/** Lets those who look at a ticket or a party wait until something happens to it. */
import { GameError } from '../kernel/errors.ts';

/** Who may wait at once in one process. Above: OVERLOADED, and the client asks again in a while. */
export const WAITERS_MAX = 20_000;

export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;
  #isClosed = false;

  get count(): number {
    return this.#count;
  }

  /**
   * Answers with what `look` finds as soon as `isNews` says so; with what it finds then when the time is up, `signal`
   * aborts or this is closed. Looks again whenever the topic is told of.
   * @throws GameError OVERLOADED; what `look` throws
   */
  async newer<T>(
    topic: string,
    look: () => Promise<T>,
    isNews: (found: T) => boolean,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<T> {
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      // Armed before looking, so that nothing can happen unseen between the two.
      const waiter = this.#arm(topic, untilMs, signal);
      try {
        const found = await look();
        if (isNews(found) || this.#isClosed || signal.aborted || performance.now() >= untilMs) return found;
        await waiter.woken;
      } finally {
        waiter.disarm();
      }
    }
  }

  /** Something happened; undefined: nobody knows to what. */
  wake(topic: string | undefined): void {
    const groups = topic === undefined ? [...this.#waiting.values()] : [this.#waiting.get(topic) ?? []];
    for (const group of groups) for (const wake of [...group]) wake();
  }

  close(): void {
    this.#isClosed = true;
    this.wake(undefined);
  }

  #arm(topic: string, untilMs: number, signal: AbortSignal) {
    if (this.#count >= WAITERS_MAX) throw new GameError('OVERLOADED', { waitersMax: WAITERS_MAX });
    this.#count++;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(0, untilMs - performance.now()));
    const wake = (): void => resolve();
    signal.addEventListener('abort', wake, { once: true });
    const group = this.#waiting.get(topic) ?? new Set();
    this.#waiting.set(topic, group.add(wake));
    return {
      woken: promise,
      disarm: (): void => {
        this.#count--;
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        group.delete(wake);
        if (group.size === 0 && this.#waiting.get(topic) === group) this.#waiting.delete(topic);
      },
    };
  }
}
