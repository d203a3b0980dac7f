/**
 * What one HTTP command or question looks like: path, shapes in and out, who may ask. The same declaration is served
 * (src/api/serve.ts), described (src/api/openapi.ts) and tested against its own description.
 */
import type { Readable } from 'node:stream';
import * as z from 'zod';
import type { ErrorCode, GameError } from '../kernel/errors.ts';

export const ROLES = ['player', 'moderator', 'admin'] as const;
/** Each may do what those before it may. */
export type Role = (typeof ROLES)[number];

/** Who asks. */
export interface Caller {
  readonly playerId: string;
  readonly isAnonymous: boolean;
  readonly role: Role;
  /** The sign-in it belongs to; ends with it. */
  readonly sessionId: string;
}

export interface RouteRequest<Params, Query, Body, Who> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly caller: Who;
  /**
   * Why a token that was sent names no caller, on a route for `nobody`: the SDK sends its token with everything, also
   * an expired one with a sign-in. A route for which the difference matters (an upgrade of a guest) throws it.
   */
  readonly tokenRefusal: GameError | undefined;
  /** Remote address as rate limits count it (of IPv6, its /64). */
  readonly network: string;
  /**
   * The `Idempotency-Key` header, scoped to caller and route so that nobody meets another's; undefined without one.
   * Routes with `needsKey` always have it.
   */
  readonly key: string | undefined;
  /** Hash of method, path, query and body: what the key stands for. */
  readonly fingerprint: string;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** An answer of so many bytes that are no JSON. The stream is consumed or destroyed, whatever comes. */
export interface BinaryAnswer {
  readonly bytes: number;
  readonly stream: Readable;
}

/** The `answer` of a route that gives a {@link BinaryAnswer}: served as `application/octet-stream`. */
export const BINARY = z.custom<BinaryAnswer>(
  (value) => typeof value === 'object' && value !== null && 'stream' in value,
);

export interface RouteSpec<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  A extends z.ZodType,
  R extends Role | 'nobody',
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Express path with `:name` parameters, such as `/api/players/:playerId`. */
  readonly path: string;
  /** One line for the description, and the group it stands in. */
  readonly summary: string;
  readonly tag: string;
  /** The least role that may ask; `nobody` for routes that need no token (a valid one is still read). */
  readonly role: R;
  readonly params?: P;
  /** Values are strings as they come: coerce in the shape. */
  readonly query?: Q;
  readonly body?: B;
  /** The shape of the answer, sent as JSON; or {@link BINARY}. */
  readonly answer: A;
  /** Codes it may refuse with, besides those every route may. */
  readonly refusals?: readonly ErrorCode[];
  /** A command that must carry an `Idempotency-Key`: 1 to 64 printable ASCII characters. Default false. */
  readonly needsKey?: boolean;
  /** `Cache-Control` of the answer. Default `no-store`. */
  readonly cache?: string;
  /** Status of a good answer. Default 200. */
  readonly status?: 200 | 201 | 202;
  run(
    request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>, R extends 'nobody' ? Caller | undefined : Caller>,
  ): Promise<z.input<A>> | z.input<A>;
}

// biome-ignore lint/suspicious/noExplicitAny: routes of all shapes stand in one list
export type Route = RouteSpec<any, any, any, any, any>;

/** Declares a route; its request and answer have the types of its shapes. */
export function defineRoute<
  A extends z.ZodType,
  R extends Role | 'nobody',
  P extends z.ZodType = z.ZodType<Record<string, never>>,
  Q extends z.ZodType = z.ZodType<Record<string, never>>,
  B extends z.ZodType = z.ZodType<undefined>,
>(spec: RouteSpec<P, Q, B, A, R>): Route {
  return spec;
}
