/**
 * Tickets from the queue to a seat. Every step is one change of the cells, so that a ticket is matched once whoever dies
 * in between:
 *
 *     queued --claim--> claimed --(ready check)--> claimed --deliver--> matched
 *       ^                  |
 *       +----release-------+      cancelled: from queued and claimed
 *
 * Claims, deliveries and releases are made under the lease of the pool's matcher: who lost it is refused. What a matcher
 * left claimed when it died is released by the next. A released ticket keeps its age, so it is in front again.
 */
import type { ErrorCode } from '../kernel/errors.ts';
import { GameError } from '../kernel/errors.ts';
import type { Match, Ticket, WaitReason } from './ticket.ts';
import type { TicketCells } from './ticket-cells.ts';
import { type Fenced, type Transaction, transact } from './transaction.ts';

/** Tickets that wait in one pool. Above: OVERLOADED. */
export const POOL_MAX = 20_000;
/** Longest life of a ticket that waits, ms; the matcher's deadlines are far below. */
export const TICKET_LIFE_MS = 1_800_000;
/** How long a ticket that was matched or cancelled can still be looked at, ms. */
export const ENDED_LIFE_MS = 120_000;
/** Longest time from a claim to a delivery or a release, ms. Above, nobody was there to do either for as long. */
const MATCH_LIFE_MS = 300_000;
/** A reason for waiting is told anew within this, ms. */
const WHY_LIFE_MS = 60_000;
/** Sets forget themselves this long after the last that was put into them, ms. */
const SET_LIFE_MS = TICKET_LIFE_MS + 60_000;

/** Who takes a seat, as rooms admit it: what `admitting` of src/sessions makes of a token. */
export interface SeatIdentity {
  readonly playerId: string;
  readonly isAnonymous: boolean;
  readonly role: 'player' | 'moderator' | 'admin';
  readonly signInId: string;
}

/** A player of a ticket beside what the matcher sees. */
export interface TicketMember {
  readonly identity: SeatIdentity;
  /** As the room shall show it; null: as the room likes. */
  readonly name: string | null;
}

/** What a client's SDK takes a seat with. */
export interface SeatReservation {
  readonly name: string;
  readonly sessionId: string;
  readonly roomId: string;
  readonly processId: string;
  readonly publicAddress?: string;
}

export type TicketState = 'queued' | 'claimed' | 'matched' | 'cancelled';

/** A ticket with everything that became of it. */
export interface TicketRecord {
  readonly ticket: Ticket;
  readonly members: readonly TicketMember[];
  readonly partyId: string | null;
  /** Idempotency key that it was made with. */
  readonly key: string | null;
  readonly state: TicketState;
  /** Grows with every change of state. */
  readonly version: number;
  /** Of the match that claimed it, or that it was matched into. */
  readonly matchId: string | null;
  /** By player, once matched. */
  readonly seats: Readonly<Record<string, SeatReservation>>;
  /** Why it was cancelled. */
  readonly code: ErrorCode | null;
  /** Who cancelled it, where that was somebody. */
  readonly byPlayerId: string | null;
  /** How often it came back from a match that did not come about. */
  readonly returns: number;
  /** When it was matched or cancelled, ms; null before. */
  readonly endedAtMs: number | null;
}

/** A match on its way from the matcher to its room. */
export interface PendingMatch {
  /** Its name on the way; the match's own unless it fills a running one. */
  readonly matchId: string;
  /** The match that its tickets will play. */
  readonly playsMatchId: string;
  readonly mode: string;
  /** `checking`: its players are asked whether they are there. `seating`: its room is being made. */
  readonly status: 'checking' | 'seating';
  /** Under which lease it was claimed, or taken on. */
  readonly fence: number;
  readonly ticketIds: readonly string[];
  readonly region: string | null;
  /** Player ids by team. */
  readonly teams: readonly (readonly string[])[];
  readonly bots: readonly number[];
  readonly roles: Readonly<Record<string, string>>;
  /** The running room that it fills; null for a new one. */
  readonly roomId: string | null;
  /** Who has to say that it is there. */
  readonly asked: readonly string[];
  /** Until when, by the store's clock, ms. */
  readonly checkEndsAtMs: number;
}

