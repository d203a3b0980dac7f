/**
 * The journal of a match: everything that went into its simulation, in order, so that the match can be played
 * again, taken over by another process, or kept as a replay. This file is the port; its rules are
 * test/contract/match-journal.contract.ts, which every adapter runs.
 */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { GameError } from '../kernel/errors.ts';
import type { Hash64 } from '../kernel/hash.ts';
import { type MatchHeader, type MatchResult, parseMatchHeader, parseMatchResult } from '../kernel/match-header.ts';

/** Largest payload of one record; a world of 128 seats encodes to some tens of KiB. */
export const RECORD_MAX_BYTES = 4 * 2 ** 20;

/**
 * Tries to restore a match without an entry or a snapshot after them, from which on it is parked: nobody tries any more.
 * Not after the first: whoever tried may have died of something else.
 */
export const ADOPTION_TRIES_MAX = 2;

/** The newest snapshots a store keeps, once they are durable: what goes on from one needs no more. It may forget older ones. */
export const SNAPSHOTS_KEPT = 2;

/** What was appended and is not durable yet. */
export interface JournalLag {
  readonly records: number;
  readonly bytes: number;
}

/**
 * Appends to one match. The appending calls are synchronous, cost about a microsecond, copy what they are given and
 * never throw: a match goes on when its journal cannot. After `end`, `close` or a failure they do nothing.
 */
export interface JournalWriter {
  readonly matchId: string;
  readonly epoch: number;
  /** Why nothing more is recorded: JOURNAL_FENCED or JOURNAL_UNAVAILABLE. What was durable before stays valid. */
  readonly failure: GameError | undefined;
  readonly lag: JournalLag;
  /** What the match consumed in this tick and the hash of its world after it. Ticks are contiguous. */
  entry(tick: number, bytes: Uint8Array, hash: Hash64): void;
  /**
   * The world before entry `tick`, and, opaque to the journal, the room around it: one record of
   * {@link RECORD_MAX_BYTES} at most.
   */
  snapshot(tick: number, bytes: Uint8Array, room?: Uint8Array): void;
  /** Opaque to the journal: who holds which seat and token. */
  session(bytes: Uint8Array): void;
  /** The match ended before entry `tick`; `hash` is of its final world. Nothing follows. */
  end(tick: number, hash: Hash64, result: MatchResult): void;
  /** Who has claimed the match begins to restore it: a try in vain unless an entry, a snapshot or a withdrawal follows. */
  tryRestore(): void;
  /** The try came to nothing, for no fault of the match. */
  withdrawTry(): void;
  /**
   * Resolves once everything appended so far is durable.
   * @throws GameError JOURNAL_UNAVAILABLE, JOURNAL_FENCED
   */
  flush(): Promise<void>;
  /** Flushes what it can and lets go of the match; never rejects, see `failure`. */
  close(): Promise<void>;
}

export interface RecordedEntry {
  readonly tick: number;
  readonly bytes: Uint8Array;
  readonly hash: Hash64;
}

export interface RecordedSnapshot {
  readonly tick: number;
  readonly bytes: Uint8Array;
  readonly room?: Uint8Array;
  /** Place, among the session records that came with it, of the first one after it. */
  readonly nextSession: number;
}

export interface RecordedSession {
  /** Entries recorded before it, by the tick of the next. */
  readonly tick: number;
  readonly bytes: Uint8Array;
}

/** A match as the journal has it, from some tick on. */
export interface RecordedTail {
  readonly header: MatchHeader;
  readonly epoch: number;
  /** Tries to restore it since the last entry or snapshot was recorded, without those that were withdrawn. */
  readonly triesInVain: number;
  /** The newest {@link SNAPSHOTS_KEPT}, the older first. */
  readonly snapshots: readonly RecordedSnapshot[];
  /** Of the first entry, if there is one. */
  readonly firstTick: number;
  /** Contiguous. */
  readonly entries: readonly RecordedEntry[];
  /** Those since the first entry. */
  readonly sessions: readonly RecordedSession[];
  /** Absent while the match runs, and for ever when it was cut short. */
  readonly end?: { readonly tick: number; readonly hash: Hash64; readonly result: MatchResult };
  /** True when a half-written record was cut off the end, so that the last moments may be missing. */
  readonly isTorn: boolean;
}

