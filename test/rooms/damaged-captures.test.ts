import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { matchMaker } from '@colyseus/core';
import { compatibilityOf } from '../../rooms/game-room.ts';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import { hashText } from '../../src/kernel/hash.ts';
import { adoptMatch } from '../../src/match/adoption.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { arena } from '../../src/sim/arena.ts';
import { DamagingJournal } from '../fixtures/damaging-journal.ts';
import { Eyes } from '../fixtures/eyes.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { LiveArena } from './probe-rooms.ts';

const DAMAGES: Readonly<Record<string, (room: Uint8Array) => Uint8Array>> = {
  'is of another version': (room) => room.map((byte, at) => (at === 0 ? byte + 1 : byte)),
  'is cut short': (room) => room.subarray(0, room.length - 9),
  'has facts that are none': (room) => room.map((byte) => (byte === 0x7b ? 0x5b : byte)),
};

let redis: RedisServer;

const STORES: Readonly<Record<string, (folder: string) => Promise<FileJournal | RedisJournal>>> = {
  'in files': (folder) => FileJournal.open({ folder: join(folder, 'journal'), totals: new JournalTotals() }),
  'in Redis': () => RedisJournal.open({ url: redis.url, totals: new JournalTotals() }),
};

for (const [where, open] of Object.entries(STORES)) {
  describe(`a match recorded ${where}`, () => {
    let folder: string;
    let journal: DamagingJournal;
    let game: GameServer;

    before(async () => {
      if (where === 'in Redis') redis = await RedisServer.start();
      folder = await mkdtemp(join(tmpdir(), 'hypogeum-damaged-'));
      journal = new DamagingJournal(await open(folder));
      game = await GameServer.start({ rooms: { arena: LiveArena }, journal });
    });
    afterEach(() => game.clear());
    after(async () => {
      await game?.close();
      await journal?.close();
      await rm(folder, { recursive: true, force: true });
      if (where === 'in Redis') await redis?.stop();
    });

    /** Plays until so many of its kept captures are damaged, dies, and goes on. */
    async function goOn(damage: (room: Uint8Array) => Uint8Array, damaged: number): Promise<void> {
      const room = await game.createRoom<LiveArena>('arena');
      const { roomId } = room;
      const joined: TestPlayer[] = [];
      for (const name of ['Aelia', 'Drusa']) joined.push(await game.join(roomId, { name }));
      const seats = await Promise.all(joined.map((player) => player.seat()));
      const eyes = joined.map((player) => new Eyes(player, ['avatars', 'scores', 'rockets']));
      await until(async () => (await journal.loadTail(room.match.id))?.snapshots.length === 2, 'two snapshots');
      const before = journal.damaged;
      journal.damage = damage;
      await until(() => journal.damaged >= before + damaged, 'damage');
      for (const player of joined) await player.patched(4);
      for (const one of eyes) one.remember();
      await room.plugins.journal.flush();
      room.retire();
      await until(() => matchMaker.getLocalRoomById(roomId) === undefined, 'the room to end');
      journal.damage = undefined;
      const recorded = (await journal.load(room.match.id))!;
      const { world } = restoreMatch(arena, recorded);
      journal.readWhole = 0;

      const faults: unknown[] = [];
      const adoption = await adoptMatch(
        { journal, plays: { arena: compatibilityOf(LiveArena) }, onFault: (error) => void faults.push(error) },
        { matchId: room.match.id },
      );
      assert.deepEqual(faults, []);
      assert.equal(adoption.kind, 'adopted');
      assert.equal(journal.readWhole, damaged === 2 ? 1 : 0);
      const again = game.room<LiveArena>(roomId);
      assert.equal(again.match.world.tick, recorded.entries.length);
      const hashOf = (of: typeof world): string => hashText(arena.hash(of, { hi: 0, lo: 0 }));
      assert.equal(hashOf(again.match.world), hashOf(world));
      await until(() => joined.every(({ resumes }) => resumes === 1), 'both to be back');
      for (const [i, player] of joined.entries()) {
        await player.patched(3);
        assert.equal(await player.seat(), seats[i]);
        eyes[i]!.assertSame();
        const scores = [...player.state.scores.values()];
        assert.equal(scores.length, 4);
        for (const { seat, name } of scores) assert.equal(name, world.name(seat));
        await player.avatar();
      }
      const since = again.entries.filter(({ tick }) => tick >= recorded.entries.length);
      assert.ok(since.length > 0);
      const events = since.flatMap((entry) => entry.events);
      assert.deepEqual(events, [], 'nobody joins or leaves again');
      assert.deepEqual(game.bugs, []);
    }

    for (const [what, damage] of Object.entries(DAMAGES).slice(0, where === 'in files' ? undefined : 1)) {
      it(`goes on from the room before the newest, which ${what}`, () => goOn(damage, 1));
    }

    it('goes on from its beginning when neither of the two can be read', () => goOn(DAMAGES['is cut short']!, 2));
  });
}
