/**
 * What a player saw of its match, frame by frame, and whether it happened: the frames must be the views of the journal's
 * ticks, in their order. A tick may be left out (a clogged socket gets no frame) or stand still for some frames, none may
 * come that was not, and none may come again after a later one.
 *
 * Frames carry no tick, so that each is taken for the first tick after the one before whose view has its hash. A player
 * that stands still sees the same again and again; which of those ticks it was, nobody could tell who looks at the screen.
 */
import { ByteReader } from '../../src/kernel/bytes.ts';
import { readEntry } from '../../src/kernel/entry-codec.ts';
import type { Hash64 } from '../../src/kernel/hash.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { arena } from '../../src/sim/arena.ts';
import { OwnerSight } from './sight.ts';

/** Every so many frames, where others were seen is written down, too. */
const OTHERS_EVERY_FRAMES = 4;
/**
 * Longest that interest may owe somebody where another one is, ticks: the outer ring under full shedding is sent every
 * eighth patch, a patch comes every sixth tick at most, and the budget of a crowd adds to it.
 */
const OTHERS_LATE_TICKS = 75;
const BLOCK = 1024;
/** Frames that a judgement tells of one by one. */
const ODDITIES_MAX = 8;

/** A list of numbers without a boxed one in it. */
class Numbers {
  values = new Float64Array(BLOCK);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const more = new Float64Array(this.length * 2);
      more.set(this.values);
      this.values = more;
    }
    this.values[this.length++] = value;
  }
}

/** What one player saw. */
export class Witness {
  readonly #hashes = new Numbers();
  /** Frames that were full states: of a join or a resume. They may say again what was said. */
  readonly #wholes = new Numbers();
  /** Runs of: frame, and the packed place of one other avatar seen in it. */
  readonly #others = new Numbers();

  get frames(): number {
    return this.#hashes.length;
  }

  /** @param hash see `hashSeen` */
  saw(hash: number, isWhole: boolean): void {
    if (isWhole) this.#wholes.push(this.#hashes.length);
    this.#hashes.push(hash);
  }

  /** Whether {@link sawOther} wants to be told of the frame that was just seen. */
  get wantsOthers(): boolean {
    return this.#hashes.length % OTHERS_EVERY_FRAMES === 1;
  }

  sawOther(seat: number, x: number, y: number): void {
    this.#others.push(this.#hashes.length - 1);
    this.#others.push(packed(seat, x, y));
  }