/** All of a match. */
export interface RecordedMatch extends RecordedTail {
  readonly firstTick: 0;
}

/** `open`: a writer of this process holds it. `unfinished`: nobody does and it has no end. */
export type JournalState = 'open' | 'unfinished' | 'ended' | 'corrupt';

export interface JournalSummary {
  readonly matchId: string;
  readonly state: JournalState;
  /** Absent when the damage took the header. */
  readonly header?: MatchHeader;
  readonly epoch: number;
  /** Entries recorded. */
  readonly ticks: number;
  /** Durable bytes. */
  readonly bytes: number;
  readonly isTorn: boolean;
}

export interface JournalReader {
  /** Matches that the journal holds, oldest first. */
  list(): Promise<JournalSummary[]>;
  /**
   * A match as it is durable now; undefined when there is none of that id.
   * @throws GameError JOURNAL_CORRUPT if a record before the last is damaged or missing; other matches are unaffected
   */
  load(matchId: string): Promise<RecordedMatch | undefined>;
  /**
   * What is needed to go on with a match: its header and what follows its oldest kept snapshot; all of it when it has
   * none. Takes the same time however long the match is.
   * @throws GameError JOURNAL_CORRUPT if any of that is damaged or missing
   */
  loadTail(matchId: string): Promise<RecordedTail | undefined>;
}

/** Append-only store of running matches. */
export interface MatchJournal extends JournalReader {
  /**
   * When what the store last acknowledged was sent to it, heartbeats included, `performance.now()`; cheap. Older than
   * the others wait before they take over what a silent process owned, and its matches may be somebody else's: no tick
   * must run. Absent where no other process can take over.
   */
  readonly contactAtMs?: number;
  /**
   * Begins a match, or takes over one that has no end: its first header stays and the former writer is fenced, so
   * that of all who claim an epoch exactly one wins. Resolves once the claim is durable; `loadTail` afterwards gives
   * what there is to go on from.
   * @param epoch 1 for a new match; to take over, more than the store has seen
   * @throws GameError JOURNAL_FENCED if the store has seen this epoch or a later one
   * @throws GameError MATCH_ENDED, JOURNAL_CORRUPT
   * @throws GameError JOURNAL_UNAVAILABLE if the store cannot write
   */
  open(header: MatchHeader, epoch: number): Promise<JournalWriter>;
  /**
   * Forgets a match, durably; one it does not know is no error. A writer that still holds it is fenced.
   * @throws GameError JOURNAL_UNAVAILABLE if the match may be back after a restart
   */
  remove(matchId: string): Promise<void>;
  /** Makes durable what it can and lets go of the store. Never rejects. */
  close(): Promise<void>;
}

/** Kinds of records, as stored: append-only numbers. */
export const RECORD = {
  OPEN: 1,
  CLAIM: 2,
  ENTRY: 3,
  SNAPSHOT: 4,
  SESSION: 5,
  END: 6,
  ROOM_SNAPSHOT: 7,
  TRY: 8,
  TRY_WITHDRAWN: 9,
} as const;
export type RecordKind = (typeof RECORD)[keyof typeof RECORD];

const NOTHING = new Uint8Array(0);

export function isSnapshot(kind: number): boolean {
  return kind === RECORD.SNAPSHOT || kind === RECORD.ROOM_SNAPSHOT;
}

