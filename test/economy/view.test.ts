import assert from 'node:assert/strict';
import { economyView, PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import {
  confirmTrade,
  erase,
  grant,
  hold,
  offerInTrade,
  openTradeWith,
  purchase,
  transfer,
} from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { economyRoutes } from '../../src/economy/routes.ts';
import { TradeWatch } from '../../src/economy/trade-watch.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { Projector, viewKey } from '../../src/events/projector.ts';
import { madeUpCaller, serveForTest } from '../fixtures/api.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { codeOf, give, newId, SETUP } from './world.ts';

describe('the ledger in PostgreSQL', () => {
  let fresh: FreshDatabase;
  let logs: PostgresLog[];
  let ledgers: Ledger[];
  let views: PostgresViews;
  let projector: Projector<never>;
  let economy: PostgresEconomy;

  beforeEach(async () => {
    fresh = await freshDatabase({ connectionsMax: 10 });
    const { database } = fresh;
    // Each has its own log object, as each process does.
    logs = [0, 1, 2].map(() => new PostgresLog({ database, catalogue: EVENTS }));
    economy = new PostgresEconomy(database);
    ledgers = await Promise.all(logs.map((log) => Ledger.open({ log, reader: economy })));
    views = new PostgresViews(database);
    projector = new Projector({ log: logs[0]!, store: views, projections: [economyView()] }) as Projector<never>;
    projector.start();
  });

  afterEach(async () => {
    await projector.stop();
    await views.close();
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    await Promise.all(logs.map((log) => log.close()));
    await fresh.drop();
  });

  async function faults(): Promise<readonly string[]> {
    await projector.caughtUp(await logs[0]!.head());
    return (await auditEconomy(logs[0]!, { view: await economy.snapshot() })).faults;
  }

  it('keeps its rules when three processes write at once, and its view is the fold of the log', async () => {
    const players = Array.from({ length: 8 }, () => newId('a'));
    await Promise.all(players.map((each, i) => give(ledgers[i % 3]!, each, { coins: 200 })));
    const codes = new Map<string, number>();
    await Promise.all(
      Array.from({ length: 1_500 }, async (_, i) => {
        const from = players[(i * 7) % 8]!;
        const to = players[(i * 7 + 1 + (i % 6)) % 8]!;
        const key = `transfer/${i % 1_400}`;
        const code = await codeOf(ledgers[i % 3]!.execute({ key, decide: transfer(from, to, 'coins', 1 + (i % 50)) }));
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }),
    );
    assert.deepEqual(
      [...codes.keys()].filter((code) => code !== 'fine' && code !== 'FUNDS_SHORT'),
      [],
    );
    assert.deepEqual(await faults(), []);
    const total = await ledgers[2]!.query((state) =>
      players.reduce((sum, each) => sum + state.balance(playerAccount(each), 'coins'), 0),
    );
    assert.equal(total, 1_600);
  });

  it('refuses what stood on a command that another process forestalled, whatever length the log has by then', async () => {
    const [one, two] = ledgers as [Ledger, Ledger];
    const [ann, bob, cat] = [newId('a'), newId('a'), newId('a')];
    for (let round = 0; round < 40; round++) {
      await give(one, ann, { coins: 10 });
      await two.query(() => undefined);
      // One event by the other process, exactly where ours was to be, so that our second one would fit by its length.
      const foreign = one.execute({ decide: transfer(ann, cat, 'coins', 10) });
      const first = two.execute({ decide: transfer(ann, bob, 'coins', 10) });
      const onTop = two.execute({ decide: transfer(bob, cat, 'coins', 10) });
      const codes = await Promise.all([foreign, first, onTop].map(codeOf));
      assert.equal(codes[1], codes[2], codes.join());
      assert.equal(codes.filter((code) => code === 'fine').length, codes[1] === 'fine' ? 2 : 1);
    }
    assert.deepEqual(await faults(), []);
  });

  it('tells the chain of owners, the history page by page, and what a restart has to know', async () => {
    const [ledger] = ledgers as [Ledger];
    const [ann, bob] = [newId('a'), newId('a')];
    const helmet = newId('i');
    await give(ledger, ann, { coins: 100, gems: 50 }, [[helmet, 'helmet']]);
    await give(ledger, bob, { coins: 100 });
    await ledger.execute({ decide: openTradeWith('t-1', ann, bob) });
    await ledger.execute({ decide: offerInTrade('t-1', ann, { assets: [], itemIds: [helmet] }) });
    await ledger.execute({ decide: offerInTrade('t-1', bob, { assets: [['coins', 30]], itemIds: [] }) });
    await ledger.execute({ decide: confirmTrade('t-1', ann, 3) });
    await ledger.execute({ decide: confirmTrade('t-1', bob, 3) });
    await ledger.execute({ decide: purchase(ann, 'helmet', [newId('i')]) });
    await ledger.execute({ decide: hold('h-1', bob, [['coins', 5]], [helmet], SETUP) });
    await ledger.execute({ decide: openTradeWith('t-2', bob, ann) });
    await ledger.execute({ decide: offerInTrade('t-2', bob, { assets: [['coins', 2]], itemIds: [] }) });
    assert.deepEqual(await faults(), []);
    const chain = await economy.provenance(helmet);
    assert.deepEqual(
      chain?.owners.map(({ from, to, reason }) => [from, to, reason]),
      [
        ['mint', playerAccount(ann), 'setup'],
        [playerAccount(ann), playerAccount(bob), 'trade'],
        [playerAccount(bob), 'escrow:h-1', 'setup'],
      ],
    );
    assert.equal(chain.owner, 'escrow:h-1');
    const first = await economy.history(playerAccount(ann), Number.MAX_SAFE_INTEGER, 2);
    assert.deepEqual(
      first.map(({ reason }) => reason),
      ['purchase', 'trade'],
    );
    assert.deepEqual(
      first[1]!.changes.map(({ asset, deltaMinor }) => [asset, deltaMinor]),
      [
        ['coins', 30],
        [helmet, -1],
      ],
    );
    await give(ledger, ann, { coins: 1 });
    await projector.caughtUp(await logs[0]!.head());
    const second = await economy.history(playerAccount(ann), first[1]!.position, 2);
    assert.deepEqual(
      second.map(({ reason }) => reason),
      ['setup'],
    );
    // From the view alone: no event is left for the log to tell.
    const restarted = await Ledger.open({ log: logs[1]!, reader: economy });
    const look = (it: Ledger) =>
      it.query((state) => ({
        ann: [...state.balances(playerAccount(ann))].sort(),
        items: [...state.itemsOf(playerAccount(ann))].length,
        hold: state.hold('h-1'),
        trade: state.trade('t-2'),
      }));
    assert.deepEqual(await look(restarted), await look(ledger));
    await restarted.close();
  });

  it('sweeps up after somebody who was erased: trades end, holds go back, the sink has the rest', async () => {
    const [ledger] = ledgers as [Ledger];
    const [ann, bob] = [newId('a'), newId('a')];
    const helmet = newId('i');
    await give(ledger, ann, { coins: 10 }, [[helmet, 'helmet']]);
    await ledger.execute({ decide: openTradeWith('t-1', ann, bob) });
    await ledger.execute({ decide: hold('h-1', ann, [['coins', 4]], [helmet], SETUP) });
    for (let part = 0; ; part++) {
      const { events } = await ledger.execute({ key: `erase/${ann}/${part}`, decide: erase(ann, 'test') });
      if (events.length === 0) break;
      assert.ok(part < 5, 'it ends');
    }
    assert.equal(await ledger.query((state) => state.balance(playerAccount(ann), 'coins')), 0);
    assert.equal(await ledger.query((state) => state.item(helmet)?.owner), 'sink');
    assert.equal(await codeOf(ledger.execute({ decide: grant(ann, [['coins', 1]], [], SETUP) })), 'ACCOUNT_ERASED');
    assert.deepEqual(await faults(), []);
    assert.deepEqual([...(await economy.snapshot()).erased], [ann]);
  });

  it('begins at the first event when the view is gone', async () => {
    const [ledger] = ledgers as [Ledger];
    await give(ledger, 'ann', { coins: 10 });
    await projector.stop();
    await fresh.database.query('drop table economy_balances');
    const restarted = await Ledger.open({ log: logs[1]!, reader: economy });
    assert.equal(await restarted.query((state) => state.balance(playerAccount('ann'), 'coins')), 10);
    await restarted.close();
  });

  it('answers the command that closed a trade with the closed trade, also after a restart and a rebuild', async () => {
    const [ledger] = ledgers as [Ledger];
    const callers = { ann: madeUpCaller('ann'), bob: madeUpCaller('bob'), eve: madeUpCaller('eve') };
    await give(ledger, callers.ann.playerId, { coins: 10 });
    const close: (() => Promise<void> | void)[] = [];
    const serve = async (of: Ledger) => {
      const watch = new TradeWatch(of);
      const routes = economyRoutes({ ledger: of, reader: economy, watch, exists: async () => true });
      const api = await serveForTest(routes, { callers });
      close.push(() => watch.close(), api.close);
      return api;
    };
    const first = await serve(ledger);
    const open = { token: 'ann', key: 'open', body: { withPlayerId: callers.bob.playerId } };
    const { tradeId } = (await first.ask('/api/trades', open)).body;
    const path = `/api/trades/${tradeId}`;
    const offer = { assets: [{ asset: 'coins', amountMinor: 10 }] };
    const { offerVersion } = (await first.ask(`${path}/offer`, { method: 'PUT', token: 'ann', body: offer })).body;
    const confirm = (token: string) => ({ token, key: `confirm-${token}`, body: { offerVersion } });
    await first.ask(`${path}/confirm`, confirm('ann'));
    const settled = (await first.ask(`${path}/confirm`, confirm('bob'))).body;
    assert.equal(settled.status, 'settled');
    await views.forget(viewKey('economy'));
    await projector.caughtUp(await logs[0]!.head());
    const restarted = await Ledger.open({ log: logs[1]!, reader: economy });
    const second = await serve(restarted);
    assert.deepEqual((await second.ask(`${path}/confirm`, confirm('bob'))).body, settled);
    assert.deepEqual((await second.ask(path, { token: 'ann' })).body, settled);
    assert.equal((await second.ask(path, { token: 'eve' })).body.code, 'TRADE_UNKNOWN');
    const late = { method: 'PUT', token: 'ann', body: offer };
    assert.equal((await second.ask(`${path}/offer`, late)).body.code, 'TRADE_CLOSED');
    for (const each of close) await each();
    await restarted.close();
    assert.deepEqual(await faults(), []);
  });

  it('answers a key that was used before the restart with the first answer', async () => {
    const [ledger] = ledgers as [Ledger];
    await give(ledger, 'ann', { coins: 10 });
    const command = { key: 'once', fingerprint: 'f', decide: transfer('ann', 'bob', 'coins', 10) };
    const { position } = await ledger.execute(command);
    const restarted = await Ledger.open({ log: logs[1]!, reader: economy });
    const repeat = await restarted.execute(command);
    assert.deepEqual([repeat.position, repeat.isRepeat], [position, true]);
    assert.equal(await codeOf(restarted.execute({ ...command, fingerprint: 'g' })), 'KEY_REUSED');
    await restarted.close();
  });
});
