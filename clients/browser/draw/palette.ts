/** Colours after Okabe and Ito, which every kind of colour vision can tell apart, and glows made of them. */

export const COLOURS = {
  own: '#5cc0f7',
  health: '#1fc397',
  ammo: '#f0e442',
  rockets: '#e69f00',
  hurt: '#ff5a36',
  spark: '#ffd9a0',
  smoke: '#6f7c8c',
  white: '#ffffff',
} as const;

/** Colours of the others, by seat; a seat keeps its colour for the whole match. */
const FIGHTER_COLOURS = [
  '#e69f00',
  '#ff7a3d',
  '#e48cc0',
  '#f0e442',
  '#2fd0a4',
  '#b9a3ff',
  '#ffb27a',
  '#d8e06a',
] as const;

export function fighterColour(seat: number, isOwn: boolean): string {
  return isOwn ? COLOURS.own : FIGHTER_COLOURS[seat % FIGHTER_COLOURS.length]!;
}

const GLOW_PX = 64;
const glows = new Map<string, HTMLCanvasElement>();

/** A soft round light in a colour, drawn once and then only scaled: a gradient per frame would cost more. */
export function glowOf(colour: string): HTMLCanvasElement {
  const known = glows.get(colour);
  if (known !== undefined) return known;
  const canvas = document.createElement('canvas');
  canvas.width = GLOW_PX * 2;
  canvas.height = GLOW_PX * 2;
  const context = canvas.getContext('2d');
  if (context !== null) {
    const gradient = context.createRadialGradient(GLOW_PX, GLOW_PX, 0, GLOW_PX, GLOW_PX, GLOW_PX);
    gradient.addColorStop(0, colour);
    gradient.addColorStop(0.25, `${colour}88`);
    gradient.addColorStop(0.6, `${colour}22`);
    gradient.addColorStop(1, `${colour}00`);
    context.fillStyle = gradient;
    context.fillRect(0, 0, GLOW_PX * 2, GLOW_PX * 2);
  }
  glows.set(colour, canvas);
  return canvas;
}
