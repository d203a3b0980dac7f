import assert from 'node:assert/strict';
import { it } from 'mocha';
import { Stage } from '../fixtures/interest-stage.ts';

it('smoke', () => {
  const stage = new Stage();
  const a = stage.spawnAvatar('0', 100, 100, 'A');
  const b = stage.spawnAvatar('1', 200, 100, 'B');
  const far = stage.spawnAvatar('2', 6000, 6000);
  const A = stage.join('A', a);
  const B = stage.join('B', b);
  stage.acknowledge(A);
  stage.acknowledge(B);
  stage.patch();
  stage.assertTruth();
  stage.moveTo(b, 300, 120);
  b.hp = 7;
  b.ammo = 3;
  stage.patch();
  stage.assertTruth();
  stage.moveTo(far, 500, 500);
  stage.patch();
  stage.assertTruth();
  stage.moveTo(b, 6000, 500);
  stage.patch();
  stage.assertTruth();
  assert.ok(A.mirror.frames > 0);
});
