/** The arena itself, painted once into a canvas of its own and then only copied: sand, stone, shafts, torches. */

import { mix } from '../../../src/sim/integers.ts';
import { type ArenaMap, TILE } from '../../../src/sim/map.ts';
import { glowOf } from './palette.ts';

/** Pixels of the painted arena; a phone's memory is the reason. */
const PIXELS_MAX = 12_000_000;
const TORCH = '#ff9d45';
const EMBER = '#d4641c';

/** The painted arena and its scale. */
export interface ArenaPicture {
  readonly canvas: HTMLCanvasElement;
  readonly pxPerM: number;
}

/**
 * @param pxPerM wanted resolution, device pixels in a metre; less where the whole would be too large
 */
export function paintArena(map: ArenaMap, pxPerM: number): ArenaPicture {
  const scale = Math.min(Math.ceil(pxPerM), Math.floor(Math.sqrt(PIXELS_MAX / (map.columns * map.rows))));
  const canvas = document.createElement('canvas');
  canvas.width = map.columns * scale;
  canvas.height = map.rows * scale;
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) return { canvas, pxPerM: scale };
  context.scale(scale, scale);
  const walls = tilesOf(map, TILE.WALL);
  const shafts = tilesOf(map, TILE.SHAFT);
  paintSand(context, map);
  paintShafts(context, map, shafts);
  paintWallShadows(context, walls, scale);
  paintTorchLight(context, map);
  paintWalls(context, map, walls);
  paintTorches(context, map);
  return { canvas, pxPerM: scale };
}

function tileAt(map: ArenaMap, column: number, row: number): number {
  if (column < 0 || row < 0 || column >= map.columns || row >= map.rows) return TILE.WALL;
  return map.tiles[row * map.columns + column]!;
}

/** All tiles of a kind as one path, runs of a row joined so that no seams show. */
function tilesOf(map: ArenaMap, kind: number): Path2D {
  const path = new Path2D();
  for (let row = 0; row < map.rows; row++) {
    let start = -1;
    for (let column = 0; column <= map.columns; column++) {
      const isKind = column < map.columns && tileAt(map, column, row) === kind;
      if (isKind && start < 0) start = column;
      if (!isKind && start >= 0) {
        path.rect(start, row, column - start, 1.002);
        start = -1;
      }
    }
  }
  return path;
}

function paintSand(context: CanvasRenderingContext2D, map: ArenaMap): void {
  const { columns, rows } = map;
  const light = context.createRadialGradient(columns / 2, rows / 2, 2, columns / 2, rows / 2, columns * 0.56);
  light.addColorStop(0, '#4a4035');
  light.addColorStop(0.45, '#38302a');
  light.addColorStop(1, '#231f1d');
  context.fillStyle = light;
  context.fillRect(0, 0, columns, rows);

  // Slabs of slightly different tone, then grains: enough to feel one's own motion over the ground.
  for (let row = 0; row < rows; row += 2) {
    for (let column = 0; column < columns; column += 2) {
      const dice = mix(column, row);
      context.fillStyle = dice & 1 ? `rgba(255,214,160,${(dice % 13) / 800})` : `rgba(0,0,0,${(dice % 17) / 260})`;
      context.fillRect(column, row, 2, 2);
      for (let grain = 0; grain < 5; grain++) {
        const spot = mix(dice, grain);
        const size = 0.025 + ((spot >>> 20) % 40) / 1000;
        context.fillStyle = spot & 2 ? 'rgba(255,225,180,0.10)' : 'rgba(0,0,0,0.22)';
        context.fillRect(column + ((spot & 1023) / 1024) * 2, row + (((spot >>> 10) & 1023) / 1024) * 2, size, size);
      }
    }
  }

  context.lineWidth = 0.02;
  for (const [step, alpha] of [
    [1, 0.028],
    [4, 0.05],
  ] as const) {
    context.strokeStyle = `rgba(180,205,235,${alpha})`;
    context.beginPath();
    for (let x = 0; x <= columns; x += step) {
      context.moveTo(x, 0);
      context.lineTo(x, rows);
    }
    for (let y = 0; y <= rows; y += step) {
      context.moveTo(0, y);
      context.lineTo(columns, y);
    }
    context.stroke();
  }

  // Rings raked into the sand of the court.
  context.save();
  context.translate(columns / 2, rows / 2);
  context.scale(1, rows / columns);
  for (const [radius, width, alpha] of [
    [3.2, 0.14, 0.28],
    [4, 0.05, 0.2],
    [columns * 0.19, 0.1, 0.12],
    [columns * 0.36, 0.08, 0.08],
  ] as const) {
    context.strokeStyle = `rgba(240,170,90,${alpha})`;
    context.lineWidth = width;
    context.beginPath();
    context.arc(0, 0, radius, 0, Math.PI * 2);
    context.stroke();
  }
  context.restore();
}

function paintShafts(context: CanvasRenderingContext2D, map: ArenaMap, shafts: Path2D): void {
  context.fillStyle = '#060505';
  context.fill(shafts);
  context.save();
  context.clip(shafts);
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      if (tileAt(map, column, row) !== TILE.SHAFT) continue;
      context.globalAlpha = 0.24;
      context.drawImage(glowOf(EMBER), column - 0.9, row - 0.6, 2.8, 2.8);
      context.globalAlpha = 1;
      // The far wall of the shaft, seen below its upper rim.
      if (tileAt(map, column, row - 1) !== TILE.SHAFT) {
        const depth = context.createLinearGradient(0, row, 0, row + 0.85);
        depth.addColorStop(0, '#4b3524');
        depth.addColorStop(1, 'rgba(20,10,4,0)');
        context.fillStyle = depth;
        context.fillRect(column, row, 1, 0.85);
      }
      context.fillStyle = 'rgba(0,0,0,0.55)';
      context.fillRect(column + 0.47, row, 0.06, 1);
    }
  }
  context.restore();
  context.strokeStyle = '#8a6b48';
  context.lineWidth = 0.1;
  context.stroke(edgesOf(map, TILE.SHAFT));
  context.strokeStyle = 'rgba(255,190,110,0.35)';
  context.lineWidth = 0.03;
  context.stroke(edgesOf(map, TILE.SHAFT));
}

