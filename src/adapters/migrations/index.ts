/** Every migration of the schema, in order; names are for ever. */
import type { Migration } from 'kysely/migration';

export const MIGRATIONS: Readonly<Record<string, Migration>> = {};
