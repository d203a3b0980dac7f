import assert from 'node:assert/strict';
import { Encoder, encode, type SchemaType, schema, t } from '@colyseus/schema';
import { InputEncoder } from '@colyseus/schema/input';
import { Room as SdkRoom } from '@colyseus/sdk';
import fc from 'fast-check';
import { faultOf, INPUT_SLOTS_MAX, MESSAGE_DEPTH_MAX, MESSAGE_TYPE_BYTES_MAX } from '../../src/match/client-frame.ts';

const SEED = 20261121;
const [JOIN, LEAVE, DATA, BYTES, PING, RELIABLE, UNRELIABLE, REQUEST, TIMED] = [10, 12, 13, 17, 18, 19, 20, 21, 0x80];

const frame = (...parts: (number | Uint8Array)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)));

function typeBytes(type: string | number): Uint8Array {
  const bytes = Buffer.alloc(4096);
  const at = { offset: 0 };
  if (typeof type === 'string') encode.string(bytes, type, at);
  else encode.number(bytes, type, at);
  return bytes.subarray(0, at.offset);
}

const message = (payload: Uint8Array) => frame(DATA!, typeBytes('report'), payload);

interface Packer {
  readonly constructor: new (options: { useRecords: false }) => Packer;
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}
/** What the SDK packs messages with, and its like on the server. */
const { packr: sdk } = new SdkRoom('any') as unknown as { packr: Packer };
const framework = new sdk.constructor({ useRecords: false });

