/**
 * Looks for a match: the own ticket and party as the server has them, kept up by long polls wherever on the page the
 * player is, and the seat once there is one.
 */
import type { Api } from './api.ts';
import { Refusal } from './http.ts';
import { codeIn } from './sentences.ts';
import type { Session } from './session.ts';

const BASE = '/api/matchmaking';
/** The place in the queue moves without being news: it is asked for anew after this, s. */
const LOOK_SECONDS = 3;
const RETRY_MS = 2_000;
/** Round trips to a region, of which the fastest counts: the first one opens the connection, and any may meet a busy moment. */
const PINGS = 4;
/** For all of them to a region; the player waits for it. */
const PINGS_MS_MAX = 2_000;

/** What the SDK takes a seat with. */
export interface Seat {
  readonly name: string;
  readonly sessionId: string;
  readonly roomId: string;
  readonly processId: string;
}

export interface Why {
  readonly code: string;
  readonly [fact: string]: unknown;
}

export interface Ticket {
  readonly ticketId: string;
  readonly tag: string;
  readonly state: 'queued' | 'ready-check' | 'matched' | 'cancelled';
  readonly playerIds: readonly string[];
  readonly waitedMs: number;
  readonly position: number | null;
  readonly queueSize: number;
  readonly why: Why | null;
  readonly estimatedMs: number | null;
  readonly readyCheck: {
    readonly remainingMs: number;
    readonly players: number;
    readonly ready: number;
    readonly isAsked: boolean;
  } | null;
  readonly match: { readonly matchId: string; readonly seat: Seat | null } | null;
  readonly code: string | null;
  readonly byPlayerId: string | null;
}

export interface Party {
  readonly tag: string;
  readonly leaderId: string;
  readonly playersMax: number;
  readonly code: string;
  readonly codeRemainingMs: number;
  readonly members: readonly { readonly playerId: string; readonly name: string | null }[];
  readonly ticketId: string | null;
}

export class Finder {
  readonly #api: Api;
  readonly #session: Session;
  readonly #name: () => string;
  readonly #onSeat: (seat: Seat) => void;
  readonly #listeners = new Set<() => void>();
  #ticket: Ticket | undefined;
  /** By this page's clock, when {@link #ticket} was told. */
  #toldAtMs = 0;
  #party: Party | undefined;
  #isFollowingTicket = false;
  #isFollowingParty = false;
  /** Tickets that have ended and need not be looked at again. */
  #doneWith: string | undefined;

  /**
   * @param name as the match shall call the player
   * @param onSeat called once for each seat that was found
   */
  constructor(api: Api, session: Session, name: () => string, onSeat: (seat: Seat) => void) {
    this.#api = api;
    this.#session = session;
    this.#name = name;
    this.#onSeat = onSeat;
  }

  /** What the player waits on, or what became of it. */
  get ticket(): Ticket | undefined {
    return this.#ticket;
  }

  get party(): Party | undefined {
    return this.#party;
  }

  get isSearching(): boolean {
    return this.#ticket?.state === 'queued' || this.#ticket?.state === 'ready-check';
  }

