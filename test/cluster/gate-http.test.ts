import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { HOP_HEADER, hopOf } from '../../src/cluster/hop-mark.ts';
import { readConfig } from '../../src/config.ts';
import { GateServer } from '../../src/gate-server.ts';
import { ERRORS, type ErrorCode } from '../../src/kernel/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { addressOf, HttpGate } from '../../src/ops/http-gate.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { FakeDirectory, marksOf } from '../fixtures/fake-directory.ts';
import { rawClient, upgradeTo } from '../fixtures/plain-gate.ts';
import { until } from '../fixtures/until.ts';

const NEVER = () => undefined;

/** A process as the gate sees it; `answer` may be replaced. */
class Backend {
  readonly processId: string;
  readonly host = '127.0.0.1';
  readonly seen: { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers'] }[] = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (request, response) => {
    request.resume();
    request.on('end', () => response.end(this.processId));
  };
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(processId: string) {
    this.processId = processId;
    this.#http = createServer((request, response) => {
      this.seen.push({ method: request.method!, url: request.url!, headers: request.headers });
      this.answer(request, response);
    });
    this.#http.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(processId: string): Promise<Backend> {
    const backend = new Backend(processId);
    await new Promise<void>((resolve) => backend.#http.listen(0, '127.0.0.1', resolve));
    return backend;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#http.listening) await new Promise((resolve) => this.#http.close(resolve));
  }
}