/** Who has answered a ready check. */
export interface ReadyAnswers {
  readonly ready: readonly string[];
  readonly declined: readonly string[];
}

/** All that can be seen of a player's ticket. */
export interface TicketSight {
  readonly record: TicketRecord;
  /** While it is claimed. */
  readonly match: PendingMatch | undefined;
  readonly answers: ReadyAnswers;
  readonly why: WaitReason | undefined;
}

/** What the matcher of a pool tells of it. */
export interface PoolFacts {
  /** Median of the latest waits of those who were matched, ms; null before there were any. */
  readonly waitMsP50: number | null;
  /** Tickets that wait, as of the last cycle. */
  readonly waiting: number;
}

/** A running match that asks for players. */
export interface WantedPlayers {
  readonly matchId: string;
  readonly roomId: string;
  readonly mode: string;
  readonly region: string | null;
  /** Free seats, by team. */
  readonly freeSeats: readonly number[];
  readonly players: readonly { readonly playerId: string; readonly team: number }[];
  /** Since when it asks, by the store's clock, ms. */
  readonly sinceMs: number;
}

export interface NewTicket {
  readonly ticket: Omit<Ticket, 'createdAtMs'>;
  readonly members: readonly TicketMember[];
  readonly partyId: string | null;
  readonly key: string | null;
}

/** A match that the matcher has found, to be claimed. */
export interface Claim {
  readonly matchId: string;
  readonly playsMatchId: string;
  readonly match: Pick<Match, 'mode' | 'region' | 'teams' | 'bots' | 'roles'>;
  readonly roomId: string | null;
  /** Who has to say that it is there, and within which time; nobody: the match is made at once. */
  readonly asked: readonly string[];
  readonly checkMs: number;
}

/** A match that does not go on asking for players is forgotten after this, ms. */
export const WANT_LIFE_MS = 6_000;
/** Matches that ask for players, of which the matcher looks at so many. */
const WANTS_MAX = 500;
const POOL_FACTS_LIFE_MS = 30_000;

const poolCell = (mode: string): string => `pool/${mode}`;
const wantCell = (matchId: string): string => `want/${matchId}`;
const wantSet = (mode: string): string => `wants/${mode}`;
const ticketCell = (ticketId: string): string => `ticket/${ticketId}`;
const playerCell = (playerId: string): string => `player/${playerId}`;
const matchCell = (matchId: string): string => `match/${matchId}`;
const whyCell = (ticketId: string): string => `why/${ticketId}`;
/** Waiting tickets by age. */
const queueSet = (mode: string): string => `queue/${mode}`;
/** `ticket player`, by when the player was last heard of. */
const seenSet = (mode: string): string => `seen/${mode}`;
/** Matches on their way, by when they were claimed. */
const pendingSet = (mode: string): string => `pending/${mode}`;
/** `yes player` and `no player`. */
const answerSet = (matchId: string): string => `ready/${matchId}`;

/** What is told when anything changes for a player. */
export function playerTopic(playerId: string): string {
  return playerCell(playerId);
}

export function isLive({ state }: Pick<TicketRecord, 'state'>): boolean {
  return state === 'queued' || state === 'claimed';
}

export class TicketStore {
  readonly #cells: TicketCells;

  constructor(cells: TicketCells) {
    this.#cells = cells;
  }

  get cells(): TicketCells {
    return this.#cells;
  }

  /** By the store's clock, ms. */
  nowMs(): number {
    return this.#cells.nowMs();
  }

