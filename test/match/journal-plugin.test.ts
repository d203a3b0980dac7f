import assert from 'node:assert/strict';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { verifyReplay } from '../../src/kernel/replay-check.ts';
import type { Replay } from '../../src/kernel/replay-file.ts';
import { type Durability, JournalPlugin } from '../../src/match/journal-plugin.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import type { ReplayStore } from '../../src/match/replay-store.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { MatchSettler } from '../../src/match/settler.ts';
import { type CounterWorld, counterSim } from '../fixtures/counter-sim.ts';
import { CounterMatch, counterEntry, matchHeader } from '../fixtures/recorded-match.ts';

const sim = counterSim();

/** A store that keeps what it is given, or refuses. */
class ReplayShelf implements Pick<ReplayStore, 'put' | 'pseudonym'> {
  readonly kept: Replay[] = [];
  isFull = false;
  readonly pseudonym = (playerId: string): string => (playerId === '' ? '' : `p${playerId.length}`);

  async put(replay: Replay): Promise<void> {
    if (this.isFull) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    this.kept.push(replay);
  }
}

/** A room as far as the plugin needs one: a world that is stepped and recorded. */
class RecordedRoom {
  readonly totals = new JournalTotals();
  readonly journal: MemoryJournal;
  readonly shelf = new ReplayShelf();
  readonly faults: unknown[] = [];
  readonly settler: MatchSettler;
  readonly plugin = new JournalPlugin();
  readonly world: CounterWorld;
  readonly matchId: string;

  constructor(matchId = 'match', journal?: MemoryJournal) {
    this.matchId = matchId;
    this.journal = journal ?? new MemoryJournal({ totals: this.totals });
    this.world = sim.create(matchHeader(matchId).setup);
    this.settler = new MatchSettler({
      journal: this.journal,
      replays: this.shelf,
      totals: this.totals,
      onFault: (error) => this.faults.push(error),
      onLost: (lost) => this.faults.push(`${lost} is lost`),
    });
  }

  async begin(durability: Durability = 'batch'): Promise<this> {
    await this.plugin.begin({
      sim,
      world: this.world,
      header: matchHeader(this.matchId),
      journal: this.journal,
      settler: this.settler,
      durability,
      onFault: (error) => this.faults.push(error),
    });
    return this;
  }

  play(ticks: number): this {
    for (let i = 0; i < ticks; i++) {
      const entry = counterEntry(sim.tickOf(this.world));
      sim.step(this.world, entry);
      this.plugin.record(entry, this.world);
    }
    return this;
  }

  finish(): Promise<void> {
    return this.plugin.finish(this.world, { reason: 'completed', standings: sim.standings(this.world) });
  }

  dispose(): Promise<void> {
    return this.plugin['onDispose']();
  }
}

