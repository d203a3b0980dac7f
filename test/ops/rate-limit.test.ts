import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RateLimit } from '../../src/ops/rate-limit.ts';

const seed = 20261121;

describe('a rate limit', () => {
  it('lets a burst through, then as many as come back', () => {
    let nowMs = 0;
    const limit = new RateLimit({ burst: 3, perSecond: 2, addressesMax: 10, nowMs: () => nowMs });
    assert.deepEqual(
      [1, 2, 3, 4].map(() => limit.take('a')),
      [true, true, true, false],
    );
    nowMs += 499;
    assert.equal(limit.take('a'), false);
    nowMs += 1;
    assert.equal(limit.take('a'), true);
    assert.equal(limit.isSpent('a'), true);
    assert.equal(limit.isSpent('b'), false);
  });

  it('never lets more through than burst + rate * time, however calls fall', () => {
    const calls = fc.array(fc.record({ waitMs: fc.nat(700), address: fc.constantFrom('a', 'b') }), { maxLength: 200 });
    fc.assert(
      fc.property(calls, (flow) => {
        let nowMs = 0;
        const limit = new RateLimit({ burst: 5, perSecond: 4, addressesMax: 10, nowMs: () => nowMs });
        const taken = { a: 0, b: 0 };
        for (const { waitMs, address } of flow) {
          nowMs += waitMs;
          if (limit.take(address)) taken[address as 'a' | 'b']++;
          for (const count of Object.values(taken)) assert.ok(count <= 5 + (4 * nowMs) / 1000 + 1e-9);
        }
      }),
      { seed },
    );
  });

  it('remembers a bounded number of addresses and forgets those longest unseen', () => {
    const limit = new RateLimit({ burst: 1, perSecond: 0.001, addressesMax: 3, nowMs: () => 0 });
    for (const address of ['a', 'b', 'c']) assert.equal(limit.take(address), true);
    assert.equal(limit.take('a'), false);
    assert.equal(limit.take('d'), true);
    assert.equal(limit.addresses, 3);
    assert.equal(limit.isSpent('a'), true, 'used last, so still known');
    assert.equal(limit.isSpent('b'), false, 'forgotten');
  });
});
