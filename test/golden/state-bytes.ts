/**
 * A fixed scene of the arena's state and the bytes that two clients get of it, frame by frame. No part of it comes
 * from the simulation: these are the bytes of schema and serializer alone.
 */
import { AVATAR_FLAGS } from '../../schema/arena-state.ts';
import { NEAR, Stage, type StageClient } from '../fixtures/interest-stage.ts';

export interface StateBytes {
  /** What the join answer tells of the state's structure. */
  readonly handshake: string;
  readonly frames: readonly { readonly what: string; readonly to: string; readonly hex: string }[];
}

/** Plays the scene. The stage fails if a frame tells a client what it may not know. */
export function recordStateBytes(): StateBytes {
  const stage = new Stage();
  const frames: { what: string; to: string; hex: string }[] = [];
  let what = '';
  const listen = (client: StageClient): void => {
    const deliver = client.onFrame;
    client.onFrame = (frame) => {
      frames.push({ what, to: client.sessionId, hex: Buffer.from(frame).toString('hex') });
      deliver(frame);
    };
  };
  const patch = (): void => {
    stage.patch();
  };

  Object.assign(stage.state, { matchId: 'golden', simVersion: 1, map: 'colosseum', seed: 7, phaseEndsTick: 9_000 });
  const own = stage.spawnAvatar('0', 1_000, 1_000, 'owner');
  const other = stage.spawnAvatar('1', 1_300, 1_000, 'neighbour');
  const far = stage.spawnAvatar('2', 5_000, 5_000);
  const owner = stage.join('owner', own);
  const neighbour = stage.join('neighbour', other);
  listen(owner);
  listen(neighbour);

  what = 'full state';
  stage.acknowledge(owner);
  stage.acknowledge(neighbour);
  what = 'patch after the join';
  patch();
  what = 'nothing changed: a heartbeat';
  patch();
  what = 'one moves, aims and shoots';
  stage.moveTo(own, 1_010, 990);
  Object.assign(own, { vx: 640, vy: -640, aim: 200, shots: 1, flags: AVATAR_FLAGS.ALIVE | AVATAR_FLAGS.CONNECTED });
  patch();
  what = 'owner-only fields change';
  Object.assign(own, { ammo: 29, dash: 90, rockets: 1 });
  patch();
  what = 'cold fields change: hit points, score, phase';
  other.hp = 64;
  stage.state.scores.get('0')!.frags = 1;
  stage.state.phase = 1;
  patch();
  what = 'a rocket appears';
  stage.spawnRocket('7', 1_020, 990);
  patch();
  what = 'somebody comes near';
  stage.moveTo(far, 1_000 + NEAR, 1_000);
  patch();
  what = 'the rocket ends and somebody goes away';
  stage.removeRocket('7');
  stage.moveTo(far, 5_000, 5_000);
  patch();
  what = 'full state after a resume';
  const back = stage.resume(stage.drop('owner')!);
  listen(back);
  stage.moveTo(other, 1_320, 1_000);
  stage.acknowledge(back);
  stage.settle(2);
  stage.assertTruth();
  return { handshake: Buffer.from(stage.serializer.handshake()).toString('hex'), frames };
}
