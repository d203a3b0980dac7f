/**
 * `npm run replay -- list | verify F | summary F | diff F G | export F`: what was recorded, and whether it still comes
 * out the same. F is a match id in the data folder or the path of a replay file. Reads only, also beside a running
 * server. Exit codes: 0 fine, 1 a re-simulation or two replays differ, 2 wrong usage, 3 something cannot be read.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { FileJournal } from '../adapters/file-journal.ts';
import { FileReplays, readReplayFile } from '../adapters/file-replays.ts';
import { lockHolder } from '../adapters/process-lock.ts';
import { RedisJournal } from '../adapters/redis-journal.ts';
import { GameError } from '../kernel/errors.ts';
import { hashText } from '../kernel/hash.ts';
import { inflateRaw } from '../kernel/inflate.ts';
import { decodeEntry, diffReplays, type OnProgress, verifyReplay } from '../kernel/replay-check.ts';
import { REPLAY_EXTENSION, type Replay, type ReplayHeader, unpackReplay } from '../kernel/replay-file.ts';
import type { Simulation } from '../kernel/simulation.ts';
import { replayOf } from '../match/archive.ts';
import { ADOPTION_TRIES_MAX, type JournalReader, type JournalSummary } from '../match/journal.ts';
import { JournalTotals } from '../match/journal-totals.ts';
import { arena } from '../sim/arena.ts';
import { endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';

const USAGE = `Usage: npm run replay -- COMMAND [options]

  list                  matches kept as replays, and journals of matches that run or were cut short
  verify F              re-simulates F and compares every recorded hash
  summary F             who played what, and how it ended
  diff F G              the first tick and field in which the worlds of F and G differ
  export F              header and entries as JSON lines

F and G are match ids or paths of ${REPLAY_EXTENSION} files.

  --data DIR            data folder (default: HYPOGEUM_DATA or .data)
  --redis URL           of a cluster, whose journals are there (default: REDIS_URL; without, they are in the data folder)
  --limit N             list: newest replays shown, 1 to 1000 (default 50)
  --out FILE            export: write there instead of to standard output
  --json                one line of JSON instead of text
  --help                this text

Exit codes: 0 fine, 1 a difference was found, 2 wrong usage, 3 something cannot be read.
`;

const EXIT = { FINE: 0, DIFFERENT: 1 } as const;
const LIST_DEFAULT = 50;
const LIST_MAX = 1000;
const PROGRESS_EVERY_MS = 100;
/** How long Redis may take for one answer: nobody waits for a command but its user. */
const ANSWER_MS = 10_000;

/** Any game: the command passes worlds and intents through without looking inside. */
export type AnySimulation = Simulation<unknown, unknown>;

