import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { encode } from '@colyseus/schema';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { faultOf } from '../../src/match/client-frame.ts';
import { RUN_VELOCITY, VELOCITY_PER_UNIT } from '../../src/sim/tuning.ts';
import { FRAME, GameServer, type RawPlayer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { NarrowArena, ProbeArena } from './probe-rooms.ts';

const SEED = 20261121;
const { JOIN_ROOM, LEAVE_ROOM, ROOM_DATA, ROOM_DATA_BYTES, ROOM_INPUT_RELIABLE, ROOM_INPUT_UNRELIABLE } = FRAME;
const { PING, ROOM_REQUEST, ROOM_RESPONSE, TIMED } = FRAME;

/** Whole numbers below a bound, the same in every run. */
function dice(seed: number): (below: number) => number {
  const words = new Int32Array(4);
  seedSfc32(words, 0, seed);
  return (below) => nextBelow(words, 0, below);
}

function text(value: string): Uint8Array {
  const bytes = Buffer.alloc(value.length * 3 + 5);
  const at = { offset: 0 };
  encode.string(bytes, value, at);
  return bytes.subarray(0, at.offset);
}

function number(value: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  const at = { offset: 0 };
  encode.number(bytes, value, at);
  return bytes.subarray(0, at.offset);
}

/** One input as the SDK sends it: `[index][value]` for each field. */
const input = (moveX: number, moveY = 0): Uint8Array => Uint8Array.of(0x80, moveX & 255, 0x81, moveY & 255);

describe('a hostile client', () => {
  let server: GameServer;
  let room: ProbeArena;
  let honest: TestPlayer;

  before(async () => {
    server = await GameServer.start({
      rooms: { arena: ProbeArena, narrow: NarrowArena },
      env: { HYPOGEUM_MAX_PLAYERS: '128', HYPOGEUM_TICK_RATE: '60' },
    });
  });

  beforeEach(async () => {
    room = await server.createRoom('arena');
    honest = await server.join(room.roomId, { name: 'Honest' });
    await honest.avatar();
  });

  /** The other player is served as before, and nothing was caught that should not have been thrown. */
  async function unharmed(): Promise<void> {
    const handle = honest.room.input<{ moveX: number }>();
    handle.data.moveX = 100;
    const seq = handle.send();
    assert.ok(seq > 0, 'still connected');
    await until(() => handle.lastProcessed >= seq, 'the honest input to be acknowledged');
    await honest.patched();
    assert.deepEqual(server.bugs, []);
    assert.deepEqual([...server.server.services.totals.room.faults.collect()], []);
  }

  afterEach(async () => {
    await unharmed();
    await server.clear();
  });
  after(() => server.close());

  const joinRaw = (options?: object, how?: { isAcknowledged: boolean }) => server.raw(room.roomId, options, how);

  /** The room took a frame of this client after all that it sent before. */
  async function answersPing(raw: RawPlayer): Promise<void> {
    const before = raw.frames.filter(([code]) => code === PING).length;
    raw.send(PING);
    await until(() => raw.frames.filter(([code]) => code === PING).length > before, 'a pong');
  }

  it('that sends random bytes loses its connection with 4002 INVALID_INPUT, and nothing else happens', async () => {
    const roll = dice(SEED);
    const sockets = await Promise.all(Array.from({ length: 32 }, () => joinRaw()));
    for (const [index, raw] of sockets.entries()) {
      for (let i = 0; i < 64; i++) {
        const tail = Uint8Array.from({ length: roll(i < 32 ? 24 : 600) }, () => roll(256));
        // Every first byte comes first on some socket, or soon after.
        raw.send((index * 8 + i) & 255, tail);
      }
    }
    for (const raw of sockets) {
      const { code, reason } = await raw.ended();
      // A frame that says LEAVE may come first.
      assert.ok(code === 4000 || (code === 4002 && reason === 'INVALID_INPUT'), `${code} ${reason}`);
    }
  });

  it('that sends thousands of frames which only look right keeps its connection and breaks nothing', async () => {
    room.maxMessagesPerSecond = Number.POSITIVE_INFINITY;
    const roll = dice(SEED + 1);
    const raw = await joinRaw();
    const types = ['report', 'boo', '__proto__', 'constructor', '_', '*', 'toString', '_$b'];
    const kinds = [
      ROOM_DATA,
      ROOM_REQUEST,
      ROOM_DATA_BYTES,
      ROOM_INPUT_RELIABLE,
      ROOM_INPUT_UNRELIABLE,
      JOIN_ROOM,
      PING,
    ];
    let sent = 0;
    for (let i = 0; i < 100_000 && sent < 4_000; i++) {
      const kind = kinds[roll(kinds.length)]!;
      const tail = Uint8Array.from({ length: roll(20) }, () => roll(256));
      const parts: (number | Uint8Array)[] = [kind];
      if (kind === ROOM_REQUEST) parts.push(number(roll(1000)));
      if (kind === ROOM_DATA || kind === ROOM_REQUEST || kind === ROOM_DATA_BYTES) parts.push(text(types[roll(8)]!));
      if (kind === ROOM_INPUT_UNRELIABLE) parts.push(number(roll(100_000)), roll(2) * 2, 0x80 + roll(5));
      if (kind === ROOM_INPUT_RELIABLE && roll(2) === 0)
        parts.splice(0, 1, kind | TIMED, number(roll(2 ** 30) - 2 ** 29));
      const frame = Buffer.concat([...parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)), tail]);
      if (faultOf(frame, [1, 1, 1, 1]) !== undefined) continue;
      raw.send(frame);
      sent++;
    }
    assert.ok(sent >= 4_000, `${sent} frames passed`);
    await answersPing(raw);
    assert.equal(raw.closed, undefined);
  });

  for (const [what, frames] of Object.entries<Uint8Array[]>({
    'a message': [Uint8Array.of(ROOM_DATA, ...text('report'), 0x81, 0xa1)],
    'a request': [Uint8Array.of(ROOM_REQUEST, 1, ...text('report'), 0x92, 1)],
    'a request without its id': [Uint8Array.of(ROOM_REQUEST)],
    'a message of bytes': [Uint8Array.of(ROOM_DATA_BYTES, 0xa9, 0x62)],
    'a stamped input': [Uint8Array.of(ROOM_INPUT_RELIABLE | TIMED, 0xce, 1)],
    'a ring of inputs': [Uint8Array.of(ROOM_INPUT_UNRELIABLE, 1, 9, 0x80)],
    'a stamped ring of inputs': [Uint8Array.of(ROOM_INPUT_UNRELIABLE | TIMED, 2, 0, 0)],
    'an empty frame': [Uint8Array.of()],
    'a state, which only servers send': [Uint8Array.of(FRAME.ROOM_STATE, 0)],
    'an answer, which only servers send': [Uint8Array.of(ROOM_RESPONSE, 1, 0)],
    'an input ring whose length is -1': [Uint8Array.of(ROOM_INPUT_UNRELIABLE, 0, 0xff)],
    'four thousand million stamps': [
      Uint8Array.of(ROOM_INPUT_UNRELIABLE | TIMED, 0xce, 255, 255, 255, 255, 0, 0, 0, 0),
    ],
    '4,000 arrays in one another': [Uint8Array.of(ROOM_DATA, ...text('report'), ...new Uint8Array(4000).fill(0x91))],
    'an array of 2^32 - 1': [Uint8Array.of(ROOM_DATA, ...text('report'), 0xdd, 255, 255, 255, 255)],
  })) {
    it(`that sends ${what} of a wrong shape is thrown out with 4002 INVALID_INPUT`, async () => {
      const raw = await joinRaw();
      for (const frame of frames) raw.send(frame);
      assert.deepEqual(await raw.ended(), { code: 4002, reason: 'INVALID_INPUT' });
      await until(() => room.clients.length === 1, 'its seat to be free');
    });
  }

  it('that sends text instead of binary is thrown out', async () => {
    const raw = await joinRaw();
    raw.socket.send('{"move":"north"}');
    assert.equal((await raw.ended()).code, 4002);
  });

  it('that sends more than 4 KB in a frame is cut off with 1009', async () => {
    const raw = await joinRaw();
    raw.send(ROOM_DATA, randomBytes(4096));
    assert.equal((await raw.ended()).code, 1009);
  });

  it('that reserved bits or wrong masking make unreadable is cut off with 1002', async () => {
    const raw = await joinRaw();
    // An unmasked frame with all reserved bits set.
    (raw.socket as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket.write(Uint8Array.of(0xf2, 1, 0));
    assert.equal((await raw.ended()).code, 1002);
  });

  it('that names messages after what every object inherits is ignored, and counted', async () => {
    const raw = await joinRaw();
    const { room: totals } = server.server.services.totals;
    const before = totals.unknownMessages;
    const types = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__defineGetter__', 'valueOf'];
    for (const type of types) raw.send(ROOM_DATA, text(type), 0x81, 0xa9, '__proto__', 0x81, 0xa1, 'x', 1);
    for (const type of types) raw.send(ROOM_DATA_BYTES, text(type), 1, 2, 3);
    await answersPing(raw);
    assert.equal(totals.unknownMessages - before, 2 * types.length);
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
    assert.equal(raw.closed, undefined);
  });

  it('that requests what is not there is told so', async () => {
    const raw = await joinRaw();
    raw.send(ROOM_REQUEST, 7, text('__proto__'));
    const answer = await until(() => raw.frames.find(([code]) => code === ROOM_RESPONSE), 'an answer');
    assert.deepEqual([...answer.subarray(1, 3)], [7, 2], 'an error for request 7');
  });

  it('that sends numbers no counter holds is refused INVALID_INPUT', async () => {
    const raw = await joinRaw();
    const report = (value: Uint8Array) =>
      Buffer.concat([
        Buffer.of(0x84),
        ...['corrections', 'desyncs', 'maxErrorUnits', 'ticks'].flatMap((key) => [text(key), value]),
      ]);
    const bad = [
      Uint8Array.of(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0xcf, 255, 255, 255, 255, 255, 255, 255, 255),
      Uint8Array.of(0xca, 0x3f, 0, 0, 0),
      Uint8Array.of(0xff),
    ];
    for (const [id, value] of bad.entries()) raw.send(ROOM_REQUEST, id, text('report'), report(value));
    await until(() => raw.frames.filter(([code]) => code === ROOM_RESPONSE).length === bad.length, 'answers');
    for (const [code, , status, ...body] of raw.frames) {
      if (code !== ROOM_RESPONSE) continue;
      assert.equal(status, 1, 'rejected');
      assert.match(Buffer.from(body).toString('latin1'), /INVALID_INPUT/);
    }
  });

  describe('by its inputs', () => {
    it('moves no faster with numbers out of range', async () => {
      const raw = await joinRaw();
      const { world } = room.match;
      await until(() => world.isUsed(1) && world.isAlive(1), 'the fighter');
      const x = world.x(1);
      for (let i = 0; i < 8; i++) raw.send(ROOM_INPUT_RELIABLE, Uint8Array.of(0x80, 0x80, 0x83, 0));
      await until(() => raw.acked === 8, 'acknowledgements');
      assert.ok(Math.abs(world.vx(1)) <= RUN_VELOCITY, `${world.vx(1)}`);
      assert.ok(Math.abs(world.x(1) - x) <= (8 * RUN_VELOCITY) / VELOCITY_PER_UNIT);
    });

    for (const [what, body] of Object.entries({
      'a value cut short': [0x80],
      'a field that does not exist': [0x84, 1],
      'a field taken away': [0x40],
      'a field replaced by another kind': [0xc0, 1],
      'another structure': [255, 7, 0x80, 1],
    })) {
      it(`with ${what} is thrown out`, async () => {
        for (const head of [
          [ROOM_INPUT_RELIABLE],
          [ROOM_INPUT_RELIABLE | TIMED, 9],
          [ROOM_INPUT_UNRELIABLE, 1, body.length],
        ]) {
          const raw = await joinRaw();
          raw.send(Uint8Array.from(head), Uint8Array.from(body));
          assert.deepEqual(await raw.ended(), { code: 4002, reason: 'INVALID_INPUT' });
        }
      });
    }

    it('with sequence numbers of the past is not obeyed twice, and with those of the future only harms itself', async () => {
      const raw = await joinRaw();
      const { totals } = room.match.services;
      const one = (seq: number) => [ROOM_INPUT_UNRELIABLE, number(seq), 2, Uint8Array.of(0x80, 5)] as const;
      const before = totals.input.applied;
      raw.send(...one(1));
      raw.send(...one(2));
      await until(() => raw.acked === 2, 'two inputs');
      for (const seq of [2, 1, 0, 2]) raw.send(...one(seq));
      raw.send(...one(3));
      await until(() => raw.acked === 3, 'the next input');
      assert.equal(totals.input.applied - before, 3);
      raw.send(...one(2 ** 30));
      await until(() => raw.acked === 2 ** 30, 'the input from the future');
      raw.send(...one(4));
      await answersPing(raw);
      await honest.patched();
      assert.equal(totals.input.applied - before, 4);
    });
  });

  describe('while it joins', () => {
    it('that sends anything before it acknowledged its join is not heard', async () => {
      const raw = await joinRaw({}, { isAcknowledged: false });
      const { totals } = room.match.services;
      const before = totals.input.applied;
      for (let i = 0; i < 100; i++) {
        raw.send(ROOM_REQUEST, 1, text('x'.repeat(60)));
        raw.send(ROOM_INPUT_RELIABLE, input(127));
      }
      await answersPing(raw);
      assert.equal(totals.input.applied, before);
      const client = room.clients.getById(raw.sessionId) as unknown as { _enqueuedMessages: unknown[] };
      assert.ok(client._enqueuedMessages.length < 10, 'no answers are kept for it');
      raw.send(JOIN_ROOM);
      await until(() => raw.patches > 0, 'the state');
    });

    it('that never acknowledges its join loses its seat, and who did keeps it', async () => {
      const silent = await joinRaw({}, { isAcknowledged: false });
      await until(() => room.match.world.isUsed(1), 'its fighter to appear');
      const now = performance.now.bind(performance);
      (room.clock as unknown as { now: () => number }).now = () => now() + 11_000;
      const { code, reason } = await silent.ended();
      assert.deepEqual({ code, reason }, { code: 4002, reason: 'JOIN_TIMEOUT' });
      await until(() => !room.match.world.isUsed(1), 'its fighter to be gone');
      assert.equal(room.clients.length, 1);
    });

    it('that acknowledges its join twice gets one state', async () => {
      const raw = await joinRaw();
      raw.send(JOIN_ROOM);
      raw.send(JOIN_ROOM, randomBytes(20));
      await answersPing(raw);
      assert.equal(raw.frames.filter(([code]) => (code! & 31) === FRAME.ROOM_STATE).length, 1);
    });

    it('that leaves twice has left once', async () => {
      const raw = await joinRaw();
      raw.send(LEAVE_ROOM);
      raw.send(LEAVE_ROOM);
      assert.equal((await raw.ended()).code, 4000);
      await until(() => room.clients.length === 1, 'its seat to be free');
      await until(() => !room.match.world.isUsed(1), 'its fighter to be gone');
    });

    for (const target of [
      '/x/ROOM?sessionId=nobody',
      '/x/ROOM?sessionId=__proto__',
      '/x/ROOM?sessionId=constructor',
      '/x/ROOM?sessionId=nobody&reconnectionToken=__proto__',
      '/x/ROOM',
      '/x/nowhere?sessionId=a',
      '/x/__proto__?sessionId=a',
      '/x/constructor?sessionId=a&reconnectionToken=b',
      '/x/toString?sessionId=toString',
      '/%00/%00?sessionId=%00',
      '/?sessionId=',
      '/?sessionId=a&sessionId=b',
    ]) {
      it(`with the address ${target} gets no seat and is shown out`, async () => {
        const socket = await server.socket(target.replace('ROOM', room.roomId)).open();
        const { code } = await socket.ended();
        assert.ok(code === 4002 || code === 4003 || code === 1000, `closed with ${code}`);
        assert.equal(room.clients.length, 1);
      });
    }

    it('with a session that is somebody’s gets nothing', async () => {
      const socket = server.socket(`/x/${room.roomId}?sessionId=${honest.room.sessionId}`);
      assert.equal((await socket.ended()).code, 4002);
    });

    it('without a room is answered pings and shown out after a second', async () => {
      const socket = await server.socket('/').open();
      socket.send(PING);
      await until(() => socket.frames.length === 1, 'a pong');
      assert.equal((await socket.ended()).code, 1000);
    });
  });

  it('that never reads is dropped with SLOW_CONSUMER while the others are served', async () => {
    const narrow = await server.createRoom<NarrowArena>('narrow');
    const reader = await server.join(narrow.roomId);
    const deaf = await server.raw(narrow.roomId);
    await reader.avatar();
    const { interest } = narrow.match.services.totals;
    const before = interest.slowConsumersDropped;
    (deaf.socket as unknown as { _socket: { pause(): void } })._socket.pause();
    const noise = randomBytes(512 * 1024);
    // The kernel takes some megabytes before the server's own buffer grows.
    await until(() => {
      narrow.broadcast('noise', noise);
      return interest.slowConsumersDropped > before;
    }, 'the deaf client to be dropped');
    await until(() => narrow.clients.length === 1, 'its seat to be free');
    await reader.patched(5);
    assert.equal(reader.leftWith, undefined);
  });
});
