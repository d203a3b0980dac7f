/**
 * `npm run backup -- create FILE | verify FILE | restore FILE`: everything that is in the database, encrypted, into one
 * file and back. Exit codes: 0 fine, 1 the backup is damaged, 2 wrong usage, 3 it cannot be done.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import {
  type BackupProgress,
  type BackupSummary,
  createBackup,
  restoreBackup,
  verifyBackup,
} from '../adapters/backup.ts';
import { GameError } from '../kernel/errors.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';

const USAGE = `Usage: npm run backup -- COMMAND FILE [options]

  create FILE    writes a backup of the database, also while the server runs
  verify FILE    reads the whole of a backup and checks it; needs no database
  restore FILE   fills an empty database with a backup and proves every table equal

The database is that of DATABASE_URL, or the private one of the data folder. The key that encrypts is
HYPOGEUM_BACKUP_KEY in the environment or in .env, 16 characters or more; keep it elsewhere than the backup.

  --data DIR     data folder (default: HYPOGEUM_DATA or .data)
  --json         one line of JSON instead of text
  --help         this text

Exit codes: 0 fine, 1 the backup is damaged, 2 wrong usage, 3 it cannot be done.
`;

const EXIT = { FINE: 0, DAMAGED: 1, USAGE: 2, IMPOSSIBLE: 3 } as const;
const COMMANDS = ['create', 'verify', 'restore'] as const;
type Command = (typeof COMMANDS)[number];
const KEY_CHARS_MIN = 16;
const KEY_CHARS_MAX = 256;
const PROGRESS_EVERY_MS = 100;

export interface BackupCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  /** Progress goes here. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

class UsageError extends Error {}

/** @returns the exit code; never rejects for what a user, a file or a database does wrong */
export async function runBackupCli(argv: readonly string[], context: BackupCliContext): Promise<number> {
  const { env, stdout, stderr } = context;
  try {
    const line = parse(argv);
    if (line === undefined) {
      await print(stdout, USAGE);
      return EXIT.FINE;
    }
    const progress = new Progress(stderr);
    try {
      const summary = await run(
        line.command,
        line.file,
        line.dataDir ?? env['HYPOGEUM_DATA'] ?? '.data',
        env,
        progress.report,
      );
      progress.clear();
      await print(stdout, line.isJson ? `${JSON.stringify(summary)}\n` : describe(line.command, summary));
    } finally {
      progress.clear();
    }
    return EXIT.FINE;
  } catch (error) {
    if (error instanceof UsageError) {
      await print(stderr, `${error.message}\n\n${USAGE}`);
      return EXIT.USAGE;
    }
    // A refusal, or an answer of the file system or of the database; all else is a bug and loud.
    if (!(error instanceof GameError) && typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
    await print(stderr, `${(error as Error).message.replace(/\p{C}+/gu, ' ')}\n`);
    return error instanceof GameError && error.code === 'BACKUP_CORRUPT' ? EXIT.DAMAGED : EXIT.IMPOSSIBLE;
  }
}

interface Line {
  readonly command: Command;
  readonly file: string;
  readonly dataDir: string | undefined;
  readonly isJson: boolean;
}

function parse(argv: readonly string[]): Line | undefined {
  let parsed: ReturnType<typeof parseLine>;
  try {
    parsed = parseLine(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command, file, ...rest] = positionals;
  if (command === undefined) throw new UsageError('A command is needed.');
  if (!COMMANDS.some((known) => known === command))
    throw new UsageError(`No command ${command.replace(/\p{C}/gu, ' ')}.`);
  if (file === undefined || rest.length > 0) throw new UsageError(`${command} takes one file.`);
  return { command: command as Command, file, dataDir: values.data, isJson: values.json === true };
}

function parseLine(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { data: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}

async function run(
  command: Command,
  file: string,
  dataDir: string,
  env: BackupCliContext['env'],
  onProgress: BackupProgress,
): Promise<BackupSummary> {
  const key = env['HYPOGEUM_BACKUP_KEY']?.trim() ?? '';
  if (key.length < KEY_CHARS_MIN || key.length > KEY_CHARS_MAX) {
    throw new UsageError(`HYPOGEUM_BACKUP_KEY has to be set, ${KEY_CHARS_MIN} to ${KEY_CHARS_MAX} characters.`);
  }
  if (command === 'verify') return verifyBackup(file, key, onProgress);
  // Nothing is made, not even a database, for a file that is no good.
  if (command === 'restore') await verifyBackup(file, key);
  const isRestore = command === 'restore';
  const opened = await openCliDatabase({
    databaseUrl: env['DATABASE_URL'],
    dataDir,
    isCreated: isRestore,
    hasAnySchema: true,
  });
  try {
    const work = isRestore ? restoreBackup : createBackup;
    return await work(opened.database, file, key, onProgress);
  } finally {
    await opened.close();
  }
}

function describe(command: Command, { createdAtMs, server, migrations, tables, rows, bytes }: BackupSummary): string {
  const said = { create: 'written', verify: 'whole', restore: 'restored, every table equal' }[command];
  const width = Math.max(5, ...tables.map(({ name }) => name.length));
  const count = Math.max(4, ...tables.map((table) => String(table.rows).length));
  return [
    `made     ${new Date(createdAtMs).toISOString()} on PostgreSQL ${server}`,
    `schema   ${migrations.at(-1) ?? 'empty'}`,
    `size     ${bytes} bytes`,
    '',
    `${'table'.padEnd(width)}  ${'rows'.padStart(count)}  hash of rows`,
    ...tables.map((table) => `${table.name.padEnd(width)}  ${String(table.rows).padStart(count)}  ${table.hash}`),
    '',
    `${said}: ${tables.length} tables, ${rows} rows`,
    '',
  ].join('\n');
}

/** One line that is written over on a terminal; elsewhere a line for each table. */
class Progress {
  readonly #stderr: BackupCliContext['stderr'];
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #isShown = false;

  constructor(stderr: BackupCliContext['stderr']) {
    this.#stderr = stderr;
  }

  readonly report: BackupProgress = (what, share) => {
    const text = `${String(Math.floor(100 * share)).padStart(3)} % ${what}`;
    if (!this.#stderr.isTTY) {
      this.#stderr.write(`${text}\n`);
      return;
    }
    const nowMs = performance.now();
    if (nowMs - this.#shownAtMs < PROGRESS_EVERY_MS) return;
    this.#shownAtMs = nowMs;
    this.#isShown = true;
    this.#stderr.write(`\r\x1b[K${text}`);
  };

  clear(): void {
    if (this.#isShown) this.#stderr.write('\r\x1b[K');
    this.#isShown = false;
  }
}

async function print(to: Writable, text: string): Promise<void> {
  if (!to.write(text)) await once(to, 'drain');
}

if (import.meta.main) {
  process.exitCode = await runBackupCli(process.argv.slice(2), {
    env: cliEnvironment(),
    stdout: process.stdout,
    stderr: process.stderr,
  });
}
