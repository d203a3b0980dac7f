/** Matchmaking as players use it, over HTTP or through a queue room: tickets, parties, ready checks, and what became of them. */
import { randomBytes } from 'node:crypto';
import { type ErrorCode, GameError } from '../kernel/errors.ts';
import type { Mode, PlayerFacts, Region } from './mode.ts';
import { PARTY_MAX, type Parties, type Party, type PartyMember } from './parties.ts';
import { playersFull } from './rules.ts';
import { clampLatencies, partyLatencies, TICKET_LIMITS, type TicketPlayer, type WaitReason } from './ticket.ts';
import {
  isLive,
  playerTopic,
  type SeatIdentity,
  type SeatReservation,
  type TicketRecord,
  type TicketSight,
  type TicketStore,
  type WantedPlayers,
} from './ticket-store.ts';
import type { MatchmakingTotals } from './totals.ts';
import { Waiters } from './waiters.ts';

/** Longest that a question waits for news, ms. */
export const POLL_MS = 20_000;

/** Bounds what one player may do; `RateLimit` of src/ops is one. */
export interface Budget {
  take(key: string): boolean;
}

export interface MatchmakingOptions {
  readonly store: TicketStore;
  readonly parties: Parties;
  readonly modes: readonly Mode[];
  readonly players: PlayerFacts;
  readonly totals: MatchmakingTotals;
  readonly regions: () => readonly Region[];
  /** Where rooms of this process run; null where nobody measures. */
  readonly ownRegion: string | null;
  /** This process takes no new players. */
  readonly isDraining: () => boolean;
  /** Tickets and parties that one player begins. */
  readonly beginnings: Budget;
  /** Invitation codes that one player, and one network, tries. */
  readonly codeTries: Budget;
}

/** A running match with free seats. */
export type Vacancies = Omit<WantedPlayers, 'sinceMs' | 'mode' | 'region'> & { readonly roomName: string };

/** What a player brings along. */
export interface Entrant {
  readonly identity: SeatIdentity;
  /** Checked already; null: none of its own. */
  readonly name: string | null;
  /** As the client says, unchecked. */
  readonly latencies: Readonly<Record<string, unknown>>;
}

/** What became of a ticket, as its player is told. */
export type TicketStatus = 'queued' | 'ready-check' | 'matched' | 'cancelled';

export interface TicketView {
  readonly ticketId: string;
  readonly mode: string;
  /** Changes with everything that a player should hear of; what to wait for. */
  readonly tag: string;
  readonly state: TicketStatus;
  readonly partyId: string | null;
  readonly playerIds: string[];
  readonly waitedMs: number;
  /** 1 for who has waited longest; null when it does not wait. */
  readonly position: number | null;
  /** Tickets in the queue. */
  readonly queueSize: number;
  /** Why it waits; null before the first look at it, and when a match is being made. */
  readonly why: WaitReason | null;
  /** By what others waited lately, ms; null when nobody did. */
  readonly estimatedMs: number | null;
  readonly readyCheck: {
    readonly remainingMs: number;
    readonly players: number;
    readonly ready: number;
    /** This player is asked and has not answered. */
    readonly isAsked: boolean;
  } | null;
  readonly match: { readonly matchId: string; readonly seat: SeatReservation | null } | null;
  /** Why it was cancelled. */
  readonly code: ErrorCode | null;
  readonly byPlayerId: string | null;
}

export interface PartyView {
  readonly partyId: string;
  readonly tag: string;
  readonly leaderId: string;
  readonly playersMax: number;
  readonly code: string;
  /** 0: it is over; the leader can have another. */
  readonly codeRemainingMs: number;
  readonly members: { readonly playerId: string; readonly name: string | null }[];
  /** That waits for all of them. */
  readonly ticketId: string | null;
}

export class Matchmaking {
  readonly #options: MatchmakingOptions;
  readonly #modes: ReadonlyMap<string, Mode>;
  readonly #waiters = new Waiters();
  /** Matches of this process that ask for players, and those whose asking is on its way. */
  readonly #asked = new Set<string>();
  readonly #asking = new Set<string>();
  readonly #endTold: () => void;

  constructor(options: MatchmakingOptions) {
    this.#options = options;
    this.#modes = new Map(options.modes.map((mode) => [mode.rules.mode, mode]));
    this.#endTold = options.store.cells.onTold((topic) => this.#waiters.wake(topic));
  }

