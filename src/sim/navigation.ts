/** Ways around walls for bots: for a goal tile, the first step towards it from every tile nearby. */

/** Tiles in each direction that a field of ways reaches from its goal. */
export const REACH_TILES = 47;
/** Fields kept; the longest kept one is given up for a new one. A field is at most 9 KB. */
const FIELDS_MAX = 512;
/** Side of the zones whose middles stand for goals that move, tiles. */
const ZONE_TILES = 5;

/** The eight steps, clockwise from +x; odd ones are diagonal. */
export const STEP_X = [1, 1, 0, -1, -1, -1, 0, 1] as const;
export const STEP_Y = [0, 1, 1, 1, 0, -1, -1, -1] as const;

/** Straight steps before diagonal ones: the shorter way wins among equals. */
const BY_LENGTH = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/** No way from there. */
export const NO_WAY = 255;
/** There already. */
export const ARRIVED = 254;

/** No tile for bodies; only within a field. */
const BLOCKED = 253;

/** The ways to one goal from the tiles around it, in a window with a blocked rim of one tile. */
interface Field {
  /** Tile of the window's first cell, which belongs to the rim. */
  readonly left: number;
  readonly top: number;
  /** Cells across and down, rim included. */
  readonly width: number;
  readonly height: number;
  /** Step index 0..7, {@link ARRIVED}, {@link NO_WAY} or BLOCKED a cell. */
  readonly steps: Uint8Array;
}

/**
 * Fields of ways on one map, computed when first asked for and kept. What it answers depends on the map
 * and the question alone, never on what was asked before.
 */
export class Navigation {
  readonly #columns: number;
  readonly #rows: number;
  /** 0 where bodies may stand. */
  readonly #tiles: Uint8Array;
  readonly #fields = new Map<number, Field>();
  /** Of one exploration: cells whose neighbours are still to see. */
  readonly #queue = new Int32Array((2 * REACH_TILES + 3) ** 2);
  readonly #zonesAcross: number;
  /** Standing tile of every zone, or -1. */
  readonly #zoneTiles: Int32Array;

  constructor(columns: number, rows: number, tiles: Uint8Array) {
    this.#columns = columns;
    this.#rows = rows;
    this.#tiles = tiles;
    this.#zonesAcross = Math.ceil(columns / ZONE_TILES);
    this.#zoneTiles = new Int32Array(this.#zonesAcross * Math.ceil(rows / ZONE_TILES)).fill(-1);
    for (let zone = 0; zone < this.#zoneTiles.length; zone++) this.#zoneTiles[zone] = this.#standingTile(zone);
  }

  /** How many zones the map has. */
  get zones(): number {
    return this.#zoneTiles.length;
  }

  /** The tile in the middle of the zone, or the free one nearest to it in the zone, or -1 if it is all wall. */
  zoneTile(zone: number): number {
    return this.#zoneTiles[zone] ?? -1;
  }

  /** The zone around a tile. */
  zoneOf(column: number, row: number): number {
    return Math.trunc(row / ZONE_TILES) * this.#zonesAcross + Math.trunc(column / ZONE_TILES);
  }

  /**
   * The first step from a tile towards a goal tile: an index into {@link STEP_X} and {@link STEP_Y},
   * {@link ARRIVED}, or {@link NO_WAY} if there is none or the goal is more than 47 tiles away.
   */
  stepTowards(goalColumn: number, goalRow: number, column: number, row: number): number {
    const field = this.#fieldOf(goalRow * this.#columns + goalColumn);
    const x = column - field.left;
    const y = row - field.top;
    if (x < 0 || y < 0 || x >= field.width || y >= field.height) return NO_WAY;
    const step = field.steps[y * field.width + x]!;
    return step === BLOCKED ? NO_WAY : step;
  }

  #fieldOf(goal: number): Field {
    let field = this.#fields.get(goal);
    if (field === undefined) {
      if (this.#fields.size >= FIELDS_MAX) this.#fields.delete(this.#fields.keys().next().value!);
      field = this.#explore(goal);
      this.#fields.set(goal, field);
    }
    return field;
  }

  /** Breadth first from the goal; diagonal steps only where neither corner is cut. */
  #explore(goal: number): Field {
    const goalColumn = goal % this.#columns;
    const goalRow = Math.trunc(goal / this.#columns);
    const left = Math.max(0, goalColumn - REACH_TILES) - 1;
    const top = Math.max(0, goalRow - REACH_TILES) - 1;
    const width = Math.min(this.#columns, goalColumn + REACH_TILES + 1) - left + 1;
    const height = Math.min(this.#rows, goalRow + REACH_TILES + 1) - top + 1;
    const steps = new Uint8Array(width * height).fill(BLOCKED);
    for (let y = 1; y < height - 1; y++) {
      const row = (y + top) * this.#columns + left;
      for (let x = 1; x < width - 1; x++) if (this.#tiles[row + x] === 0) steps[y * width + x] = NO_WAY;
    }
    const moves = STEP_X.map((dx, step) => dx + STEP_Y[step]! * width);
    const queue = this.#queue;
    let head = 0;
    let tail = 0;
    const start = (goalRow - top) * width + goalColumn - left;
    if (steps[start] === NO_WAY) {
      steps[start] = ARRIVED;
      queue[tail++] = start;
    }
    while (head < tail) {
      const at = queue[head++]!;
      for (let i = 0; i < 8; i++) {
        const step = BY_LENGTH[i]!;
        const next = at + moves[step]!;
        if (steps[next] !== NO_WAY) continue;
        // The straight steps beside a diagonal one are its neighbours in the circle.
        const isDiagonal = (step & 1) === 1;
        if (
          isDiagonal &&
          (steps[at + moves[step - 1]!] === BLOCKED || steps[at + moves[(step + 1) & 7]!] === BLOCKED)
        ) {
          continue;
        }
        steps[next] = (step + 4) & 7;
        queue[tail++] = next;
      }
    }
    return { left, top, width, height, steps };
  }

  #standingTile(zone: number): number {
    const left = (zone % this.#zonesAcross) * ZONE_TILES;
    const top = Math.trunc(zone / this.#zonesAcross) * ZONE_TILES;
    const middle = ZONE_TILES >> 1;
    let best = -1;
    let bestDistance = ZONE_TILES * 2;
    for (let y = 0; y < ZONE_TILES && top + y < this.#rows; y++) {
      for (let x = 0; x < ZONE_TILES && left + x < this.#columns; x++) {
        const tile = (top + y) * this.#columns + left + x;
        const distance = Math.abs(x - middle) + Math.abs(y - middle);
        if (this.#tiles[tile] === 0 && distance < bestDistance) {
          best = tile;
          bestDistance = distance;
        }
      }
    }
    return best;
  }
}
