/**
 * `npm run views -- list | lag | rebuild NAME`: where the views stand, and how one is built anew from the log. All of it
 * may run beside servers. Exit codes: 0 fine, 2 wrong usage, 3 something cannot be read, or a view does not get further.
 */
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { allViews } from '../adapters/all-views.ts';
import type { Database, Tx } from '../adapters/database.ts';
import { PostgresLog } from '../adapters/postgres-log.ts';
import { PostgresViews } from '../adapters/postgres-views.ts';
import { EVENTS } from '../events/catalogue.ts';
import type { EventCatalogue } from '../events/event.ts';
import type { EventLog } from '../events/event-log.ts';
import type { NamedCheckpoint, Projection } from '../events/projection.ts';
import { Projector, viewKey } from '../events/projector.ts';
import { GameError } from '../kernel/errors.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';
import { EXIT, endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';

const USAGE = `Usage: npm run views -- COMMAND [options]

  list                  every view of this program, and where it stands
  lag                   how far views, reactors and consumers are behind the log
  rebuild NAME          empties a view and folds the whole log into it again; a running server does the work if there
                        is one, and goes on meanwhile, but answers from a view that is not complete

  --data DIR            data folder (default: HYPOGEUM_DATA or .data), unless DATABASE_URL is set
  --json                one line of JSON instead of text
  --help                this text

Exit codes: 0 fine, 2 wrong usage, 3 something cannot be read, or a view does not get further.
`;

const LOOK_EVERY_MS = 50;
const PROGRESS_EVERY_MS = 100;
/** Without any progress for so long a rebuild is given up; whoever holds the view's lock goes on if it can. */
const STUCK_MS = 60_000;
/** The same, when this process works on it and knows why it cannot. */
const STOPPED_MS = 3_000;

export interface ViewsCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly views?: readonly Projection<Tx>[];
  readonly catalogue?: EventCatalogue;
}

