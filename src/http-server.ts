/**
 * The HTTP and WebSocket surface of one process: the framework's matchmaking and rooms behind the gate, sign-in,
 * the client, replays, health, metrics and the operators' panels. Knows no particular room.
 */
import { createServer, type Server as NodeServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type AuthContext,
  defineServer,
  ErrorCode as FrameworkCode,
  matchMaker,
  type RegisteredHandler,
  type Server,
  ServerError,
} from '@colyseus/core';
import { monitor } from '@colyseus/monitor';
import express, { type ErrorRequestHandler, type Express, type Request } from 'express';
import type { Caller, Route } from './api/route.ts';
import type { RouteTotals } from './api/route-totals.ts';
import { serveRoutes } from './api/serve.ts';
import type { Track } from './cluster/canary.ts';
import type { ClusterDirectory } from './cluster/directory.ts';
import { RoomGate } from './cluster/gate.ts';
import type { GateTotals } from './cluster/gate-totals.ts';
import { type HopMarks, hopOf } from './cluster/hop-mark.ts';
import type { MatchIds } from './cluster/match-ids.ts';
import type { Framework } from './clustering.ts';
import type { Config } from './config.ts';
import { GuardedTransport } from './guarded-transport.ts';
import { ERRORS, type ErrorCode, GameError, refusalIn } from './kernel/errors.ts';
import { LIMITS } from './limits.ts';
import { listenRefusal, NODE_SERVER, PING_HEADERS, PING_PATH, pathLimits, rateLimit, urlOf } from './listening.ts';
import { isParkedRoom } from './match/adoption.ts';
import type { Health } from './ops/health.ts';
import { addressOf, answerRefusal, HttpGate, limitedNetworkOf, networkOf } from './ops/http-gate.ts';
import { frameworkLogger, type Logger } from './ops/logger.ts';
import { METRICS_CONTENT_TYPE, type Metrics } from './ops/metrics.ts';
import { MetricsAccess } from './ops/metrics-access.ts';
import { isOwnPage, PanelAccess } from './ops/panel-access.ts';
import { traceIdOf } from './ops/trace-id.ts';

/**
 * What clients may ask of the matchmaker. `create` is not among them: an anonymous player could fill the process with
 * empty rooms; nor is `join`, which only fails where `joinOrCreate` would not.
 */
const EXPOSED_METHODS = ['joinOrCreate', 'joinById', 'reconnect'] as const;

/** Methods of a room that the monitor's buttons call. Others, such as editing the state, would bypass the journal. */
const MONITOR_METHODS = new Set(['disconnect', '_forceClientDisconnect', '_sendMessageToClient']);

const MONITOR_COLUMNS: NonNullable<Parameters<typeof monitor>[0]>['columns'] = [
  'roomId',
  'name',
  'clients',
  'maxClients',
  'locked',
  'elapsedTime',
  { metadata: 'phase' },
  { metadata: 'tickP99Ms' },
  { metadata: 'overruns' },
];

/**
 * The client is self-contained; it talks to where it came from, measures the way to the regions, and asks no other site.
 * @param regionUrls origins
 */
const clientPolicy = (regionUrls: readonly string[]): string =>
  [
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    ["connect-src 'self' ws: wss:", ...regionUrls].join(' '),
    "base-uri 'none'",
    "form-action 'self'",
    "object-src 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

/** The panels style inline and take their icons from Google. */
const PANEL_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline' https://fonts.googleapis.com",
  "font-src 'self' https://fonts.gstatic.com",
  "img-src 'self' data:",
  "connect-src 'self' ws: wss:",
  "base-uri 'none'",
  "object-src 'none'",
  "frame-ancestors 'none'",
].join('; ');

type JoinOptions = NonNullable<Parameters<typeof matchMaker.joinOrCreate>[1]>;

