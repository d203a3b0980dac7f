/** What rooms are given by the composition root, and what they show of themselves. */
import type { Track } from '../src/cluster/canary.ts';
import type { RoomRegistry } from '../src/cluster/room-registry.ts';
import type { InputTotals } from '../src/match/input-plugin.ts';
import type { InterestTotals } from '../src/match/interest-plugin.ts';
import type { MatchJournal } from '../src/match/journal.ts';
import type { Durability } from '../src/match/journal-plugin.ts';
import type { JournalTotals } from '../src/match/journal-totals.ts';
import type { PingTotals } from '../src/match/ping-plugin.ts';
import type { ReplayStore } from '../src/match/replay-store.ts';
import type { RoomTotals } from '../src/match/room-totals.ts';
import type { MatchSettler } from '../src/match/settler.ts';
import type { TickTotals } from '../src/match/tick-metrics.ts';
import type { TickScheduler } from '../src/match/tick-scheduler.ts';
import type { Matchmaking } from '../src/matchmaking/matchmaking.ts';
import type { SessionTotals } from '../src/sessions/session.ts';

/** The narrow part of a logger that rooms use. */
export interface RoomLog {
  info(facts: object, text: string): void;
  warn(facts: object, text: string): void;
  error(facts: object, text: string): void;
  /** The same log, with these facts on every line. */
  child?(facts: object): RoomLog;
}

/** What the composition root hands to every room; merged last into the options, so a client cannot override it. */
export interface RoomServices {
  readonly log: RoomLog;
  readonly scheduler: TickScheduler;
  readonly journal: MatchJournal;
  readonly replays: ReplayStore;
  /** What becomes of a match that has ended. */
  readonly settler: MatchSettler;
  /** Queues for matches; without it nobody queues. */
  readonly matchmaking?: Matchmaking;
  /** Where running matches ask for players; without it they wait for who comes by itself. */
  readonly seeking?: Seeking;
  /** Who runs which room; without it nobody asks. */
  readonly registry?: RoomRegistry;
  /** Of the matches of this process: whether it runs the build that is tried. Without it nothing is tried. */
  readonly track?: () => Track;
  /** Whose sign-in ends while they play; without it nobody's does. */
  readonly revocations?: Revocations;
  readonly totals: {
    readonly tick: TickTotals;
    readonly input: InputTotals;
    readonly interest: InterestTotals;
    readonly journal: JournalTotals;
    readonly ping: PingTotals;
    readonly room: RoomTotals;
    readonly sessions: SessionTotals;
  };
  readonly settings: RoomSettings;
  /** A room's match goes on elsewhere: from now on the listing's row of this id is the new owner's. */
  onRetire?(roomId: string): void;
  /** A fresh match id, unique over all processes and starts. */
  newMatchId(): string;
  /** A fresh seed, 0 to 2^32 - 1. */
  newSeed(): number;
}

/** Seats of a running match that players may be queued for, by team, and who plays in which. */
export interface Vacancies {
  readonly freeSeats: readonly number[];
  readonly players: readonly { readonly playerId: string; readonly team: number }[];
}

/** Neither call waits or throws. */
export interface Seeking {
  /** Asks for players, or goes on asking; to be repeated every few seconds. */
  ask(match: Vacancies & { readonly roomName: string; readonly roomId: string; readonly matchId: string }): void;
  end(matchId: string): void;
}

/** Tells of sign-ins that ended before their time. */
export interface Revocations {
  /** @throws GameError AUTH_REVOKED, ACCOUNT_BANNED if the sign-in has ended */
  check(sessionId: string): void;
  /** Calls back once for each that ends, from now on. Returns what ends it. */
  onRevoked(listener: (revoked: Revoked) => void): () => void;
}

export interface Revoked {
  /** The sign-in, as in the identity. */
  readonly sessionId: string;
  readonly code: 'ACCOUNT_BANNED' | 'AUTH_REVOKED';
}

/** What an operator sets for rooms. */
export interface RoomSettings {
  readonly tickRateHz: number;
  readonly patchEveryTicks: number;
  /** Seats that bots fill while fewer people play; 0 for none. */
  readonly botsFillTo: number;
  readonly maxPlayers: number;
  readonly matchMinutes: number;
  readonly buildId: string;
  readonly durability: Durability;
}

/** What panels show of a room. */
export interface RoomMetadata {
  /** Whether the match runs on the build that is tried; joins are matched by it, see src/cluster/canary.ts. */
  track: Track;
  matchId: string;
  phase: string;
  tick: number;
  tickP99Ms: number;
  overruns: number;
  bots: number;
}
