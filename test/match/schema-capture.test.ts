import assert from 'node:assert/strict';
import { Decoder, Encoder, type MapSchema, type Schema, StateView, schema, t } from '@colyseus/schema';
import { ByteReader, ByteWriter } from '../../src/kernel/bytes.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { identityFault, refIdOf, showCollection } from '../../src/match/colyseus-internals.ts';
import { readScalar, SchemaCapture, writeScalar } from '../../src/match/schema-capture.ts';

const Part = schema({ value: t.uint8().default(0), label: t.string().default('') }, 'CapturePart');
const Thing = schema(
  {
    name: t.string().default(''),
    x: t.int16().default(0),
    exact: t.number().default(0),
    own: t.uint8().default(0).view(2),
    part: t.ref(Part).default(() => new Part()),
    parts: t.array(Part),
    marks: t.map('number'),
    local: t.number().noSync().default(0),
  },
  'CaptureThing',
);
const Whole = schema(
  {
    round: t.uint32().default(0),
    things: t.map(Thing),
    seen: t.map(Thing).view(),
    list: t.array(Thing),
    words: t.array('string'),
  },
  'CaptureWhole',
);
type Thing = InstanceType<typeof Thing>;

/** A client: what it decoded, and what came and went. */
class Mirror {
  readonly state = new Whole();
  readonly decoder = new Decoder(this.state);
  readonly view = new StateView();
  isOnline = true;
}

/** A room as far as Schema is concerned: a state, its encoder, and clients with views of their own. */
class Stage {
  state = new Whole();
  encoder = new Encoder(this.state);
  views: StateView[];
  readonly mirrors: Mirror[];
  readonly capture = new SchemaCapture(Whole);

  constructor(clients: number) {
    this.mirrors = Array.from({ length: clients }, () => new Mirror());
    this.views = this.mirrors.map(() => new StateView());
    // The stock encoder tells a view of a collection that it does not have.
    for (const view of this.views) showCollection(view, this.state.seen);
    for (const i of this.mirrors.keys()) this.sendWhole(i);
  }

  sendWhole(i: number): void {
    const at = { offset: 0 };
    const shared = this.encoder.encodeAll(at);
    const end = at.offset;
    assert.ok(shared.length > 0);
    const bytes = this.encoder.encodeAllView(this.views[i]!, end, at);
    this.views[i]!.changes.clear();
    // As the SDK takes a state after a reconnect: what is missing in it is gone.
    this.mirrors[i]!.decoder.decodeResync(bytes);
  }

  patch(): void {
    const at = { offset: 0 };
    this.encoder.encode(at);
    const end = at.offset;
    for (const [i, mirror] of this.mirrors.entries()) {
      const bytes = this.encoder.encodeView(this.views[i]!, end, at);
      if (mirror.isOnline) mirror.decoder.decode(bytes);
    }
    this.encoder.discardChanges();
  }

  /** The process dies after a patch, another one puts the state up; clients come back one by one. */
  crash(gap: number): void {
    const seen = this.views.map((view) => [...this.state.seen.values()].filter((thing) => view.has(thing)));
    const refs = seen.map((things) => things.map((thing) => refIdOf(thing)!));
    const bytes = new ByteWriter();
    this.capture.write(bytes, this.state, this.encoder);
    const restored = this.capture.read(new ByteReader(bytes.bytes()));
    this.state = restored.state;
    this.encoder = new Encoder(this.state);
    this.capture.adopt(restored, this.encoder);
    const again = new ByteWriter();
    this.capture.write(again, this.state, this.encoder);
    assert.deepEqual(again.bytes(), bytes.bytes(), 'what is put up is what was taken down');
    if (gap > 0) this.capture.skip(this.state, this.encoder, gap);
    this.views = refs.map((ids) => {
      const view = new StateView();
      showCollection(view, this.state.seen);
      for (const id of ids) view.add(restored.structures.get(id) as Schema);
      return view;
    });
    for (const [i, mirror] of this.mirrors.entries()) {
      mirror.isOnline = true;
      this.sendWhole(i);
    }
  }

