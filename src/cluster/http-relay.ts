/**
 * HTTP of a gate that stands alone: every request goes to some process that lives, is not draining and has the realtime
 * role, in turn. All of them answer alike, as what they know is in shared stores. Bodies are streamed both ways and
 * bounded; a process that could not be reached is left alone for a moment.
 */
import { Agent, type ClientRequest, type IncomingMessage, request as open, type ServerResponse } from 'node:http';
import type { ErrorCode } from '../kernel/errors.ts';
import { limitTime } from '../kernel/time-limit.ts';
import type { ClusterDirectory, ProcessCard } from './directory.ts';
import { HOP_HEADER, type HopMarks } from './hop-mark.ts';

/** The bounds of src/limits.ts that it enforces; stated there. */
export interface HttpRelayLimits {
  readonly gateRequestsMax: number;
  readonly gateRequestBodyBytesMax: number;
  readonly gateConnectMs: number;
  readonly gateRequestAnswerMs: number;
  readonly gateConnectionsPerProcessMax: number;
}

export interface HttpRelayOptions {
  readonly directory: ClusterDirectory;
  readonly marks: HopMarks;
  readonly limits: HttpRelayLimits;
  /** The player's address, as far as this process may believe it. */
  addressOf(request: IncomingMessage): string;
  /** Answers with a coded refusal. */
  refuse(request: IncomingMessage, response: ServerResponse, code: ErrorCode): void;
}

/** A process that could not be reached is passed over for so long, ms, unless there is no other. */
const LEFT_ALONE_MS = 2_000;
/** Asking twice is the same as asking once. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Of one connection, or what only a proxy may say. */
const DROPPED_HEADERS: ReadonlySet<string> = new Set([
  HOP_HEADER,
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-real-ip',
  'x-client-ip',
]);

export class HttpRelay {
  /** Requests under way. */
  running = 0;
  readonly #options: HttpRelayOptions;
  readonly #agent: Agent;
  /** When a process was last found unreachable, ms. */
  readonly #failedAtMs = new Map<string, number>();
  #turn = 0;

  constructor(options: HttpRelayOptions) {
    this.#options = options;
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: options.limits.gateConnectionsPerProcessMax,
    });
  }

  /** Passes the request on and its answer back; answers PROCESS_UNAVAILABLE or OVERLOADED itself. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const { limits, refuse } = this.#options;
    if (this.running >= limits.gateRequestsMax) {
      refuse(request, response, 'OVERLOADED');
      return;
    }
    this.running++;
    response.once('close', () => {
      this.running--;
    });
    this.#attempt(request, response, []);
  }

  /** Ends connections that are kept open. */
  close(): void {
    this.#agent.destroy();
  }

  #attempt(request: IncomingMessage, response: ServerResponse, tried: readonly string[]): void {
    const { limits, refuse } = this.#options;
    const target = this.#choose(tried);
    if (target === undefined) {
      refuse(request, response, 'PROCESS_UNAVAILABLE');
      return;
    }
    const onward = this.#open(request, target);
    let isConnected = false;
    let hasPassedBody = false;
    let isOver = false;
    const stop = (): void => {
      isOver = true;
      endLimit();
      request.unpipe(onward);
      onward.destroy();
    };
    const fail = (): void => {
      if (isOver) return;
      stop();
      this.#failedAtMs.set(target.processId, performance.now());
      if (response.headersSent || response.destroyed) response.destroy();
      else if (tried.length === 0 && (!isConnected || (!hasPassedBody && IDEMPOTENT.has(request.method!)))) {
        this.#attempt(request, response, [target.processId]);
      } else refuse(request, response, 'PROCESS_UNAVAILABLE');
    };
    let endLimit = limitTime(limits.gateConnectMs, fail);
    const passBody = (): void => {
      isConnected = true;
      endLimit();
      endLimit = limitTime(limits.gateRequestAnswerMs, fail);
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        hasPassedBody = true;
        bytes += chunk.length;
        if (isOver || bytes <= limits.gateRequestBodyBytesMax) return;
        stop();
        if (response.headersSent) response.destroy();
        else refuse(request, response, 'TOO_LARGE');
      });
      request.pipe(onward);
    };
    onward.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', passBody);
      else passBody();
    });
    onward.on('error', fail);
    onward.on('response', (answer) => {
      if (isOver) return;
      endLimit();
      this.#failedAtMs.delete(target.processId);
      response.writeHead(answer.statusCode!, kept(answer.rawHeaders));
      answer.on('error', () => response.destroy());
      answer.on('aborted', () => response.destroy());
      answer.pipe(response);
    });
    response.on('close', stop);
  }

  #open(request: IncomingMessage, { host, port }: ProcessCard): ClientRequest {
    const { marks, addressOf } = this.#options;
    const headers = kept(request.rawHeaders);
    const scheme = request.headers['x-forwarded-proto'];
    if (scheme !== undefined) headers.push('x-forwarded-proto', String(scheme));
    if (request.headers['transfer-encoding'] !== undefined) headers.push('transfer-encoding', 'chunked');
    else if (request.headers['content-length'] === undefined && !IDEMPOTENT.has(request.method!)) {
      headers.push('content-length', '0');
    }
    headers.push(HOP_HEADER, marks.sign(addressOf(request)));
    return open({
      host,
      port,
      method: request.method!,
      path: request.url!,
      headers,
      agent: this.#agent,
      setHost: false,
    });
  }

  /** The next one in turn; one that failed lately only where there is no other. */
  #choose(tried: readonly string[]): ProcessCard | undefined {
    const nowMs = performance.now();
    const candidates = this.#options.directory
      .processes()
      .filter(
        ({ processId, roles, isDraining }) => roles.includes('realtime') && !isDraining && !tried.includes(processId),
      );
    const well = candidates.filter(
      ({ processId }) => nowMs - (this.#failedAtMs.get(processId) ?? Number.NEGATIVE_INFINITY) >= LEFT_ALONE_MS,
    );
    for (const [processId, failedAtMs] of this.#failedAtMs) {
      if (nowMs - failedAtMs >= LEFT_ALONE_MS) this.#failedAtMs.delete(processId);
    }
    const choice = well.length > 0 ? well : candidates;
    return choice[this.#turn++ % choice.length];
  }
}

/** Names and values in turn, without what is of one connection only. */
function kept(rawHeaders: readonly string[]): string[] {
  const headers: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (!DROPPED_HEADERS.has(rawHeaders[at]!.toLowerCase())) headers.push(rawHeaders[at]!, rawHeaders[at + 1]!);
  }
  return headers;
}