describe('a frame from a client', () => {
  describe('of a kind without a body', () => {
    it('passes', () => {
      for (const code of [JOIN!, LEAVE!, PING!]) assert.equal(faultOf(frame(code)), undefined);
    });
  });

  it('that is empty, of an unknown kind or modified without reason is refused', () => {
    assert.equal(faultOf(frame()), 'empty');
    const known = new Set([JOIN, LEAVE, DATA, BYTES, PING, RELIABLE, UNRELIABLE, REQUEST]);
    for (let first = 0; first < 256; first++) {
      const isStamped = first === (RELIABLE! | TIMED!) || first === (UNRELIABLE! | TIMED!);
      if (known.has(first) || isStamped) continue;
      assert.equal(faultOf(frame(first, 1)), 'code', `first byte ${first}`);
    }
  });

  describe('with a message', () => {
    const plain = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.integer(),
        fc.double(),
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.constant(undefined),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.uint8Array({ maxLength: 300 }),
        fc.date({ noInvalidDate: true }),
        fc.array(tie('value'), { maxLength: 20 }),
        fc.dictionary(fc.string({ maxLength: 10 }), tie('value'), { maxKeys: 20 }),
      ),
    })).value;

    it('passes whatever the SDK packs, as message and as request', () => {
      fc.assert(
        fc.property(plain, fc.string({ minLength: 1, maxLength: 16 }), fc.nat(), (value, type, id) => {
          const payload = sdk.pack(value);
          assert.equal(faultOf(frame(DATA!, typeBytes(type), payload)), undefined);
          assert.equal(faultOf(frame(REQUEST!, typeBytes(id), typeBytes(type), payload)), undefined);
          assert.equal(faultOf(frame(DATA!, typeBytes(type))), undefined, 'without a payload');
        }),
        { seed: SEED, numRuns: 500 },
      );
    });

    it('passes only what the framework’s decoder reads whole', () => {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (payload) => {
          if (faultOf(message(payload)) !== undefined) return;
          assert.doesNotThrow(() => framework.unpack(payload), Buffer.from(payload).toString('hex'));
        }),
        { seed: SEED, numRuns: 20_000 },
      );
    });

    it('is refused when any byte is missing from its end', () => {
      const payload = sdk.pack({
        name: 'a',
        list: [1, 2, { name: 'b', list: [], deep: { x: 0.5 } }],
        at: new Date(1e12),
      });
      const whole = message(payload);
      assert.equal(faultOf(whole), undefined);
      const bodyAt = whole.length - payload.length;
      for (let length = bodyAt + 1; length < whole.length; length++) {
        assert.equal(faultOf(whole.subarray(0, length)), 'message', `${length} bytes`);
      }
      assert.equal(faultOf(frame(whole, 0)), 'message', 'a byte too many');
    });

    it('is refused above a depth', () => {
      const nested = (depth: number) => message(Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.of(0xc0)]));
      assert.equal(faultOf(nested(MESSAGE_DEPTH_MAX)), undefined);
      assert.equal(faultOf(nested(MESSAGE_DEPTH_MAX + 1)), 'message');
      assert.equal(faultOf(nested(4000)), 'message');
    });

    for (const [what, payload] of Object.entries({
      'an array of 2^32 - 1': [0xdd, 0xff, 0xff, 0xff, 0xff],
      'a map of 2^31': [0xdf, 0x80, 0, 0, 0],
      'a string of 4 GB': [0xdb, 0xff, 0xff, 0xff, 0xff],
      'binary of 2 GB': [0xc6, 0x7f, 0xff, 0xff, 0xff],
      'a regular expression': [0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0],
      'a structured clone': [0xd6, 0x69, 0, 0, 0, 1, 0x90],
      'bundled strings': [0xd6, 0x62, 0, 0, 0, 9, 0xa0, 0xa0, 0],
      'a typed array': [0xc7, 2, 0x74, 0, 1],
      'an unknown extension': [0xd5, 0x33, 0, 0],
      'a record without keys': [0xd4, 0x72, 0x40, 0xc0],
      'a record with keys that are no strings': [0xd4, 0x72, 0x40, 0x91, 1, 2],
      'the byte that means nothing': [0xc1],
    })) {
      it(`that claims ${what} is refused`, () => {
        assert.equal(faultOf(message(Uint8Array.from(payload))), 'message');
      });
    }

    it('is refused with a type that is too long, cut short, no UTF-8 or neither string nor number', () => {
      const longest = 'x'.repeat(MESSAGE_TYPE_BYTES_MAX);
      assert.equal(faultOf(frame(DATA!, typeBytes(longest))), undefined);
      for (const type of [
        typeBytes(`${longest}x`),
        [],
        [0xa5, 0x61],
        [0xd9],
        [0xa2, 0xc3, 0x28],
        [0xdb, 1, 0, 0, 0, 65],
        [0xc0],
      ]) {
        assert.equal(faultOf(frame(DATA!, Uint8Array.from(type))), 'type', Buffer.from(type).toString('hex'));
        assert.equal(faultOf(frame(BYTES!, Uint8Array.from(type))), 'type');
      }
    });

    it('is refused as a request without a number', () => {
      for (const id of [[], [0xce, 1], [0xff], [0xcb, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]]) {
        assert.equal(faultOf(frame(REQUEST!, Uint8Array.from(id), typeBytes('report'))), 'message');
      }
    });
  });

  describe('with inputs', () => {
    const Move = schema({ x: t.int8().default(0), y: t.int16().default(0) }, 'FrameMove');
    type Move = SchemaType<typeof Move>;

    function ring(sends: readonly { x: number; y: number }[], historySize: number): Uint8Array {
      const move: Move = new Move();
      new Encoder(move);
      const encoder = new InputEncoder(move, { mode: 'unreliable', historySize });
      let packet: Uint8Array = new Uint8Array();
      for (const send of sends) {
        move.assign(send);
        packet = encoder.encode().slice();
      }
      return packet;
    }

    it('passes as the SDK writes them, whatever was dropped before', () => {
      const moves = fc.array(
        fc.record({ x: fc.integer({ min: -128, max: 127 }), y: fc.integer({ min: -3e4, max: 3e4 }) }),
        {
          minLength: 1,
          maxLength: 40,
        },
      );
      fc.assert(
        fc.property(moves, fc.integer({ min: 1, max: 8 }), (sends, historySize) => {
          assert.equal(faultOf(frame(UNRELIABLE!, ring(sends, historySize))), undefined);
        }),
        { seed: SEED },
      );
    });

    for (const [what, bytes] of Object.entries({
      'a length of -1, which never ends': [UNRELIABLE, 0, 0xff],
      'a length past the end': [UNRELIABLE, 0, 9, 1],
      'a length of 2^31': [UNRELIABLE, 0, 0xce, 0, 0, 0, 0x80],
      'a fractional length': [UNRELIABLE, 0, 0xca, 0, 0, 0, 0x3f],
      'no sequence number': [UNRELIABLE],
      'a sequence number that is not one': [UNRELIABLE, 0xcb, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0],
      'four thousand million stamps': [UNRELIABLE! | TIMED!, 0xce, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
      'more stamps than inputs': [UNRELIABLE! | TIMED!, 2, 1, 0, 0, 0, 5, 0, 0],
      'no stamps though it says so': [UNRELIABLE! | TIMED!, 0, 1, 0, 0, 0, 0],
      'half a stamp': [UNRELIABLE! | TIMED!, 1, 1, 0],
      'a reliable stamp that is cut short': [RELIABLE! | TIMED!, 0xce, 1],
      'a reliable stamp that is no number': [RELIABLE! | TIMED!, 0xc0],
    })) {
      it(`is refused with ${what}`, () => {
        assert.equal(faultOf(Uint8Array.from(bytes as number[])), 'input');
      });
    }

    it('is refused with more of them than are ever repeated', () => {
      const slots = (count: number) => frame(UNRELIABLE!, 0, Buffer.alloc(count));
      assert.equal(faultOf(slots(INPUT_SLOTS_MAX)), undefined);
      assert.equal(faultOf(slots(INPUT_SLOTS_MAX + 1)), 'input');
    });
  });
});
