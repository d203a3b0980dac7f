/**
 * Who sits in a room: seats, the sessions that hold them, and what becomes of a session whose connection is lost, be it
 * that the player lost it or that the room is another process's now. Knows no game.
 */
import { type Client, ClientState, matchMaker, type Room } from '@colyseus/core';
import { GameError } from '../src/kernel/errors.ts';
import { listingOf } from '../src/match/colyseus-internals.ts';
import { type SavedSeats, type Seat, SeatTable } from '../src/match/seat-table.ts';
import type { SavedAuth, SessionRecord } from '../src/match/session-records.ts';
import { Outbox, type SavedOutbox } from '../src/sessions/outbox.ts';
import {
  advance,
  type SessionEnd,
  type SessionEvent,
  type SessionPhase,
  type SessionTotals,
} from '../src/sessions/session.ts';
import type { Admitted } from '../src/sessions/tokens.ts';

/** Of one session: the one that its client came with, and the newest, which that client may never have got. */
const TOKENS_KEPT = 2;

export type Player = Client<{ auth: Admitted }>;

/** Who holds a seat, with a connection or without. */
export interface Session {
  readonly sessionId: string;
  readonly seat: Seat;
  readonly auth: Admitted;
  /** With which it may come back, the newest last; at most {@link TOKENS_KEPT}. */
  readonly tokens: readonly string[];
  readonly phase: SessionPhase;
  /** What was said to it while it was away. */
  readonly outbox: Outbox;
}

/** Sessions and seats as JSON has them. */
export interface SavedSessions extends SavedSeats {
  readonly limit: number;
  readonly sessions: readonly {
    readonly sessionId: string;
    readonly auth: SavedAuth;
    readonly tokens: readonly string[];
    readonly outbox?: SavedOutbox;
  }[];
}

interface Held {
  readonly giveUp: () => void;
  /** Resolves once the seat was taken again or given up. */
  readonly over: Promise<unknown>;
}

export interface SeatHost {
  readonly room: Room;
  readonly journal: { session(record: SessionRecord): void };
  readonly totals: SessionTotals;
  /** By the room's clock, ms. */
  nowMs(): number;
  /** In which a dropped player may come back to its seat. */
  readonly reconnectSeconds: number;
  /** The room is on its way out. */
  isOver(): boolean;
  /** A session that never came back to a restored room is over; the framework knows nothing of it. */
  onAbsentLeft(client: Player): Promise<unknown>;
  /** A seat, and what is its player's own, belongs to another session of the same player. */
  onTakenOver(from: string, to: string): void;
}

/** What is said to it must wait: a connection that is lost again before its client was there has carried nothing. */
export function isAway({ phase }: Session): boolean {
  return phase.state === 'dropped' || phase.state === 'resumed';
}

export class RoomSeats {
  readonly table: SeatTable;
  readonly #host: SeatHost;
  readonly #sessions = new Map<string, Session>();
  /** Seats that are held for who has no connection, by session. */
  readonly #held = new Map<string, Held>();

  constructor(limit: number, host: SeatHost) {
    this.table = new SeatTable(limit);
    this.#host = host;
  }

  sessionOf(sessionId: string): Session | undefined {
    return this.#sessions.get(sessionId);
  }

