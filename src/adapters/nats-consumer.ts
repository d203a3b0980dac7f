/**
 * One consumer of the NATS bus in one process. What is there for all processes of its name:
 *
 * - a durable pull consumer on the stream, for everything that is published from now on;
 * - a checkpoint: everything up to there is handled or parked, whatever becomes of NATS. Its version is the identity of
 *   the durable consumer that goes on from there.
 *
 * When the identities differ (a new name, NATS wiped, the consumer deleted, messages evicted before they were handled)
 * the process that holds the name's lock makes a new durable consumer, and then hands out everything from the checkpoint
 * to the present end of the log itself; only then does anybody pull. So NATS may lose anything at any time.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  AckPolicy,
  type Consumer,
  type ConsumerInfo,
  DeliverPolicy,
  type JsMsg,
  type StreamInfo,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import type { EventCatalogue } from '../events/event.ts';
import type { ConsumeOptions, ParkedEvents } from '../events/event-bus.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import type { ViewStore } from '../events/projection.ts';
import { ATTEMPTS_MAX, eventAt, isOutage, reasonOf, replayParked } from '../events/reactor-loop.ts';
import { GameError } from '../kernel/errors.ts';
import { isMissing, type NatsLink, STREAM, SUBJECT } from './nats-link.ts';
import { type EventMessage, RELAY } from './nats-relay.ts';

/** A message that nobody acknowledges is delivered again after this, ms; who works on it says so more often. */
const ACK_WAIT_MS = 15_000;
/** Messages that may be under way to all processes of a name. */
const ACK_PENDING_MAX = 1_000;
/** Messages of one fetch, and how long it waits for the first, ms. */
const FETCH_MAX = 64;
const FETCH_MS = 2_000;
/** How often state is compared, ms. */
const LOOK_EVERY_MS = 1_000;
/** Pause before the second try, ms; it doubles. */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Positions that were handled here and are not handled again when their acknowledgement was lost. */
const REMEMBERED_MAX = 10_000;
const CATCH_UP_PAGE = 256;
/** Deliveries of a message that is none of ours before it is thrown away. */
const FOREIGN_TRIES = 5;

export interface NatsConsumerOptions extends ConsumeOptions {
  /** Of checkpoint, lock and parked events. */
  readonly key: string;
  readonly link: NatsLink;
  readonly log: EventLog;
  readonly store: ViewStore<unknown>;
  readonly parked: ParkedEvents;
  readonly catalogue: EventCatalogue;
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  readonly onParked?: (consumer: string, event: StoredEvent, reason: string) => void;
  /** Called with what keeps it from working, and undefined when it works again. */
  readonly onFault?: (consumer: string, error: Error | undefined) => void;
}

export interface NatsConsumerReading {
  readonly name: string;
  readonly error: Error | undefined;
  readonly handledTotal: number;
  readonly failedTriesTotal: number;
  readonly parkedTotal: number;
  /** How often everything since the checkpoint was read from the log, as NATS did not have it. */
  readonly catchUpsTotal: number;
  /** Messages that were none of ours. */
  readonly foreignTotal: number;
}

export class NatsConsumer {
  readonly #options: NatsConsumerOptions;
  readonly #end = new AbortController();
  readonly #handled = new Set<number>();
  readonly #totals = { handledTotal: 0, failedTriesTotal: 0, parkedTotal: 0, catchUpsTotal: 0, foreignTotal: 0 };
  #running: Promise<unknown> | undefined;
  /** The log is at least that long: a message beyond it is none of ours. */
  #head = 0;
  #error: Error | undefined;

