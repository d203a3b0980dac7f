/** The process's log: one JSON object a line in production, one readable line in development. */
import { format } from 'node:util';
import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly isProduction: boolean;
  readonly buildId: string;
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream;
}

export function createLogger(options: LogOptions): Logger {
  const { level, isProduction, buildId, destination } = options;
  const base = { level, base: { build: buildId }, redact: ['token', 'password', '*.token', '*.password'] };
  if (isProduction) return destination === undefined ? pino(base) : pino(base, destination);
  return pino(base, readable(destination ?? process.stdout));
}

const LABELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/** Turns pino's lines into ones for people. Development only: it parses every line again. */
function readable(to: DestinationStream): DestinationStream {
  return {
    write(line: string): void {
      const {
        level,
        time,
        msg,
        build: _build,
        process: _process,
        trace: _trace,
        err,
        ...facts
      } = JSON.parse(line) as Record<string, unknown>;
      const clock = new Date(Number(time)).toTimeString().slice(0, 8);
      const rest = Object.entries(facts).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      const stack = (err as { stack?: string } | undefined)?.stack;
      const parts = [clock, (LABELS[Number(level)] ?? 'info').padEnd(5), oneLine(String(msg ?? '')), ...rest];
      to.write(`${parts.join(' ')}${stack === undefined ? '' : `\n${stack}`}\n`);
    },
  };
}

/** The shape Colyseus wants: console-like, any arguments. Its information is our debug; faults keep their weight. */
export function frameworkLogger(
  log: Logger,
): Record<'trace' | 'debug' | 'info' | 'warn' | 'error', (...args: unknown[]) => void> {
  const at =
    (level: 'trace' | 'debug' | 'warn' | 'error') =>
    (...args: unknown[]): void =>
      log[level]({ from: 'colyseus' }, format(...args));
  return { trace: at('trace'), debug: at('debug'), info: at('debug'), warn: at('warn'), error: at('error') };
}

/** Text of others cannot forge a second line or colour the terminal. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
