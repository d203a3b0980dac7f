/** What a MatchJournal is. Every adapter runs this suite; it is the port's definition. */
import assert from 'node:assert/strict';
import { GameError } from '../../src/kernel/errors.ts';
import { type JournalWriter, type MatchJournal, RECORD_MAX_BYTES } from '../../src/match/journal.ts';
import type { JournalTotals } from '../../src/match/journal-totals.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { CounterMatch, matchHeader, plain } from '../fixtures/recorded-match.ts';

/** One store under test. */
export interface JournalHarness {
  readonly journal: MatchJournal;
  readonly totals: JournalTotals;
  /** From now on the store refuses every write, as a full disk does. */
  exhaust(): void | Promise<void>;
  /** There is space again. */
  relieve(): void | Promise<void>;
  /** Closes the store and lets go of what the test left. */
  dispose(): Promise<void>;
}

function isRefusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GameError && error.code === code;
}

export function matchJournalContract(adapter: string, create: () => Promise<JournalHarness>): void {
  describe(`MatchJournal contract: ${adapter}`, () => {
    let harness: JournalHarness;
    let journal: MatchJournal;

    async function begin(matchId: string, epoch = 1): Promise<CounterMatch> {
      const header = matchHeader(matchId);
      return new CounterMatch(await journal.open(header, epoch), header);
    }

    beforeEach(async () => {
      harness = await create();
      journal = harness.journal;
    });
    afterEach(() => harness.dispose());

    it('gives back header, entries, snapshots, sessions and end exactly as they were recorded', async () => {
      const match = (await begin('whole')).play(60).end();
      await match.writer.flush();
      const recorded = await journal.load('whole');
      assert.ok(recorded);
      assert.deepEqual(recorded.header, match.header);
      assert.equal(recorded.epoch, 1);
      assert.equal(recorded.isTorn, false);
      assert.deepEqual(plain(recorded.entries), plain(match.entries));
      assert.deepEqual(
        recorded.snapshots.map(({ tick, nextSession }) => [tick, nextSession]),
        [
          [25, 3],
          [50, 5],
        ],
      );
      assert.equal(recorded.firstTick, 0);
      assert.deepEqual(
        recorded.sessions.map(({ tick, bytes }) => [tick, ...bytes]),
        [0, 10, 20, 30, 40, 50].map((tick) => [tick, tick, 1, 2]),
      );
      assert.deepEqual(recorded.end, {
        tick: 60,
        hash: match.entries.at(-1)!.hash,
        result: { reason: 'completed', standings: match.sim.standings(match.world) },
      });
    });

    it('keeps the newest two snapshots, each with its room or without', async () => {
      const { writer } = (await begin('rooms')).play(30);
      const room = (tick: number) => Uint8Array.of(tick, 3, 4);
      for (const tick of [30, 30, 30]) writer.snapshot(tick, Uint8Array.of(tick, 1), room(tick));
      await writer.flush();
      writer.entry(30, Uint8Array.of(9), { hi: 0, lo: 0 });
      writer.snapshot(31, Uint8Array.of(31, 1), room(31));
      writer.session(Uint8Array.of(5));
      writer.snapshot(31, Uint8Array.of(31, 2));
      await writer.flush();
      for (const recorded of [await journal.load('rooms'), await journal.loadTail('rooms')]) {
        assert.deepEqual(
          recorded!.snapshots.map(({ tick, bytes, room }) => [tick, [...bytes], room && [...room]]),
          [
            [31, [31, 1], [31, 3, 4]],
            [31, [31, 2], undefined],
          ],
        );
        const [first, second] = recorded!.snapshots.map(({ nextSession }) => nextSession);
        assert.deepEqual([...recorded!.sessions[first!]!.bytes], [5]);
        assert.equal(recorded!.sessions[second!], undefined);
      }
    });

    it('gives what is needed to go on with a match: the newest two snapshots and what follows the older', async () => {
      const match = await begin('tail');
      assert.deepEqual(await journal.loadTail('tail'), await journal.load('tail'));
      for (let ticks = 0; ticks < 160; ticks += 4) {
        match.play(4);
        // Some in one piece, some in several.
        if (ticks % 12 === 0) await match.writer.flush();
      }
      await match.writer.flush();
      const assertTail = async (epoch: number, triesInVain: number): Promise<void> => {
        const tail = (await journal.loadTail('tail'))!;
        assert.deepEqual(tail.header, match.header);
        assert.deepEqual([tail.epoch, tail.triesInVain, tail.firstTick], [epoch, triesInVain, 125]);
        assert.deepEqual(plain(tail.entries), plain(match.entries.slice(125)));
        assert.deepEqual(
          tail.snapshots.map(({ tick, nextSession }) => [tick, nextSession]),
          [
            [125, 0],
            [150, 2],
          ],
        );
        assert.deepEqual(
          tail.sessions.map(({ tick, bytes }) => [tick, ...bytes]),
          [130, 140, 150, 160].filter((tick) => tick < match.entries.length).map((tick) => [tick, tick, 1, 2]),
        );
        const restored = restoreMatch(counterSim(), tail);
        assert.deepEqual([restored.nextTick, restored.snapshotTick], [match.entries.length, 150]);
        assert.equal(restored.divergedAtTick, undefined);
        assert.deepEqual(restored.world.words, match.world.words);
      };
      await assertTail(1, 0);
      for (const epoch of [2, 3]) {
        match.writer = await journal.open(match.header, epoch);
        await assertTail(epoch, epoch - 2);
        match.writer.tryRestore();
        await match.writer.flush();
        await assertTail(epoch, epoch - 1);
      }
      // Some of the tries may have failed for no fault of the match.
      match.writer.withdrawTry();
      await match.writer.flush();
      await assertTail(3, 1);
      await match.play(10).writer.flush();
      await assertTail(3, 0);
      match.writer = await journal.open(match.header, 4);
      // The snapshots of former owners go like one's own.
      match.play(80).end();
      await match.writer.close();
      const tail = (await journal.loadTail('tail'))!;
      assert.deepEqual([tail.epoch, tail.firstTick, tail.end?.tick], [4, 200, 250]);
      assert.deepEqual(plain(tail.entries), plain(match.entries.slice(200)));
      assert.deepEqual(plain((await journal.load('tail'))!.entries), plain(match.entries));
      assert.equal(await journal.loadTail('nobody'), undefined);
    });

    it('copies what it is given, so that a caller may reuse its buffers at once', async () => {
      const writer = await journal.open(matchHeader('reuse'), 1);
      const bytes = Uint8Array.of(1, 2, 3);
      const hash = { hi: 4, lo: 5 };
      writer.entry(0, bytes, hash);
      bytes.fill(9);
      hash.hi = 9;
      await writer.flush();
      assert.deepEqual(plain((await journal.load('reuse'))!.entries), [
        { tick: 0, bytes: [1, 2, 3], hash: { hi: 4, lo: 5 } },
      ]);
    });

    it('keeps the records of many matches apart, however they are interleaved', async () => {
      const matches = await Promise.all(['a', 'b', 'c', 'd'].map((id) => begin(id)));
      for (let round = 0; round < 20; round++) {
        for (const [i, match] of matches.entries()) match.play(1 + ((round + i) % 3));
        if (round % 7 === 0) await matches[round % 4]!.writer.flush();
      }
      for (const match of matches) {
        await match.writer.flush();
        assert.deepEqual(plain((await journal.load(match.header.matchId))!.entries), plain(match.entries));
      }
    });

    it('knows nothing of a match that was never opened', async () => {
      assert.equal(await journal.load('nobody'), undefined);
      await journal.remove('nobody');
      assert.deepEqual(await journal.list(), []);
    });

    it('lists matches oldest first as open, unfinished or ended', async () => {
      const ended = (await begin('ended')).play(3).end();
      await ended.writer.close();
      const left = (await begin('left')).play(2);
      await left.writer.close();
      const open = (await begin('open')).play(1);
      await open.writer.flush();
      assert.deepEqual(
        (await journal.list()).map(({ matchId, state, ticks, epoch, isTorn }) => [
          matchId,
          state,
          ticks,
          epoch,
          isTorn,
        ]),
        [
          ['ended', 'ended', 3, 1, false],
          ['left', 'unfinished', 2, 1, false],
          ['open', 'open', 1, 1, false],
        ],
      );
      for (const { bytes, header } of await journal.list()) {
        assert.ok(bytes > 0);
        assert.equal(header?.roomName, 'counter');
      }
    });

    it('counts what becomes durable and is not behind after a flush', async () => {
      const match = (await begin('counted')).play(10);
      await match.writer.flush();
      assert.deepEqual(match.writer.lag, { records: 0, bytes: 0 });
      const { recordsTotal, bytesTotal, lagSeconds, failuresTotal } = harness.totals.collect();
      // Header, 10 entries, 1 snapshot, 1 session.
      assert.equal(recordsTotal, 13);
      assert.ok(bytesTotal > 0);
      assert.equal(lagSeconds, 0);
      assert.equal(failuresTotal, 0);
    });

    it('records nothing after the end or after close', async () => {
      const match = (await begin('over')).play(2).end();
      match.writer.entry(2, Uint8Array.of(1), { hi: 0, lo: 0 });
      match.writer.snapshot(2, Uint8Array.of(1));
      match.writer.session(Uint8Array.of(1));
      await match.writer.close();
      match.writer.end(2, { hi: 0, lo: 0 }, { reason: 'abandoned', standings: [] });
      await match.writer.flush();
      const recorded = (await journal.load('over'))!;
      assert.equal(recorded.entries.length, 2);
      assert.equal(recorded.snapshots.length, 1);
      assert.equal(recorded.end?.result.reason, 'completed');
    });

    it('lets exactly one of several claim an epoch', async () => {
      await (await begin('claimed')).writer.close();
      const claims = await Promise.allSettled([2, 2, 2].map((epoch) => journal.open(matchHeader('claimed'), epoch)));
      const refused = claims.filter((claim) => claim.status === 'rejected');
      assert.equal(refused.length, 2);
      for (const { reason } of refused) assert.ok(isRefusal('JOURNAL_FENCED')(reason));
    });

    it('refuses an epoch that is not above the one it has seen', async () => {
      await begin('fenced', 5);
      for (const epoch of [1, 4, 5]) {
        await assert.rejects(journal.open(matchHeader('fenced'), epoch), isRefusal('JOURNAL_FENCED'));
      }
    });

    it('fences the former owner: what it records after a take-over is not kept', async () => {
      const old = (await begin('taken')).play(30);
      const kept = old.entries.slice();
      const successor = await journal.open(matchHeader('taken'), 2);
      old.play(5).end();
      assert.equal(old.writer.failure?.code, 'JOURNAL_FENCED');
      await assert.rejects(old.writer.flush(), isRefusal('JOURNAL_FENCED'));
      await old.writer.close();
      const recorded = (await journal.load('taken'))!;
      assert.equal(recorded.epoch, 2);
      assert.equal(recorded.end, undefined);
      assert.deepEqual(plain(recorded.entries), plain(kept));
      assert.equal(successor.failure, undefined);
      assert.equal(harness.totals.collect().failuresTotal, 0);
    });

    it('lets a successor go on where the journal ends, under the first header', async () => {
      const first = (await begin('moved')).play(40);
      await first.writer.close();
      const writer = await journal.open({ ...matchHeader('moved'), buildId: 'newer' }, 2);
      const restored = restoreMatch(counterSim(), (await journal.load('moved'))!);
      assert.equal(restored.nextTick, 40);
      assert.equal(restored.divergedAtTick, undefined);
      assert.deepEqual(restored.world.words, first.world.words);
      first.writer = writer;
      first.play(20).end();
      await writer.close();
      const recorded = (await journal.load('moved'))!;
      assert.deepEqual(plain(recorded.entries), plain(first.entries));
      assert.equal(recorded.header.buildId, 'test');
      assert.equal(recorded.end?.tick, 60);
    });

    it('does not reopen a match that has ended', async () => {
      await (await begin('done')).play(1).end().writer.close();
      await assert.rejects(journal.open(matchHeader('done'), 2), isRefusal('MATCH_ENDED'));
    });

    it('forgets a removed match and fences who still writes it', async () => {
      const match = (await begin('gone')).play(3);
      const other = (await begin('stays')).play(3);
      await journal.remove('gone');
      match.play(2);
      assert.equal(match.writer.failure?.code, 'JOURNAL_FENCED');
      assert.equal(await journal.load('gone'), undefined);
      await other.writer.flush();
      assert.deepEqual(
        (await journal.list()).map(({ matchId }) => matchId),
        ['stays'],
      );
      await journal.open(matchHeader('gone'), 1);
      assert.equal((await journal.load('gone'))?.entries.length, 0);
    });

    it('when the store refuses, the match goes on and what was durable stays whole', async () => {
      const match = (await begin('full')).play(10);
      await match.writer.flush();
      const durable = match.entries.slice();
      await harness.exhaust();
      match.play(10);
      await assert.rejects(match.writer.flush(), isRefusal('JOURNAL_UNAVAILABLE'));
      match.play(10).end();
      assert.equal(match.writer.failure?.code, 'JOURNAL_UNAVAILABLE');
      await match.writer.close();
      assert.equal(harness.totals.collect().failuresTotal, 1);
      await assert.rejects(journal.open(matchHeader('refused'), 1), isRefusal('JOURNAL_UNAVAILABLE'));
      assert.equal(await journal.load('refused'), undefined);
      assert.equal(harness.totals.collect().failuresTotal, 2);

      await harness.relieve();
      const recorded = (await journal.load('full'))!;
      assert.equal(recorded.end, undefined);
      assert.deepEqual(plain(recorded.entries).slice(0, durable.length), plain(durable));
      assert.deepEqual(plain(recorded.entries), plain(match.entries.slice(0, recorded.entries.length)));
      const next = (await begin('after')).play(10).end();
      await next.writer.close();
      assert.equal(next.writer.failure, undefined);
      assert.equal((await journal.load('after'))?.end?.tick, 10);
    });

    it('fails the match whose record is too large, and no other', async () => {
      const match = await begin('huge');
      const other = await begin('other');
      match.writer.snapshot(0, new Uint8Array(RECORD_MAX_BYTES + 100));
      other.play(5);
      assert.equal(match.writer.failure?.code, 'JOURNAL_UNAVAILABLE');
      await other.writer.flush();
      assert.equal((await journal.load('other'))?.entries.length, 5);
      assert.equal((await journal.load('huge'))?.snapshots.length, 0);
    });

    it('takes no match id that is not one', async () => {
      for (const matchId of ['', '../etc', 'a b', 'x'.repeat(65), 'ä']) {
        await assert.rejects(journal.open(matchHeader(matchId), 1), RangeError);
      }
    });

    it('refuses everything after it is closed, without throwing into the match', async () => {
      const match = (await begin('closing')).play(5);
      await journal.close();
      match.play(5);
      assert.equal(match.writer.failure?.code, 'JOURNAL_UNAVAILABLE');
      await assert.rejects(match.writer.flush(), isRefusal('JOURNAL_UNAVAILABLE'));
      await assert.rejects(journal.open(matchHeader('late'), 1), isRefusal('JOURNAL_UNAVAILABLE'));
    });

    it('settles every flush that was asked for at the same time', async () => {
      const matches = await Promise.all(Array.from({ length: 8 }, (_, i) => begin(`flush-${i}`)));
      const flushes: Promise<void>[] = [];
      for (let round = 0; round < 10; round++) {
        for (const match of matches) flushes.push((match.play(1).writer satisfies JournalWriter).flush());
      }
      await Promise.all(flushes);
      for (const match of matches) assert.deepEqual(match.writer.lag, { records: 0, bytes: 0 });
    });
  });
}
