/** Maps: a grid of square-metre tiles, with the places where fighters and pickups appear. */
import { nextBelow, seedSfc32 } from '../kernel/rng.ts';
import { COLOSSEUM } from './maps/colosseum.ts';
import { Navigation } from './navigation.ts';
import {
  BODY_HALF_UNITS,
  MAP_SIDE_MAX_METRES,
  MAP_SIDE_MIN_METRES,
  PICKUP_AMMO,
  PICKUP_HEALTH,
  PICKUP_ROCKETS,
  UNITS_PER_METRE,
} from './tuning.ts';

/** Values of {@link ArenaMap.tiles}. */
export const TILE = {
  FLOOR: 0,
  /** Stops bodies; bullets, rockets and looks pass over it. */
  SHAFT: 1,
  /** Stops everything. */
  WALL: 2,
} as const;

/** `position >> TILE_SHIFT` is the tile. */
export const TILE_SHIFT = 6;

export interface Place {
  /** 1/64 m. */
  readonly x: number;
  readonly y: number;
}

export interface PickupPlace extends Place {
  /** Index into PICKUP_KINDS. */
  readonly kind: number;
}

export type MapName = 'colosseum' | 'generated';
export const MAP_NAMES: readonly MapName[] = ['colosseum', 'generated'];

/** Where a match is fought. Immutable; the rim of the grid is always wall. */
export interface ArenaMap {
  readonly name: MapName;
  /** Tiles of 1 m across and down. */
  readonly columns: number;
  readonly rows: number;
  /** One {@link TILE} a square metre, row by row from the top. */
  readonly tiles: Uint8Array;
  readonly spawns: readonly Place[];
  readonly pickups: readonly PickupPlace[];
  /** Ways for bots, found when first asked for. */
  readonly navigation: Navigation;
}

/** Whether a body may not enter that tile; everything outside the grid is wall. */
export function stopsBodies(map: ArenaMap, column: number, row: number): boolean {
  if (column < 0 || row < 0 || column >= map.columns || row >= map.rows) return true;
  return map.tiles[row * map.columns + column] !== TILE.FLOOR;
}

/** Whether shots and looks end at that tile; everything outside the grid is wall. */
export function stopsShots(map: ArenaMap, column: number, row: number): boolean {
  if (column < 0 || row < 0 || column >= map.columns || row >= map.rows) return true;
  return map.tiles[row * map.columns + column] === TILE.WALL;
}

/** Whether a body centred there overlaps a tile that stops it. */
export function isBlocked(map: ArenaMap, x: number, y: number): boolean {
  const right = (x + BODY_HALF_UNITS - 1) >> TILE_SHIFT;
  const bottom = (y + BODY_HALF_UNITS - 1) >> TILE_SHIFT;
  for (let row = (y - BODY_HALF_UNITS) >> TILE_SHIFT; row <= bottom; row++) {
    for (let column = (x - BODY_HALF_UNITS) >> TILE_SHIFT; column <= right; column++) {
      if (stopsBodies(map, column, row)) return true;
    }
  }
  return false;
}

/**
 * How far a shot flies before a wall: from (x, y) along (dx, dy), a vector of length `one`. Walks the
 * tiles it crosses and compares fractions by cross products, so it is exact.
 * @returns distance in 1/64 m, rounded down, at most `range`; 0 inside a wall
 */
export function castRay(
  map: ArenaMap,
  x: number,
  y: number,
  dx: number,
  dy: number,
  one: number,
  range: number,
): number {
  let column = x >> TILE_SHIFT;
  let row = y >> TILE_SHIFT;
  if (stopsShots(map, column, row)) return 0;
  const stepX = dx > 0 ? 1 : -1;
  const stepY = dy > 0 ? 1 : -1;
  const ax = Math.abs(dx);
  const ay = Math.abs(dy);
  // Distance along each axis to the next border of a tile.
  let toX = dx > 0 ? ((column + 1) << TILE_SHIFT) - x : x - (column << TILE_SHIFT);
  let toY = dy > 0 ? ((row + 1) << TILE_SHIFT) - y : y - (row << TILE_SHIFT);
  const size = 1 << TILE_SHIFT;
  for (;;) {
    const isAcross = ay === 0 || (ax !== 0 && toX * ay <= toY * ax);
    const gone = isAcross ? (ax === 0 ? range : Math.trunc((toX * one) / ax)) : Math.trunc((toY * one) / ay);
    if (gone >= range) return range;
    if (isAcross) {
      column += stepX;
      toX += size;
    } else {
      row += stepY;
      toY += size;
    }
    if (stopsShots(map, column, row)) return gone;
  }
}

