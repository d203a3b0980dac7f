import assert from 'node:assert/strict';
import { type Client, ClientState } from '@colyseus/core';
import { $refId, type Schema, schema, t } from '@colyseus/schema';
import fc from 'fast-check';
import { Avatar, type Rocket } from '../../schema/arena-state.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import { HotSerializer } from '../../src/match/hot-serializer.ts';
import { InterestPlugin, InterestTotals } from '../../src/match/interest-plugin.ts';
import { CELL, FAR, MAP_SIZE, NEAR, STAGE_OPTIONS, Stage, StageClient } from '../fixtures/interest-stage.ts';
import { assertSeesTruth, Mirror } from '../fixtures/oracle.ts';

const SEED = 20261121;

type Decoded = { avatars?: Map<string, Record<string, number>>; rockets?: Map<string, Record<string, number>> };
const decoded = (client: StageClient): Decoded => client.mirror.state as unknown as Decoded;
const avatarAt = (client: StageClient, key: string): Record<string, number> | undefined =>
  decoded(client).avatars?.get(key);

/** A client in the middle of the map with an avatar of its own, acknowledged and patched. */
function joinedInTheMiddle(stage: Stage, sessionId = 'A', key = '0'): { client: StageClient; avatar: Avatar } {
  const avatar = stage.spawnAvatar(key, MAP_SIZE / 2, MAP_SIZE / 2, sessionId);
  const client = stage.join(sessionId, avatar);
  stage.acknowledge(client);
  stage.patch();
  return { client, avatar };
}

