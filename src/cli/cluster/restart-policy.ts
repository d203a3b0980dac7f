/** What becomes of a process of the cluster that ended. Pure. */

/** The first wait before a process that died is started again, and the longest, ms; it doubles in between. */
export const RESTART_MS = { first: 200, longest: 10_000 } as const;
/** A process that was ready for this long died of something new: it is started again at once, ms. */
export const HEALTHY_MS = 30_000;
/** Deaths in a row, none of them after a healthy time, after which it is left alone. */
export const DEATHS_MAX = 10;

/** Exit codes of src/main.ts that no other start mends: usage, data folder, configuration. */
const FAULTY: ReadonlySet<number> = new Set([64, 73, 78]);
/** Its port or its database could not be had: mends by itself, but not at the very first start. */
const UNAVAILABLE = 69;

export interface Ended {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  /** Since it was ready, ms; undefined if it never was. */
  readonly readyForMs: number | undefined;
  /** It, or one before it in its place, was ready once. */
  readonly wasEverReady: boolean;
  /** Deaths in a row before this one, none of them after a healthy time. */
  readonly deaths: number;
}

export type Verdict =
  /** It was told to end and did. */
  | { readonly is: 'gone' }
  | { readonly is: 'restart'; readonly afterMs: number; readonly deaths: number }
  /** It dies again and again; the others go on without it. */
  | { readonly is: 'given-up' }
  /** Nothing that is started from here can work. */
  | { readonly is: 'faulty'; readonly exitCode: number };

export function verdictOn({ code, readyForMs, wasEverReady, deaths }: Ended): Verdict {
  if (code === 0) return { is: 'gone' };
  if (code !== undefined && (FAULTY.has(code) || (code === UNAVAILABLE && !wasEverReady))) {
    return { is: 'faulty', exitCode: code };
  }
  const inRow = (readyForMs ?? 0) >= HEALTHY_MS ? 1 : deaths + 1;
  if (inRow > DEATHS_MAX) return { is: 'given-up' };
  const afterMs = Math.min(RESTART_MS.first * 2 ** (inRow - 1), RESTART_MS.longest);
  return { is: 'restart', afterMs, deaths: inRow };
}