describe('JournalPlugin', () => {
  it('records header, every entry with its hash, and a snapshot of tick 0', async () => {
    const room = await new RecordedRoom().begin();
    assert.deepEqual(
      (await room.journal.load('match'))!.snapshots.map(({ tick }) => tick),
      [0],
    );
    room.play(100);
    room.plugin.session({ kind: 'seated', seat: 3 });
    await room.plugin.flush();
    const recorded = (await room.journal.load('match'))!;
    assert.deepEqual(recorded.header, matchHeader('match'));
    assert.equal(recorded.entries.length, 100);
    assert.equal(recorded.end, undefined);
    assert.deepEqual(JSON.parse(Buffer.from(recorded.sessions[0]!.bytes).toString()), { kind: 'seated', seat: 3 });
  });

  it('has a snapshot at least every 2 s, and rooms take theirs in different ticks', async () => {
    const phases = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const room = await new RecordedRoom(`match-${i}`).begin();
      for (let tick = 10; tick <= 300; tick += 10) {
        const { snapshots } = (await room.play(10).journal.load(`match-${i}`))!;
        assert.ok(tick - snapshots.at(-1)!.tick < 60, `${snapshots.at(-1)!.tick} before ${tick}`);
        if (tick === 300) phases.add(snapshots.at(-1)!.tick % 60);
      }
    }
    assert.ok(phases.size > 8, `only ${phases.size} different ticks of 60`);
  });

  it('what it records is enough to go on with the same world', async () => {
    const room = (await new RecordedRoom().begin()).play(137);
    const restored = restoreMatch(sim, (await room.journal.load('match'))!);
    assert.equal(restored.nextTick, 137);
    assert.ok(restored.snapshotTick >= 77);
    assert.deepEqual(sim.encode(restored.world), sim.encode(room.world));
  });

  it('a room that is disposed while its match is being finished waits until it is a replay', async () => {
    const room = (await new RecordedRoom().begin()).play(100);
    const finished = room.finish();
    await room.dispose();
    assert.equal(room.shelf.kept.length, 1);
    await finished;
  });

  it('a finished match becomes a replay that verifies, and its journal is forgotten', async () => {
    const room = (await new RecordedRoom().begin()).play(100);
    await room.finish();
    assert.equal(await room.plugin.archived, true);
    const [replay] = room.shelf.kept;
    assert.deepEqual(verifyReplay(sim, replay!), { kind: 'same', ticks: 100, hashesCompared: 4 });
    assert.equal(replay?.header.result?.reason, 'completed');
    assert.deepEqual(await room.journal.list(), []);
    assert.equal(room.totals.collect().archivedTotal, 1);
    assert.deepEqual(room.faults, []);
  });

  it('a replay tells who held which seat when, by name and pseudonym, and holds no session', async () => {
    const room = (await new RecordedRoom().begin()).play(45);
    room.plugin.session({ token: 'secret-token' });
    await room.finish();
    await room.plugin.archived;
    const { header, entries } = room.shelf.kept[0]!;
    assert.deepEqual(
      header.players.map(({ seat, name, playerId, isBot, joinedTick, leftTick }) => [
        seat,
        name,
        playerId,
        isBot,
        joinedTick,
        leftTick,
      ]),
      [
        [0, 'Ada', 'p10', false, 0, undefined],
        [1, 'Bot 1', '', true, 0, undefined],
        [2, 'Grace', 'p12', false, 10, 19],
        [2, 'Grace', 'p12', false, 30, 39],
      ],
    );
    const bytes = Buffer.concat(entries.map((entry) => Buffer.from(entry))).toString('latin1');
    const text = JSON.stringify(header) + bytes;
    for (const secret of ['player-ada', 'player-grace', 'secret-token']) assert.ok(!text.includes(secret), secret);
    assert.ok(header.result?.standings.every(({ playerId }) => playerId === '' || /^p[0-9]+$/.test(playerId)));
  });

  it('a room that ends by a bug keeps its journal, without an end', async () => {
    const room = (await new RecordedRoom().begin()).play(10);
    await room.dispose();
    const [summary] = await room.journal.list();
    assert.equal(summary?.state, 'unfinished');
    assert.equal(summary?.ticks, 10);
    assert.deepEqual(room.shelf.kept, []);
    room.play(5);
    assert.equal((await room.journal.load('match'))?.entries.length, 10);
  });

  it('disposal waits for the replay of a match that has just ended', async () => {
    const room = (await new RecordedRoom().begin()).play(10);
    await room.finish();
    await room.dispose();
    assert.equal(room.shelf.kept.length, 1);
  });

  it('when the store refuses at the start, the match goes on unrecorded and says so once', async () => {
    const room = new RecordedRoom();
    room.journal.capacityBytes = 0;
    (await room.begin()).play(50);
    room.plugin.session({ seat: 1 });
    await room.plugin.flush();
    await room.finish();
    await room.dispose();
    assert.equal(sim.tickOf(room.world), 50);
    assert.equal(room.faults.length, 1);
    assert.equal((room.faults[0] as GameError).code, 'JOURNAL_UNAVAILABLE');
    assert.equal(room.plugin.failure, room.faults[0]);
    assert.equal(room.totals.collect().failuresTotal, 1);
    assert.deepEqual(room.shelf.kept, []);
  });

  it('when the store refuses in the middle, what was recorded stays, as unfinished', async () => {
    const room = (await new RecordedRoom().begin()).play(20);
    room.journal.capacityBytes = 0;
    room.play(50);
    await room.finish();
    assert.equal(await room.plugin.archived, false);
    assert.equal(room.faults.length, 1);
    const [summary] = await room.journal.list();
    assert.equal(summary?.state, 'unfinished');
    assert.equal(summary?.ticks, 20);
    assert.deepEqual(room.shelf.kept, []);
  });

  it('when the replay cannot be written, the journal is kept and archived by a later start', async () => {
    const room = (await new RecordedRoom().begin()).play(30);
    room.shelf.isFull = true;
    await room.finish();
    assert.equal(await room.plugin.archived, false);
    assert.equal(room.faults.length, 1);
    assert.equal(room.totals.collect().archiveFailuresTotal, 1);
    assert.equal((await room.journal.list())[0]?.state, 'ended');

    await room.settler.close();
    const later = new RecordedRoom('later', room.journal);
    assert.equal(await later.settler.adopt(), 1);
    assert.equal(later.shelf.kept[0]?.header.ticks, 30);
    assert.deepEqual(await room.journal.list(), []);
  });

  it('a fenced room records nothing more and does not archive what is another’s now', async () => {
    const room = (await new RecordedRoom().begin()).play(20);
    await room.journal.open(matchHeader('match'), 2);
    room.play(5);
    await room.finish();
    assert.equal(await room.plugin.archived, false);
    assert.equal((room.faults[0] as GameError).code, 'JOURNAL_FENCED');
    assert.equal((await room.journal.load('match'))?.entries.length, 20);
  });

  it('records nothing when it is told to', async () => {
    const room = (await new RecordedRoom().begin('off')).play(10);
    await room.finish();
    await room.dispose();
    assert.deepEqual(await room.journal.list(), []);
    assert.deepEqual(room.faults, []);
  });
});

