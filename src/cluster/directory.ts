/**
 * Who is there, and who runs which room: what gate, placement, adoption and drain ask. The port; its rules are
 * test/contract/cluster-directory.contract.ts, which every adapter runs (Redis for a cluster, memory for one process).
 */

import type { Compatibility } from '../match/compatibility.ts';

export type { Compatibility };

/** What a process does; all of them unless `HYPOGEUM_ROLES` says otherwise. */
export type Role = 'gate' | 'realtime' | 'worker';

/** How busy a process is, as it said itself at most a beat ago. */
export interface ProcessLoad {
  /** 99th percentile of a whole tick over the last seconds, ms; 0 without rooms. */
  readonly tickP99Ms: number;
  /** Players connected to its rooms. */
  readonly players: number;
  readonly rooms: number;
  /** Matches that it takes at once, see `HYPOGEUM_MATCH_SLOTS`. */
  readonly matchSlots: number;
  /** Room for so many more matches. */
  readonly matchSlotsAvailable: number;
}

/** A process of the cluster, as the others see it. */
export interface ProcessCard {
  /** The framework's own id of the process. */
  readonly processId: string;
  /** Where gates and other processes reach its HTTP port. */
  readonly host: string;
  readonly port: number;
  readonly roles: readonly Role[];
  readonly buildId: string;
  readonly region: string;
  /** By room name: what a match must have been started with to go on here, see `Compatibility`. */
  readonly plays: Readonly<Record<string, Compatibility>>;
  /** False where rooms are not restored as their clients know them: it takes none over, and nobody takes its own. */
  readonly canAdopt: boolean;
  /** Takes no new rooms and hands over those it has. */
  readonly isDraining: boolean;
  readonly load: ProcessLoad;
}

/** A room that exists, and its match. */
export interface RoomRecord extends Compatibility {
  readonly roomId: string;
  readonly roomName: string;
  readonly matchId: string;
  /** Build it was created by. */
  readonly buildId: string;
  /** Of its owner; grows with every adoption. */
  readonly epoch: number;
  readonly processId: string;
}

/**
 * Where a room is. `running`: its owner lives. `moving`: it exists, and nobody runs it now; somebody will. `parked`: it
 * could not be restored and nobody tries any more.
 */
export type RoomPlace =
  | { readonly state: 'running'; readonly processId: string; readonly host: string; readonly port: number }
  | { readonly state: 'moving' }
  | { readonly state: 'parked' }
  | { readonly state: 'unknown' };

export interface RoomOwner {
  readonly processId: string;
  readonly host: string;
  readonly port: number;
}

export interface ClusterDirectory {
  /** Processes that live, this one included, as last heard; no call to a store. */
  processes(): readonly ProcessCard[];
  /** @throws GameError STORE_UNAVAILABLE */
  placeOf(roomId: string): Promise<RoomPlace>;
  /** Calls back when a room has another owner (or a first one), from now on. Returns what ends it. */
  onOwner(listener: (roomId: string, owner: RoomOwner) => void): () => void;
  /**
   * Calls back when a process died or was declared dead, with the rooms that were its own. At least once a death, and
   * again for rooms that are left over. Returns what ends it.
   */
  onDeath(listener: (processId: string, rooms: readonly RoomRecord[]) => void): () => void;
}
