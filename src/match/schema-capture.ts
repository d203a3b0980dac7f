/**
 * A state as its clients know it, taken down and put up again: values, the number of every structure on the wire, the
 * place of every entry in its map, and the counters from which the next ones come. A state that is restored from it is
 * the same one to a client that has seen the old one: nothing comes or goes, and no instance turns into another.
 *
 * Generic over the classes of a state: it walks what Schema itself knows of them. Fields may be values, instances, maps
 * and arrays. Of fields that are not synchronised, plain values are kept; whatever else a game hangs on an instance it
 * makes again when it is bound to the restored state.
 */
import { ArraySchema, type Encoder, MapSchema, type Schema } from '@colyseus/schema';
import type { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import {
  type AnyArray,
  type AnyMap,
  mapPlacesOf,
  nextMapPlaceOf,
  nextRefIdOf,
  presetRefId,
  refIdOf,
  type SchemaField,
  SchemaTypes,
  type Structure,
  schemaFieldsOf,
  setNextMapPlace,
  setNextRefId,
  valuesOf,
} from './colyseus-internals.ts';

/** Entries of one map or array, and fields of one instance that are not synchronised. Above: the capture is refused. */
const ENTRIES_MAX = 1 << 20;
const LOCALS_MAX = 256;
/** How deep instances may hold instances. */
const DEPTH_MAX = 32;

/** How a structure is written: not there, here for the first time, or one that was written already. */
const PRESENCE = { NONE: 0, NEW: 1, KNOWN: 2 } as const;
const SCALAR = {
  UNDEFINED: 0,
  FALSE: 1,
  TRUE: 2,
  /** An integer from 0, and one below. */
  WHOLE: 3,
  NEGATIVE: 4,
  FLOAT: 5,
  TEXT: 6,
  BIG: 7,
  NULL: 8,
} as const;

/** What is known of one class, looked up once. */
interface ClassLayout {
  readonly fields: readonly SchemaField[];
  /** The names of all synchronised fields, to tell what else stands on an instance. */
  readonly names: ReadonlySet<string>;
}

/** A state that was put up again. */
export interface RestoredState<State extends Schema> {
  readonly state: State;
  /** Every structure by its number. */
  readonly structures: ReadonlyMap<number, Structure>;
  /** For {@link SchemaCapture.adopt}. */
  readonly nextRefId: number;
}

/** Takes down and puts up the states of one class. */
export class SchemaCapture<State extends Schema> {
  readonly #type: new () => State;
  readonly #types: SchemaTypes;
  readonly #layouts = new Map<unknown, ClassLayout>();

  /** @throws Error if a class of the state has a field of a kind that is not kept */
  constructor(type: new () => State) {
    this.#type = type;
    this.#types = new SchemaTypes(type);
    for (let number = 0; ; number++) {
      let entity: Schema;
      try {
        entity = this.#types.create(number);
      } catch (error) {
        if (error instanceof RangeError) break;
        throw error;
      }
      this.#layoutOf(entity);
    }
  }

  /** The shape of the state's classes in one text: equal for two builds whose clients decode the same. */
  get shape(): string {
    const classes: string[] = [];
    for (const [type, { fields }] of this.#layouts) {
      const members = fields.map(({ name, index, shape, delivery }) => {
        const of = shape.kind === 'value' ? shape.type : typeof shape.of === 'string' ? shape.of : shape.of.name;
        return `${index} ${name} ${shape.kind} ${of} ${delivery}`;
      });
      classes.push(`${(type as { name: string }).name} { ${members.join('; ')} }`);
    }
    return classes.join('\n');
  }

  /**
   * Appends the state. Right after a patch, or before the first: what was taken out of a map since still has its place.
   * @param encoder the one that the state is encoded by
   */
  write(to: ByteWriter, state: State, encoder: Encoder): void {
    to.varint(nextRefIdOf(encoder));
    this.#writeInstance(to, state, new Set(), 0);
  }

  /**
   * The state as a detached one, with every number already given.
   * @throws RangeError if the bytes are not a capture of such a state
   */
  read(from: ByteReader): RestoredState<State> {
    try {
      return this.#read(from);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      // Schema refuses values of the wrong kind in its own way, and a text may not be UTF-8.
      throw new RangeError(`it does not fit the state: ${(error as Error).message}`, { cause: error });
    }
  }

  #read(from: ByteReader): RestoredState<State> {
    const nextRefId = from.varint();
    const structures = new Map<number, Structure>();
    const state = this.#readInstance(from, structures, 0);
    if (state === undefined || state.constructor !== this.#type) throw new RangeError('it is of another class');
    for (const refId of structures.keys()) {
      if (refId >= nextRefId) throw new RangeError(`structure ${refId} is not below the next, ${nextRefId}`);
    }
    return { state: state as State, structures, nextRefId };
  }

  /**
   * Once the state is a room's: what is in it counts as sent, and new structures get numbers from where the old ones
   * ended.
   */
  adopt({ nextRefId }: Pick<RestoredState<State>, 'nextRefId'>, encoder: Encoder): void {
    setNextRefId(encoder, nextRefId);
    encoder.discardChanges();
  }

  /**
   * Leaves a gap before the next numbers and places: the old room may have given some away that nobody recorded, and a
   * client that saw them must not take something new for them.
   */
  skip(state: State, encoder: Encoder, gap: number): void {
    setNextRefId(encoder, nextRefIdOf(encoder) + gap);
    this.#skipIn(state, gap, new Set());
  }

  #skipIn(entity: Schema, gap: number, seen: Set<unknown>): void {
    if (seen.has(entity)) return;
    seen.add(entity);
    const values = valuesOf(entity);
    for (const { index, shape } of this.#layoutOf(entity).fields) {
      const value = values[index];
      if (value === undefined || shape.kind === 'value') continue;
      if (shape.kind === 'instance') {
        this.#skipIn(value as Schema, gap, seen);
        continue;
      }
      if (value instanceof MapSchema) setNextMapPlace(value, nextMapPlaceOf(value) + gap);
      if (typeof shape.of === 'string') continue;
      for (const child of (value as AnyMap | AnyArray).values()) this.#skipIn(child, gap, seen);
    }
  }

  #layoutOf(entity: Schema): ClassLayout {
    let layout = this.#layouts.get(entity.constructor);
    if (layout === undefined) {
      const fields = schemaFieldsOf(entity);
      layout = { fields, names: new Set(fields.map(({ name }) => name)) };
      this.#layouts.set(entity.constructor, layout);
    }
    return layout;
  }

  // Down.

  /** @returns whether the structure itself follows */
  #writeHead(to: ByteWriter, structure: Structure | undefined | null, written: Set<unknown>): structure is Structure {
    if (structure === undefined || structure === null) {
      to.u8(PRESENCE.NONE);
      return false;
    }
    const refId = refIdOf(structure);
    if (refId === undefined) throw new Error('a structure of the state has no number yet');
    const isNew = !written.has(structure);
    to.u8(isNew ? PRESENCE.NEW : PRESENCE.KNOWN).varint(refId);
    if (isNew) written.add(structure);
    return isNew;
  }

  #writeInstance(to: ByteWriter, entity: Schema | undefined, written: Set<unknown>, depth: number): void {
    if (depth > DEPTH_MAX) throw new Error(`instances hold instances ${DEPTH_MAX} deep`);
    if (!this.#writeHead(to, entity, written)) return;
    const layout = this.#layoutOf(entity);
    const values = valuesOf(entity);
    to.varint(this.#types.numberOf(entity));
    for (const { index, shape } of layout.fields) {
      const value = values[index];
      if (shape.kind === 'value') writeScalar(to, value);
      else if (shape.kind === 'instance') this.#writeInstance(to, value as Schema | undefined, written, depth + 1);
      else this.#writeCollection(to, value as AnyMap | AnyArray, shape.of, written, depth + 1);
    }
    this.#writeLocals(to, entity, layout.names);
  }

  #writeCollection(
    to: ByteWriter,
    collection: AnyMap | AnyArray | undefined,
    of: typeof Schema | string,
    written: Set<unknown>,
    depth: number,
  ): void {
    if (!this.#writeHead(to, collection, written)) return;
    if (collection instanceof MapSchema) {
      const places = mapPlacesOf(collection);
      to.varint(nextMapPlaceOf(collection)).varint(collection.size);
      for (const [key, value] of collection.entries()) {
        to.string(key).varint(places[key]!);
        if (typeof of === 'string') writeScalar(to, value);
        else this.#writeInstance(to, value as Schema, written, depth);
      }
    } else {
      to.varint(collection.length);
      for (const value of collection) {
        if (typeof of === 'string') writeScalar(to, value);
        else this.#writeInstance(to, value as Schema, written, depth);
      }
    }
  }

  #writeLocals(to: ByteWriter, entity: Schema, names: ReadonlySet<string>): void {
    const locals: [string, unknown][] = [];
    for (const key of Object.keys(entity)) {
      const value: unknown = (entity as unknown as Record<string, unknown>)[key];
      if (!names.has(key) && isScalar(value)) locals.push([key, value]);
    }
    if (locals.length > LOCALS_MAX) throw new Error(`an instance has more than ${LOCALS_MAX} fields of its own`);
    to.varint(locals.length);
    for (const [key, value] of locals) {
      to.string(key);
      writeScalar(to, value);
    }
  }

  // Up.

  #readHead(from: ByteReader, structures: Map<number, Structure>): { refId: number; known?: Structure } | undefined {
    const presence = from.u8();
    if (presence === PRESENCE.NONE) return undefined;
    const refId = from.varint();
    const known = structures.get(refId);
    if (presence === PRESENCE.KNOWN) {
      if (known === undefined) throw new RangeError(`structure ${refId} was not written before`);
      return { refId, known };
    }
    if (presence !== PRESENCE.NEW || known !== undefined) throw new RangeError(`structure ${refId} comes twice`);
    return { refId };
  }

  #readInstance(from: ByteReader, structures: Map<number, Structure>, depth: number): Schema | undefined {
    if (depth > DEPTH_MAX) throw new RangeError(`instances hold instances ${DEPTH_MAX} deep`);
    const head = this.#readHead(from, structures);
    if (head === undefined) return undefined;
    if (head.known !== undefined) return head.known as Schema;
    const entity = this.#types.create(from.varint());
    presetRefId(entity, head.refId);
    structures.set(head.refId, entity);
    const own = entity as unknown as Record<string, unknown>;
    for (const { name, index, shape } of this.#layoutOf(entity).fields) {
      if (shape.kind === 'value') {
        const value = readScalar(from);
        if (value !== valuesOf(entity)[index]) own[name] = value;
      } else if (shape.kind === 'instance') {
        own[name] = this.#readInstance(from, structures, depth + 1);
      } else {
        this.#readCollection(from, structures, own, name, shape, depth + 1);
      }
    }
    this.#readLocals(from, own);
    return entity;
  }

  #readCollection(
    from: ByteReader,
    structures: Map<number, Structure>,
    own: Record<string, unknown>,
    name: string,
    { kind, of }: { readonly kind: 'map' | 'array'; readonly of: typeof Schema | string },
    depth: number,
  ): void {
    const head = this.#readHead(from, structures);
    if (head === undefined || head.known !== undefined) {
      own[name] = head?.known;
      return;
    }
    own[name] ??= kind === 'map' ? new MapSchema() : new ArraySchema();
    const collection = own[name] as AnyMap | AnyArray;
    presetRefId(collection, head.refId);
    structures.set(head.refId, collection);
    const nextPlace = kind === 'map' ? from.varint() : 0;
    const size = from.varint();
    if (size > ENTRIES_MAX) throw new RangeError(`a collection of ${size}`);
    for (let i = 0; i < size; i++) {
      if (collection instanceof MapSchema) {
        const key = from.string();
        const place = from.varint();
        if (collection.has(key) || place >= nextPlace) throw new RangeError(`entry ${key} of a map at place ${place}`);
        setNextMapPlace(collection, place);
        collection.set(key, this.#readElement(from, of, structures, depth));
      } else {
        collection.push(this.#readElement(from, of, structures, depth));
      }
    }
    if (collection instanceof MapSchema) setNextMapPlace(collection, nextPlace);
  }

  #readElement(
    from: ByteReader,
    of: typeof Schema | string,
    structures: Map<number, Structure>,
    depth: number,
  ): unknown {
    const value = typeof of === 'string' ? readScalar(from) : this.#readInstance(from, structures, depth);
    if (value === undefined || value === null) throw new RangeError('a collection holds nothing at a place');
    return value;
  }

  #readLocals(from: ByteReader, own: Record<string, unknown>): void {
    const count = from.varint();
    if (count > LOCALS_MAX) throw new RangeError(`${count} fields of its own`);
    for (let i = 0; i < count; i++) {
      const key = from.string();
      const value = readScalar(from);
      // Never a way to something that the class does not have.
      if (Object.hasOwn(own, key)) own[key] = value;
    }
  }
}

