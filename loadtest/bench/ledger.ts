/**
 * Transfers between accounts: the ledger beside one transaction per transfer, by the same callers on the same server.
 * Every transfer has a key and is durable when it is answered. Afterwards the view is folded and the whole ledger
 * audited; a fault fails the bench.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/adapters/database.ts';
import { EmbeddedPostgres } from '../../src/adapters/embedded-postgres.ts';
import { migrate } from '../../src/adapters/migrate.ts';
import { economyView, PostgresEconomy } from '../../src/adapters/postgres-economy-view.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { grant, transfer } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { Projector } from '../../src/events/projector.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { nextUint32, seedSfc32 } from '../../src/kernel/rng.ts';
import { PlainTransfer } from '../peers/plain-transfer.ts';
import { alternate, atLeast, defineBench, median, type ResultRow } from './bench.ts';

const OPENING = 1_000_000;
const PLAIN_CONNECTIONS = 32;
const CHOICES = 1 << 18;
const SKEWS = ['uniform', 'hot'] as const;
type Skew = (typeof SKEWS)[number];
const VARIANTS = ['ledger, uniform', 'ledger, hot', 'plain, uniform', 'plain, hot'] as const;

type Transfer = (key: string, from: number, to: number, amount: number) => Promise<boolean>;

export default defineBench({
  name: 'ledger',
  summary: 'transfers between accounts, uniform and hot, against SELECT FOR UPDATE transactions on the same server',
  options: {
    accounts: { type: 'number', default: 10_000, min: 2, max: 1_000_000, help: 'accounts' },
    callers: { type: 'number', default: 1_024, min: 1, max: 8_192, help: 'callers, each waiting for its answer' },
    seconds: { type: 'number', default: 3, quick: 0.3, min: 0.1, max: 600, help: 'length of one measurement' },
    rounds: {
      type: 'number',
      default: 5,
      quick: 1,
      min: 1,
      max: 99,
      help: 'measurements of each; the median is shown',
    },
    zipf: { type: 'number', default: 1.5, min: 0.1, max: 4, help: 'exponent of the hot distribution' },
    views: { type: 'boolean', help: 'fold the view at the same time, on the same cores' },
  },
  async run({ options, progress }) {
    const { accounts, callers, rounds } = options;
    const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-bench-ledger-'));
    const postgres = await EmbeddedPostgres.start({ dataDir });
    const database = await Database.open({ url: postgres.url, timeoutMs: 60_000 });
    const plain = new PlainTransfer(postgres.url, PLAIN_CONNECTIONS);
    const views = new PostgresViews(database);
    const log = new PostgresLog({ database, catalogue: EVENTS });
    const projector = new Projector({ log, store: views, projections: [economyView()] });
    let ledger: Ledger | undefined;
    try {
      await migrate(database);
      await plain.open(accounts, OPENING);
      ledger = await Ledger.open({ log });
      const names = Array.from({ length: accounts }, (_, i) => `a-${String(i).padStart(22, '0')}`);
      await fund(ledger, names);
      const byLedger = ledgerTransfer(ledger, names);
      const byPlain: Transfer = (...args) => plain.transfer(...args);
      const choices = { uniform: choose(accounts, 0), hot: choose(accounts, options.zipf) };
      if (options.views) projector.start();
      const measured = await alternate(VARIANTS, rounds, async (variant, round) => {
        progress(`round ${round + 1} of ${rounds}: ${variant}`);
        const skew: Skew = variant.endsWith('hot') ? 'hot' : 'uniform';
        const run = variant.startsWith('ledger') ? byLedger : byPlain;
        return measure(run, choices[skew], callers, options.seconds * 1_000, `${variant}/${round}`);
      });
      progress('folding the view');
      const behind = (await log.head()) - (await views.checkpoint('view/economy')).position;
      const foldingFromMs = performance.now();
      if (!options.views) projector.start();
      await projector.caughtUp(await log.head(), ['economy'], 600_000);
      const foldedPerSecond = behind / ((performance.now() - foldingFromMs) / 1_000);
      progress('auditing');
      const view = await new PostgresEconomy(database).snapshot();
      const { faults, events } = await auditEconomy(log, { view });
      if (faults.length > 0) throw new Error(`the audit found ${faults.join('; ')}`);
      const of = (variant: (typeof VARIANTS)[number]) => median(measured[variant].map(({ perSecond }) => perSecond));
      const results = VARIANTS.map((variant): ResultRow => {
        const peer = variant.endsWith('hot') ? 'plain, hot' : 'plain, uniform';
        return {
          variant,
          callers,
          transfersPerSecond: Math.round(of(variant)),
          ratio: of(variant) / of(peer),
          refusedPercent: 100 * median(measured[variant].map(({ refusedShare }) => refusedShare)),
        };
      });
      results.push({
        variant: `view, ${behind} events behind after ${events}`,
        callers: null,
        transfersPerSecond: Math.round(foldedPerSecond),
        ratio: null,
        refusedPercent: null,
      });
      return {
        results,
        goals: [
          atLeast('transfers, uniform', Math.round(of('ledger, uniform')), 50_000, '1/s'),
          atLeast('transfers, hot', Math.round(of('ledger, hot')), 20_000, '1/s'),
        ],
      };
    } finally {
      await projector.stop();
      await views.close();
      await ledger?.close();
      await log.close();
      await plain.close();
      await database.close();
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  },
});

async function fund(ledger: Ledger, names: readonly string[]): Promise<void> {
  const why = { reason: 'bench', cause: 'bench' };
  for (let from = 0; from < names.length; from += 1_000) {
    await Promise.all(
      names
        .slice(from, from + 1_000)
        .map((name) => ledger.execute({ decide: grant(name, [['coins', OPENING]], [], why) })),
    );
  }
}

function ledgerTransfer(ledger: Ledger, names: readonly string[]): Transfer {
  return async (key, from, to, amount) => {
    try {
      await ledger.execute({ key, decide: transfer(names[from]!, names[to]!, 'coins', amount) });
      return true;
    } catch (error) {
      if (error instanceof GameError && error.code === 'FUNDS_SHORT') return false;
      throw error;
    }
  };
}

/** Accounts as they are drawn; the n-th is drawn in proportion to 1 / n^exponent. */
function choose(accounts: number, exponent: number): Int32Array {
  const rng = new Int32Array(4);
  seedSfc32(rng, 0, 20_261_123);
  const sums = new Float64Array(accounts);
  let sum = 0;
  for (let i = 0; i < accounts; i++) {
    sum += 1 / (i + 1) ** exponent;
    sums[i] = sum;
  }
  return Int32Array.from({ length: CHOICES }, () => {
    const wanted = (nextUint32(rng, 0) / 2 ** 32) * sum;
    let low = 0;
    let high = accounts - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

async function measure(
  run: Transfer,
  choices: Int32Array,
  callers: number,
  ms: number,
  name: string,
): Promise<{ perSecond: number; refusedShare: number }> {
  let next = 0;
  let done = 0;
  let refused = 0;
  const accounts = new Set(choices).size;
  const beganAtMs = performance.now();
  const until = beganAtMs + ms;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < until) {
        const i = next++;
        const from = choices[(2 * i) % CHOICES]!;
        const drawn = choices[(2 * i + 1) % CHOICES]!;
        const to = drawn === from ? (from + 1) % accounts : drawn;
        if (await run(`${name}/${i}`, from, to, 1 + (i % 7))) done++;
        else refused++;
      }
    }),
  );
  return { perSecond: done / ((performance.now() - beganAtMs) / 1_000), refusedShare: refused / (done + refused) };
}
