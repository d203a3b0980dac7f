/**
 * One's own avatar, ahead of the server: every input is stepped at once by the very mover the server runs, and
 * corrected from the state that acknowledges it. Counts where the two disagree.
 */
import type { InputHandle, Predict, Reconciler, RoomClock } from '@colyseus/sdk';
import type { ArenaInput } from '../../../schema/arena-input.ts';
import { type ArenaState, AVATAR_FLAGS, type Avatar } from '../../../schema/arena-state.ts';
import { type Body, stepBody } from '../../../src/sim/body.ts';
import type { ArenaMap } from '../../../src/sim/map.ts';
import { UNITS_PER_METRE } from '../../../src/sim/tuning.ts';
import type { PredictionFacts } from '../probe-facts.ts';

/** Fields that moving reads and writes. */
const FIELDS = ['x', 'y', 'vx', 'vy', 'dash'] as const;
/** A correction decays to a third in this time. */
const SMOOTH_MS = 80;
/** Beyond this a correction is a respawn and is not smoothed. */
const SNAP_UNITS = 3 * UNITS_PER_METRE;
/** Predicted states kept, by input sequence number; a power of two above the inputs that can be in flight. */
const HISTORY = 256;
/** How long a blow, a death or a stall explains a disagreement. */
const CAUSE_MS = 1500;

/** Silent for this long, as a hidden tab is, the body coasts on the server: it waits for a frame for 8 ticks. */
const SILENT_MS = 200;
/** An acknowledgement this much later than usual tells of a stall on the way, with the same effect. */
const LATE_MS = 150;

/** Counts since the last report, as the server's `report` command takes them. */
export interface PredictionReport {
  corrections: number;
  desyncs: number;
  maxErrorUnits: number;
  ticks: number;
}

export class Prediction {
  readonly avatar: Avatar;
  /** A disagreement was corrected. */
  onCorrection: () => void = () => undefined;
  readonly #reconciler: Reconciler<Body, ArenaInput>;
  readonly #input: InputHandle<ArenaInput>;
  readonly #isPlayed: () => boolean;
  readonly #history = new Int32Array(HISTORY * FIELDS.length);
  readonly #historySeq = new Float64Array(HISTORY).fill(-1);
  readonly #stepMs: number;
  readonly #clock: Pick<RoomClock, 'smoothedRtt'>;
  #report: PredictionReport = { corrections: 0, desyncs: 0, maxErrorUnits: 0, ticks: 0 };
  #corrections = 0;
  #desyncs = 0;
  #hp: number;
  #wasAlive: boolean;
  #causeUntilMs = 0;
  #sentAtMs = 0;
  #epoch: number;

  /**
   * @param clock the room's, for telling what a late acknowledgement is
   * @param isPlayed whether inputs count in the present phase
   */
  constructor(
    predict: Predict<ArenaState>,
    input: InputHandle<ArenaInput>,
    avatar: Avatar,
    map: ArenaMap,
    stepMs: number,
    clock: Pick<RoomClock, 'smoothedRtt'>,
    isPlayed: () => boolean,
  ) {
    this.avatar = avatar;
    this.#isPlayed = isPlayed;
    this.#clock = clock;
    this.#stepMs = stepMs;
    this.#input = input;
    this.#hp = avatar.hp;
    this.#wasAlive = this.isAlive;
    this.#epoch = input.epoch;
    this.#reconciler = predict.reconciler(avatar as Body, {
      input,
      fields: FIELDS,
      stepMs,
      smoothMs: SMOOTH_MS,
      snap: SNAP_UNITS,
      step: (context, body, command) => {
        // The dead do not move, nor anybody after the end, on the server neither.
        if (this.isMoving) stepBody(body, command, map);
        this.#remember(context.tick, body);
      },
      onReconcile: (acknowledged) => this.#compare(acknowledged),
    }) as Reconciler<Body, ArenaInput>;
  }

  get isAlive(): boolean {
    return (this.avatar.flags & AVATAR_FLAGS.ALIVE) !== 0;
  }

  /** Whether inputs move the avatar at all. */
  get isMoving(): boolean {
    return this.isAlive && this.#isPlayed();
  }

  /** Exact predicted state, 1/64 m. */
  get body(): Body {
    return this.#reconciler.state;
  }

  get facts(): PredictionFacts {
    const { body, avatar } = this;
    let errorUnits = 0;
    for (const field of FIELDS) errorUnits = Math.max(errorUnits, Math.abs(body[field] - avatar[field]));
    return {
      predicted: { x: body.x, y: body.y },
      authoritative: { x: avatar.x, y: avatar.y },
      errorUnits,
      pendingInputs: this.#input.pendingCount,
      corrections: this.#corrections,
      desyncs: this.#desyncs,
    };
  }

  /** Something on the server moves us: for a while a disagreement has a cause. */
  noteCause(nowMs = performance.now()): void {
    this.#causeUntilMs = nowMs + CAUSE_MS;
  }

  /** Call once for each input sent. */
  noteSent(nowMs: number): void {
    // The server lets a body coast that it hears nothing of: after a hidden tab or a stall.
    if (this.#sentAtMs > 0 && nowMs - this.#sentAtMs > SILENT_MS) this.noteCause(nowMs);
    this.#sentAtMs = nowMs;
    this.#report.ticks++;
  }

  /** The counts since the last call. */
  takeReport(): PredictionReport {
    const report = this.#report;
    this.#report = { corrections: 0, desyncs: 0, maxErrorUnits: 0, ticks: 0 };
    return report;
  }

  dispose(): void {
    this.#reconciler.dispose();
  }

  #remember(seq: number, body: Body): void {
    const slot = seq % HISTORY;
    this.#historySeq[slot] = seq;
    for (let i = 0; i < FIELDS.length; i++) this.#history[slot * FIELDS.length + i] = body[FIELDS[i]!];
  }

  /** Replay only touches later inputs, so what was predicted for the acknowledged one is still in its slot. */
  #compare(acknowledged: number): void {
    const nowMs = performance.now();
    const { avatar, isAlive } = this;
    const isSilent = this.#sentAtMs > 0 && nowMs - this.#sentAtMs > SILENT_MS;
    if (avatar.hp < this.#hp || isAlive !== this.#wasAlive || isSilent) this.noteCause(nowMs);
    this.#hp = avatar.hp;
    this.#wasAlive = isAlive;
    if (this.#input.epoch !== this.#epoch) {
      this.#epoch = this.#input.epoch;
      this.#historySeq.fill(-1);
      this.noteCause(nowMs);
      return;
    }
    // A frame that was long on its way may have come after the server had let the body coast.
    const ageMs = (this.#input.sentCount - acknowledged) * this.#stepMs;
    if (ageMs > this.#clock.smoothedRtt() + LATE_MS) this.noteCause(nowMs);
    const slot = acknowledged % HISTORY;
    if (this.#historySeq[slot] !== acknowledged) return;
    let errorUnits = 0;
    for (let i = 0; i < FIELDS.length; i++) {
      const predicted = this.#history[slot * FIELDS.length + i]!;
      errorUnits = Math.max(errorUnits, Math.abs(predicted - avatar[FIELDS[i]!]));
    }
    if (errorUnits === 0) return;
    this.#corrections++;
    this.#report.corrections++;
    if (errorUnits > this.#report.maxErrorUnits) this.#report.maxErrorUnits = errorUnits;
    if (nowMs > this.#causeUntilMs) {
      this.#desyncs++;
      this.#report.desyncs++;
    }
    this.onCorrection();
  }
}
