import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { economyView } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { runEconomyCli } from '../../src/cli/economy.ts';
import { runPlayerCli } from '../../src/cli/player.ts';
import { AccountCreated } from '../../src/events/account-events.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { ECONOMY_STREAM, Granted, type ItemMove, type Leg, Transferred } from '../../src/events/economy-events.ts';
import type { StoredEvent } from '../../src/events/event-log.ts';
import { Projector } from '../../src/events/projector.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { until } from '../fixtures/until.ts';

const ANN = 'a-0123456789abcdefghijkl';

type Cli = (argv: readonly string[], context: never) => Promise<number>;

describe('npm run economy, and player history and restore', () => {
  let fresh: FreshDatabase;
  let log: PostgresLog;

  beforeEach(async () => {
    fresh = await freshDatabase();
    log = new PostgresLog({ database: fresh.database, catalogue: EVENTS });
    await log.append({
      stream: `account/${ANN}`,
      expected: 0,
      events: [AccountCreated({ playerId: ANN, isAnonymous: true })],
    });
  });

  afterEach(async () => {
    await log.close();
    await fresh.drop();
  });

  async function run(cli: Cli, ...argv: string[]): Promise<{ code: number; out: string; err: string }> {
    const [stdout, stderr, stdin] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const context = { env: { DATABASE_URL: fresh.url }, stdout, stderr, stdin };
    const code = await cli(argv, context as never);
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }
  const economy = (...argv: string[]) => run(runEconomyCli as Cli, ...argv);
  const player = (...argv: string[]) => run(runPlayerCli as Cli, ...argv);

  async function fold(): Promise<void> {
    const views = new PostgresViews(fresh.database);
    const projector = new Projector({ log, store: views, projections: [economyView()] });
    projector.start();
    await projector.caughtUp(await log.head());
    await projector.stop();
    await views.close();
  }

  it('grants once a key, shows it, and finds the ledger sound', async () => {
    const first = await economy('grant', ANN, 'coins', '250', '--key', 'sorry');
    assert.deepEqual([first.code, first.err], [0, '']);
    assert.match((await economy('grant', ANN, 'coins', '250', '--key', 'sorry')).out, /Was done before/);
    assert.match((await economy('grant', ANN, 'coins', '251', '--key', 'sorry')).err, /KEY_REUSED/);
    assert.equal((await economy('show', `player:${ANN}`)).out, '250 coins\n');
    await fold();
    const { code, out } = await economy('audit', '--json');
    assert.equal(code, 0);
    const { events, viewSeq, inCirculation, faultsTotal } = JSON.parse(out);
    assert.deepEqual(
      { events, viewSeq, inCirculation, faultsTotal },
      {
        events: 1,
        viewSeq: 1,
        inCirculation: { coins: 250 },
        faultsTotal: 0,
      },
    );
  });

  it('names a fault, and a view that is not the fold, with exit code 1', async () => {
    await economy('grant', ANN, 'coins', '250');
    await fold();
    await fresh.database.query(`update economy_balances set amount_minor = 251 where account = 'player:${ANN}'`);
    const view = await economy('audit');
    assert.equal(view.code, 1);
    assert.match(view.out, /the view says player:\S+ coins is 251; the log, 250/);
    const legs: [string, string, number][] = [['player:x', 'coins', 1]];
    await log.append({
      stream: ECONOMY_STREAM,
      expected: 'any',
      events: [Transferred({ legs, items: [], reason: 'bug', cause: 'bug' })],
    });
    assert.match((await economy('audit', '--wait', '0')).out, /its legs of coins sum to 1/);
  });

  it('restores to a time, in as many parts as it takes, and back again', async () => {
    const post = async (legs: readonly Leg[], items: readonly ItemMove[]): Promise<StoredEvent> => {
      const event = Granted({ legs: [...legs], items: [...items], reason: 'setup', cause: 'test' });
      return (await log.append({ stream: ECONOMY_STREAM, expected: 'any', events: [event] })).events[0]!;
    };
    const banners = (from: number): ItemMove[] =>
      Array.from({ length: 200 }, (_, i) => [`i-${from + i}`, 'banner', 'mint', `player:${ANN}`]);
    const coins: Leg[] = [
      ['mint', 'coins', -70],
      [`player:${ANN}`, 'coins', 70],
    ];
    const { recordedAtMs: beforeMs } = await post(coins, []);
    await until(() => Date.now() > beforeMs, 'the next millisecond');
    for (const from of [0, 200, 400]) await post([], banners(from));
    const last = await post(coins, []);
    await until(() => Date.now() > last.recordedAtMs, 'the next millisecond');
    const back = await player('restore', ANN, '--at', new Date(beforeMs).toISOString(), '--apply', '--json');
    assert.equal(back.code, 0, back.err);
    assert.equal(JSON.parse(back.out).itemsGone.length, 600);
    assert.equal((await economy('show', `player:${ANN}`)).out, '70 coins\n');
    assert.equal(await log.head(), last.position + 3, 'the 600 items took 3 events');
    const forth = await player('restore', ANN, '--at', new Date(last.recordedAtMs).toISOString(), '--apply', '--json');
    assert.equal(JSON.parse(forth.out).itemsBack.length, 600);
    const { balances, itemsTotal } = JSON.parse((await economy('show', `player:${ANN}`, '--json')).out);
    assert.deepEqual({ balances, itemsTotal }, { balances: { coins: 140 }, itemsTotal: 600 });
    await fold();
    assert.equal((await economy('audit')).code, 0);
    assert.match((await player('restore', ANN, '--at', '2000-01-01')).out, /-140 coins/);
  });

  it('names a view that lacks a table, is empty or is behind, once it had its time to catch up', async () => {
    await economy('grant', ANN, 'coins', '250');
    const empty = await economy('audit', '--wait', '0');
    assert.equal(empty.code, 1);
    assert.match(empty.out, /the view has folded 0 of 1 events and is 1 behind/);
    await fold();
    await economy('grant', ANN, 'coins', '5');
    assert.match((await economy('audit', '--wait', '0')).out, /the view has folded 1 of 2 events and is 1 behind/);
    const waiting = economy('audit', '--wait', '60');
    await fold();
    assert.equal((await waiting).code, 0);
    await fresh.database.query('drop table economy_items');
    const { code, out } = await economy('audit', '--json');
    assert.equal(code, 1);
    const { viewSeq, faults } = JSON.parse(out);
    assert.deepEqual({ viewSeq, faults }, { viewSeq: null, faults: ['the view has no table economy_items'] });
    assert.equal((await economy('show', `player:${ANN}`)).out, '255 coins\n', 'which does without the view');
  });

  it('audits also where no server runs: it folds what the view lacks, and finds no fault in that', async () => {
    await economy('grant', ANN, 'coins', '250');
    const { code, out } = await economy('audit', '--wait', '5');
    assert.deepEqual([code, out.includes('the view has folded 1.')], [0, true], out);
  });

  it('starts from the view, and not from the first event, where there is one', async () => {
    await economy('grant', ANN, 'coins', '250');
    await fold();
    // Only who reads the log from its first event sees this.
    await fresh.database.query("update events set payload = 'torn' where stream = 'economy' and seq = 1");
    assert.equal((await economy('show', `player:${ANN}`)).out, '250 coins\n');
    assert.equal((await economy('grant', ANN, 'coins', '1')).code, 0);
    assert.match((await economy('audit', '--wait', '0')).err, /EVENT_CORRUPT/);
  });

  it('refuses wrong usage in a sentence', async () => {
    for (const argv of [
      [],
      ['fly'],
      ['audit', 'x'],
      ['show', 'nobody'],
      ['grant', 'x', 'coins', '1'],
      ['audit', '--wrong'],
      ['audit', '--wait', '-1'],
      ['audit', '--wait', '3601'],
      ['show', 'mint', '--wait', '1'],
    ]) {
      const { code, err } = await economy(...argv);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, /Usage: npm run economy/);
    }
    for (const amount of ['0', '-1', '1.5', '9007199254740992', 'many']) {
      assert.notEqual((await economy('grant', ANN, 'coins', '--', amount)).code, 0, amount);
    }
    assert.match((await economy('grant', 'a-zzzzzzzzzzzzzzzzzzzzzz', 'coins', '1')).err, /PLAYER_UNKNOWN/);
    assert.match((await economy('grant', ANN, 'doubloons', '1')).err, /CURRENCY_UNKNOWN/);
  });

  it('tells a history and restores by it: dry at first, once with --apply', async () => {
    await economy('grant', ANN, 'coins', '250');
    const position = String(await log.head());
    const legs: [string, string, number][] = [
      [`player:${ANN}`, 'coins', -200],
      ['player:bob', 'coins', 200],
    ];
    await log.append({
      stream: ECONOMY_STREAM,
      expected: 'any',
      events: [Transferred({ legs, items: [], reason: 'gift', cause: 'player' })],
    });
    const history = await player('history', ANN);
    assert.match(history.out, /\+250 coins\n.*-200 coins\nOwns now, with what is on hold: 50 coins\.\n$/s);
    const head = await log.head();
    const dry = await player('restore', ANN, '--at', position);
    assert.match(dry.out, /\+200 coins\nNothing was done/);
    assert.equal(await log.head(), head);
    assert.match((await player('restore', ANN, '--at', position, '--apply')).out, /Done, at position/);
    assert.match((await player('restore', ANN, '--at', position, '--apply')).out, /Everything is as it was/);
    assert.equal(await log.head(), head + 1);
    assert.equal((await economy('show', `player:${ANN}`)).out, '250 coins\n');
    assert.equal((await economy('show', 'player:bob')).out, '200 coins\n');
    await fold();
    assert.equal((await economy('audit')).code, 0);
    assert.equal((await player('restore', ANN, '--at', 'yesterday')).code, 2);
  });
});
