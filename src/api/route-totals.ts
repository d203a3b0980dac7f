/** What the routes of one process count. Plain numbers; whoever makes metrics of them reads {@link RouteTotals.collect}. */
import type { ErrorCode } from '../kernel/errors.ts';
import type { Route } from './route.ts';

/** Seconds. Long polls last up to half a minute. */
export const DURATION_BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** `gone` when the client went away before there was an answer. */
export type Outcome = ErrorCode | 'ok' | 'gone';

export interface RouteReading {
  /** Method and declared path, so a closed set: `GET /api/players/:playerId`. */
  readonly route: string;
  readonly outcomes: ReadonlyMap<Outcome, number>;
  /** Not cumulated; one more than {@link DURATION_BOUNDS_S}. */
  readonly durations: Uint32Array;
  readonly durationSumSeconds: number;
}

export class RouteTotals {
  readonly #readings = new Map<string, { -readonly [K in keyof RouteReading]: RouteReading[K] }>();

  count(route: Route, outcome: Outcome, durationMs: number): void {
    const name = `${route.method} ${route.path}`;
    let reading = this.#readings.get(name);
    if (reading === undefined) {
      const durations = new Uint32Array(DURATION_BOUNDS_S.length + 1);
      reading = { route: name, outcomes: new Map(), durations, durationSumSeconds: 0 };
      this.#readings.set(name, reading);
    }
    const outcomes = reading.outcomes as Map<Outcome, number>;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const seconds = durationMs / 1000;
    const bucket = DURATION_BOUNDS_S.findIndex((bound) => seconds <= bound);
    reading.durations[bucket < 0 ? DURATION_BOUNDS_S.length : bucket]!++;
    reading.durationSumSeconds += seconds;
  }

  /** Routes that were asked at least once. */
  collect(): Iterable<RouteReading> {
    return this.#readings.values();
  }
}
