/**
 * The frame every benchmark runs in: options, progress, table, the one JSON line, goals.
 *
 * `node loadtest/bench/bench.ts NAME [--json] [--quick] [--strict] [options]`. Every file directly in this folder
 * is a benchmark of that name and default-exports {@link defineBench}; the processes that a benchmark starts live
 * in a subfolder. Goals are printed whether met or missed; only `--strict` turns a missed goal into exit code 1.
 * Exit codes: 0 measured, 1 a goal was missed under `--strict` or the benchmark broke, 2 wrong usage.
 */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** One command-line option, `--name`. A `numbers` option is a comma-separated list. */
export type OptionSpec =
  | {
      readonly type: 'number';
      readonly default: number;
      readonly min: number;
      readonly max: number;
      /** Taken instead of `default` under `--quick`. */
      readonly quick?: number;
      readonly help: string;
    }
  | {
      readonly type: 'numbers';
      readonly default: readonly number[];
      readonly min: number;
      readonly max: number;
      readonly quick?: readonly number[];
      readonly help: string;
    }
  | { readonly type: 'string'; readonly default: string; readonly choices?: readonly string[]; readonly help: string }
  | { readonly type: 'boolean'; readonly help: string };

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

export type OptionValues<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]: Specs[Name]['type'] extends 'number'
    ? number
    : Specs[Name]['type'] extends 'numbers'
      ? readonly number[]
      : Specs[Name]['type'] extends 'string'
        ? string
        : boolean;
};

/** One row of the table: what was measured under which conditions. All rows of a bench share their columns. */
export type ResultRow = Readonly<Record<string, string | number | boolean | null>>;

/** A stated aim and what was measured. `goal` reads `<= 1.5` or `>= 50000`, in `unit`. */
export interface Goal {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly goal: string;
  readonly met: boolean;
}

export interface BenchReport {
  readonly results: readonly ResultRow[];
  readonly goals: readonly Goal[];
}

export interface BenchContext<Specs extends OptionSpecs> {
  readonly options: OptionValues<Specs>;
  /** True under `--quick`: a few seconds in all, numbers for smoke tests only. */
  readonly isQuick: boolean;
  /** Replaces the progress line on a terminal; elsewhere a line now and then. */
  progress(text: string): void;
}

export interface Bench<Specs extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  readonly options: Specs;
  run(context: BenchContext<Specs>): Promise<BenchReport>;
}

/** Declares a benchmark; `options` types `context.options`. */
export function defineBench<const Specs extends OptionSpecs>(bench: Bench<Specs>): Bench<Specs> {
  return bench;
}