  /** Since the search began, ms. */
  get waitedMs(): number {
    return (this.#ticket?.waitedMs ?? 0) + (this.isSearching ? performance.now() - this.#toldAtMs : 0);
  }

  /** Of the ready check, ms. */
  get remainingMs(): number {
    return Math.max(0, (this.#ticket?.readyCheck?.remainingMs ?? 0) - (performance.now() - this.#toldAtMs));
  }

  /** Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What there is from before, as after a reload of the page. */
  async look(): Promise<void> {
    if ((await this.#session.token()) === undefined) return;
    const [party, ticket] = await Promise.all([
      this.#api.get<Party>(`${BASE}/parties/mine`).catch(nothingFor('PARTY_UNKNOWN')),
      this.#api.get<Ticket>(`${BASE}/tickets/mine`).catch(nothingFor('TICKET_UNKNOWN')),
    ]);
    if (party !== undefined) this.#showParty(party);
    if (ticket?.state === 'queued' || ticket?.state === 'ready-check') this.#showTicket(ticket);
  }

  /** Queues, with the party that the player leads. @throws as Api */
  async search(mode = 'arena'): Promise<void> {
    await this.#session.ensure();
    const body = { mode, name: this.#name(), latencies: await this.#latencies() };
    try {
      this.#showTicket(await this.#api.post<Ticket>(`${BASE}/tickets`, body));
    } catch (error) {
      if (codeIn(error) !== 'TICKET_EXISTS') throw error;
      // Another tab or a former page began it: this one goes on with it.
      this.#showTicket(await this.#api.get<Ticket>(`${BASE}/tickets/mine`));
    }
  }

  /** @throws as Api */
  async cancel(): Promise<void> {
    this.#showTicket(await this.#api.delete<Ticket>(`${BASE}/tickets/mine`));
  }

  /** Answers the ready check. @throws as Api */
  async answer(isReady: boolean): Promise<void> {
    this.#showTicket(await this.#api.put<Ticket>(`${BASE}/tickets/mine/ready`, { isReady }));
  }

  /** @throws as Api */
  async makeParty(): Promise<void> {
    await this.#session.ensure();
    const body = { name: this.#name(), latencies: await this.#latencies() };
    this.#showParty(await this.#api.post<Party>(`${BASE}/parties`, body));
  }

  /** @throws as Api */
  async joinParty(code: string): Promise<void> {
    await this.#session.ensure();
    const body = { code, name: this.#name(), latencies: await this.#latencies() };
    this.#showParty(await this.#api.post<Party>(`${BASE}/parties/join`, body));
  }

  /** @throws as Api */
  async leaveParty(): Promise<void> {
    await this.#api.delete(`${BASE}/parties/mine`);
    this.#showParty(undefined);
  }

  /** @throws as Api */
  async kick(playerId: string): Promise<void> {
    this.#showParty(await this.#api.delete<Party>(`${BASE}/parties/mine/members/${playerId}`));
  }

  /** @throws as Api */
  async renewCode(): Promise<void> {
    this.#showParty(await this.#api.post<Party>(`${BASE}/parties/mine/code`));
  }

  /** Forgets what became of the last search. */
  forget(): void {
    if (this.isSearching) return;
    this.#ticket = undefined;
    this.#changed();
  }

  #showTicket(ticket: Ticket): void {
    if (ticket.ticketId === this.#doneWith) return;
    this.#ticket = ticket;
    this.#toldAtMs = performance.now();
    if (!this.isSearching) this.#doneWith = ticket.ticketId;
    this.#changed();
    const seat = ticket.match?.seat;
    if (ticket.state === 'matched' && seat) this.#onSeat(seat);
    if (this.isSearching && !this.#isFollowingTicket) void this.#followTicket();
  }

  #showParty(party: Party | undefined): void {
    this.#party = party;
    this.#changed();
    if (party === undefined) return;
    if (!this.#isFollowingParty) void this.#followParty();
    // The leader has begun to look for a match.
    if (party.ticketId !== null && !this.isSearching && party.ticketId !== this.#doneWith) {
      void this.#api.get<Ticket>(`${BASE}/tickets/mine`).then(
        (ticket) => this.#showTicket(ticket),
        () => undefined,
      );
    }
  }

  async #followTicket(): Promise<void> {
    this.#isFollowingTicket = true;
    while (this.isSearching) {
      const asked = this.#ticket!;
      try {
        const query = `after=${encodeURIComponent(asked.tag)}&waitSeconds=${LOOK_SECONDS}`;
        const ticket = await this.#api.get<Ticket>(`${BASE}/tickets/mine?${query}`);
        // A command may have been answered meanwhile.
        if (this.#ticket === asked || this.isSearching) this.#showTicket(ticket);
      } catch (error) {
        if (codeIn(error) === 'TICKET_UNKNOWN') {
          this.#ticket = undefined;
          this.#changed();
        } else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#isFollowingTicket = false;
  }

  async #followParty(): Promise<void> {
    this.#isFollowingParty = true;
    while (this.#party !== undefined) {
      const asked: Party = this.#party;
      try {
        const party = await this.#api.get<Party>(`${BASE}/parties/mine?after=${encodeURIComponent(asked.tag)}`);
        if (this.#party === asked) this.#showParty(party);
      } catch (error) {
        if (codeIn(error) === 'PARTY_UNKNOWN') {
          if (this.#party === asked) this.#showParty(undefined);
        } else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#isFollowingParty = false;
  }

  /** Round trips to where matches are played, ms. A region that does not answer is left out. */
  async #latencies(): Promise<Record<string, number>> {
    const measured: Record<string, number> = {};
    try {
      const { regions } = await this.#api.get<{ regions: { region: string; pingUrl: string }[] }>(`${BASE}/regions`);
      await Promise.all(
        regions.map(async ({ region, pingUrl }) => {
          const ms = await fastest(pingUrl);
          if (ms !== undefined) measured[region] = ms;
        }),
      );
    } catch (error) {
      // Without latencies any region will do; what is wrong, the next request tells.
      if (!(error instanceof Refusal) && !(error instanceof TypeError)) throw error;
    }
    return measured;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

async function fastest(url: string): Promise<number | undefined> {
  let best: number | undefined;
  const signal = AbortSignal.timeout(PINGS_MS_MAX);
  for (let ping = 0; ping < PINGS; ping++) {
    const startedAtMs = performance.now();
    try {
      const response = await fetch(url, { cache: 'no-store', credentials: 'omit', signal });
      // Whatever answers, it is not the region.
      if (!response.ok) return undefined;
    } catch {
      // Out of reach from here, or so far that the time is up.
      return best;
    }
    best = Math.min(best ?? Number.POSITIVE_INFINITY, Math.round(performance.now() - startedAtMs));
  }
  return best;
}

const nothingFor =
  (code: string) =>
  (error: unknown): undefined => {
    if (codeIn(error) !== code) throw error;
  };
