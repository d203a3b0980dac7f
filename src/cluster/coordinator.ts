/**
 * Takes over the rooms of processes that are gone. When one dies every survivor takes its share at once; what is left of
 * another's share after a moment is anybody's. What was missed (a store that was away, everybody killed at once, a
 * registry that was lost) is found by looking around, again and again.
 */
import { GameError } from '../kernel/errors.ts';
import type { Adoption } from '../match/adoption.ts';
import type { JournalSummary } from '../match/journal.ts';
import { adopterOf, canPlay, type IsKeeper } from './adoption-plan.ts';
import type { ClusterStore, StoredRoom } from './cluster-store.ts';
import type { ProcessCard, RoomRecord } from './directory.ts';
import type { ClusterLog, Membership } from './membership.ts';

/** Rooms restored at once: one waits for the store while another is computed. */
const AT_ONCE = 4;
/** Rooms that wait for their turn. Above: not taken note of; they are found when this process looks around. */
const WAITING_MAX = 10_000;
/** After this long another's share is anybody's, ms. */
const LEFTOVER_MS = 1_500;
/** Between two looks around, ms. */
const LOOK_EVERY_MS = 2_000;
/** Between two looks for matches that only the journal knows, ms. A match must be missing from the registry at both. */
const JOURNAL_LOOK_MS = 20_000;
/** A room of a dead process that was just being made: whoever asked for it makes it again within this, ms. */
const CREATION_MS = 10_000;
/** Seconds from the death to the room that goes on. */
export const ADOPTION_BOUNDS_S = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

export type AdoptionOutcome = Adoption['kind'] | 'failed';

export interface CoordinatorOptions {
  readonly membership: Membership;
  readonly store: ClusterStore;
  readonly log: ClusterLog;
  /** Goes on with a match here, see adoptMatch. */
  readonly adopt: (match: { readonly matchId: string }) => Promise<Adoption>;
  /** Matches that the journal holds. */
  readonly listJournal: () => Promise<readonly JournalSummary[]>;
  /** Whether the room is among those of this process. */
  readonly hasRoom: (roomId: string) => boolean;
  readonly isKeeper?: IsKeeper;
  /** While it is true nothing new is taken over. */
  readonly isDraining: () => boolean;
  /** A match that no process of the cluster can play waits this long for one that can, ms; then its players are told. */
  readonly waitForBuildMs: number;
}

export interface CoordinatorReading {
  readonly outcomes: ReadonlyMap<AdoptionOutcome, number>;
  readonly seconds: { readonly counts: readonly number[]; readonly sum: number };
  /** Rooms that wait to be restored here, or are. */
  readonly waiting: number;
}

interface Task {
  readonly room: RoomRecord;
  readonly sinceMs: number;
}