describe('restoring a match', () => {
  async function recorded(ticks = 60) {
    const journal = new MemoryJournal({ totals: new JournalTotals() });
    const header = matchHeader('m');
    const match = new CounterMatch(await journal.open(header, 1), header).play(ticks);
    return { match, recorded: (await journal.load('m'))! };
  }

  it('begins with the newest snapshot that can be read, else with the setup', async () => {
    const { match, recorded: whole } = await recorded();
    const damagedFrom = (from: number) =>
      whole.snapshots.map((one) => (one.tick < from ? one : { ...one, bytes: one.bytes.map(() => 7) }));
    for (const [snapshots, snapshotTick] of [
      [whole.snapshots, 50],
      [damagedFrom(50), 25],
      [damagedFrom(25), 0],
      [[], 0],
    ] as const) {
      const restored = restoreMatch(sim, { ...whole, snapshots });
      assert.equal(restored.snapshotTick, snapshotTick);
      assert.deepEqual(restored.world.words, match.world.words);
      assert.equal(restored.divergedAtTick, undefined);
    }
  });

  it('begins in the tail of a match as in the whole, but cannot go back before it', async () => {
    const { match, recorded: whole } = await recorded();
    const tail = { ...whole, firstTick: 25, entries: whole.entries.slice(25) };
    const restored = restoreMatch(sim, tail);
    assert.deepEqual([restored.snapshotTick, restored.nextTick, restored.divergedAtTick], [50, 60, undefined]);
    assert.deepEqual(restored.world.words, match.world.words);
    const older = restoreMatch(sim, { ...tail, snapshots: tail.snapshots.slice(0, 1) });
    assert.deepEqual([older.snapshotTick, older.nextTick, older.divergedAtTick], [25, 60, undefined]);
    assert.throws(() => restoreMatch(sim, { ...tail, snapshots: [] }), { code: 'JOURNAL_CORRUPT' });
  });

  it('goes on from the re-simulated world when a hash does not fit, and names the tick', async () => {
    const { recorded: whole } = await recorded();
    const restored = restoreMatch(counterSim({ bugAtTick: 55 }), whole);
    assert.equal(restored.divergedAtTick, 55);
    assert.equal(restored.nextTick, 60);
  });

  it('refuses a match of another version and entries that cannot be read', async () => {
    const { recorded: whole } = await recorded();
    assert.throws(() => restoreMatch(counterSim({ version: 2 }), whole), { code: 'SNAPSHOT_VERSION' });
    const entries = whole.entries.with(55, { ...whole.entries[55]!, bytes: Uint8Array.of(55, 9) });
    assert.throws(() => restoreMatch(sim, { ...whole, entries }), { code: 'JOURNAL_CORRUPT' });
  });
});
