/** Draws the scene sixty times a second: the painted arena, then what lies, stands, flies and glows in it. */
import type { ArenaMap } from '../../../src/sim/map.ts';
import { type ArenaPicture, paintArena } from './arena-art.ts';
import { Camera } from './camera.ts';
import { Effects } from './effects.ts';
import { drawFighter, type FighterMemory, FLASH_S } from './fighter-art.ts';
import { COLOURS, fighterColour, glowOf } from './palette.ts';
import type { FighterView, PickupView, Proportions, RocketView, Scene } from './scene.ts';

/** Above this, more pixels cost time and show nothing. */
const PIXEL_RATIO_MAX = 2;
/** A longer step than this is a jump (respawn, seek), not a walk. */
const JUMP_M = 3;

export class Painter {
  readonly camera = new Camera();
  readonly effects = new Effects();
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #proportions: Proportions;
  readonly #memories = new Map<number, FighterMemory>();
  readonly #calm = window.matchMedia('(prefers-reduced-motion: reduce)');
  #map: ArenaMap | undefined;
  #picture: ArenaPicture | undefined;
  #vignette: HTMLCanvasElement | undefined;
  #pixelRatio = 1;
  /** Red at the rim of the screen after being hit, 1 fading to 0. */
  #hurt = 0;

  constructor(canvas: HTMLCanvasElement, proportions: Proportions) {
    const context = canvas.getContext('2d', { alpha: false });
    if (context === null) throw new Error('this browser has no 2D canvas');
    this.#canvas = canvas;
    this.#context = context;
    this.#proportions = proportions;
    this.#resize();
  }

  get canvas(): HTMLCanvasElement {
    return this.#canvas;
  }

