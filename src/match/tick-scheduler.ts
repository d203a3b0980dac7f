/**
 * One timer for all rooms of a process.
 *
 * Every loop has its own grid of ideal times, `base + slot * 1000 / rateHz`, computed and never accumulated, so it
 * cannot drift. Loops of equal rate are spread over the period, so that twenty rooms are twenty short wake-ups and
 * not one long one. Timers of Node are exact to a millisecond only: a tick may start a little early instead of
 * always late, and nothing ever spins.
 *
 * What happens when time runs out, in this order:
 * 1. A loop that is behind catches up, but in turns: every other loop that is due goes first, a loop runs at most
 *    {@link CATCH_UPS_MAX} extra ticks in one wake-up, and a wake-up longer than {@link WAKE_MAX_MS} lets the sockets
 *    have their turn before it goes on.
 * 2. Ticks more than {@link LATE_MAX_PERIODS} periods late are dropped: their slots of the grid pass unused, and the
 *    next tick that does run is told how many. Loops of equal rate share the loss. The index of ticks is the caller's
 *    and has no holes.
 */

/** Extra ticks one loop may run in one wake-up, after its first. */
export const CATCH_UPS_MAX = 2;

/** A tick later than this many periods is dropped. */
export const LATE_MAX_PERIODS = 4;

/** A wake-up that has lasted this long ends after the current tick and continues once the sockets were served. */
export const WAKE_MAX_MS = 10;

/** A tick may start this much before its time: half the resolution of the timers. */
export const EARLY_MS = 0.5;

/** How deep {@link TickScheduler.poll} may nest: a tick may be interrupted, and the tick that interrupts it once more. */
export const PREEMPTION_DEPTH_MAX = 2;

export const RATE_MIN_HZ = 10;
export const RATE_MAX_HZ = 60;

/** @throws RangeError unless `rateHz` is a whole number from {@link RATE_MIN_HZ} to {@link RATE_MAX_HZ} */
export function checkTickRate(rateHz: number): void {
  if (Number.isInteger(rateHz) && rateHz >= RATE_MIN_HZ && rateHz <= RATE_MAX_HZ) return;
  throw new RangeError(`a tick rate is a whole number from ${RATE_MIN_HZ} to ${RATE_MAX_HZ} Hz, not ${rateHz}`);
}

/** Time as the scheduler sees it; tests bring their own. */
export interface SchedulerClock {
  /** Monotonic milliseconds with fractions, from any origin. */
  now(): number;
  /**
   * Calls `wake` once after about `delayMs`; 0 means as soon as pending socket events were served.
   * @returns a function that cancels the call
   */
  wakeAfter(delayMs: number, wake: () => void): () => void;
}

