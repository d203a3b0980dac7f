/**
 * Network quality per client, measured by WebSocket pings: every SDK and browser answers them by itself, so it
 * needs no code on the client. Round trips include the time that either end was busy.
 */
import { type Client, type Room, RoomPlugin } from '@colyseus/core';
import { type ClientSocket, SOCKET_OPEN, socketOf } from './colyseus-internals.ts';

/** Tells our pings from the transport's own, which are empty. */
const MAGIC = 0x48_59_50_47;
const PAYLOAD_BYTES = 8;
/** Weight of a new round trip in the smoothed one. */
const RTT_WEIGHT = 1 / 4;
/** RFC 3550, 6.4.1. */
const JITTER_WEIGHT = 1 / 16;
/** Pings that the loss is taken over. */
const WINDOW = 16;
/** Upper bounds of the round-trip histogram, seconds; one more bucket is above. */
export const RTT_BOUNDS_SECONDS = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2] as const;

/** The same of jitter. */
export const JITTER_BOUNDS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5] as const;

export interface PingStats {
  /** Smoothed round trip, ms; 0 until the first answer. */
  readonly rttMs: number;
  /** Mean deviation of consecutive round trips, ms, as in RFC 3550. */
  readonly jitterMs: number;
  /** Part of the last pings that were not answered before the next one was due, 0 to 1. */
  readonly loss: number;
}

/** Plain counters of one process, for the metrics endpoint. */
export class PingTotals {
  sent = 0;
  answered = 0;
  /** Not answered before the next one was due; an answer that comes later does not change it. */
  lost = 0;
  readonly #rtt = new Buckets(RTT_BOUNDS_SECONDS);
  readonly #jitter = new Buckets(JITTER_BOUNDS_SECONDS);

  /** @param jitterMs the client's, as smoothed with this round trip; undefined for its first */
  observe(rttMs: number, jitterMs?: number): void {
    this.#rtt.observe(rttMs / 1000);
    if (jitterMs !== undefined) this.#jitter.observe(jitterMs / 1000);
    this.answered++;
  }

  /** Times in seconds. */
  collect(): { sent: number; answered: number; lost: number; rtt: BucketCounts; jitter: BucketCounts } {
    const { sent, answered, lost } = this;
    return { sent, answered, lost, rtt: this.#rtt.collect(), jitter: this.#jitter.collect() };
  }
}

/** `counts` is per bucket, not cumulative, and one longer than `bounds`. */
export interface BucketCounts {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

class Buckets {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sum += value;
    this.#count++;
  }

  collect(): BucketCounts {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum, count: this.#count };
  }
}

class Probe {
  readonly socket: ClientSocket;
  readonly #totals: PingTotals;
  readonly #onPong = (data: Buffer): void => this.#receive(data);
  #sequence = 0;
  /** By sequence number in the window: when it was sent, or 0 once it was answered. */
  readonly #sentAtMs = new Float64Array(WINDOW);
  #lastRttMs = -1;
  #rttMs = 0;
  #jitterMs = 0;
  /** One bit per ping of the window, newest lowest: set where the answer did not come in time. */
  #misses = 0;
  #judged = 0;

