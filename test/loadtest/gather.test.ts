import assert from 'node:assert/strict';
import { Gatherer } from '../../loadtest/driver/gather.ts';
import { wander } from '../../loadtest/driver/input-track.ts';
import { arenaMap } from '../../src/sim/arena.ts';
import { stepBody } from '../../src/sim/body.ts';

describe('gathering', () => {
  it('brings a body from every spawn of the drawn map to within 6 m of the middle in 12 s, and keeps it there moving', () => {
    const map = arenaMap('colosseum', 0, 0, 0);
    const gatherer = new Gatherer(map);
    const { goal } = gatherer;
    const track = wander(3, 900);
    for (const spawn of map.spawns) {
      const body = { x: spawn.x, y: spawn.y, vx: 0, vy: 0, dash: 0 };
      let moved = 0;
      for (let tick = 0; tick < 20 * 30; tick++) {
        const intent = gatherer.steer(body.x, body.y, track[tick % track.length]!);
        assert.equal(intent.buttons, 0);
        const { x, y } = body;
        stepBody(body, intent, map);
        if (tick < 12 * 30) continue;
        const far = Math.hypot(body.x - goal.x, body.y - goal.y);
        assert.ok(far <= 6 * 64, `${far / 64} m away at tick ${tick} from spawn ${spawn.x}, ${spawn.y}`);
        if (body.x !== x || body.y !== y) moved++;
      }
      assert.ok(moved > 120, `moved in ${moved} of 240 ticks`);
    }
  });
});
