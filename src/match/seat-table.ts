/** The seats of one match: who sits where, and the seat events that its next entry has to carry. */
import type { SeatEvent } from '../kernel/simulation.ts';

const BOT_NAMES = ['Flamma', 'Spiculus', 'Carpophorus', 'Verus', 'Priscus', 'Tetraites', 'Hermes', 'Columbus'];

/** Who sits in a seat. A bot has no session. */
export interface Seat {
  readonly index: number;
  readonly isBot: boolean;
  readonly name: string;
  readonly playerId: string;
  /** Empty for a bot. */
  readonly sessionId: string;
  isConnected: boolean;
  /** The leave is in the journal's next entry; the seat frees when that entry was stepped, or for who comes before. */
  isLeaving: boolean;
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
    if (index >= this.limit) return undefined;
    const seat: Seat = { ...who, index, isConnected: true, isLeaving: false };
    this.#seats[index] = seat;
    if (!who.isBot) this.#bySession.set(who.sessionId, seat);
    const { isBot, name, playerId } = who;
    this.#events.push({ kind: 'join', seat: index, name, playerId, isBot });
    return seat;
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
