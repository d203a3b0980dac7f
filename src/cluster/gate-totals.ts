/** What the gate counts, in plain numbers that a scrape reads. */

/** Why a tunnel was cut: another process runs the room now; its process died; this process goes. */
export type CutReason = 'owner-changed' | 'owner-died' | 'closing';
/** What became of an upgrade that was held: let through, its client left, nobody ran the room in time, or a bound. */
export type HoldOutcome = 'released' | 'left' | 'expired' | 'refused';
/** Why an owner could not be had: no connection, no answer in time, or it said that the room is not there. */
export type DialFailure = 'unreachable' | 'silent' | 'moving';

/** Upper bounds of the time an upgrade was held, seconds; the longest hold is 20. */
export const HOLD_BOUNDS_S = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 20] as const;

export class GateTotals {
  /** Tunnels open now. */
  tunnels = 0;
  /** Upgrades held now. */
  held = 0;
  opened = 0;
  readonly cuts: Record<CutReason, number> = { 'owner-changed': 0, 'owner-died': 0, closing: 0 };
  readonly holds: Record<HoldOutcome, number> = { released: 0, left: 0, expired: 0, refused: 0 };
  readonly dialFailures: Record<DialFailure, number> = { unreachable: 0, silent: 0, moving: 0 };
  readonly holdCounts: number[] = Array.from({ length: HOLD_BOUNDS_S.length + 1 }, () => 0);
  holdSecondsSum = 0;

  countHold(outcome: HoldOutcome, seconds: number): void {
    this.holds[outcome]++;
    const at = HOLD_BOUNDS_S.findIndex((bound) => seconds <= bound);
    this.holdCounts[at < 0 ? HOLD_BOUNDS_S.length : at]!++;
    this.holdSecondsSum += seconds;
  }
}
