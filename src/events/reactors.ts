/** Runs the reactors of a program: those who act on what happened in other areas. */
import type { ParkedEvents } from './event-bus.ts';
import type { EventLog, StoredEvent } from './event-log.ts';
import type { FollowerReading } from './follower.ts';
import { LogTail } from './log-tail.ts';
import type { Reactor, ViewStore } from './projection.ts';
import { ReactorLoop, type ReactorReading } from './reactor-loop.ts';

/** Longest wait for reactors to have acted, ms, unless told otherwise. */
const CAUGHT_UP_MS = 5_000;

export interface ReactorsOptions {
  readonly log: EventLog;
  readonly store: ViewStore<unknown>;
  readonly parked: ParkedEvents;
  readonly reactors: readonly Reactor[];
  readonly tail?: LogTail;
  /** Tries before an event is parked. Default 5. */
  readonly attemptsMax?: number;
  /** Pause before the second try, ms. Default 100; it doubles up to `retryMaxMs`, default 5,000. */
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  readonly onChange?: (reading: FollowerReading) => void;
  readonly onParked?: (consumer: string, event: StoredEvent, reason: string) => void;
}

/** Name of checkpoint, lock and parked events of a reactor. */
export function reactorKey(name: string): string {
  return `reactor/${name}`;
}

export class Reactors {
  readonly #loops = new Map<string, ReactorLoop>();
  readonly #tail: LogTail;
  readonly #ownsTail: boolean;

  /** @throws RangeError for two reactors of one name */
  constructor({ reactors, tail, ...options }: ReactorsOptions) {
    this.#tail = tail ?? new LogTail(options.log);
    this.#ownsTail = tail === undefined;
    for (const reactor of reactors) {
      const { name, types } = reactor;
      if (this.#loops.has(name)) throw new RangeError(`two reactors are called ${name}`);
      const loop = new ReactorLoop({
        ...options,
        name: reactorKey(name),
        types,
        tail: this.#tail,
        handle: ({ event }) => reactor.react(event),
      });
      this.#loops.set(name, loop);
    }
  }

  start(): void {
    if (this.#ownsTail) this.#tail.start();
    for (const loop of this.#loops.values()) loop.start();
  }

  /** Ends after the events at hand. */
  async stop(): Promise<void> {
    await Promise.all([...this.#loops.values()].map((loop) => loop.stop()));
    if (this.#ownsTail) await this.#tail.stop();
  }

  /**
   * Resolves once everything up to a position was acted on, or parked, by whatever process.
   * @throws GameError VIEW_BEHIND if it was not in time
   */
  async caughtUp(position: number, names?: readonly string[], timeoutMs: number = CAUGHT_UP_MS): Promise<void> {
    const wanted = (names ?? [...this.#loops.keys()]).map((name) => {
      const loop = this.#loops.get(name);
      if (loop === undefined) throw new RangeError(`there is no reactor ${name}`);
      return loop;
    });
    await Promise.all(wanted.map((loop) => loop.caughtUp(position, timeoutMs)));
  }

  get readings(): readonly ReactorReading[] {
    return [...this.#loops.values()].map((loop) => loop.reading);
  }
}
