/**
 * The composition root: picks adapters, makes the services, hands them to the rooms and the HTTP surface. It decides
 * nothing else. Usable from tests as it is from main.ts.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defineRoom, matchMaker, type Room } from '@colyseus/core';
import { ArenaRoom } from '../rooms/arena-room.ts';
import { compatibilityOf, GameRoom, type RoomServices } from '../rooms/game-room.ts';
import { QueueRoom } from '../rooms/queue-room.ts';
import { prepareDataFolder, readOrCreateSecret } from './adapters/data-folder.ts';
import { FileJournal } from './adapters/file-journal.ts';
import { FileReplays } from './adapters/file-replays.ts';
import { MemoryCanary } from './adapters/memory-canary.ts';
import { RouteTotals } from './api/route-totals.ts';
import type { CanaryStore } from './cluster/canary-desk.ts';
import { GateTotals } from './cluster/gate-totals.ts';
import { MatchIds } from './cluster/match-ids.ts';
import type { Membership } from './cluster/membership.ts';
import type { RoomRegistry } from './cluster/room-registry.ts';
import { clusterMetrics } from './cluster-metrics.ts';
import { type Clustering, openClustering, openFramework } from './clustering.ts';
import type { Config } from './config.ts';
import { gateMetrics } from './gate-metrics.ts';
import { openHops } from './gating.ts';
import { HttpServer } from './http-server.ts';
import { ERRORS, GameError } from './kernel/errors.ts';
import { type AdoptAllDeps, adoptUnfinished } from './match/adopt-all.ts';
import { identityFault } from './match/colyseus-internals.ts';
import type { Compatibility } from './match/compatibility.ts';
import { InputTotals } from './match/input-plugin.ts';
import { InterestTotals } from './match/interest-plugin.ts';
import type { MatchJournal } from './match/journal.ts';
import { JournalTotals } from './match/journal-totals.ts';
import { PingTotals } from './match/ping-plugin.ts';
import { RecentTicks } from './match/recent-ticks.ts';
import type { ReplayStore } from './match/replay-store.ts';
import { RoomTotals } from './match/room-totals.ts';
import { MatchSettler, type SettleStep } from './match/settler.ts';
import { TickTotals } from './match/tick-metrics.ts';
import { TickScheduler } from './match/tick-scheduler.ts';
import { matchMetrics, settlerMetrics } from './match-metrics.ts';
import type { Mode } from './matchmaking/mode.ts';
import { arenaRules } from './matchmaking/rules.ts';
import { matchmakingMetrics } from './matchmaking-metrics.ts';
import { openMatchmaking, regionsOf } from './open-matchmaking.ts';
import { createOperations } from './operations.ts';
import { Health } from './ops/health.ts';
import { createLogger, type Logger } from './ops/logger.ts';
import { Metrics } from './ops/metrics.ts';
import { hashPassword } from './ops/panel-access.ts';
import { openPersistence, type Persistence } from './persistence.ts';
import { persistenceMetrics, routeMetrics } from './persistence-metrics.ts';
import { loadModel } from './ratings/rating.ts';
import { SessionTotals } from './sessions/session.ts';
import { admitting, type Tokens } from './sessions/tokens.ts';

/** Where `vite build` puts the client. */
export const CLIENT_DIR = fileURLToPath(new URL('../clients/browser/dist', import.meta.url));

/** What players may join, by name; add your game here. */
const ROOMS: RoomClasses = { arena: ArenaRoom, queue: QueueRoom };

/** What players may queue for; add your game here. Of these are offered those whose rooms there are. */
function modesOf({ match }: Config): readonly Mode[] {
  const rules = arenaRules({ playersMax: match.maxPlayers, botsFillTo: match.bots });
  return [{ rules, roomName: 'arena', readyCheck: 'parties' }];
}

/** What is left when the time for a drain is over is shown out in this time, ms. */
const LAST_WORDS_MS = 1_000;

