/** A cluster as commands find it: in its Redis, whoever has started it. */
import { randomUUID } from 'node:crypto';
import { RedisCanary } from '../../adapters/redis-canary.ts';
import { RedisCluster } from '../../adapters/redis-cluster.ts';
import type { CanaryStore } from '../../cluster/canary-desk.ts';
import type { ClusterStore } from '../../cluster/cluster-store.ts';
import type { ProcessCard } from '../../cluster/directory.ts';

/** One question, ms: nobody waits for a command but its user. */
const TIMEOUT_MS = 5_000;

export interface SharedCluster {
  readonly store: ClusterStore;
  readonly canary: CanaryStore;
  close(): Promise<void>;
}

/** @throws GameError STORE_UNAVAILABLE */
export async function openShared(url: string): Promise<SharedCluster> {
  // It listens for answers as a process would, and is none: it never beats.
  const store = await RedisCluster.open({ url, processId: `command-${randomUUID()}`, timeoutMs: TIMEOUT_MS });
  const canary = new RedisCanary({ url, timeoutMs: TIMEOUT_MS });
  return {
    store,
    canary,
    async close() {
      await canary.close();
      await store.close();
    },
  };
}

export interface ListedProcess extends ProcessCard {
  /** False if it does not listen to the others: it is dead, and they are about to find out. */
  readonly isListening: boolean;
}

/** In the order of their roles and ids. */
export async function listProcesses(store: ClusterStore): Promise<readonly ListedProcess[]> {
  const cards = (await store.processes()).map(({ card }) => card);
  const listeners = await store.listeners(cards.map(({ processId }) => processId));
  return cards
    .map((card, at) => ({ ...card, isListening: listeners[at] !== 0 }))
    .sort((a, b) => orderOf(a).localeCompare(orderOf(b)));
}

const orderOf = ({ roles, processId }: ProcessCard): string => `${[...roles].sort().join(',')} ${processId}`;
