/**
 * Read-only facts for tests and for the curious, as `window.__hypogeum`. It gives no powers: everything here is a
 * number or a word that the page shows or computes anyway, copied at the moment of reading.
 */
import type { MatchScreen } from './play/match-screen.ts';
import type { ReplayScreen } from './replay/replay-screen.ts';

export interface ProbeFacts {
  readonly screen: 'door' | 'joining' | 'match' | 'replay';
  readonly frames: number;
  readonly sentence: string;
  readonly match?: {
    readonly phase: string;
    readonly connection: string;
    readonly seat: number;
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
    readonly prediction: ReturnType<() => MatchScreen['prediction']>;
    readonly rttMs: number;
    readonly patchesPerSecond: number;
    readonly shots: number;
    readonly explosions: number;
  };
  readonly replay?: {
    readonly tick: number;
    readonly ticks: number;
    readonly isPlaying: boolean;
    readonly verdict: ReplayScreen['verdict'];
  };
}

declare global {
  interface Window {
    readonly __hypogeum: ProbeFacts;
  }
}

/** Defines the probe. @param read makes the facts at the moment of reading */
export function installProbe(read: () => ProbeFacts): void {
  Object.defineProperty(window, '__hypogeum', { get: read, enumerable: false, configurable: false });
}

export function matchFacts(match: MatchScreen): NonNullable<ProbeFacts['match']> {
  return {
    phase: match.phase,
    connection: match.connection,
    seat: match.seat,
    others: match.fighters
      .filter((fighter) => !fighter.isOwn)
      .map(({ seat, name, isBot, x, y }) => ({ seat, name, isBot, x, y })),
    vitals: match.vitals,
    prediction: match.prediction,
    rttMs: match.meter.reading.rttMs,
    patchesPerSecond: match.meter.reading.patchesPerSecond,
    shots: match.effectsSeen.shots,
    explosions: match.effectsSeen.explosions,
  };
}

export function replayFacts({ tick, timeline, isPlaying, verdict }: ReplayScreen): NonNullable<ProbeFacts['replay']> {
  return { tick, ticks: timeline.ticks, isPlaying, verdict: { ...verdict } };
}
