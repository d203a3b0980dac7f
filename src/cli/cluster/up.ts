/**
 * A small cluster on this machine: database and Redis (private ones unless given), one build of the client, processes
 * with roles, each on a port of its own, and in front of them gates that share the public port.
 */
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { prepareDataFolder, readOrCreateSecret } from '../../adapters/data-folder.ts';
import { EmbeddedPostgres } from '../../adapters/embedded-postgres.ts';
import { lockFolder } from '../../adapters/process-lock.ts';
import { buildClient } from '../../client-build.ts';
import { type Config, readConfig } from '../../config.ts';
import { hashPassword } from '../../ops/panel-access.ts';
import { safe } from '../frame.ts';
import { childOf, portSharingChild } from './child.ts';
import { type ControlRequest, serveControl } from './control.ts';
import { PrivateRedis } from './private-redis.ts';
import { type Post, Supervisor } from './supervisor.ts';

/** From the start of a process to its word that it is ready, ms: the first one migrates the database. */
const READY_MS = 60_000;
/** What a process may take beyond its drain before it is killed, ms. */
const KILL_GRACE_MS = 10_000;
/** Connections of one process to the database: its pool, its followers, one to spare. */
const CONNECTIONS_EACH = 16;
/** The same signal again within this time is a copy: Ctrl-C reaches us from the terminal and again from npm. */
const SIGNAL_COPY_MS = 500;

export type ClusterRole = 'realtime' | 'worker' | 'gate';

export interface UpOptions {
  readonly counts: Readonly<Record<ClusterRole, number>>;
  readonly dataDir: string;
  readonly port: number | undefined;
  readonly redisUrl: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly build: string | undefined;
  readonly isClientBuilt: boolean;
}