/** Whether no wall lies between two points, 1/64 m. Symmetric but for lines exactly through a corner. */
export function canSee(map: ArenaMap, fromX: number, fromY: number, toX: number, toY: number): boolean {
  let column = fromX >> TILE_SHIFT;
  let row = fromY >> TILE_SHIFT;
  if (stopsShots(map, column, row)) return false;
  const dx = toX - fromX;
  const dy = toY - fromY;
  const stepX = dx > 0 ? 1 : -1;
  const stepY = dy > 0 ? 1 : -1;
  const ax = Math.abs(dx);
  const ay = Math.abs(dy);
  let leftX = Math.abs((toX >> TILE_SHIFT) - column);
  let leftY = Math.abs((toY >> TILE_SHIFT) - row);
  let nextX = dx > 0 ? ((column + 1) << TILE_SHIFT) - fromX : fromX - (column << TILE_SHIFT);
  let nextY = dy > 0 ? ((row + 1) << TILE_SHIFT) - fromY : fromY - (row << TILE_SHIFT);
  const size = 1 << TILE_SHIFT;
  while (leftX > 0 || leftY > 0) {
    if (leftY === 0 || (leftX > 0 && nextX * ay <= nextY * ax)) {
      column += stepX;
      nextX += size;
      leftX--;
    } else {
      row += stepY;
      nextY += size;
      leftY--;
    }
    if (stopsShots(map, column, row)) return false;
  }
  return true;
}

const MARKS: Readonly<Record<string, number>> = { h: PICKUP_HEALTH, a: PICKUP_AMMO, r: PICKUP_ROCKETS };

/**
 * Reads a map drawn with one character a tile: see src/sim/maps/colosseum.ts for the alphabet.
 * @throws RangeError if rows differ in length, the rim is open, a character is unknown or there are under 2 spawns
 */
export function parseMap(name: MapName, drawing: string): ArenaMap {
  const lines = drawing.trim().split('\n');
  const rows = lines.length;
  const columns = lines[0]!.length;
  const tiles = new Uint8Array(columns * rows);
  const spawns: Place[] = [];
  const pickups: PickupPlace[] = [];
  lines.forEach((line, row) => {
    if (line.length !== columns)
      throw new RangeError(`map ${name}: row ${row} has ${line.length} tiles, not ${columns}`);
    for (let column = 0; column < columns; column++) {
      const mark = line[column]!;
      const place = centreOf(column, row);
      if (mark === '#') tiles[row * columns + column] = TILE.WALL;
      else if (mark === '~') tiles[row * columns + column] = TILE.SHAFT;
      else if (mark === 'S') spawns.push(place);
      else if (mark in MARKS) pickups.push({ kind: MARKS[mark]!, ...place });
      else if (mark !== '.') throw new RangeError(`map ${name}: unknown mark ${JSON.stringify(mark)} in row ${row}`);
    }
  });
  return finishMap(name, columns, rows, tiles, spawns, pickups);
}

/** Side of the cells a generated map is made of, tiles. Their rims stay free, so everything is connected. */
const CELL_TILES = 8;
const GENERATED_PLACES_MAX = 128;

/**
 * A map of that size from a seed: blocks and shafts in cells whose rims stay free.
 * @param seed any integer; its low 32 bits count
 * @throws RangeError if a side is not an integer from 16 to 500 m
 */
