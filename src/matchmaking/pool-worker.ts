/**
 * The matcher of one pool, in one of several processes at a time: who has the lease looks at the tickets some four times
 * a second, claims what the matcher puts together, asks those who have to be asked, has rooms made and hands out seats.
 * It keeps nothing that its successor would need.
 */
import { setImmediate } from 'node:timers/promises';
import { type ErrorCode, GameError } from '../kernel/errors.ts';
import type { MatchResult, SteppingMatcher } from './matcher.ts';
import type { MatchRooms, Mode, PlayerFacts, Seated } from './mode.ts';
import type { Backfill, Match, Ticket, WaitReason } from './ticket.ts';
import { TICKET_LIMITS } from './ticket.ts';
import type { PendingMatch, SeatReservation, TicketRecord, TicketStore, WantedPlayers } from './ticket-store.ts';
import type { PoolTotals } from './totals.ts';
import type { Fenced } from './transaction.ts';

/** From one cycle to the next, ms. */
const CYCLE_MS = 250;
/** After so much work of a cycle everybody else in the process has a turn, ms: matches that are played here among them. */
const TURN_MS = 3;
/** How often a process that does not lead asks for the lease, ms. */
export const STANDBY_MS = 200;
/** A leader that is not heard of for so long is taken for dead, ms: with the above, taken over from in less than 2 s. */
export const LEASE_MS = 1_400;
/** Matches for which a room is being made at once; above, matches wait for the next cycle. */
const SEATINGS_MAX = 64;
/** How long a ticket may wait with a player of whom nothing is heard, ms; clients ask at least every 20 s. */
export const UNSEEN_MS = 45_000;
/** Abandoned tickets that one cycle looks after. */
const UNSEEN_PER_CYCLE = 100;
/** After a match that could not be seated no more are claimed for a while, doubled up to the longest, ms. */
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 5_000;
/** A room that refused a seat, or has just been given players, is let alone for so long, ms: until it has said anew. */
const ROOM_REST_MS = 9_000;
/** A reason is told again when it has changed, but its numbers at most this often, ms; and when it would be forgotten. */
const WHY_NUMBERS_MS = 3_000;
const WHY_REPEAT_MS = 20_000;
const WHY_PER_CYCLE = 200;
const POOL_FACTS_EVERY_MS = 2_000;
/** Facts about players of running matches are kept for so long, ms, and for so many. */
const FACTS_MS = 60_000;
const FACTS_MAX = 5_000;

export interface PoolWorkerOptions {
  readonly mode: Mode;
  readonly store: TicketStore;
  readonly matcher: SteppingMatcher;
  readonly rooms: MatchRooms;
  readonly players: PlayerFacts;
  readonly totals: PoolTotals;
  /** Names this process among those that may lead. */
  readonly holder: string;
  /** A fresh match id, unique over all processes and starts. */
  readonly newMatchId: () => string;
  /** How long a player has to say that it is ready, ms. */
  readonly readyCheckMs: number;
  /** What failed and was no refusal of a store. */
  readonly onFault: (error: unknown, step: string) => void;
}

interface Told {
  readonly why: WaitReason;
  readonly atMs: number;
}

interface KnownFacts {
  readonly mu: number;
  readonly sigma: number;
  readonly blocked: readonly string[];
  readonly untilMs: number;
}

export class PoolWorker {
  readonly #options: PoolWorkerOptions;
  readonly #pool: string;
  /** Records of waiting tickets, as they were when they were first seen to wait. */
  readonly #known = new Map<string, TicketRecord>();
  readonly #told = new Map<string, Told>();
  readonly #seating = new Map<string, Promise<void>>();
  /** Running matches not to be filled before, by match. */
  readonly #resting = new Map<string, number>();
  readonly #facts = new Map<string, KnownFacts>();
  #fence: Fenced | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cycling: Promise<void> = Promise.resolve();
  #isStopped = true;
  #pausedUntilMs = 0;
  #pauseMs = PAUSE_MS;
  #factsToldAtMs = 0;

