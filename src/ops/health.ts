/** What a load balancer may ask: is the process alive, and does it take new players. */

export type Phase = 'starting' | 'ready' | 'draining';

const ORDER: readonly Phase[] = ['starting', 'ready', 'draining'];

/** Goes forward only: a process that drains never becomes ready again. */
export class Health {
  #phase: Phase = 'starting';

  get phase(): Phase {
    return this.#phase;
  }

  get isReady(): boolean {
    return this.#phase === 'ready';
  }

  /** Moves on to a later phase; an earlier or the same one changes nothing. */
  advance(to: Exclude<Phase, 'starting'>): void {
    if (ORDER.indexOf(to) > ORDER.indexOf(this.#phase)) this.#phase = to;
  }
}
