/** What every listening surface of the process says about its address, and sets on its server. */
import type { ServerOptions } from 'node:http';
import { GameError } from './kernel/errors.ts';
import { LIMITS } from './limits.ts';
import { RateLimit } from './ops/rate-limit.ts';

/** Bounds of Node's own HTTP server. */
export const NODE_SERVER: ServerOptions = {
  maxHeaderSize: LIMITS.httpHeadersBytesMax,
  headersTimeout: LIMITS.httpHeadersMs,
  requestTimeout: LIMITS.httpRequestMs,
  connectionsCheckingInterval: LIMITS.httpTimeoutCheckMs,
  keepAliveTimeout: LIMITS.httpKeepAliveMs,
  noDelay: true,
};

/** Where players measure the way to here; see docs/matchmaking.md. */
export const PING_PATH = '/ping';
/** Any page may measure, as that of another region has to: there is nothing to read. */
export const PING_HEADERS = { 'Cache-Control': 'no-store', 'Access-Control-Allow-Origin': '*' } as const;

/** A limit per network, in bounded memory. */
export function rateLimit(burst: number, perSecond: number): RateLimit {
  return new RateLimit({ burst, perSecond, addressesMax: LIMITS.rateAddressesMax });
}

/** The limit that a path falls under, made once for a surface. */
export function pathLimits(): (path: string) => RateLimit | undefined {
  const joins = rateLimit(LIMITS.joinBurst, LIMITS.joinsPerSecond);
  const signIns = rateLimit(LIMITS.signInBurst, LIMITS.signInsPerSecond);
  const queries = rateLimit(LIMITS.queryBurst, LIMITS.queriesPerSecond);
  return (path) => {
    if (path.startsWith('/matchmake/')) return joins;
    if (path.startsWith('/auth/')) return signIns;
    return /^\/(?:api|\.well-known|metrics|monitor|ops|playground)(?:\/|$)/.test(path) ? queries : undefined;
  };
}

/** Where a browser on this machine finds it, with a slash at the end. */
export function urlOf(host: string, port: number): string {
  const name = host === '127.0.0.1' || host === '0.0.0.0' || host === '::' || host === '::1' ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}/`;
}

/** Why an address could not be listened on. */
export function listenRefusal(cause: NodeJS.ErrnoException, host: string, port: number): GameError {
  if (cause.code === 'EADDRINUSE') return new GameError('PORT_IN_USE', { host, port }, cause);
  return new GameError('CONFIG_INVALID', { faults: [`cannot listen on ${host}:${port}: ${cause.code}`] }, cause);
}
