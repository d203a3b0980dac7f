/**
 * What every keeper of tickets has to do: the rules of cells (src/matchmaking/ticket-cells.ts), and those of tickets that
 * are written over them once. Run by each adapter.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type ErrorCode, GameError } from '../../src/kernel/errors.ts';
import { Parties } from '../../src/matchmaking/parties.ts';
import type { Ticket } from '../../src/matchmaking/ticket.ts';
import type { CellChange, TicketCells } from '../../src/matchmaking/ticket-cells.ts';
import { type PendingMatch, type TicketRecord, TicketStore } from '../../src/matchmaking/ticket-store.ts';
import { until } from '../fixtures/until.ts';

export interface CellsHarness {
  readonly cells: TicketCells;
  /** The same cells as another process has them. */
  readonly others: TicketCells;
  dispose(): Promise<void>;
}

const NOTHING: CellChange = { expect: new Map(), write: [], remove: [], place: [], take: [], tell: [] };
const MINUTE_MS = 60_000;

export const seat = (roomId: string) => ({ name: 'arena', sessionId: `s${roomId}`, roomId, processId: 'p' });
export const playerOf = (name: string) => `a-${name.padStart(22, '0')}`;

export function memberOf(name: string) {
  const identity = { playerId: playerOf(name), isAnonymous: true, role: 'player' as const, signInId: `s-${name}` };
  return { identity, name, latencies: {} };
}

export async function refusal(work: Promise<unknown>): Promise<ErrorCode> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof GameError, `a refusal, not ${String(error)}`);
  return error.code;
}

export function newTicket(...names: string[]) {
  const members = names.map(memberOf);
  return {
    ticket: {
      ticketId: `t-${randomUUID()}`,
      mode: 'duel',
      players: names.map((name) => ({ playerId: playerOf(name), mu: 25, sigma: 8 })),
      latencies: {},
      blocked: [],
      acceptsBackfill: true,
    },
    members,
    partyId: null,
    key: null,
  };
}

