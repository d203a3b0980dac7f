import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RedisHopKey } from '../../src/adapters/redis-hop-key.ts';
import { HOP_MARK_MS, HopMarks } from '../../src/cluster/hop-mark.ts';
import { marksOf } from '../fixtures/fake-directory.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { until } from '../fixtures/until.ts';

const KEY = Buffer.alloc(32, 1);

describe('the mark of a hop', () => {
  it('tells the address that was signed, of either kind', () => {
    const marks = marksOf(KEY);
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        assert.equal(marks.addressOf(marks.sign(address)), address);
      }),
      { seed: 20261126 },
    );
  });

  it('counts for nothing when forged, changed in any place, of another key or not an address', () => {
    const marks = marksOf(KEY);
    const mark = marks.sign('203.0.113.9');
    for (let at = 0; at < mark.length; at++) {
      const changed = mark.slice(0, at) + (mark[at] === '1' ? '2' : '1') + mark.slice(at + 1);
      assert.equal(marks.addressOf(changed), undefined, changed);
    }
    assert.equal(marks.addressOf(marksOf(Buffer.alloc(32, 2)).sign('203.0.113.9')), undefined);
    for (const junk of ['', 'v1', ';;;', 'unsigned', `${mark};`, `${mark}${'0'.repeat(200)}`, mark.slice(0, -1)]) {
      assert.equal(marks.addressOf(junk), undefined, junk);
    }
    assert.equal(marks.addressOf(marks.sign('not an address')), undefined);
    assert.equal(marks.addressOf(marks.sign('1.2.3.4;x')), undefined);
  });

  it('is good for a while, also between clocks that differ by as much, and not for ever', () => {
    let nowMs = 1_000_000;
    const here = marksOf(KEY, () => nowMs);
    const mark = here.sign('203.0.113.9');
    for (const [laterMs, isGood] of [
      [0, true],
      [HOP_MARK_MS, true],
      [HOP_MARK_MS + 1, false],
      [-HOP_MARK_MS, true],
      [-HOP_MARK_MS - 1, false],
      [3_600_000, false],
    ] as const) {
      nowMs = 1_000_000 + laterMs;
      assert.equal(here.addressOf(mark) !== undefined, isGood, `${laterMs} ms later`);
    }
  });

  it('without a key is none, and still ends loops', () => {
    const marks = new HopMarks({ key: { current: undefined, accepted: [], onMismatch: () => undefined } });
    const mark = marks.sign('203.0.113.9');
    assert.notEqual(mark, '');
    assert.equal(marks.addressOf(mark), undefined);
  });
});

describe('the key of hop marks in Redis', () => {
  let redis: RedisServer;
  const keys: RedisHopKey[] = [];

  before(async () => {
    redis = await RedisServer.start();
  });

  afterEach(() => {
    for (const key of keys.splice(0)) key.close();
  });

  after(() => redis.stop());

  async function open(everyMs = 20): Promise<RedisHopKey> {
    const key = await RedisHopKey.open({ url: redis.url, everyMs });
    keys.push(key);
    return key;
  }

  it('is one for all who come, also at once', async () => {
    await redis.command((client) => client.flushall());
    const opened = await Promise.all(Array.from({ length: 8 }, () => open()));
    const [first] = opened;
    assert.equal(first!.current!.length, 32);
    for (const key of opened) assert.deepEqual(key.current, first!.current);
    const marks = opened.map((key) => new HopMarks({ key }));
    assert.equal(marks[1]!.addressOf(marks[0]!.sign('203.0.113.9')), '203.0.113.9');
  });

  it('is put back when Redis has lost it', async () => {
    const key = await open();
    const before = key.current;
    await redis.command((client) => client.flushall());
    await until(
      () => redis.command((client) => client.exists('hypogeum:hop-key')).then((n) => n === 1),
      'it to be back',
    );
    assert.deepEqual((await open()).current, before);
  });

  it('follows another one that is there by now, and accepts the former for a while', async () => {
    const key = await open(3_600_000);
    const marks = new HopMarks({ key });
    const former = marks.sign('203.0.113.9');
    const other = Buffer.alloc(32, 9);
    await redis.command((client) => client.set('hypogeum:hop-key', other.toString('base64')));
    // A mark of the new key does not fit yet, and has it looked up.
    await until(
      () => marks.addressOf(marksOf(other).sign('198.51.100.1')) === '198.51.100.1',
      'the new key to be known',
    );
    assert.deepEqual(key.current, other);
    assert.equal(marks.addressOf(former), '203.0.113.9');
  });

  it('is missed with STORE_UNAVAILABLE where there is no Redis', async () => {
    await assert.rejects(RedisHopKey.open({ url: 'redis://127.0.0.1:1', timeoutMs: 200 }), {
      code: 'STORE_UNAVAILABLE',
    });
  });
});
