/** What the bench `tick` measures: how far the starts of ticks are from the even grid they should lie on. */
import { median } from '../bench.ts';

export const VARIANTS = ['scheduler', 'setFixedTimestep', 'setTimestep'] as const;
export type Variant = (typeof VARIANTS)[number];

export interface TickMeasurement {
  /** Distance from the ideal grid that fits each room best, over all ticks of all rooms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How far the grid itself moved from the start to the end of the window: the room that moved most. */
  readonly driftMs: number;
  /** Ticks per second and room. */
  readonly rateHz: number;
  /** Of one core, 0 to 1. */
  readonly cpuShare: number;
  /** Counted by our scheduler; the framework's own loops drop without counting. */
  readonly dropped: number;
}

/** What is left of each start when its even place, `k * periodMs`, is taken away. */
function residualsOf(startsMs: readonly number[], periodMs: number): number[] {
  return startsMs.map((atMs, k) => atMs - startsMs[0]! - k * periodMs);
}

/** Distances, at least 0, of the k-th start from the k-th line of the grid whose phase fits best. */
export function deviationsOf(startsMs: readonly number[], periodMs: number): Float64Array {
  if (startsMs.length === 0) return new Float64Array();
  const residuals = residualsOf(startsMs, periodMs);
  const phaseMs = median(residuals);
  return Float64Array.from(residuals, (residual) => Math.abs(residual - phaseMs));
}

/** How much later, compared with the grid, the last tenth of the starts is than the first; negative is earlier. */
export function driftOf(startsMs: readonly number[], periodMs: number): number {
  const residuals = residualsOf(startsMs, periodMs);
  const tenth = Math.ceil(residuals.length / 10);
  if (tenth === 0) return 0;
  return median(residuals.slice(-tenth)) - median(residuals.slice(0, tenth));
}
