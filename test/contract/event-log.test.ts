import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { eventLogContract, LOG_TEST_EVENTS } from './event-log.contract.ts';

eventLogContract('memory', async () => {
  let clockMs = 0;
  return {
    log: new MemoryLog({ catalogue: LOG_TEST_EVENTS, nowMs: () => clockMs }),
    setClock: (nowMs) => {
      clockMs = nowMs;
    },
    dispose: async () => undefined,
  };
});

eventLogContract('postgres', async () => {
  const { database, drop } = await freshDatabase();
  let clockMs = 0;
  const log = new PostgresLog({ database, catalogue: LOG_TEST_EVENTS, nowMs: () => clockMs });
  return {
    log,
    setClock: (nowMs) => {
      clockMs = nowMs;
    },
    async dispose() {
      await log.close();
      await drop();
    },
  };
});
