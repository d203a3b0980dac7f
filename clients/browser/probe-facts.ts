/** What `window.__hypogeum` tells; types only, so that tests outside a browser can name them. */

/** A position, 1/64 m. */
interface Position {
  readonly x: number;
  readonly y: number;
}

/** What the prediction of one's own avatar knows about itself. */
export interface PredictionFacts {
  readonly predicted: Position;
  readonly authoritative: Position;
  /** Largest difference of any predicted field from the server's; 0 is exact. */
  readonly errorUnits: number;
  /** Inputs sent and not yet acknowledged. */
  readonly pendingInputs: number;
  /** Disagreements so far, and those among them without a cause on the server. */
  readonly corrections: number;
  readonly desyncs: number;
}

export interface MatchFacts {
  readonly matchId: string;
  readonly phase: string;
  readonly connection: 'open' | 'reconnecting' | 'closed';
  readonly seat: number;
  /** Everybody else in sight, where they are drawn, metres. */
  readonly others: readonly {
    readonly seat: number;
    readonly name: string;
    readonly isBot: boolean;
    readonly x: number;
    readonly y: number;
  }[];
  readonly vitals:
    | { readonly hp: number; readonly ammo: number; readonly rockets: number; readonly isAlive: boolean }
    | undefined;
  /** Absent until the own avatar is in sight. */
  readonly prediction: PredictionFacts | undefined;
  readonly rttMs: number;
  readonly patchesPerSecond: number;
  /** Tracers and explosions drawn so far. */
  readonly shots: number;
  readonly explosions: number;
}

/** What the hashes of a replay say so far. */
export type Verdict =
  | { readonly kind: 'checking'; readonly tick: number }
  | { readonly kind: 'verified'; readonly hashes: number }
  /** `tick` is the entry after which the hashes differ. */
  | { readonly kind: 'diverged'; readonly tick: number };

export interface ReplayFacts {
  readonly tick: number;
  readonly ticks: number;
  readonly isPlaying: boolean;
  readonly verdict: Verdict;
}

export interface ProbeFacts {
  readonly screen: 'door' | 'joining' | 'match' | 'replay';
  /** Animation frames so far. */
  readonly frames: number;
  /** What went wrong, as the player reads it; empty otherwise. */
  readonly sentence: string;
  readonly match?: MatchFacts;
  readonly replay?: ReplayFacts;
}
