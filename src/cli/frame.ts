/** What all command line tools do alike: how they say what went wrong, and how they write. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { GameError } from '../kernel/errors.ts';

/** Exit codes of every tool; 1 is for what was looked for and not found, or found wrong. */
export const EXIT = { FINE: 0, USAGE: 2, UNREADABLE: 3 } as const;

/** Wrong use of a command: answered with the usage. */
export class UsageError extends Error {}

/**
 * Says why a command ended early: one line, or the usage.
 * @returns the exit code
 * @throws the error, if it is a bug: neither a refusal nor an answer of the database or the system
 */
export async function exitCodeOf(error: unknown, stderr: Writable, usage: string): Promise<number> {
  if (error instanceof UsageError) {
    await print(stderr, `${error.message}\n\n${usage}`);
    return EXIT.USAGE;
  }
  if (!(error instanceof GameError) && typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
  await print(stderr, `${safe((error as Error).message)}\n`);
  return EXIT.UNREADABLE;
}

/** Text from outside on a terminal: without control and formatting characters. */
export function safe(text: string): string {
  return text.replace(/\p{C}/gu, '\u{fffd}');
}

/** Writes, no faster than it is read. */
export async function print(to: Writable, text: string): Promise<void> {
  if (!to.write(text)) await once(to, 'drain');
}

/** Lets `… | head` end this process in peace: the reader has had enough. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.FINE);
    throw error;
  });
}
