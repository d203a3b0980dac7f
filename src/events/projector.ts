/**
 * Runs views: follows the log and folds every event of a view's types into it exactly once, as the fold's writes and
 * its checkpoint are one transaction. Each view has its own lock and checkpoint, so one that cannot go on stops nobody
 * else.
 */
import type { EventLog } from './event-log.ts';
import { Follower, type FollowerReading } from './follower.ts';
import { LogTail } from './log-tail.ts';
import type { Projection, ViewStore } from './projection.ts';

/** Longest wait for a view to see one's own write, ms, unless told otherwise. */
const CAUGHT_UP_MS = 5_000;

export interface ProjectorOptions<Tx> {
  readonly log: EventLog;
  readonly store: ViewStore<Tx>;
  readonly projections: readonly Projection<Tx>[];
  /** Shared with other followers of the process; else it has one of its own. */
  readonly tail?: LogTail;
  /** Called when a view begins or ends to be this process's, stops (`error` says why), or goes on. For the logger. */
  readonly onChange?: (reading: FollowerReading) => void;
  /** Longest pause before a stopped view is tried again, ms. Default 5,000. */
  readonly retryMaxMs?: number;
  /** Events of one page at most, 1 to 10,000. Default 10,000. */
  readonly pageMax?: number;
}

/** Name of checkpoint and lock of a view. */
export function viewKey(name: string): string {
  return `view/${name}`;
}

export class Projector<Tx> {
  readonly #followers = new Map<string, Follower>();
  readonly #tail: LogTail;
  readonly #ownsTail: boolean;

  /** @throws RangeError for two projections of one name, or a version below 1 */
  constructor({ log, store, projections, tail, onChange, retryMaxMs, pageMax }: ProjectorOptions<Tx>) {
    this.#tail = tail ?? new LogTail(log);
    this.#ownsTail = tail === undefined;
    for (const projection of projections) {
      const { name, version, types, tables = [] } = projection;
      if (this.#followers.has(name)) throw new RangeError(`two views are called ${name}`);
      if (!Number.isInteger(version) || version < 1) throw new RangeError(`${name}: version ${version}`);
      const key = viewKey(name);
      const follower = new Follower({
        name: key,
        version,
        types,
        tables,
        log,
        tail: this.#tail,
        store,
        work: {
          handle: async (events, from, to) => {
            await store.advance(key, from, { position: to, version }, async (tx) => {
              if (events.length > 0) await projection.fold(tx, events);
            });
            return to;
          },
          reset: (from) => store.advance(key, from, { position: 0, version }, (tx) => projection.reset(tx)),
        },
        ...(onChange === undefined ? {} : { onChange }),
        ...(retryMaxMs === undefined ? {} : { retryMaxMs }),
        ...(pageMax === undefined ? {} : { pageMax }),
      });
      this.#followers.set(name, follower);
    }
  }

  start(): void {
    if (this.#ownsTail) this.#tail.start();
    for (const follower of this.#followers.values()) follower.start();
  }

  /** Ends after the pages at hand. */
  async stop(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.stop()));
    if (this.#ownsTail) await this.#tail.stop();
  }

  /**
   * Resolves once views show everything up to a position, whatever process folds them: for one who reads what he has
   * just written.
   * @param names of the views, all by default
   * @throws GameError VIEW_BEHIND if they do not in time; DATABASE_UNAVAILABLE
   * @throws RangeError for a name that there is not
   */
  async caughtUp(position: number, names?: readonly string[], timeoutMs: number = CAUGHT_UP_MS): Promise<void> {
    const wanted = (names ?? [...this.#followers.keys()]).map((name) => {
      const follower = this.#followers.get(name);
      if (follower === undefined) throw new RangeError(`there is no view ${name}`);
      return follower;
    });
    await Promise.all(wanted.map((follower) => follower.caughtUp(position, timeoutMs)));
  }

  /** One of each view, for metrics and health. */
  get readings(): readonly FollowerReading[] {
    return [...this.#followers.values()].map((follower) => follower.reading);
  }
}
