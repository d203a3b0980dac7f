/**
 * `npm run ratings -- rebuild | show PLAYER`: what ratings amount to, and the proof that they follow from the results.
 * Both may run beside a server. Exit codes: 0 fine, 1 the rebuilt ratings differ, 2 wrong usage, 3 something cannot be
 * read.
 */
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../adapters/database.ts';
import { PostgresLog } from '../adapters/postgres-log.ts';
import { PostgresRatings, ratingsView } from '../adapters/postgres-ratings-view.ts';
import { PostgresViews } from '../adapters/postgres-views.ts';
import { EVENTS } from '../events/catalogue.ts';
import { Projector, viewKey } from '../events/projector.ts';
import { GameError } from '../kernel/errors.ts';
import { PROVISIONAL_MATCHES, ratingPoints } from '../ratings/rating.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';
import { endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';

const USAGE = `Usage: npm run ratings -- COMMAND [options]

  rebuild               deletes all ratings, works them out again from the results in the log, and compares
  show PLAYER           ratings of a player, and the matches that made them

  --data DIR            data folder (default: HYPOGEUM_DATA or .data), unless DATABASE_URL is set
  --limit N             show: newest matches of each rating, 1 to 1000 (default 10)
  --json                one line of JSON instead of text
  --help                this text

Both may run beside a server: it goes on, and shows too few matches until a rebuild is through.
Exit codes: 0 fine, 1 the rebuilt ratings differ, 2 wrong usage, 3 something cannot be read.
`;

const EXIT = { FINE: 0, DIFFERENT: 1 } as const;
const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 1_000;
const LOOK_EVERY_MS = 50;
const PROGRESS_EVERY_MS = 100;
/** Without any progress for so long, somebody should look. */
const STUCK_MS = 60_000;
const DIFFERENCES_SHOWN = 10;

export interface RatingsCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  /** Progress goes here when it is a terminal. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Options {
  readonly command: 'rebuild' | 'show';
  readonly playerId: string;
  readonly dataDir: string;
  readonly limit: number;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a database does wrong */
export async function runRatingsCli(argv: readonly string[], context: RatingsCliContext): Promise<number> {
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
    try {
      return await (options.command === 'rebuild' ? rebuild : show)(database, options, context);
    } finally {
      await close();
    }
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[], { env }: RatingsCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseRatingsArgs>;
  try {
    parsed = parseRatingsArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const [command = '', ...rest] = positionals;
  if (command !== 'rebuild' && command !== 'show') {
    throw new UsageError(command === '' ? 'A command is needed.' : `No command ${safe(command)}.`);
  }
  const wanted = command === 'show' ? 1 : 0;
  if (rest.length !== wanted) throw new UsageError(`${command} takes ${wanted === 0 ? 'nothing' : 'one player id'}.`);
  const [playerId = ''] = rest;
  if (command === 'show' && !/^[a-z]-[A-Za-z0-9_-]{22}$/.test(playerId)) {
    throw new UsageError('A player id is a letter, a dash and 22 characters.');
  }
  const limit = Number(values.limit ?? LIMIT_DEFAULT);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) throw new UsageError(`--limit is 1 to ${LIMIT_MAX}.`);
  return {
    command,
    playerId,
    dataDir: values.data ?? env['HYPOGEUM_DATA'] ?? '.data',
    limit,
    isJson: values.json === true,
  };
}

function parseRatingsArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      data: { type: 'string' },
      limit: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

// Rebuild ----------------------------------------------------------------------------------------------------------

interface Difference {
  readonly mode: string;
  readonly playerId: string;
  readonly matchId: string;
  /** Null where there is none. */
  readonly muBefore: number | null;
  readonly muAfter: number | null;
}

async function rebuild(database: Database, options: Options, context: RatingsCliContext): Promise<number> {
  const view = ratingsView();
  const views = new PostgresViews(database);
  const log = new PostgresLog({ database, catalogue: EVENTS });
  const projector = new Projector({ log, store: views, projections: [view] });
  // Its temporary table holds what was there before, for as long as the connection lives.
  const memory = await database.connect('ratings');
  memory.on('error', () => undefined);
  try {
    await memory.query('begin isolation level repeatable read');
    const before = await memory.query<{ position: number }>(
      'select position from event_checkpoints where name = $1 and version > 0',
      [viewKey(view.name)],
    );
    const position = before.rows[0]?.position ?? 0;
    await memory.query(
      `create temp table rating_history_before as select * from rating_history where position <= ${position}`,
    );
    await memory.query('commit');

    await views.forget(viewKey(view.name));
    projector.start();
    await caughtUp(position, views, projector, context);

    const { rows } = await memory.query<{ n: number }>('select count(*) as n from rating_history_before');
    const differences = await memory.query<Difference & { n: number }>(
      `select mode, player_id as "playerId", coalesce(a.match_id, b.match_id) as "matchId",
              b.mu as "muBefore", a.mu as "muAfter", count(*) over () as n
       from rating_history_before b
       full join (select * from rating_history where position <= ${position}) a using (mode, player_id, position)
       where (a.match_id, a.mu_before, a.sigma_before, a.mu, a.sigma, a.matches)
          is distinct from (b.match_id, b.mu_before, b.sigma_before, b.mu, b.sigma, b.matches)
       order by position, mode, player_id limit ${DIFFERENCES_SHOWN}`,
    );
    return await tell(rows[0]!.n, differences.rows, options, context);
  } finally {
    await memory.end().catch(() => undefined);
    await projector.stop();
    await log.close();
    await views.close();
  }
}

/** Resolves once the view, whoever folds it, has been built anew up to there; shows how far it is. */
async function caughtUp(
  position: number,
  views: PostgresViews,
  projector: Projector<never> | { readonly readings: Projector<never>['readings'] },
  { stderr }: RatingsCliContext,
): Promise<void> {
  const { name, version } = ratingsView();
  let best = -1;
  let movedAtMs = performance.now();
  let shownAtMs = 0;
  for (;;) {
    const at = await views.checkpoint(viewKey(name));
    const done = at.version === version ? at.position : 0;
    const nowMs = performance.now();
    if (done > best) {
      best = done;
      movedAtMs = nowMs;
    }
    if (stderr.isTTY && nowMs - shownAtMs >= PROGRESS_EVERY_MS) {
      shownAtMs = nowMs;
      stderr.write(`\r\x1b[Krebuild ${Math.min(100, Math.floor((100 * done) / Math.max(1, position)))} %`);
    }
    if (at.version === version && done >= position) break;
    const { error } = projector.readings[0]!;
    if (error !== undefined && nowMs - movedAtMs > LOOK_EVERY_MS * 10) throw error;
    if (nowMs - movedAtMs > STUCK_MS) throw new GameError('VIEW_BEHIND', { name, position: done, wanted: position });
    await delay(LOOK_EVERY_MS);
  }
  if (shownAtMs > 0) stderr.write('\r\x1b[K');
}

async function tell(
  compared: number,
  rows: readonly (Difference & { readonly n: number })[],
  { isJson }: Options,
  { stdout }: RatingsCliContext,
): Promise<number> {
  const different = rows[0]?.n ?? 0;
  const shown = rows.map(({ n: _, ...row }) => row);
  if (isJson) await print(stdout, `${JSON.stringify({ compared, different, differences: shown })}\n`);
  else if (different === 0) await print(stdout, `Rebuilt. ${compared} changes of ratings compared, all equal.\n`);
  else {
    await print(stdout, `Rebuilt. ${different} changes of ratings differ from what was there before:\n`);
    for (const { mode, playerId, matchId, muBefore, muAfter } of shown) {
      await print(
        stdout,
        `  ${mode} ${playerId} ${matchId}: mu ${muBefore ?? 'none'} before, ${muAfter ?? 'none'} now\n`,
      );
    }
  }
  return different === 0 ? EXIT.FINE : EXIT.DIFFERENT;
}

// Show -------------------------------------------------------------------------------------------------------------

async function show(database: Database, options: Options, { stdout }: RatingsCliContext): Promise<number> {
  const { playerId, limit, isJson } = options;
  const reader = new PostgresRatings(database);
  const ratings = [];
  for (const rating of await reader.ratingsOf(playerId)) {
    const history = await reader.historyOf(playerId, rating.mode, Number.MAX_SAFE_INTEGER, limit);
    ratings.push({
      ...rating,
      points: ratingPoints(rating),
      isProvisional: rating.matches < PROVISIONAL_MATCHES,
      history,
    });
  }
  if (isJson) {
    await print(stdout, `${JSON.stringify({ playerId, ratings })}\n`);
    return EXIT.FINE;
  }
  if (ratings.length === 0) await print(stdout, `${playerId} has no rating.\n`);
  for (const { mode, points, isProvisional, matches, mu, sigma, history } of ratings) {
    const facts = `mu ${mu.toFixed(3)}, sigma ${sigma.toFixed(3)}, ${matches} matches`;
    await print(stdout, `${mode}: ${points} points${isProvisional ? ', provisional' : ''} (${facts})\n`);
    for (const change of history) {
      const by = ratingPoints(change) - ratingPoints({ mu: change.muBefore, sigma: change.sigmaBefore });
      const when = new Date(change.ratedAtMs).toISOString().replace('T', ' ').slice(0, 19);
      await print(stdout, `  ${when}  ${change.matchId}  ${by >= 0 ? '+' : ''}${by}\n`);
    }
  }
  return EXIT.FINE;
}

if (import.meta.main) {
  endWithReader();
  process.exitCode = await runRatingsCli(process.argv.slice(2), {
    env: cliEnvironment(),
    stdout: process.stdout,
    stderr: process.stderr,
  });
}
