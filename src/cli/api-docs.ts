/** `npm run api:docs`: writes what describes the HTTP API, from the routes themselves. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { apiGuide } from '../api/guide.ts';
import { describeRoutes } from '../api/openapi.ts';
import { API_VERSION, describedRoutes } from '../routes.ts';

const USAGE = `Usage: npm run api:docs

Writes docs/openapi.json and docs/api.md from the routes that are served.
`;
const DOCS = new URL('../../docs/', import.meta.url);

/** The files by name, as they must be. */
export function apiDocs(): Readonly<Record<'openapi.json' | 'api.md', string>> {
  const routes = describedRoutes();
  return {
    'openapi.json': `${JSON.stringify(describeRoutes(routes, API_VERSION), null, 2)}\n`,
    'api.md': apiGuide(routes),
  };
}

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = { help: { type: 'boolean', short: 'h' } } as const;
    const { values } = parseArgs({ args: [...argv], options });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  for (const [name, text] of Object.entries(apiDocs())) await writeFile(fileURLToPath(new URL(name, DOCS)), text);
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
