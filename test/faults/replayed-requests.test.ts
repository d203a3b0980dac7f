import assert from 'node:assert/strict';
import { PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { economyRoutes } from '../../src/economy/routes.ts';
import { TradeWatch } from '../../src/economy/trade-watch.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { give } from '../economy/world.ts';
import { type Answer, madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';

const SEED = 20_261_125;
const callers = { ann: madeUpCaller('ann'), bob: madeUpCaller('bob') };
const ANN = callers.ann.playerId;
const BOB = callers.bob.playerId;

describe('requests that come again and out of order, to two processes,', () => {
  let fresh: FreshDatabase;
  let logs: PostgresLog[];
  let ledgers: Ledger[];
  let watches: TradeWatch[];
  let apis: ServedApi[];

  before(async () => {
    fresh = await freshDatabase({ connectionsMax: 10 });
    const economy = new PostgresEconomy(fresh.database);
    logs = [0, 1].map(() => new PostgresLog({ database: fresh.database, catalogue: EVENTS }));
    ledgers = await Promise.all(logs.map((log) => Ledger.open({ log, reader: economy })));
    watches = ledgers.map((ledger) => new TradeWatch(ledger));
    apis = await Promise.all(
      ledgers.map((ledger, at) => {
        const routes = economyRoutes({ ledger, reader: economy, watch: watches[at]!, exists: async () => true });
        return serveForTest(routes, { callers });
      }),
    );
    await give(ledgers[0]!, ANN, { coins: 10_000 });
    await give(ledgers[0]!, BOB, { coins: 10_000 });
  });
  after(async () => {
    const bugs = apis.flatMap((api) => api.bugs);
    for (const api of apis) await api.close();
    for (const watch of watches) watch.close();
    for (const ledger of ledgers) await ledger.close();
    const { faults } = await auditEconomy(logs[0]!);
    for (const log of logs) await log.close();
    await fresh.drop();
    assert.deepEqual([bugs, faults], [[], []]);
  });

  it(`are each done once, and every copy is answered with the first answer (seed ${SEED})`, async () => {
    const state = new Int32Array(4);
    seedSfc32(state, 0, SEED);
    const draw = (below: number) => nextBelow(state, 0, below);
    const commands = Array.from({ length: 60 }, (_, number) => {
      const amountMinor = 1 + draw(50);
      const [token, toPlayerId] = draw(2) === 0 ? (['ann', BOB] as const) : (['bob', ANN] as const);
      return { number, token, key: `again-${number}`, body: { toPlayerId, asset: 'coins', amountMinor } };
    });
    const copies = commands.flatMap((command) => Array.from({ length: 1 + draw(4) }, () => command));
    for (let at = copies.length - 1; at > 0; at--) {
      const other = draw(at + 1);
      [copies[at], copies[other]] = [copies[other]!, copies[at]!];
    }
    const answers = new Map<number, Answer[]>();
    await Promise.all(
      copies.map(async ({ number, ...asked }) => {
        const answer = await apis[draw(2)]!.ask('/api/transfers', asked);
        answers.set(number, [...(answers.get(number) ?? []), answer]);
      }),
    );
    let annMinor = 10_000;
    const positions = new Set<number>();
    for (const { number, token, body } of commands) {
      const all = answers.get(number)!;
      for (const { status } of all) assert.equal(status, 200);
      const [{ body: first }] = all as [Answer];
      assert.deepEqual(new Set(all.map(({ body: { position } }) => position)), new Set([first.position]));
      assert.equal(all.filter(({ body: { isRepeat } }) => !isRepeat).length, 1, `${number} is done by one of them`);
      positions.add(first.position);
      annMinor += token === 'ann' ? -body.amountMinor : body.amountMinor;
    }
    assert.equal(positions.size, commands.length);
    for (const ledger of ledgers) {
      assert.equal(await ledger.query((state) => state.balance(playerAccount(ANN), 'coins')), annMinor);
      assert.equal(await ledger.query((state) => state.balance(playerAccount(BOB), 'coins')), 20_000 - annMinor);
    }
  });

  it('under a key that stands for something else, or for somebody else, take and change nothing', async () => {
    const key = 'again-0';
    const body = { toPlayerId: BOB, asset: 'coins', amountMinor: 51 };
    const mine = await apis[0]!.ask('/api/transfers', { token: 'ann', key: 'mine', body });
    assert.equal(mine.status, 200);
    for (const api of apis) {
      const other = await api.ask('/api/transfers', { token: 'ann', key: 'mine', body: { ...body, amountMinor: 52 } });
      assert.deepEqual([other.status, other.body.code], [409, 'KEY_REUSED']);
    }
    // The same key of another player is another key: bob cannot learn or take what ann did.
    const stolen = await apis[1]!.ask('/api/transfers', { token: 'bob', key, body });
    assert.deepEqual([stolen.status, stolen.body.code], [400, 'SELF_TRANSFER']);
  });

  it('a yes to offers that were changed meanwhile comes too late, in whatever order the two arrive', async () => {
    const open = { token: 'ann', key: 'open', body: { withPlayerId: BOB } };
    const { tradeId } = (await apis[0]!.ask('/api/trades', open)).body;
    const path = `/api/trades/${tradeId}`;
    const offer = (at: number, amountMinor: number) =>
      apis[at]!.ask(`${path}/offer`, {
        method: 'PUT',
        token: 'ann',
        body: { assets: [{ asset: 'coins', amountMinor }] },
      });
    const { offerVersion } = (await offer(0, 100)).body;
    const late = { token: 'bob', key: 'yes', body: { offerVersion } };
    const [changed, yes] = await Promise.all([offer(0, 1), apis[1]!.ask(`${path}/confirm`, late)]);
    assert.equal(changed.status, 200);
    assert.ok(yes.status === 200 || yes.body.code === 'TRADE_CHANGED');
    // Also if the yes was first, the change took it back; and the yes that comes again says yes to nothing newer.
    await apis[0]!.ask(`${path}/confirm`, late);
    const now = (await apis[1]!.ask(path, { token: 'bob' })).body;
    assert.equal(now.status, 'open');
    assert.deepEqual(
      now.sides.map(({ hasConfirmed }: { hasConfirmed: boolean }) => hasConfirmed),
      [false, false],
    );
  });
});
