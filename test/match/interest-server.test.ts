import assert from 'node:assert/strict';
import { ClientState } from '@colyseus/core';
import type { DataChange, Decoder, Schema } from '@colyseus/schema';
import type { Room as SdkRoom } from '@colyseus/sdk';
import { type ArenaState, AVATAR_FLAGS } from '../../schema/arena-state.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import {
  HARD_BYTES,
  type InterestRoom,
  type InterestServer,
  SOFT_BYTES,
  startInterestServer,
  until,
} from '../fixtures/interest-room.ts';
import { MAP_SIZE } from '../fixtures/interest-stage.ts';
import { assertSeesTruth, decodedFacts, filteredTruth, withoutEmpty } from '../fixtures/oracle.ts';

type Joined = SdkRoom<unknown, ArenaState>;
const OWNER_FIELDS = new Set(['dash', 'ammo', 'rockets']);

/** Everything the SDK's decoder was ever told, by refId. */
function listenIn(joined: Joined): Map<number, Set<string>> {
  const told = new Map<number, Set<string>>();
  const { decoder } = (joined as unknown as { serializer: { decoder: Decoder } }).serializer;
  decoder.triggerChanges = (changes: DataChange[]) => {
    for (const { refId, field, value } of changes) {
      if (value === undefined || field === undefined) continue;
      if (!told.has(refId)) told.set(refId, new Set());
      told.get(refId)!.add(String(field));
    }
  };
  return told;
}

const serverSide = (room: InterestRoom, joined: Joined) => room.clients.getById(joined.sessionId)!;

const isJoined = (room: InterestRoom, joined: Joined): boolean =>
  room.clients.getById(joined.sessionId)?.state === ClientState.JOINED;

/** Patches until everything owed is paid, then waits for every client to have decoded the truth. */
async function assertAllSeeTruth(room: InterestRoom, everybody: readonly Joined[]): Promise<void> {
  await until(() => everybody.every((joined) => isJoined(room, joined)), 'everybody to be joined');
  for (let i = 0; i < 8; i++) room.broadcastPatch();
  const isTrue = (joined: Joined): boolean => {
    const truth = withoutEmpty(filteredTruth(room.state, room.eyesOf(serverSide(room, joined))));
    return JSON.stringify(withoutEmpty(decodedFacts(joined.state as unknown as Schema))) === JSON.stringify(truth);
  };
  // What budget or a full socket put off is paid by the patches that follow, as those of a running room do.
  const isSettled = (): boolean => {
    if (everybody.every(isTrue)) return true;
    room.broadcastPatch();
    return false;
  };
  await until(isSettled, 'everybody to see the truth', 5_000).catch(() => {});
  for (const joined of everybody) {
    const eyes = room.eyesOf(serverSide(room, joined));
    assertSeesTruth(joined.state as unknown as Schema, room.state, eyes, joined.sessionId);
  }
}

