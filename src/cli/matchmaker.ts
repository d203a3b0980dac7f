/**
 * `npm run matchmaker -- simulate FILE | --synthetic`: the same tickets under one or more sets of rules, by the matcher and
 * first come, first served. Needs no server. Exit codes: 0 fine, 2 wrong usage, 3 something cannot be read.
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type * as z from 'zod';
import { GameError } from '../kernel/errors.ts';
import { firstComeFirstServed } from '../matchmaking/first-come.ts';
import { match } from '../matchmaking/matcher.ts';
import { arenaRules, FOUR_VS_FOUR, type Rules, rulesShape } from '../matchmaking/rules.ts';
import { simulate, syntheticTickets } from '../matchmaking/simulate.ts';
import { type Ticket, ticketShape } from '../matchmaking/ticket.ts';
import { EXIT, endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';
import { chartPage, type RunOutcome } from './matchmaker/chart.ts';

const USAGE = `Usage: npm run matchmaker -- simulate FILE [options]
       npm run matchmaker -- simulate --synthetic [options]

  simulate              replays tickets against rules, and first come, first served beside it; FILE has one ticket a line
                        (JSON, docs/matchmaking.md), which arrives at its createdAtMs

  --synthetic           instead of FILE a stream by a seed: people of five regions, alone and in parties
  --per-second N        of it: tickets a second, 0.1 to 1000 (default 5)
  --seconds N           of it: length, 1 to 86400 (default 600)
  --seed N              of it (default 1)
  --rules FILE          rules (JSON, docs/matchmaking.md); may be given up to 8 times; default: those of the arena with 16
                        seats, and four against four
  --cycle-ms N          time between two cycles, 100 to 60000 (default 1000)
  --html OUT            also writes a page with charts
  --json                one line of JSON instead of text
  --help                this text

Exit codes: 0 fine, 2 wrong usage, 3 something cannot be read.
`;

const PROGRESS_EVERY_MS = 100;
const RULES_MAX = 8;
/** Tickets of a file or a stream; above, the command refuses. */
const TICKETS_MAX = 1_000_000;
const RULES_BYTES_MAX = 64 * 1024;
const FAULTS_SHOWN = 3;
const FIRST_COME = 'first come, first served';

