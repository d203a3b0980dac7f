import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { runPlayerCli } from '../../src/cli/player.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { Crowd } from '../fixtures/crowd.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { type MainProcess, startMain } from '../fixtures/main-process.ts';
import { until } from '../fixtures/until.ts';

const SEED = 20_261_124;
const COMMANDS = 800;

describe('two programs on one database', function () {
  this.timeout(60_000);
  let fresh: FreshDatabase;
  let folder: string;
  const programs: MainProcess[] = [];

  before(async () => {
    fresh = await freshDatabase();
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-two-'));
  });
  after(async () => {
    for (const { child, exited } of programs) {
      child.kill('SIGKILL');
      await exited;
    }
    await fresh.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('serve the same players at once: every command is done once, and ledger and views are sound', async () => {
    for (const name of ['one', 'other']) {
      const places = { HYPOGEUM_PORT: '0', HYPOGEUM_HOST: '127.0.0.1', HYPOGEUM_DATA: join(folder, name) };
      programs.push(startMain({ ...places, DATABASE_URL: fresh.url }));
    }
    const endpoints = await Promise.all(
      programs.map(async (program) => (await program.said(/ready .*?url"?[=:]"(http:[^"]+)\/"/))[1]!),
    );
    // Each request goes to the other one than the last, so what one did the other has to know at once.
    let turn = 0;
    const crowd = new Crowd({ endpoint: () => endpoints[turn++ % endpoints.length], seed: SEED, players: 16 });
    await crowd.enroll(async (playerId) => {
      const nowhere = new PassThrough().resume();
      const streams = { stdin: new PassThrough(), stdout: nowhere, stderr: nowhere };
      const env = { DATABASE_URL: fresh.url, HYPOGEUM_DATA: folder };
      assert.equal(await runPlayerCli(['role', playerId, 'admin'], { env, ...streams }), 0);
    });
    const stop = new AbortController();
    const loading = crowd.load(stop.signal);
    try {
      await until(() => crowd.acknowledged > COMMANDS || crowd.faults.length > 0, `${COMMANDS} commands`, 40_000);
    } finally {
      stop.abort();
    }
    await loading;
    const { database } = fresh;
    const log = new PostgresLog({ database, catalogue: EVENTS });
    try {
      const head = await log.head();
      await until(async () => {
        const { rows } = await database.query('select 1 from event_checkpoints where position < $1', [head]);
        return rows.length === 0;
      }, 'the views to be at the end of the log');
      const differences = await crowd.differences(async (text) => (await database.query(text)).rows);
      assert.deepEqual(differences, []);
      const report = await auditEconomy(log, { view: await new PostgresEconomy(database).snapshot() });
      assert.deepEqual(report.faults, []);
      assert.ok(crowd.settledTrades > 0 && crowd.keys.size > COMMANDS / 2);
    } finally {
      await log.close();
    }
    for (const program of programs) assert.doesNotMatch(program.output(), /INTERNAL:|TypeError| bug in /);
  });
});
