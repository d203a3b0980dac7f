/** Durable appends: the event log beside one transaction per append, by the same callers on the same server. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/adapters/database.ts';
import { EmbeddedPostgres } from '../../src/adapters/embedded-postgres.ts';
import { migrate } from '../../src/adapters/migrate.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { ECONOMY_STREAM, Transferred } from '../../src/events/economy-events.ts';
import { EventCatalogue } from '../../src/events/event.ts';
import { PlainAppend } from '../peers/plain-append.ts';
import { alternate, atLeast, defineBench, median } from './bench.ts';

const GOAL_CALLERS = 256;
const GOAL_PER_SECOND = 50_000;
/** Connections of the plain peer: more are slower on a small machine. */
const PLAIN_CONNECTIONS_MAX = 32;

const VARIANTS = ['log, a stream each', 'log, one stream', 'transaction each'] as const;

/** Every append of a caller has a stream, a place in it, a key and a payload of its own. */
type AppendOne = (caller: number, seq: number, key: string) => Promise<unknown>;

export default defineBench({
  name: 'log',
  summary: 'durable appends to the event log, against one transaction per append on the same server',
  options: {
    callers: {
      type: 'numbers',
      default: [1, 16, 256],
      min: 1,
      max: 4096,
      help: 'callers, each waiting for its answer',
    },
    seconds: { type: 'number', default: 3, quick: 0.3, min: 0.1, max: 600, help: 'length of one measurement' },
    rounds: {
      type: 'number',
      default: 5,
      quick: 1,
      min: 1,
      max: 99,
      help: 'measurements of each, the median is shown',
    },
  },
  async run({ options, progress }) {
    const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-bench-log-'));
    const postgres = await EmbeddedPostgres.start({ dataDir });
    const database = await Database.open({ url: postgres.url });
    try {
      await migrate(database);
      const results = [];
      let goalPerSecond = Number.NaN;
      for (const callers of options.callers) {
        const measured = await alternate(VARIANTS, options.rounds, async (variant, round) => {
          progress(`${callers} callers, round ${round + 1} of ${options.rounds}: ${variant}`);
          return measure(variant, database, callers, options.seconds * 1000);
        });
        const perSecond = (variant: (typeof VARIANTS)[number]): number => median(measured[variant]);
        const plain = perSecond('transaction each');
        for (const variant of VARIANTS) {
          const rate = perSecond(variant);
          results.push({ variant, callers, appendsPerSecond: Math.round(rate), ratio: rate / plain });
        }
        if (callers === GOAL_CALLERS) goalPerSecond = Math.round(perSecond('log, a stream each'));
      }
      const wanted = options.callers.includes(GOAL_CALLERS);
      return {
        results,
        goals: wanted
          ? [atLeast(`durable appends at ${GOAL_CALLERS} callers`, goalPerSecond, GOAL_PER_SECOND, '1/s')]
          : [],
      };
    } finally {
      await database.close();
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  },
});

/** @returns appends per second that were answered */
async function measure(
  variant: (typeof VARIANTS)[number],
  database: Database,
  callers: number,
  lengthMs: number,
): Promise<number> {
  const run = randomBytes(6).toString('base64url');
  if (variant === 'transaction each') {
    const plain = await PlainAppend.open(database.url, Math.min(callers, PLAIN_CONNECTIONS_MAX));
    const rate = await drive(callers, lengthMs, run, (caller, seq, key) =>
      plain.append(`${run}/${caller}`, seq, Transferred.type, transfer(caller, seq), key),
    );
    await plain.close();
    return rate;
  }
  const log = new PostgresLog({ database, catalogue: new EventCatalogue([Transferred]) });
  let length = 0;
  const stream = `${ECONOMY_STREAM}-${run}`;
  const rate = await drive(callers, lengthMs, run, (caller, seq, key) =>
    log.append({
      stream: variant === 'log, one stream' ? stream : `${run}/${caller}`,
      expected: variant === 'log, one stream' ? length++ : seq - 1,
      events: [Transferred(transfer(caller, seq))],
      key,
      fingerprint: 'bench',
    }),
  );
  await log.close();
  return rate;
}

async function drive(callers: number, lengthMs: number, run: string, append: AppendOne): Promise<number> {
  let count = 0;
  const startMs = performance.now();
  const endMs = startMs + lengthMs;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let seq = 1; performance.now() < endMs; seq++) {
        await append(caller, seq, `${run}-${caller}-${seq}`);
        count++;
      }
    }),
  );
  return count / ((performance.now() - startMs) / 1000);
}

function transfer(caller: number, seq: number): ReturnType<typeof Transferred>['payload'] {
  return {
    legs: [
      [`player:a-payer${caller}`, 'coins', -seq],
      [`player:a-payee${caller}`, 'coins', seq],
    ],
    items: [],
    reason: 'bench',
    cause: 'player',
  };
}
