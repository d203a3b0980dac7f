/** Reads the Prometheus text format as far as a load test needs it: samples, and histograms between two scrapes. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Every sample of the text, in order; lines that are not samples are left out. */
export function parsePrometheusText(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = SAMPLE.exec(line.trim());
    if (match === null) continue;
    const labels: Record<string, string> = {};
    for (const [, key, value] of (match[2] ?? '').matchAll(LABEL)) {
      labels[key!] = value!.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    }
    const number = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]);
    samples.push({ name: match[1]!, labels, value: number });
  }
  return samples;
}

/** Sum of all samples of that name whose labels fit; undefined when there is none. */
export function sumOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  let sum: number | undefined;
  for (const sample of samples) if (sample.name === name && fits(sample, labels)) sum = (sum ?? 0) + sample.value;
  return sum;
}

/** Cumulative counts by upper bound, ascending; the last bound is +Inf. */
export type Buckets = ReadonlyMap<number, number>;

/** The histogram `name` over all series whose labels fit, added up. */
export function bucketsOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Buckets {
  const sums = new Map<number, number>();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket` || !fits(sample, labels)) continue;
    const bound = sample.labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(sample.labels['le']);
    sums.set(bound, (sums.get(bound) ?? 0) + sample.value);
  }
  return new Map([...sums].sort(([a], [b]) => a - b));
}

/** What happened between two scrapes of one process. */
export function bucketsBetween(before: Buckets, after: Buckets): Buckets {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/**
 * The quantile (0 to 1), linear within its bucket as Prometheus' histogram_quantile has it; the highest finite bound
 * when it lies above that; NaN when nothing was observed.
 */
export function quantileOf(buckets: Buckets, quantile: number): number {
  const bounds = [...buckets];
  const total = bounds.at(-1)?.[1] ?? 0;
  if (total <= 0) return Number.NaN;
  const rank = quantile * total;
  let previousBound = 0;
  let previousCount = 0;
  for (const [bound, count] of bounds) {
    if (count >= rank && count > 0) {
      if (!Number.isFinite(bound)) return previousBound;
      const inBucket = count - previousCount;
      return previousBound + (bound - previousBound) * (inBucket > 0 ? (rank - previousCount) / inBucket : 1);
    }
    previousBound = bound;
    previousCount = count;
  }
  return previousBound;
}

function fits(sample: Sample, labels: Readonly<Record<string, string>>): boolean {
  for (const key in labels) if (sample.labels[key] !== labels[key]) return false;
  return true;
}
