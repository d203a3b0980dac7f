/**
 * The one place that touches what Colyseus and its schema library do not promise: change trees, value
 * arrays, the dirty list, identities on the wire, input acknowledgements, the socket below a client, a room's row in
 * the listing. {@link assertColyseusInternals} proves on a small state, once per process, that what every room needs
 * still means what we think, and {@link identityFault} the same of what only a restored room needs;
 * test/match/colyseus-internals.test.ts names each fact.
 */
import type { Client, ClientPrivate, IRoomCache, Room } from '@colyseus/core';
import {
  $changes,
  $getByIndex,
  $refId,
  $values,
  type ArraySchema,
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
  TypeContext,
  t,
} from '@colyseus/schema';

import type { InputLayout } from './client-frame.ts';
import type { FrameHold } from './hold-back.ts';
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

function changeTreeOf(entity: Structure): ChangeTree {
  return entity[$changes] as ChangeTree;
}

/** True while the instance is part of a state that has an encoder. */
export function isAttached(entity: Structure): boolean {
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

/**
 * Holds back what leaves for the client from now on.
 * @throws Error where the transport cannot: what clients must not see before it is durable would be seen
 */
export function holdFrames(client: Client, hold: FrameHold): void {
  const socket = socketOf(client);
  if (!('hold' in socket)) throw new Error('the transport cannot hold frames back, which the durability wal needs');
  socket.hold = hold;
}

export function socketOf(client: Client): ClientSocket {
  return client.ref as unknown as ClientSocket;
}

/**
 * Calls back when a client of the room has said that it is there, after it was sent the state and what had waited for
 * that: what is sent from then on reaches it in its turn.
 */
export function onAcknowledged(room: Room, listener: (client: Client) => void): void {
  const inner = room as unknown as { sendFullState(client: Client): void };
  const send = inner.sendFullState;
  inner.sendFullState = (client) => {
    send.call(room, client);
    // The framework sends what has waited in the same turn.
    queueMicrotask(() => listener(client));
  };
}

/** Bytes handed to the socket that the system has not taken yet; 0 where the transport cannot say. */
export function bufferedBytesOf(client: Client): number {
  return socketOf(client).bufferedAmount ?? 0;
}

// Identities on the wire: what a restored room keeps.

// biome-ignore lint/suspicious/noExplicitAny: what a map or an array holds is the state's affair
export type AnyMap = MapSchema<any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
export type AnyArray = ArraySchema<any>;

/** Anything of a state that has an identity on the wire. */
export type Structure = Schema | AnyMap | AnyArray;

/** What stands in a field: one value, another instance, or a collection of either. */
export type FieldShape =
  | { readonly kind: 'value'; readonly type: string }
  | { readonly kind: 'instance'; readonly of: typeof Schema }
  | { readonly kind: 'map' | 'array'; readonly of: typeof Schema | string };

export interface SchemaField {
  readonly name: string;
  readonly index: number;
  readonly shape: FieldShape;
  /** View tag, and how the field travels: all that decides which bytes a client is sent. */
  readonly delivery: string;
}

/**
 * The synchronised fields of a class, in order.
 * @throws Error for sets, collections and streams: their places on the wire are not kept over a restore
 */
export function schemaFieldsOf(entity: Schema): SchemaField[] {
  const { names, types, tags, metadata } = getEncodeDescriptor(entity);
  const fields: SchemaField[] = [];
  for (const [index, name] of names.entries()) {
    if (name === undefined) continue;
    const delivery = [
      tags[index] ?? '',
      Metadata.hasFullStateOnlyAtIndex(metadata, index) ? 'full' : '',
      Metadata.hasPatchOnlyAtIndex(metadata, index) ? 'patch' : '',
      Metadata.hasUnreliableAtIndex(metadata, index) ? 'unreliable' : '',
    ].join('/');
    fields.push({ name, index, delivery, shape: shapeOf(types[index], `${entity.constructor.name}.${name}`) });
  }
  return fields;
}

function shapeOf(type: unknown, where: string): FieldShape {
  if (typeof type === 'string') return { kind: 'value', type };
  if (typeof type === 'function') return { kind: 'instance', of: type as typeof Schema };
  const [kind, of] = Object.entries(type as object)[0] as [string, unknown];
  if (kind === 'quantized') return { kind: 'value', type: `quantized ${JSON.stringify(of)}` };
  if (kind === 'map' || kind === 'array') return { kind, of: of as typeof Schema | string };
  throw new Error(`${where} is a ${kind}: only values, instances, maps and arrays are kept over a restore`);
}

/** The classes of a state, each by the number that the wire has for it. */
export class SchemaTypes {
  readonly #context: TypeContext;

  constructor(root: new () => Schema) {
    this.#context = new TypeContext(root as unknown as typeof Schema);
  }

  numberOf(entity: Schema): number {
    const number = this.#context.getTypeId(entity.constructor as typeof Schema);
    if (number === undefined) throw new Error(`${entity.constructor.name} is no class of this state`);
    return number;
  }

  /** @throws RangeError */
  create(number: number): Schema {
    const type = this.#context.get(number) as unknown as (new () => Schema) | undefined;
    if (type === undefined) throw new RangeError(`the state has no class ${number}`);
    return new type();
  }
}

/** The number by which clients know a structure; undefined before it was in a state. */
export function refIdOf(structure: Structure): number | undefined {
  return structure[$refId];
}

/** Gives a structure that is in no state yet the number by which clients know it already. */
export function presetRefId(structure: Structure, refId: number): void {
  Object.defineProperty(structure, $refId, { value: refId, enumerable: false, writable: true, configurable: true });
}

interface Numbered {
  nextUniqueId: number;
}

/** The number that the next new structure of the state gets. */
export function nextRefIdOf(encoder: Encoder): number {
  return (encoder.root as unknown as Numbered).nextUniqueId;
}

/** @param refId above every number in use: a number that clients know must never mean something else */
export function setNextRefId(encoder: Encoder, refId: number): void {
  (encoder.root as unknown as Numbered).nextUniqueId = refId;
}

interface Journaled {
  readonly journal: { nextIndex: number; readonly indexByKey: Readonly<Record<string, number>> };
}

/** Places of a map's entries on the wire, by key. Read after a patch: what was taken out since still has its place. */
export function mapPlacesOf(map: AnyMap): Readonly<Record<string, number>> {
  return (map as unknown as Journaled).journal.indexByKey;
}

/** The place that the next new key of a map gets. */
export function nextMapPlaceOf(map: AnyMap): number {
  return (map as unknown as Journaled).journal.nextIndex;
}

export function setNextMapPlace(map: AnyMap, place: number): void {
  (map as unknown as Journaled).journal.nextIndex = place;
}

/**
 * Makes a collection part of a view, but nothing that is in it. A full state then says what is not there any more; of a
 * collection that a view does not have it says nothing at all, and a client would keep what it knew.
 */
export function showCollection(view: StateView, collection: AnyMap | AnyArray): void {
  let tree: ChangeTree | undefined = collection[$changes] as ChangeTree;
  (view as unknown as { _bindRoot(root: unknown): void })._bindRoot(tree.root);
  for (; tree !== undefined; tree = tree.parent?.[$changes] as ChangeTree | undefined) view.markVisible(tree);
}

/** The encoder of a room with a state. */
export function encoderOf(room: Room): Encoder {
  return (room as unknown as { _serializer: { encoder: Encoder } })._serializer.encoder;
}

/** A room's row in the listing: its own object, so that what is written before the row is recorded comes with it. */
export function listingOf(room: Room): IRoomCache {
  return (room as unknown as { _listing: IRoomCache })._listing;
}

/**
 * Proves on a small state that identities can be taken over: a state that is built anew with the old numbers goes on
 * where the old one was, for a client that knew the old one.
 * @returns what is not as expected, or undefined; a room must then not be restored, as its clients would mistake one
 * thing for another
 */
export function identityFault(): string | undefined {
  const Part = schema({ value: t.uint8().default(0) }, 'HypogeumIdentityPart');
  const Whole = schema({ parts: t.map(Part), list: t.array(Part) }, 'HypogeumIdentityWhole');
  try {
    const before = new Whole();
    const encoder = new Encoder(before);
    const mirror = new Whole();
    const decoder = new Decoder(mirror);
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
    ] as const)
      before.parts.set(key, new Part().assign({ value }));
    before.list.push(new Part().assign({ value: 3 }));
    decoder.decode(encoder.encodeAll());
    encoder.discardChanges();
    before.parts.delete('a');
    decoder.decode(encoder.encode());
    encoder.discardChanges();
    const known = { b: mirror.parts.get('b'), first: mirror.list[0] };
    if (mapPlacesOf(before.parts)['b'] !== 1 || 'a' in mapPlacesOf(before.parts)) return 'places of a map';
    if (nextMapPlaceOf(before.parts) !== 2) return 'the next place of a map';

    const after = new Whole();
    for (const [to, from] of [
      [after, before],
      [after.parts, before.parts],
      [after.list, before.list],
    ] as const) {
      presetRefId(to, refIdOf(from)!);
    }
    const part = new Part().assign({ value: 2 });
    presetRefId(part, refIdOf(before.parts.get('b')!)!);
    setNextMapPlace(after.parts, 1);
    after.parts.set('b', part);
    const first = new Part().assign({ value: 3 });
    presetRefId(first, refIdOf(before.list[0]!)!);
    after.list.push(first);
    const next = new Encoder(after);
    setNextRefId(next, nextRefIdOf(encoder));
    if (refIdOf(part) !== refIdOf(before.parts.get('b')!)) return 'a number given beforehand is kept';
    next.discardChanges();
    if (next.hasChanges || isUnsent(part)) return 'what was restored counts as sent';
    part.value = 7;
    after.parts.set('c', new Part().assign({ value: 9 }));
    if (refIdOf(after.parts.get('c')!) !== nextRefIdOf(encoder)) return 'the next number of a structure';
    decoder.decode(next.encode());
    if (mirror.parts.get('b') !== known.b || mirror.list[0] !== known.first) return 'a client keeps its instances';
    if (known.b?.value !== 7 || mirror.parts.get('c')?.value !== 9 || mirror.parts.size !== 2)
      return 'a client follows';
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
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