  constructor(options: NatsConsumerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= Promise.all([this.#keep(), this.#pullOn()]);
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  get reading(): NatsConsumerReading {
    return { name: this.#options.name, error: this.#error, ...this.#totals };
  }

  /** Holds the lock and keeps durable consumer and checkpoint in step. */
  async #keep(): Promise<void> {
    const { store, key, retryMaxMs = RETRY_MAX_MS } = this.#options;
    const { signal } = this.#end;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await store.whileHolding(key, signal, async (lost) => {
          const both = AbortSignal.any([signal, lost]);
          const settledSeq = await this.#join(both);
          failures = 0;
          if (settledSeq !== undefined) await this.#watch(settledSeq, both);
        });
      } catch (error) {
        if (!isRefusal(error, 'CHECKPOINT_MOVED')) this.#fault(error);
        await pause(Math.min(retryMaxMs, RETRY_FIRST_MS * 2 ** Math.min(20, failures++)), signal);
      }
    }
  }

  /**
   * Makes sure that durable consumer and checkpoint belong together.
   * @returns a place in the stream up to which nothing is left to be handled; undefined if `signal` aborted
   */
  async #join(signal: AbortSignal): Promise<number | undefined> {
    const { link, store, key, log, name, types } = this.#options;
    const stream = await link.stream();
    const found = await this.#info();
    let { position, version } = await store.checkpoint(key);
    if (found !== undefined && version === identity(stream, found)) {
      const settledSeq = await this.#settledSeq(stream, position);
      if (settledSeq !== undefined) return settledSeq;
    }
    // Its own beginning is what follows is built on, so one that is in doubt is made anew.
    if (found !== undefined) await this.#forget();
    const made = await link.run(({ jsm }) =>
      jsm.consumers.add(STREAM, {
        durable_name: name,
        filter_subject: filterOf(types),
        deliver_policy: DeliverPolicy.New,
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ACK_WAIT_MS),
        max_ack_pending: ACK_PENDING_MAX,
        max_deliver: -1,
      }),
    );
    // Whatever is appended after this is published after the consumer was made, and reaches it.
    const head = await log.head();
    this.#totals.catchUpsTotal++;
    // A checkpoint beyond the log is a log restored to an earlier state: what follows is new.
    for await (const page of log.readAll(Math.min(position, head), { types, pageMax: CATCH_UP_PAGE })) {
      for (const event of page) {
        if (event.position <= head && !(await this.#insist(event, signal))) return undefined;
      }
      const reached = Math.min(head, page.at(-1)!.position);
      await this.#store(position, reached, 1);
      position = reached;
      if (position >= head) break;
    }
    if (signal.aborted) return undefined;
    await this.#store(position, head, identity(stream, made));
    return stream.state.last_seq;
  }

  /** Where the events after a position begin in the stream, less one; undefined if some of them are not in it any more. */
  async #settledSeq({ state }: StreamInfo, position: number): Promise<number | undefined> {
    const { link, store } = this.#options;
    if (state.messages === 0) return (await store.checkpoint(RELAY)).position <= position ? state.last_seq : undefined;
    const first = await link.run(({ jsm }) => jsm.streams.getMessage(STREAM, { seq: state.first_seq }));
    return Number(first?.header.get('Nats-Msg-Id') || Number.NaN) <= position + 1 ? state.first_seq - 1 : undefined;
  }

  /**
   * While all is well: moves the checkpoint on, and takes up what was sent back.
   * @param settledSeq up to here of the stream nothing is left to be handled. The server's own floor is not taken for
   *   it, as that passes messages that a full stream let go
   */
  async #watch(settledSeq: number, signal: AbortSignal): Promise<void> {
    const { link, store, key, parked, log, handle, attemptsMax = ATTEMPTS_MAX } = this.#options;
    while (!signal.aborted) {
      // In this order: all that is relayed by now is in the stream by then.
      const relayed = (await store.checkpoint(RELAY)).position;
      const before = await link.stream();
      const newest = await this.#newestSeq();
      const info = await this.#info();
      const after = await link.stream();
      const { position, version } = await store.checkpoint(key);
      if (info === undefined || version !== identity(before, info)) return;
      if (after.state.first_seq > settledSeq + 1) {
        // It has let go of messages that perhaps nobody has handled.
        await this.#forget();
        return;
      }
      // Not `num_pending`: the server counts what was just published a moment later, and a stream that is deleted in
      // that moment would take along what the checkpoint had passed.
      if (info.delivered.stream_seq >= newest && info.num_ack_pending === 0) {
        settledSeq = Math.max(settledSeq, before.state.last_seq);
        if (relayed > position) await this.#store(position, relayed, version);
      } else settledSeq = Math.max(settledSeq, info.ack_floor.stream_seq);
      this.#fault(undefined);
      await replayParked({
        parked,
        log,
        consumer: key,
        signal,
        attemptsMax,
        handle: (event, attempt) => handle({ event, attempt }),
        onFailed: () => this.#totals.failedTriesTotal++,
      });
      await pause(LOOK_EVERY_MS, signal);
    }
  }

  /** Where the newest message stands that the filter lets through; 0 without any. */
  async #newestSeq(): Promise<number> {
    const { link, types } = this.#options;
    const last = await link.run(({ jsm }) => jsm.streams.getMessage(STREAM, { last_by_subj: filterOf(types) }));
    return last?.seq ?? 0;
  }

  /** Deletes the durable consumer, whether it is there or not. */
  async #forget(): Promise<void> {
    const { link, name } = this.#options;
    await link.run(async ({ jsm }) => {
      try {
        await jsm.consumers.delete(STREAM, name);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    });
  }

  #store(from: number, position: number, version: number): Promise<void> {
    return this.#options.store.advance(this.#options.key, from, { position, version }, async () => undefined);
  }

  async #info(): Promise<ConsumerInfo | undefined> {
    const { link, name } = this.#options;
    return link.run(async ({ jsm }) => {
      try {
        return await jsm.consumers.info(STREAM, name);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  /** Tries an event from the log until it is handled or parked. @returns whether it was, before `signal` aborted */
  async #insist(event: StoredEvent, signal: AbortSignal): Promise<boolean> {
    const { retryFirstMs = RETRY_FIRST_MS, retryMaxMs = RETRY_MAX_MS } = this.#options;
    let attempt = 1;
    for (let pauseMs = retryFirstMs; !signal.aborted; pauseMs = Math.min(retryMaxMs, 2 * pauseMs)) {
      const outcome = await this.#try(event, attempt, signal);
      if (outcome === 'failed') attempt++;
      else if (outcome !== 'unparkable') return outcome !== 'ended';
      await pause(pauseMs, signal);
    }
    return false;
  }

  /**
   * One try; waits for stores that are not there. `failed`: to be tried again. `unparkable`: tried too often, but it
   * could not be parked.
   */
  async #try(
    event: StoredEvent,
    attempt: number,
    signal: AbortSignal,
  ): Promise<'handled' | 'parked' | 'failed' | 'unparkable' | 'ended'> {
    const { key, parked, onParked, handle, attemptsMax = ATTEMPTS_MAX } = this.#options;
    const { retryFirstMs = RETRY_FIRST_MS, retryMaxMs = RETRY_MAX_MS } = this.#options;
    for (let pauseMs = retryFirstMs; !signal.aborted; pauseMs = Math.min(retryMaxMs, 2 * pauseMs)) {
      try {
        await handle({ event, attempt });
        this.#remember(event.position);
        return 'handled';
      } catch (error) {
        if (isOutage(error)) {
          await pause(pauseMs, signal);
          continue;
        }
        this.#totals.failedTriesTotal++;
        if (attempt < attemptsMax) return 'failed';
        const reason = reasonOf(error);
        try {
          await parked.park({ consumer: key, event, attempts: attempt, reason, parkedAtMs: Date.now() });
        } catch (parking) {
          this.#fault(parking);
          return 'unparkable';
        }
        this.#totals.parkedTotal++;
        onParked?.(key, event, reason);
        return 'parked';
      }
    }
    return 'ended';
  }

  #remember(position: number): void {
    this.#totals.handledTotal++;
    this.#handled.add(position);
    if (this.#handled.size <= REMEMBERED_MAX) return;
    const [oldest] = this.#handled;
    this.#handled.delete(oldest!);
  }

  /** Pulls whenever the durable consumer is the one that the checkpoint names. */
  async #pullOn(): Promise<void> {
    const { link, store, key, name } = this.#options;
    const { signal } = this.#end;
    let checkedAtMs = Number.NEGATIVE_INFINITY;
    let consumer: Consumer | undefined;
    while (!signal.aborted) {
      try {
        if (performance.now() - checkedAtMs >= LOOK_EVERY_MS || consumer === undefined) {
          consumer = undefined;
          const [{ version }, stream, info] = await Promise.all([store.checkpoint(key), link.stream(), this.#info()]);
          if (info === undefined || version !== identity(stream, info)) {
            await pause(LOOK_EVERY_MS / 10, signal);
            continue;
          }
          consumer = await link.run(({ js }) => js.consumers.get(STREAM, name));
          checkedAtMs = performance.now();
        }
        await this.#pull(consumer, signal);
      } catch {
        // The one that holds the lock finds the same and says so.
        consumer = undefined;
        await pause(LOOK_EVERY_MS / 2, signal);
      }
    }
  }

  /** One fetch, its messages one after another. */
  async #pull(consumer: Consumer, signal: AbortSignal): Promise<void> {
    const fetched = await consumer.fetch({ max_messages: FETCH_MAX, expires: FETCH_MS });
    const underWay = new Set<JsMsg>();
    const stop = (): void => fetched.stop();
    signal.addEventListener('abort', stop, { once: true });
    let waitingSinceMs = performance.now();
    const working = setInterval(() => {
      for (const message of underWay) message.working();
      // The server ends a fetch in time, unless it forgot about it together with the consumer.
      if (underWay.size === 0 && performance.now() - waitingSinceMs > 2 * FETCH_MS) fetched.stop();
    }, ACK_WAIT_MS / 6);
    try {
      for await (const message of fetched) {
        if (signal.aborted) {
          message.nak();
          continue;
        }
        underWay.add(message);
        await this.#take(message, signal);
        underWay.delete(message);
        waitingSinceMs = performance.now();
      }
    } finally {
      clearInterval(working);
      signal.removeEventListener('abort', stop);
    }
  }

  async #take(message: JsMsg, signal: AbortSignal): Promise<void> {
    const { types, retryFirstMs = RETRY_FIRST_MS, retryMaxMs = RETRY_MAX_MS } = this.#options;
    let event: StoredEvent | undefined;
    try {
      event = await this.#eventOf(message);
    } catch {
      // The log does not answer, or a newer program wrote the event: another process may know it.
      message.nak(retryMaxMs);
      return;
    }
    if (event === undefined) {
      // It might be of an event that is yet to come, whose own message the server would take for a repetition.
      if (message.info.deliveryCount < FOREIGN_TRIES) {
        message.nak(retryMaxMs);
        return;
      }
      this.#totals.foreignTotal++;
      message.term();
      return;
    }
    if (!types.includes(event.type) || this.#handled.has(event.position)) {
      message.ack();
      return;
    }
    const attempt = message.info.deliveryCount;
    const outcome = await this.#try(event, attempt, signal);
    if (outcome === 'handled') message.ack();
    else if (outcome === 'parked') message.term();
    else message.nak(Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(20, attempt - 1)));
  }

  /** What a message says happened; read from the log if the message is damaged, undefined if it is none of ours. */
  async #eventOf(message: JsMsg): Promise<StoredEvent | undefined> {
    const position = Number(message.headers?.get('Nats-Msg-Id') || Number.NaN);
    if (!Number.isSafeInteger(position) || position < 1) return undefined;
    if (position > this.#head) this.#head = await this.#options.log.head();
    if (position > this.#head) return undefined;
    try {
      const { shape, ...sent } = message.json<EventMessage>();
      const isOurs = sent.position === position && message.subject === `${SUBJECT}.${sent.type}`;
      if (isOurs)
        return { ...sent, key: sent.key, payload: this.#options.catalogue.read(sent.type, shape, sent.payload) };
    } catch (error) {
      if (isRefusal(error, 'EVENT_VERSION')) throw error;
    }
    return eventAt(this.#options.log, position);
  }

  #fault(error: unknown): void {
    const now = error === undefined || error instanceof Error ? error : new Error(String(error));
    const isNew = now?.message !== this.#error?.message;
    this.#error = now;
    if (isNew) this.#options.onFault?.(this.#options.key, now);
  }
}

/**
 * The narrowest subject that has all the types: nats-server 2.9 knows one filter a consumer. What else comes with it is
 * acknowledged unseen.
 */
export function filterOf(types: readonly string[]): string {
  const areas = new Set(types.map((type) => type.split('.')[0]!));
  if (new Set(types).size === 1) return `${SUBJECT}.${types[0]}`;
  return areas.size === 1 ? `${SUBJECT}.${[...areas][0]}.*` : `${SUBJECT}.>`;
}

/** Tells a durable consumer from another of the same name: from 2 on, as 0 and 1 are checkpoints without one. */
function identity(stream: StreamInfo, { created, config }: ConsumerInfo): number {
  return 2 + (crc32(`${stream.created} ${created} ${config.filter_subject}`) >>> 2);
}

function isRefusal(error: unknown, code: string): boolean {
  return error instanceof GameError && error.code === code;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
