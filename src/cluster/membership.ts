/**
 * This process as a member of the cluster: its beat, its rooms, and who of the others lives.
 *
 * **Who is dead.** A process whose beat number has not grown for a lease, as this process has seen it on its own
 * monotonic clock, or on whose channel nobody listens any more at two looks in a row: the kernel closes the sockets of
 * a process that was killed. To be wrong costs a pause: the store lets only one of two owners write, by epoch.
 *
 * **Who must stop.** A process that has not been acknowledged for a lease less a beat may have been declared dead, so its
 * rooms stand still ({@link Membership.isFenced}) until the store has answered and every room of its own has been
 * compared with what the store says: those that others run now are given up, the others go on. One that nobody has claimed
 * yet, although its process is buried, is among the others: it may write on until somebody claims it. Nothing that anybody
 * saw is taken back by that (`wal`): it was in the journal before it was seen, and who claims reads the journal after.
 *
 * **Nobody judges from the dark.** Who could not reach the store sees everybody stand still. After such an outage, and
 * after the store has lost what it held, nobody is declared dead for a lease.
 */
import { GameError } from '../kernel/errors.ts';
import type { ClusterNews, ClusterStore, RoomState, StoredRoom } from './cluster-store.ts';
import type { ClusterDirectory, Compatibility, ProcessCard, RoomOwner, RoomPlace, RoomRecord } from './directory.ts';
import type { RoomRegistry } from './room-registry.ts';

export interface MembershipTimes {
  /** Between two beats, ms. */
  readonly beatMs: number;
  /** Without a beat for so long a process counts as dead, ms. */
  readonly leaseMs: number;
  /** Between two looks at who listens, ms. */
  readonly lookMs: number;
}

export const MEMBERSHIP_TIMES: MembershipTimes = { beatMs: 600, leaseMs: 3_000, lookMs: 150 };
/** Looks in a row at which nobody listened. */
const SILENT_LOOKS = 2;
/** Rooms that are compared with the store at once, after an outage. */
const RECONCILE_AT_ONCE = 32;

/** The narrow part of a logger that this needs. */
export interface ClusterLog {
  debug(facts: object, text: string): void;
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
}

export interface MembershipOptions {
  readonly store: ClusterStore;
  /** Of this process. */
  readonly processId: string;
  /** This process, as it is now. */
  readonly card: () => ProcessCard;
  readonly log: ClusterLog;
  readonly times?: MembershipTimes;
  /** One process without a cluster: nobody to beat for, nobody who could take anything over. */
  readonly isAlone?: boolean;
}

/** Of a room that nobody can be trusted to restore: equal to none, so that it is taken over by nobody. */
const UNKNOWN: Compatibility = { simId: '', simVersion: 0, schemaHash: '' };

/** Readings since the start. */
export interface MembershipReading {
  readonly beatsTotal: number;
  readonly beatsFailedTotal: number;
  /** Times that this process stood still as it had not been acknowledged. */
  readonly fencedTotal: number;
  /** Processes that this one declared dead. */
  readonly buriedTotal: number;
  /** Rooms of this process that others had taken over. */
  readonly roomsLostTotal: number;
  /** Times that the store had lost what it held. */
  readonly healedTotal: number;
}

interface Peer {
  card: ProcessCard;
  beat: number;
  /** When {@link beat} was first seen, monotonic ms. */
  sinceMs: number;
  silentLooks: number;
}

