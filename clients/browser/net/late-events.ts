/** Things that are shown when the past that is drawn reaches them: others are drawn a little in the past. */

const QUEUE_MAX = 256;

interface LateEvent {
  readonly atServerMs: number;
  readonly show: () => void;
}

export class LateEvents {
  readonly #queue: LateEvent[] = [];

  /** Shows it once the drawn time reaches `atServerMs`; the oldest is dropped when too many wait. */
  add(atServerMs: number, show: () => void): void {
    if (this.#queue.length >= QUEUE_MAX) this.#queue.shift();
    this.#queue.push({ atServerMs, show });
  }

  /** @param drawnServerMs the server time at which others are drawn in this frame */
  run(drawnServerMs: number): void {
    while (this.#queue.length > 0 && this.#queue[0]!.atServerMs <= drawnServerMs) this.#queue.shift()!.show();
  }

  clear(): void {
    this.#queue.length = 0;
  }
}
