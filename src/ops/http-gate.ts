/**
 * The gate in front of the HTTP server: everything that arrives passes it before the framework, Express or a WebSocket
 * handshake sees it. It bounds (connections, bodies, rates), normalises (address, host, target, JSON) and refuses what
 * comes from foreign pages, each with a code of the catalogue.
 *
 * The framework matches its own routes before Express, so middleware would not see them, has no body limit, and a
 * hostile `Host` header or request target makes its handlers throw outside any guard. The gate therefore wraps the
 * server's listeners themselves: {@link HttpGate.enclose} after they are all there, {@link HttpGate.watch} before it
 * listens.
 */
import { isUtf8 } from 'node:buffer';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ERRORS, type ErrorCode, GameError } from '../kernel/errors.ts';
import { isOriginOfHost } from './panel-access.ts';
import type { RateLimit } from './rate-limit.ts';

/** The bounds of src/limits.ts that the gate enforces; stated there. */
export interface GateLimits {
  readonly httpBodyBytesMax: number;
  readonly httpTargetCharsMax: number;
  readonly socketsPerAddressMax: number;
  readonly unfinishedPerAddressMax: number;
  readonly unfinishedGraceMs: number;
}

export interface GateOptions {
  readonly limits: GateLimits;
  /** Origins besides the own whose pages may play. */
  readonly publicOrigins: readonly string[];
  /** Development: pages of any port of this machine may play. */
  readonly allowsLoopbackOrigins: boolean;
  readonly proxyHops: number;
  /** Default true: bodies are read whole, bounded and checked before anything else sees the request. */
  readonly readsBodies?: boolean;
  /** The limit that a path falls under, if any. Loopback clients are exempt: load tests, probes, a local proxy. */
  rateLimitOf(path: string): RateLimit | undefined;
  /** A reason to refuse a request right now, such as a drain. */
  refusalOf(path: string): ErrorCode | undefined;
  onRefusal(surface: 'http' | 'upgrade', code: ErrorCode): void;
  onShedSocket(reason: 'unfinished' | 'crowded'): void;
  /** The player's address that another process of the cluster vouches for in its mark; undefined if the mark is not valid. */
  readonly hop?: { readonly header: string; addressOf(mark: string): string | undefined };
  /** What serves requests threw instead of answering. */
  onBug(error: unknown): void;
}

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;
type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Sent with every answer; a route may add its own Content-Security-Policy. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

/** How many times the allowed body is read before the connection of a too large one is cut. */
const LINGER_FACTOR = 16;
/** Networks of gates that are remembered; a cluster has fewer. Above: the next ones keep to the bound of an address. */
const GATES_MAX = 1_000;
const METHODS_WITH_BODY = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** Paths of the framework, which takes whatever is JSON for options. Our own routes read their bodies themselves. */
const JSON_PATHS = /^\/matchmake\//;

