/** Joins the parts of matchmaking: its store, its queues, the matchers of this process, and what they ask of others. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Guard, GuardState } from './adapters/guard.ts';
import { ColyseusMatchRooms } from './adapters/match-rooms.ts';
import { MemoryTickets } from './adapters/memory-tickets.ts';
import type { ProcessCard } from './cluster/directory.ts';
import type { Config } from './config.ts';
import { type ErrorCode, GameError, refusalIn } from './kernel/errors.ts';
import { LIMITS } from './limits.ts';
import { PING_PATH } from './listening.ts';
import { createSteppingMatcher } from './matchmaking/matcher.ts';
import { Matchmaking } from './matchmaking/matchmaking.ts';
import type { Mode, PlayerFacts, Region } from './matchmaking/mode.ts';
import { Parties } from './matchmaking/parties.ts';
import { PoolWorker } from './matchmaking/pool-worker.ts';
import type { TicketCells } from './matchmaking/ticket-cells.ts';
import { TicketStore } from './matchmaking/ticket-store.ts';
import { MatchmakingTotals } from './matchmaking/totals.ts';
import type { Logger } from './ops/logger.ts';
import { RateLimit } from './ops/rate-limit.ts';
import type { Persistence } from './persistence.ts';
import { NEW_RATING } from './ratings/rating.ts';

export interface OpenMatchmakingOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly persistence: Pick<Persistence, 'ratings' | 'friends' | 'revocations'>;
  readonly modes: readonly Mode[];
  readonly newMatchId: () => string;
  readonly isDraining: () => boolean;
  readonly regions: () => readonly Region[];
  /** Where rooms of this process run; null where nobody measures. */
  readonly ownRegion: string | null;
  /** This process may lead pools. */
  readonly isWorker: boolean;
}

export interface OpenMatchmaking {
  readonly matchmaking: Matchmaking;
  readonly totals: MatchmakingTotals;
  /** Of the store; undefined in memory. */
  readonly guard: Guard | undefined;
  /** Begins to lead pools, where this process may. */
  start(): void;
  /** Leads no pool any more; what waits is another process's to match. Idempotent. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Refusals of stores that are away, which their breakers tell of; and rooms that cannot be had, which is counted. */
const EXPECTED: ReadonlySet<string> = new Set([
  'STORE_UNAVAILABLE',
  'DATABASE_UNAVAILABLE',
  'OVERLOADED',
  'NO_SLOTS',
  'MATCH_FULL',
  'DRAINING',
]);
/** How long a player has to say that it is ready, ms. */
const READY_CHECK_MS = 15_000;

export async function openMatchmaking(options: OpenMatchmakingOptions): Promise<OpenMatchmaking> {
  const { config, log, modes, newMatchId, isDraining, regions, ownRegion, isWorker } = options;
  const { cells, guard } = await openCells(config, log);
  const store = new TicketStore(cells);
  const totals = new MatchmakingTotals();
  const players = factsOf(options.persistence);
  const rooms = new ColyseusMatchRooms(log);
  const holder = randomUUID();
  const matchmaking = new Matchmaking({
    store,
    parties: new Parties(store, () => `g-${randomBytes(16).toString('base64url')}`),
    modes,
    players,
    totals,
    regions,
    ownRegion,
    isDraining,
    beginnings: budget(LIMITS.queueingBurst, LIMITS.queueingsPerSecond),
    codeTries: budget(LIMITS.inviteBurst, LIMITS.invitesPerSecond),
  });
  const workers = isWorker
    ? modes.map(
        (mode) =>
          new PoolWorker({
            mode,
            store,
            matcher: createSteppingMatcher(),
            rooms,
            players,
            totals: totals.of(mode.rules.mode),
            holder,
            newMatchId,
            readyCheckMs: READY_CHECK_MS,
            onFault: (error, step) => {
              const refusal = refusalIn(error);
              if (refusal !== undefined && EXPECTED.has(refusal.code)) return;
              log.error({ err: error, mode: mode.rules.mode, step }, 'matchmaking failed; its tickets wait on');
            },
          }),
      )
    : [];
  const stop = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.stop()));
  };
  return {
    matchmaking,
    totals,
    guard,
    start: () => {
      for (const worker of workers) worker.start();
    },
    stop,
    async close() {
      matchmaking.close();
      await stop();
      await cells.close();
    },
  };
}

/** Every region in which matches are played and players can measure the way to, by addresses that are meant for players. */
export function regionsOf(
  { region: own, regionUrls }: Pick<Config['cluster'], 'region' | 'regionUrls'>,
  processes: readonly Pick<ProcessCard, 'region' | 'roles' | 'isDraining'>[],
): readonly Region[] {
  // A path is of whoever was asked, so by it only the own region is measured.
  if (regionUrls.length === 0) return [{ region: own, pingUrl: PING_PATH }];
  const played = processes.filter(({ roles, isDraining }) => roles.includes('realtime') && !isDraining);
  const names = new Set(played.map(({ region }) => region));
  return regionUrls
    .filter(({ region }) => names.has(region))
    .map(({ region, url }) => ({ region, pingUrl: `${url}${PING_PATH}` }));
}

async function openCells(config: Config, log: Logger): Promise<{ cells: TicketCells; guard: Guard | undefined }> {
  const { redisUrl } = config.stores;
  if (redisUrl === undefined) return { cells: new MemoryTickets(), guard: undefined };
  const { RedisTickets } = await import('./adapters/redis-tickets.ts');
  let isAway = false;
  const cells = await RedisTickets.open({
    url: redisUrl,
    onStateChange: (state: GuardState) => {
      // It opens again after every try in vain.
      if (state === 'open' && !isAway) log.error({ store: 'redis' }, 'store does not answer; tickets wait');
      if (state === 'closed' && isAway) log.info({ store: 'redis' }, 'store answers again');
      if (state !== 'half-open') isAway = state === 'open';
    },
  });
  return { cells, guard: cells.guard };
}

function factsOf({ ratings, friends, revocations }: OpenMatchmakingOptions['persistence']): PlayerFacts {
  return {
    async ratingOf(playerId, mode) {
      const known = await ratings.ratingsOf(playerId);
      return known.find((rating) => rating.mode === mode) ?? NEW_RATING;
    },
    async blockedBy(playerId) {
      const rows = await friends.list(playerId);
      return rows.filter(({ relation }) => relation === 'blocked').map(({ otherId }) => otherId);
    },
    barredBy(signInId): ErrorCode | undefined {
      try {
        revocations.check(signInId);
        return undefined;
      } catch (error) {
        if (error instanceof GameError) return error.code;
        throw error;
      }
    },
  };
}

function budget(burst: number, perSecond: number): RateLimit {
  return new RateLimit({ burst, perSecond, addressesMax: LIMITS.rateAddressesMax });
}
