import assert from 'node:assert/strict';
import { deviationsOf, driftOf } from '../../../../loadtest/bench/tick/grid.ts';

const periodMs = 1000 / 30;
const even = Array.from({ length: 100 }, (_, k) => 17.3 + k * periodMs);

describe('the grid of the tick bench', () => {
  it('finds neither deviation nor drift in even starts, whatever their phase', () => {
    assert.ok(deviationsOf(even, periodMs).every((ms) => ms < 1e-9));
    assert.ok(Math.abs(driftOf(even, periodMs)) < 1e-9);
  });

  it('charges one late start to that start alone', () => {
    const starts = even.map((ms, k) => (k === 40 ? ms + 5 : ms));
    const deviations = deviationsOf(starts, periodMs);
    assert.ok(Math.abs(deviations[40]! - 5) < 1e-9);
    assert.equal(deviations.filter((ms) => ms > 1e-9).length, 1);
    assert.ok(Math.abs(driftOf(starts, periodMs)) < 1e-9);
  });

  it('sees a loop that is 1 % slow as drift, and a lost tick as a whole period of it', () => {
    const slow = even.map((_, k) => k * periodMs * 1.01);
    assert.ok(Math.abs(driftOf(slow, periodMs) - 0.9 * periodMs) < 1e-6);
    const lost = even.filter((_, k) => k !== 50);
    assert.ok(Math.abs(driftOf(lost, periodMs) - periodMs) < 1e-9);
  });

  it('has nothing to say about a room that never ticked', () => {
    assert.equal(deviationsOf([], periodMs).length, 0);
    assert.equal(driftOf([], periodMs), 0);
  });
});
