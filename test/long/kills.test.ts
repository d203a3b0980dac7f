import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { allViews } from '../../src/adapters/all-views.ts';
import { PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { type CliDatabase, openCliDatabase } from '../../src/cli/database.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { ERRORS, GameError } from '../../src/kernel/errors.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { Crowd } from '../fixtures/crowd.ts';
import { type MainProcess, startMain } from '../fixtures/main-process.ts';
import { childrenOf, killHard } from '../fixtures/postgres-server.ts';
import { until } from '../fixtures/until.ts';

const SEED = Number(process.env['KILLS_SEED'] ?? 20_261_123);
/** Each with an audit after it; now and then another kill falls into the recovery from it. */
const ROUNDS = 50;
const PLAYERS = 24;
const BACK_MS = 30_000;
const KINDS = ['program', 'postmaster', 'backend', 'everything'] as const;
type Kind = (typeof KINDS)[number];

/** The program on its data folder, started again whenever it ends, as any supervisor does. */
class Program {
  readonly #dataDir: string;
  #main: MainProcess | undefined;
  #endpoint: string | undefined;
  #isStopping = false;
  #supervised: Promise<void>;
  /** Last words of starts that did not come to anything, because the database was killed under them. */
  readonly failedStarts: string[] = [];
  readonly errors: string[] = [];

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#supervised = this.#supervise();
  }

  get endpoint(): string | undefined {
    return this.#endpoint;
  }

  /** @returns what was killed: where there is no database at the moment, the program */
  async kill(kind: Kind, draw: (below: number) => number): Promise<Kind> {
    const { pid } = this.#main!.child;
    const postmaster = await postmasterOf(pid!);
    const backends = postmaster === undefined ? [] : await childrenOf(postmaster);
    if (kind === 'backend' && backends.length > 0) {
      killHard(backends[draw(backends.length)]!);
      return kind;
    }
    if (kind === 'postmaster' && postmaster !== undefined) {
      killHard(postmaster);
      return kind;
    }
    for (const each of kind === 'everything' ? [postmaster, ...backends] : []) if (each !== undefined) killHard(each);
    this.#endpoint = undefined;
    killHard(pid!);
    return kind === 'everything' ? kind : 'program';
  }

  async stop(): Promise<number | string> {
    this.#isStopping = true;
    this.#main?.child.kill('SIGTERM');
    const code = await this.#main!.exited;
    await this.#supervised;
    return code;
  }

  async #supervise(): Promise<void> {
    while (!this.#isStopping) {
      const main = startMain({
        HYPOGEUM_PORT: '0',
        HYPOGEUM_HOST: '127.0.0.1',
        HYPOGEUM_DATA: this.#dataDir,
        DATABASE_URL: '',
      });
      this.#main = main;
      const ready = main.said(/ready .*?url"?[=:]"(http:[^"]+)\/"/, 60_000).then(
        ([, url]) => {
          this.#endpoint = url;
          return true;
        },
        () => false,
      );
      const code = await main.exited;
      this.#endpoint = undefined;
      this.errors.push(
        ...main
          .output()
          .split('\n')
          .filter((line) => / bug in |INTERNAL:|[Uu]nhandled|TypeError/.test(line)),
      );
      if (code === 'SIGKILL' || this.#isStopping) continue;
      if (await ready) this.errors.push(`the program ended by itself with ${code}:\n${main.output()}`);
      else this.failedStarts.push(main.output().trim().split('\n').at(-1) ?? '');
    }
  }
}

/** Nothing, for a database that is away at the moment. @throws anything else */
function isAway(error: unknown): undefined {
  if (error instanceof GameError && ERRORS[error.code].status === 503) return undefined;
  throw error;
}

/** The private server of a program: its child that runs `postgres`. */
async function postmasterOf(pid: number): Promise<number | undefined> {
  for (const child of await childrenOf(pid)) {
    const command = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '');
    if (/\/postgres\0/.test(command)) return child;
  }
  return undefined;
}

describe('kill -9 at random points under load', function () {
  this.timeout(600_000);
  let folder: string;
  let program: Program;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-kills-'));
    program = new Program(folder);
  });
  after(async () => {
    await program.stop();
    await rm(folder, { recursive: true, maxRetries: 100, retryDelay: 5 });
  });

  async function npmRun(name: string, ...args: string[]): Promise<{ code: number; output: string }> {
    const child = spawn('npm', ['run', '--silent', name, '--', ...args], {
      env: { ...process.env, HYPOGEUM_DATA: folder, DATABASE_URL: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const [code] = (await once(child, 'close')) as [number];
    return { code, output };
  }

  /** Beside the program, which must be there. */
  async function withDatabase<T>(
    work: (database: CliDatabase['database'], log: PostgresLog) => Promise<T>,
  ): Promise<T> {
    const { database, close } = await openCliDatabase({ databaseUrl: undefined, dataDir: folder });
    const log = new PostgresLog({ database, catalogue: EVENTS });
    try {
      return await work(database, log);
    } finally {
      await log.close();
      await close();
    }
  }

  /** Everything that can be said of the log and the ledger without knowing what was done. */
  function audit(): Promise<number> {
    return withDatabase(async (database, log) => {
      const view = await new PostgresEconomy(database).snapshot();
      const report = await auditEconomy(log, { view });
      assert.deepEqual(report.faults, []);
      const { rows } = await database.query<Record<string, number>>(`
        select (select count(*) from events) as events, (select max(position) from events) as last,
          (select position from event_head) as head,
          (select count(*) from (select 1 from events group by stream having count(*) <> max(seq)) as torn) as torn,
          (select count(*) from account where not exists
            (select 1 from events where stream = 'account/' || player_id)) as invented`);
      const { events, last, head, torn, invented } = rows[0]!;
      assert.deepEqual({ last, head, torn, invented }, { last: events, head: events, torn: 0, invented: 0 });
      return report.events;
    });
  }

  /** A hash of all rows of every table of a view. */
  async function hashes(): Promise<Record<string, string>> {
    return withDatabase(async (database) => {
      const found: Record<string, string> = {};
      for (const table of allViews().flatMap(({ tables = [] }) => tables)) {
        // Of a rebuild itself these two tell: its name, and how far the table was when it was emptied.
        const row = table === 'board_state' ? `to_jsonb(t) - 'generation' - 'complete_from'` : 'to_jsonb(t)';
        const { rows } = await database.query<{ hash: string; count: number }>(
          `select md5(coalesce(string_agg(r, e'\\n' order by r collate "C"), '')) as hash, count(*) as count
           from (select (${row})::text as r from ${table} as t) as lines`,
        );
        found[table] = `${rows[0]!.hash} of ${rows[0]!.count} rows`;
      }
      return found;
    });
  }

  async function caughtUp(): Promise<void> {
    await withDatabase((database, log) =>
      until(
        async () => {
          const head = await log.head();
          const { rows } = await database.query<{ name: string; position: number }>(
            'select name, position from event_checkpoints',
          );
          return rows.length >= allViews().length && rows.every(({ position }) => position === head);
        },
        'the views to be at the end of the log',
        BACK_MS,
      ),
    );
  }

  it('loses, doubles and invents nothing that was acknowledged, and leaves ledger and views sound', async () => {
    const rng = new Int32Array(4);
    seedSfc32(rng, 0, SEED);
    const draw = (below: number) => nextBelow(rng, 0, below);
    const crowd = new Crowd({ endpoint: () => program.endpoint, seed: SEED, players: PLAYERS });
    await crowd.enroll(async (playerId) => {
      const { code, output } = await npmRun('player', 'role', playerId, 'admin');
      assert.equal(code, 0, output);
    });
    const stop = new AbortController();
    const loading = crowd.load(stop.signal);
    // A load that ends by itself ended by a fault, which the end of the test tells.
    let broken: unknown;
    loading.catch((error: unknown) => {
      broken = error;
    });
    const counts: Record<Kind, number> = { program: 0, postmaster: 0, backend: 0, everything: 0 };
    let kills = 0;
    const beganAtMs = performance.now();
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        await delay(draw(400));
        const kinds: Kind[] = [];
        do {
          const kind = await program.kill(KINDS[draw(KINDS.length)]!, draw);
          kinds.push(kind);
          counts[kind]++;
          kills++;
          if (draw(4) > 0) break;
          await delay(draw(700));
        } while (kinds.length < 3);
        const killedAtMs = performance.now();
        const before = crowd.acknowledged;
        await until(
          () => {
            if (broken !== undefined) throw broken;
            assert.deepEqual(program.errors, []);
            for (const words of program.failedStarts) assert.match(words, /^DATABASE_/);
            return crowd.acknowledged > before + 20;
          },
          `commands to be acknowledged after ${kinds.join(', ')}`,
          BACK_MS,
        );
        const backMs = Math.round(performance.now() - killedAtMs);
        // It may have been answered by what the last kill was just about to reach.
        const events = await until(() => audit().catch(isAway), 'the database to be there for an audit', BACK_MS);
        assert.deepEqual(crowd.faults, []);
        console.log(
          `    ${String(round).padStart(2)}/${ROUNDS} ${kinds.join('+').padEnd(22)} served again after ${backMs} ms; ` +
            `${crowd.acknowledged} acknowledged, ${crowd.retries} retries, ${events} events of the ledger are sound`,
        );
      }
    } finally {
      stop.abort();
    }
    await loading;
    const seconds = Math.round((performance.now() - beganAtMs) / 1_000);
    await caughtUp();
    const differences = await withDatabase((database) =>
      crowd.differences(async (text) => (await database.query(text)).rows as Record<string, unknown>[]),
    );
    assert.deepEqual(differences, []);
    const economy = await npmRun('economy', 'audit');
    assert.equal(economy.code, 0, economy.output);
    const before = await hashes();
    for (const { name } of allViews()) {
      const rebuilt = await npmRun('views', 'rebuild', name);
      assert.equal(rebuilt.code, 0, rebuilt.output);
    }
    await caughtUp();
    assert.deepEqual(await hashes(), before, 'every view is what the log makes of it');
    await crowd.comeBack();
    assert.deepEqual(crowd.faults, []);
    assert.deepEqual(program.errors, []);
    for (const words of program.failedStarts) assert.match(words, /^DATABASE_/);
    const { acknowledged, refused, retries, settledTrades, keys, guests } = crowd;
    console.log(
      `    seed ${SEED}: ${kills} kills (${JSON.stringify(counts)}) in ${seconds} s; ${acknowledged} commands acknowledged, ` +
        `of them ${keys.size} with keys, ${guests.length} guests and ${settledTrades} trades; ${refused} refused, ` +
        `${retries} retries, ${program.failedStarts.length} starts that a kill ended`,
    );
    assert.ok(kills >= 50 && Object.values(counts).every((count) => count > 0));
  });
});
