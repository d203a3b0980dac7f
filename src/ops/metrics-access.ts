/** Who may read `/metrics`: everybody, or bearers of the configured token. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode } from '../kernel/errors.ts';
import { isBearer } from './panel-access.ts';
import type { RateLimit } from './rate-limit.ts';

export interface MetricsAccessOptions {
  /** Undefined: open. */
  readonly token: string | undefined;
  /** Of wrong tokens, by network. */
  readonly wrongTokens: RateLimit;
}

export class MetricsAccess {
  readonly #options: MetricsAccessOptions;

  constructor(options: MetricsAccessOptions) {
    this.#options = options;
  }

  /** Why not; undefined for those who may. A wrong token is counted. */
  refusalOf(headers: IncomingHttpHeaders, network: string): ErrorCode | undefined {
    const { token, wrongTokens } = this.#options;
    if (token === undefined) return undefined;
    if (wrongTokens.isSpent(network)) return 'RATE_LIMITED';
    if (headers.authorization === undefined) return 'AUTH_MISSING';
    if (isBearer(headers, token)) return undefined;
    wrongTokens.take(network);
    return 'AUTH_SIGNATURE';
  }
}