describe('interest: who sees what', () => {
  it('shows an entity that comes near with its values, and takes it away when it leaves', () => {
    const stage = new Stage();
    const { client } = joinedInTheMiddle(stage);
    const other = stage.spawnAvatar('1', 0, 0);
    stage.patch();
    assert.equal(avatarAt(client, '1'), undefined);
    stage.moveTo(other, MAP_SIZE / 2 + 50, MAP_SIZE / 2);
    other.aim = 7;
    stage.patch();
    assert.equal(avatarAt(client, '1')?.x, MAP_SIZE / 2 + 50);
    assert.equal(avatarAt(client, '1')?.aim, 7);
    stage.moveTo(other, 0, 0);
    stage.patch();
    assert.equal(avatarAt(client, '1'), undefined);
    stage.assertTruth();
  });

  it('shows a new entity complete in the patch of its creation, hot fields included', () => {
    const stage = new Stage();
    const { client } = joinedInTheMiddle(stage);
    stage.spawnRocket('r', MAP_SIZE / 2 + 10, MAP_SIZE / 2 + 20);
    stage.patch();
    assert.deepEqual(
      { ...(decoded(client).rockets!.get('r') as unknown as Schema).toJSON() },
      { seat: 0, x: MAP_SIZE / 2 + 10, y: MAP_SIZE / 2 + 20, vx: 3, vy: 4 },
    );
  });

  it('shows an entity that has nothing but hot fields, whenever it comes near', () => {
    const Dot = schema({ x: t.int16().fullStateOnly().default(0) }, 'InterestDot');
    const DotState = schema({ dots: t.map(Dot).view() }, 'InterestDotState');
    const state = new DotState();
    const interest = new InterestPlugin(STAGE_OPTIONS);
    const serializer = new HotSerializer(interest);
    serializer.reset(state);
    const dot = new Dot().assign({ x: 7 });
    state.dots.set('a', dot);
    interest.track(dot);
    interest.move(dot, 0, 0);
    const client = new StageClient('A', new Mirror(serializer.handshake()));
    client.onFrame = (frame) => client.mirror.receive(frame);
    const asCore = client as unknown as Client;
    interest.observeAt(asCore, MAP_SIZE, MAP_SIZE);
    client.state = ClientState.JOINED;
    client.raw(serializer.getFullState(asCore));
    for (let i = 0; i < 3; i++) serializer.applyPatches([asCore]);
    interest.observeAt(asCore, 0, 0);
    serializer.applyPatches([asCore]);
    assertSeesTruth(client.mirror.state, state, { sees: () => true, owns: () => false }, 'A');
  });

  it('gives owner-only fields to the owner alone, hot changes of them included', () => {
    const stage = new Stage();
    const { client: owner, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const { client: neighbour } = joinedInTheMiddle(stage, 'B', '1');
    avatar.ammo = 11;
    avatar.dash = 9;
    stage.patch();
    assert.equal(avatarAt(owner, '0')?.ammo, 11);
    assert.equal(avatarAt(owner, '0')?.dash, 9);
    assert.equal(avatarAt(neighbour, '0')?.x, MAP_SIZE / 2);
    assert.equal(avatarAt(neighbour, '0')?.ammo, undefined);
    assert.equal(avatarAt(neighbour, '0')?.dash, undefined);
  });

  it('keeps the owner fields from somebody who follows another player', () => {
    const stage = new Stage();
    const { avatar } = joinedInTheMiddle(stage, 'A', '0');
    const spectator = stage.join('S', avatar);
    stage.acknowledge(spectator);
    avatar.ammo = 1;
    stage.patch();
    assert.equal(avatarAt(spectator, '0')?.x, MAP_SIZE / 2);
    assert.equal(avatarAt(spectator, '0')?.ammo, undefined);
    stage.assertTruth();
  });

  it('changes hands with the entity: the new owner gets the owner fields, the old one loses them', () => {
    const stage = new Stage();
    const { client: old, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const { client: next } = joinedInTheMiddle(stage, 'B', '1');
    stage.giveTo(avatar, 'B');
    avatar.ammo = 3;
    stage.patch();
    assert.equal(avatarAt(old, '0')?.ammo, undefined);
    assert.equal(avatarAt(next, '0')?.ammo, 3);
    stage.assertTruth();
  });

  it('lets a free camera see what is around its point', () => {
    const stage = new Stage();
    stage.spawnAvatar('1', 6000, 6000);
    const camera = stage.join('C');
    stage.interest.observeAt(camera as unknown as Client, 100, 100);
    stage.acknowledge(camera);
    stage.patch();
    assert.equal(avatarAt(camera, '1'), undefined);
    stage.interest.observeAt(camera as unknown as Client, 5900, 5900);
    stage.patch();
    assert.equal(avatarAt(camera, '1')?.x, 6000);
    stage.interest.observeAt(camera as unknown as Client, 100, 100);
    stage.patch();
    assert.equal(avatarAt(camera, '1'), undefined);
  });

  it('shows an entity that is always of interest to everybody, wherever it is', () => {
    const stage = new Stage();
    const { client } = joinedInTheMiddle(stage);
    const flag = stage.spawnAvatar('9', 0, 0);
    stage.interest.track(flag, { always: true });
    stage.patch();
    flag.x = 77;
    stage.patch();
    assert.equal(avatarAt(client, '9')?.x, 77);
  });

  it('does not flap while something walks to and fro over the border of a cell', () => {
    const stage = new Stage();
    const { client } = joinedInTheMiddle(stage);
    const border = MAP_SIZE / 2 + FAR + 3 * CELL;
    const other = stage.spawnAvatar('1', border, MAP_SIZE / 2);
    let changes = 0;
    let wasSeen = false;
    for (let i = 0; i < 40; i++) {
      // From well inside to where it would just be out of the border, within the hysteresis.
      stage.moveTo(other, border - CELL - 20 + (i % 2) * 40, MAP_SIZE / 2);
      stage.patch();
      const isSeen = avatarAt(client, '1') !== undefined;
      if (isSeen !== wasSeen) changes++;
      wasSeen = isSeen;
    }
    assert.ok(changes <= 1, `${changes} changes of visibility`);
  });

  it('refuses to track what it could not deliver', () => {
    const stage = new Stage();
    const NoDefault = schema({ x: t.int16().fullStateOnly() }, 'InterestNoDefault');
    const ForeignTag = schema({ x: t.int16().default(0).fullStateOnly().view(8) }, 'InterestForeignTag');
    assert.throws(() => stage.interest.track(new NoDefault()), /hot field x needs a default/);
    assert.throws(() => stage.interest.track(new ForeignTag()), /hot field x has a view tag that is not the owner's/);
    assert.throws(() => stage.interest.observe(stage.join('A') as unknown as Client, new Avatar()), /not tracked/);
  });

  it('refuses options out of range', () => {
    const wrong = [
      { cellSize: 0 },
      { mapWidth: -1 },
      { hysteresis: 0.6 },
      { rings: [] },
      { rings: [{ radius: 10, everyPatches: 0 }] },
      {
        rings: [
          { radius: 10, everyPatches: 1 },
          { radius: 10, everyPatches: 1 },
        ],
      },
      { budgetBytesPerSecond: 0 },
      { softBytes: 10, hardBytes: 10 },
      { ownerTag: 3 },
    ];
    for (const options of wrong) assert.throws(() => new InterestPlugin({ ...STAGE_OPTIONS, ...options }), RangeError);
  });
});

describe('interest: when it is sent', () => {
  it('sends only what changed, and nothing for an entity at rest', () => {
    const stage = new Stage({ isTimed: false });
    const { client, avatar } = joinedInTheMiddle(stage);
    const frames = client.mirror.frames;
    const bytes = client.mirror.bytes;
    stage.patch();
    assert.equal(client.mirror.frames, frames, 'no frame without a change');
    avatar.x++;
    stage.patch();
    // Code, 255, refId, field, two bytes.
    assert.equal(client.mirror.bytes - bytes, 1 + 2 + 3);
  });

  it('sends far entities every so many patches, and their last value even if they rest since', () => {
    const stage = new Stage();
    const { client } = joinedInTheMiddle(stage);
    const far = stage.spawnAvatar('1', MAP_SIZE / 2 + FAR, MAP_SIZE / 2);
    stage.patch();
    let updates = 0;
    let last = avatarAt(client, '1')!.aim;
    for (let i = 1; i <= 30; i++) {
      far.aim = i;
      stage.patch();
      if (avatarAt(client, '1')!.aim !== last) updates++;
      last = avatarAt(client, '1')!.aim;
    }
    assert.equal(updates, 10);
    far.aim = 99;
    stage.settle(3);
    assert.equal(avatarAt(client, '1')!.aim, 99);
  });

  it('catches up at once when a far entity comes into the near ring', () => {
    const stage = new Stage({
      rings: [
        { radius: NEAR, everyPatches: 1 },
        { radius: FAR, everyPatches: 64 },
      ],
    });
    const { client } = joinedInTheMiddle(stage);
    const other = stage.spawnAvatar('1', MAP_SIZE / 2 + FAR, MAP_SIZE / 2);
    stage.patch();
    other.aim = 42;
    stage.patch();
    stage.moveTo(other, MAP_SIZE / 2 + 10, MAP_SIZE / 2);
    stage.patch();
    assert.equal(avatarAt(client, '1')!.aim, 42);
  });

  it('sheds the far rings first, and comes back without leaving anything stale', () => {
    const stage = new Stage();
    const { client, avatar } = joinedInTheMiddle(stage);
    const far = stage.spawnAvatar('1', MAP_SIZE / 2 + FAR, MAP_SIZE / 2);
    stage.patch();
    const updatesIn = (patches: number): number => {
      let updates = 0;
      for (let i = 0; i < patches; i++) {
        const before = avatarAt(client, '1')!.aim;
        far.aim = (far.aim + 1) & 255;
        avatar.aim = (avatar.aim + 1) & 255;
        stage.patch();
        assert.equal(avatarAt(client, '0')!.aim, avatar.aim, 'the own entity is never shed');
        if (avatarAt(client, '1')!.aim !== before) updates++;
      }
      return updates;
    };
    assert.equal(updatesIn(24), 8);
    stage.interest.setShedLevel(1);
    assert.equal(updatesIn(24), 4);
    stage.interest.setShedLevel(2);
    assert.equal(updatesIn(24), 2);
    stage.interest.setShedLevel(0);
    stage.settle(3);
    stage.assertTruth();
  });

  it('keeps to the byte budget in a crowd, nearest first, and lets nobody starve', () => {
    const stage = new Stage({ budgetBytesPerSecond: 2_000, patchMs: 50 });
    const { client, avatar } = joinedInTheMiddle(stage);
    const crowd = Array.from({ length: 60 }, (_, i) =>
      stage.spawnAvatar(String(i + 1), MAP_SIZE / 2 + 5 + i * 10, MAP_SIZE / 2),
    );
    stage.settle(40);
    const bytes = client.mirror.bytes;
    const updates = new Map<number, number>();
    for (let i = 0; i < 100; i++) {
      for (const other of crowd) {
        other.aim = (other.aim + 1) & 255;
        stage.moveTo(other, other.x, MAP_SIZE / 2 + (i % 2));
      }
      avatar.aim = (avatar.aim + 1) & 255;
      const before = crowd.map((_, at) => avatarAt(client, String(at + 1))!.aim);
      stage.patch();
      assert.equal(avatarAt(client, '0')!.aim, avatar.aim, 'the own entity goes first');
      for (const at of crowd.keys()) {
        if (avatarAt(client, String(at + 1))!.aim !== before[at]) updates.set(at, (updates.get(at) ?? 0) + 1);
      }
    }
    const perSecond = (client.mirror.bytes - bytes) / 5;
    assert.ok(perSecond < 2_000 * 1.15, `${perSecond} bytes a second`);
    assert.ok(perSecond > 2_000 * 0.7, `${perSecond} bytes a second`);
    assert.ok(
      crowd.every((_, at) => (updates.get(at) ?? 0) >= 4),
      'everybody got its turns',
    );
    assert.ok(updates.get(0)! > 2 * updates.get(59)!, 'the nearest more often than the farthest');
    assert.ok(stage.interest.totals.deferredByBudget > 0);
    stage.settle(60);
    stage.assertTruth();
  });

  it('sends nothing droppable into a clogged socket, and everything current once it is free', () => {
    const stage = new Stage({ softBytes: 1_000, hardBytes: 10_000 });
    const { client, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const { client: other } = joinedInTheMiddle(stage, 'B', '1');
    client.ref.bufferedAmount = 1_001;
    const frames = client.mirror.frames;
    for (let i = 0; i < 20; i++) {
      avatar.x++;
      stage.patch();
    }
    assert.equal(client.mirror.frames, frames);
    assert.equal(avatarAt(other, '0')!.x, avatar.x, 'others are unaffected');
    avatar.hp = 55;
    stage.patch();
    assert.equal(client.mirror.frames, frames + 1, 'a cold change must arrive');
    assert.equal(avatarAt(client, '0')!.hp, 55);
    assert.equal(avatarAt(client, '0')!.x, avatar.x, 'and the own entity comes with any frame');
    client.ref.bufferedAmount = 600;
    avatar.x++;
    stage.patch();
    assert.equal(client.mirror.frames, frames + 1, 'free again only well below the bound');
    client.ref.bufferedAmount = 0;
    stage.settle(3);
    stage.assertTruth();
  });

  it('drops a client above the hard bound, or clogged for too long, with the code', () => {
    const stage = new Stage({ softBytes: 1_000, hardBytes: 10_000, clogMaxMs: 1_000, patchMs: 50 });
    const { client: full } = joinedInTheMiddle(stage, 'A', '0');
    const { client: stuck } = joinedInTheMiddle(stage, 'B', '1');
    const { client: fine } = joinedInTheMiddle(stage, 'C', '2');
    full.ref.bufferedAmount = 10_001;
    stuck.ref.bufferedAmount = 2_000;
    stage.patch();
    assert.deepEqual(stage.kicked, ['A']);
    stage.settle(21);
    assert.deepEqual(stage.kicked, ['A', 'B']);
    assert.deepEqual(
      [full, stuck, fine].map((client) => client.ref.closed),
      [CLOSE.SLOW_CONSUMER, CLOSE.SLOW_CONSUMER, 0],
    );
    assert.equal(stage.interest.totals.slowConsumersDropped, 2);
  });

  it('counts frames, bytes and the entities in each view', () => {
    const totals = new InterestTotals();
    const stage = new Stage({ totals });
    const { client } = joinedInTheMiddle(stage);
    stage.settle(4);
    assert.equal(totals.frames, client.mirror.frames);
    assert.equal(totals.bytes, client.mirror.bytes);
    assert.deepEqual(totals.visibleCounts, [5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('interest: joins, drops and resumes', () => {
  it('gives a joiner the current values, though hot changes leave no trace in the encoder', () => {
    const stage = new Stage();
    const { avatar } = joinedInTheMiddle(stage, 'A', '0');
    for (const sessionId of ['B', 'C', 'D']) {
      avatar.x++;
      const late = stage.join(sessionId, avatar);
      stage.acknowledge(late);
      assert.equal(avatarAt(late, '0')!.x, avatar.x);
    }
  });

  it('notices a value that a joiner was told and that is the old one again when the next patch looks', () => {
    const stage = new Stage();
    const { avatar } = joinedInTheMiddle(stage, 'A', '0');
    avatar.y += 50;
    const late = stage.join('B', avatar);
    stage.acknowledge(late);
    assert.equal(avatarAt(late, '0')!.y, MAP_SIZE / 2 + 50);
    avatar.y -= 50;
    stage.patch();
    assert.equal(avatarAt(late, '0')!.y, MAP_SIZE / 2);
  });

  it('sends nothing before the join is acknowledged', () => {
    const stage = new Stage();
    const avatar = stage.spawnAvatar('0', 100, 100, 'A');
    const client = stage.join('A', avatar);
    stage.patch();
    stage.spawnRocket('r', 100, 100);
    stage.patch();
    stage.removeRocket('r');
    stage.patch();
    assert.equal(client.mirror.frames, 0);
    stage.acknowledge(client);
    stage.patch();
    stage.assertTruth();
  });

  it('shows a resumed client the present, and nothing that left its sight while it was away', () => {
    const stage = new Stage();
    const { client, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const near = stage.spawnAvatar('1', MAP_SIZE / 2, MAP_SIZE / 2);
    stage.spawnRocket('r', MAP_SIZE / 2, MAP_SIZE / 2);
    stage.patch();
    const dropped = stage.drop('A')!;
    stage.moveTo(near, 0, 0);
    stage.removeRocket('r');
    stage.spawnAvatar('2', MAP_SIZE / 2 + 9, MAP_SIZE / 2);
    avatar.ammo = 2;
    stage.settle(5);
    const back = stage.resume(dropped);
    stage.patch();
    stage.acknowledge(back);
    assert.equal(back.mirror, client.mirror);
    assert.equal(avatarAt(back, '1'), undefined);
    assert.equal(avatarAt(back, '2')?.x, MAP_SIZE / 2 + 9);
    assert.equal(avatarAt(back, '0')?.ammo, 2);
    stage.assertTruth();
    stage.patch();
    stage.assertTruth();
  });

  it('shows a resumed client whoever took a seat while it was away, in the full state already', () => {
    const stage = new Stage();
    joinedInTheMiddle(stage, 'A', '0');
    stage.spawnAvatar('1', MAP_SIZE / 2, MAP_SIZE / 2);
    stage.patch();
    const dropped = stage.drop('A')!;
    stage.removeAvatar('1');
    stage.spawnAvatar('1', MAP_SIZE / 2 + 5, MAP_SIZE / 2);
    const back = stage.resume(dropped);
    stage.acknowledge(back);
    assert.equal(avatarAt(back, '1')?.x, MAP_SIZE / 2 + 5);
    stage.assertTruth();
    stage.settle(2);
    stage.assertTruth();
  });

  it('piles up nothing in the view of a client that is away', () => {
    const stage = new Stage();
    joinedInTheMiddle(stage, 'A', '0');
    const dropped = stage.drop('A')!;
    for (let i = 0; i < 200; i++) {
      stage.spawnRocket(`r${i}`, MAP_SIZE / 2, MAP_SIZE / 2);
      stage.patch();
      stage.removeRocket(`r${i}`);
    }
    assert.ok(dropped.view!.changes.size < 10, `${dropped.view!.changes.size} structures queued`);
  });

  it('disposes a view on the final leave, so that its number can be used again without inheriting anything', () => {
    const stage = new Stage();
    const { client, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const { view } = client;
    assert.ok(view!.has(avatar));
    stage.leave(client);
    assert.equal(view!.id, -1);
    assert.equal(stage.interest.visibleTo(client as unknown as Client), undefined);
  });

  it('takes away an avatar whose seat is given to another within one patch, and shows the other if it is near', () => {
    for (const order of ['before', 'after', 'silent'] as const) {
      for (const isNear of [true, false]) {
        const stage = new Stage();
        const { client } = joinedInTheMiddle(stage, 'A', '0');
        const first = stage.spawnAvatar('1', MAP_SIZE / 2, MAP_SIZE / 2);
        stage.patch();
        stage.removeAvatar('1', order);
        stage.spawnAvatar('1', isNear ? MAP_SIZE / 2 + 1 : 0, MAP_SIZE / 2);
        stage.settle(2);
        assert.equal(client.mirror.decoder.root.refs.has(first[$refId]!), false, `told ${order} the removal`);
        assert.equal(avatarAt(client, '1')?.x, isNear ? MAP_SIZE / 2 + 1 : undefined);
        stage.assertTruth();
      }
    }
  });
});

/** One random happening; numbers are folded into whatever exists at that moment. */
interface Happening {
  readonly kind: number;
  readonly who: number;
  readonly x: number;
  readonly y: number;
}

const happening = fc.record({
  kind: fc.nat(16),
  who: fc.nat(30),
  x: fc.integer({ min: -50, max: MAP_SIZE + 50 }),
  y: fc.integer({ min: -50, max: MAP_SIZE + 50 }),
});

function acknowledgeAll(stage: Stage): void {
  for (const client of stage.clients) if (client.state === ClientState.JOINING) stage.acknowledge(client);
}

/** Runs one history; the stage audits every frame on the way. */
function live(stage: Stage, history: readonly Happening[]): void {
  let keys = 0;
  let sessions = 0;
  const dropped: StageClient[] = [];
  const orders = ['before', 'after', 'silent'] as const;
  const pick = <T>(from: Iterable<T>, at: number): T | undefined => {
    const all = [...from];
    return all[at % Math.max(all.length, 1)];
  };
  for (const { kind, who, x, y } of history) {
    const avatars = stage.state.avatars;
    const key = pick(avatars.keys(), who);
    const avatar = key === undefined ? undefined : avatars.get(key);
    const client = pick(stage.clients, who);
    if (kind === 0) stage.spawnAvatar(String(keys++), x, y);
    else if (kind === 1) {
      const sessionId = `s${sessions++}`;
      stage.join(sessionId, stage.spawnAvatar(String(keys++), x, y, sessionId));
    } else if (kind === 2) acknowledgeAll(stage);
    else if (kind === 3 && client !== undefined) dropped.push(stage.drop(client.sessionId)!);
    else if (kind === 4 && dropped.length > 0) stage.acknowledge(stage.resume(dropped.shift()!));
    else if (kind === 5 && client !== undefined) stage.leave(client);
    else if (kind === 6 && key !== undefined) stage.removeAvatar(key, orders[x % 3 < 0 ? 0 : x % 3]!);
    else if (kind === 7) stage.spawnRocket(`r${keys++}`, x, y);
    else if (kind === 8) stage.removeRocket(pick(stage.state.rockets.keys(), who) ?? '', orders[who % 3]!);
    else if (kind === 9) stage.patch();
    else if (kind === 10 && avatar !== undefined) avatar.assign({ hp: who, ammo: who, dash: who, aim: who });
    else if (kind === 11 && client !== undefined) client.ref.bufferedAmount = who % 2 === 0 ? 0 : 20_000;
    else if (kind === 12 && client !== undefined && avatar !== undefined) stage.observe(client, avatar);
    else if (kind === 13) stage.interest.setShedLevel(who % 3);
    else if (kind === 16 && key !== undefined) {
      // A seat that is left and taken within one patch: another entity under the same key.
      stage.removeAvatar(key, orders[who % 3]!);
      stage.spawnAvatar(key, x, y);
    } else if (kind >= 14) {
      const moved: Avatar | Rocket | undefined = pick([...avatars.values(), ...stage.state.rockets.values()], who);
      // Half of the time a few steps, so that borders are crossed both ways.
      if (moved !== undefined && kind === 14) stage.moveTo(moved, x, y);
      else if (moved !== undefined) stage.moveTo(moved, moved.x + (x % CELL), moved.y + (y % CELL));
    }
  }
  for (const client of stage.clients) client.ref.bufferedAmount = 0;
  acknowledgeAll(stage);
  stage.settle(64);
}

describe('interest: the encode-decode oracle', () => {
  it('after any history everybody has decoded exactly what it may see, and was never told anything else', () => {
    fc.assert(
      fc.property(fc.array(happening, { minLength: 20, maxLength: 120 }), fc.boolean(), (history, isTimed) => {
        const stage = new Stage({ isTimed });
        live(stage, history);
        stage.assertTruth();
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('holds as well where the budget is never enough for everything', () => {
    fc.assert(
      fc.property(fc.array(happening, { minLength: 60, maxLength: 160 }), (history) => {
        const stage = new Stage({ budgetBytesPerSecond: 400 });
        live(stage, history);
        stage.settle(200);
        stage.assertTruth();
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  it('can be trusted: it notices a single wrong value, a missing entity and an owner field too many', () => {
    const stage = new Stage();
    const { client, avatar } = joinedInTheMiddle(stage, 'A', '0');
    const { client: other } = joinedInTheMiddle(stage, 'B', '1');
    stage.patch();
    const mine = avatarAt(client, '0')!;
    mine.x!++;
    assert.throws(() => stage.assertTruth());
    mine.x!--;
    stage.assertTruth();
    decoded(other).avatars!.delete('0');
    assert.throws(() => stage.assertTruth());
    const leak = [{ refId: avatar[$refId]!, field: 'ammo', value: 1 }];
    assert.throws(() => stage.audit.check(leak, stage.eyesOf(other), 'B'));
    assert.doesNotThrow(() => stage.audit.check(leak, stage.eyesOf(client), 'A'));
  });
});
