import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import * as z from 'zod';
import { canonicalJson, readJson } from '../../src/api/json-body.ts';
import { BINARY, defineRoute, type Route } from '../../src/api/route.ts';
import { RouteTotals } from '../../src/api/route-totals.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { until } from '../fixtures/game-server.ts';

const CALLERS = {
  ann: madeUpCaller('ann'),
  bob: madeUpCaller('bob'),
  mod: madeUpCaller('mod', 'moderator'),
  admin: madeUpCaller('admin', 'admin'),
};

const id = z.strictObject({ id: z.string().max(20) });
const seen = { key: z.string().nullable(), fingerprint: z.string() };
let waiting = 0;
let aborted = 0;
const BYTES = Buffer.alloc(200_000, 7);
/** Of the answer in bytes that was asked for last. */
let stream: Readable;

function* endlessly(bytes: Buffer): Iterable<Buffer> {
  for (;;) yield bytes;
}

const ROUTES: Route[] = [
  defineRoute({
    method: 'GET',
    path: '/api/things/:id',
    summary: 'One thing',
    tag: 'things',
    role: 'nobody',
    params: id,
    query: z.strictObject({ limit: z.coerce.number().int().min(1).max(9).default(3) }),
    answer: z.strictObject({
      id: z.string(),
      limit: z.int(),
      by: z.string().nullable(),
      tokenRefusal: z.string().nullable(),
    }),
    cache: 'public, max-age=5',
    run: ({ params, query, caller, tokenRefusal }) => ({
      id: params.id,
      limit: query.limit,
      by: caller?.playerId ?? null,
      tokenRefusal: tokenRefusal?.code ?? null,
    }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/files/:id',
    summary: 'Bytes',
    tag: 'things',
    role: 'nobody',
    params: id,
    answer: BINARY,
    cache: 'public, max-age=9',
    run: ({ params }) => {
      if (params.id === 'missing') throw new GameError('NOT_FOUND');
      if (params.id === 'endless') stream = Readable.from(endlessly(BYTES));
      else if (params.id === 'broken')
        stream = new Readable({ read: () => void stream.destroy(new Error('bad disk')) });
      else stream = Readable.from([BYTES]);
      return { bytes: BYTES.length, stream };
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/things/all',
    summary: 'Every thing',
    tag: 'things',
    role: 'player',
    answer: z.strictObject({ all: z.boolean() }),
    run: () => ({ all: true }),
  }),
  defineRoute({
    method: 'POST',
    path: '/api/things/:id',
    summary: 'Makes a thing',
    tag: 'things',
    role: 'player',
    params: id,
    body: z.strictObject({ name: z.string().max(20), size: z.int().min(1).optional() }),
    answer: z.strictObject(seen),
    needsKey: true,
    status: 201,
    run: ({ key, fingerprint }) => ({ key: key ?? null, fingerprint }),
  }),
  defineRoute({
    method: 'DELETE',
    path: '/api/things/:id',
    summary: 'Deletes a thing',
    tag: 'things',
    role: 'moderator',
    params: id,
    answer: z.strictObject(seen),
    run: ({ key, fingerprint }) => ({ key: key ?? null, fingerprint }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/faults/:id',
    summary: 'Goes wrong',
    tag: 'faults',
    role: 'nobody',
    params: id,
    answer: z.strictObject({ fine: z.boolean() }),
    run: ({ params }) => {
      if (params.id === 'refused') throw new GameError('DATABASE_UNAVAILABLE', { breaker: 'open' });
      if (params.id === 'secret') return { fine: true, passwordHash: 'x' } as { fine: boolean };
      throw new TypeError('a bug with a secret in it');
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/poll',
    summary: 'Waits until the client goes',
    tag: 'faults',
    role: 'nobody',
    answer: z.strictObject({}),
    async run({ signal }) {
      waiting++;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      aborted++;
      return {};
    },
  }),
];

describe('routes as they are served', () => {
  const totals = new RouteTotals();
  let api: ServedApi;
  before(async () => {
    api = await serveForTest(ROUTES, { callers: CALLERS, totals });
  });
  after(() => api.close());
  const make = (more: object) => api.ask('/api/things/x', { token: 'ann', key: 'k', body: { name: 'n' }, ...more });

  it('give what they are asked for, with the cache rule they declare', async () => {
    const got = await api.ask('/api/things/x?limit=5', { token: 'ann' });
    assert.deepEqual(got.body, { id: 'x', limit: 5, by: CALLERS.ann.playerId, tokenRefusal: null });
    assert.equal(got.headers.get('cache-control'), 'public, max-age=5');
    assert.equal((await make({})).headers.get('cache-control'), 'no-store');
    assert.equal((await make({})).status, 201);
  });

  it('match literal segments before parameters, whatever their order in the list', async () => {
    assert.deepEqual((await api.ask('/api/things/all', { token: 'ann' })).body, { all: true });
  });

  it('need a token of the least role, and no more where nobody need say who asks', async () => {
    const codes = async (token: string | undefined, path: string, method = 'GET') =>
      (await api.ask(path, { token, method })).body.code;
    assert.equal(await codes(undefined, '/api/things/all'), 'AUTH_MISSING');
    assert.equal(await codes('stranger', '/api/things/all'), 'AUTH_SIGNATURE');
    assert.equal(await codes('ann', '/api/things/x', 'DELETE'), 'NOT_ALLOWED');
    assert.equal(await codes('mod', '/api/things/x', 'DELETE'), undefined);
    assert.equal(await codes('admin', '/api/things/x', 'DELETE'), undefined);
    const open = await api.ask('/api/things/x', { token: 'stranger' });
    assert.equal(open.body.by, null);
    assert.equal(open.body.tokenRefusal, 'AUTH_SIGNATURE', 'the route is told why there is no caller');
  });

  it('refuse what does not fit params, query or body, and say where', async () => {
    for (const [path, place] of [
      ['/api/things/123456789012345678901', 'params'],
      ['/api/things/x?limit=0', 'query'],
      ['/api/things/x?limit=1&limit=2', 'query'],
      ['/api/things/x?other=1', 'query'],
      ['/api/things/x?limit=NaN', 'query'],
      ['/api/things/a%00b', 'params'],
    ] as const) {
      const { status, body } = await api.ask(path);
      assert.deepEqual([status, body.code], [400, 'INVALID_INPUT'], path);
      assert.ok(place in body, `${path} names ${place}`);
    }
    for (const body of [
      {},
      { name: 'n', other: 1 },
      { name: 'x'.repeat(10_000) },
      { name: 'n\0' },
      { name: '\ud800' },
      { name: 'n', size: 1.5 },
      { name: 'n', size: 2 ** 53 },
      { name: 'n', size: -1 },
      { name: 'n', size: '1' },
      [],
      null,
      '{"name":"n","size":NaN}',
      '{"name":"n","name":"m"}',
      '{"name":"n","n\\u0061me":"m"}',
      '{"__proto__":{"role":"admin"},"name":"n"}',
      '{"name":"n"',
      'name=n',
      `{"name":${'['.repeat(20)}${']'.repeat(20)}}`,
      `{"name":${'['.repeat(30_000)}`,
    ]) {
      const { status, body: answer } = await make({ body });
      assert.deepEqual([status, answer.code], [400, 'INVALID_INPUT'], JSON.stringify(body).slice(0, 60));
      assert.ok('body' in answer);
      assert.ok(JSON.stringify(answer).length < 2_000, 'what was sent is not sent back');
    }
    assert.equal((await make({ body: { name: 'x'.repeat(70_000) } })).body.code, 'TOO_LARGE');
  });

  it('take JSON only, so that no form of another site can send it', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) {
      const { body } = await make({ headers: { 'content-type': type } });
      assert.deepEqual([body.code, body.header], ['INVALID_INPUT', 'Content-Type'], type);
    }
    assert.equal((await make({ headers: { 'content-type': 'application/json; charset=utf-8' } })).status, 201);
    assert.equal((await make({ headers: { origin: 'https://evil.example' } })).body.code, 'FOREIGN_ORIGIN');
  });

  it('that take no body refuse one', async () => {
    const gone = (body: unknown) => api.ask('/api/things/x', { method: 'DELETE', token: 'mod', body });
    assert.equal((await gone({ all: true })).body.code, 'INVALID_INPUT');
    assert.equal((await gone({})).status, 200);
  });

  it('need a key where they say so, printable and short', async () => {
    assert.equal((await make({ key: undefined })).body.code, 'KEY_MISSING');
    for (const key of ['x'.repeat(65), 'é', 'a\tb']) {
      assert.equal((await make({ key })).body.header, 'Idempotency-Key', key);
    }
  });

  it('scope keys to caller and route, and fingerprint what was asked', async () => {
    const first = (await make({})).body;
    assert.deepEqual((await make({})).body, first, 'a repeat is the same');
    assert.equal((await make({ body: '{ "name" : "n" }' })).body.fingerprint, first.fingerprint, 'spaces do not count');
    assert.notEqual((await make({ token: 'bob' })).body.key, first.key, 'of another caller');
    const other = (await make({ body: { name: 'm' } })).body;
    assert.equal(other.key, first.key);
    assert.notEqual(other.fingerprint, first.fingerprint, 'another command under the same key is told apart');
    const elsewhere = (await api.ask('/api/things/y', { token: 'ann', key: 'k', body: { name: 'n' } })).body;
    assert.deepEqual([elsewhere.key, elsewhere.fingerprint !== first.fingerprint], [first.key, true]);
    const route = (await api.ask('/api/things/x', { token: 'admin', key: 'k', method: 'DELETE' })).body;
    assert.notEqual(route.key, (await make({ token: 'admin' })).body.key, 'of another route');
    assert.ok(first.key.length < 100, 'as long as a key of the log may be');
  });

  it('answer refusals with their facts and bugs without any', async () => {
    const { status, headers, body } = await api.ask('/api/faults/refused');
    assert.deepEqual(
      [status, body.code, body.breaker, headers.get('retry-after')],
      [503, 'DATABASE_UNAVAILABLE', 'open', '1'],
    );
    for (const path of ['/api/faults/bug', '/api/faults/secret']) {
      const before = api.bugs.length;
      const got = await api.ask(path);
      assert.deepEqual([got.status, got.body.code], [500, 'INTERNAL'], path);
      assert.doesNotMatch(JSON.stringify(got.body), /secret|passwordHash/);
      assert.equal(api.bugs.length, before + 1, 'it is reported once');
    }
  });

  it('answer HEAD and OPTIONS, and refuse methods they do not have', async () => {
    const head = await api.ask('/api/things/x', { method: 'HEAD' });
    assert.deepEqual([head.status, head.body], [200, '']);
    const options = await api.ask('/api/things/x', { method: 'OPTIONS' });
    assert.equal(options.status, 204);
    assert.deepEqual(options.headers.get('allow')!.split(', ').sort(), ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST']);
    const put = await api.ask('/api/things/x', { method: 'PUT' });
    assert.deepEqual([put.status, put.body.code], [405, 'METHOD_NOT_ALLOWED']);
    assert.match(put.headers.get('allow')!, /POST/);
    assert.equal((await api.ask('/api/Things/x')).status, 404, 'paths are exact');
  });

  it('are told when the client has gone, and do not count that as a fault', async () => {
    const leaving = new AbortController();
    const polled = api.ask('/api/poll', { signal: leaving.signal });
    await until(() => waiting === 1, 'the poll to begin');
    leaving.abort();
    await assert.rejects(polled);
    await until(() => aborted === 1, 'the route to be told');
    const reading = () => [...totals.collect()].find(({ route }) => route === 'GET /api/poll');
    await until(() => reading()?.outcomes.get('gone') === 1, 'the poll to be counted');
    assert.equal(reading()!.outcomes.size, 1);
  });

  it('may answer bytes, with length and cache rule, or refuse as any other', async () => {
    const whole = await fetch(`${api.url}/api/files/x`);
    assert.ok(BYTES.equals(Buffer.from(await whole.arrayBuffer())));
    const wanted = ['application/octet-stream', String(BYTES.length), 'public, max-age=9'];
    const headers = ({ headers: of }: Response) =>
      ['content-type', 'content-length', 'cache-control'].map((name) => of.get(name));
    assert.deepEqual(headers(whole), wanted);
    const head = await fetch(`${api.url}/api/files/x`, { method: 'HEAD' });
    assert.deepEqual(headers(head), wanted);
    assert.ok(stream.destroyed, 'what nobody reads is let go of');
    assert.equal((await api.ask('/api/files/missing')).body.code, 'NOT_FOUND');
  });

  it('let go of bytes whose reader has gone, and break off where they cannot be read', async () => {
    const outcomes = () => [...totals.collect()].find(({ route }) => route === 'GET /api/files/:id')?.outcomes;
    const gone = outcomes()?.get('gone') ?? 0;
    const leaving = new AbortController();
    const { body } = await fetch(`${api.url}/api/files/endless`, { signal: leaving.signal });
    await body!.getReader().read();
    leaving.abort();
    await until(() => stream.destroyed, 'the stream to be let go of');
    await until(() => outcomes()?.get('gone') === gone + 1, 'it to be counted');
    const bugs = api.bugs.length;
    await assert.rejects(fetch(`${api.url}/api/files/broken`).then((answer) => answer.arrayBuffer()));
    await until(() => api.bugs.length === bugs + 1, 'the fault to be told');
    assert.equal((api.bugs.at(-1) as Error).message, 'bad disk');
  });

  it('count outcomes and durations by route, never by what was asked', async () => {
    const names = [...totals.collect()].map(({ route }) => route);
    const declared = ROUTES.map(({ method, path }) => `${method} ${path}`);
    assert.ok(names.every((name) => declared.includes(name)));
    const made = [...totals.collect()].find(({ route }) => route === 'POST /api/things/:id')!;
    assert.ok(made.outcomes.get('ok')! > 0 && made.outcomes.get('KEY_MISSING') === 1);
    const counted = [...made.outcomes.values()].reduce((sum, count) => sum + count, 0);
    assert.equal(
      made.durations.reduce((sum, count) => sum + count, 0),
      counted,
    );
  });

  it('bound what one player may ask, questions and commands apart', async () => {
    let left = 2;
    const limited = await serveForTest(ROUTES, {
      callers: CALLERS,
      questions: { take: () => true },
      commands: { take: (playerId) => playerId !== CALLERS.ann.playerId || left-- > 0 },
    });
    try {
      const act = (token: string) => limited.ask('/api/things/x', { token, key: 'k', body: { name: 'n' } });
      assert.deepEqual([(await act('ann')).status, (await act('ann')).status], [201, 201]);
      const refused = await act('ann');
      assert.deepEqual([refused.body.code, refused.headers.get('retry-after')], ['RATE_LIMITED', '1']);
      assert.equal((await act('bob')).status, 201);
      assert.equal((await limited.ask('/api/things/x', { token: 'ann' })).status, 200);
    } finally {
      await limited.close();
    }
  });

  it('cannot be declared twice', async () => {
    await assert.rejects(serveForTest([ROUTES[0]!, ROUTES[0]!]), /two routes are GET/);
  });
});

describe('JSON from outside', () => {
  it('is read as JSON.parse does if no name stands twice in one object', () => {
    const value = fc
      .jsonValue({ depthSize: 'small', maxDepth: 5 })
      .filter((v) => !JSON.stringify(v).includes('"__proto__"'));
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2), (one, indent) => {
        assert.deepEqual(readJson(JSON.stringify(one, null, indent)), JSON.parse(JSON.stringify(one)));
      }),
      { seed: 20261123 },
    );
  });

  it('with a name twice is refused wherever that is', () => {
    const name = fc.string({ maxLength: 5 }).filter((text) => text !== '__proto__');
    fc.assert(
      fc.property(
        name,
        fc.jsonValue({ maxDepth: 2 }),
        fc.array(fc.boolean(), { maxLength: 6 }),
        (twice, inner, path) => {
          const member = `${JSON.stringify(twice)} : ${JSON.stringify(inner)}`;
          const text = path.reduce((at, isList) => (isList ? `[1,${at}]` : `{"a":${at}}`), `{${member},${member}}`);
          assert.throws(
            () => readJson(text),
            (error: GameError) => error.code === 'INVALID_INPUT',
          );
        },
      ),
      { seed: 20261123 },
    );
  });

  it('has one canonical text in whatever order its members stand', () => {
    assert.equal(canonicalJson({ b: [{ d: 1, c: 2 }], a: null }), canonicalJson({ a: null, b: [{ c: 2, d: 1 }] }));
    assert.notEqual(canonicalJson({ a: [1, 2] }), canonicalJson({ a: [2, 1] }));
  });
});
