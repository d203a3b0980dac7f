import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import fc from 'fast-check';
import { crc32 } from '../../src/kernel/hash.ts';
import { inflateRaw } from '../../src/kernel/inflate.ts';
import {
  packReplay,
  REPLAY_LIMITS,
  type Replay,
  readReplayHeader,
  replayHeadBytes,
  unpackReplay,
} from '../../src/kernel/replay-file.ts';
import { playReplay } from '../fixtures/recorded-match.ts';

const seed = 20261121;
const deflate = promisify(deflateRaw);
const CORRUPT = { code: 'REPLAY_CORRUPT' };

/** The fixed part with one u32 replaced and its checksum made to fit again, as a forger would. */
function forge(file: Uint8Array, at: number, value: number): Buffer {
  const bytes = Buffer.from(file);
  bytes.writeUInt32LE(value, at);
  const header = bytes.subarray(24, 24 + bytes.readUInt32LE(8));
  bytes.writeUInt32LE(crc32(header, crc32(bytes.subarray(0, 20))), 20);
  return bytes;
}

/** A file around any header text. */
async function withHeader(replay: Replay, json: string): Promise<Buffer> {
  const file = Buffer.from(await packReplay(replay));
  const body = file.subarray(24 + file.readUInt32LE(8));
  const head = Buffer.from(file.subarray(0, 24));
  const header = Buffer.from(json);
  head.writeUInt32LE(header.length, 8);
  head.writeUInt32LE(crc32(header, crc32(head.subarray(0, 20))), 20);
  return Buffer.concat([head, header, body]);
}

