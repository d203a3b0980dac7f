import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileReplays } from '../../src/adapters/file-replays.ts';
import { playReplay } from '../fixtures/recorded-match.ts';

describe('FileReplays', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-replays-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('gives the same list, bytes and pseudonyms after a restart', async () => {
    const replays = await FileReplays.open({ folder });
    for (const id of ['a', 'b']) await replays.put(await playReplay(id, 40, replays.pseudonym));
    const again = await FileReplays.open({ folder });
    assert.deepEqual(await again.list(10), await replays.list(10));
    assert.equal(again.pseudonym('player-ada'), replays.pseudonym('player-ada'));
    assert.equal((await stat(join(folder, 'pseudonym.key'))).mode & 0o777, 0o600);
  });

  it('two servers give a player different pseudonyms', async () => {
    const here = await FileReplays.open({ folder });
    const there = await FileReplays.open({ folder: join(folder, 'other') });
    assert.notEqual(here.pseudonym('player-ada'), there.pseudonym('player-ada'));
  });

  it('clears away what a killed process left half-written, and shows none of it', async () => {
    await writeFile(join(folder, 'b3a1.tmp'), 'half');
    const replays = await FileReplays.open({ folder });
    assert.deepEqual(await replays.list(10), []);
    assert.deepEqual(await readdir(folder), ['pseudonym.key']);
  });

  describe('in a folder that processes share', () => {
    it('all have the same pseudonyms, also when they start at once', async () => {
      const all = await Promise.all(Array.from({ length: 8 }, () => FileReplays.open({ folder, isShared: true })));
      assert.equal(new Set(all.map((replays) => replays.pseudonym('player-ada'))).size, 1);
      assert.deepEqual(await readdir(folder), ['pseudonym.key']);
    });

    it('one lists and bounds what another has put', async () => {
      const [here, there] = [
        await FileReplays.open({ folder, keep: 2, isShared: true }),
        await FileReplays.open({ folder, keep: 2, isShared: true }),
      ];
      await here.put(await playReplay('a', 40, here.pseudonym));
      assert.deepEqual(
        (await there.list(10)).map(({ id }) => id),
        ['a'],
      );
      await there.put(await playReplay('b', 40, there.pseudonym));
      await here.put(await playReplay('c', 40, here.pseudonym));
      for (const replays of [here, there])
        assert.deepEqual(
          (await replays.list(10)).map(({ id }) => id),
          ['c', 'b'],
        );
      assert.equal((await there.read('c')).header.matchId, 'c');
    });

    it('one does not take the work under way of another for what was left behind', async () => {
      await writeFile(join(folder, 'b3a1.tmp'), 'half');
      await writeFile(join(folder, 'old.tmp'), 'half');
      await utimes(join(folder, 'old.tmp'), 0, 0);
      await FileReplays.open({ folder, isShared: true });
      assert.deepEqual((await readdir(folder)).sort(), ['b3a1.tmp', 'pseudonym.key']);
    });
  });

  it('leaves damaged and foreign files out of the list and says what is wrong when asked for one', async () => {
    const replays = await FileReplays.open({ folder });
    await replays.put(await playReplay('sound', 40, replays.pseudonym));
    const file = await readFile(join(folder, 'sound.hypr'));
    const hit = Buffer.from(file);
    hit[40]! ^= 1;
    await writeFile(join(folder, 'hit.hypr'), hit);
    await writeFile(join(folder, 'empty.hypr'), '');
    await writeFile(join(folder, 'cut.hypr'), file.subarray(0, -1));
    const later = Buffer.from(file);
    later[4] = 2;
    await writeFile(join(folder, 'later.hypr'), later);
    await writeFile(join(folder, 'not an id.hypr'), file);
    await writeFile(join(folder, 'notes.txt'), 'mine');
    const again = await FileReplays.open({ folder });
    // The header of the cut one is whole; its body is not.
    assert.deepEqual((await again.list(10)).map(({ id }) => id).sort(), ['cut', 'sound']);
    for (const id of ['hit', 'empty', 'cut']) await assert.rejects(again.read(id), { code: 'REPLAY_CORRUPT' });
    await assert.rejects(again.read('later'), { code: 'REPLAY_VERSION' });
    assert.equal(await readFile(join(folder, 'notes.txt'), 'utf8'), 'mine');
  });

  it('puts many at once without losing one or keeping too many', async () => {
    const replays = await FileReplays.open({ folder, keep: 5 });
    const puts = Array.from({ length: 12 }, async (_, i) =>
      replays.put(await playReplay(`m${i}`, 3, replays.pseudonym)),
    );
    await Promise.all(puts);
    assert.equal((await replays.list(100)).length, 5);
    assert.equal((await readdir(folder)).filter((name) => name.endsWith('.hypr')).length, 5);
  });

  it('matches that were left before their end push out one another, not those played to it', async () => {
    const replays = await FileReplays.open({ folder, keep: 4 });
    const put = async (id: string, reason: 'completed' | 'abandoned'): Promise<void> => {
      const replay = await playReplay(id, 3, replays.pseudonym);
      await replays.put({ ...replay, header: { ...replay.header, result: { reason, standings: [] } } });
    };
    for (const id of ['played-1', 'played-2', 'played-3']) await put(id, 'completed');
    for (let i = 0; i < 6; i++) await put(`left-${i}`, 'abandoned');
    const kept = async () => (await replays.list(10)).map(({ id }) => id).sort();
    assert.deepEqual(await kept(), ['left-5', 'played-1', 'played-2', 'played-3']);
    await put('played-4', 'completed');
    await put('played-5', 'completed');
    assert.deepEqual(await kept(), ['played-2', 'played-3', 'played-4', 'played-5']);
  });

  it('keeps none when none are to be kept', async () => {
    const replays = await FileReplays.open({ folder, keep: 0 });
    await replays.put(await playReplay('m', 3, replays.pseudonym));
    assert.deepEqual(await replays.list(10), []);
    assert.deepEqual(await readdir(folder), ['pseudonym.key']);
  });

  it('a folder that cannot be written is refused with its name', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await assert.rejects(FileReplays.open({ folder: join(file, 'replays') }), { code: 'DATA_UNWRITABLE' });
  });

  it('a reader of a folder that is not there finds nothing and makes nothing', async () => {
    const replays = await FileReplays.inspect(join(folder, 'none'));
    assert.deepEqual(await replays.list(10), []);
    assert.deepEqual(await readdir(folder), []);
  });
});
