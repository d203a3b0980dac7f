/**
 * This process as part of a cluster, or alone: picks the adapters by which processes know of one another, and joins
 * them with the framework's matchmaker. Decides nothing.
 */
import { LocalDriver, LocalPresence, type MatchMakerDriver, matchMaker, type Presence } from '@colyseus/core';
import { MemoryCluster } from './adapters/memory-cluster.ts';
import type { IsKeeper } from './cluster/adoption-plan.ts';
import { claiming } from './cluster/claiming.ts';
import type { ClusterStore } from './cluster/cluster-store.ts';
import { Coordinator } from './cluster/coordinator.ts';
import type { Compatibility, ProcessCard } from './cluster/directory.ts';
import { Drain, type MovableRoom } from './cluster/drain.ts';
import type { CreationOptions, MatchIds } from './cluster/match-ids.ts';
import { Membership } from './cluster/membership.ts';
import { Placement } from './cluster/placement.ts';
import type { Config } from './config.ts';
import { adoptMatch } from './match/adoption.ts';
import type { MatchJournal } from './match/journal.ts';
import type { Logger } from './ops/logger.ts';

/** How often what the framework lists is compared with what runs here, ms: heals what was lost without a trace. */
const RELIST_EVERY_MS = 10_000;
/** A room that went elsewhere is over here by then, ms. */
const DISOWNED_MS = 60_000;

/** What the framework is given before this process has an id. */
export interface Framework {
  readonly presence: Presence;
  readonly driver: MatchMakerDriver;
  /** Rooms that are another process's now: nothing more is said of them. */
  disown(roomId: string): void;
  /** Told of rooms that this process made although another one had. */
  onDuplicate: (roomId: string) => void;
}

/** @param log of what could not be said while Redis was away */
export async function openFramework(config: Config, log: Logger): Promise<Framework> {
  const { redisUrl: url } = config.stores;
  if (url === undefined) {
    return { presence: new LocalPresence(), driver: new LocalDriver(), disown: () => {}, onDuplicate: () => {} };
  }
  // Loaded only where they are used: it takes a while.
  const { DurableDriver, DurablePresence } = await import('./adapters/durable-driver.ts');
  const { roomKey } = await import('./adapters/redis-cluster.ts');
  const onFault = (error: unknown): void => log.debug({ err: error }, 'the cluster was not told');
  const driver = new DurableDriver({
    url,
    registryKey: roomKey,
    onFault,
    onDuplicate: (roomId) => framework.onDuplicate(roomId),
  });
  const framework: Framework = {
    presence: new DurablePresence({ url, onFault }) as unknown as Presence,
    driver,
    disown(roomId) {
      driver.disowned.add(roomId);
      setTimeout(() => driver.disowned.delete(roomId), DISOWNED_MS).unref();
    },
    onDuplicate: () => {},
  };
  return framework;
}

export interface ClusteringOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly framework: Framework;
  readonly matchIds: MatchIds;
  /** By room name. */
  readonly plays: Readonly<Record<string, Compatibility>>;
  /** False if no room can be restored here: new ones are made all the same. */
  readonly canAdopt: boolean;
  /** TCP port that this process listens on. */
  readonly port: () => number;
  /** Takes no new rooms. */
  readonly isDraining: () => boolean;
  /** Players connected to rooms of this process. */
  readonly players: () => number;
  /** 99th percentile of a tick over the last seconds, ms; 0 without rooms. */
  readonly tickP99Ms: () => number;
  /** Among which processes a new match is placed, best first. */
  readonly placesFor: (creation: CreationOptions) => readonly (readonly ProcessCard[])[];
  /** Who goes on with a match when its process goes, if there is such. */
  readonly isKeeper: IsKeeper;
  readonly journal: MatchJournal;
  /** A room of this process. */
  readonly roomOf: (roomId: string) => MovableRoom | undefined;
}

