import assert from 'node:assert/strict';
import { type InputAPI, Room } from '@colyseus/core';
import { type SchemaType, schema, t } from '@colyseus/schema';
import fc from 'fast-check';
import type { SeatIntent } from '../../src/kernel/simulation.ts';
import {
  INPUT_CREDIT_MAX_TICKS,
  INPUT_QUEUE_MAX,
  INTENTS_PER_TICK_MAX,
  InputPlugin,
  InputTotals,
} from '../../src/match/input-plugin.ts';

const SEED = 20261121;
const TICK_RATE_HZ = 30;
const REWIND_MAX_MS = 500;
const PARTS = 8;
const REWIND_MAX = (REWIND_MAX_MS * TICK_RATE_HZ * PARTS) / 1000;

const Numbered = schema({ number: t.uint32().default(0) }, 'NumberedInput');
type Numbered = SchemaType<typeof Numbered>;

interface Intent {
  readonly number: number;
  readonly rewind: number;
}

/** The framework's side of a client: what a decoded frame goes into. */
interface InputClient {
  readonly sessionId: string;
  _input: Numbered;
}
interface InputController {
  allocate(client: InputClient): void;
  register(sessionId: string, client: InputClient): void;
  capture(client: InputClient, renderTimeMs: number): void;
}

class InputRoom extends Room<{ input: Numbered }> {
  override inputs = this.defineInput(Numbered, { tickRate: TICK_RATE_HZ, bufferMaxSize: INPUT_QUEUE_MAX });
}

/** The plugin over the framework's own queues, with clients that send on command. */
class Stage {
  readonly totals = new InputTotals();
  readonly floods: string[] = [];
  readonly #plugin = new InputPlugin();
  readonly #inputs: InputAPI<Numbered>;
  readonly #controller: InputController;
  readonly #clients: InputClient[] = [];
  readonly #sent: number[] = [];
  #tick = 0;

  constructor(seats: readonly number[]) {
    const room = new InputRoom();
    this.#inputs = room.inputs;
    this.#controller = (room as unknown as { _inputController: InputController })._inputController;
    this.#plugin.start<Numbered, Intent>({
      inputs: this.#inputs,
      totals: this.totals,
      tickRateHz: TICK_RATE_HZ,
      rewindMaxMs: REWIND_MAX_MS,
      rewindPartsPerTick: PARTS,
      toIntent: ({ number }, rewind) => ({ number, rewind }),
      onFlood: (sessionId) => this.floods.push(sessionId),
    });
    for (const seat of seats) this.join(seat);
  }

  join(seat: number): void {
    const client = { sessionId: `s${seat}` } as InputClient;
    this.#controller.allocate(client);
    this.#controller.register(client.sessionId, client);
    this.#clients[seat] = client;
    this.#sent[seat] = 0;
    this.#plugin.seat(client.sessionId, seat);
  }

  leave(seat: number): void {
    this.#plugin.unseat(seat);
  }

  send(seat: number, frames = 1, renderTimeMs = 0): void {
    const client = this.#clients[seat]!;
    for (let i = 0; i < frames; i++) {
      client._input.number = ++this.#sent[seat]!;
      this.#controller.capture(client, renderTimeMs);
    }
  }

  notePatch(tick: number, sentAtMs: number): void {
    this.#plugin.notePatch(tick, sentAtMs);
  }

  tick(): SeatIntent<Intent>[] {
    const intents: SeatIntent<Intent>[] = [];
    this.#plugin.collect(this.#tick++, intents);
    return intents;
  }

  get nextTick(): number {
    return this.#tick;
  }

  sent(seat: number): number {
    return this.#sent[seat]!;
  }

  /** What the framework acknowledges to the client. */
  acknowledged(seat: number): number {
    return this.#inputs.get(`s${seat}`).consumedCount;
  }
}

