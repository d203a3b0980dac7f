/**
 * Input discipline: turns what clients send into the intents of one tick, at most one step per elapsed
 * tick in the long run, whatever they send.
 */
import { type InputAPI, type Room, RoomPlugin } from '@colyseus/core';
import type { SeatIntent } from '../kernel/simulation.ts';
import { hasPlainStamps, replaceInputStore, tapFrames } from './colyseus-internals.ts';
import { type FieldRanges, FrameLayout, type InputQueue, InputRing } from './input-ring.ts';

/** Frames one seat may have waiting; above it the oldest is dropped, acknowledged and counted. */
export const INPUT_QUEUE_MAX = 16;
/** Intents of one seat in one tick: the present one and a bounded catch-up after network jitter. */
export const INTENTS_PER_TICK_MAX = 4;
/** Ticks that a seat may save up by being late, and spend on catching up. */
export const INPUT_CREDIT_MAX_TICKS = 8;
/** Dropped frames in one second from which a client is told that it sends too much. */
const FLOOD_DROPS_PER_SECOND = 10;
/** Patches whose send times are kept for finding what a shooter saw; at 60 patches/s one second. */
const PATCH_TIMES = 64;

/** How a game turns frames into intents. */
export interface InputBinding<Frame, Intent> {
  /** The room's `defineInput` result, with `bufferMaxSize: INPUT_QUEUE_MAX`. */
  readonly inputs: InputAPI<Frame>;
  /** As given to `defineInput`. With both, frames are read straight from the sockets that can be tapped. */
  readonly type?: new () => Frame;
  readonly sanitize?: unknown;
  readonly totals: InputTotals;
  readonly tickRateHz: number;
  /** Furthest a shooter may look back, ms. */
  readonly rewindMaxMs: number;
  /** Parts of a tick in which `rewind` is counted. */
  readonly rewindPartsPerTick: number;
  /**
   * @param rewind how long before the last completed tick the sender saw the others, in parts of a tick,
   *   already clamped; 0 when the client does not say
   * @param frame to be read during the call only
   */
  toIntent(frame: Frame, rewind: number): Intent;
  /** A client sends far more than one frame a tick; called at most once a second for each. */
  onFlood(sessionId: string): void;
}

/** Plain counters of one process, for the metrics endpoint. */
export class InputTotals {
  /** Frames turned into intents. */
  applied = 0;
  /** Frames dropped because the seat's queue was full. */
  dropped = 0;
  /** Seconds in which a client was found flooding. */
  floods = 0;
}

interface SeatInput {
  readonly sessionId: string;
  readonly seat: number;
  /** Of its own; where undefined, the framework has it. */
  readonly ring: InputQueue<unknown> | undefined;
  creditTicks: number;
  consumed: number;
  taken: number;
  droppedThisSecond: number;
}

/** RoomPlugin `input`: one credit per seat and tick, so flooding and speed hacks gain nothing. */
export class InputPlugin extends RoomPlugin<Room> {
  override readonly pluginName = 'input' as const;
  // biome-ignore lint/suspicious/noExplicitAny: the binding's types meet in `start`, which is generic
  #binding: InputBinding<any, any> | undefined;
  readonly #seats: (SeatInput | undefined)[] = [];
  readonly #patchTicks = new Float64Array(PATCH_TIMES);
  readonly #patchTimesMs = new Float64Array(PATCH_TIMES);
  #patches = 0;
  #layout: FrameLayout | undefined;

  start<Frame, Intent>(binding: InputBinding<Frame, Intent>): void {
    this.#binding = binding;
    const { type, sanitize } = binding;
    const isByField = typeof sanitize === 'object' && sanitize !== null;
    this.#layout =
      type !== undefined && isByField && hasPlainStamps(this.room)
        ? FrameLayout.of(type, sanitize as FieldRanges)
        : undefined;
  }

