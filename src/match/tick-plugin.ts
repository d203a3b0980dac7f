/**
 * The loop of one room on the shared {@link TickScheduler}, in place of the framework's own timers.
 *
 * A tick is: the room's clock, `inputs`, `step`, `project`, and every Nth tick `patch`. Patches belong to ticks, so
 * what a client receives is always the world after a whole number of ticks.
 *
 * Under overload the room sheds load in this order, and counts all of it:
 * 1. half of the patches ({@link TickPlugin.shedLevel} 1), 2. three quarters of them (level 2), though never fewer than
 * {@link PATCHES_MIN_HZ} a second unless configured so, 3. ticks: the scheduler drops those more than four periods late.
 * Levels rise when a quarter of a second's ticks is strained and fall after calm seconds (see {@link TickShedding}). A
 * single long pause sheds nothing: the room catches up in turns with the others, and of ticks run in a row only the
 * last sends a patch, yet at least every third, so that catching up never starves the clients.
 */
import { type Room, RoomPlugin } from '@colyseus/core';
import { TickMetrics, type TickSnapshot, type TickTotals } from './tick-metrics.ts';
import {
  CATCH_UPS_MAX,
  checkTickRate,
  type DueTick,
  type TickLoop,
  type TickScheduler,
  type TickTask,
} from './tick-scheduler.ts';
import { type ShedLevel, TickShedding } from './tick-shedding.ts';

/** Shedding never makes patches rarer than this. */
export const PATCHES_MIN_HZ = 4;

export const PATCH_EVERY_TICKS_MAX = 6;

/** The parts of a tick that a room fills in, all synchronous. `clock` is the room's own timers. */
export type FaultPhase = 'clock' | 'inputs' | 'step' | 'project' | 'patch';

export interface TickPhases {
  /** Collects what everybody asks for in this tick. */
  inputs(tick: number): void;
  /** Advances the world by this tick. */
  step(tick: number): void;
  /** Writes what changed into the Schema state. */
  project(tick: number): void;
  /** Sends it; called on the ticks that carry a patch only. */
  patch(tick: number): void;
}

export interface TickOptions {
  readonly scheduler: TickScheduler;
  readonly totals: TickTotals;
  /** Whole ticks per second, 10 to 60. */
  readonly rateHz: number;
  /** One patch per this many ticks, 1 to {@link PATCH_EVERY_TICKS_MAX}. */
  readonly patchEveryTicks: number;
  /** Index of the first tick to run: 0, or where a recovered match goes on. */
  readonly firstTick: number;
  /** Nothing runs before {@link TickPlugin.resume}: a recovered match waits for its players. */
  readonly isHeld?: boolean;
  readonly phases: TickPhases;
  /** Asked before each tick; false leaves it out but for the room's clock, and what was left out is not caught up with. */
  mayTick?(): boolean;
  /** The loop has ended because this phase threw. No other room is touched. */
  onFault(error: unknown, phase: FaultPhase): void;
}

/**
 * `plugins = definePlugins([new TickPlugin()])`, then `this.plugins.tick.start({ ... })` at the end of `onCreate`.
 *
 * The room must not call `setTimestep` or `setFixedTimestep`, nor set `patchRate`. Its clock ticks once per tick of the
 * loop, also of those that are left out: the framework counts the messages of a client's second by it, and whoever is
 * told the time must not be told a former one. It stands still before `start` and after `stop`.
 */
export class TickPlugin extends RoomPlugin<Room> {
  override readonly pluginName = 'tick' as const;
  // The room's own onDispose finds a world at rest.
  protected override order = { onDispose: 'before' } as const;
  #runner: TickRunner | undefined;

