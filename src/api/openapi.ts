/** Describes declared routes as an OpenAPI 3.1 document, from the very shapes they are served with. */
import * as z from 'zod';
import { ERRORS, type ErrorCode } from '../kernel/errors.ts';
import { BINARY, defineRoute, type Route } from './route.ts';

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly security: readonly object[];
  /** By path with `{name}` parameters, then by method in lower case. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, unknown>>;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, Answered>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: object;
}

export interface Answered {
  readonly description: string;
  readonly headers?: object;
  readonly content: Content;
}

/** By media type; JSON but for a binary answer. */
export type Content = Readonly<Partial<Record<'application/json' | 'application/octet-stream', MediaType>>>;
interface MediaType {
  /** Absent: bytes. */
  readonly schema?: JsonSchema;
}
type JsonSchema = Readonly<Record<string, unknown>>;

/** The schema of what is JSON. @throws TypeError if it is not */
export function jsonSchemaOf({ content }: { readonly content: Content }): JsonSchema {
  const schema = content['application/json']?.schema;
  if (schema === undefined) throw new TypeError('not described as JSON');
  return schema;
}

const TOKEN_REFUSALS: readonly ErrorCode[] = [
  'AUTH_MISSING',
  'AUTH_MALFORMED',
  'AUTH_EXPIRED',
  'AUTH_SIGNATURE',
  'AUTH_REVOKED',
  'ACCOUNT_BANNED',
];

const DESCRIPTION = `The HTTP API of a Hypogeum server. Every refusal is \`{code, error}\` with facts of its own beside these two; \
clients decide by \`code\`, which never changes its meaning. Unknown members of an answer are to be ignored: new ones are no break. \
Commands with an \`Idempotency-Key\` may be repeated with the same key until they are answered; they happen once.`;

/** Every code that a route may answer with, in the order of the catalogue. */
export function refusalsOf(route: Route): readonly ErrorCode[] {
  const codes = new Set<ErrorCode>(['INTERNAL', 'RATE_LIMITED', ...(route.refusals ?? [])]);
  if (route.params !== undefined || route.query !== undefined || route.body !== undefined) codes.add('INVALID_INPUT');
  if (route.role !== 'nobody') for (const code of TOKEN_REFUSALS) codes.add(code);
  if (route.role === 'moderator' || route.role === 'admin') codes.add('NOT_ALLOWED');
  if (route.method !== 'GET')
    for (const code of ['TOO_LARGE', 'FOREIGN_ORIGIN', 'INVALID_INPUT'] as const) codes.add(code);
  if (route.needsKey) for (const code of ['KEY_MISSING', 'KEY_REUSED'] as const) codes.add(code);
  return (Object.keys(ERRORS) as ErrorCode[]).filter((code) => codes.has(code));
}

/** The document; the same routes give the same text, in whatever order they come. */
export function describeRoutes(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, Operation>> = {};
  const order = (route: Route) => `${route.path} ${route.method}`;
  for (const route of [...routes].sort((a, b) => (order(a) < order(b) ? -1 : 1))) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Hypogeum', version, description: DESCRIPTION },
    tags: [...new Set(routes.map(({ tag }) => tag))].sort().map((name) => ({ name })),
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'The `token` of a sign-in, good for 15 minutes; `POST /auth/refresh` gives the next one.',
        },
      },
      schemas: {
        Refusal: {
          type: 'object',
          description: 'Why something was not done. Codes may come with facts of their own.',
          properties: {
            code: { type: 'string', description: 'From docs/errors.md.' },
            error: { type: 'string', description: 'The code and what it means, for developers.' },
          },
          required: ['code', 'error'],
          additionalProperties: true,
        },
      },
    },
  };
}

/** `GET /api/openapi.json`, which describes the routes and itself. Put it last. */
export function openApiRoute(routes: readonly Route[], version: string): Route {
  let document: OpenApiDocument | undefined;
  const route: Route = defineRoute({
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'This description',
    tag: 'api',
    role: 'nobody',
    answer: z.looseObject({ openapi: z.literal('3.1.0') }),
    cache: 'public, max-age=300',
    run: () => {
      document ??= describeRoutes([...routes, route], version);
      return { ...document };
    },
  });
  return route;
}

function operation(route: Route): Operation {
  const role = route.role as string;
  const parameters = parametersOf(route);
  const needs = role === 'moderator' || role === 'admin' ? `Needs the role ${role}. ` : '';
  const repeats = route.needsKey ? 'Happens once for each `Idempotency-Key`.' : '';
  const description = (needs + repeats).trim();
  return {
    operationId: operationId(route),
    summary: route.summary,
    ...(description === '' ? {} : { description }),
    tags: [route.tag],
    // An empty requirement beside the token: it may be left out.
    ...(role === 'nobody' ? { security: [{}, { token: [] }] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: !route.body.safeParse({}).success,
            content: { 'application/json': { schema: schemaOf(route.body, 'input') } },
          },
        }),
    responses: responsesOf(route),
  };
}

/** `GET /api/players/:playerId/matches` is `getApiPlayersByPlayerIdMatches`. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[^A-Za-z0-9:]+/).filter((word) => word !== '');
  const name = words.map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word))).join('');
  return method.toLowerCase() + name;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function parametersOf(route: Route): Parameter[] {
  const found: Parameter[] = [];
  for (const [place, shape] of [
    ['path', route.params],
    ['query', route.query],
  ] as const) {
    if (shape === undefined) continue;
    const { properties = {}, required = [] } = schemaOf(shape, 'input') as {
      properties?: Record<string, JsonSchema>;
      required?: string[];
    };
    for (const [name, { description, ...schema }] of Object.entries(properties)) {
      found.push({
        name,
        in: place,
        required: place === 'path' || required.includes(name),
        ...(typeof description === 'string' ? { description } : {}),
        schema,
      });
    }
  }
  if (route.needsKey) {
    found.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: true,
      description: 'Of your making, new for every command and the same for its repeats.',
      schema: { type: 'string', minLength: 1, maxLength: 64, pattern: '^[ -~]{1,64}$' },
    });
  }
  return found;
}

function responsesOf(route: Route): Record<string, Answered> {
  const responses: Record<string, Answered> = {
    [String(route.status ?? 200)]: {
      description: 'Done.',
      content:
        route.answer === BINARY
          ? { 'application/octet-stream': {} }
          : { 'application/json': { schema: withOpenObjects(schemaOf(route.answer, 'output')) } },
    },
  };
  const byStatus = Map.groupBy(refusalsOf(route), (code) => ERRORS[code].status);
  for (const [status, codes] of [...byStatus].sort(([a], [b]) => a - b)) {
    const isRetry = codes.some((code) => ERRORS[code].retry);
    responses[String(status)] = {
      description: codes.map((code) => `\`${code}\``).join(', '),
      ...(isRetry ? { headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } } } : {}),
      content: {
        'application/json': {
          schema: {
            allOf: [{ $ref: '#/components/schemas/Refusal' }],
            properties: { code: { enum: codes } },
          },
        },
      },
    };
  }
  return responses;
}

function schemaOf(shape: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io, target: 'draft-2020-12' });
  return schema;
}

/** Answers may grow: a client that refuses members it does not know breaks with the next release. */
function withOpenObjects(schema: JsonSchema): JsonSchema {
  return JSON.parse(JSON.stringify(schema), (_name, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || !('additionalProperties' in inner)) return inner;
    const { additionalProperties, ...rest } = inner;
    return additionalProperties === false ? rest : inner;
  });
}
