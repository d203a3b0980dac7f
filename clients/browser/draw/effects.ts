/**
 * Everything that is gone in a second: sparks, smoke, tracers, blasts, scorch marks. Positions in metres, times
 * in seconds. Bounded: when a budget is spent the oldest effect makes room.
 */
import type { Camera } from './camera.ts';
import { COLOURS, glowOf } from './palette.ts';

const PARTICLES_MAX = 700;
const TRACERS_MAX = 64;
const BLASTS_MAX = 24;
const SCORCHES_MAX = 40;

const TRACER_S = 0.13;
const BLAST_S = 0.5;
const SCORCH_S = 14;

interface Tracer {
  x: number;
  y: number;
  toX: number;
  toY: number;
  colour: string;
  leftS: number;
}

interface Blast {
  x: number;
  y: number;
  radius: number;
  colour: string;
  leftS: number;
}

interface Scorch {
  x: number;
  y: number;
  radius: number;
  angle: number;
  leftS: number;
}

export class Effects {
  /** Fewer and no flying particles while the visitor asks for reduced motion. */
  isCalm = false;

  readonly #x = new Float32Array(PARTICLES_MAX);
  readonly #y = new Float32Array(PARTICLES_MAX);
  readonly #vx = new Float32Array(PARTICLES_MAX);
  readonly #vy = new Float32Array(PARTICLES_MAX);
  readonly #left = new Float32Array(PARTICLES_MAX);
  readonly #life = new Float32Array(PARTICLES_MAX);
  readonly #size = new Float32Array(PARTICLES_MAX);
  readonly #drag = new Float32Array(PARTICLES_MAX);
  readonly #colour: string[] = new Array<string>(PARTICLES_MAX).fill(COLOURS.white);
  #next = 0;

  readonly #tracers: Tracer[] = [];
  readonly #blasts: Blast[] = [];
  readonly #scorches: Scorch[] = [];

  clear(): void {
    this.#left.fill(0);
    this.#tracers.length = 0;
    this.#blasts.length = 0;
    this.#scorches.length = 0;
  }

  /** One particle; the oldest of all makes room. */
  particle(
    x: number,
    y: number,
    vx: number,
    vy: number,
    lifeS: number,
    size: number,
    drag: number,
    colour: string,
  ): void {
    if (this.isCalm) return;
    const i = this.#next;
    this.#next = (i + 1) % PARTICLES_MAX;
    this.#x[i] = x;
    this.#y[i] = y;
    this.#vx[i] = vx;
    this.#vy[i] = vy;
    this.#left[i] = lifeS;
    this.#life[i] = lifeS;
    this.#size[i] = size;
    this.#drag[i] = drag;
    this.#colour[i] = colour;
  }

  /** `count` sparks flying out of a point, mostly towards `angle` within `spread` radians to either side. */
  sparks(x: number, y: number, count: number, speed: number, angle: number, spread: number, colour: string): void {
    for (let i = 0; i < count; i++) {
      const direction = angle + (Math.random() * 2 - 1) * spread;
      const pace = speed * (0.25 + Math.random() * 0.75);
      const life = 0.15 + Math.random() * 0.35;
      this.particle(
        x,
        y,
        Math.cos(direction) * pace,
        Math.sin(direction) * pace,
        life,
        0.05 + Math.random() * 0.06,
        4,
        colour,
      );
    }
  }

