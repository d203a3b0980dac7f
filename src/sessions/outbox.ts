/**
 * Messages to a player who is away. Of a type that is kept each one waits, in order, up to a bound; of any other only
 * the number is kept. Who comes back gets what waited, and is told how many of which type it missed.
 */

/** Above: the oldest is lost, and counted. */
export const KEPT_MAX = 32;
/** JSON of one message, characters. Above: it is lost, and counted. */
export const KEPT_CHARS_MAX = 2_048;
/** Types that are told apart among the lost. Above: they count as `other`. */
const TYPES_MAX = 32;

export interface KeptMessage {
  readonly type: string;
  /** JSON-able. */
  readonly payload: unknown;
}

/** As JSON has it. */
export interface SavedOutbox {
  readonly kept: readonly KeptMessage[];
  readonly lost: Readonly<Record<string, number>>;
}

export class Outbox {
  #kept: KeptMessage[] = [];
  #lost = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#kept.length === 0 && this.#lost.size === 0;
  }

  /** @returns false if it is too long to wait: it was counted as lost */
  keep(type: string, payload: unknown): boolean {
    const text = JSON.stringify(payload ?? null);
    if (text.length > KEPT_CHARS_MAX) {
      this.lose(type);
      return false;
    }
    // What is sent later must be what was said now.
    this.#kept.push({ type, payload: JSON.parse(text) });
    if (this.#kept.length > KEPT_MAX) this.lose(this.#kept.shift()!.type);
    return true;
  }

  /** @returns whether it is the first of its type that is lost */
  lose(type: string): boolean {
    const name = this.#lost.has(type) || this.#lost.size < TYPES_MAX ? type : 'other';
    const count = this.#lost.get(name) ?? 0;
    this.#lost.set(name, count + 1);
    return count === 0;
  }

  /** All of it; empty afterwards. */
  take(): SavedOutbox {
    const taken = this.save();
    this.#kept = [];
    this.#lost = new Map();
    return taken;
  }

  save(): SavedOutbox {
    return { kept: [...this.#kept], lost: Object.fromEntries(this.#lost) };
  }

  load({ kept, lost }: SavedOutbox): void {
    this.#kept = kept.slice(-KEPT_MAX);
    this.#lost = new Map(Object.entries(lost).slice(0, TYPES_MAX));
  }
}