  /**
   * Starts the loop and tells joining clients the true tick and patch rate.
   * @throws RangeError for a rate or a number out of range
   * @throws Error when the loop runs already or `defineInput` was given another tick rate
   */
  start(options: TickOptions): void {
    if (this.isRunning) throw new Error('the tick loop runs already');
    const { rateHz, patchEveryTicks, firstTick } = options;
    checkTickRate(rateHz);
    if (!Number.isInteger(patchEveryTicks) || patchEveryTicks < 1 || patchEveryTicks > PATCH_EVERY_TICKS_MAX) {
      throw new RangeError(
        `patchEveryTicks is a whole number from 1 to ${PATCH_EVERY_TICKS_MAX}, not ${patchEveryTicks}`,
      );
    }
    if (!Number.isSafeInteger(firstTick) || firstTick < 0) {
      throw new RangeError(`firstTick is a whole number from 0, not ${firstTick}`);
    }
    this.#takeOverTimers(rateHz, patchEveryTicks);
    this.#runner = new TickRunner(this.room, options);
  }

  /**
   * Ends the loop; the counts stay readable. May be called at any time and more than once; from a phase, the running
   * tick still goes through its later phases.
   */
  stop(): void {
    this.#runner?.stop();
  }

  /** Runs no tick until {@link resume}; the room's clock goes on. */
  pause(): void {
    this.#runner?.pause();
  }

  /** Goes on after {@link pause}, or begins after a start that was held. What was missed is not caught up with. */
  resume(): void {
    this.#runner?.resume();
  }

  get isRunning(): boolean {
    return this.#runner?.isRunning ?? false;
  }

  /** True while {@link pause} holds the loop. */
  get isPaused(): boolean {
    return this.#runner?.isPaused ?? false;
  }

  /** Index of the tick that is running or will run next; 0 before the start. */
  get tick(): number {
    return this.#runner?.tick ?? 0;
  }

  /** How much the room has cut back: 0 none, 1 half of the patches, 2 three quarters. Others may follow its lead. */
  get shedLevel(): ShedLevel {
    return this.#runner?.shedLevel ?? 0;
  }

  /** True during a tick after which the next one is due already: more ticks follow at once. */
  get isBehind(): boolean {
    return this.#runner?.isBehind ?? false;
  }

  /** Lets ticks of other rooms run that are due; for long work inside a phase. See {@link TickScheduler.poll}. */
  poll(): void {
    this.#runner?.poll();
  }

  /** The room in numbers; undefined before the start. */
  snapshot(): TickSnapshot | undefined {
    return this.#runner?.snapshot();
  }

  protected override onDispose(): void {
    this.stop();
  }

