/**
 * What an event is. A definition names the type, the shape of its newest version and how to lift every older version
 * to the next, so that what was written once can be read for ever. Versions are append-only: a released shape never
 * changes; test/golden/events holds one record of each, docs/events its JSON Schema.
 */
import * as z from 'zod';
import { GameError } from '../kernel/errors.ts';

/** `area.what-happened`, lower case, past tense. */
export const EVENT_TYPE = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*\.[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;

/** Anything JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Lifts a payload of version n to the shape of version n + 1. Pure; the last result is checked against the shape. */
export type Upcast = (payload: never) => unknown;

/** One kind of event. */
export interface EventDefinition<Payload = unknown> {
  readonly type: string;
  readonly shape: z.ZodType<Payload>;
  /** Newest version, 1 for a shape that never changed. */
  readonly version: number;
  /** `upcasts[n - 1]` lifts version n to n + 1. */
  readonly upcasts: readonly Upcast[];
  /** The event, to be appended; checked by {@link EventCatalogue.seal}, not here. */
  (payload: Payload): NewEvent<Payload>;
}

/** Something that happened, before the log has it. */
export interface NewEvent<Payload = unknown> {
  readonly type: string;
  readonly version: number;
  readonly payload: Payload;
}

/**
 * Declares an event.
 * @param upcasts oldest first; their number plus one is the newest version
 * @throws RangeError if the type is not of the form {@link EVENT_TYPE}
 */
export function defineEvent<S extends z.ZodType>(
  type: string,
  shape: S,
  // biome-ignore lint/suspicious/noExplicitAny: each upcast knows the shape of its own version only
  upcasts: readonly ((payload: any) => unknown)[] = [],
): EventDefinition<z.output<S>> {
  if (!EVENT_TYPE.test(type)) throw new RangeError(`${type} is no event type; wanted: area.what-happened`);
  const version = upcasts.length + 1;
  const make = (payload: z.output<S>): NewEvent<z.output<S>> => ({ type, version, payload });
  return Object.assign(make, { type, shape: shape as z.ZodType<z.output<S>>, version, upcasts });
}

/** Every event that a program knows, by type. */
export class EventCatalogue {
  readonly #byType = new Map<string, EventDefinition>();

  /** @throws RangeError if two definitions share a type */
  // biome-ignore lint/suspicious/noExplicitAny: a definition accepts its own payload only; here stand all kinds
  constructor(definitions: Iterable<EventDefinition<any>>) {
    for (const definition of definitions) {
      if (this.#byType.has(definition.type)) throw new RangeError(`${definition.type} is defined twice`);
      this.#byType.set(definition.type, definition);
    }
  }

  get definitions(): readonly EventDefinition[] {
    return [...this.#byType.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  /** @throws GameError EVENT_UNKNOWN */
  get(type: string): EventDefinition {
    const found = this.#byType.get(type);
    if (found === undefined) throw new GameError('EVENT_UNKNOWN', { type: type.slice(0, 64) });
    return found;
  }

  /**
   * Checks an event before it is appended: a payload that does not fit its own definition is a bug of ours.
   * @throws GameError EVENT_UNKNOWN
   * @throws TypeError if the payload does not fit
   */
  seal<Payload>(event: NewEvent<Payload>): NewEvent<Payload> {
    const { shape, version } = this.get(event.type);
    const parsed = shape.safeParse(event.payload);
    if (event.version === version && parsed.success) return event;
    const at = parsed.success ? 'version' : (parsed.error.issues[0]?.path.join('.') ?? '');
    throw new TypeError(`${event.type}: the payload does not fit its definition at ${at || 'its root'}`);
  }

  /**
   * The payload of a stored event in the newest shape.
   * @throws GameError EVENT_UNKNOWN; EVENT_VERSION if it was written by a newer program; EVENT_CORRUPT if it does not
   *   fit its definition
   */
  read(type: string, version: number, payload: unknown): unknown {
    const definition = this.get(type);
    if (version > definition.version) {
      throw new GameError('EVENT_VERSION', { type, version, known: definition.version });
    }
    let lifted = payload;
    try {
      if (!Number.isInteger(version) || version < 1) throw new RangeError('version');
      for (const upcast of definition.upcasts.slice(version - 1)) lifted = upcast(lifted as never);
      return definition.shape.parse(lifted);
    } catch (error) {
      const reason = error instanceof z.ZodError ? z.prettifyError(error).slice(0, 200) : (error as Error).message;
      throw new GameError('EVENT_CORRUPT', { type, version, reason }, error);
    }
  }
}

/** True for a stored event of that definition, which then has its payload type. */
export function isEvent<Payload>(
  definition: EventDefinition<Payload>,
  event: { readonly type: string; readonly payload: unknown },
): event is { readonly type: string; readonly payload: Payload } {
  return event.type === definition.type;
}
