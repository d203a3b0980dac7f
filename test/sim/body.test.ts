import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BUTTONS as WIRE_BUTTONS } from '../../schema/arena-input.ts';
import { type Body, isDashing, stepBody } from '../../src/sim/body.ts';
import { generateMap, isBlocked } from '../../src/sim/map.ts';
import { BUTTONS, DASH_COOLDOWN_TICKS, DASH_TICKS, RUN_VELOCITY, VELOCITY_MAX } from '../../src/sim/tuning.ts';
import { HALL, SEED } from './arena-scene.ts';

const still = { moveX: 0, moveY: 0, aim: 0, buttons: 0 };
const OPEN = generateMap(0, 16, 16);

function bodyAt(xMetres: number, yMetres: number): Body {
  return { x: xMetres * 64, y: yMetres * 64, vx: 0, vy: 0, dash: 0 };
}

/** How far a body gets in its first tick at full speed in that direction, 1/64 m. */
function fullStep(moveX: number, moveY: number): number {
  const body = bodyAt(8, 8);
  for (let i = 0; i < 20; i++) {
    body.x = body.y = 100 * 64;
    stepBody(body, { ...still, moveX, moveY }, FIELD);
  }
  return Math.hypot(body.x - 100 * 64, body.y - 100 * 64);
}

/** Nothing but floor around (100, 100). */
const FIELD = (() => {
  const map = generateMap(0, 200, 200);
  map.tiles.fill(0, 60 * 200, 140 * 200);
  return map;
})();

