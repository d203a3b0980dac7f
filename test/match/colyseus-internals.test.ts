/**
 * One test per unpromised fact that src/match rests on. If an upgrade of @colyseus/* turns one red, mend
 * src/match/colyseus-internals.ts (and hot-serializer.ts) before anything else.
 */
import assert from 'node:assert/strict';
import { type Client, Room, SchemaSerializer } from '@colyseus/core';
import { type ChangeTree, Decoder, Encoder, type Schema, StateView, schema, t } from '@colyseus/schema';
import * as internals from '../../src/match/colyseus-internals.ts';
import { HoldBack } from '../../src/match/hold-back.ts';

const Thing = schema(
  {
    name: t.string().default(''),
    flag: t.boolean().default(false).fullStateOnly(),
    small: t.int8().default(0).fullStateOnly(),
    byte: t.uint8().default(0).fullStateOnly(),
    short: t.int16().default(0).fullStateOnly(),
    word: t.uint16().default(0).fullStateOnly(),
    long: t.int32().default(0).fullStateOnly(),
    wide: t.uint32().default(0).fullStateOnly(),
    own: t.uint8().default(0).fullStateOnly().view(2),
    title: t.string().default('').fullStateOnly(),
    exact: t.number().default(0).fullStateOnly(),
  },
  'InternalsThing',
);
const ThingState = schema({ phase: t.uint8().default(0), things: t.map(Thing).view() }, 'InternalsState');

function stateWithThing() {
  const state = new ThingState();
  const thing = new Thing();
  state.things.set('a', thing);
  return { state, thing, encoder: new Encoder(state) };
}

/** A room outside of a server has timers, but nobody who would dispose it. */
function stopTimersOf(room: Room): void {
  room.setTimestep(() => {}, 2 ** 31 - 1);
  room.patchRate = 0;
  const { _simulationInterval, _autoDisposeTimeout } = room as unknown as Record<string, NodeJS.Timeout>;
  clearInterval(_simulationInterval);
  clearTimeout(_autoDisposeTimeout);
  room.clock.stop();
}