export function generateMap(seed: number, widthMetres: number, heightMetres: number): ArenaMap {
  for (const side of [widthMetres, heightMetres]) {
    if (!Number.isInteger(side) || side < MAP_SIDE_MIN_METRES || side > MAP_SIDE_MAX_METRES) {
      throw new RangeError(
        `a map side is an integer from ${MAP_SIDE_MIN_METRES} to ${MAP_SIDE_MAX_METRES} m, not ${side}`,
      );
    }
  }
  const columns = widthMetres;
  const rows = heightMetres;
  const dice = new Int32Array(4);
  seedSfc32(dice, 0, seed);
  const tiles = new Uint8Array(columns * rows);
  for (let column = 0; column < columns; column++) tiles[column] = tiles[(rows - 1) * columns + column] = TILE.WALL;
  for (let row = 0; row < rows; row++) tiles[row * columns] = tiles[row * columns + columns - 1] = TILE.WALL;
  const cellsAcross = Math.trunc((columns - 2) / CELL_TILES);
  const cellsDown = Math.trunc((rows - 2) / CELL_TILES);
  // Places thinned alike across and down on large maps, so that they cover all of it.
  let every = 1;
  while (Math.ceil(cellsAcross / every) * Math.ceil(cellsDown / every) > GENERATED_PLACES_MAX) every++;
  const spawns: Place[] = [];
  const pickups: PickupPlace[] = [];
  for (let cell = 0; cell < cellsAcross * cellsDown; cell++) {
    const across = cell % cellsAcross;
    const down = Math.trunc(cell / cellsAcross);
    const left = 1 + across * CELL_TILES;
    const top = 1 + down * CELL_TILES;
    if (nextBelow(dice, 0, 8) < 6) {
      const tile = nextBelow(dice, 0, 5) === 0 ? TILE.SHAFT : TILE.WALL;
      const width = 1 + nextBelow(dice, 0, 5);
      const height = 1 + nextBelow(dice, 0, 5);
      const x = left + 1 + nextBelow(dice, 0, CELL_TILES - 1 - width);
      const y = top + 1 + nextBelow(dice, 0, CELL_TILES - 1 - height);
      for (let row = y; row < y + height; row++) tiles.fill(tile, row * columns + x, row * columns + x + width);
    }
    if (across % every !== 0 || down % every !== 0) continue;
    spawns.push(centreOf(left, top));
    if (nextBelow(dice, 0, 2) === 0) {
      const kind = [PICKUP_HEALTH, PICKUP_AMMO, PICKUP_AMMO, PICKUP_ROCKETS][nextBelow(dice, 0, 4)]!;
      pickups.push({ kind, ...centreOf(left + CELL_TILES - 1, top + CELL_TILES - 1) });
    }
  }
  // The smallest map has a single cell; the strip beside it is free.
  if (spawns.length < 2) spawns.push(centreOf(columns - 2, rows - 2));
  return finishMap('generated', columns, rows, tiles, spawns, pickups);
}

let colosseum: ArenaMap | undefined;

/**
 * The map a match is fought on. Sides matter for `generated` only.
 * @throws RangeError as {@link generateMap}
 */
export function arenaMap(name: MapName, seed: number, widthMetres: number, heightMetres: number): ArenaMap {
  if (name === 'generated') return generateMap(seed, widthMetres, heightMetres);
  colosseum ??= parseMap('colosseum', COLOSSEUM);
  return colosseum;
}

function centreOf(column: number, row: number): Place {
  return { x: column * UNITS_PER_METRE + UNITS_PER_METRE / 2, y: row * UNITS_PER_METRE + UNITS_PER_METRE / 2 };
}

function finishMap(
  name: MapName,
  columns: number,
  rows: number,
  tiles: Uint8Array,
  spawns: readonly Place[],
  pickups: readonly PickupPlace[],
): ArenaMap {
  for (let column = 0; column < columns; column++) {
    for (const row of [0, rows - 1]) {
      if (tiles[row * columns + column] !== TILE.WALL)
        throw new RangeError(`map ${name}: open rim at ${column}, ${row}`);
    }
  }
  for (let row = 0; row < rows; row++) {
    for (const column of [0, columns - 1]) {
      if (tiles[row * columns + column] !== TILE.WALL)
        throw new RangeError(`map ${name}: open rim at ${column}, ${row}`);
    }
  }
  if (spawns.length < 2) throw new RangeError(`map ${name}: ${spawns.length} spawns, at least 2 are needed`);
  let navigation: Navigation | undefined;
  return {
    name,
    columns,
    rows,
    tiles,
    spawns,
    pickups,
    get navigation() {
      navigation ??= new Navigation(columns, rows, tiles);
      return navigation;
    },
  };
}