/** Concrete subclasses of `GameRoom`; each becomes a room that only bearers of a token may join. */
export type RoomClasses = Readonly<Record<string, new () => Room>>;

export interface ServerOptions {
  readonly config: Config;
  /** In place of {@link ROOMS}. */
  readonly rooms?: RoomClasses;
  /** In place of {@link modesOf}. */
  readonly modes?: readonly Mode[];
  /** Made from the configuration by default. */
  readonly log?: Logger;
  /** Files in the data folder by default. A journal that is given stays its owner's to close. */
  readonly journal?: MatchJournal;
  readonly replays?: ReplayStore;
  readonly clientDir?: string;
}

export interface HypogeumServer {
  /** @throws GameError PORT_IN_USE, CONFIG_INVALID */
  listen(): Promise<void>;
  /** Drains and lets go of everything; idempotent. Never longer than `HYPOGEUM_DRAIN_SECONDS` and a moment. */
  close(): Promise<void>;
  /** The framework's id of the process. */
  readonly processId: string;
  /** 0 before `listen`. */
  readonly port: number;
  /** Where a browser on this machine finds it, with a slash at the end. */
  readonly url: string;
  /** A new password of the monitor, to be shown once; undefined when there was one. */
  readonly newMonitorPassword: string | undefined;
  /** Resolves with who wanted it when an operator asks this process to drain; the drain itself is `close`. */
  readonly drainRequested: Promise<string>;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly tokens: Tokens;
  readonly services: RoomServices;
  readonly persistence: Persistence;
}

/**
 * Everything of one process but its signals. The framework's matchmaker is one per process: close one server before
 * making another.
 * @throws GameError DATA_UNWRITABLE, CONFIG_INVALID, JOURNAL_CORRUPT and what `openPersistence` throws
 */
