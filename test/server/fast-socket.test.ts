import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { type WebSocket, WebSocketServer } from 'ws';
import { FastSocket } from '../../src/fast-socket.ts';
import { HoldBack } from '../../src/match/hold-back.ts';
import { headBytesOf, writeHead } from '../../src/match/short-way.ts';

const SEED = 20261121;
const FRAME_BYTES_MAX = 4096;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** A network connection in memory: bytes are pushed in by the test, what is written is kept. */
class Wire extends Duplex {
  readonly written: Buffer[] = [];

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(bytes));
    done();
  }
}

/** A server's end of a connection, with everything that it told. */
class End {
  readonly wire = new Wire();
  readonly told: string[] = [];
  readonly socket: FastSocket;
  closes = 0;

  constructor(isFast: boolean, afterRead?: () => void) {
    const server = new WebSocketServer({ noServer: true, WebSocket: FastSocket, maxPayload: FRAME_BYTES_MAX });
    let opened: FastSocket | undefined;
    const request = {
      method: 'GET',
      url: '/',
      headers: {
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      },
    } as unknown as IncomingMessage;
    server.handleUpgrade(request, this.wire, Buffer.alloc(0), (socket) => {
      opened = socket as FastSocket;
    });
    this.socket = opened!;
    const options = { isFast, frameBytesMax: FRAME_BYTES_MAX };
    this.socket.startFast(this.wire, afterRead === undefined ? options : { ...options, afterRead });
    this.socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.told.push(`${isBinary ? 'binary' : 'text'} ${data.toString('hex')}`);
    });
    this.socket.on('ping', (data) => this.told.push(`ping ${data.toString('hex')}`));
    this.socket.on('pong', (data) => this.told.push(`pong ${data.toString('hex')}`));
    this.socket.on('error', (error: Error & { code?: string }) => this.told.push(`error ${error.code}`));
    this.socket.on('close', (code, reason) => {
      this.closes++;
      this.told.push(`close ${code} ${reason.toString('hex')}`);
    });
    this.wire.written.length = 0;
  }

  get written(): string {
    return Buffer.concat(this.wire.written).toString('hex');
  }

  /** Pushes the pieces one by one, lets the other side hang up and waits until the socket is closed. */
  async read(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      // A copy: frames are unmasked in place.
      if (!this.wire.destroyed) this.wire.push(Buffer.from(piece));
      await nextTurn();
    }
    if (!this.wire.destroyed) this.wire.push(null);
    for (let i = 0; i < 20 && this.closes === 0; i++) await nextTurn();
    this.socket.terminate();
    for (let i = 0; i < 20 && this.closes === 0; i++) await nextTurn();
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface FrameShape {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  readonly reserved?: number;
  /** Bytes of the length, at least as many as it needs. */
  readonly lengthBytes?: 1 | 2 | 8;
  /** Length told in place of the true one. */
  readonly told?: number;
}

function frame({ opcode, payload, isFinal = true, isMasked = true, reserved = 0, lengthBytes, told }: FrameShape) {
  const length = told ?? payload.length;
  const wide = lengthBytes === 8 || length > 0xffff ? 8 : lengthBytes === 2 || length > 125 ? 2 : 1;
  const head = Buffer.alloc(wide === 8 ? 10 : wide === 2 ? 4 : 2);
  head[0] = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (isMasked ? 0x80 : 0) | (wide === 8 ? 127 : wide === 2 ? 126 : length);
  if (wide === 2) head.writeUInt16BE(length, 2);
  if (wide === 8) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = Buffer.of(0x12, 0xab, 0x00, 0xff);
  const body = isMasked ? payload.map((byte, i) => byte ^ mask[i & 3]!) : payload;
  return Buffer.concat(isMasked ? [head, mask, body] : [head, body]);
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const usual = fc.record({ opcode: fc.constant(BINARY!), payload: bytes(300) });
/** Frames of every kind, half of them as the SDK sends them. */
const anyFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 8, arbitrary: usual.map(frame) },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: FRAME_BYTES_MAX - 2, max: FRAME_BYTES_MAX + 2 })
      .map((length) => frame({ opcode: BINARY!, payload: new Uint8Array(length).fill(7) })),
  },
  { weight: 2, arbitrary: bytes(20).map((payload) => frame({ opcode: BINARY!, payload, lengthBytes: 2 })) },
  { weight: 1, arbitrary: bytes(20).map((payload) => frame({ opcode: BINARY!, payload, lengthBytes: 8 })) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        opcode: fc.constantFrom(CONTINUATION!, TEXT!, BINARY!),
        payload: fc.oneof(
          bytes(40),
          fc.string().map((text) => new Uint8Array(Buffer.from(text))),
        ),
        isFinal: fc.boolean(),
      })
      .map(frame),
  },
  {
    weight: 4,
    arbitrary: fc.record({ opcode: fc.constantFrom(PING!, PONG!), payload: bytes(125) }).map(frame),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constant(frame({ opcode: CLOSE!, payload: new Uint8Array(0) })),
      fc
        .integer({ min: 0, max: 5000 })
        .map((code) => frame({ opcode: CLOSE!, payload: Uint8Array.of(code >> 8, code) })),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        opcode: fc.integer({ min: 0, max: 15 }),
        payload: bytes(140),
        isFinal: fc.boolean(),
        isMasked: fc.boolean(),
        reserved: fc.integer({ min: 0, max: 7 }),
      })
      .map(frame),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(2 ** 31, 2 ** 32 + 5, 2 ** 53)
      .map((told) => frame({ opcode: BINARY!, payload: new Uint8Array(30), told })),
  },
  { weight: 1, arbitrary: bytes(30) },
);

