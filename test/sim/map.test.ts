import assert from 'node:assert/strict';
import fc from 'fast-check';
import { cosine, sine, TRIG_ONE } from '../../src/sim/integers.ts';
import {
  type ArenaMap,
  arenaMap,
  canSee,
  castRay,
  generateMap,
  isBlocked,
  parseMap,
  stopsBodies,
  stopsShots,
} from '../../src/sim/map.ts';
import { HALL, SEED } from './arena-scene.ts';

/** Tiles a body can walk to from the first spawn, straight steps only. */
function reachable(map: ArenaMap): Set<number> {
  const first = map.spawns[0]!;
  const queue = [(first.y >> 6) * map.columns + (first.x >> 6)];
  const seen = new Set(queue);
  for (const tile of queue) {
    for (const step of [1, -1, map.columns, -map.columns]) {
      const next = tile + step;
      if (seen.has(next) || stopsBodies(map, next % map.columns, Math.trunc(next / map.columns))) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  return seen;
}

function assertPlayable(map: ArenaMap): void {
  const tiles = reachable(map);
  for (const place of [...map.spawns, ...map.pickups]) {
    assert.ok(!isBlocked(map, place.x, place.y), `${place.x}, ${place.y} is in a wall`);
    assert.ok(tiles.has((place.y >> 6) * map.columns + (place.x >> 6)), `${place.x}, ${place.y} is walled in`);
  }
}

describe('sim/map', () => {
  it('the colosseum is 80 x 60 m, and every spawn and pickup can be walked to', () => {
    const map = arenaMap('colosseum', 0, 80, 60);
    assert.deepEqual([map.columns, map.rows], [80, 60]);
    assert.ok(map.spawns.length >= 16 && map.pickups.length >= 12);
    assert.deepEqual([...new Set(map.pickups.map((pickup) => pickup.kind))].sort(), [0, 1, 2]);
    assertPlayable(map);
  });

  it('a generated map of any seed and size is playable and the same each time', () => {
    const side = fc.integer({ min: 16, max: 130 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), side, side, (seed, width, height) => {
        const map = generateMap(seed, width, height);
        assert.deepEqual([map.columns, map.rows], [width, height]);
        assert.ok(map.spawns.length >= 2);
        assertPlayable(map);
        assert.deepEqual(generateMap(seed, width, height).tiles, map.tiles);
      }),
      { seed: SEED, numRuns: 40 },
    );
    assert.notDeepEqual(generateMap(1, 64, 64).tiles, generateMap(2, 64, 64).tiles);
  });

  it('the largest generated map has a bounded number of places, spread over all of it', () => {
    const map = generateMap(3, 500, 500);
    assert.ok(map.spawns.length <= 128 && map.pickups.length <= 128);
    assert.ok(map.spawns.some(({ x, y }) => x > 400 * 64 && y > 400 * 64));
  });

  it('a size outside 16 to 500 m is refused', () => {
    for (const side of [15, 501, 64.5, Number.NaN]) {
      assert.throws(() => generateMap(1, side, 64), RangeError);
      assert.throws(() => generateMap(1, 64, side), RangeError);
    }
  });

  it('a drawing with an open rim, ragged rows, unknown marks or a lone spawn is refused', () => {
    const draw = (text: string) => () => parseMap('colosseum', text);
    assert.doesNotThrow(draw('####\n#SS#\n####'));
    assert.throws(draw('####\n#SS.\n####'), /open rim at 3, 1/);
    assert.throws(draw('##.#\n#SS#\n####'), /open rim at 2, 0/);
    assert.throws(draw('####\n#SS##\n####'), /row 1 has 5 tiles/);
    assert.throws(draw('####\n#S?#\n####'), /unknown mark "\?"/);
    assert.throws(draw('####\n#S.#\n####'), /1 spawns/);
  });

  it('everything outside the grid stops bodies and shots', () => {
    for (const [column, row] of [
      [-1, 3],
      [3, -1],
      [HALL.columns, 3],
      [3, HALL.rows],
    ] as const) {
      assert.ok(stopsBodies(HALL, column, row) && stopsShots(HALL, column, row));
    }
  });

  it('a ray along an axis ends exactly at the wall, and passes over a shaft', () => {
    const y = 4 * 64 - 32;
    assert.equal(castRay(HALL, 2 * 64, y, TRIG_ONE, 0, TRIG_ONE, 5000), 5 * 64, 'to the pillar');
    assert.equal(castRay(HALL, 2 * 64, y, -TRIG_ONE, 0, TRIG_ONE, 5000), 64, 'to the west wall');
    assert.equal(castRay(HALL, 2 * 64, y, 0, -TRIG_ONE, TRIG_ONE, 5000), y - 64, 'to the north wall');
    assert.equal(castRay(HALL, 2 * 64, 6 * 64 + 32, TRIG_ONE, 0, TRIG_ONE, 5000), 13 * 64, 'over the shaft');
    assert.equal(castRay(HALL, 2 * 64, y, TRIG_ONE, 0, TRIG_ONE, 100), 100, 'no farther than its range');
    assert.equal(castRay(HALL, 8 * 64, 4 * 64, TRIG_ONE, 0, TRIG_ONE, 100), 0, 'from inside the pillar');
  });

  it('a ray never crosses a wall and stops only for one', () => {
    const map = generateMap(11, 60, 40);
    const x = fc.integer({ min: 64, max: 59 * 64 - 1 });
    const y = fc.integer({ min: 64, max: 39 * 64 - 1 });
    fc.assert(
      fc.property(x, y, fc.integer({ min: 0, max: 255 }), (fromX, fromY, angle) => {
        fc.pre(!stopsShots(map, fromX >> 6, fromY >> 6));
        const dx = cosine(angle);
        const dy = sine(angle);
        const range = 1500;
        const free = castRay(map, fromX, fromY, dx, dy, TRIG_ONE, range);
        const isWall = (distance: number, slack: number): boolean => {
          for (const sx of [-slack, 0, slack]) {
            for (const sy of [-slack, 0, slack]) {
              const wallX = Math.floor(fromX + (dx * distance) / TRIG_ONE + sx) >> 6;
              const wallY = Math.floor(fromY + (dy * distance) / TRIG_ONE + sy) >> 6;
              if (stopsShots(map, wallX, wallY) !== (slack === 0)) return slack !== 0;
            }
          }
          return slack === 0;
        };
        // Walk the free part in quarter units with exact floats: none of it is in a wall.
        for (let distance = 0; distance < free; distance += 8) {
          const column = Math.floor(fromX + (dx * distance) / TRIG_ONE) >> 6;
          const row = Math.floor(fromY + (dy * distance) / TRIG_ONE) >> 6;
          assert.ok(!stopsShots(map, column, row), `in a wall after ${distance} of ${free}`);
        }
        if (free < range) assert.ok(isWall(free + 1, 1), `no wall after ${free}`);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it('two points see each other unless a wall is between, whichever looks', () => {
    const at = (column: number, row: number) => [column * 64 + 32, row * 64 + 32] as const;
    const sees = (from: readonly [number, number], to: readonly [number, number]) =>
      canSee(HALL, from[0], from[1], to[0], to[1]);
    assert.ok(sees(at(1, 1), at(14, 1)));
    assert.ok(!sees(at(2, 3), at(12, 3)));
    assert.ok(!sees(at(12, 4), at(2, 4)));
    assert.ok(sees(at(2, 6), at(12, 6)), 'over the shaft');
    assert.ok(sees(at(2, 3), at(2, 3)));
  });
});
