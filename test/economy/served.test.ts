import assert from 'node:assert/strict';
import { economyView, PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { expireTrades, grant, hold, release, transfer } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { economyRoutes } from '../../src/economy/routes.ts';
import { TradeWatch } from '../../src/economy/trade-watch.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { Projector } from '../../src/events/projector.ts';
import { madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { BreakableLog, codeOf, give, memoryLog, newId, SETUP } from './world.ts';

const callers = { ann: madeUpCaller('ann'), bob: madeUpCaller('bob') };
const ANN = callers.ann.playerId;
const BOB = callers.bob.playerId;

describe('the economy over HTTP, with its view', () => {
  let fresh: FreshDatabase;
  let log: PostgresLog;
  let ledger: Ledger;
  let views: PostgresViews;
  let projector: Projector<never>;
  let watch: TradeWatch;
  let api: ServedApi;
  let aheadMs: number;

  before(async () => {
    fresh = await freshDatabase();
    aheadMs = 0;
    log = new PostgresLog({ database: fresh.database, catalogue: EVENTS });
    const reader = new PostgresEconomy(fresh.database);
    ledger = await Ledger.open({ log, reader, nowMs: () => Date.now() + aheadMs });
    views = new PostgresViews(fresh.database);
    projector = new Projector({ log, store: views, projections: [economyView()] }) as Projector<never>;
    projector.start();
    watch = new TradeWatch(ledger);
    api = await serveForTest(economyRoutes({ ledger, reader, watch, exists: async () => true }), { callers });
  });

  after(async () => {
    await api.close();
    watch.close();
    await projector.stop();
    await views.close();
    await ledger.close();
    await log.close();
    await fresh.drop();
    assert.deepEqual(api.bugs, []);
  });

  const folded = async (): Promise<void> => projector.caughtUp(await log.head());

  it('pages a history that grows meanwhile: nothing twice, nothing left out', async () => {
    for (let i = 1; i <= 11; i++) await give(ledger, ANN, { coins: i, gems: 1 });
    await folded();
    const seen: { position: number; changes: { asset: string; deltaMinor: number }[] }[] = [];
    let path: string | undefined = '/api/me/history?limit=3';
    for (let pages = 0; path !== undefined; pages++) {
      assert.ok(pages < 10, 'it ends');
      const { body } = await api.ask(path, { token: 'ann' });
      seen.push(...body.entries);
      path = body.next === undefined ? undefined : `/api/me/history?limit=3&before=${body.next}`;
      // What happens between two pages is before the first one.
      await give(ledger, ANN, { coins: 1_000 });
      await give(ledger, BOB, { coins: 1_000 });
      await folded();
    }
    const gained = seen.map(({ changes }) => changes.find(({ asset }) => asset === 'coins')?.deltaMinor);
    assert.deepEqual(gained, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert.deepEqual(
      seen.map(({ position }) => position),
      seen.map(({ position }) => position).sort((a, b) => b - a),
    );
    for (const query of ['limit=0', 'limit=101', 'before=0', 'before=-1', 'limit=1.5', "before=1'--"]) {
      assert.equal((await api.ask(`/api/me/history?${query}`, { token: 'ann' })).body.code, 'INVALID_INPUT', query);
    }
  });

  it('tells everybody who ever owned an item, to anybody', async () => {
    const itemId = newId('i');
    await ledger.execute({ decide: grant(ANN, [], [[itemId, 'trophy']], SETUP) });
    await ledger.execute({ decide: hold('h-1', ANN, [], [itemId], { reason: 'order', cause: 'test' }) });
    await ledger.execute({ decide: release('h-1', { reason: 'order-void', cause: 'test' }) });
    await folded();
    const { body } = await api.ask(`/api/items/${itemId}`, { token: 'bob' });
    assert.deepEqual([body.itemId, body.kind, body.owner], [itemId, 'trophy', playerAccount(ANN)]);
    assert.deepEqual(
      body.owners.map(({ from, to, reason }: Record<string, string>) => [from, to, reason]),
      [
        ['mint', playerAccount(ANN), 'setup'],
        [playerAccount(ANN), 'escrow:h-1', 'order'],
        ['escrow:h-1', playerAccount(ANN), 'order-void'],
      ],
    );
    assert.equal((await api.ask(`/api/items/${newId('i')}`, { token: 'bob' })).body.code, 'NOT_FOUND');
    assert.equal((await api.ask(`/api/items/${encodeURIComponent("i-' or 1=1")}`, { token: 'bob' })).status, 400);
    assert.equal((await api.ask(`/api/items/${itemId}`)).status, 401);
  });

  it('answers who opens a trade again under the same key as the first time, whatever became of it', async () => {
    const open = { token: 'bob', key: 'again', body: { withPlayerId: ANN } };
    const first = await api.ask('/api/trades', open);
    const path = `/api/trades/${first.body.tradeId}`;
    const offered = await api.ask(`${path}/offer`, { method: 'PUT', token: 'ann', body: {} });
    assert.equal(offered.body.version, 2);
    assert.deepEqual((await api.ask('/api/trades', open)).body, first.body);
    await api.ask(`${path}/cancel`, { method: 'POST', token: 'bob' });
    // Another process, which never saw it open.
    await folded();
    const reader = new PostgresEconomy(fresh.database);
    const other = await Ledger.open({ log, reader });
    const routes = economyRoutes({ ledger: other, reader, watch, exists: async () => true });
    const second = await serveForTest(routes, { callers });
    const repeat = await second.ask('/api/trades', open);
    assert.deepEqual([repeat.status, repeat.body], [201, first.body]);
    assert.equal((await second.ask(path, { token: 'ann' })).body.status, 'cancelled');
    await second.close();
    await other.close();
  });

  it('ends a trade whose time is over, and tells who waits for it', async () => {
    const opened = await api.ask('/api/trades', { token: 'ann', key: 'open', body: { withPlayerId: BOB } });
    const { tradeId, version, expiresAtMs } = opened.body;
    const path = `/api/trades/${tradeId}`;
    const offer = () => api.ask(`${path}/offer`, { method: 'PUT', token: 'bob', body: { itemIds: [] } });
    const waiting = api.ask(`${path}?afterVersion=${version + 1}`, { token: 'ann' });
    assert.equal((await offer()).body.version, version + 1);
    assert.deepEqual((await ledger.execute({ decide: expireTrades(9) })).events, [], 'its time is not over');
    aheadMs = expiresAtMs - Date.now();
    // Before anybody has ended it.
    assert.equal((await offer()).body.code, 'TRADE_CLOSED');
    await ledger.execute({ decide: expireTrades(9) });
    const { body } = await waiting;
    assert.deepEqual([body.status, body.why, body.version], ['cancelled', 'expired', version + 2]);
    assert.deepEqual((await api.ask('/api/trades', { token: 'bob' })).body.trades, []);
    aheadMs = 0;
  });
});

describe('waiting for a trade', () => {
  it('ends with its time, with who waits, or with the watch, and is bounded', async () => {
    const ledger = await Ledger.open({ log: memoryLog() });
    const watch = new TradeWatch(ledger);
    const nothing = async () => undefined;
    const never = new AbortController().signal;
    assert.equal(await watch.newer('t-1', nothing, 5, never), undefined);
    const leaving = new AbortController();
    const waiters = Array.from({ length: 2_000 }, (_, i) => watch.newer(`t-${i}`, nothing, 600_000, leaving.signal));
    await assert.rejects(watch.newer('t-1', nothing, 600_000, never), { code: 'OVERLOADED' });
    leaving.abort();
    assert.deepEqual(new Set(await Promise.all(waiters)), new Set([undefined]));
    // Whoever left makes room.
    const last = watch.newer('t-1', nothing, 600_000, never);
    watch.close();
    assert.equal(await last, undefined);
    await ledger.close();
  });
});

describe('a log that was set back to an earlier state', () => {
  it('makes a ledger that remembers more forget it with the next command', async () => {
    const [long, short] = [memoryLog(), memoryLog()];
    const log = new BreakableLog(long);
    const before = await Ledger.open({ log: short });
    await give(before, 'ann', { coins: 5 });
    await before.close();
    const ledger = await Ledger.open({ log });
    for (let i = 0; i < 3; i++) await give(ledger, 'ann', { coins: 100 });
    (log as { inner: unknown }).inner = short;
    assert.equal(await codeOf(ledger.execute({ decide: transfer('ann', 'bob', 'coins', 6) })), 'FUNDS_SHORT');
    await ledger.execute({ decide: transfer('ann', 'bob', 'coins', 5) });
    assert.equal(await ledger.query((state) => state.balance(playerAccount('bob'), 'coins')), 5);
    await ledger.close();
  });
});
