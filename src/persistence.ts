/**
 * Everything of one process that outlives it: the database, the log of what happened, the views and reactors that follow
 * it, and the areas that stand on them. Picks their adapters and joins them; decides nothing.
 */

import { Accounts } from './accounts/accounts.ts';
import { PasswordHasher } from './accounts/password-hasher.ts';
import { Revocations } from './accounts/revocations.ts';
import { allViews } from './adapters/all-views.ts';
import { Database, type Tx } from './adapters/database.ts';
import { EmbeddedPostgres } from './adapters/embedded-postgres.ts';
import type { Guard, GuardState } from './adapters/guard.ts';
import { MemoryBoards } from './adapters/memory-boards.ts';
import { migrate } from './adapters/migrate.ts';
import type { NatsBus, NatsBusOptions } from './adapters/nats-bus.ts';
import { PostgresAccounts } from './adapters/postgres-accounts.ts';
import { PostgresBoards } from './adapters/postgres-boards.ts';
import { PostgresEconomy } from './adapters/postgres-economy-view.ts';
import { PostgresFriends } from './adapters/postgres-friends.ts';
import { PostgresLog } from './adapters/postgres-log.ts';
import { PostgresParked } from './adapters/postgres-parked.ts';
import { PostgresRatings } from './adapters/postgres-ratings-view.ts';
import { PostgresResults } from './adapters/postgres-results-view.ts';
import { PostgresTokenKeys } from './adapters/postgres-token-keys.ts';
import { PostgresViews } from './adapters/postgres-views.ts';
import type { Route } from './api/route.ts';
import type { Config } from './config.ts';
import { erasureReactor } from './economy/erasure.ts';
import { Ledger } from './economy/ledger.ts';
import { playerAccount } from './economy/ledger-state.ts';
import { rewardsReactor } from './economy/rewards.ts';
import { TradeWatch } from './economy/trade-watch.ts';
import { EVENTS } from './events/catalogue.ts';
import type { EventBus } from './events/event-bus.ts';
import type { StoredEvent } from './events/event-log.ts';
import type { FollowerReading } from './events/follower.ts';
import { LocalBus } from './events/local-bus.ts';
import { LogTail } from './events/log-tail.ts';
import { Projector } from './events/projector.ts';
import { Reactors } from './events/reactors.ts';
import { Friends } from './friends/friends.ts';
import { ERRORS, GameError } from './kernel/errors.ts';
import { BoardFeeder } from './leaderboards/board-feeder.ts';
import type { BoardIndex } from './leaderboards/board-index.ts';
import { BOARDS } from './leaderboards/boards.ts';
import { Leaderboards } from './leaderboards/leaderboards.ts';
import { SeasonCloser } from './leaderboards/season-closer.ts';
import { LIMITS } from './limits.ts';
import type { Logger } from './ops/logger.ts';
import { RateLimit } from './ops/rate-limit.ts';
import type { RatingReader } from './ratings/rating-reader.ts';
import { MatchResults } from './results/match-results.ts';
import { allRoutes, type RouteDeps } from './routes.ts';
import { Tokens, withRevocations } from './sessions/tokens.ts';

export interface PersistenceOptions {
  readonly config: Config;
  readonly log: Logger;
}

/** Refusals of a store that is away: its breaker says so in the log, once, and metrics count the tries. */
const AWAY: ReadonlySet<string> = new Set(['DATABASE_UNAVAILABLE', 'STORE_UNAVAILABLE', 'BUS_UNAVAILABLE']);

/** Sign-ins whose time is over are forgotten so often, ms. */
const TIDY_EVERY_MS = 600_000;
const COUNT_EVERY_MS = 15_000;
/** A database that hangs holds up the end of the process this long at most, ms. */
const CLOSE_MS = 5_000;

