/**
 * argon2id, one attempt at a time. A hash keeps a thread of Node's pool of four busy for about 30 ms; the same pool
 * writes the journals of running matches, so passwords get one thread of it and wait for their turn. Above the bound of
 * the queue an attempt is refused with OVERLOADED. Turns go round by network, so that one that sends many waits for
 * itself, and networks from which somebody has signed in before go first.
 */
import { argon2 } from 'node:crypto';
import { GameError } from '../kernel/errors.ts';

/** What a hash costs. */
export interface HashCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly hashBytes: number;
}

/** OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane. */
export const ARGON2: HashCost = Object.freeze({ memoryKib: 19_456, passes: 2, parallelism: 1, hashBytes: 32 });

export interface HasherOptions {
  /** Default {@link ARGON2}. Another one makes other hashes: nobody would get in any more. */
  readonly cost?: HashCost;
  /** Attempts hashed at once. Default 1. */
  readonly concurrencyMax?: number;
  /** Attempts that wait. Above: OVERLOADED. Default 64, two seconds' worth. */
  readonly queueMax?: number;
  /** Attempts of one network that wait. Above: OVERLOADED. Default 8. */
  readonly queuePerNetworkMax?: number;
}

interface Attempt {
  readonly password: string;
  readonly salt: Buffer;
  readonly resolve: (hash: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

export class PasswordHasher {
  readonly #cost: HashCost;
  readonly #concurrencyMax: number;
  readonly #queueMax: number;
  readonly #queuePerNetworkMax: number;
  /** First those known, then the others; each by network, in order of turns. */
  readonly #lanes: readonly [Map<string, Attempt[]>, Map<string, Attempt[]>] = [new Map(), new Map()];
  #waiting = 0;
  #running = 0;
  #hashes = 0;

  constructor(options: HasherOptions = {}) {
    this.#cost = options.cost ?? ARGON2;
    this.#concurrencyMax = options.concurrencyMax ?? 1;
    this.#queueMax = options.queueMax ?? 64;
    this.#queuePerNetworkMax = options.queuePerNetworkMax ?? 8;
  }

  /** Hashes made so far. */
  get hashes(): number {
    return this.#hashes;
  }

  /** Attempts that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param salt 16 bytes
   * @returns 32 bytes
   * @throws GameError OVERLOADED
   */
  hash(password: string, salt: Buffer, network: string, isKnown: boolean): Promise<Buffer> {
    const lane = this.#lanes[isKnown ? 0 : 1];
    const queue = lane.get(network) ?? [];
    if (this.#waiting >= this.#queueMax || queue.length >= this.#queuePerNetworkMax) {
      throw new GameError('OVERLOADED', { what: 'passwords' });
    }
    return new Promise((resolve, reject) => {
      queue.push({ password, salt, resolve, reject });
      lane.set(network, queue);
      this.#waiting++;
      this.#next();
    });
  }

  #next(): void {
    while (this.#running < this.#concurrencyMax) {
      const attempt = this.#take(this.#lanes[0]) ?? this.#take(this.#lanes[1]);
      if (attempt === undefined) return;
      this.#running++;
      this.#hashes++;
      const { password, salt, resolve, reject } = attempt;
      const { memoryKib: memory, passes, parallelism, hashBytes: tagLength } = this.#cost;
      const parameters = { message: Buffer.from(password), nonce: salt, memory, passes, parallelism, tagLength };
      argon2('argon2id', parameters, (error, hash) => {
        this.#running--;
        if (error === null) resolve(hash);
        else reject(error);
        this.#next();
      });
    }
  }

  #take(lane: Map<string, Attempt[]>): Attempt | undefined {
    const [turn] = lane;
    if (turn === undefined) return undefined;
    const [network, queue] = turn;
    const attempt = queue.shift();
    // To the end of the round.
    lane.delete(network);
    if (queue.length > 0) lane.set(network, queue);
    this.#waiting--;
    return attempt;
  }
}