  #takeOverTimers(rateHz: number, patchEveryTicks: number): void {
    const room = this.room;
    const advertisedHz = room.inputs?.tickRate;
    if (advertisedHz !== undefined && advertisedHz !== rateHz) {
      throw new Error(`defineInput tells clients ${advertisedHz} Hz, but the room ticks at ${rateHz} Hz`);
    }
    const nothing = (): void => {};
    // The first call advertises the tick rate in the join handshake. The second leaves a timer that never fires in its
    // place: as long as there is one, the framework neither ticks the clock in broadcastPatch nor by a 60 Hz interval.
    room.setTimestep(nothing, 1000 / rateHz);
    room.setTimestep(nothing, 2 ** 31 - 1);
    // The setter ends the framework's patch timer; the plain property over it is what the handshake reads.
    room.patchRate = null;
    Object.defineProperty(room, 'patchRate', {
      value: (patchEveryTicks * 1000) / rateHz,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
}

/** One run of the loop, from start to stop. */
class TickRunner implements TickTask {
  readonly #room: Room;
  readonly #scheduler: TickScheduler;
  readonly #phases: TickPhases;
  readonly #mayTick: () => boolean;
  readonly #onFault: (error: unknown, phase: FaultPhase) => void;
  readonly #patchEveryTicks: number;
  /** The longest distance of patches under shedding, in ticks. */
  readonly #patchEveryTicksMax: number;
  readonly #metrics: TickMetrics;
  readonly #shedding: TickShedding;
  readonly #loop: TickLoop;
  #isPaused = false;
  #tick: number;
  #phase: FaultPhase = 'clock';
  #isRunning = true;
  #isBehind = false;
  #ticksSincePatch = 0;
  #patchesPutOff = 0;

  constructor(room: Room, options: TickOptions) {
    this.#room = room;
    this.#scheduler = options.scheduler;
    this.#phases = options.phases;
    this.#mayTick = () => options.mayTick?.() ?? true;
    this.#onFault = (error, phase) => options.onFault(error, phase);
    this.#patchEveryTicks = options.patchEveryTicks;
    this.#patchEveryTicksMax = Math.max(options.patchEveryTicks, Math.floor(options.rateHz / PATCHES_MIN_HZ));
    this.#tick = options.firstTick;
    this.#shedding = new TickShedding(options.rateHz);
    this.#loop = this.#scheduler.add(options.rateHz, this);
    this.#metrics = new TickMetrics(options.totals, room.roomName, this.#loop.periodMs);
    this.#isPaused = options.isHeld === true;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  get tick(): number {
    return this.#tick;
  }

  get shedLevel(): ShedLevel {
    return this.#shedding.level;
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  poll(): void {
    this.#scheduler.poll();
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  stop(): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#loop.stop();
    this.#metrics.close();
  }

  snapshot(): TickSnapshot {
    return this.#metrics.snapshot(this.#scheduler.now());
  }

  onFault(error: unknown): void {
    this.stop();
    this.#onFault(error, this.#phase);
  }

  onHeld(): void {
    this.#phase = 'clock';
    this.#room.clock.tick();
  }

  onTick(due: DueTick): void {
    const { scheduledMs, startedMs, nextMs, dropped } = due;
    if (this.#isPaused || !this.#mayTick()) {
      this.onHeld();
      return;
    }
    const tick = this.#tick;
    const startedOwnMs = startedMs - this.#scheduler.preemptedMs;
    this.#isBehind = nextMs <= startedMs;
    if (this.#isBehind) this.#metrics.countCatchUp();
    if (dropped > 0) this.#metrics.countDropped(dropped);
    const wasLate = this.#isBehind || dropped > 0;

    this.onHeld();
    let fromMs = this.#ownNow();
    this.#phase = 'inputs';
    this.#phases.inputs(tick);
    fromMs = this.#measure('inputs', fromMs);
    this.#phase = 'step';
    this.#phases.step(tick);
    fromMs = this.#measure('step', fromMs);
    this.#phase = 'project';
    this.#phases.project(tick);
    fromMs = this.#measure('project', fromMs);
    this.#isBehind = nextMs <= fromMs + this.#scheduler.preemptedMs;
    if (this.#wantsPatch()) {
      this.#phase = 'patch';
      this.#phases.patch(tick);
      fromMs = this.#measure('patch', fromMs);
      this.#metrics.countPatch();
    }
    this.#tick = tick + 1;
    const isOverrun = this.#metrics.recordTick(startedMs, fromMs - startedOwnMs, Math.abs(startedMs - scheduledMs));
    this.#shedding.observe(isOverrun || wasLate);
  }

  /** Whether this tick carries a patch, and counts the ones left out. */
  #wantsPatch(): boolean {
    this.#ticksSincePatch++;
    const everyTicks = Math.min(this.#patchEveryTicks << this.#shedding.level, this.#patchEveryTicksMax);
    if (this.#ticksSincePatch >= everyTicks) {
      if (!this.#isBehind || this.#patchesPutOff >= CATCH_UPS_MAX) {
        this.#ticksSincePatch = 0;
        this.#patchesPutOff = 0;
        return true;
      }
      this.#patchesPutOff++;
    }
    if (this.#ticksSincePatch % this.#patchEveryTicks === 0) this.#metrics.countShedPatch();
    return false;
  }

  /** The clock without the time that ticks of other rooms took out of this one. */
  #ownNow(): number {
    return this.#scheduler.now() - this.#scheduler.preemptedMs;
  }

  #measure(phase: 'inputs' | 'step' | 'project' | 'patch', fromMs: number): number {
    const nowMs = this.#ownNow();
    this.#metrics.recordPhase(phase, nowMs - fromMs);
    return nowMs;
  }
}