export interface MatchmakerCliContext {
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Options {
  readonly file: string | undefined;
  readonly perSecond: number;
  readonly seconds: number;
  readonly seed: number;
  readonly rules: readonly string[];
  readonly cycleMs: number;
  readonly html: string | undefined;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a file does wrong */
export async function runMatchmakerCli(argv: readonly string[], context: MatchmakerCliContext): Promise<number> {
  try {
    const options = parse(argv);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    await run(options, context);
    return EXIT.FINE;
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[]): Options | undefined {
  let parsed: ReturnType<typeof parseMatchmakerArgs>;
  try {
    parsed = parseMatchmakerArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command = '', file, ...rest] = positionals;
  if (command !== 'simulate')
    throw new UsageError(command === '' ? 'A command is needed.' : `No command ${safe(command)}.`);
  if (rest.length > 0 || (file === undefined) !== (values.synthetic === true)) {
    throw new UsageError('simulate takes one file, or --synthetic.');
  }
  const rules = values.rules ?? [];
  if (rules.length > RULES_MAX) throw new UsageError(`--rules may be given ${RULES_MAX} times.`);
  const options = {
    file,
    perSecond: numberOf('per-second', values['per-second'] ?? '5', 0.1, 1_000),
    seconds: numberOf('seconds', values.seconds ?? '600', 1, 86_400),
    seed: numberOf('seed', values.seed ?? '1', 0, 2 ** 32 - 1),
    rules,
    cycleMs: Math.round(numberOf('cycle-ms', values['cycle-ms'] ?? '1000', 100, 60_000)),
    html: values.html,
    isJson: values.json === true,
  };
  if (options.perSecond * options.seconds > TICKETS_MAX) {
    throw new UsageError(`--per-second times --seconds is at most ${TICKETS_MAX} tickets.`);
  }
  return options;
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= min && value <= max)) throw new UsageError(`--${name} is ${min} to ${max}.`);
  return value;
}

function parseMatchmakerArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      synthetic: { type: 'boolean' },
      'per-second': { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      rules: { type: 'string', multiple: true },
      'cycle-ms': { type: 'string' },
      html: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

async function run(options: Options, context: MatchmakerCliContext): Promise<void> {
  const sets = await readRules(options.rules);
  const arrivals = options.file === undefined ? synthetic(options) : await readTickets(options.file);
  const outcomes: RunOutcome[] = [];
  for (const { name, rules } of sets) {
    for (const [matcher, run] of [
      ['hypogeum', match],
      [FIRST_COME, firstComeFirstServed],
    ] as const) {
      const progress = progressLine(context, `${name}, ${matcher}`);
      try {
        const outcome = await simulate(arrivals, rules, run, { cycleMs: options.cycleMs, progress: progress.show });
        outcomes.push({ rules: name, matcher, outcome });
      } finally {
        progress.clear();
      }
    }
  }
  const source =
    options.file ?? `synthetic, seed ${options.seed}, ${options.perSecond} tickets a second for ${options.seconds} s`;
  if (options.html !== undefined) await writeFile(options.html, chartPage(source, outcomes));
  if (options.isJson) await print(context.stdout, `${JSON.stringify({ source, outcomes })}\n`);
  else await print(context.stdout, `${safe(source)}: ${arrivals.length} tickets\n\n${tableOf(outcomes)}`);
}

function synthetic({ seed, perSecond, seconds }: Options): Ticket[] {
  return syntheticTickets({ seed, perSecond, seconds, partyMax: 4 });
}

async function readRules(files: readonly string[]): Promise<{ name: string; rules: Rules }[]> {
  if (files.length === 0) {
    return [
      { name: 'arena', rules: arenaRules({ playersMax: 16, botsFillTo: 8 }) },
      { name: 'arena-4v4', rules: FOUR_VS_FOUR },
    ];
  }
  const sets: { name: string; rules: Rules }[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8');
    if (text.length > RULES_BYTES_MAX) throw new GameError('TOO_LARGE', { file, bytesMax: RULES_BYTES_MAX });
    sets.push({ name: file, rules: checked(rulesShape, text, { file }) });
  }
  return sets;
}

async function readTickets(file: string): Promise<Ticket[]> {
  const arrivals: Ticket[] = [];
  const ids = new Set<string>();
  const shape = ticketShape.extend({ mode: ticketShape.shape.mode.default('file') });
  const input = createReadStream(file);
  await once(input, 'open');
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    if (text.trim() === '') continue;
    const ticket = checked(shape, text, { file, line });
    if (ids.has(ticket.ticketId)) throw new GameError('INVALID_INPUT', { file, line, fault: 'the ticketId was there' });
    ids.add(ticket.ticketId);
    arrivals.push(ticket);
    if (arrivals.length > TICKETS_MAX) throw new GameError('TOO_LARGE', { file, ticketsMax: TICKETS_MAX });
  }
  if (arrivals.length === 0) throw new GameError('INVALID_INPUT', { file, fault: 'no tickets' });
  return arrivals.sort((a, b) => a.createdAtMs - b.createdAtMs);
}

function checked<S extends z.ZodType>(shape: S, text: string, where: Record<string, unknown>): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new GameError('INVALID_INPUT', { ...where, fault: 'not JSON' });
  }
  const { data, error } = shape.safeParse(value);
  if (error === undefined) return data as z.output<S>;
  const faults = error.issues.slice(0, FAULTS_SHOWN).map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new GameError('INVALID_INPUT', { ...where, fault: faults.join('; ') });
}

function progressLine({ stderr }: MatchmakerCliContext, name: string) {
  let shownAtMs = performance.now();
  return {
    async show(share: number): Promise<void> {
      const nowMs = performance.now();
      if (nowMs - shownAtMs < PROGRESS_EVERY_MS) return;
      shownAtMs = nowMs;
      if (stderr.isTTY) stderr.write(`\r\x1b[K${safe(name)}: ${Math.floor(100 * share)} % of the tickets have come`);
      // Signals and the terminal get a turn.
      await setImmediate();
    },
    clear(): void {
      if (stderr.isTTY) stderr.write('\r\x1b[K');
    },
  };
}

function tableOf(outcomes: readonly RunOutcome[]): string {
  const head = ['rules', 'matcher', 'matches', 'wait p50 s', 'p95', 'rating gap p50', 'p95', 'win error'];
  head.push('latency p50 ms', 'p95', 'bots', 'unmatched', 'overdue %', 'cycle p99 ms');
  const rows = outcomes.map(({ rules, matcher, outcome: o }) => [
    safe(rules),
    matcher,
    String(o.matches),
    o.waitSecondsP50.toFixed(1),
    o.waitSecondsP95.toFixed(1),
    o.ratingGapP50.toFixed(2),
    o.ratingGapP95.toFixed(2),
    o.winProbabilityError.toFixed(4),
    o.latencyMsP50 === null ? '–' : String(o.latencyMsP50),
    o.latencyMsP95 === null ? '–' : String(o.latencyMsP95),
    String(o.bots),
    String(o.unmatched),
    (100 * o.overdueShare).toFixed(1),
    o.cycleMsP99.toFixed(1),
  ]);
  const widths = head.map((title, c) => Math.max(title.length, ...rows.map((row) => row[c]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, c) => (c < 2 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  ');
  return [head, ...rows].map((cells) => `${line(cells).trimEnd()}\n`).join('');
}

if (import.meta.main) {
  endWithReader();
  const { stdout, stderr } = process;
  process.exitCode = await runMatchmakerCli(process.argv.slice(2), { stdout, stderr });
}
