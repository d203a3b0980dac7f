/** Where finished matches are kept as replay files. The port; its rules are test/contract/replay-store.contract.ts. */
import type { Readable } from 'node:stream';
import type { Replay, ReplayHeader, ReplayPlayer } from '../kernel/replay-file.ts';

export interface ReplaySummary {
  /** The match id; names the replay everywhere. */
  readonly id: string;
  /** Size of the file. */
  readonly bytes: number;
  readonly header: ReplayHeader;
}

/** The file as it is stored and served, see src/kernel/replay-file.ts. */
export interface OpenReplay {
  readonly bytes: number;
  /** Must be consumed or destroyed: it holds the file open, so that retention cannot cut a download short. */
  readonly stream: Readable;
}

export interface ReplayStore {
  /** How this store names players, see {@link ReplayPlayer}; archiving applies it before `put`. */
  readonly pseudonym: (playerId: string) => string;
  /** The newest first, at most `limit` (1 to 1,000). Damaged files are left out. */
  list(limit: number): Promise<ReplaySummary[]>;
  /** @throws GameError REPLAY_NOT_FOUND, also for an id that can be none */
  open(id: string): Promise<OpenReplay>;
  /** The whole replay, checked. @throws GameError REPLAY_NOT_FOUND, REPLAY_CORRUPT, REPLAY_VERSION */
  read(id: string): Promise<Replay>;
  /**
   * Keeps a replay; durable and whole when it resolves, absent when it rejects. Replaces one of the same id and lets go
   * of the oldest above the store's bound.
   * @throws RangeError if it is larger than any reader accepts
   */
  put(replay: Replay): Promise<void>;
}
