/** What was written once can be read for ever, and its shape stays as it was published. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { EVENTS } from '../../../src/events/catalogue.ts';
import {
  type EventRecord,
  fileName,
  RECORDS,
  readLock,
  SCHEMAS,
  schemaText,
  sha256,
  versionFiles,
} from './event-files.ts';

const TOLD = 'run `npm run events:docs`; a shape that was released changes only by a new version with an upcast';

describe('every version of every event', () => {
  const wanted = EVENTS.definitions
    .flatMap(({ type, version }) => Array.from({ length: version }, (_, i) => fileName(type, i + 1)))
    .sort();
  const record = (name: string) => JSON.parse(readFileSync(`${RECORDS}${name}`, 'utf8')) as EventRecord;

  it('has one golden record and one schema, and nothing else has', () => {
    assert.ok(wanted.length > 0);
    assert.deepEqual(versionFiles(RECORDS), wanted, TOLD);
    assert.deepEqual(versionFiles(SCHEMAS), wanted, TOLD);
    assert.deepEqual(Object.keys(readLock()).sort(), wanted, TOLD);
  });

  it('keeps the schema it was released with', () => {
    for (const [name, hash] of Object.entries(readLock())) {
      assert.equal(sha256(readFileSync(`${SCHEMAS}${name}`, 'utf8')), hash, `docs/events/${name} was changed; ${TOLD}`);
    }
  });

  for (const definition of EVENTS.definitions) {
    const { type, version } = definition;
    it(`${type}: its newest shape is the published one, and its records read to it`, () => {
      const newest = fileName(type, version);
      assert.equal(schemaText(definition), readFileSync(`${SCHEMAS}${newest}`, 'utf8'), `${newest}: ${TOLD}`);
      for (let each = 1; each <= version; each++) {
        const { type: recorded, version: at, payload } = record(fileName(type, each));
        assert.deepEqual([recorded, at], [type, each]);
        const schema = JSON.parse(readFileSync(`${SCHEMAS}${fileName(type, each)}`, 'utf8'));
        assert.ok(
          z.fromJSONSchema(schema).safeParse(payload).success,
          `the record does not fit the schema of v${each}`,
        );
        const read = EVENTS.read(type, each, payload);
        if (each === version) assert.deepEqual(read, payload);
      }
    });
  }
});