export async function createServer(options: ServerOptions): Promise<HypogeumServer> {
  const { config } = options;
  const log =
    options.log ??
    createLogger({ level: config.log.level, isProduction: config.isProduction, buildId: config.buildId });
  await prepareDataFolder(config.dataDir);
  const monitor = await openMonitorPassword(config);
  const totals = {
    tick: new TickTotals(),
    input: new InputTotals(),
    interest: new InterestTotals(),
    journal: new JournalTotals(),
    ping: new PingTotals(),
    room: new RoomTotals(),
    sessions: new SessionTotals(),
  };
  const replays =
    options.replays ??
    (await FileReplays.open({
      folder: join(config.dataDir, 'replays'),
      keep: config.replays.keepMax,
      isShared: config.stores.redisUrl !== undefined,
    }));
  const ownJournal = options.journal === undefined ? await openJournal(config, totals.journal, log) : undefined;
  const journal = options.journal ?? ownJournal!;
  let persistence: Persistence;
  try {
    persistence = await openPersistence({ config, log });
  } catch (error) {
    await ownJournal?.close();
    throw error;
  }
  const { tokens, verify, results } = persistence;
  // Sorts by time, so that folders and lists do.
  const newMatchId = (): string => `${Date.now().toString(36)}-${randomBytes(8).toString('hex')}`;
  const health = new Health();
  const rooms = options.rooms ?? ROOMS;
  const queues = await openMatchmaking({
    config,
    log,
    persistence,
    modes: (options.modes ?? modesOf(config)).filter(({ roomName }) => Object.hasOwn(rooms, roomName)),
    newMatchId,
    isDraining: () => !health.isReady,
    regions: () => regionsOf(config.cluster, clustering?.membership.processes() ?? []),
    ownRegion: config.cluster.region,
    isWorker: config.cluster.roles.includes('worker'),
  });
  const settler = new MatchSettler({
    journal,
    replays,
    results: { report: async (report) => void (await results.report(report)) },
    totals: totals.journal,
    onFault: (error, matchId, step) => tellUnsettled(log, error, matchId, step),
    onLost: (matchId) => log.error({ matchId }, 'a result is lost: neither journal nor log could be written'),
  });

  const matchIds = new MatchIds(newMatchId);
  const gateTotals = new GateTotals();
  const hops = await openHops(config);
  const framework = await openFramework(config, log);
  const canary = await openCanary(config);
  let clustering: Clustering | undefined;
  const operations = createOperations({
    config,
    log,
    canary,
    onCanary() {
      for (const roomId of clustering!.membership.rooms.keys()) localMatch(roomId)?.relist();
    },
    cluster: () => clustering!,
  });
  const { desk } = operations;
  /** Matches that went on elsewhere, handed over or taken. */
  let retired = 0;
  const registry: RoomRegistry = {
    begin: (room) => clustering!.membership.begin(room),
    owns: (roomId) => clustering!.membership.owns(roomId),
    released: (roomId) => clustering!.membership.released(roomId),
  };
  const services: RoomServices = {
    log,
    scheduler: new TickScheduler({
      reportFault: (error) => log.error({ err: error }, 'bug in handling a bug of a room'),
      ...(config.stores.redisUrl === undefined ? {} : { isHeld: () => clustering!.membership.isFenced }),
    }),
    registry,
    onRetire(roomId) {
      retired++;
      framework.disown(roomId);
      clustering!.membership.forget(roomId);
    },
    journal,
    replays,
    settler,
    revocations: persistence.revocations,
    matchmaking: queues.matchmaking,
    seeking: queues.matchmaking,
    track: () => desk.track,
    totals,
    settings: {
      tickRateHz: config.match.tickRateHz,
      patchEveryTicks: config.match.patchEveryTicks,
      botsFillTo: config.match.bots,
      maxPlayers: config.match.maxPlayers,
      matchMinutes: config.match.minutes,
      buildId: config.buildId,
      durability: config.match.durability,
    },
    newMatchId,
    newSeed: () => randomInt(2 ** 32),
  };

  // The framework also counts those whose seat is held while they are away.
  const players = (): number => Math.max(0, matchMaker.stats.local.ccu - totals.sessions.now.dropped);
  const metrics = new Metrics({
    buildId: config.buildId,
    health,
    load: () => ({ players: players(), rooms: matchMaker.stats.local.roomCount }),
  });
  metrics.addSource(() => matchMetrics(totals));
  metrics.addSource(() => settlerMetrics(settler.collect()));
  metrics.addSource(() => persistenceMetrics(persistence));
  metrics.addSource(() => matchmakingMetrics(queues.totals));
  const routeTotals = new RouteTotals();
  metrics.addSource(() => routeMetrics(routeTotals));
  persistence.onBack(() => settler.retryNow());
  const http = new HttpServer({
    config,
    log,
    health,
    metrics,
    api: {
      routes: [
        ...persistence.routes({
          onSignIn: () => metrics.countSignIn(),
          replays,
          matchmaking: queues.matchmaking,
        }),
        ...operations.routes,
      ],
      identify: (authorization) => verify.verify(/^Bearer (.*)$/i.exec(authorization)?.[1]),
      totals: routeTotals,
    },
    rooms: Object.fromEntries(
      Object.entries(rooms).map(([name, room]) => {
        // Rooms that a join may be put into are told apart by what they show, see `RoomMetadata`.
        const handler = defineRoom(admitting(room, verify), { services }).filterBy(['track' as never]);
        handler.on('create', ({ roomId }: Room) => void clustering!.membership.opened(roomId));
        return [name, handler];
      }),
    ),
    cluster: {
      ...framework,
      matchIds,
      hostsRooms: config.cluster.roles.includes('realtime'),
      isReachable: () => clustering!.membership.isReachable,
      // A token that is no good is refused by the join itself.
      trackOfJoin: (token) => desk.trackOfJoin(() => verify.verify(token).catch(() => undefined)),
      selectProcess: (roomName, creation) => clustering!.selectProcess(roomName, creation),
    },
    roomGate: { directory: () => clustering!.membership, marks: hops.marks, totals: gateTotals },
    monitorPasswordHash: monitor.hash,
    clientDir: options.clientDir ?? CLIENT_DIR,
    // A tick that is due need not wait until all of what has arrived is read.
    afterRead: () => services.scheduler.poll(),
    // In a cluster it is the others who go on with what a process leaves behind.
    ...(config.stores.redisUrl === undefined
      ? { beforeListen: () => former.adopt(), onRefused: () => former.release() }
      : {}),
  });
  // A schema library that is not the one that rooms can be restored with: nothing is handed over, and it is said.
  const fault = identityFault();
  if (fault !== undefined) {
    health.disable('adoption');
    log.error({ fault }, 'rooms cannot be restored with the installed @colyseus/schema: none is');
  }
  const plays = playsOf(rooms);
  // The framework has given this process its id: from now on every line has it.
  log.setBindings({ process: matchMaker.processId });
  const recentTicks = new RecentTicks(totals.tick);
  try {
    clustering = await openClustering({
      config,
      log,
      framework,
      matchIds,
      plays,
      canAdopt: fault === undefined,
      port: () => http.port,
      isDraining: () => !health.isReady,
      players,
      tickP99Ms: () => recentTicks.p99Ms(performance.now()),
      placesFor: ({ matchId, track }) => desk.placesFor({ matchId, track }),
      isKeeper: (buildId, card) => desk.isKeeper(buildId, card),
      journal,
      roomOf: localMatch,
    });
  } catch (error) {
    await http.close();
    hops.close();
    await queues.close();
    await settler.close();
    await ownJournal?.close();
    await persistence.close();
    throw error;
  }
  const { membership } = clustering;
  membership.onRoomLost((roomId) => {
    log.warn({ roomId }, 'another process has this room; it ends here');
    localMatch(roomId)?.retire();
  });
  clustering.store.onRequest((request) => operations.drains.answer(request));
  metrics.addSource(() =>
    clusterMetrics(clustering!, {
      adoptions: totals.room.adoptions.collect(),
      isAble: health.isAble('adoption'),
      retired,
    }),
  );
  metrics.addSource(() => gateMetrics(gateTotals));
  const former = new FormerMatches({
    health,
    journal: clustering.journal,
    plays,
    forget: (roomId) => membership.forget(roomId),
    totals: totals.room,
    log,
  });

  let closing: Promise<void> | undefined;
  let tidying: Promise<void> = Promise.resolve();
  const close = async (): Promise<void> => {
    // No match is begun here any more; who leads the pools next need not wait for a lease to end.
    await queues.stop();
    health.advance('draining');
    const untilMs = performance.now() + config.drainSeconds * 1000;
    // Alone there is nobody to whom a match could move.
    if (config.stores.redisUrl !== undefined) await clustering!.drain.run(config.drainSeconds * 1000);
    else if (config.atExit === 'keep') await keepMatches(membership, log, config.drainSeconds * 1000);
    // Until now who queues here is told of its ticket, and of its seat: other processes go on matching.
    queues.matchmaking.close();
    await http.close(Math.max(LAST_WORDS_MS, untilMs - performance.now()));
    await queues.close();
    await operations.close();
    await canary.close();
    await clustering!.close();
    hops.close();
    // Also ends the tidying: what it has not settled waits for the next start.
    const waiting = await settler.close();
    await tidying;
    if (waiting > 0) log.warn({ waiting }, 'ended matches wait in the journal; the next start settles them');
    await ownJournal?.close();
    await persistence.close();
  };
  return {
    async listen() {
      try {
        await http.listen();
        await clustering!.join();
        await operations.start();
        if (config.stores.redisUrl !== undefined) {
          log.info({ processId: membership.processId, roles: config.cluster.roles }, 'member of the cluster');
        }
        former.open();
        queues.start();
        // Loading it takes a tenth of a second: not in the middle of the first rated match, and not before players may come.
        setImmediate(() => void loadModel());
        if (config.stores.redisUrl !== undefined) settler.watch();
        else if (ownJournal !== undefined) tidying = tidyJournal(ownJournal, settler, log);
      } catch (error) {
        closing ??= close();
        await closing;
        throw error;
      }
    },
    close: () => (closing ??= close()),
    get processId() {
      return matchMaker.processId;
    },
    get port() {
      return http.port;
    },
    get url() {
      return http.url;
    },
    newMonitorPassword: monitor.fresh,
    drainRequested: operations.drains.requested,
    health,
    metrics,
    tokens,
    services,
    persistence,
  };
}

