/**
 * A gate before one process, alone or mounted in a server that has no rooms of its own: what passing on costs, and
 * nothing else. The directory never changes its mind.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { RouteTotals } from '../../src/api/route-totals.ts';
import type { ClusterDirectory, ProcessCard } from '../../src/cluster/directory.ts';
import { GateTotals } from '../../src/cluster/gate-totals.ts';
import { HopMarks } from '../../src/cluster/hop-mark.ts';
import { readConfig } from '../../src/config.ts';
import { GateServer } from '../../src/gate-server.ts';
import { HttpServer } from '../../src/http-server.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { Health } from '../../src/ops/health.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { Metrics } from '../../src/ops/metrics.ts';

const { values } = parseArgs({
  options: { port: { type: 'string' }, owner: { type: 'string' }, mounted: { type: 'boolean' } },
});

const owner = { processId: 'owner', host: '127.0.0.1', port: Number(values.owner) };
const directory = {
  processes: () => [{ ...owner, roles: ['realtime'], isDraining: false } as unknown as ProcessCard],
  placeOf: async () => ({ state: 'running', ...owner }) as const,
  onOwner: () => () => {},
  onDeath: () => () => {},
} satisfies ClusterDirectory;

const key = randomBytes(32);
const marks = new HopMarks({ key: { current: key, accepted: [key], onMismatch: () => {} } });
const config = readConfig({ HYPOGEUM_PORT: values.port ?? '0', HYPOGEUM_HOST: '127.0.0.1', HYPOGEUM_PROXY_HOPS: '1' });
const log = createLogger({ level: 'warn', isProduction: true, buildId: 'bench' });

function mounted(): HttpServer {
  const health = new Health();
  return new HttpServer({
    config,
    log,
    health,
    metrics: new Metrics({ buildId: 'bench', health, load: () => ({ players: 0, rooms: 0 }) }),
    rooms: {},
    api: {
      routes: [],
      identify: async () => {
        throw new GameError('AUTH_MISSING');
      },
      totals: new RouteTotals(),
    },
    roomGate: { directory: () => directory, marks, totals: new GateTotals() },
    monitorPasswordHash: '',
    clientDir: '/nonexistent',
  });
}

await (values.mounted === true ? mounted() : new GateServer({ config, log, directory, marks })).listen();
process.once('SIGTERM', () => process.exit());
