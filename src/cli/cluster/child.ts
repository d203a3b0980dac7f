/** One process of the cluster as its supervisor sees it: ready, what it says, how it ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

/** A line that is longer is cut, characters: a process that writes no line feed must not fill the memory. */
const LINE_CHARS_MAX = 16_384;
const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));
/** Loaded before the process itself: ends it when its supervisor is no more. */
const LEASH = new URL('./leash.ts', import.meta.url).href;

export interface Exit {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

export interface Child {
  readonly pid: number;
  /** Resolves when it says that it takes work; never, if it does not. */
  readonly ready: Promise<void>;
  /** Once it has said so: the framework's id of the process, and the port that it listens on. */
  readonly told: Told | undefined;
  readonly exited: Promise<Exit>;
  kill(signal: EndSignal | 'SIGKILL'): void;
}

/** Both drain; which of the two matters only where a terminal has sent the same one. */
export type EndSignal = 'SIGTERM' | 'SIGINT';

export interface Told {
  readonly processId: string;
  readonly port: number;
}

export interface ChildOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told every line of its output. */
  readonly say: (line: string) => void;
}

export type StartChild = (options: ChildOptions) => Child;

/** An ordinary child, `node script args`. */
export function childOf(script = MAIN, args: readonly string[] = ['--no-build']): StartChild {
  return ({ env, say }) =>
    watch(
      spawn(process.execPath, ['--import', LEASH, script, ...args], {
        env: { ...env },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      }),
      say,
    );
}

/**
 * A child that shares its port with all others made here: the supervisor holds the port and hands connections on, so that
 * one gate may take over from another while the port stays open.
 */
export function portSharingChild(script = MAIN, args: readonly string[] = ['--no-build']): StartChild {
  return ({ env, say }) => {
    cluster.setupPrimary({ exec: script, args: [...args], execArgv: ['--import', LEASH], silent: true });
    return watch(cluster.fork({ ...env }).process, say);
  };
}

function watch(child: ChildProcess, say: (line: string) => void): Child {
  const ready = Promise.withResolvers<void>();
  let told: Told | undefined;
  child.on('message', (message: unknown) => {
    if (message === 'ready') ready.resolve();
    else if (isTold(message)) told = message;
  });
  for (const stream of [child.stdout!, child.stderr!]) sayLines(stream, say);
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      say(error.message);
      resolve({ code: undefined, signal: undefined });
    });
    // When its output is read, too: the last words count.
    child.once('close', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
  return {
    pid: child.pid ?? 0,
    ready: ready.promise,
    exited,
    get told() {
      return told;
    },
    kill: (signal) => void child.kill(signal),
  };
}

function sayLines(stream: NodeJS.ReadableStream, say: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) say(line);
    if (rest.length <= LINE_CHARS_MAX) return;
    say(`${rest.slice(0, LINE_CHARS_MAX)}…`);
    rest = '';
  });
  stream.on('end', () => {
    if (rest !== '') say(rest);
  });
}

function isTold(message: unknown): message is Told {
  const { processId, port } = (message ?? {}) as Partial<Told>;
  return typeof processId === 'string' && typeof port === 'number';
}