describe('interest over real sockets and the stock SDK', () => {
  let server: InterestServer;
  const { info } = console;

  before(async () => {
    // The SDK reports every reconnection there.
    console.info = () => {};
    server = await startInterestServer();
  });

  after(async () => {
    await server.close();
    console.info = info;
  });

  it('delivers hot and cold changes, to the owner with the owner fields', async () => {
    const room = await server.room();
    const everybody = [await server.join(room), await server.join(room)];
    await assertAllSeeTruth(room, everybody);
    const [first, second] = everybody as [Joined, Joined];
    const avatar = room.avatarOf.get(first.sessionId)!;
    avatar.assign({ hp: 3, ammo: 77, x: 1234, y: 2345, vx: -300, flags: AVATAR_FLAGS.ALIVE });
    room.plugins.interest.move(avatar, MAP_SIZE / 2, MAP_SIZE / 2);
    await assertAllSeeTruth(room, everybody);
    const seat = String(avatar.seat);
    assert.equal(first.state.avatars.get(seat)?.ammo, 77);
    assert.equal(first.state.avatars.get(seat)?.vx, -300);
    assert.equal(second.state.avatars.get(seat)?.ammo, undefined);
    assert.equal(second.state.avatars.get(seat)?.vx, undefined);
    assert.equal(second.state.avatars.get(seat)?.x, 1234);
  });

  it('gives a client that was dropped the present when it resumes', async () => {
    const room = await server.room();
    const dropped = await server.join(room);
    const witness = await server.join(room);
    const [near, nearer] = [room.spawnAvatar(MAP_SIZE / 2, 3000), room.spawnAvatar(MAP_SIZE / 2, 3100)];
    await assertAllSeeTruth(room, [dropped, witness]);
    assert.equal(dropped.state.avatars.size, 4);

    (serverSide(room, dropped).ref as unknown as { terminate(): void }).terminate();
    await until(() => room.clients.getById(dropped.sessionId) === undefined, 'the drop');
    room.moveTo(near, 0, 0);
    nearer.aim = 99;
    room.avatarOf.get(dropped.sessionId)!.ammo = 1;
    room.spawnRocket('r', MAP_SIZE / 2, MAP_SIZE / 2);
    room.broadcastPatch();
    await until(() => isJoined(room, dropped), 'the resume');
    await assertAllSeeTruth(room, [dropped, witness]);
    assert.equal(dropped.state.avatars.size, 3);
    assert.equal(dropped.state.avatars.get(String(nearer.seat))?.aim, 99);
    assert.equal(dropped.state.rockets.size, 1);
  });

  it('spares a reader that stops, and shows it the present when it reads again', async () => {
    const room = await server.room();
    const { joined: slow, network } = await server.joinThrough(room);
    const witness = await server.join(room);
    await assertAllSeeTruth(room, [slow, witness]);
    slow.onMessage('noise', () => {});
    network.stop();
    const client = serverSide(room, slow);
    const buffered = (): number => (client.ref as unknown as { bufferedAmount: number }).bufferedAmount;
    const noise = 'x'.repeat(100_000);
    await until(() => {
      if (buffered() <= SOFT_BYTES) client.send('noise', noise);
      return buffered() > SOFT_BYTES;
    }, 'the socket to clog');
    const clogged = buffered();
    const avatar = room.avatarOf.get(witness.sessionId)!;
    const skipped = room.plugins.interest.totals.framesSkipped;
    for (let i = 0; i < 50; i++) {
      room.moveTo(avatar, avatar.x + 1, avatar.y);
      room.broadcastPatch();
    }
    assert.equal(room.plugins.interest.totals.framesSkipped - skipped, 50);
    assert.ok(buffered() <= clogged, 'nothing more was queued');
    network.goOn();
    await until(() => buffered() === 0, 'the socket to drain');
    await assertAllSeeTruth(room, [slow, witness]);
  });

  it('drops a reader that stops for good, with the code, and frees its place at once', async () => {
    const room = await server.room();
    const { joined: stuck, network } = await server.joinThrough(room);
    const witness = await server.join(room);
    await assertAllSeeTruth(room, [stuck, witness]);
    stuck.onMessage('noise', () => {});
    const codes: number[] = [];
    stuck.onLeave((code) => codes.push(code));
    const client = serverSide(room, stuck);
    network.stop();
    const buffered = (): number => (client.ref as unknown as { bufferedAmount: number }).bufferedAmount;
    const noise = 'x'.repeat(500_000);
    await until(() => {
      client.send('noise', noise);
      return buffered() > HARD_BYTES;
    }, 'the socket to overflow');
    room.broadcastPatch();
    assert.equal(room.clients.getById(stuck.sessionId), undefined);
    await until(() => room.left.has(stuck.sessionId), 'the final leave');
    assert.equal(room.left.get(stuck.sessionId), CLOSE.SLOW_CONSUMER);
    network.goOn();
    await until(() => codes.length > 0, 'the client to learn of it');
    assert.deepEqual(codes, [CLOSE.SLOW_CONSUMER]);
    assert.equal(room.plugins.interest.totals.slowConsumersDropped, 1);
    await assertAllSeeTruth(room, [witness]);
  });

  for (const seed of [1, 20261121]) {
    it(`after a random run (seed ${seed}) all see exactly the truth and were never told more`, async () => {
      const rng = new Int32Array(4);
      seedSfc32(rng, 0, seed);
      const below = (bound: number): number => nextBelow(rng, 0, bound);
      const room = await server.room();
      const everybody: Joined[] = [];
      const told = new Map<string, Map<number, Set<string>>>();
      for (let i = 0; i < 4; i++) room.spawnAvatar(below(MAP_SIZE), below(MAP_SIZE));
      let rockets = 0;
      for (let round = 0; round < 60; round++) {
        const happening = below(10);
        if (everybody.length < 2 || (happening === 0 && everybody.length < 6)) {
          const joined = await server.join(room);
          told.set(joined.sessionId, listenIn(joined));
          everybody.push(joined);
        } else if (happening === 1 && everybody.length > 2) {
          const at = below(everybody.length);
          // One that is just being dropped cannot say good-bye.
          if (isJoined(room, everybody[at]!)) await everybody.splice(at, 1)[0]!.leave();
        } else if (happening <= 3) {
          const client = room.clients[below(room.clients.length)];
          if (client?.state === ClientState.JOINED) (client.ref as unknown as { terminate(): void }).terminate();
        } else if (happening === 4) {
          room.spawnRocket(`r${rockets++}`, below(MAP_SIZE), below(MAP_SIZE));
        } else if (happening === 5) {
          const key = [...room.state.rockets.keys()][0];
          if (key !== undefined) room.state.rockets.delete(key);
        }
        for (let patch = 0; patch < 5; patch++) {
          for (const avatar of room.state.avatars.values()) {
            const x = Math.min(Math.max(avatar.x + below(801) - 400, 0), MAP_SIZE);
            const y = Math.min(Math.max(avatar.y + below(801) - 400, 0), MAP_SIZE);
            room.moveTo(avatar, x, y);
            if (below(8) === 0) avatar.assign({ hp: below(101), ammo: below(31), dash: below(90) });
          }
          room.broadcastPatch();
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      await assertAllSeeTruth(room, everybody);
      const avatars = new Map(
        [...room.everOwned].flatMap(([sessionId, refIds]) => [...refIds].map((refId) => [refId, sessionId] as const)),
      );
      const { everSeen } = room.plugins.interest;
      for (const { sessionId } of everybody) {
        for (const [refId, fields] of told.get(sessionId)!) {
          const isEntity = avatars.has(refId) || [...everSeen.values()].some((seen) => seen.has(refId));
          if (!isEntity) continue;
          assert.ok(everSeen.get(sessionId)?.has(refId), `${sessionId} was told of ${refId}, never in its view`);
          const owned = [...fields].filter((field) => OWNER_FIELDS.has(field));
          assert.ok(
            owned.length === 0 || avatars.get(refId) === sessionId,
            `${sessionId} was told ${owned} of ${refId}`,
          );
        }
      }
    });
  }
});
