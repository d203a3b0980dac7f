/**
 * Records the match of a room: header, every entry with the hash of the world after it, snapshots, end; and then
 * hands it over to be settled. Knows no game. Whatever happens to the store, the match goes on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, type Room, RoomPlugin } from '@colyseus/core';
import { ByteWriter } from '../kernel/bytes.ts';
import { writeEntry } from '../kernel/entry-codec.ts';
import { GameError } from '../kernel/errors.ts';
import { crc32, type Hash64 } from '../kernel/hash.ts';
import type { MatchHeader, MatchResult } from '../kernel/match-header.ts';
import type { Entry, Simulation } from '../kernel/simulation.ts';
import { holdFrames } from './colyseus-internals.ts';
import { HoldBack } from './hold-back.ts';
import { type JournalWriter, type MatchJournal, RECORD_MAX_BYTES } from './journal.ts';
import type { MatchSettler } from './settler.ts';

export type { JournalReading, JournalTotals } from './journal-totals.ts';

/** A restored match re-simulates at most this long. */
const SNAPSHOT_EVERY_SECONDS = 2;
/** Longest that a room which is disposed waits for its match to be settled, ms; the settler goes on without it. */
const SETTLE_MS = 5_000;

/**
 * `wal`: no frame leaves the room before the tick it shows is durable, so that nothing anybody saw is ever taken back;
 * while the journal does not acknowledge, the room stands still (see hold-back.ts). `batch`: recorded, at most 50 ms
 * behind. `off`: not recorded, and the hash is not taken.
 */
export type Durability = 'wal' | 'batch' | 'off';

export interface JournalOptions<World, Intent> {
  readonly sim: Simulation<World, Intent>;
  /** The world before its next tick; of a new match, as `sim.create` made it. */
  readonly world: World;
  readonly header: MatchHeader;
  readonly journal: MatchJournal;
  /** To whom the match goes when it has ended; without it the journal keeps it. */
  readonly settler?: Pick<MatchSettler, 'settle'>;
  /** Of a match that was taken over: the claim, and what its entries after it are appended to. */
  readonly writer?: JournalWriter;
  /** Snapshots are taken by {@link JournalPlugin.snapshot}, when {@link JournalPlugin.isSnapshotDue}. Default: by `record`. */
  readonly isSnapshotOnCall?: boolean;
  /** Default `batch`. */
  readonly durability?: Durability;
  /** At most once: the match goes on unrecorded. */
  readonly onFault: (error: unknown) => void;
  /** A snapshot is larger than a record may be, and left out: until one fits, going on takes all since the last that did. */
  readonly onTooLarge?: (bytes: number) => void;
  /** With `wal`: the room stands still from now on, or goes on. */
  readonly onFreeze?: (isFrozen: boolean) => void;
}

interface Match {
  readonly sim: Simulation<unknown, unknown>;
  readonly header: MatchHeader;
  readonly settler: Pick<MatchSettler, 'settle'> | undefined;
}

interface Recording {
  readonly sim: Simulation<unknown, unknown>;
  readonly writer: JournalWriter;
  readonly snapshotEveryTicks: number;
  readonly snapshotPhaseTicks: number;
  readonly isSnapshotOnCall: boolean;
  readonly onTooLarge: ((bytes: number) => void) | undefined;
  readonly onFreeze: ((isFrozen: boolean) => void) | undefined;
  readonly onFault: (error: unknown) => void;
}

export class JournalPlugin extends RoomPlugin<Room> {
  override readonly pluginName = 'journal' as const;
  readonly #entry = new ByteWriter();
  readonly #hash: Hash64 = { hi: 0, lo: 0 };
  /** Until it ends. */
  #match: Match | undefined;
  #recording: Recording | undefined;
  #hold: HoldBack | undefined;
  #isFrozen = false;
  #failure: unknown;
  #isSnapshotDue = false;
  #archiving: Promise<boolean> = Promise.resolve(false);
  #settling: Promise<boolean> = Promise.resolve(false);

