import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type Client, ClientState, type InputAPI, Room } from '@colyseus/core';
import { encode, type Schema, type SchemaType, schema, t } from '@colyseus/schema';
import { InputEncoder } from '@colyseus/schema/input';
import fc from 'fast-check';
import { faultOf } from '../../src/match/client-frame.ts';
import { inputLayoutOf, replaceInputStore } from '../../src/match/colyseus-internals.ts';
import { FrameLayout, type InputQueue, InputRing } from '../../src/match/input-ring.ts';

const SEED = 20261121;
const CAPACITY = 16;
const FRAMES_PER_SECOND_MAX = 60;
const [RELIABLE, UNRELIABLE, PING, TIMED] = [19, 20, 18, 0x80];

const Frame = schema(
  {
    moveX: t.int8().default(0),
    moveY: t.int8().default(0),
    aim: t.uint8().default(64),
    turn: t.int16(),
    item: t.uint16().default(0),
    target: t.uint32().default(0),
    offset: t.int32().default(-5),
  },
  'RingFrame',
);
type Frame = SchemaType<typeof Frame>;
const RANGES: Record<string, readonly [number, number]> = {
  moveX: [-100, 100],
  aim: [10, 250],
  turn: [-1000, 1000],
  offset: [-70_000, 70_000],
};
const NAMES = ['moveX', 'moveY', 'aim', 'turn', 'item', 'target', 'offset'] as const;
const LAYOUT = inputLayoutOf(new Frame());

/** Everything of the framework's that takes part in receiving an input. */
interface Inside {
  _inputController: {
    allocate(client: Client): void;
    register(sessionId: string, client: Client): void;
    freeze(client: Client): void;
  };
  _onMessage(client: Client, frame: Buffer): void;
  _onLeave(client: Client, code: number): Promise<void>;
}

class FrameRoom extends Room<{ input: Frame }> {
  override maxMessagesPerSecond = FRAMES_PER_SECOND_MAX;
  override inputs = this.defineInput(Frame, { tickRate: 30, bufferMaxSize: CAPACITY, sanitize: { ...RANGES } });
  dropped = 0;

  override async onLeave(): Promise<void> {
    this.dropped++;
  }
}

/** One player whose frames arrive: at the framework's own queue, or at a ring. */
class Seat {
  readonly room = new FrameRoom();
  readonly client: Client;
  readonly #inside = this.room as unknown as Inside;
  readonly #ring: InputRing<Frame> | undefined;
  /** Frames that the ring has read itself. */
  taken = 0;

  constructor(isRing: boolean) {
    const { room } = this;
    // Rooms that the matchmaker made are on its list; the framework counts clients there.
    Object.assign(room, { _listing: { roomId: 'r', clients: 1, locked: false } });
    room.allowRewindState({ maxRewindMs: 500 }).attachAll([] as never, { fields: [] });
    const ref = Object.assign(new EventEmitter(), { onleave() {} });
    this.client = {
      sessionId: 'a',
      ref,
      state: ClientState.JOINED,
      raw() {},
      enqueueRaw() {},
      send() {},
      leave() {},
    } as unknown as Client;
    this.#inside._inputController.allocate(this.client);
    this.#inside._inputController.register('a', this.client);
    room.clients.push(this.client as never);
    clearTimeout((room as unknown as { _autoDisposeTimeout?: NodeJS.Timeout })._autoDisposeTimeout);
    if (!isRing) return;
    this.#ring = new InputRing<Frame>(this.client, {
      layout: FrameLayout.of(Frame, RANGES)!,
      capacity: CAPACITY,
      framesPerSecondMax: FRAMES_PER_SECOND_MAX,
      now: () => room.clock.currentTime,
    });
    replaceInputStore(this.client, this.#ring);
  }

  get queue(): InputQueue<Frame> {
    return this.#ring ?? ((this.room.inputs as InputAPI<Frame>).get('a') as InputQueue<Frame>);
  }

  /** A frame that comes within some others' bytes, past the guard that stands before the framework. */
  receive(frame: Uint8Array): void {
    const around = Buffer.concat([Buffer.of(1, 2, 3), frame, Buffer.of(RELIABLE!, 0x81, 77)]);
    if (this.#ring?.take(around, 3, 3 + frame.length) === true) {
      this.taken++;
      assert.equal(faultOf(frame, LAYOUT), undefined, 'a ring takes nothing that the guard refuses');
      return;
    }
    if (faultOf(frame, LAYOUT) === undefined) this.#inside._onMessage(this.client, Buffer.from(frame));
  }

  freeze(): void {
    this.#inside._inputController.freeze(this.client);
  }

  /** What a tick would see. */
  take(frames: number): unknown[] {
    const taken: unknown[] = [];
    for (let i = 0; i < frames; i++) {
      const frame = this.queue.next() as Record<string, number> | undefined;
      if (frame === undefined) break;
      taken.push([NAMES.map((name) => frame[name]), this.queue.renderTime]);
    }
    return taken;
  }

  get counts(): unknown {
    const inside = this.client as unknown as { _inputBuffer: { size: number; ackSeq: number } };
    const { size, ackSeq } = inside._inputBuffer;
    return { size, ackSeq, consumed: this.queue.consumedCount, isLeaving: this.client.state === ClientState.LEAVING };
  }
}

