/**
 * `npm run cluster -- up | status | drain | roll | canary | cohort | promote | rollback`: a small cluster on this machine
 * without a process manager, and what is done to any cluster while it runs. Exit codes: 0 fine, 1 what was asked for was
 * not done, 2 wrong usage, 3 something cannot be reached; `up` ends with that of the process which could not be started.
 */
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import {
  BUILD_ID,
  type CanaryState,
  COHORT,
  describeCanary,
  NO_CANARY,
  promote,
  rollBack,
  trackOfBuild,
} from '../cluster/canary.ts';
import type { CanaryRecord, CanaryStore } from '../cluster/canary-desk.ts';
import { askToDrain } from '../cluster/drain-requests.ts';
import { GameError } from '../kernel/errors.ts';
import { askCluster, type ClusterPlace, runningCluster } from './cluster/control.ts';
import { type ListedProcess, listProcesses, openShared, type SharedCluster } from './cluster/shared.ts';
import type { PostReading } from './cluster/supervisor.ts';
import { type ClusterRole, type UpOptions, up } from './cluster/up.ts';
import { cliEnvironment } from './database.ts';
import { EXIT, endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';
import { table } from './views.ts';

const USAGE = `Usage: npm run cluster -- COMMAND [options]

  up                  starts a cluster on this machine and keeps it running; ends with SIGTERM or Ctrl-C, which drains it
    --realtime N        processes that run matches, 1 to 16 (default: 2)
    --workers N         processes for what is not a match, 0 to 8 (default: 1)
    --gates N           processes that players connect to, on one port, 1 to 4 (default: 1)
    --port N            that port (default: HYPOGEUM_PORT or 2567)
    --redis URL         (default: REDIS_URL, or a private redis-server with its data in the data folder)
    --database URL      (default: DATABASE_URL, or the private PostgreSQL of the data folder)
    --build ID          names this build (default: HYPOGEUM_BUILD_ID)
    --no-build          serves the browser client as it was last built
  roll [PROCESS...]   replaces all processes, or those named, one after another: the new one is ready before the old one
                      drains, and the old one is gone before the next is touched; only of what \`up\` has started
    --build ID          names the build of the new ones

Of any cluster, also of one that PM2 or Kubernetes has started:

  status              processes with build, rooms, players, free match slots and 99th percentile of a tick
  drain PROCESS       takes a process out for good: its matches move or end, then it exits 0
  canary show         which build is tried, and on whom
  canary set          tries a build; changes at once for all processes
    --build ID          that build
    --percent N         with that share of new matches, 0 to 100
    --cohort NAME       or with the new matches of a cohort
  canary clear        forgets about it: new matches go to any build
  promote             all new matches go to the build that is tried
  rollback            no new match and no new player goes to it
  cohort list NAME    its players
  cohort add NAME PLAYER...     adds players; the names moderators and admins are those accounts, and no lists
  cohort remove NAME PLAYER...  takes them out

PROCESS is an id as status shows it or, of what \`up\` has started, a name such as realtime-1.

  --data DIR          data folder of \`up\` (default: HYPOGEUM_DATA or .data)
  --redis URL         of the cluster (default: that which runs on the data folder, or REDIS_URL)
  --json              one line of JSON instead of text
  --help              this text

Exit codes: 0 fine, 1 what was asked for was not done, 2 wrong usage, 3 something cannot be reached; up ends with the exit
code of the process that could not be started.
`;

/** Codes that say that what was asked for was not done, in place of that something is out of reach. */
const REFUSALS: ReadonlySet<string> = new Set(['PROCESS_UNKNOWN', 'CANARY_NONE', 'CANARY_CHANGED', 'COHORT_FULL']);
const PLAYER_ID = /^[a-z]-[A-Za-z0-9_-]{22}$/;
/** Who it was, in the log of the cluster. */
const BY = 'operator';
const NOT_DONE = 1;
const BOUNDS: Readonly<Record<ClusterRole, readonly [min: number, max: number, initial: number]>> = {
  realtime: [1, 16, 2],
  worker: [0, 8, 1],
  gate: [1, 4, 1],
};

export interface ClusterCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

interface Options {
  readonly command: keyof typeof COMMANDS;
  readonly words: readonly string[];
  readonly up: UpOptions;
  /** As given on the command line. */
  readonly redis: string | undefined;
  readonly share: { readonly percent: number } | { readonly cohort: string } | undefined;
  readonly isJson: boolean;
}

/** By command: what else it takes. */
const COMMANDS = {
  up: { options: ['realtime', 'workers', 'gates', 'port', 'redis', 'database', 'build', 'no-build'], words: [0, 0] },
  roll: { options: ['build'], words: [0, 64] },
  status: { options: ['redis'], words: [0, 0] },
  drain: { options: ['redis'], words: [1, 1] },
  'canary show': { options: ['redis'], words: [0, 0] },
  'canary set': { options: ['redis', 'build', 'percent', 'cohort'], words: [0, 0] },
  'canary clear': { options: ['redis'], words: [0, 0] },
  promote: { options: ['redis'], words: [0, 0] },
  rollback: { options: ['redis'], words: [0, 0] },
  'cohort list': { options: ['redis'], words: [1, 1] },
  'cohort add': { options: ['redis'], words: [2, 1_000] },
  'cohort remove': { options: ['redis'], words: [2, 1_000] },
} as const satisfies Record<string, { options: readonly string[]; words: readonly [min: number, max: number] }>;

/** @returns the exit code; never rejects for what a user or a store does wrong */
export async function runClusterCli(argv: readonly string[], context: ClusterCliContext): Promise<number> {
  try {
    const options = parse(argv, context);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    if (options.command === 'up') return await up(options.up, context);
    const place = await runningCluster(options.up.dataDir);
    if (options.command === 'roll') {
      if (place === undefined) return await tellNowhere(options, context);
      return await roll(place, options, context);
    }
    const url = options.redis ?? place?.redisUrl ?? options.up.redisUrl;
    if (url === undefined) return await tellNowhere(options, context);
    const shared = await openShared(url);
    try {
      // Names are those of this machine's cluster; they mean nothing in another one.
      return await act(shared, url === place?.redisUrl ? place : undefined, options, context);
    } finally {
      await shared.close();
    }
  } catch (error) {
    if (error instanceof GameError && REFUSALS.has(error.code)) {
      await print(context.stderr, `${safe(error.message)}\n`);
      return NOT_DONE;
    }
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

async function tellNowhere({ command, up: { dataDir } }: Options, { stderr }: ClusterCliContext): Promise<number> {
  // Only what `up` has started can be rolled.
  const elsewhere = command === 'roll' ? '' : ', --redis URL or REDIS_URL a cluster that something else has started';
  const ways = `npm run cluster -- up starts one; --data DIR names another folder${elsewhere}`;
  await print(stderr, `No cluster runs on the data folder ${safe(dataDir)}: ${ways}.\n`);
  return EXIT.UNREADABLE;
}

function parse(argv: readonly string[], { env }: ClusterCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseClusterArgs>;
  try {
    parsed = parseClusterArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  if (positionals.length === 0) throw new UsageError('A command is needed.');
  const { command, words } = commandOf(positionals);
  const { options, words: bounds } = COMMANDS[command];
  const allowed = new Set<string>(['data', 'json', ...options]);
  const stray = Object.keys(values).find((name) => !allowed.has(name));
  if (stray !== undefined) throw new UsageError(`${command} takes no --${stray}.`);
  if (words.length > bounds[1]) throw new UsageError(`${command} takes no ${safe(words[bounds[1]]!)}.`);
  if (words.length < bounds[0]) throw new UsageError(`${command} takes ${bounds[0] === 1 ? 'a name' : 'more words'}.`);
  checkWords(command, words);
  const port = values.port === undefined ? undefined : integer('port', values.port, 0, 65_535);
  if (values.build !== undefined && !BUILD_ID.test(values.build)) {
    throw new UsageError('--build takes 1 to 64 letters, digits and . _ + -');
  }
  const count = (role: ClusterRole, option: string, text: string | undefined): number => {
    const [min, max, initial] = BOUNDS[role];
    return text === undefined ? initial : integer(option, text, min, max);
  };
  return {
    command,
    words,
    isJson: values.json === true,
    redis: values.redis,
    share: shareOf(command, values),
    up: {
      counts: {
        realtime: count('realtime', 'realtime', values.realtime),
        worker: count('worker', 'workers', values.workers),
        gate: count('gate', 'gates', values.gates),
      },
      dataDir: values.data ?? (env['HYPOGEUM_DATA']?.trim() || '.data'),
      port,
      redisUrl: values.redis ?? (env['REDIS_URL']?.trim() || undefined),
      databaseUrl: values.database ?? (env['DATABASE_URL']?.trim() || undefined),
      build: values.build,
      isClientBuilt: values['no-build'] !== true,
    },
  };
}

function commandOf(positionals: readonly string[]): { command: keyof typeof COMMANDS; words: readonly string[] } {
  for (const length of [2, 1]) {
    const command = positionals.slice(0, length).join(' ');
    if (Object.hasOwn(COMMANDS, command)) {
      return { command: command as keyof typeof COMMANDS, words: positionals.slice(length) };
    }
  }
  const [group = ''] = positionals;
  if (group === 'canary') throw new UsageError('canary is followed by show, set or clear.');
  if (group === 'cohort') throw new UsageError('cohort is followed by list, add or remove.');
  throw new UsageError(`No command ${safe(group)}.`);
}

function checkWords(command: keyof typeof COMMANDS, words: readonly string[]): void {
  if (!command.startsWith('cohort')) return;
  const [name = '', ...players] = words;
  if (!COHORT.test(name)) throw new UsageError('A cohort has a name of 1 to 32 lower-case letters, digits and -');
  const stranger = players.find((playerId) => !PLAYER_ID.test(playerId));
  if (stranger !== undefined) throw new UsageError(`${safe(stranger)} is no id of a player.`);
}

function shareOf(
  command: keyof typeof COMMANDS,
  { build, percent, cohort }: { build?: string; percent?: string; cohort?: string },
): Options['share'] {
  if (command !== 'canary set') return undefined;
  if (build === undefined) throw new UsageError('canary set takes --build ID.');
  if ((percent === undefined) === (cohort === undefined)) {
    throw new UsageError('canary set takes --percent N or --cohort NAME.');
  }
  if (percent !== undefined) return { percent: integer('percent', percent, 0, 100) };
  if (!COHORT.test(cohort!)) throw new UsageError('--cohort takes 1 to 32 lower-case letters, digits and -');
  return { cohort: cohort! };
}

function parseClusterArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      realtime: { type: 'string' },
      workers: { type: 'string' },
      gates: { type: 'string' },
      port: { type: 'string' },
      redis: { type: 'string' },
      database: { type: 'string' },
      build: { type: 'string' },
      percent: { type: 'string' },
      cohort: { type: 'string' },
      'no-build': { type: 'boolean' },
      data: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${option} takes a whole number, ${min} to ${max}.`);
}

async function act(
  shared: SharedCluster,
  place: ClusterPlace | undefined,
  options: Options,
  context: ClusterCliContext,
): Promise<number> {
  const { canary } = shared;
  const [name = '', ...players] = options.words;
  switch (options.command) {
    case 'status':
      return status(shared, place, options, context);
    case 'drain':
      return drain(shared, place, options, context);
    case 'cohort list': {
      const members = await canary.members(name);
      await print(
        context.stdout,
        options.isJson ? `${JSON.stringify(members)}\n` : members.map((id) => `${id}\n`).join(''),
      );
      return EXIT.FINE;
    }
    case 'cohort add':
      return tellCount(await canary.addMembers(name, players), 'added to', options, context);
    case 'cohort remove':
      return tellCount(await canary.removeMembers(name, players), 'taken out of', options, context);
    case 'canary show':
      return tellCanary(await canary.read(), options, context);
    case 'canary set': {
      const build = options.up.build!;
      const share = options.share!;
      const state: CanaryState =
        'percent' in share ? { phase: 'percent', build, ...share } : { phase: 'cohort', build, ...share };
      await warnOfNoProcess(shared, build, context);
      return tellCanary(await change(canary, () => state), options, context);
    }
    case 'canary clear':
      return tellCanary(await change(canary, () => NO_CANARY), options, context);
    case 'promote':
      return tellCanary(await change(canary, promote), options, context);
    default:
      return tellCanary(await change(canary, rollBack), options, context);
  }
}

async function change(canary: CanaryStore, to: (state: CanaryState) => CanaryState): Promise<CanaryRecord> {
  const { state, revision } = await canary.read();
  if (!(await canary.write(to(state), BY, revision))) throw new GameError('CANARY_CHANGED');
  return canary.read();
}

/** It may be set before its processes are there; it may also be mistyped. */
async function warnOfNoProcess({ store }: SharedCluster, build: string, { stderr }: ClusterCliContext): Promise<void> {
  const builds = buildsOf(await listProcesses(store));
  if (builds.has(build)) return;
  await print(stderr, `No process runs build ${build} yet; there are ${[...builds].map(safe).join(', ') || 'none'}.\n`);
}

/** Of the processes that make matches. */
function buildsOf(cards: readonly ListedProcess[]): ReadonlySet<string> {
  const makers = cards.filter(({ isListening, roles }) => isListening && roles.includes('realtime'));
  return new Set(makers.map(({ buildId }) => buildId));
}

async function tellCanary(record: CanaryRecord, { isJson }: Options, { stdout }: ClusterCliContext): Promise<number> {
  const by = record.by === '' ? '' : ` (by ${safe(record.by)})`;
  const text = `${describeCanary(record.state)}${by}`;
  await print(stdout, isJson ? `${JSON.stringify(record)}\n` : `${text}\n`);
  return EXIT.FINE;
}

async function tellCount(
  players: number,
  what: string,
  { words, isJson }: Options,
  { stdout }: ClusterCliContext,
): Promise<number> {
  const text = `${players} ${players === 1 ? 'player' : 'players'} ${what} ${words[0]}.`;
  await print(stdout, isJson ? `${JSON.stringify({ players })}\n` : `${text}\n`);
  return EXIT.FINE;
}

/** Of the processes that `up` has started; none if another one has started them. */
async function postsOf(place: ClusterPlace | undefined): Promise<readonly PostReading[]> {
  if (place === undefined) return [];
  const { posts } = await askCluster(place, { command: 'posts' }, () => {});
  return posts as readonly PostReading[];
}

async function status(
  { store, canary }: SharedCluster,
  place: ClusterPlace | undefined,
  { isJson }: Options,
  { stdout }: ClusterCliContext,
): Promise<number> {
  const [cards, posts, record] = await Promise.all([listProcesses(store), postsOf(place), canary.read()]);
  const nameOf = (processId: string) => posts.find((post) => post.processId === processId)?.name;
  if (isJson) {
    const processes = cards.map(({ plays: _, ...card }) => ({ name: nameOf(card.processId) ?? null, ...card }));
    await print(stdout, `${JSON.stringify({ url: place?.url ?? null, processes, posts, canary: record })}\n`);
    return EXIT.FINE;
  }
  const rows = cards.map((card) => [nameOf(card.processId) ?? '', ...cellsOf(card, record.state)]);
  // Those that have not become members, or no longer are: starting, dead, gone.
  const known = new Set(cards.map(({ processId }) => processId));
  for (const { name, processId = '', state } of posts) if (!known.has(processId)) rows.push([name, '', state]);
  const header = ['name', 'id', 'state', 'roles', 'build', 'track', 'rooms', 'players', 'free slots', 'tick p99'];
  await print(stdout, table([header, ...rows]));
  // What is tried outlives the processes, also all of them.
  const isRun = record.state.phase === 'none' || buildsOf(cards).has(record.state.build);
  await print(stdout, `Canary: ${describeCanary(record.state)}.${isRun ? '' : ' No process runs that build.'}\n`);
  if (place !== undefined) await print(stdout, `Players connect to ${place.url}\n`);
  return EXIT.FINE;
}

function cellsOf(card: ListedProcess, state: CanaryState): string[] {
  const { processId, roles, buildId, isDraining, isListening, load } = card;
  const hasRooms = roles.includes('realtime');
  return [
    processId,
    isListening ? (isDraining ? 'draining' : 'ready') : 'dead',
    roles.join(','),
    buildId,
    hasRooms ? trackOfBuild(state, buildId) : '',
    hasRooms ? String(load.rooms) : '',
    hasRooms ? String(load.players) : '',
    hasRooms ? String(load.matchSlotsAvailable) : '',
    hasRooms ? `${load.tickP99Ms.toFixed(1)} ms` : '',
  ];
}

async function drain(
  { store }: SharedCluster,
  place: ClusterPlace | undefined,
  { words }: Options,
  { stdout }: ClusterCliContext,
): Promise<number> {
  const wanted = words[0]!;
  const posts = await postsOf(place);
  const processId = posts.find(({ name }) => name === wanted)?.processId ?? wanted;
  const cards = await listProcesses(store);
  if (!cards.some((card) => card.processId === processId)) {
    throw new GameError('PROCESS_UNKNOWN', { processId: wanted });
  }
  await askToDrain(store, processId, BY);
  await print(stdout, `${safe(wanted)} drains; npm run cluster -- status shows when it is gone.\n`);
  return EXIT.FINE;
}

async function roll(place: ClusterPlace, { words, up }: Options, { stdout }: ClusterCliContext): Promise<number> {
  const asked = { command: 'roll' as const, names: [...words], ...(up.build === undefined ? {} : { build: up.build }) };
  // Lines are few, and slower than any reader.
  const { exitCode } = await askCluster(place, asked, (line) => void stdout.write(`${safe(line)}\n`));
  return exitCode === 0 ? EXIT.FINE : NOT_DONE;
}

if (import.meta.main) {
  endWithReader();
  const { stdout, stderr } = process;
  // Not only set: what a library left running must not keep a cluster that has ended.
  process.exit(await runClusterCli(process.argv.slice(2), { env: cliEnvironment(), stdout, stderr }));
}
