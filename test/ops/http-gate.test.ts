import assert from 'node:assert/strict';
import { isLoopback, networkOf } from '../../src/ops/http-gate.ts';

describe('a network that shares a rate limit', () => {
  for (const [address, network] of [
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:ffff::1', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ] as const) {
    it(`of ${address || 'an unknown address'} is ${network || 'that of all unknown ones'}`, () => {
      assert.equal(networkOf(address), network);
    });
  }

  it('is not limited on this machine', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1']) assert.equal(isLoopback(address), true);
    for (const address of ['128.0.0.1', '127.0.0.1.evil', '', '::2', '::ffff:127.0.0.1']) {
      assert.equal(isLoopback(address), false);
    }
  });
});
