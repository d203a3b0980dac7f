/**
 * The process: configuration, server, signals, readiness.
 *
 * The configuration is read before anything else is loaded: some packages of the framework put the contents of
 * `/etc/environment` over `process.env` when they are imported.
 */
import { readFileSync } from 'node:fs';
import { parseArgs, parseEnv } from 'node:util';
import { type Config, configHelp, isGateAlone, readConfig } from './config.ts';
import { GameError } from './kernel/errors.ts';

/** Exit codes, after sysexits.h where it has one. */
const EXIT = { BUG: 1, USAGE: 64, UNAVAILABLE: 69, DATA: 73, CONFIG: 78 } as const;

/** Of starts that fail, by code. */
const EXIT_OF: Readonly<Record<string, number>> = {
  PORT_IN_USE: EXIT.UNAVAILABLE,
  DATABASE_UNAVAILABLE: EXIT.UNAVAILABLE,
  DATABASE_FAILED: EXIT.UNAVAILABLE,
  STORE_UNAVAILABLE: EXIT.UNAVAILABLE,
  DATA_UNWRITABLE: EXIT.DATA,
  DATA_IN_USE: EXIT.DATA,
  DATABASE_TOO_OLD: EXIT.CONFIG,
  SCHEMA_NEWER: EXIT.CONFIG,
};

/** The same signal again within this time is a copy: Ctrl-C reaches us from the terminal and again from npm. */
const SIGNAL_COPY_MS = 500;

const USAGE = `Usage: npm start [-- options]

  --help      this text
  --no-build  serve the client as it was last built

Settings, read from the environment and from .env (the environment wins):

`;

async function main(): Promise<void> {
  const { help, build } = options();
  if (help) {
    process.stdout.write(`${USAGE}${configHelp()}\n`);
    return;
  }
  const config = readConfig({ ...dotEnv(), ...process.env });
  // Libraries look at it too; what counts is decided by now.
  if (config.isProduction) process.env['NODE_ENV'] = 'production';
  const isGate = isGateAlone(config);
  if (build && !isGate) await makeClientCurrent();

  surviveReaders();
  keepAgentOut();
  const { createLogger } = await import('./ops/logger.ts');
  const log = createLogger({ level: config.log.level, isProduction: config.isProduction, buildId: config.buildId });
  const server = isGate
    ? await (await import('./gating.ts')).createGate({ config, log })
    : await (await import('./server.ts')).createServer({ config, log });
  const end = obeySignals(server, config, log);
  await server.listen();
  void server.drainRequested.then((by) => {
    log.info({ by, withinSeconds: config.drainSeconds }, 'draining');
    end(0);
  });
  announce(config, server, log);
  // Who started us may want to know whom.
  process.send?.({ processId: server.processId, port: server.port });
  // PM2's wait_ready.
  process.send?.('ready');
}

/**
 * Whoever read what we print may end before us. Each line would be an exception that nobody caught, which is said in a
 * line; the matches go on, and the log is the reader's loss.
 */
function surviveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/**
 * The framework loads PM2's monitoring agent into every process: it patches `http`, swallows unhandled rejections and
 * ends the process when its parent disconnects. The agent takes an instance that is already there for itself.
 */
function keepAgentOut(): void {
  Object.defineProperty(globalThis, Symbol.for('@pm2/io'), { value: { metric() {} } });
}

function options(): { help: boolean; build: boolean } {
  try {
    const { values } = parseArgs({
      options: { help: { type: 'boolean', short: 'h' }, 'no-build': { type: 'boolean' } },
    });
    return { help: values.help === true, build: values['no-build'] !== true };
  } catch (error) {
    // Without the list of settings: it would push the fault off the screen.
    process.stderr.write(`${(error as Error).message}\n\nSee npm start -- --help\n`);
    process.exit(EXIT.USAGE);
  }
}

function dotEnv(): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync('.env', 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new GameError('CONFIG_INVALID', { faults: [`.env: ${(error as Error).message}`] }, error);
  }
}

async function makeClientCurrent(): Promise<void> {
  const { buildClient } = await import('./client-build.ts');
  const startedMs = performance.now();
  const outcome = await buildClient((text) => process.stderr.write(`${text}\n`));
  if (outcome === 'built') process.stderr.write(`built in ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  if (outcome === 'unbuildable') {
    process.stderr.write('there is no built client and no Vite to build it: players need a client from elsewhere\n');
  }
}

interface Running {
  readonly processId: string;
  readonly port: number;
  readonly url: string;
  readonly newMonitorPassword: string | undefined;
  readonly drainRequested: Promise<string>;
  readonly metrics: { countStrayRejection(): void };
  close(): Promise<void>;
}

interface Log {
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
  fatal(facts: object, text: string): void;
}

/**
 * The first signal drains, the second one ends at once. Returns what drains for another reason. An exception that nobody caught leaves nobody knows what half
 * done: it is said, the process drains and exits 1. A rejection that nobody handled ended its own chain of work and
 * touched no other, so it is said and counted; ending every match for it would let one message do that.
 */
function obeySignals(server: Running, config: Config, log: Log): (code: number) => void {
  let isEnding = false;
  let first: { readonly signal: string; readonly atMs: number } | undefined;
  const end = (code: number): void => {
    isEnding = true;
    server.close().then(
      () => process.exit(code),
      (error: unknown) => {
        log.fatal({ err: error }, 'the drain failed');
        process.exit(EXIT.BUG);
      },
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (first?.signal === signal && nowMs - first.atMs < SIGNAL_COPY_MS) return;
      first ??= { signal, atMs: nowMs };
      if (isEnding) {
        log.warn({ signal }, 'second signal: ending at once');
        process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
      }
      log.info({ signal, withinSeconds: config.drainSeconds }, 'draining');
      end(0);
    });
  }
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught: the process ends');
    if (!isEnding) end(EXIT.BUG);
  });
  process.on('unhandledRejection', (error) => {
    log.error({ err: error }, 'a rejection that nobody handled');
    server.metrics.countStrayRejection();
  });
  return (code) => {
    if (!isEnding) end(code);
  };
}

function announce(config: Config, server: Running, log: Log): void {
  const readyMs = Math.round(performance.now());
  log.info({ url: server.url, readyMs, dataDir: config.dataDir }, 'ready');
  if (server.newMonitorPassword !== undefined) {
    // To the terminal, not into the log: logs are kept and shipped.
    process.stderr.write(
      `\nMonitor ${server.url}monitor/ password (any user name), shown only this once: ${server.newMonitorPassword}\n\n`,
    );
  }
}

/** A start that fails says why in one line. */
function fail(error: unknown): never {
  if (!(error instanceof GameError)) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(EXIT.BUG);
  }
  const { code, detail } = error;
  if (code === 'CONFIG_INVALID') {
    const faults = (detail['faults'] as readonly string[] | undefined) ?? [error.message];
    process.stderr.write(`CONFIG_INVALID: ${faults.join('; ')}\n`);
    process.exit(EXIT.CONFIG);
  }
  process.stderr.write(`${error.message}\n`);
  process.exit(EXIT_OF[code] ?? EXIT.BUG);
}

main().catch(fail);
