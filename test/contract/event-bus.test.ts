import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { MemoryParked, MemoryViews } from '../../src/adapters/memory-views.ts';
import { NatsBus } from '../../src/adapters/nats-bus.ts';
import { PostgresParked } from '../../src/adapters/postgres-parked.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { LocalBus } from '../../src/events/local-bus.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { TEST_EVENTS } from '../fixtures/events-of-tests.ts';
import { PrivateNats } from '../fixtures/nats-server.ts';
import { eventBusContract } from './event-bus.contract.ts';

const FAST = { retryFirstMs: 5, retryMaxMs: 50 };

eventBusContract('local, memory', async () => {
  const log = new MemoryLog({ catalogue: TEST_EVENTS });
  const store = new MemoryViews();
  const parked = new MemoryParked();
  return {
    log,
    parked,
    open: () => new LocalBus({ log, store, parked, ...FAST }),
    dispose: async () => undefined,
  };
});

eventBusContract('local, postgres', async () => {
  const { database, drop } = await freshDatabase();
  const log = new MemoryLog({ catalogue: TEST_EVENTS });
  const parked = new PostgresParked(database);
  const stores: PostgresViews[] = [];
  return {
    log,
    parked,
    open: () => {
      const store = new PostgresViews(database);
      stores.push(store);
      return new LocalBus({ log, store, parked, ...FAST });
    },
    dispose: async () => {
      await Promise.all(stores.map((store) => store.close()));
      await drop();
    },
  };
});

eventBusContract('NATS JetStream', async () => {
  const [{ database, drop }, nats] = await Promise.all([freshDatabase(), PrivateNats.start()]);
  const log = new MemoryLog({ catalogue: TEST_EVENTS });
  const parked = new PostgresParked(database);
  const stores: PostgresViews[] = [];
  return {
    log,
    parked,
    open: () => {
      const store = new PostgresViews(database);
      stores.push(store);
      return new NatsBus({ url: nats.url, log, store, parked, catalogue: TEST_EVENTS, ...FAST });
    },
    dispose: async () => {
      await Promise.all(stores.map((store) => store.close()));
      await Promise.all([drop(), nats.stop()]);
    },
  };
});
