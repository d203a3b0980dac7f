/** `npm run check`: what holds before any test runs. Every step runs, so that one run tells all that is wrong. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const USAGE = `Usage: npm run check [-- STEP...]

  types    the type checker, over server, tests and browser client
  style    Biome: format and lint
  imports  who may import whom, see .dependency-cruiser.mjs

Without a step all of them. Exits with 1 if any fails, with 2 on wrong usage.
`;

type Step = 'types' | 'style' | 'imports';

/** Programs of each step, with arguments. */
const STEPS: Readonly<Record<Step, readonly (readonly [program: string, ...args: string[]])[]>> = {
  types: [['node_modules/.bin/tsc'], ['node_modules/.bin/tsc', '-p', 'clients/browser']],
  style: [['node_modules/.bin/biome', 'check', '--error-on-warnings']],
  imports: [[process.execPath, 'test/boundaries/check-imports.ts']],
};

/** @returns the exit code */
function main(argv: readonly string[]): number {
  const { values, positionals } = readLine(argv);
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = positionals.filter((word) => !Object.hasOwn(STEPS, word));
  if (unknown.length > 0) {
    process.stderr.write(`There is no step ${unknown.join(', ')}.\n\n${USAGE}`);
    return 2;
  }
  const steps = (positionals.length > 0 ? positionals : Object.keys(STEPS)) as Step[];
  const failed = steps.filter((step) => STEPS[step].map(run).includes(false));
  if (failed.length > 0) process.stderr.write(`npm run check failed: ${failed.join(', ')}\n`);
  return failed.length > 0 ? 1 : 0;
}

function readLine(argv: readonly string[]): { values: { help?: boolean }; positionals: string[] } {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function run([program, ...args]: readonly [string, ...string[]]): boolean {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (error !== undefined) throw error;
  return status === 0;
}

process.exitCode = main(process.argv.slice(2));