  /** From now on the session's frames are the seat's. Call at join and again after a reconnect. */
  seat(sessionId: string, seat: number): void {
    this.#seats[seat] = {
      sessionId,
      seat,
      ring: this.#ringOf(sessionId),
      creditTicks: 0,
      consumed: this.#binding?.inputs.get(sessionId).consumedCount ?? 0,
      taken: 0,
      droppedThisSecond: 0,
    };
  }

  #ringOf(sessionId: string): InputQueue<unknown> | undefined {
    const layout = this.#layout;
    const client = layout === undefined ? undefined : this.room.clients.getById(sessionId);
    if (layout === undefined || client === undefined) return undefined;
    const { clock, maxMessagesPerSecond } = this.room;
    const ring = new InputRing(client, {
      layout,
      capacity: INPUT_QUEUE_MAX,
      framesPerSecondMax: maxMessagesPerSecond,
      now: () => clock.currentTime,
    });
    if (!tapFrames(client, ring)) return undefined;
    replaceInputStore(client, ring);
    return ring;
  }

  unseat(seat: number): void {
    this.#seats[seat] = undefined;
  }

  /** Remembers when a tick's state was sent: clients name what they saw by that clock (ms since room start). */
  notePatch(tick: number, sentAtMs: number): void {
    const at = this.#patches++ % PATCH_TIMES;
    this.#patchTicks[at] = tick;
    // The wire carries whole milliseconds.
    this.#patchTimesMs[at] = Math.floor(sentAtMs);
  }

  /** Appends this tick's intents in ascending seat order. */
  collect<Intent>(tick: number, into: SeatIntent<Intent>[]): void {
    const binding = this.#binding;
    if (binding === undefined) return;
    const isNewSecond = tick % binding.tickRateHz === 0;
    for (const seat of this.#seats) {
      if (seat === undefined) continue;
      if (seat.creditTicks < INPUT_CREDIT_MAX_TICKS) seat.creditTicks++;
      const queue: InputQueue<unknown> = seat.ring ?? binding.inputs.get(seat.sessionId);
      let budget = Math.min(seat.creditTicks, INTENTS_PER_TICK_MAX);
      while (budget-- > 0) {
        const frame = queue.next();
        if (frame === undefined) break;
        seat.creditTicks--;
        seat.taken++;
        into.push({ seat: seat.seat, intent: binding.toIntent(frame, this.#rewindOf(queue.renderTime, tick)) });
        binding.totals.applied++;
      }
      // What the queue counts as consumed beyond what was taken, it dropped for want of room.
      const dropped = queue.consumedCount - seat.consumed - seat.taken;
      if (dropped > 0) {
        seat.taken += dropped;
        seat.droppedThisSecond += dropped;
        binding.totals.dropped += dropped;
      }
      if (isNewSecond) {
        if (seat.droppedThisSecond >= FLOOD_DROPS_PER_SECOND) {
          binding.totals.floods++;
          binding.onFlood(seat.sessionId);
        }
        seat.droppedThisSecond = 0;
      }
    }
  }

  /** Parts of a tick between what a client displayed at `renderTimeMs` and the state after tick - 1. */
  #rewindOf(renderTimeMs: number, tick: number): number {
    const binding = this.#binding;
    // 0 is "not stamped"; a hostile stamp may be anything, NaN included.
    if (binding === undefined || !(renderTimeMs > 0) || this.#patches === 0) return 0;
    const oldest = Math.max(0, this.#patches - PATCH_TIMES);
    let seen = -1;
    for (let i = this.#patches - 1; i >= oldest; i--) {
      const at = i % PATCH_TIMES;
      const sentMs = this.#patchTimesMs[at]!;
      if (sentMs > renderTimeMs && i > oldest) continue;
      seen = this.#patchTicks[at]!;
      if (i + 1 < this.#patches && renderTimeMs > sentMs) {
        const next = (i + 1) % PATCH_TIMES;
        const spanMs = this.#patchTimesMs[next]! - sentMs;
        if (spanMs > 0) seen += ((renderTimeMs - sentMs) / spanMs) * (this.#patchTicks[next]! - seen);
      }
      break;
    }
    const maxParts = Math.floor((binding.rewindMaxMs * binding.tickRateHz * binding.rewindPartsPerTick) / 1000);
    const parts = Math.round((tick - 1 - seen) * binding.rewindPartsPerTick);
    return Math.min(Math.max(parts, 0), maxParts);
  }
}
