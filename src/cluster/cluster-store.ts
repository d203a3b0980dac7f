/**
 * What the processes of a cluster have in common: who is there, who runs which room, and words between them. The port;
 * its rules are test/contract/cluster-directory.contract.ts, which every adapter runs through {@link Membership}.
 *
 * Every change is one atomic step of the store. Times are not the store's business: a process lives as long as its beat
 * number grows, as each observer sees it by its own monotonic clock, so that no clock that is set can kill anybody.
 */
import type { ProcessCard, RoomOwner, RoomRecord } from './directory.ts';

/**
 * `creating`: being made by its process, nobody was told of it. `running`: its process runs it. `moving`: nobody runs it
 * now; its process is who tries to, or who did. `parked`: nobody tries any more.
 */
export type RoomState = 'creating' | 'running' | 'moving' | 'parked';

/** A room and where it stands. */
export interface StoredRoom extends RoomRecord {
  readonly state: RoomState;
}

/** A process as the store has it. */
export interface Heartbeat {
  readonly card: ProcessCard;
  /** Grows with every beat. */
  readonly beat: number;
}

export interface BeatReply {
  /** Changes when the store has lost everything. */
  readonly generation: string;
  /** False for the first beat, and for one whose process was declared dead since. */
  readonly wasKnown: boolean;
  readonly processes: readonly Heartbeat[];
}

/** What every process of the cluster hears. */
export type ClusterNews =
  | { readonly kind: 'owner'; readonly roomId: string; readonly owner: RoomOwner }
  /** Declared dead (its beat stood still, or nobody listened on its channel), or gone by itself. */
  | { readonly kind: 'gone'; readonly processId: string };

/** What one process asks of another. */
export type ProcessRequest =
  | { readonly kind: 'adopt'; readonly room: RoomRecord }
  /** To end; `by` is who wants it, for the log. */
  | { readonly kind: 'drain'; readonly by: string };

export type ProcessAnswer = { readonly outcome: string };

export interface ClusterStore {
  /** Says that this process is there. @throws GameError STORE_UNAVAILABLE */
  beat(heartbeat: Heartbeat): Promise<BeatReply>;
  /** As they have beaten last; says nothing of who still lives. */
  processes(): Promise<readonly Heartbeat[]>;
  /** How many listen on the channel of each process: 0 the moment its connections are closed, however it ended. */
  listeners(processIds: readonly string[]): Promise<readonly number[]>;
  /** Declares a process dead unless it has beaten since. @returns whether this call did it; all hear of it then */
  bury(processId: string, beat: number): Promise<boolean>;
  /** This process goes. */
  leave(processId: string): Promise<void>;

  /** Processes that the store has rooms of, living or dead. */
  owners(): Promise<readonly string[]>;
  roomsOf(processId: string): Promise<readonly StoredRoom[]>;
  /** With the card of its process if that lives. */
  room(roomId: string): Promise<{ readonly room: StoredRoom; readonly card: ProcessCard | undefined } | undefined>;

  /**
   * A room is about to be made. If another process began it and got no further (it is told to nobody yet), this one
   * takes it over with the next epoch.
   * @returns the epoch that is now this process's; undefined if there is a room of that id
   */
  begin(room: RoomRecord): Promise<number | undefined>;
  /**
   * Writes where a room stands, unless the store has a larger epoch of it, or the same of another process.
   * Of a room that runs all hear its owner, if that is news.
   * @returns whether it was written
   */
  put(room: StoredRoom, owner: RoomOwner): Promise<boolean>;
  /** Forgets a room, unless it has moved on. */
  release(roomId: string, processId: string, epoch: number): Promise<void>;

  /** Calls back with what all hear. */
  onNews(listener: (news: ClusterNews) => void): void;
  /**
   * Answers what others ask of this process, each kind by whoever does not leave it (undefined) to the next; a throw is
   * answered with its code.
   */
  onRequest(answer: (request: ProcessRequest) => Promise<ProcessAnswer> | undefined): void;
  /** @throws GameError STORE_UNAVAILABLE, also when no answer came in time: it may have been done */
  ask(processId: string, request: ProcessRequest, timeoutMs: number): Promise<ProcessAnswer>;
  /** Calls back when the connection to the store was lost. */
  onLost(listener: () => void): void;
  close(): Promise<void>;
}
