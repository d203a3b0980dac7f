/**
 * `npm run cluster -- up | status | roll`: a small cluster on this machine without a process manager, and what is done to
 * a cluster while it runs. Exit codes: 0 fine, 1 what was asked for was not done, 2 wrong usage, 3 something cannot be
 * reached; `up` ends with that of the process which could not be started.
 */
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { GameError } from '../kernel/errors.ts';
import { askCluster, type ClusterPlace, runningCluster } from './cluster/control.ts';
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
  status              the processes of the cluster
  roll [PROCESS...]   replaces all processes, or those named, one after another: the new one is ready before the old one
                      drains, and the old one is gone before the next is touched
    --build ID          names the build of the new ones

PROCESS is a name such as realtime-1, or an id, as status shows them.

  --data DIR          data folder (default: HYPOGEUM_DATA or .data)
  --json              one line of JSON instead of text
  --help              this text

Exit codes: 0 fine, 1 what was asked for was not done, 2 wrong usage, 3 something cannot be reached; up ends with the exit
code of the process that could not be started.
`;

const NOT_DONE = 1;
const BUILD_ID = /^[\w.+-]{1,64}$/;
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
  readonly command: string;
  readonly words: readonly string[];
  readonly up: UpOptions;
  readonly isJson: boolean;
}

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
    if (place === undefined) {
      const reason = `no cluster runs on the data folder ${options.up.dataDir}; npm run cluster -- up starts one`;
      throw new GameError('STORE_UNAVAILABLE', { reason });
    }
    return await (options.command === 'status' ? status(place, options, context) : roll(place, options, context));
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
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
  const [command = '', ...words] = positionals;
  if (command === '') throw new UsageError('A command is needed.');
  if (!Object.hasOwn(OPTIONS_OF, command)) throw new UsageError(`No command ${safe(command)}.`);
  const allowed = new Set(['data', 'json', ...OPTIONS_OF[command as keyof typeof OPTIONS_OF]]);
  const stray = Object.keys(values).find((name) => !allowed.has(name));
  if (stray !== undefined) throw new UsageError(`${command} takes no --${stray}.`);
  if (words.length > 0 && command !== 'roll') throw new UsageError(`${command} takes no ${safe(words[0]!)}.`);
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

const OPTIONS_OF = {
  up: ['realtime', 'workers', 'gates', 'port', 'redis', 'database', 'build', 'no-build'],
  status: [],
  roll: ['build'],
} as const;

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

async function status(place: ClusterPlace, { isJson }: Options, { stdout }: ClusterCliContext): Promise<number> {
  const { posts } = await askCluster(place, { command: 'posts' }, () => {});
  const rows = posts as readonly PostReading[];
  if (isJson) {
    await print(stdout, `${JSON.stringify({ url: place.url, processes: rows })}\n`);
    return EXIT.FINE;
  }
  const cells = rows.map((post) => [
    post.name,
    post.processId ?? '',
    post.pid === 0 ? '' : String(post.pid),
    post.state,
    post.readyForMs === 0 ? '' : `${Math.round(post.readyForMs / 1000)} s`,
    String(post.restarts),
  ]);
  await print(stdout, table([['name', 'id', 'pid', 'state', 'ready for', 'restarts'], ...cells]));
  await print(stdout, `Players connect to ${place.url}\n`);
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