describe('sim/body', () => {
  it('the buttons of the rules are the buttons of the wire', () => {
    assert.deepEqual(BUTTONS, WIRE_BUTTONS);
  });

  it('reaches running speed, 17 units a tick, within five ticks and comes to rest within six', () => {
    const body = bodyAt(100, 100);
    for (let i = 0; i < 5; i++) stepBody(body, { ...still, moveX: 127 }, FIELD);
    assert.equal(body.vx, RUN_VELOCITY);
    const { x } = body;
    stepBody(body, { ...still, moveX: 127 }, FIELD);
    assert.equal(body.x - x, 17);
    for (let i = 0; i < 6; i++) stepBody(body, still, FIELD);
    assert.deepEqual([body.vx, body.vy], [0, 0]);
  });

  it('is as fast to every side, and a diagonal is no faster than straight on', () => {
    for (const [x, y] of [
      [127, 0],
      [-127, 0],
      [0, 127],
      [0, -127],
    ] as const) {
      assert.equal(fullStep(x, y), 17);
    }
    for (const x of [127, -127]) {
      for (const y of [127, -127]) assert.equal(fullStep(x, y), Math.hypot(12, 12));
    }
  });

  it('no direction at all is faster than straight on', () => {
    for (let x = -128; x <= 127; x += 5) {
      for (let y = -128; y <= 127; y += 3) assert.ok(fullStep(x, y) <= 17, `${x}, ${y}: ${fullStep(x, y)}`);
    }
  });

  it('moves as far left as right and as far up as down, whatever the speed', () => {
    for (let move = 1; move <= 127; move++) {
      const right = bodyAt(100, 100);
      const left = bodyAt(100, 100);
      for (let i = 0; i < 12; i++) {
        stepBody(right, { ...still, moveX: move, moveY: -move }, FIELD);
        stepBody(left, { ...still, moveX: -move, moveY: move }, FIELD);
      }
      assert.equal(right.x - 6400, 6400 - left.x);
      assert.equal(right.y - 6400, 6400 - left.y);
    }
  });

  it('slides along a wall: what the wall stops on one axis the other keeps', () => {
    const body = bodyAt(2, 1.5);
    for (let i = 0; i < 10; i++) stepBody(body, { ...still, moveX: 90, moveY: -90 }, HALL);
    assert.equal(body.y, 64 + 24, 'flush with the north wall');
    assert.equal(body.vy, 0);
    assert.ok(body.vx > 180 && body.x > 2 * 64 + 90, 'still going east');
  });

  it('stops flush at a wall from all four sides, and at a shaft', () => {
    const cases = [
      [-127, 0, 64 + 24, undefined],
      [0, -127, undefined, 64 + 24],
      [127, 0, 15 * 64 - 24, undefined],
      [0, 127, undefined, 9 * 64 - 24],
    ] as const;
    for (const [moveX, moveY, x, y] of cases) {
      const body = bodyAt(2.5, 2.5);
      for (let i = 0; i < 80; i++) stepBody(body, { ...still, moveX, moveY }, HALL);
      if (x !== undefined) assert.equal(body.x, x);
      assert.deepEqual([body.vx, body.vy], [0, 0], 'the wall takes the speed');
      if (y !== undefined) assert.equal(body.y, y);
    }
    const body = bodyAt(1.5, 6.5);
    for (let i = 0; i < 40; i++) stepBody(body, { ...still, moveX: 127 }, HALL);
    assert.equal(body.x, 4 * 64 - 24, 'a shaft stops bodies');
  });

  it('a dash goes where the body moves, else where it aims, for five ticks, and again after 75', () => {
    const body = bodyAt(100, 100);
    stepBody(body, { ...still, moveY: -127, aim: 0, buttons: BUTTONS.DASH }, FIELD);
    assert.deepEqual([body.vx, body.vy, body.dash], [0, -640, DASH_COOLDOWN_TICKS]);
    const aimed = bodyAt(100, 100);
    let dashing = 0;
    const starts: number[] = [];
    for (let i = 0; i < 160; i++) {
      aimed.x = aimed.y = 6400;
      stepBody(aimed, { ...still, aim: 128, buttons: BUTTONS.DASH }, FIELD);
      if (isDashing(aimed.dash)) {
        dashing++;
        assert.deepEqual([aimed.vx, aimed.vy], [-640, 0]);
      }
      if (aimed.dash === DASH_COOLDOWN_TICKS) starts.push(i);
    }
    assert.deepEqual(starts, [0, 75, 150]);
    assert.equal(dashing, 3 * DASH_TICKS);
  });

  it('is faster than running after a dash only for a few ticks', () => {
    const body = bodyAt(100, 100);
    stepBody(body, { ...still, moveX: 127, buttons: BUTTONS.DASH }, FIELD);
    for (let i = 0; i < DASH_TICKS + 5; i++) stepBody(body, { ...still, moveX: 127 }, FIELD);
    assert.equal(body.vx, RUN_VELOCITY);
  });

  it('reads and writes the five fields of a body and nothing else', () => {
    const read = new Set<PropertyKey>();
    const wrote = new Set<PropertyKey>();
    const body = new Proxy(bodyAt(8.5, 1.5), {
      get: (target, key, self) => {
        read.add(key);
        return Reflect.get(target, key, self);
      },
      set: (target, key, value, self) => {
        wrote.add(key);
        return Reflect.set(target, key, value, self);
      },
    });
    stepBody(body, { ...still, moveX: 127, buttons: BUTTONS.DASH }, OPEN);
    const fields = ['dash', 'vx', 'vy', 'x', 'y'];
    assert.deepEqual([...read].sort(), fields);
    assert.deepEqual([...wrote].sort(), fields);
  });

  it('never leaves the map, enters a wall or jumps over one, however it is pushed', () => {
    const map = generateMap(5, 40, 40);
    const velocity = fc.integer({ min: -VELOCITY_MAX, max: VELOCITY_MAX });
    const any = fc.integer({ min: -1000, max: 1000 });
    const stepArbitrary = fc.record({
      pushX: velocity,
      pushY: velocity,
      isPushed: fc.boolean(),
      intent: fc.record({ moveX: any, moveY: any, aim: any, buttons: fc.integer({ min: 0, max: 255 }) }),
    });
    fc.assert(
      fc.property(
        fc.nat({ max: map.spawns.length - 1 }),
        fc.array(stepArbitrary, { maxLength: 80 }),
        (spawn, steps) => {
          const body: Body = { ...map.spawns[spawn]!, vx: 0, vy: 0, dash: 0 };
          for (const { pushX, pushY, isPushed, intent } of steps) {
            if (isPushed) {
              body.vx = pushX;
              body.vy = pushY;
            }
            const fromX = body.x;
            const fromY = body.y;
            stepBody(body, intent, map);
            // Every point of the way, first across, then down, was free.
            for (let x = fromX; x !== body.x; x += Math.sign(body.x - fromX)) assert.ok(!isBlocked(map, x, fromY));
            for (let y = fromY; y !== body.y; y += Math.sign(body.y - fromY)) assert.ok(!isBlocked(map, body.x, y));
            assert.ok(!isBlocked(map, body.x, body.y), `in a wall at ${body.x}, ${body.y}`);
            for (const value of Object.values(body)) assert.ok(Number.isInteger(value) && !Object.is(value, -0));
          }
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
});