  /** The ground to draw; the same map costs nothing. */
  set map(map: ArenaMap) {
    if (map === this.#map) return;
    this.#map = map;
    this.#picture = undefined;
    this.#memories.clear();
    this.effects.clear();
  }

  /** Forgets where everybody was, so that a jump in time draws no blood. */
  forget(): void {
    this.#memories.clear();
    this.effects.clear();
    this.#hurt = 0;
  }

  /** Draws one frame. The camera must have been placed. @param dtS seconds since the last one */
  draw(scene: Scene, nowMs: number, dtS: number): void {
    this.#resize();
    const context = this.#context;
    const isCalm = this.#calm.matches;
    this.camera.isCalm = isCalm;
    this.effects.isCalm = isCalm;
    for (const fighter of scene.fighters) this.#remember(fighter, dtS);
    this.effects.step(dtS);

    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = '#05070b';
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.camera.enter(context, this.#pixelRatio);
    this.#drawGround(context);
    this.effects.drawFloor(context, this.camera);
    const nowS = nowMs / 1000;
    for (const pickup of scene.pickups)
      if (this.camera.sees(pickup.x, pickup.y, 2)) drawPickup(context, pickup, isCalm ? 0 : nowS);
    for (const rocket of scene.rockets) this.#drawRocket(context, rocket);
    // You are drawn last: in a crowd the one thing not to lose is yourself.
    for (const isOwn of [false, true]) {
      for (const fighter of scene.fighters) {
        if (fighter.isOwn !== isOwn || !fighter.isAlive || !this.camera.sees(fighter.x, fighter.y, 2)) continue;
        const memory = this.#memories.get(fighter.seat)!;
        drawFighter(context, fighter, memory, this.#proportions, nowS, this.camera.pxPerM);
      }
    }
    this.effects.draw(context, this.camera);
    this.#drawVignette(context, dtS);
  }

  /** A cross where the pointer is. @param isHit whether a hit of ours was just seen */
  drawCrosshair(x: number, y: number, isHit: boolean): void {
    const context = this.#context;
    context.setTransform(this.#pixelRatio, 0, 0, this.#pixelRatio, this.#canvas.width / 2, this.#canvas.height / 2);
    for (const [colour, width] of [
      ['rgba(0,0,0,0.6)', 4],
      [isHit ? COLOURS.hurt : '#f4fbff', 1.8],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineCap = 'round';
      context.beginPath();
      for (let arm = 0; arm < 4; arm++) {
        const angle = (arm * Math.PI) / 2 + (isHit ? Math.PI / 4 : 0);
        context.moveTo(x + Math.cos(angle) * 6, y + Math.sin(angle) * 6);
        context.lineTo(x + Math.cos(angle) * 13, y + Math.sin(angle) * 13);
      }
      context.moveTo(x, y);
      context.lineTo(x, y);
      context.stroke();
    }
  }

  #resize(): void {
    const ratio = Math.min(PIXEL_RATIO_MAX, window.devicePixelRatio || 1);
    const widthPx = this.#canvas.clientWidth || 1;
    const heightPx = this.#canvas.clientHeight || 1;
    const width = Math.round(widthPx * ratio);
    const height = Math.round(heightPx * ratio);
    if (this.#canvas.width === width && this.#canvas.height === height && this.camera.widthPx === widthPx) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#pixelRatio = ratio;
    this.camera.resize(widthPx, heightPx);
    this.#picture = undefined;
    this.#vignette = undefined;
  }

  #drawGround(context: CanvasRenderingContext2D): void {
    if (this.#map === undefined) return;
    this.#picture ??= paintArena(this.#map, this.camera.pxPerM * this.#pixelRatio);
    const { canvas, pxPerM } = this.#picture;
    const { camera } = this;
    // Only the visible part: copying all of it costs more than drawing everything else.
    const left = Math.max(0, camera.x - camera.widthPx / 2 / camera.pxPerM - 1);
    const top = Math.max(0, camera.y - camera.heightPx / 2 / camera.pxPerM - 1);
    const width = Math.min(this.#map.columns - left, camera.widthPx / camera.pxPerM + 2);
    const height = Math.min(this.#map.rows - top, camera.heightPx / camera.pxPerM + 2);
    if (width <= 0 || height <= 0) return;
    context.drawImage(canvas, left * pxPerM, top * pxPerM, width * pxPerM, height * pxPerM, left, top, width, height);
  }

  #remember(fighter: FighterView, dtS: number): void {
    let memory = this.#memories.get(fighter.seat);
    const colour = fighterColour(fighter.seat, fighter.isOwn);
    if (memory === undefined) {
      const { hp, isAlive, x, y, aim } = fighter;
      memory = { hp, isAlive, x, y, flashS: 0, aim, walked: 0, heading: 0, aliveS: 1 };
      this.#memories.set(fighter.seat, memory);
    }
    if (memory.isAlive && !fighter.isAlive) {
      this.effects.death(memory.x, memory.y, colour);
      this.camera.shake(memory.x, memory.y, fighter.isOwn ? 0.3 : 0.1);
    } else if (!memory.isAlive && fighter.isAlive) {
      this.effects.spawn(fighter.x, fighter.y, colour);
      memory.aliveS = 0;
    } else if (fighter.isAlive && fighter.hp < memory.hp) {
      memory.flashS = FLASH_S;
      this.effects.sparks(fighter.x, fighter.y, 6, 6, 0, Math.PI, COLOURS.hurt);
      if (fighter.isOwn) {
        this.#hurt = Math.min(1, this.#hurt + 0.25 + (memory.hp - fighter.hp) / 60);
        this.camera.shake(fighter.x, fighter.y, 0.08);
      }
    }
    const dx = fighter.x - memory.x;
    const dy = fighter.y - memory.y;
    const step = Math.hypot(dx, dy);
    if (step > 0.004 && step < JUMP_M) {
      memory.walked += step;
      memory.heading = Math.atan2(dy, dx);
      if (fighter.isDashing && fighter.isAlive) {
        this.effects.particle(memory.x, memory.y, -dx * 3, -dy * 3, 0.3, 0.22, 2, colour);
        this.effects.particle(memory.x, memory.y, 0, 0, 0.28, 0.3, 2, COLOURS.smoke);
      }
    }
    const turn = Math.atan2(Math.sin(fighter.aim - memory.aim), Math.cos(fighter.aim - memory.aim));
    memory.aim += fighter.isOwn ? turn : turn * (1 - Math.exp(-dtS * 24));
    memory.hp = fighter.hp;
    memory.isAlive = fighter.isAlive;
    memory.x = fighter.x;
    memory.y = fighter.y;
    memory.flashS = Math.max(0, memory.flashS - dtS);
    memory.aliveS += dtS;
  }

  #drawRocket(context: CanvasRenderingContext2D, rocket: RocketView): void {
    if (!this.camera.sees(rocket.x, rocket.y, 2)) return;
    this.effects.exhaust(
      rocket.x - Math.cos(rocket.angle) * 0.3,
      rocket.y - Math.sin(rocket.angle) * 0.3,
      rocket.angle,
    );
    context.save();
    context.translate(rocket.x, rocket.y);
    context.globalCompositeOperation = 'lighter';
    context.globalAlpha = 0.75;
    context.drawImage(glowOf(COLOURS.rockets), -1.1, -1.1, 2.2, 2.2);
    context.globalCompositeOperation = 'source-over';
    context.globalAlpha = 1;
    context.rotate(rocket.angle);
    context.fillStyle = '#f3f6fa';
    context.strokeStyle = '#151a22';
    context.lineWidth = 0.04;
    context.beginPath();
    context.moveTo(0.42, 0);
    context.lineTo(0.12, 0.13);
    context.lineTo(-0.34, 0.13);
    context.lineTo(-0.44, 0.26);
    context.lineTo(-0.44, -0.26);
    context.lineTo(-0.34, -0.13);
    context.lineTo(0.12, -0.13);
    context.closePath();
    context.fill();
    context.stroke();
    context.fillStyle = COLOURS.hurt;
    context.fillRect(-0.1, -0.12, 0.14, 0.24);
    context.restore();
  }

  #drawVignette(context: CanvasRenderingContext2D, dtS: number): void {
    this.#vignette ??= paintVignette();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.drawImage(this.#vignette, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#hurt = Math.max(0, this.#hurt - dtS * 2.2);
    if (this.#hurt <= 0) return;
    const { width, height } = this.#canvas;
    const red = context.createRadialGradient(
      width / 2,
      height / 2,
      Math.min(width, height) * 0.3,
      width / 2,
      height / 2,
      Math.hypot(width, height) / 2,
    );
    red.addColorStop(0, 'rgba(255,70,30,0)');
    red.addColorStop(1, `rgba(255,70,30,${0.55 * this.#hurt})`);
    context.fillStyle = red;
    context.fillRect(0, 0, width, height);
  }
}

/** Darkens the rim of the screen; small, because it is only ever stretched. */
function paintVignette(): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = 256;
  canvas.height = 256;
  const context = canvas.getContext('2d');
  if (context === null) return canvas;
  const dark = context.createRadialGradient(128, 128, 60, 128, 128, 182);
  dark.addColorStop(0, 'rgba(4,6,10,0)');
  dark.addColorStop(1, 'rgba(4,6,10,0.72)');
  context.fillStyle = dark;
  context.fillRect(0, 0, 256, 256);
  return canvas;
}

const PICKUP_COLOURS = { health: COLOURS.health, ammo: COLOURS.ammo, rockets: COLOURS.rockets } as const;

function drawPickup(context: CanvasRenderingContext2D, pickup: PickupView, nowS: number): void {
  const colour = PICKUP_COLOURS[pickup.kind];
  context.save();
  context.translate(pickup.x, pickup.y);
  // The plate stays, so that one knows where to wait.
  context.strokeStyle = colour;
  context.globalAlpha = pickup.isTaken ? 0.22 : 0.5;
  context.lineWidth = 0.05;
  context.beginPath();
  context.arc(0, 0, 0.62, 0, Math.PI * 2);
  context.stroke();
  if (!pickup.isTaken) {
    const beat = 1 + 0.07 * Math.sin(nowS * 3.4 + pickup.x);
    context.globalCompositeOperation = 'lighter';
    context.globalAlpha = 0.5;
    context.drawImage(glowOf(colour), -1.25 * beat, -1.25 * beat, 2.5 * beat, 2.5 * beat);
    context.globalCompositeOperation = 'source-over';
    context.globalAlpha = 1;
    context.scale(beat, beat);
    context.fillStyle = '#0d1219';
    context.strokeStyle = colour;
    context.lineWidth = 0.07;
    context.beginPath();
    context.roundRect(-0.38, -0.38, 0.76, 0.76, 0.14);
    context.fill();
    context.stroke();
    context.fillStyle = colour;
    if (pickup.kind === 'health') {
      context.fillRect(-0.22, -0.075, 0.44, 0.15);
      context.fillRect(-0.075, -0.22, 0.15, 0.44);
    } else if (pickup.kind === 'ammo') {
      for (const x of [-0.2, -0.05, 0.1]) {
        context.beginPath();
        context.roundRect(x, -0.2, 0.1, 0.4, [0.05, 0.05, 0, 0]);
        context.fill();
      }
    } else {
      context.beginPath();
      context.moveTo(0, -0.26);
      context.lineTo(0.12, -0.06);
      context.lineTo(0.12, 0.12);
      context.lineTo(0.22, 0.24);
      context.lineTo(-0.22, 0.24);
      context.lineTo(-0.12, 0.12);
      context.lineTo(-0.12, -0.06);
      context.closePath();
      context.fill();
    }
  }
  context.restore();
}
