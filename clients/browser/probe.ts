/**
 * Read-only facts for tests and for the curious, as `window.__hypogeum`. It gives no powers: everything here is a
 * number or a word that the page shows or computes anyway, copied at the moment of reading.
 */
import type { MatchScreen } from './play/match-screen.ts';
import type { MatchFacts, ProbeFacts, ReplayFacts } from './probe-facts.ts';
import type { ReplayScreen } from './replay/replay-screen.ts';

/** Defines the probe. @param read makes the facts at the moment of reading */
export function installProbe(read: () => ProbeFacts): void {
  Object.defineProperty(window, '__hypogeum', { get: read, enumerable: false, configurable: false });
}

export function matchFacts(match: MatchScreen): MatchFacts {
  const others = match.fighters.filter((fighter) => !fighter.isOwn);
  return {
    matchId: match.matchId,
    phase: match.phase,
    connection: match.connection,
    seat: match.seat,
    others: others.map(({ seat, name, isBot, x, y }) => ({ seat, name, isBot, x, y })),
    vitals: match.vitals,
    prediction: match.prediction,
    rttMs: match.meter.reading.rttMs,
    patchesPerSecond: match.meter.reading.patchesPerSecond,
    shots: match.effectsSeen.shots,
    explosions: match.effectsSeen.explosions,
  };
}

export function replayFacts({ tick, timeline, isPlaying, verdict }: ReplayScreen): ReplayFacts {
  return { tick, ticks: timeline.ticks, isPlaying, verdict: { ...verdict } };
}
