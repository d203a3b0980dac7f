/** What makes a process drain other than a signal: an operator over HTTP, or another process that an operator has asked. */
import { GameError } from '../kernel/errors.ts';
import type { ClusterStore, ProcessAnswer, ProcessRequest } from './cluster-store.ts';
import type { ClusterLog } from './membership.ts';

/** From asking another process to drain to its word that it heard, ms. */
const ASK_MS = 2_000;

export class DrainRequests {
  readonly #log: ClusterLog;
  readonly #wanted = Promise.withResolvers<string>();

  constructor(log: ClusterLog) {
    this.#log = log;
  }

  /** Resolves with who wanted it. */
  get requested(): Promise<string> {
    return this.#wanted.promise;
  }

  request(by: string): void {
    this.#wanted.resolve(by);
  }

  /** What another process asks of this one; undefined if it is none of this. */
  answer(request: ProcessRequest): Promise<ProcessAnswer> | undefined {
    if (request.kind !== 'drain') return undefined;
    this.#log.warn({ by: request.by }, 'another process passes on that this one is to drain');
    this.request(request.by);
    return Promise.resolve({ outcome: 'draining' });
  }
}

/**
 * Resolves once the process has heard that it is to drain.
 * @throws GameError STORE_UNAVAILABLE if it does not answer; PROCESS_UNAVAILABLE if it answers that it does not
 */
export async function askToDrain(store: ClusterStore, processId: string, by: string): Promise<void> {
  const { outcome } = await store.ask(processId, { kind: 'drain', by }, ASK_MS);
  if (outcome !== 'draining') throw new GameError('PROCESS_UNAVAILABLE', { processId, outcome });
}
