/**
 * One WebSocket connection through a gate: the bytes of a client to the process that runs its room, and back. Frames are
 * not looked at; back-pressure goes through, so that a slow client is the owner's to judge, as without a gate.
 */
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { limitTime } from '../kernel/time-limit.ts';
import type { DialFailure } from './gate-totals.ts';

/** TCP asks a silent peer after this time, ms. The owner's WebSocket pings find a dead client earlier. */
const KEEP_ALIVE_MS = 10_000;
/** As much of an answer as says its status: `HTTP/1.1 101`. */
const STATUS_BYTES = 12;

export interface Dial {
  readonly host: string;
  readonly port: number;
  /** The whole request head, and what the client sent after it. */
  readonly head: Buffer;
  /** From dialling to the status line, ms: a stopped process accepts connections and never answers. */
  readonly answerMs: number;
}

export type Dialled =
  /** It answered, `first` being the beginning of that; with 101 the client is in. */
  { readonly state: 'answered'; readonly far: Socket; readonly first: Buffer } | { readonly state: DialFailure };

/** Asks a process to take over an upgrade. `abandon` ends it early; the promise then never settles. */
export function dial(options: Dial): { readonly answer: Promise<Dialled>; abandon(): void } {
  const { host, port, head, answerMs } = options;
  const far = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
  let first: Buffer = Buffer.alloc(0);
  const { promise, resolve } = Promise.withResolvers<Dialled>();
  const settle = (outcome: Dialled): void => {
    endLimit();
    far.removeAllListeners('data');
    far.removeAllListeners('error');
    far.removeAllListeners('close');
    far.on('error', () => far.destroy());
    if (outcome.state === 'answered') far.pause();
    else far.destroy();
    resolve(outcome);
  };
  const endLimit = limitTime(answerMs, () => settle({ state: 'silent' }));
  far.on('data', (chunk: Buffer) => {
    first = first.length === 0 ? chunk : Buffer.concat([first, chunk]);
    if (first.length < STATUS_BYTES) return;
    const status = first.toString('latin1', STATUS_BYTES - 3, STATUS_BYTES);
    settle(status === '503' ? { state: 'moving' } : { state: 'answered', far, first });
  });
  far.on('error', () => settle({ state: 'unreachable' }));
  far.on('close', () => settle({ state: 'unreachable' }));
  far.write(head);
  return {
    answer: promise,
    abandon() {
      endLimit();
      far.removeAllListeners();
      far.on('error', () => far.destroy());
      far.destroy();
    },
  };
}

export interface TunnelOptions {
  readonly near: Duplex;
  readonly far: Socket;
  /** The process at the far end. */
  readonly processId: string;
  /** After one side has said its last word, how long the other may take, ms. */
  readonly lingerMs: number;
  onEnd(tunnel: Tunnel): void;
}

export class Tunnel {
  readonly processId: string;
  readonly #near: Duplex;
  readonly #far: Socket;
  readonly #lingerMs: number;
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;

  constructor({ near, far, processId, lingerMs, onEnd }: TunnelOptions) {
    this.processId = processId;
    this.#near = near;
    this.#far = far;
    this.#lingerMs = lingerMs;
    this.#onEnd = () => onEnd(this);
    this.#watch(near, far);
    this.#watch(far, near);
  }

  /**
   * @param first beginning of the owner's answer
   * @param sent what the client has sent since the request was passed on
   */
  start(first: Buffer, sent: Buffer): void {
    const [near, far] = [this.#near, this.#far];
    // A close that came before anybody listened is not told again.
    if (near.destroyed || far.destroyed) {
      this.cut();
      return;
    }
    if (sent.length > 0) far.write(sent);
    near.write(first);
    near.pipe(far);
    far.pipe(near);
  }

  /** Breaks it at once: the client sees 1006, and comes again. */
  cut(): void {
    this.#near.destroy();
    this.#far.destroy();
    this.#finish();
  }

  /**
   * Ends it in order, as this process goes: what the owner has said until it hears of that still arrives, and then the
   * client sees 1006, and comes again. What the client says meanwhile is lost, as with any connection. Resolves when it
   * is over.
   */
  end(): Promise<void> {
    this.#near.unpipe(this.#far);
    this.#near.resume();
    this.#near.once('close', () => this.cut());
    this.#far.end();
    this.#timer ??= setTimeout(() => this.cut(), this.#lingerMs);
    return this.#over.promise;
  }

  #watch(side: Duplex, other: Duplex): void {
    side.on('error', () => this.cut());
    // The pipe passes the end on; what is on its way still arrives, unless the other side takes for ever.
    side.on('end', () => {
      this.#timer ??= setTimeout(() => this.cut(), this.#lingerMs);
    });
    side.on('close', () => {
      if (!side.readableEnded || other.destroyed) this.cut();
    });
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onEnd();
    this.#over.resolve();
  }
}
