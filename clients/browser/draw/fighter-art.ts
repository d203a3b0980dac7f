/** How one fighter looks. Shape says what colour says too: people are round, bots are six-sided, you have a ring. */
import { COLOURS, fighterColour, glowOf } from './palette.ts';
import type { FighterView, Proportions } from './scene.ts';

/** What the painter remembers of a fighter between frames. */
export interface FighterMemory {
  hp: number;
  isAlive: boolean;
  x: number;
  y: number;
  /** Seconds for which a hit still flashes. */
  flashS: number;
  /** Smoothed direction, radians. */
  aim: number;
  /** Distance walked, metres: what the feet follow. */
  walked: number;
  /** Direction of the last step, radians. */
  heading: number;
  /** Seconds since it came alive. */
  aliveS: number;
}

export const FLASH_S = 0.22;

/** @param pxPerM for what has a size on the screen instead of in the arena, such as text */
export function drawFighter(
  context: CanvasRenderingContext2D,
  fighter: FighterView,
  memory: FighterMemory,
  proportions: Proportions,
  nowS: number,
  pxPerM: number,
): void {
  const colour = fighterColour(fighter.seat, fighter.isOwn);
  const radius = proportions.bodyRadius;
  const flash = memory.flashS / FLASH_S;
  context.save();
  context.translate(fighter.x, fighter.y);
  if (!fighter.isConnected) context.globalAlpha = 0.5;

  drawAura(context, fighter, colour, radius);
  drawFeet(context, memory, radius);
  context.rotate(memory.aim);
  drawWeapon(context, radius);
  drawBody(context, fighter, colour, radius, flash);
  context.rotate(-memory.aim);

  if (fighter.isProtected) drawProtection(context, radius, nowS);
  drawHealth(context, fighter, proportions);
  context.restore();
  drawName(context, fighter, radius, pxPerM);
}

function drawAura(context: CanvasRenderingContext2D, fighter: FighterView, colour: string, radius: number): void {
  context.fillStyle = 'rgba(0,0,0,0.45)';
  context.beginPath();
  context.ellipse(0.06, 0.16, radius * 1.12, radius * 1.05, 0, 0, Math.PI * 2);
  context.fill();
  context.globalCompositeOperation = 'lighter';
  const size = radius * (fighter.isDashing ? 4.6 : 3.2);
  const before = context.globalAlpha;
  context.globalAlpha = before * (fighter.isOwn ? 0.42 : 0.3);
  context.drawImage(glowOf(colour), -size, -size, size * 2, size * 2);
  context.globalAlpha = before;
  context.globalCompositeOperation = 'source-over';
}

function drawFeet(context: CanvasRenderingContext2D, memory: FighterMemory, radius: number): void {
  const swing = Math.sin(memory.walked * 5) * radius * 0.42;
  context.fillStyle = '#0c0f14';
  context.save();
  context.rotate(memory.heading);
  for (const side of [-1, 1]) {
    context.beginPath();
    context.ellipse(swing * side, side * radius * 0.5, radius * 0.44, radius * 0.26, 0, 0, Math.PI * 2);
    context.fill();
  }
  context.restore();
}

function drawWeapon(context: CanvasRenderingContext2D, radius: number): void {
  context.fillStyle = '#11161e';
  context.strokeStyle = 'rgba(190,215,240,0.75)';
  context.lineWidth = 0.035;
  context.beginPath();
  context.roundRect(radius * 0.35, radius * 0.18, radius * 1.35, radius * 0.34, 0.05);
  context.fill();
  context.stroke();
}

function drawBody(
  context: CanvasRenderingContext2D,
  fighter: FighterView,
  colour: string,
  radius: number,
  flash: number,
): void {
  context.beginPath();
  if (fighter.isBot) {
    for (let corner = 0; corner < 6; corner++) {
      const angle = (corner * Math.PI) / 3;
      context.lineTo(Math.cos(angle) * radius * 1.06, Math.sin(angle) * radius * 1.06);
    }
    context.closePath();
  } else {
    context.arc(0, 0, radius, 0, Math.PI * 2);
  }
  context.fillStyle = colour;
  context.fill();
  const shade = context.createRadialGradient(-radius * 0.25, -radius * 0.35, radius * 0.1, 0, 0, radius * 1.15);
  shade.addColorStop(0, 'rgba(255,255,255,0.55)');
  shade.addColorStop(0.35, 'rgba(255,255,255,0.05)');
  shade.addColorStop(1, 'rgba(0,0,0,0.62)');
  context.fillStyle = shade;
  context.fill();
  context.strokeStyle = fighter.isOwn ? '#ffffff' : 'rgba(8,10,14,0.9)';
  context.lineWidth = fighter.isOwn ? 0.07 : 0.06;
  context.stroke();
  // Helmet with a visor towards where it looks.
  context.fillStyle = '#141a23';
  context.beginPath();
  context.arc(0, 0, radius * 0.52, 0, Math.PI * 2);
  context.fill();
  context.strokeStyle = fighter.isOwn ? '#d9f2ff' : colour;
  context.lineWidth = radius * 0.2;
  context.lineCap = 'round';
  context.beginPath();
  context.arc(0, 0, radius * 0.38, -0.75, 0.75);
  context.stroke();
  if (flash > 0) {
    const before = context.globalAlpha;
    context.globalAlpha = before * flash * 0.85;
    context.fillStyle = '#ffffff';
    context.beginPath();
    context.arc(0, 0, radius * 1.08, 0, Math.PI * 2);
    context.fill();
    context.globalAlpha = before;
  }
}

function drawProtection(context: CanvasRenderingContext2D, radius: number, nowS: number): void {
  const before = context.globalAlpha;
  context.globalAlpha = before * (0.55 + 0.25 * Math.sin(nowS * 9));
  context.strokeStyle = '#bfe9ff';
  context.lineWidth = 0.06;
  context.setLineDash([0.26, 0.16]);
  context.lineDashOffset = -nowS * 0.7;
  context.beginPath();
  context.arc(0, 0, radius * 1.75, 0, Math.PI * 2);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = before;
}

function drawHealth(context: CanvasRenderingContext2D, fighter: FighterView, proportions: Proportions): void {
  const part = Math.max(0, Math.min(1, fighter.hp / proportions.hpMax));
  const radius = proportions.bodyRadius * 1.42;
  if (!fighter.isOwn && part === 1) return;
  context.lineCap = 'butt';
  context.lineWidth = 0.085;
  context.strokeStyle = 'rgba(0,0,0,0.55)';
  context.beginPath();
  context.arc(0, 0, radius, 0, Math.PI * 2);
  context.stroke();
  context.strokeStyle = part > 0.35 ? COLOURS.health : COLOURS.hurt;
  context.beginPath();
  context.arc(0, 0, radius, -Math.PI / 2, -Math.PI / 2 + part * Math.PI * 2);
  context.stroke();
}

function drawName(context: CanvasRenderingContext2D, fighter: FighterView, radius: number, pxPerM: number): void {
  if (fighter.isOwn || fighter.name === '') return;
  const size = 12 / pxPerM;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.lineJoin = 'round';
  context.lineWidth = size * 0.28;
  context.strokeStyle = 'rgba(0,0,0,0.75)';
  const y = fighter.y - radius * 1.75;
  context.strokeText(fighter.name, fighter.x, y);
  context.fillStyle = fighter.isConnected ? '#eef3f9' : '#9fb0c4';
  context.fillText(fighter.name, fighter.x, y);
}
