import assert from 'node:assert/strict';
import fc from 'fast-check';
import { angleOf, ceilSqrt, cosine, divideRounded, floorSqrt, sine, TRIG_ONE } from '../../src/sim/integers.ts';
import { SEED } from './arena-scene.ts';

describe('sim/integers', () => {
  it('sine and cosine are within half a unit of the truth at every angle', () => {
    for (let angle = -256; angle < 512; angle++) {
      const turn = (angle / 256) * 2 * Math.PI;
      assert.ok(Math.abs(sine(angle) - Math.sin(turn) * TRIG_ONE) <= 0.5 + 1e-9, `sine ${angle}`);
      assert.ok(Math.abs(cosine(angle) - Math.cos(turn) * TRIG_ONE) <= 0.5 + 1e-9, `cosine ${angle}`);
    }
  });

  it('the angle of a direction of the table is that direction', () => {
    for (let angle = 0; angle < 256; angle++) assert.equal(angleOf(cosine(angle), sine(angle)), angle);
    assert.equal(angleOf(0, 0), 0);
  });

  it('the angle of any vector is the nearest of the table', () => {
    const part = fc.integer({ min: -32768, max: 32767 });
    fc.assert(
      fc.property(part, part, (dx, dy) => {
        fc.pre(dx !== 0 || dy !== 0);
        const exact = (Math.atan2(dy, dx) / (2 * Math.PI)) * 256;
        const off = Math.abs(((angleOf(dx, dy) - exact + 128 + 512) % 256) - 128);
        assert.ok(off <= 0.51, `${dx}, ${dy}: off by ${off}`);
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('roots are exact on both sides of every square', () => {
    for (const root of [0, 1, 2, 3, 255, 32767, 46340, 65536, 67108863]) {
      const square = root * root;
      assert.equal(floorSqrt(square), root);
      assert.equal(ceilSqrt(square), root);
      assert.equal(floorSqrt(square + 1), square === 0 ? 1 : root);
      assert.equal(ceilSqrt(square + 1), root + 1);
      if (root > 1) assert.equal(floorSqrt(square - 1), root - 1);
      if (root > 1) assert.equal(ceilSqrt(square - 1), root);
    }
  });

  it('rounding treats left and right alike, halves away from zero', () => {
    const table = [
      [0, 0],
      [7, 0],
      [8, 1],
      [23, 1],
      [24, 2],
      [272, 17],
    ] as const;
    for (const [a, rounded] of table) {
      assert.equal(divideRounded(a, 16), rounded);
      assert.equal(divideRounded(-a, 16) + rounded, 0);
    }
  });
});