/** In Redis, where other processes can take matches over, or in files of this process. */
async function openJournal(config: Config, totals: JournalTotals, log: Logger): Promise<MatchJournal> {
  const { redisUrl } = config.stores;
  const onRecovered = () => log.info('journal can be written again');
  if (redisUrl === undefined) {
    return FileJournal.open({
      folder: join(config.dataDir, 'journal'),
      totals,
      onDegraded: (error, matchIds) => log.error({ err: error, matches: matchIds.length }, 'journal cannot be written'),
      onRecovered,
    });
  }
  // Loaded only where there is one: the start is quicker without.
  const { RedisJournal } = await import('./adapters/redis-journal.ts');
  return RedisJournal.open({
    url: redisUrl,
    totals,
    onDegraded: (error) => log.error({ err: error }, 'journal cannot be written; matches wait for Redis'),
    onRecovered,
    onRewritten: (matchId) => log.warn({ matchId }, 'Redis had lost the journal of a match; it was written again'),
  });
}

/** Shared by all processes, or this one's own. */
async function openCanary(config: Config): Promise<CanaryStore & { close(): Promise<void> }> {
  const { redisUrl } = config.stores;
  if (redisUrl === undefined) return new MemoryCanary();
  const { RedisCanary } = await import('./adapters/redis-canary.ts');
  return new RedisCanary({ url: redisUrl });
}

