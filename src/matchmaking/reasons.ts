/** Why tickets wait, by ticket id. Ten thousand are told in every cycle and few are read, so each is made when it is asked for. */
import type { Ticket, WaitReason } from './ticket.ts';

export class Reasons implements ReadonlyMap<string, WaitReason> {
  readonly #tickets: readonly Ticket[];
  readonly #reasonOf: (index: number) => WaitReason;
  #indexOf: Map<string, number> | undefined;

  /**
   * @param tickets in the order in which they are told
   * @param reasonOf by index; the same whenever it is called
   */
  constructor(tickets: readonly Ticket[], reasonOf: (index: number) => WaitReason) {
    this.#tickets = tickets;
    this.#reasonOf = reasonOf;
  }

  get size(): number {
    return this.#tickets.length;
  }

  has(ticketId: string): boolean {
    return this.#index().has(ticketId);
  }

  get(ticketId: string): WaitReason | undefined {
    const index = this.#index().get(ticketId);
    return index === undefined ? undefined : this.#reasonOf(index);
  }

  forEach(
    callback: (why: WaitReason, ticketId: string, reasons: ReadonlyMap<string, WaitReason>) => void,
    that?: unknown,
  ): void {
    for (const [ticketId, why] of this) callback.call(that, why, ticketId, this);
  }

  *entries(): Generator<[string, WaitReason], undefined> {
    for (let i = 0; i < this.#tickets.length; i++) yield [this.#tickets[i]!.ticketId, this.#reasonOf(i)];
    return undefined;
  }

  *keys(): Generator<string, undefined> {
    for (const { ticketId } of this.#tickets) yield ticketId;
    return undefined;
  }

  *values(): Generator<WaitReason, undefined> {
    for (let i = 0; i < this.#tickets.length; i++) yield this.#reasonOf(i);
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, WaitReason], undefined> {
    return this.entries();
  }

  #index(): Map<string, number> {
    if (this.#indexOf === undefined) {
      this.#indexOf = new Map();
      for (let i = 0; i < this.#tickets.length; i++) this.#indexOf.set(this.#tickets[i]!.ticketId, i);
    }
    return this.#indexOf;
  }
}
