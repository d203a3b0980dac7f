/** Every migration of the schema, in order; names are for ever. */
import type { Migration } from 'kysely/migration';
import { eventLog } from './001-event-log.ts';
import { views } from './002-views.ts';
import { accounts } from './003-accounts.ts';
import { economy } from './004-economy.ts';
import { results } from './005-results.ts';
import { boards } from './006-boards.ts';

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-event-log': eventLog,
  '002-views': views,
  '003-accounts': accounts,
  '004-economy': economy,
  '005-results': results,
  '006-boards': boards,
};