  /** Sessions without a connection whose seat is held. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Those who are away and may come back, until their clients have said that they are there again. */
  *away(): Iterable<Session> {
    for (const session of this.#sessions.values()) if (isAway(session)) yield session;
  }

  /** Those whose clients have not said yet that they are there. */
  *unacknowledged(): Iterable<Session & { readonly phase: { readonly state: 'reserved' | 'resumed' } }> {
    for (const session of this.#sessions.values()) {
      const { phase } = session;
      if (phase.state === 'reserved' || phase.state === 'resumed') yield { ...session, phase };
    }
  }

  /**
   * Gives the client a seat: that of its player, if it holds one and may take it over, or a free one.
   * @returns the session that held the seat before, to be shown out
   * @throws GameError SEAT_TAKEN, MATCH_FULL
   */
  join(client: Player, name: string, takesOver: boolean): { readonly session: Session; readonly former?: Session } {
    const { sessionId, reconnectionToken: token } = client;
    const auth = client.auth!;
    const { playerId } = auth;
    const held = this.table.ofPlayer(playerId);
    if (held !== undefined) {
      if (!takesOver) throw new GameError('SEAT_TAKEN');
      const former = this.#sessions.get(held.sessionId)!;
      const session = this.#takeOver(former, sessionId, auth, token);
      this.#record({ kind: 'taken-over', from: former.sessionId, sessionId, auth: { ...auth }, token });
      return { session, former };
    }
    const seat = this.table.take({ isBot: false, name, playerId, sessionId });
    if (seat === undefined) throw new GameError('MATCH_FULL');
    const session = this.#open({ sessionId, seat, auth, tokens: [token] });
    this.#record({ kind: 'joined', seat: seat.index, sessionId, playerId, name, auth: { ...auth }, token });
    return { session };
  }

  #open(who: Omit<Session, 'phase' | 'outbox'>, outbox = new Outbox()): Session {
    const session: Session = { ...who, phase: { state: 'reserved', sinceMs: this.#host.nowMs() }, outbox };
    this.#host.totals.note(undefined, session.phase);
    this.#sessions.set(who.sessionId, session);
    return session;
  }

  #takeOver(former: Session, sessionId: string, auth: Admitted, token: string): Session {
    const { seat, outbox } = former;
    const held = this.#held.get(former.sessionId);
    this.#end(former, 'taken-over');
    this.table.rebind(seat, sessionId);
    seat.isConnected = true;
    this.#host.onTakenOver(former.sessionId, sessionId);
    held?.giveUp();
    return this.#open({ sessionId, seat, auth, tokens: [token] }, outbox);
  }

  /** The client has said that it is there. @returns its session, if it had not said so before */
  acknowledged(sessionId: string): Session | undefined {
    const phase = this.#sessions.get(sessionId)?.phase.state;
    if (phase !== 'reserved' && phase !== 'resumed') return undefined;
    return this.#advance(sessionId, { kind: 'acknowledged' });
  }

  /**
   * Holds the seat of who lost its connection.
   * @returns resolves once it came back, or once the time is over or somebody gave the seat up
   */
  async drop(client: Player): Promise<void> {
    const session = this.#sessions.get(client.sessionId);
    if (session === undefined) return;
    this.#record({ kind: 'dropped', sessionId: client.sessionId });
    const isBack = await this.#hold(session, client);
    // The framework asks for it: held is not this client but one in its place, which may also be one that never was told.
    if (isBack) client.state = ClientState.RECONNECTED;
  }

  /** The session has no connection any more. */
  disconnected(sessionId: string): void {
    const session = this.#advance(sessionId, { kind: 'lost', atMs: this.#host.nowMs() });
    if (session !== undefined) session.seat.isConnected = false;
  }

  /** @throws Error if nobody holds a seat by that session */
  resume(client: Player): Session {
    const before = this.#sessions.get(client.sessionId);
    if (before === undefined) throw new Error(`session ${client.sessionId} resumed without a seat`);
    const { sessionId, reconnectionToken: token } = client;
    const session = this.#return(before, token);
    this.#held.delete(sessionId);
    this.#record({ kind: 'resumed', sessionId, token, cameWith: session.tokens[0]! });
    return session;
  }

  /** The session is over: its seat is free with the next entry. @returns the seat, if it held one */
  leave(sessionId: string, reason: SessionEnd): Seat | undefined {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return undefined;
    this.#vacate(session, reason);
    this.#record({ kind: 'left', sessionId });
    return session.seat;
  }

  /** Something is said to a session that is away: it waits if it is to be kept, and counts as lost if not. */
  /** @returns whether that is in the journal, which is a moment behind */
  leaveMessage({ sessionId, outbox }: Session, type: string, payload: unknown, isKept: boolean): boolean {
    // Counts are exact but for a crash; that something was lost is told in any case.
    if (!(isKept ? outbox.keep(type, payload) : outbox.lose(type))) return false;
    this.#record(isKept ? { kind: 'kept', sessionId, type, payload } : { kind: 'lost', sessionId, type });
    return true;
  }

  /** What was said to a session while it was away; nothing of it is left. */
  takeMessages({ sessionId, outbox }: Session): SavedOutbox {
    const taken = outbox.take();
    const { totals } = this.#host;
    totals.messagesDelivered += taken.kept.length;
    for (const count of Object.values(taken.lost)) totals.messagesLost += count;
    if (taken.kept.length > 0 || Object.keys(taken.lost).length > 0) this.#record({ kind: 'told', sessionId });
    return taken;
  }

  /** The room is over: its sessions are nobody's any more. */
  close(): void {
    for (const { phase } of this.#sessions.values()) this.#host.totals.forget(phase);
    this.#sessions.clear();
  }

  /** Nobody who signed in that way comes back. */
  giveUp(signInId: string): void {
    for (const [sessionId, { giveUp }] of [...this.#held]) {
      if (this.#sessions.get(sessionId)?.auth.signInId === signInId) giveUp();
    }
  }

  // A room that is restored.

  save(): SavedSessions {
    return {
      limit: this.table.limit,
      ...this.table.save(),
      sessions: [...this.#sessions.values()].map(({ sessionId, auth, tokens, outbox }) => ({
        sessionId,
        auth: { ...auth },
        tokens,
        ...(outbox.isEmpty ? {} : { outbox: outbox.save() }),
      })),
    };
  }

  /** Into empty seats. @throws RangeError if a session has no seat */
  load(saved: SavedSessions): void {
    this.table.load(saved);
    for (const { sessionId, auth, tokens, outbox } of saved.sessions) {
      const seat = this.table.ofSession(sessionId);
      if (seat === undefined) throw new RangeError(`session ${sessionId} has no seat`);
      const session = this.#open({ sessionId, seat, auth: admittedIn(auth), tokens });
      if (outbox !== undefined) session.outbox.load(outbox);
    }
  }

  /** What happened after {@link load}, in the order of the journal. */
  apply(record: SessionRecord): void {
    switch (record.kind) {
      case 'joined': {
        const { seat: index, sessionId, playerId, name, auth, token } = record;
        const seat = this.table.place(index, { sessionId, playerId, name });
        this.#open({ sessionId, seat, auth: admittedIn(auth), tokens: [token] });
        return;
      }
      case 'taken-over': {
        const former = this.#sessions.get(record.from);
        if (former !== undefined) this.#takeOver(former, record.sessionId, admittedIn(record.auth), record.token);
        return;
      }
      case 'dropped':
        this.disconnected(record.sessionId);
        return;
      case 'resumed': {
        const { sessionId, token, cameWith } = record;
        if (cameWith !== undefined) this.#prove(sessionId, cameWith);
        const session = this.#sessions.get(sessionId);
        if (session !== undefined) this.#return(session, token);
        return;
      }
      case 'left': {
        const session = this.#sessions.get(record.sessionId);
        if (session !== undefined) this.#vacate(session, 'left');
        return;
      }
      case 'kept':
        this.#sessions.get(record.sessionId)?.outbox.keep(record.type, record.payload);
        return;
      case 'lost':
        this.#sessions.get(record.sessionId)?.outbox.lose(record.type);
        return;
      case 'told':
        this.#sessions.get(record.sessionId)?.outbox.take();
        return;
      case 'patch':
    }
  }

  /**
   * Nobody has a connection yet, everybody may come back: the listing counts them, their seats wait. Call it while the
   * room is made. Who sits there by no session, as a journal of before may have it, leaves.
   */
  awaitAll(): void {
    for (const seat of [...this.table.people]) if (!this.#sessions.has(seat.sessionId)) this.table.vacate(seat);
    for (const { sessionId } of [...this.#sessions.values()]) {
      this.disconnected(sessionId);
      void this.#await(this.#sessions.get(sessionId)!);
    }
    listingOf(this.#host.room).clients = this.#sessions.size;
    matchMaker.stats.local.ccu += this.#sessions.size;
  }

  async #await(session: Session): Promise<void> {
    const { sessionId, auth } = session;
    if (await this.#hold(session, {})) return;
    // The framework counts down for clients of its own only.
    matchMaker.stats.local.ccu--;
    await this.#host.onAbsentLeft({ sessionId, auth } as Player);
    // A row that was removed would be there again.
    if (this.#host.isOver()) return;
    await matchMaker.driver.update(listingOf(this.#host.room), { $inc: { clients: -1 } });
  }

  /** @returns whether the session came back */
  #hold(session: Session, { view, userData }: Partial<Pick<Player, 'view' | 'userData'>>): Promise<boolean> {
    const { room } = this.#host;
    const { sessionId, auth, tokens } = session;
    // One for each token, as the framework knows a seat by one only.
    const waits = tokens.map((reconnectionToken) =>
      room.allowReconnection({ sessionId, reconnectionToken, auth, view, userData } as unknown as Client, 'manual'),
    );
    const giveUp = (): void => {
      // What a room that is disposed gives back can only be waited for.
      for (const wait of waits) wait.reject?.(false);
    };
    // The framework's own timer would outlive the room, and hold the process, for the rest of the time.
    const timer = room.clock.setTimeout(giveUp, this.#leftMs(session.sessionId));
    const outcomes = waits.map((wait, at) =>
      wait.then(
        (client) => {
          this.#prove(sessionId, tokens[at]!);
          for (const other of waits) if (other !== wait) other.resolve?.(client);
          return true;
        },
        () => false,
      ),
    );
    const over = Promise.all(outcomes).then((ends) => {
      timer.clear();
      if (this.#held.get(sessionId)?.over === over) this.#held.delete(sessionId);
      return ends.includes(true);
    });
    this.#held.set(sessionId, { giveUp, over });
    return over;
  }

  /** The client came with this token: of the others it has none. */
  #prove(sessionId: string, token: string): void {
    const session = this.#sessions.get(sessionId);
    if (session?.tokens.includes(token)) this.#sessions.set(sessionId, { ...session, tokens: [token] });
  }

  #return({ sessionId, tokens }: Session, token: string): Session {
    // Of a room that was taken down it is not known who was away.
    this.disconnected(sessionId);
    const returned = this.#advance(sessionId, { kind: 'returned', atMs: this.#host.nowMs() })!;
    const session = { ...returned, tokens: [...tokens, token].slice(-TOKENS_KEPT) };
    session.seat.isConnected = true;
    this.#sessions.set(sessionId, session);
    return session;
  }

  /** How long the seat of who is away waits for it, ms. */
  #leftMs(sessionId: string): number {
    const phase = this.#sessions.get(sessionId)?.phase;
    const awayMs = phase?.state === 'dropped' ? this.#host.nowMs() - phase.sinceMs : 0;
    return Math.max(0, this.#host.reconnectSeconds * 1000 - awayMs);
  }

  #advance(sessionId: string, event: SessionEvent): Session | undefined {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return undefined;
    const phase = advance(session.phase, event);
    if (phase === session.phase) return session;
    const advanced = { ...session, phase };
    this.#host.totals.note(session.phase, phase);
    this.#sessions.set(sessionId, advanced);
    return advanced;
  }

  #end(session: Session, reason: SessionEnd): void {
    this.#advance(session.sessionId, { kind: 'ended', reason });
    this.#sessions.delete(session.sessionId);
    this.#held.delete(session.sessionId);
  }

  #vacate(session: Session, reason: SessionEnd): void {
    this.#end(session, reason);
    if (!session.seat.isLeaving) this.table.vacate(session.seat);
  }

  #record(record: SessionRecord): void {
    this.#host.journal.session(record);
  }
}

/** @throws RangeError unless it is what a token said of its bearer */
function admittedIn(auth: SavedAuth): Admitted {
  const { playerId, signInId, isAnonymous } = auth;
  if (typeof playerId !== 'string' || typeof signInId !== 'string' || typeof isAnonymous !== 'boolean') {
    throw new RangeError('auth is not what a token says');
  }
  return auth as unknown as Admitted;
}