export interface HttpServerOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly rooms: Record<string, RegisteredHandler>;
  /** One process for itself without it. */
  readonly cluster?: Pick<Framework, 'presence' | 'driver'> & {
    readonly matchIds: MatchIds;
    /** False: this process takes part in matchmaking and hosts no rooms. */
    readonly hostsRooms: boolean;
    /** False while joins cannot be answered, as the processes cannot reach one another. */
    isReachable(): boolean;
    /** Which rooms a bearer of that token may be put into who asks for any; undefined: all. */
    trackOfJoin(token: string | undefined): Promise<Track | undefined>;
    /** Where a new room is made. @throws GameError NO_SLOTS */
    selectProcess(roomName: string, options: object): Promise<string>;
  };
  /** What the areas answer under `/api`, `/auth` and `/.well-known`. */
  readonly api: {
    readonly routes: readonly Route[];
    /** Of an `Authorization` header. @throws GameError AUTH_MALFORMED and its kin */
    identify(authorization: string): Promise<Caller>;
    readonly totals: RouteTotals;
  };
  /** What the gate to the rooms of other processes needs; without it every room is expected here. */
  readonly roomGate?: {
    /** Asked for when the server listens. */
    directory(): ClusterDirectory;
    readonly marks: HopMarks;
    readonly totals: GateTotals;
  };
  /** Of the monitor's password, see `hashPassword`. */
  readonly monitorPasswordHash: string;
  /** Folder of the built client. */
  readonly clientDir: string;
  /** Called after each piece of what a client sent was handled. */
  readonly afterRead?: () => void;
  /** Rooms can be made, and nobody can come yet. */
  readonly beforeListen?: () => Promise<void>;
  /** The port cannot be had: called before all that was made is closed. */
  readonly onRefused?: () => Promise<void>;
}

