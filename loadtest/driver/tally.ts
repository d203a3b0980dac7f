/** What the players of one worker process saw and did; cumulative, so that a window is a difference. */
import { LatencyHistogram } from './latency-histogram.ts';

export class Tally {
  joined = 0;
  joinsFailed = 0;
  /** Connections that ended although nobody asked them to. */
  dropped = 0;
  /** Of these, players who came back by themselves. */
  resumed = 0;
  /** And those who will not: by why. The others are on their way. */
  readonly lost = new Map<string, number>();
  /** WebSocket messages received. */
  frames = 0;
  /** Full states and patches among them. */
  patches = 0;
  /** Payload and WebSocket header of all of them; no TCP, no IP. */
  bytes = 0;
  inputsSent = 0;
  /** Inputs that the server reported as consumed. */
  inputsAcked = 0;
  /** Inputs that this process was too busy to send in time and left out. */
  inputsSkipped = 0;
  /** From sending an input to the first frame that reports it consumed. */
  readonly ack = new LatencyHistogram();
  /** Reasons of failed joins, counted. */
  readonly failures = new Map<string, number>();

  fail(reason: string): void {
    this.joinsFailed++;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  lose(reason: string): void {
    this.lost.set(reason, (this.lost.get(reason) ?? 0) + 1);
  }
}

/** The numbers of a {@link Tally}, JSON-able. */
export interface TallyReport {
  joined: number;
  joinsFailed: number;
  dropped: number;
  resumed: number;
  lost: Record<string, number>;
  frames: number;
  patches: number;
  bytes: number;
  inputsSent: number;
  inputsAcked: number;
  inputsSkipped: number;
  /** As {@link LatencyHistogram.toCounts}. */
  ackCounts: number[];
  failures: Record<string, number>;
}

export function reportTally(tally: Tally): TallyReport {
  const { joined, joinsFailed, dropped, resumed, frames, patches, bytes, inputsSent, inputsAcked, inputsSkipped } =
    tally;
  return {
    joined,
    joinsFailed,
    dropped,
    resumed,
    lost: Object.fromEntries(tally.lost),
    frames,
    patches,
    bytes,
    inputsSent,
    inputsAcked,
    inputsSkipped,
    ackCounts: tally.ack.toCounts(),
    failures: Object.fromEntries(tally.failures),
  };
}

/** Bytes that a server needs on a WebSocket connection for a message of that payload: it does not mask. */
export function frameBytes(payloadBytes: number): number {
  return payloadBytes + (payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10);
}

/** Inputs of which the time of sending is remembered; more are never under way. */
const REMEMBERED = 256;

/** Matches what one connection sent with the counter of consumed inputs that the server sends along. */
export class AckMeter {
  readonly #tally: Tally;
  readonly #sentAtMs = new Float64Array(REMEMBERED);
  #sent = 0;
  #acked = 0;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  sent(nowMs: number): void {
    this.#sent++;
    this.#sentAtMs[this.#sent % REMEMBERED] = nowMs;
    this.#tally.inputsSent++;
  }

  /** @param consumed how many inputs of this connection the server has consumed in all */
  acked(consumed: number, nowMs: number): void {
    if (consumed <= this.#acked || consumed > this.#sent) return;
    this.#tally.inputsAcked += consumed - this.#acked;
    // Inputs that were consumed since the last frame are all answered by this one; each waited its own time.
    for (let seq = Math.max(this.#acked, this.#sent - REMEMBERED) + 1; seq <= consumed; seq++) {
      this.#tally.ack.record(nowMs - this.#sentAtMs[seq % REMEMBERED]!);
    }
    this.#acked = consumed;
  }
}
