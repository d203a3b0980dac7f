/**
 * Prometheus metrics of one process.
 *
 * Hot paths count in plain numbers of their own (a histogram of prom-client costs twenty times as much per sample) and
 * are pulled at scrape time: a {@link MetricSource} yields {@link MetricFamily}s of what it has. Rare events of this
 * folder use prom-client. Labels come from closed sets: never a room id, a player or an address.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { ErrorCode } from '../kernel/errors.ts';
import type { Health } from './health.ts';

export type Labels = Readonly<Record<string, string>>;

export interface NumberSample {
  readonly labels?: Labels;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels?: Labels;
  /** Ascending upper bounds in the base unit; without the last, infinite one. */
  readonly bounds: ArrayLike<number>;
  /** How many fell into each bucket, not cumulated; one more than bounds, the last being all above. */
  readonly counts: ArrayLike<number>;
  /** Sum of all samples in the base unit. */
  readonly sum: number;
}

/** One metric with all its samples, as pulled from wherever it is counted. */
export type MetricFamily = {
  /** `hypogeum_<thing>_<unit>`, base units; `_total` on counters. */
  readonly name: string;
  readonly help: string;
} & (
  | { readonly type: 'counter' | 'gauge'; readonly samples: Iterable<NumberSample> }
  | { readonly type: 'histogram'; readonly samples: Iterable<HistogramSample> }
);

export function counter(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'counter', samples: [{ value }] };
}

export function gauge(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'gauge', samples: [{ value }] };
}

/** A counter for each word of a closed set. */
export function counterBy(
  name: string,
  help: string,
  label: string,
  counts: Iterable<readonly [word: string, count: number]>,
): MetricFamily {
  const samples = [...counts].map(([word, value]) => ({ labels: { [label]: word }, value }));
  return { name, help, type: 'counter', samples };
}

export type MetricSource = () => Iterable<MetricFamily>;

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

// Process-wide truths (heap, garbage collection, event loop): observed once however many servers a process has had.
let processRegistry: Registry | undefined;
function processMetrics(): Registry {
  if (processRegistry === undefined) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
  }
  return processRegistry;
}

export interface MetricsOptions {
  readonly buildId: string;
  readonly health: Health;
  /** Players connected to this process, and its rooms. */
  readonly load: () => { readonly players: number; readonly rooms: number };
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: MetricSource[] = [];
  readonly #refusals: Counter<'surface' | 'code'>;
  readonly #joins: Counter<'method'>;
  readonly #signIns: Counter;
  readonly #shedSockets: Counter<'reason'>;
  readonly #strayRejections: Counter;

  constructor({ buildId, health, load }: MetricsOptions) {
    const registers = [this.#registry];
    new Gauge({
      name: 'hypogeum_build_info',
      help: 'Always 1; the build is its label.',
      labelNames: ['build', 'node'],
      registers,
    }).set({ build: buildId, node: process.version }, 1);
    new Gauge({
      name: 'hypogeum_ready',
      help: '1 while the process takes new players.',
      registers,
      collect() {
        this.set(health.isReady ? 1 : 0);
      },
    });
    new Gauge({
      name: 'hypogeum_players',
      help: 'Players connected to rooms of this process.',
      registers,
      collect() {
        this.set(load().players);
      },
    });
    new Gauge({
      name: 'hypogeum_rooms',
      help: 'Rooms of this process.',
      registers,
      collect() {
        this.set(load().rooms);
      },
    });
    this.#refusals = new Counter({
      name: 'hypogeum_refusals_total',
      help: 'Requests refused, by code of docs/errors.md; surface join, http, upgrade or socket.',
      labelNames: ['surface', 'code'],
      registers,
    });
    this.#joins = new Counter({
      name: 'hypogeum_joins_total',
      help: 'Seats given by the matchmaker.',
      labelNames: ['method'],
      registers,
    });
    this.#signIns = new Counter({ name: 'hypogeum_sign_ins_total', help: 'Tokens issued.', registers });
    this.#shedSockets = new Counter({
      name: 'hypogeum_sockets_shed_total',
      help: 'Connections closed by a bound: unfinished (no whole request in time while many waited) or crowded (too many of one address).',
      labelNames: ['reason'],
      registers,
    });
    this.#strayRejections = new Counter({
      name: 'hypogeum_stray_rejections_total',
      help: 'Promise rejections that nobody handled: bugs, logged.',
      registers,
    });
  }

  countStrayRejection(): void {
    this.#strayRejections.inc();
  }

  /** Adds families that are pulled at every scrape. */
  addSource(source: MetricSource): void {
    this.#sources.push(source);
  }

  countRefusal(surface: 'join' | 'http' | 'upgrade' | 'socket', code: ErrorCode | 'FRAMEWORK'): void {
    this.#refusals.inc({ surface, code });
  }

  countJoin(method: string): void {
    this.#joins.inc({ method });
  }

  countSignIn(): void {
    this.#signIns.inc();
  }

  countShedSocket(reason: 'unfinished' | 'crowded'): void {
    this.#shedSockets.inc({ reason });
  }

  /** The exposition in Prometheus text format 0.0.4. */
  async text(): Promise<string> {
    const own = await this.#registry.metrics();
    const process = await processMetrics().metrics();
    const pulled = this.#sources.flatMap((source) => [...source()].map(renderFamily));
    return [own.trimEnd(), ...pulled, process.trimEnd(), ''].join('\n');
  }
}

/** One family in text format, without a trailing line feed. */
export function renderFamily(family: MetricFamily): string {
  const { name, help, type } = family;
  const lines = [`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`];
  if (family.type === 'histogram') {
    for (const sample of family.samples) renderHistogram(name, sample, lines);
  } else {
    for (const { labels, value } of family.samples) lines.push(`${name}${renderLabels(labels)} ${renderNumber(value)}`);
  }
  return lines.join('\n');
}

function renderHistogram(name: string, { labels, bounds, counts, sum }: HistogramSample, lines: string[]): void {
  if (counts.length !== bounds.length + 1)
    throw new RangeError(`${name}: ${counts.length} counts, ${bounds.length} bounds`);
  let below = 0;
  for (let at = 0; at < counts.length; at++) {
    below += counts[at]!;
    const le = at < bounds.length ? renderNumber(bounds[at]!) : '+Inf';
    lines.push(`${name}_bucket${renderLabels({ ...labels, le })} ${below}`);
  }
  lines.push(`${name}_sum${renderLabels(labels)} ${renderNumber(sum)}`);
  lines.push(`${name}_count${renderLabels(labels)} ${below}`);
}

function renderLabels(labels: Labels | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(
    ([key, value]) => `${key}="${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function renderNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}
