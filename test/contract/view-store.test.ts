import { MemoryViews } from '../../src/adapters/memory-views.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { viewStoreContract } from './view-store.contract.ts';

viewStoreContract('memory', async () => {
  const store = new MemoryViews();
  return {
    store,
    other: store,
    put: async (tx, key, value) => {
      tx.set(key, value);
    },
    get: async (key) => store.rows.get(key) as number | undefined,
    breakLocks: async () => store.breakLock('view/a'),
    dispose: async () => undefined,
  };
});

viewStoreContract('postgres', async () => {
  const { database, drop } = await freshDatabase();
  await database.query('create table numbers (key text primary key, value integer not null)');
  const stores = [new PostgresViews(database), new PostgresViews(database)] as const;
  return {
    store: stores[0],
    other: stores[1],
    put: async (tx, key, value) => {
      await tx.query('insert into numbers values ($1, $2) on conflict (key) do update set value = excluded.value', [
        key,
        value,
      ]);
    },
    get: async (key) => {
      const { rows } = await database.query<{ value: number }>('select value from numbers where key = $1', [key]);
      return rows[0]?.value;
    },
    // Ends the session that holds the lock, and that one alone.
    breakLocks: async () => {
      await database.query(
        `select pg_terminate_backend(pid) from pg_locks
         where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`,
      );
    },
    dispose: async () => {
      await Promise.all(stores.map((each) => each.close()));
      await drop();
    },
  };
});
