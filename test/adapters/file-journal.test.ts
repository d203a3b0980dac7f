import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { FileJournal, type FileJournalOptions } from '../../src/adapters/file-journal.ts';
import { RECORD_HEAD_BYTES, SEGMENT_HEAD_BYTES, scanSegment } from '../../src/adapters/journal-segment.ts';
import { lockHolder } from '../../src/adapters/process-lock.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { RecordedMatch } from '../../src/match/journal.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { FaultyDisk } from '../fixtures/faulty-disk.ts';
import { CounterMatch, counterEntry, entryBytes, matchHeader, plain } from '../fixtures/recorded-match.ts';

const seed = 20261121;

describe('FileJournal', () => {
  let folder: string;
  const open: FileJournal[] = [];

  async function start(options: Partial<FileJournalOptions> = {}): Promise<FileJournal> {
    const journal = await FileJournal.open({ folder, totals: new JournalTotals(), ...options });
    open.push(journal);
    return journal;
  }

  async function begin(journal: FileJournal, matchId: string, epoch = 1): Promise<CounterMatch> {
    const header = matchHeader(matchId);
    return new CounterMatch(await journal.open(header, epoch), header);
  }

  async function segments(at = folder): Promise<string[]> {
    return (await readdir(at)).filter((name) => name.endsWith('.seg')).sort();
  }

  /** Opens without a lock and without cutting, as the command line does. */
  async function inspectOne(at: string, matchId: string): Promise<RecordedMatch | GameError | undefined> {
    try {
      return await (await FileJournal.inspect(at)).load(matchId);
    } catch (error) {
      assert.ok(error instanceof GameError, String(error));
      return error;
    }
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-journal-'));
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((journal) => journal.close()));
    await rm(folder, { recursive: true });
  });

  it('gives everything back after a restart and goes on under a new epoch', async () => {
    const journal = await start();
    const match = (await begin(journal, 'long')).play(40);
    const ended = (await begin(journal, 'short')).play(5).end();
    await ended.writer.close();
    await journal.close();

    const next = await start();
    assert.deepEqual(
      (await next.list()).map(({ matchId, state, ticks, isTorn }) => [matchId, state, ticks, isTorn]),
      [
        ['long', 'unfinished', 40, false],
        ['short', 'ended', 5, false],
      ],
    );
    await assert.rejects(next.open(matchHeader('long'), 1), { code: 'JOURNAL_FENCED' });
    match.writer = await next.open(matchHeader('long'), 2);
    match.play(10).end();
    await match.writer.close();
    await next.close();

    const recorded = (await (await start()).load('long'))!;
    assert.deepEqual(plain(recorded.entries), plain(match.entries));
    assert.equal(recorded.epoch, 2);
    assert.equal(recorded.end?.tick, 50);
  });

  it('makes the records of all matches durable with one commit, at the latest after the stated time', async () => {
    const totals = new JournalTotals();
    const journal = await start({ totals, commitEveryMs: 10 });
    const matches = [await begin(journal, 'a'), await begin(journal, 'b'), await begin(journal, 'c')];
    const before = totals.commits;
    for (const match of matches) match.play(5);
    assert.ok(totals.oldestPendingAtMs !== undefined);
    const deadlineMs = performance.now() + 10_000;
    // Nobody flushes: the journal does it by itself.
    while (totals.collect().lagSeconds > 0) {
      assert.ok(performance.now() < deadlineMs);
      await new Promise(setImmediate);
    }
    assert.equal(totals.commits, before + 1);
    for (const { writer } of matches) assert.equal(writer.lag.records, 0);
  });

  it('a flush waits until the disk has the bytes, not only the system', async () => {
    const disk = new FaultyDisk();
    const journal = await start({ createSegment: disk.createSegment });
    const match = await begin(journal, 'synced');
    for (let round = 0; round < 5; round++) {
      await match.play(3).writer.flush();
      assert.ok(disk.writtenBytes > 0);
      assert.equal(disk.syncedBytes, disk.writtenBytes);
    }
  });

  it('cuts a record torn at any byte and keeps all before it', async () => {
    const journal = await start();
    const match = (await begin(journal, 'torn')).play(4);
    await match.writer.flush();
    const path = join(folder, (await segments())[0]!);
    const before = (await readFile(path)).length;
    match.play(1);
    await match.writer.flush();
    await journal.close();
    const whole = await readFile(path);
    const last = scanSegment(whole, true).records.at(-1)!;
    assert.equal(last.start, before);

    for (let length = last.start; length < last.end; length++) {
      await truncate(path, 0);
      await writeFile(path, whole.subarray(0, length));
      const peek = await FileJournal.inspect(folder);
      assert.equal((await readFile(path)).length, length, 'a reader changes nothing');
      const reopened = await start();
      for (const reader of [peek, reopened]) {
        const recorded = (await reader.load('torn'))!;
        assert.deepEqual(plain(recorded.entries), plain(match.entries.slice(0, 4)), `cut at ${length}`);
        assert.equal(recorded.isTorn, length > last.start, `cut at ${length}`);
      }
      assert.equal((await readFile(path)).length, last.start);
      await reopened.close();
    }
  });

  it('takes nothing for whole that lost a byte of an earlier commit, and blames no other match', async () => {
    const journal = await start({ segmentBytes: 2000 });
    const matches: CounterMatch[] = [];
    for (const id of ['a', 'b', 'c']) matches.push(await begin(journal, id));
    for (let round = 0; round < 15; round++) {
      for (const match of matches) match.play(2);
      if (round === 12) matches[1]!.end();
      await Promise.all(matches.map(({ writer }) => writer.flush()));
    }
    await journal.close();
    const names = await segments();
    assert.ok(names.length >= 2);
    const whole = await Promise.all(names.map((name) => readFile(join(folder, name))));
    const clean = new Map<string, RecordedMatch>();
    for (const { header } of matches)
      clean.set(header.matchId, (await inspectOne(folder, header.matchId)) as RecordedMatch);

    const damaged = join(folder, 'damaged');
    await mkdir(damaged);
    let corrupt = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: names.length - 1 }),
        fc.noBias(fc.nat({ max: 999_999 })),
        fc.integer({ min: 1, max: 255 }),
        async (which, millionths, flip) => {
          for (const name of names) await copyFile(join(folder, name), join(damaged, name));
          const bytes = Buffer.from(whole[which]!);
          const at = SEGMENT_HEAD_BYTES + Math.floor((millionths / 1_000_000) * (bytes.length - SEGMENT_HEAD_BYTES));
          bytes[at]! ^= flip;
          await writeFile(join(damaged, names[which]!), bytes);

          const faults: string[] = [];
          const list = await (await FileJournal.inspect(damaged)).list();
          for (const { header } of matches) {
            const truth = clean.get(header.matchId)!;
            const found = await inspectOne(damaged, header.matchId);
            if (found === undefined) {
              // The very header was hit: the match is listed as damaged, under no name of its own.
              assert.ok(list.some(({ state }) => state === 'corrupt'));
              faults.push(header.matchId);
            } else if (found instanceof GameError) {
              assert.equal(found.code, 'JOURNAL_CORRUPT');
              assert.equal(list.find(({ matchId }) => matchId === header.matchId)?.state, 'corrupt');
              faults.push(header.matchId);
            } else {
              // What is given out is a true beginning, and a shorter one says so.
              assert.deepEqual(plain(found.entries), plain(truth.entries.slice(0, found.entries.length)));
              const isWhole =
                found.entries.length === truth.entries.length &&
                found.sessions.length === truth.sessions.length &&
                found.snapshots.length === truth.snapshots.length &&
                (found.end === undefined) === (truth.end === undefined);
              if (!isWhole) assert.ok(found.isTorn);
            }
          }
          corrupt += faults.length;
          assert.ok(faults.length <= 1, `one byte at ${at} hit ${faults.join(' and ')}`);
        },
      ),
      { seed, numRuns: 250 },
    );
    assert.ok(corrupt > 100, `only ${corrupt} of 250 flips were called damage`);
  });

  it('refuses a match with a missing record and lists it as corrupt, beside sound ones', async () => {
    const journal = await start();
    const bad = (await begin(journal, 'bad')).play(3);
    const good = (await begin(journal, 'good')).play(3);
    await Promise.all([bad, good].map(({ writer }) => writer.flush()));
    bad.play(3);
    good.play(3);
    await Promise.all([bad, good].map(({ writer }) => writer.flush()));
    bad.play(1).end();
    good.play(1).end();
    await Promise.all([bad, good].map(({ writer }) => writer.flush()));
    await journal.close();
    const path = join(folder, (await segments())[0]!);
    const bytes = await readFile(path);
    const victim = scanSegment(bytes, true).records.filter(({ match }) => match === 1)[4]!;
    bytes[victim.start + RECORD_HEAD_BYTES]! ^= 1;
    await writeFile(path, bytes);

    const next = await start();
    await assert.rejects(next.load('bad'), { code: 'JOURNAL_CORRUPT' });
    await assert.rejects(next.open(matchHeader('bad'), 2), { code: 'JOURNAL_CORRUPT' });
    assert.deepEqual(
      (await next.list()).map(({ matchId, state }) => [matchId, state]),
      [
        ['bad', 'corrupt'],
        ['good', 'ended'],
      ],
    );
    assert.deepEqual(plain((await next.load('good'))!.entries), plain(good.entries));
    await next.remove('bad');
    assert.equal((await next.list()).length, 1);
  });

  it('will not misread a segment of another version', async () => {
    const journal = await start();
    await (await begin(journal, 'old')).writer.close();
    await journal.close();
    const path = join(folder, (await segments())[0]!);
    const bytes = await readFile(path);
    const { crc32 } = await import('node:zlib');
    bytes.write('HYPJSEG2', 0, 'latin1');
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
    await writeFile(path, bytes);
    await assert.rejects(start(), { code: 'JOURNAL_CORRUPT' });
    assert.equal(await lockHolder(folder), undefined);
  });

  it('deletes a segment when every match in it was removed, and not before', async () => {
    const journal = await start({ segmentBytes: 4000 });
    const stays = await begin(journal, 'stays');
    await stays.play(1).writer.flush();
    for (let i = 0; i < 6; i++) {
      const match = (await begin(journal, `goes-${i}`)).play(100).end();
      await match.writer.close();
    }
    assert.equal((await segments()).length, 6);
    for (let i = 0; i < 6; i++) await journal.remove(`goes-${i}`);
    await journal.close();
    // The first holds the match that stays.
    const left = await segments();
    assert.equal(left[0], '0000000001.seg');
    assert.ok(left.length <= 3, left.join(' '));

    const next = await start();
    assert.deepEqual(
      (await next.list()).map(({ matchId }) => matchId),
      ['stays'],
    );
    await next.remove('stays');
    await next.close();
    const last = await start();
    assert.deepEqual(await last.list(), []);
    assert.ok((await segments()).length <= 1);
  });

  it('a removed match stays removed when the segment that says so goes before the one that holds it', async () => {
    const journal = await start({ segmentBytes: 3000 });
    await begin(journal, 'stays');
    await (await begin(journal, 'gone')).play(2).writer.close();
    const fill = async (matchId: string, untilSegments: number): Promise<void> => {
      const match = await begin(journal, matchId);
      while ((await segments()).length < untilSegments) await match.play(1).writer.flush();
      await match.writer.close();
    };
    await fill('filler-1', 2);
    await journal.remove('gone');
    await fill('filler-2', 3);
    await journal.remove('filler-1');
    await journal.remove('filler-2');
    assert.deepEqual(await segments(), ['0000000001.seg', '0000000003.seg']);
    await journal.close();
    assert.deepEqual(
      (await (await start()).list()).map(({ matchId }) => matchId),
      ['stays'],
    );
  });

  it('a removed match stays removed, whichever segments go first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.record({ kind: fc.constant('play' as const), match: fc.nat({ max: 4 }), ticks: fc.nat({ max: 12 }) }),
            fc.record({ kind: fc.constant('remove' as const), match: fc.nat({ max: 4 }) }),
            fc.record({ kind: fc.constant('restart' as const) }),
          ),
          { maxLength: 25 },
        ),
        async (steps) => {
          const home = await mkdtemp(join(folder, 'case-'));
          const reopen = () => FileJournal.open({ folder: home, totals: new JournalTotals(), segmentBytes: 1200 });
          let journal = await reopen();
          const truth = new Map<string, { match: CounterMatch; epoch: number }>();
          for (const step of steps) {
            if (step.kind === 'restart') {
              await journal.close();
              journal = await reopen();
              continue;
            }
            const id = `m${step.match}`;
            const known = truth.get(id);
            if (step.kind === 'remove') {
              await journal.remove(id);
              truth.delete(id);
              continue;
            }
            const epoch = (known?.epoch ?? 0) + 1;
            const header = matchHeader(id);
            const writer = await journal.open(header, epoch);
            const match = known?.match ?? new CounterMatch(writer, header);
            match.writer = writer;
            truth.set(id, { match, epoch });
            match.play(step.ticks);
            await writer.close();
          }
          await journal.close();
          journal = await reopen();
          try {
            const listed = (await journal.list()).map(({ matchId }) => matchId).sort();
            assert.deepEqual(listed, [...truth.keys()].sort());
            for (const [id, { match, epoch }] of truth) {
              const recorded = (await journal.load(id))!;
              assert.equal(recorded.epoch, epoch);
              assert.deepEqual(plain(recorded.entries), plain(match.entries));
            }
          } finally {
            await journal.close();
          }
        },
      ),
      { seed, numRuns: 40 },
    );
  });

  it('a removal survives a restart', async () => {
    const journal = await start();
    const match = (await begin(journal, 'gone')).play(3);
    await begin(journal, 'stays');
    await match.writer.close();
    await journal.remove('gone');
    await journal.close();
    const next = await start();
    assert.equal(await next.load('gone'), undefined);
    assert.equal((await next.list()).length, 1);
  });

  describe('on a disk that refuses', () => {
    it('tells once, fails the matches that had something to write, and no other', async () => {
      const disk = new FaultyDisk();
      const totals = new JournalTotals();
      const told: string[] = [];
      const journal = await start({
        totals,
        createSegment: disk.createSegment,
        onDegraded: (error, matchIds) => told.push(`${(error as NodeJS.ErrnoException).code} ${matchIds.join(' ')}`),
        onRecovered: () => told.push('recovered'),
      });
      const busy = (await begin(journal, 'busy')).play(5);
      const idle = (await begin(journal, 'idle')).play(5);
      await Promise.all([busy, idle].map(({ writer }) => writer.flush()));

      disk.refuseWith('EIO', 40);
      busy.play(3);
      await assert.rejects(busy.writer.flush(), { code: 'JOURNAL_UNAVAILABLE' });
      await assert.rejects(journal.open(matchHeader('new'), 1), { code: 'JOURNAL_UNAVAILABLE' });
      await assert.rejects(journal.open(matchHeader('newer'), 1), { code: 'JOURNAL_UNAVAILABLE' });
      assert.deepEqual(told, ['EIO busy']);
      assert.equal(totals.failures, 3);
      for (const name of await segments()) {
        const bytes = await readFile(join(folder, name));
        assert.equal(scanSegment(bytes, true).length, bytes.length, 'the half-written commit was cut off');
      }
      assert.equal(idle.writer.failure, undefined);

      disk.relieve();
      idle.play(5).end();
      await idle.writer.close();
      assert.deepEqual(told, ['EIO busy', 'recovered']);
      assert.equal(idle.writer.failure, undefined);

      // The failed one can be taken over from what was durable.
      const successor = await journal.open(matchHeader('busy'), 2);
      const restored = restoreMatch(counterSim(), (await journal.load('busy'))!);
      assert.equal(restored.nextTick, 5);
      const entry = counterEntry(5);
      successor.entry(5, entryBytes(entry), { hi: 1, lo: 2 });
      await successor.close();
      await journal.close();

      const next = await start();
      assert.equal((await next.load('busy'))?.entries.length, 6);
      assert.equal((await next.load('idle'))?.end?.tick, 10);
      assert.equal(await next.load('new'), undefined);
    });

    it('what a failed write left on the disk is cut off by the claim of the next owner', async () => {
      for (let sparesBytes = 1; sparesBytes < 900; sparesBytes += 37) {
        const home = await mkdtemp(join(folder, 'case-'));
        const disk = new FaultyDisk();
        disk.refusesTruncation = true;
        const options = { folder: home, totals: new JournalTotals(), createSegment: disk.createSegment };
        const journal = await FileJournal.open(options);
        const match = (await begin(journal, 'moved')).play(4);
        await match.writer.flush();
        const first = match.entries.slice();
        disk.refuseWith('EIO', sparesBytes);
        match.play(8);
        await assert.rejects(match.writer.flush(), { code: 'JOURNAL_UNAVAILABLE' });
        disk.relieve();

        const header = matchHeader('moved');
        const successor = await journal.open(header, 2);
        for (let tick = 4; tick < 9; tick++) successor.entry(tick, Uint8Array.of(tick, 0, 0), { hi: tick, lo: 2 });
        await successor.close();
        await journal.close();

        const next = await FileJournal.open(options);
        try {
          const recorded = (await next.load('moved'))!;
          assert.equal(recorded.epoch, 2);
          assert.deepEqual(plain(recorded.entries.slice(0, 4)), plain(first));
          assert.deepEqual(
            recorded.entries.slice(4).map(({ bytes }) => [...bytes]),
            [4, 5, 6, 7, 8].map((tick) => [tick, 0, 0]),
          );
        } finally {
          await next.close();
        }
      }
    });

    it('a match that has outrun a stalled disk fails as a whole, so that it never looks whole', async () => {
      const disk = new FaultyDisk();
      const totals = new JournalTotals();
      const journal = await start({
        totals,
        createSegment: disk.createSegment,
        matchBufferMaxBytes: 2000,
        commitEveryMs: 1,
      });
      const match = (await begin(journal, 'fast')).play(2);
      const other = await begin(journal, 'slow');
      await match.writer.flush();
      disk.stall();
      match.play(1);
      const flushed = match.writer.flush();
      const played = (): CounterMatch => match.play(10);
      while (match.writer.failure === undefined) played();
      assert.equal(totals.failures, 1);
      assert.equal(totals.collect().lagSeconds > 0, true);
      other.play(5);
      disk.resume();
      await assert.rejects(flushed, { code: 'JOURNAL_UNAVAILABLE' });
      await other.writer.flush();
      const recorded = (await journal.load('fast'))!;
      assert.deepEqual(plain(recorded.entries), plain(match.entries.slice(0, recorded.entries.length)));
      assert.equal((await journal.load('slow'))?.entries.length, 5);
    });

    it('keeps to its bound over all segments and finds space again when matches are removed', async () => {
      const journal = await start({ capacityBytes: 20_000, segmentBytes: 5000 });
      const first = (await begin(journal, 'first')).play(100).end();
      await first.writer.close();
      const second = await begin(journal, 'second');
      while (second.writer.failure === undefined) {
        second.play(20);
        await second.writer.flush().catch(() => undefined);
      }
      assert.match(String(second.writer.failure), /ENOSPC/);
      let held = 0;
      for (const name of await segments()) held += (await readFile(join(folder, name))).length;
      assert.ok(held <= 20_000);
      await journal.remove('second').catch(() => undefined);
      const third = (await begin(journal, 'third')).play(10).end();
      await third.writer.close();
      assert.equal(third.writer.failure, undefined);
      assert.equal((await journal.load('first'))?.end?.tick, 100);
    });

    it('survives a disk that is really full', async () => {
      // A small file system of our own where we may mount one; the same refusal from a seam elsewhere.
      const mounted = join(folder, 'small');
      await mkdir(mounted);
      const disk = new FaultyDisk();
      let isMounted = true;
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', mounted], { stdio: 'ignore' });
      } catch {
        isMounted = false;
      }
      const told: unknown[] = [];
      const journal = await FileJournal.open({
        folder: mounted,
        totals: new JournalTotals(),
        createSegment: disk.createSegment,
        segmentBytes: 32_768,
        onDegraded: (error) => told.push((error as NodeJS.ErrnoException).code),
        onRecovered: () => told.push('recovered'),
      });
      try {
        const kept = (await begin(journal, 'kept')).play(50).end();
        await kept.writer.close();
        const ballast = join(mounted, 'ballast');
        if (isMounted) await writeFile(ballast, Buffer.alloc(100_000));
        const match = await begin(journal, 'filling');
        for (let round = 0; match.writer.failure === undefined; round++) {
          if (!isMounted && round === 5) disk.refuseWith('ENOSPC', 100);
          match.play(50);
          await match.writer.flush().catch(() => undefined);
          assert.ok(round < 1000);
        }
        match.play(10).end();
        await match.writer.close();
        assert.deepEqual(told, ['ENOSPC']);
        assert.equal((await journal.load('kept'))?.end?.tick, 50);

        await rm(ballast, { force: true });
        disk.relieve();
        const after = (await begin(journal, 'after')).play(20).end();
        await after.writer.close();
        assert.deepEqual(told, ['ENOSPC', 'recovered']);
        await journal.close();

        const reader = await FileJournal.inspect(mounted);
        assert.equal((await reader.load('kept'))?.end?.tick, 50);
        assert.equal((await reader.load('after'))?.end?.tick, 20);
        const cut = (await reader.load('filling'))!;
        assert.equal(cut.end, undefined);
        assert.ok(cut.entries.length > 0);
        assert.deepEqual(plain(cut.entries), plain(match.entries.slice(0, cut.entries.length)));
      } finally {
        await journal.close();
        if (isMounted) execFileSync('umount', [mounted]);
      }
    });
  });

  describe('across processes', () => {
    const children: ChildProcess[] = [];

    afterEach(async () => {
      for (const child of children.splice(0)) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    });

    it('kill -9 loses nothing that was acknowledged, and the match goes on elsewhere', async () => {
      const acknowledged: number[][] = [];
      // The matches of the second process take over those of nobody: it finds the lock of a dead process.
      const child = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/journal-child.ts'), folder, '3'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      for await (const line of createInterface({ input: child.stdout! })) {
        acknowledged.push(line.split(' ').map(Number));
        if (acknowledged.length === 3) {
          assert.equal(await lockHolder(folder), child.pid);
          await assert.rejects(start(), { code: 'DATA_IN_USE' });
        }
        if (acknowledged.length === 60) child.kill('SIGKILL');
      }
      if (child.signalCode === null) await once(child, 'exit');
      assert.equal(child.signalCode, 'SIGKILL');

      const last = acknowledged.at(-1)!;
      const journal = await start();
      for (let i = 0; i < 3; i++) {
        const recorded = (await journal.load(`match-${i}`))!;
        assert.ok(recorded.entries.length >= last[i]!, `${recorded.entries.length} of ${last[i]}`);
        assert.equal(recorded.end, undefined);
        const restored = restoreMatch(counterSim(), recorded);
        assert.equal(restored.divergedAtTick, undefined);
        const header = matchHeader(`match-${i}`, 100 + i);
        const match = new CounterMatch(await journal.open(header, 2), header);
        // What the dead process played is known from the seed alone.
        const { writer } = match;
        match.writer = {
          ...writer,
          entry: () => undefined,
          snapshot: () => undefined,
          session: () => undefined,
        } as never;
        match.play(recorded.entries.length);
        assert.deepEqual(plain(recorded.entries), plain(match.entries));
        assert.deepEqual(restored.world.words, match.world.words);
        match.writer = writer;
        match.play(10).end();
        await writer.close();
        assert.equal((await journal.load(`match-${i}`))?.end?.tick, match.entries.length);
      }
    });

    it('two journals in one process cannot hold the same folder', async () => {
      const journal = await start();
      await assert.rejects(start(), { code: 'DATA_IN_USE' });
      await journal.close();
      await start();
    });

    it('takes over the lock of a process that is gone or was another', async () => {
      for (const owner of ['999999999 123\n', `${process.pid} 1\n`, 'rubbish', '']) {
        await writeFile(join(folder, 'lock'), owner);
        const journal = await start();
        assert.equal(await lockHolder(folder), process.pid);
        await journal.close();
        assert.deepEqual(await readdir(folder), []);
      }
    });

    it('a folder that cannot be one is refused with its name', async () => {
      const file = join(folder, 'file');
      await writeFile(file, '');
      await assert.rejects(
        FileJournal.open({ folder: join(file, 'journal'), totals: new JournalTotals() }),
        (error) => {
          assert.ok(error instanceof GameError);
          assert.equal(error.code, 'DATA_UNWRITABLE');
          assert.equal(error.detail['folder'], join(file, 'journal'));
          return true;
        },
      );
    });
  });
});