  constructor(socket: ClientSocket, totals: PingTotals, before?: PingStats) {
    this.socket = socket;
    this.#totals = totals;
    this.#rttMs = before?.rttMs ?? 0;
    this.#jitterMs = before?.jitterMs ?? 0;
    socket.on('pong', this.#onPong);
  }

  get stats(): PingStats {
    let misses = 0;
    for (let bits = this.#misses; bits !== 0; bits &= bits - 1) misses++;
    return { rttMs: this.#rttMs, jitterMs: this.#jitterMs, loss: this.#judged === 0 ? 0 : misses / this.#judged };
  }

  send(): void {
    if (this.socket.readyState !== SOCKET_OPEN || this.socket.ping === undefined) return;
    if (this.#sequence > 0) this.#judge(this.#sentAtMs[this.#sequence % WINDOW] !== 0);
    const payload = Buffer.allocUnsafe(PAYLOAD_BYTES);
    payload.writeUInt32BE(MAGIC, 0);
    payload.writeUInt32BE(++this.#sequence, 4);
    this.#sentAtMs[this.#sequence % WINDOW] = performance.now();
    this.#totals.sent++;
    // A socket that broke in this moment reports it by closing.
    this.socket.ping(payload, false, () => {});
  }

  stop(): void {
    this.socket.off('pong', this.#onPong);
  }

  #judge(isMiss: boolean): void {
    this.#misses = ((this.#misses << 1) | (isMiss ? 1 : 0)) & (2 ** WINDOW - 1);
    this.#judged = Math.min(this.#judged + 1, WINDOW);
    if (isMiss) this.#totals.lost++;
  }

  /** A pong may carry anything, come unasked or twice: only the first answer to a ping of the window counts. */
  #receive(data: Buffer): void {
    if (data.length !== PAYLOAD_BYTES || data.readUInt32BE(0) !== MAGIC) return;
    const sequence = data.readUInt32BE(4);
    if (sequence > this.#sequence || sequence <= this.#sequence - WINDOW) return;
    const sentAtMs = this.#sentAtMs[sequence % WINDOW]!;
    if (sentAtMs === 0) return;
    this.#sentAtMs[sequence % WINDOW] = 0;
    const rttMs = performance.now() - sentAtMs;
    if (this.#lastRttMs < 0) {
      this.#rttMs = rttMs;
      this.#totals.observe(rttMs);
    } else {
      this.#rttMs += (rttMs - this.#rttMs) * RTT_WEIGHT;
      this.#jitterMs += (Math.abs(rttMs - this.#lastRttMs) - this.#jitterMs) * JITTER_WEIGHT;
      this.#totals.observe(rttMs, this.#jitterMs);
    }
    this.#lastRttMs = rttMs;
  }
}

export interface PingOptions {
  /** Time between two pings of a client, ms. Default 2 s. */
  readonly everyMs?: number;
}

/** RoomPlugin `ping`: one timer a room, on the room's clock. */
export class PingPlugin extends RoomPlugin<Room> {
  override readonly pluginName = 'ping' as const;
  #totals: PingTotals;
  readonly #everyMs: number;
  readonly #probes = new Map<string, Probe>();

  constructor(totals: PingTotals = new PingTotals(), { everyMs = 2_000 }: PingOptions = {}) {
    super();
    this.#totals = totals;
    this.#everyMs = everyMs;
  }

  /**
   * As last known, also while the session is dropped; undefined before its first ping. After a reconnect the
   * round trip stays until the new connection's first answer, the loss starts anew.
   */
  get(sessionId: string): PingStats | undefined {
    return this.#probes.get(sessionId)?.stats;
  }

  /** Counts into the process's totals from now on; a room knows them only once it is created. */
  countInto(totals: PingTotals): void {
    this.#totals = totals;
  }

  protected override onCreate(): void {
    this.room.clock.setInterval(() => this.pingAll(), this.#everyMs);
  }

  protected override onLeave(client: Client): void {
    this.#probes.get(client.sessionId)?.stop();
    this.#probes.delete(client.sessionId);
  }

  protected override onDispose(): void {
    for (const probe of this.#probes.values()) probe.stop();
    this.#probes.clear();
  }

  /** Pings every connected client now. The timer calls it. */
  pingAll(): void {
    for (const client of this.room.clients) {
      const socket = socketOf(client);
      let probe = this.#probes.get(client.sessionId);
      if (probe?.socket !== socket) {
        // A reconnected session has a new socket.
        probe?.stop();
        probe = new Probe(socket, this.#totals, probe?.stats);
        this.#probes.set(client.sessionId, probe);
      }
      probe.send();
    }
  }
}