describe('a gate that stands alone', () => {
  let directory: FakeDirectory;
  let gate: GateServer;
  let one: Backend;
  let two: Backend;
  let base: string;

  beforeEach(async () => {
    directory = new FakeDirectory();
    one = await Backend.start('one');
    two = await Backend.start('two');
    directory.join(one);
    directory.join(two);
    gate = new GateServer({
      config: readConfig({
        HYPOGEUM_PORT: '0',
        HYPOGEUM_HOST: '127.0.0.1',
        HYPOGEUM_PROXY_HOPS: '1',
        HYPOGEUM_DRAIN_SECONDS: '1',
        HYPOGEUM_METRICS_TOKEN: 'scrape-me-if-you-can',
      }),
      log: createLogger({ level: 'silent', isProduction: true, buildId: 'test' }),
      directory,
      marks: marksOf(),
    });
    await gate.listen();
    base = `http://127.0.0.1:${gate.port}`;
  });

  afterEach(async () => {
    await gate.close();
    await one.close();
    await two.close();
    assert.equal(directory.listeners, 0);
  });

  const get = async (path: string, init?: RequestInit): Promise<string> => (await fetch(base + path, init)).text();

  async function refusedWith(response: Response, code: ErrorCode): Promise<void> {
    assert.equal(((await response.json()) as { code: unknown }).code, code);
    assert.equal(response.status, ERRORS[code].status);
  }

  it('gives requests to the processes in turn, but for those that drain or have no rooms', async () => {
    assert.deepEqual(new Set([await get('/a'), await get('/b')]), new Set(['one', 'two']));
    directory.join(two, { isDraining: true });
    for (let at = 0; at < 4; at++) assert.equal(await get('/c'), 'one');
    directory.join(two, { roles: ['gate', 'worker'] });
    for (let at = 0; at < 4; at++) assert.equal(await get('/d'), 'one');
  });

  it('passes requests and answers on whole: method, target, headers, body, status', async () => {
    directory.bury('two');
    let body = '';
    one.answer = (request, response) => {
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.on('end', () => {
        response.writeHead(526, 'Of Ours', [
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['Content-Security-Policy', "default-src 'self'"],
          ['X-Own', 'yes'],
        ] as never);
        response.write('half ');
        response.end('and half');
      });
    };
    const response = await fetch(`${base}/matchmake/joinOrCreate/arena?x=%20`, {
      method: 'POST',
      headers: { authorization: 'Bearer t', 'content-type': 'application/json', 'x-forwarded-proto': 'https' },
      body: '{"a":1}',
    });
    assert.equal(response.status, 526);
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.equal(response.headers.get('x-own'), 'yes');
    assert.equal(response.headers.get('content-security-policy'), "default-src 'self'", 'the process knows better');
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(await response.text(), 'half and half');
    assert.equal(body, '{"a":1}');
    const [seen] = one.seen;
    assert.equal(`${seen!.method} ${seen!.url}`, 'POST /matchmake/joinOrCreate/arena?x=%20');
    assert.equal(seen!.headers.authorization, 'Bearer t');
    assert.equal(seen!.headers.host, `127.0.0.1:${gate.port}`);
    assert.equal(seen!.headers['x-forwarded-proto'], 'https');
  });

  it('tells the process whose request it is, signed, and nothing that the client made up', async () => {
    const forged = { [HOP_HEADER]: marksOf(Buffer.alloc(32, 1)).sign('198.51.100.1'), 'x-real-ip': '198.51.100.2' };
    await get('/', { headers: { 'x-forwarded-for': '198.51.100.3, 203.0.113.9', ...forged } });
    const { headers } = [...one.seen, ...two.seen][0]!;
    assert.equal(marksOf().addressOf(String(headers[HOP_HEADER])), '203.0.113.9');
    for (const name of ['x-forwarded-for', 'x-real-ip', 'x-client-ip']) assert.equal(headers[name], undefined);
  });

  it('asks another process when one cannot be reached, and leaves that one alone for a moment', async () => {
    await one.close();
    for (let at = 0; at < 6; at++) assert.equal(await get('/x'), 'two');
    assert.equal((await fetch(`${base}/x`, { method: 'POST', body: 'x' })).status, 200);
    await two.close();
    await refusedWith(await fetch(`${base}/x`), 'PROCESS_UNAVAILABLE');
    directory.bury('one');
    directory.bury('two');
    await refusedWith(await fetch(`${base}/x`), 'PROCESS_UNAVAILABLE');
  });

  it('asks twice only what may be asked twice', async () => {
    for (const backend of [one, two]) backend.answer = (request) => request.socket.destroy();
    await refusedWith(await fetch(`${base}/x`), 'PROCESS_UNAVAILABLE');
    assert.equal(one.seen.length + two.seen.length, 2);
    await refusedWith(await fetch(`${base}/x`, { method: 'POST', body: 'once' }), 'PROCESS_UNAVAILABLE');
    assert.equal(one.seen.length + two.seen.length, 3);
  });

  it('streams bodies: an answer is read while it is made, and a request above the bound is cut short', async () => {
    directory.bury('two');
    const more = Promise.withResolvers<void>();
    one.answer = (_request, response) => {
      response.write('first');
      void more.promise.then(() => response.end(' then second'));
    };
    const response = await fetch(`${base}/slow`);
    const reader = response.body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'first');
    more.resolve();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), ' then second');
    await reader.cancel();

    let read = 0;
    one.answer = (request) =>
      request.on('data', (chunk: Buffer) => {
        read += chunk.length;
      });
    const chunk = Buffer.alloc(64 * 1024, 0x61);
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(chunk) });
    const refused = await fetch(`${base}/up`, { method: 'POST', body: endless, duplex: 'half' } as RequestInit).catch(
      (error: unknown) => error,
    );
    // Told, or cut while it was still writing.
    if (refused instanceof Response) await refusedWith(refused, 'TOO_LARGE');
    assert.ok(read <= LIMITS.gateRequestBodyBytesMax, `${read} bytes were passed on`);
  });

  it('ends the request to the process when the client goes', async () => {
    directory.bury('two');
    let isGone = false;
    one.answer = (request) =>
      request.socket.once('close', () => {
        isGone = true;
      });
    const client = rawClient(gate.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => one.seen.length === 1, 'it to arrive');
    client.socket.destroy();
    await until(() => isGone, 'the process to be told');
  });

  it('answers for itself to probes, whatever becomes of the others', async () => {
    directory.bury('one');
    directory.bury('two');
    assert.deepEqual(await (await fetch(`${base}/healthz`)).json(), { status: 'alive' });
    assert.deepEqual(await (await fetch(`${base}/readyz`)).json(), { status: 'ready' });
    const ping = await fetch(`${base}/ping`);
    assert.deepEqual([ping.status, ping.headers.get('access-control-allow-origin')], [204, '*']);
    const head = await fetch(`${base}/readyz`, { method: 'HEAD' });
    assert.equal(head.status, 200);
    await refusedWith(await fetch(`${base}/metrics`), 'AUTH_MISSING');
    const bearer = { authorization: 'Bearer scrape-me-if-you-can' };
    const metrics = await (await fetch(`${base}/metrics`, { headers: bearer })).text();
    for (const name of [
      'hypogeum_gate_tunnels 0',
      'hypogeum_gate_held_upgrades 0',
      'hypogeum_gate_cut_total{reason="owner-changed"} 0',
      'hypogeum_gate_hold_seconds_bucket{le="+Inf"} 0',
      'hypogeum_ready 1',
    ]) {
      assert.ok(metrics.includes(`${name}\n`), name);
    }
  });

  it('lets requests end that are under way when it closes, and takes no new ones', async () => {
    directory.bury('two');
    const more = Promise.withResolvers<void>();
    one.answer = (_request, response) => {
      response.write('be');
      void more.promise.then(() => response.end('gun'));
    };
    const response = await fetch(`${base}/slow`, { headers: { connection: 'close' } });
    const closed = gate.close();
    await assert.rejects(fetch(`${base}/new`));
    more.resolve();
    assert.equal(await response.text(), 'begun');
    await closed;
  });
});