/** One listening surface. The framework's matchmaker is one per process, so there is one of these at a time. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #http: NodeServer;
  readonly #transport: GuardedTransport;
  readonly #gate: HttpGate;
  #roomGate: RoomGate | undefined;
  readonly #framework: Server;
  #restoreMatchmaker: () => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { config, health, metrics, log } = options;
    this.#http = createServer(NODE_SERVER);
    this.#http.maxConnections = LIMITS.socketsMax;
    this.#gate = new HttpGate({
      limits: LIMITS,
      publicOrigins: config.http.publicOrigins,
      allowsLoopbackOrigins: !config.isProduction,
      proxyHops: config.http.proxyHops,
      rateLimitOf: pathLimits(),
      refusalOf: (path) => (path.startsWith('/matchmake/') && !health.isReady ? 'DRAINING' : undefined),
      onRefusal: (surface, code) => metrics.countRefusal(surface, code),
      onShedSocket: (reason) => metrics.countShedSocket(reason),
      ...(options.roomGate === undefined ? {} : { hop: hopOf(options.roomGate.marks) }),
      onBug: (error) => log.error({ err: error }, 'bug in serving a request'),
    });
    this.#gate.watch(this.#http);
    this.#transport = new GuardedTransport(
      {
        server: this.#http,
        maxPayload: LIMITS.socketFrameBytesMax,
        pingInterval: LIMITS.socketPingMs,
        pingMaxRetries: LIMITS.socketPingsMissedMax,
        ...(options.afterRead === undefined ? {} : { afterRead: options.afterRead }),
      },
      {
        onRefusal: (fault) => {
          metrics.countRefusal('socket', 'INVALID_INPUT');
          log.debug({ fault }, 'a client was thrown out for a malformed frame');
        },
        onBug: (error) => {
          metrics.countRefusal('socket', 'INTERNAL');
          log.error({ err: error }, 'bug in handling a frame');
        },
      },
    );
    // The transport prints every error of the server with its stack; a port in use is ours to report, in one line.
    this.#http.removeAllListeners('error');
    this.#http.on('error', (error) => {
      if (this.#http.listening) log.error({ err: error }, 'HTTP server');
    });
    const { cluster } = options;
    this.#framework = defineServer({
      rooms: options.rooms,
      ...(cluster === undefined
        ? {}
        : {
            presence: cluster.presence,
            driver: cluster.driver,
            isStandaloneMatchMaker: !cluster.hostsRooms,
          }),
      // Always given: the framework would go on with that of a former server of the process.
      selectProcessIdToCreateRoom: async (roomName, creation) =>
        cluster === undefined ? matchMaker.processId : cluster.selectProcess(roomName, creation as object),
      transport: this.#transport,
      greet: false,
      ...(options.beforeListen === undefined ? {} : { beforeListen: options.beforeListen }),
      // Signals are the process's business (main.ts); a server in a test has none.
      gracefullyShutdown: false,
      logger: frameworkLogger(log),
      express: (app) => this.#route(app as Express),
    });
  }

  /**
   * Listens; the phase becomes `ready`.
   * @throws GameError PORT_IN_USE; CONFIG_INVALID if the address or port cannot be had at all
   */
  async listen(): Promise<void> {
    const { host, port } = this.#options.config.http;
    this.#restoreMatchmaker = this.#configureMatchmaker();
    // The framework's listen() neither resolves nor rejects when the port is taken.
    const failed = new Promise<never>((_, reject) => {
      this.#http.once('error', (cause: NodeJS.ErrnoException) => reject(listenRefusal(cause, host, port)));
    });
    try {
      await Promise.race([this.#framework.listen(port, host), failed]);
    } catch (error) {
      await this.#options.onRefused?.();
      await this.close();
      throw error;
    }
    this.#roomGate = this.#openRoomGate();
    this.#roomGate?.enclose(this.#http);
    this.#gate.enclose(this.#http);
    this.#options.health.advance('ready');
  }

  /** The port that was taken; 0 before {@link listen}. */
  get port(): number {
    return (this.#http.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Where a browser on this machine finds it. */
  get url(): string {
    return urlOf(this.#options.config.http.host, this.port);
  }

  /**
   * Drains: takes no new players, lets every room shut down, then closes every connection. Idempotent.
   * @param withinMs after this the remaining rooms and connections are cut off
   */
  async close(withinMs = this.#options.config.drainSeconds * 1000): Promise<void> {
    this.#closing ??= this.#drain(withinMs);
    return this.#closing;
  }

  async #drain(withinMs: number): Promise<void> {
    this.#options.health.advance('draining');
    const deadline = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => deadline.resolve('late'), withinMs);
    const outcome = await Promise.race([this.#framework.gracefullyShutdown(false), deadline.promise]);
    clearTimeout(timer);
    if (outcome === 'late') this.#options.log.warn({ withinMs }, 'drain took too long; what is left is cut off');
    const gated = this.#roomGate?.close();
    this.#transport.terminateAll();
    this.#http.closeAllConnections();
    if (this.#http.listening) await new Promise<void>((resolve) => this.#http.close(() => resolve()));
    await gated;
    this.#restoreMatchmaker();
  }

  /** Upgrades for rooms of other processes go there, through the gate. */
  #openRoomGate(): RoomGate | undefined {
    const { roomGate, log, metrics } = this.#options;
    if (roomGate === undefined) return undefined;
    return new RoomGate({
      processId: matchMaker.processId,
      directory: roomGate.directory(),
      marks: roomGate.marks,
      totals: roomGate.totals,
      limits: LIMITS,
      // Of a parked one it is told here that it is.
      hasRoom: (roomId) => matchMaker.getLocalRoomById(roomId) !== undefined || isParkedRoom(roomId),
      addressOf,
      networkOf: limitedNetworkOf,
      isHop: (request) => this.#gate.isHop(request),
      onRefusal: (code) => metrics.countRefusal('upgrade', code),
      onBug: (error) => log.error({ err: error }, 'bug in the gate'),
    });
  }

  /** The matchmaker's controller is the process's: what is changed is put back at the end. */
  #configureMatchmaker(): () => void {
    const { controller } = matchMaker;
    const { exposedMethods, getCorsHeaders, DEFAULT_CORS_HEADERS, invokeMethod } = controller;
    controller.exposedMethods = [...EXPOSED_METHODS];
    controller.DEFAULT_CORS_HEADERS = {} as typeof DEFAULT_CORS_HEADERS;
    controller.getCorsHeaders = (headers: Headers) => this.#corsHeaders(headers);
    controller.invokeMethod = (method, roomName, options, context) => this.#join(method, roomName, options, context);
    return () => Object.assign(controller, { exposedMethods, getCorsHeaders, DEFAULT_CORS_HEADERS, invokeMethod });
  }

  /** In place of the framework's own, which tells clients the text of any bug and loses what kind of error it was. */
  async #join(method: string, roomName: string, options?: JoinOptions, context?: AuthContext) {
    const { health, log, metrics } = this.#options;
    try {
      const exposed = EXPOSED_METHODS.find((name) => name === method);
      if (exposed === undefined) throw new ServerError(FrameworkCode.MATCHMAKE_NO_HANDLER, 'no such method');
      if (exposed === 'reconnect' && typeof options?.['reconnectionToken'] !== 'string') {
        throw new GameError('INVALID_INPUT', { key: 'reconnectionToken' });
      }
      const { cluster } = this.#options;
      if (cluster?.isReachable() === false) throw new GameError('STORE_UNAVAILABLE', { store: 'redis' });
      const own = cluster === undefined ? options : await this.#ownOptions(cluster, exposed, options, context);
      const ask = () => matchMaker[exposed](roomName, own, context);
      const reservation = await ask().catch(async (error: unknown) => {
        const code = refusalIn(error)?.code;
        // Of two that made one room the other was first, and now it is listed; or a process was full sooner than it seemed.
        const isPassing = code === 'MATCH_EXISTS' || code === 'NO_SLOTS';
        if (!isPassing && !(exposed === 'joinById' && (await this.#isMadeWay(error, roomName, own, context))))
          throw error;
        return ask();
      });
      metrics.countJoin(exposed);
      return reservation;
    } catch (error) {
      const { code, status, message } = joinRefusal(error, !health.isReady);
      metrics.countRefusal('join', code);
      if (code === 'INTERNAL') log.error({ err: error }, 'join failed');
      throw new ServerError(status, message);
    }
  }

  /** Whether a full match has let go of its lock for another device of a player who has a seat in it. */
  async #isMadeWay(error: unknown, roomId: string, options?: JoinOptions, context?: AuthContext): Promise<boolean> {
    if (!(error instanceof ServerError && error.message.endsWith('is locked'))) return false;
    if (context?.token === undefined || options?.['takeOver'] === false) return false;
    const { playerId } = await this.#options.api.identify(`Bearer ${context.token}`);
    return (await matchMaker.remoteRoomCall(roomId, 'giveWay' as never, [playerId] as never)) === true;
  }

  /** What the player sent, and of what decides where it comes to only what this server says. */
  async #ownOptions(
    cluster: NonNullable<HttpServerOptions['cluster']>,
    method: (typeof EXPOSED_METHODS)[number],
    options: JoinOptions | undefined,
    context: AuthContext | undefined,
  ): Promise<JoinOptions> {
    const own = cluster.matchIds.ofPlayer(options);
    own.traceId = traceIdOf(context?.headers?.get('traceparent'));
    // Who names a room is let into it: friends of a tester may follow.
    const track = method === 'joinOrCreate' ? await cluster.trackOfJoin(context?.token) : undefined;
    if (track !== undefined) own.track = track;
    return own;
  }

  #corsHeaders(headers: Headers): Record<string, string> {
    const origin = headers.get('origin') ?? undefined;
    const vary = { Vary: 'Origin' };
    if (origin === undefined || !this.#gate.isAllowedOrigin(origin, headers.get('host') ?? undefined)) return vary;
    return {
      ...vary,
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Allow-Headers': 'Content-Type, Accept, Authorization, Idempotency-Key',
      'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, DELETE',
      'Access-Control-Expose-Headers': 'Retry-After',
      'Access-Control-Max-Age': '600',
    };
  }

  #route(app: Express): void {
    app.disable('x-powered-by');
    // Flat values only: `?a[b]=c` stays the key `a[b]`, which nobody asks for.
    app.set('query parser', 'simple');
    this.#routeHealth(app);
    this.#routeMetrics(app);
    this.#routeApi(app);
    this.#routeMonitor(app);
    if (!this.#options.config.isProduction) this.#routePlayground(app);
    this.#routeClient(app);
    app.use((request, response) => this.#gate.refuse(request, response, 'NOT_FOUND'));
    const onError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
      const refusal = error instanceof GameError ? error : this.#bug(error, request);
      this.#options.metrics.countRefusal('http', refusal.code);
      // Half an answer cannot become another one.
      if (response.headersSent) response.destroy();
      else answerRefusal(request, response, refusal);
    };
    app.use(onError);
  }

  #bug(error: unknown, request: Request): GameError {
    // Errors of Express's own (a malformed percent sign in a path) carry a status of the client's fault.
    const status = (error as { status?: unknown } | null)?.status;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      return new GameError(status === 404 ? 'NOT_FOUND' : 'INVALID_INPUT');
    }
    this.#options.log.error({ err: error, method: request.method, path: request.path }, 'request failed');
    return new GameError('INTERNAL');
  }

  #routeHealth(app: Express): void {
    const { health } = this.#options;
    app.get('/healthz', (_request, response) => {
      response.set('Cache-Control', 'no-store').json({ status: 'alive' });
    });
    app.get(PING_PATH, (_request, response) => {
      response.set(PING_HEADERS).status(204).end();
    });
    app.get('/readyz', (_request, response) => {
      const { phase, without } = health;
      response
        .status(health.isReady ? 200 : 503)
        .set('Cache-Control', 'no-store')
        .json({ status: phase, ...(without.length > 0 ? { without } : {}) });
    });
  }

  #routeMetrics(app: Express): void {
    const { config, metrics } = this.#options;
    const access = new MetricsAccess({
      token: config.metrics.token,
      wrongTokens: rateLimit(LIMITS.wrongPasswordBurst, LIMITS.wrongPasswordsPerSecond),
    });
    app.get('/metrics', async (request, response) => {
      const code = access.refusalOf(request.headers, networkOf(addressOf(request)));
      if (code !== undefined) throw new GameError(code);
      const text = await metrics.text();
      response.set({ 'Content-Type': METRICS_CONTENT_TYPE, 'Cache-Control': 'no-store' }).send(text);
    });
  }

  #routeApi(app: Express): void {
    const { api } = this.#options;
    app.use(
      serveRoutes(api.routes, {
        identify: api.identify,
        totals: api.totals,
        networkOf: (request) => networkOf(addressOf(request)),
        questions: rateLimit(LIMITS.playerQuestionBurst, LIMITS.playerQuestionsPerSecond),
        commands: rateLimit(LIMITS.playerCommandBurst, LIMITS.playerCommandsPerSecond),
      }),
    );
  }

  #routeMonitor(app: Express): void {
    const access = new PanelAccess({
      passwordHash: this.#options.monitorPasswordHash,
      wrongPasswords: rateLimit(LIMITS.wrongPasswordBurst, LIMITS.wrongPasswordsPerSecond),
    });
    app.use(
      '/monitor',
      (request, response, next) => {
        const code = access.refusalOf(request.headers, networkOf(addressOf(request)));
        if (code === undefined) {
          response.set({ 'Content-Security-Policy': PANEL_POLICY, 'Cache-Control': 'no-store' });
          next();
          return;
        }
        if (ERRORS[code].status === 401) response.set('WWW-Authenticate', 'Basic realm="Hypogeum", charset="UTF-8"');
        this.#gate.refuse(request, response, code);
      },
      (request, response, next) => {
        const isRefused = request.path === '/api/room/call' && !MONITOR_METHODS.has(String(request.query['method']));
        if (isRefused) this.#gate.refuse(request, response, 'UNKNOWN_COMMAND');
        else next();
      },
      monitor({ columns: MONITOR_COLUMNS ?? [] }),
    );
  }

  /** Development only: it shows internals and has no login. */
  #routePlayground(app: Express): void {
    app.use(
      '/playground',
      (request, response, next) => {
        if (!isOwnPage(request.headers)) {
          this.#gate.refuse(request, response, 'FOREIGN_ORIGIN');
          return;
        }
        response.set('Content-Security-Policy', PANEL_POLICY);
        next();
      },
      async (request, response, next) => {
        // Loaded when somebody looks: it brings an authentication library that patches every room class's default.
        const { playground } = await import('@colyseus/playground');
        playground()(request, response, next);
      },
    );
  }

  #routeClient(app: Express): void {
    const policy = clientPolicy(this.#options.config.cluster.regionUrls.map(({ url }) => url));
    const files = express.static(this.#options.clientDir, {
      redirect: false,
      setHeaders(response, path) {
        const isHashed = /[/\\]assets[/\\]/.test(path);
        response.setHeader('Cache-Control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
        response.setHeader('Content-Security-Policy', policy);
      },
    });
    app.use(files);
  }
}