/** Every border between a tile of a kind and one of another. */
function edgesOf(map: ArenaMap, kind: number): Path2D {
  const path = new Path2D();
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      if (tileAt(map, column, row) !== kind) continue;
      if (row > 0 && tileAt(map, column, row - 1) !== kind) line(path, column, row, column + 1, row);
      if (row < map.rows - 1 && tileAt(map, column, row + 1) !== kind) line(path, column, row + 1, column + 1, row + 1);
      if (column > 0 && tileAt(map, column - 1, row) !== kind) line(path, column, row, column, row + 1);
      if (column < map.columns - 1 && tileAt(map, column + 1, row) !== kind) {
        line(path, column + 1, row, column + 1, row + 1);
      }
    }
  }
  return path;
}

function line(path: Path2D, x: number, y: number, toX: number, toY: number): void {
  path.moveTo(x, y);
  path.lineTo(toX, toY);
}

function paintWallShadows(context: CanvasRenderingContext2D, walls: Path2D, scale: number): void {
  context.save();
  context.fillStyle = '#000';
  context.shadowColor = 'rgba(0,0,0,0.9)';
  for (const [blur, x, y] of [
    [1.1, 0.15, 0.5],
    [0.45, 0.05, 0.18],
  ] as const) {
    context.shadowBlur = blur * scale;
    context.shadowOffsetX = x * scale;
    context.shadowOffsetY = y * scale;
    context.fill(walls);
  }
  context.restore();
}

function paintWalls(context: CanvasRenderingContext2D, map: ArenaMap, walls: Path2D): void {
  const stone = context.createLinearGradient(0, 0, map.columns * 0.3, map.rows);
  stone.addColorStop(0, '#2b3440');
  stone.addColorStop(1, '#1b222c');
  context.fillStyle = stone;
  context.fill(walls);
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      if (tileAt(map, column, row) !== TILE.WALL) continue;
      const dice = mix(column + 7, row + 3);
      context.fillStyle = dice & 1 ? `rgba(160,190,225,${(dice % 11) / 260})` : `rgba(0,0,0,${(dice % 13) / 110})`;
      context.fillRect(column, row, 1, 1);
      const isDeep = isInside(map, column, row);
      if (isDeep) {
        // Far from the sand it is only night.
        context.fillStyle = 'rgba(5,7,11,0.72)';
        context.fillRect(column, row, 1.01, 1.01);
        continue;
      }
      context.strokeStyle = 'rgba(0,0,0,0.3)';
      context.lineWidth = 0.03;
      context.strokeRect(column + 0.015, row + 0.015, 0.97, 0.97);
      // The face towards the onlooker gives the wall its height.
      if (tileAt(map, column, row + 1) !== TILE.WALL) {
        const face = context.createLinearGradient(0, row + 0.56, 0, row + 1);
        face.addColorStop(0, '#151a21');
        face.addColorStop(1, '#07090c');
        context.fillStyle = face;
        context.fillRect(column, row + 0.56, 1.002, 0.44);
        context.fillStyle = 'rgba(150,185,220,0.30)';
        context.fillRect(column, row + 0.54, 1.002, 0.035);
      }
    }
  }
  const edges = edgesOf(map, TILE.WALL);
  context.lineCap = 'round';
  context.strokeStyle = 'rgba(86,180,233,0.10)';
  context.lineWidth = 0.22;
  context.stroke(edges);
  context.strokeStyle = 'rgba(150,205,245,0.42)';
  context.lineWidth = 0.05;
  context.stroke(edges);
}

function isInside(map: ArenaMap, column: number, row: number): boolean {
  for (let y = row - 2; y <= row + 2; y++) {
    for (let x = column - 2; x <= column + 2; x++) {
      if (tileAt(map, x, y) !== TILE.WALL) return false;
    }
  }
  return true;
}

/** Torches hang, well apart, on walls that face the onlooker. */
function hasTorch(map: ArenaMap, column: number, row: number): boolean {
  if (tileAt(map, column, row) !== TILE.WALL || tileAt(map, column, row + 1) !== TILE.FLOOR) return false;
  return mix(column * 31, row * 17) % 6 === 0 && mix((column - 1) * 31, row * 17) % 6 !== 0;
}

function paintTorchLight(context: CanvasRenderingContext2D, map: ArenaMap): void {
  context.save();
  context.globalCompositeOperation = 'lighter';
  const glow = glowOf(TORCH);
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      if (!hasTorch(map, column, row)) continue;
      context.globalAlpha = 0.2;
      context.drawImage(glow, column - 3.5, row - 2.4, 8, 8);
    }
  }
  context.restore();
}

function paintTorches(context: CanvasRenderingContext2D, map: ArenaMap): void {
  context.save();
  context.globalCompositeOperation = 'lighter';
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      if (!hasTorch(map, column, row)) continue;
      context.globalAlpha = 0.9;
      context.drawImage(glowOf(TORCH), column - 0.1, row + 0.15, 1.2, 1.2);
      context.globalAlpha = 1;
      context.drawImage(glowOf('#ffffff'), column + 0.32, row + 0.57, 0.36, 0.36);
    }
  }
  context.restore();
}