  /** Why the match is not recorded, or not to its end. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Whether the room is to be taken down by {@link snapshot}, as soon as that is possible. */
  get isSnapshotDue(): boolean {
    return this.#isSnapshotDue && this.#recording !== undefined;
  }

  /** Of the owner that writes now; 0 while nothing is recorded. */
  get epoch(): number {
    return this.#recording?.writer.epoch ?? 0;
  }

  /** Settles once the ended match is a replay (true) or will not be one for now (false). */
  get archived(): Promise<boolean> {
    return this.#archiving;
  }

  /** Settles once everything that follows from the match is durable (true) or has to be tried again (false). */
  get settled(): Promise<boolean> {
    return this.#settling;
  }

  /** Begins the recording; resolves once the header is durable. Never rejects for the store's sake: see `onFault`. */
  async begin<World, Intent>(options: JournalOptions<World, Intent>): Promise<void> {
    const { world, header, journal, onFault } = options;
    // The plugin passes world and intents through; only the simulation looks inside.
    const sim = options.sim as Simulation<unknown, unknown>;
    this.#match = { sim, header, settler: options.settler };
    if (options.durability === 'off') return;
    const snapshotEveryTicks = SNAPSHOT_EVERY_SECONDS * header.tickRateHz;
    let writer: JournalWriter;
    try {
      writer = options.writer ?? (await journal.open(header, 1));
    } catch (error) {
      if (!(error instanceof GameError)) throw error;
      this.#failure = error;
      onFault(error);
      return;
    }
    this.#recording = {
      sim,
      writer,
      snapshotEveryTicks,
      // Rooms of one process would otherwise all encode their worlds in the same tick.
      snapshotPhaseTicks: crc32(new TextEncoder().encode(header.matchId)) % snapshotEveryTicks,
      isSnapshotOnCall: options.isSnapshotOnCall === true,
      onTooLarge: options.onTooLarge,
      onFreeze: options.onFreeze,
      onFault,
    };
    if (options.durability === 'wal') this.#hold = new HoldBack();
    if (options.isSnapshotOnCall === true) this.#isSnapshotDue = options.writer === undefined;
    else this.#snapshot(this.#recording, world);
  }

  /** Records what the world just consumed; call right after `sim.step`. A few microseconds; throws only for a bug. */
  record<World, Intent>(entry: Entry<Intent>, world: World): void {
    const recording = this.#recording;
    if (recording === undefined || this.#isBroken(recording)) return;
    const { sim, writer, snapshotEveryTicks, snapshotPhaseTicks, isSnapshotOnCall } = recording;
    writeEntry(this.#entry.clear(), entry, sim);
    writer.entry(entry.tick, this.#entry.view(), sim.hash(world, this.#hash));
    const next = entry.tick + 1;
    if (next % snapshotEveryTicks === snapshotPhaseTicks) {
      if (isSnapshotOnCall) this.#isSnapshotDue = true;
      else this.#snapshot(recording, world);
    }
    if (this.#hold !== undefined) this.#holdUntilDurable(this.#hold, recording);
  }

  /** A client has a socket, or another one: with `wal` what leaves for it is held back. Call before anything does. */
  attach(client: Client): void {
    if (this.#hold !== undefined) holdFrames(client, this.#hold);
  }

  /** False where the room must not tick: its players could not be shown it. Ask before each tick. */
  get mayTick(): boolean {
    const isFrozen = this.#hold?.isFull === true;
    if (isFrozen !== this.#isFrozen) {
      this.#isFrozen = isFrozen;
      this.#recording?.onFreeze?.(isFrozen);
    }
    return !isFrozen;
  }

  /** With `wal`: what is sent from now on waits until all that was recorded is durable, as it does after every entry. */
  holdBack(): void {
    const recording = this.#recording;
    if (this.#hold === undefined || recording === undefined || this.#isBroken(recording)) return;
    this.#holdUntilDurable(this.#hold, recording);
  }

  #holdUntilDurable(hold: HoldBack, recording: Recording): void {
    const upTo = hold.record();
    recording.writer.flush().then(
      () => hold.release(upTo),
      (error: unknown) => {
        // Who was fenced does not know what has become of the match; without a journal there is nobody who could.
        if (error instanceof GameError && error.code === 'JOURNAL_FENCED') hold.shut();
        else hold.open();
        this.#isBroken(recording);
      },
    );
  }

  /** The world before its next tick, and the room around it: from these two the room can be made again. */
  snapshot<World>(world: World, capture: Uint8Array): void {
    const recording = this.#recording;
    this.#isSnapshotDue = false;
    if (recording === undefined || this.#isBroken(recording)) return;
    this.#snapshot(recording, world, capture);
  }

  /** Too large a record would end the recording; the newest that fitted is as good a start, only further back. */
  #snapshot({ sim, writer, onTooLarge }: Recording, world: unknown, capture?: Uint8Array): void {
    const snapshot = sim.encode(world);
    const bytes = snapshot.length + (capture?.length ?? 0);
    if (bytes > RECORD_MAX_BYTES) onTooLarge?.(bytes);
    else writer.snapshot(sim.tickOf(world), snapshot, capture);
  }

  /** Records who holds which seat, JSON-able; opaque to the journal, never part of a replay. */
  session(facts: Readonly<Record<string, unknown>>): void {
    const recording = this.#recording;
    if (recording === undefined || this.#isBroken(recording)) return;
    recording.writer.session(new TextEncoder().encode(JSON.stringify(facts)));
    // Also while no tick runs: who is told that it is in must be in whatever happens.
    if (this.#hold !== undefined) this.#holdUntilDurable(this.#hold, recording);
  }

  /** Lets go of a match that goes on elsewhere: nothing more is recorded, and nobody is told that it ended. */
  async abandon(): Promise<void> {
    const recording = this.#recording;
    this.#match = undefined;
    this.#recording = undefined;
    await recording?.writer.close();
  }

  /**
   * Resolves once all that was recorded is durable, or at once when the match is not recorded.
   * @throws GameError JOURNAL_UNAVAILABLE, JOURNAL_FENCED
   */
  async flush(): Promise<void> {
    await this.#recording?.writer.flush();
  }

  /**
   * Records the end; resolves once it is durable or cannot become so. The result and the replay file follow in the
   * background, see `archived` and `settled`; the result also of a match that is not recorded. A match that is disposed
   * without this counts as cut short, and its journal is kept.
   */
  async finish<World>(world: World, result: MatchResult): Promise<void> {
    const match = this.#match;
    if (match === undefined) return;
    this.#match = undefined;
    const recording = this.#recording;
    this.#recording = undefined;
    const { sim, header, settler } = match;
    const { reason, participants = [] } = result;
    const ticks = sim.tickOf(world);
    const hand = (isRecorded: boolean): ReturnType<MatchSettler['settle']> | undefined =>
      this.#isFenced ? undefined : settler?.settle({ header, ticks, reason, participants }, { isRecorded });
    let closing = Promise.resolve();
    if (recording !== undefined) {
      recording.writer.end(ticks, sim.hash(world, this.#hash), result);
      closing = recording.writer.close();
    }
    // From now on, not from when it is durable: a room that is disposed meanwhile waits for it.
    const handed = closing.then(() => hand(recording !== undefined && !this.#isBroken(recording)));
    this.#archiving = handed.then((settling) => settling?.archived ?? false);
    this.#settling = handed.then((settling) => settling?.settled ?? false);
    await closing;
  }

  /** Another owner has taken the match over, and with it what becomes of it. */
  get #isFenced(): boolean {
    return this.#failure instanceof GameError && this.#failure.code === 'JOURNAL_FENCED';
  }

  #isBroken({ writer, onFault }: Recording): boolean {
    if (writer.failure === undefined) return false;
    if (this.#failure === undefined) {
      this.#failure = writer.failure;
      onFault(writer.failure);
    }
    return true;
  }

  protected override async onDispose(): Promise<void> {
    const recording = this.#recording;
    this.#match = undefined;
    this.#recording = undefined;
    await recording?.writer.close();
    const patience = new AbortController();
    const { signal } = patience;
    await Promise.race([this.#settling, delay(SETTLE_MS, undefined, { signal }).catch(() => undefined)]);
    patience.abort();
  }
}