export class Membership implements ClusterDirectory, RoomRegistry {
  readonly processId: string;
  readonly #options: MembershipOptions;
  readonly #times: MembershipTimes;
  readonly #peers = new Map<string, Peer>();
  /** Rooms of this process by id, as the store should have them. */
  readonly #own = new Map<string, StoredRoom>();
  /** Those of which the store does not know yet what they are by now. */
  readonly #untold = new Set<string>();
  /** Rooms that the store is just told of. */
  readonly #beginning = new Set<string>();
  readonly #ownerListeners = new Set<(roomId: string, owner: RoomOwner) => void>();
  readonly #deathListeners = new Set<(processId: string, rooms: readonly RoomRecord[]) => void>();
  readonly #lostListeners = new Set<(roomId: string) => void>();
  readonly #healedListeners = new Set<() => void>();
  readonly #count = { beats: 0, failed: 0, fenced: 0, buried: 0, lost: 0, healed: 0 };
  #beat = 0;
  #generation: string | undefined;
  /** When the last beat that was acknowledged was sent, monotonic ms. */
  #acknowledgedMs = Number.NEGATIVE_INFINITY;
  /** Before this nobody is declared dead, monotonic ms. */
  #judgesFromMs = Number.POSITIVE_INFINITY;
  /** Why rooms of this process are yet to be compared with the store. */
  #unreconciled: 'buried' | 'lost' | undefined;
  #isReconciling = false;
  #wasFenced = false;
  #beatTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  #isLooking = false;
  #isOver = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#times = options.times ?? MEMBERSHIP_TIMES;
    this.processId = options.processId;
    options.store.onNews((news) => this.#hear(news));
    options.store.onLost(() => this.#loseSight());
  }

  /**
   * Takes part from now on.
   * @throws GameError STORE_UNAVAILABLE
   */
  async join(): Promise<void> {
    await this.#sendBeat();
    if (this.#options.isAlone) return;
    this.#judgesFromMs = performance.now();
    this.#scheduleBeat(performance.now());
    this.#lookTimer = setInterval(() => void this.#look(), this.#times.lookMs);
    this.#lookTimer.unref();
  }

  /** Tells the others at once what has changed of this process. Never rejects. */
  async beatNow(): Promise<void> {
    // One that is under way may have been sent with the former card.
    await this.#beating?.catch(() => undefined);
    await this.#sendBeat().catch(() => undefined);
  }

  /** Goes; the others hear it at once. Idempotent, never rejects. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#beatTimer);
    clearInterval(this.#lookTimer);
    await this.#beating;
    await this.#options.store.leave(this.processId).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the others were not told that this process goes; they will notice');
    });
  }

  get reading(): MembershipReading {
    const { beats, failed, fenced, buried, lost, healed } = this.#count;
    return {
      beatsTotal: beats,
      beatsFailedTotal: failed,
      fencedTotal: fenced,
      buriedTotal: buried,
      roomsLostTotal: lost,
      healedTotal: healed,
    };
  }

  /** True while this process may have been declared dead without knowing: no room of it may go on. */
  get isFenced(): boolean {
    if (this.#options.isAlone) return false;
    const { leaseMs, beatMs } = this.#times;
    const isFenced = this.#isReconciling || performance.now() - this.#acknowledgedMs > leaseMs - beatMs;
    if (isFenced && !this.#wasFenced && !this.#isOver) {
      this.#count.fenced++;
      this.#options.log.warn({}, 'not acknowledged by the cluster: rooms stand still until it answers');
      // Now, and not when the timer comes: after a stall every moment counts.
      void this.#sendBeat().catch(() => undefined);
    }
    this.#wasFenced = isFenced;
    return isFenced && !this.#isOver;
  }

  /** False while the store does not answer. */
  get isReachable(): boolean {
    if (this.#options.isAlone) return true;
    return performance.now() - this.#acknowledgedMs < 2 * this.#times.beatMs + 1_000;
  }

  // Directory --------------------------------------------------------------------------------------------------

  processes(): readonly ProcessCard[] {
    return [this.#options.card(), ...[...this.#peers.values()].map(({ card }) => card)];
  }

  async placeOf(roomId: string): Promise<RoomPlace> {
    const found = await this.#options.store.room(roomId);
    if (found === undefined) return { state: 'unknown' };
    const { room, card } = found;
    if (room.state === 'parked') return { state: 'parked' };
    // A room that is being made is one that will run, for whoever knows its id.
    if (room.state !== 'running' || card === undefined) return { state: 'moving' };
    return { state: 'running', processId: card.processId, host: card.host, port: card.port };
  }

  onOwner(listener: (roomId: string, owner: RoomOwner) => void): () => void {
    this.#ownerListeners.add(listener);
    return () => void this.#ownerListeners.delete(listener);
  }

  onDeath(listener: (processId: string, rooms: readonly RoomRecord[]) => void): () => void {
    this.#deathListeners.add(listener);
    return () => void this.#deathListeners.delete(listener);
  }

  /** Calls back when a room of this process turns out to be another's. */
  onRoomLost(listener: (roomId: string) => void): () => void {
    this.#lostListeners.add(listener);
    return () => void this.#lostListeners.delete(listener);
  }

  /** Calls back when the store had lost everything, once this process has told it again what is its own. */
  onHealed(listener: () => void): () => void {
    this.#healedListeners.add(listener);
    return () => void this.#healedListeners.delete(listener);
  }

  // Rooms of this process --------------------------------------------------------------------------------------

  /** What this process runs or is about to, as the store should have it. */
  get rooms(): ReadonlyMap<string, StoredRoom> {
    return this.#own;
  }

  owns(roomId: string): boolean {
    return this.#own.has(roomId);
  }

  async begin({ roomId, roomName, matchId }: Pick<RoomRecord, 'roomId' | 'roomName' | 'matchId'>): Promise<number> {
    const { roles, isDraining, buildId, plays, canAdopt, load } = this.#options.card();
    // Where the framework could not reach whom it had chosen it tries here; and others know only what was true a beat ago.
    const isFull = !this.#options.isAlone && load.matchSlotsAvailable - this.#beginning.size <= 0;
    if (!roles.includes('realtime') || isDraining || isFull) throw new GameError('NO_SLOTS', { roomName });
    if (this.#own.has(roomId) || this.#beginning.has(roomId)) throw new GameError('MATCH_EXISTS', { matchId });
    const { processId } = this;
    const room: RoomRecord = {
      roomId,
      roomName,
      matchId,
      buildId,
      ...((canAdopt ? plays[roomName] : undefined) ?? UNKNOWN),
      epoch: 1,
      processId,
    };
    this.#beginning.add(roomId);
    try {
      const epoch = await this.#options.store.begin(room);
      if (epoch === undefined) throw new GameError('MATCH_EXISTS', { matchId });
      this.#own.set(roomId, { ...room, epoch, state: 'creating' });
      return epoch;
    } finally {
      this.#beginning.delete(roomId);
    }
  }

  /**
   * Writes that this process takes over a room, after it has claimed its journal with that epoch.
   * @returns false if another one has a later claim
   * @throws GameError STORE_UNAVAILABLE
   */
  async take(room: Omit<RoomRecord, 'processId'>): Promise<boolean> {
    const own: StoredRoom = { ...room, processId: this.processId, state: 'moving' };
    if (!(await this.#put(own))) return false;
    this.#own.set(room.roomId, own);
    return true;
  }

  /** The room takes players from now on; everybody hears it. While the store is away it hears it later. */
  async opened(roomId: string): Promise<void> {
    await this.#become(roomId, 'running');
  }

  /** The room stands still, to go on elsewhere, or (`running`) here after all. @throws GameError STORE_UNAVAILABLE */
  async mark(roomId: string, state: 'running' | 'moving'): Promise<void> {
    const room = this.#own.get(roomId);
    if (room === undefined) return;
    const marked = { ...room, state };
    this.#own.set(roomId, marked);
    if (!(await this.#put(marked))) this.#lose(roomId);
  }

  /** A room of this process is another's, as something else than the registry has found out. */
  lost(roomId: string): void {
    if (this.#own.has(roomId)) this.#lose(roomId);
  }

  /** A room of this process goes on elsewhere; the registry has been told by who took it. */
  forget(roomId: string): void {
    this.#own.delete(roomId);
  }

  /**
   * Nobody tries to restore it any more; unless somebody has claimed it since. @throws GameError STORE_UNAVAILABLE, and it is
   * still this process's to park if it was its own
   */
  async park(room: RoomRecord): Promise<void> {
    // Above the last claim, whoever made it: of the same epoch only its owner may write, who may be dead.
    const epoch = Math.max(room.epoch, this.#own.get(room.roomId)?.epoch ?? 0) + 1;
    await this.#put({ ...room, epoch, processId: this.processId, state: 'parked' });
    this.#own.delete(room.roomId);
  }

  /** The room is over, or was another's all the time. */
  async released(roomId: string): Promise<void> {
    const room = this.#own.get(roomId);
    if (room === undefined) return;
    this.#own.delete(roomId);
    await this.#options.store.release(roomId, room.processId, room.epoch).catch((error: unknown) => {
      // Left behind, it is found as an orphan once this process is gone, and its journal says that it has ended.
      this.#options.log.debug({ err: error, roomId }, 'a room that is over stays in the registry');
    });
  }

  async #become(roomId: string, state: RoomState): Promise<void> {
    const room = this.#own.get(roomId);
    if (room === undefined) return;
    const now = { ...room, state };
    this.#own.set(roomId, now);
    this.#untold.delete(roomId);
    try {
      if (!(await this.#put(now))) this.#lose(roomId);
    } catch (error) {
      this.#untold.add(roomId);
      this.#options.log.warn({ err: error, roomId }, 'the cluster does not know yet where a room is');
    }
  }

  #put(room: StoredRoom): Promise<boolean> {
    const { processId, host, port } = this.#options.card();
    return this.#options.store.put(room, { processId, host, port });
  }

  #lose(roomId: string): void {
    this.#own.delete(roomId);
    this.#count.lost++;
    for (const listener of this.#lostListeners) listener(roomId);
  }

  // Beats ------------------------------------------------------------------------------------------------------

  #scheduleBeat(startedMs: number): void {
    if (this.#isOver) return;
    clearTimeout(this.#beatTimer);
    const waitMs = Math.max(0, startedMs + this.#times.beatMs - performance.now());
    this.#beatTimer = setTimeout(() => {
      const nowMs = performance.now();
      void this.#sendBeat()
        .catch(() => undefined)
        .finally(() => this.#scheduleBeat(nowMs));
    }, waitMs);
    this.#beatTimer.unref();
  }

  #sendBeat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    const sentMs = performance.now();
    const isFirst = this.#beat === 0;
    // It grows with what was acknowledged: who is heard and hears nothing must stand still, and the others have to see it.
    const beat = this.#beat + 1;
    let reply: Awaited<ReturnType<ClusterStore['beat']>>;
    try {
      reply = await this.#options.store.beat({ card: this.#options.card(), beat });
    } catch (error) {
      this.#count.failed++;
      this.#loseSight();
      throw error;
    }
    this.#beat = beat;
    this.#count.beats++;
    const isLost = this.#generation !== undefined && this.#generation !== reply.generation;
    this.#generation = reply.generation;
    // Once seen it stays until it is done: the next beat finds this process known again.
    if (isLost) this.#unreconciled = 'lost';
    else if (!isFirst && !reply.wasKnown) this.#unreconciled ??= 'buried';
    // Done before it is acknowledged: rooms that are another's by now must not have a tick in between.
    if (this.#unreconciled !== undefined) await this.#reconcile(this.#unreconciled);
    this.#acknowledgedMs = sentMs;
    for (const roomId of [...this.#untold]) {
      const room = this.#own.get(roomId);
      if (room === undefined) this.#untold.delete(roomId);
      else void this.#become(roomId, room.state);
    }
    if (this.#judgesFromMs === Number.POSITIVE_INFINITY || isLost) {
      this.#judgesFromMs = performance.now() + this.#times.leaseMs;
    }
    this.#see(reply.processes, isLost, sentMs);
  }

  /**
   * Compares what is there with what is known.
   * @param askedMs when the store was asked, monotonic ms: an answer that lay unread says nothing of what came after
   */
  #see(processes: Awaited<ReturnType<ClusterStore['beat']>>['processes'], isLost: boolean, askedMs: number): void {
    const nowMs = performance.now();
    const seen = new Set<string>();
    for (const { card, beat } of processes) {
      const { processId } = card;
      if (processId === this.processId) continue;
      seen.add(processId);
      const peer = this.#peers.get(processId);
      if (peer === undefined) {
        this.#peers.set(processId, { card, beat, sinceMs: nowMs, silentLooks: 0 });
        // Each process would say it of every other, which is most of what a start says; `status` lists them.
        this.#options.log.debug(
          { peer: processId, roles: card.roles, build: card.buildId },
          'process of the cluster seen',
        );
      } else if (peer.beat !== beat) {
        Object.assign(peer, { card, beat, sinceMs: nowMs });
      } else if (askedMs - peer.sinceMs > this.#times.leaseMs && nowMs >= this.#judgesFromMs) {
        void this.#bury(processId, peer, 'its beat stands still');
      }
    }
    // After a loss everybody is missing who has not beaten since.
    if (isLost || nowMs < this.#judgesFromMs) return;
    for (const processId of this.#peers.keys()) if (!seen.has(processId)) this.#gone(processId);
  }

  async #look(): Promise<void> {
    if (this.#isLooking || performance.now() < this.#judgesFromMs || this.#peers.size === 0) return;
    this.#isLooking = true;
    try {
      const peers = [...this.#peers];
      const listeners = await this.#options.store.listeners(peers.map(([processId]) => processId));
      if (performance.now() < this.#judgesFromMs) return;
      for (const [at, [processId, peer]] of peers.entries()) {
        peer.silentLooks = listeners[at] === 0 ? peer.silentLooks + 1 : 0;
        if (peer.silentLooks >= SILENT_LOOKS) void this.#bury(processId, peer, 'its channel is closed');
      }
    } catch {
      this.#loseSight();
    } finally {
      this.#isLooking = false;
    }
  }

  async #bury(processId: string, peer: Peer, reason: string): Promise<void> {
    try {
      if (!(await this.#options.store.bury(processId, peer.beat))) return;
      this.#count.buried++;
      this.#options.log.warn({ peer: processId, reason }, 'a process of the cluster is dead');
      this.#gone(processId);
    } catch {
      this.#loseSight();
    }
  }

  /** A process is no more, however that is known: its rooms are told to whoever cares. */
  #gone(processId: string): void {
    if (!this.#peers.delete(processId)) return;
    this.#options.log.info({ peer: processId }, 'process of the cluster gone');
    this.#options.store.roomsOf(processId).then(
      (rooms) => {
        for (const listener of this.#deathListeners) listener(processId, rooms);
      },
      // Whoever looks for orphans finds them later.
      (error: unknown) => this.#options.log.warn({ err: error, peer: processId }, 'rooms of a dead process not read'),
    );
  }

  #hear(news: ClusterNews): void {
    if (this.#isOver) return;
    if (news.kind === 'owner') {
      for (const listener of this.#ownerListeners) listener(news.roomId, news.owner);
    } else if (news.processId === this.processId) {
      // Declared dead while alive: find out what is left.
      void this.#sendBeat().catch(() => undefined);
    } else {
      this.#gone(news.processId);
    }
  }

  #loseSight(): void {
    this.#judgesFromMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) peer.silentLooks = 0;
  }

  /** Compares every room of this process with the store: those that are another's are lost, the others told again. */
  async #reconcile(why: 'buried' | 'lost'): Promise<void> {
    const isLost = why === 'lost';
    // After a loss nobody can have taken anything over; rooms need not stand still for that.
    this.#isReconciling = !isLost && this.#own.size > 0;
    this.#options.log.warn(
      { rooms: this.#own.size },
      isLost ? 'the cluster had lost what it knew; told again' : 'this process was declared dead; it is back',
    );
    try {
      const rooms = [...this.#own.values()];
      for (let at = 0; at < rooms.length; at += RECONCILE_AT_ONCE) {
        const some = rooms.slice(at, at + RECONCILE_AT_ONCE);
        const kept = await Promise.all(some.map((room) => this.#put(room)));
        for (const [index, isKept] of kept.entries()) if (!isKept) this.#lose(some[index]!.roomId);
      }
      this.#unreconciled = undefined;
    } catch (error) {
      this.#count.failed++;
      this.#loseSight();
      throw error;
    } finally {
      this.#isReconciling = false;
    }
    if (isLost) {
      this.#count.healed++;
      for (const listener of this.#healedListeners) listener();
    }
  }
}