const SEATS = [0, 2, 5];
/** Frames that arrive before each tick, by seat: nothing, one, or a burst. */
const arrivals = fc.array(
  fc.tuple(
    ...SEATS.map(() =>
      fc.oneof(
        { weight: 3, arbitrary: fc.constant(0) },
        { weight: 5, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.nat(40) },
      ),
    ),
  ),
  { minLength: 1, maxLength: 120 },
);

describe('input discipline', () => {
  it('takes at most one intent a tick in the long run and a bounded catch-up, whatever arrives', () => {
    fc.assert(
      fc.property(arrivals, (ticks) => {
        const stage = new Stage(SEATS);
        const taken: number[][] = SEATS.map(() => []);
        for (const counts of ticks) {
          for (const [i, count] of counts.entries()) stage.send(SEATS[i]!, count);
          const intents = stage.tick();
          for (const [i, seat] of SEATS.entries()) taken[i]!.push(intents.filter((one) => one.seat === seat).length);
        }
        for (const counts of taken) {
          assert.ok(Math.max(...counts) <= INTENTS_PER_TICK_MAX);
          for (let from = 0; from < counts.length; from++) {
            let sum = 0;
            for (let to = from; to < counts.length; to++) {
              sum += counts[to]!;
              assert.ok(sum < to - from + 1 + INPUT_CREDIT_MAX_TICKS, `${sum} intents in ${to - from + 1} ticks`);
            }
          }
          const all = counts.reduce((a, b) => a + b, 0);
          assert.ok(all <= counts.length, 'no more than ticks since it was seated');
        }
      }),
      { seed: SEED },
    );
  });

  it('hands intents over in ascending seats, each seat’s own in the order they were sent, none twice', () => {
    fc.assert(
      fc.property(arrivals, (ticks) => {
        const stage = new Stage([5, 0, 2]);
        const last = new Map<number, number>();
        for (const counts of ticks) {
          for (const [i, count] of counts.entries()) stage.send(SEATS[i]!, count);
          let before = -1;
          for (const { seat, intent } of stage.tick()) {
            assert.ok(seat >= before);
            before = seat;
            assert.ok(intent.number > (last.get(seat) ?? 0));
            last.set(seat, intent.number);
          }
        }
      }),
      { seed: SEED },
    );
  });

  it('acknowledges without going back, and everything once a sender rests', () => {
    fc.assert(
      fc.property(arrivals, (ticks) => {
        const stage = new Stage(SEATS);
        const before = SEATS.map(() => 0);
        const settle = (): void => {
          stage.tick();
          for (const [i, seat] of SEATS.entries()) {
            const now = stage.acknowledged(seat);
            assert.ok(now >= before[i]! && now <= stage.sent(seat));
            before[i] = now;
          }
        };
        for (const counts of ticks) {
          for (const [i, count] of counts.entries()) stage.send(SEATS[i]!, count);
          settle();
        }
        for (let i = 0; i < INPUT_QUEUE_MAX; i++) settle();
        for (const seat of SEATS) assert.equal(stage.acknowledged(seat), stage.sent(seat));
        const sent = SEATS.reduce((sum, seat) => sum + stage.sent(seat), 0);
        assert.equal(stage.totals.applied + stage.totals.dropped, sent, 'applied or dropped, and counted');
      }),
      { seed: SEED },
    );
  });

  it('loses nothing of one frame a tick that the network holds back for up to eight ticks', () => {
    const delays = fc.array(fc.nat(INPUT_CREDIT_MAX_TICKS), { minLength: 1, maxLength: 100 });
    fc.assert(
      fc.property(delays, (delayTicks) => {
        const stage = new Stage([0]);
        const arriving: number[] = new Array(delayTicks.length + INPUT_CREDIT_MAX_TICKS + 1).fill(0);
        // In order, as on one connection: nothing overtakes what was sent before.
        let earliest = 0;
        for (const [sentAt, delay] of delayTicks.entries()) {
          earliest = Math.max(earliest, sentAt + delay);
          arriving[earliest]!++;
        }
        let applied = 0;
        for (const count of arriving) {
          stage.send(0, count);
          applied += stage.tick().length;
        }
        for (let i = 0; i < INPUT_CREDIT_MAX_TICKS; i++) applied += stage.tick().length;
        assert.equal(applied, delayTicks.length);
        assert.equal(stage.totals.dropped, 0);
        assert.deepEqual(stage.floods, []);
      }),
      { seed: SEED },
    );
  });

  it('keeps the newest of a flood, tells its sender once a second, and lets nobody else wait', () => {
    const stage = new Stage([0, 1]);
    for (let i = 0; i < 3 * TICK_RATE_HZ; i++) {
      stage.send(0, 10);
      stage.send(1);
      const intents = stage.tick();
      assert.equal(intents.filter(({ seat }) => seat === 1).length, 1);
      const newest = intents.filter(({ seat }) => seat === 0).at(-1);
      assert.ok(newest!.intent.number > stage.sent(0) - INPUT_QUEUE_MAX);
    }
    // The second that ends with tick 90 is not over.
    assert.deepEqual(stage.floods, ['s0', 's0']);
    assert.equal(stage.totals.floods, 2);
    assert.equal(stage.totals.dropped + stage.totals.applied + INPUT_QUEUE_MAX - 1, 33 * TICK_RATE_HZ);
  });

  it('starts anew with a connection: a resumed seat has saved no credit', () => {
    const stage = new Stage([0]);
    for (let i = 0; i < 50; i++) stage.tick();
    stage.join(0);
    stage.send(0, 10);
    assert.equal(stage.tick().length, 1);
    stage.leave(0);
    assert.equal(stage.tick().length, 0);
  });
});