export const SYSTEM_CLOCK: SchedulerClock = {
  now: () => performance.now(),
  wakeAfter(delayMs, wake) {
    if (delayMs <= 0) {
      const immediate = setImmediate(wake);
      return () => clearImmediate(immediate);
    }
    const timeout = setTimeout(wake, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** One due tick. The object is reused: read it during the call only. */
export interface DueTick {
  /** The ideal time of this tick on the loop's grid. */
  readonly scheduledMs: number;
  /** When it really started. */
  readonly startedMs: number;
  /** The ideal time of the tick after this one; in the past when the loop is behind. */
  readonly nextMs: number;
  /** Ticks dropped directly before this one. */
  readonly dropped: number;
}

/** What a loop does. */
export interface TickTask {
  /** Runs one tick. A throw ends this loop, and only this one. */
  onTick(due: DueTick): void;
  /** In place of a tick, while all loops are held: time goes on. */
  onHeld?(): void;
  /** The loop has ended because `onTick` or `onHeld` threw. */
  onFault(error: unknown): void;
}

/** A running loop. */
export interface TickLoop {
  readonly rateHz: number;
  readonly periodMs: number;
  /** Where in its period the loop runs, 0 to `periodMs`. */
  readonly phaseMs: number;
  /** Ends the loop; may be called at any time, from its own tick too, and more than once. */
  stop(): void;
}

/** Plain counts since the scheduler was made. */
export interface SchedulerCounts {
  readonly ticks: number;
  /** Ticks that began when the next one of the same loop was already due. */
  readonly catchUps: number;
  readonly dropped: number;
  readonly wakes: number;
  /** Ticks that ran inside another piece of work, by {@link TickScheduler.poll}. */
  readonly preemptions: number;
  readonly faults: number;
}

/**
 * What the loops of one rate share. When one of them drops ticks, each of the others that is late drops one too at its
 * next turn: otherwise, in a lasting overload, a few rooms would lose all the ticks and the rest none.
 */
interface RateGroup {
  dropRound: number;
}

class Loop implements TickLoop {
  readonly rateHz: number;
  readonly periodMs: number;
  readonly phaseMs: number;
  readonly task: TickTask;
  readonly #baseMs: number;
  readonly #equals: RateGroup;
  readonly #onStop: (loop: Loop) => void;
  #dropRound: number;
  #slot = 0;
  /** Ideal time of the next tick; the key of the heap. */
  dueMs: number;
  /** Place in the heap; -1 while it runs or waits for its next turn. */
  heapIndex = -1;
  isStopped = false;

  scheduledMs = 0;
  startedMs = 0;
  nextMs = 0;
  dropped = 0;

  constructor(
    rateHz: number,
    phaseMs: number,
    firstMs: number,
    equals: RateGroup,
    task: TickTask,
    onStop: (loop: Loop) => void,
  ) {
    this.rateHz = rateHz;
    this.periodMs = 1000 / rateHz;
    this.phaseMs = phaseMs;
    this.task = task;
    this.#baseMs = firstMs;
    this.#equals = equals;
    this.#dropRound = equals.dropRound;
    this.#onStop = onStop;
    this.dueMs = firstMs;
  }

  /** Passes over slots that are too late at `nowMs`, then takes the next slot for a tick that starts now. */
  take(nowMs: number): void {
    const lateMs = nowMs - this.dueMs;
    this.dropped = lateMs > LATE_MAX_PERIODS * this.periodMs ? Math.ceil(lateMs / this.periodMs) - LATE_MAX_PERIODS : 0;
    if (this.#dropRound !== this.#equals.dropRound) {
      if (this.dropped === 0 && lateMs >= this.periodMs) this.dropped = 1;
      this.#dropRound = this.#equals.dropRound;
    } else if (this.dropped > 0) {
      this.#dropRound = ++this.#equals.dropRound;
    }
    this.#slot += this.dropped;
    this.scheduledMs = this.#timeOf(this.#slot);
    this.startedMs = nowMs;
    this.#slot++;
    this.dueMs = this.#timeOf(this.#slot);
    this.nextMs = this.dueMs;
  }

  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.#onStop(this);
  }

  #timeOf(slot: number): number {
    // One rounding, whatever the slot: after years the error is still that of a single division.
    return this.#baseMs + (slot * 1000) / this.rateHz;
  }
}

/**
 * Runs the tick loops of one process. Make one, hand it to every room.
 *
 * The timer keeps the process alive while there is a loop, as a room's own interval would.
 */
export class TickScheduler {
  readonly #clock: SchedulerClock;
  readonly #reportFault: (error: unknown) => void;
  readonly #isHeld: (() => boolean) | undefined;
  readonly #loops = new Set<Loop>();
  readonly #rateGroups = new Map<number, RateGroup>();
  readonly #heap: Loop[] = [];
  readonly #wake = (): void => this.#onTimer();
  #cancelTimer: (() => void) | undefined;
  #armedMs = Number.POSITIVE_INFINITY;
  #depth = 0;
  #preemptedMs = 0;
  #ticks = 0;
  #catchUps = 0;
  #dropped = 0;
  #wakes = 0;
  #preemptions = 0;
  #faults = 0;

  /**
   * @param reportFault told when a task's own `onFault` throws: a bug in the handling of a bug
   * @param isHeld asked before every tick: while it says so no loop ticks, and slots of the grid pass unused
   */
  constructor(options: {
    readonly reportFault: (error: unknown) => void;
    readonly clock?: SchedulerClock;
    readonly isHeld?: () => boolean;
  }) {
    this.#reportFault = options.reportFault;
    this.#isHeld = options.isHeld;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /**
   * Starts a loop. Its first tick comes within one period, in the middle of the largest gap that the loops of the
   * same rate leave.
   * @param rateHz whole ticks per second, {@link RATE_MIN_HZ} to {@link RATE_MAX_HZ}
   * @throws RangeError for another rate
   */
  add(rateHz: number, task: TickTask): TickLoop {
    checkTickRate(rateHz);
    const periodMs = 1000 / rateHz;
    const nowMs = this.#clock.now();
    const phaseMs = this.#freePhase(rateHz, nowMs);
    let waitMs = (((phaseMs - nowMs) % periodMs) + periodMs) % periodMs;
    // Now, but for rounding, is now and not a period later.
    if (waitMs > periodMs - 1e-6) waitMs = 0;
    let equals = this.#rateGroups.get(rateHz);
    if (equals === undefined) {
      equals = { dropRound: 0 };
      this.#rateGroups.set(rateHz, equals);
    }
    const loop = new Loop(rateHz, phaseMs, nowMs + waitMs, equals, task, (stopped) => this.#remove(stopped));
    this.#loops.add(loop);
    this.#push(loop);
    if (this.#depth === 0) this.#arm(nowMs);
    return loop;
  }

  /** Monotonic milliseconds of the scheduler's clock; durations of ticks are measured with it. */
  now(): number {
    return this.#clock.now();
  }

  /**
   * Milliseconds spent so far in ticks that interrupted other work. Work that may be interrupted subtracts the growth
   * of this number from its own duration.
   */
  get preemptedMs(): number {
    return this.#preemptedMs;
  }

  get loopCount(): number {
    return this.#loops.size;
  }

  get counts(): SchedulerCounts {
    return {
      ticks: this.#ticks,
      catchUps: this.#catchUps,
      dropped: this.#dropped,
      wakes: this.#wakes,
      preemptions: this.#preemptions,
      faults: this.#faults,
    };
  }

  /**
   * Runs the ticks that are due now. To be called from inside work that can take longer than a millisecond, such as
   * the reading of sockets or the sending of many frames; costs one reading of the clock when nothing is due. Inside a
   * tick it runs the ticks of other rooms only, one each. Call it only where other rooms may run: never between reading
   * and writing something that rooms share.
   */
  poll(): void {
    if (this.#depth > PREEMPTION_DEPTH_MAX) return;
    const top = this.#heap[0];
    if (top === undefined) return;
    const nowMs = this.#clock.now();
    if (nowMs < top.dueMs - EARLY_MS) return;
    if (this.#depth === 0) {
      this.#run(nowMs, CATCH_UPS_MAX);
      this.#arm(this.#clock.now());
    } else {
      const before = this.#preemptedMs;
      const ticksBefore = this.#ticks;
      this.#run(nowMs, 0);
      this.#preemptions += this.#ticks - ticksBefore;
      this.#preemptedMs = before + (this.#clock.now() - nowMs);
    }
  }

  #onTimer(): void {
    this.#cancelTimer = undefined;
    this.#armedMs = Number.POSITIVE_INFINITY;
    this.#wakes++;
    this.#run(this.#clock.now(), CATCH_UPS_MAX);
    this.#arm(this.#clock.now());
  }

  /** Runs what is due: in each round every due loop once, the latest first; loops still behind then wait a round. */
  #run(startMs: number, catchUpsMax: number): void {
    let behind: Loop[] = [];
    let round = 0;
    let nowMs = startMs;
    this.#depth++;
    for (;;) {
      const loop = this.#heap[0];
      if (loop === undefined || nowMs < loop.dueMs - EARLY_MS) {
        if (behind.length === 0 || round === catchUpsMax) break;
        round++;
        for (const waiting of behind) if (!waiting.isStopped) this.#push(waiting);
        behind = [];
        continue;
      }
      this.#take(loop);
      this.#tick(loop, nowMs);
      nowMs = this.#clock.now();
      if (!loop.isStopped) {
        if (nowMs < loop.dueMs - EARLY_MS) this.#push(loop);
        else behind.push(loop);
      }
      if (nowMs - startMs > WAKE_MAX_MS) break;
    }
    for (const waiting of behind) if (!waiting.isStopped) this.#push(waiting);
    this.#depth--;
  }

  #tick(loop: Loop, nowMs: number): void {
    loop.take(nowMs);
    const isHeld = this.#isHeld?.() === true;
    if (!isHeld) {
      this.#ticks++;
      this.#dropped += loop.dropped;
      if (loop.nextMs <= nowMs) this.#catchUps++;
    }
    try {
      if (isHeld) loop.task.onHeld?.();
      else loop.task.onTick(loop);
    } catch (error) {
      this.#faults++;
      loop.stop();
      try {
        loop.task.onFault(error);
      } catch (bug) {
        // Not here: whatever the report does, the other loops still have their turn.
        queueMicrotask(() => this.#reportFault(bug));
      }
    }
  }

  /** Sets the timer for the earliest due tick, unless it is set for that already. */
  #arm(nowMs: number): void {
    const top = this.#heap[0];
    const wantedMs = top === undefined ? Number.POSITIVE_INFINITY : top.dueMs;
    if (wantedMs === this.#armedMs) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedMs = wantedMs;
    if (top === undefined) return;
    const delayMs = Math.max(0, Math.ceil(wantedMs - EARLY_MS - nowMs));
    this.#cancelTimer = this.#clock.wakeAfter(delayMs, this.#wake);
  }

  #remove(loop: Loop): void {
    this.#loops.delete(loop);
    if (loop.heapIndex >= 0) this.#take(loop);
    if (this.#depth === 0) this.#arm(this.#clock.now());
  }

  /** The middle of the largest gap between the phases of loops of this rate. */
  #freePhase(rateHz: number, nowMs: number): number {
    const periodMs = 1000 / rateHz;
    const phases: number[] = [];
    for (const loop of this.#loops) if (loop.rateHz === rateHz) phases.push(loop.phaseMs);
    if (phases.length === 0) return nowMs % periodMs;
    phases.sort((a, b) => a - b);
    let gapMs = 0;
    let gapStartMs = 0;
    for (let i = 0; i < phases.length; i++) {
      const startMs = phases[i]!;
      const endMs = i + 1 < phases.length ? phases[i + 1]! : phases[0]! + periodMs;
      // A hair more than rounding, so that equal gaps are filled in order.
      if (endMs - startMs > gapMs + 1e-6) {
        gapMs = endMs - startMs;
        gapStartMs = startMs;
      }
    }
    return (gapStartMs + gapMs / 2) % periodMs;
  }

  // A binary heap by due time; loops know their place, so that any of them can be taken out.

  #push(loop: Loop): void {
    this.#heap.push(loop);
    this.#siftUp(loop, this.#heap.length - 1);
  }

  #take(loop: Loop): void {
    const index = loop.heapIndex;
    const last = this.#heap.pop()!;
    loop.heapIndex = -1;
    if (last === loop) return;
    if (index > 0 && last.dueMs < this.#heap[(index - 1) >> 1]!.dueMs) this.#siftUp(last, index);
    else this.#siftDown(last, index);
  }

  #siftUp(loop: Loop, index: number): void {
    const heap = this.#heap;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex]!;
      if (parent.dueMs <= loop.dueMs) break;
      heap[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    heap[index] = loop;
    loop.heapIndex = index;
  }

  #siftDown(loop: Loop, index: number): void {
    const heap = this.#heap;
    const half = heap.length >> 1;
    while (index < half) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex]!;
      const right = heap[childIndex + 1];
      if (right !== undefined && right.dueMs < child.dueMs) {
        child = right;
        childIndex++;
      }
      if (loop.dueMs <= child.dueMs) break;
      heap[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    heap[index] = loop;
    loop.heapIndex = index;
  }
}
