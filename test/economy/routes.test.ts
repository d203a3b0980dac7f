import assert from 'node:assert/strict';
import { Ledger } from '../../src/economy/ledger.ts';
import type { HistoryEntry } from '../../src/economy/ledger-reader.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { economyRoutes } from '../../src/economy/routes.ts';
import { TradeWatch } from '../../src/economy/trade-watch.ts';
import { type Asked, madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { faultsOf, give, memoryLog, newId } from './world.ts';

const callers = {
  ann: madeUpCaller('ann'),
  bob: madeUpCaller('bob'),
  eve: madeUpCaller('eve'),
  root: madeUpCaller('root', 'admin'),
};
const ANN = callers.ann.playerId;
const BOB = callers.bob.playerId;

describe('the economy over HTTP', () => {
  const log = memoryLog();
  let ledger: Ledger;
  let watch: TradeWatch;
  let api: ServedApi;
  let keys = 0;
  const known = new Set<string>();

  before(async () => {
    ledger = await Ledger.open({ log });
    watch = new TradeWatch(ledger);
    for (const { playerId } of Object.values(callers)) known.add(playerId);
    // The view itself is tested with the database; here it has nothing to tell.
    const reader = {
      history: async (): Promise<HistoryEntry[]> => [],
      provenance: async () => undefined,
      closedTrade: async () => undefined,
    };
    const routes = economyRoutes({ ledger, watch, reader, exists: async (playerId) => known.has(playerId) });
    api = await serveForTest(routes, { callers });
    await give(ledger, ANN, { coins: 1_000, gems: 40, 'item/flare': 2 });
    await give(ledger, BOB, { coins: 500 });
  });

  after(async () => {
    await api.close();
    watch.close();
    await ledger.close();
    assert.deepEqual(await faultsOf(log), []);
    assert.deepEqual(api.bugs, []);
  });

  const post = (token: string, path: string, body: unknown = undefined, asked: Asked = {}) =>
    api.ask(path, { method: 'POST', token, key: `k${++keys}`, ...(body === undefined ? {} : { body }), ...asked });
  const codeOf = async (answer: Promise<{ body: { code?: string } }>) => (await answer).body.code ?? 'fine';

  it('transfers once for a key, and refuses whatever is no amount', async () => {
    const body = { toPlayerId: BOB, asset: 'coins', amountMinor: 100 };
    const first = await post('ann', '/api/transfers', body, { key: 'one' });
    const repeat = await post('ann', '/api/transfers', body, { key: 'one' });
    assert.equal(first.status, 200);
    assert.deepEqual([repeat.body.position, repeat.body.isRepeat], [first.body.position, true]);
    assert.equal(
      await codeOf(post('ann', '/api/transfers', { ...body, amountMinor: 101 }, { key: 'one' })),
      'KEY_REUSED',
    );
    // Another player's key of the same name is another key.
    assert.equal(
      (await post('bob', '/api/transfers', { ...body, toPlayerId: ANN }, { key: 'one' })).body.isRepeat,
      false,
    );
    for (const bad of ['-1', '0', '0.5', '9007199254740992', '1e400', '"5"', 'null', 'NaN', '1000001', '[]', '{}']) {
      const text = `{"toPlayerId":"${BOB}","asset":"coins","amountMinor":${bad}}`;
      assert.equal(await codeOf(post('ann', '/api/transfers', text)), 'INVALID_INPUT', bad);
    }
    const sql = "coins'; drop table events; --";
    assert.equal(await codeOf(post('ann', '/api/transfers', { ...body, asset: sql })), 'INVALID_INPUT');
    assert.equal(await codeOf(post('ann', '/api/transfers', { ...body, asset: 'doubloons' })), 'CURRENCY_UNKNOWN');
    assert.equal(await codeOf(post('ann', '/api/transfers', { ...body, toPlayerId: ANN })), 'SELF_TRANSFER');
    assert.equal(await codeOf(post('ann', '/api/transfers', { ...body, toPlayerId: newId('a') })), 'PLAYER_UNKNOWN');
    assert.equal(await codeOf(post('ann', '/api/transfers', body, { key: undefined as never })), 'KEY_MISSING');
    assert.equal(
      await codeOf(post('bob', '/api/transfers', { toPlayerId: ANN, asset: 'gems', amountMinor: 1 })),
      'FUNDS_SHORT',
    );
    const wallet = await api.ask('/api/me/wallet', { token: 'ann' });
    assert.deepEqual(wallet.body.balances[0], { asset: 'coins', amountMinor: 1_000 });
  });

  it('answers a repeat as the first time, also when the other account is gone meanwhile', async () => {
    const gone = newId('a');
    known.add(gone);
    const gift = { toPlayerId: gone, asset: 'coins', amountMinor: 7 };
    const given = await post('ann', '/api/transfers', gift, { key: 'last gift' });
    const grant = { playerId: gone, assets: [{ asset: 'coins', amountMinor: 7 }], reason: 'test' };
    const granted = await post('root', '/api/admin/grants', grant, { key: 'last grant' });
    known.delete(gone);
    const repeated = await post('ann', '/api/transfers', gift, { key: 'last gift' });
    assert.deepEqual([repeated.body.position, repeated.body.isRepeat], [given.body.position, true]);
    const again = await post('root', '/api/admin/grants', grant, { key: 'last grant' });
    assert.deepEqual([again.body.position, again.body.isRepeat], [granted.body.position, true]);
    assert.equal(
      await codeOf(post('ann', '/api/transfers', { ...gift, amountMinor: 8 }, { key: 'last gift' })),
      'KEY_REUSED',
    );
    assert.equal(await codeOf(post('ann', '/api/transfers', gift)), 'PLAYER_UNKNOWN');
    await give(ledger, ANN, { coins: 7 });
  });

  it('lets nobody wait for a trade any more when it closes', async () => {
    const closing = new TradeWatch(ledger);
    const looked = Promise.withResolvers<void>();
    const waiting = closing.newer('t', async () => looked.resolve(), 60_000, new AbortController().signal);
    await looked.promise;
    closing.close();
    assert.equal(await waiting, undefined);
  });

  it('sells what the shop names, debit and item at once', async () => {
    const { body: shop } = await api.ask('/api/shop');
    assert.ok(shop.products.length > 0);
    const bought = await post('ann', '/api/shop/helmet/purchase');
    assert.equal(bought.status, 200);
    assert.deepEqual(
      bought.body.changes.find(({ asset }: { asset: string }) => asset === 'gems'),
      {
        asset: 'gems',
        deltaMinor: -20,
      },
    );
    const { body: items } = await api.ask('/api/me/items', { token: 'ann' });
    assert.deepEqual(items.uniques, [{ ...bought.body.items[0], isHeld: false }]);
    assert.equal(await codeOf(post('ann', '/api/shop/moon/purchase')), 'PRODUCT_UNKNOWN');
    assert.equal(await codeOf(post('eve', '/api/shop/helmet/purchase')), 'FUNDS_SHORT');
  });

  it('lets admins grant, and nobody else', async () => {
    const body = { playerId: BOB, assets: [{ asset: 'gems', amountMinor: 3 }], items: ['trophy'], reason: 'contest' };
    assert.equal(await codeOf(post('ann', '/api/admin/grants', body)), 'NOT_ALLOWED');
    const given = await post('root', '/api/admin/grants', body);
    assert.equal(given.body.items.length, 1);
    assert.equal(await ledger.query((state) => state.balance(playerAccount(BOB), 'gems')), 3);
  });

  it('trades what both confirmed, live for both, and nothing that one of them changed meanwhile', async () => {
    const { body: items } = await api.ask('/api/me/items', { token: 'ann' });
    const helmet: string = items.uniques[0].itemId;
    assert.equal(await codeOf(post('ann', '/api/trades', { withPlayerId: ANN })), 'SELF_TRANSFER');
    const opened = await post('ann', '/api/trades', { withPlayerId: BOB });
    assert.equal(opened.status, 201);
    const path = `/api/trades/${opened.body.tradeId}`;
    const put = (token: string, body: unknown) => api.ask(`${path}/offer`, { method: 'PUT', token, body });
    assert.equal(await codeOf(api.ask(path, { token: 'eve' })), 'TRADE_UNKNOWN');
    assert.equal((await api.ask('/api/trades', { token: 'bob' })).body.trades.length, 1);

    const live = api.ask(`${path}?afterVersion=${opened.body.version}`, { token: 'bob' });
    const offered = await put('ann', { itemIds: [helmet] });
    assert.equal((await live).body.version, offered.body.version);
    assert.equal(await codeOf(put('bob', { itemIds: [helmet] })), 'ITEM_MISSING');
    assert.equal(await codeOf(put('bob', { assets: [{ asset: 'coins', amountMinor: 9_999 }] })), 'FUNDS_SHORT');
    const answered = await put('bob', { assets: [{ asset: 'coins', amountMinor: 50 }] });
    const { offerVersion } = answered.body;
    const confirm = (token: string, version: number) => post(token, `${path}/confirm`, { offerVersion: version });
    await confirm('bob', offerVersion);
    // A cheaper offer after the other one's yes.
    const changed = await put('ann', { itemIds: [] });
    assert.deepEqual(
      changed.body.sides.map(({ hasConfirmed }: { hasConfirmed: boolean }) => hasConfirmed),
      [false, false],
    );
    assert.equal(await codeOf(confirm('bob', offerVersion)), 'TRADE_CHANGED');
    const again = await put('ann', { itemIds: [helmet] });
    await confirm('ann', again.body.offerVersion);
    // The item goes on hold before the second yes: nothing changes hands.
    const { hold, release } = await import('../../src/economy/decide.ts');
    const why = { reason: 'order', cause: 'test' };
    await ledger.execute({ decide: hold('h-1', ANN, [], [helmet], why) });
    assert.equal(await codeOf(confirm('bob', again.body.offerVersion)), 'ITEM_HELD');
    assert.equal(await codeOf(put('ann', { itemIds: [helmet] })), 'ITEM_HELD');
    await ledger.execute({ decide: release('h-1', why) });
    const settled = await confirm('bob', again.body.offerVersion);
    assert.equal(settled.body.status, 'settled');
    assert.equal(await ledger.query((state) => state.item(helmet)?.owner), playerAccount(BOB));
    assert.equal(await codeOf(put('ann', {})), 'TRADE_CLOSED');
    assert.equal(await codeOf(post('bob', `${path}/cancel`)), 'TRADE_CLOSED');
  });
});
