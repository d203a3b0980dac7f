/**
 * A recorded match that can be at any tick: the simulation runs here, in the browser, from the recorded inputs. A
 * snapshot every few seconds makes going back as quick as going on.
 */
import { type Hash64, hashText } from '../../../src/kernel/hash.ts';
import { createWorld, decodeEntry } from '../../../src/kernel/replay-check.ts';
import type { Replay } from '../../../src/kernel/replay-file.ts';
import type { Simulation } from '../../../src/kernel/simulation.ts';
import type { Verdict } from '../probe-facts.ts';

const SNAPSHOT_SECONDS = 3;
/** Beyond this the snapshots are further apart: a day-long match must not fill the memory. */
const SNAPSHOTS_MAX = 1024;

export class Timeline<World, Intent> {
  /** The world after entry `tick - 1`. */
  world: World;
  readonly replay: Replay;
  readonly ticks: number;
  readonly #sim: Simulation<World, Intent>;
  readonly #snapshotEveryTicks: number;
  /** Element k is the world at tick `k * snapshotEveryTicks`. */
  readonly #snapshots: Uint8Array[];
  /** The one that checks hashes and takes snapshots, ahead of what is watched. */
  #scout: World | undefined;
  #verdict: Verdict = { kind: 'checking', tick: 0 };
  #hashes = 0;
  readonly #hash: Hash64 = { hi: 0, lo: 0 };

  /** @throws GameError REPLAY_VERSION, REPLAY_CORRUPT */
  constructor(sim: Simulation<World, Intent>, replay: Replay) {
    this.#sim = sim;
    this.replay = replay;
    this.ticks = replay.entries.length;
    this.world = createWorld(sim, replay);
    this.#scout = createWorld(sim, replay);
    this.#snapshotEveryTicks = Math.max(
      SNAPSHOT_SECONDS * replay.header.tickRateHz,
      Math.ceil(this.ticks / SNAPSHOTS_MAX),
    );
    this.#snapshots = [sim.encode(this.world)];
    if (this.ticks === 0) this.#verdict = { kind: 'verified', hashes: 0 };
  }

  get tick(): number {
    return this.#sim.tickOf(this.world);
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** Ticks that are covered by snapshots. */
  get scoutedTicks(): number {
    return this.#scout === undefined ? this.ticks : this.#sim.tickOf(this.#scout);
  }

  /** One tick on; false at the end. @throws GameError REPLAY_CORRUPT */
  step(): boolean {
    const { tick } = this;
    if (tick >= this.ticks) return false;
    this.#sim.step(this.world, decodeEntry(this.#sim, this.replay, tick));
    return true;
  }

  /** Goes to the world after entry `tick - 1`, from the nearest snapshot before it. @throws GameError REPLAY_CORRUPT */
  seek(tick: number): void {
    const target = Math.max(0, Math.min(this.ticks, Math.floor(tick)));
    const nearest = Math.min(Math.floor(target / this.#snapshotEveryTicks), this.#snapshots.length - 1);
    const isForward = target >= this.tick && nearest * this.#snapshotEveryTicks <= this.tick;
    if (!isForward) this.world = this.#sim.decode(this.#snapshots[nearest]!);
    while (this.tick < target && this.step());
  }

  /**
   * Checks hashes and takes snapshots for at most about `budgetMs`.
   * @returns false when there is nothing left to do
   * @throws GameError REPLAY_CORRUPT
   */
  scout(budgetMs: number): boolean {
    const world = this.#scout;
    if (world === undefined) return false;
    const endsAtMs = performance.now() + budgetMs;
    while (performance.now() < endsAtMs) {
      for (let i = 0; i < 16; i++) {
        const tick = this.#sim.tickOf(world);
        if (tick >= this.ticks) {
          this.#scout = undefined;
          if (this.#verdict.kind === 'checking') this.#verdict = { kind: 'verified', hashes: this.#hashes };
          return false;
        }
        this.#sim.step(world, decodeEntry(this.#sim, this.replay, tick));
        this.#check(world, tick);
        if ((tick + 1) % this.#snapshotEveryTicks === 0) this.#snapshots.push(this.#sim.encode(world));
      }
    }
    if (this.#verdict.kind === 'checking') this.#verdict = { kind: 'checking', tick: this.#sim.tickOf(world) };
    return true;
  }

  #check(world: World, tick: number): void {
    if (this.#verdict.kind !== 'checking') return;
    const { header, hashes } = this.replay;
    const isLast = tick === this.ticks - 1;
    const recorded =
      (tick + 1) % header.hashEveryTicks === 0 ? hashes[(tick + 1) / header.hashEveryTicks - 1] : undefined;
    if (recorded === undefined && !isLast) return;
    const simulated = hashText(this.#sim.hash(world, this.#hash));
    if (recorded !== undefined) this.#hashes++;
    const isSame =
      (recorded === undefined || hashText(recorded) === simulated) && (!isLast || header.finalHash === simulated);
    if (!isSame) this.#verdict = { kind: 'diverged', tick };
  }
}