  get modes(): readonly Mode[] {
    return this.#options.modes;
  }

  /** Players of a party, at most. */
  get partyMax(): number {
    return PARTY_MAX;
  }

  /** Questions that wait for news. */
  get waiting(): number {
    return this.#waiters.count;
  }

  regions(): readonly Region[] {
    return this.#options.regions();
  }

  close(): void {
    this.#endTold();
    this.#waiters.close();
  }

  // Tickets -------------------------------------------------------------------------------------------------------

  /**
   * Queues a player, or the whole party that it leads. The rating is what the server knows.
   * @param key the same key gives the same ticket
   * @throws GameError DRAINING, MODE_UNKNOWN, TICKET_EXISTS, PARTY_NOT_LEADER, PARTY_FULL (more than a team of the mode
   *   holds), RATE_LIMITED, OVERLOADED, STORE_UNAVAILABLE, DATABASE_UNAVAILABLE
   */
  async enqueue(entrant: Entrant, modeName: string, key: string | null): Promise<TicketView> {
    const { store, parties, isDraining, totals } = this.#options;
    if (isDraining()) throw new GameError('DRAINING');
    const mode = this.#modes.get(modeName);
    if (mode === undefined) throw new GameError('MODE_UNKNOWN', { modes: [...this.#modes.keys()] });
    const { playerId } = entrant.identity;
    this.#begin(playerId);
    const own = this.#memberOf(entrant);
    const party = await parties.of(playerId);
    if (party !== undefined && party.leaderId !== playerId) throw new GameError('PARTY_NOT_LEADER');
    const members = party?.members.map((one) => (one.identity.playerId === playerId ? own : one)) ?? [own];
    const teamMax = Math.min(mode.rules.teamSize, playersFull(mode.rules));
    if (members.length > teamMax) throw new GameError('PARTY_FULL', { playersMax: teamMax, mode: modeName });
    const [players, blocked] = await Promise.all([
      Promise.all(members.map((member) => this.#stamped(member, modeName))),
      this.#blockedBy(members),
    ]);
    const record = await store.enqueue({
      ticket: {
        ticketId: `t-${randomBytes(16).toString('base64url')}`,
        mode: modeName,
        players,
        latencies: partyLatencies(members.map(({ latencies }) => latencies)),
        blocked,
        acceptsBackfill: true,
      },
      members: members.map(({ identity, name }) => ({ identity, name })),
      partyId: party?.partyId ?? null,
      key,
    });
    totals.of(modeName).count('queued');
    return this.#viewOf({ record, match: undefined, answers: { ready: [], declined: [] }, why: undefined }, playerId);
  }

  /**
   * The newest ticket of a player, once it is another than `tag` says, or as it is when the time is up.
   * @throws GameError TICKET_UNKNOWN if there is none; OVERLOADED, STORE_UNAVAILABLE
   */
  async ticketOf(
    playerId: string,
    { tag, waitMs, signal }: { readonly tag?: string; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<TicketView> {
    await this.#options.store.noteSeen(playerId);
    const found = await this.#waiters.newer(
      playerTopic(playerId),
      async () => {
        const sight = await this.#options.store.sightOf(playerId);
        return sight === undefined ? undefined : await this.#viewOf(sight, playerId);
      },
      (view) => view === undefined || tag === undefined || view.tag !== tag,
      tag === undefined ? 0 : Math.min(waitMs, POLL_MS),
      signal,
    );
    if (found === undefined) throw new GameError('TICKET_UNKNOWN');
    return found;
  }

  /** Its owner is there, though it does not ask. @throws GameError STORE_UNAVAILABLE */
  noteSeen(playerId: string): Promise<void> {
    return this.#options.store.noteSeen(playerId);
  }

  /**
   * Cancels what the player waits for, for its whole party; what has ended stays as it is.
   * @throws GameError TICKET_UNKNOWN, STORE_UNAVAILABLE
   */
  async cancel(playerId: string): Promise<TicketView> {
    const { store, totals } = this.#options;
    const record = await store.ofPlayer(playerId);
    if (record === undefined) throw new GameError('TICKET_UNKNOWN');
    const after = await store.cancel(record.ticket.ticketId, 'TICKET_CANCELLED', playerId);
    if (isLive(record) && after.state === 'cancelled') totals.of(record.ticket.mode).count('cancelled');
    return this.#viewOf(
      { record: after, match: undefined, answers: { ready: [], declined: [] }, why: undefined },
      playerId,
    );
  }

  /** @throws GameError TICKET_UNKNOWN if nobody asks; STORE_UNAVAILABLE */
  async answerReadyCheck(playerId: string, isReady: boolean): Promise<TicketView> {
    const { store } = this.#options;
    await store.answer(playerId, isReady);
    const sight = await store.sightOf(playerId);
    if (sight === undefined) throw new GameError('TICKET_UNKNOWN');
    return this.#viewOf(sight, playerId);
  }

  // Parties -------------------------------------------------------------------------------------------------------

  /** @throws GameError DRAINING, PARTY_MEMBER, RATE_LIMITED, STORE_UNAVAILABLE */
  async createParty(entrant: Entrant): Promise<PartyView> {
    if (this.#options.isDraining()) throw new GameError('DRAINING');
    this.#begin(entrant.identity.playerId);
    return this.#partyView(await this.#options.parties.create(this.#memberOf(entrant)));
  }

  /** @throws GameError DRAINING, PARTY_UNKNOWN, PARTY_FULL, PARTY_MEMBER, RATE_LIMITED, STORE_UNAVAILABLE */
  async joinParty(entrant: Entrant, code: string, network: string): Promise<PartyView> {
    const { codeTries, parties, isDraining } = this.#options;
    if (isDraining()) throw new GameError('DRAINING');
    if (!codeTries.take(entrant.identity.playerId) || !codeTries.take(`network ${network}`)) {
      throw new GameError('RATE_LIMITED');
    }
    return this.#partyView(await parties.join(code, this.#memberOf(entrant)));
  }

  /** @throws GameError PARTY_UNKNOWN, STORE_UNAVAILABLE */
  async updateMember(entrant: Entrant): Promise<PartyView> {
    return this.#partyView(await this.#options.parties.update(this.#memberOf(entrant)));
  }

  /**
   * The player's party, once it is another than `tag` says, or as it is when the time is up.
   * @throws GameError PARTY_UNKNOWN if it is in none; OVERLOADED, STORE_UNAVAILABLE
   */
  async partyOf(
    playerId: string,
    { tag, waitMs, signal }: { readonly tag?: string; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<PartyView> {
    const { parties } = this.#options;
    await parties.noteSeen(playerId);
    const found = await this.#waiters.newer(
      playerTopic(playerId),
      async () => {
        const party = await parties.of(playerId);
        return party === undefined ? undefined : await this.#partyView(party);
      },
      (view) => view === undefined || tag === undefined || view.tag !== tag,
      tag === undefined ? 0 : Math.min(waitMs, POLL_MS),
      signal,
    );
    if (found === undefined) throw new GameError('PARTY_UNKNOWN');
    return found;
  }

  /** @throws GameError STORE_UNAVAILABLE */
  leaveParty(playerId: string): Promise<void> {
    return this.#options.parties.leave(playerId);
  }

  /** @throws GameError PARTY_UNKNOWN, PARTY_NOT_LEADER, STORE_UNAVAILABLE */
  async kick(leaderId: string, playerId: string): Promise<PartyView> {
    return this.#partyView(await this.#options.parties.kick(leaderId, playerId));
  }

  /** @throws GameError PARTY_UNKNOWN, PARTY_NOT_LEADER, RATE_LIMITED, STORE_UNAVAILABLE */
  async renewCode(leaderId: string): Promise<PartyView> {
    this.#begin(leaderId);
    return this.#partyView(await this.#options.parties.renewCode(leaderId));
  }

  // Running matches -------------------------------------------------------------------------------------------------

  /**
   * A running match asks for players, or goes on asking; nothing where nobody queues for such, or nobody is there to be
   * joined. What is asked while the last is still on its way to the store is left out: it is asked again soon.
   */
  ask(match: Vacancies): void {
    if (match.players.length === 0) {
      this.end(match.matchId);
      return;
    }
    const modes = this.#options.modes.filter(({ roomName }) => roomName === match.roomName);
    if (modes.length === 0 || this.#asking.has(match.matchId)) return;
    const { roomName: _, ...want } = match;
    this.#asking.add(match.matchId);
    this.#asked.add(match.matchId);
    const region = this.#options.ownRegion;
    Promise.all(modes.map(({ rules }) => this.#options.store.want({ ...want, region, mode: rules.mode })))
      // A store that is away is told of by its breaker, and without it nobody is queued.
      .catch(() => undefined)
      .finally(() => this.#asking.delete(match.matchId));
  }

  /** It asks no more. */
  end(matchId: string): void {
    if (!this.#asked.delete(matchId)) return;
    for (const { rules } of this.#options.modes) {
      this.#options.store.wantNoMore(rules.mode, matchId).catch(() => undefined);
    }
  }

  // Parts -----------------------------------------------------------------------------------------------------------

  #begin(playerId: string): void {
    if (!this.#options.beginnings.take(playerId)) throw new GameError('RATE_LIMITED');
  }

  #memberOf({ identity, name, latencies }: Entrant): PartyMember {
    const regions = new Set(this.#options.regions().map(({ region }) => region));
    return { identity, name, latencies: clampLatencies(latencies, (region) => regions.has(region)) };
  }

  async #stamped({ identity: { playerId } }: PartyMember, mode: string): Promise<TicketPlayer> {
    const { mu, sigma } = await this.#options.players.ratingOf(playerId, mode);
    return { playerId, mu, sigma };
  }

  async #blockedBy(members: readonly PartyMember[]): Promise<readonly string[]> {
    const { players } = this.#options;
    const lists = await Promise.all(members.map(({ identity }) => players.blockedBy(identity.playerId)));
    const own = new Set(members.map(({ identity }) => identity.playerId));
    // Who comes in one party has chosen to.
    return [...new Set(lists.flat())].filter((playerId) => !own.has(playerId)).slice(0, TICKET_LIMITS.blockedMax);
  }

  async #viewOf({ record, match, answers, why }: TicketSight, playerId: string): Promise<TicketView> {
    const { store } = this.#options;
    const { ticket, state } = record;
    const [place, facts] = await Promise.all([store.placeOf(record), store.poolFacts(ticket.mode)]);
    const nowMs = store.nowMs();
    const waitedMs = Math.max(0, (record.endedAtMs ?? nowMs) - ticket.createdAtMs);
    const isChecking = match?.status === 'checking';
    const answered = answers.ready.length + answers.declined.length;
    return {
      ticketId: ticket.ticketId,
      mode: ticket.mode,
      tag: `${ticket.ticketId.slice(2, 8)}.${record.version}.${isChecking ? answered : 0}.${why?.code ?? ''}`,
      state: state === 'claimed' ? (isChecking ? 'ready-check' : 'queued') : state,
      partyId: record.partyId,
      playerIds: ticket.players.map((player) => player.playerId),
      waitedMs,
      position: place.before === undefined ? null : place.before + 1,
      queueSize: place.size,
      why: why ?? null,
      estimatedMs: isLive(record) && facts?.waitMsP50 != null ? Math.max(0, facts.waitMsP50 - waitedMs) : null,
      readyCheck: isChecking
        ? {
            remainingMs: Math.max(0, match.checkEndsAtMs - nowMs),
            players: match.asked.length,
            ready: answers.ready.length,
            isAsked:
              match.asked.includes(playerId) &&
              !answers.ready.includes(playerId) &&
              !answers.declined.includes(playerId),
          }
        : null,
      match: matchOf(record, playerId),
      code: record.code,
      byPlayerId: record.byPlayerId,
    };
  }

  async #partyView(party: Party): Promise<PartyView> {
    const { store } = this.#options;
    const record = await store.ofPlayer(party.leaderId);
    const isOfParty = record !== undefined && isLive(record) && record.partyId === party.partyId;
    return {
      partyId: party.partyId,
      tag: `${party.partyId.slice(2, 8)}.${party.version}.${isOfParty ? record.ticket.ticketId.slice(2, 8) : ''}`,
      leaderId: party.leaderId,
      playersMax: PARTY_MAX,
      code: party.code,
      codeRemainingMs: Math.max(0, party.codeEndsAtMs - store.nowMs()),
      members: party.members.map(({ identity, name }) => ({ playerId: identity.playerId, name })),
      ticketId: isOfParty ? record.ticket.ticketId : null,
    };
  }
}

function matchOf(record: TicketRecord, playerId: string): TicketView['match'] {
  if (record.state !== 'matched' || record.matchId === null) return null;
  return { matchId: record.matchId, seat: record.seats[playerId] ?? null };
}
