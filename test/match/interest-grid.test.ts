import assert from 'node:assert/strict';
import fc from 'fast-check';
import { NO_RING, SpatialGrid } from '../../src/match/spatial-grid.ts';

const SEED = 20261121;
const WIDTH = 1_000;
const HEIGHT = 700;
const RADII = [120, 300];
const CELL = 64;
const HYSTERESIS = 0.15;

const grid = () =>
  new SpatialGrid({ cellSize: CELL, mapWidth: WIDTH, mapHeight: HEIGHT, radii: RADII, hysteresis: HYSTERESIS });
const place = fc.record({ x: fc.integer({ min: 0, max: WIDTH }), y: fc.integer({ min: 0, max: HEIGHT }) });
/** Into a cell and then a little over its border: as far from where the cell says as one can be. */
const overTheBorder = fc
  .record({
    column: fc.nat(14),
    row: fc.nat(9),
    dx: fc.integer({ min: -9, max: 9 }),
    dy: fc.integer({ min: -9, max: 9 }),
  })
  .map(({ column, row, dx, dy }) => {
    const edge = (cell: number, past: number): number => (past < 0 ? cell : cell + 1) * CELL + past;
    return [
      { x: (column + 0.5) * CELL, y: (row + 0.5) * CELL },
      { x: Math.max(edge(column, dx), 0), y: Math.max(edge(row, dy), 0) },
    ];
  });
const walk = fc.oneof(fc.array(place, { minLength: 1, maxLength: 12 }), overTheBorder);

/** The cell after a walk, which for the hysteresis depends on the way. */
function cellAfter(on: SpatialGrid, way: readonly { x: number; y: number }[]): number {
  let cell = on.cellAt(way[0]!.x, way[0]!.y);
  for (const { x, y } of way) cell = on.cellAfterMove(x, y, cell);
  return cell;
}

describe('SpatialGrid', () => {
  it('puts whatever is nearer than a radius into that ring or an inner one, however it got there', () => {
    const on = grid();
    fc.assert(
      fc.property(walk, walk, (mine, theirs) => {
        const a = mine.at(-1)!;
        const b = theirs.at(-1)!;
        const ring = on.ringBetween(cellAfter(on, mine), cellAfter(on, theirs));
        const distance = Math.hypot(a.x - b.x, a.y - b.y);
        const nearest = RADII.findIndex((radius) => distance <= radius);
        if (nearest >= 0) assert.ok(ring <= nearest, `${distance} away in ring ${ring}`);
        const surelyOut = RADII.at(-1)! + Math.SQRT2 * CELL * (2 + 4 * HYSTERESIS);
        if (distance > surelyOut) assert.equal(ring, NO_RING);
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });

  it('sees the same ring both ways', () => {
    const on = grid();
    fc.assert(
      fc.property(walk, walk, (mine, theirs) => {
        const [a, b] = [cellAfter(on, mine), cellAfter(on, theirs)];
        assert.equal(on.ringBetween(a, b), on.ringBetween(b, a));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it('changes cells only beyond the hysteresis, and back only beyond it on the other side', () => {
    const on = grid();
    const left = on.cellAt(CELL - 1, 10);
    assert.equal(on.cellAfterMove(CELL + CELL * HYSTERESIS - 0.1, 10, left), left);
    const right = on.cellAfterMove(CELL + CELL * HYSTERESIS, 10, left);
    assert.notEqual(right, left);
    assert.equal(on.cellAfterMove(CELL - CELL * HYSTERESIS, 10, right), right);
    assert.equal(on.cellAfterMove(CELL - CELL * HYSTERESIS - 0.1, 10, right), left);
  });

  it('counts positions outside of the map as on its border', () => {
    const on = grid();
    assert.equal(on.cellAt(-1e9, -1), on.cellAt(0, 0));
    assert.equal(on.cellAt(1e9, 1e9), on.cellAt(WIDTH - 1, HEIGHT - 1));
  });
});