export function ticketStoreContract(name: string, open: () => Promise<CellsHarness>): void {
  describe(`cells of ${name}`, () => {
    let harness: CellsHarness;
    let cells: TicketCells;
    beforeEach(async () => {
      harness = await open();
      ({ cells } = harness);
    });
    afterEach(() => harness.dispose());

    const write = (cell: string, text: string, lifeMs = MINUTE_MS) => ({ name: cell, text, lifeMs });

    it('hold what is written until it is removed or its time is over', async () => {
      const text = JSON.stringify({ name: 'Zoë "x" \\ 🙂', list: [] });
      assert.equal(await cells.commit({ ...NOTHING, write: [write('a', text), write('b', '1', 40)] }), 'done');
      assert.deepEqual(await cells.read(['a', 'none', 'b']), [text, undefined, '1']);
      await until(async () => (await cells.read(['b']))[0] === undefined, 'b to be forgotten');
      assert.equal(await cells.commit({ ...NOTHING, remove: ['a'] }), 'done');
      assert.deepEqual(await harness.others.read(['a']), [undefined]);
    });

    it('change together or not at all, and only from what was expected', async () => {
      await cells.commit({ ...NOTHING, write: [write('a', '1')] });
      const change = (expect: [string, string | undefined][]): CellChange => ({
        ...NOTHING,
        expect: new Map(expect),
        write: [write('a', '2'), write('b', '2')],
        place: [{ set: 's', member: 'm', score: 1, lifeMs: MINUTE_MS }],
        tell: ['x'],
      });
      for (const wrong of [
        [['a', '0']],
        [['a', undefined]],
        [
          ['a', '1'],
          ['b', '1'],
        ],
      ] as [string, string | undefined][][]) {
        assert.equal(await cells.commit(change(wrong)), 'conflict');
        assert.deepEqual(await cells.read(['a', 'b']), ['1', undefined]);
        assert.deepEqual(await cells.members('s', 9), []);
      }
      assert.equal(
        await cells.commit(
          change([
            ['a', '1'],
            ['b', undefined],
          ]),
        ),
        'done',
      );
      assert.deepEqual(await cells.read(['a', 'b']), ['2', '2']);
    });

    it('sort members by score and then by name, and say how many come before one', async () => {
      const place = (member: string, score: number) => ({ set: 's', member, score, lifeMs: MINUTE_MS });
      const later = 1_764_000_000_123;
      await cells.commit({
        ...NOTHING,
        place: [place('c', later), place('b', 2), place('a', later), place('d', later - 1)],
      });
      assert.deepEqual(await cells.members('s', 9), ['b', 'd', 'a', 'c']);
      assert.deepEqual(await cells.members('s', 2), ['b', 'd']);
      assert.deepEqual(await cells.members('s', 9, later - 1), ['b', 'd']);
      assert.deepEqual(await cells.rank('s', 'a'), { size: 4, before: 2 });
      assert.deepEqual(await cells.rank('s', 'x'), { size: 4, before: undefined });
      assert.deepEqual(await cells.rank('none', 'x'), { size: 0, before: undefined });
      await cells.commit({ ...NOTHING, place: [place('b', later + 1)], take: [{ set: 's', member: 'd' }] });
      assert.deepEqual(await cells.members('s', 9), ['a', 'c', 'b']);
    });

    it('give a lease to one holder at a time, with a fence that grows, and refuse changes under any other', async () => {
      const first = await cells.lease('duel', 'me', MINUTE_MS);
      assert.equal(first?.isNew, true);
      assert.equal(await harness.others.lease('duel', 'you', MINUTE_MS), undefined);
      assert.deepEqual(await cells.lease('duel', 'me', 60), { fence: first.fence, isNew: false });
      const second = await until(() => harness.others.lease('duel', 'you', MINUTE_MS), 'the lease to end');
      assert.ok(second.isNew && second.fence > first.fence);
      const under = (fence: number): CellChange => ({
        ...NOTHING,
        fence: { pool: 'duel', fence },
        write: [write('a', 'x')],
      });
      assert.equal(await cells.commit(under(first.fence)), 'fenced');
      assert.deepEqual(await cells.read(['a']), [undefined]);
      assert.equal(await cells.commit(under(second.fence)), 'done');
      await cells.yieldLease('duel', 'me');
      assert.equal(await cells.lease('duel', 'me', MINUTE_MS), undefined, 'only the holder lets go of it');
      await harness.others.yieldLease('duel', 'you');
      const third = await cells.lease('duel', 'me', MINUTE_MS);
      assert.ok(third !== undefined && third.fence > second.fence);
    });

    it('tell every process what has changed', async () => {
      const heard: [string[], string[]] = [[], []];
      const ends = [cells, harness.others].map((one, at) => one.onTold((topic) => heard[at]!.push(topic!)));
      await cells.commit({ ...NOTHING, tell: ['player/a', 'player/b'] });
      await until(() => heard.every((topics) => topics.length === 2), 'both to hear of both');
      assert.deepEqual(heard, [
        ['player/a', 'player/b'],
        ['player/a', 'player/b'],
      ]);
      for (const end of ends) end();
    });
  });

  describe(`tickets in ${name}`, () => {
    let harness: CellsHarness;
    let store: TicketStore;
    let others: TicketStore;
    let matches = 0;
    beforeEach(async () => {
      harness = await open();
      store = new TicketStore(harness.cells);
      others = new TicketStore(harness.others);
    });
    afterEach(() => harness.dispose());

    const lead = async (holder = 'me') => {
      const { fence } = (await store.cells.lease('duel', holder, MINUTE_MS))!;
      return { pool: 'duel', fence };
    };
    const claimOf = (records: readonly TicketRecord[], more: { asked?: string[]; checkMs?: number } = {}) => {
      const matchId = `m${++matches}`;
      const teams: Ticket[][] = records.map(({ ticket }) => [ticket]);
      const match = { mode: 'duel', region: null, teams, bots: [], roles: {} };
      return { matchId, playsMatchId: matchId, match, roomId: null, asked: [], checkMs: MINUTE_MS, ...more };
    };
    const stateOf = async (record: TicketRecord) => (await others.get(record.ticket.ticketId))?.state;

    it('wait in the order of their age, and are found by each of their players', async () => {
      const made: TicketRecord[] = [];
      for (const names of [['ann', 'bob'], ['cid'], ['dan']]) made.push(await store.enqueue(newTicket(...names)));
      assert.deepEqual([...(await others.waiting('duel'))].sort(), made.map(({ ticket }) => ticket.ticketId).sort());
      for (const player of ['ann', 'bob']) assert.deepEqual(await others.ofPlayer(playerOf(player)), made[0]);
      assert.equal((await others.placeOf(made[2]!)).size, 3);
      assert.equal(await others.ofPlayer(playerOf('eve')), undefined);
    });

    it('are one for each player: another is refused, the same key gives the same', async () => {
      const first = await store.enqueue({ ...newTicket('ann', 'bob'), key: 'k1' });
      assert.equal(await refusal(others.enqueue(newTicket('bob'))), 'TICKET_EXISTS');
      assert.deepEqual(await others.enqueue({ ...newTicket('ann', 'bob'), key: 'k1' }), first);
      assert.equal((await store.waiting('duel')).length, 1);
      await store.cancel(first.ticket.ticketId, 'TICKET_CANCELLED', playerOf('ann'));
      const second = await others.enqueue(newTicket('bob'));
      assert.equal(second.state, 'queued');
      assert.equal((await store.get(first.ticket.ticketId))?.code, 'TICKET_CANCELLED');
    });

    it('of many at once by one player one is made', async () => {
      const tries = await Promise.allSettled(
        Array.from({ length: 12 }, (_, at) => [store, others][at % 2]!.enqueue(newTicket('ann'))),
      );
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal((await store.waiting('duel')).length, 1);
    });

    it('are claimed once: of two matches that want the same ticket one is made', async () => {
      const [ann, bob, cid] = [
        await store.enqueue(newTicket('ann')),
        await store.enqueue(newTicket('bob')),
        await store.enqueue(newTicket('cid')),
      ];
      const fence = await lead();
      const claims = await Promise.all([
        store.claim(claimOf([ann, bob]), fence),
        others.claim(claimOf([bob, cid]), fence),
      ]);
      assert.equal(claims.filter((match) => match !== undefined).length, 1);
      const states = await Promise.all([ann, bob, cid].map(stateOf));
      assert.equal(states.filter((state) => state === 'claimed').length, 2);
      assert.equal((await store.waiting('duel')).length, 1);
    });

    it('are matched with the seats of their players, and the match is on its way no more', async () => {
      const [ann, bob] = [await store.enqueue(newTicket('ann', 'amy')), await store.enqueue(newTicket('bob'))];
      const fence = await lead();
      const match = (await store.claim(claimOf([ann, bob]), fence))!;
      assert.equal(match.status, 'seating');
      const seats = new Map(['ann', 'amy', 'bob'].map((player) => [playerOf(player), seat(player)]));
      const matched = await store.deliver(match.matchId, seats, fence);
      assert.equal(matched?.length, 2);
      const seen = await others.ofPlayer(playerOf('amy'));
      assert.equal(seen?.state, 'matched');
      assert.deepEqual(seen.seats, { [playerOf('ann')]: seat('ann'), [playerOf('amy')]: seat('amy') });
      assert.deepEqual(await store.pending('duel'), []);
      assert.equal(await store.deliver(match.matchId, seats, fence), undefined, 'once');
      assert.equal((await store.enqueue(newTicket('bob'))).state, 'queued', 'who was matched may queue again');
    });

    it('come back with their age when the match does not come about, and so are in front', async () => {
      const ann = await store.enqueue(newTicket('ann'));
      await until(() => store.nowMs() > ann.ticket.createdAtMs, 'the clock to go on');
      const bob = await store.enqueue(newTicket('bob'));
      const fence = await lead();
      const match = (await store.claim(claimOf([ann]), fence))!;
      assert.deepEqual(await store.waiting('duel'), [bob.ticket.ticketId]);
      const [back] = await store.release(match.matchId, new Map(), fence);
      assert.equal(back?.returns, 1);
      assert.deepEqual(back.ticket, ann.ticket);
      assert.deepEqual(await store.waiting('duel'), [ann.ticket.ticketId, bob.ticket.ticketId]);
      assert.equal((await store.claim(claimOf([back, bob]), fence))?.status, 'seating');
    });

    it('are neither claimed, seated nor given back under a lease that is another’s by now', async () => {
      const ann = await store.enqueue(newTicket('ann'));
      const bob = await store.enqueue(newTicket('bob'));
      const stale = await lead('me');
      const match = (await store.claim(claimOf([ann]), stale))!;
      await store.cells.yieldLease('duel', 'me');
      const fence = await lead('you');
      assert.equal(await refusal(store.claim(claimOf([bob]), stale)), 'LEASE_LOST');
      assert.equal(await refusal(store.deliver(match.matchId, new Map(), stale)), 'LEASE_LOST');
      assert.equal(await refusal(store.release(match.matchId, new Map(), stale)), 'LEASE_LOST');
      const [left] = await others.pending('duel');
      assert.equal(left?.matchId, match.matchId, 'the next leader finds what was left');
      await others.release(match.matchId, new Map(), fence);
      assert.equal(await stateOf(ann), 'queued');
    });

    it('that were cancelled while their match was made get no seat, and the others do', async () => {
      const [ann, bob] = [await store.enqueue(newTicket('ann')), await store.enqueue(newTicket('bob'))];
      const fence = await lead();
      const match = (await store.claim(claimOf([ann, bob]), fence))!;
      await others.cancel(ann.ticket.ticketId, 'TICKET_CANCELLED', playerOf('ann'));
      const seats = new Map([ann, bob].map(({ ticket }) => [ticket.players[0]!.playerId, seat('r')]));
      const matched = await store.deliver(match.matchId, seats, fence);
      assert.deepEqual(
        matched?.map(({ ticket }) => ticket.ticketId),
        [bob.ticket.ticketId],
      );
      assert.equal(await stateOf(ann), 'cancelled');
    });

    it('are asked for readiness by name; the first no stands', async () => {
      const [ann, bob] = [await store.enqueue(newTicket('ann', 'amy')), await store.enqueue(newTicket('bob'))];
      const fence = await lead();
      const asked = [playerOf('ann'), playerOf('amy')];
      const match = (await store.claim(claimOf([ann, bob], { asked }), fence)) as PendingMatch;
      assert.equal(match.status, 'checking');
      await others.answer(playerOf('ann'), true);
      assert.equal(await refusal(others.answer(playerOf('bob'), true)), 'TICKET_UNKNOWN');
      assert.deepEqual(await store.answersOf(match.matchId), { ready: [playerOf('ann')], declined: [] });
      await others.answer(playerOf('amy'), false);
      await others.answer(playerOf('amy'), true);
      assert.deepEqual(await store.answersOf(match.matchId), { ready: [playerOf('ann')], declined: [playerOf('amy')] });
      const ended = new Map([[ann.ticket.ticketId, { code: 'READY_DECLINED' as const, byPlayerId: playerOf('amy') }]]);
      await store.release(match.matchId, ended, fence);
      assert.equal(await stateOf(ann), 'cancelled');
      assert.equal(await stateOf(bob), 'queued');
      assert.equal((await others.ofPlayer(playerOf('ann')))?.byPlayerId, playerOf('amy'));
    });

    it('of all who answer at once every answer counts', async () => {
      const names = Array.from({ length: 8 }, (_, at) => `p${at}`);
      const records = await Promise.all(names.map((player) => store.enqueue(newTicket(player))));
      const fence = await lead();
      const match = (await store.claim(claimOf(records, { asked: names.map(playerOf) }), fence))!;
      await Promise.all(names.map((player, at) => [store, others][at % 2]!.answer(playerOf(player), true)));
      assert.equal((await store.answersOf(match.matchId)).ready.length, 8);
      assert.equal((await store.beginSeating(match.matchId, fence))?.status, 'seating');
      assert.equal(await store.beginSeating(match.matchId, fence), undefined, 'once');
    });

    it('of players who are not heard of are ended; who is heard of again is not', async () => {
      const [ann, bob] = [await store.enqueue(newTicket('ann')), await store.enqueue(newTicket('bob'))];
      const nowMs = store.nowMs();
      await until(() => store.nowMs() > nowMs, 'the clock to go on');
      await others.noteSeen(playerOf('bob'));
      const unseen = await store.unseenSince('duel', nowMs, 9);
      assert.deepEqual(unseen, [{ ticketId: ann.ticket.ticketId, playerId: playerOf('ann') }]);
      assert.equal(await store.abandon('duel', ann.ticket.ticketId, playerOf('ann')), true);
      assert.equal((await others.get(ann.ticket.ticketId))?.code, 'TICKET_ABANDONED');
      assert.deepEqual(await store.waiting('duel'), [bob.ticket.ticketId]);
      assert.deepEqual(await store.unseenSince('duel', store.nowMs() + MINUTE_MS, 9), [
        { ticketId: bob.ticket.ticketId, playerId: playerOf('bob') },
      ]);
    });

    it('that have ended leave nothing but themselves behind, and that forgets itself', async () => {
      const [ann, bob] = [await store.enqueue(newTicket('ann')), await store.enqueue(newTicket('bob'))];
      const fence = await lead();
      const match = (await store.claim(claimOf([ann]), fence))!;
      await store.deliver(match.matchId, new Map([[playerOf('ann'), seat('r')]]), fence);
      await store.cancel(bob.ticket.ticketId, 'TICKET_CANCELLED');
      for (const set of ['queue/duel', 'seen/duel', 'pending/duel'])
        assert.deepEqual(await store.cells.members(set, 9), []);
      assert.deepEqual(await store.cells.read([`match/${match.matchId}`, `why/${bob.ticket.ticketId}`]), [
        undefined,
        undefined,
      ]);
    });

    it('of running matches ask for players until they stop saying so', async () => {
      const want = {
        matchId: 'm',
        roomId: 'r',
        mode: 'duel',
        region: null,
        freeSeats: [3],
        players: [{ playerId: playerOf('ann'), team: 0 }],
      };
      await store.want(want);
      const [first] = await others.wanting('duel');
      await until(() => store.nowMs() > first!.sinceMs, 'the clock to go on');
      await store.want({ ...want, freeSeats: [2] });
      assert.deepEqual(await others.wanting('duel'), [{ ...want, freeSeats: [2], sinceMs: first!.sinceMs }]);
      await others.wantNoMore('duel', 'm');
      assert.deepEqual(await store.wanting('duel'), []);
    });
  });

  describe(`parties in ${name}`, () => {
    let harness: CellsHarness;
    let store: TicketStore;
    let parties: Parties;
    beforeEach(async () => {
      harness = await open();
      store = new TicketStore(harness.cells);
      parties = new Parties(store, () => `g-${randomUUID()}`);
    });
    afterEach(() => harness.dispose());

    const namesIn = async (of: string) => (await parties.of(playerOf(of)))?.members.map(({ name: member }) => member);

    it('come together by an invitation, up to their bound, and nobody is in two', async () => {
      const party = await parties.create(memberOf('ann'));
      assert.match(party.code, /^[2-9A-HJ-NP-Y]{8}$/);
      await parties.join(party.code, memberOf('bob'));
      assert.equal((await parties.join(party.code, memberOf('bob'))).members.length, 2, 'twice is once');
      assert.equal(await refusal(parties.create(memberOf('bob'))), 'PARTY_MEMBER');
      const other = await parties.create(memberOf('zed'));
      assert.equal(await refusal(parties.join(other.code, memberOf('bob'))), 'PARTY_MEMBER');
      assert.equal(await refusal(parties.join('XXXXXXXX', memberOf('cid'))), 'PARTY_UNKNOWN');
      const tries = await Promise.allSettled(
        Array.from({ length: 9 }, (_, at) => parties.join(party.code, memberOf(`p${at}`))),
      );
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 6);
      assert.equal((await namesIn('ann'))?.length, 8);
    });

    it('are led by the next one when the leader leaves, and end with the last', async () => {
      const { code } = await parties.create(memberOf('ann'));
      await parties.join(code, memberOf('bob'));
      await parties.join(code, memberOf('cid'));
      assert.equal(await refusal(parties.kick(playerOf('bob'), playerOf('cid'))), 'PARTY_NOT_LEADER');
      await parties.leave(playerOf('ann'));
      assert.equal((await parties.of(playerOf('bob')))?.leaderId, playerOf('bob'));
      await parties.kick(playerOf('bob'), playerOf('cid'));
      assert.equal(await parties.of(playerOf('cid')), undefined);
      const { code: next } = await parties.renewCode(playerOf('bob'));
      assert.equal(await refusal(parties.join(code, memberOf('cid'))), 'PARTY_UNKNOWN', 'the old code is void');
      await parties.leave(playerOf('bob'));
      assert.equal(await refusal(parties.join(next, memberOf('cid'))), 'PARTY_UNKNOWN');
    });

    it('that change are not matched as they were, and neither is who came alone', async () => {
      const { code } = await parties.create(memberOf('ann'));
      const ofParty = await store.enqueue(newTicket('ann'));
      const ofBob = await store.enqueue(newTicket('bob'));
      await parties.join(code, memberOf('bob'));
      for (const { ticket } of [ofParty, ofBob])
        assert.equal((await store.get(ticket.ticketId))?.code, 'PARTY_CHANGED');
      const both = await store.enqueue(newTicket('ann', 'bob'));
      await parties.leave(playerOf('bob'));
      assert.deepEqual(await store.waiting('duel'), []);
      assert.equal((await store.get(both.ticket.ticketId))?.byPlayerId, playerOf('bob'));
    });
  });
}
