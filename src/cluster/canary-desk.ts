/**
 * The state of the canary as this process knows it: one for the whole cluster, kept where all processes read it, changed by
 * one command. Where that store does not answer, the last state known goes on.
 */
import { GameError } from '../kernel/errors.ts';
import {
  type CanaryState,
  isKeeper,
  isOfRoleCohort,
  NO_CANARY,
  placesFor,
  type Track,
  trackOfBuild,
  trackOfJoin,
} from './canary.ts';
import type { ProcessCard } from './directory.ts';

/** A change that did not reach this process is seen after so long, ms. */
const LOOK_EVERY_MS = 5_000;

export interface CanaryRecord {
  readonly state: CanaryState;
  /** Grows with every change; 0 if there never was one. */
  readonly revision: number;
  /** Who changed it last, such as a player id; empty if nobody did. */
  readonly by: string;
}

/** Where the state is kept. Its rules are test/contract/canary-store.contract.ts. All of it @throws STORE_UNAVAILABLE */
export interface CanaryStore {
  read(): Promise<CanaryRecord>;
  /** Sets another state, if `revision` is still that of the record. @returns whether it was */
  write(state: CanaryState, by: string, revision: number): Promise<boolean>;
  /** Calls back when somebody has changed the record; it may also miss one. Returns what ends it. */
  onChange(listener: () => void): () => void;
  isMember(cohort: string, playerId: string): Promise<boolean>;
  /** In the order of their ids; at most `COHORT_PLAYERS_MAX`. */
  members(cohort: string): Promise<readonly string[]>;
  /** All or none. @returns how many were new @throws GameError COHORT_FULL */
  addMembers(cohort: string, playerIds: readonly string[]): Promise<number>;
  /** @returns how many there were */
  removeMembers(cohort: string, playerIds: readonly string[]): Promise<number>;
}

/** What the server itself knows of a player, never what a client says. */
export interface CohortPlayer {
  readonly playerId: string;
  readonly role: string;
}

export interface CanaryDeskOptions {
  readonly store: CanaryStore;
  readonly buildId: string;
  /** Set if nobody ever set any other. */
  readonly initial: CanaryState | undefined;
  readonly processes: () => readonly ProcessCard[];
  readonly onChange: (record: CanaryRecord) => void;
  /** The store did not answer; once until it does again. */
  readonly onFault: (error: unknown) => void;
  readonly lookEveryMs?: number;
}

export class CanaryDesk {
  readonly #options: CanaryDeskOptions;
  #record: CanaryRecord = { state: NO_CANARY, revision: 0, by: '' };
  #isFaulty = false;
  #looking: Promise<void> | undefined;
  #stopWatching: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CanaryDeskOptions) {
    this.#options = options;
  }

  /** Never rejects: without its store a process goes on with its own initial state. */
  async start(): Promise<void> {
    const { store, initial, lookEveryMs = LOOK_EVERY_MS } = this.#options;
    if (initial !== undefined) this.#record = { ...this.#record, state: initial };
    this.#stopWatching = store.onChange(() => void this.look());
    this.#timer = setInterval(() => void this.look(), lookEveryMs);
    this.#timer.unref();
    await this.look();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopWatching();
    await this.#looking;
  }

  get record(): CanaryRecord {
    return this.#record;
  }

  /** Of the matches of this process. */
  get track(): Track {
    return trackOfBuild(this.#record.state, this.#options.buildId);
  }

  /**
   * Which rooms a player may be put into who asks for any; undefined: all. While the store is away it is of no list.
   * @param who asked only where it matters; undefined for nobody that is known
   */
  async trackOfJoin(who: () => Promise<CohortPlayer | undefined>): Promise<Track | undefined> {
    const { state } = this.#record;
    const player = state.phase === 'cohort' ? await who() : undefined;
    const isMember = state.phase === 'cohort' && player !== undefined && (await this.#isOfCohort(state.cohort, player));
    return trackOfJoin(state, isMember, this.#options.processes());
  }

  /** Among which processes a new match is placed, best first, see `placesFor`. */
  placesFor(match: {
    readonly matchId: string | undefined;
    readonly track: Track | undefined;
  }): readonly (readonly ProcessCard[])[] {
    return placesFor(this.#record.state, match, this.#options.processes());
  }

  /** Whether a process is a good one to go on with a match of that build, see `isKeeper`. */
  isKeeper(buildId: string, card: ProcessCard): boolean {
    return isKeeper(this.#record.state, buildId, card);
  }

  /**
   * Changes the state for all processes.
   * @param change of the state as it is now; may refuse by throwing
   * @throws GameError CANARY_CHANGED if somebody else was faster, STORE_UNAVAILABLE
   */
  async change(by: string, change: (state: CanaryState) => CanaryState): Promise<CanaryRecord> {
    const { store } = this.#options;
    const { state, revision } = await store.read();
    if (!(await store.write(change(state), by, revision))) throw new GameError('CANARY_CHANGED');
    await this.look();
    return this.#record;
  }

  /** Reads the record; several at once are one. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { store, initial, onChange, onFault } = this.#options;
    try {
      let record = await store.read();
      const own = this.#record;
      // Of several processes one is the first, and what it set stands.
      const isNew = record.revision === 0 && own.revision === 0 && initial !== undefined;
      // A store that forgot everything is told again: a bad build must not come back with an empty Redis.
      const isForgotten = record.revision <= own.revision && record.by === '' && own.by !== '';
      if (isNew || isForgotten) {
        await store.write(isNew ? initial : own.state, own.by, record.revision);
        record = await store.read();
      }
      this.#isFaulty = false;
      // Revisions begin anew in a store that forgot them.
      if (JSON.stringify(record) === JSON.stringify(this.#record)) return;
      this.#record = record;
      onChange(record);
    } catch (error) {
      if (!this.#isFaulty) onFault(error);
      this.#isFaulty = true;
    }
  }

  async #isOfCohort(cohort: string, { playerId, role }: CohortPlayer): Promise<boolean> {
    try {
      return isOfRoleCohort(cohort, role) ?? (await this.#options.store.isMember(cohort, playerId));
    } catch (error) {
      if (error instanceof GameError) return false;
      throw error;
    }
  }
}
