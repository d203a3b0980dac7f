/**
 * Copies the log to NATS: every event once, in order, by one process at a time. It goes on from its checkpoint, or from
 * before if the server has lost the newest messages; a stream that is new begins where the checkpoint is, as consumers
 * read what is older from the log.
 */
import type { EventCatalogue } from '../events/event.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import { Follower, type FollowerReading } from '../events/follower.ts';
import type { LogTail } from '../events/log-tail.ts';
import type { ViewStore } from '../events/projection.ts';
import { isWrongLast, type NatsLink, STREAM, SUBJECT } from './nats-link.ts';

/** Name of checkpoint and lock. */
export const RELAY = 'nats/relay';
const VERSION = 1;
/** Messages that are sent before the first is acknowledged. */
const PAGE_MAX = 256;
const PUBLISH_MS = 4_000;

/** What a message carries: the event, and the version of the shape that its payload has. */
export interface EventMessage extends Omit<StoredEvent, 'key'> {
  readonly key?: string;
  readonly shape: number;
}

export interface NatsRelayOptions {
  readonly link: NatsLink;
  readonly log: EventLog;
  readonly tail: LogTail;
  readonly store: ViewStore<unknown>;
  readonly catalogue: EventCatalogue;
  readonly onChange?: (reading: FollowerReading) => void;
  readonly retryMaxMs?: number;
}

export class NatsRelay {
  readonly #options: NatsRelayOptions;
  readonly #follower: Follower;
  #published = 0;
  /** What this process knows to be the newest message of the stream. */
  #newest: number | undefined;

  constructor(options: NatsRelayOptions) {
    this.#options = options;
    const { log, tail, store, onChange, retryMaxMs } = options;
    this.#follower = new Follower({
      name: RELAY,
      version: VERSION,
      log,
      tail,
      store,
      pageMax: PAGE_MAX,
      work: {
        handle: async (events, from, to) => {
          await this.#continue(events, from);
          await this.#store(from, to);
          return to;
        },
        reset: (from) => this.#store(from, 0),
        idle: async () => this.#mend((await store.checkpoint(RELAY)).position),
      },
      ...(onChange === undefined ? {} : { onChange }),
      ...(retryMaxMs === undefined ? {} : { retryMaxMs }),
    });
  }

  start(): void {
    this.#follower.start();
  }

  stop(): Promise<void> {
    return this.#follower.stop();
  }

  get reading(): FollowerReading & { readonly publishedTotal: number } {
    return { ...this.#follower.reading, publishedTotal: this.#published };
  }

  #store(from: number, to: number): Promise<void> {
    return this.#options.store.advance(RELAY, from, { position: to, version: VERSION }, async () => undefined);
  }

  async #continue(events: readonly StoredEvent[], from: number): Promise<void> {
    if (events.length === 0) return;
    const expected = this.#newest === from ? from : undefined;
    this.#newest = undefined;
    if (expected === undefined) await this.#mend(from);
    try {
      await this.#publish(events, expected);
    } catch (error) {
      if (!isWrongLast(error)) throw error;
      // The stream is not the one that we left: it was made anew, or has lost its end.
      await this.#mend(from);
      await this.#publish(events);
    }
    this.#newest = events.at(-1)!.position;
  }

  /** Makes the stream if it is not there, and publishes again what it should have up to `position` and has not. */
  async #mend(position: number): Promise<void> {
    const { link, log } = this.#options;
    const { state } = await link.stream();
    if (state.messages === 0) return;
    const last = await link.run(({ jsm }) => jsm.streams.getMessage(STREAM, { seq: state.last_seq }));
    const held = Number(last?.header.get('Nats-Msg-Id') || Number.NaN);
    if (!Number.isSafeInteger(held) || held >= position) return;
    for await (const page of log.readAll(held, { pageMax: PAGE_MAX })) {
      const lost = page.filter((event) => event.position <= position);
      await this.#publish(lost);
      if (lost.length < page.length) return;
    }
  }

  /** @param after the first is refused unless this one is the newest of the stream */
  async #publish(events: readonly StoredEvent[], after?: number): Promise<void> {
    const { link, catalogue } = this.#options;
    if (events.length === 0) return;
    await link.run(({ js }) =>
      Promise.all(
        events.map((event, at) => {
          const message: EventMessage = { ...event, shape: catalogue.get(event.type).version };
          return js.publish(`${SUBJECT}.${event.type}`, JSON.stringify(message), {
            msgID: String(event.position),
            timeout: PUBLISH_MS,
            ...(at === 0 && after !== undefined ? { expect: { lastMsgID: String(after) } } : {}),
          });
        }),
      ),
    );
    this.#published += events.length;
  }
}
