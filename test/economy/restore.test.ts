import assert from 'node:assert/strict';
import { capture, hold, purchase, transfer } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { mintedSince, planRestore, possessionsAt, restore } from '../../src/economy/restore.ts';
import { codeOf, faultsOf, give, memoryLog, SETUP } from './world.ts';

describe('restoring one player to a place in the log', () => {
  it('compensates against mint and sink, once, and leaves to others what is theirs now', async () => {
    const log = memoryLog();
    const ledger = await Ledger.open({ log });
    await give(ledger, 'ann', { coins: 1_000 }, [
      ['i-old', 'banner'],
      ['i-sold', 'helmet'],
    ]);
    await give(ledger, 'bob', { coins: 300, gems: 20 });
    await ledger.execute({ decide: hold('h1', 'ann', [['coins', 100]], [], SETUP) });
    const position = await log.head();
    // A thief: everything goes to bob, some of it from the hold.
    await ledger.execute({ decide: transfer('ann', 'bob', 'coins', 900) });
    await ledger.execute({ decide: capture('h1', { toId: 'bob', ...SETUP }) });
    await ledger.execute({ decide: hold('h2', 'ann', [], ['i-sold'], SETUP) });
    await ledger.execute({ decide: capture('h2', { toId: 'bob', ...SETUP }) });
    await give(ledger, 'ann', { gems: 20 });
    await ledger.execute({ decide: purchase('ann', 'helmet', ['i-new']) });
    const bobBefore = await ledger.query((state) => [...state.balances(playerAccount('bob'))]);

    const then = await possessionsAt(log, 'ann', { position });
    assert.deepEqual([...then.assets], [['coins', 1_000]]);
    const minted = await mintedSince(log, 'ann', then.position);
    const plan = await ledger.query((state) => planRestore(state, 'ann', then, minted));
    assert.deepEqual(plan.changes, [
      ['coins', 1_000],
      ['item/repair-kit', -2],
    ]);
    assert.deepEqual(plan.itemsGone, [['i-new', 'helmet']]);
    assert.deepEqual(plan.itemsLeft, [['i-sold', 'owned by player:bob']]);
    for (let i = 0; i < 3; i++) await ledger.execute({ decide: restore('ann', then, minted) });
    assert.equal(await ledger.query((state) => state.balance(playerAccount('ann'), 'coins')), 1_000);
    assert.deepEqual(await ledger.query((state) => [...state.itemsOf(playerAccount('ann'))]), ['i-old']);
    assert.deepEqual(await ledger.query((state) => [...state.balances(playerAccount('bob'))]), bobBefore);
    assert.deepEqual(await faultsOf(log), []);
    assert.equal(await codeOf(possessionsAt(log, 'ann', { position: 1e6 })), 'INVALID_INPUT');
    await ledger.close();
  });
});
