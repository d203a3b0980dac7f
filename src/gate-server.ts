/**
 * A gate that stands alone (`HYPOGEUM_ROLES=gate`): no rooms, no database, only the way to those who have them. It
 * answers `/healthz`, `/readyz`, `/ping` and `/metrics` itself and passes everything else on.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClusterDirectory } from './cluster/directory.ts';
import { RoomGate } from './cluster/gate.ts';
import { GateTotals } from './cluster/gate-totals.ts';
import { type HopMarks, hopOf } from './cluster/hop-mark.ts';
import { HttpRelay } from './cluster/http-relay.ts';
import type { Config } from './config.ts';
import { gateMetrics } from './gate-metrics.ts';
import { GameError } from './kernel/errors.ts';
import { LIMITS } from './limits.ts';
import { listenRefusal, NODE_SERVER, PING_HEADERS, PING_PATH, pathLimits, rateLimit, urlOf } from './listening.ts';
import { Health } from './ops/health.ts';
import { addressOf, HttpGate, limitedNetworkOf, networkOf } from './ops/http-gate.ts';
import type { Logger } from './ops/logger.ts';
import { METRICS_CONTENT_TYPE, type MetricFamily, Metrics } from './ops/metrics.ts';
import { MetricsAccess } from './ops/metrics-access.ts';

export interface GateServerOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly directory: ClusterDirectory;
  readonly marks: HopMarks;
  /** Of this process in the cluster. */
  readonly processId?: string;
  /** Resolves with who wants this process to drain. Operators' routes are answered by those whom it passes them on to. */
  readonly drainRequested?: Promise<string>;
  /** What the cluster counts of this process. */
  readonly clusterMetrics?: () => Iterable<MetricFamily>;
  /** What the surface stands on, let go of at the end. */
  readonly onClose?: () => Promise<void>;
}

export class GateServer {
  readonly health = new Health();
  readonly totals = new GateTotals();
  readonly metrics: Metrics;
  /** It has no monitor. */
  readonly newMonitorPassword = undefined;
  readonly drainRequested: Promise<string>;
  readonly processId: string;
  readonly #options: GateServerOptions;
  readonly #http: Server;
  readonly #gate: HttpGate;
  readonly #roomGate: RoomGate;
  readonly #relay: HttpRelay;
  readonly #metricsAccess: MetricsAccess;
  #closing: Promise<void> | undefined;

  constructor(options: GateServerOptions) {
    this.#options = options;
    this.processId = options.processId ?? '';
    this.drainRequested = options.drainRequested ?? new Promise<never>(() => {});
    const { config, log, directory, marks } = options;
    this.metrics = new Metrics({
      buildId: config.buildId,
      health: this.health,
      load: () => ({ players: 0, rooms: 0 }),
    });
    this.metrics.addSource(() => gateMetrics(this.totals));
    if (options.clusterMetrics !== undefined) this.metrics.addSource(options.clusterMetrics);
    this.#http = createServer(NODE_SERVER, (request, response) => this.#route(request, response));
    this.#http.maxConnections = LIMITS.socketsMax;
    this.#http.on('error', (error) => {
      if (this.#http.listening) log.error({ err: error }, 'HTTP server');
    });
    this.#gate = new HttpGate({
      limits: LIMITS,
      publicOrigins: config.http.publicOrigins,
      allowsLoopbackOrigins: !config.isProduction,
      proxyHops: config.http.proxyHops,
      // Bodies are streamed to whoever reads them.
      readsBodies: false,
      rateLimitOf: pathLimits(),
      refusalOf: () => undefined,
      hop: hopOf(marks),
      onRefusal: (surface, code) => this.metrics.countRefusal(surface, code),
      onShedSocket: (reason) => this.metrics.countShedSocket(reason),
      onBug: (error) => log.error({ err: error }, 'bug in serving a request'),
    });
    this.#gate.watch(this.#http);
    this.#relay = new HttpRelay({
      directory,
      marks,
      limits: LIMITS,
      addressOf,
      refuse: (request, response, code) => this.#gate.refuse(request, response, code),
    });
    this.#roomGate = new RoomGate({
      processId: this.processId,
      directory,
      marks,
      totals: this.totals,
      limits: LIMITS,
      hasRoom: () => false,
      addressOf,
      networkOf: limitedNetworkOf,
      isHop: (request) => this.#gate.isHop(request),
      onRefusal: (code) => this.metrics.countRefusal('upgrade', code),
      onBug: (error) => log.error({ err: error }, 'bug in the gate'),
    });
    this.#roomGate.enclose(this.#http);
    this.#gate.enclose(this.#http);
    this.#metricsAccess = new MetricsAccess({
      token: config.metrics.token,
      wrongTokens: rateLimit(LIMITS.wrongPasswordBurst, LIMITS.wrongPasswordsPerSecond),
    });
  }

  /** Listens. @throws GameError PORT_IN_USE; CONFIG_INVALID if the address or port cannot be had at all */
  async listen(): Promise<void> {
    const { host, port } = this.#options.config.http;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#http.once('error', (cause) => reject(listenRefusal(cause, host, port)));
        this.#http.listen(port, host, resolve);
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    this.health.advance('ready');
  }

  /** 0 before {@link listen}. */
  get port(): number {
    return (this.#http.address() as AddressInfo | null)?.port ?? 0;
  }

  get url(): string {
    return urlOf(this.#options.config.http.host, this.port);
  }

  /**
   * Takes nothing new, ends WebSockets (every client comes again, through another gate) and lets requests end, which may
   * take `HYPOGEUM_DRAIN_SECONDS`. Idempotent.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.health.advance('draining');
    const gated = this.#roomGate.close();
    if (this.#http.listening) {
      const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
      const timer = setTimeout(() => this.#http.closeAllConnections(), this.#options.config.drainSeconds * 1000);
      this.#http.closeIdleConnections();
      await closed;
      clearTimeout(timer);
    }
    await gated;
    this.#relay.close();
    await this.#options.onClose?.();
  }

  #route(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url!.split('?', 1)[0];
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (isReading && path === '/healthz') this.#answer(request, response, 200, { status: 'alive' });
    else if (isReading && path === '/readyz') {
      this.#answer(request, response, this.health.isReady ? 200 : 503, { status: this.health.phase });
    } else if (isReading && path === PING_PATH) response.writeHead(204, PING_HEADERS).end();
    else if (isReading && path === '/metrics') void this.#answerMetrics(request, response);
    else this.#relay.handle(request, response);
  }

  #answer(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
    const text = JSON.stringify(body);
    response.writeHead(status, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'no-store',
    });
    response.end(request.method === 'HEAD' ? undefined : text);
  }

  async #answerMetrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const code = this.#metricsAccess.refusalOf(request.headers, networkOf(addressOf(request)));
    if (code !== undefined) {
      this.#gate.refuse(request, response, code);
      return;
    }
    try {
      const text = await this.metrics.text();
      response.writeHead(200, { 'Content-Type': METRICS_CONTENT_TYPE, 'Cache-Control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : text);
    } catch (error) {
      this.#options.log.error({ err: error }, 'metrics failed');
      this.#gate.refuse(request, response, new GameError('INTERNAL').code);
    }
  }
}
