/** Folding a journal back into the world it describes: how a match goes on in another process. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ByteReader } from '../kernel/bytes.ts';
import { readEntry } from '../kernel/entry-codec.ts';
import { GameError } from '../kernel/errors.ts';
import type { Hash64 } from '../kernel/hash.ts';
import type { Entry, Simulation } from '../kernel/simulation.ts';
import type { RecordedEntry, RecordedTail } from './journal.ts';
import { type RoomCapture, readRoomCapture } from './room-capture.ts';
import { parseSessionRecord, type SessionRecord } from './session-records.ts';

/** Ticks folded before other rooms get their turn. */
const TICKS_PER_TURN = 200;

export interface RestoredMatch<World> {
  readonly world: World;
  /** The tick to step next. */
  readonly nextTick: number;
  /** Tick of the snapshot the fold began with; 0 also when it began with the setup. */
  readonly snapshotTick: number;
  /** First tick whose re-simulated hash is not the recorded one: a bug worth an alarm. The world is the re-simulated one. */
  readonly divergedAtTick?: number;
}

/**
 * The world after the last recorded entry: from the newest snapshot that can be read, else from the setup, which takes
 * all of the match.
 * @throws GameError SNAPSHOT_VERSION if another simulation, or another version of it, played the match
 * @throws GameError JOURNAL_CORRUPT if an entry cannot be read, or no snapshot of a mere tail
 */
export function restoreMatch<World, Intent>(
  simulation: Simulation<World, Intent>,
  recorded: RecordedTail,
): RestoredMatch<World> {
  const { header, firstTick, entries } = recorded;
  if (header.simId !== simulation.id || header.simVersion !== simulation.version) {
    throw new GameError('SNAPSHOT_VERSION', {
      match: `${header.simId} ${header.simVersion}`,
      simulation: `${simulation.id} ${simulation.version}`,
    });
  }
  const { world, tick: snapshotTick } = newestWorld(simulation, recorded);
  const nextTick = firstTick + entries.length;
  const hash: Hash64 = { hi: 0, lo: 0 };
  let divergedAtTick: number | undefined;
  for (let tick = snapshotTick; tick < nextTick; tick++) {
    const entry = entries[tick - firstTick]!;
    simulation.step(world, decode(simulation, header.matchId, entry));
    if (divergedAtTick !== undefined) continue;
    simulation.hash(world, hash);
    if (hash.hi !== entry.hash.hi || hash.lo !== entry.hash.lo) divergedAtTick = tick;
  }
  return {
    world,
    nextTick,
    snapshotTick,
    ...(divergedAtTick === undefined ? {} : { divergedAtTick }),
  };
}

function newestWorld<World, Intent>(
  simulation: Simulation<World, Intent>,
  { header, firstTick, snapshots }: RecordedTail,
): { world: World; tick: number } {
  for (let i = snapshots.length - 1; i >= 0; i--) {
    const { tick, bytes } = snapshots[i]!;
    try {
      return { world: simulation.decode(bytes), tick };
    } catch (error) {
      // The entries of a whole match reach back to tick 0, so a bad snapshot costs time, not the match.
      if (!(error instanceof GameError)) throw error;
    }
  }
  if (firstTick > 0) {
    throw new GameError('JOURNAL_CORRUPT', { matchId: header.matchId, reason: 'no snapshot of its tail can be read' });
  }
  return { world: simulation.create(header.setup), tick: 0 };
}

function decode<Intent>(
  simulation: Simulation<unknown, Intent>,
  matchId: string,
  { tick, bytes }: RecordedEntry,
): Entry<Intent> {
  try {
    return readEntry(new ByteReader(bytes), simulation);
  } catch (error) {
    throw new GameError('JOURNAL_CORRUPT', { matchId, tick, reason: (error as Error).message }, error);
  }
}

/** A snapshot, and the room around it at the same tick. */
export interface RoomStart {
  readonly world: Uint8Array;
  readonly capture: RoomCapture;
  /** Place, among the session records, of the first one after it. */
  readonly nextSession: number;
}

