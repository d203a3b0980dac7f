/**
 * `npm run events:docs`: writes schema and golden record of every version that has none yet. It never overwrites one: what
 * was released stays as it is, and a new shape is a new version.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import * as z from 'zod';
import { EVENTS } from '../../../src/events/catalogue.ts';
import type { EventDefinition } from '../../../src/events/event.ts';
import { fileName, LOCK, RECORDS, readLock, SCHEMAS, schemaText, sha256 } from './event-files.ts';

const USAGE = `Usage: npm run events:docs

Writes docs/events and test/golden/events for versions of events that have none yet. Ends 1 for a shape that was changed
without a version.
`;
const SEED = 20261123;
const TRIES = 200;

/** The parts of JSON Schema that zod makes of our shapes. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema | boolean;
  readonly prefixItems?: readonly Schema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Values of a schema, small ones: a record is read by people, too. */
function values(schema: Schema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return fc.oneof(...options.map(values));
  switch (schema.type) {
    case 'object': {
      const { properties = {}, additionalProperties } = schema;
      if (typeof additionalProperties === 'object' && Object.keys(properties).length === 0) {
        const name = fc.stringMatching(/^[a-z]{1,8}$/);
        return fc.dictionary(name, values(additionalProperties), { minKeys: 1, maxKeys: 3, noNullPrototype: true });
      }
      const parts = Object.entries(properties).map(([name, part]) => [name, values(part)] as const);
      return fc.record(Object.fromEntries(parts), { noNullPrototype: true });
    }
    case 'array': {
      if (schema.prefixItems !== undefined) return fc.tuple(...schema.prefixItems.map(values));
      const { minItems = 0, maxItems = 2 } = schema;
      const lengths = { minLength: Math.max(minItems, Math.min(1, maxItems)), maxLength: Math.max(minItems, 2) };
      return fc.array(values(schema.items as Schema), lengths);
    }
    case 'string': {
      const { pattern, minLength = 1, maxLength = 12 } = schema;
      if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern), { size: 'xsmall' });
      return fc.stringMatching(/^[a-z0-9]+$/).filter((text) => text.length >= minLength && text.length <= maxLength);
    }
    case 'integer':
    case 'number': {
      const { minimum = -1_000, maximum = 1_000 } = schema;
      const min = Math.max(minimum, -1_000);
      return fc.integer({ min, max: Math.max(min, Math.min(maximum, 1_000)) });
    }
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      throw new Error(`no sample of ${JSON.stringify(schema)}; write the golden record by hand`);
  }
}

/** A payload that the definition accepts as it is. */
function sample(definition: EventDefinition): unknown {
  const candidates = fc.sample(values(z.toJSONSchema(definition.shape) as Schema), { seed: SEED, numRuns: TRIES });
  const found = candidates.find((payload) => definition.shape.safeParse(payload).success);
  if (found === undefined) throw new Error(`${definition.type}: found no sample; write the golden record by hand`);
  return found;
}

const [word] = process.argv.slice(2);
if (word !== undefined) {
  const isHelp = word === '--help' || word === '-h';
  (isHelp ? process.stdout : process.stderr).write(isHelp ? USAGE : `there is no ${word}\n\n${USAGE}`);
  process.exit(isHelp ? 0 : 2);
}

const lock = existsSync(LOCK) ? readLock() : {};
let written = 0;
for (const definition of EVENTS.definitions) {
  const { type, version } = definition;
  const name = fileName(type, version);
  const schema = schemaText(definition);
  const schemaFile = `${SCHEMAS}${name}`;
  if (!existsSync(schemaFile)) {
    if (lock[name] !== undefined && lock[name] !== sha256(schema)) {
      throw new Error(`${name} was released with another schema: add a version with an upcast instead`);
    }
    writeFileSync(schemaFile, schema);
    lock[name] = sha256(schema);
    written++;
  } else if (readFileSync(schemaFile, 'utf8') !== schema) {
    process.stderr.write(
      `${type}: its shape is not that of docs/events/${name}. Undo the change, or add an upcast from version ${version}.\n` +
        `(Never released? Then delete docs/events/${name}, test/golden/events/${name} and its line in schemas.lock.json.)\n`,
    );
    process.exitCode = 1;
    continue;
  }
  const recordFile = `${RECORDS}${name}`;
  if (existsSync(recordFile)) continue;
  writeFileSync(recordFile, `${JSON.stringify({ type, version, payload: sample(definition) }, undefined, 2)}\n`);
  written++;
}
const sorted = Object.fromEntries(Object.entries(lock).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(LOCK, `${JSON.stringify(sorted, undefined, 2)}\n`);
process.stdout.write(`${written} files written; ${Object.keys(sorted).length} versions in all\n`);
