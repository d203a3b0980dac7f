/** Every route that a process serves under `/api`, `/auth` and `/.well-known`, in one list, for serving and describing. */
import { accountAdminRoutes } from './accounts/admin-routes.ts';
import { type AccountRoutesOptions, accountRoutes } from './accounts/routes.ts';
import { openApiRoute } from './api/openapi.ts';
import type { Route } from './api/route.ts';
import { type EconomyRoutesDeps, economyRoutes } from './economy/routes.ts';
import { type FriendRouteDeps, friendRoutes } from './friends/routes.ts';
import type { Leaderboards } from './leaderboards/leaderboards.ts';
import { leaderboardRoutes } from './leaderboards/routes.ts';
import type { ReplayStore } from './match/replay-store.ts';
import type { Matchmaking } from './matchmaking/matchmaking.ts';
import { matchmakingRoutes } from './matchmaking/routes.ts';
import type { RatingReader } from './ratings/rating-reader.ts';
import { ratingRoutes } from './ratings/routes.ts';
import { replayRoutes } from './replay-routes.ts';
import type { ResultReader } from './results/result-reader.ts';
import { resultRoutes } from './results/routes.ts';

/** Version of the API, as its description tells it. Grows with what clients see, not with releases. */
export const API_VERSION = '1.0.0';

export interface RouteDeps extends AccountRoutesOptions, FriendRouteDeps {
  readonly economy: EconomyRoutesDeps;
  readonly results: ResultReader;
  readonly ratings: RatingReader;
  readonly leaderboards: Leaderboards;
  readonly matchmaking: Matchmaking;
  readonly replays: Pick<ReplayStore, 'list' | 'open'>;
}

export function allRoutes(deps: RouteDeps): Route[] {
  const routes = [
    ...accountRoutes(deps),
    ...accountAdminRoutes(deps),
    ...economyRoutes(deps.economy),
    ...friendRoutes(deps),
    ...leaderboardRoutes(deps.leaderboards),
    ...matchmakingRoutes(deps.matchmaking),
    ...ratingRoutes(deps),
    ...resultRoutes(deps),
    ...replayRoutes(deps.replays),
  ];
  return [...routes, openApiRoute(routes, API_VERSION)];
}

/** The same without anything behind them: to be described, not to be asked. */
export function describedRoutes(): Route[] {
  const nothing: unknown = new Proxy(() => undefined, { get: () => nothing });
  return allRoutes(nothing as RouteDeps);
}
