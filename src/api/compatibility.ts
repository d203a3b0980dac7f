/** Tells whether clients of one description of the API still work with another. */
import type { Content, OpenApiDocument, Operation } from './openapi.ts';

type Schema = Readonly<Record<string, unknown>>;

/**
 * What `now` takes away from clients written for `before`, a sentence each; empty if nothing. It sees routes,
 * statuses, parameters and members of objects and lists, not narrower bounds of a value.
 */
export function breaksOf(before: OpenApiDocument, now: OpenApiDocument): string[] {
  const breaks: string[] = [];
  for (const [path, methods] of Object.entries(before.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const name = `${method.toUpperCase()} ${path}`;
      const same = now.paths[path]?.[method];
      if (same === undefined) breaks.push(`${name} is gone`);
      else breaks.push(...operationBreaks(name, operation, same));
    }
  }
  return breaks;
}

function* operationBreaks(name: string, before: Operation, now: Operation): Iterable<string> {
  const known = new Map((before.parameters ?? []).map((one) => [`${one.in} ${one.name}`, one]));
  const kept = new Map((now.parameters ?? []).map((one) => [`${one.in} ${one.name}`, one]));
  for (const parameter of known.keys()) if (!kept.has(parameter)) yield `${name} no longer takes ${parameter}`;
  for (const [parameter, { required }] of kept) {
    if (required && known.get(parameter)?.required !== true) yield `${name} now needs ${parameter}`;
  }
  const [asked, askedNow] = [bodyOf(before), bodyOf(now)];
  if (asked !== undefined && askedNow === undefined) yield `${name} no longer takes a body`;
  if (askedNow !== undefined) yield* inputBreaks(`${name} body`, asked ?? { properties: {} }, askedNow);
  for (const [status, { content }] of Object.entries(before.responses)) {
    if (Number(status) >= 400) continue;
    const answered = now.responses[status]?.content;
    if (answered === undefined) {
      yield `${name} no longer answers ${status}`;
      continue;
    }
    for (const [mediaType, { schema }] of Object.entries(content)) {
      const same = answered[mediaType as keyof Content];
      if (same === undefined) yield `${name} no longer answers ${mediaType}`;
      else if (schema !== undefined) yield* outputBreaks(`${name} answer`, schema, same.schema ?? {});
    }
  }
}

function bodyOf(operation: Operation): Schema | undefined {
  return operation.requestBody?.content['application/json']?.schema;
}

function* inputBreaks(place: string, before: Schema, now: Schema): Iterable<string> {
  const [members, membersNow] = [membersOf(before), membersOf(now)];
  for (const member of requiredOf(now)) {
    if (!requiredOf(before).includes(member)) yield `${place} now needs ${member}`;
  }
  for (const [member, schema] of Object.entries(members)) {
    const same = membersNow[member];
    if (same === undefined) yield `${place} no longer takes ${member}`;
    else yield* inputBreaks(`${place}.${member}`, schema, same);
  }
  yield* typeBreaks(place, before, now);
}

function* outputBreaks(place: string, before: Schema, now: Schema): Iterable<string> {
  const membersNow = membersOf(now);
  for (const [member, schema] of Object.entries(membersOf(before))) {
    const same = membersNow[member];
    if (same === undefined) yield `${place} no longer has ${member}`;
    else if (requiredOf(before).includes(member) && !requiredOf(now).includes(member))
      yield `${place} no longer always has ${member}`;
    else yield* outputBreaks(`${place}.${member}`, schema, same);
  }
  if (isSchema(before['items']) && isSchema(now['items']))
    yield* outputBreaks(`${place}[]`, before['items'], now['items']);
  yield* typeBreaks(place, now, before);
}

/** Types that come from one side, and that the other does not take. */
function* typeBreaks(place: string, from: Schema, to: Schema): Iterable<string> {
  const [types, taken] = [typesOf(from), typesOf(to)];
  if (taken.length === 0) return;
  for (const type of types) {
    const isWider = type === 'integer' && taken.includes('number');
    if (!taken.includes(type) && !isWider) yield `${place} was not ${String(type)}`;
  }
}

function typesOf(schema: Schema): readonly unknown[] {
  const own = schema['type'] === undefined ? [] : [schema['type']].flat();
  const any = Array.isArray(schema['anyOf']) ? (schema['anyOf'] as Schema[]).flatMap(typesOf) : [];
  return [...own, ...any];
}

function membersOf(schema: Schema): Readonly<Record<string, Schema>> {
  return (schema['properties'] ?? {}) as Record<string, Schema>;
}

function requiredOf(schema: Schema): readonly string[] {
  return (schema['required'] ?? []) as string[];
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null;
}