  /** Holds it, or its first `length` frames, against what happened. */
  judge(truth: MatchTruth, seat: number, length = this.frames): Judgement {
    const views = truth.viewsOf(seat);
    const hashes = this.#hashes.values;
    const wholes = new Set(this.#wholes.values.subarray(0, this.#wholes.length));
    const places = placesByHash(views);
    const judgement = {
      frames: length,
      mismatches: 0,
      trailing: 0,
      ticksTakenBack: 0,
      mostTakenBack: 0,
      othersMismatched: 0,
      oddities: [] as string[],
    };
    const note = (text: string): void => {
      if (judgement.oddities.length < ODDITIES_MAX) judgement.oddities.push(text);
    };
    /** Of each frame: no later than this tick, and -1 for one that never was. */
    const earliest = new Int32Array(length).fill(-1);
    let last = -1;
    let unknown = 0;
    for (let frame = 0; frame < length; frame++) {
      const isWhole = wholes.has(frame);
      const ticks = places.get(hashes[frame]!);
      let tick = ticks === undefined ? undefined : nextOf(ticks, last, isWhole);
      let takenBack = 0;
      if (ticks !== undefined && isWhole && frame > 0 && (tick === undefined || unknown > 0)) {
        // Of a process that died the last moments are in no journal: a later tick may look like one of those by chance.
        takenBack = lostBefore(earliest, frame, ticks);
        earliest.fill(-1, frame - takenBack, frame);
        unknown = 0;
        tick = takenBack < frame ? firstFrom(ticks, Math.max(earliest[frame - takenBack - 1]!, 0))! : ticks[0]!;
        note(
          `frame ${frame} of ${length}, a full state, shows tick ${tick}, without the ${takenBack} frames before it`,
        );
      } else if (tick === undefined && ticks !== undefined) {
        // It was, before what has been seen already: that was taken back.
        tick = ticks.at(-1)!;
        takenBack = last - tick;
        note(`frame ${frame} of ${length}${isWhole ? ', a full state,' : ''} shows tick ${tick} after tick ${last}`);
      }
      if (tick === undefined) {
        unknown++;
        note(`frame ${frame} of ${length}${isWhole ? ', a full state,' : ''} shows what never was, after tick ${last}`);
        continue;
      }
      judgement.mismatches += unknown;
      unknown = 0;
      judgement.ticksTakenBack += takenBack;
      judgement.mostTakenBack = Math.max(judgement.mostTakenBack, takenBack);
      earliest[frame] = tick;
      last = tick;
    }
    judgement.mismatches += unknown;
    judgement.trailing = unknown;
    judgement.othersMismatched = this.#judgeOthers(truth, earliest, latestOf(hashes, earliest, places));
    return judgement;
  }

  /** Others must be where they were at the frame's tick or in the moments before it. */
  #judgeOthers(truth: MatchTruth, earliest: Int32Array, latest: Int32Array): number {
    let mismatched = 0;
    const { values, length } = this.#others;
    for (let at = 0; at < length; at += 2) {
      const frame = values[at]!;
      if (frame >= earliest.length || earliest[frame] === -1) continue;
      const { seat, x, y } = unpacked(values[at + 1]!);
      if (!truth.wasThere(seat, x, y, earliest[frame]! - OTHERS_LATE_TICKS, latest[frame]!)) mismatched++;
    }
    return mismatched;
  }
}

export interface Judgement {
  readonly frames: number;
  /** Frames that show what never was. */
  readonly mismatches: number;
  /** Those of them after the last one that was: the journal may be a moment behind. */
  readonly trailing: number;
  /** Ticks that were shown and are not, before a resume one for each frame; and those that were shown again. */
  readonly ticksTakenBack: number;
  /** The most of them at one time. */
  readonly mostTakenBack: number;
  /** Sightings of others where they had not been. */
  readonly othersMismatched: number;
  /** The first of the frames that are not as they should be, in words. */
  readonly oddities: readonly string[];
}

/** A match as its journal has it; structurally the journal's own type. */
export interface JournaledMatch {
  readonly header: { readonly matchId: string; readonly setup: MatchSetup };
  readonly entries: readonly { readonly tick: number; readonly bytes: Uint8Array; readonly hash: Hash64 }[];
}

/** A match, stepped again from its journal: what was to be seen at every tick. */
export class MatchTruth {
  readonly ticks: number;
  /** First tick whose world is not the recorded one. */
  readonly divergedAtTick: number | undefined;
  /** Of the players at the end, by seat. */
  readonly names: readonly string[];
  readonly #views: Float64Array[];
  /** By tick and seat. */
  readonly #xs: Int16Array;
  readonly #ys: Int16Array;
  readonly #capacity: number;

  constructor({ header, entries }: JournaledMatch) {
    const world = arena.create(header.setup);
    const sight = new OwnerSight(world);
    const { capacity } = world;
    this.#capacity = capacity;
    this.ticks = entries.length;
    this.#views = Array.from({ length: capacity }, () => new Float64Array(entries.length));
    this.#xs = new Int16Array(entries.length * capacity);
    this.#ys = new Int16Array(entries.length * capacity);
    const hash: Hash64 = { hi: 0, lo: 0 };
    let divergedAtTick: number | undefined;
    for (const { tick, bytes, hash: recorded } of entries) {
      arena.step(world, readEntry(new ByteReader(bytes), arena));
      sight.note(tick);
      arena.hash(world, hash);
      if (hash.hi !== recorded.hi || hash.lo !== recorded.lo) divergedAtTick ??= tick;
      for (let seat = 0; seat < capacity; seat++) {
        this.#views[seat]![tick] = sight.hashOf(seat);
        this.#xs[tick * capacity + seat] = world.x(seat);
        this.#ys[tick * capacity + seat] = world.y(seat);
      }
    }
    this.divergedAtTick = divergedAtTick;
    this.names = [...world.names];
  }

