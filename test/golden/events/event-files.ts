/** The files that hold each version of each event: its JSON Schema in docs/events, one record in test/golden/events. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import type { EventDefinition } from '../../../src/events/event.ts';

export const SCHEMAS = fileURLToPath(new URL('../../../docs/events/', import.meta.url));
export const RECORDS = fileURLToPath(new URL('./', import.meta.url));
/** SHA-256 of every schema that was ever committed, by file name. */
export const LOCK = `${RECORDS}schemas.lock.json`;

const VERSION_FILE = /^(.+)\.v(\d+)\.json$/;

export interface EventRecord {
  readonly type: string;
  readonly version: number;
  readonly payload: unknown;
}

export function fileName(type: string, version: number): string {
  return `${type}.v${version}.json`;
}

/** Names of the files of a folder that hold a version of an event, in alphabetical order. */
export function versionFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => VERSION_FILE.test(name))
    .sort();
}

/** The JSON Schema of the newest version, as the text of its file. */
export function schemaText(definition: EventDefinition): string {
  const { $schema, ...schema } = z.toJSONSchema(definition.shape);
  const head = { $schema, $id: fileName(definition.type, definition.version), title: definition.type };
  return `${JSON.stringify({ ...head, ...schema }, undefined, 2)}\n`;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function readLock(): Record<string, string> {
  return JSON.parse(readFileSync(LOCK, 'utf8')) as Record<string, string>;
}
