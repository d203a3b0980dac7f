/** Which tick the server is at, from its clock: the state does not carry a number that changes every tick. */

export class ServerTick {
  #anchorTick = 0;
  #anchorServerMs = 0;
  readonly #rateHz: number;

  constructor(rateHz: number) {
    this.#rateHz = rateHz;
  }

  /** It was known to be `tick` at that server time. */
  anchor(tick: number, serverMs: number): void {
    this.#anchorTick = tick;
    this.#anchorServerMs = serverMs;
  }

  at(serverMs: number): number {
    return Math.max(0, this.#anchorTick + Math.floor(((serverMs - this.#anchorServerMs) * this.#rateHz) / 1000));
  }
}
