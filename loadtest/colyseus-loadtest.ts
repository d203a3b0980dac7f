/**
 * `npm run colyseus-loadtest -- SCRIPT [options]`: the official tool. It is a library: the script calls its `cli`,
 * which reads the options from the command line.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const USAGE = `Usage: npm run colyseus-loadtest -- SCRIPT --room NAME [--numClients N] [--endpoint URL] [--output FILE]

For example:
  npm run colyseus-loadtest -- loadtest/arena.ts --room arena --numClients 50 --endpoint ws://localhost:2567

SCRIPT --help lists all options of the tool. For numbers and limits: npm run loadtest -- --help
`;

const [script] = process.argv.slice(2);
if (script === '--help' || script === '-h') {
  process.stdout.write(USAGE);
} else if (script === undefined || script.startsWith('-')) {
  process.stderr.write(`The script comes first.\n\n${USAGE}`);
  process.exitCode = 2;
} else {
  const path = resolve(script);
  // As if the script had been started itself: the tool reads everything behind it.
  process.argv.splice(1, 2, path);
  await import(pathToFileURL(path).href);
}
