/**
 * Sends every player's inputs at an even rate: players are spread over the period, so that the server sees a stream
 * and not a volley, and the beat is computed from the start, so that it does not drift.
 */
import type { Player } from './player.ts';

/** Parts of a period; a player belongs to one. */
const SLOTS = 64;
/** Periods after which a late beat is left out: catching up would be a flood that the server rightly refuses. */
const LATE_MAX_PERIODS = 3;

export class InputClock {
  readonly #slots: Player[][] = Array.from({ length: SLOTS }, () => []);
  readonly #onSkipped: (inputs: number) => void;
  readonly #now: () => number;
  #count = 0;
  #slotMs = 0;
  #startMs = 0;
  #done = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onSkipped told how many inputs were left out because this process was too busy */
  constructor(onSkipped: (inputs: number) => void, now: () => number = () => performance.now()) {
    this.#onSkipped = onSkipped;
    this.#now = now;
  }

  add(player: Player): void {
    // Steps of 37 visit all 64 slots, far from each other, whatever the number of players.
    this.#slots[(this.#count++ * 37) % SLOTS]!.push(player);
  }

  /** @param rateHz inputs per second and player, above 0; may be changed while running */
  start(rateHz: number): void {
    this.stop();
    this.#slotMs = 1000 / rateHz / SLOTS;
    this.#startMs = this.#now();
    this.#done = 0;
    this.#wake();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wake(): void {
    this.beat();
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, this.#slotMs));
  }

  /** Sends what is due by now. */
  beat(): void {
    const nowMs = this.#now();
    const due = Math.floor((nowMs - this.#startMs) / this.#slotMs) + 1;
    const oldest = due - LATE_MAX_PERIODS * SLOTS;
    let skipped = 0;
    for (; this.#done < oldest; this.#done++) skipped += this.#slots[this.#done % SLOTS]!.length;
    if (skipped > 0) this.#onSkipped(skipped);
    for (; this.#done < due; this.#done++) {
      for (const player of this.#slots[this.#done % SLOTS]!) if (player.isOpen) player.sendInput(nowMs);
    }
  }
}
