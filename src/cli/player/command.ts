/** What one subcommand of `npm run player` is. */
import type { Writable } from 'node:stream';
import type { ParseArgsConfig } from 'node:util';
import type { Accounts } from '../../accounts/accounts.ts';
import type { Database } from '../../adapters/database.ts';
import type { PostgresLog } from '../../adapters/postgres-log.ts';

export const EXIT = { FINE: 0, DIFFERENT: 1 } as const;

/** What a subcommand works with; opened for it and closed after it. */
export interface PlayerContext {
  readonly database: Database;
  readonly log: PostgresLog;
  readonly accounts: Accounts;
  readonly isJson: boolean;
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** The first line of standard input, for what must not stand in a list of processes. */
  readLine(): Promise<string>;
  print(text: string): Promise<void>;
}

/** Values of the options of a subcommand, by name. */
export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

export interface PlayerCommand {
  /** Operands and options as the usage shows them, after the name. */
  readonly usage: string;
  readonly help: string;
  /** Operands after the player id. Default 0. */
  readonly operands?: number;
  /** Besides `--data`, `--json` and `--help`. */
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  /**
   * @returns the exit code
   * @throws UsageError, answered with the usage; GameError, of which one line is shown
   */
  run(context: PlayerContext, playerId: string, operands: readonly string[], values: OptionValues): Promise<number>;
}

/** One line, or JSON. */
export async function answer(context: PlayerContext, facts: object, text: string): Promise<number> {
  await context.print(context.isJson ? `${JSON.stringify(facts)}\n` : `${text}\n`);
  return EXIT.FINE;
}