/** A stream of frames, and where the network cuts it. */
const anyStream = fc
  .record({
    frames: fc.array(anyFrame, { minLength: 1, maxLength: 12 }),
    cuts: fc.array(fc.nat(), { maxLength: 12 }),
    isDrop: fc.boolean(),
  })
  .map(({ frames, cuts, isDrop }) => {
    const stream = Buffer.concat(frames);
    const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
    const pieces = [0, ...places].map((from, i) => stream.subarray(from, places[i] ?? stream.length));
    return pieces.filter(({ length }, i) => length > 0 && !(isDrop && i === pieces.length - 1));
  });

describe('FastSocket', () => {
  it('tells and answers what ws does, whatever comes in whatever pieces', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(anyStream, async (pieces) => {
        const [fast, slow] = [new End(true), new End(false)];
        await Promise.all([fast.read(pieces), slow.read(pieces)]);
        assert.deepEqual(fast.told, slow.told);
        assert.equal(fast.written, slow.written);
        assert.equal(fast.closes, 1);
      }),
      { seed: SEED, numRuns: 1500 },
    );
  });

  it('reads frames one byte at a time', async () => {
    const end = new End(true);
    const stream = Buffer.concat([
      frame({ opcode: BINARY!, payload: Uint8Array.of(1, 2, 3) }),
      frame({ opcode: BINARY!, payload: new Uint8Array(200).fill(9) }),
      frame({ opcode: PING!, payload: Uint8Array.of(4) }),
    ]);
    await end.read([...stream].map((byte) => Uint8Array.of(byte)));
    assert.deepEqual(end.told.slice(0, 3), ['binary 010203', `binary ${'09'.repeat(200)}`, 'ping 04']);
  });

  const refused: readonly [string, FrameShape, string, number][] = [
    [
      'longer than the bound',
      { opcode: BINARY!, payload: new Uint8Array(FRAME_BYTES_MAX + 1) },
      'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
      1009,
    ],
    ['unmasked', { opcode: BINARY!, payload: Uint8Array.of(1), isMasked: false }, 'WS_ERR_EXPECTED_MASK', 1002],
    ['of text that is none', { opcode: TEXT!, payload: Uint8Array.of(0xff) }, 'WS_ERR_INVALID_UTF8', 1007],
  ];
  for (const [what, shape, error, code] of refused) {
    it(`refuses a frame ${what} with ${code}, and hears nothing after it`, async () => {
      const end = new End(true);
      await end.read([Buffer.concat([frame(shape), frame({ opcode: BINARY!, payload: Uint8Array.of(5) })])]);
      assert.equal(end.told[0], `error ${error}`);
      assert.ok(!end.told.some((line) => line.startsWith('binary')));
      const close = Buffer.of(0x88, 2, code >> 8, code & 0xff).toString('hex');
      assert.ok(end.written.startsWith(close), `${end.written} begins with ${close}`);
    });
  }

  it('hands whole binary frames to the tap first, and emits those it does not take', async () => {
    const end = new End(true);
    const seen: string[] = [];
    end.socket.tap = {
      take(all, start, stop) {
        seen.push(Buffer.from(all.subarray(start, stop)).toString('hex'));
        return all[start] === 1;
      },
    };
    assert.equal(end.socket.isShort, true);
    const stream = [Uint8Array.of(1, 7), Uint8Array.of(2, 7), new Uint8Array(0)].map((payload) =>
      frame({ opcode: BINARY!, payload }),
    );
    await end.read([Buffer.concat(stream)]);
    assert.deepEqual(seen, ['0107', '0207', '']);
    assert.deepEqual(
      end.told.filter((line) => line.startsWith('binary')),
      ['binary 0207', 'binary '],
    );
  });

  it('tells of what a frame’s handling throws, and goes on with the next', async () => {
    const end = new End(true);
    const failures: unknown[] = [];
    end.socket.fail = (error) => failures.push(error);
    end.socket.tap = {
      take() {
        throw new Error('a bug');
      },
    };
    const stream = frame({ opcode: BINARY!, payload: Uint8Array.of(1) });
    await end.read([Buffer.concat([stream, stream])]);
    assert.equal(failures.length, 2);
  });

  it('has no tap where it is told to take the long way', () => {
    assert.equal(new End(false).socket.isShort, false);
  });

  it('tells once whether anything was heard since it was last asked', async () => {
    const end = new End(true);
    assert.equal(end.socket.wasHeard(), false);
    end.wire.push(frame({ opcode: PONG!, payload: new Uint8Array(0) }));
    await nextTurn();
    assert.equal(end.socket.wasHeard(), true);
    assert.equal(end.socket.wasHeard(), false);
  });

  it('calls afterRead once for each piece', async () => {
    let calls = 0;
    const end = new End(true, () => calls++);
    const one = frame({ opcode: BINARY!, payload: Uint8Array.of(1) });
    await end.read([Buffer.concat([one, one]), one]);
    assert.equal(calls, 2);
  });

  it('writes what ws writes, of any length and kind', () => {
    const [fast, slow] = [new End(true), new End(false)];
    for (const { socket } of [fast, slow]) {
      for (const length of [0, 1, 125, 126, 300, 65_535, 65_536]) {
        const payload = Buffer.alloc(length, length & 255);
        socket.send(payload, { binary: true });
        socket.send(new Uint8Array(payload), { binary: true });
      }
      socket.send('text');
      socket.send(Buffer.from('text'), { binary: false });
      socket.send(Buffer.of(1), { binary: true, fin: false });
      socket.send(Buffer.of(2), { binary: true, fin: true });
      socket.ping();
    }
    assert.ok(fast.written === slow.written, 'the same bytes');
  });

  it('sends a frame that has its head already as it is', () => {
    const end = new End(true);
    for (const length of [5, 200]) {
      const whole = Buffer.alloc(headBytesOf(length) + length, 3);
      writeHead(whole, length);
      end.socket.sendWhole(whole);
      end.socket.send(Buffer.alloc(length, 3), { binary: true });
    }
    const half = end.written.length / 2;
    const [short, long] = [2 * (2 + 5), 2 * (4 + 200)];
    assert.equal(end.written.slice(0, short), end.written.slice(short, 2 * short));
    assert.equal(end.written.slice(2 * short, 2 * short + long), end.written.slice(2 * short + long));
    assert.equal(half, short + long);
  });

  it('counts what the system has not taken', () => {
    const end = new End(true);
    end.wire._write = () => {};
    end.socket.send(Buffer.alloc(1000), { binary: true });
    end.socket.send(Buffer.alloc(1000), { binary: true });
    assert.equal((end.socket as WebSocket).bufferedAmount, 2 * 1004);
  });

  it('tells the sender’s callback, and sends nothing once it closes', async () => {
    const end = new End(true);
    await new Promise<void>((resolve, reject) =>
      end.socket.send(Buffer.of(1), { binary: true }, (error) => (error ? reject(error) : resolve())),
    );
    end.socket.close(1000);
    const before = end.written;
    end.socket.send(Buffer.of(2), { binary: true }, () => {});
    end.socket.sendWhole(Buffer.of(0x82, 1, 2));
    assert.equal(end.written, before);
    await end.read([]);
  });

  for (const isFast of [true, false]) {
    it(`holds back what leaves, in order and with the bytes it had, its close last (${isFast ? 'fast' : 'long'} way)`, async () => {
      const end = new End(isFast);
      const free = new End(isFast);
      const hold = new HoldBack(() => 0);
      end.socket.hold = hold;
      hold.record();
      for (const { socket } of [end, free]) {
        const binary = Buffer.from('first');
        socket.send(binary, { binary: true });
        socket.send('second');
        const whole = Buffer.alloc(headBytesOf(5) + 5, 'x');
        writeHead(whole, 5);
        socket.sendWhole(whole);
        socket.close(4100, 'over');
        // The sender uses its buffer again.
        if (socket === end.socket) binary.fill(0);
      }
      await nextTurn();
      assert.equal(end.written, '');
      assert.equal(hold.held.frames, 4);
      hold.release(1);
      await nextTurn();
      assert.equal(end.written, free.written);
      for (const { socket } of [end, free]) socket.terminate();
    });
  }
});
