/**
 * `npm run golden:schema`: writes the schema of this version with rows in its tables, `<version>.sql.gz`, once for each
 * release. It does with a real program what players do, on PostgreSQL 15, the oldest that has to read it again.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Database } from '../../../src/adapters/database.ts';
import { PostgresFriends } from '../../../src/adapters/postgres-friends.ts';
import { readConfig } from '../../../src/config.ts';
import { grant, hold, offerInTrade, openTradeWith, purchase, transfer } from '../../../src/economy/decide.ts';
import { PRODUCTS } from '../../../src/economy/shop.ts';
import { MatchEnded } from '../../../src/events/match-events.ts';
import { Friends } from '../../../src/friends/friends.ts';
import { createLogger } from '../../../src/ops/logger.ts';
import { openPersistence, type Persistence } from '../../../src/persistence.ts';
import { endedMatch, standing } from '../../fixtures/ended-match.ts';
import { machinePostgres15, privatePostgres } from '../../fixtures/postgres-server.ts';
import { rowsOf } from './golden-schema.ts';

const USAGE = `Usage: npm run golden:schema [-- --replace]

Writes test/golden/schema/VERSION.sql.gz, of the version in package.json: the schema with rows in every table. Commit it
with the release; it is never changed after that.

  --replace  over the file of a version that is not released yet
  --help     this text
`;
const FOLDER = new URL('./', import.meta.url);
const FOLLOWED_MS = 20_000;
const NETWORK = '127.0.0.1';

async function main(): Promise<number> {
  let values: { replace?: boolean | undefined; help?: boolean | undefined };
  try {
    ({ values } = parseArgs({ options: { replace: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } }));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const file = fileURLToPath(new URL(`${version}.sql.gz`, FOLDER));
  if (existsSync(file) && !values.replace) {
    process.stderr.write(`${file} is there; what was released is not changed\n`);
    return 1;
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-golden-'));
  const server = await privatePostgres({ major: 15 });
  try {
    await play(server.url, dataDir);
    const sql = await dump(server.url);
    writeFileSync(file, gzipSync(sql, { level: 9 }));
    const database = await Database.open({ url: server.url });
    const tables = await rowsOf(database);
    await database.close();
    for (const { table, rows } of tables) process.stdout.write(`${table.padEnd(24)}${rows}\n`);
    const empty = tables.filter(({ rows }) => rows === 0).map(({ table }) => table);
    if (empty.length === 0) return 0;
    process.stderr.write(`without a row, so their migration is tested by nothing: ${empty.join(', ')}\n`);
    return 1;
  } finally {
    await server.drop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Something of everything: accounts, an economy with open ends, matches, friends, somebody who was erased. */
async function play(url: string, dataDir: string): Promise<void> {
  const config = readConfig({ DATABASE_URL: url, HYPOGEUM_DATA: dataDir });
  const log = createLogger({ level: 'warn', isProduction: false, buildId: 'golden' });
  const persistence = await openPersistence({ config, log });
  try {
    const { accounts, ledger, eventLog } = persistence;
    const players: string[] = [];
    for (const name of ['Ada', 'Brünhild', 'Chen 陈', 'Dora']) {
      const email = `player${players.length}@example.org`;
      const { user } = await accounts.register({ email, password: `a password of ${name}`, name }, NETWORK);
      players.push(user.playerId);
    }
    const [a, b, c, d] = players as [string, string, string, string];
    await accounts.signInAnonymously();
    await accounts.ban(d, 'operator', 'cheating', null);
    const why = { reason: 'welcome', cause: 'golden' };
    for (const playerId of players) {
      const decide = grant(
        playerId,
        [
          ['coins', 100_000],
          ['gems', 500],
          ['item/flare', 3],
        ],
        [[`helmet-${playerId}`, 'helmet']],
        why,
      );
      await ledger.execute({ key: `golden-grant/${playerId}`, decide });
    }
    await ledger.execute({ decide: transfer(a, b, 'coins', 25) });
    await ledger.execute({ decide: hold('golden-hold', a, [['coins', 10]], [], why) });
    await ledger.execute({ decide: openTradeWith('golden-trade', a, b) });
    await ledger.execute({
      decide: offerInTrade('golden-trade', a, { assets: [['gems', 1]], itemIds: [`helmet-${a}`] }),
    });
    const product = [...PRODUCTS.values()][0]!;
    await ledger.execute({ decide: purchase(b, product.id, [`bought-${b}`]) });
    for (const [at, winner] of [a, b, c].entries()) {
      const matchId = `golden-${at}`;
      const others = [a, b, c].filter((playerId) => playerId !== winner);
      const standings = [winner, ...others].map((playerId, rank) => standing('x', rank + 1, { playerId }));
      const events = [MatchEnded(endedMatch(matchId, standings))];
      await eventLog.append({ stream: `match/${matchId}`, expected: 'any', key: `match-ended/${matchId}`, events });
    }
    const friends = new Friends({
      log: eventLog,
      table: new PostgresFriends(persistence.database),
      isPlayer: async (playerId) => players.includes(playerId),
    });
    await friends.command('ask', a, b);
    await friends.command('ask', b, a);
    await friends.command('ask', b, d);
    await friends.command('block', d, a);
    await persistence.projector.caughtUp(await eventLog.head());
    await accounts.erase(c, 'operator');
    await untilFollowed(persistence);
    await persistence.database.query(
      `insert into parked_events (consumer, position, event, attempts, reason, parked_at_ms)
       values ('golden', 1, '{}', 5, 'made for this', 1700000000000)`,
    );
  } finally {
    await persistence.close();
  }
}

/** Until views and reactors have nothing more to do with what was appended, by them too. */
async function untilFollowed({ eventLog, projector, database }: Persistence): Promise<void> {
  for (const endMs = performance.now() + FOLLOWED_MS; ; ) {
    const head = await eventLog.head();
    await projector.caughtUp(head);
    const { rows } = await database.query<{ least: number | null }>(
      'select min(position) as least from event_checkpoints',
    );
    const { rowCount: erased } = await database.query('select 1 from economy_erased');
    if (rows[0]!.least === head && erased === 1 && (await eventLog.head()) === head) return;
    if (performance.now() > endMs) throw new Error(`views and reactors stand at ${rows[0]!.least} of ${head}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** As statements that any client can send: no commands of psql. */
async function dump(url: string): Promise<string> {
  const pgDump = join(machinePostgres15().bin, 'pg_dump');
  const args = ['--no-owner', '--no-privileges', '--inserts', '--rows-per-insert=50', url];
  const { stdout } = await promisify(execFile)(pgDump, args, { maxBuffer: 256 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => !line.startsWith('\\') && !line.startsWith('--'))
    .join('\n');
}

process.exitCode = await main();