describe('a request that came through a gate', () => {
  const marks = marksOf();

  async function guarded(options: { proxyHops?: number; socketsPerAddressMax?: number }) {
    const { proxyHops = 0, socketsPerAddressMax = 3 } = options;
    const shed: string[] = [];
    const server = createServer((request, response) => {
      response.end(JSON.stringify([addressOf(request), guard.isHop(request), request.headers[HOP_HEADER] ?? null]));
    });
    server.on('upgrade', (request, socket) => {
      socket.on('end', () => socket.destroy());
      socket.on('error', () => socket.destroy());
      socket.resume();
      socket.write(`HTTP/1.1 101 ${addressOf(request)}\r\n\r\n`);
    });
    const guard = new HttpGate({
      limits: { ...LIMITS, socketsPerAddressMax },
      publicOrigins: [],
      allowsLoopbackOrigins: false,
      proxyHops,
      hop: hopOf(marks),
      rateLimitOf: NEVER,
      refusalOf: NEVER,
      onRefusal: NEVER,
      onShedSocket: (reason) => shed.push(reason),
      onBug: (error) => assert.fail(String(error)),
    });
    guard.watch(server);
    guard.enclose(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return { server, guard, port, shed, close: () => new Promise((resolve) => server.close(resolve)) };
  }

  it('is taken for the player’s, if the mark is valid; a forged one is worth nothing but that it ends here', async () => {
    for (const proxyHops of [0, 1]) {
      const { port, close } = await guarded({ proxyHops });
      const ask = async (headers: Record<string, string>) =>
        (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close', ...headers } })).json();
      const outsider = proxyHops === 0 ? '127.0.0.1' : '198.51.100.7';
      const forwarded = { 'x-forwarded-for': '198.51.100.7' };
      assert.deepEqual(await ask({ ...forwarded }), [outsider, false, null]);
      assert.deepEqual(await ask({ ...forwarded, [HOP_HEADER]: marks.sign('203.0.113.9') }), [
        '203.0.113.9',
        true,
        null,
      ]);
      const forged = marksOf(Buffer.alloc(32, 1)).sign('203.0.113.9');
      assert.deepEqual(await ask({ ...forwarded, [HOP_HEADER]: forged }), [outsider, true, null]);
      await close();
    }
  });

  it('counts for the player’s connections, not for the gate’s, and one too many is refused', async () => {
    const { port, close, shed } = await guarded({ socketsPerAddressMax: 3 });
    const sockets: Socket[] = [];
    const open = async (address: string): Promise<string> => {
      const client = rawClient(port, upgradeTo('/p/r', `${HOP_HEADER}: ${marks.sign(address)}\r\n`));
      sockets.push(client.socket);
      return until(() => client.text() || undefined, 'an answer');
    };
    for (let at = 0; at < 3; at++) assert.match(await open('203.0.113.9'), /^HTTP\/1\.1 101 203\.0\.113\.9/);
    assert.match(await open('203.0.113.9'), /^HTTP\/1\.1 429 /);
    assert.deepEqual(shed, ['crowded']);
    assert.match(await open('203.0.113.10'), /^HTTP\/1\.1 101 /);
    sockets[0]!.destroy();
    await until(async () => /^HTTP\/1\.1 101 /.test(await open('203.0.113.9')), 'a place to be free again');
    for (const socket of sockets) socket.destroy();
    await close();
  });

  it('frees its gate of the bound of one address, once it has shown a valid mark', () => {
    const listening = new EventEmitter();
    const turnedAway: string[] = [];
    const guard = new HttpGate({
      limits: { ...LIMITS, socketsPerAddressMax: 2 },
      publicOrigins: [],
      allowsLoopbackOrigins: false,
      proxyHops: 0,
      hop: hopOf(marks),
      rateLimitOf: NEVER,
      refusalOf: NEVER,
      onRefusal: NEVER,
      onShedSocket: (reason) => turnedAway.push(reason),
      onBug: (error) => assert.fail(String(error)),
    });
    guard.watch(listening as Server);
    guard.enclose(listening as Server);
    const arrive = (mark: string): void => {
      const socket = Object.assign(new EventEmitter(), { remoteAddress: '10.0.0.7', destroy: NEVER, end: NEVER });
      listening.emit('connection', socket);
      const headers = { host: 'a', upgrade: 'websocket', [HOP_HEADER]: mark };
      listening.emit('upgrade', { method: 'GET', url: '/p/r', headers, socket }, socket, Buffer.alloc(0));
    };
    for (let at = 0; at < 3; at++) arrive('forged');
    assert.deepEqual(turnedAway, ['crowded']);
    arrive(marks.sign('203.0.113.1'));
    turnedAway.length = 0;
    for (let at = 2; at < 50; at++) arrive(marks.sign(`203.0.113.${at}`));
    assert.deepEqual(turnedAway, []);
  });

  it('is closed with its socket, whoever that counted for', async () => {
    const { server, port, close } = await guarded({ socketsPerAddressMax: 1 });
    for (let at = 0; at < 5; at++) {
      const client = rawClient(port, upgradeTo('/p/r', `${HOP_HEADER}: ${marks.sign('203.0.113.9')}\r\n`));
      assert.match(await until(() => client.text() || undefined, 'an answer'), /^HTTP\/1\.1 101 /);
      client.socket.destroy();
      await until(
        () => new Promise<boolean>((resolve) => server.getConnections((_error, count) => resolve(count === 0))),
        'the server to see it go',
      );
    }
    await close();
  });
});
