/**
 * What operators do to a cluster while it runs, as one process takes part in it: the canary, drains that are asked for, and
 * the routes for both. Joins the parts, decides nothing.
 */
import type { Route } from './api/route.ts';
import { describeCanary, parseCanary } from './cluster/canary.ts';
import { CanaryDesk, type CanaryStore } from './cluster/canary-desk.ts';
import type { ClusterStore } from './cluster/cluster-store.ts';
import { askToDrain, DrainRequests } from './cluster/drain-requests.ts';
import type { Membership } from './cluster/membership.ts';
import type { Config } from './config.ts';
import { GameError } from './kernel/errors.ts';
import type { Logger } from './ops/logger.ts';
import { opsRoutes } from './ops-routes.ts';

export interface OperationsOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly canary: CanaryStore;
  /** Another build is tried, or none, or on others. */
  readonly onCanary: () => void;
  /** There once the framework has given this process its id. */
  readonly cluster: () => {
    readonly membership: Pick<Membership, 'processId' | 'processes'>;
    readonly store: ClusterStore;
  };
}

export interface Operations {
  readonly desk: CanaryDesk;
  readonly routes: readonly Route[];
  /** Of this process, over HTTP or by another process. */
  readonly drains: DrainRequests;
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createOperations({ config, log, canary, onCanary, cluster }: OperationsOptions): Operations {
  const drains = new DrainRequests(log);
  const desk = new CanaryDesk({
    store: canary,
    buildId: config.buildId,
    initial: config.cluster.canary === undefined ? undefined : parseCanary(config.cluster.canary),
    processes: () => cluster().membership.processes(),
    onChange({ state, revision, by }) {
      log.info({ revision, by }, `canary: ${describeCanary(state)}`);
      onCanary();
    },
    onFault: (error) => log.warn({ err: error }, 'the canary cannot be read; what was known goes on'),
  });
  // Once the answer is on its way: a drain closes connections.
  const drainSoon = (by: string): void => void setTimeout(() => drains.request(by), 50);
  const routes = opsRoutes({
    processId: () => cluster().membership.processId,
    processes: () => cluster().membership.processes(),
    rooms: async () => {
      const { store } = cluster();
      const rooms = await Promise.all((await store.owners()).map((processId) => store.roomsOf(processId)));
      return rooms.flat();
    },
    async drain(processId, by) {
      const { membership, store } = cluster();
      if (processId === membership.processId) drainSoon(by);
      else if (!membership.processes().some((card) => card.processId === processId)) {
        throw new GameError('PROCESS_UNKNOWN', { processId });
      } else await askToDrain(store, processId, by);
    },
    canary: desk,
    cohorts: canary,
    audit: (facts) => log.warn(facts, 'an operator acts'),
  });
  return {
    desk,
    routes,
    drains,
    start: () => desk.start(),
    close: () => desk.close(),
  };
}