/** Where a room can be put up again from, the newest first; those that cannot be read are left out. */
export function* startsOf({ snapshots }: RecordedTail): Iterable<RoomStart> {
  for (const { tick, bytes: world, room, nextSession } of snapshots.toReversed()) {
    if (room === undefined) continue;
    let capture: RoomCapture;
    try {
      capture = readRoomCapture(room);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      continue;
    }
    if (capture.tick === tick) yield { world, capture, nextSession };
  }
}

export interface RoomFold<World, Intent> {
  readonly sim: Simulation<World, Intent>;
  readonly recorded: RecordedTail;
  /** Undefined: from tick 0, which takes all of the match. */
  readonly start: RoomStart | undefined;
  readonly world: World;
  /** As the room that was recorded had it. */
  readonly patchEveryTicks: number;
  readonly onSession: (record: SessionRecord) => void;
  readonly beforeStep: (entry: Entry<Intent>) => void;
  readonly afterStep: (entry: Entry<Intent>) => void;
  /** The tick that was stepped last carried a patch. */
  readonly onPatch: () => void;
}

export interface FoldedRoom {
  /** The tick to step next. */
  readonly nextTick: number;
  readonly ticksSincePatch: number;
  /** See {@link RestoredMatch.divergedAtTick}. */
  readonly divergedAtTick?: number;
}

/**
 * Lets happen again, in its order, all that happened to a room after where it was put up: entries, who came and went,
 * patches. So structures that were made since get the numbers and places that their clients know.
 * @throws GameError JOURNAL_CORRUPT if an entry or a record cannot be read
 */
export async function foldMatch<World, Intent>(fold: RoomFold<World, Intent>): Promise<FoldedRoom> {
  const { sim, recorded, start, world, patchEveryTicks } = fold;
  const { entries, firstTick, header } = recorded;
  const nextTick = firstTick + entries.length;
  const records = sessionRecordsOf(recorded, start?.nextSession ?? 0);
  const isSentAt = new Map<number, boolean>();
  for (const { record } of records) if (record.kind === 'patch') isSentAt.set(record.tick, record.isSent);
  let next = 0;
  const sessionsUntil = (tick: number): void => {
    for (; next < records.length && records[next]!.tick <= tick; next++) fold.onSession(records[next]!.record);
  };
  const hash: Hash64 = { hi: 0, lo: 0 };
  let divergedAtTick: number | undefined;
  let ticksSincePatch = 0;
  for (let tick = start?.capture.tick ?? 0; tick < nextTick; tick++) {
    if (tick % TICKS_PER_TURN === TICKS_PER_TURN - 1) await nextTurn();
    sessionsUntil(tick);
    const entry = decode(sim, header.matchId, entries[tick - firstTick]!);
    fold.beforeStep(entry);
    sim.step(world, entry);
    sim.hash(world, hash);
    const { hi, lo } = entries[tick - firstTick]!.hash;
    if (hash.hi !== hi || hash.lo !== lo) divergedAtTick ??= tick;
    fold.afterStep(entry);
    ticksSincePatch++;
    if (!(isSentAt.get(tick) ?? ticksSincePatch >= patchEveryTicks)) continue;
    ticksSincePatch = 0;
    fold.onPatch();
  }
  sessionsUntil(nextTick);
  return {
    nextTick,
    ticksSincePatch,
    ...(divergedAtTick === undefined ? {} : { divergedAtTick }),
  };
}

function sessionRecordsOf(
  { header: { matchId }, sessions }: RecordedTail,
  from: number,
): { readonly tick: number; readonly record: SessionRecord }[] {
  const records: { tick: number; record: SessionRecord }[] = [];
  for (const { tick, bytes } of sessions.slice(from)) {
    try {
      const record = parseSessionRecord(bytes);
      if (record !== undefined) records.push({ tick, record });
    } catch (error) {
      throw new GameError('JOURNAL_CORRUPT', { matchId, tick, reason: (error as Error).message }, error);
    }
  }
  return records;
}