describe('what we take for granted of Colyseus', () => {
  it('the self-check at start passes', () => {
    assert.doesNotThrow(() => internals.assertColyseusInternals());
  });

  it('hot fields are the full-state-only integers, with index, size and view tag', () => {
    assert.deepEqual(
      internals.hotFieldsOf(new Thing()).map(({ name, index, bytes, tag }) => [name, index, bytes, tag]),
      [
        ['flag', 1, 1, undefined],
        ['small', 2, 1, undefined],
        ['byte', 3, 1, undefined],
        ['short', 4, 2, undefined],
        ['word', 5, 2, undefined],
        ['long', 6, 4, undefined],
        ['wide', 7, 4, undefined],
        ['own', 8, 1, 2],
      ],
    );
  });

  it('a hot segment is what the stock encoder would have written: 255, refId, field index, little-endian value', () => {
    const Tracked = schema(
      { long: t.int32().default(0), short: t.int16().default(0), flag: t.boolean().default(false) },
      'InternalsTracked',
    );
    const TrackedState = schema({ things: t.map(Tracked) }, 'InternalsTrackedState');
    const state = new TrackedState();
    const thing = new Tracked();
    state.things.set('a', thing);
    const encoder = new Encoder(state);
    encoder.encode();
    encoder.discardChanges();
    const ADD = internals.FIELD_CHANGED;
    thing.assign({ long: -70_000, short: -2, flag: true });
    assert.deepEqual(
      [...encoder.encode()],
      [...internals.structureHeader(thing), ADD, 0x90, 0xee, 0xfe, 0xff, ADD | 1, 0xfe, 0xff, ADD | 2, 1],
    );
  });

  it('refIds above 127 are written with a prefix, as the header does', () => {
    const { state } = stateWithThing();
    let last = new Thing();
    for (let i = 0; i < 400; i++) {
      last = new Thing();
      state.things.set(String(i), last);
    }
    assert.deepEqual([...internals.structureHeader(state.things.get('0')!).slice(0, 1)], [255]);
    assert.deepEqual([...internals.structureHeader(state.things.get('200')!)].slice(0, 2), [255, 0xcc]);
    assert.deepEqual([...internals.structureHeader(last)].slice(0, 2), [255, 0xcd]);
  });

  it('writing a full-state-only field leaves no change behind, but the full state carries it', () => {
    const { state, thing, encoder } = stateWithThing();
    encoder.encode();
    encoder.discardChanges();
    thing.short = 5;
    assert.equal(encoder.hasChanges, false);
    const view = new StateView();
    view.add(thing);
    const at = { offset: 0 };
    encoder.encodeAll(at);
    const mirror = new ThingState();
    new Decoder(mirror).decode(encoder.encodeAllView(view, at.offset, at));
    assert.equal(mirror.things.get('a')?.short, 5);
    assert.equal(state.things.get('a')?.short, 5);
  });

  it('adding an unsent entity to a view leaves its full-state-only fields out, adding a sent one does not', () => {
    for (const isSent of [false, true]) {
      const { thing, encoder } = stateWithThing();
      if (isSent) {
        encoder.encode();
        encoder.discardChanges();
      }
      assert.equal(internals.isUnsent(thing), !isSent);
      thing.short = 5;
      const view = new StateView();
      view.add(thing);
      const mirror = new ThingState();
      const at = { offset: 0 };
      encoder.encode(at);
      new Decoder(mirror).decode(encoder.encodeView(view, at.offset, at));
      assert.equal(mirror.things.get('a')?.short, isSent ? 5 : undefined);
    }
  });

  it('an entity taken out of the state is detached, with its place in the parent still known', () => {
    const { state, thing, encoder } = stateWithThing();
    const view = new StateView();
    view.add(thing);
    encoder.encode();
    encoder.discardChanges();
    state.things.delete('a');
    assert.equal(internals.isAttached(thing), false);
    view.remove(thing);
    const mirror = new ThingState();
    const at = { offset: 0 };
    new Decoder(mirror).decode(encoder.encodeView(view, at.offset, at));
    assert.equal(mirror.things?.get('a'), undefined);
  });

  it('lists the dirty structures that a view could see something of, and no others', () => {
    const { state, thing, encoder } = stateWithThing();
    encoder.encode();
    encoder.discardChanges();
    const dirty: ChangeTree[] = [];
    thing.name = 'x';
    internals.collectFilteredChanges(encoder, dirty);
    assert.deepEqual(
      dirty.map(({ ref }) => ref),
      [thing],
    );
    encoder.discardChanges();
    internals.collectFilteredChanges(encoder, dirty);
    assert.equal(dirty.length, 0);
    assert.equal(internals.hasStreams(encoder), false);
    assert.equal(state.phase, 0);
  });

  it('of a dirty map it lists what was put in or taken out: the view pass says nothing of other places', () => {
    const { state, thing, encoder } = stateWithThing();
    const seer = new StateView();
    seer.add(thing);
    const blind = new StateView();
    const other = new Thing();
    state.things.set('b', other);
    blind.add(other);
    encoder.encode();
    for (const view of [seer, blind]) encoder.encodeView(view, 0, { offset: 0 });
    encoder.discardChanges();

    const dirty: ChangeTree[] = [];
    /** Whether the view sees something of the list; the view pass, which is asked too, must say the same. */
    const isTold = (view: StateView): boolean => {
      const at = { offset: 0 };
      encoder.encode(at);
      const sharedEnd = at.offset;
      internals.collectFilteredChanges(encoder, dirty);
      const isSeen = dirty.some((tree) => view.isChangeTreeVisible(tree));
      assert.equal(encoder.encodeView(view, sharedEnd, at).length > sharedEnd, isSeen);
      return isSeen;
    };
    state.things.set('c', new Thing());
    assert.deepEqual([isTold(seer), isTold(blind)], [false, false]);
    encoder.discardChanges();
    state.things.delete('b');
    assert.deepEqual([isTold(seer), isTold(blind)], [false, true]);
    encoder.discardChanges();

    state.things.clear();
    internals.collectFilteredChanges(encoder, dirty);
    assert.ok(
      dirty.some(({ ref }) => ref === state.things),
      'emptying a map concerns all of it',
    );
  });

  it('a hot value that is written to the array is read by the getter and told in a full state', () => {
    const { thing, encoder } = stateWithThing();
    encoder.encode();
    encoder.discardChanges();
    const { short, own } = internals.hotIndexesOf(thing, ['short', 'own']);
    const hot = internals.hotValuesOf(thing);
    hot[short] = -300;
    hot[own] = 9;
    assert.deepEqual([thing.short, thing.own, encoder.hasChanges], [-300, 9, false]);
    const view = new StateView();
    view.add(thing);
    const at = { offset: 0 };
    encoder.encodeAll(at);
    const mirror = new ThingState();
    new Decoder(mirror).decode(encoder.encodeAllView(view, at.offset, at));
    assert.equal(mirror.things?.get('a')?.short, -300);
    assert.throws(() => internals.hotIndexesOf(thing, ['name']), /name is no hot field/);
  });

  it('a view takes a new list of changes, as long as the old one is empty', () => {
    const { thing, encoder } = stateWithThing();
    encoder.encode();
    const view = new StateView();
    const first = view.changes;
    internals.renewViewChanges(view);
    assert.notEqual(view.changes, first);
    view.add(thing);
    const second = view.changes;
    internals.renewViewChanges(view);
    assert.equal(view.changes, second);
    const mirror = new ThingState();
    const at = { offset: 0 };
    encoder.encode(at);
    new Decoder(mirror).decode(encoder.encodeView(view, at.offset, at));
    assert.ok(mirror.things?.has('a'));
  });

  it('input fields are told with size and sign, if all of them are whole numbers', () => {
    const Steering = schema({ left: t.int8(), up: t.uint16(), far: t.int32() }, 'InternalsSteering');
    assert.deepEqual(internals.inputFieldsOf(new Steering()), [
      { name: 'left', bytes: 1, isSigned: true },
      { name: 'up', bytes: 2, isSigned: false },
      { name: 'far', bytes: 4, isSigned: true },
    ]);
    assert.equal(internals.inputFieldsOf(new Thing()), undefined);
  });

  it('the view pass may write over the last view, as what it returns is a copy', () => {
    const { thing, encoder } = stateWithThing();
    const at = { offset: 1 };
    encoder.encode(at);
    const sharedEnd = at.offset;
    const views = [new StateView(), new StateView()];
    for (const view of views) view.add(thing);
    const bodies = views.map((view) => {
      at.offset = sharedEnd;
      return encoder.encodeView(view, sharedEnd, at);
    });
    assert.deepEqual(bodies[0], bodies[1]);
    assert.notEqual(bodies[0]!.buffer, encoder.sharedBuffer.buffer);
  });

  it('the stock serializer keeps its encoder and the cache flag where a subclass finds them', () => {
    class Probe extends SchemaSerializer<Schema> {
      facts(): unknown[] {
        return [this.encoder instanceof Encoder, typeof this.needFullEncode, this.hasFilters];
      }
    }
    const probe = new Probe();
    probe.reset(new ThingState());
    assert.deepEqual(probe.facts(), [true, 'boolean', true]);
  });

  it('a room sets its serializer through setSerializer before it hands over the state, and can kick by code', () => {
    const calls: string[] = [];
    class Probe extends Room<{ state: Schema }> {
      override state = new ThingState();
      override setSerializer(): void {
        super.setSerializer({
          id: 'schema',
          reset: () => void calls.push('reset'),
          getFullState: () => new Uint8Array(),
          applyPatches: () => false,
        });
        calls.push('set');
      }
    }
    const room = new Probe();
    (room as unknown as { __init(): void }).__init();
    assert.deepEqual(calls, ['set', 'reset']);
    assert.equal(typeof room.kickClient, 'function');
    stopTimersOf(room);
  });

  it('an input buffer, where there is one, tells the acknowledgement', () => {
    assert.equal(internals.inputStoreOf({} as Client), undefined);
    assert.equal(internals.inputStoreOf({ _inputBuffer: { ackSeq: 7 } } as unknown as Client)?.ackSeq, 7);
  });

  it('frames are held back where the socket can, and nothing is let through unseen where it cannot', () => {
    const hold = new HoldBack();
    const ref = { hold: undefined };
    internals.holdFrames({ ref } as unknown as Client, hold);
    assert.equal(ref.hold, hold);
    assert.throws(() => internals.holdFrames({ ref: {} } as unknown as Client, hold), /cannot hold frames back/);
  });

  it('a number given to a structure beforehand is kept when it becomes part of a state, also by an array', () => {
    const Listed = schema({ list: t.array(Thing), things: t.map(Thing) }, 'InternalsListed');
    const state = new Listed();
    const thing = new Thing();
    internals.presetRefId(thing, 40);
    internals.presetRefId(state.list, 41);
    state.list.push(thing);
    const encoder = new Encoder(state);
    assert.deepEqual([internals.refIdOf(thing), internals.refIdOf(state.list)], [40, 41]);
    internals.setNextRefId(encoder, 50);
    const next = new Thing();
    state.things.set('a', next);
    assert.equal(internals.refIdOf(next), 50);
    assert.equal(internals.nextRefIdOf(encoder), 51);
  });

  it('places of a map count up, are free after the patch that tells, and go on from where they are set', () => {
    const { state, encoder } = stateWithThing();
    state.things.set('b', new Thing());
    assert.deepEqual({ ...internals.mapPlacesOf(state.things) }, { a: 0, b: 1 });
    state.things.delete('a');
    assert.ok('a' in internals.mapPlacesOf(state.things));
    encoder.discardChanges();
    assert.deepEqual({ ...internals.mapPlacesOf(state.things) }, { b: 1 });
    assert.equal(internals.nextMapPlaceOf(state.things), 2);
    internals.setNextMapPlace(state.things, 9);
    state.things.set('a', new Thing());
    assert.deepEqual({ ...internals.mapPlacesOf(state.things) }, { b: 1, a: 9 });
  });

  it('a collection can be in a view with nothing of what is in it, and is then told as empty', () => {
    const { state, encoder } = stateWithThing();
    const mirror = new ThingState();
    const decoder = new Decoder(mirror);
    const first = new StateView();
    first.add(state.things.get('a')!);
    const whole = (view: StateView) => {
      const at = { offset: 0 };
      encoder.encodeAll(at);
      return encoder.encodeAllView(view, at.offset, at);
    };
    decoder.decode(whole(first));
    assert.equal(mirror.things.size, 1);
    const bare = new StateView();
    decoder.decodeResync(whole(bare));
    assert.equal(mirror.things.size, 1, 'a view without the collection says nothing of it');
    internals.showCollection(bare, state.things);
    decoder.decodeResync(whole(bare));
    assert.equal(mirror.things.size, 0);
  });

  it('the fields of a class are named with their kind, and kinds that are not kept are refused', () => {
    const Kinds = schema(
      {
        value: t.uint8(),
        angle: t.angle({ bits: 8 }),
        thing: t.ref(Thing),
        things: t.map(Thing).view(4),
        words: t.array('string').fullStateOnly(),
      },
      'InternalsKinds',
    );
    assert.deepEqual(
      internals.schemaFieldsOf(new Kinds()).map(({ name, shape, delivery }) => [name, shape.kind, delivery]),
      [
        ['value', 'value', '///'],
        ['angle', 'value', '///'],
        ['thing', 'instance', '///'],
        ['things', 'map', '4///'],
        ['words', 'array', '/full//'],
      ],
    );
    const Bag = schema({ bag: t.collection(Thing) }, 'InternalsBag');
    assert.throws(() => internals.schemaFieldsOf(new Bag()), /InternalsBag\.bag is a collection/);
  });

  it('a state that is put up again passes the check of a start', () => {
    assert.equal(internals.identityFault(), undefined);
  });
});