export interface UpContext {
  /** Of the command, with `.env` under it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/**
 * Runs until a signal ends it, or until no process is left.
 * @returns the exit code: 0 after a drain, else that of the process which could not be started
 * @throws GameError CONFIG_INVALID, DATA_IN_USE, DATA_UNWRITABLE, DATABASE_FAILED, STORE_UNAVAILABLE
 */
export async function up(options: UpOptions, { env, stdout, stderr }: UpContext): Promise<number> {
  const dataDir = resolve(options.dataDir);
  const note = (line: string): void => void stderr.write(`cluster | ${line}\n`);
  // Faults are said before anything is started, and once.
  const config = readConfig({ ...env, ...settingsOf(options, 'gate', { dataDir, databaseUrl: '', redisUrl: '' }) });
  await prepareDataFolder(dataDir);

  const open: (() => Promise<unknown>)[] = [];
  try {
    open.push(await lockFolder(join(dataDir, 'cluster-lock')));
    const stores = { dataDir, ...(await openStores(options, dataDir, note, open)) };
    if (options.isClientBuilt) await buildClient(note);
    await tellPassword(config, dataDir, stderr);

    const ended = Promise.withResolvers<number>();
    const supervisor = new Supervisor({
      say: (name, line) => (name === undefined ? note(line) : void stdout.write(`${name} | ${safe(line)}\n`)),
      onEnd: ended.resolve,
      readyMs: READY_MS,
      killMs: config.drainSeconds * 1000 + KILL_GRACE_MS,
    });
    const forget = obeySignals(supervisor, note, ended.resolve);
    try {
      const posts = postsOf(options, env, stores);
      const areBehindReady = await supervisor.start(posts.filter(({ name }) => !name.startsWith('gate')));
      // The public port opens when there is somebody behind it.
      if (areBehindReady && (await supervisor.start(posts.filter(({ name }) => name.startsWith('gate'))))) {
        const port = supervisor.posts.find(({ name }) => name.startsWith('gate'))?.port ?? config.http.port;
        const url = `http://localhost:${port}/`;
        open.push(await serveControl(dataDir, { url, ...stores }, (request, say) => answer(supervisor, request, say)));
        note(`ready at ${url}`);
        process.send?.('ready');
      } else await supervisor.stop(1);
      return await ended.promise;
    } finally {
      forget();
    }
  } finally {
    for (let close = open.pop(); close !== undefined; close = open.pop()) await close();
  }
}

async function openStores(
  options: UpOptions,
  dataDir: string,
  note: (line: string) => void,
  open: (() => Promise<unknown>)[],
): Promise<{ databaseUrl: string; redisUrl: string }> {
  let { databaseUrl, redisUrl } = options;
  if (redisUrl === undefined) {
    const redis = await PrivateRedis.start({
      dataDir,
      onDied: (reason) => note(`the private Redis died (${reason}); it is started again`),
      onRestarted: () => note('the private Redis is back'),
    });
    open.push(() => redis.stop());
    redisUrl = redis.url;
  }
  if (databaseUrl === undefined) {
    const { realtime, worker, gate } = options.counts;
    // One more: while processes are replaced, there is a new one beside the old one.
    const connections = (realtime + worker + gate + 1) * CONNECTIONS_EACH;
    const postgres = await EmbeddedPostgres.start({
      dataDir,
      settings: { max_connections: String(connections) },
      onDied: (lastWords) => note(`the private database died (${lastWords}); it is started again`),
      onRestarted: () => note('the private database is back'),
    });
    open.push(() => postgres.stop());
    databaseUrl = postgres.url;
  }
  return { databaseUrl, redisUrl };
}

type Stores = { readonly dataDir: string; readonly databaseUrl: string; readonly redisUrl: string };

function postsOf(options: UpOptions, env: UpContext['env'], stores: Stores): Post[] {
  const [ordinary, sharing] = [childOf(), portSharingChild()];
  return (['worker', 'realtime', 'gate'] as const).flatMap((role) =>
    Array.from({ length: options.counts[role] }, (_, at) => ({
      name: `${role}-${at + 1}`,
      start: role === 'gate' ? sharing : ordinary,
      env: { ...env, ...settingsOf(options, role, stores) },
    })),
  );
}

/** What is one process's own, over what all have in common. */
function settingsOf(options: UpOptions, role: ClusterRole, stores: Stores): Record<string, string> {
  return {
    HYPOGEUM_ROLES: role,
    HYPOGEUM_DATA: stores.dataDir,
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    // Reached by the gates only, on this machine.
    HYPOGEUM_ADVERTISE: '',
    ...(role === 'gate' ? {} : { HYPOGEUM_PORT: '0', HYPOGEUM_HOST: '127.0.0.1' }),
    ...(role === 'gate' && options.port !== undefined ? { HYPOGEUM_PORT: String(options.port) } : {}),
    ...(options.build === undefined ? {} : { HYPOGEUM_BUILD_ID: options.build }),
  };
}

/** The processes share the folder, and with it the password: it is made and shown here, before each of them would. */
async function tellPassword(config: Config, dataDir: string, stderr: Writable): Promise<void> {
  if (config.monitor.password !== undefined) return;
  // 120 random bits: the stored hash needs no salt and no work factor.
  const generated = randomBytes(15).toString('base64url');
  const { isNew } = await readOrCreateSecret(dataDir, 'monitor-password', () => hashPassword(generated));
  if (isNew) stderr.write(`\nPassword of /monitor/ (any user name), shown only this once: ${generated}\n\n`);
}

async function answer(
  supervisor: Supervisor,
  request: ControlRequest,
  say: (line: string) => void,
): Promise<{ exitCode: number; [fact: string]: unknown }> {
  if (request.command === 'posts') return { exitCode: 0, posts: supervisor.posts };
  const { names, build } = request;
  const known = new Set(supervisor.posts.flatMap(({ name, processId }) => [name, processId]));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) {
    say(`There is no process ${unknown}.`);
    return { exitCode: 1 };
  }
  const wanted = supervisor.posts
    .filter(({ name, processId }) => names.includes(name) || names.includes(processId ?? name))
    .map(({ name }) => name);
  const areReplaced = await supervisor.roll(say, {
    ...(names.length === 0 ? {} : { names: wanted }),
    ...(build === undefined
      ? {}
      : { change: (post: Post) => ({ ...post, env: { ...post.env, HYPOGEUM_BUILD_ID: build } }) }),
  });
  return { exitCode: areReplaced ? 0 : 1 };
}

/**
 * The first signal drains all processes, another one ends them at once. The processes are sent the same signal: from a
 * terminal they have it already, and take a copy for one.
 */
function obeySignals(
  supervisor: Supervisor,
  note: (line: string) => void,
  end: (exitCode: number) => void,
): () => void {
  let first: { readonly signal: string; readonly atMs: number } | undefined;
  const handlers = (['SIGTERM', 'SIGINT'] as const).map((signal) => {
    const handle = (): void => {
      const nowMs = performance.now();
      if (first?.signal === signal && nowMs - first.atMs < SIGNAL_COPY_MS) return;
      if (first !== undefined) {
        note('second signal: all processes end at once');
        supervisor.kill();
        end(128 + (signal === 'SIGINT' ? 2 : 15));
        return;
      }
      first = { signal, atMs: nowMs };
      note('all processes drain');
      void supervisor.stop(0, signal);
    };
    process.on(signal, handle);
    return () => void process.off(signal, handle);
  });
  return () => {
    for (const off of handlers) off();
  };
}
