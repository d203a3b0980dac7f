/** `npm run env:example`: writes `.env.example` from the configuration; a test holds the two together. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { envExample } from '../config.ts';

const FILE = fileURLToPath(new URL('../../.env.example', import.meta.url));

const [word] = process.argv.slice(2);
if (word === '--help' || word === '-h') {
  process.stdout.write('Usage: npm run env:example\n\nWrites .env.example from the settings in src/config.ts.\n');
} else if (word !== undefined) {
  process.stderr.write('Usage: npm run env:example\n');
  process.exitCode = 2;
} else {
  writeFileSync(FILE, envExample());
}
