/**
 * A player's session in a match, as one state machine. Pure: who holds sessions feeds it what happens and does what
 * follows. Times are the caller's monotonic clock, ms.
 */

/** Why a session is over. `thrown-out`: by its process or an operator; `taken-over`: another device has the seat. */
export type SessionEnd = 'left' | 'expired' | 'taken-over' | 'thrown-out';

export type SessionPhase =
  /** It has its seat; its client has not said yet that it is there. */
  | { readonly state: 'reserved'; readonly sinceMs: number }
  | { readonly state: 'joined' }
  /** Without a connection; the seat waits. */
  | { readonly state: 'dropped'; readonly sinceMs: number }
  /** It has a new connection, whose client has not said yet that it is there. */
  | { readonly state: 'resumed'; readonly sinceMs: number; readonly droppedMs: number }
  | { readonly state: 'ended'; readonly reason: SessionEnd };

export type SessionState = SessionPhase['state'];

export type SessionEvent =
  /** The client says that it is there. */
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'lost'; readonly atMs: number }
  | { readonly kind: 'returned'; readonly atMs: number }
  | { readonly kind: 'ended'; readonly reason: SessionEnd };

/**
 * The phase after an event. A connection that is lost again before its client was there counts from the first loss: who
 * only ever opens sockets holds a seat no longer than who stays away.
 * @throws RangeError for what cannot happen in this phase: a bug of the caller
 */
export function advance(phase: SessionPhase, event: SessionEvent): SessionPhase {
  const { state } = phase;
  if (state !== 'ended') {
    switch (event.kind) {
      case 'acknowledged':
        if (state === 'reserved' || state === 'resumed') return { state: 'joined' };
        break;
      case 'lost':
        if (state === 'dropped') return phase;
        return { state: 'dropped', sinceMs: state === 'resumed' ? phase.droppedMs : event.atMs };
      case 'returned':
        if (state === 'dropped') return { state: 'resumed', sinceMs: event.atMs, droppedMs: phase.sinceMs };
        break;
      case 'ended':
        return { state: 'ended', reason: event.reason };
    }
  }
  throw new RangeError(`a session that is ${state} cannot be ${event.kind}`);
}

/** Sessions of one process in plain numbers, for the metrics endpoint. */
export class SessionTotals {
  /** How many are in each state now; of the ended, how many ended so far. */
  readonly now: Record<SessionState, number> = { reserved: 0, joined: 0, dropped: 0, resumed: 0, ended: 0 };
  readonly ended: Record<SessionEnd, number> = { left: 0, expired: 0, 'taken-over': 0, 'thrown-out': 0 };
  /** Messages to absent players: delivered after they came back, and reported to them as lost. */
  messagesDelivered = 0;
  messagesLost = 0;

  /** @param before undefined for a session that begins */
  note(before: SessionPhase | undefined, after: SessionPhase): void {
    if (before !== undefined) this.now[before.state]--;
    this.now[after.state]++;
    if (after.state === 'ended') this.ended[after.reason]++;
  }

  /** Sessions whose room ends or goes elsewhere are nobody's here. */
  forget(phase: SessionPhase): void {
    this.now[phase.state]--;
  }
}
