import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Client } from '@colyseus/sdk';
import { ERRORS, type ErrorCode, GameError } from '../../src/kernel/errors.ts';
import type { ReplayHeader } from '../../src/kernel/replay-file.ts';
import type { ReplayStore } from '../../src/match/replay-store.ts';
import { generateTokenKey, Tokens } from '../../src/sessions/tokens.ts';
import { matchHeader } from '../fixtures/recorded-match.ts';
import { disposal, MONITOR_PASSWORD, type Surface, startSurface } from '../fixtures/surface.ts';

const JSON_BODY = { 'content-type': 'application/json' };
const LOGIN = { authorization: `Basic ${Buffer.from(`ops:${MONITOR_PASSWORD}`).toString('base64')}` };

async function refusedWith(response: Response, code: ErrorCode): Promise<void> {
  const body = (await response.json()) as { code: unknown; error: string };
  assert.equal(body.code, code);
  assert.ok(body.error.startsWith(`${code}:`), body.error);
  assert.equal(response.status, ERRORS[code].status);
}

/** Writes bytes as they are and gives everything that came back until the server closed. */
function raw(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(text));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve(text) : reject(error)));
  });
}

describe('the HTTP surface', () => {
  let surface: Surface;

  before(async () => {
    surface = await startSurface();
  });

  after(() => surface.close());

  /** Whatever a test did to it, the server still serves. */
  afterEach(async () => {
    assert.equal((await surface.fetch('/healthz')).status, 200);
    assert.equal((await surface.fetch('/readyz')).status, 200);
  });

  async function anonymous(): Promise<Client> {
    const client = new Client(surface.base);
    client.auth.token = undefined as unknown as string;
    await client.auth.signInAnonymously();
    // The SDK keeps a token for every client of the process, and so for the rooms of other tests, which know no tokens.
    await new Client(surface.base).auth.signOut();
    return client;
  }

  async function matchmake(body: unknown, headers: Record<string, string> = {}, target = 'joinOrCreate/lobby') {
    return surface.fetch(`/matchmake/${target}`, {
      method: 'POST',
      headers: { ...JSON_BODY, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  describe('sign-in', () => {
    it('works with the unmodified SDK, and the token joins a room as that player', async () => {
      const client = await anonymous();
      const { user } = await client.auth.getUserData<{ playerId: string; isAnonymous: boolean; sessionId: string }>();
      assert.match(user.playerId, /^a-/);
      assert.equal(user.isAnonymous, true);
      const room = await client.joinOrCreate('lobby');
      const { sessionId: signInId, ...who } = user;
      assert.deepEqual(await room.request('who'), { ...who, signInId });
      await room.leave();
    });

    it('gives every signer-in another identity, also with a token of a former one', async () => {
      const first = await surface.fetch('/auth/anonymous', { method: 'POST' });
      const { token, user } = (await first.json()) as { token: string; user: { playerId: string } };
      const second = await surface.fetch('/auth/anonymous', {
        method: 'POST',
        headers: { ...JSON_BODY, authorization: `Bearer ${token}` },
        body: '{"options":{"playerId":"a-AAAAAAAAAAAAAAAAAAAAAA"}}',
      });
      const other = (await second.json()) as { user: { playerId: string } };
      assert.notEqual(other.user.playerId, user.playerId);
      assert.notEqual(other.user.playerId, 'a-AAAAAAAAAAAAAAAAAAAAAA');
    });

    it('answers what it does not offer with NOT_FOUND, and a missing token with AUTH_MISSING', async () => {
      await refusedWith(await surface.fetch('/auth/login', { method: 'POST' }), 'NOT_FOUND');
      await refusedWith(await surface.fetch('/auth/userdata'), 'AUTH_MISSING');
    });
  });

  describe('a join', () => {
    async function refusedJoin(authorization: string | undefined): Promise<string> {
      const response = await matchmake({}, authorization === undefined ? {} : { authorization });
      const body = (await response.json()) as { code: number; error: string };
      assert.equal(response.status, 525);
      assert.equal(body.code, 525);
      return body.error.split(':')[0]!;
    }

    it('without, with an expired, a foreign, an unsigned or a tampered token is refused with 525 and a code', async () => {
      const { token } = await surface.tokens.issueAnonymous();
      const [head, claims, signature] = token.split('.') as [string, string, string];
      const foreign = await Tokens.withKey(await generateTokenKey(), { minutes: 15 });
      const none = Buffer.from('{"alg":"none"}').toString('base64url');
      assert.equal(await refusedJoin(undefined), 'AUTH_MISSING');
      assert.equal(await refusedJoin('Bearer junk'), 'AUTH_MALFORMED');
      assert.equal(await refusedJoin(`Bearer ${none}.${claims}.`), 'AUTH_MALFORMED');
      assert.equal(await refusedJoin(`Bearer ${(await foreign.issueAnonymous()).token}`), 'AUTH_SIGNATURE');
      const other = Buffer.from('{"sub":"a-AAAAAAAAAAAAAAAAAAAAAA"}').toString('base64url');
      assert.equal(await refusedJoin(`Bearer ${head}.${other}.${signature}`), 'AUTH_SIGNATURE');
      assert.match(
        await surface.metrics.text(),
        /hypogeum_refusals_total\{surface="join",code="AUTH_SIGNATURE"\} [1-9]/,
      );
    });

    it('that a room refuses is answered with its code, never as a success', async () => {
      const { token } = await surface.tokens.issueAnonymous();
      const response = await matchmake(
        { fail: 'refusal' },
        { authorization: `Bearer ${token}` },
        'joinOrCreate/faulty',
      );
      assert.equal(response.status, 526);
      assert.match(((await response.json()) as { error: string }).error, /^JOURNAL_UNAVAILABLE: /);
    });

    it('that fails by a bug is answered INTERNAL, without the bug, which is logged', async () => {
      const { token } = await surface.tokens.issueAnonymous();
      const response = await matchmake({ fail: 'bug' }, { authorization: `Bearer ${token}` }, 'joinOrCreate/faulty');
      const text = await response.text();
      assert.equal(response.status, 523);
      assert.match(text, /"INTERNAL: /);
      assert.doesNotMatch(text, /secret/);
      assert.ok(surface.lines.some((line) => line.includes('a bug in onCreate')));
    });

    for (const method of ['create', 'join', 'reserveSeatFor', 'createRoom', '__proto__', 'constructor']) {
      it(`cannot call ${method} of the matchmaker`, async () => {
        const { token } = await surface.tokens.issueAnonymous();
        const response = await matchmake({}, { authorization: `Bearer ${token}` }, `${method}/lobby`);
        assert.equal(response.status, 520);
      });
    }

    it('of a room that does not exist is refused by the framework with 520', async () => {
      assert.equal((await matchmake({}, {}, 'joinOrCreate/nothing')).status, 520);
    });

    it('with prototype keys in its options is just a join', async () => {
      const { token } = await surface.tokens.issueAnonymous();
      const body = '{"__proto__":{"fail":"bug"},"constructor":{"prototype":{"fail":"bug"}},"hasOwnProperty":1}';
      const response = await matchmake(body, { authorization: `Bearer ${token}` }, 'joinOrCreate/faulty');
      assert.equal(response.status, 200, await response.text());
      assert.equal(({} as { fail?: string }).fail, undefined);
    });
  });

  describe('a request body', () => {
    for (const [what, body] of [
      ['broken JSON', '{"name":'],
      ['an array', '[]'],
      ['null', 'null'],
      ['a number', '1e400'],
      ['text', 'hello'],
      ['JSON nested 30,000 deep', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
      ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ] as const) {
      it(`that is ${what} is refused INVALID_INPUT`, async () => {
        for (const path of ['/matchmake/joinOrCreate/lobby', '/auth/anonymous']) {
          await refusedWith(await surface.fetch(path, { method: 'POST', headers: JSON_BODY, body }), 'INVALID_INPUT');
        }
      });
    }

    it('of a sign-in is read as any other of ours: JSON by its type, and no member twice', async () => {
      const signIn = (contentType: string, body: string) =>
        surface.fetch('/auth/anonymous', { method: 'POST', headers: { 'content-type': contentType }, body });
      assert.equal((await signIn('application/json; charset=utf-8', '{"a":1}')).status, 200);
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
        await refusedWith(await signIn(type, '{"a":1}'), 'INVALID_INPUT');
      }
      await refusedWith(await signIn('application/json', '{"a":1,"a":2}'), 'INVALID_INPUT');
      await refusedWith(await signIn('application/json', '{"__proto__":{}}'), 'INVALID_INPUT');
    });

    it('over 64 KB is refused TOO_LARGE, announced or streamed', async () => {
      for (const bytes of [65_537, 900_000, 20_000_000]) {
        const response = await surface.fetch('/matchmake/joinOrCreate/lobby', {
          method: 'POST',
          headers: JSON_BODY,
          body: Buffer.alloc(bytes, 0x20),
        });
        await refusedWith(response, 'TOO_LARGE');
      }
      const chunks = Readable.from(Array.from({ length: 30 }, () => Buffer.alloc(4096, 0x20)));
      const streamed = await surface.fetch('/auth/anonymous', {
        method: 'POST',
        headers: JSON_BODY,
        body: Readable.toWeb(chunks) as ReadableStream,
        duplex: 'half',
      } as RequestInit);
      await refusedWith(streamed, 'TOO_LARGE');
    });

    it('of exactly 64 KB is read', async () => {
      const body = '{}'.padEnd(65_536);
      const response = await surface.fetch('/auth/anonymous', { method: 'POST', headers: JSON_BODY, body });
      assert.equal(response.status, 200);
    });

    it('that is absent counts as an empty object, whatever its declared type', async () => {
      for (const headers of [{}, { 'content-type': 'multipart/form-data; boundary=x' }]) {
        const response = await surface.fetch('/matchmake/joinOrCreate/lobby', { method: 'POST', headers });
        assert.equal(response.status, 525, 'it got as far as the missing token');
      }
    });
  });

  describe('a malformed request', () => {
    for (const [what, head] of [
      ['a host that is none', 'POST /matchmake/joinOrCreate/lobby HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\n\r\n'],
      ['an empty host', 'POST /matchmake/joinOrCreate/lobby HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n'],
      ['an absolute target', 'GET http://a:99999999/ HTTP/1.1\r\nHost: a\r\n\r\n'],
      ['a target of two slashes', 'GET //evil.example/x HTTP/1.1\r\nHost: a\r\n\r\n'],
      ['a broken percent sign', 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n'],
      ['a target of 4 KB', `GET /${'a'.repeat(4096)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ] as const) {
      it(`with ${what} is answered 400 and nothing breaks`, async () => {
        const answer = await raw(surface.port, head.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
        assert.match(answer, /^HTTP\/1\.1 400 /);
        assert.match(answer, /"code":"INVALID_INPUT"/);
      });
    }

    for (const [what, head] of [
      ['random bytes', Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 73 + 11) % 256))],
      ['headers of 64 KB', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`],
      ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
      [
        'length and chunks',
        'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
    ] as const) {
      it(`of ${what} is answered 4xx and its connection closed`, async () => {
        assert.match(await raw(surface.port, head), /^HTTP\/1\.1 4\d\d /);
      });
    }

    it('to upgrade is refused without harm', async () => {
      const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
      const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
      for (const [target, host] of [
        ['http://a:99999999/', 'a'],
        ['a:99999999/', 'a'],
        ['//', 'a'],
        ['/p/r', '['],
      ] as const) {
        assert.match(
          await raw(surface.port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${upgrade}${key}\r\n`),
          /^HTTP\/1\.1 400 /,
        );
      }
      assert.match(await raw(surface.port, `GET /p/r HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`), /^HTTP\/1\.1 400 /);
      const foreign = `GET /p/r HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n${upgrade}${key}\r\n`;
      assert.match(await raw(surface.port, foreign), /^HTTP\/1\.1 403 /);
    });

    it('with unknown query keys is served as without', async () => {
      assert.equal((await surface.fetch('/healthz?x=1&__proto__[y]=2&z')).status, 200);
      assert.equal((await surface.fetch('/api/replays?unknown=1&limit=5')).status, 200);
    });
  });

  describe('origins', () => {
    it('of foreign pages may not act: 403 FOREIGN_ORIGIN, and are not told that they may read', async () => {
      for (const origin of [
        'https://evil.example',
        'null',
        'http://127.0.0.1.evil.example',
        'https://localhost.evil.example',
      ]) {
        await refusedWith(
          await surface.fetch('/auth/anonymous', { method: 'POST', headers: { origin } }),
          'FOREIGN_ORIGIN',
        );
        await refusedWith(await matchmake({}, { origin }), 'FOREIGN_ORIGIN');
        const read = await surface.fetch('/api/replays', { headers: { origin } });
        assert.equal(read.headers.get('access-control-allow-origin'), null);
        assert.equal(read.headers.get('access-control-allow-credentials'), null);
        const preflight = await surface.fetch('/matchmake/joinOrCreate/lobby', {
          method: 'OPTIONS',
          headers: { origin },
        });
        assert.equal(preflight.headers.get('access-control-allow-origin'), null);
      }
    });

    it('that are the own, or of this machine in development, may', async () => {
      for (const origin of [surface.base, 'http://localhost:5173']) {
        const response = await surface.fetch('/auth/anonymous', { method: 'POST', headers: { origin } });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get('access-control-allow-origin'), origin);
        assert.equal(response.headers.get('vary'), 'Origin');
      }
    });
  });

  it('answers a ping to any page, and nobody keeps the answer', async () => {
    const response = await surface.fetch('/ping', { headers: { origin: 'https://elsewhere.example' } });
    assert.equal(response.status, 204);
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.equal(response.headers.get('cache-control'), 'no-store');
  });

  describe('every answer', () => {
    for (const path of ['/', '/healthz', '/nothing', '/api/replays', '/monitor/', '/metrics']) {
      it(`to ${path} forbids sniffing and framing and names no software`, async () => {
        const { headers } = await surface.fetch(path);
        assert.equal(headers.get('x-content-type-options'), 'nosniff');
        assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
        assert.equal(headers.get('x-powered-by'), null);
        assert.equal(headers.get('server'), null);
      });
    }

    it('to an unknown path is a coded 404, without a stack', async () => {
      const response = await surface.fetch('/nothing/here');
      await refusedWith(response, 'NOT_FOUND');
    });
  });

  describe('the monitor', () => {
    it('asks for a password', async () => {
      const response = await surface.fetch('/monitor/');
      assert.match(response.headers.get('www-authenticate') ?? '', /^Basic /);
      await refusedWith(response, 'AUTH_MISSING');
      await refusedWith(await surface.fetch('/monitor/api'), 'AUTH_MISSING');
      const wrong = { authorization: `Basic ${Buffer.from('ops:wrong').toString('base64')}` };
      await refusedWith(await surface.fetch('/monitor/api', { headers: wrong }), 'AUTH_SIGNATURE');
    });

    it('shows rooms with tick and phase columns to who has it', async () => {
      const client = await anonymous();
      const room = await client.joinOrCreate('lobby');
      assert.match(await (await surface.fetch('/monitor/', { headers: LOGIN })).text(), /<!DOCTYPE html>/i);
      const body = (await (await surface.fetch('/monitor/api', { headers: LOGIN })).json()) as {
        columns: unknown[];
        rooms: { roomId: string; metadata: { phase: string } }[];
      };
      for (const metadata of ['phase', 'tickP99Ms', 'overruns']) {
        assert.ok(
          body.columns.some((c) => (c as { metadata?: string }).metadata === metadata),
          metadata,
        );
      }
      assert.equal(body.rooms.find((r) => r.roomId === room.roomId)?.metadata.phase, 'open');
      await room.leave();
    });

    it('refuses foreign pages even with the password', async () => {
      const foreign: Record<string, string>[] = [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { origin: `http://localhost:${surface.port}` },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
      ];
      for (const headers of foreign) {
        const response = await surface.fetch('/monitor/api', {
          headers: { ...LOGIN, ...headers } as Record<string, string>,
        });
        await refusedWith(response, 'FOREIGN_ORIGIN');
      }
      const own = await surface.fetch('/monitor/api', {
        headers: { ...LOGIN, origin: surface.base, 'sec-fetch-site': 'same-origin' },
      });
      assert.equal(own.status, 200);
    });

    it('calls the methods of its buttons, and no other', async () => {
      const client = await anonymous();
      const room = await client.joinOrCreate('lobby');
      const gone = new Promise((resolve) => room.onLeave(resolve));
      const call = (method: string, args = '[]') =>
        surface.fetch(`/monitor/api/room/call?${new URLSearchParams({ roomId: room.roomId, method, args })}`, {
          headers: LOGIN,
        });
      for (const method of ['_editStateProperty', 'broadcast', 'setMatchmaking', 'constructor']) {
        await refusedWith(await call(method, '[["x"],1]'), 'UNKNOWN_COMMAND');
      }
      assert.equal((await call('disconnect', '[4000]')).status, 200);
      await gone;
    });
  });

  describe('the playground', () => {
    it('is there in development, for own pages only', async () => {
      assert.equal((await surface.fetch('/playground/')).status, 200);
      await refusedWith(
        await surface.fetch('/playground/', { headers: { origin: 'https://evil.example' } }),
        'FOREIGN_ORIGIN',
      );
    });
  });

  describe('metrics', () => {
    it('are Prometheus text: every line parses, families are whole and unique, histograms cumulate', async () => {
      const response = await surface.fetch('/metrics');
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain;.* version=0\.0\.4/);
      const families = parseExposition(await response.text());
      for (const name of [
        'hypogeum_ready',
        'hypogeum_players',
        'hypogeum_rooms',
        'hypogeum_refusals_total',
        'nodejs_eventloop_lag_p99_seconds',
        'process_resident_memory_bytes',
      ]) {
        assert.ok(families.has(name), name);
      }
    });
  });

  it('closes connections that never finish a request while others play on', async function () {
    this.timeout(30_000);
    const client = await anonymous();
    const room = await client.joinOrCreate('lobby');
    const sockets: Socket[] = [];
    let closed = 0;
    for (let i = 0; i < 1000; i++) {
      const socket = connect(surface.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      socket.on('close', () => closed++);
      // A third says nothing, a third begins, a third begins to upgrade.
      if (i % 3 === 1) socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ');
      if (i % 3 === 2) socket.write('GET /p/r HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n');
      sockets.push(socket);
    }
    const late = await anonymous();
    const lateRoom = await late.joinOrCreate('lobby');
    assert.equal(((await lateRoom.request('who')) as { isAnonymous: boolean }).isAnonymous, true);
    assert.equal(((await room.request('who')) as { isAnonymous: boolean }).isAnonymous, true);
    const deadline = Date.now() + 20_000;
    while (closed < sockets.length && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(closed, sockets.length, 'every one was closed by the server');
    assert.equal(((await room.request('who')) as { isAnonymous: boolean }).isAnonymous, true);
    await Promise.all([room.leave(), lateRoom.leave()]);
  });
});

/** Reads the text format strictly; throws where Prometheus would. */
function parseExposition(text: string): Map<string, Map<string, number>> {
  assert.ok(text.endsWith('\n'));
  const families = new Map<string, Map<string, number>>();
  let current = '';
  let type = '';
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][\w:]*) /.exec(line);
    const typed = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (help) continue;
    if (typed) {
      current = typed[1]!;
      type = typed[2]!;
      assert.ok(!families.has(current), `${current} comes once`);
      families.set(current, new Map());
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    assert.ok(sample, line);
    const [, name, labels = '', value] = sample as unknown as [string, string, string | undefined, string];
    const suffixes =
      type === 'histogram' ? ['_bucket', '_sum', '_count'] : type === 'summary' ? ['', '_sum', '_count'] : [''];
    assert.ok(
      suffixes.some((suffix) => name === current + suffix),
      `${name} belongs to ${current}`,
    );
    const number = value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value);
    assert.ok(value === 'NaN' || !Number.isNaN(number), line);
    const samples = families.get(current)!;
    assert.ok(!samples.has(name + labels), `${line} comes once`);
    samples.set(name + labels, number);
  }
  return families;
}

describe('the HTTP surface in production', () => {
  let surface: Surface;
  const token = 'scrape-me-if-you-can';

  before(async () => {
    surface = await startSurface({
      env: {
        NODE_ENV: 'production',
        HYPOGEUM_PUBLIC_ORIGINS: 'https://play.example',
        HYPOGEUM_PROXY_HOPS: '1',
        HYPOGEUM_METRICS_TOKEN: token,
      },
    });
  });

  after(() => surface.close());

  it('has no playground', async () => {
    await refusedWith(await surface.fetch('/playground/'), 'NOT_FOUND');
  });

  it('lets the configured origins act, and other pages of this machine not', async () => {
    const act = (origin: string) => surface.fetch('/auth/anonymous', { method: 'POST', headers: { origin } });
    assert.equal(
      (await act('https://play.example')).headers.get('access-control-allow-origin'),
      'https://play.example',
    );
    await refusedWith(await act('http://localhost:5173'), 'FOREIGN_ORIGIN');
    await refusedWith(await act('http://play.example'), 'FOREIGN_ORIGIN');
    // Playing is not operating.
    const monitor = await surface.fetch('/monitor/', { headers: { ...LOGIN, origin: 'https://play.example' } });
    await refusedWith(monitor, 'FOREIGN_ORIGIN');
  });

  it('shows metrics to bearers of the token only', async () => {
    await refusedWith(await surface.fetch('/metrics'), 'AUTH_MISSING');
    await refusedWith(
      await surface.fetch('/metrics', { headers: { authorization: 'Bearer wrong' } }),
      'AUTH_SIGNATURE',
    );
    assert.equal((await surface.fetch('/metrics', { headers: { authorization: `Bearer ${token}` } })).status, 200);
  });

  it('limits joins, sign-ins and queries by the address the proxy names, each address for itself', async () => {
    const signIn = (forwarded: string) =>
      surface.fetch('/auth/anonymous', { method: 'POST', headers: { 'x-forwarded-for': forwarded } });
    const answers = await Promise.all(Array.from({ length: 40 }, () => signIn('203.0.113.9')));
    const limited = answers.filter((answer) => answer.status === 429);
    assert.ok(limited.length >= 10 && limited.length <= 20, `${limited.length} of 40`);
    assert.equal(limited[0]!.headers.get('retry-after'), '1');
    await refusedWith(limited[0]!, 'RATE_LIMITED');
    assert.equal((await signIn('203.0.113.10')).status, 200);
    // What the client itself wrote is to the left of what the proxy wrote.
    assert.equal((await signIn('198.51.100.1, 203.0.113.9')).status, 429);
    const keys = () => surface.fetch('/.well-known/jwks.json', { headers: { 'x-forwarded-for': '203.0.113.11' } });
    const asked = await Promise.all(Array.from({ length: 120 }, keys));
    assert.ok(
      asked.some(({ status }) => status === 429),
      'each asks the store, or waits for who does',
    );
    assert.equal((await signIn('203.0.113.9, 198.51.100.1')).status, 200);
  });

  it('locks an address out of the monitor after ten wrong passwords, also with the right one', async () => {
    const from = { 'x-forwarded-for': '203.0.113.77' };
    const login = (password: string, headers = from) =>
      surface.fetch('/monitor/api', {
        headers: { ...headers, authorization: `Basic ${Buffer.from(`ops:${password}`).toString('base64')}` },
      });
    for (let i = 0; i < 10; i++) await refusedWith(await login(`wrong-${i}`), 'AUTH_SIGNATURE');
    await refusedWith(await login(MONITOR_PASSWORD), 'RATE_LIMITED');
    assert.equal((await login(MONITOR_PASSWORD, { 'x-forwarded-for': '203.0.113.78' })).status, 200);
  });

  it('counts wrong passwords of one IPv6 subscriber together, whatever address it takes', async () => {
    const login = (password: string, address: string) =>
      surface.fetch('/monitor/api', {
        headers: {
          'x-forwarded-for': address,
          authorization: `Basic ${Buffer.from(`ops:${password}`).toString('base64')}`,
        },
      });
    for (let i = 0; i < 10; i++) await refusedWith(await login('wrong', `2001:db8:1:2::${i}`), 'AUTH_SIGNATURE');
    await refusedWith(await login(MONITOR_PASSWORD, '2001:db8:1:2::ffff'), 'RATE_LIMITED');
    assert.equal((await login(MONITOR_PASSWORD, '2001:db8:1:3::1')).status, 200);
  });

  it('locks an address out of the metrics after ten wrong tokens, also with the right one', async () => {
    const ask = (bearer: string, address = '203.0.113.88') =>
      surface.fetch('/metrics', { headers: { 'x-forwarded-for': address, authorization: `Bearer ${bearer}` } });
    for (let i = 0; i < 10; i++) await refusedWith(await ask(`wrong-${i}`), 'AUTH_SIGNATURE');
    await refusedWith(await ask(token), 'RATE_LIMITED');
    assert.equal((await ask(token, '203.0.113.89')).status, 200);
  });
});

describe('the client and its replays', () => {
  let surface: Surface;
  let folder: string;
  const file = Buffer.from('a replay, compressed');
  const headerOf = (id: string): ReplayHeader => ({
    ...matchHeader(id),
    players: [{ seat: 0, name: 'Ada', playerId: 'p', isBot: false, joinedTick: 0 }],
    result: {
      reason: 'completed',
      standings: [{ seat: 0, name: 'Ada', playerId: 'p', isBot: false, score: { frags: 1 } }],
    },
    ticks: 40,
    finalHash: '0'.repeat(16),
    hashEveryTicks: 30,
  });
  /** With what the API keeps to itself. */
  const stored = (id: string) => ({
    ...headerOf(id),
    result: { ...headerOf(id).result, participants: [{ seat: 0, playerId: 'a-secret' }] },
  });
  const replays = {
    list: async (limit: number) =>
      Array.from({ length: Math.min(limit, 3) }, (_, i) => ({ id: `m${i}`, bytes: 20, header: stored(`m${i}`) })),
    open: async (id: string) => {
      if (id !== 'm1') throw new GameError('REPLAY_NOT_FOUND', { id });
      return { bytes: file.length, stream: Readable.from([file]) };
    },
  } as unknown as ReplayStore;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-client-'));
    await mkdir(join(folder, 'assets'));
    await writeFile(join(folder, 'index.html'), '<!doctype html><title>arena</title>');
    await writeFile(join(folder, 'assets', 'main-abc123.js'), 'export {};');
    await writeFile(join(folder, '.sources'), 'not for the public');
    surface = await startSurface({ clientDir: folder, replays });
  });

  after(async () => {
    await surface.close();
    await rm(folder, { recursive: true });
  });

  it('are served: the page fresh and confined to itself, its hashed files for ever', async () => {
    for (const path of ['/', '/?replay=m1&unknown=1']) {
      const page = await surface.fetch(path);
      assert.match(await page.text(), /arena/);
      assert.equal(page.headers.get('cache-control'), 'no-cache');
      assert.match(page.headers.get('content-security-policy') ?? '', /script-src 'self';/);
    }
    const script = await surface.fetch('/assets/main-abc123.js');
    assert.match(script.headers.get('cache-control') ?? '', /immutable/);
    assert.match(script.headers.get('content-type') ?? '', /javascript/);
  });

  it('show no hidden file and nothing outside their folder', async () => {
    await refusedWith(await surface.fetch('/.sources'), 'NOT_FOUND');
    for (const path of [
      '/..%2f..%2fetc/passwd',
      '/assets/..%2f..%2f..%2fetc%2fpasswd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/a%00b',
    ]) {
      const response = await surface.fetch(path);
      assert.ok(response.status >= 400 && response.status < 500, `${path}: ${response.status}`);
    }
  });

  it('are listed, up to a limit within bounds', async () => {
    const list = async (query: string) => surface.fetch(`/api/replays${query}`);
    const body = (await (await list('?limit=2')).json()) as { replays: unknown[] };
    assert.deepEqual(body.replays, [
      { id: 'm0', bytes: 20, ...headerOf('m0') },
      { id: 'm1', bytes: 20, ...headerOf('m1') },
    ]);
    for (const query of [
      '?limit=0',
      '?limit=101',
      '?limit=x',
      '?limit=1&limit=2',
      '?limit=',
      '?limit=-1',
      '?limit=1.5',
    ]) {
      await refusedWith(await list(query), 'INVALID_INPUT');
    }
  });

  it('are downloaded whole, and a missing one is a coded 404', async () => {
    const response = await surface.fetch('/api/replays/m1');
    assert.equal(response.headers.get('content-length'), String(file.length));
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), file);
    assert.equal(response.headers.get('content-type'), 'application/octet-stream');
    assert.equal(response.headers.get('cache-control'), 'public, max-age=86400');
    for (const id of ['m9', '..%2fm1']) {
      await refusedWith(await surface.fetch(`/api/replays/${id}`), 'REPLAY_NOT_FOUND');
    }
    for (const id of ['%00', 'm'.repeat(300)]) {
      await refusedWith(await surface.fetch(`/api/replays/${id}`), 'INVALID_INPUT');
    }
  });
});

describe('readiness', () => {
  it('is 503 starting, 200 ready, 503 draining with joins refused DRAINING, and never goes back', async () => {
    const surface = await startSurface();
    try {
      assert.equal((await surface.fetch('/readyz')).status, 200);
      surface.health.advance('draining');
      const response = await surface.fetch('/readyz');
      assert.equal(response.status, 503);
      assert.deepEqual(await response.json(), { status: 'draining' });
      assert.equal((await surface.fetch('/healthz')).status, 200);
      const join = await surface.fetch('/matchmake/joinOrCreate/lobby', { method: 'POST' });
      assert.equal(join.headers.get('retry-after'), '1');
      await refusedWith(join, 'DRAINING');
      surface.health.advance('ready');
      assert.equal((await surface.fetch('/readyz')).status, 503);
    } finally {
      await surface.close();
    }
  });

  it('is not kept for ever by a room that never ends: what is left is cut off in time', async () => {
    const surface = await startSurface();
    const hold = Promise.withResolvers<void>();
    disposal.allowed = hold.promise;
    try {
      const client = new Client(surface.base);
      client.auth.token = (await surface.tokens.issueAnonymous()).token;
      const room = await client.joinOrCreate('lobby');
      const left = new Promise((resolve) => room.onLeave(resolve));
      const closed = surface.server.close(200);
      await left;
      assert.equal((await surface.fetch('/readyz')).status, 503);
      await closed;
      assert.ok(surface.lines.some((line) => line.includes('drain took too long')));
      await assert.rejects(surface.fetch('/healthz'));
    } finally {
      hold.resolve();
      disposal.allowed = Promise.resolve();
      await surface.close();
    }
  });

  it('is reached once only: a closed surface accepts no connection', async () => {
    const surface = await startSurface();
    const client = new Client(surface.base);
    client.auth.token = (await surface.tokens.issueAnonymous()).token;
    const room = await client.joinOrCreate('lobby');
    const left = new Promise((resolve) => room.onLeave(resolve));
    await surface.close();
    assert.equal(await left, 4001);
    await assert.rejects(surface.fetch('/healthz'));
    await surface.close();
  });
});

describe('a port in use', () => {
  it('is a refusal PORT_IN_USE that names it, and the next server may start', async () => {
    const first = await startSurface();
    await first.close();
    const blocker = await startSurface();
    const port = String(blocker.port);
    await blocker.close();
    const http = await import('node:http');
    const other = http.createServer();
    await new Promise<void>((resolve) => other.listen(Number(port), '127.0.0.1', resolve));
    try {
      await assert.rejects(
        startSurface({ env: { HYPOGEUM_PORT: port } }),
        (error) => error instanceof GameError && error.code === 'PORT_IN_USE' && error.detail['port'] === Number(port),
      );
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
    const again = await startSurface({ env: { HYPOGEUM_PORT: port } });
    assert.equal((await again.fetch('/healthz')).status, 200);
    await again.close();
  });

  it('an address that is not ours is CONFIG_INVALID', async () => {
    await assert.rejects(
      startSurface({ env: { HYPOGEUM_HOST: '192.0.2.1' } }),
      (error) => error instanceof GameError && error.code === 'CONFIG_INVALID',
    );
  });
});
