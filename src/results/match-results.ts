/**
 * The result of a match, once for ever: a report becomes the event `match.ended` under the key of the match, so whoever
 * reports the match again (a retry, another process, a duplicate room) changes nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import { type EventLog, LOG_LIMITS } from '../events/event-log.ts';
import { MatchEnded, type MatchEndedPayload } from '../events/match-events.ts';
import type { MatchReport } from '../kernel/match-header.ts';

/** Room for what the log puts around a payload. */
const PAYLOAD_BYTES_MAX = LOG_LIMITS.payloadBytesMax - 1024;

export interface MatchResultsOptions {
  readonly log: Pick<EventLog, 'append'>;
  /** Somebody reported another result of a match that has one; the first stands. */
  readonly onConflict: (matchId: string) => void;
}

/** A reading for metrics. */
export interface MatchResultsReading {
  /** Results made durable by this process. */
  readonly recordedTotal: number;
  /** Reports of a match that had that result already. */
  readonly repeatsTotal: number;
  /** Reports of a match that had another result; not taken. */
  readonly conflictsTotal: number;
}

export class MatchResults {
  readonly #options: MatchResultsOptions;
  #recorded = 0;
  #repeats = 0;
  #conflicts = 0;

  constructor(options: MatchResultsOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the result that stands, once it is durable: of this report, or of the first one. Undefined for a match
   * in which no person took a seat: nothing follows from it and it leaves no trace.
   * @throws GameError DATABASE_UNAVAILABLE, OVERLOADED; reporting again is safe
   */
  async report(report: MatchReport): Promise<MatchEndedPayload | undefined> {
    if (!report.participants.some(({ isBot }) => !isBot)) return undefined;
    const { matchId } = report.header;
    const reported = payloadOf(report);
    const { isRepeat, events } = await this.#options.log.append({
      stream: `match/${matchId}`,
      expected: 'any',
      key: `match-ended/${matchId}`,
      events: [MatchEnded(reported)],
    });
    if (!isRepeat) {
      this.#recorded++;
      return reported;
    }
    const first = events[0]!.payload as MatchEndedPayload;
    if (isDeepStrictEqual(first, MatchEnded.shape.parse(reported))) {
      this.#repeats++;
    } else {
      this.#conflicts++;
      this.#options.onConflict(matchId);
    }
    return first;
  }

  collect(): MatchResultsReading {
    return { recordedTotal: this.#recorded, repeatsTotal: this.#repeats, conflictsTotal: this.#conflicts };
  }
}

/** Without who left after the shortest time, and then without bots, as far as the event would be too large with them. */
function payloadOf({ header, ticks, reason, participants }: MatchReport): MatchEndedPayload {
  const { matchId, roomName, createdAtMs, tickRateHz } = header;
  const kept = [...participants];
  let bytes = kept.reduce((sum, row) => sum + bytesOf(row), 0);
  const drop = (isExpendable: (row: (typeof kept)[number]) => boolean): void => {
    for (let at = kept.length - 1; at >= 0 && bytes > PAYLOAD_BYTES_MAX; at--) {
      if (!isExpendable(kept[at]!)) continue;
      bytes -= bytesOf(kept[at]!);
      kept.splice(at, 1);
    }
  };
  drop(({ leftTick }) => leftTick !== undefined);
  drop(({ isBot }) => isBot);
  return { matchId, roomName, reason, createdAtMs, ticks, tickRateHz, standings: kept };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}
