/** The bus over NATS JetStream: one process at a time relays the log to it, and any number consume. */
import type { EventCatalogue } from '../events/event.ts';
import { type ConsumeOptions, checkConsumeOptions, type EventBus, type ParkedEvents } from '../events/event-bus.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import type { FollowerReading } from '../events/follower.ts';
import { consumerKey } from '../events/local-bus.ts';
import { LogTail } from '../events/log-tail.ts';
import type { ViewStore } from '../events/projection.ts';
import type { Guard } from './guard.ts';
import { NatsConsumer, type NatsConsumerReading } from './nats-consumer.ts';
import { NatsLink, type NatsLinkOptions } from './nats-link.ts';
import { NatsRelay } from './nats-relay.ts';

export interface NatsBusOptions extends NatsLinkOptions {
  readonly log: EventLog;
  readonly store: ViewStore<unknown>;
  readonly parked: ParkedEvents;
  readonly catalogue: EventCatalogue;
  readonly tail?: LogTail;
  /** Pause before the second try, ms. Default 100; it doubles up to `retryMaxMs`, default 5,000. */
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  readonly onChange?: (reading: FollowerReading) => void;
  readonly onParked?: (consumer: string, event: StoredEvent, reason: string) => void;
  /** Called with what keeps a consumer from working, and undefined when it works again. */
  readonly onFault?: (consumer: string, error: Error | undefined) => void;
}

export class NatsBus implements EventBus {
  readonly #options: NatsBusOptions;
  readonly #link: NatsLink;
  readonly #relay: NatsRelay;
  readonly #tail: LogTail;
  readonly #ownsTail: boolean;
  readonly #consumers = new Map<string, NatsConsumer>();

  /** Relays from now on; needs no server to be there yet. */
  constructor(options: NatsBusOptions) {
    const { log, store, catalogue, onChange, retryMaxMs } = options;
    this.#options = options;
    this.#link = new NatsLink(options);
    this.#tail = options.tail ?? new LogTail(log);
    this.#ownsTail = options.tail === undefined;
    this.#relay = new NatsRelay({
      link: this.#link,
      log,
      tail: this.#tail,
      store,
      catalogue,
      ...(onChange === undefined ? {} : { onChange }),
      ...(retryMaxMs === undefined ? {} : { retryMaxMs }),
    });
    if (this.#ownsTail) this.#tail.start();
    this.#relay.start();
  }

  async consume(options: ConsumeOptions): Promise<() => Promise<void>> {
    checkConsumeOptions(options);
    const { name } = options;
    if (this.#consumers.has(name)) throw new RangeError(`${name} consumes already`);
    const consumer = new NatsConsumer({ ...this.#options, ...options, key: consumerKey(name), link: this.#link });
    this.#consumers.set(name, consumer);
    consumer.start();
    return async () => {
      await consumer.stop();
      if (this.#consumers.get(name) === consumer) this.#consumers.delete(name);
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#relay.stop(), ...[...this.#consumers.values()].map((consumer) => consumer.stop())]);
    this.#consumers.clear();
    await this.#link.close();
    if (this.#ownsTail) await this.#tail.stop();
  }

  /** For the breaker's metrics. */
  get guard(): Guard {
    return this.#link.guard;
  }

  get relay(): NatsRelay['reading'] {
    return this.#relay.reading;
  }

  get readings(): readonly NatsConsumerReading[] {
    return [...this.#consumers.values()].map((consumer) => consumer.reading);
  }
}
