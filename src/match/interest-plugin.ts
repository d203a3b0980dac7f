/**
 * Interest management: who sees which entity, how often, and within how many bytes.
 *
 * Membership is Colyseus's own `StateView`, one per client, changed only when an entity or its observer crosses
 * the border of a cell. What moves all the time, the hot fields, is written once per entity and patch (see
 * hot-serializer.ts) and copied into the frames of those who see it. For every client and entity in its view the
 * plugin keeps which hot fields the client is owed; a ring that is sent only every k-th patch, a byte budget and
 * a clogged socket all merely delay the payment, so nobody is left with a stale value.
 *
 * The plugin knows no game: hot fields are those that are `.fullStateOnly()` and of an integer type, owner-only
 * ones carry the owner tag, and positions are told by `move`.
 */
import { type Client, ClientState, type Room, RoomPlugin } from '@colyseus/core';
import { ArraySchema, MapSchema, type Schema, StateView } from '@colyseus/schema';
import type { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { CLOSE } from '../kernel/errors.ts';
import {
  type AnyArray,
  type AnyMap,
  assertColyseusInternals,
  bufferedBytesOf,
  FIELD_CHANGED,
  forgetViewChanges,
  hotFieldsOf,
  isAttached,
  isPlaceBeingVacated,
  refIdOf,
  renewViewChanges,
  type Structure,
  showCollection,
  socketOf,
  structureHeader,
  valuesOf,
} from './colyseus-internals.ts';
import type { HotSource } from './hot-serializer.ts';
import { readScalar, writeScalar } from './schema-capture.ts';
import { NO_RING, SpatialGrid } from './spatial-grid.ts';

/** One bit per hot field in a signed 32-bit mask. */
const HOT_FIELDS_MAX = 31;
const SHADOW_STRIDE = 32;
const SLOTS_AT_START = 64;
/** The entity is the client's own: always in its view, every patch, with the owner's fields. */
const OWN_RING = NO_RING - 1;
const RINGS_MAX = OWN_RING;
/** A budget may be saved up and overdrawn by what it grants in this time. */
const BURST_SECONDS = 0.25;
/** A slow consumer that does not answer the close either is cut off after this time. */
const CLOSE_GRACE_MS = 2_000;
/** A clogged socket counts as free again below this part of the soft bound. */
const FREE_AGAIN = 0.5;
/** Frames between two calls of `betweenFrames`. */
const FRAMES_PER_BREATH = 8;
/** Upper bounds of the histogram of entities in a view; one more bucket is above. */
export const VISIBLE_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;

export interface InterestRing {
  /** World units. Anything nearer is in this ring or an inner one for certain. */
  readonly radius: number;
  /** Hot fields are sent every so many patches, 1 to 64. */
  readonly everyPatches: number;
}

export interface InterestOptions {
  /** Edge of a grid cell, world units; see {@link SpatialGrid}. */
  readonly cellSize: number;
  /** World units. */
  readonly mapWidth: number;
  readonly mapHeight: number;
  /** Nearest first; what is beyond the last is not seen. */
  readonly rings: readonly InterestRing[];
  /** Part of a cell that something must be past the border to change cells, 0 to 0.5. Default 0.15. */
  readonly hysteresis?: number;
  /**
   * Bytes a second and client, frames with headers. Own entity and cold changes always go; what others' hot
   * fields are left is spent nearest first, and what waits longer counts as nearer. Default 16 KiB.
   */
  readonly budgetBytesPerSecond?: number;
  /** Unsent bytes of a socket above which its client gets only what must arrive. Default 16 KiB. */
  readonly softBytes?: number;
  /** Unsent bytes above which a client is dropped with CLOSE.SLOW_CONSUMER. Default 256 KiB. */
  readonly hardBytes?: number;
  /** Time above `softBytes` after which a client is dropped, too, ms. Default 10 s. */
  readonly clogMaxMs?: number;
  /** View tag of the fields that only an entity's owner receives. Default 2. */
  readonly ownerTag?: number;
  /** Called every few frames of a patch, so that other rooms' due ticks need not wait for all of them. */
  readonly betweenFrames?: () => void;
}

export interface TrackOptions {
  /** Session whose own entity this is: it always sees it, with the owner's fields. */
  readonly owner?: string;
  /** In every observer's view, wherever it is. */
  readonly always?: boolean;
}

/** Plain counters of one process, for the metrics endpoint. */
export class InterestTotals {
  /** State frames sent, and their bytes without WebSocket headers. */
  frames = 0;
  bytes = 0;
  /** Hot segments sent, and those put off, by reason. */
  hotSegments = 0;
  deferredByRing = 0;
  deferredByBudget = 0;
  deferredByBackPressure = 0;
  /** Frames not sent at all because the socket was clogged. */
  framesSkipped = 0;
  slowConsumersDropped = 0;
  viewAdds = 0;
  viewRemoves = 0;
  /** Frames by number of entities in the view, see {@link VISIBLE_BOUNDS}; the last bucket is above all bounds. */
  readonly visibleCounts: number[] = new Array(VISIBLE_BOUNDS.length + 1).fill(0);
  visibleSum = 0;
}

/** What the wire needs to know of one class. */
interface HotLayout {
  readonly count: number;
  /** By position in the mask. */
  readonly index: Uint8Array;
  readonly bytes: Uint8Array;
  readonly allMask: number;
  /** Fields that everybody receives who sees the entity. */
  readonly publicMask: number;
  readonly names: readonly string[];
}

class Observer {
  readonly sessionId: string;
  readonly view: StateView;
  client: Client;
  /** Slot of the entity it looks from, or -1. */
  followed = -1;
  /** Cell it looks from, or -1 before it has a place. */
  cell = -1;
  x = 0;
  y = 0;
  /** By slot: ring, OWN_RING or NO_RING. */
  ring: Uint8Array;
  /** By slot: hot fields that changed since the client was last told. */
  owed: Int32Array;
  /** By slot: patch since which something is owed. */
  owedSince: Int32Array;
  /** By slot: position in `visible`. */
  place: Int32Array;
  visible: Int32Array;
  visibleCount = 0;
  /** Its point of view changed otherwise than by crossing a border: everything must be looked at again. */
  isLost = false;
  creditBytes: number;
  creditedAtMs = -1;
  /** When the socket clogged, or -1. */
  clogSinceMs = -1;

  constructor(client: Client, view: StateView, slots: number, creditBytes: number) {
    this.sessionId = client.sessionId;
    this.client = client;
    this.view = view;
    this.creditBytes = creditBytes;
    this.ring = new Uint8Array(slots).fill(NO_RING);
    this.owed = new Int32Array(slots);
    this.owedSince = new Int32Array(slots);
    this.place = new Int32Array(slots);
    this.visible = new Int32Array(slots);
  }

  grow(slots: number): void {
    const known = this.ring.length;
    this.ring = resized(this.ring, slots).fill(NO_RING, known);
    this.owed = resized(this.owed, slots);
    this.owedSince = resized(this.owedSince, slots);
    this.place = resized(this.place, slots);
    this.visible = resized(this.visible, slots);
  }

  list(slot: number): void {
    this.place[slot] = this.visibleCount;
    this.visible[this.visibleCount++] = slot;
  }

  unlist(slot: number): void {
    const last = this.visible[--this.visibleCount]!;
    const at = this.place[slot]!;
    this.visible[at] = last;
    this.place[last] = at;
    this.ring[slot] = NO_RING;
    this.owed[slot] = 0;
  }
}

/** RoomPlugin `interest`. Its room must use `HotSerializer` with this plugin as the source. */
export class InterestPlugin extends RoomPlugin<Room> implements HotSource {
  override readonly pluginName = 'interest' as const;
  readonly #options: Required<Omit<InterestOptions, 'betweenFrames'>> & Pick<InterestOptions, 'betweenFrames'>;
  #totals: InterestTotals;
  readonly #grid: SpatialGrid;
  readonly #observers = new Map<string, Observer>();
  /** Of a restored state: who comes back may know something in them that is gone. */
  #collections: (AnyMap | AnyArray)[] = [];
  /** The patch's clients in order, where they observe. */
  readonly #live: (Observer | undefined)[] = [];
  readonly #slow: Client[] = [];
  #patch = 0;
  #nowMs = 0;
  #framesUntilBreath = FRAMES_PER_BREATH;
  readonly #periods: Int32Array;

  // Tracked entities by slot. A slot is free while its entity is undefined.
  readonly #slotOf = new Map<Schema, number>();
  readonly #layouts = new Map<unknown, HotLayout>();
  readonly #free: number[] = [];
  /** Slots whose entity goes at the next patch, unless it is tracked again before. */
  readonly #leaving = new Set<number>();
  /** Slots that crossed a cell border, or are new. */
  readonly #crossed = new Set<number>();
  #slots = SLOTS_AT_START;
  /** One above the highest slot in use. */
  #top = 0;
  #entities: (Schema | undefined)[] = [];
  #layoutAt: (HotLayout | undefined)[] = [];
  #headerAt: (Uint8Array | undefined)[] = [];
  #ownerAt: (string | undefined)[] = [];
  #isAlways = new Uint8Array(SLOTS_AT_START);
  #isNew = new Uint8Array(SLOTS_AT_START);
  #cells = new Int32Array(SLOTS_AT_START).fill(-1);
  #xs = new Float64Array(SLOTS_AT_START);
  #ys = new Float64Array(SLOTS_AT_START);
  /** Hot values as last looked at, SHADOW_STRIDE a slot. */
  #shadow = new Int32Array(SLOTS_AT_START * SHADOW_STRIDE);
  #changed = new Int32Array(SLOTS_AT_START);
  #changedPublic = new Int32Array(SLOTS_AT_START);
  /** The patch's segments of all entities, each with its changed public fields. */
  #segments: Uint8Array = new Uint8Array(0);
  #segmentAt = new Int32Array(SLOTS_AT_START);
  #segmentBytes = new Int32Array(SLOTS_AT_START);
  #segmentsEnd = 0;
  /** Behind them, one more of some: the fields that the first client was owed to whom it is late. Most owe the same. */
  #lateMask = new Int32Array(SLOTS_AT_START);
  #lateAt = new Int32Array(SLOTS_AT_START);
  #lateBytes = new Int32Array(SLOTS_AT_START);
  #due = new Int32Array(SLOTS_AT_START);
  #urgency = new Float64Array(SLOTS_AT_START);

  /** Segments of the client last composed for. */
  hotBytes: Uint8Array = new Uint8Array(0);

  /** @throws RangeError for an option out of range; Error if the installed schema library is not as expected */
  constructor(options: InterestOptions, totals: InterestTotals = new InterestTotals()) {
    super();
    assertColyseusInternals();
    this.#options = {
      hysteresis: 0.15,
      budgetBytesPerSecond: 16 * 1024,
      softBytes: 16 * 1024,
      hardBytes: 256 * 1024,
      clogMaxMs: 10_000,
      ownerTag: 2,
      ...options,
    };
    const { rings, budgetBytesPerSecond, softBytes, hardBytes, ownerTag } = this.#options;
    if (rings.length === 0 || rings.length > RINGS_MAX) throw new RangeError(`1 to ${RINGS_MAX} rings`);
    if (rings.some(({ everyPatches: n }) => !Number.isInteger(n) || n < 1 || n > 64)) {
      throw new RangeError('a ring is sent every 1 to 64 patches');
    }
    if (!(budgetBytesPerSecond > 0)) throw new RangeError('the budget is above 0 bytes a second');
    if (!(softBytes > 0 && hardBytes > softBytes)) throw new RangeError('0 < softBytes < hardBytes');
    if (!Number.isInteger(Math.log2(ownerTag))) throw new RangeError('a view tag is a power of two');
    this.#grid = new SpatialGrid({ ...this.#options, radii: rings.map(({ radius }) => radius) });
    this.#totals = totals;
    this.#periods = Int32Array.from(rings, ({ everyPatches }) => everyPatches);
  }

  /**
   * Entity of the state that is to be seen by those near it, from the next patch on. It has no place until the
   * first `move`. Tracking a tracked entity again replaces the options.
   * @throws Error if a hot field has no value (give it a default), carries a foreign view tag, or is one too many
   */
  track(entity: Schema, { owner, always = false }: TrackOptions = {}): void {
    let slot = this.#slotOf.get(entity);
    if (slot === undefined) {
      const layout = this.#layoutOf(entity);
      slot = this.#free.pop() ?? this.#top++;
      if (slot >= this.#slots) this.#grow();
      this.#slotOf.set(entity, slot);
      this.#entities[slot] = entity;
      this.#layoutAt[slot] = layout;
      this.#headerAt[slot] = undefined;
      this.#cells[slot] = -1;
      this.#isNew[slot] = 1;
      this.#changed[slot] = 0;
      this.#changedPublic[slot] = 0;
    }
    this.#leaving.delete(slot);
    this.#ownerAt[slot] = owner;
    this.#isAlways[slot] = always ? 1 : 0;
    this.#crossed.add(slot);
  }

  /** Where a tracked entity is, world units. Call it whenever that changes; it costs next to nothing. */
  move(entity: Schema, x: number, y: number): void {
    const slot = this.#slotOf.get(entity);
    if (slot === undefined) return;
    this.#xs[slot] = x;
    this.#ys[slot] = y;
    const before = this.#cells[slot]!;
    const cell = before < 0 ? this.#grid.cellAt(x, y) : this.#grid.cellAfterMove(x, y, before);
    if (cell === before) return;
    this.#cells[slot] = cell;
    this.#crossed.add(slot);
  }

  /**
   * The entity is leaving the state: nobody sees it any more. Call it before removing the entity; one that was
   * removed without is found at the next patch.
   */
  untrack(entity: Schema): void {
    const slot = this.#slotOf.get(entity);
    if (slot !== undefined) this.#leaving.add(slot);
  }

  /** The client looks from a tracked entity, its own or one that it follows. Call it at join or any time later. */
  observe(client: Client, entity: Schema): void {
    const slot = this.#slotOf.get(entity);
    if (slot === undefined) throw new Error('observe: the entity is not tracked');
    const observer = this.#observerOf(client);
    observer.followed = slot;
    observer.isLost = true;
  }

  /** The client looks from a free point, world units. */
  observeAt(client: Client, x: number, y: number): void {
    const observer = this.#observerOf(client);
    const before = observer.followed >= 0 || observer.cell < 0 ? this.#grid.cellAt(x, y) : observer.cell;
    observer.followed = -1;
    observer.x = x;
    observer.y = y;
    const cell = this.#grid.cellAfterMove(x, y, before);
    if (cell !== observer.cell) observer.isLost = true;
    observer.cell = cell;
  }

  /** The client is gone for good. Happens by itself on the final leave; a dropped client keeps its view. */
  release(client: Client): void {
    const observer = this.#observers.get(client.sessionId);
    if (observer === undefined) return;
    this.#observers.delete(client.sessionId);
    this.#live.length = 0;
    observer.view.dispose();
  }

  /** Load of the process, 0 to 2: from 1 on, every ring but the innermost is sent half as often, from 2 a quarter. */
  setShedLevel(level: number): void {
    const factor = 1 << Math.min(Math.max(level, 0), 2);
    for (const [ring, { everyPatches }] of this.#options.rings.entries()) {
      this.#periods[ring] = ring === 0 ? everyPatches : everyPatches * factor;
    }
  }

  /** Tracked entities that the client has in its view; undefined for one that does not observe. */
  visibleTo(client: Client): Schema[] | undefined {
    const observer = this.#observers.get(client.sessionId);
    if (observer === undefined) return undefined;
    return Array.from(observer.visible.subarray(0, observer.visibleCount), (slot) => this.#entities[slot]!);
  }

  /** Session whose own entity this is; empty for nobody's, or for one that is not tracked. */
  ownerOf(entity: Schema): string {
    const slot = this.#slotOf.get(entity);
    return slot === undefined ? '' : (this.#ownerAt[slot] ?? '');
  }

  /** What was one session's own is another's from now on. */
  reown(from: string, to: string): void {
    for (let slot = 0; slot < this.#top; slot++) {
      if (this.#ownerAt[slot] !== from) continue;
      this.#ownerAt[slot] = to;
      this.#crossed.add(slot);
    }
  }

  /** Appends who is where and who looks from where, so that {@link restore} shows everybody what it saw. */
  capture(to: ByteWriter): void {
    const slots: number[] = [];
    for (let slot = 0; slot < this.#top; slot++) {
      const entity = this.#entities[slot];
      if (entity !== undefined && isAttached(entity) && !this.#leaving.has(slot)) slots.push(slot);
    }
    to.varint(slots.length);
    for (const slot of slots) {
      to.varint(refIdOf(this.#entities[slot]!)!);
      to.u8(this.#isAlways[slot]!).string(this.#ownerAt[slot] ?? '');
      this.#writePlace(to, this.#xs[slot]!, this.#ys[slot]!, this.#cells[slot]!);
    }
    to.varint(this.#observers.size);
    for (const { sessionId, followed, x, y, cell } of this.#observers.values()) {
      const entity = followed < 0 ? undefined : this.#entities[followed];
      to.string(sessionId).varint(entity === undefined ? 0 : refIdOf(entity)! + 1);
      this.#writePlace(to, x, y, cell);
    }
  }

  #writePlace(to: ByteWriter, x: number, y: number, cell: number): void {
    writeScalar(to, x);
    writeScalar(to, y);
    to.varint(cell + 1);
  }

  /**
   * Puts up again what {@link capture} took down, in a room that tracks nothing yet.
   * @param structures those of the restored state, by number
   * @throws RangeError if the bytes do not fit the state
   */
  restore(from: ByteReader, structures: ReadonlyMap<number, Structure>): void {
    for (const structure of structures.values()) {
      if (structure instanceof MapSchema || structure instanceof ArraySchema) this.#collections.push(structure);
    }
    for (let left = from.varint(); left > 0; left--) {
      const refId = from.varint();
      const isAlways = from.u8() === 1;
      const owner = from.string();
      const { x, y, cell } = this.#readPlace(from);
      const entity = structures.get(refId) as Schema | undefined;
      if (entity === undefined) throw new RangeError(`entity ${refId} is not in the state`);
      this.track(entity, { always: isAlways, ...(owner === '' ? {} : { owner }) });
      const slot = this.#slotOf.get(entity)!;
      this.#xs[slot] = x;
      this.#ys[slot] = y;
      this.#cells[slot] = cell;
    }
    for (let left = from.varint(); left > 0; left--) {
      const sessionId = from.string();
      const followed = from.varint() - 1;
      const place = this.#readPlace(from);
      const entity = structures.get(followed) as Schema | undefined;
      // Its client comes later; until then nothing is sent to it.
      const observer = this.#observerOf({ sessionId } as Client);
      observer.followed = entity === undefined ? -1 : (this.#slotOf.get(entity) ?? -1);
      Object.assign(observer, place);
      observer.isLost = true;
    }
  }

  #readPlace(from: ByteReader): { x: number; y: number; cell: number } {
    const x = readScalar(from);
    const y = readScalar(from);
    if (typeof x !== 'number' || typeof y !== 'number') throw new RangeError('a place is two numbers');
    const cell = from.varint() - 1;
    if (cell < 0) return { x, y, cell: -1 };
    return { x, y, cell: this.#grid.hasCell(cell) ? this.#grid.cellAfterMove(x, y, cell) : this.#grid.cellAt(x, y) };
  }

  get totals(): InterestTotals {
    return this.#totals;
  }

  /** Counts into the process's totals from now on; a room knows them only once it is created. */
  countInto(totals: InterestTotals): void {
    this.#totals = totals;
  }

  protected override onLeave(client: Client): void {
    this.release(client);
  }

  // The serializer's side.

  beginPatch(clients: readonly Client[], nowMs: number): void {
    this.#patch++;
    this.#nowMs = nowMs;
    this.#framesUntilBreath = FRAMES_PER_BREATH;
    this.#findRemoved();
    this.#dropLeaving();
    this.#encodeChanges();
    const crossed = [...this.#crossed];
    this.#crossed.clear();
    const live = this.#live;
    live.length = clients.length;
    for (let index = 0; index < clients.length; index++) {
      const client = clients[index]!;
      // Most often it is the one that was in this place last time; the framework's clients are slow to be asked.
      if (live[index]?.client !== client) {
        const found = client.state === ClientState.JOINED ? this.#observers.get(client.sessionId) : undefined;
        live[index] = found?.client === client ? found : undefined;
      }
      const observer = live[index];
      if (observer === undefined) continue;
      this.#relocate(observer);
      if (observer.isLost) {
        observer.isLost = false;
        for (let slot = 0; slot < this.#top; slot++) this.#refresh(observer, slot);
      } else {
        for (const slot of crossed) this.#refresh(observer, slot);
      }
    }
  }

  compose(index: number, otherBytes: number, isDroppable: boolean): number {
    const observer = this.#live[index];
    if (observer === undefined) {
      this.#count(otherBytes);
      return 0;
    }

    const isClogged = this.#checkSocket(observer);
    const at = isClogged && isDroppable ? this.#putOff(observer) : this.#fill(observer, otherBytes, isClogged);
    if (at < 0) return -1;
    const bytes = otherBytes + at;
    const overdraft = -this.#options.budgetBytesPerSecond * BURST_SECONDS;
    observer.creditBytes = Math.max(observer.creditBytes - bytes - webSocketHeader(bytes), overdraft);
    this.#count(bytes);
    this.#countVisible(observer.visibleCount);
    return at;
  }

  afterSend(): void {
    if (this.#options.betweenFrames === undefined || --this.#framesUntilBreath > 0) return;
    this.#framesUntilBreath = FRAMES_PER_BREATH;
    this.#options.betweenFrames();
  }

  endPatch(): void {
    for (const client of this.#slow) this.#dropSlow(client);
    this.#slow.length = 0;
  }

  beginFullState(client: Client): void {
    const observer = this.#observers.get(client.sessionId);
    if (observer === undefined) return;
    // After a reconnect the session has a new client object, to which the framework has moved the view.
    observer.client = client;
    client.view = observer.view;
    observer.clogSinceMs = -1;
    this.#findRemoved();
    this.#dropLeaving();
    // The full state says it all, and what the client must forget it takes from what is missing there.
    forgetViewChanges(observer.view);
    this.#relocate(observer);
    for (let slot = 0; slot < this.#top; slot++) this.#refresh(observer, slot);
    observer.isLost = false;
  }

  endFullState(client: Client, frameBytes: number): void {
    this.#count(frameBytes);
    const observer = this.#observers.get(client.sessionId);
    if (observer === undefined) return;
    forgetViewChanges(observer.view);
    for (let i = 0; i < observer.visibleCount; i++) {
      const slot = observer.visible[i]!;
      const layout = this.#layoutAt[slot]!;
      const mask = observer.ring[slot] === OWN_RING ? layout.allMask : layout.publicMask;
      // It was told values that the last patch did not know; should they change back before the next one looks,
      // nobody else would notice.
      observer.owed[slot] = this.#unnoticed(slot, this.#entities[slot]!, layout) & mask;
      observer.owedSince[slot] = this.#patch;
    }
  }

  // One client's hot bytes.

  /** Writes what is due into `hotBytes`, and notes what is not as owed. @returns bytes written */
  #fill(observer: Observer, otherBytes: number, isClogged: boolean): number {
    const { visible, visibleCount, ring, owed } = observer;
    const patch = this.#patch;
    const periods = this.#periods;
    const changed = this.#changedPublic;
    const segmentAt = this.#segmentAt;
    const segmentBytes = this.#segmentBytes;
    const from = this.#segments;
    const to = this.hotBytes;
    let at = 0;
    let dueCount = 0;
    let segments = 0;
    let byRing = 0;

    for (let i = 0; i < visibleCount; i++) {
      const slot = visible[i]!;
      if (ring[slot] === OWN_RING) at = this.#payOwn(observer, slot, at);
    }
    const ownEnd = at;
    // Most often all that is due fits. So the segments are copied before it is known that they do; if not, they are
    // taken back.
    for (let i = 0; i < visibleCount; i++) {
      const slot = visible[i]!;
      const before = owed[slot]!;
      const mask = before | changed[slot]!;
      if (mask === 0) continue;
      const kind = ring[slot]!;
      if (kind === OWN_RING) continue;
      const period = periods[kind]!;
      if (period > 1 && (patch + slot) % period !== 0) {
        if (before === 0) observer.owedSince[slot] = patch;
        owed[slot] = mask;
        byRing++;
      } else if (before !== 0) {
        owed[slot] = mask;
        this.#due[dueCount++] = slot;
        at = this.#copyLate(slot, mask, at);
      } else {
        let source = segmentAt[slot]!;
        const end = at + segmentBytes[slot]!;
        while (at < end) to[at++] = from[source++]!;
        segments++;
      }
    }
    const totals = this.#totals;
    totals.deferredByRing += byRing;

    const total = otherBytes + at;
    if (!isClogged && total + webSocketHeader(total) <= this.#creditOf(observer)) {
      for (let i = 0; i < dueCount; i++) owed[this.#due[i]!] = 0;
      totals.hotSegments += segments + dueCount;
      return at;
    }
    dueCount = this.#takeBack(observer);
    if (isClogged) {
      totals.deferredByBackPressure += dueCount;
      return ownEnd;
    }
    const creditBytes = this.#creditOf(observer) - otherBytes - ownEnd - webSocketHeader(total);
    return this.#payMostUrgent(observer, dueCount, ownEnd, creditBytes);
  }

  /** Nothing is sent now: all that changed is owed. @returns -1 */
  #putOff(observer: Observer): number {
    for (let i = 0; i < observer.visibleCount; i++) {
      const slot = observer.visible[i]!;
      const isOwn = observer.ring[slot] === OWN_RING;
      this.#owe(observer, slot, isOwn ? this.#changed[slot]! : this.#changedPublic[slot]!);
      if (observer.owed[slot] !== 0) this.#totals.deferredByBackPressure++;
    }
    this.#totals.framesSkipped++;
    return -1;
  }

  /** Makes all that is due this patch owed. @returns how many entities, listed in `#due` */
  #takeBack(observer: Observer): number {
    let dueCount = 0;
    for (let i = 0; i < observer.visibleCount; i++) {
      const slot = observer.visible[i]!;
      const kind = observer.ring[slot]!;
      if (kind === OWN_RING) continue;
      this.#owe(observer, slot, this.#changedPublic[slot]!);
      if (observer.owed[slot] === 0 || (this.#patch + slot) % this.#periods[kind]! !== 0) continue;
      this.#due[dueCount++] = slot;
    }
    return dueCount;
  }

  #owe(observer: Observer, slot: number, mask: number): void {
    if (mask === 0) return;
    if (observer.owed[slot] === 0) observer.owedSince[slot] = this.#patch;
    observer.owed[slot]! |= mask;
  }

  #payOwn(observer: Observer, slot: number, at: number): number {
    const mask = observer.owed[slot]! | this.#changed[slot]!;
    if (mask === 0) return at;
    observer.owed[slot] = mask;
    return this.#pay(observer, slot, at);
  }

  /** Appends what the observer is owed of an entity. @returns the end */
  #pay(observer: Observer, slot: number, at: number): number {
    const mask = observer.owed[slot]!;
    observer.owed[slot] = 0;
    this.#totals.hotSegments++;
    return this.#write(slot, mask, this.hotBytes, at);
  }

  // Membership.

  #observerOf(client: Client): Observer {
    let observer = this.#observers.get(client.sessionId);
    if (observer === undefined) {
      const view = client.view ?? new StateView();
      for (const collection of this.#collections) if (isAttached(collection)) showCollection(view, collection);
      observer = new Observer(client, view, this.#slots, this.#options.budgetBytesPerSecond * BURST_SECONDS);
      this.#observers.set(client.sessionId, observer);
    }
    observer.client = client;
    client.view = observer.view;
    return observer;
  }

  /** Moves the observer along with what it follows. */
  #relocate(observer: Observer): void {
    if (observer.followed < 0) return;
    const cell = this.#cells[observer.followed]!;
    observer.x = this.#xs[observer.followed]!;
    observer.y = this.#ys[observer.followed]!;
    if (cell === observer.cell || cell < 0) return;
    observer.cell = cell;
    observer.isLost = true;
  }

  /** Puts one entity where it belongs in the observer's view. */
  #refresh(observer: Observer, slot: number): void {
    const entity = this.#entities[slot];
    if (entity === undefined) return;
    const before = observer.ring[slot]!;
    const ring = this.#ringOf(observer, slot);
    if (ring === before) return;
    const { view } = observer;
    const tag = this.#options.ownerTag;
    if (before === NO_RING && isPlaceBeingVacated(view, entity)) {
      this.#crossed.add(slot);
      return;
    }

    renewViewChanges(view);
    if (before === OWN_RING || ring === NO_RING) {
      if (before === OWN_RING) view.remove(entity, tag);
      view.remove(entity);
      observer.unlist(slot);
      this.#totals.viewRemoves++;
      if (ring === NO_RING) return;
    }
    if (ring === OWN_RING) view.add(entity, tag);
    else if (observer.ring[slot] === NO_RING) view.add(entity);
    if (observer.ring[slot] === NO_RING) {
      observer.list(slot);
      // It comes with its values. One that no patch has introduced yet comes without the hot ones, but then it is
      // new here as well, and all of them count as changed in this patch.
      observer.owed[slot] = 0;
      this.#totals.viewAdds++;
    }
    observer.ring[slot] = ring;
  }

  #ringOf(observer: Observer, slot: number): number {
    if (this.#ownerAt[slot] === observer.sessionId) return OWN_RING;
    if (this.#isAlways[slot] === 1 || slot === observer.followed) return 0;
    const cell = this.#cells[slot]!;
    return cell < 0 || observer.cell < 0 ? NO_RING : this.#grid.ringBetween(observer.cell, cell);
  }

  /** An entity that is no longer in the state must not be written: clients would not know its structure. */
  #findRemoved(): void {
    for (let slot = 0; slot < this.#top; slot++) {
      const entity = this.#entities[slot];
      if (entity !== undefined && !isAttached(entity)) this.#leaving.add(slot);
    }
  }

  #dropLeaving(): void {
    for (const slot of this.#leaving) {
      const entity = this.#entities[slot]!;
      for (const observer of this.#observers.values()) {
        if (observer.followed === slot) {
          // It goes on looking from where that was last.
          this.#relocate(observer);
          observer.followed = -1;
        }
        const ring = observer.ring[slot]!;
        if (ring === NO_RING) continue;
        renewViewChanges(observer.view);
        if (ring === OWN_RING) observer.view.remove(entity, this.#options.ownerTag);
        observer.view.remove(entity);
        observer.unlist(slot);
        this.#totals.viewRemoves++;
      }
      this.#slotOf.delete(entity);
      this.#entities[slot] = undefined;
      this.#layoutAt[slot] = undefined;
      this.#headerAt[slot] = undefined;
      this.#ownerAt[slot] = undefined;
      this.#changed[slot] = 0;
      this.#changedPublic[slot] = 0;
      this.#crossed.delete(slot);
      this.#free.push(slot);
    }
    this.#leaving.clear();
  }

  #grow(): void {
    const slots = this.#slots * 2;
    const known = this.#slots;
    this.#slots = slots;
    this.#isAlways = resized(this.#isAlways, slots);
    this.#isNew = resized(this.#isNew, slots);
    this.#cells = resized(this.#cells, slots).fill(-1, known);
    this.#xs = resized(this.#xs, slots);
    this.#ys = resized(this.#ys, slots);
    this.#shadow = resized(this.#shadow, slots * SHADOW_STRIDE);
    this.#changed = resized(this.#changed, slots);
    this.#changedPublic = resized(this.#changedPublic, slots);
    this.#segmentAt = resized(this.#segmentAt, slots);
    this.#segmentBytes = resized(this.#segmentBytes, slots);
    this.#lateMask = resized(this.#lateMask, slots);
    this.#lateAt = resized(this.#lateAt, slots);
    this.#lateBytes = resized(this.#lateBytes, slots);
    this.#due = resized(this.#due, slots);
    this.#urgency = resized(this.#urgency, slots);
    for (const observer of this.#observers.values()) observer.grow(slots);
  }

  // Hot fields.

  #layoutOf(entity: Schema): HotLayout {
    let layout = this.#layouts.get(entity.constructor);
    if (layout === undefined) {
      const fields = hotFieldsOf(entity);
      if (fields.length > HOT_FIELDS_MAX) throw new Error(`more than ${HOT_FIELDS_MAX} hot fields in one class`);
      let publicMask = 0;
      for (const [i, { name, tag }] of fields.entries()) {
        if (tag === undefined) publicMask |= 1 << i;
        else if (tag !== this.#options.ownerTag)
          throw new Error(`hot field ${name} has a view tag that is not the owner's`);
      }
      layout = {
        count: fields.length,
        index: Uint8Array.from(fields, ({ index }) => index),
        bytes: Uint8Array.from(fields, ({ bytes }) => bytes),
        names: fields.map(({ name }) => name),
        allMask: 2 ** fields.length - 1,
        publicMask,
      };
      this.#layouts.set(entity.constructor, layout);
    }
    const values = valuesOf(entity);
    for (let i = 0; i < layout.count; i++) {
      if (values[layout.index[i]!] === undefined) throw new Error(`hot field ${layout.names[i]} needs a default`);
    }
    return layout;
  }

  /** Finds what changed since the last patch and encodes each entity's changed public fields once. */
  #encodeChanges(): void {
    let boundBytes = 0;
    for (let slot = 0; slot < this.#top; slot++) {
      const layout = this.#layoutAt[slot];
      if (layout !== undefined) boundBytes += SEGMENT_HEAD_MAX + layout.count * 5;
    }
    if (this.hotBytes.length < boundBytes) {
      this.#segments = new Uint8Array(boundBytes * 4);
      this.hotBytes = new Uint8Array(boundBytes * 2);
    }

    let at = 0;
    for (let slot = 0; slot < this.#top; slot++) {
      const entity = this.#entities[slot];
      if (entity === undefined) continue;
      const layout = this.#layoutAt[slot]!;
      let mask = this.#unnoticed(slot, entity, layout);
      if (mask !== 0) this.#notice(slot, entity, layout);
      if (this.#isNew[slot] === 1) {
        this.#isNew[slot] = 0;
        mask = layout.allMask;
      }
      this.#headerAt[slot] ??= structureHeader(entity);
      this.#changed[slot] = mask;
      mask &= layout.publicMask;
      this.#changedPublic[slot] = mask;
      if (mask === 0) continue;
      const end = this.#write(slot, mask, this.#segments, at);
      this.#segmentAt[slot] = at;
      this.#segmentBytes[slot] = end - at;
      at = end;
    }
    this.#segmentsEnd = at;
    this.#lateMask.fill(0, 0, this.#top);
  }

  /** Appends to `hotBytes` what is owed of an entity since before this patch. @returns the end */
  #copyLate(slot: number, mask: number, at: number): number {
    if (this.#lateMask[slot] !== mask) {
      if (this.#lateMask[slot] !== 0) return this.#write(slot, mask, this.hotBytes, at);
      const start = this.#segmentsEnd;
      this.#segmentsEnd = this.#write(slot, mask, this.#segments, start);
      this.#lateMask[slot] = mask;
      this.#lateAt[slot] = start;
      this.#lateBytes[slot] = this.#segmentsEnd - start;
    }
    const from = this.#segments;
    const to = this.hotBytes;
    let source = this.#lateAt[slot]!;
    const end = at + this.#lateBytes[slot]!;
    while (at < end) to[at++] = from[source++]!;
    return at;
  }

  /** Hot fields whose value is another one than at the last patch. */
  #unnoticed(slot: number, entity: Schema, { index, count }: HotLayout): number {
    const values = valuesOf(entity);
    const shadow = this.#shadow;
    const base = slot * SHADOW_STRIDE;
    let mask = 0;
    for (let i = 0; i < count; i++) {
      if (((values[index[i]!] as number) | 0) !== shadow[base + i]) mask |= 1 << i;
    }
    return mask;
  }

  #notice(slot: number, entity: Schema, { index, count }: HotLayout): void {
    const values = valuesOf(entity);
    const base = slot * SHADOW_STRIDE;
    for (let i = 0; i < count; i++) this.#shadow[base + i] = (values[index[i]!] as number) | 0;
  }

  /** Writes the masked fields of an entity as they are now. @returns the end */
  #write(slot: number, mask: number, to: Uint8Array, at: number): number {
    const { index, bytes, count } = this.#layoutAt[slot]!;
    const header = this.#headerAt[slot]!;
    const base = slot * SHADOW_STRIDE;
    for (let i = 0; i < header.length; i++) to[at++] = header[i]!;
    for (let i = 0; i < count; i++) {
      if ((mask & (1 << i)) === 0) continue;
      const value = this.#shadow[base + i]!;
      const width = bytes[i]!;
      to[at++] = FIELD_CHANGED | index[i]!;
      to[at++] = value & 255;
      if (width > 1) to[at++] = (value >> 8) & 255;
      if (width > 2) {
        to[at++] = (value >> 16) & 255;
        to[at++] = value >>> 24;
      }
    }
    return at;
  }

  #sizeOf(slot: number, mask: number): number {
    const { bytes, count } = this.#layoutAt[slot]!;
    let size = this.#headerAt[slot]!.length;
    for (let i = 0; i < count; i++) if ((mask & (1 << i)) !== 0) size += 1 + bytes[i]!;
    return size;
  }

  /** Pays what fits, nearest first; each patch of waiting brings an entity nearer, so none waits for ever. */
  #payMostUrgent(observer: Observer, dueCount: number, at: number, creditBytes: number): number {
    const due = this.#due;
    const urgency = this.#urgency.subarray(0, dueCount);
    for (let i = 0; i < dueCount; i++) {
      const slot = due[i]!;
      const distance = Math.hypot(this.#xs[slot]! - observer.x, this.#ys[slot]! - observer.y);
      const waited = 1 + this.#patch - observer.owedSince[slot]!;
      // Sorted as plain numbers, with the place in `due` in the lowest digits.
      urgency[i] = Math.min(Math.round((distance / waited) * 16), 2 ** 32) * this.#slots + i;
    }
    urgency.sort();
    let paid = 0;
    for (; paid < dueCount; paid++) {
      const slot = due[urgency[paid]! % this.#slots]!;
      const size = this.#sizeOf(slot, observer.owed[slot]!);
      if (size > creditBytes) break;
      creditBytes -= size;
      at = this.#pay(observer, slot, at);
    }
    this.#totals.deferredByBudget += dueCount - paid;
    return at;
  }

  #creditOf(observer: Observer): number {
    const rate = this.#options.budgetBytesPerSecond;
    if (observer.creditedAtMs >= 0) {
      const granted = (Math.max(0, this.#nowMs - observer.creditedAtMs) / 1000) * rate;
      observer.creditBytes = Math.min(observer.creditBytes + granted, rate * BURST_SECONDS);
    }
    observer.creditedAtMs = this.#nowMs;
    return observer.creditBytes;
  }

  // Slow consumers.

  /** @returns whether only what must arrive may be sent */
  #checkSocket(observer: Observer): boolean {
    const buffered = bufferedBytesOf(observer.client);
    const { softBytes, hardBytes, clogMaxMs } = this.#options;
    if (buffered <= (observer.clogSinceMs < 0 ? softBytes : softBytes * FREE_AGAIN)) {
      observer.clogSinceMs = -1;
      return false;
    }
    if (observer.clogSinceMs < 0) observer.clogSinceMs = this.#nowMs;
    if (buffered > hardBytes || this.#nowMs - observer.clogSinceMs > clogMaxMs) this.#slow.push(observer.client);
    return true;
  }

  #dropSlow(client: Client): void {
    this.#totals.slowConsumersDropped++;
    const socket = socketOf(client);
    socket.close?.(CLOSE.SLOW_CONSUMER, 'SLOW_CONSUMER');
    // Who does not read does not see the close either.
    setTimeout(() => socket.terminate?.(), CLOSE_GRACE_MS).unref();
    this.room.kickClient(client.sessionId, CLOSE.SLOW_CONSUMER, 'SLOW_CONSUMER');
  }

  #count(bytes: number): void {
    this.#totals.frames++;
    this.#totals.bytes += bytes;
  }

  #countVisible(count: number): void {
    let bucket = 0;
    while (bucket < VISIBLE_BOUNDS.length && count > VISIBLE_BOUNDS[bucket]!) bucket++;
    this.#totals.visibleCounts[bucket]!++;
    this.#totals.visibleSum += count;
  }
}

/** `255` and a refId of up to 32 bits with its own prefix. */
const SEGMENT_HEAD_MAX = 10;

function webSocketHeader(payloadBytes: number): number {
  return payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
}

function resized<T extends Uint8Array | Int32Array | Float64Array>(from: T, length: number): T {
  const to = new (from.constructor as new (length: number) => T)(length);
  to.set(from);
  return to;
}
