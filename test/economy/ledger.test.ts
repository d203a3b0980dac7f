import assert from 'node:assert/strict';
import fc from 'fast-check';
import { capture, type Decide, grant, hold, release, transfer } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { ECONOMY_STREAM } from '../../src/events/economy-events.ts';
import type { EventLog } from '../../src/events/event-log.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { PLAYERS, step } from './histories.ts';
import { BreakableLog, codeOf, faultsOf, give, memoryLog, newId, SETUP, withLedgers } from './world.ts';

const SEED = 20_261_123;

async function coins(ledger: Ledger, playerId: string, asset = 'coins'): Promise<number> {
  return ledger.query((state) => state.balance(playerAccount(playerId), asset));
}

async function lengthOf(log: EventLog): Promise<number> {
  let length = 0;
  for await (const event of log.read(ECONOMY_STREAM)) length = event.seq;
  return length;
}

describe('the ledger', () => {
  it('moves what is asked and nothing else', async () => {
    const log = memoryLog();
    await withLedgers(log, 1, async ([ledger]) => {
      await give(ledger!, 'ann', { coins: 100 });
      const { position, isRepeat } = await ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 30) });
      assert.equal(position, 2);
      assert.equal(isRepeat, false);
      assert.deepEqual([await coins(ledger!, 'ann'), await coins(ledger!, 'bob')], [70, 30]);
      assert.equal(await codeOf(ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 71) })), 'FUNDS_SHORT');
      assert.deepEqual([await coins(ledger!, 'ann'), await coins(ledger!, 'bob')], [70, 30]);
    });
    assert.deepEqual(await faultsOf(log), []);
  });

  it('refuses amounts that are no whole number from 1 on, and text of any kind', async () => {
    const hostile = [
      0,
      -1,
      0.5,
      Number.NaN,
      Infinity,
      -Infinity,
      2 ** 53,
      1e300,
      '5',
      '1; drop table',
      null,
      undefined,
      {},
      [1],
    ];
    for (const bad of hostile) {
      assert.equal(
        await codeOf(async () => transfer('ann', 'bob', 'coins', bad as number)),
        'INVALID_INPUT',
        String(bad),
      );
      assert.equal(
        await codeOf(async () => grant('ann', [['coins', bad as number]], [], SETUP)),
        'INVALID_INPUT',
        String(bad),
      );
    }
    for (const asset of ["coins'; drop table events; --", '', 'COINS', '__proto__', 'x'.repeat(10_000)]) {
      assert.equal(await codeOf(async () => transfer('ann', 'bob', asset, 1)), 'CURRENCY_UNKNOWN');
    }
    assert.equal(await codeOf(async () => transfer('ann', 'ann', 'coins', 1)), 'SELF_TRANSFER');
  });

  it('never mints more than can be counted', async () => {
    const log = memoryLog();
    await withLedgers(log, 1, async ([ledger]) => {
      const billion = grant('ann', [['coins', 1_000_000_000]], [], SETUP);
      await ledger!.execute({ decide: billion });
      const all = Number.MAX_SAFE_INTEGER - 1_000_000_000;
      const state = await ledger!.query((it) => it);
      const undo = state.apply({
        type: 'economy.granted',
        version: 1,
        payload: {
          legs: [
            ['mint', 'coins', -all],
            ['player:bob', 'coins', all],
          ],
          items: [],
          ...SETUP,
        },
      });
      assert.throws(
        () => billion(state, 0),
        (error: GameError) => error.code === 'BALANCE_LIMIT',
      );
      undo();
    });
  });

  it('lets opposite transfers of two processes pass each other', async () => {
    const log = memoryLog();
    await withLedgers(log, 2, async ([one, two]) => {
      await give(one!, 'ann', { coins: 1_000 });
      await give(two!, 'bob', { coins: 1_000 });
      const all = Array.from({ length: 300 }, (_, i) =>
        i % 2 === 0
          ? one!.execute({ decide: transfer('ann', 'bob', 'coins', 7) })
          : two!.execute({ decide: transfer('bob', 'ann', 'coins', 5) }),
      );
      await Promise.all(all);
      assert.equal(await coins(one!, 'ann'), 1_000 - 150 * 7 + 150 * 5);
      assert.equal(await coins(one!, 'bob'), 1_000 + 150 * 7 - 150 * 5);
      assert.ok(one!.reading.recoveriesTotal + two!.reading.recoveriesTotal > 0, 'they met');
    });
    assert.deepEqual(await faultsOf(log), []);
  });

  it('answers a repeated key with the first answer, in flight, later, and in another process', async () => {
    const log = memoryLog();
    await withLedgers(log, 2, async ([one, two]) => {
      await give(one!, 'ann', { coins: 10 });
      const command = { key: 'k/1', fingerprint: 'f', decide: transfer('ann', 'bob', 'coins', 10) };
      const [first, second] = await Promise.all([one!.execute(command), one!.execute(command)]);
      assert.deepEqual([first.isRepeat, second.isRepeat], [false, true]);
      const later = await one!.execute(command);
      // There the money is spent already, so deciding alone would refuse it.
      const elsewhere = await two!.execute(command);
      for (const repeat of [second, later, elsewhere]) {
        assert.equal(repeat.position, first.position);
        assert.deepEqual(repeat.events[0]!.payload, first.events[0]!.payload);
        assert.equal(repeat.isRepeat, true);
      }
      for (const ledger of [one!, two!]) {
        assert.equal(await codeOf(ledger.execute({ ...command, fingerprint: 'other' })), 'KEY_REUSED');
      }
      assert.equal(await coins(two!, 'bob'), 10);
    });
    assert.equal(await lengthOf(log), 2);
  });

  it('takes back a repeat that it decided anew, with all that stood on it', async () => {
    const log = memoryLog();
    await withLedgers(log, 2, async ([one, two]) => {
      await give(one!, 'ann', { coins: 100 });
      const command = { key: 'k/1', decide: transfer('ann', 'bob', 'coins', 40) };
      await one!.execute(command);
      const [repeat, next] = await Promise.all([
        two!.execute(command),
        two!.execute({ decide: transfer('bob', 'cat', 'coins', 40) }),
      ]);
      assert.equal(repeat.isRepeat, true);
      assert.equal(next.isRepeat, false);
      assert.deepEqual([await coins(two!, 'ann'), await coins(two!, 'bob'), await coins(two!, 'cat')], [60, 0, 40]);
    });
    assert.deepEqual(await faultsOf(log), []);
  });

  it('believes nothing that the log did not take: who was given it cannot spend it', async () => {
    const log = new BreakableLog(memoryLog());
    await withLedgers(log, 1, async ([ledger]) => {
      await give(ledger!, 'ann', { coins: 10 });
      log.breaks = ['before'];
      const lost = ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 10) });
      const onTop = ledger!.execute({ decide: transfer('bob', 'cat', 'coins', 10) });
      const seen = coins(ledger!, 'cat');
      assert.equal(await codeOf(lost), 'DATABASE_UNAVAILABLE');
      assert.equal(await codeOf(onTop), 'FUNDS_SHORT');
      assert.equal(await seen, 0);
      assert.equal(await coins(ledger!, 'ann'), 10);
    });
    assert.deepEqual(await faultsOf(log), []);
  });

  it('finds out what came of an unknown outcome before it decides anything else', async () => {
    const log = new BreakableLog(memoryLog());
    await withLedgers(log, 1, async ([ledger]) => {
      await give(ledger!, 'ann', { coins: 10 });
      log.breaks = ['after'];
      const command = { key: 'pay', decide: transfer('ann', 'bob', 'coins', 10) };
      assert.equal(await codeOf(ledger!.execute(command)), 'DATABASE_UNAVAILABLE');
      assert.equal(await codeOf(ledger!.execute({ decide: transfer('ann', 'cat', 'coins', 10) })), 'FUNDS_SHORT');
      assert.equal((await ledger!.execute(command)).isRepeat, true);
      assert.equal(await coins(ledger!, 'bob'), 10);
    });
    assert.deepEqual(await faultsOf(log), []);
  });

  it('answers nothing from memory while the log is down, and goes on when it is back', async () => {
    const log = new BreakableLog(memoryLog());
    await withLedgers(log, 1, async ([ledger]) => {
      await give(ledger!, 'ann', { coins: 10 });
      log.isDown = true;
      assert.equal(
        await codeOf(ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 1) })),
        'DATABASE_UNAVAILABLE',
      );
      assert.equal(
        await codeOf(ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 1) })),
        'DATABASE_UNAVAILABLE',
      );
      log.isDown = false;
      await ledger!.execute({ decide: transfer('ann', 'bob', 'coins', 1) });
      assert.equal(await coins(ledger!, 'bob'), 1);
    });
  });

  it('takes so many commands at once, and refuses the next', async () => {
    const log = memoryLog();
    const ledger = await Ledger.open({ log, pendingMax: 3 });
    await give(ledger, 'ann', { coins: 10 });
    const codes = await Promise.all(
      Array.from({ length: 5 }, () => codeOf(ledger.execute({ decide: transfer('ann', 'bob', 'coins', 1) }))),
    );
    assert.deepEqual(codes, ['fine', 'fine', 'fine', 'OVERLOADED', 'OVERLOADED']);
    await ledger.close();
  });

  it('does with its key what it had no room for, when it is asked again', async () => {
    const log = memoryLog();
    const ledger = await Ledger.open({ log, pendingMax: 1 });
    await give(ledger, 'ann', { coins: 10 });
    const command = { key: 'k', fingerprint: 'f', decide: transfer('ann', 'bob', 'coins', 1) };
    const [, refused] = await Promise.all([
      ledger.execute({ decide: transfer('ann', 'bob', 'coins', 1) }),
      codeOf(ledger.execute(command)),
    ]);
    assert.equal(refused, 'OVERLOADED');
    assert.equal((await ledger.execute(command)).isRepeat, false);
    assert.equal(await coins(ledger, 'bob'), 2);
    await ledger.close();
  });

  it('sees what another process did without being asked to', async () => {
    const log = memoryLog();
    await withLedgers(log, 2, async ([one, two]) => {
      const heard = new Promise<void>((resolve) => two!.onDurable(() => resolve()));
      await give(one!, 'ann', { coins: 10 });
      await heard;
      assert.equal(await coins(two!, 'ann'), 10);
    });
  });
});