/** A wrong command line: its message and the usage go to stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Parses `argv` (without program and script) against the specs. @throws UsageError naming the option and the range */
export function parseOptions<const Specs extends OptionSpecs>(
  specs: Specs,
  argv: readonly string[],
  isQuick = false,
): OptionValues<Specs> {
  let given: Record<string, unknown>;
  try {
    given = parseArgs({
      args: [...argv],
      options: Object.fromEntries(
        Object.entries(specs).map(([name, spec]) => [name, { type: spec.type === 'boolean' ? 'boolean' : 'string' }]),
      ),
      allowPositionals: false,
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const text = given[name];
    if (spec.type === 'boolean') values[name] = text === true;
    else if (typeof text !== 'string')
      values[name] = isQuick && 'quick' in spec ? (spec.quick ?? spec.default) : spec.default;
    else if (spec.type === 'string') {
      if (spec.choices !== undefined && !spec.choices.includes(text)) {
        throw new UsageError(`--${name} is one of ${spec.choices.join(', ')}, not ${JSON.stringify(text)}`);
      }
      values[name] = text;
    } else {
      const numbers = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
      const isList = spec.type === 'numbers';
      if ((!isList && numbers.length > 1) || !numbers.every((n) => n >= spec.min && n <= spec.max)) {
        const shape = isList ? 'a comma-separated list of numbers' : 'a number';
        throw new UsageError(`--${name} is ${shape} from ${spec.min} to ${spec.max}, not ${JSON.stringify(text)}`);
      }
      values[name] = isList ? numbers : numbers[0];
    }
  }
  return values as OptionValues<Specs>;
}

/** The options as indented lines of a `--help` text. */
export function describeOptions(specs: OptionSpecs): string {
  return Object.entries(specs)
    .map(([name, spec]) => {
      const value =
        spec.type === 'boolean' ? '' : spec.type === 'numbers' ? ' N,N' : spec.type === 'number' ? ' N' : ' S';
      const initial = spec.type === 'boolean' ? '' : ` (default ${spec.default})`;
      return `  ${`--${name}${value}`.padEnd(24)} ${spec.help}${initial}`;
    })
    .join('\n');
}

/** The goal that `value` is at most `limit`. A value that is not a number misses. */
export function atMost(name: string, value: number, limit: number, unit: string): Goal {
  return { name, value, unit, goal: `<= ${limit}`, met: value <= limit };
}

/** The goal that `value` is at least `limit`. A value that is not a number misses. */
export function atLeast(name: string, value: number, limit: number, unit: string): Goal {
  return { name, value, unit, goal: `>= ${limit}`, met: value >= limit };
}

/** Median; the mean of the middle two for an even count. @throws RangeError without values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the median of nothing');
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Nearest-rank percentile, `share` 0 to 1. @throws RangeError without values or for a share out of range */
export function percentile(values: ArrayLike<number>, share: number): number {
  if (values.length === 0) throw new RangeError('a percentile of nothing');
  if (!(share >= 0 && share <= 1)) throw new RangeError(`share is 0 to 1, not ${share}`);
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/**
 * Runs every variant once a round, in opposite order in every other round, so that what drifts on the machine
 * (heat, neighbours) does not always favour the same one.
 * @returns what each variant measured, a value per round
 */
export async function alternate<Variant extends string, Measured>(
  variants: readonly Variant[],
  rounds: number,
  measure: (variant: Variant, round: number) => Promise<Measured>,
): Promise<Record<Variant, Measured[]>> {
  const measured = Object.fromEntries(variants.map((variant) => [variant, []])) as unknown as Record<
    Variant,
    Measured[]
  >;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? variants : [...variants].reverse();
    for (const variant of order) measured[variant].push(await measure(variant, round));
  }
  return measured;
}

/** What the numbers were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly platform: string;
  /** ISO 8601, UTC. */
  readonly date: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    date: new Date().toISOString(),
  };
}

/** The line with which every bench, load test and simulation ends under `--json`. */
export function reportLine(name: string, report: BenchReport): string {
  return JSON.stringify({ bench: name, machine: describeMachine(), results: report.results, goals: report.goals });
}

