/** WASD or arrows to move, mouse to aim, buttons to shoot. Works on key positions, so any layout fits. */
import { axes, BUTTONS, turnOf, type Wish } from './controls.ts';

const MOVES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  KeyW: [0, -1],
  ArrowUp: [0, -1],
  KeyS: [0, 1],
  ArrowDown: [0, 1],
  KeyA: [-1, 0],
  ArrowLeft: [-1, 0],
  KeyD: [1, 0],
  ArrowRight: [1, 0],
};

const KEY_BUTTONS: Readonly<Record<string, number>> = {
  Space: BUTTONS.DASH,
  ShiftLeft: BUTTONS.DASH,
  KeyE: BUTTONS.ROCKET,
  KeyQ: BUTTONS.ROCKET,
  KeyF: BUTTONS.FIRE,
  ControlRight: BUTTONS.FIRE,
};

/** Keys that act once when pressed (or, for the scoreboard, while held). */
export interface KeyCommands {
  scoreboard(isHeld: boolean): void;
  netGraph(): void;
}

export class KeyboardMouse {
  readonly wish: Wish = { moveX: 0, moveY: 0, aim: undefined, buttons: 0 };
  /** Pointer position in CSS pixels from the middle of the canvas. */
  pointerX = 120;
  pointerY = 0;
  /** Where on the screen the avatar is, CSS pixels from the middle: aiming starts there. */
  originX = 0;
  originY = 0;
  /** True once a mouse has moved; until then no crosshair is drawn. */
  hasPointer = false;

  readonly #held = new Set<string>();
  readonly #canvas: HTMLElement;
  readonly #commands: KeyCommands;
  readonly #listeners = new AbortController();
  #mouseButtons = 0;
  /** Buttons pressed since the last frame was taken: a click shorter than a step still counts. */
  #tapped = 0;

  constructor(canvas: HTMLElement, commands: KeyCommands) {
    this.#canvas = canvas;
    this.#commands = commands;
    const options = { signal: this.#listeners.signal };
    window.addEventListener('keydown', (event) => this.#keyDown(event), options);
    window.addEventListener('keyup', (event) => this.#keyUp(event), options);
    window.addEventListener('blur', () => this.release(), options);
    document.addEventListener('visibilitychange', () => document.hidden && this.release(), options);
    canvas.addEventListener('pointermove', (event) => this.#pointer(event), options);
    canvas.addEventListener('pointerdown', (event) => this.#pointer(event, true), options);
    window.addEventListener('pointerup', (event) => this.#pointer(event), options);
    canvas.addEventListener('contextmenu', (event) => event.preventDefault(), options);
  }

  dispose(): void {
    this.#listeners.abort();
  }

  /** Lets go of everything, as when the window loses the focus. */
  release(): void {
    this.#held.clear();
    this.#mouseButtons = 0;
    this.#tapped = 0;
    this.#commands.scoreboard(false);
  }

  /** The wish for one fixed step; taps are consumed by it. */
  take(): Wish {
    let x = 0;
    let y = 0;
    let buttons = this.#mouseButtons | this.#tapped;
    for (const code of this.#held) {
      const move = MOVES[code];
      if (move !== undefined) {
        x += move[0];
        y += move[1];
      }
      buttons |= KEY_BUTTONS[code] ?? 0;
    }
    this.#tapped = 0;
    axes(Math.sign(x), Math.sign(y), this.wish);
    this.wish.buttons = buttons;
    this.wish.aim = turnOf(Math.atan2(this.pointerY - this.originY, this.pointerX - this.originX));
    return this.wish;
  }

  #keyDown(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
    const { code } = event;
    if (code === 'Tab') {
      event.preventDefault();
      if (!event.repeat) this.#commands.scoreboard(true);
    } else if (code === 'KeyN' || code === 'F3') {
      event.preventDefault();
      if (!event.repeat) this.#commands.netGraph();
    } else if (code in MOVES || code in KEY_BUTTONS) {
      if (!(event.target instanceof HTMLButtonElement)) event.preventDefault();
      this.#held.add(code);
      this.#tapped |= KEY_BUTTONS[code] ?? 0;
    }
  }

  #keyUp(event: KeyboardEvent): void {
    if (event.code === 'Tab') this.#commands.scoreboard(false);
    this.#held.delete(event.code);
  }

  #pointer(event: PointerEvent, isDown = false): void {
    if (event.pointerType === 'touch') return;
    const box = this.#canvas.getBoundingClientRect();
    this.pointerX = event.clientX - box.left - box.width / 2;
    this.pointerY = event.clientY - box.top - box.height / 2;
    this.hasPointer = true;
    const fire = event.buttons & 1 ? BUTTONS.FIRE : 0;
    const rocket = event.buttons & 2 ? BUTTONS.ROCKET : 0;
    this.#mouseButtons = fire | rocket;
    if (isDown) {
      this.#tapped |= this.#mouseButtons;
      event.preventDefault();
    }
  }
}
