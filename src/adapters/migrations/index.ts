/** Every migration of the schema, in order; names are for ever. */
import type { Migration } from 'kysely/migration';

/** A start with a current schema needs their names only, and the query builder costs a tenth of its time. */
const lazily = (load: () => Promise<Migration>): Migration => ({ up: async (db) => (await load()).up(db) });

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-event-log': lazily(async () => (await import('./001-event-log.ts')).eventLog),
  '002-views': lazily(async () => (await import('./002-views.ts')).views),
  '003-accounts': lazily(async () => (await import('./003-accounts.ts')).accounts),
  '004-economy': lazily(async () => (await import('./004-economy.ts')).economy),
  '005-results': lazily(async () => (await import('./005-results.ts')).results),
  '006-boards': lazily(async () => (await import('./006-boards.ts')).boards),
  '007-closed-trades': lazily(async () => (await import('./007-closed-trades.ts')).closedTrades),
};