describe('holds', () => {
  it('set aside, go back, or are paid in part with a fee, once', async () => {
    const log = memoryLog();
    await withLedgers(log, 1, async ([ledger]) => {
      const sword = newId('i');
      await give(ledger!, 'ann', { coins: 100, 'item/flare': 2 }, [[sword, 'helmet']]);
      const why = { reason: 'order', cause: 'test' };
      await ledger!.execute({
        decide: hold(
          'h1',
          'ann',
          [
            ['coins', 80],
            ['item/flare', 2],
          ],
          [sword],
          why,
        ),
      });
      const run = (decide: Decide) => codeOf(ledger!.execute({ decide }));
      assert.equal(await run(transfer('ann', 'bob', 'coins', 21)), 'FUNDS_SHORT');
      assert.equal(await run(transfer('ann', 'bob', 'item/flare', 1)), 'ITEM_HELD');
      assert.equal(await run(hold('h2', 'ann', [], [sword], why)), 'ITEM_HELD');
      assert.equal(await run(capture('h1', { toId: 'bob', assets: [['coins', 81]], ...why })), 'FUNDS_SHORT');
      assert.equal(await run(capture('h1', { toId: 'ann', ...why })), 'SELF_TRANSFER');
      await ledger!.execute({
        decide: capture('h1', { toId: 'bob', assets: [['coins', 50]], itemIds: [sword], fees: [['coins', 5]], ...why }),
      });
      assert.equal(await coins(ledger!, 'ann'), 50);
      assert.equal(await coins(ledger!, 'ann', 'item/flare'), 2);
      assert.equal(await coins(ledger!, 'bob'), 45);
      assert.equal(await ledger!.query((state) => state.balance('fees', 'coins')), 5);
      assert.equal(await ledger!.query((state) => state.item(sword)?.owner), 'player:bob');
      assert.equal(await run(release('h1', why)), 'HOLD_CLOSED');
      assert.equal(await run(capture('h1', { toId: 'bob', ...why })), 'HOLD_CLOSED');
      assert.equal(await run(release('nobody', why)), 'HOLD_UNKNOWN');
      assert.equal(await run(hold('h1', 'ann', [['coins', 1]], [], why)), 'HOLD_CLOSED');
    });
    assert.deepEqual(await faultsOf(log), []);
  });
});

