/**
 * Runs the test suite: `npm test [-- options] [files or folders]`; what takes minutes is in test/long and run by
 * `npm run test:long`, with a line of progress now and then. A cluster under every fault, of which each takes processes
 * down and waits for clocks, is in test/cluster-faults and run by `npm run test:faults`.
 *
 * Ends with the plain line `N passed, N failed`, mocha's own totals. Nothing is skipped silently: a pending test fails
 * the run. A file's position must not matter: `--shuffle` runs the files in a random order and prints the seed that
 * repeats it.
 *
 * Short tests mostly wait, so the files are dealt out to several processes, each of which runs its own to the end and
 * must end by itself: what a test leaves behind is noticed there. Failures are told when all have ended.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, statSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
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
  --jobs N         processes that the files are dealt out to, default one a core, at most 4; of long ones always 1
  --reporter NAME  mocha reporter, by one process; default spec on a terminal, dot elsewhere
  --help           this text
`;
/** Tests that take minutes. */
const LONG = 'test/long';
const FAULTS = 'test/cluster-faults';
/** A long test that says nothing itself is named this often, ms. */
const PROGRESS_MS = 15_000;
/** After the last test everything a test started must be gone by this time, ms. */
const LINGER_MS = 10_000;
/** More processes than that would wait for each other's servers. */
const JOBS_MAX = 4;
const DOTS_PER_LINE = 100;
/** Where a part tells of its tests: no channel of Node's own, which parts of the program would take for theirs. */
const PART_FD = 3;
let dots = 0;

/** Every test to the process that dealt them out; what failed, in the end, to stdout. */
class PartReporter extends Mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.on('pass', () => writeSync(PART_FD, '.'));
    runner.on('fail', () => writeSync(PART_FD, '!'));
    runner.once('end', () => this.epilogue());
  }
}

const OPTIONS = {
  grep: { type: 'string' },
  shuffle: { type: 'boolean' },
  bail: { type: 'boolean' },
  long: { type: 'boolean' },
  faults: { type: 'boolean' },
  timeout: { type: 'string' },
  reporter: { type: 'string' },
  jobs: { type: 'string' },
  part: { type: 'boolean' },
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
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`).sort() : [path]))
  .filter((path) => isLong || wanted.length > 0 || (!path.startsWith(`${LONG}/`) && !path.startsWith(`${FAULTS}/`)));
if (values.shuffle) {
  const seed = Number(positionals.find((word) => /^\d+$/.test(word)) ?? Date.now() % 1_000_000);
  shuffle(files, seed);
  console.log(`order of files: --shuffle ${seed}`);
}

const isOne = isLong || values.part || values.reporter !== undefined;
const jobs = isOne ? 1 : Math.min(Number(values.jobs ?? Math.min(availableParallelism(), JOBS_MAX)), files.length);
if (!(jobs >= 1)) {
  console.error(`--jobs ${values.jobs}: a whole number from 1\n\n${USAGE}`);
  process.exit(2);
}
if (jobs > 1) await runInParts(jobs);
else await run();

interface Totals {
  readonly passes: number;
  readonly failures: number;
  readonly tests: number;
}

/** Runs the files here. A part of a run tells its parent of every test, and prints its failures only. */
async function run(): Promise<void> {
  const mocha = new Mocha({
    timeout: Number(values.timeout ?? (isLong ? 600_000 : 20_000)),
    reporter: values.part ? PartReporter : (values.reporter ?? (isLong || process.stdout.isTTY ? 'spec' : 'dot')),
    bail: values.bail === true,
    forbidOnly: process.env['CI'] !== undefined,
    forbidPending: true,
    ...(values.grep === undefined ? {} : { fgrep: values.grep }),
  });
  for (const file of files) mocha.addFile(file);
  await mocha.loadFilesAsync();
  const runner = mocha.run((failures) => {
    const { passes = 0, tests = 0 } = runner.stats ?? {};
    if (values.part) writeSync(PART_FD, JSON.stringify({ passes, failures, tests } satisfies Totals));
    // Zero tests are no success: a glob that matches nothing would be green for ever.
    process.exitCode = failures > 0 || (tests === 0 && !values.part) ? 1 : 0;
    const sayTotals = (): void => {
      if (!values.part) console.log(`${passes} passed, ${failures} failed`);
    };
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
}

/** Deals the files out to processes and sums up what they say. */
async function runInParts(count: number): Promise<void> {
  const { grep, bail, timeout } = values;
  const options = [
    ...(grep === undefined ? [] : ['--grep', grep]),
    ...(timeout === undefined ? [] : ['--timeout', timeout]),
    ...(bail ? ['--bail'] : []),
  ];
  const dealt = Array.from({ length: count }, (_, part) => files.filter((_file, at) => at % count === part));
  const ended = await Promise.all(dealt.map((own) => runPart([...options, '--part', ...own])));
  let [passes, failures, tests] = [0, 0, 0];
  for (const { totals, output, code } of ended) {
    process.stdout.write(output);
    passes += totals?.passes ?? 0;
    failures += totals?.failures ?? 0;
    tests += totals?.tests ?? 0;
    if (totals === undefined)
      console.error(`a process with a part of the tests ended with ${code} in the middle of it`);
    if (totals === undefined || code !== 0) process.exitCode = 1;
  }
  if (tests === 0) process.exitCode = 1;
  console.log(`${passes} passed, ${failures} failed`);
}

/** @returns what it printed, and its totals unless it ended before its tests did */
function runPart(
  args: readonly string[],
): Promise<{ totals: Totals | undefined; output: string; code: number | string }> {
  const child = spawn(process.execPath, [import.meta.filename, ...args], {
    stdio: ['inherit', 'pipe', 'inherit', 'pipe'],
  });
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  let report = '';
  (child.stdio[PART_FD] as Readable).setEncoding('utf8').on('data', (text: string) => {
    report += text;
    for (const dot of text.match(/[.!]/g) ?? [])
      process.stdout.write(dots++ % DOTS_PER_LINE === 0 ? `\n  ${dot}` : dot);
  });
  const stop = (): boolean => child.kill();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return new Promise((resolve) =>
    child.once('close', (code, signal) => {
      const totals = /\{.*\}$/.exec(report)?.[0];
      resolve({
        totals: totals === undefined ? undefined : (JSON.parse(totals) as Totals),
        output,
        code: code ?? signal ?? 1,
      });
    }),
  );
}

/** Which test of how many is running, and since when: a long one is not taken for one that hangs. */
function sayProgress(from: Mocha.Runner): void {
  const startedMs = performance.now();
  let begun = 0;
  let running: { readonly title: string; readonly sinceMs: number } | undefined;
  const seconds = (sinceMs: number): string => `${Math.round((performance.now() - sinceMs) / 1000)} s`;
  from.on('test', (test) => {
    begun++;
    running = { title: test.fullTitle(), sinceMs: performance.now() };
    if (isFaults) console.log(`    ${begun} of ${from.total}, after ${seconds(startedMs)}: ${test.title}`);
  });
  from.on('test end', () => {
    running = undefined;
  });
  setInterval(() => {
    if (running === undefined) return;
    console.log(`    … ${begun} of ${from.total}, since ${seconds(running.sinceMs)}: ${running.title}`);
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
