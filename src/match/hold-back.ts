/**
 * Frames of one room that show what is not durable yet: held, in the order in which they were handed over, until it is.
 * So nobody has ever seen what a crash takes back. What a frame shows is told by when it is handed over: everything
 * recorded until then, be it a patch, a full state, a broadcast or an answer.
 */

/** What stands in a socket's way out. See FastSocket. */
export interface FrameHold {
  /**
   * Keeps a frame back.
   * @param bytes memory that is kept with it; the bytes must not change any more
   * @returns false where nothing is held: then the caller sends it
   */
  keep(bytes: number, send: () => void): boolean;
  /** The same for the closing of a socket, which must not overtake frames; what is never sent does not hold it up. */
  keepClose(close: () => void): boolean;
}

/**
 * Above, a room stops ticking until something is acknowledged: a quarter of a second is more than a Redis or a disk
 * takes in an ordinary moment, and less than players take for a lost connection.
 */
export const HELD_MS_MAX = 250;
/** Bytes held of one room, and what goes for the time; a hundred times what 16 players are sent meanwhile. */
export const HELD_BYTES_MAX = 4 * 2 ** 20;

interface Held {
  readonly shows: number;
  readonly bytes: number;
  readonly send: () => void;
  readonly isClose: boolean;
}

export class HoldBack implements FrameHold {
  readonly #now: () => number;
  #queue: Held[] = [];
  #bytes = 0;
  #recorded = 0;
  #durable = 0;
  /** When the oldest record that is not durable was made, by number of records. */
  #waiting: { readonly upTo: number; readonly sinceMs: number }[] = [];
  #state: 'holding' | 'open' | 'shut' = 'holding';

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Frames held, and their bytes. */
  get held(): { readonly frames: number; readonly bytes: number } {
    return { frames: this.#queue.length, bytes: this.#bytes };
  }

  /** True where the room must not go on: it would show more than can be held, or for longer. */
  get isFull(): boolean {
    const oldest = this.#waiting[0];
    if (this.#state !== 'holding' || oldest === undefined) return false;
    return this.#bytes >= HELD_BYTES_MAX || this.#now() - oldest.sinceMs >= HELD_MS_MAX;
  }

  /** Something was recorded: frames from now on show it. @returns what to release when it is durable */
  record(): number {
    this.#recorded++;
    this.#waiting.push({ upTo: this.#recorded, sinceMs: this.#now() });
    return this.#recorded;
  }

  /** Everything that was recorded up to here is durable. */
  release(upTo: number): void {
    if (upTo <= this.#durable || this.#state !== 'holding') return;
    this.#durable = upTo;
    const later = this.#waiting.findIndex((waiting) => waiting.upTo > upTo);
    this.#waiting = later < 0 ? [] : this.#waiting.slice(later);
    this.#sendUntil(upTo);
  }

  /** Sends all of it and holds nothing from now on: the match goes on unrecorded. */
  open(): void {
    if (this.#state !== 'holding') return;
    this.#state = 'open';
    this.#sendUntil(Number.POSITIVE_INFINITY);
  }

  /** No frame leaves the room any more, and what was held is dropped: somebody else goes on with the match. */
  shut(): void {
    this.#state = 'shut';
    const dropped = this.#queue;
    this.#queue = [];
    this.#bytes = 0;
    for (const { isClose, send } of dropped) if (isClose) send();
  }

  keep(bytes: number, send: () => void): boolean {
    return this.#state === 'shut' || this.#keep(bytes, send, false);
  }

  keepClose(close: () => void): boolean {
    return this.#state !== 'shut' && this.#keep(0, close, true);
  }

  #keep(bytes: number, send: () => void, isClose: boolean): boolean {
    // While frames are being sent, what is handed over on the way comes after them.
    if (this.#queue.length === 0 && (this.#state === 'open' || this.#durable === this.#recorded)) return false;
    this.#queue.push({ shows: this.#recorded, bytes, send, isClose });
    this.#bytes += bytes;
    return true;
  }

  #sendUntil(upTo: number): void {
    let sent = 0;
    for (; sent < this.#queue.length && this.#queue[sent]!.shows <= upTo; sent++) {
      const { bytes, send } = this.#queue[sent]!;
      this.#bytes -= bytes;
      send();
    }
    this.#queue = this.#queue.slice(sent);
  }
}
