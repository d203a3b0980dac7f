import assert from 'node:assert/strict';
import { type ArenaMap, arenaMap, generateMap, stopsBodies } from '../../src/sim/map.ts';
import { ARRIVED, NO_WAY, REACH_TILES, STEP_X, STEP_Y } from '../../src/sim/navigation.ts';
import { HALL } from './arena-scene.ts';

/** Walks from a tile to a goal and returns the number of steps, or NO_WAY; fails on a step through a wall or corner. */
function walk(map: ArenaMap, goalColumn: number, goalRow: number, column: number, row: number): number {
  for (let steps = 0; steps < 1000; steps++) {
    const step = map.navigation.stepTowards(goalColumn, goalRow, column, row);
    if (step === ARRIVED) {
      assert.deepEqual([column, row], [goalColumn, goalRow]);
      return steps;
    }
    if (step === NO_WAY) return NO_WAY;
    const dx = STEP_X[step]!;
    const dy = STEP_Y[step]!;
    assert.ok(!stopsBodies(map, column + dx, row + dy), `into a wall at ${column + dx}, ${row + dy}`);
    assert.ok(
      !stopsBodies(map, column + dx, row) && !stopsBodies(map, column, row + dy),
      `a corner at ${column}, ${row}`,
    );
    column += dx;
    row += dy;
  }
  return assert.fail('walks in circles');
}

describe('sim/navigation', () => {
  it('leads from every tile near a goal to the goal, around walls and without cutting corners', () => {
    for (const map of [arenaMap('colosseum', 0, 80, 60), generateMap(8, 70, 50)]) {
      for (const goal of [map.spawns[0]!, map.spawns.at(-1)!, map.pickups[0]!]) {
        const goalColumn = goal.x >> 6;
        const goalRow = goal.y >> 6;
        for (let row = 0; row < map.rows; row++) {
          for (let column = 0; column < map.columns; column++) {
            const isNear = Math.max(Math.abs(column - goalColumn), Math.abs(row - goalRow)) <= REACH_TILES;
            const isWay = walk(map, goalColumn, goalRow, column, row) !== NO_WAY;
            assert.equal(isWay, isNear && !stopsBodies(map, column, row), `from ${column}, ${row}`);
          }
        }
      }
    }
  });

  it('takes the fewest steps there are', () => {
    assert.equal(walk(HALL, 1, 1, 1, 1), 0);
    assert.equal(walk(HALL, 14, 1, 1, 1), 13);
    assert.equal(walk(HALL, 6, 3, 9, 3), 5, 'around the pillar');
  });

  it('knows no way to or from inside a wall, or off the map', () => {
    const { navigation } = HALL;
    assert.equal(navigation.stepTowards(7, 3, 1, 1), NO_WAY);
    assert.equal(navigation.stepTowards(1, 1, 7, 3), NO_WAY);
    assert.equal(navigation.stepTowards(1, 1, -5, 3), NO_WAY);
    assert.equal(navigation.stepTowards(1, 1, 3, 100), NO_WAY);
  });

  it('gives every zone with floor a tile to stand on, in that zone', () => {
    const map = generateMap(8, 73, 51);
    const { navigation } = map;
    const floors = new Set<number>();
    for (let row = 0; row < map.rows; row++) {
      for (let column = 0; column < map.columns; column++) {
        if (!stopsBodies(map, column, row)) floors.add(navigation.zoneOf(column, row));
      }
    }
    assert.ok(floors.size > 100);
    for (let zone = 0; zone < navigation.zones; zone++) {
      const tile = navigation.zoneTile(zone);
      assert.equal(tile >= 0, floors.has(zone));
      if (tile < 0) continue;
      const column = tile % map.columns;
      const row = Math.trunc(tile / map.columns);
      assert.ok(!stopsBodies(map, column, row));
      assert.equal(navigation.zoneOf(column, row), zone);
    }
  });
});
