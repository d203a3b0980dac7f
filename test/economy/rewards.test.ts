import assert from 'node:assert/strict';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { erasureReactor } from '../../src/economy/erasure.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { REWARDS, rewardsOf, rewardsReactor } from '../../src/economy/rewards.ts';
import { AccountErased } from '../../src/events/account-events.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import type { EventLog, StoredEvent } from '../../src/events/event-log.ts';
import { MatchEnded, type MatchEndedPayload } from '../../src/events/match-events.ts';
import type { Reactor } from '../../src/events/projection.ts';
import { faultsOf, give, memoryLog } from './world.ts';

const MATCH: MatchEndedPayload = {
  matchId: 'match-1',
  roomName: 'arena',
  reason: 'completed',
  createdAtMs: 0,
  ticks: 6_000,
  tickRateHz: 60,
  standings: ['ann', 'bob', 'cat', 'dan'].map((playerId, i) => ({
    seat: i,
    playerId,
    isBot: false,
    rank: i + 1,
    ticks: 6_000,
    score: {},
  })),
};

async function appended(log: EventLog, event: ReturnType<typeof MatchEnded> | ReturnType<typeof AccountErased>) {
  const { events } = await log.append({ stream: 'test', expected: 'any', events: [event] });
  return events[0] as StoredEvent;
}

describe('rewards of matches', () => {
  it('are paid by rank, once, however often the match is told of', async () => {
    const log = memoryLog();
    const ledgers = await Promise.all([0, 1].map(() => Ledger.open({ log })));
    const event = await appended(log, MatchEnded(MATCH));
    for (let i = 0; i < 3; i++) {
      await Promise.all(ledgers.map((ledger) => rewardsReactor(ledger, log).react(event)));
    }
    const paid = await Promise.all(
      MATCH.standings.map(({ playerId }) =>
        ledgers[0]!.query((state) => state.balance(playerAccount(playerId), 'coins')),
      ),
    );
    assert.deepEqual(paid, [...REWARDS.byRank, REWARDS.takingPart]);
    assert.deepEqual(await faultsOf(log), []);
    await Promise.all(ledgers.map((ledger) => ledger.close()));
  });

  it('have a most for each player and day, whoever computes it, how often and from where', async () => {
    let nowMs = Date.UTC(2026, 10, 24) - 1;
    const log = new MemoryLog({ catalogue: EVENTS, nowMs: () => nowMs });
    const ledgers = await Promise.all([0, 1].map(() => Ledger.open({ log })));
    const [first, second] = ledgers.map((ledger) => rewardsReactor(ledger, log)) as [Reactor, Reactor];
    const duel = (matchId: string) => MatchEnded({ ...MATCH, matchId, standings: MATCH.standings.slice(0, 2) });
    const [winner, loser] = REWARDS.byRank as [number, number];
    const coins = () =>
      Promise.all(
        ['ann', 'bob'].map((each) => ledgers[0]!.query((state) => state.balance(playerAccount(each), 'coins'))),
      );
    // The day before is another day, to the millisecond.
    const eve = await appended(log, duel('eve'));
    nowMs++;
    const today: StoredEvent[] = [];
    for (let i = 0; i < 40; i++) {
      today.push(await appended(log, duel(`farmed-${i}`)));
      await give(ledgers[0]!, 'cat', { coins: 1 });
    }
    await first.react(eve);
    for (const event of today.slice(0, 25)) await first.react(event);
    // The process ends; another one is handed some of it again, and goes on.
    for (const event of today.slice(20)) await second.react(event);
    // Somebody has an old one replayed.
    for (const event of [eve, today[30]!, today[3]!, today[39]!]) await first.react(event);
    const most = REWARDS.perDayMax;
    assert.ok(25 * winner > most && 25 * loser < most && 40 * loser > most, 'or this tests nothing');
    assert.deepEqual(await coins(), [winner + most, loser + most]);
    nowMs += 86_400_000;
    await second.react(await appended(log, duel('tomorrow')));
    assert.deepEqual(await coins(), [2 * winner + most, 2 * loser + most]);
    assert.deepEqual(await faultsOf(log), []);
    await Promise.all(ledgers.map((ledger) => ledger.close()));
  });

  it('are not paid for matches cut short, to bots, or to who was hardly there', () => {
    const [first, ...rest] = MATCH.standings;
    assert.deepEqual(rewardsOf({ ...MATCH, reason: 'abandoned' }), []);
    assert.deepEqual(rewardsOf({ ...MATCH, reason: 'shutdown' }), []);
    assert.deepEqual(rewardsOf({ ...MATCH, ticks: 60 }), []);
    const of = (standings: MatchEndedPayload['standings']) =>
      rewardsOf({ ...MATCH, standings }).map((it) => it.playerId);
    assert.deepEqual(of([{ ...first!, isBot: true, playerId: '' }, ...rest]), ['bob', 'cat', 'dan']);
    assert.deepEqual(
      of([
        { ...first!, ticks: 100 },
        { ...rest[0]!, leftTick: 5_999 },
      ]),
      [],
    );
  });

  it('are no more than that for taking part when only bots were beaten', () => {
    const bots = MATCH.standings.slice(1).map((it) => ({ ...it, isBot: true, playerId: '' }));
    assert.deepEqual(rewardsOf({ ...MATCH, standings: [MATCH.standings[0]!, ...bots] }), [
      { playerId: 'ann', amountMinor: REWARDS.takingPart },
    ]);
  });
});

describe('an erased account', () => {
  it('leaves nothing behind, and is paid nothing any more', async () => {
    const log = memoryLog();
    const ledger = await Ledger.open({ log });
    const items = Array.from({ length: 600 }, (_, i) => [`i-${i}`, 'banner'] as const);
    for (let from = 0; from < 600; from += 30) await give(ledger, 'ann', { coins: 1 }, items.slice(from, from + 30));
    const reactor = erasureReactor(ledger);
    const event = await appended(log, AccountErased({ playerId: 'ann', by: 'self' }));
    await reactor.react(event);
    const length = await log.head();
    await reactor.react(event);
    assert.equal(await log.head(), length, 'done again, it does nothing');
    await rewardsReactor(ledger, log).react(await appended(log, MatchEnded(MATCH)));
    assert.deepEqual(
      await ledger.query((state) => [
        state.balances(playerAccount('ann')).size,
        state.itemsOf(playerAccount('ann')).size,
      ]),
      [0, 0],
    );
    assert.deepEqual(await faultsOf(log), []);
    await ledger.close();
  });
});
