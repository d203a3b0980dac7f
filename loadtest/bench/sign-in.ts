/**
 * Whether the time of an answer tells if an e-mail is known: guesses at a known and at an unknown address in turns, on a
 * real database with real hashes, and beside it two known addresses, which show what noise alone gives.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Accounts } from '../../src/accounts/accounts.ts';
import { PasswordHasher } from '../../src/accounts/password-hasher.ts';
import { Database } from '../../src/adapters/database.ts';
import { EmbeddedPostgres } from '../../src/adapters/embedded-postgres.ts';
import { migrate } from '../../src/adapters/migrate.ts';
import { PostgresAccounts } from '../../src/adapters/postgres-accounts.ts';
import { PostgresLog } from '../../src/adapters/postgres-log.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { RateLimit } from '../../src/ops/rate-limit.ts';
import { generateTokenKey, Tokens } from '../../src/sessions/tokens.ts';
import { atMost, defineBench, median } from './bench.ts';

/** Two samples of one distribution lie further apart than this, in units of `sqrt(2 / n)`, once in 10,000 runs. */
const NOISE = 2.23;

/** @returns how long one call took, ms */
type Ask = (i: number) => Promise<number>;

export default defineBench({
  name: 'sign-in',
  summary: 'whether the time of an answer tells a known e-mail from an unknown one',
  options: {
    samples: { type: 'number', default: 200, quick: 10, min: 10, max: 100_000, help: 'answers timed of each' },
  },
  async run({ options, progress }) {
    const { samples } = options;
    const dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-bench-sign-in-'));
    const postgres = await EmbeddedPostgres.start({ dataDir });
    const database = await Database.open({ url: postgres.url });
    const log = new PostgresLog({ database, catalogue: EVENTS });
    try {
      await migrate(database);
      // The guesses are ours: no budget for wrong ones gets in the way.
      const unlimited = () => new RateLimit({ burst: 1e9, perSecond: 1e9, addressesMax: 1e6 });
      const accounts = await Accounts.open({
        store: new PostgresAccounts(database, (tx, append) => log.appendWithin(tx, append)),
        log,
        tokens: await Tokens.withKey(await generateTokenKey(), { minutes: 15 }),
        hasher: new PasswordHasher(),
        wrongPerPair: unlimited(),
        wrongPerNetwork: unlimited(),
        exporters: {},
      });
      for (const name of ['known', 'other']) {
        await accounts.register({ email: `${name}@example.org`, password: 'correct horse' }, 'home');
      }
      const signIn =
        (name: string): Ask =>
        (i) =>
          timed(accounts.signIn({ email: `${name}@example.org`, password: `guess ${i}` }, `n${i}`));
      const register =
        (name: (i: number) => string): Ask =>
        (i) =>
          timed(accounts.register({ email: `${name(i)}@example.org`, password: `${name(i)} ${i}` }, `r${i}`));
      const compared: readonly (readonly [what: string, one: Ask, other: Ask])[] = [
        ['sign-in: known, unknown', signIn('known'), signIn('unknown')],
        ['sign-in: known, known', signIn('known'), signIn('other')],
        ['registration: known, unknown', register(() => 'known'), register((i) => `unknown${i}`)],
        ['registration: unknown, unknown', register((i) => `nobody${i}`), register((i) => `no-one${i}`)],
      ];
      const results = [];
      for (const [what, one, other] of compared) {
        progress(`${what}: ${samples} answers each`);
        const times = await inTurns(one, other, samples);
        results.push({
          compared: what,
          samples,
          firstMs: median(times[0]),
          secondMs: median(times[1]),
          distance: distance(...times),
        });
      }
      const limit = Math.round(NOISE * Math.sqrt(2 / samples) * 1000) / 1000;
      return {
        results,
        goals: results
          .filter(({ compared: what }) => what.endsWith(': known, unknown'))
          .map((row) => atMost(`${row.compared}, distance`, row.distance, limit, '')),
      };
    } finally {
      await log.close();
      await database.close();
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  },
});

async function timed(answer: Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await answer.catch((error: unknown) => {
    if (!(error instanceof GameError)) throw error;
  });
  return performance.now() - startMs;
}

/** Who goes first takes turns, too, so that whatever else the machine does meets both alike. */
async function inTurns(one: Ask, other: Ask, samples: number): Promise<[number[], number[]]> {
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < samples; i++) {
    for (const which of i % 2 === 0 ? [0, 1] : [1, 0]) times[which]!.push(await (which === 0 ? one : other)(i));
  }
  return times;
}

/** Greatest distance of two distribution functions (Kolmogorov and Smirnov): 0 for the same, 1 for nothing in common. */
function distance(a: readonly number[], b: readonly number[]): number {
  const below = (samples: readonly number[], x: number) => samples.filter((one) => one <= x).length / samples.length;
  return Math.max(...[...a, ...b].map((x) => Math.abs(below(a, x) - below(b, x))));
}
