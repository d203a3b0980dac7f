import assert from 'node:assert/strict';
import * as z from 'zod';
import { defineRoute } from '../../src/api/route.ts';
import { RouteTotals } from '../../src/api/route-totals.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { madeUpCaller } from '../fixtures/api.ts';
import { type Surface, startSurface } from '../fixtures/surface.ts';

const ANN = madeUpCaller('ann');
const ORIGIN = 'https://play.example';

const ROUTES = [
  defineRoute({
    method: 'PUT',
    path: '/api/things/:id',
    summary: 'Keeps a thing',
    tag: 'things',
    role: 'player',
    params: z.strictObject({ id: z.string() }),
    body: z.strictObject({ size: z.int() }),
    answer: z.strictObject({ id: z.string(), by: z.string(), size: z.int() }),
    needsKey: true,
    run: ({ params, caller, body }) => ({ id: params.id, by: caller.playerId, size: body.size }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/bug',
    summary: 'Is a bug',
    tag: 'things',
    role: 'nobody',
    answer: z.strictObject({}),
    run: () => {
      throw new TypeError('of a secret');
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/.well-known/jwks.json',
    summary: 'Keys',
    tag: 'Sign-in',
    role: 'nobody',
    answer: z.strictObject({ keys: z.array(z.string()) }),
    cache: 'public, max-age=300',
    run: () => ({ keys: [] }),
  }),
];

describe('the API on the whole HTTP surface', () => {
  let surface: Surface;
  before(async () => {
    surface = await startSurface({
      env: { NODE_ENV: 'production', HYPOGEUM_PUBLIC_ORIGINS: ORIGIN },
      api: {
        routes: ROUTES,
        totals: new RouteTotals(),
        identify: async (authorization) => {
          if (authorization !== 'Bearer ann') throw new GameError('AUTH_SIGNATURE');
          return ANN;
        },
      },
    });
  });
  after(() => surface.close());

  const keep = (headers: Record<string, string>, body = '{"size":1}') =>
    surface.fetch('/api/things/x', {
      method: 'PUT',
      headers: { authorization: 'Bearer ann', 'content-type': 'application/json', ...headers },
      body,
    });

  it('is reached with token, key and body through the gate', async () => {
    const kept = await keep({ 'idempotency-key': 'k' });
    assert.deepEqual([kept.status, await kept.json()], [200, { id: 'x', by: ANN.playerId, size: 1 }]);
    const { code } = (await (await keep({})).json()) as { code: string };
    assert.equal(code, 'KEY_MISSING');
  });

  it('lets pages of the configured origins send tokens and keys, and nobody else’s', async () => {
    const preflight = (origin: string) =>
      surface.fetch('/api/things/x', {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'PUT',
          'access-control-request-headers': 'authorization,content-type,idempotency-key',
        },
      });
    const allowed = await preflight(ORIGIN);
    assert.ok(allowed.ok);
    assert.equal(allowed.headers.get('access-control-allow-origin'), ORIGIN);
    assert.match(allowed.headers.get('access-control-allow-headers')!, /Authorization, Idempotency-Key/);
    for (const method of ['PUT', 'DELETE', 'POST']) {
      assert.match(allowed.headers.get('access-control-allow-methods')!, new RegExp(method));
    }
    assert.equal((await preflight('https://evil.example')).headers.get('access-control-allow-origin'), null);
    const kept = await keep({ origin: ORIGIN, 'idempotency-key': 'k' });
    assert.deepEqual([kept.status, kept.headers.get('access-control-allow-origin')], [200, ORIGIN]);
    assert.equal((await keep({ origin: 'https://evil.example', 'idempotency-key': 'k' })).status, 403);
    const read = await surface.fetch('/.well-known/jwks.json', { headers: { origin: ORIGIN } });
    assert.equal(read.headers.get('access-control-allow-origin'), ORIGIN);
    assert.equal(read.headers.get('cache-control'), 'public, max-age=300');
  });

  it('logs a bug once and tells its caller nothing', async () => {
    const before = surface.lines.length;
    const answer = await surface.fetch('/api/bug');
    assert.equal(answer.status, 500);
    assert.doesNotMatch(await answer.text(), /secret/);
    assert.equal(surface.lines.slice(before).filter((line) => line.includes('of a secret')).length, 1);
  });

  it('leaves what it does not declare to what follows', async () => {
    assert.equal((await surface.fetch('/healthz')).status, 200);
    assert.equal((await surface.fetch('/api/unheard-of')).status, 404);
  });
});