/**
 * Turns a writer's calls into records; an adapter says where they go. Payloads:
 * open `varint epoch, string header JSON`; claim `varint epoch`; try and its withdrawal nothing; entry `varint tick, u32 hi, u32 lo, bytes`;
 * snapshot `varint tick, bytes`; snapshot with its room `varint tick, blob bytes, room`; session `bytes`; end `varint
 * tick, u32 hi, u32 lo, string result JSON`.
 */
export abstract class RecordWriter implements JournalWriter {
  abstract readonly matchId: string;
  abstract readonly epoch: number;
  abstract readonly failure: GameError | undefined;
  abstract readonly lag: JournalLag;
  readonly #payload = new ByteWriter();
  #isOver = false;

  /** Must copy the payload: the writer reuses it. Must not throw. */
  protected abstract append(kind: RecordKind, payload: Uint8Array): void;
  protected abstract release(): void;
  abstract flush(): Promise<void>;

  entry(tick: number, bytes: Uint8Array, { hi, lo }: Hash64): void {
    if (this.#isOver) return;
    this.append(RECORD.ENTRY, this.#payload.clear().varint(tick).u32(hi).u32(lo).raw(bytes).view());
  }

  snapshot(tick: number, bytes: Uint8Array, room?: Uint8Array): void {
    if (this.#isOver) return;
    const payload = this.#payload.clear().varint(tick);
    if (room === undefined) this.append(RECORD.SNAPSHOT, payload.raw(bytes).view());
    else this.append(RECORD.ROOM_SNAPSHOT, payload.blob(bytes).raw(room).view());
  }

  session(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.append(RECORD.SESSION, bytes);
  }

  tryRestore(): void {
    if (!this.#isOver) this.append(RECORD.TRY, NOTHING);
  }

  withdrawTry(): void {
    if (!this.#isOver) this.append(RECORD.TRY_WITHDRAWN, NOTHING);
  }

  end(tick: number, { hi, lo }: Hash64, result: MatchResult): void {
    if (this.#isOver) return;
    this.append(RECORD.END, this.#payload.clear().varint(tick).u32(hi).u32(lo).string(JSON.stringify(result)).view());
    this.#isOver = true;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    // A refusal stays readable as `failure`; whoever closes has no use for it as a throw.
    await this.flush().catch(() => undefined);
    this.release();
  }
}

export function openRecord(header: MatchHeader, epoch: number): Uint8Array {
  return new ByteWriter().varint(epoch).string(JSON.stringify(header)).bytes();
}

export function claimRecord(epoch: number): Uint8Array {
  return new ByteWriter().varint(epoch).bytes();
}

export function parseOpenRecord(payload: Uint8Array): { epoch: number; header: MatchHeader } {
  const from = new ByteReader(payload);
  return { epoch: from.varint(), header: parseMatchHeader(JSON.parse(from.string())) };
}

export function parseClaimRecord(payload: Uint8Array): number {
  return new ByteReader(payload).varint();
}

/** Puts the records of one match, in order, back into a {@link RecordedMatch}. Keeps views of the payloads. */
export class RecordFold {
  readonly #matchId: string;
  #header: MatchHeader | undefined;
  #epoch = 0;
  #triesInVain = 0;
  #firstTick = 0;
  #nextTick = 0;
  readonly #snapshots: RecordedSnapshot[] = [];
  readonly #entries: RecordedEntry[] = [];
  readonly #sessions: RecordedSession[] = [];
  #end: RecordedMatch['end'];

  constructor(matchId: string) {
    this.#matchId = matchId;
  }

  /** Begins with a snapshot in the midst of the match: its header and the epoch it was taken in. Its record comes next. */
  begin(header: MatchHeader, epoch: number, tick: number): void {
    this.#header = header;
    this.#epoch = epoch;
    this.#firstTick = tick;
    this.#nextTick = tick;
  }

  /** @throws GameError JOURNAL_CORRUPT if the record cannot be read or cannot come here */
  push(kind: number, payload: Uint8Array): void {
    try {
      this.#push(kind, payload);
    } catch (error) {
      throw new GameError('JOURNAL_CORRUPT', { matchId: this.#matchId, reason: (error as Error).message }, error);
    }
  }

  #push(kind: number, payload: Uint8Array): void {
    if ((this.#header === undefined) !== (kind === RECORD.OPEN))
      throw new RangeError('it does not begin with its header');
    if (this.#end !== undefined) throw new RangeError('a record follows its end');
    const from = new ByteReader(payload);
    switch (kind) {
      case RECORD.OPEN: {
        const { epoch, header } = parseOpenRecord(payload);
        if (header.matchId !== this.#matchId) throw new RangeError('its header is of another match');
        this.#header = header;
        this.#epoch = epoch;
        break;
      }
      case RECORD.CLAIM: {
        const epoch = from.varint();
        if (epoch <= this.#epoch) throw new RangeError(`epoch ${epoch} follows epoch ${this.#epoch}`);
        this.#epoch = epoch;
        break;
      }
      case RECORD.TRY:
        this.#triesInVain++;
        break;
      case RECORD.TRY_WITHDRAWN:
        this.#triesInVain = Math.max(0, this.#triesInVain - 1);
        break;
      case RECORD.ENTRY: {
        const tick = from.varint();
        if (tick !== this.#nextTick) throw new RangeError(`entry ${tick} follows ${this.#nextTick} entries`);
        const hash = { hi: from.u32(), lo: from.u32() };
        this.#triesInVain = 0;
        this.#nextTick++;
        this.#entries.push({ tick, hash, bytes: from.raw(from.remaining) });
        break;
      }
      case RECORD.SNAPSHOT:
      case RECORD.ROOM_SNAPSHOT: {
        const tick = from.varint();
        if (tick !== this.#nextTick) throw new RangeError(`snapshot ${tick} after ${this.#nextTick} entries`);
        this.#triesInVain = 0;
        const nextSession = this.#sessions.length;
        const snapshot =
          kind === RECORD.SNAPSHOT
            ? { tick, nextSession, bytes: from.raw(from.remaining) }
            : { tick, nextSession, bytes: from.blob(), room: from.raw(from.remaining) };
        this.#snapshots.push(snapshot);
        if (this.#snapshots.length > SNAPSHOTS_KEPT) this.#snapshots.shift();
        break;
      }
      case RECORD.SESSION:
        this.#sessions.push({ tick: this.#nextTick, bytes: payload });
        break;
      case RECORD.END: {
        const tick = from.varint();
        if (tick !== this.#nextTick) throw new RangeError(`end at ${tick} after ${this.#nextTick} entries`);
        const hash = { hi: from.u32(), lo: from.u32() };
        this.#end = { tick, hash, result: parseMatchResult(JSON.parse(from.string())) };
        break;
      }
      default:
        throw new RangeError(`unknown record kind ${kind}`);
    }
  }

  /** @throws GameError JOURNAL_CORRUPT if there was no record at all, or not the first ones */
  match(isTorn: boolean): RecordedMatch {
    const { firstTick, ...tail } = this.tail(isTorn);
    if (firstTick !== 0)
      throw new GameError('JOURNAL_CORRUPT', { matchId: this.#matchId, reason: 'its beginning is missing' });
    return { ...tail, firstTick };
  }

  /** @throws GameError JOURNAL_CORRUPT if there was no record at all */
  tail(isTorn: boolean): RecordedTail {
    if (this.#header === undefined) {
      throw new GameError('JOURNAL_CORRUPT', { matchId: this.#matchId, reason: 'its header is missing' });
    }
    return {
      header: this.#header,
      epoch: this.#epoch,
      triesInVain: this.#triesInVain,
      snapshots: this.#snapshots,
      firstTick: this.#firstTick,
      entries: this.#entries,
      sessions: this.#sessions,
      ...(this.#end === undefined ? {} : { end: this.#end }),
      isTorn,
    };
  }
}
