/** Folding a journal back into the world it describes: how a match goes on in another process. */
import { ByteReader } from '../kernel/bytes.ts';
import { readEntry } from '../kernel/entry-codec.ts';
import { GameError } from '../kernel/errors.ts';
import type { Hash64 } from '../kernel/hash.ts';
import type { Entry, Simulation } from '../kernel/simulation.ts';
import type { RecordedEntry, RecordedMatch } from './journal.ts';

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
 * The world after the last recorded entry: from the newest snapshot that can be read, else from the setup.
 * @throws GameError SNAPSHOT_VERSION if another simulation, or another version of it, played the match
 * @throws GameError JOURNAL_CORRUPT if an entry cannot be read
 */
export function restoreMatch<World, Intent>(
  simulation: Simulation<World, Intent>,
  recorded: RecordedMatch,
): RestoredMatch<World> {
  const { header, entries } = recorded;
  if (header.simId !== simulation.id || header.simVersion !== simulation.version) {
    throw new GameError('SNAPSHOT_VERSION', {
      match: `${header.simId} ${header.simVersion}`,
      simulation: `${simulation.id} ${simulation.version}`,
    });
  }
  const { world, tick: snapshotTick } = newestWorld(simulation, recorded);
  const hash: Hash64 = { hi: 0, lo: 0 };
  let divergedAtTick: number | undefined;
  for (let tick = snapshotTick; tick < entries.length; tick++) {
    const entry = entries[tick]!;
    simulation.step(world, decode(simulation, header.matchId, entry));
    if (divergedAtTick !== undefined) continue;
    simulation.hash(world, hash);
    if (hash.hi !== entry.hash.hi || hash.lo !== entry.hash.lo) divergedAtTick = tick;
  }
  return {
    world,
    nextTick: entries.length,
    snapshotTick,
    ...(divergedAtTick === undefined ? {} : { divergedAtTick }),
  };
}

function newestWorld<World, Intent>(
  simulation: Simulation<World, Intent>,
  { header, snapshots }: RecordedMatch,
): { world: World; tick: number } {
  for (let i = snapshots.length - 1; i >= 0; i--) {
    const { tick, bytes } = snapshots[i]!;
    try {
      return { world: simulation.decode(bytes), tick };
    } catch (error) {
      // The entries reach back to tick 0, so a bad snapshot costs time, not the match.
      if (!(error instanceof GameError)) throw error;
    }
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
