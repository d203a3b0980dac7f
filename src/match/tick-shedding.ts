/** When a room sends fewer patches than configured, and when it dares to send more again. */

/** 0: as configured. 1: half the patches. 2: a quarter. */
export type ShedLevel = 0 | 1 | 2;

/** A second in which this share of the ticks was strained raises the level, at the tick that completes the share. */
const STRAINED_SHARE = 1 / 4;
/** Calm seconds in a row before the level falls by one; doubled with every relapse. */
const CALM_SECONDS = 3;
const CALM_MAX_SECONDS = 48;

/**
 * Turns strained ticks into a level, with hysteresis. A tick is strained when it took longer than its period, began a
 * full period late, or followed dropped ticks. One long pause strains a tick or two and sheds nothing; a level falls
 * only after seconds without any strain, and a room that relapses waits twice as long the next time, so that a load
 * between two levels does not make the patch rate swing.
 */
export class TickShedding {
  readonly #ticksPerSecond: number;
  readonly #strainedMax: number;
  #level: ShedLevel = 0;
  #ticksInSecond = 0;
  #strainedInSecond = 0;
  #calmSeconds = 0;
  #calmSecondsNeeded = CALM_SECONDS;

  constructor(rateHz: number) {
    this.#ticksPerSecond = rateHz;
    this.#strainedMax = Math.ceil(rateHz * STRAINED_SHARE);
  }

  get level(): ShedLevel {
    return this.#level;
  }

  /** Takes in one tick. @returns the level that holds from the next patch on */
  observe(isStrained: boolean): ShedLevel {
    this.#ticksInSecond++;
    if (isStrained) this.#strainedInSecond++;
    if (this.#strainedInSecond >= this.#strainedMax) {
      if (this.#level < 2) this.#level++;
      this.#calmSeconds = 0;
      this.#startSecond();
    } else if (this.#ticksInSecond >= this.#ticksPerSecond) {
      this.#endSecond();
      this.#startSecond();
    }
    return this.#level;
  }

  #endSecond(): void {
    this.#calmSeconds = this.#strainedInSecond === 0 ? this.#calmSeconds + 1 : 0;
    if (this.#level === 0) {
      // Long peace at the configured rate: the next relapse is a new story.
      if (this.#calmSeconds >= this.#calmSecondsNeeded * 2) this.#calmSecondsNeeded = CALM_SECONDS;
    } else if (this.#calmSeconds >= this.#calmSecondsNeeded) {
      this.#level--;
      this.#calmSeconds = 0;
      this.#calmSecondsNeeded = Math.min(CALM_MAX_SECONDS, this.#calmSecondsNeeded * 2);
    }
  }

  #startSecond(): void {
    this.#ticksInSecond = 0;
    this.#strainedInSecond = 0;
  }
}
