import assert from 'node:assert/strict';
import fc from 'fast-check';
import { advance, type SessionEvent, type SessionPhase, SessionTotals } from '../../src/sessions/session.ts';

const RESERVED: SessionPhase = { state: 'reserved', sinceMs: 0 };

/** @returns the phase after all of them */
function phaseAfter(...events: readonly SessionEvent[]): SessionPhase {
  return events.reduce(advance, RESERVED);
}

describe('a session', () => {
  it('is reserved until its client says that it is there, and joined from then on', () => {
    assert.deepEqual(phaseAfter({ kind: 'acknowledged' }), { state: 'joined' });
  });

  it('is dropped, resumed and joined again', () => {
    const dropped = phaseAfter({ kind: 'acknowledged' }, { kind: 'lost', atMs: 10 });
    assert.deepEqual(dropped, { state: 'dropped', sinceMs: 10 });
    const resumed = advance(dropped, { kind: 'returned', atMs: 30 });
    assert.deepEqual(resumed, { state: 'resumed', sinceMs: 30, droppedMs: 10 });
    assert.deepEqual(advance(resumed, { kind: 'acknowledged' }), { state: 'joined' });
  });

  it('counts its absence from the first loss when its client never was there in between', () => {
    const again = phaseAfter(
      { kind: 'lost', atMs: 10 },
      { kind: 'returned', atMs: 30 },
      { kind: 'lost', atMs: 50 },
      { kind: 'returned', atMs: 60 },
      { kind: 'lost', atMs: 70 },
    );
    assert.deepEqual(again, { state: 'dropped', sinceMs: 10 });
    assert.deepEqual(advance(again, { kind: 'lost', atMs: 99 }), again, 'who is away cannot be lost once more');
  });

  it('ends from anywhere, once', () => {
    const ended = { state: 'ended', reason: 'expired' };
    for (const events of [[], [{ kind: 'acknowledged' }], [{ kind: 'lost', atMs: 1 }]] as SessionEvent[][]) {
      assert.deepEqual(phaseAfter(...events, { kind: 'ended', reason: 'expired' }), ended);
    }
    assert.throws(() => advance(ended as SessionPhase, { kind: 'returned', atMs: 5 }), RangeError);
  });

  it('refuses what cannot be, and in every history counts each session in one state', () => {
    assert.throws(() => phaseAfter({ kind: 'returned', atMs: 1 }), /reserved cannot be returned/);
    assert.throws(
      () => phaseAfter({ kind: 'acknowledged' }, { kind: 'acknowledged' }),
      /joined cannot be acknowledged/,
    );
    const event: fc.Arbitrary<SessionEvent> = fc.oneof(
      fc.constant<SessionEvent>({ kind: 'acknowledged' }),
      fc.nat(100).map((atMs): SessionEvent => ({ kind: 'lost', atMs })),
      fc.nat(100).map((atMs): SessionEvent => ({ kind: 'returned', atMs })),
      fc.constant<SessionEvent>({ kind: 'ended', reason: 'left' }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(event, { maxLength: 12 }), { maxLength: 6 }), (histories) => {
        const totals = new SessionTotals();
        for (const history of histories) {
          let phase: SessionPhase = RESERVED;
          totals.note(undefined, phase);
          for (const one of history) {
            try {
              const next = advance(phase, one);
              totals.note(phase, next);
              phase = next;
            } catch (error) {
              assert.ok(error instanceof RangeError);
            }
          }
        }
        const counts = Object.values(totals.now);
        assert.ok(counts.every((count) => count >= 0));
        assert.equal(
          counts.reduce((sum, count) => sum + count, 0),
          histories.length,
        );
        assert.equal(totals.now.ended, totals.ended.left);
      }),
      { seed: 20_261_126 },
    );
  });
});