  constructor(options: PoolWorkerOptions) {
    this.#options = options;
    this.#pool = options.mode.rules.mode;
  }

  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#plan(0);
  }

  /** Ends what is under way and lets go of the lease, so that another process can go on at once. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#cycling;
    await Promise.all(this.#seating.values());
    this.#options.totals.isLeading = false;
    if (this.#fence === undefined) return;
    this.#fence = undefined;
    await this.#options.store.cells.yieldLease(this.#pool, this.#options.holder).catch(() => undefined);
  }

  #plan(inMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#cycling = this.#run().then((nextMs) => this.#plan(nextMs));
    }, inMs);
  }

  /** One turn; how long until the next, ms. */
  async #run(): Promise<number> {
    const { totals } = this.#options;
    const startedAtMs = performance.now();
    try {
      if (!(await this.#lead())) return STANDBY_MS;
      await this.#cycle();
      totals.cycles.add((performance.now() - startedAtMs) / 1000);
    } catch (error) {
      this.#fail(error, 'cycle');
    }
    return Math.max(0, CYCLE_MS - (performance.now() - startedAtMs));
  }

  async #lead(): Promise<boolean> {
    const { store, holder, totals } = this.#options;
    const lease = await store.cells.lease(this.#pool, holder, LEASE_MS);
    totals.isLeading = lease !== undefined;
    if (lease === undefined) {
      this.#fence = undefined;
      totals.waiting = 0;
      totals.pending = 0;
      return false;
    }
    if (lease.isNew || this.#fence?.fence !== lease.fence) {
      // What was known was true under another lease.
      this.#known.clear();
      this.#told.clear();
      totals.takeovers++;
    }
    this.#fence = { pool: this.#pool, fence: lease.fence };
    return true;
  }

  async #cycle(): Promise<void> {
    const { store, matcher, mode, totals } = this.#options;
    const fence = this.#fence!;
    await this.#goOn(fence);
    await this.#dropUnseen();
    const records = await this.#waiting();
    totals.waiting = records.length;
    const nowMs = store.nowMs();
    const wanted = await this.#wanted(nowMs).catch((error: unknown) => {
      // Without what is known of who plays, new matches are made all the same.
      this.#fail(error, 'backfill');
      return new Map<string, readonly [Backfill, WantedPlayers]>();
    });
    const tickets = records.map(({ ticket }) => ticket);
    const backfills = [...wanted.values()].map(([backfill]) => backfill);
    const answer = await inTurns(matcher(tickets, nowMs, mode.rules, backfills));
    for (const filled of answer.backfilled) {
      const [, room] = wanted.get(filled.matchId)!;
      const match = { mode: this.#pool, region: room.region, teams: filled.teams, bots: [], roles: filled.roles };
      await this.#claim(match, room, fence);
    }
    for (const match of answer.matches) await this.#claim(match, undefined, fence);
    await this.#explain(answer.reasons, nowMs);
    await this.#tellFacts(nowMs, fence);
  }

  // Matches on their way --------------------------------------------------------------------------------------------

  /** Goes on with what was claimed, or gives it up where whoever claimed it is gone. */
  async #goOn(fence: Fenced): Promise<void> {
    const { store, totals } = this.#options;
    const pending = await store.pending(this.#pool);
    totals.pending = pending.length;
    const nowMs = store.nowMs();
    for (const match of pending) {
      if (match.status === 'checking') await this.#check(match, nowMs, fence);
      else if (!this.#seating.has(match.matchId)) await this.#release(match, new Map(), fence);
    }
  }

  async #check(match: PendingMatch, nowMs: number, fence: Fenced): Promise<void> {
    const { store, totals } = this.#options;
    const { ready, declined } = await store.answersOf(match.matchId);
    const isLate = nowMs >= match.checkEndsAtMs;
    const missing = match.asked.filter((playerId) => !ready.includes(playerId));
    if (missing.length === 0) {
      if (this.#seating.size >= SEATINGS_MAX) return;
      const seating = await store.beginSeating(match.matchId, fence);
      if (seating !== undefined) this.#seat(seating, fence);
      return;
    }
    if (declined.length === 0 && !isLate) return;
    const records = await store.getAll(match.ticketIds);
    const ended = new Map<string, { code: ErrorCode; byPlayerId: string }>();
    for (const record of records) {
      if (record === undefined) continue;
      const own = record.ticket.players.map(({ playerId }) => playerId);
      const decliner = own.find((playerId) => declined.includes(playerId));
      const silent = isLate ? own.find((playerId) => missing.includes(playerId)) : undefined;
      if (decliner !== undefined) {
        ended.set(record.ticket.ticketId, { code: 'READY_DECLINED', byPlayerId: decliner });
      } else if (silent !== undefined) {
        ended.set(record.ticket.ticketId, { code: 'READY_TIMEOUT', byPlayerId: silent });
      }
    }
    totals.count('declined', ended.size);
    await this.#release(match, ended, fence);
  }

  async #release(
    match: PendingMatch,
    ended: ReadonlyMap<string, { readonly code: ErrorCode; readonly byPlayerId: string | null }>,
    fence: Fenced,
  ): Promise<void> {
    const { store, totals } = this.#options;
    const returned = await store.release(match.matchId, ended, fence);
    totals.count('returned', returned.length);
    for (const { ticket } of returned) this.#known.delete(ticket.ticketId);
  }

  async #claim(match: Match | Omit<Match, 'quality'>, room: WantedPlayers | undefined, fence: Fenced): Promise<void> {
    const { store, mode, newMatchId, readyCheckMs } = this.#options;
    if (this.#seating.size >= SEATINGS_MAX || performance.now() < this.#pausedUntilMs) return;
    const tickets = match.teams.flat();
    if (tickets.length === 0) return;
    const isAsked = ({ players }: Ticket): boolean =>
      mode.readyCheck === 'everybody' || (mode.readyCheck === 'parties' && players.length > 1);
    const matchId = newMatchId();
    const claim = {
      matchId,
      playsMatchId: room?.matchId ?? matchId,
      match,
      roomId: room?.roomId ?? null,
      asked: tickets.filter(isAsked).flatMap(({ players }) => players.map(({ playerId }) => playerId)),
      checkMs: readyCheckMs,
    };
    const pending = await store.claim(claim, fence);
    // What is not as it was known is read again.
    for (const { ticketId } of tickets) this.#known.delete(ticketId);
    if (pending === undefined) return;
    if (room !== undefined) this.#rest(room.matchId);
    if (pending.status === 'seating') this.#seat(pending, fence);
  }

  #seat(match: PendingMatch, fence: Fenced): void {
    const work = this.#seatAll(match, fence).catch((error: unknown) => this.#fail(error, 'seat'));
    const done = work.finally(() => this.#seating.delete(match.matchId));
    this.#seating.set(match.matchId, done);
  }

  async #seatAll(match: PendingMatch, fence: Fenced): Promise<void> {
    const { store, players, totals } = this.#options;
    const records = (await store.getAll(match.ticketIds)).filter(
      (record): record is TicketRecord => record?.state === 'claimed' && record.matchId === match.matchId,
    );
    const barred = new Map<string, { code: ErrorCode; byPlayerId: string }>();
    for (const { ticket, members } of records) {
      for (const { identity } of members) {
        const code = players.barredBy(identity.signInId);
        if (code !== undefined) barred.set(ticket.ticketId, { code, byPlayerId: identity.playerId });
      }
    }
    if (barred.size > 0) {
      totals.count('barred', barred.size);
      await this.#release(match, barred, fence);
      return;
    }
    let seats: ReadonlyMap<string, SeatReservation>;
    try {
      seats = await this.#seatsOf(match, records);
    } catch (error) {
      totals.seatingsFailed++;
      this.#fail(error, 'seat');
      if (match.roomId === null) this.#pause();
      await this.#release(match, new Map(), fence);
      return;
    }
    this.#pauseMs = PAUSE_MS;
    const matched = await store.deliver(match.matchId, seats, fence);
    if (matched === undefined) return;
    if (match.roomId === null) totals.matchesMade++;
    else totals.backfillsMade++;
    totals.count('matched', matched.length);
    for (const { ticket, endedAtMs } of matched) {
      totals.noteWait(Math.max(0, (endedAtMs ?? ticket.createdAtMs) - ticket.createdAtMs));
    }
  }

  #seatsOf(match: PendingMatch, records: readonly TicketRecord[]): Promise<ReadonlyMap<string, SeatReservation>> {
    const { rooms, mode } = this.#options;
    const teamOf = new Map(match.teams.flatMap((team, at) => team.map((playerId) => [playerId, at] as const)));
    const seated: Seated[] = records.flatMap(({ members }) =>
      members.map(({ identity, name }) => ({ identity, name, team: teamOf.get(identity.playerId) ?? 0 })),
    );
    if (match.roomId !== null) return rooms.fill(match.roomId, seated);
    const { playsMatchId: matchId, region, bots } = match;
    // It asks for more as soon as it is there: those it was made for come first.
    this.#rest(matchId);
    return rooms.open({ matchId, roomName: mode.roomName, region, bots, players: seated });
  }

  /** Rooms cannot be had right now: the queue goes on, and so does its age. */
  #pause(): void {
    this.#pausedUntilMs = performance.now() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
  }

  // Tickets that wait ---------------------------------------------------------------------------------------------

  async #waiting(): Promise<readonly TicketRecord[]> {
    const { store } = this.#options;
    const ids = await store.waiting(this.#pool);
    const unknown = ids.filter((ticketId) => !this.#known.has(ticketId));
    const found = await store.getAll(unknown);
    const gone: string[] = [];
    unknown.forEach((ticketId, at) => {
      const record = found[at];
      if (record?.state === 'queued') this.#known.set(ticketId, record);
      else gone.push(ticketId);
    });
    // Its text has expired, which takes nothing out of a set.
    if (gone.length > 0) await store.forget(this.#pool, gone);
    const present = new Set(ids);
    for (const ticketId of this.#known.keys()) if (!present.has(ticketId)) this.#known.delete(ticketId);
    for (const ticketId of this.#told.keys()) if (!present.has(ticketId)) this.#told.delete(ticketId);
    return ids.flatMap((ticketId) => this.#known.get(ticketId) ?? []);
  }

  async #dropUnseen(): Promise<void> {
    const { store, totals } = this.#options;
    const unseen = await store.unseenSince(this.#pool, store.nowMs() - UNSEEN_MS, UNSEEN_PER_CYCLE);
    for (const { ticketId, playerId } of unseen) {
      if (await store.abandon(this.#pool, ticketId, playerId)) totals.count('abandoned');
    }
  }

  /** Tells those who wait why, as far as that is news. */
  async #explain(waiting: ReadonlyMap<string, WaitReason>, nowMs: number): Promise<void> {
    const { store } = this.#options;
    const news: { record: TicketRecord; why: WaitReason; isNews: boolean }[] = [];
    let turn = performance.now();
    for (const [ticketId, why] of waiting) {
      if (news.length >= WHY_PER_CYCLE) break;
      if (performance.now() - turn >= TURN_MS) {
        await setImmediate();
        turn = performance.now();
      }
      const record = this.#known.get(ticketId);
      if (record === undefined) continue;
      const told = this.#told.get(ticketId);
      const isNews = told?.why.code !== why.code;
      const ageMs = told === undefined ? Number.POSITIVE_INFINITY : nowMs - told.atMs;
      const isDue = ageMs >= WHY_REPEAT_MS || (ageMs >= WHY_NUMBERS_MS && !hasSameNumbers(told?.why, why));
      if (!isNews && !isDue) continue;
      this.#told.set(ticketId, { why, atMs: nowMs });
      news.push({ record, why, isNews });
    }
    await store.explain(news);
  }

  async #tellFacts(nowMs: number, fence: Fenced): Promise<void> {
    const { store, totals } = this.#options;
    if (nowMs - this.#factsToldAtMs < POOL_FACTS_EVERY_MS) return;
    this.#factsToldAtMs = nowMs;
    await store.tellPoolFacts(this.#pool, { waitMsP50: totals.waitMsP50, waiting: totals.waiting }, fence);
  }

  // Running matches -----------------------------------------------------------------------------------------------

  #rest(matchId: string): void {
    this.#resting.set(matchId, performance.now() + ROOM_REST_MS);
  }

  async #wanted(nowMs: number): Promise<ReadonlyMap<string, readonly [Backfill, WantedPlayers]>> {
    const { store } = this.#options;
    for (const [matchId, untilMs] of this.#resting) if (performance.now() >= untilMs) this.#resting.delete(matchId);
    const wanted = new Map<string, readonly [Backfill, WantedPlayers]>();
    for (const room of await store.wanting(this.#pool)) {
      if (this.#resting.has(room.matchId) || room.freeSeats.every((free) => free === 0)) continue;
      const players: Backfill['players'][number][] = [];
      for (const { playerId, team } of room.players) {
        const { mu, sigma, blocked } = await this.#factsOf(playerId, nowMs);
        players.push({ playerId, team, mu, sigma, blocked: [...blocked] });
      }
      const { matchId, mode, region, freeSeats, sinceMs } = room;
      wanted.set(matchId, [{ matchId, mode, region, freeSeats, players, createdAtMs: sinceMs }, room]);
    }
    return wanted;
  }

  async #factsOf(playerId: string, nowMs: number): Promise<KnownFacts> {
    const known = this.#facts.get(playerId);
    if (known !== undefined && known.untilMs > nowMs) return known;
    const { players } = this.#options;
    const [{ mu, sigma }, blocked] = await Promise.all([
      players.ratingOf(playerId, this.#pool),
      players.blockedBy(playerId),
    ]);
    const facts = { mu, sigma, blocked: blocked.slice(0, TICKET_LIMITS.blockedMax), untilMs: nowMs + FACTS_MS };
    this.#facts.delete(playerId);
    this.#facts.set(playerId, facts);
    if (this.#facts.size > FACTS_MAX) this.#facts.delete(this.#facts.keys().next().value!);
    return facts;
  }

  #fail(error: unknown, step: string): void {
    const { totals, onFault } = this.#options;
    if (error instanceof GameError && error.code === 'LEASE_LOST') {
      // Somebody else goes on: what was claimed here is given back by them.
      totals.fenced++;
      return;
    }
    onFault(error, step);
  }
}

/** Does all steps, and lets others have their turn in between. */
async function inTurns(steps: Generator<undefined, MatchResult, undefined>): Promise<MatchResult> {
  for (;;) {
    const beganAtMs = performance.now();
    do {
      const { done, value } = steps.next();
      if (done) return value;
    } while (performance.now() - beganAtMs < TURN_MS);
    await setImmediate();
  }
}

/** Whether two reasons of one code say the same, but for the time that passes anyway. */
function hasSameNumbers(a: WaitReason | undefined, b: WaitReason): boolean {
  const facts = ({ waitedMs: _, placedInMs: __, ...cause }: WaitReason): string => JSON.stringify(cause);
  return a !== undefined && facts(a) === facts(b);
}