interface FormerDeps {
  readonly health: Health;
  readonly journal: AdoptAllDeps['journal'];
  readonly plays: Readonly<Record<string, Compatibility>>;
  /** A room that does not go on is not this process's. */
  readonly forget: (roomId: string) => void;
  readonly totals: RoomTotals;
  readonly log: Logger;
}

/** Matches that a former process of this one left unfinished in its files. */
class FormerMatches {
  readonly #deps: FormerDeps;
  readonly #opening = Promise.withResolvers<void>();
  readonly #adopted: string[] = [];

  constructor(deps: FormerDeps) {
    this.#deps = deps;
  }

  /** Goes on with all that fit, before anybody can come. */
  async adopt(): Promise<void> {
    const { health, journal, plays, forget, totals, log } = this.#deps;
    if (!health.isAble('adoption')) return;
    await matchMaker.onReady;
    const startedMs = performance.now();
    await adoptUnfinished({
      journal,
      plays,
      open: this.#opening.promise,
      onFault: (error, matchId) => log.error({ err: error, matchId }, 'a match of a former process cannot be restored'),
      onOutcome: ({ matchId, header }, outcome) => {
        totals.adoptions.add(outcome.kind);
        if (outcome.kind !== 'adopted' && header?.roomId !== undefined) forget(header.roomId);
        if (outcome.kind === 'adopted') this.#adopted.push(outcome.roomId);
        else if (outcome.kind === 'incompatible') {
          const { match, here } = outcome;
          log.warn({ matchId, match, here }, 'a match of another build is kept, and does not go on here');
        } else if (outcome.kind === 'parked') {
          log.error({ matchId }, 'a match is parked: it could not be restored; see: npm run replay -- list');
        }
      },
    });
    const ms = Math.round(performance.now() - startedMs);
    if (this.#adopted.length > 0) log.info({ rooms: this.#adopted.length, ms }, 'matches of a former process go on');
  }

  /** Players can come: the matches wait for theirs, but no longer than a moment. */
  open(): void {
    this.#opening.resolve();
  }

  /** There will be no players: the matches stay as they were, for the next start. */
  async release(): Promise<void> {
    for (const roomId of this.#adopted) {
      const room = localMatch(roomId);
      if (room === undefined) continue;
      await room.handOver().catch(() => undefined);
      room.retire();
    }
  }
}

/**
 * Leaves the matches of this process in its files as they stand, for the next start to adopt; their clients come again
 * by themselves until then. What cannot be kept, as it is not recorded, goes on, to end with the process.
 */
async function keepMatches(membership: Membership, log: Logger, withinMs: number): Promise<void> {
  let kept = 0;
  const keep = async (roomId: string): Promise<void> => {
    const room = localMatch(roomId);
    if (room === undefined) return;
    // Clients of who has only just joined would not come back.
    await delay(Math.min(room.settledInMs, withinMs));
    try {
      await room.handOver();
      // Who dials while the port is still open is held: to hear that there is no such room is final to an SDK.
      await membership.mark(roomId, 'moving');
      room.retire();
      kept++;
    } catch (error) {
      log.warn({ err: error, roomId }, 'a match cannot be kept for the next start; it ends');
    }
  };
  await Promise.all([...membership.rooms.keys()].map(keep));
  if (kept > 0) log.info({ rooms: kept }, 'matches are kept for the next start');
}

/** A match of this process by its room. */
function localMatch(roomId: string) {
  const room = matchMaker.getLocalRoomById(roomId) as unknown;
  return room instanceof GameRoom ? room : undefined;
}

/** What the rooms of this process need of a match to go on with it, by name. */
function playsOf(rooms: RoomClasses): Record<string, Compatibility> {
  const games = Object.entries(rooms).filter(([, room]) => room.prototype instanceof GameRoom);
  return Object.fromEntries(games.map(([name, room]) => [name, compatibilityOf(room)]));
}

/** Of a match that ended, or, without one, that it is not known yet which have. */
function tellUnsettled(log: Logger, error: unknown, matchId: string | undefined, step: SettleStep): void {
  if (matchId !== undefined) {
    log.error({ err: error, matchId, step }, 'an ended match waits to be settled; its journal is kept');
  } else if (error instanceof GameError && ERRORS[error.code].retry) {
    // A store that is slow or away, as one may be at a start. Nothing is known to wait for it.
    log.warn({ reason: error.message }, 'the journal could not be looked through for ended matches; they wait there');
  } else log.error({ err: error }, 'the journal cannot be looked through for ended matches');
}

/** What a former process left behind: ended matches are settled; those cut short are kept, and said. */
async function tidyJournal(journal: MatchJournal, settler: MatchSettler, log: Logger): Promise<void> {
  const settled = await settler.adopt();
  if (settled > 0) log.info({ settled }, 'ended matches of a former process are settled');
  try {
    const states = await journal.list();
    for (const kind of ['unfinished', 'corrupt'] as const) {
      const matches = states.filter(({ state }) => state === kind).length;
      if (matches > 0) log.warn({ matches }, `the journal holds matches that are ${kind}; see: npm run replay -- list`);
    }
  } catch (error) {
    log.error({ err: error }, 'the journal of a former process could not be read');
  }
}

async function openMonitorPassword(config: Config): Promise<{ hash: string; fresh: string | undefined }> {
  const { password } = config.monitor;
  if (password !== undefined) return { hash: hashPassword(password), fresh: undefined };
  // 120 random bits: the stored hash needs no salt and no work factor.
  const generated = randomBytes(15).toString('base64url');
  const { text, isNew } = await readOrCreateSecret(config.dataDir, 'monitor-password', () => hashPassword(generated));
  return { hash: text, fresh: isNew ? generated : undefined };
}
