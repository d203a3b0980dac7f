/**
 * This process goes, its matches stay: each moves to another process by the same way as after a death, but with the
 * owner's help, so that its players notice a fraction of a second. What nobody else can play ends here by itself, up to
 * a deadline.
 */
import { type IsKeeper, moverOf } from './adoption-plan.ts';
import type { ClusterStore, StoredRoom } from './cluster-store.ts';
import type { ClusterLog, Membership } from './membership.ts';

/** Seats that were given and not taken yet are waited for this long, ms: a room that moves does not take them along. */
const SEATS_MS = 2_000;
/** How long the process that takes a room over may need, ms; after that the room goes on here. */
const ANSWER_MS = 3_000;
/** A match that has nowhere to go, and to which nobody was connected for so long, is not waited for, ms. */
const DESERTED_MS = 5_000;
/** Between two looks for somebody who can take what is left, ms. */
const RETRY_MS = 500;

/** What a drain asks of a room. */
export interface MovableRoom {
  lock(): Promise<void>;
  /** Stands still, everything in the journal. @throws GameError if it cannot; it goes on */
  handOver(): Promise<{ readonly epoch: number }>;
  /** Its players set out for where it will be; who dials meanwhile must be held. */
  sendAway(): void;
  unfreeze(): void;
  retire(): void;
  /** Ms until all of its players would come back by themselves. */
  readonly settledInMs: number;
  seatReservationTimeout: number;
  /** Who is connected. */
  readonly clients: { readonly length: number };
}

export interface DrainOptions {
  readonly membership: Membership;
  readonly store: ClusterStore;
  readonly log: ClusterLog;
  roomOf(roomId: string): MovableRoom | undefined;
  readonly isKeeper?: IsKeeper;
  /** Rooms of this process that are no matches of the cluster's registry, such as queues, are not counted. */
  readonly seatsMs?: number;
  readonly desertedMs?: number;
}

/** How far a drain is. */
export interface DrainProgress {
  readonly isDraining: boolean;
  /** Matches that ran here when it began. */
  readonly rooms: number;
  readonly moved: number;
  /** Moves in vain; each is tried again. */
  readonly refused: number;
  /** Still here. */
  readonly left: number;
  /** Longest time for which a match stood still as it moved, seconds. */
  readonly longestPauseSeconds: number;
}

export class Drain {
  readonly #options: DrainOptions;
  #running: Promise<void> | undefined;
  /** Since when nobody was seen connected to a match, monotonic ms. */
  readonly #desertedSinceMs = new Map<string, number>();
  #rooms = 0;
  #moved = 0;
  #refused = 0;
  #longestPauseMs = 0;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  get isDraining(): boolean {
    return this.#running !== undefined;
  }

  get progress(): DrainProgress {
    return {
      isDraining: this.isDraining,
      rooms: this.#rooms,
      moved: this.#moved,
      refused: this.#refused,
      left: this.#options.membership.rooms.size,
      longestPauseSeconds: this.#longestPauseMs / 1000,
    };
  }

  /** Resolves when no match is left here that is worth waiting for, or the time is over. Never rejects; a second call waits for the first. */
  run(withinMs: number): Promise<void> {
    this.#running ??= this.#run(performance.now() + withinMs);
    return this.#running;
  }

  async #run(untilMs: number): Promise<void> {
    const { membership, log, seatsMs = SEATS_MS } = this.#options;
    this.#rooms = membership.rooms.size;
    // Everybody must know before anything moves: two that drain must not hand each other their rooms.
    await membership.beatNow();
    if (this.#rooms === 0) return;
    log.info({ rooms: this.#rooms }, 'matches of this process move');
    for (const roomId of membership.rooms.keys()) {
      const room = this.#options.roomOf(roomId);
      if (room === undefined) continue;
      room.seatReservationTimeout = Math.min(room.seatReservationTimeout, seatsMs / 1000);
      await room
        .lock()
        .catch((error: unknown) => log.debug({ err: error, roomId }, 'a room that moves was not locked'));
    }
    await until(seatsMs, untilMs);
    while (membership.rooms.size > 0 && performance.now() < untilMs) {
      for (const room of [...membership.rooms.values()]) {
        if (performance.now() >= untilMs) return;
        await this.#move(room, untilMs);
      }
      if (!this.#isAnyLeft()) break;
      await until(RETRY_MS, untilMs);
    }
    log.info({ moved: this.#moved, left: membership.rooms.size }, 'matches of this process have moved');
  }

  /** Whether a match is left that can still move, or that somebody plays. */
  #isAnyLeft(): boolean {
    const { membership, roomOf, desertedMs = DESERTED_MS } = this.#options;
    const nowMs = performance.now();
    const processes = membership.processes();
    let isAnyLeft = false;
    for (const record of membership.rooms.values()) {
      const { roomId } = record;
      const room = roomOf(roomId);
      if (room !== undefined && room.clients.length > 0) this.#desertedSinceMs.delete(roomId);
      else if (!this.#desertedSinceMs.has(roomId)) this.#desertedSinceMs.set(roomId, nowMs);
      const isDeserted = nowMs - (this.#desertedSinceMs.get(roomId) ?? nowMs) >= desertedMs;
      if (!isDeserted || (room !== undefined && moverOf(record, processes) !== undefined)) isAnyLeft = true;
    }
    return isAnyLeft;
  }

  async #move(record: StoredRoom, untilMs: number): Promise<void> {
    const { membership, store, log, roomOf, isKeeper } = this.#options;
    const { roomId, matchId } = record;
    const room = roomOf(roomId);
    const target = moverOf(record, membership.processes(), isKeeper);
    if (room === undefined || target === undefined || record.state !== 'running') return;
    // Clients of who has only just joined would not come back. With the time running out, the others must.
    if (room.settledInMs > 0 && performance.now() + room.settledInMs < untilMs) return;
    const startedMs = performance.now();
    let outcome: string;
    try {
      const { epoch } = await room.handOver();
      // Who comes back meanwhile is held until there is somebody who runs it.
      await membership.mark(roomId, 'moving');
      room.sendAway();
      ({ outcome } = await store.ask(target.processId, { kind: 'adopt', room: { ...record, epoch } }, ANSWER_MS));
    } catch (error) {
      log.warn({ err: error, matchId, to: target.processId }, 'a match did not move');
      outcome = 'failed';
    }
    if (outcome === 'adopted') {
      room.retire();
      this.#moved++;
      this.#longestPauseMs = Math.max(this.#longestPauseMs, performance.now() - startedMs);
      log.info({ matchId, to: target.processId, ms: Math.round(performance.now() - startedMs) }, 'a match has moved');
      return;
    }
    this.#refused++;
    log.warn({ matchId, to: target.processId, outcome }, 'a match goes on here for now');
    // If the other one has claimed it after all this one is refused by the journal with its next tick, and ends.
    room.unfreeze();
    await membership.mark(roomId, 'running').catch(() => undefined);
  }
}

function until(ms: number, deadlineMs: number): Promise<void> {
  const waitMs = Math.max(0, Math.min(ms, deadlineMs - performance.now()));
  return new Promise((resolve) => setTimeout(resolve, waitMs));
}