interface Options {
  readonly command: string;
  readonly name: string;
  readonly dataDir: string;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a database does wrong */
export async function runViewsCli(argv: readonly string[], context: ViewsCliContext): Promise<number> {
  try {
    const options = parse(argv, context);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    const databaseUrl = context.env['DATABASE_URL'];
    const { database, close } = await openCliDatabase({ databaseUrl, dataDir: options.dataDir });
    try {
      await run(database, options, context);
      return EXIT.FINE;
    } finally {
      await close();
    }
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[], { env }: ViewsCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseViewsArgs>;
  try {
    parsed = parseViewsArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command = '', name = '', ...rest] = positionals;
  if (!['list', 'lag', 'rebuild'].includes(command)) {
    throw new UsageError(command === '' ? 'A command is needed.' : `No command ${safe(command)}.`);
  }
  if (rest.length > 0 || (command === 'rebuild') !== (name !== '')) {
    throw new UsageError(`${command} takes ${command === 'rebuild' ? 'the name of one view' : 'nothing'}.`);
  }
  const dataDir = values.data ?? env['HYPOGEUM_DATA'] ?? '.data';
  return { command, name, dataDir, isJson: values.json === true };
}

function parseViewsArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { data: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}

async function run(database: Database, options: Options, context: ViewsCliContext): Promise<void> {
  const { views = allViews(), catalogue = EVENTS } = context;
  const store = new PostgresViews(database);
  const log = new PostgresLog({ database, catalogue });
  try {
    if (options.command === 'list') await list(store, log, views, options, context);
    else if (options.command === 'lag') await lag(store, log, options, context);
    else await rebuild(store, log, views, options, context);
  } finally {
    await log.close();
    await store.close();
  }
}

async function list(
  store: PostgresViews,
  log: EventLog,
  views: readonly Projection<Tx>[],
  { isJson }: Options,
  { stdout }: ViewsCliContext,
): Promise<void> {
  const head = await log.head();
  const stands = new Map((await store.checkpoints()).map((each) => [each.name, each]));
  const rows = views.map(({ name, version }) => {
    const at = stands.get(viewKey(name));
    const state = at === undefined || at.version !== version ? 'to be built' : at.position > head ? 'ahead' : 'built';
    return { name, version, position: at?.version === version ? at.position : 0, head, state };
  });
  if (isJson) await print(stdout, `${JSON.stringify({ head, views: rows })}\n`);
  else {
    const cells = rows.map(({ name, version, position, state }) => [name, `${version}`, `${position}`, state]);
    await print(stdout, `${table([['view', 'version', 'position', 'state'], ...cells])}The log ends at ${head}.\n`);
  }
}

export interface Lag {
  readonly name: string;
  readonly position: number;
  readonly lagEvents: number;
  /** Age of the first event that is not dealt with, seconds. */
  readonly lagSeconds: number;
}

/** How far each is behind the end of the log. */
export async function lagOf(log: EventLog, head: number, stands: readonly NamedCheckpoint[]): Promise<Lag[]> {
  const lags: Lag[] = [];
  for (const { name, position } of stands) {
    const lagEvents = Math.max(0, head - position);
    let lagSeconds = 0;
    if (lagEvents > 0) {
      for await (const [first] of log.readAll(position, { pageMax: 1 })) {
        lagSeconds = Math.max(0, Math.round((Date.now() - first!.recordedAtMs) / 100) / 10);
        break;
      }
    }
    lags.push({ name, position, lagEvents, lagSeconds });
  }
  return lags;
}

async function lag(
  store: PostgresViews,
  log: EventLog,
  { isJson }: Options,
  { stdout }: ViewsCliContext,
): Promise<void> {
  const head = await log.head();
  const lags = await lagOf(log, head, await store.checkpoints());
  if (isJson) await print(stdout, `${JSON.stringify({ head, lags })}\n`);
  else {
    const cells = lags.map((each) => [each.name, `${each.position}`, `${each.lagEvents}`, `${each.lagSeconds} s`]);
    await print(stdout, `${table([['name', 'position', 'events behind', 'for'], ...cells])}The log ends at ${head}.\n`);
  }
}

async function rebuild(
  store: PostgresViews,
  log: EventLog,
  views: readonly Projection<Tx>[],
  { name, isJson }: Options,
  context: ViewsCliContext,
): Promise<void> {
  const view = views.find((each) => each.name === name);
  if (view === undefined) throw new GameError('VIEW_UNKNOWN', { name, known: views.map((each) => each.name) });
  const restored = await store.restoreTables(view.tables ?? []);
  const beganAtMs = performance.now();
  const head = await log.head();
  await store.forget(viewKey(name));
  const projector = new Projector({ log, store, projections: [view] });
  projector.start();
  try {
    await follow(store, projector, view, head, context);
  } finally {
    await projector.stop();
  }
  const seconds = Math.round((performance.now() - beganAtMs) / 100) / 10;
  if (isJson) await print(context.stdout, `${JSON.stringify({ name, position: head, restored, seconds })}\n`);
  else {
    const made = restored.length === 0 ? '' : ` Made again: ${restored.join(', ')}.`;
    await print(context.stdout, `${name} is built from ${head} events, in ${seconds} s.${made}\n`);
  }
}

/** Resolves once the view, whoever folds it, has been built anew up to `head`; shows how far it is. */
async function follow(
  store: PostgresViews,
  projector: Projector<Tx>,
  { name, version }: Projection<Tx>,
  head: number,
  { stderr }: ViewsCliContext,
): Promise<void> {
  let best = -1;
  let movedAtMs = performance.now();
  let shownAtMs = 0;
  for (;;) {
    const at = await store.checkpoint(viewKey(name));
    const done = at.version === version ? at.position : -1;
    const nowMs = performance.now();
    if (done >= head && at.version === version) break;
    if (done > best) {
      best = done;
      movedAtMs = nowMs;
    }
    const [reading] = projector.readings;
    if (reading!.error !== undefined && nowMs - movedAtMs > STOPPED_MS) throw reading!.error;
    if (nowMs - movedAtMs > STUCK_MS) throw new GameError('VIEW_BEHIND', { name, wanted: head, position: best });
    if (stderr.isTTY && nowMs - shownAtMs > PROGRESS_EVERY_MS) {
      shownAtMs = nowMs;
      const percent = Math.floor((100 * Math.max(0, done)) / Math.max(1, head));
      stderr.write(`\r\x1b[K${name}: ${percent} %, ${Math.max(0, done)} of ${head} events`);
    }
    await delay(LOOK_EVERY_MS);
  }
  if (shownAtMs > 0) stderr.write('\r\x1b[K');
}

/** Text of strangers on a terminal: without control and formatting characters. */
export function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((cells) => cells.map(safe));
  const widths: number[] = [];
  for (const cells of shown) {
    for (const [at, cell] of cells.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(widths[at]!)).join('  ');
  return shown.map((cells) => `${line(cells).trimEnd()}\n`).join('');
}

if (import.meta.main) {
  endWithReader();
  const { stdout, stderr } = process;
  process.exitCode = await runViewsCli(process.argv.slice(2), { env: cliEnvironment(), stdout, stderr });
}
