import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import { MatchEnded } from '../../src/events/match-events.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { FaultyDisk } from '../fixtures/faulty-disk.ts';
import { GameServer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from '../rooms/probe-rooms.ts';

/** Live at once and over after four seconds. */
class BriefArena extends ProbeArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1, liveTicks: 120, endedTicks: 15 };
  }
}

describe('a disk that fills up under the journal', function () {
  this.timeout(60_000);
  const disk = new FaultyDisk();
  const told: string[] = [];
  let folder: string;
  let journal: FileJournal;
  let database: FreshDatabase;
  let game: GameServer;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-full-'));
    database = await freshDatabase();
    journal = await FileJournal.open({
      folder,
      totals: new JournalTotals(),
      createSegment: disk.createSegment,
      onDegraded: (error) => void told.push(String(error)),
      onRecovered: () => void told.push('recovered'),
    });
    game = await GameServer.start({ rooms: { brief: BriefArena }, env: { DATABASE_URL: database.url }, journal });
  });
  after(async () => {
    await game?.close();
    await journal?.close();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  async function results(matchId: string): Promise<number> {
    const { rows } = await database.database.query<{ count: number }>(
      `select count(*)::int as count from events where type = $1 and payload::jsonb ->> 'matchId' = $2`,
      [MatchEnded.type, matchId],
    );
    return rows[0]!.count;
  }

  /** Plays a match of two to its end. @returns its id */
  async function play(onTheWay?: () => void): Promise<string> {
    const { roomId } = await game.createRoom<BriefArena>('brief');
    const players = [await game.join(roomId), await game.join(roomId)];
    await Promise.all(players.map((player) => player.patched(20)));
    onTheWay?.();
    await until(() => players.every(({ leftWith }) => leftWith === CLOSE.MATCH_ENDED), 'the match to end', 20_000);
    return players[0]!.welcomes[0]!.matchId;
  }

  it('stops no match and loses no result, and the next match is recorded again once there is room', async () => {
    const matchId = await play(() => disk.refuseWith('ENOSPC', 10));
    await until(
      async () => (await results(matchId)) === 1,
      'the result of the match that was cut off from its journal',
    );
    assert.equal(told.length, 1);
    assert.match(told[0]!, /ENOSPC/);
    const unrecorded = await play();
    await until(async () => (await results(unrecorded)) === 1, 'the result of a match that began while it was full');
    disk.relieve();
    await until(async () => {
      const recorded = await play();
      await until(async () => (await results(recorded)) === 1, 'a result');
      return game.server.services.replays.read(recorded).then(
        ({ entries }) => entries.length >= 120,
        () => false,
      );
    }, 'a match to be recorded again');
    assert.equal(told.at(-1), 'recovered');
    assert.deepEqual([await results(matchId), await results(unrecorded)], [1, 1]);
    assert.deepEqual(
      game.bugs.filter((bug) => /bug in|TypeError/.test(bug)),
      [],
    );
  });
});
