/**
 * Serves declared routes over Express: who asks, what is asked, and what is answered are checked here, so that a route
 * holds its rule only. Refusals go to Express's error handler, which knows how the process answers them.
 *
 * It expects what the gate leaves behind: `request.body` is the bounded text of the body.
 */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import * as z from 'zod';
import { GameError } from '../kernel/errors.ts';
import { canonicalJson, hasPlainText, readJson } from './json-body.ts';
import { BINARY, type BinaryAnswer, type Caller, ROLES, type Role, type Route } from './route.ts';
import { type Outcome, RouteTotals } from './route-totals.ts';

/** Bounds what one player asks for; `RateLimit` of src/ops is one. */
export interface CallBudget {
  /** False when there is nothing left. */
  take(playerId: string): boolean;
}

export interface ServeOptions {
  /**
   * Who bears the token of an `Authorization` header.
   * @throws GameError AUTH_MALFORMED and its kin, ACCOUNT_BANNED
   */
  identify(authorization: string): Promise<Caller>;
  /** Remote address as rate limits count it. */
  networkOf(request: Request): string;
  /** Of each player: questions (GET), and commands (everything else). */
  readonly questions: CallBudget;
  readonly commands: CallBudget;
  readonly totals?: RouteTotals;
}

const KEY = /^[\x20-\x7e]{1,64}$/;
const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
/** Faults that one answer names, and the length of each. */
const FAULTS_MAX = 8;
const FAULT_CHARS_MAX = 200;
const NOTHING = z.strictObject({});

/**
 * A router with every route, those without parameters first; other methods of their paths are answered
 * METHOD_NOT_ALLOWED. Paths it does not know pass through.
 * @throws Error if two routes have the same method and path
 */
export function serveRoutes(routes: readonly Route[], options: ServeOptions): Router {
  const router = express.Router({ caseSensitive: true, strict: true });
  const totals = options.totals ?? new RouteTotals();
  const methods = new Map<string, Set<string>>();
  for (const route of routes) {
    const known = methods.get(route.path) ?? new Set();
    if (known.has(route.method)) throw new Error(`two routes are ${route.method} ${route.path}`);
    methods.set(route.path, known.add(route.method));
  }
  const paths = [...methods.keys()].sort(byPrecision);
  for (const path of paths) {
    for (const route of routes.filter((one) => one.path === path)) {
      const serve = (request: Request, response: Response, next: NextFunction) =>
        answer(route, request, response, options, totals).catch(next);
      if (route.method === 'GET') router.get(path, serve);
      else if (route.method === 'POST') router.post(path, serve);
      else if (route.method === 'PUT') router.put(path, serve);
      else router.delete(path, serve);
    }
    const allowed = [...methods.get(path)!].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const allow = [...allowed, 'OPTIONS'].join(', ');
    router.all(path, (request, response) => {
      response.set('Allow', allow);
      if (request.method !== 'OPTIONS') throw new GameError('METHOD_NOT_ALLOWED');
      response.status(204).end();
    });
  }
  return router;
}

/** Literal segments before parameters, so that `/api/players/search` is not the player `search`. */
function byPrecision(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const isParameter = [left[at]!, right[at]!].map((segment) => segment.startsWith(':'));
    if (isParameter[0] !== isParameter[1]) return isParameter[0] ? 1 : -1;
  }
  return right.length - left.length;
}