export class HttpGate {
  readonly #options: GateOptions;
  /** Connections by network, see {@link networkOf}: to one IPv6 subscriber, addresses are free. */
  readonly #open = new Map<string, number>();
  /** Those that have not sent a whole request head yet, by network, oldest first. */
  readonly #unfinished = new Map<string, Map<Socket, number>>();
  /** The network that a connection counts for. */
  readonly #networks = new WeakMap<Socket, string>();
  /** Networks from which a valid mark came: gates, whose connections are those of many players. */
  readonly #gates = new Set<string>();
  readonly #hops = new WeakSet<IncomingMessage>();
  /** Those whose mark was valid. */
  readonly #vouched = new WeakSet<IncomingMessage>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Bounds the connections of each address. Call before the server listens. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#admit(socket));
  }

  /** Puts the gate around the listeners that the server has now. Call once, after the framework added its own. */
  enclose(server: Server): void {
    const onRequest = server.listeners('request') as RequestListener[];
    const onUpgrade = server.listeners('upgrade') as UpgradeListener[];
    server.removeAllListeners('request');
    server.removeAllListeners('upgrade');
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#request(request, response)
        .then(
          (isAdmitted) => {
            if (isAdmitted) for (const listener of onRequest) listener.call(server, request, response);
          },
          // The client went away while its body was read: there is nobody to answer.
          () => response.destroy(),
        )
        .catch((error: unknown) => {
          this.#options.onBug(error);
          if (response.headersSent) response.destroy();
          else answerRefusal(request, response, new GameError('INTERNAL'));
        });
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const code = this.#upgrade(request);
      if (code === undefined) {
        for (const listener of onUpgrade) listener.call(server, request, socket, head);
        return;
      }
      this.#options.onRefusal('upgrade', code);
      const { status } = ERRORS[code];
      socket.on('error', () => socket.destroy());
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
  }

  /** True for the own origin and those that may play here; a request without one does not come from a page. */
  isAllowedOrigin(origin: string | undefined, host: string | undefined): boolean {
    if (origin === undefined || isOriginOfHost(origin, host) || this.#options.publicOrigins.includes(origin))
      return true;
    return this.#options.allowsLoopbackOrigins && isLoopbackOrigin(origin);
  }

  /** Whether another gate passed the request on, or its sender pretends so. */
  isHop(request: IncomingMessage): boolean {
    return this.#hops.has(request);
  }

  /** Answers with a coded refusal. */
  refuse(request: IncomingMessage, response: ServerResponse, code: ErrorCode): void {
    this.#options.onRefusal('http', code);
    answerRefusal(request, response, new GameError(code));
  }

  #admit(socket: Socket): void {
    const { limits, proxyHops, onShedSocket } = this.#options;
    const address = plainAddress(socket.remoteAddress);
    const network = networkOf(address);
    const open = (this.#open.get(network) ?? 0) + 1;
    const isExempt = proxyHops > 0 || isLoopback(address) || this.#gates.has(network);
    if (open > limits.socketsPerAddressMax && !isExempt) {
      onShedSocket('crowded');
      socket.destroy();
      return;
    }
    this.#open.set(network, open);
    this.#networks.set(socket, network);

    let unfinished = this.#unfinished.get(network);
    if (unfinished === undefined) {
      unfinished = new Map();
      this.#unfinished.set(network, unfinished);
    }
    const nowMs = performance.now();
    if (unfinished.size >= limits.unfinishedPerAddressMax) {
      const [oldest, openedAtMs] = unfinished.entries().next().value!;
      if (nowMs - openedAtMs >= limits.unfinishedGraceMs) {
        onShedSocket('unfinished');
        unfinished.delete(oldest);
        oldest.destroy();
      }
    }
    unfinished.set(socket, nowMs);
    socket.once('close', () => {
      this.#finish(socket, network);
      this.#uncount(this.#networks.get(socket) ?? network);
    });
  }

  #uncount(network: string): void {
    const left = (this.#open.get(network) ?? 1) - 1;
    if (left > 0) this.#open.set(network, left);
    else this.#open.delete(network);
  }

  /** A connection that a gate opened for a player counts for the player. @returns false if that is one too many */
  #countFor(address: string, socket: Socket): boolean {
    const counted = this.#networks.get(socket);
    const network = networkOf(address);
    if (counted === undefined || counted === network) return true;
    const open = (this.#open.get(network) ?? 0) + 1;
    if (open > this.#options.limits.socketsPerAddressMax && !isLoopback(address)) return false;
    this.#uncount(counted);
    this.#open.set(network, open);
    this.#networks.set(socket, network);
    return true;
  }

  #finish(socket: Socket, network = networkOf(plainAddress(socket.remoteAddress))): void {
    const unfinished = this.#unfinished.get(network);
    if (unfinished?.delete(socket) && unfinished.size === 0) this.#unfinished.delete(network);
  }

  /** True when the framework may have the request; otherwise it was answered. */
  async #request(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    this.#finish(request.socket);
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
    const code = this.#refusalOfHead(request) ?? (await this.#refusalOfBody(request));
    if (code === undefined) return true;
    this.refuse(request, response, code);
    return false;
  }

  #refusalOfHead(request: IncomingMessage): ErrorCode | undefined {
    const { limits, rateLimitOf, refusalOf } = this.#options;
    const malformed = this.#normalise(request);
    if (malformed !== undefined) return malformed;
    const path = pathOf(request);
    const { origin, host } = request.headers;
    // Reading is the browser's to forbid (no CORS header is sent); acting is ours.
    if (METHODS_WITH_BODY.has(request.method!) && !this.isAllowedOrigin(origin, host)) return 'FOREIGN_ORIGIN';
    const address = addressOf(request);
    if (!isLoopback(address) && rateLimitOf(path)?.take(networkOf(address)) === false) return 'RATE_LIMITED';
    if (Number(request.headers['content-length'] ?? 0) > limits.httpBodyBytesMax * LINGER_FACTOR) return 'TOO_LARGE';
    return refusalOf(path);
  }

  async #refusalOfBody(request: IncomingMessage): Promise<ErrorCode | undefined> {
    if (this.#options.readsBodies === false || !METHODS_WITH_BODY.has(request.method!)) return undefined;
    const body = await readBody(request, this.#options.limits.httpBodyBytesMax);
    if (body === undefined) return 'TOO_LARGE';
    const enclosed = request as IncomingMessage & { body?: unknown };
    if (!JSON_PATHS.test(pathOf(request))) {
      // Decoded as it is: replacement characters in place of what is no UTF-8 would be text that nobody sent.
      if (!isUtf8(body)) return 'INVALID_INPUT';
      enclosed.body = body.toString('utf8');
      return undefined;
    }
    const json = jsonObjectOf(body);
    if (json === undefined) return 'INVALID_INPUT';
    // The router re-reads this as the request's body.
    enclosed.body = json;
    request.headers['content-type'] = 'application/json';
    return undefined;
  }

  #upgrade(request: IncomingMessage): ErrorCode | undefined {
    this.#finish(request.socket);
    const malformed = this.#normalise(request);
    if (malformed !== undefined) return malformed;
    const { origin, host } = request.headers;
    if (!this.isAllowedOrigin(origin, host)) return 'FOREIGN_ORIGIN';
    if (this.#vouched.has(request) && !this.#countFor(addressOf(request), request.socket)) {
      this.#options.onShedSocket('crowded');
      return 'RATE_LIMITED';
    }
    return undefined;
  }

  /**
   * Makes target, host and address safe to use by what follows: later code builds URLs of them and believes
   * `x-real-ip`, which is therefore ours alone.
   */
  #normalise(request: IncomingMessage): ErrorCode | undefined {
    const { headers, url } = request;
    const { limits, proxyHops } = this.#options;
    const vouched = this.#takeMark(request);
    headers['x-real-ip'] =
      vouched ?? forwardedAddress(headers['x-forwarded-for'], proxyHops) ?? plainAddress(request.socket.remoteAddress);
    delete headers['x-forwarded-for'];
    delete headers['x-client-ip'];
    const scheme = headers['x-forwarded-proto'];
    if ((proxyHops === 0 && vouched === undefined) || (scheme !== 'http' && scheme !== 'https'))
      delete headers['x-forwarded-proto'];
    if (url === undefined || !url.startsWith('/') || url.startsWith('//') || url.length > limits.httpTargetCharsMax) {
      return 'INVALID_INPUT';
    }
    if (!URL.canParse(`http://${headers.host}${url}`) || !isHost(headers.host)) return 'INVALID_INPUT';
    return isDecodable(url) ? undefined : 'INVALID_INPUT';
  }

  /** @returns the address that another process of the cluster vouches for */
  #takeMark(request: IncomingMessage): string | undefined {
    const { hop } = this.#options;
    if (hop === undefined) return undefined;
    const mark = request.headers[hop.header];
    if (mark === undefined) return undefined;
    delete request.headers[hop.header];
    this.#hops.add(request);
    const address = typeof mark === 'string' ? hop.addressOf(mark) : undefined;
    if (address === undefined) return undefined;
    if (this.#gates.size < GATES_MAX) this.#gates.add(networkOf(plainAddress(request.socket.remoteAddress)));
    this.#vouched.add(request);
    return plainAddress(address);
  }
}

