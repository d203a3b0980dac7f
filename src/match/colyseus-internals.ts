/**
 * The one place that touches what Colyseus and its schema library do not promise: change trees, value
 * arrays, the dirty list, input acknowledgements, the socket below a client. Everything here is read only
 * but for {@link forgetViewChanges}. {@link assertColyseusInternals} proves on a small state, once per
 * process, that it all still means what we think; test/match/colyseus-internals.test.ts names each fact.
 */
import type { Client, ClientPrivate, Room } from '@colyseus/core';
import {
  $changes,
  $getByIndex,
  $refId,
  $values,
  type ChangeTree,
  Decoder,
  Encoder,
  encode,
  getEncodeDescriptor,
  MapSchema,
  Metadata,
  OPERATION,
  type Schema,
  StateView,
  schema,
  t,
} from '@colyseus/schema';

import type { InputLayout } from './client-frame.ts';
import type { FrameTap, ShortWay } from './short-way.ts';

/** First byte of a change of structure; the refId follows. */
export const SWITCH_TO_STRUCTURE = 255;

/** Operation bits of a changed field; the field index is added (`OPERATION.ADD`, as the stock encoder has it). */
export const FIELD_CHANGED = 128;

/** Wire bytes of the integer types that may be hot. All are little-endian; a boolean is 0 or 1. */
const HOT_TYPE_BYTES: Readonly<Record<string, 1 | 2 | 4>> = {
  boolean: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
};

/** One hot field of a Schema class: full-state-only, and of a fixed-size integer type. */
export interface HotField {
  readonly name: string;
  /** Field index; with {@link FIELD_CHANGED} the field's byte on the wire. */
  readonly index: number;
  readonly bytes: 1 | 2 | 4;
  /** View tag; undefined for a field that everybody receives who sees the entity. */
  readonly tag: number | undefined;
}

/** The hot fields of an instance's class, in field order. */
export function hotFieldsOf(entity: Schema): HotField[] {
  const { names, types, tags, metadata } = getEncodeDescriptor(entity);
  const fields: HotField[] = [];
  for (const [index, name] of names.entries()) {
    if (name === undefined || !Metadata.hasFullStateOnlyAtIndex(metadata, index)) continue;
    const type: unknown = types[index];
    const bytes = typeof type === 'string' ? HOT_TYPE_BYTES[type] : undefined;
    // Tag -1 is a plain `.view()`: it adds nothing to the entity's own visibility.
    if (bytes !== undefined) fields.push({ name, index, bytes, tag: tags[index] === -1 ? undefined : tags[index] });
  }
  return fields;
}

/**
 * Hot values of an instance by field index, to be written. Setters do the same and more: they look for a change to
 * track, and of a hot field there is none.
 */
export function hotValuesOf(entity: Schema): unknown[] {
  return entity[$values];
}

/** Index of every hot field of a class, by name. @throws Error for a name that is no hot field */
export function hotIndexesOf<Name extends string>(entity: Schema, names: readonly Name[]): Record<Name, number> {
  const fields = hotFieldsOf(entity);
  const indexOf = (wanted: Name): number => {
    const field = fields.find(({ name }) => name === wanted);
    if (field === undefined) throw new Error(`${wanted} is no hot field`);
    return field.index;
  };
  return Object.fromEntries(names.map((name) => [name, indexOf(name)])) as Record<Name, number>;
}

/** Field values by field index, live. */
export function valuesOf(entity: Schema): readonly unknown[] {
  return entity[$values];
}

function changeTreeOf(entity: Schema): ChangeTree {
  return entity[$changes] as ChangeTree;
}

/** True while the instance is part of a state that has an encoder. */
export function isAttached(entity: Schema): boolean {
  return changeTreeOf(entity).root !== undefined;
}

/**
 * True until the instance's first patch was encoded. Until then `StateView.add` leaves its fields to that
 * patch, which in turn leaves out those that are full-state-only.
 */
export function isUnsent(entity: Schema): boolean {
  return changeTreeOf(entity).isNew;
}

/** `255 refId` as it stands before an instance's changes. @throws Error if the instance is not in a state */
export function structureHeader(entity: Schema): Uint8Array {
  const refId = entity[$refId];
  if (refId === undefined) throw new Error('the entity is not part of the state');
  const bytes = new Uint8Array(10);
  bytes[0] = SWITCH_TO_STRUCTURE;
  const at = { offset: 1 };
  encode.number(bytes, refId, at);
  return bytes.slice(0, at.offset);
}

/**
 * Collects the structures that a view pass would emit something of, if the view sees any of them: dirty ones, and of
 * dirty maps what was put into them or taken out, as a view is told of no other places. Call after `encoder.encode`.
 */
export function collectFilteredChanges(encoder: Encoder, into: ChangeTree[]): void {
  into.length = 0;
  for (let node = encoder.root.changes.next; node !== undefined; node = node.next) {
    const { changeTree } = node;
    if (!changeTree.hasFilteredFields) continue;
    if (changeTree.ref instanceof MapSchema) changeTree.forEachWithCtx({ map: changeTree, into }, collectPlace);
    else into.push(changeTree);
  }
}

