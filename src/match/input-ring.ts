/**
 * A seat's queue of inputs, filled from the bytes of a frame. It stands where the framework's own queue would: same
 * bound, same order, same acknowledgements, same clamping, same stamps. Only that a frame becomes a row of numbers at
 * once, where the framework makes a Schema instance of it with everything that tracks changes.
 *
 * Frames that are not plainly what the SDK writes (and inputs of the unreliable kind) go through the framework as ever
 * and come back by {@link InputRing.push}. What a frame leaves out is as it was in the frame before, stamps are
 * differences and frames of all kinds count against one limit, so the two ways hand each other what they know.
 */
import { type Client, ClientState, Protocol, ProtocolModifier } from '@colyseus/core';
import type { Schema } from '@colyseus/schema';
import {
  type FrameCount,
  type InputField,
  inputFieldsOf,
  inputInstanceOf,
  readFrameCount,
  writeFrameCount,
} from './colyseus-internals.ts';
import type { FrameTap } from './short-way.ts';

/** What the input plugin reads a seat from: the framework's accessor is one, the ring another. */
export interface InputQueue<Frame> {
  /** The oldest frame; undefined if there is none. To be read before the next call. */
  next(): Frame | undefined;
  /** Frames that left the queue, taken or dropped. */
  readonly consumedCount: number;
  /** When the sender saw what it reacted to, ms since room start, for the frame taken last; 0 if it did not say. */
  readonly renderTime: number;
}

/** Inclusive bounds by field name. */
export type FieldRanges = Readonly<Record<string, readonly [min: number, max: number] | undefined>>;

const PLAIN_INPUT = Protocol.ROOM_INPUT_RELIABLE;
const TIMED_INPUT = Protocol.ROOM_INPUT_RELIABLE | ProtocolModifier.TIMED;
const ADD = 0x80;
const FIELD_MASK = 0x3f;

/** How frames of one class are read; one a room. */
export class FrameLayout {
  readonly fields: readonly InputField[];
  readonly mins: Float64Array;
  readonly maxs: Float64Array;

  private constructor(fields: readonly InputField[], ranges: FieldRanges) {
    this.fields = fields;
    this.mins = Float64Array.from(fields, ({ name }) => ranges[name]?.[0] ?? Number.NEGATIVE_INFINITY);
    this.maxs = Float64Array.from(fields, ({ name }) => ranges[name]?.[1] ?? Number.POSITIVE_INFINITY);
  }

  /** @returns undefined for a class with fields that are no integers of up to 32 bits */
  static of(type: new () => unknown, ranges: FieldRanges): FrameLayout | undefined {
    const fields = inputFieldsOf(new type() as Schema);
    return fields === undefined ? undefined : new FrameLayout(fields, ranges);
  }
}

export interface InputRingOptions {
  readonly layout: FrameLayout;
  /** Frames that may wait; above, the oldest is dropped and counts as consumed. */
  readonly capacity: number;
  /** As the room's `maxMessagesPerSecond`. */
  readonly framesPerSecondMax: number;
  /** The room's clock, ms. */
  now(): number;
}

export class InputRing<Frame> implements InputQueue<Frame>, FrameTap {
  readonly #client: Client;
  readonly #options: InputRingOptions;
  readonly #fields: readonly InputField[];
  /** The last frame's values, within their bounds. */
  readonly #latest: Float64Array;
  /** A frame that is being read. */
  readonly #draft: Float64Array;
  /** By place: `fields.length` values each, and when the sender rendered. */
  readonly #values: Float64Array;
  readonly #renderTimes: Float64Array;
  /** By place: the sender's own number, once there are inputs of the unreliable kind. */
  #seqs: Float64Array | undefined;
  readonly #frame: Record<string, number> = {};
  #head = 0;
  #size = 0;
  #lastSeq = Number.NEGATIVE_INFINITY;
  #lastConsumedSeq = 0;
  readonly #count: FrameCount = { stampMs: 0, frames: 0, resetsAtMs: 0 };
  #lastFrameMs = 0;
  /** The framework had a frame meanwhile: it knows the last values and counts. */
  #isElsewhere = true;

  consumedCount = 0;
  renderTime = 0;
  readonly reckonTime = 0;
  readonly wasIdle = false;

  /** @param client that has just joined: what its inputs begin with is read from it */
  constructor(client: Client, options: InputRingOptions) {
    this.#client = client;
    this.#options = options;
    const { layout, capacity } = options;
    this.#fields = layout.fields;
    this.#latest = new Float64Array(layout.fields.length);
    this.#draft = new Float64Array(layout.fields.length);
    this.#values = new Float64Array(capacity * layout.fields.length);
    this.#renderTimes = new Float64Array(capacity);
    for (const { name } of layout.fields) this.#frame[name] = 0;
  }

  get size(): number {
    return this.#size;
  }

  /** What the client is told: its last input that is reflected in the state. */
  get ackSeq(): number {
    return this.#seqs === undefined ? this.consumedCount : this.#lastConsumedSeq;
  }