/** The remote address of a request that passed the gate, without port. */
export function addressOf(request: { readonly headers: IncomingMessage['headers'] }): string {
  return String(request.headers['x-real-ip'] ?? '');
}

/** What shares a limit with the request, see {@link networkOf}; undefined for this machine, which has none. */
export function limitedNetworkOf(request: { readonly headers: IncomingMessage['headers'] }): string | undefined {
  const address = addressOf(request);
  return isLoopback(address) ? undefined : networkOf(address);
}

/** Answers with a refusal: status, `{code, error, …detail}`, and when to come back if that may help. */
export function answerRefusal(request: IncomingMessage, response: ServerResponse, error: GameError): void {
  const { status, retry } = ERRORS[error.code];
  const text = JSON.stringify({ ...error.detail, code: error.code, error: error.message });
  // An unread body would be taken for the next request: the connection ends with this answer.
  if (!request.complete) response.setHeader('Connection', 'close');
  if (retry) response.setHeader('Retry-After', '1');
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

export function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

/** What shares a rate limit: an IPv4 address, or the /64 that one IPv6 subscriber has. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < 8) groups.push('0');
    groups.push(...rest);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`;
}

function pathOf(request: IncomingMessage): string {
  return request.url!.split('?', 1)[0]!;
}

function plainAddress(address: string | undefined): string {
  // A dual-stack socket shows IPv4 clients as ::ffff:1.2.3.4.
  return address?.replace(/^::ffff:(?=\d+\.)/i, '') ?? '';
}

/** The entry that our outermost trusted proxy wrote; further left anybody may have written. */
function forwardedAddress(header: string | string[] | undefined, hops: number): string | undefined {
  if (hops === 0 || header === undefined) return undefined;
  const entry = String(header).split(',').at(-hops)?.trim();
  return entry !== undefined && /^[0-9a-fA-F.:]{2,45}$/.test(entry) ? plainAddress(entry) : undefined;
}

function isHost(host: string | undefined): boolean {
  return host !== undefined && /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/.test(host);
}

function isDecodable(url: string): boolean {
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}

function isLoopbackOrigin(origin: string): boolean {
  try {
    const { hostname } = new URL(origin);
    return hostname === 'localhost' || hostname === '[::1]' || isLoopback(hostname);
  } catch {
    return false;
  }
}

/** The whole body, or undefined as soon as it is larger. Rejects when the client goes away. */
function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      // A client that is cut off while it writes may never read why; a little more is read and thrown away.
      else if (bytes > bytesMax * LINGER_FACTOR) {
        request.pause();
        resolve(undefined);
      }
    });
    request.on('end', () => resolve(bytes <= bytesMax ? Buffer.concat(chunks) : undefined));
    request.on('error', reject);
    request.on('close', () => reject(new Error('the client closed the connection')));
  });
}

/**
 * The JSON object in canonical text (nothing counts as `{}`), without keys that every object has: the framework copies
 * options key by key (`__proto__` would set a prototype) and calls `options.hasOwnProperty`.
 */
function jsonObjectOf(body: Buffer): string | undefined {
  if (body.length === 0) return '{}';
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body), (key, inner) =>
      Object.hasOwn(Object.prototype, key) ? undefined : inner,
    );
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return JSON.stringify(value);
  } catch {
    // Not UTF-8, not JSON, or nested too deep for the stack: all the same to the caller.
    return undefined;
  }
}