/** One changed place of a map: what is there, or was until it was taken out; the map itself where that says nothing. */
function collectPlace({ map, into }: { map: ChangeTree; into: ChangeTree[] }, place: number): void {
  const { ref } = map as unknown as { ref: MapSchema<unknown> & { journal: { snapshotAt(place: number): unknown } } };
  // Below 0: a change of the whole map.
  const value = place < 0 ? undefined : (ref[$getByIndex](place) ?? ref.journal.snapshotAt(place));
  const tree = (value as { [$changes]?: ChangeTree } | undefined)?.[$changes] ?? map;
  if (!into.includes(tree)) into.push(tree);
}

/** True if the state has collections that are sent bit by bit: their view pass must never be left out. */
export function hasStreams(encoder: Encoder): boolean {
  return encoder.root.streamTrees.size > 0;
}

/**
 * True if the view is about to tell its client that the entity's place in its collection is empty, which happens
 * when another entity had that key a moment ago. Adding the new one now would hide that the old one is gone.
 */
export function isPlaceBeingVacated(view: StateView, entity: Schema): boolean {
  const { parent, parentIndex } = changeTreeOf(entity);
  const queued = parent === undefined ? undefined : view.changes.get(parent[$refId]!);
  return queued?.get(parentIndex!) === OPERATION.DELETE;
}

/** Drops what a view has queued, after a full state has said it all. */
export function forgetViewChanges(view: StateView): void {
  view.changes.clear();
}

/**
 * Call before a view is changed. The list of a view's changes outlives many patches, and what was in it would be kept
 * alive with it by the garbage collector for as long as it is not collected itself: a new one dies young.
 */
export function renewViewChanges(view: StateView): void {
  if (view.changes.size === 0) view.changes = new Map();
}

/** A client's queue of inputs, for the acknowledgement that the TIMED prefix carries; one a connection. */
export function inputStoreOf(client: Client): { readonly ackSeq: number } | undefined {
  return (client as Client & ClientPrivate)._inputBuffer;
}

/** One field of an input class, by its index. */
export interface InputField {
  readonly name: string;
  readonly bytes: 1 | 2 | 4;
  readonly isSigned: boolean;
}

/** The fields of an input class in order; undefined if there are others than integers of up to 32 bits. */
export function inputFieldsOf(input: Schema): InputField[] | undefined {
  const { names, types } = getEncodeDescriptor(input);
  const fields: InputField[] = [];
  for (const [index, name] of names.entries()) {
    const type: unknown = types[index];
    const bytes = typeof type === 'string' && type !== 'boolean' ? HOT_TYPE_BYTES[type] : undefined;
    if (name === undefined || bytes === undefined) return undefined;
    fields.push({ name, bytes, isSigned: (type as string).startsWith('int') });
  }
  return fields;
}

/** The instance that the framework decodes a client's inputs into, with the values of the last one. */
export function inputInstanceOf(client: Client): Record<string, unknown> {
  return (client as Client & ClientPrivate)._input;
}

/** What the framework uses of a client's queue of inputs. */
export interface InputStore {
  readonly size: number;
  readonly consumedCount: number;
  readonly ackSeq: number;
  readonly renderTime: number;
  readonly reckonTime: number;
  readonly wasIdle: boolean;
  next(): unknown;
  accept(seq: number): boolean;
  push(input: Record<string, unknown>, renderTime?: number, reckonTime?: number, seq?: number): void;
  clear(): void;
}

/** Puts a queue in place of the framework's own, which is made anew for every connection. Call before any input came. */
export function replaceInputStore(client: Client, store: InputStore): void {
  (client as { _inputBuffer?: InputStore })._inputBuffer = store;
}

/** True unless the room makes clients tell how they extrapolate: then stamps are longer than one number. */
export function hasPlainStamps(room: Room): boolean {
  return room._timelineMode()?.reckon !== true;
}

/** What the framework keeps of a client's frames; times in ms. */
export interface FrameCount {
  /** Room time of the client's last stamp: stamps are differences. */
  stampMs: number;
  /** Frames in the current second, which ends at `resetsAtMs` of the room's clock. */
  frames: number;
  resetsAtMs: number;
}

export function readFrameCount(client: Client, into: FrameCount): void {
  const inside = client as Client & ClientPrivate;
  into.stampMs = inside._reckonBaseline ?? 0;
  into.frames = inside._numMessagesLastSecond ?? 0;
  into.resetsAtMs = inside._messageCountResetsAt ?? 0;
}

/** @param lastFrameMs when the last of these frames came, by the room's clock: a sign of life */
export function writeFrameCount(client: Client, count: FrameCount, lastFrameMs: number): void {
  const inside = client as Client & ClientPrivate;
  inside._reckonBaseline = count.stampMs;
  inside._numMessagesLastSecond = count.frames;
  inside._messageCountResetsAt = count.resetsAtMs;
  inside._lastMessageTime = lastFrameMs;
}

