/** Builds the browser client when its sources changed since it was last built. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What goes into the client, from the root of the project. */
const SOURCES = ['clients/browser', 'src/sim', 'src/kernel', 'schema', 'package-lock.json'];
const CLIENT = 'clients/browser';
const DIST = join(ROOT, CLIENT, 'dist');
/** Holds the hash of the sources that the build was made of. Hidden, so that it is not served. */
const STAMP = join(DIST, '.sources');
const VITE = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');

export type BuildOutcome = 'current' | 'built' | 'unbuildable';

/**
 * Makes the build current. Without Vite (a production install) a build that is there is taken as it is.
 * @param say told when a build begins
 * @returns `unbuildable` when there is neither a build nor Vite
 * @throws Error with Vite's output if the build fails
 */
export async function buildClient(say: (text: string) => void): Promise<BuildOutcome> {
  if (!existsSync(VITE)) return existsSync(join(DIST, 'index.html')) ? 'current' : 'unbuildable';
  const hash = await sourceHash();
  const built = await readFile(STAMP, 'utf8').catch(() => undefined);
  if (built === hash) return 'current';
  say(built === undefined ? 'building the client' : 'building the client: its sources changed');
  await runVite();
  await writeFile(STAMP, hash);
  return 'built';
}

/** Names and contents: dates differ from checkout to checkout. */
async function sourceHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    for (const path of await filesOf(join(ROOT, source))) {
      hash
        .update(`${relative(ROOT, path)}\0`)
        .update(await readFile(path))
        .update('\0');
    }
  }
  return hash.digest('hex');
}

async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (entries === undefined) return [path];
  const inner = entries
    .filter(({ name }) => name !== 'dist' && name !== 'node_modules' && !name.startsWith('.'))
    .map((entry) => (entry.isDirectory() ? filesOf(join(path, entry.name)) : [join(path, entry.name)]));
  return (await Promise.all(inner)).flat().sort();
}

async function runVite(): Promise<void> {
  const child = spawn(process.execPath, [VITE, 'build', CLIENT, '--logLevel', 'warn'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the client does not build:\n${output.trim()}`);
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  if (words.includes('--help') || words.includes('-h')) {
    console.log('Usage: npm run build\n\nBuilds the browser client if its sources changed since the last build.');
  } else if (words.length > 0) {
    console.error(`npm run build takes no options, not ${words[0]}`);
    process.exitCode = 64;
  } else {
    const outcome = await buildClient((text) => console.log(text));
    console.log(`client: ${outcome}`);
    if (outcome === 'unbuildable') process.exitCode = 1;
  }
}