describe('the replay file', () => {
  let replay: Replay;

  before(async () => {
    replay = await playReplay('match-a', 95);
  });

  it('gives back header, entries and hashes, packed or plain', async () => {
    for (const file of [await packReplay(replay), await packReplay(replay, deflate)]) {
      const read = await unpackReplay(file, inflateRaw);
      assert.deepEqual(read.header, replay.header);
      assert.deepEqual(read.entries.map(String), replay.entries.map(String));
      assert.deepEqual(read.hashes, replay.hashes);
      assert.equal(read.hashes.length, 3);
    }
  });

  it('packs to the same bytes every time', async () => {
    assert.deepEqual(await packReplay(replay), await packReplay(replay));
  });

  it('shows its header to who has read only the beginning', async () => {
    const file = await packReplay(replay, deflate);
    const need = replayHeadBytes(file.subarray(0, 24));
    assert.ok(need < file.length);
    assert.deepEqual(readReplayHeader(file.subarray(0, need)), replay.header);
    assert.throws(() => readReplayHeader(file.subarray(0, need - 1)), CORRUPT);
    assert.throws(() => replayHeadBytes(file.subarray(0, 10)), CORRUPT);
  });

  it('is refused when any byte is changed or missing', async () => {
    for (const file of [await packReplay(replay), await packReplay(replay, deflate)]) {
      for (let at = 0; at < file.length; at += at < 24 ? 1 : 7) {
        const hit = file.slice();
        hit[at]! ^= 0x10;
        await assert.rejects(
          unpackReplay(hit, inflateRaw),
          ({ code }) => code === 'REPLAY_CORRUPT' || (at === 4 && code === 'REPLAY_VERSION'),
        );
      }
      for (let length = 0; length < file.length; length += 97) {
        await assert.rejects(unpackReplay(file.subarray(0, length), inflateRaw), CORRUPT);
      }
      await assert.rejects(unpackReplay(Buffer.concat([file, Buffer.of(0)]), inflateRaw), CORRUPT);
    }
  });

  it('is refused when its body says more or less than its header, checksums or not', async () => {
    const file = Buffer.from(await packReplay(replay));
    const bodyAt = 24 + file.readUInt32LE(8);
    const body = file.subarray(bodyAt);
    for (const other of [
      Buffer.concat([body, Buffer.of(0)]),
      body.subarray(0, -1),
      Buffer.from([94, ...body.subarray(1)]),
    ]) {
      const sized = Buffer.concat([forge(file, 12, other.length).subarray(0, bodyAt), other]);
      await assert.rejects(unpackReplay(forge(sized, 16, crc32(other)), inflateRaw), CORRUPT);
    }
  });

  it('random bytes are refused and nothing else happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, isDressed) => {
        // Half of them begin as a replay does, so that the parser gets further.
        const file = isDressed ? Buffer.concat([Buffer.from('HYPR\x01\x00\x00\x00', 'latin1'), bytes]) : bytes;
        await assert.rejects(unpackReplay(file, inflateRaw), CORRUPT);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('stated sizes above the limits are refused before anything is allocated for them', async () => {
    const file = await packReplay(replay);
    await assert.rejects(unpackReplay(forge(file, 8, 0xffffffff), inflateRaw), CORRUPT);
    await assert.rejects(unpackReplay(forge(file, 12, REPLAY_LIMITS.bodyBytes + 1), inflateRaw), CORRUPT);
  });

  it('a small file does not unpack to more than it states', async () => {
    const bomb = await deflate(Buffer.alloc(50_000_000));
    const file = await packReplay(replay, async () => bomb);
    let inflated = 0;
    const counting = async (bytes: Uint8Array, maxBytes: number) => {
      const result = await inflateRaw(bytes, maxBytes);
      inflated = result.length;
      return result;
    };
    await assert.rejects(unpackReplay(file, counting), CORRUPT);
    assert.equal(inflated, 0);
    await assert.rejects(inflateRaw(bomb, 1_000_000), RangeError);
  });

  it('a header that is JSON but no header is refused with the member that is wrong', async () => {
    const { header } = replay;
    const wrong: Record<string, unknown>[] = [
      { ...header, matchId: '../../etc/passwd' },
      { ...header, ticks: 94 },
      { ...header, ticks: -1 },
      { ...header, ticks: 1e300 },
      { ...header, finalHash: 'not a hash' },
      { ...header, hashEveryTicks: 0 },
      { ...header, setup: { goal: 5 } },
      { ...header, setup: { seed: 1.5 } },
      { ...header, setup: { seed: 1, nested: {} } },
      { ...header, setup: { seed: 1, ...Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, i])) } },
      { ...header, players: 'all' },
      { ...header, players: [{ ...header.players[0], seat: 256 }] },
      { ...header, players: [{ ...header.players[0], joinedTick: 5, leftTick: 4 }] },
      { ...header, players: [{ ...header.players[0], name: 'x'.repeat(10_000) }] },
      { ...header, result: { reason: 'won', standings: [] } },
      { ...header, result: { reason: 'completed', standings: [{ seat: 0 }] } },
      { ...header, tickRateHz: '30' },
      { ...header, roomName: undefined },
    ];
    for (const value of wrong) {
      await assert.rejects(unpackReplay(await withHeader(replay, JSON.stringify(value)), inflateRaw), CORRUPT);
    }
    for (const json of ['', 'null', '[]', '{', '"x"', '{"__proto__":{"matchId":"a"}}', '\ud800']) {
      await assert.rejects(unpackReplay(await withHeader(replay, json), inflateRaw), CORRUPT);
    }
  });

  it('members that nobody knows are dropped and cannot touch prototypes', async () => {
    const json = JSON.stringify(replay.header).replace('{', '{"__proto__":{"polluted":1},"constructor":{"x":1},');
    const { header } = await unpackReplay(await withHeader(replay, json), inflateRaw);
    assert.deepEqual(header, replay.header);
    assert.equal((header as unknown as Record<string, unknown>)['polluted'], undefined);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('is not written when no reader would accept it', async () => {
    const tooMany = { ...replay, header: { ...replay.header, ticks: 96 } };
    await assert.rejects(packReplay(tooMany), RangeError);
    await assert.rejects(packReplay({ ...replay, hashes: [] }), RangeError);
    const large = { ...replay, entries: replay.entries.with(0, new Uint8Array(REPLAY_LIMITS.entryBytes + 1)) };
    await assert.rejects(packReplay(large), RangeError);
  });
});
