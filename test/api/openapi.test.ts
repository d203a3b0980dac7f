import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { breaksOf } from '../../src/api/compatibility.ts';
import { describeRoutes, jsonSchemaOf, type OpenApiDocument, openApiRoute } from '../../src/api/openapi.ts';
import { BINARY, defineRoute } from '../../src/api/route.ts';
import { apiDocs } from '../../src/cli/api-docs.ts';
import { ERRORS } from '../../src/kernel/errors.ts';
import { API_VERSION, describedRoutes } from '../../src/routes.ts';
import { madeUpCaller, serveForTest } from '../fixtures/api.ts';

const committed = (name: string) => readFileSync(`docs/${name}`, 'utf8');
/** Descriptions of releases, each kept as it was. */
const GOLDEN = 'test/golden/api';
const described = JSON.parse(committed('openapi.json')) as OpenApiDocument;

const thing = (more: { body?: z.ZodType; answer?: z.ZodType; query?: z.ZodType; needsKey?: boolean } = {}) =>
  defineRoute({
    method: 'POST',
    path: '/api/things/:thingId',
    summary: 'Makes a thing',
    tag: 'things',
    role: 'admin',
    params: z.strictObject({ thingId: z.string() }),
    body: z.strictObject({ size: z.int(), name: z.string().optional() }),
    answer: z.strictObject({ size: z.int(), parts: z.array(z.strictObject({ id: z.string() })) }),
    refusals: ['FUNDS_SHORT'],
    status: 201,
    run: () => ({ size: 1, parts: [] }),
    ...more,
  });

describe('the description of the API', () => {
  it('that is committed is the one of the routes (npm run api:docs)', () => {
    for (const [name, text] of Object.entries(apiDocs())) assert.equal(committed(name), text, name);
  });

  it('has every route that is served and nothing else, with a name of its own', () => {
    const served = describedRoutes().map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    const named = Object.entries(described.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(named.sort(), served.sort());
    const ids = Object.values(described.paths).flatMap((methods) =>
      Object.values(methods).map((one) => one.operationId),
    );
    assert.equal(new Set(ids).size, ids.length);
  });

  it('names every parameter of each path, and the codes of every refusal under their status', () => {
    for (const [path, methods] of Object.entries(described.paths)) {
      for (const operation of Object.values(methods)) {
        const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
        const wanted = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
        assert.deepEqual(named.sort(), wanted.sort(), path);
        for (const [status, answered] of Object.entries(operation.responses)) {
          if (Number(status) < 400) continue;
          const { properties } = jsonSchemaOf(answered) as { properties: { code: { enum: string[] } } };
          for (const code of properties.code.enum) {
            assert.equal(String(ERRORS[code as keyof typeof ERRORS].status), status, code);
          }
        }
      }
    }
  });

  it('breaks no client of a release (test/golden/api)', () => {
    const versions = readdirSync(GOLDEN).map((name) => name.replace(/\.json$/, ''));
    assert.ok(versions.length > 0);
    for (const version of versions) {
      const golden = JSON.parse(readFileSync(`${GOLDEN}/${version}.json`, 'utf8')) as OpenApiDocument;
      assert.equal(golden.info.version, version, 'a file has the name of its version');
      const breaks = breaksOf(golden, described);
      assert.deepEqual(
        breaks,
        [],
        `clients of ${version} would break. Add a new route or member beside the old one, and keep that. ` +
          'The files in test/golden/api are what clients were promised: never edit or remove one.',
      );
    }
    assert.ok(
      versions.includes(API_VERSION),
      `${API_VERSION} has no file. With a release that changes the API: raise API_VERSION (src/routes.ts), ` +
        `npm run api:docs, and cp docs/openapi.json ${GOLDEN}/${API_VERSION}.json`,
    );
  });

  it('is told by the server itself, and its answers fit it, refusals as well', async () => {
    const routes = [thing({ needsKey: true })];
    const api = await serveForTest([...routes, openApiRoute(routes, '1.2.3')], {
      callers: { admin: madeUpCaller('admin', 'admin'), ann: madeUpCaller('ann') },
    });
    try {
      const document = (await api.ask('/api/openapi.json')).body as OpenApiDocument;
      assert.equal(document.info.version, '1.2.3');
      assert.deepEqual(Object.keys(document.paths), ['/api/openapi.json', '/api/things/{thingId}']);
      const { responses } = document.paths['/api/things/{thingId}']!['post']!;
      const make = (more: object) => api.ask('/api/things/x', { token: 'admin', key: 'k', body: { size: 1 }, ...more });
      const statuses = new Set<number>();
      for (const asked of [{}, { token: undefined }, { token: 'ann' }, { key: undefined }, { body: { size: 0.5 } }]) {
        const { status, body } = await make(asked);
        statuses.add(status);
        const schema = { ...jsonSchemaOf(responses[String(status)]!) };
        const codes = (schema['properties'] as { code?: { enum: string[] } }).code?.enum;
        if (status >= 400) {
          assert.ok(codes!.includes(body.code), `${body.code} is described`);
          const refusal = (document.components['schemas'] as { Refusal: object }).Refusal;
          z.fromJSONSchema(refusal as z.core.JSONSchema.JSONSchema).parse(body);
        } else {
          z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema).parse(body);
        }
      }
      assert.deepEqual([...statuses].sort(), [201, 400, 401, 403]);
    } finally {
      await api.close();
    }
  });
});

