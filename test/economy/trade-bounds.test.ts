import assert from 'node:assert/strict';
import type { MemoryLog } from '../../src/adapters/memory-log.ts';
import { ECONOMY_LIMITS } from '../../src/economy/assets.ts';
import { cancelTrade, confirmTrade, erase, offerInTrade, openTradeWith } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { codeOf, faultsOf, give, memoryLog, newId } from './world.ts';

const { tradesOpenedMax, tradesJoinedMax, invitationsMax } = ECONOMY_LIMITS;
const NOTHING = { assets: [], itemIds: [] };

describe('the trades of a player', () => {
  let log: MemoryLog;
  let ledger: Ledger;
  let nowMs: number;

  beforeEach(async () => {
    log = memoryLog();
    nowMs = 1_000;
    ledger = await Ledger.open({ log, nowMs: () => nowMs });
  });

  afterEach(async () => {
    assert.deepEqual(await faultsOf(log), []);
    await ledger.close();
  });

  const open = async (playerId: string, otherId: string, tradeId = newId('t')): Promise<string> => {
    await ledger.execute({ decide: openTradeWith(tradeId, playerId, otherId) });
    return tradeId;
  };
  const offer = (tradeId: string, playerId: string) =>
    ledger.execute({ decide: offerInTrade(tradeId, playerId, NOTHING) });

  it('are not used up by any number of strangers who invite it', async () => {
    let refused = 0;
    for (let i = 0; i < invitationsMax + 20; i++) if ((await codeOf(open(`spam${i}`, 'ann'))) !== 'fine') refused++;
    assert.equal(refused, 20, 'invitations are bounded');
    // Ann herself opens and joins as if nobody had asked.
    for (let i = 0; i < tradesOpenedMax; i++) await open('ann', `friend${i}`);
    assert.equal(await codeOf(open('ann', 'one-more')), 'RATE_LIMITED');
    const invited = await ledger.query((state) =>
      [...state.tradesOf('ann')].filter((id) => state.trade(id)!.playerIds[1] === 'ann'),
    );
    for (const tradeId of invited.slice(0, tradesJoinedMax)) await offer(tradeId, 'ann');
    assert.equal(await codeOf(offer(invited[tradesJoinedMax]!, 'ann')), 'RATE_LIMITED');
    const confirm = { decide: confirmTrade(invited[tradesJoinedMax]!, 'ann', 1) };
    assert.equal(await codeOf(ledger.execute(confirm)), 'RATE_LIMITED');
    // One that she joined goes on, and a place becomes free when one ends.
    await offer(invited[0]!, 'ann');
    await ledger.execute({ decide: cancelTrade(invited[1]!, 'ann') });
    await ledger.execute(confirm);
    // Who takes part is no invitation any more: as many more strangers may ask.
    for (let i = 0; i < tradesJoinedMax; i++) assert.equal(await codeOf(open(`late${i}`, 'ann')), 'fine');
  });

  it('are one with each other player, whoever opened it, until it ends or its time is over', async () => {
    const first = await open('ann', 'bob');
    assert.equal(await codeOf(open('ann', 'bob')), 'RATE_LIMITED');
    assert.equal(await codeOf(open('bob', 'ann')), 'RATE_LIMITED');
    assert.equal(await codeOf(open('bob', 'cat')), 'fine');
    await ledger.execute({ decide: cancelTrade(first, 'bob') });
    await open('bob', 'ann');
    nowMs += ECONOMY_LIMITS.tradeMs;
    assert.equal(await codeOf(open('ann', 'bob')), 'fine');
  });

  it('end with its account, however many they are', async () => {
    await give(ledger, 'ann', { coins: 1 });
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < invitationsMax; i++) await open(`spam${round}-${i}`, 'ann');
      // Their time is over, and nobody has ended them yet.
      nowMs += ECONOMY_LIMITS.tradeMs;
    }
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 10, 'it ends');
      const { events } = await ledger.execute({ decide: erase('ann', 'test') });
      if (events.length === 0) break;
    }
    assert.equal(await ledger.query((state) => state.tradesOf('ann').size), 0);
  });
});