export interface Persistence {
  readonly database: Database;
  readonly eventLog: PostgresLog;
  readonly tokens: Tokens;
  /** Of tokens whose sign-in has not ended. */
  readonly verify: Pick<Tokens, 'verify'>;
  readonly revocations: Revocations;
  readonly accounts: Accounts;
  readonly ledger: Ledger;
  readonly results: MatchResults;
  readonly ratings: RatingReader;
  readonly friends: Friends;
  readonly projector: Projector<Tx>;
  readonly reactors: Reactors;
  readonly boards: BoardFeeder;
  readonly guards: readonly Guard[];
  /** For what a studio adds: other programs over NATS, or this one. */
  readonly bus: EventBus;
  /** How far NATS is; undefined without it. */
  readonly relay: { readonly reading: FollowerReading } | undefined;
  /** Events that wait for a person, by consumer, as of a few seconds ago. */
  readonly parkedCounts: ReadonlyMap<string, number>;
  /** Of all areas. */
  routes(deps: Pick<RouteDeps, 'onSignIn' | 'replays' | 'matchmaking'>): Route[];
  /** Calls back when the database answers again after it did not. */
  onBack(listener: () => void): void;
  /** Ends everything in the order of who needs whom. Idempotent; never rejects for a store that is away. */
  close(): Promise<void>;
}

/**
 * Opens the database (the private one is started, and made the first time), brings its schema up to date and opens all
 * that stands on it.
 * @throws GameError DATABASE_FAILED, DATABASE_UNAVAILABLE, DATABASE_TOO_OLD, SCHEMA_NEWER, DATA_IN_USE, CONFIG_INVALID
 */