function bytesOf(write: (bytes: Buffer, at: { offset: number }) => void): Buffer {
  const bytes = Buffer.alloc(64);
  const at = { offset: 0 };
  write(bytes, at);
  return bytes.subarray(0, at.offset);
}

const number = (value: number): Buffer => bytesOf((bytes, at) => encode.number(bytes, value, at));

const anyValues = fc.record(
  {
    moveX: fc.integer({ min: -128, max: 127 }),
    moveY: fc.integer({ min: -128, max: 127 }),
    aim: fc.integer({ min: 0, max: 255 }),
    turn: fc.integer({ min: -32_768, max: 32_767 }),
    item: fc.integer({ min: 0, max: 65_535 }),
    target: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    offset: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  },
  { requiredKeys: [] },
);
const anyStamp = fc.oneof(
  fc.integer({ min: -200, max: 200 }),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 32 }),
  fc.double(),
);

/** What happens to a seat. Values become frames by the SDK's own encoder, which sends differences. */
const anyEvent = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('input' as const),
      values: anyValues,
      stamp: fc.option(anyStamp, { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('bytes' as const),
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 12 }),
        fc
          .tuple(fc.constantFrom(RELIABLE!, RELIABLE! | TIMED!), fc.uint8Array({ maxLength: 12 }))
          .map(([first, rest]) => Uint8Array.of(first, ...rest)),
        // Plain values for fields, without a change being needed, and now and then cut short.
        fc
          .tuple(fc.constantFrom(0, 0x80), fc.nat({ max: 8 }), fc.uint8Array({ maxLength: 5 }))
          .map(([operation, field, value]) => Uint8Array.of(RELIABLE!, operation | field, ...value)),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'ping' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), frames: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'freeze' as const }) },
);

