import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HELD_BYTES_MAX, HELD_MS_MAX, HoldBack } from '../../src/match/hold-back.ts';

const SEED = 20_261_126;

type Act =
  | { readonly kind: 'record' }
  | { readonly kind: 'send' }
  | { readonly kind: 'release'; readonly part: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.constant<Act>({ kind: 'record' }),
  fc.constant<Act>({ kind: 'send' }),
  fc.record({ kind: fc.constant('release' as const), part: fc.nat(100) }),
);

describe('HoldBack', () => {
  it('lets every frame out in order, none before what it shows is durable, and none later than that', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const hold = new HoldBack(() => 0);
        const out: { readonly number: number; readonly shows: number }[] = [];
        let [recorded, durable, frames] = [0, 0, 0];
        for (const one of acts) {
          if (one.kind === 'record') {
            recorded++;
            assert.equal(hold.record(), recorded);
          } else if (one.kind === 'send') {
            const frame = { number: frames++, shows: recorded };
            const send = (): void => {
              assert.ok(frame.shows <= durable);
              out.push(frame);
            };
            if (!hold.keep(1, send)) send();
          } else {
            // Also what was released before, and out of order.
            const upTo = Math.round((recorded * one.part) / 100);
            durable = Math.max(durable, upTo);
            hold.release(upTo);
          }
          assert.equal(hold.held.frames, frames - out.length);
          assert.equal(hold.held.bytes, frames - out.length);
        }
        assert.deepEqual(
          out.map(({ number }) => number),
          out.map((_, i) => i),
        );
        durable = recorded;
        hold.release(recorded);
        assert.equal(out.length, frames);
      }),
      { seed: SEED },
    );
  });

  it('what is handed over while frames are sent comes after them', () => {
    const hold = new HoldBack(() => 0);
    const out: string[] = [];
    hold.record();
    assert.ok(
      hold.keep(1, () => {
        out.push('first');
        assert.ok(hold.keep(1, () => out.push('in between')));
      }),
    );
    assert.ok(hold.keep(1, () => out.push('second')));
    hold.release(1);
    assert.deepEqual(out, ['first', 'second', 'in between']);
    assert.equal(
      hold.keep(1, () => undefined),
      false,
    );
  });

  it('is full when the oldest record waits for too long, or too many bytes do, and no longer when it was released', () => {
    let nowMs = 0;
    const hold = new HoldBack(() => nowMs);
    const first = hold.record();
    nowMs = HELD_MS_MAX - 1;
    assert.equal(hold.isFull, false);
    nowMs++;
    assert.equal(hold.isFull, true);
    const second = hold.record();
    hold.release(first);
    assert.equal(hold.isFull, false);
    hold.keep(HELD_BYTES_MAX, () => undefined);
    assert.equal(hold.isFull, true);
    hold.release(second);
    assert.equal(hold.isFull, false);
  });

  it('once opened lets out what was held and all that follows, once shut nothing but closes', () => {
    for (const [end, expected] of [
      ['open', ['held', 'closed', 'later']],
      ['shut', ['closed']],
    ] as const) {
      const hold = new HoldBack(() => 0);
      const out: string[] = [];
      hold.record();
      hold.keep(1, () => out.push('held'));
      hold.keepClose(() => out.push('closed'));
      hold[end]();
      hold.record();
      if (!hold.keep(1, () => out.push('kept'))) out.push('later');
      hold.release(2);
      assert.deepEqual(out, expected);
      assert.equal(
        hold.keepClose(() => undefined),
        false,
      );
      assert.equal(hold.isFull, false);
    }
  });
});
