import assert from 'node:assert/strict';
import { InputDecoder } from '@colyseus/schema/input';
import fc from 'fast-check';
import { encodeTrack, wander } from '../../loadtest/driver/input-track.ts';
import { ArenaInput, BUTTONS } from '../../schema/arena-input.ts';

const SEED = { seed: 20261121 };

describe('an input track', () => {
  it('is decided by its seed, and stays within the ranges of the input schema', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
        const steps = wander(seed, 300);
        assert.deepEqual(steps, wander(seed, 300));
        for (const { moveX, moveY, aim, buttons } of steps) {
          assert.ok(Math.abs(moveX) <= 127 && Math.abs(moveY) <= 127);
          assert.ok(Number.isInteger(aim) && aim >= 0 && aim < 256);
          assert.equal(buttons & ~(BUTTONS.FIRE | BUTTONS.ROCKET | BUTTONS.DASH), 0);
        }
      }),
      { ...SEED, numRuns: 30 },
    );
    assert.notDeepEqual(wander(1, 300), wander(2, 300));
  });

  it('moves, sweeps, shoots both weapons and dashes', () => {
    const steps = wander(1, 900);
    assert.ok(new Set(steps.map(({ moveX, moveY }) => `${moveX} ${moveY}`)).size > 10, 'walks in many directions');
    assert.ok(new Set(steps.map(({ aim }) => aim)).size > 50, 'aims in many directions');
    for (const button of Object.values(BUTTONS)) assert.ok(steps.some(({ buttons }) => (buttons & button) !== 0));
  });

  it('decodes to its steps with the stock decoder, also when it goes round and round', () => {
    const steps = wander(5, 120);
    const bodies = encodeTrack(steps);
    const input = new ArenaInput();
    const decoder = new InputDecoder(input);
    for (let i = 0; i < 3 * steps.length; i++) {
      decoder.decode(bodies[i % bodies.length]!);
      const { moveX, moveY, aim, buttons } = input;
      assert.deepEqual({ moveX, moveY, aim, buttons }, steps[i % steps.length], `frame ${i}`);
    }
  });
});
