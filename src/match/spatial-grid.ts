/**
 * Cells over a bounded map and, for any two cells, the ring that one lies in as seen from the other.
 * Interest works on cells instead of distances, so that it costs only when something crosses a border.
 */

/** What {@link SpatialGrid.ringBetween} answers when the cells are farther apart than every ring. */
export const NO_RING = 255;
/** Cells along one axis; with more, rather choose larger cells. */
const CELLS_PER_AXIS_MAX = 1024;

export interface SpatialGridOptions {
  /** Edge of a cell, world units, above 0. A quarter of the smallest radius is a good choice. */
  readonly cellSize: number;
  /** Extent of the map, world units, from 0; positions outside count as on the border. */
  readonly mapWidth: number;
  readonly mapHeight: number;
  /** Outer radius of each ring, world units, ascending; at least one. */
  readonly radii: readonly number[];
  /** How far past its border something may go and still count as inside, as a part of the cell, 0 to 0.5. */
  readonly hysteresis: number;
}

export class SpatialGrid {
  readonly columns: number;
  readonly rows: number;
  readonly #cellSize: number;
  readonly #slack: number;
  readonly #columnOf: Uint16Array;
  readonly #rowOf: Uint16Array;
  readonly #ringByOffset: Uint8Array;
  readonly #offsetWidth: number;

  /** @throws RangeError for an option out of range */
  constructor({ cellSize, mapWidth, mapHeight, radii, hysteresis }: SpatialGridOptions) {
    if (!(cellSize > 0) || !(mapWidth > 0) || !(mapHeight > 0))
      throw new RangeError('map and cells need a size above 0');
    if (!(hysteresis >= 0 && hysteresis <= 0.5)) throw new RangeError('hysteresis is a part of a cell, 0 to 0.5');
    if (radii.length === 0 || radii.length >= NO_RING) throw new RangeError('1 to 254 rings');
    if (radii.some((radius, i) => !(radius >= 0) || (i > 0 && radius <= radii[i - 1]!))) {
      throw new RangeError('ring radii ascend');
    }
    this.columns = Math.ceil(mapWidth / cellSize);
    this.rows = Math.ceil(mapHeight / cellSize);
    if (this.columns > CELLS_PER_AXIS_MAX || this.rows > CELLS_PER_AXIS_MAX) {
      throw new RangeError(`more than ${CELLS_PER_AXIS_MAX} cells on an axis: choose larger cells`);
    }
    this.#cellSize = cellSize;
    this.#slack = cellSize * hysteresis;

    const cells = this.columns * this.rows;
    this.#columnOf = Uint16Array.from({ length: cells }, (_, cell) => cell % this.columns);
    this.#rowOf = Uint16Array.from({ length: cells }, (_, cell) => Math.floor(cell / this.columns));

    this.#offsetWidth = 2 * this.columns - 1;
    this.#ringByOffset = new Uint8Array(this.#offsetWidth * (2 * this.rows - 1)).fill(NO_RING);
    // Both ends may stand `slack` outside their cell, so cells are nearer than their borders say.
    const gap = (cellsApart: number): number => Math.max(0, (Math.abs(cellsApart) - 1) * cellSize - 2 * this.#slack);
    for (let dy = 1 - this.rows; dy < this.rows; dy++) {
      for (let dx = 1 - this.columns; dx < this.columns; dx++) {
        const ring = radii.findIndex((radius) => Math.hypot(gap(dx), gap(dy)) <= radius);
        if (ring >= 0) this.#ringByOffset[(dy + this.rows - 1) * this.#offsetWidth + dx + this.columns - 1] = ring;
      }
    }
  }

  /** The cell of a position, 0 to `columns * rows - 1`. */
  cellAt(x: number, y: number): number {
    const column = Math.min(Math.max(Math.floor(x / this.#cellSize), 0), this.columns - 1);
    const row = Math.min(Math.max(Math.floor(y / this.#cellSize), 0), this.rows - 1);
    return row * this.columns + column;
  }

  /** Whether there is such a cell. */
  hasCell(cell: number): boolean {
    return cell >= 0 && cell < this.#columnOf.length;
  }

  /** The cell of something that was in `previous`: still that one unless it is out of it by more than the hysteresis. */
  cellAfterMove(x: number, y: number, previous: number): number {
    const left = this.#columnOf[previous]! * this.#cellSize;
    const top = this.#rowOf[previous]! * this.#cellSize;
    const slack = this.#slack;
    const isInside =
      x >= left - slack && x < left + this.#cellSize + slack && y >= top - slack && y < top + this.#cellSize + slack;
    return isInside ? previous : this.cellAt(x, y);
  }

  /**
   * Ring of cell `b` as seen from cell `a`, 0 the innermost, or {@link NO_RING}. Anything closer than a ring's
   * radius is in that ring or an inner one for certain; things up to two cells farther may be, too.
   */
  ringBetween(a: number, b: number): number {
    const dx = this.#columnOf[b]! - this.#columnOf[a]! + this.columns - 1;
    const dy = this.#rowOf[b]! - this.#rowOf[a]! + this.rows - 1;
    return this.#ringByOffset[dy * this.#offsetWidth + dx]!;
  }
}