export class Coordinator {
  readonly #options: CoordinatorOptions;
  /** By room id: under way here, or waiting for its turn. */
  readonly #tasks = new Map<string, Task>();
  readonly #queue: Task[] = [];
  /** When this process first saw that a room has no living owner, monotonic ms. */
  readonly #orphanedMs = new Map<string, number>();
  /** Of those: rooms that nobody here can play, which was said. */
  readonly #unplayable = new Set<string>();
  /** Matches that were in the journal only, at the last look. */
  #unregistered: ReadonlySet<string> = new Set();
  readonly #outcomes = new Map<AdoptionOutcome, number>();
  readonly #counts = new Array<number>(ADOPTION_BOUNDS_S.length + 1).fill(0);
  #sum = 0;
  #running = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopHearing: () => void = () => {};
  #journalLookedMs = performance.now();
  #looking: Promise<void> | undefined;
  #isOver = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
  }

  start(): void {
    const { membership, store } = this.#options;
    this.#stopHearing = membership.onDeath((processId, rooms) => this.#onDeath(processId, rooms as StoredRoom[]));
    store.onRequest((request) =>
      request.kind === 'adopt' ? this.take(request.room).then((outcome) => ({ outcome })) : undefined,
    );
    this.#later(0, () => this.#lookAround());
  }

  /** Takes nothing over any more; resolves when what was under way is done. */
  async close(): Promise<void> {
    this.#isOver = true;
    this.#stopHearing();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#queue.length = 0;
    await this.#looking;
  }

  get reading(): CoordinatorReading {
    return {
      outcomes: this.#outcomes,
      seconds: { counts: this.#counts, sum: this.#sum },
      waiting: this.#tasks.size,
    };
  }

  /** Another process hands a room over: it is restored before it is answered. */
  async take(room: RoomRecord): Promise<string> {
    if (this.#isOver || this.#options.isDraining()) return 'DRAINING';
    if (this.#tasks.has(room.roomId)) return 'lost';
    const task: Task = { room, sinceMs: performance.now() };
    this.#tasks.set(room.roomId, task);
    try {
      return await this.#restore(task);
    } finally {
      this.#tasks.delete(room.roomId);
    }
  }

  #onDeath(processId: string, rooms: readonly StoredRoom[]): void {
    const mine = rooms.filter((room) => room.state !== 'creating' && this.#isMine(room));
    if (rooms.length > 0) {
      this.#options.log.info(
        { peer: processId, rooms: rooms.length, mine: mine.length },
        'rooms have lost their process',
      );
    }
    const nowMs = performance.now();
    for (const { roomId } of rooms) this.#orphanedMs.set(roomId, nowMs);
    for (const room of mine) this.#enqueue(room, nowMs);
    if (rooms.length > 0) this.#later(LEFTOVER_MS, () => this.#lookAround());
  }

  #isMine(room: RoomRecord): boolean {
    const { membership, isKeeper } = this.#options;
    return adopterOf(room, membership.processes(), isKeeper)?.processId === membership.processId;
  }

  #enqueue(room: RoomRecord, sinceMs: number): void {
    if (this.#isOver || this.#options.isDraining()) return;
    if (this.#tasks.has(room.roomId) || this.#queue.length >= WAITING_MAX) return;
    const task: Task = { room, sinceMs };
    this.#tasks.set(room.roomId, task);
    this.#queue.push(task);
    this.#work();
  }

  #work(): void {
    while (this.#running < AT_ONCE) {
      const task = this.#queue.shift();
      if (task === undefined) return;
      this.#running++;
      void this.#restore(task).finally(() => {
        this.#running--;
        this.#tasks.delete(task.room.roomId);
        this.#work();
      });
    }
  }

  /** Never rejects. */
  async #restore({ room, sinceMs }: Task): Promise<AdoptionOutcome> {
    const { adopt, log, membership, store } = this.#options;
    const { matchId, roomId, processId, epoch } = room;
    let outcome: AdoptionOutcome = 'failed';
    try {
      const adoption = await adopt({ matchId });
      outcome = adoption.kind;
      if (outcome === 'adopted') {
        const seconds = (performance.now() - sinceMs) / 1000;
        this.#observe(seconds);
        this.#orphanedMs.delete(roomId);
        log.info({ matchId, from: processId, ms: Math.round(seconds * 1000) }, 'a match goes on here');
      } else if (outcome === 'parked') {
        log.error({ matchId }, 'a match is parked: it could not be restored; see: npm run replay -- list');
        await membership.park(room);
      } else if (outcome === 'lost') {
        // Claimed here, and then by somebody else: taken for stuck here, it would be claimed again from under its owner.
        const isClaimed = membership.rooms.get(roomId)?.state === 'moving' && !this.#options.hasRoom(roomId);
        if (isClaimed) membership.forget(roomId);
      } else if (outcome === 'ended') {
        await store.release(roomId, processId, epoch);
      } else if (outcome === 'incompatible') {
        log.warn({ matchId, build: room.buildId }, 'a match waits for a process that can play it');
      }
    } catch (error) {
      log.warn({ err: error, matchId }, 'a match could not be taken over');
      if (error instanceof GameError && error.code === 'JOURNAL_CORRUPT') {
        await membership.park(room).catch(() => undefined);
        outcome = 'parked';
      }
    }
    this.#count(outcome);
    return outcome;
  }

  #count(outcome: AdoptionOutcome): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }

  #observe(seconds: number): void {
    const at = ADOPTION_BOUNDS_S.findIndex((bound) => seconds <= bound);
    this.#counts[at < 0 ? ADOPTION_BOUNDS_S.length : at]!++;
    this.#sum += seconds;
  }

  // Looking around ---------------------------------------------------------------------------------------------

  #later(ms: number, work: () => Promise<void>): void {
    if (this.#isOver) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void work();
    }, ms);
    this.#timers.add(timer.unref());
  }

  #lookAround(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'orphaned rooms could not be looked for'))
      .finally(() => {
        this.#looking = undefined;
        this.#later(LOOK_EVERY_MS, () => this.#lookAround());
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { store, membership } = this.#options;
    if (membership.isFenced || this.#options.isDraining()) return;
    const living = new Set(membership.processes().map(({ processId }) => processId));
    const orphans: StoredRoom[] = [];
    for (const owner of await store.owners()) {
      if (!living.has(owner)) orphans.push(...(await store.roomsOf(owner)));
    }
    const nowMs = performance.now();
    const seen = new Set(orphans.map(({ roomId }) => roomId));
    for (const roomId of this.#orphanedMs.keys()) if (!seen.has(roomId)) this.#orphanedMs.delete(roomId);
    for (const roomId of this.#unplayable) if (!seen.has(roomId)) this.#unplayable.delete(roomId);
    for (const room of orphans) await this.#consider(room, nowMs);
    // Claimed here, and then something failed: nobody else looks after them.
    for (const room of membership.rooms.values()) {
      const isStuck = room.state === 'moving' && !this.#options.hasRoom(room.roomId);
      if (isStuck) this.#enqueue(room, nowMs);
    }
    if (nowMs - this.#journalLookedMs >= JOURNAL_LOOK_MS) {
      this.#journalLookedMs = nowMs;
      await this.#lookIntoJournal();
    }
  }

  async #consider(room: StoredRoom, nowMs: number): Promise<void> {
    const { membership, store, isKeeper } = this.#options;
    const { roomId, state, processId, epoch } = room;
    if (this.#tasks.has(roomId)) return;
    const sinceMs = this.#orphanedMs.get(roomId) ?? nowMs;
    this.#orphanedMs.set(roomId, sinceMs);
    const forMs = nowMs - sinceMs;
    if (state === 'creating') {
      if (forMs < CREATION_MS) return;
      // Nobody was told of it, nobody asked again: its match, if it was begun at all, ends as one that nobody played.
      await store.release(roomId, processId, epoch);
      return;
    }
    const processes = membership.processes();
    const adopter = adopterOf(room, processes, isKeeper);
    if (adopter === undefined) {
      if (this.#isFirst) await this.#awaitBuild(room, forMs);
      return;
    }
    this.#unplayable.delete(roomId);
    const own = processes.find(({ processId }) => processId === membership.processId);
    const isLeft = forMs >= LEFTOVER_MS && own !== undefined && canPlay(own, room);
    if (adopter === own || isLeft) this.#enqueue(room, sinceMs);
  }

  /** Nobody can play it: it waits for who can, and is parked when nobody has come. */
  async #awaitBuild(room: StoredRoom, forMs: number): Promise<void> {
    const { log, membership, waitForBuildMs } = this.#options;
    const { roomId, matchId, buildId: build } = room;
    if (!this.#unplayable.has(roomId)) {
      this.#unplayable.add(roomId);
      log.warn({ matchId, build, withinMs: waitForBuildMs }, 'a match waits for a process that can play it');
      this.#count('incompatible');
    }
    if (forMs < waitForBuildMs) return;
    log.error({ matchId, build }, 'a match is parked: nobody can play it');
    await membership.park(room);
    this.#count('parked');
  }

  /** Of all that look around: what each would find is told and done by one. */
  get #isFirst(): boolean {
    const { membership } = this.#options;
    return membership.processes().every((card) => card.processId >= membership.processId || !looksAround(card));
  }

  /** Matches that go on nowhere and that the registry does not know: it was lost while their process was dead. */
  async #lookIntoJournal(): Promise<void> {
    const { listJournal, store } = this.#options;
    if (!this.#isFirst) return;
    const missing = new Set<string>();
    for (const { matchId, state, header } of await listJournal()) {
      if (state !== 'unfinished' || header?.roomId === undefined) continue;
      if ((await store.room(header.roomId)) !== undefined) continue;
      missing.add(matchId);
      if (!this.#unregistered.has(matchId)) continue;
      const { roomId, roomName, buildId, simId, simVersion, schemaHash = '' } = header;
      const room = { roomId, roomName, matchId, buildId, simId, simVersion, schemaHash, epoch: 0, processId: '' };
      this.#enqueue(room, performance.now());
    }
    this.#unregistered = missing;
  }
}

/** Whether a process has a coordinator that looks around: only who can take matches over has, and none that drains does. */
function looksAround({ roles, plays, canAdopt, isDraining }: ProcessCard): boolean {
  return canAdopt && roles.includes('realtime') && Object.keys(plays).length > 0 && !isDraining;
}
