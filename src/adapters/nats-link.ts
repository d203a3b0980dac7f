/**
 * The connection to NATS, and the stream of events there. Connects when first used, also when the server comes up later
 * than this program, and by itself again; everything asked of the server goes through one guard.
 */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from '@nats-io/jetstream';
import { connect, errors, type NatsConnection, nanos } from '@nats-io/transport-node';
import { LOG_LIMITS } from '../events/event-log.ts';
import { Guard, type GuardState } from './guard.ts';

export const STREAM = 'HYPOGEUM_EVENTS';
/** Followed by the type, whose dot makes two words of it: `hypogeum.events.AREA.WHAT-HAPPENED`. */
export const SUBJECT = 'hypogeum.events';

/** One request, or one page of publishing, ms. */
const REQUEST_MS = 2_000;
const GUARD_MS = 5_000;
const RECONNECT_MS = 250;
/** A server that does not answer this often, this far apart, ms, is gone. */
const PING_MS = 2_000;
const PINGS_MISSED_MAX = 2;
/** What the stream keeps; consumers that are further behind read from the log. */
const STREAM_BYTES_MAX = 1024 ** 3;
const STREAM_AGE_MS = 7 * 24 * 3_600_000;
/** An event that is published again within this time is not stored again, ms. */
const DUPLICATE_WINDOW_MS = 2 * 60_000;
/** A message has its event's payload and some 500 bytes around it. */
const MESSAGE_BYTES_MAX = 2 * LOG_LIMITS.payloadBytesMax;

const STREAM_NOT_FOUND = 10059;
const CONSUMER_NOT_FOUND = 10014;
const WRONG_LAST_MESSAGE = 10070;
const OUTAGE_ERRNOS = /^(ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)/;

export interface NatsLinkOptions {
  /** `nats://` or `tls://`, with `user:password@` or `token@` if the server wants them. */
  readonly url: string;
  /** Bytes that the stream keeps, when it is made. Default 1 GiB. */
  readonly streamBytesMax?: number;
  readonly onStateChange?: (state: GuardState) => void;
}

export interface Jet {
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

export class NatsLink {
  readonly guard: Guard;
  readonly #options: NatsLinkOptions;
  #connecting: Promise<Jet> | undefined;
  #connection: NatsConnection | undefined;
  #isClosed = false;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.guard = new Guard({
      name: 'nats',
      timeoutMs: GUARD_MS,
      concurrencyMax: 16,
      queueMax: 1_000,
      failuresToOpen: 5,
      halfOpenAfterMs: 500,
      isOutage: isNatsOutage,
      unavailable: 'BUS_UNAVAILABLE',
      ...(options.onStateChange === undefined ? {} : { onStateChange: options.onStateChange }),
    });
  }

  /** @throws GameError BUS_UNAVAILABLE, OVERLOADED; what else the server refuses, such as a wrong password */
  run<T>(work: (jet: Jet) => Promise<T>): Promise<T> {
    return this.guard.run(async () => work(await this.#jet()));
  }

  /** The stream of events, made if it is not there. @throws as {@link run} */
  stream(): Promise<StreamInfo> {
    return this.run(async ({ jsm }) => {
      try {
        return await jsm.streams.info(STREAM);
      } catch (error) {
        if (!isMissing(error)) throw error;
        return await jsm.streams.add({
          name: STREAM,
          subjects: [`${SUBJECT}.>`],
          storage: StorageType.File,
          retention: RetentionPolicy.Limits,
          discard: DiscardPolicy.Old,
          max_bytes: this.#options.streamBytesMax ?? STREAM_BYTES_MAX,
          max_age: nanos(STREAM_AGE_MS),
          max_msg_size: MESSAGE_BYTES_MAX,
          duplicate_window: nanos(DUPLICATE_WINDOW_MS),
        });
      }
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#connecting?.catch(() => undefined);
    await this.#connection?.close();
  }

  #jet(): Promise<Jet> {
    if (this.#connection?.isClosed()) this.#connecting = undefined;
    this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  async #connect(): Promise<Jet> {
    if (this.#isClosed) throw new errors.ClosedConnectionError();
    const url = new URL(this.#options.url);
    const [user, pass] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
    const credentials = pass !== '' ? { user, pass } : user !== '' ? { token: user } : {};
    const connection = await connect({
      servers: url.host,
      name: 'hypogeum',
      timeout: REQUEST_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: RECONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: PINGS_MISSED_MAX,
      ignoreAuthErrorAbort: true,
      ...(url.protocol === 'tls:' ? { tls: {} } : {}),
      ...credentials,
    });
    this.#connection = connection;
    const js = jetstream(connection, { timeout: REQUEST_MS });
    return { js, jsm: await jetstreamManager(connection, { timeout: REQUEST_MS, checkAPI: false }) };
  }
}

/** Whether the server says that there is no such stream or consumer. */
export function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && (error.code === STREAM_NOT_FOUND || error.code === CONSUMER_NOT_FOUND);
}

/** Whether the server's newest message is not the one that a publisher expected. */
export function isWrongLast(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_MESSAGE;
}

/** Whether an error of the client means that the server, or its JetStream, is not there. */
export function isNatsOutage(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.status >= 500;
  if (error instanceof Error && error.name === 'JetStreamNotEnabled') return true;
  const kinds = [
    errors.TimeoutError,
    errors.NoRespondersError,
    errors.ClosedConnectionError,
    errors.ConnectionError,
    errors.DrainingConnectionError,
    errors.RequestError,
  ];
  if (kinds.some((kind) => error instanceof kind)) return true;
  const { code, cause } = error as NodeJS.ErrnoException;
  return OUTAGE_ERRNOS.test(String(code)) || (cause instanceof Error && isNatsOutage(cause));
}