describe('what a shooter saw', () => {
  const patchTimes = fc.array(fc.double({ min: 0.5, max: 80, noNaN: true }), { minLength: 1, maxLength: 150 });

  it('is a whole number of parts within 500 ms, whatever was stamped and however patches came', () => {
    const stamp = fc.oneof(
      fc.double(),
      fc.integer({ min: -10, max: 12_000 }),
      fc.constantFrom(Infinity, -Infinity, NaN),
    );
    fc.assert(
      fc.property(patchTimes, fc.array(stamp, { maxLength: 20 }), (gapsMs, stamps) => {
        const stage = new Stage([0]);
        let nowMs = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          stage.notePatch(stage.nextTick, nowMs);
          stage.tick();
        }
        for (const renderTimeMs of stamps) {
          stage.send(0, 1, renderTimeMs);
          for (const { intent } of stage.tick()) {
            const { rewind } = intent;
            assert.ok(Number.isInteger(rewind) && rewind >= 0 && rewind <= REWIND_MAX, `${renderTimeMs}: ${rewind}`);
          }
        }
      }),
      { seed: SEED },
    );
  });

  it('is the tick of the patch that a stamp names, and between two of them the part in between', () => {
    const PATCH_MS = 40;
    for (let back = 0; back < 15; back++) {
      for (const part of [0, 0.25, 0.5, 0.75]) {
        const stage = new Stage([0]);
        for (let i = 1; i <= 40; i++) {
          stage.notePatch(stage.nextTick, i * PATCH_MS);
          stage.tick();
        }
        if (back === 0 && part > 0) continue;
        stage.send(0, 1, (40 - back + part) * PATCH_MS);
        assert.equal(stage.tick()[0]!.intent.rewind, Math.min((back - part) * PARTS, REWIND_MAX));
      }
    }
  });

  it('is the newest state for stamps of the future and for none at all', () => {
    const stage = new Stage([0]);
    stage.notePatch(stage.nextTick, 10);
    stage.tick();
    for (const renderTimeMs of [0, 10, 11, 1e12, Infinity]) {
      stage.send(0, 1, renderTimeMs);
      assert.ok(stage.tick().every(({ intent }) => intent.rewind <= 5 * PARTS));
    }
    const fresh = new Stage([0]);
    fresh.send(0, 1, 500);
    assert.equal(fresh.tick()[0]!.intent.rewind, 0, 'before any patch');
  });
});