/**
 * What a failed join is answered with: the framework's status (525 for identity, 526 for our other refusals, its own
 * for its own) and a message that begins with our code. The framework would put a code that is no number where it
 * wants a status, and answer 200.
 */
function joinRefusal(
  error: unknown,
  isDraining: boolean,
): { readonly code: ErrorCode | 'FRAMEWORK'; readonly status: number; readonly message: string } {
  const refusal = refusalIn(error);
  if (refusal !== undefined) {
    const isIdentity = refusal.code.startsWith('AUTH_');
    return { ...refusal, status: isIdentity ? FrameworkCode.AUTH_FAILED : FrameworkCode.APPLICATION_ERROR };
  }
  const { code, message = '' } = (error ?? {}) as { code?: unknown; message?: string };
  // 523 is the framework's word for anything that was thrown, bugs included.
  if (error instanceof ServerError && FRAMEWORK_REFUSALS.has(code as number)) {
    return { code: 'FRAMEWORK', status: code as number, message };
  }
  const ours = isDraining ? 'DRAINING' : message.endsWith('is already full.') ? 'MATCH_FULL' : 'INTERNAL';
  const status = ours === 'INTERNAL' ? FrameworkCode.MATCHMAKE_UNHANDLED : FrameworkCode.APPLICATION_ERROR;
  return { code: ours, status, message: new GameError(ours).message };
}

const FRAMEWORK_REFUSALS: ReadonlySet<number> = new Set([
  FrameworkCode.MATCHMAKE_NO_HANDLER,
  FrameworkCode.MATCHMAKE_INVALID_CRITERIA,
  FrameworkCode.MATCHMAKE_INVALID_ROOM_ID,
  FrameworkCode.MATCHMAKE_EXPIRED,
  FrameworkCode.AUTH_FAILED,
]);
