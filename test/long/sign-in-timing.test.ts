import assert from 'node:assert/strict';
import { ARGON2 } from '../../src/accounts/password-hasher.ts';
import { type AccountsStage, accountsStage } from '../fixtures/accounts.ts';

const SAMPLES = 200;

/** Greatest distance of two distribution functions (Kolmogorov and Smirnov): 0 for the same, 1 for nothing in common. */
function distance(a: readonly number[], b: readonly number[]): number {
  const below = (samples: readonly number[], x: number) => samples.filter((one) => one <= x).length / samples.length;
  return Math.max(...[...a, ...b].map((x) => Math.abs(below(a, x) - below(b, x))));
}

describe('how long an answer takes', () => {
  let stage: AccountsStage;

  before(async () => {
    stage = await accountsStage({}, ARGON2);
  });
  after(() => stage.close());

  async function compare(what: string, one: (i: number) => Promise<unknown>, other: (i: number) => Promise<unknown>) {
    const times: [number[], number[]] = [[], []];
    for (let i = 0; i < SAMPLES; i++) {
      // In turns, and the first one in turns, so that whatever else the machine does meets both alike.
      for (const which of i % 2 === 0 ? [0, 1] : [1, 0]) {
        const startMs = performance.now();
        await (which === 0 ? one : other)(i).catch(() => undefined);
        times[which]!.push(performance.now() - startMs);
        stage.pass(60_000);
      }
    }
    const found = distance(...times);
    console.log(`  ${what}: distance ${found.toFixed(3)} of ${SAMPLES} samples each`);
    // The same distribution gives more than this once in 10,000 runs: 2.23 * sqrt(2 / n).
    assert.ok(found < 2.23 * Math.sqrt(2 / SAMPLES), `${what}: the two can be told apart, distance ${found}`);
  }

  it('does not tell a known e-mail from an unknown one at sign-in', async () => {
    await stage.accounts.register({ email: 'known@example.org', password: 'correct horse' }, 'home');
    const signIn = (email: string, i: number) => stage.accounts.signIn({ email, password: `guess ${i}` }, `n${i}`);
    await compare(
      'sign-in',
      (i) => signIn('known@example.org', i),
      (i) => signIn('unknown@example.org', i),
    );
  });

  it('does not tell a known e-mail from an unknown one at registration', async () => {
    const register = (email: string, i: number) =>
      stage.accounts.register({ email, password: `password ${i}` }, `r${i}`);
    await compare(
      'registration',
      (i) => register('known@example.org', i),
      (i) => register(`unknown-${i}@example.org`, i),
    );
  });
});