describe('any history', () => {
  it('of three processes leaves the ledger sound, whatever breaks, and the same in each of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 80 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.constantFrom('before' as const, 'after' as const)), {
          maxLength: 4,
        }),
        async (steps, breaks) => {
          const inner = memoryLog();
          const logs = [0, 1, 2].map(() => new BreakableLog(inner));
          const ledgers = await Promise.all(logs.map((log) => Ledger.open({ log })));
          for (const name of PLAYERS) await give(ledgers[0]!, name, { coins: 100 });
          const running: Promise<string>[] = [];
          for (const [i, { ledger, burst, decide, key }] of steps.entries()) {
            for (const [at, how] of breaks) if (at === i) logs[ledger]!.breaks.push(how);
            running.push(codeOf(async () => ledgers[ledger]!.execute({ key, fingerprint: key, decide: decide() })));
            if (!burst) await Promise.all(running);
          }
          const codes = await Promise.all(running);
          assert.ok(!codes.includes('LOG_CONFLICT'), 'a conflict is not the business of who asked');
          for (const log of logs) log.breaks = [];
          // Whoever writes has seen everything.
          for (const ledger of ledgers) await give(ledger, 'ann', { coins: 1 });
          for (const ledger of ledgers.slice(0, 2)) await give(ledger, 'ann', { gems: 1 });
          assert.deepEqual(await faultsOf(inner), []);
          const fresh = await Ledger.open({ log: inner });
          const last = ledgers[1]!;
          for (const name of PLAYERS) {
            const balances = (state: import('../../src/economy/ledger-state.ts').LedgerState) =>
              [...state.balances(playerAccount(name))].sort();
            assert.deepEqual(await last.query(balances), await fresh.query(balances));
          }
          await Promise.all([fresh, ...ledgers].map((ledger) => ledger.close()));
        },
      ),
      { seed: SEED, numRuns: 150 },
    );
  });
});
