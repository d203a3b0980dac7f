/**
 * Who sits in a room: seats, the sessions that hold them, and what becomes of a session whose connection is lost, be it
 * that the player lost it or that the room is another process's now. Knows no game.
 */
import { type Client, ClientState, matchMaker, type Room } from '@colyseus/core';
import { GameError } from '../src/kernel/errors.ts';
import { listingOf } from '../src/match/colyseus-internals.ts';
import type { JournalPlugin } from '../src/match/journal-plugin.ts';
import { type SavedSeats, type Seat, SeatTable } from '../src/match/seat-table.ts';
import type { SavedAuth, SessionRecord } from '../src/match/session-records.ts';
import type { Admitted } from '../src/sessions/tokens.ts';

/** Seconds in which a dropped player may come back to its seat. */
const RECONNECT_SECONDS = 60;
/** Of one session: a client that missed the newest comes with the one before. */
const TOKENS_KEPT = 2;

export type Player = Client<{ auth: Admitted }>;

/** Who holds a seat, with a connection or without. */
export interface Session {
  readonly sessionId: string;
  readonly seat: Seat;
  readonly auth: Admitted;
  /** The last ones with which it may come back, the newest last. */
  readonly tokens: readonly string[];
}

/** Sessions and seats as JSON has them. */
export interface SavedSessions extends SavedSeats {
  readonly limit: number;
  readonly sessions: readonly {
    readonly sessionId: string;
    readonly auth: SavedAuth;
    readonly tokens: readonly string[];
  }[];
}

interface Held {
  readonly giveUp: () => void;
  /** Resolves once the seat was taken again or given up. */
  readonly over: Promise<unknown>;
}

export interface SeatHost {
  readonly room: Room;
  readonly journal: Pick<JournalPlugin, 'session'>;
  /** The room is on its way out. */
  isOver(): boolean;
  /** A session that never came back to a restored room is over; the framework knows nothing of it. */
  onAbsentLeft(client: Player): Promise<unknown>;
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

  /** @throws GameError SEAT_TAKEN, MATCH_FULL */
  join(client: Player, name: string): Session {
    const { sessionId, reconnectionToken: token } = client;
    const auth = client.auth!;
    const { playerId } = auth;
    if (this.table.ofPlayer(playerId) !== undefined) throw new GameError('SEAT_TAKEN');
    const seat = this.table.take({ isBot: false, name, playerId, sessionId });
    if (seat === undefined) throw new GameError('MATCH_FULL');
    const session = { sessionId, seat, auth, tokens: [token] };
    this.#sessions.set(sessionId, session);
    this.#record({ kind: 'joined', seat: seat.index, sessionId, playerId, name, auth: { ...auth }, token });
    return session;
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
    const session = this.#sessions.get(sessionId);
    if (session !== undefined) session.seat.isConnected = false;
  }

  /** @throws Error if nobody holds a seat by that session */
  resume(client: Player): Session {
    const before = this.#sessions.get(client.sessionId);
    if (before === undefined) throw new Error(`session ${client.sessionId} resumed without a seat`);
    const session = this.#withToken(before, client.reconnectionToken);
    session.seat.isConnected = true;
    this.#held.delete(client.sessionId);
    this.#record({ kind: 'resumed', sessionId: client.sessionId, token: client.reconnectionToken });
    return session;
  }

  /** The session is over: its seat is free with the next entry. @returns the seat, if it held one */
  leave(sessionId: string): Seat | undefined {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return undefined;
    this.#forget(session);
    this.#record({ kind: 'left', sessionId });
    return session.seat;
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
      sessions: [...this.#sessions.values()].map(({ sessionId, auth, tokens }) => ({
        sessionId,
        auth: { ...auth },
        tokens,
      })),
    };
  }

  /** Into empty seats. @throws RangeError if a session has no seat */
  load(saved: SavedSessions): void {
    this.table.load(saved);
    for (const { sessionId, auth, tokens } of saved.sessions) {
      const seat = this.table.ofSession(sessionId);
      if (seat === undefined) throw new RangeError(`session ${sessionId} has no seat`);
      this.#sessions.set(sessionId, { sessionId, seat, auth: admittedIn(auth), tokens });
    }
  }

  /** What happened after {@link load}, in the order of the journal. */
  apply(record: SessionRecord): void {
    switch (record.kind) {
      case 'joined': {
        const { seat: index, sessionId, playerId, name, auth, token } = record;
        const seat = this.table.place(index, { sessionId, playerId, name });
        this.#sessions.set(sessionId, { sessionId, seat, auth: admittedIn(auth), tokens: [token] });
        return;
      }
      case 'dropped':
        this.disconnected(record.sessionId);
        return;
      case 'resumed': {
        const session = this.#sessions.get(record.sessionId);
        if (session !== undefined) this.#withToken(session, record.token).seat.isConnected = true;
        return;
      }
      case 'left': {
        const session = this.#sessions.get(record.sessionId);
        if (session !== undefined) this.#forget(session);
        return;
      }
      case 'patch':
    }
  }

  /**
   * Nobody has a connection yet, everybody may come back: the listing counts them, their seats wait. Call it while the
   * room is made. Who sits there by no session, as a journal of before may have it, leaves.
   */
  awaitAll(): void {
    for (const seat of [...this.table.people]) if (!this.#sessions.has(seat.sessionId)) this.table.vacate(seat);
    for (const session of this.#sessions.values()) {
      session.seat.isConnected = false;
      void this.#await(session);
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
    const timer = room.clock.setTimeout(giveUp, RECONNECT_SECONDS * 1000);
    const outcomes = waits.map((wait) =>
      wait.then(
        (client) => {
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

  #withToken(session: Session, token: string): Session {
    const tokens = [...session.tokens, token].slice(-TOKENS_KEPT);
    const renewed = { ...session, tokens };
    this.#sessions.set(session.sessionId, renewed);
    return renewed;
  }

  #forget(session: Session): void {
    this.#sessions.delete(session.sessionId);
    this.#held.delete(session.sessionId);
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
