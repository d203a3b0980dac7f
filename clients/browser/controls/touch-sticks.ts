/** Two virtual sticks that appear under the thumbs, and two buttons. Built only when a finger first touches. */
import { element } from '../hud/element.ts';
import { axes, BUTTONS, turnOf, type Wish } from './controls.ts';

const STICK_RADIUS_PX = 58;
/** Beyond this part of its way the aiming stick shoots. */
const FIRE_PART = 0.55;
const DEAD_PART = 0.14;

class Stick {
  readonly root: HTMLElement;
  readonly #knob: HTMLElement;
  pointerId = -1;
  x = 0;
  y = 0;
  #originX = 0;
  #originY = 0;

  constructor(kind: 'is-move' | 'is-aim') {
    this.#knob = element('i');
    this.root = element('div', { class: `stick ${kind}`, 'aria-hidden': 'true' }, [this.#knob]);
    this.root.hidden = true;
  }

  start(event: PointerEvent): void {
    this.pointerId = event.pointerId;
    this.#originX = event.clientX;
    this.#originY = event.clientY;
    this.root.style.left = `${event.clientX}px`;
    this.root.style.top = `${event.clientY}px`;
    this.root.hidden = false;
    this.move(event);
  }

  move(event: PointerEvent): void {
    const dx = event.clientX - this.#originX;
    const dy = event.clientY - this.#originY;
    const length = Math.hypot(dx, dy);
    const part = Math.min(1, length / STICK_RADIUS_PX);
    this.x = length === 0 ? 0 : (dx / length) * part;
    this.y = length === 0 ? 0 : (dy / length) * part;
    this.#knob.style.transform = `translate(${this.x * STICK_RADIUS_PX}px, ${this.y * STICK_RADIUS_PX}px)`;
  }

  end(): void {
    this.pointerId = -1;
    this.x = 0;
    this.y = 0;
    this.root.hidden = true;
  }

  get part(): number {
    return Math.hypot(this.x, this.y);
  }
}

export class TouchSticks {
  readonly wish: Wish = { moveX: 0, moveY: 0, aim: undefined, buttons: 0 };
  /** True once a finger has touched the arena. */
  isUsed = false;

  readonly #root = element('div', { class: 'touch' });
  readonly #moving = new Stick('is-move');
  readonly #aiming = new Stick('is-aim');
  readonly #listeners = new AbortController();
  #held = 0;
  #tapped = 0;

  constructor(canvas: HTMLElement, parent: HTMLElement) {
    this.#root.append(this.#moving.root, this.#aiming.root);
    this.#button('Rocket', 'is-rocket', BUTTONS.ROCKET);
    this.#button('Dash', 'is-dash', BUTTONS.DASH);
    this.#root.hidden = true;
    parent.append(this.#root);
    const options = { signal: this.#listeners.signal };
    canvas.addEventListener('pointerdown', (event) => this.#start(event), options);
    window.addEventListener('pointermove', (event) => this.#stickOf(event)?.move(event), options);
    window.addEventListener('pointerup', (event) => this.#stickOf(event)?.end(), options);
    window.addEventListener('pointercancel', (event) => this.#stickOf(event)?.end(), options);
  }

  dispose(): void {
    this.#listeners.abort();
    this.#root.remove();
  }

  /** The wish for one fixed step; `aim` is undefined while neither stick points anywhere. */
  take(): Wish {
    const { wish } = this;
    const move = this.#moving.part > DEAD_PART ? this.#moving : undefined;
    axes(move?.x ?? 0, move?.y ?? 0, wish);
    wish.buttons = this.#held | this.#tapped;
    this.#tapped = 0;
    wish.aim = undefined;
    if (this.#aiming.part > DEAD_PART) {
      wish.aim = turnOf(Math.atan2(this.#aiming.y, this.#aiming.x));
      if (this.#aiming.part > FIRE_PART) wish.buttons |= BUTTONS.FIRE;
    } else if (move !== undefined) {
      wish.aim = turnOf(Math.atan2(move.y, move.x));
    }
    return wish;
  }

  #start(event: PointerEvent): void {
    if (event.pointerType !== 'touch') return;
    event.preventDefault();
    this.isUsed = true;
    this.#root.hidden = false;
    const stick = event.clientX < window.innerWidth / 2 ? this.#moving : this.#aiming;
    if (stick.pointerId < 0) stick.start(event);
  }

  #stickOf(event: PointerEvent): Stick | undefined {
    if (event.pointerId === this.#moving.pointerId) return this.#moving;
    if (event.pointerId === this.#aiming.pointerId) return this.#aiming;
    return undefined;
  }

  #button(label: string, kind: string, bit: number): void {
    const made = element('button', { class: `touch-button ${kind}`, type: 'button', text: label });
    const options = { signal: this.#listeners.signal };
    made.addEventListener(
      'pointerdown',
      (event) => {
        event.preventDefault();
        this.#held |= bit;
        this.#tapped |= bit;
      },
      options,
    );
    const letGo = () => {
      this.#held &= ~bit;
    };
    for (const kindOfEnd of ['pointerup', 'pointercancel', 'pointerleave'] as const) {
      made.addEventListener(kindOfEnd, letGo, options);
    }
    this.#root.append(made);
  }
}