/** Numbers keep four significant digits, never fewer than their integer part; the rest is as it is. */
function cell(value: string | number | boolean | null | undefined): string {
  if (typeof value !== 'number') return value === null || value === undefined ? '–' : String(value);
  if (Number.isInteger(value)) return String(value);
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

/** Rows as an aligned text table; columns in order of first appearance, numbers to the right. */
export function formatTable(rows: readonly ResultRow[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const widths = columns.map((name) => Math.max(name.length, ...rows.map((row) => cell(row[name]).length)));
  const line = (texts: readonly string[], isRight: (column: number) => boolean) =>
    texts
      .map((text, i) => (isRight(i) ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const isNumeric = columns.map((name) => rows.some((row) => typeof row[name] === 'number'));
  return [
    line(columns, (i) => isNumeric[i]!),
    line(
      widths.map((width) => '-'.repeat(width)),
      () => false,
    ),
    ...rows.map((row) =>
      line(
        columns.map((name) => cell(row[name])),
        (i) => isNumeric[i]!,
      ),
    ),
  ].join('\n');
}

/** The report for people: the table, then a line a goal. */
export function formatReport(report: BenchReport): string {
  const goals = report.goals.map(
    (goal) => `${goal.met ? 'met   ' : 'MISSED'}  ${goal.name}: ${cell(goal.value)} ${goal.unit} (goal ${goal.goal})`,
  );
  return [formatTable(report.results), ...(goals.length > 0 ? ['', ...goals] : [])].join('\n');
}

/** Where no line can replace itself, at most one is written in this time, ms. */
const LINE_EVERY_MS = 15_000;

/** A progress line that replaces itself on a terminal; elsewhere a line now and then. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #shownMs = performance.now();

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  show(text: string): void {
    if (!this.#stream.isTTY) {
      if (performance.now() - this.#shownMs < LINE_EVERY_MS) return;
      this.#shownMs = performance.now();
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
  }
}

/**
 * Runs a script in a Node process of its own and returns the JSON of its last line on stdout; what it writes to
 * stderr is passed through. The child is killed at the time limit.
 * @throws Error when it exits with anything but 0, is killed, or its last line is not JSON
 */
export async function measureInChild<Measured>(
  script: URL,
  argv: readonly string[],
  limits: { readonly timeoutMs: number; readonly nodeOptions?: readonly string[] },
): Promise<Measured> {
  const path = fileURLToPath(script);
  const child = spawn(process.execPath, [...(limits.nodeOptions ?? []), path, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: limits.timeoutMs,
    killSignal: 'SIGKILL',
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...outcome) => resolve(outcome));
  });
  const called = `${path} ${argv.join(' ')}`;
  if (code !== 0) throw new Error(`${called} ended with ${signal ?? `code ${code}`}:\n${output}`);
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(last) as Measured;
  } catch (cause) {
    throw new Error(`${called} did not end in a line of JSON but in ${JSON.stringify(last)}`, { cause });
  }
}

const FRAME_OPTIONS = {
  json: { type: 'boolean', help: 'end in one line of JSON on stdout; the table goes to stderr' },
  quick: { type: 'boolean', help: 'a few seconds in all: checks that it runs, numbers mean little' },
  strict: { type: 'boolean', help: 'exit with 1 when a goal is missed' },
  help: { type: 'boolean', help: 'this text' },
} as const satisfies OptionSpecs;

const HERE = new URL('./', import.meta.url);

async function benchNames(): Promise<string[]> {
  const files = await readdir(HERE);
  return files
    .filter((file) => file.endsWith('.ts') && file !== 'bench.ts')
    .map((file) => file.slice(0, -3))
    .sort();
}

async function loadBench(name: string): Promise<Bench> {
  const names = await benchNames();
  if (!names.includes(name)) throw new UsageError(`there is no bench ${JSON.stringify(name)}; try ${names.join(', ')}`);
  const loaded = ((await import(new URL(`${name}.ts`, HERE).href)) as { default?: Bench }).default;
  if (loaded?.name !== name) throw new Error(`${name}.ts does not default-export the bench ${name}`);
  return loaded;
}

async function generalHelp(): Promise<string> {
  const benches = await Promise.all((await benchNames()).map(loadBench));
  return [
    'Usage: npm run bench -- NAME [--json] [--quick] [--strict] [options]',
    '',
    'Benches (NAME --help lists the options of one):',
    ...benches.map((bench) => `  ${bench.name.padEnd(24)} ${bench.summary}`),
    '',
    describeOptions(FRAME_OPTIONS),
  ].join('\n');
}

/** Runs one benchmark by command line. @returns the exit code */
export async function runBenchCommand(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help') {
    process.stdout.write(`${await generalHelp()}\n`);
    return name === undefined ? 2 : 0;
  }
  const bench = await loadBench(name);
  if (rest.includes('--help')) {
    process.stdout.write(
      `${bench.summary}\n\nUsage: npm run bench -- ${name} [options]\n\n` +
        `${describeOptions({ ...bench.options, ...FRAME_OPTIONS })}\n`,
    );
    return 0;
  }
  const isQuick = rest.includes('--quick');
  const options = parseOptions({ ...bench.options, ...FRAME_OPTIONS }, rest, isQuick);
  const line = new ProgressLine();
  let report: BenchReport;
  try {
    report = await bench.run({ options, isQuick, progress: (text) => line.show(text) });
  } finally {
    line.clear();
  }
  (options.json ? process.stderr : process.stdout).write(`${formatReport(report)}\n`);
  if (options.json) process.stdout.write(`${reportLine(name, report)}\n`);
  return options.strict && report.goals.some((goal) => !goal.met) ? 1 : 0;
}

// Not awaited: the benches import this module, and a top-level await here would wait for them and they for it.
if (import.meta.main) {
  runBenchCommand(process.argv.slice(2)).then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.stderr.write(error instanceof UsageError ? `${error.message}\n` : `${(error as Error).stack}\n`);
      process.exitCode = error instanceof UsageError ? 2 : 1;
    },
  );
}
