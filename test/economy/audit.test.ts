import assert from 'node:assert/strict';
import { auditEconomy } from '../../src/economy/audit.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import type { LedgerSnapshot } from '../../src/economy/ledger-state.ts';
import {
  ECONOMY_STREAM,
  Held,
  type ItemMove,
  type Leg,
  Released,
  Transferred,
} from '../../src/events/economy-events.ts';
import type { NewEvent } from '../../src/events/event.ts';
import { faultsOf, give, memoryLog, SETUP } from './world.ts';

const EMPTY: LedgerSnapshot = { seq: 0, balances: [], items: [], holds: [], trades: [], erased: [] };

describe('the audit', () => {
  const moved = (legs: Leg[], items: ItemMove[] = []) => Transferred({ legs, items, ...SETUP });
  const faulty: readonly (readonly [what: string, event: NewEvent, found: RegExp])[] = [
    ['money out of nothing', moved([['player:ann', 'coins', 5]]), /legs of coins sum to 5/],
    [
      'an overdraft',
      moved([
        ['player:bob', 'coins', -5],
        ['player:ann', 'coins', 5],
      ]),
      /player:bob is at -5 coins/,
    ],
    [
      'an item of somebody else',
      moved([], [['i-1', 'banner', 'player:bob', 'player:cat']]),
      /i-1 comes from player:bob/,
    ],
    ['an item made twice', moved([], [['i-1', 'banner', 'mint', 'player:cat']]), /i-1 comes from mint/],
    [
      'escrow without a hold',
      moved([
        ['player:ann', 'coins', -1],
        ['escrow:x', 'coins', 1],
      ]),
      /escrow:x belongs to no open hold/,
    ],
    [
      'a hold without anything in it',
      Held({ legs: [], items: [], ...SETUP, holdId: 'h', playerId: 'ann' }),
      /hold h is open and empty/,
    ],
    [
      'a hold closed that was never open',
      Released({ legs: [], items: [], ...SETUP, holdId: 'h' }),
      /hold h is not open/,
    ],
  ];
  for (const [what, event, found] of faulty) {
    it(`names ${what}`, async () => {
      const log = memoryLog();
      const ledger = await Ledger.open({ log });
      await give(ledger, 'ann', { coins: 10 }, [['i-1', 'banner']]);
      await ledger.close();
      assert.deepEqual(await faultsOf(log), []);
      await log.append({ stream: ECONOMY_STREAM, expected: 'any', events: [event] });
      assert.match((await faultsOf(log)).join('\n'), found);
    });
  }

  it('compares a view at its own place in the stream, both ways', async () => {
    const log = memoryLog();
    const ledger = await Ledger.open({ log });
    await give(ledger, 'ann', { coins: 10 }, [['i-1', 'banner']]);
    await give(ledger, 'ann', { coins: 1 });
    await ledger.close();
    const right = {
      ...EMPTY,
      seq: 1,
      balances: [
        ['mint', 'coins', -10],
        ['player:ann', 'coins', 10],
      ] as [string, string, number][],
      items: [['i-1', 'banner', 'player:ann']] as [string, string, string][],
    };
    const faults = async (view: LedgerSnapshot) => (await auditEconomy(log, { view })).faults.length;
    assert.equal(await faults(right), 0);
    assert.equal(await faults({ ...right, seq: 2 }), 2);
    assert.equal(await faults({ ...right, seq: 9 }), 1);
    assert.equal(await faults({ ...right, items: [] }), 1);
    assert.equal(await faults({ ...right, items: [...right.items, ['i-2', 'banner', 'sink']] }), 1);
    assert.equal(await faults({ ...right, holds: [{ holdId: 'h', playerId: 'ann', assets: [], itemIds: [] }] }), 1);
    assert.equal(await faults({ ...right, seq: 0 }), 3);
  });
});
