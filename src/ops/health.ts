/** What a load balancer may ask: is the process alive, and does it take new players. */

/** What a process may be unable to do although it takes players; why is in its log. */
export type Ability = 'adoption';

export type Phase = 'starting' | 'ready' | 'draining';

const ORDER: readonly Phase[] = ['starting', 'ready', 'draining'];

/** Goes forward only: a process that drains never becomes ready again. */
export class Health {
  #phase: Phase = 'starting';
  readonly #without = new Set<Ability>();

  get phase(): Phase {
    return this.#phase;
  }

  get isReady(): boolean {
    return this.#phase === 'ready';
  }

  /** What this process cannot do. It is as ready as without: whoever restarted it for that would change nothing. */
  get without(): readonly Ability[] {
    return [...this.#without];
  }

  isAble(to: Ability): boolean {
    return !this.#without.has(to);
  }

  disable(ability: Ability): void {
    this.#without.add(ability);
  }

  /** Moves on to a later phase; an earlier or the same one changes nothing. */
  advance(to: Exclude<Phase, 'starting'>): void {
    if (ORDER.indexOf(to) > ORDER.indexOf(this.#phase)) this.#phase = to;
  }
}
