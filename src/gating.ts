/**
 * What a gate stands on: the key of hop marks and, where it stands alone, its own place in the cluster. Picks adapters
 * and decides nothing. Loads neither the framework nor a database, so that a gate alone is up in a moment.
 */
import { randomBytes } from 'node:crypto';
import type { ProcessCard } from './cluster/directory.ts';
import { type HopKey, HopMarks } from './cluster/hop-mark.ts';
import type { Config } from './config.ts';
import type { GateServer } from './gate-server.ts';
import type { Logger } from './ops/logger.ts';

export interface Hops {
  readonly marks: HopMarks;
  close(): void;
}

/** Marks that all processes of the cluster understand. @throws GameError STORE_UNAVAILABLE */
export async function openHops({ stores: { redisUrl: url } }: Config): Promise<Hops> {
  if (url === undefined) {
    // Nobody passes anything on to a process that is alone: its key is its own, and a mark from outside never fits.
    const key = randomBytes(32);
    const own: HopKey = { current: key, accepted: [key], onMismatch: () => {} };
    return { marks: new HopMarks({ key: own }), close: () => {} };
  }
  const { RedisHopKey } = await import('./adapters/redis-hop-key.ts');
  const key = await RedisHopKey.open({ url });
  return { marks: new HopMarks({ key }), close: () => key.close() };
}

/**
 * A gate that stands alone, with its place in the cluster; it still has to listen.
 * @throws GameError STORE_UNAVAILABLE
 */
export async function createGate({ config, log }: { config: Config; log: Logger }): Promise<GateServer> {
  const [{ RedisCluster }, { DrainRequests }, { Membership }, { membershipMetrics }, { GateServer }] =
    await Promise.all([
      import('./adapters/redis-cluster.ts'),
      import('./cluster/drain-requests.ts'),
      import('./cluster/membership.ts'),
      import('./cluster-metrics.ts'),
      import('./gate-server.ts'),
    ]);
  const processId = `gate-${randomBytes(6).toString('hex')}`;
  const hops = await openHops(config);
  const ends: (() => unknown)[] = [() => hops.close()];
  const close = async (): Promise<void> => {
    for (const end of ends.reverse()) await end();
  };
  try {
    const store = await RedisCluster.open({ url: config.stores.redisUrl!, processId });
    ends.push(() => store.close());
    let server: GateServer | undefined;
    // Nobody is ever sent to it by its card: it tells who is there, and lets it hear of the others.
    const card = (): ProcessCard => ({
      processId,
      host: config.cluster.advertise?.host ?? config.http.host,
      port: config.cluster.advertise?.port ?? server?.port ?? 0,
      roles: config.cluster.roles,
      buildId: config.buildId,
      region: config.cluster.region,
      plays: {},
      canAdopt: false,
      isDraining: server?.health.phase === 'draining',
      load: { tickP99Ms: 0, players: 0, rooms: 0, matchSlots: 0, matchSlotsAvailable: 0 },
    });
    const drains = new DrainRequests(log);
    store.onRequest((request) => drains.answer(request));
    const membership = new Membership({ store, processId, card, log });
    ends.push(() => membership.leave());
    await membership.join();
    log.info({ processId, roles: config.cluster.roles }, 'member of the cluster');
    server = new GateServer({
      config,
      log,
      directory: membership,
      marks: hops.marks,
      processId,
      drainRequested: drains.requested,
      clusterMetrics: () => membershipMetrics(membership),
      onClose: close,
    });
    return server;
  } catch (error) {
    await close();
    throw error;
  }
}
