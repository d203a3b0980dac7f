/**
 * `npm run economy -- audit | show ACCOUNT | grant PLAYER ASSET AMOUNT`: whether the ledger is sound, what somebody has,
 * and a gift from the operator. All may run beside a server. Exit codes: 0 fine, 1 the audit found a fault, 2 wrong
 * usage, 3 refused, or something cannot be read.
 */
import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../adapters/database.ts';
import { economyView, PostgresEconomy } from '../adapters/postgres-economy-view.ts';
import { PostgresLog } from '../adapters/postgres-log.ts';
import { PostgresViews } from '../adapters/postgres-views.ts';
import { checkAmount, ECONOMY_LIMITS } from '../economy/assets.ts';
import { auditEconomy } from '../economy/audit.ts';
import { grant } from '../economy/decide.ts';
import { Ledger } from '../economy/ledger.ts';
import { playerAccount } from '../economy/ledger-state.ts';
import { EVENTS } from '../events/catalogue.ts';
import { ACCOUNT } from '../events/economy-events.ts';
import { Projector } from '../events/projector.ts';
import { GameError } from '../kernel/errors.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';
import { endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';

const USAGE = `Usage: npm run economy -- COMMAND [options]

  audit                       folds the whole ledger from the log and checks every rule: all postings and all accounts
                              sum to zero, nobody is below zero but the mint, every item has one owner and a closed
                              chain of owners, every hold is backed and every escrow held, the view is the fold
  show ACCOUNT                balances and items; ACCOUNT is player:ID, mint, sink, fees or escrow:HOLD
  grant PLAYER ASSET AMOUNT   gives a player something out of the mint, as \`operator\`

  --wait SECONDS        audit: how long a view that is behind may take to catch up, 0 to 3600 (default: 10);
                        where no server folds it, the audit does; 0 looks at it as it is
  --key KEY             grant: done once for ever under this key (default: a new one, which is printed)
  --data DIR            data folder (default: HYPOGEUM_DATA or .data), unless DATABASE_URL is set
  --json                one line of JSON instead of text
  --help                this text

Exit codes: 0 fine, 1 the audit found a fault, 2 wrong usage, 3 refused, or something cannot be read.
`;

const EXIT = { FINE: 0, FAULTY: 1 } as const;
const OPERANDS: Readonly<Record<string, number>> = { audit: 0, show: 1, grant: 3 };
const PLAYER_ID = /^[a-z]-[A-Za-z0-9_-]{22}$/;
const KEY = /^[\x21-\x7e]{1,64}$/;
const PROGRESS_EVERY_MS = 100;
const POLL_EVERY_MS = 100;
const WAIT_DEFAULT_S = '10';
const WAIT_MAX_S = 3_600;
const ITEMS_SHOWN = 1_000;

export interface EconomyCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Options {
  readonly command: string;
  readonly operands: readonly string[];
  readonly key: string | undefined;
  readonly waitMs: number;
  readonly dataDir: string;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a database does wrong */
export async function runEconomyCli(argv: readonly string[], context: EconomyCliContext): Promise<number> {
  try {
    const options = parse(argv, context);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    const { database, close } = await openCliDatabase({
      databaseUrl: context.env['DATABASE_URL'],
      dataDir: options.dataDir,
    });
    const log = new PostgresLog({ database, catalogue: EVENTS });
    try {
      if (options.command === 'audit') return await audit(database, log, options, context);
      return await (options.command === 'show' ? show : give)(database, log, options, context);
    } finally {
      await log.close();
      await close();
    }
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[], { env }: EconomyCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseEconomyArgs>;
  try {
    parsed = parseEconomyArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command = '', ...operands] = positionals;
  const wanted = Object.hasOwn(OPERANDS, command) ? OPERANDS[command] : undefined;
  if (wanted === undefined) {
    throw new UsageError(command === '' ? 'A command is needed.' : `No command ${safe(command)}.`);
  }
  if (operands.length !== wanted) throw new UsageError(`${command} takes ${wanted || 'no'} operands.`);
  const [first = ''] = operands;
  if (command === 'show' && !ACCOUNT.test(first)) throw new UsageError(`${safe(first)} is no account.`);
  if (command === 'grant' && !PLAYER_ID.test(first)) {
    throw new UsageError('A player id is a letter, a dash and 22 characters.');
  }
  if (values.key !== undefined && (command !== 'grant' || !KEY.test(values.key))) {
    throw new UsageError('--key is for grant: 1 to 64 visible ASCII characters.');
  }
  const wait = values.wait ?? WAIT_DEFAULT_S;
  const waitS = /^\d{1,4}$/.test(wait) ? Number(wait) : Number.NaN;
  if (!(waitS <= WAIT_MAX_S) || (values.wait !== undefined && command !== 'audit')) {
    throw new UsageError(`--wait is for audit: whole seconds, at most ${WAIT_MAX_S}.`);
  }
  const dataDir = values.data ?? (env['HYPOGEUM_DATA']?.trim() || '.data');
  return { command, operands, key: values.key, waitMs: waitS * 1_000, dataDir, isJson: values.json === true };
}

function parseEconomyArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      wait: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

async function audit(
  database: Database,
  log: PostgresLog,
  options: Options,
  context: EconomyCliContext,
): Promise<number> {
  const { stdout, stderr } = context;
  const economy = new PostgresEconomy(database);
  const missing = await economy.missingTables();
  const viewSeqMin = missing.length > 0 ? 0 : await viewCaughtUp(database, log, economy, options.waitMs);
  // Before the log is read: what a running server adds meanwhile is in the log, and the view stands somewhere in it.
  const view = missing.length > 0 ? undefined : await economy.snapshot();
  let shownAtMs = 0;
  const report = await auditEconomy(log, {
    ...(view === undefined ? {} : { view, viewSeqMin }),
    viewFaults: missing.map((table) => `the view has no table ${table}`),
    onProgress(events) {
      const nowMs = performance.now();
      if (!stderr.isTTY || nowMs - shownAtMs < PROGRESS_EVERY_MS) return;
      shownAtMs = nowMs;
      stderr.write(`\r\x1b[Kaudit: ${events} events`);
    },
  });
  if (shownAtMs > 0) stderr.write('\r\x1b[K');
  const { faults, faultsTotal, inCirculation, ...counts } = report;
  if (options.isJson) {
    const circulating = Object.fromEntries(inCirculation);
    await print(
      stdout,
      `${JSON.stringify({ ...counts, viewSeq: view?.seq ?? null, inCirculation: circulating, faultsTotal, faults })}\n`,
    );
  } else {
    const { events, accounts, items, openHolds, openTrades } = counts;
    await print(
      stdout,
      `${events} events, ${accounts} accounts, ${items} unique items, ${openHolds} open holds, ` +
        `${openTrades} open trades; the view ${view === undefined ? 'cannot be read' : `has folded ${view.seq}`}.\n`,
    );
    for (const [asset, amount] of inCirculation) await print(stdout, `In circulation: ${amount} ${asset}\n`);
    if (faultsTotal === 0) await print(stdout, 'No fault was found.\n');
    else await print(stdout, `${faultsTotal} faults:\n${faults.map((fault) => `  ${safe(fault)}\n`).join('')}`);
  }
  return faultsTotal === 0 ? EXIT.FINE : EXIT.FAULTY;
}

/**
 * Waits until the view has everything that the log has now, or the time is up. Where no server folds it, this process
 * does: an operator's grant while the server was off is no fault.
 * @returns how many events that is
 */
async function viewCaughtUp(
  database: Database,
  log: PostgresLog,
  economy: PostgresEconomy,
  waitMs: number,
): Promise<number> {
  const until = performance.now() + waitMs;
  const { length, ...first } = await economy.progress();
  if (first.seq >= length || waitMs === 0) return length;
  const views = new PostgresViews(database);
  const projector = new Projector({ log, store: views, projections: [economyView()] });
  projector.start();
  try {
    for (let { seq } = first; seq < length && performance.now() < until; { seq } = await economy.progress()) {
      await delay(POLL_EVERY_MS);
    }
  } finally {
    await projector.stop();
    await views.close();
  }
  return length;
}

async function show(
  database: Database,
  log: PostgresLog,
  { operands, isJson }: Options,
  { stdout }: EconomyCliContext,
): Promise<number> {
  const account = operands[0]!;
  const ledger = await Ledger.open({ log, reader: new PostgresEconomy(database) });
  try {
    const found = await ledger.query((state) => ({
      account,
      balances: Object.fromEntries([...state.balances(account)].sort()),
      items: [...state.itemsOf(account)].slice(0, ITEMS_SHOWN).map((itemId) => [itemId, state.item(itemId)!.kind]),
      itemsTotal: state.itemsOf(account).size,
    }));
    if (isJson) await print(stdout, `${JSON.stringify(found)}\n`);
    else {
      const lines = Object.entries(found.balances).map(([asset, amount]) => `${amount} ${asset}`);
      lines.push(...found.items.map(([itemId, kind]) => `${kind} ${itemId}`));
      if (found.itemsTotal > ITEMS_SHOWN) lines.push(`and ${found.itemsTotal - ITEMS_SHOWN} items more`);
      await print(stdout, `${lines.join('\n') || 'nothing'}\n`);
    }
    return EXIT.FINE;
  } finally {
    await ledger.close();
  }
}

async function give(
  database: Database,
  log: PostgresLog,
  { operands, key, isJson }: Options,
  { stdout }: EconomyCliContext,
): Promise<number> {
  const [playerId, asset, text] = operands as [string, string, string];
  const amountMinor = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  checkAmount(amountMinor, ECONOMY_LIMITS.grantMax);
  const { value: first } = await log.read(`account/${playerId}`)[Symbol.asyncIterator]().next();
  if (first === undefined) throw new GameError('PLAYER_UNKNOWN');
  const why = { reason: 'operator-grant', cause: 'operator' };
  const decide = grant(playerId, [[asset, amountMinor]], [], why);
  const once = key ?? randomBytes(12).toString('base64url');
  const ledger = await Ledger.open({ log, reader: new PostgresEconomy(database) });
  try {
    const fingerprint = `${playerId} ${asset} ${amountMinor}`;
    const { position, isRepeat } = await ledger.execute({ key: `economy-cli/${once}`, fingerprint, decide });
    if (isJson)
      await print(stdout, `${JSON.stringify({ key: once, account: playerAccount(playerId), position, isRepeat })}\n`);
    else
      await print(
        stdout,
        `${isRepeat ? 'Was done before' : 'Done'}, at position ${position}, under the key ${once}.\n`,
      );
    return EXIT.FINE;
  } finally {
    await ledger.close();
  }
}

if (import.meta.main) {
  endWithReader();
  process.exitCode = await runEconomyCli(process.argv.slice(2), {
    env: cliEnvironment(),
    stdout: process.stdout,
    stderr: process.stderr,
  });
}
