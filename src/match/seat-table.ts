/** The seats of one match: who sits where, and the seat events that its next entry has to carry. */
import type { SeatEvent } from '../kernel/simulation.ts';

const BOT_NAMES = ['Flamma', 'Spiculus', 'Carpophorus', 'Verus', 'Priscus', 'Tetraites', 'Hermes', 'Columbus'];

/** Who sits in a seat. A bot has no session. */
export interface Seat {
  readonly index: number;
  readonly isBot: boolean;
  readonly name: string;
  readonly playerId: string;
  /** Empty for a bot. Another one once the player has taken its seat over on another device. */
  sessionId: string;
  isConnected: boolean;
  /** The leave is in the journal's next entry; the seat frees when that entry was stepped, or for who comes before. */
  isLeaving: boolean;
}

/** The table as JSON has it. */
export interface SavedSeats {
  readonly seats: readonly Omit<Seat, 'isConnected'>[];
  /** Of the next entry. */
  readonly events: readonly SeatEvent[];
}

export class SeatTable {
  /** Seats there are. */
  readonly limit: number;
  readonly #seats: (Seat | undefined)[] = [];
  readonly #bySession = new Map<string, Seat>();
  #events: SeatEvent[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  at(index: number): Seat | undefined {
    return this.#seats[index];
  }

  ofSession(sessionId: string): Seat | undefined {
    return this.#bySession.get(sessionId);
  }

  /** The seat that a player holds, with a connection or without. */
  ofPlayer(playerId: string): Seat | undefined {
    for (const seat of this.#bySession.values()) {
      if (seat.playerId === playerId && !seat.isLeaving) return seat;
    }
    return undefined;
  }

  /** Seats taken, by index; those who are leaving too. */
  *taken(): Iterable<Seat> {
    for (const seat of this.#seats) if (seat !== undefined) yield seat;
  }

  /** @returns undefined when there is no seat for a bot, or for a person among people */
  take(who: Pick<Seat, 'isBot' | 'name' | 'playerId' | 'sessionId'>): Seat | undefined {
    let index = 0;
    while (index < this.limit && this.#seats[index] !== undefined) index++;
    // Somebody is about to leave: the join follows in the same entry.
    if (index >= this.limit) index = this.#seats.findIndex((seat) => seat?.isLeaving);
    if (index < 0) index = this.limit;
    if (index >= this.limit && !who.isBot) {
      // People come before bots: one bot gives up its seat, and the newcomer gets it with the same entry.
      const bot = this.#seats.findLast((seat) => seat?.isBot && !seat.isLeaving);
      if (bot === undefined) return undefined;
      this.vacate(bot);
      index = bot.index;
    }
    return index >= this.limit ? undefined : this.#sit({ ...who, index });
  }

  #sit(who: Pick<Seat, 'index' | 'isBot' | 'name' | 'playerId' | 'sessionId'>): Seat {
    const seat: Seat = { ...who, isConnected: true, isLeaving: false };
    const { index, isBot, name, playerId } = who;
    this.#seats[index] = seat;
    if (!isBot) this.#bySession.set(who.sessionId, seat);
    this.#events.push({ kind: 'join', seat: index, name, playerId, isBot });
    return seat;
  }

  /** The same player, by another session. */
  rebind(seat: Seat, sessionId: string): void {
    this.#bySession.delete(seat.sessionId);
    seat.sessionId = sessionId;
    this.#bySession.set(sessionId, seat);
  }

  /** The holder leaves with the next entry. */
  vacate(seat: Seat): void {
    seat.isLeaving = true;
    this.#bySession.delete(seat.sessionId);
    this.#events.push({ kind: 'leave', seat: seat.index });
  }

  /**
   * Seats or unseats a bot until people and bots are so many; none without people. One at a time: a call a tick is soon
   * enough, and keeps the entry small.
   */
  stepBots(fillTo: number): void {
    let people = 0;
    let bots = 0;
    let lastBot: Seat | undefined;
    for (const seat of this.#seats) {
      if (seat === undefined || seat.isLeaving) continue;
      if (!seat.isBot) people++;
      else {
        bots++;
        lastBot = seat;
      }
    }
    const wanted = people === 0 ? 0 : Math.max(0, fillTo - people);
    if (bots < wanted)
      this.take({ isBot: true, name: BOT_NAMES[bots % BOT_NAMES.length]!, playerId: '', sessionId: '' });
    else if (bots > wanted && lastBot !== undefined) this.vacate(lastBot);
  }

  /** Everybody who may come back or is here: who holds a seat and is no bot. */
  get people(): Iterable<Seat> {
    return this.#bySession.values();
  }

  // Put up again from a journal.

  save(): SavedSeats {
    return {
      seats: [...this.taken()].map(({ index, isBot, name, playerId, sessionId, isLeaving }) => ({
        index,
        isBot,
        name,
        playerId,
        sessionId,
        isLeaving,
      })),
      events: this.#events,
    };
  }

  /** Into an empty table; nobody is connected but the bots. */
  load({ seats, events }: SavedSeats): void {
    for (const saved of seats) {
      if (saved.index >= this.limit || this.#seats[saved.index] !== undefined)
        throw new RangeError(`seat ${saved.index}`);
      const seat: Seat = { ...saved, isConnected: saved.isBot };
      this.#seats[seat.index] = seat;
      if (!seat.isBot && !seat.isLeaving) this.#bySession.set(seat.sessionId, seat);
    }
    this.#events = [...events];
  }

  /** Seats somebody where the journal says it sat; as {@link take} did, whoever was there leaves with the same entry. */
  place(index: number, who: Pick<Seat, 'name' | 'playerId' | 'sessionId'>): Seat {
    if (index >= this.limit) throw new RangeError(`seat ${index} of ${this.limit}`);
    const former = this.#seats[index];
    if (former !== undefined && !former.isLeaving) this.vacate(former);
    return this.#sit({ ...who, isBot: false, index });
  }

  /** An entry of the journal took its events along; those of bots are told by the entry alone. */
  settle(events: readonly SeatEvent[]): void {
    for (const event of events) {
      const at = this.#events.findIndex((one) => one.kind === event.kind && one.seat === event.seat);
      if (at >= 0) {
        this.#events.splice(at, 1);
      } else if (event.kind === 'join') {
        const { seat: index, name, playerId, isBot } = event;
        this.#seats[index] = { index, isBot, name, playerId, sessionId: '', isConnected: isBot, isLeaving: false };
      } else if (this.#seats[event.seat] !== undefined) {
        this.#seats[event.seat]!.isLeaving = true;
      }
    }
    this.free(events);
  }

  /** What happened since the last time, in order; it belongs to the next entry. */
  takeEvents(): readonly SeatEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** What {@link takeEvents} would give. */
  get pendingEvents(): readonly SeatEvent[] {
    return this.#events;
  }

  /** Frees the seats whose leave was stepped. */
  free(events: readonly SeatEvent[]): void {
    for (const event of events) {
      if (event.kind === 'leave' && this.#seats[event.seat]?.isLeaving) this.#seats[event.seat] = undefined;
    }
  }
}