  /** By tick. */
  viewsOf(seat: number): Float64Array {
    return this.#views[seat]!;
  }

  /** Of the seat's avatar after the tick, 1/64 m. */
  placeOf(seat: number, tick: number): [x: number, y: number] {
    const at = tick * this.#capacity + seat;
    return [this.#xs[at]!, this.#ys[at]!];
  }

  /** Whether the seat's avatar was there at a tick from `from` to `to`. */
  wasThere(seat: number, x: number, y: number, from: number, to: number): boolean {
    for (let tick = Math.min(to, this.ticks - 1); tick >= Math.max(0, from); tick--) {
      const at = tick * this.#capacity + seat;
      if (this.#xs[at] === x && this.#ys[at] === y) return true;
    }
    return false;
  }
}

/** How few of the frames before a full state, which is one of these ticks, must never have been for it to come after the rest. */
function lostBefore(earliest: Int32Array, frame: number, ticks: readonly number[]): number {
  for (let lost = 0; lost < frame; lost++) {
    const before = earliest[frame - lost - 1]!;
    if (before !== -1 && ticks.at(-1)! >= before) return lost;
  }
  return frame;
}

/** Ticks of each view, ascending. */
function placesByHash(views: Float64Array): Map<number, number[]> {
  const places = new Map<number, number[]>();
  for (let tick = 0; tick < views.length; tick++) {
    const known = places.get(views[tick]!);
    if (known === undefined) places.set(views[tick]!, [tick]);
    else known.push(tick);
  }
  return places;
}

/** Of each frame the last tick that it may have been: up to the next frame's, if the view stayed the same. */
function latestOf(hashes: Float64Array, earliest: Int32Array, places: ReadonlyMap<number, number[]>): Int32Array {
  const latest = Int32Array.from(earliest);
  let next = Number.MAX_SAFE_INTEGER;
  for (let frame = earliest.length - 1; frame >= 0; frame--) {
    if (earliest[frame] === -1) continue;
    const ticks = places.get(hashes[frame]!)!;
    const below = ticks[firstIndexFrom(ticks, next + 1) - 1];
    latest[frame] = Math.max(earliest[frame]!, below ?? -1);
    next = latest[frame]!;
  }
  return latest;
}

/**
 * The tick of a frame, after one of the tick `last`: the next one that looks like it, or the same again, as in a full
 * state and while a room stands still. Undefined where there is none.
 */
function nextOf(ticks: readonly number[], last: number, isWhole: boolean): number | undefined {
  const same = firstFrom(ticks, Math.max(last, 0));
  const next = firstFrom(ticks, last + 1);
  return isWhole || next !== last + 1 ? same : next;
}

/** The first of ascending ticks that is not below `from`. */
function firstFrom(ticks: readonly number[], from: number): number | undefined {
  return ticks[firstIndexFrom(ticks, from)];
}

function firstIndexFrom(ticks: readonly number[], from: number): number {
  let low = 0;
  let high = ticks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ticks[middle]! < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

function packed(seat: number, x: number, y: number): number {
  return seat * 2 ** 32 + (x & 0xffff) * 2 ** 16 + (y & 0xffff);
}

function unpacked(value: number): { seat: number; x: number; y: number } {
  const low = (value % 2 ** 32) >>> 0;
  return { seat: Math.floor(value / 2 ** 32), x: ((low >>> 16) << 16) >> 16, y: ((low & 0xffff) << 16) >> 16 };
}
