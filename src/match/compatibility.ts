/** Whether a match may go on in another process: only where its rules and what its clients decode are the same. */
import { createHash } from 'node:crypto';
import type { Schema } from '@colyseus/schema';
import { schemaFieldsOf } from './colyseus-internals.ts';
import { SchemaCapture } from './schema-capture.ts';

/** A match goes on only where all of it is equal: its rules and what its clients decode never change mid-way. */
export interface Compatibility {
  readonly simId: string;
  readonly simVersion: number;
  /** Hash over the shape of the room's Schema classes. */
  readonly schemaHash: string;
}

/**
 * 16 hex digits, equal for two builds whose clients send and decode the same bytes.
 * @throws Error if a class of the state has a field of a kind that is not kept over a restore
 */
export function schemaHashOf(state: new () => Schema, input: new () => Schema): string {
  const inputs = schemaFieldsOf(new input()).map(
    ({ name, index, shape }) => `${index} ${name} ${JSON.stringify(shape)}`,
  );
  return createHash('sha256')
    .update(`${new SchemaCapture(state).shape}\n${inputs.join('; ')}`)
    .digest('hex')
    .slice(0, 16);
}

export function isSame(a: Compatibility, b: Compatibility): boolean {
  return a.simId === b.simId && a.simVersion === b.simVersion && a.schemaHash === b.schemaHash;
}
