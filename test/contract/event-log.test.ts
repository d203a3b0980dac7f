import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { eventLogContract, LOG_TEST_EVENTS, type LogHarness } from './event-log.contract.ts';

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

for (const major of ['own', 15] as const) {
  eventLogContract(major === 'own' ? 'postgres' : 'postgres 15', () => onPostgres(major));
}

async function onPostgres(major: 'own' | 15): Promise<LogHarness> {
  const { database, drop } = await freshDatabase({}, major);
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
}