  /** What a client must see: everything public, of `seen` what is in its view. */
  expected(i: number): unknown {
    const plain = JSON.parse(JSON.stringify(this.state.toJSON())) as Record<string, Record<string, unknown>>;
    for (const key of Object.keys(plain['seen'] ?? {})) {
      if (!this.views[i]!.has(this.state.seen.get(key)!)) delete plain['seen']![key];
    }
    return stripped(plain);
  }

  shown(i: number): unknown {
    return stripped(JSON.parse(JSON.stringify(this.mirrors[i]!.state.toJSON())));
  }
}

/** Without the owner's field, which nobody here is given. */
function stripped(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(stripped);
  const kept = Object.entries(value).filter(([key]) => key !== 'own');
  return Object.fromEntries(kept.map(([key, child]) => [key, stripped(child)]).sort(([a], [b]) => (a! < b! ? -1 : 1)));
}

function instancesOf(map: MapSchema<Thing>): Map<string, Thing> {
  return new Map([...map.entries()]);
}

describe('a state that is taken down and put up again', () => {
  it('is the same to clients that knew the old one, whatever happened before and after', () => {
    const dice = new Int32Array(4);
    for (let seed = 1; seed <= 60; seed++) {
      seedSfc32(dice, 0, seed);
      const below = (n: number) => nextBelow(dice, 0, n);
      const stage = new Stage(3);
      const made = (): Thing => new Thing().assign({ name: `n${below(5)}`, x: below(200) - 100 });
      for (let step = 0; step < 60; step++) {
        const { state } = stage;
        for (let i = below(4); i >= 0; i--) {
          const key = String(below(6));
          switch (below(12)) {
            case 0:
              state.things.set(key, made());
              break;
            case 1:
              state.things.delete(key);
              break;
            case 2: {
              const thing = state.seen.get(key);
              if (thing === undefined) {
                const fresh = made();
                state.seen.set(key, fresh);
                for (const view of stage.views) if (below(2) === 0) view.add(fresh);
              } else {
                for (const view of stage.views) view.remove(thing);
                state.seen.delete(key);
              }
              break;
            }
            case 3:
              state.list.push(made());
              break;
            case 4:
              if (state.list.length > 0) state.list.pop();
              break;
            case 5:
              state.words.push(`w${below(9)}`);
              break;
            case 6:
              state.things.get(key)?.marks.set(String(below(4)), below(100) / 8);
              break;
            case 7:
              state.things.get(key)?.marks.delete(String(below(4)));
              break;
            case 8:
              state.things.get(key)?.parts.push(new Part().assign({ value: below(9) }));
              break;
            case 9: {
              const thing = state.things.get(key);
              if (thing !== undefined) Object.assign(thing.part, { value: below(256), label: `l${step}` });
              break;
            }
            case 10:
              state.seen.get(key)?.assign({ x: below(500), exact: below(1000) / 4 });
              break;
            default:
              state.round += 1;
          }
        }
        if (below(3) > 0) stage.patch();
        if (below(25) === 0) stage.mirrors[below(3)]!.isOnline = false;
        if (below(12) === 0) {
          stage.patch();
          const online = stage.mirrors.filter(({ isOnline }) => isOnline);
          const before = online.map(({ state: mirror }) => [instancesOf(mirror.things), instancesOf(mirror.seen)]);
          stage.crash(below(2) * 64);
          for (const [i, { state: mirror }] of online.entries()) {
            const after = [instancesOf(mirror.things), instancesOf(mirror.seen)];
            assert.deepEqual(
              after.map((map) => [...map.keys()].sort()),
              before[i]!.map((map) => [...map.keys()].sort()),
              `seed ${seed}`,
            );
            for (const [m, map] of after.entries()) {
              for (const [key, thing] of map) assert.equal(before[i]![m]!.get(key), thing, `seed ${seed}: ${key}`);
            }
          }
        }
      }
      stage.patch();
      for (const [i, mirror] of stage.mirrors.entries()) {
        if (!mirror.isOnline) stage.sendWhole(i);
        assert.deepEqual(stage.shown(i), stage.expected(i), `seed ${seed}, client ${i}`);
      }
    }
  });

  it('keeps what is not synchronised as far as it is a plain value, and the order of maps', () => {
    const state = new Whole();
    for (const key of ['b', 'a', 'c'])
      state.things.set(key, new Thing().assign({ name: key, local: key.charCodeAt(0) }));
    state.things.delete('a');
    state.things.set('a', new Thing().assign({ local: 5.5 }));
    const encoder = new Encoder(state);
    encoder.discardChanges();
    const capture = new SchemaCapture(Whole);
    const bytes = new ByteWriter();
    capture.write(bytes, state, encoder);
    const { state: again } = capture.read(new ByteReader(bytes.bytes()));
    assert.deepEqual([...again.things.keys()], ['b', 'c', 'a']);
    assert.deepEqual(
      [...again.things.values()].map(({ local }) => local),
      [98, 99, 5.5],
    );
  });

  it('an instance that stands in two places is one again', () => {
    const state = new Whole();
    const thing = new Thing();
    state.things.set('a', thing);
    state.list.push(thing);
    const encoder = new Encoder(state);
    encoder.discardChanges();
    const capture = new SchemaCapture(Whole);
    const bytes = new ByteWriter();
    capture.write(bytes, state, encoder);
    const { state: again } = capture.read(new ByteReader(bytes.bytes()));
    assert.equal(again.things.get('a'), again.list[0]);
  });

  it('bytes that are no capture are refused, whatever they are, and never run away', () => {
    const state = new Whole();
    for (let i = 0; i < 5; i++) state.things.set(String(i), new Thing().assign({ name: `n${i}` }));
    const encoder = new Encoder(state);
    encoder.discardChanges();
    const capture = new SchemaCapture(Whole);
    const to = new ByteWriter();
    capture.write(to, state, encoder);
    const whole = to.bytes();
    const dice = new Int32Array(4);
    seedSfc32(dice, 0, 7);
    let refused = 0;
    for (let i = 0; i < 2_000; i++) {
      const bytes = whole.slice(0, i % 3 === 0 ? nextBelow(dice, 0, whole.length) : whole.length);
      for (let n = nextBelow(dice, 0, 4); n >= 0 && bytes.length > 0; n--) {
        bytes[nextBelow(dice, 0, bytes.length)] = nextBelow(dice, 0, 256);
      }
      try {
        capture.read(new ByteReader(bytes));
      } catch (error) {
        refused++;
        assert.ok(error instanceof RangeError, `${error}`);
      }
    }
    assert.ok(refused > 1_000);
  });

  it('sets and streams are refused when the room is made, not when it is lost', () => {
    const Bag = schema({ things: t.set(Part) }, 'CaptureBag');
    assert.throws(() => new SchemaCapture(Bag as never), /CaptureBag\.things is a set/);
  });

  it('values of every kind come back as they were', () => {
    const values = [
      undefined,
      null,
      true,
      false,
      0,
      -0,
      1,
      -1,
      127,
      128,
      -70_000,
      2 ** 53 - 1,
      0.1,
      -1e300,
      NaN,
      Infinity,
    ];
    for (const value of [...values, '', 'ä€😀', 12n, -(2n ** 63n)]) {
      const to = new ByteWriter();
      writeScalar(to, value);
      const back = readScalar(new ByteReader(to.bytes()));
      assert.ok(Object.is(back, value), `${String(value)} came back as ${String(back)}`);
    }
    assert.throws(() => writeScalar(new ByteWriter(), {}), /where a value should/);
  });

  it('is only done where the installed schema library lets it be', () => {
    assert.equal(identityFault(), undefined);
  });
});
