/**
 * Runs the test suite: `npm test [-- options] [files or folders]`; what takes minutes is in test/long and run by
 * `npm run test:long`, with a line of progress now and then. A cluster under every fault, of which each takes processes
 * down and waits for clocks, is in test/cluster-faults and run by `npm run test:faults`.
 *
 * Ends with the plain line `N passed, N failed`, mocha's own totals. Nothing is skipped silently: a pending test fails
 * the run. A file's position must not matter: `--shuffle` runs the files in a random order and prints the seed that
 * repeats it.
 */
import { existsSync, globSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Mocha from 'mocha';
import { nextBelow, seedSfc32 } from '../src/kernel/rng.ts';

const isFaults = process.argv.includes('--faults');
const isLong = isFaults || process.argv.includes('--long');
const USAGE = `Usage: npm ${isFaults ? 'run test:faults' : isLong ? 'run test:long' : 'test'} [-- options] [files or folders]

  --grep TEXT      only tests whose full name contains the text
  --shuffle [N]    files in a random order, given by the seed N
  --bail           stop at the first failure
  --timeout MS     for tests that set none, default 20000, of long ones 600000
  --reporter NAME  mocha reporter, default spec on a terminal, dot elsewhere
  --help           this text
`;
/** Tests that take minutes. */
const LONG = 'test/long';
const FAULTS = 'test/cluster-faults';
/** A long test that says nothing itself is named this often, ms. */
const PROGRESS_MS = 15_000;
/** After the last test everything a test started must be gone by this time, ms. */
const LINGER_MS = 10_000;

const OPTIONS = {
  grep: { type: 'string' },
  shuffle: { type: 'boolean' },
  bail: { type: 'boolean' },
  long: { type: 'boolean' },
  faults: { type: 'boolean' },
  timeout: { type: 'string' },
  reporter: { type: 'string' },
  help: { type: 'boolean' },
} as const;

function parse() {
  try {
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
const { values, positionals } = parse();
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

for (const path of positionals) {
  if (existsSync(path) || (values.shuffle && /^\d+$/.test(path))) continue;
  console.error(`there is no ${path}\n\n${USAGE}`);
  process.exit(2);
}
const wanted = values.shuffle ? positionals.filter((word) => !/^\d+$/.test(word)) : positionals;
const files = (wanted.length === 0 ? [isFaults ? FAULTS : isLong ? LONG : 'test'] : wanted)
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`) : [path]))
  .filter((path) => isLong || wanted.length > 0 || (!path.startsWith(`${LONG}/`) && !path.startsWith(`${FAULTS}/`)))
  .sort();
if (values.shuffle) {
  const seed = Number(positionals.find((word) => /^\d+$/.test(word)) ?? Date.now() % 1_000_000);
  shuffle(files, seed);
  console.log(`order of files: --shuffle ${seed}`);
}

const mocha = new Mocha({
  timeout: Number(values.timeout ?? (isLong ? 600_000 : 20_000)),
  reporter: values.reporter ?? (isLong || process.stdout.isTTY ? 'spec' : 'dot'),
  bail: values.bail === true,
  forbidOnly: process.env['CI'] !== undefined,
  forbidPending: true,
  ...(values.grep === undefined ? {} : { fgrep: values.grep }),
});
for (const file of files) mocha.addFile(file);
await mocha.loadFilesAsync();
const runner = mocha.run((failures) => {
  const { passes = 0, tests = 0 } = runner.stats ?? {};
  // Zero tests are no success: a glob that matches nothing would be green for ever.
  process.exitCode = failures > 0 || tests === 0 ? 1 : 0;
  const sayTotals = (): void => console.log(`${passes} passed, ${failures} failed`);
  setTimeout(() => {
    console.error(
      `still alive ${LINGER_MS / 1000} s after the last test: ${process.getActiveResourcesInfo().join(', ')}`,
    );
    sayTotals();
    process.exit(process.exitCode || 1);
  }, LINGER_MS).unref();
  process.once('exit', sayTotals);
});
if (isLong) sayProgress(runner);

/** Which test is running, and since when: a long one is not taken for one that hangs. */
function sayProgress(from: Mocha.Runner): void {
  let running: { readonly title: string; readonly sinceMs: number } | undefined;
  from.on('test', (test) => {
    running = { title: test.fullTitle(), sinceMs: performance.now() };
  });
  from.on('test end', () => {
    running = undefined;
  });
  setInterval(() => {
    if (running === undefined) return;
    console.log(`    … ${Math.round((performance.now() - running.sinceMs) / 1000)} s: ${running.title}`);
  }, PROGRESS_MS).unref();
}

function shuffle(items: string[], seed: number): void {
  const state = new Int32Array(4);
  seedSfc32(state, 0, seed);
  for (let at = items.length - 1; at > 0; at--) {
    const other = nextBelow(state, 0, at + 1);
    [items[at], items[other]] = [items[other]!, items[at]!];
  }
}
