/** Every migration of the schema, in order; names are for ever. */
import type { Migration } from 'kysely/migration';
import { views } from './002-views.ts';
import { accounts } from './003-accounts.ts';
import { results } from './005-results.ts';
import { boards } from './006-boards.ts';

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '002-views': views,
  '003-accounts': accounts,
  '005-results': results,
  '006-boards': boards,
};