function isScalar(value: unknown): boolean {
  return value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol');
}

export function writeScalar(to: ByteWriter, value: unknown): void {
  switch (typeof value) {
    case 'undefined':
      to.u8(SCALAR.UNDEFINED);
      return;
    case 'boolean':
      to.u8(value ? SCALAR.TRUE : SCALAR.FALSE);
      return;
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) to.u8(SCALAR.FLOAT).raw(floatBytes(value));
      else if (value >= 0) to.u8(SCALAR.WHOLE).varint(value);
      else to.u8(SCALAR.NEGATIVE).varint(-value);
      return;
    case 'string':
      to.u8(SCALAR.TEXT).string(value);
      return;
    case 'bigint':
      to.u8(SCALAR.BIG).string(value.toString());
      return;
    default:
      if (value !== null) throw new Error(`a ${typeof value} stands where a value should`);
      to.u8(SCALAR.NULL);
  }
}

/** @throws RangeError */
export function readScalar(from: ByteReader): unknown {
  const kind = from.u8();
  switch (kind) {
    case SCALAR.UNDEFINED:
      return undefined;
    case SCALAR.FALSE:
      return false;
    case SCALAR.TRUE:
      return true;
    case SCALAR.WHOLE:
      return from.varint();
    case SCALAR.NEGATIVE:
      return -from.varint();
    case SCALAR.FLOAT: {
      const bytes = from.raw(8);
      return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
    }
    case SCALAR.TEXT:
      return from.string();
    case SCALAR.BIG: {
      const digits = from.string();
      if (!/^-?\d{1,40}$/.test(digits)) throw new RangeError('no whole number');
      return BigInt(digits);
    }
    case SCALAR.NULL:
      return null;
    default:
      throw new RangeError(`unknown kind of value ${kind}`);
  }
}

const FLOAT = new DataView(new ArrayBuffer(8));

function floatBytes(value: number): Uint8Array {
  FLOAT.setFloat64(0, value, true);
  return new Uint8Array(FLOAT.buffer);
}
