/** The list of routes for people: `docs/api.md`. */
import { refusalsOf } from './openapi.ts';
import type { Route } from './route.ts';

const HEAD = `# HTTP API

Written by \`npm run api:docs\` from the routes that are served; a test holds the two together. The shapes of what goes in and
out are in [openapi.json](openapi.json), which a server also gives at \`/api/openapi.json\`; codes are in [errors.md](errors.md).

- Bodies are JSON with \`Content-Type: application/json\`, at most 64 KiB; a member that is not known, or twice there, is refused.
- Who asks is said by \`Authorization: Bearer <token>\`. \`/auth/*\` has the paths and shapes of the Colyseus SDK's \`client.auth\`.
- A command marked *key* needs an \`Idempotency-Key\` header of 1 to 64 printable ASCII characters: new for every command, the
  same for its repeats. It happens once; the same key with another command is \`KEY_REUSED\`. Keys belong to the player and route.
- A refusal is \`{code, error}\` with facts beside these. \`Retry-After\` says when the same request may succeed.
- One player may ask 20 questions and give 10 commands a second, with bursts of 100 and 60; above that \`RATE_LIMITED\`.
- Members may be added to answers at any time: ignore those you do not know.
`;

/** Codes that any route may answer with, so that lines need not repeat them. */
const EVERYWHERE = new Set([
  'INTERNAL',
  'RATE_LIMITED',
  'INVALID_INPUT',
  'TOO_LARGE',
  'FOREIGN_ORIGIN',
  'AUTH_MISSING',
  'AUTH_MALFORMED',
  'AUTH_EXPIRED',
  'AUTH_SIGNATURE',
  'AUTH_REVOKED',
  'NOT_ALLOWED',
  'KEY_MISSING',
  'KEY_REUSED',
]);

export function apiGuide(routes: readonly Route[]): string {
  const byTag = Map.groupBy(routes, ({ tag }) => tag.toLowerCase());
  const sections = [...byTag].sort(([a], [b]) => (a < b ? -1 : 1)).map(([tag, of]) => section(tag, of));
  return `${HEAD}\n${sections.join('\n')}`;
}

function section(tag: string, routes: readonly Route[]): string {
  const lines = routes.map((route) => {
    const codes = refusalsOf(route).filter((code) => !EVERYWHERE.has(code));
    const who = route.role === 'nobody' ? 'anybody' : String(route.role);
    return `| \`${route.method} ${route.path}\` | ${who}${route.needsKey ? ', *key*' : ''} | ${route.summary} | ${codes
      .map((code) => `\`${code}\``)
      .join(' ')} |`;
  });
  const title = tag.charAt(0).toUpperCase() + tag.slice(1);
  return `## ${title}\n\n| route | who | what | refusals of its own |\n| --- | --- | --- | --- |\n${lines.join('\n')}\n`;
}
