/** What every peer server answers besides its game: `/readyz`, and `/metrics` with the delay of its event loop. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

/**
 * Answers the two paths; a scrape begins a new window of the delay.
 * @returns whether the request was one of them
 */
export function answerPeerRequest(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.url === '/readyz') {
    response.end('ready');
    return true;
  }
  if (request.url !== '/metrics') return false;
  response.setHeader('content-type', 'text/plain; version=0.0.4');
  response.end(`nodejs_eventloop_lag_p99_seconds ${delay.percentile(99) / 1e9}\n`);
  delay.reset();
  return true;
}

/**
 * The command line of a peer: every option is a number except `strings`.
 * @throws TypeError naming an option that is unknown or not a number
 */
export function peerOptions<Name extends string>(defaults: Readonly<Record<Name, number>>): Record<Name, number> {
  const { values } = parseArgs({
    options: Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' as const }])),
  });
  const options = { ...defaults } as Record<Name, number>;
  for (const [name, text] of Object.entries(values)) {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new TypeError(`--${name} is a number, not ${text}`);
    options[name as Name] = value;
  }
  return options;
}