async function answer(
  route: Route,
  request: Request,
  response: Response,
  options: ServeOptions,
  totals: RouteTotals,
): Promise<void> {
  const startedAtMs = performance.now();
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  let outcome: Outcome = 'INTERNAL';
  try {
    const { caller, tokenRefusal } = await callerOf(route, request, options);
    if (caller !== undefined) {
      const budget = route.method === 'GET' ? options.questions : options.commands;
      if (!budget.take(caller.playerId)) throw new GameError('RATE_LIMITED');
    }
    const params = parsed(route.params ?? NOTHING, request.params, 'params');
    const query = parsed(route.query ?? NOTHING, { ...request.query }, 'query');
    const body = bodyOf(route, request);
    const asked = [route.method, route.path, params, query, body];
    const result: unknown = await route.run({
      params,
      query,
      body,
      caller,
      tokenRefusal,
      network: options.networkOf(request),
      key: keyOf(route, request, caller),
      fingerprint: sha256(canonicalJson(asked)),
      signal: gone.signal,
    });
    if (route.answer === BINARY) {
      outcome = (await sendBytes(result as BinaryAnswer, route, request, response)) ? 'ok' : 'gone';
      return;
    }
    // An answer that is not as described is a bug, and could be a secret that slipped out of a row.
    const text = JSON.stringify(route.answer.parse(result));
    if (gone.signal.aborted) {
      outcome = 'gone';
      return;
    }
    response
      .status(route.status ?? 200)
      .set({ 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': route.cache ?? 'no-store' })
      .send(text);
    outcome = 'ok';
  } catch (error) {
    if (error instanceof GameError) outcome = error.code;
    if (gone.signal.aborted && (outcome !== 'INTERNAL' || isAbort(error))) {
      outcome = 'gone';
      return;
    }
    throw error;
  } finally {
    totals.count(route, outcome, performance.now() - startedAtMs);
  }
}

/** False if the client went away in the middle, which is none of our faults. */
async function sendBytes(
  { bytes, stream }: BinaryAnswer,
  route: Route,
  request: Request,
  response: Response,
): Promise<boolean> {
  if (response.destroyed) {
    stream.destroy();
    return false;
  }
  response.status(route.status ?? 200).set({
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(bytes),
    'Cache-Control': route.cache ?? 'no-store',
  });
  if (request.method === 'HEAD') {
    stream.destroy();
    response.end();
    return true;
  }
  try {
    await pipeline(stream, response);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') return false;
    throw error;
  }
}

async function callerOf(
  route: Route,
  request: Request,
  { identify }: ServeOptions,
): Promise<{ caller: Caller | undefined; tokenRefusal: GameError | undefined }> {
  const { authorization } = request.headers;
  const needed = route.role as Role | 'nobody';
  if (authorization === undefined || authorization === '') {
    if (needed !== 'nobody') throw new GameError('AUTH_MISSING');
    return { caller: undefined, tokenRefusal: undefined };
  }
  let caller: Caller;
  try {
    caller = await identify(authorization);
  } catch (error) {
    const isOfToken = error instanceof GameError && /^(?:AUTH|ACCOUNT)_/.test(error.code);
    if (needed !== 'nobody' || !isOfToken) throw error;
    return { caller: undefined, tokenRefusal: error };
  }
  if (needed !== 'nobody' && ROLES.indexOf(caller.role) < ROLES.indexOf(needed)) throw new GameError('NOT_ALLOWED');
  return { caller, tokenRefusal: undefined };
}

function bodyOf(route: Route, request: Request): unknown {
  const text = typeof request.body === 'string' ? request.body : '';
  if (route.body === undefined && text === '') return undefined;
  if (text !== '' && !JSON_TYPE.test(request.headers['content-type'] ?? '')) {
    throw new GameError('INVALID_INPUT', { header: 'Content-Type', wanted: 'application/json' });
  }
  const body = parsed(route.body ?? NOTHING, readJson(text), 'body');
  return route.body === undefined ? undefined : body;
}

/** @throws GameError INVALID_INPUT that names where and what, without repeating what was sent at length */
function parsed(shape: z.ZodType, value: unknown, place: 'params' | 'query' | 'body'): unknown {
  if (!hasPlainText(value)) throw new GameError('INVALID_INPUT', { [place]: 'has text that is not plain Unicode' });
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.slice(0, FAULTS_MAX).map(({ path, message }) => {
    const at = path.map(String).join('.');
    return (at === '' ? message : `${at}: ${message}`).slice(0, FAULT_CHARS_MAX);
  });
  throw new GameError('INVALID_INPUT', { [place]: faults });
}

/** The header's key as it may stand in the log: of this caller and this route alone, and of a fixed length. */
function keyOf(route: Route, request: Request, caller: Caller | undefined): string | undefined {
  const sent = request.headers['idempotency-key'];
  if (sent === undefined) {
    if (route.needsKey) throw new GameError('KEY_MISSING');
    return undefined;
  }
  if (typeof sent !== 'string' || !KEY.test(sent)) {
    throw new GameError('INVALID_INPUT', { header: 'Idempotency-Key', wanted: '1 to 64 printable ASCII characters' });
  }
  return `http/${sha256(canonicalJson([caller?.playerId ?? null, route.method, route.path, sent]))}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
