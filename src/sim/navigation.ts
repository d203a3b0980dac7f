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

/** No way from there. */
export const NO_WAY = 255;
/** There already. */
export const ARRIVED = 254;

interface Field {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Step index 0..7, {@link NO_WAY} or {@link ARRIVED} a tile. */
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
    return field.steps[y * field.width + x]!;
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
    const left = Math.max(0, goalColumn - REACH_TILES);
    const top = Math.max(0, goalRow - REACH_TILES);
    const width = Math.min(this.#columns, goalColumn + REACH_TILES + 1) - left;
    const height = Math.min(this.#rows, goalRow + REACH_TILES + 1) - top;
    const steps = new Uint8Array(width * height).fill(NO_WAY);
    const isFree = (x: number, y: number): boolean =>
      x >= 0 && y >= 0 && x < width && y < height && this.#tiles[(y + top) * this.#columns + x + left] === 0;
    const queue = new Int32Array(width * height);
    let head = 0;
    let tail = 0;
    if (isFree(goalColumn - left, goalRow - top)) {
      const at = (goalRow - top) * width + goalColumn - left;
      steps[at] = ARRIVED;
      queue[tail++] = at;
    }
    while (head < tail) {
      const at = queue[head++]!;
      const x = at % width;
      const y = Math.trunc(at / width);
      // Straight steps before diagonal ones: the shorter way wins among equals.
      for (let i = 0; i < 8; i++) {
        const step = i < 4 ? i * 2 : i * 2 - 7;
        const nextX = x + STEP_X[step]!;
        const nextY = y + STEP_Y[step]!;
        if (!isFree(nextX, nextY)) continue;
        const next = nextY * width + nextX;
        if (steps[next] !== NO_WAY) continue;
        if ((step & 1) === 1 && !(isFree(nextX, y) && isFree(x, nextY))) continue;
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
