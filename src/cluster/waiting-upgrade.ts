/**
 * A WebSocket upgrade that is not decided yet. Its socket is read all along, or nobody would see that the client left;
 * what it sends (nothing, before it is answered) is kept within a bound.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RoomTarget } from './room-target.ts';

export interface WaitingOptions {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly target: RoomTarget;
  /** What shares a limit with it; undefined where none applies. */
  readonly network: string | undefined;
  readonly nowMs: number;
  /** Bytes that it may send before it is answered. */
  readonly bytesMax: number;
  /** The client left, or sent more than that. */
  onGone(waiting: WaitingUpgrade, isTooLarge: boolean): void;
}

export class WaitingUpgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly target: RoomTarget;
  readonly network: string | undefined;
  readonly sinceMs: number;
  /** Set while it is held. */
  timer: NodeJS.Timeout | undefined;
  heldSinceMs: number | undefined;
  /** The attempt to reach an owner that is under way. */
  dialling: { readonly processId: string; abandon(): void } | undefined;
  isOver = false;
  readonly #chunks: Buffer[] = [];
  readonly #onData: (chunk: Buffer) => void;
  readonly #onEnd: () => void;

  constructor({ request, socket, head, target, network, nowMs, bytesMax, onGone }: WaitingOptions) {
    this.request = request;
    this.socket = socket;
    this.target = target;
    this.network = network;
    this.sinceMs = nowMs;
    let bytes = head.length;
    if (bytes > 0) this.#chunks.push(head);
    this.#onData = (chunk) => {
      bytes += chunk.length;
      this.#chunks.push(chunk);
      if (bytes > bytesMax) onGone(this, true);
    };
    this.#onEnd = () => onGone(this, false);
    socket.on('data', this.#onData);
    // Half-open is gone: a WebSocket whose client will say nothing more is of no use to anybody.
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
    socket.on('error', this.#onEnd);
  }

  /** What was sent so far; from now on it is empty. */
  takeBytes(): Buffer {
    return Buffer.concat(this.#chunks.splice(0));
  }

  /** @returns whether an attempt was under way */
  stopDialling(): boolean {
    const { dialling } = this;
    this.dialling = undefined;
    dialling?.abandon();
    return dialling !== undefined;
  }

  /** Lets go of the socket, paused. Whoever takes it over must listen to its errors at once. */
  release(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.socket.pause();
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onEnd);
    this.socket.off('close', this.#onEnd);
    this.socket.off('error', this.#onEnd);
  }
}