export async function openPersistence({ config, log }: PersistenceOptions): Promise<Persistence> {
  // What is open, to be closed in reverse.
  const open: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    const deadlineMs = performance.now() + CLOSE_MS;
    for (let end = open.pop(); end !== undefined; end = open.pop()) {
      const ended = Promise.resolve(end()).catch((error: unknown) =>
        log.error({ err: error }, 'a store did not close'),
      );
      // The last is the private server, which has bounds of its own and must not outlive us.
      await (open.length === 0 ? ended : Promise.race([ended, after(deadlineMs - performance.now())]));
    }
  };
  try {
    return await openAll(config, log, open, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openAll(
  config: Config,
  log: Logger,
  open: (() => Promise<unknown> | unknown)[],
  close: () => Promise<void>,
): Promise<Persistence> {
  // The others of the cluster do it.
  const isWorker = config.cluster.roles.includes('worker');
  const back = new Set<() => void>();
  const away = new Set<string>();
  const noteState = (store: string) => (state: GuardState) => {
    // It opens again after every try in vain.
    if (state === 'open' && !away.has(store)) log.error({ store }, 'store does not answer; asked again soon');
    if (state === 'open') away.add(store);
    else if (state === 'closed') {
      away.delete(store);
      log.info({ store }, 'store answers again');
      if (store === 'postgres') for (const listener of back) listener();
    }
  };

  const database = await openDatabase(config, log, open, noteState('postgres'));
  const migrated = await migrate(database);
  if (migrated.length > 0) log.info({ migrations: migrated }, 'schema brought up to date');

  const eventLog = new PostgresLog({ database, catalogue: EVENTS });
  open.push(() => eventLog.close());
  const tail = new LogTail(eventLog);
  tail.start();
  open.push(() => tail.stop());
  const views = new PostgresViews(database);
  open.push(() => views.close());
  const parked = new PostgresParked(database);
  const noteFollower = ({ name, phase, error }: FollowerReading): void => {
    if (phase === 'stopped' && !isAway(error)) log.error({ err: error, name }, 'cannot follow the log');
    else log.debug({ name, phase }, 'follows the log');
  };
  const noteParked = (consumer: string, { position, type }: StoredEvent, reason: string): void =>
    log.error({ consumer, position, type, reason }, 'event parked; see: npm run bus -- parked list');

  const store = new PostgresAccounts(database, (tx, append) => eventLog.appendWithin(tx, append));
  const economy = new PostgresEconomy(database);
  const [tokens, ledger] = await Promise.all([
    Tokens.open({
      minutes: config.tokens.minutes,
      published: new PostgresTokenKeys(database),
      ...(config.tokens.key === undefined ? {} : { fixed: config.tokens.key }),
      onFault: (error) => log.warn({ err: error }, 'a new token key could not be published'),
    }),
    Ledger.open({
      log: eventLog,
      reader: economy,
      onFault: (error) => log.error({ err: error }, 'the ledger cannot be folded; the economy stands still'),
    }),
  ]);
  open.push(() => ledger.close());
  const tradeWatch = new TradeWatch(ledger);
  open.push(() => tradeWatch.close());
  const revocations = new Revocations({
    log: eventLog,
    store,
    tokenMs: tokens.lifeMs,
    onFault: (error) => {
      if (!isAway(error)) log.warn({ err: error }, 'ended sign-ins could not be read');
    },
  });
  await revocations.start();
  open.push(() => revocations.close());

  const results = new PostgresResults(database);
  const ratings = new PostgresRatings(database);
  const accounts = await Accounts.open({
    store,
    log: eventLog,
    tokens,
    hasher: new PasswordHasher(),
    wrongPerPair: budget(LIMITS.wrongPerPairBurst, LIMITS.wrongPerPairPerSecond),
    wrongPerNetwork: budget(LIMITS.wrongPerNetworkBurst, LIMITS.wrongPerNetworkPerSecond),
    exporters: {
      wallet: (playerId) => walletOf(ledger, playerId),
      ratings: (playerId) => ratings.ratingsOf(playerId),
      friends: (playerId) => friends.list(playerId),
    },
  });
  const tidying = setInterval(() => {
    accounts.tidy().catch((error: unknown) => log.warn({ err: error }, 'old sign-ins were not forgotten'));
  }, TIDY_EVERY_MS);
  tidying.unref();
  open.push(() => clearInterval(tidying));

  const namesOf = (playerIds: readonly string[]) => accounts.namesOf(playerIds);
  const isPlayer = async (playerId: string): Promise<boolean> => {
    const profile = await store.profile(playerId);
    return profile !== undefined && !profile.account.isErased;
  };
  const friends = new Friends({ log: eventLog, table: new PostgresFriends(database), isPlayer });
  const matchResults = new MatchResults({
    log: eventLog,
    onConflict: (matchId) => log.error({ matchId }, 'another result of this match was reported; the first stands'),
  });

  const orderOf = (boardId: string) => BOARDS.get(boardId)?.order;
  const table = new PostgresBoards(database);
  const { index, redisGuard } = await openIndex(config, orderOf, open, noteState('redis'));
  const boards = new BoardFeeder({
    boards: BOARDS,
    index,
    table,
    watch: (onAppended) => eventLog.watch(onAppended),
    onError: (error) => {
      if (!isAway(error)) log.warn({ err: error }, 'leaderboard index not fed; the table answers');
    },
  });
  boards.start();
  open.push(() => boards.stop());
  const closer = new SeasonCloser({
    boards: BOARDS,
    log: eventLog,
    table,
    onError: (error) => {
      if (!isAway(error)) log.warn({ err: error }, 'seasons could not be closed; tried again');
    },
  });
  if (isWorker) closer.start();
  open.push(() => closer.stop());
  const leaderboards = new Leaderboards({
    boards: BOARDS,
    reader: boards,
    table,
    log: eventLog,
    friendsOf: (playerId) => friends.friendsOf(playerId),
    // A board without names is better than none: the index answers also while the database is away.
    namesOf: (playerIds) =>
      namesOf(playerIds).catch((error: unknown) => {
        if (error instanceof GameError && ERRORS[error.code].status === 503) return new Map<string, string>();
        throw error;
      }),
    isPlayer,
  });

  const projector = new Projector<Tx>({
    log: eventLog,
    store: views,
    projections: allViews(),
    tail,
    onChange: noteFollower,
  });
  if (isWorker) projector.start();
  open.push(() => projector.stop());
  const reactors = new Reactors({
    log: eventLog,
    store: views,
    parked,
    tail,
    reactors: [rewardsReactor(ledger, eventLog), erasureReactor(ledger)],
    onChange: noteFollower,
    onParked: noteParked,
  });
  if (isWorker) reactors.start();
  open.push(() => reactors.stop());

  const bus = await openBus(config, { log: eventLog, store: views, parked, tail }, open, {
    onStateChange: noteState('nats'),
    onChange: noteFollower,
    onParked: noteParked,
    onFault: (consumer, error) => {
      if (error === undefined) log.info({ consumer }, 'consumes again');
      else if (!isAway(error)) log.warn({ err: error, consumer }, 'cannot consume');
    },
  });

  let parkedCounts: ReadonlyMap<string, number> = new Map();
  const countParked = async (): Promise<void> => {
    // While the database is away the last counts stand, and the breaker's metric says why.
    parkedCounts = await parked.counts().catch(() => parkedCounts);
  };
  await countParked();
  const counting = setInterval(countParked, COUNT_EVERY_MS);
  counting.unref();
  open.push(() => clearInterval(counting));

  return {
    database,
    eventLog,
    tokens,
    verify: withRevocations(tokens, revocations),
    revocations,
    accounts,
    ledger,
    results: matchResults,
    ratings,
    friends,
    projector,
    reactors,
    boards,
    bus,
    relay:
      bus instanceof LocalBus
        ? undefined
        : {
            get reading() {
              return bus.relay;
            },
          },
    get parkedCounts() {
      return parkedCounts;
    },
    guards: [
      database.guard,
      ...(redisGuard === undefined ? [] : [redisGuard]),
      ...(bus instanceof LocalBus ? [] : [bus.guard]),
    ],
    routes: (deps) =>
      allRoutes({
        ...deps,
        accounts,
        tokens,
        economy: { ledger, reader: economy, watch: tradeWatch, exists: isPlayer },
        friends,
        leaderboards,
        namesOf,
        ratings,
        results,
      }),
    onBack: (listener) => void back.add(listener),
    close,
  };
}

async function openDatabase(
  config: Config,
  log: Logger,
  open: (() => Promise<unknown> | unknown)[],
  onStateChange: (state: GuardState) => void,
): Promise<Database> {
  let url = config.stores.databaseUrl;
  if (url === undefined) {
    const server = await EmbeddedPostgres.start({
      dataDir: config.dataDir,
      onDied: (lastWords) => log.error({ lastWords }, 'the private database died; it is started again'),
      onRestarted: () => log.info('the private database is back'),
    });
    open.push(() => server.stop());
    url = server.url;
  }
  const database = await Database.open({ url, onStateChange });
  open.push(() => database.close());
  return database;
}

async function openIndex(
  config: Config,
  orderOf: (boardId: string) => 'ascending' | 'descending' | undefined,
  open: (() => Promise<unknown> | unknown)[],
  onStateChange: (state: GuardState) => void,
): Promise<{ index: BoardIndex; redisGuard: Guard | undefined }> {
  const { redisUrl } = config.stores;
  if (redisUrl === undefined) return { index: new MemoryBoards(orderOf), redisGuard: undefined };
  // Loaded only where it is used: it takes a while.
  const { RedisBoards } = await import('./adapters/redis-boards.ts');
  const index = await RedisBoards.open({ url: redisUrl, orderOf, onStateChange });
  open.push(() => index.close());
  return { index, redisGuard: index.guard };
}

async function openBus(
  config: Config,
  stores: Pick<NatsBusOptions, 'log' | 'store' | 'parked' | 'tail'>,
  open: (() => Promise<unknown> | unknown)[],
  callbacks: Pick<NatsBusOptions, 'onStateChange' | 'onChange' | 'onParked' | 'onFault'>,
): Promise<NatsBus | LocalBus> {
  const { natsUrl } = config.stores;
  if (natsUrl === undefined) {
    const local = new LocalBus({ ...stores, ...callbacks });
    open.push(() => local.close());
    return local;
  }
  const { NatsBus } = await import('./adapters/nats-bus.ts');
  const bus = new NatsBus({ url: natsUrl, catalogue: EVENTS, ...stores, ...callbacks });
  open.push(() => bus.close());
  return bus;
}

function isAway(error: unknown): boolean {
  return error instanceof GameError && AWAY.has(error.code);
}

function budget(burst: number, perSecond: number): RateLimit {
  return new RateLimit({ burst, perSecond, addressesMax: LIMITS.rateAddressesMax });
}

/** What a player owns, for an export. */
function walletOf(ledger: Ledger, playerId: string): Promise<unknown> {
  const account = playerAccount(playerId);
  return ledger.query((state) => ({
    balances: Object.fromEntries(state.balances(account)),
    items: [...state.itemsOf(account)],
  }));
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)).unref());
}
