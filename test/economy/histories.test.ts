import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Database } from '../../src/adapters/database.ts';
import { economyView, PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { type LedgerState, playerAccount } from '../../src/economy/ledger-state.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { Projector } from '../../src/events/projector.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { PLAYERS, type Step, step } from './histories.ts';
import { codeOf, give } from './world.ts';

const SEED = 20_261_124;
const PROCESSES = 3;

/** What there is to know of the players, for comparison. */
function everything(state: LedgerState): unknown {
  const playersOf = (of: (playerId: string) => unknown) => PLAYERS.map((each) => of(each));
  return {
    balances: playersOf((each) => [...state.balances(playerAccount(each))].sort()),
    items: playersOf((each) => [...state.itemsOf(playerAccount(each))].sort()),
    holds: [...state.openHolds].sort((a, b) => (a.holdId < b.holdId ? -1 : 1)),
    trades: [...state.openTrades].sort((a, b) => (a.tradeId < b.tradeId ? -1 : 1)),
  };
}

describe('any history in PostgreSQL', () => {
  it('of three processes leaves the ledger sound, its view the fold of it, and the same from log and view', async () => {
    const property = async (steps: readonly Step[]): Promise<void> => {
      const fresh = await freshDatabase({ connectionsMax: 4 });
      const databases = await Promise.all(
        Array.from({ length: PROCESSES }, () => Database.open({ url: fresh.url, connectionsMax: 3 })),
      );
      const logs = databases.map((database) => new PostgresLog({ database, catalogue: EVENTS }));
      const readers = databases.map((database) => new PostgresEconomy(database));
      const views = new PostgresViews(fresh.database);
      const projector = new Projector({ log: logs[0]!, store: views, projections: [economyView()], pageMax: 7 });
      projector.start();
      const ledgers = await Promise.all(logs.map((log, i) => Ledger.open({ log, reader: readers[i]! })));
      for (const name of PLAYERS) await give(ledgers[0]!, name, { coins: 100 });
      const running: Promise<string>[] = [];
      for (const { ledger, burst, decide, key } of steps) {
        running.push(codeOf(async () => ledgers[ledger]!.execute({ key, fingerprint: key, decide: decide() })));
        if (!burst) await Promise.all(running);
      }
      const codes = await Promise.all(running);
      assert.ok(!codes.includes('LOG_CONFLICT') && !codes.includes('DATABASE_UNAVAILABLE'), codes.join());
      const head = await logs[0]!.head();
      await projector.caughtUp(head);
      const view = await readers[0]!.snapshot();
      const { faults, events } = await auditEconomy(logs[0]!, { view, viewSeqMin: head });
      assert.deepEqual(faults, []);
      assert.equal(events, head);
      const fromLog = await Ledger.open({ log: logs[0]! });
      const fromView = await Ledger.open({ log: logs[0]!, reader: readers[0]! });
      const wanted = await fromLog.query(everything);
      for (const ledger of [fromView, ...ledgers]) assert.deepEqual(await ledger.query(everything), wanted);
      await projector.stop();
      await views.close();
      await Promise.all([fromLog, fromView, ...ledgers].map((ledger) => ledger.close()));
      await Promise.all(logs.map((log) => log.close()));
      await Promise.all(databases.map((database) => database.close()));
      await fresh.drop();
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 90 }), property), {
      seed: SEED,
      numRuns: 8,
      endOnFailure: true,
    });
  });
});