describe('a change of the API', () => {
  const before = describeRoutes([thing()], '1');
  const breaks = (...routes: Parameters<typeof describeRoutes>[0]) => breaksOf(before, describeRoutes(routes, '1'));
  const size = z.int();
  const parts = z.array(z.strictObject({ id: z.string() }));

  it('that adds is none', () => {
    assert.deepEqual(breaks(thing()), []);
    const more = thing({
      body: z.strictObject({ size, name: z.string().optional(), colour: z.string().optional() }),
      answer: z.strictObject({ size, parts: z.array(z.strictObject({ id: z.string(), of: z.string() })), more: size }),
      query: z.strictObject({ dry: z.string().optional() }),
    });
    assert.deepEqual(breaks(more), []);
  });

  it('from JSON to bytes, or back, is a break', () => {
    const place = 'POST /api/things/{thingId}';
    const bytes = describeRoutes([thing({ answer: BINARY })], '1');
    assert.deepEqual(bytes.paths['/api/things/{thingId}']!['post']!.responses['201']!.content, {
      'application/octet-stream': {},
    });
    assert.deepEqual(breaksOf(bytes, bytes), []);
    assert.deepEqual(breaksOf(before, bytes), [`${place} no longer answers application/json`]);
    assert.deepEqual(breaksOf(bytes, before), [`${place} no longer answers application/octet-stream`]);
  });

  it('that takes away, or wants more, is a break', () => {
    assert.deepEqual(breaks(), ['POST /api/things/{thingId} is gone']);
    const place = 'POST /api/things/{thingId}';
    for (const [changed, ...found] of [
      [{ needsKey: true }, `${place} now needs header Idempotency-Key`],
      [{ query: z.strictObject({ dry: z.string() }) }, `${place} now needs query dry`],
      [{ body: z.strictObject({ size }) }, `${place} body no longer takes name`],
      [{ body: z.strictObject({ size, name: z.string() }) }, `${place} body now needs name`],
      [
        { body: z.strictObject({ size: z.string(), name: z.string().optional() }) },
        `${place} body.size was not integer`,
      ],
      [{ answer: z.strictObject({ size }) }, `${place} answer no longer has parts`],
      [{ answer: z.strictObject({ size: size.optional(), parts }) }, `${place} answer no longer always has size`],
      [{ answer: z.strictObject({ size: size.nullable(), parts }) }, `${place} answer.size was not null`],
      [
        { answer: z.strictObject({ size, parts: z.array(z.strictObject({ no: size })) }) },
        `${place} answer.parts[] no longer has id`,
      ],
    ] as const) {
      assert.deepEqual(breaks(thing(changed)), found);
    }
  });
});
