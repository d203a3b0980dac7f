/**
 * `npm run player -- COMMAND ID`: looks after one player's account. May run beside a server, which hears of it through
 * the log. Exit codes: 0 fine, 1 a difference was found, 2 wrong usage, 3 refused or something cannot be read.
 */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { Accounts } from '../accounts/accounts.ts';
import { PasswordHasher } from '../accounts/password-hasher.ts';
import { PostgresAccounts } from '../adapters/postgres-accounts.ts';
import { PostgresLog } from '../adapters/postgres-log.ts';
import { EVENTS } from '../events/catalogue.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';
import { EXIT, endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';
import { ban, unban } from './player/ban.ts';
import type { OptionValues, PlayerCommand } from './player/command.ts';
import { erase } from './player/erase.ts';
import { exportPlayer } from './player/export.ts';
import { history } from './player/history.ts';
import { restore } from './player/restore.ts';
import { role } from './player/role.ts';
import { setPassword } from './player/set-password.ts';
import { show } from './player/show.ts';
import { signOut } from './player/sign-out.ts';

const COMMANDS: Readonly<Record<string, PlayerCommand>> = {
  show,
  role,
  ban,
  unban,
  'sign-out': signOut,
  'set-password': setPassword,
  export: exportPlayer,
  erase,
  history,
  restore,
};

const USAGE = `Usage: npm run player -- COMMAND ID [options]

${Object.entries(COMMANDS)
  .map(([name, { usage, help }]) => `  ${name} ${usage}\n      ${help}`)
  .join('\n')}

  --data DIR            data folder (default: HYPOGEUM_DATA or .data), unless DATABASE_URL is set
  --json                one line of JSON instead of text
  --help                this text

ID is a player id, such as a-0123456789abcdefghijkl. Everything but show is an event of the account, by \`operator\`.
Exit codes: 0 fine, 1 a difference was found, 2 wrong usage, 3 refused, or something cannot be read.
`;

const PLAYER_ID = /^[a-z]-[A-Za-z0-9_-]{22}$/;

export interface PlayerCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Parsed {
  readonly command: PlayerCommand;
  readonly playerId: string;
  readonly operands: readonly string[];
  readonly values: OptionValues;
}

/** @returns the exit code; never rejects for what a user or a database does wrong */
export async function runPlayerCli(argv: readonly string[], context: PlayerCliContext): Promise<number> {
  try {
    const parsed = parse(argv);
    if (parsed === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    return await run(parsed, context);
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[]): Parsed | undefined {
  const name = argv.find((word) => Object.hasOwn(COMMANDS, word));
  const command = name === undefined ? undefined : COMMANDS[name]!;
  let parsed: { values: OptionValues; positionals: string[] };
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ...command?.options,
        data: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }) as typeof parsed;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values['help'] === true) return undefined;
  const [first = '', playerId = '', ...operands] = positionals;
  if (command === undefined || first !== name) {
    throw new UsageError(first === '' ? 'A command is needed.' : `No command ${safe(first)}.`);
  }
  if (!PLAYER_ID.test(playerId)) throw new UsageError('A player id is a letter, a dash and 22 characters.');
  if (operands.length !== (command.operands ?? 0)) throw new UsageError(`Usage: ${name} ${command.usage}`);
  return { command, playerId, operands, values };
}

async function run({ command, playerId, operands, values }: Parsed, context: PlayerCliContext): Promise<number> {
  const { env, stdin, stdout, stderr } = context;
  const dataDir = String(values['data'] ?? (env['HYPOGEUM_DATA']?.trim() || '.data'));
  const { database, close } = await openCliDatabase({ databaseUrl: env['DATABASE_URL'], dataDir });
  const log = new PostgresLog({ database, catalogue: EVENTS });
  try {
    const never = { take: () => true, isSpent: () => false };
    const accounts = await Accounts.open({
      store: new PostgresAccounts(database, (tx, append) => log.appendWithin(tx, append)),
      log,
      tokens: { issue: () => Promise.reject(new Error('a command signs nobody in')) },
      hasher: new PasswordHasher(),
      wrongPerPair: never,
      wrongPerNetwork: never,
    });
    const readLine = async (): Promise<string> => {
      for await (const line of createInterface({ input: stdin })) return line;
      return '';
    };
    const isJson = values['json'] === true;
    const opened = { database, log, accounts, isJson, stdout, stderr, readLine };
    return await command.run({ ...opened, print: (text) => print(stdout, text) }, playerId, operands, values);
  } finally {
    await log.close();
    await close();
  }
}

if (import.meta.main) {
  endWithReader();
  const { stdin, stdout, stderr } = process;
  process.exitCode = await runPlayerCli(process.argv.slice(2), { env: cliEnvironment(), stdin, stdout, stderr });
}