describe('InputRing', () => {
  it('is the framework’s own queue, frame by frame, whatever comes', () => {
    let taken = 0;
    let seen = 0;
    fc.assert(
      // A connection's inputs are of one kind: the framework's own queue is not made for both.
      fc.property(
        fc.integer({ max: 3, min: 0 }),
        fc.array(anyEvent, { minLength: 1, maxLength: 120, size: 'max' }),
        (kind, events) => {
          const isReliable = kind > 0;
          const seats = [new Seat(false), new Seat(true)] as const;
          let nowMs = 1_000;
          for (const { room } of seats) (room.clock as unknown as { now: () => number }).now = () => nowMs;
          const input = new Frame();
          const reliable = new InputEncoder(input as Schema);
          const again = new Frame();
          const unreliable = new InputEncoder(again as Schema, { mode: 'unreliable' });
          const toBoth = (frame: Uint8Array): void => {
            for (const seat of seats) seat.receive(frame);
          };
          for (const event of events) {
            switch (event.kind) {
              case 'input': {
                if (!isReliable) {
                  again.assign(event.values);
                  toBoth(Buffer.concat([Buffer.of(UNRELIABLE!), unreliable.encode()]));
                  break;
                }
                input.assign(event.values);
                const body = reliable.encode();
                const { stamp } = event;
                if (stamp === undefined) toBoth(Buffer.concat([Buffer.of(RELIABLE!), body]));
                else toBoth(Buffer.concat([Buffer.of(RELIABLE! | TIMED!), number(stamp), body]));
                break;
              }
              case 'bytes':
                if (((event.bytes[0] ?? 0) & 0x1f) !== (isReliable ? UNRELIABLE : RELIABLE)) toBoth(event.bytes);
                break;
              case 'ping':
                toBoth(Uint8Array.of(PING!));
                break;
              case 'take': {
                const [theirs, ours] = seats.map((seat) => seat.take(event.frames));
                assert.deepEqual(ours, theirs);
                seen += ours!.length;
                break;
              }
              case 'wait':
                nowMs += event.ms;
                for (const { room } of seats) room.clock.tick();
                break;
              case 'freeze':
                for (const seat of seats) seat.freeze();
            }
            assert.deepEqual(seats[1].counts, seats[0].counts);
          }
          assert.deepEqual(seats[1].take(CAPACITY), seats[0].take(CAPACITY));
          taken += seats[1].taken;
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
    // It would be no test if all of it took the framework's way.
    assert.ok(taken > 3_000 && seen > 3_000, `${taken} frames taken, ${seen} seen`);
  });

  it('reads what the SDK sends by itself, changed or not', () => {
    const seat = new Seat(true);
    const input = new Frame();
    const encoder = new InputEncoder(input as Schema);
    const send = (): void => {
      seat.receive(Buffer.concat([Buffer.of(RELIABLE! | TIMED!), number(33), encoder.encode()]));
    };
    input.assign({ moveX: -7, turn: 900, target: 2 ** 31, offset: -70_001 });
    send();
    send();
    assert.equal(seat.taken, 2);
    const expected = [-7, 0, 64, 900, 0, 2 ** 31, -70_000];
    assert.deepEqual(seat.take(3), [
      [expected, 33],
      [expected, 66],
    ]);
  });

  it('drops the oldest above its capacity, acknowledged', () => {
    const seat = new Seat(true);
    for (let i = 1; i <= CAPACITY + 3; i++) seat.receive(Uint8Array.of(RELIABLE!, 0x81, i));
    assert.deepEqual(seat.counts, { size: CAPACITY, ackSeq: 3, consumed: 3, isLeaving: false });
    assert.deepEqual(seat.take(1), [[[0, 4, 64, 0, 0, 0, -5], 0]]);
  });

  it('leaves frames above the room’s limit to the framework, which drops the client', () => {
    const seat = new Seat(true);
    for (let i = 0; i <= FRAMES_PER_SECOND_MAX; i++) seat.receive(Uint8Array.of(RELIABLE!, 0x81, 1));
    assert.equal(seat.taken, FRAMES_PER_SECOND_MAX + 1);
    assert.equal(seat.client.state, ClientState.JOINED);
    seat.receive(Uint8Array.of(RELIABLE!, 0x81, 1));
    assert.equal(seat.taken, FRAMES_PER_SECOND_MAX + 1);
    assert.equal(seat.client.state, ClientState.LEAVING);
  });

  it('reads nothing of a client that has not joined yet or is leaving', () => {
    for (const state of [ClientState.JOINING, ClientState.LEAVING]) {
      const seat = new Seat(true);
      seat.client.state = state;
      seat.receive(Uint8Array.of(RELIABLE!, 0x81, 1));
      assert.equal(seat.taken, 0);
    }
  });

  it('is not for inputs with other fields than integers', () => {
    const WithText = schema({ name: t.string() }, 'RingText');
    const WithFlag = schema({ isOn: t.boolean() }, 'RingFlag');
    const WithFloat = schema({ angle: t.float32() }, 'RingFloat');
    for (const type of [WithText, WithFlag, WithFloat]) assert.equal(FrameLayout.of(type, {}), undefined);
  });
});