export interface ReplayCliContext {
  /** Games that replays can be checked with, by id. */
  readonly simulations: ReadonlyMap<string, AnySimulation>;
  readonly dataDir: string;
  /** Where the journals of a cluster are; an empty one counts as unset. */
  readonly redisUrl?: string | undefined;
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Options {
  readonly command: string;
  readonly files: readonly string[];
  readonly dataDir: string;
  readonly redisUrl: string | undefined;
  readonly limit: number;
  readonly out: string | undefined;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a file does wrong */
export async function runReplayCli(argv: readonly string[], context: ReplayCliContext): Promise<number> {
  try {
    const options = parse(argv, context);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    return await run(options, context);
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

const FILES_OF: Readonly<Record<string, number>> = { list: 0, verify: 1, summary: 1, diff: 2, export: 1 };

function parse(argv: readonly string[], context: ReplayCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseReplayArgs>;
  try {
    parsed = parseReplayArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command = '', ...files] = positionals;
  const wanted = Object.hasOwn(FILES_OF, command) ? FILES_OF[command] : undefined;
  if (wanted === undefined)
    throw new UsageError(command === '' ? 'A command is needed.' : `No command ${safe(command)}.`);
  if (files.length !== wanted) throw new UsageError(`${command} takes ${wanted} replay${wanted === 1 ? '' : 's'}.`);
  const limit = Number(values.limit ?? LIST_DEFAULT);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIST_MAX) throw new UsageError(`--limit is 1 to ${LIST_MAX}.`);
  if (values.out !== undefined && command !== 'export') throw new UsageError('--out is for export only.');
  return {
    command,
    files,
    dataDir: values.data ?? context.dataDir,
    redisUrl: (values.redis ?? context.redisUrl)?.trim() || undefined,
    limit,
    out: values.out,
    isJson: values.json === true,
  };
}

function parseReplayArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      data: { type: 'string' },
      redis: { type: 'string' },
      limit: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

async function run(options: Options, context: ReplayCliContext): Promise<number> {
  const { command } = options;
  if (command === 'list') return list(options, context);
  const replays: Replay[] = [];
  for (const file of options.files) replays.push(await loadReplay(file, options));
  const [first, second] = replays as [Replay, Replay];
  if (command === 'verify') return verify(first, options, context);
  if (command === 'diff') return diff(first, second, options, context);
  if (command === 'export') return exportEntries(first, options, context);
  await print(context.stdout, options.isJson ? `${JSON.stringify(first.header)}\n` : describe(first.header));
  return EXIT.FINE;
}

function folders(dataDir: string): { journal: string; replays: string } {
  return { journal: join(dataDir, 'journal'), replays: join(dataDir, 'replays') };
}

/** A path, else a kept replay, else the journal of a match that has not become one. */
async function loadReplay(file: string, options: Options): Promise<Replay> {
  if (file.includes('/') || file.endsWith(REPLAY_EXTENSION))
    return unpackReplay(await readReplayFile(file), inflateRaw);
  const replays = await FileReplays.inspect(folders(options.dataDir).replays);
  try {
    return await replays.read(file);
  } catch (error) {
    if (!(error instanceof GameError) || error.code !== 'REPLAY_NOT_FOUND') throw error;
    const recorded = await withJournal(options, (journal) => journal.load(file));
    if (recorded === undefined) throw error;
    return replayOf(recorded, replays.pseudonym);
  }
}

/** Reads in the journal of the cluster, or in the files of a process that is alone. */
async function withJournal<T>(
  { redisUrl, dataDir }: Options,
  read: (journal: JournalReader) => Promise<T>,
): Promise<T> {
  if (redisUrl === undefined) return read(await FileJournal.inspect(folders(dataDir).journal));
  const journal = await RedisJournal.open({ url: redisUrl, totals: new JournalTotals(), answerMs: ANSWER_MS });
  try {
    return await read(journal);
  } finally {
    await journal.close();
  }
}

function simulationOf(header: ReplayHeader, { simulations }: ReplayCliContext): AnySimulation {
  const simulation = simulations.get(header.simId);
  if (simulation === undefined || simulation.version !== header.simVersion) {
    throw new GameError('REPLAY_VERSION', {
      replay: `${header.simId} ${header.simVersion}`,
      simulation: simulation === undefined ? 'none of that id' : `${simulation.id} ${simulation.version}`,
    });
  }
  return simulation;
}

async function list(options: Options, context: ReplayCliContext): Promise<number> {
  const at = folders(options.dataDir);
  const replays = await (await FileReplays.inspect(at.replays)).list(options.limit);
  // What a running server has open cannot be told from outside from what an earlier one left unfinished.
  const isServed = options.redisUrl !== undefined || (await lockHolder(at.journal)) !== undefined;
  const running = isServed ? 'running or unfinished' : 'unfinished';
  const journals = await withJournal(options, async (journal) =>
    Promise.all(
      (await journal.list()).map(async (summary) => {
        if (summary.state !== 'unfinished') return summary;
        return { ...summary, state: (await isParked(journal, summary)) ? 'parked' : running };
      }),
    ),
  );
  if (options.isJson) {
    await print(context.stdout, `${JSON.stringify({ replays, journals })}\n`);
    return EXIT.FINE;
  }
  const rows = [
    ...replays.map(({ id, header }) => row(id, header.result?.reason ?? 'no result', header.ticks, header)),
    ...journals.map(({ matchId, state, ticks, header, isTorn }) =>
      row(matchId, isTorn ? `${state}, torn` : state, ticks, header),
    ),
  ];
  if (rows.length === 0)
    await print(
      context.stdout,
      `Nothing is recorded in ${options.dataDir}${options.redisUrl === undefined ? '' : ' or in Redis'}.\n`,
    );
  else await print(context.stdout, table([['match', 'state', 'room', 'began', 'length', 'players'], ...rows]));
  return EXIT.FINE;
}

/** Whether no server tries to restore the match any more. A journal that cannot be read says so when it is. */
async function isParked(journal: JournalReader, { matchId, epoch }: JournalSummary): Promise<boolean> {
  if (epoch <= ADOPTION_TRIES_MAX) return false;
  const recorded = await journal.load(matchId).catch((error: unknown) => {
    if (error instanceof GameError && error.code === 'JOURNAL_CORRUPT') return undefined;
    throw error;
  });
  return (recorded?.triesInVain ?? 0) >= ADOPTION_TRIES_MAX;
}

function row(
  id: string,
  state: string,
  ticks: number,
  header: (Pick<ReplayHeader, 'roomName' | 'createdAtMs' | 'tickRateHz'> & Partial<ReplayHeader>) | undefined,
): string[] {
  if (header === undefined) return [id, state, '', '', `${ticks} ticks`, ''];
  const people = header.players?.filter(({ isBot }) => !isBot).length;
  const bots = header.players?.filter(({ isBot }) => isBot).length;
  return [
    id,
    state,
    safe(header.roomName),
    date(header.createdAtMs),
    minutes(ticks, header.tickRateHz),
    people === undefined ? '' : `${people} and ${bots} bots`,
  ];
}

async function verify(replay: Replay, options: Options, context: ReplayCliContext): Promise<number> {
  const simulation = simulationOf(replay.header, context);
  const progress = new Progress(context, 'verify');
  const found = verifyReplay(simulation, replay, progress.report);
  progress.clear();
  const { matchId } = replay.header;
  if (options.isJson) await print(context.stdout, `${JSON.stringify({ matchId, ...found })}\n`);
  else if (found.kind === 'same') {
    await print(context.stdout, `${matchId}: ${found.ticks} ticks, ${found.hashesCompared} hashes, all the same.\n`);
  } else {
    const { tick, agreedTick, recorded, simulated } = found;
    const since = agreedTick < 0 ? 'from the start' : `after tick ${agreedTick}`;
    await print(
      context.stdout,
      `${matchId}: differs ${since}, seen at tick ${tick}: recorded ${recorded}, simulated ${simulated}.\n`,
    );
  }
  return found.kind === 'same' ? EXIT.FINE : EXIT.DIFFERENT;
}

async function diff(a: Replay, b: Replay, options: Options, context: ReplayCliContext): Promise<number> {
  const progress = new Progress(context, 'diff');
  const found = diffReplays(simulationOf(a.header, context), a, b, progress.report);
  progress.clear();
  await print(context.stdout, options.isJson ? `${JSON.stringify(found)}\n` : `${explain(found)}\n`);
  return found.kind === 'same' ? EXIT.FINE : EXIT.DIFFERENT;
}

function explain(found: ReturnType<typeof diffReplays>): string {
  switch (found.kind) {
    case 'same':
      return `The same over ${found.ticks} ticks.`;
    case 'setup':
      return `Set up differently: ${safe(found.field)} is ${safe(found.a)} and ${safe(found.b)}.`;
    case 'inputs':
      return `The worlds are the same, though inputs differ at tick ${found.inputsDifferAtTick}.`;
    case 'length':
      return `The same as far as both go: ${found.aTicks} and ${found.bTicks} ticks.`;
    case 'diverged': {
      const cause =
        found.inputsDifferAtTick === undefined
          ? 'on the same inputs'
          : `inputs differ from tick ${found.inputsDifferAtTick}`;
      return `Differ at tick ${found.tick}: ${safe(found.field)} is ${safe(found.a)} and ${safe(found.b)} (${cause}).`;
    }
  }
}

async function exportEntries(replay: Replay, options: Options, context: ReplayCliContext): Promise<number> {
  const simulation = simulationOf(replay.header, context);
  if (options.out === undefined) {
    await writeLines(replay, simulation, context.stdout);
    return EXIT.FINE;
  }
  const temporary = `${options.out}.${process.pid}.tmp`;
  const file = createWriteStream(temporary, { flags: 'wx' });
  try {
    await once(file, 'open');
    await writeLines(replay, simulation, file);
    file.end();
    await once(file, 'finish');
    await rename(temporary, options.out);
  } catch (error) {
    file.destroy();
    await rm(temporary, { force: true });
    throw error;
  }
  return EXIT.FINE;
}

async function writeLines(replay: Replay, simulation: AnySimulation, to: Writable): Promise<void> {
  const { header, entries, hashes } = replay;
  await print(to, `${JSON.stringify(header)}\n`);
  for (let tick = 0; tick < entries.length; tick++) {
    const hash = (tick + 1) % header.hashEveryTicks === 0 ? hashes[(tick + 1) / header.hashEveryTicks - 1] : undefined;
    const line = { ...decodeEntry(simulation, replay, tick), ...(hash === undefined ? {} : { hash: hashText(hash) }) };
    await print(to, `${JSON.stringify(line)}\n`);
  }
}

function describe(header: ReplayHeader): string {
  const facts = [
    ['match', header.matchId],
    ['room', header.roomName],
    ['game', `${header.simId} ${header.simVersion}`],
    ['build', header.buildId],
    ['began', date(header.createdAtMs)],
    ['length', `${minutes(header.ticks, header.tickRateHz)} (${header.ticks} ticks at ${header.tickRateHz} Hz)`],
    [
      'setup',
      Object.entries(header.setup)
        .map(([key, value]) => `${key}=${value}`)
        .join(' '),
    ],
    ['ended', header.result?.reason ?? 'cut short, no result'],
    ['hash', header.finalHash],
  ].map(([name, value]) => [name!, safe(value!)]);
  const players = header.players.map(({ seat, name, isBot, joinedTick, leftTick }) => [
    String(seat),
    safe(name),
    isBot ? 'bot' : '',
    String(joinedTick),
    leftTick === undefined ? 'end' : String(leftTick),
  ]);
  const standings = (header.result?.standings ?? []).map(({ seat, name, score }) => [
    String(seat),
    safe(name),
    safe(
      Object.entries(score)
        .map(([column, points]) => `${column} ${points}`)
        .join(', '),
    ),
  ]);
  return [
    table(facts),
    players.length > 0 ? table([['seat', 'player', '', 'from', 'to'], ...players]) : '',
    standings.length > 0 ? table([['seat', 'standing', 'score'], ...standings]) : '',
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** Rewrites one line of a terminal; silent elsewhere. */
class Progress {
  readonly #stderr: ReplayCliContext['stderr'];
  readonly #what: string;
  #shownAtMs = 0;

  constructor({ stderr }: ReplayCliContext, what: string) {
    this.#stderr = stderr;
    this.#what = what;
  }

  readonly report: OnProgress = (tick, ticks) => {
    const nowMs = performance.now();
    if (!this.#stderr.isTTY || nowMs - this.#shownAtMs < PROGRESS_EVERY_MS) return;
    this.#shownAtMs = nowMs;
    this.#stderr.write(`\r\x1b[K${this.#what} ${Math.floor((100 * tick) / Math.max(1, ticks))} %`);
  };

  clear(): void {
    if (this.#shownAtMs > 0) this.#stderr.write('\r\x1b[K');
  }
}

function date(atMs: number): string {
  const at = new Date(atMs);
  return Number.isNaN(at.getTime()) ? '' : at.toISOString().replace('T', ' ').slice(0, 19);
}

function minutes(ticks: number, tickRateHz: number): string {
  const seconds = Math.floor(ticks / tickRateHz);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const cells of rows) {
    for (const [i, cell] of cells.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map(
      (cells) =>
        `${cells
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

if (import.meta.main) {
  endWithReader();
  process.exitCode = await runReplayCli(process.argv.slice(2), {
    simulations: new Map([[arena.id, arena as AnySimulation]]),
    dataDir: process.env['HYPOGEUM_DATA'] ?? '.data',
    redisUrl: process.env['REDIS_URL'],
    stdout: process.stdout,
    stderr: process.stderr,
  });
}