  next(): Frame | undefined {
    if (this.#size === 0) return undefined;
    const fields = this.#fields;
    const from = this.#head * fields.length;
    for (let i = 0; i < fields.length; i++) this.#frame[fields[i]!.name] = this.#values[from + i]!;
    this.renderTime = this.#renderTimes[this.#head]!;
    this.#drop();
    return this.#frame as Frame;
  }

  /** Forgets what waits: it counts as consumed, so that the sender does not wait for it. */
  clear(): void {
    while (this.#size > 0) this.#drop();
    this.#lastSeq = Number.NEGATIVE_INFINITY;
  }

  take(bytes: Uint8Array, start: number, end: number): boolean {
    const first = start < end ? bytes[start] : undefined;
    if (first !== PLAIN_INPUT && first !== TIMED_INPUT) {
      this.#giveAway();
      return false;
    }
    if (this.#isElsewhere) this.#takeBack();
    const isTimed = first === TIMED_INPUT;
    const body = isTimed ? stampEnd(bytes, start + 1, end) : start + 1;
    if (body < 0 || this.#client.state !== ClientState.JOINED || !this.#read(bytes, body, end) || !this.#admit()) {
      this.#giveAway();
      return false;
    }
    const { mins, maxs } = this.#options.layout;
    const latest = this.#latest;
    for (let i = 0; i < latest.length; i++) latest[i] = Math.min(Math.max(this.#draft[i]!, mins[i]!), maxs[i]!);
    if (isTimed) this.#count.stampMs += stampAt(bytes, start + 1);
    this.#append(latest, isTimed ? this.#count.stampMs : 0);
    return true;
  }

  /** Counts a frame as the framework does. @returns false for one too many, which is the framework's to punish */
  #admit(): boolean {
    const nowMs = this.#options.now();
    const count = this.#count;
    if (nowMs >= count.resetsAtMs) {
      count.frames = 0;
      count.resetsAtMs = nowMs + 1000;
      // Often enough for whoever looks for players who are away.
      writeFrameCount(this.#client, count, nowMs);
    } else if (count.frames >= this.#options.framesPerSecondMax) {
      return false;
    } else {
      count.frames++;
    }
    this.#lastFrameMs = nowMs;
    return true;
  }

  // The framework's side.

  /** Whether the number is newer than all before it; inputs of the unreliable kind are sent several times. */
  accept(seq: number): boolean {
    if (seq <= this.#lastSeq) return false;
    this.#lastSeq = seq;
    return true;
  }

  /** An input that the framework decoded and clamped. */
  push(input: Record<string, unknown>, renderTime = 0, _reckonTime = 0, seq?: number): void {
    this.#readInstance(input, this.#draft);
    if (seq !== undefined) this.#seqs ??= new Float64Array(this.#options.capacity);
    this.#append(this.#draft, renderTime, seq);
  }

  #append(values: Float64Array, renderTime: number, seq = 0): void {
    const { capacity } = this.#options;
    if (this.#size === capacity) this.#drop();
    const place = (this.#head + this.#size++) % capacity;
    this.#values.set(values, place * values.length);
    this.#renderTimes[place] = renderTime;
    if (this.#seqs !== undefined) this.#seqs[place] = seq;
  }

  #drop(): void {
    if (this.#seqs !== undefined) this.#lastConsumedSeq = this.#seqs[this.#head]!;
    this.#head = (this.#head + 1) % this.#options.capacity;
    this.#size--;
    this.consumedCount++;
  }

  /** Field by field into the draft. @returns false for anything that is not plainly an input */
  #read(bytes: Uint8Array, start: number, end: number): boolean {
    const draft = this.#draft;
    draft.set(this.#latest);
    let at = start;
    while (at < end) {
      const head = bytes[at++]!;
      const field = this.#fields[head & FIELD_MASK];
      if (field === undefined || (head & ~FIELD_MASK & ~ADD) !== 0 || at + field.bytes > end) return false;
      let value = bytes[at]!;
      if (field.bytes > 1) value |= bytes[at + 1]! << 8;
      if (field.bytes > 2) value |= (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      const unused = 32 - 8 * field.bytes;
      draft[head & FIELD_MASK] = field.isSigned ? (value << unused) >> unused : value >>> 0;
      at += field.bytes;
    }
    return true;
  }

  #giveAway(): void {
    if (this.#isElsewhere) return;
    this.#isElsewhere = true;
    writeFrameCount(this.#client, this.#count, this.#lastFrameMs);
    const instance = inputInstanceOf(this.#client);
    for (let i = 0; i < this.#fields.length; i++) instance[this.#fields[i]!.name] = this.#latest[i];
  }

  #takeBack(): void {
    this.#isElsewhere = false;
    readFrameCount(this.#client, this.#count);
    this.#readInstance(inputInstanceOf(this.#client), this.#latest);
  }

  #readInstance(from: Record<string, unknown>, into: Float64Array): void {
    for (let i = 0; i < this.#fields.length; i++) into[i] = Number(from[this.#fields[i]!.name] ?? 0);
  }
}

/** Where the whole number at `at` ends; -1 for other kinds of numbers, or a part of one. */
function stampEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  const first = bytes[at]!;
  const more = first < 0x80 || first >= 0xe0 ? 0 : (STAMP_BYTES[first - 0xcc] ?? 0);
  if (more === 0 && first >= 0x80 && first < 0xe0) return -1;
  return at + 1 + more <= end ? at + 1 + more : -1;
}

/** After 0xcc to 0xd2: unsigned, an unsigned 64-bit one that is the framework's to read, signed. */
const STAMP_BYTES = [1, 2, 4, 0, 1, 2, 4] as const;

/** The number that {@link stampEnd} found whole. */
function stampAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return first;
  if (first >= 0xe0) return first - 0x100;
  const low = bytes[at + 1]!;
  if (first === 0xcc) return low;
  if (first === 0xd0) return (low << 24) >> 24;
  const word = low | (bytes[at + 2]! << 8);
  if (first === 0xcd) return word;
  if (first === 0xd1) return (word << 16) >> 16;
  const long = word | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24);
  return first === 0xce ? long >>> 0 : long;
}