export interface Clustering {
  readonly membership: Membership;
  readonly placement: Placement;
  readonly store: ClusterStore;
  /** Undefined of a process that is alone, or that takes nothing over. */
  readonly coordinator: Coordinator | undefined;
  readonly drain: Drain;
  /** The journal, for what is taken over: a claim in it is one in the registry. */
  readonly journal: Pick<MatchJournal, 'list' | 'load' | 'loadTail' | 'open'>;
  /** For the framework: where a new room is made. @throws GameError NO_SLOTS */
  selectProcess(roomName: string, creation: CreationOptions): Promise<string>;
  /** Matches that this process can still take. */
  readonly slotsAvailable: number;
  /** Takes part from now on. @throws GameError STORE_UNAVAILABLE */
  join(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Call once the framework has given this process its id.
 * @throws GameError STORE_UNAVAILABLE
 */
export async function openClustering(options: ClusteringOptions): Promise<Clustering> {
  const { config, log, framework, matchIds } = options;
  const { processId } = matchMaker;
  const { redisUrl: url } = config.stores;
  const isAlone = url === undefined;
  const store = isAlone ? new MemoryCluster() : await openStore(url, processId);
  const { roles, region, matchSlots } = config.cluster;
  const advertised = config.cluster.advertise;
  const slotsAvailable = (): number =>
    roles.includes('realtime') ? Math.max(0, matchSlots - membership.rooms.size) : 0;
  const card = (): ProcessCard => ({
    processId,
    host: advertised?.host ?? reachable(config.http.host),
    port: advertised?.port ?? options.port(),
    roles,
    buildId: config.buildId,
    region,
    plays: options.plays,
    canAdopt: options.canAdopt,
    isDraining: options.isDraining(),
    load: {
      tickP99Ms: options.tickP99Ms(),
      players: options.players(),
      rooms: localRooms(),
      matchSlots: roles.includes('realtime') ? matchSlots : 0,
      matchSlotsAvailable: slotsAvailable(),
    },
  });
  const membership: Membership = new Membership({ store, processId, card, log, isAlone });
  const claims = claiming(options.journal, membership);
  const mayAdopt = !isAlone && options.canAdopt && roles.includes('realtime') && Object.keys(options.plays).length > 0;
  const coordinator = mayAdopt
    ? new Coordinator({
        membership,
        store,
        log,
        adopt: (match) =>
          adoptMatch(
            {
              journal: claims,
              plays: options.plays,
              onFault: (error, matchId) => log.error({ err: error, matchId }, 'a match cannot be restored'),
            },
            match,
          ),
        listJournal: () => claims.list(),
        isKeeper: options.isKeeper,
        hasRoom: (roomId) => options.roomOf(roomId) !== undefined,
        isDraining: options.isDraining,
        waitForBuildMs: config.cluster.waitForBuildSeconds * 1000,
      })
    : undefined;
  const drain = new Drain({ membership, store, log, roomOf: options.roomOf, isKeeper: options.isKeeper });
  const placement = new Placement({ processes: () => membership.processes(), wishOf: () => ({ region }) });

  framework.onDuplicate = (roomId) => membership.lost(roomId);
  membership.onDeath((dead) => void forget(dead, framework, log));
  membership.onHealed(() => void relist(log));
  const relisting = isAlone ? undefined : setInterval(() => void relist(log), RELIST_EVERY_MS).unref();

  return {
    membership,
    placement,
    store,
    coordinator,
    drain,
    journal: claims,
    async selectProcess(roomName, creation) {
      matchIds.stamp(creation);
      if (isAlone) return processId;
      if (!Object.hasOwn(options.plays, roomName)) return placement.chooseHost(roomName, processId);
      return placement.choose(roomName, options.placesFor(creation), creation.region);
    },
    get slotsAvailable() {
      return slotsAvailable();
    },
    async join() {
      await membership.join();
      coordinator?.start();
    },
    async close() {
      clearInterval(relisting);
      await coordinator?.close();
      await membership.leave();
      await store.close();
    },
  };
}

async function openStore(url: string, processId: string): Promise<ClusterStore> {
  const { RedisCluster } = await import('./adapters/redis-cluster.ts');
  return RedisCluster.open({ url, processId });
}

/** Takes a dead process off the framework's lists: nobody is sent there any more. */
async function forget(processId: string, { driver }: Framework, log: Logger): Promise<void> {
  try {
    await matchMaker.stats.excludeProcess(processId);
    await driver.cleanup?.(processId);
  } catch (error) {
    log.warn({ err: error, peer: processId }, 'rooms of a dead process are still listed');
  }
}

/** Puts rooms that run here back on the framework's lists, and this process itself. */
async function relist(log: Logger): Promise<void> {
  try {
    await matchMaker.restoreMissingRoomCaches();
    await matchMaker.stats.persist(true);
  } catch (error) {
    log.debug({ err: error }, 'rooms not listed again');
  }
}

function localRooms(): number {
  return matchMaker.stats.local.roomCount;
}

/** By which name another process on this machine reaches an address that is listened on. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}
