/** What a ReplayStore is. Every adapter runs this suite; it is the port's definition. */
import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { inflateRaw } from '../../src/kernel/inflate.ts';
import { type Replay, unpackReplay } from '../../src/kernel/replay-file.ts';
import type { ReplayStore } from '../../src/match/replay-store.ts';
import { playReplay } from '../fixtures/recorded-match.ts';

export interface ReplayStoreHarness {
  readonly replays: ReplayStore;
  /** Replays that the store keeps. */
  readonly keep: number;
  dispose(): Promise<void>;
}

export function replayStoreContract(adapter: string, create: () => Promise<ReplayStoreHarness>): void {
  describe(`ReplayStore contract: ${adapter}`, () => {
    let harness: ReplayStoreHarness;
    let replays: ReplayStore;
    let replay: Replay;

    beforeEach(async () => {
      harness = await create();
      replays = harness.replays;
      replay = await playReplay('match-a', 70, replays.pseudonym);
    });
    afterEach(() => harness.dispose());

    it('gives back what was put, as a replay and as the file to serve', async () => {
      await replays.put(replay);
      const read = await replays.read('match-a');
      assert.deepEqual(read.header, replay.header);
      assert.deepEqual(read.entries.map(String), replay.entries.map(String));
      assert.deepEqual(read.hashes, replay.hashes);
      const { bytes, stream } = await replays.open('match-a');
      const file = await buffer(stream);
      assert.equal(file.length, bytes);
      assert.deepEqual((await unpackReplay(file, inflateRaw)).header, replay.header);
    });

    it('lists the newest first, at most as many as asked for', async () => {
      for (const id of ['one', 'two', 'three']) await replays.put(await playReplay(id, 5, replays.pseudonym));
      const list = await replays.list(10);
      assert.deepEqual(
        list.map(({ id }) => id),
        ['three', 'two', 'one'],
      );
      assert.equal(list[0]?.header.ticks, 5);
      assert.equal(list[0]?.bytes, (await buffer((await replays.open('three')).stream)).length);
      assert.equal((await replays.list(2)).length, 2);
    });

    it('knows no replay by an id that it was not given or that can be none', async () => {
      for (const id of ['nobody', '', '..', '../match-a', 'match-a.hypr', '/etc/passwd', 'a\0b', 'x'.repeat(200)]) {
        await assert.rejects(replays.open(id), { code: 'REPLAY_NOT_FOUND' });
        await assert.rejects(replays.read(id), { code: 'REPLAY_NOT_FOUND' });
      }
    });

    it('replaces a replay of the same id', async () => {
      await replays.put(replay);
      await replays.put(await playReplay('match-a', 7, replays.pseudonym));
      assert.equal((await replays.list(10)).length, 1);
      assert.equal((await replays.read('match-a')).header.ticks, 7);
    });

    it('lets go of the oldest above its bound, but not under a reader', async () => {
      await replays.put(replay);
      const { bytes, stream } = await replays.open('match-a');
      for (let i = 0; i < harness.keep; i++) await replays.put(await playReplay(`next-${i}`, 1, replays.pseudonym));
      assert.equal((await replays.list(1000)).length, harness.keep);
      await assert.rejects(replays.read('match-a'), { code: 'REPLAY_NOT_FOUND' });
      assert.equal((await buffer(stream)).length, bytes);
    });

    it('names a player always the same, tells nothing of the id, and leaves bots nameless', () => {
      const pseudonym = replays.pseudonym('player-ada');
      assert.equal(replays.pseudonym('player-ada'), pseudonym);
      assert.notEqual(replays.pseudonym('player-bob'), pseudonym);
      assert.ok(!pseudonym.includes('ada'));
      assert.equal(replays.pseudonym(''), '');
    });

    it('keeps nothing of a replay that no reader would accept', async () => {
      const oversized = { ...replay, entries: replay.entries.with(3, new Uint8Array(70_000)) };
      await assert.rejects(replays.put(oversized), RangeError);
      assert.deepEqual(await replays.list(10), []);
      await replays.put(replay);
      assert.equal((await replays.list(10)).length, 1);
    });
  });
}