/** What we use of the `ws` socket below a client; other transports lack some of it. */
export interface ClientSocket extends Partial<ShortWay> {
  readonly readyState: number;
  readonly bufferedAmount?: number;
  ping?(data: Uint8Array, mask: boolean, done: (error?: Error) => void): void;
  close?(code: number, reason?: string): void;
  terminate?(): void;
  on(event: 'pong', listener: (data: Buffer) => void): unknown;
  off(event: 'pong', listener: (data: Buffer) => void): unknown;
  expectInputs?(layout: InputLayout | undefined): void;
}
/** `readyState` of an open socket. */
export const SOCKET_OPEN = 1;

const FIELD_BYTES: Readonly<Record<string, number>> = {
  boolean: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  float64: 8,
  int64: 8,
  uint64: 8,
  bigint64: 8,
  biguint64: 8,
  number: 0,
};

/** How the fields of an input class stand on the wire; undefined for one with others than numbers and booleans. */
export function inputLayoutOf(input: Schema): InputLayout | undefined {
  const layout: number[] = [];
  for (const type of getEncodeDescriptor(input).types as readonly unknown[]) {
    const wire = typeof type === 'string' ? type : (type as { quantized?: { wire: string } }).quantized?.wire;
    const bytes = wire === undefined ? undefined : FIELD_BYTES[wire];
    if (bytes === undefined) return undefined;
    layout.push(bytes);
  }
  return layout;
}

/** Tells a transport that checks frames what this client's inputs look like. */
export function expectInputs(client: Client, layout: InputLayout | undefined): void {
  socketOf(client).expectInputs?.(layout);
}

/** Asks `tap` for every frame of the client from now on. @returns false where the transport has no taps */
export function tapFrames(client: Client, tap: FrameTap): boolean {
  const socket = socketOf(client);
  if (socket.isShort !== true) return false;
  socket.tap = tap;
  return true;
}

export function socketOf(client: Client): ClientSocket {
  return client.ref as unknown as ClientSocket;
}

/** Bytes handed to the socket that the system has not taken yet; 0 where the transport cannot say. */
export function bufferedBytesOf(client: Client): number {
  return socketOf(client).bufferedAmount ?? 0;
}

let isProven = false;

/**
 * Encodes a small state with hot fields through the stock encoder and a view, writes a hot segment the way we
 * do and decodes both with the stock decoder. Costs a millisecond, once.
 * @throws Error naming the first difference: this build does not fit the installed @colyseus/schema
 */
export function assertColyseusInternals(): void {
  if (isProven) return;
  const Probe = schema(
    {
      cold: t.uint8().default(0),
      hot: t.int16().default(0).fullStateOnly(),
      own: t.uint8().default(0).fullStateOnly().view(2),
    },
    'HypogeumProbe',
  );
  const ProbeState = schema({ probes: t.map(Probe).view() }, 'HypogeumProbeState');
  const expect = (isTrue: boolean, fact: string): void => {
    if (!isTrue) throw new Error(`the installed @colyseus/schema differs from the one this was built for: ${fact}`);
  };

  const state = new ProbeState();
  const probe = new Probe();
  expect(!isAttached(probe), 'an instance outside of a state has no root');
  state.probes.set('a', probe);
  const encoder = new Encoder(state);
  expect(isAttached(probe) && isUnsent(probe), 'a new instance in a state has a root and is unsent');
  const fields = hotFieldsOf(probe).map(({ name, index, bytes, tag }) => `${name} ${index} ${bytes} ${tag ?? ''}`);
  expect(fields.join() === 'hot 1 2 ,own 2 1 2', 'metadata tells index, type and view tag of full-state-only fields');
  probe.hot = -2;
  expect(valuesOf(probe)[1] === -2, 'values stand in the array by field index');

  const view = new StateView();
  view.add(probe);
  const dirty: ChangeTree[] = [];
  const at = { offset: 0 };
  encoder.encode(at);
  collectFilteredChanges(encoder, dirty);
  expect(dirty.includes(changeTreeOf(probe)), 'dirty filtered structures are listed');
  const patch = encoder.encodeView(view, at.offset, at);
  encoder.discardChanges();
  expect(!isUnsent(probe), 'an instance is sent after its first patch');
  probe.hot = 300;
  expect(!encoder.hasChanges, 'full-state-only fields leave no change');

  const mirror = new ProbeState();
  const decoder = new Decoder(mirror);
  const seen = (): Schema & { cold: number; hot: number; own: number } =>
    // biome-ignore lint/suspicious/noExplicitAny: the mirror has the same shape by construction
    (mirror.probes as MapSchema<any>).get('a');
  decoder.decode(patch);
  expect(seen()?.cold === 0, 'a view brings its entity');
  decoder.decode(Uint8Array.of(...structureHeader(probe), FIELD_CHANGED | 1, 300 & 255, 300 >> 8));
  expect(seen()?.hot === 300, 'a hot segment is decoded as a change');
  expect(seen()?.own !== 0, 'a tagged field stays with its owner');
  isProven = true;
}
