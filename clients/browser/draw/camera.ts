/** Where the screen looks. World lengths in metres, screen lengths in CSS pixels. */

/** Metres squared that a screen of any shape shows: a phone sees as much ground as a desktop. */
const VISIBLE_AREA_M2 = 34 * 20;
const SHAKE_HALF_LIFE_S = 0.09;
const LOOK_AHEAD_PART = 0.16;

export class Camera {
  x = 0;
  y = 0;
  pxPerM = 32;
  widthPx = 1;
  heightPx = 1;
  /** False while the visitor asks for reduced motion: no shake, no swaying. */
  isCalm = false;
  #shakeM = 0;
  #shakeX = 0;
  #shakeY = 0;

  resize(widthPx: number, heightPx: number): void {
    this.widthPx = widthPx;
    this.heightPx = heightPx;
    this.pxPerM = Math.sqrt((widthPx * heightPx) / VISIBLE_AREA_M2);
  }

  /**
   * Follows a point, leaning towards where the pointer is so that one sees what one aims at.
   * @param leanX,leanY pointer offset from the middle of the screen, CSS pixels
   */
  follow(x: number, y: number, leanX: number, leanY: number, dtS: number, isJump: boolean): void {
    const lean = this.isCalm ? 0 : LOOK_AHEAD_PART / this.pxPerM;
    const toX = x + leanX * lean;
    const toY = y + leanY * lean;
    const part = isJump ? 1 : 1 - Math.exp(-dtS * 14);
    this.x += (toX - this.x) * part;
    this.y += (toY - this.y) * part;
    this.#shakeM *= 0.5 ** (dtS / SHAKE_HALF_LIFE_S);
    const isShaking = !this.isCalm && this.#shakeM > 0.004;
    this.#shakeX = isShaking ? (Math.random() * 2 - 1) * this.#shakeM : 0;
    this.#shakeY = isShaking ? (Math.random() * 2 - 1) * this.#shakeM : 0;
  }

  /** Shakes by about `metres`, less the further away `(x, y)` is. */
  shake(x: number, y: number, metres: number): void {
    const near = Math.max(0, 1 - Math.hypot(x - this.x, y - this.y) / 16);
    this.#shakeM = Math.min(0.45, this.#shakeM + metres * near * near);
  }

  /** Sets the context up so that one unit is one metre. */
  enter(context: CanvasRenderingContext2D, pixelRatio: number): void {
    const scale = this.pxPerM * pixelRatio;
    context.setTransform(
      scale,
      0,
      0,
      scale,
      (this.widthPx / 2) * pixelRatio - (this.x + this.#shakeX) * scale,
      (this.heightPx / 2) * pixelRatio - (this.y + this.#shakeY) * scale,
    );
  }

  /** Is a circle of `radius` metres at all on the screen? */
  sees(x: number, y: number, radius: number): boolean {
    const halfWidth = this.widthPx / 2 / this.pxPerM + radius;
    const halfHeight = this.heightPx / 2 / this.pxPerM + radius;
    return Math.abs(x - this.x) < halfWidth && Math.abs(y - this.y) < halfHeight;
  }
}