  /**
   * Puts a ticket into the queue of its mode; the one there is, if that was made with the same key.
   * @throws GameError TICKET_EXISTS with `ticketId` and `playerId` if one of its players waits already; OVERLOADED above
   *   {@link POOL_MAX}; STORE_UNAVAILABLE
   */
  async enqueue({ ticket, members, partyId, key }: NewTicket): Promise<TicketRecord> {
    const queue = await this.#cells.rank(queueSet(ticket.mode), ticket.ticketId);
    if (queue.size >= POOL_MAX) throw new GameError('OVERLOADED', { ticketsMax: POOL_MAX });
    return transact(this.#cells, async (tx) => {
      const playerIds = ticket.players.map(({ playerId }) => playerId);
      const held = await tx.readAll<string>(playerIds.map(playerCell));
      const ids = held.filter((ticketId) => ticketId !== undefined);
      const records = await tx.readAll<TicketRecord>(ids.map(ticketCell));
      for (const record of records) {
        if (record === undefined) continue;
        if (key !== null && record.key === key) return record;
        if (!isLive(record)) continue;
        const playerId = playerIds.find((_, at) => held[at] === record.ticket.ticketId);
        throw new GameError('TICKET_EXISTS', { ticketId: record.ticket.ticketId, playerId });
      }
      const record: TicketRecord = {
        ticket: { ...ticket, createdAtMs: tx.nowMs },
        members,
        partyId,
        key,
        state: 'queued',
        version: 1,
        matchId: null,
        seats: {},
        code: null,
        byPlayerId: null,
        returns: 0,
        endedAtMs: null,
      };
      this.#write(tx, record);
      this.#queue(tx, record);
      for (const playerId of playerIds) {
        tx.write(playerCell(playerId), ticket.ticketId, TICKET_LIFE_MS);
        tx.place(seenSet(ticket.mode), seenMember(ticket.ticketId, playerId), tx.nowMs, SET_LIFE_MS);
      }
      return record;
    });
  }

  /** The newest ticket of a player, as far as it is still kept. @throws GameError STORE_UNAVAILABLE */
  async ofPlayer(playerId: string): Promise<TicketRecord | undefined> {
    const [text] = await this.#cells.read([playerCell(playerId)]);
    return text === undefined ? undefined : this.get(JSON.parse(text) as string);
  }

  /** @throws GameError STORE_UNAVAILABLE */
  async get(ticketId: string): Promise<TicketRecord | undefined> {
    const [text] = await this.#cells.read([ticketCell(ticketId)]);
    return text === undefined ? undefined : (JSON.parse(text) as TicketRecord);
  }

  /** The same with everything that can be seen of it. @throws GameError STORE_UNAVAILABLE */
  async sightOf(playerId: string): Promise<TicketSight | undefined> {
    const record = await this.ofPlayer(playerId);
    if (record === undefined) return undefined;
    const { ticketId } = record.ticket;
    const { matchId } = record;
    if (record.state !== 'claimed' || matchId === null) {
      const [why] = record.state === 'queued' ? await this.#cells.read([whyCell(ticketId)]) : [];
      return {
        record,
        match: undefined,
        answers: { ready: [], declined: [] },
        why: why === undefined ? undefined : (JSON.parse(why) as WaitReason),
      };
    }
    const [[match], answers] = await Promise.all([this.#cells.read([matchCell(matchId)]), this.answersOf(matchId)]);
    return {
      record,
      match: match === undefined ? undefined : (JSON.parse(match) as PendingMatch),
      answers,
      why: undefined,
    };
  }

  /** How many wait in the pool, and how many of them longer; undefined for one that does not wait. @throws GameError STORE_UNAVAILABLE */
  placeOf(record: TicketRecord): Promise<{ readonly size: number; readonly before: number | undefined }> {
    return this.#cells.rank(queueSet(record.ticket.mode), record.ticket.ticketId);
  }

  /** The player is still there. Whose ticket is not waiting any more is not noted. @throws GameError STORE_UNAVAILABLE */
  async noteSeen(playerId: string): Promise<void> {
    await transact(this.#cells, async (tx) => {
      const record = await this.liveWithin(tx, playerId);
      if (record === undefined) return;
      const { mode, ticketId } = record.ticket;
      tx.place(seenSet(mode), seenMember(ticketId, playerId), tx.nowMs, SET_LIFE_MS);
    });
  }

  /**
   * Ends the ticket, also one that was claimed; nothing if it has ended. What became of it.
   * @param byPlayerId who did so, where that was somebody
   * @throws GameError TICKET_UNKNOWN if it is not kept any more; STORE_UNAVAILABLE
   */
  cancel(ticketId: string, code: ErrorCode, byPlayerId: string | null = null): Promise<TicketRecord> {
    return transact(this.#cells, async (tx) => {
      const record = await this.cancelWithin(tx, ticketId, code, byPlayerId);
      if (record === undefined) throw new GameError('TICKET_UNKNOWN');
      return record;
    });
  }

  /** The same as a part of another change; undefined if it is not kept any more. */
  async cancelWithin(
    tx: Transaction,
    ticketId: string,
    code: ErrorCode,
    byPlayerId: string | null,
  ): Promise<TicketRecord | undefined> {
    const record = await tx.read<TicketRecord>(ticketCell(ticketId));
    return record !== undefined && isLive(record) ? this.#cancel(tx, record, code, byPlayerId) : record;
  }

  /** The live ticket of a player, as a part of another change. */
  async liveWithin(tx: Transaction, playerId: string): Promise<TicketRecord | undefined> {
    const ticketId = await tx.read<string>(playerCell(playerId));
    const record = ticketId === undefined ? undefined : await tx.read<TicketRecord>(ticketCell(ticketId));
    return record !== undefined && isLive(record) ? record : undefined;
  }

  /**
   * What a player answers to a ready check; its last word does not take back the first "no".
   * @throws GameError TICKET_UNKNOWN if nobody asks; STORE_UNAVAILABLE
   */
  answer(playerId: string, isReady: boolean): Promise<void> {
    return transact(this.#cells, async (tx) => {
      const record = await this.liveWithin(tx, playerId);
      const matchId = record?.state === 'claimed' ? record.matchId : null;
      const match = matchId === null ? undefined : await tx.read<PendingMatch>(matchCell(matchId));
      if (match?.status !== 'checking' || !match.asked.includes(playerId)) throw new GameError('TICKET_UNKNOWN');
      tx.place(answerSet(match.matchId), `${isReady ? 'yes' : 'no'} ${playerId}`, tx.nowMs, MATCH_LIFE_MS);
      for (const id of match.teams.flat()) tx.tell(playerTopic(id));
    });
  }

  /** @throws GameError STORE_UNAVAILABLE */
  async answersOf(matchId: string): Promise<ReadyAnswers> {
    const members = await this.#cells.members(answerSet(matchId), 1_000);
    const said = (word: string) =>
      members.filter((member) => member.startsWith(`${word} `)).map((member) => member.slice(word.length + 1));
    const declined = said('no');
    return { ready: said('yes').filter((playerId) => !declined.includes(playerId)), declined };
  }

  // What the matcher of a pool does, under its lease --------------------------------------------------------------

  /** Ids of tickets that wait, the oldest first. @throws GameError STORE_UNAVAILABLE */
  waiting(mode: string): Promise<readonly string[]> {
    return this.#cells.members(queueSet(mode), POOL_MAX);
  }

  /** @throws GameError STORE_UNAVAILABLE */
  async getAll(ticketIds: readonly string[]): Promise<readonly (TicketRecord | undefined)[]> {
    const texts = await this.#cells.read(ticketIds.map(ticketCell));
    return texts.map((text) => (text === undefined ? undefined : (JSON.parse(text) as TicketRecord)));
  }

  /** Takes ids out of the queue behind which there is no ticket any more. @throws GameError STORE_UNAVAILABLE */
  async forget(mode: string, ticketIds: readonly string[]): Promise<void> {
    await transact(this.#cells, async (tx) => {
      const records = await tx.readAll<TicketRecord>(ticketIds.map(ticketCell));
      ticketIds.forEach((ticketId, at) => {
        if (records[at]?.state !== 'queued') tx.take(queueSet(mode), ticketId);
      });
    });
  }

  /** Tickets with a player who was not heard of since, oldest first, at most `limit`. @throws GameError STORE_UNAVAILABLE */
  async unseenSince(
    mode: string,
    sinceMs: number,
    limit: number,
  ): Promise<readonly { ticketId: string; playerId: string }[]> {
    const members = await this.#cells.members(seenSet(mode), limit, sinceMs);
    return members.map((member) => {
      const [ticketId = '', playerId = ''] = member.split(' ');
      return { ticketId, playerId };
    });
  }

  /** Ends the ticket of somebody who went away; also forgets marks of tickets that are not there. @throws GameError STORE_UNAVAILABLE */
  async abandon(mode: string, ticketId: string, playerId: string): Promise<boolean> {
    return transact(this.#cells, async (tx) => {
      const record = await tx.read<TicketRecord>(ticketCell(ticketId));
      if (record === undefined || !isLive(record)) {
        tx.take(seenSet(mode), seenMember(ticketId, playerId));
        return false;
      }
      // Who is being asked, or seated, is not looked for: the check and the reservation have their own ends.
      if (record.state === 'claimed') return false;
      this.#cancel(tx, record, 'TICKET_ABANDONED', playerId);
      return true;
    });
  }

  /** Matches of the pool on their way. @throws GameError STORE_UNAVAILABLE */
  async pending(mode: string): Promise<readonly PendingMatch[]> {
    const ids = await this.#cells.members(pendingSet(mode), POOL_MAX);
    const texts = await this.#cells.read(ids.map(matchCell));
    const lost = ids.filter((_, at) => texts[at] === undefined);
    if (lost.length > 0) {
      await transact(this.#cells, async (tx) => {
        for (const matchId of lost) tx.take(pendingSet(mode), matchId);
      });
    }
    return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as PendingMatch]));
  }

  /**
   * Takes all tickets of a match out of the queue, or none.
   * @returns undefined if one of them does not wait any more
   * @throws GameError LEASE_LOST, STORE_UNAVAILABLE
   */
  async claim(
    { matchId, playsMatchId, match, roomId, asked, checkMs }: Claim,
    fence: Fenced,
  ): Promise<PendingMatch | undefined> {
    const tickets = match.teams.flat();
    const cells = tickets.map(({ ticketId }) => ticketCell(ticketId));
    return transact(
      this.#cells,
      async (tx) => {
        const records = await tx.readAll<TicketRecord>(cells);
        if (records.some((record) => record?.state !== 'queued')) return undefined;
        const pending: PendingMatch = {
          matchId,
          playsMatchId,
          mode: match.mode,
          status: asked.length > 0 ? 'checking' : 'seating',
          fence: fence.fence,
          ticketIds: tickets.map(({ ticketId }) => ticketId),
          region: match.region,
          teams: match.teams.map((team) => team.flatMap(({ players }) => players.map(({ playerId }) => playerId))),
          bots: match.bots,
          roles: match.roles,
          roomId,
          asked,
          checkEndsAtMs: tx.nowMs + checkMs,
        };
        for (const record of records as readonly TicketRecord[]) {
          this.#write(tx, { ...record, state: 'claimed', version: record.version + 1, matchId });
          tx.take(queueSet(match.mode), record.ticket.ticketId);
        }
        tx.write(matchCell(matchId), pending, MATCH_LIFE_MS);
        tx.place(pendingSet(match.mode), matchId, tx.nowMs, SET_LIFE_MS);
        return pending;
      },
      fence,
    );
  }

  /**
   * Everybody is ready: the match is to be seated now.
   * @returns undefined if it is not there to be seated any more
   * @throws GameError LEASE_LOST, STORE_UNAVAILABLE
   */
  async beginSeating(matchId: string, fence: Fenced): Promise<PendingMatch | undefined> {
    return transact(
      this.#cells,
      async (tx) => {
        const match = await tx.read<PendingMatch>(matchCell(matchId));
        if (match?.status !== 'checking') return undefined;
        const seating: PendingMatch = { ...match, status: 'seating', fence: fence.fence };
        tx.write(matchCell(matchId), seating, MATCH_LIFE_MS);
        for (const record of await this.#claimed(tx, match)) {
          this.#write(tx, { ...record, version: record.version + 1 });
        }
        return seating;
      },
      fence,
    );
  }

  /**
   * Hands out the seats of a match; those of tickets that were cancelled meanwhile stay empty.
   * @returns tickets that were matched; undefined if the match was released before
   * @throws GameError LEASE_LOST, STORE_UNAVAILABLE
   */
  async deliver(
    matchId: string,
    seats: ReadonlyMap<string, SeatReservation>,
    fence: Fenced,
  ): Promise<readonly TicketRecord[] | undefined> {
    return transact(
      this.#cells,
      async (tx) => {
        const match = await tx.read<PendingMatch>(matchCell(matchId));
        if (match?.status !== 'seating') return undefined;
        const matched = (await this.#claimed(tx, match)).map((record) => {
          const own = record.ticket.players.map(({ playerId }) => [playerId, seats.get(playerId)] as const);
          const given = Object.fromEntries(own.filter(([, seat]) => seat !== undefined));
          const { playsMatchId } = match;
          const seated = given as Record<string, SeatReservation>;
          return this.#end(tx, { ...record, state: 'matched', matchId: playsMatchId, seats: seated });
        });
        this.#close(tx, match);
        return matched;
      },
      fence,
    );
  }

  /**
   * Puts the tickets of a match that does not come about back into the queue, with their age.
   * @param ended tickets that are cancelled instead: why, and whose doing it was
   * @throws GameError LEASE_LOST, STORE_UNAVAILABLE
   */
  async release(
    matchId: string,
    ended: ReadonlyMap<string, { readonly code: ErrorCode; readonly byPlayerId: string | null }>,
    fence: Fenced,
  ): Promise<readonly TicketRecord[]> {
    return transact(
      this.#cells,
      async (tx) => {
        const match = await tx.read<PendingMatch>(matchCell(matchId));
        if (match === undefined) return [];
        const returned: TicketRecord[] = [];
        for (const record of await this.#claimed(tx, match)) {
          const { ticketId } = record.ticket;
          const end = ended.get(ticketId);
          if (end !== undefined) this.#cancel(tx, record, end.code, end.byPlayerId);
          else {
            const back: TicketRecord = {
              ...record,
              state: 'queued',
              version: record.version + 1,
              matchId: null,
              returns: record.returns + 1,
            };
            this.#write(tx, back);
            this.#queue(tx, back);
            // Heard of by being matched: who was asked need not have looked since.
            for (const { playerId } of back.ticket.players) {
              tx.place(seenSet(match.mode), seenMember(ticketId, playerId), tx.nowMs, SET_LIFE_MS);
            }
            returned.push(back);
          }
        }
        this.#close(tx, match);
        return returned;
      },
      fence,
    );
  }

  /** Says why tickets wait. `isNews`: their players are told. @throws GameError STORE_UNAVAILABLE */
  async explain(
    reasons: readonly { readonly record: TicketRecord; readonly why: WaitReason; readonly isNews: boolean }[],
  ): Promise<void> {
    if (reasons.length === 0) return;
    await transact(this.#cells, async (tx) => {
      for (const { record, why, isNews } of reasons) {
        tx.write(whyCell(record.ticket.ticketId), why, WHY_LIFE_MS);
        if (isNews) for (const { playerId } of record.ticket.players) tx.tell(playerTopic(playerId));
      }
    });
  }

  /** What the matcher tells of its pool; undefined while there is no matcher. @throws GameError STORE_UNAVAILABLE */
  async poolFacts(mode: string): Promise<PoolFacts | undefined> {
    const [text] = await this.#cells.read([poolCell(mode)]);
    return text === undefined ? undefined : (JSON.parse(text) as PoolFacts);
  }

  /** @throws GameError LEASE_LOST, STORE_UNAVAILABLE */
  async tellPoolFacts(mode: string, facts: PoolFacts, fence: Fenced): Promise<void> {
    await transact(this.#cells, async (tx) => tx.write(poolCell(mode), facts, POOL_FACTS_LIFE_MS), fence);
  }

  // Running matches with free seats --------------------------------------------------------------------------------

  /** Asks for players, or goes on asking; forgotten {@link WANT_LIFE_MS} after the last time. @throws GameError STORE_UNAVAILABLE */
  async want(wanted: Omit<WantedPlayers, 'sinceMs'>): Promise<void> {
    const { mode, matchId } = wanted;
    await transact(this.#cells, async (tx) => {
      const before = await tx.read<WantedPlayers>(wantCell(matchId));
      const sinceMs = before?.sinceMs ?? tx.nowMs;
      tx.write(wantCell(matchId), { ...wanted, sinceMs } satisfies WantedPlayers, WANT_LIFE_MS);
      tx.place(wantSet(mode), matchId, sinceMs, WANT_LIFE_MS);
    });
  }

  /** Asks no more. @throws GameError STORE_UNAVAILABLE */
  async wantNoMore(mode: string, matchId: string): Promise<void> {
    await transact(this.#cells, async (tx) => {
      tx.remove(wantCell(matchId));
      tx.take(wantSet(mode), matchId);
    });
  }

  /** Who asks for players, the oldest first. @throws GameError STORE_UNAVAILABLE */
  async wanting(mode: string): Promise<readonly WantedPlayers[]> {
    const ids = await this.#cells.members(wantSet(mode), WANTS_MAX);
    const texts = await this.#cells.read(ids.map(wantCell));
    const lost = ids.filter((_, at) => texts[at] === undefined);
    if (lost.length > 0) {
      await transact(this.#cells, async (tx) => {
        for (const matchId of lost) tx.take(wantSet(mode), matchId);
      });
    }
    return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as WantedPlayers]));
  }

  // Parts of changes --------------------------------------------------------------------------------------------

  #write(tx: Transaction, record: TicketRecord): void {
    tx.write(ticketCell(record.ticket.ticketId), record, isLive(record) ? TICKET_LIFE_MS : ENDED_LIFE_MS);
    for (const { playerId } of record.ticket.players) tx.tell(playerTopic(playerId));
  }

  #queue(tx: Transaction, { ticket }: TicketRecord): void {
    tx.place(queueSet(ticket.mode), ticket.ticketId, ticket.createdAtMs, SET_LIFE_MS);
  }

  #cancel(tx: Transaction, record: TicketRecord, code: ErrorCode, byPlayerId: string | null): TicketRecord {
    return this.#end(tx, { ...record, state: 'cancelled', code, byPlayerId });
  }

  #end(tx: Transaction, record: TicketRecord): TicketRecord {
    const { ticketId, mode, players } = record.ticket;
    const ended: TicketRecord = { ...record, version: record.version + 1, endedAtMs: tx.nowMs };
    this.#write(tx, ended);
    tx.take(queueSet(mode), ticketId);
    tx.remove(whyCell(ticketId));
    for (const { playerId } of players) {
      tx.take(seenSet(mode), seenMember(ticketId, playerId));
      tx.write(playerCell(playerId), ticketId, ENDED_LIFE_MS);
    }
    return ended;
  }

  /** Tickets that the match still holds. */
  async #claimed(tx: Transaction, match: PendingMatch): Promise<readonly TicketRecord[]> {
    const records = await tx.readAll<TicketRecord>(match.ticketIds.map(ticketCell));
    return records.filter(
      (record): record is TicketRecord => record?.state === 'claimed' && record.matchId === match.matchId,
    );
  }

  #close(tx: Transaction, { matchId, mode }: PendingMatch): void {
    tx.remove(matchCell(matchId));
    tx.take(pendingSet(mode), matchId);
  }
}

function seenMember(ticketId: string, playerId: string): string {
  return `${ticketId} ${playerId}`;
}
