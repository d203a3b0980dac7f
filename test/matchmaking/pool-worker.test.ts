/** From a ticket to a seat, and everything that may come in between; rooms are noted, not made. */
import assert from 'node:assert/strict';
import { MemoryTickets } from '../../src/adapters/memory-tickets.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { createSteppingMatcher } from '../../src/matchmaking/matcher.ts';
import { UNSEEN_MS } from '../../src/matchmaking/pool-worker.ts';
import { entrant, NEVER, playerOf, Stage, type StageOptions } from '../fixtures/matchmaking.ts';
import { until } from '../fixtures/until.ts';

describe('the matcher of a pool', () => {
  let stage: Stage;
  /** Added to the clock of the store, ms. */
  let aheadMs = 0;
  const open = (options: Omit<StageOptions, 'cells'> = {}): Stage => {
    aheadMs = 0;
    const cells = new MemoryTickets(() => performance.timeOrigin + performance.now() + aheadMs);
    stage = new Stage({ cells, ...options });
    return stage;
  };
  afterEach(() => stage.close());

  const state = async (name: string) => (await stage.look(name)).state;
  const matched = (...names: string[]) =>
    Promise.all(
      names.map((name) =>
        until(async () => {
          const ticket = await stage.look(name);
          return ticket.state === 'matched' && ticket;
        }, `${name} to be matched`),
      ),
    );

  it('gives both of a duel a seat in the room of one match, each its own', async () => {
    const { rooms } = open();
    stage.lead();
    await stage.queue('ann');
    await stage.queue('bob');
    const [ann, bob] = await matched('ann', 'bob');
    assert.equal(ann!.match!.matchId, bob!.match!.matchId);
    assert.equal(ann!.match!.seat!.sessionId, `seat-${playerOf('ann')}`);
    assert.equal(rooms.opened.length, 1);
    assert.deepEqual(rooms.opened[0]!.players.map(({ name }) => name).sort(), ['ann', 'bob']);
    assert.equal(stage.pool.matchesMade, 1);
    assert.equal(
      stage.pool.waits.counts.reduce((sum, count) => sum + count),
      2,
    );
  });

  it('lets others have a turn while a cycle goes on', async () => {
    open();
    const matcher = createSteppingMatcher();
    stage.lead('patient', function* (...given) {
      let hadTurn = false;
      setImmediate(() => {
        hadTurn = true;
      });
      while (!hadTurn) yield;
      return yield* matcher(...given);
    });
    await stage.queue('ann');
    await stage.queue('bob');
    await matched('ann', 'bob');
  });

  it('tells who waits alone why, and how many wait', async () => {
    open();
    stage.lead();
    const { tag } = await stage.queue('ann');
    const told = await stage.matchmaking.ticketOf(playerOf('ann'), { tag, waitMs: 10_000, signal: NEVER });
    assert.equal(told.why?.code, 'TOO_FEW');
    assert.equal(told.position, 1);
    assert.equal(told.queueSize, 1);
  });

  it('stamps the rating that the server knows, and keeps those apart who are far from each other', async () => {
    open();
    stage.players.ratings.set(playerOf('ann'), 10);
    stage.players.ratings.set(playerOf('bob'), 40);
    stage.lead();
    await stage.queue('ann');
    await stage.queue('bob');
    await until(async () => (await stage.look('ann')).why?.code === 'RATING_WINDOW', 'ann to be told of ratings');
    await stage.queue('cid');
    stage.players.ratings.set(playerOf('dan'), 25.5);
    await stage.queue('dan');
    await matched('cid', 'dan');
    assert.equal(await state('ann'), 'queued');
  });

  it('never brings together who has blocked whom', async () => {
    open();
    stage.players.blocks.set(playerOf('bob'), [playerOf('ann')]);
    stage.lead();
    await stage.queue('ann');
    // Of the same age, either could go first.
    aheadMs += 1_000;
    await stage.queue('bob');
    await until(async () => (await stage.look('ann')).why?.code === 'BLOCKED', 'ann to be told');
    await stage.queue('cid');
    await matched('ann', 'cid');
    assert.equal(await state('bob'), 'queued');
  });

  it('puts those whose room cannot be had back with their age, and tries again', async () => {
    const { rooms } = open();
    rooms.refusals = 2;
    const before = await stage.queue('ann');
    await stage.queue('bob');
    stage.lead();
    const [ann] = await matched('ann', 'bob');
    assert.equal(ann!.ticketId, before.ticketId);
    assert.equal((await stage.store.ofPlayer(playerOf('ann')))!.returns, 2);
    assert.equal(stage.pool.seatingsFailed, 2);
    assert.equal(stage.faults.length, 2, 'said each time');
    assert.equal(stage.pool.outcomes.get('returned'), 4);
  });

  it('gives no seat to who was barred meanwhile, and the other waits on with its age', async () => {
    const { rooms } = open();
    stage.players.barred.set('s-ann', 'ACCOUNT_BANNED');
    await stage.queue('ann');
    const bob = await stage.queue('bob');
    stage.lead();
    await until(async () => (await state('ann')) === 'cancelled', 'ann to be refused');
    assert.equal((await stage.look('ann')).code, 'ACCOUNT_BANNED');
    await stage.queue('cid');
    await matched('bob', 'cid');
    assert.equal((await stage.look('bob')).ticketId, bob.ticketId);
    assert.equal(rooms.opened.length, 1);
  });

  it('ends what nobody asks about any more', async () => {
    open();
    stage.lead();
    await stage.queue('ann');
    aheadMs += UNSEEN_MS / 2;
    await stage.look('ann');
    aheadMs += UNSEEN_MS / 2 + 1;
    await until(() => stage.pool.cycles.counts.reduce((sum, count) => sum + count) > 3, 'some cycles');
    const record = await stage.store.ofPlayer(playerOf('ann'));
    assert.equal(record?.state, 'queued', 'who asks in between is there');
    aheadMs += UNSEEN_MS;
    const gone = await until(async () => {
      const found = await stage.store.ofPlayer(playerOf('ann'));
      return found?.state === 'cancelled' && found;
    }, 'the ticket to be ended');
    assert.equal(gone.code, 'TICKET_ABANDONED');
  });

  describe('asks a party that is found a match', () => {
    const party = async (...names: [string, ...string[]]) => {
      const [leader, ...others] = names;
      const { code } = await stage.matchmaking.createParty(entrant(leader));
      for (const name of others) await stage.matchmaking.joinParty(entrant(name), code, '127.0.0.1');
    };
    const asked = (name: string) =>
      until(async () => {
        const ticket = await stage.look(name);
        return ticket.readyCheck?.isAsked && ticket;
      }, `${name} to be asked`);

    it('whether everybody is there, and seats it when they are', async () => {
      const { rooms } = open({ readyCheck: 'parties', rules: { teamSize: 3, playersMin: 3 } });
      await party('ann', 'amy');
      stage.lead();
      await stage.queue('ann');
      await stage.queue('bob');
      const { readyCheck } = await asked('amy');
      assert.deepEqual({ players: readyCheck!.players, ready: readyCheck!.ready }, { players: 2, ready: 0 });
      assert.equal((await stage.look('bob')).readyCheck!.isAsked, false, 'who came alone has just said so');
      await stage.matchmaking.answerReadyCheck(playerOf('amy'), true);
      assert.equal((await stage.look('ann')).readyCheck!.ready, 1);
      assert.equal(rooms.opened.length, 0);
      await stage.matchmaking.answerReadyCheck(playerOf('ann'), true);
      await matched('ann', 'amy', 'bob');
    });

    it('and cancels it at the first no, while the others wait on in front', async () => {
      open({ readyCheck: 'parties', rules: { teamSize: 3, playersMin: 3 } });
      await party('ann', 'amy');
      stage.lead();
      await stage.queue('ann');
      const bob = await stage.queue('bob');
      await asked('amy');
      await stage.matchmaking.answerReadyCheck(playerOf('amy'), false);
      await until(async () => (await state('ann')) === 'cancelled', 'the ticket to be cancelled');
      const { code, byPlayerId } = await stage.look('ann');
      assert.deepEqual({ code, byPlayerId }, { code: 'READY_DECLINED', byPlayerId: playerOf('amy') });
      const after = await stage.look('bob');
      assert.deepEqual([after.state, after.ticketId, after.position], ['queued', bob.ticketId, 1]);
    });

    it('and cancels it when somebody says nothing in time', async () => {
      open({ readyCheck: 'parties', readyCheckMs: 30_000, rules: { teamSize: 3, playersMin: 3 } });
      await party('ann', 'amy');
      stage.lead();
      await stage.queue('ann');
      await stage.queue('bob');
      await asked('amy');
      await stage.matchmaking.answerReadyCheck(playerOf('ann'), true);
      aheadMs += 30_000;
      await until(async () => (await state('ann')) === 'cancelled', 'the ticket to be cancelled');
      const { code, byPlayerId } = await stage.look('amy');
      assert.deepEqual({ code, byPlayerId }, { code: 'READY_TIMEOUT', byPlayerId: playerOf('amy') });
      assert.equal(await state('bob'), 'queued');
    });
  });

  it('fills running matches that ask for players, and lets each alone for a while', async () => {
    const { rooms } = open({ rules: { teamSize: 4 } });
    const vacancies = { roomName: 'duel', roomId: 'r1', matchId: 'running', freeSeats: [2] };
    stage.matchmaking.ask({ ...vacancies, players: [{ playerId: playerOf('zoe'), team: 0 }] });
    stage.lead();
    await stage.queue('ann');
    const [ann] = await matched('ann');
    assert.deepEqual(ann!.match, {
      matchId: 'running',
      seat: { name: 'duel', sessionId: `seat-${playerOf('ann')}`, roomId: 'r1', processId: 'here' },
    });
    await stage.queue('bob');
    await until(async () => (await stage.look('bob')).why !== null, 'bob to be looked at');
    assert.equal(rooms.filled.length, 1, 'it has not said anew what is free');
    assert.equal(stage.pool.backfillsMade, 1);
  });

  it('asks nobody into a match that nobody plays, or that asks no more', async () => {
    const { rooms } = open({ rules: { teamSize: 4 } });
    const match = { roomName: 'duel', roomId: 'r1', matchId: 'm1', freeSeats: [3] };
    stage.matchmaking.ask({ ...match, players: [] });
    stage.matchmaking.ask({ ...match, matchId: 'm2', players: [{ playerId: playerOf('zoe'), team: 0 }] });
    await until(async () => (await stage.store.wanting('duel')).length === 1, 'the second to be heard');
    stage.matchmaking.end('m2');
    await until(async () => (await stage.store.wanting('duel')).length === 0, 'it to end');
    stage.lead();
    await stage.queue('ann');
    await until(async () => (await stage.look('ann')).why !== null, 'ann to be looked at');
    assert.deepEqual(rooms.filled, []);
  });

  it('is one at a time; what a dead one left is given back by the next, and what comes of it is refused', async () => {
    const { rooms } = open();
    const stuck = Promise.withResolvers<void>();
    rooms.delay = stuck.promise;
    const first = stage.lead('first');
    await stage.queue('ann');
    await stage.queue('bob');
    const [left] = await until(async () => {
      const pending = await stage.store.pending('duel');
      return pending.length > 0 && pending;
    }, 'the match to be claimed');
    // As if it had died: its lease goes to another while its room is being made.
    await stage.store.cells.yieldLease('duel', 'first');
    await stage.store.cells.lease('duel', 'usurper', 60_000);
    const { fence } = (await stage.store.cells.lease('duel', 'usurper', 60_000))!;
    await stage.store.release(left!.matchId, new Map(), { pool: 'duel', fence });
    rooms.delay = Promise.resolve();
    stuck.resolve();
    await until(() => stage.pool.fenced > 0, 'the first to be refused');
    assert.equal(await state('ann'), 'queued');
    await stage.store.cells.yieldLease('duel', 'usurper');
    await matched('ann', 'bob');
    await first.stop();
  });

  it('that stops hands its pool over at once', async () => {
    open();
    const first = stage.lead();
    await until(() => stage.pool.isLeading, 'the first to lead');
    const second = stage.lead();
    await first.stop();
    const { takeovers } = stage.pool;
    await until(() => stage.pool.takeovers > takeovers || stage.pool.isLeading, 'the second to lead');
    await stage.queue('ann');
    await stage.queue('bob');
    await matched('ann', 'bob');
    await second.stop();
  });

  it('does not queue at a drain, for an unknown mode, a party that is too large, or as who does not lead', async () => {
    open();
    const code = (work: Promise<unknown>) => work.then(String, (error: GameError) => error.code);
    assert.equal(await code(stage.matchmaking.enqueue(entrant('ann'), 'none', null)), 'MODE_UNKNOWN');
    const { code: invitation } = await stage.matchmaking.createParty(entrant('ann'));
    for (const name of ['bob', 'cid']) await stage.matchmaking.joinParty(entrant(name), invitation, 'here');
    assert.equal(await code(stage.queue('bob')), 'PARTY_NOT_LEADER');
    assert.equal(await code(stage.queue('ann')), 'PARTY_FULL');
    await stage.matchmaking.kick(playerOf('ann'), playerOf('cid'));
    const both = await stage.queue('ann');
    assert.deepEqual(both.playerIds, [playerOf('ann'), playerOf('bob')]);
    assert.equal(await code(stage.queue('bob')), 'PARTY_NOT_LEADER');
    assert.equal(await code(stage.queue('ann')), 'TICKET_EXISTS');
    stage.isDraining = true;
    assert.equal(await code(stage.queue('dan')), 'DRAINING');
  });

  it('takes latencies of regions that there are, and of a party the worst of those all have', async () => {
    open();
    const { code } = await stage.matchmaking.createParty(entrant('ann'));
    await stage.matchmaking.joinParty(entrant('bob', { north: 90, south: 20, atlantis: 1 }), code, 'here');
    await stage.queue('ann', { north: 30 });
    assert.deepEqual((await stage.store.ofPlayer(playerOf('bob')))!.ticket.latencies, { north: 90 });
  });

  it('lets one player try some invitations, and then no more for a while', async () => {
    open();
    const codes: string[] = [];
    for (let at = 0; at < 21; at++) {
      const error: unknown = await stage.matchmaking
        .joinParty(entrant('ann'), 'AAAAAAAA', `network ${at}`)
        .catch((thrown: unknown) => thrown);
      codes.push((error as GameError).code);
    }
    assert.deepEqual([...new Set(codes)], ['PARTY_UNKNOWN', 'RATE_LIMITED']);
    assert.ok(codes.slice(0, 20).every((code) => code === 'PARTY_UNKNOWN'));
  });
});
