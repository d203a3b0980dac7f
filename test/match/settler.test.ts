import assert from 'node:assert/strict';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { MatchReport } from '../../src/kernel/match-header.ts';
import type { Replay } from '../../src/kernel/replay-file.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { MatchSettler, type ResultSink } from '../../src/match/settler.ts';
import { CounterMatch, matchHeader } from '../fixtures/recorded-match.ts';
import { until } from '../fixtures/until.ts';

/** Keeps results by match, or refuses. */
class Ledger implements ResultSink {
  readonly reports: MatchReport[] = [];
  refusal: Error | undefined;
  attempts = 0;

  async report(report: MatchReport): Promise<void> {
    this.attempts++;
    await Promise.resolve();
    if (this.refusal !== undefined) throw this.refusal;
    this.reports.push(report);
  }
}

class Shelf {
  readonly kept: Replay[] = [];
  refusal: Error | undefined;
  readonly pseudonym = (id: string): string => id && `p${id.length}`;

  async put(replay: Replay): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal;
    this.kept.push(replay);
  }
}

const outage = () => new GameError('DATABASE_UNAVAILABLE');

describe('MatchSettler', () => {
  let journal: MemoryJournal;
  let ledger: Ledger;
  let shelf: Shelf;
  let faults: string[];
  const settlers: MatchSettler[] = [];

  beforeEach(() => {
    journal = new MemoryJournal({ totals: new JournalTotals() });
    ledger = new Ledger();
    shelf = new Shelf();
    faults = [];
  });
  afterEach(async () => {
    await Promise.all(settlers.splice(0).map((settler) => settler.close()));
  });

  function settle(results: ResultSink = ledger): MatchSettler {
    const settler = new MatchSettler({
      journal,
      replays: shelf,
      results,
      totals: new JournalTotals(),
      onFault: (_error, matchId, step) => faults.push(`${step} ${matchId}`),
      onLost: (matchId) => faults.push(`lost ${matchId}`),
    });
    settlers.push(settler);
    return settler;
  }

  async function ended(matchId: string): Promise<MatchReport> {
    const header = matchHeader(matchId);
    const match = new CounterMatch(await journal.open(header, 1), header).play(30).end();
    await match.writer.close();
    return { header, ticks: 30, reason: 'completed', participants: [] };
  }

  const journaled = async () => (await journal.list()).map(({ matchId }) => matchId);

  it('reports, archives, and only then forgets the journal', async () => {
    const report = await ended('m');
    const { archived, settled } = settle().settle(report, { isRecorded: true });
    assert.equal(await archived, true);
    assert.equal(await settled, true);
    assert.deepEqual(ledger.reports, [report]);
    assert.equal(shelf.kept[0]?.header.matchId, 'm');
    assert.deepEqual(await journaled(), []);
    assert.deepEqual(faults, []);
  });

  it('while the log does not answer there is a replay already, the journal waits, and the result follows once', async () => {
    ledger.refusal = outage();
    const settler = settle();
    const { archived, settled } = settler.settle(await ended('m'), { isRecorded: true });
    assert.equal(await archived, true);
    assert.equal(await settled, false);
    assert.deepEqual(await journaled(), ['m']);
    assert.equal(settler.collect().resultsWaiting, 1);
    assert.ok(settler.collect().resultsWaitingSeconds > 0);
    await until(() => ledger.attempts >= 3, 'two more tries');
    ledger.refusal = undefined;
    await until(() => settler.collect().resultsWaiting === 0, 'the result');
    await until(async () => (await journaled()).length === 0, 'the journal to be forgotten');
    assert.equal(ledger.reports.length, 1);
    assert.equal(shelf.kept.length, 1, 'the replay is not written again');
    assert.deepEqual(faults, ['report m'], 'said once, not with every try');
    assert.equal(settler.collect().resultsReportedTotal, 1);
  });

  it('while replays cannot be written the result is reported, once, and the journal waits for the replay', async () => {
    shelf.refusal = new Error('ENOSPC');
    const settler = settle();
    const { archived, settled } = settler.settle(await ended('m'), { isRecorded: true });
    assert.equal(await archived, false);
    assert.equal(await settled, false);
    assert.equal(ledger.reports.length, 1);
    assert.deepEqual(await journaled(), ['m']);
    shelf.refusal = undefined;
    settler.retryNow();
    await until(async () => (await journaled()).length === 0, 'the journal to be forgotten');
    assert.equal(ledger.reports.length, 1);
    assert.equal(shelf.kept.length, 1);
  });

  it('what a former process left behind is settled at the start, and what fails then is tried again', async () => {
    for (const id of ['a', 'b', 'c']) await ended(id);
    const header = matchHeader('running');
    new CounterMatch(await journal.open(header, 1), header).play(3);
    ledger.refusal = outage();
    const settler = settle();
    assert.equal(await settler.adopt(), 0);
    assert.equal(settler.collect().resultsWaiting, 3);
    ledger.refusal = undefined;
    settler.retryNow();
    await until(async () => (await journaled()).length === 1, 'all that ended to be settled');
    assert.deepEqual(await journaled(), ['running']);
    assert.deepEqual(ledger.reports.map((report) => report.header.matchId).sort(), ['a', 'b', 'c']);
  });

  it('takes on of a shared journal only what nobody has settled since the last look', async () => {
    await ended('left');
    const settler = settle();
    assert.equal(await settler.adopt({ isShared: true }), 0);
    assert.equal(ledger.reports.length, 0);
    await ended('fresh');
    assert.equal(await settler.adopt({ isShared: true }), 1);
    assert.deepEqual(await journaled(), ['fresh']);
    await journal.remove('fresh');
    assert.equal(await settler.adopt({ isShared: true }), 0);
    assert.deepEqual(faults, []);
    assert.deepEqual(
      ledger.reports.map(({ header }) => header.matchId),
      ['left'],
    );
  });

  it('watches a shared journal, through times at which it cannot be read, until it is closed', async () => {
    const list = journal.list.bind(journal);
    let looks = 0;
    let isAway = false;
    journal.list = async () => {
      looks++;
      if (isAway) throw new GameError('JOURNAL_UNAVAILABLE');
      return list();
    };
    const settler = settle();
    settler.watch(1);
    await ended('one');
    await until(async () => (await journaled()).length === 0, 'what ended to be settled');
    isAway = true;
    const before = looks;
    await until(() => looks > before + 3, 'more looks');
    assert.deepEqual(faults, ['list undefined'], 'said once, and of no match');
    isAway = false;
    await ended('two');
    await until(async () => (await list()).length === 0, 'what ended later to be settled');
    // Resolves only when the watch has ended.
    assert.equal(await settler.close(), 0);
  });

  it('a journal of 0.1, which does not name who took part, is told from its entries', async () => {
    await ended('old');
    assert.equal(await settle().adopt(), 1);
    const { participants } = ledger.reports[0]!;
    assert.deepEqual(
      participants.map(({ playerId, isBot, ticks, leftTick }) => [playerId, isBot, ticks, leftTick]).sort(),
      [
        ['', true, 30, undefined],
        ['player-ada', false, 30, undefined],
        ['player-grace', false, 9, 19],
      ],
    );
  });

  it('lets a match be that another process has settled meanwhile', async () => {
    await ended('m');
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const list = journal.list.bind(journal);
    journal.list = async () => {
      const states = await list();
      await gate;
      return states;
    };
    const settler = settle();
    const adopting = settler.adopt();
    await journal.remove('m');
    release();
    await adopting;
    assert.equal(settler.collect().resultsWaiting, 0);
    assert.deepEqual(faults, []);
    assert.equal(await settler.close(), 0);
  });

  it('a fault with one match does not stop the others', async () => {
    for (const id of ['a', 'bad', 'c']) await ended(id);
    const picky: ResultSink = {
      report: async (report) => {
        if (report.header.matchId === 'bad') throw new TypeError('a bug');
        await ledger.report(report);
      },
    };
    assert.equal(await settle(picky).adopt(), 2);
    assert.deepEqual(await journaled(), ['bad']);
    assert.deepEqual(faults, ['report bad']);
  });

  it('reports a match whose journal could not be written, until that succeeds, and has no replay of it', async () => {
    ledger.refusal = outage();
    const settler = settle();
    const report: MatchReport = { header: matchHeader('m'), ticks: 9, reason: 'completed', participants: [] };
    const { archived, settled } = settler.settle(report, { isRecorded: false });
    assert.equal(await archived, false);
    assert.equal(await settled, false);
    ledger.refusal = undefined;
    settler.retryNow();
    await until(() => ledger.reports.length === 1, 'the result');
    assert.deepEqual(shelf.kept, []);
    assert.equal(await settler.close(), 0);
  });

  it('says which results are lost when it ends before they could be written anywhere', async () => {
    ledger.refusal = outage();
    const settler = settle();
    const report: MatchReport = { header: matchHeader('m'), ticks: 9, reason: 'completed', participants: [] };
    await settler.settle(report, { isRecorded: false }).settled;
    await settler.settle(await ended('safe'), { isRecorded: true }).settled;
    assert.equal(await settler.close(), 1, 'the journal has the other one');
    assert.ok(faults.includes('lost m'));
    assert.ok(!faults.includes('lost safe'));
    assert.deepEqual(await journaled(), ['safe']);
  });

  it('holds at most 1,000 results that are in memory alone, and says which it gives up', async () => {
    ledger.refusal = outage();
    const settler = settle();
    const settling = Array.from({ length: 1_001 }, (_, i) => {
      const report: MatchReport = { header: matchHeader(`m${i}`), ticks: 9, reason: 'completed', participants: [] };
      return settler.settle(report, { isRecorded: false }).settled;
    });
    await Promise.all(settling);
    assert.ok(faults.includes('lost m0'));
    assert.equal(faults.filter((fault) => fault.startsWith('lost')).length, 1);
    assert.equal(settler.collect().resultsLostTotal, 1);
  });

  it('ends within its time although the log hangs', async () => {
    const settler = settle({ report: () => new Promise(() => {}) });
    settler.settle(await ended('m'), { isRecorded: true });
    assert.equal(await settler.close(20), 1);
    assert.deepEqual(await journaled(), ['m']);
  });
});