  /** A rifle shot from muzzle to impact. */
  tracer(x: number, y: number, toX: number, toY: number, colour: string): void {
    if (this.#tracers.length >= TRACERS_MAX) this.#tracers.shift();
    this.#tracers.push({ x, y, toX, toY, colour, leftS: TRACER_S });
    const angle = Math.atan2(toY - y, toX - x);
    this.sparks(toX, toY, 7, 9, angle + Math.PI, 0.9, COLOURS.spark);
    this.sparks(x, y, 3, 5, angle, 0.4, colour);
  }

  /** A rocket goes off. `radius` is how far its splash reaches. */
  explosion(x: number, y: number, radius: number): void {
    this.#blast(x, y, radius, COLOURS.rockets);
    if (this.#scorches.length >= SCORCHES_MAX) this.#scorches.shift();
    this.#scorches.push({ x, y, radius: radius * 0.62, angle: Math.random() * 6.3, leftS: SCORCH_S });
    this.sparks(x, y, 34, 17, 0, Math.PI, COLOURS.spark);
    this.sparks(x, y, 16, 10, 0, Math.PI, COLOURS.rockets);
    for (let i = 0; i < 14; i++) {
      const angle = Math.random() * 6.3;
      const pace = Math.random() * 3;
      this.particle(
        x,
        y,
        Math.cos(angle) * pace,
        Math.sin(angle) * pace,
        0.7 + Math.random() * 0.7,
        0.5 + Math.random() * 0.4,
        2,
        COLOURS.smoke,
      );
    }
  }

  /** A fighter falls. */
  death(x: number, y: number, colour: string): void {
    this.#blast(x, y, 1.6, colour);
    this.sparks(x, y, 26, 9, 0, Math.PI, colour);
    this.sparks(x, y, 8, 5, 0, Math.PI, COLOURS.white);
  }

  /** A fighter appears. */
  spawn(x: number, y: number, colour: string): void {
    this.#blast(x, y, 1.3, colour);
  }

  /** Exhaust of a rocket at this frame. */
  exhaust(x: number, y: number, angle: number): void {
    const back = angle + Math.PI + (Math.random() - 0.5) * 0.5;
    this.particle(
      x,
      y,
      Math.cos(back) * 2,
      Math.sin(back) * 2,
      0.4 + Math.random() * 0.3,
      0.16 + Math.random() * 0.14,
      3,
      COLOURS.smoke,
    );
    this.particle(x, y, Math.cos(back) * 3, Math.sin(back) * 3, 0.16, 0.12, 3, COLOURS.rockets);
  }

  step(dtS: number): void {
    for (let i = 0; i < PARTICLES_MAX; i++) {
      const left = this.#left[i]!;
      if (left <= 0) continue;
      this.#left[i] = left - dtS;
      const keep = Math.exp(-this.#drag[i]! * dtS);
      this.#x[i]! += this.#vx[i]! * dtS;
      this.#y[i]! += this.#vy[i]! * dtS;
      this.#vx[i]! *= keep;
      this.#vy[i]! *= keep;
    }
    expire(this.#tracers, dtS);
    expire(this.#blasts, dtS);
    expire(this.#scorches, dtS);
  }

  /** Marks on the floor: below everything else. */
  drawFloor(context: CanvasRenderingContext2D, camera: Camera): void {
    for (const scorch of this.#scorches) {
      if (!camera.sees(scorch.x, scorch.y, scorch.radius)) continue;
      context.globalAlpha = Math.min(0.5, scorch.leftS / 8);
      const glow = glowOf('#000000');
      context.drawImage(glow, scorch.x - scorch.radius, scorch.y - scorch.radius, scorch.radius * 2, scorch.radius * 2);
    }
    context.globalAlpha = 1;
  }

  /** Light and smoke: above the fighters. */
  draw(context: CanvasRenderingContext2D, camera: Camera): void {
    this.#drawSmoke(context, camera);
    context.globalCompositeOperation = 'lighter';
    for (const blast of this.#blasts) if (camera.sees(blast.x, blast.y, blast.radius * 2)) drawBlast(context, blast);
    context.lineCap = 'round';
    for (const tracer of this.#tracers) drawTracer(context, tracer);
    this.#drawSparks(context, camera);
    context.globalCompositeOperation = 'source-over';
    context.globalAlpha = 1;
  }

  #blast(x: number, y: number, radius: number, colour: string): void {
    if (this.#blasts.length >= BLASTS_MAX) this.#blasts.shift();
    this.#blasts.push({ x, y, radius, colour, leftS: BLAST_S });
  }

  #drawSmoke(context: CanvasRenderingContext2D, camera: Camera): void {
    const glow = glowOf(COLOURS.smoke);
    for (let i = 0; i < PARTICLES_MAX; i++) {
      const left = this.#left[i]!;
      if (left <= 0 || this.#colour[i] !== COLOURS.smoke || !camera.sees(this.#x[i]!, this.#y[i]!, 1)) continue;
      const part = left / this.#life[i]!;
      const size = this.#size[i]! * (1 + (1 - part) * 2.2);
      context.globalAlpha = part * 0.34;
      context.drawImage(glow, this.#x[i]! - size, this.#y[i]! - size, size * 2, size * 2);
    }
    context.globalAlpha = 1;
  }

  #drawSparks(context: CanvasRenderingContext2D, camera: Camera): void {
    for (let i = 0; i < PARTICLES_MAX; i++) {
      const left = this.#left[i]!;
      const colour = this.#colour[i]!;
      if (left <= 0 || colour === COLOURS.smoke || !camera.sees(this.#x[i]!, this.#y[i]!, 1)) continue;
      context.globalAlpha = Math.min(1, (left / this.#life[i]!) * 1.6);
      context.strokeStyle = colour;
      context.lineWidth = this.#size[i]!;
      context.beginPath();
      context.moveTo(this.#x[i]!, this.#y[i]!);
      context.lineTo(this.#x[i]! - this.#vx[i]! * 0.035, this.#y[i]! - this.#vy[i]! * 0.035);
      context.stroke();
    }
  }
}

function drawBlast(context: CanvasRenderingContext2D, blast: Blast): void {
  const part = blast.leftS / BLAST_S;
  const grown = 1 - part * part * part;
  const glow = glowOf(blast.colour);
  const size = blast.radius * (0.55 + grown * 0.75);
  context.globalAlpha = part * 0.85;
  context.drawImage(glow, blast.x - size, blast.y - size, size * 2, size * 2);
  if (part > 0.6) {
    const core = blast.radius * 0.55;
    context.globalAlpha = (part - 0.6) * 2.4;
    context.drawImage(glowOf(COLOURS.white), blast.x - core, blast.y - core, core * 2, core * 2);
  }
  context.globalAlpha = part * part * 0.8;
  context.strokeStyle = blast.colour;
  context.lineWidth = 0.03 + part * 0.14;
  context.beginPath();
  context.arc(blast.x, blast.y, blast.radius * grown, 0, Math.PI * 2);
  context.stroke();
}

function drawTracer(context: CanvasRenderingContext2D, tracer: Tracer): void {
  const part = tracer.leftS / TRACER_S;
  context.beginPath();
  context.moveTo(tracer.x, tracer.y);
  context.lineTo(tracer.toX, tracer.toY);
  context.strokeStyle = tracer.colour;
  context.globalAlpha = part * 0.28;
  context.lineWidth = 0.3;
  context.stroke();
  context.globalAlpha = part * 0.7;
  context.lineWidth = 0.1;
  context.stroke();
  context.strokeStyle = COLOURS.white;
  context.globalAlpha = part;
  context.lineWidth = 0.035;
  context.stroke();
  const flash = 0.75 * part;
  const glow = glowOf(tracer.colour);
  context.drawImage(glow, tracer.x - flash, tracer.y - flash, flash * 2, flash * 2);
  context.drawImage(glow, tracer.toX - flash * 0.7, tracer.toY - flash * 0.7, flash * 1.4, flash * 1.4);
}

/** Ages a list in place and drops what has ended; the order stays. */
function expire(list: { leftS: number }[], dtS: number): void {
  let kept = 0;
  for (const item of list) {
    item.leftS -= dtS;
    if (item.leftS > 0) list[kept++] = item;
  }
  list.length = kept;
}
