import assert from 'node:assert/strict';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { LOG_LIMITS } from '../../src/events/event-log.ts';
import type { MatchEndedPayload } from '../../src/events/match-events.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { MatchReport, Participant } from '../../src/kernel/match-header.ts';
import { MatchResults } from '../../src/results/match-results.ts';
import { playerNamed } from '../fixtures/ended-match.ts';
import { matchHeader } from '../fixtures/recorded-match.ts';

const somebody = (word: string, facts: Partial<Participant> = {}): Participant => ({
  seat: 0,
  playerId: playerNamed(word),
  isBot: false,
  rank: 1,
  ticks: 100,
  score: { frags: 3 },
  ...facts,
});

const reported = (participants: readonly Participant[], facts: Partial<MatchReport> = {}): MatchReport => ({
  header: matchHeader('m-1'),
  ticks: 300,
  reason: 'completed',
  participants,
  ...facts,
});

describe('MatchResults', () => {
  let log: MemoryLog;
  let results: MatchResults;
  let conflicts: string[];

  beforeEach(() => {
    log = new MemoryLog({ catalogue: EVENTS });
    conflicts = [];
    results = new MatchResults({ log, onConflict: (matchId) => conflicts.push(matchId) });
  });

  async function stored(): Promise<MatchEndedPayload[]> {
    const payloads: MatchEndedPayload[] = [];
    for await (const page of log.readAll(0))
      for (const event of page) payloads.push(event.payload as MatchEndedPayload);
    return payloads;
  }

  it('makes a report the one event of the match, without a display name or anything else of the person', async () => {
    const report = reported([somebody('A'), somebody('B', { rank: 2, leftTick: 90, team: 1 })]);
    const result = await results.report(report);
    const { matchId, roomName, createdAtMs, tickRateHz } = report.header;
    const { reason, ticks, participants: standings } = report;
    assert.deepEqual(result, { matchId, roomName, reason, createdAtMs, ticks, tickRateHz, standings });
    assert.deepEqual(await stored(), [result]);
    assert.deepEqual(results.collect(), { recordedTotal: 1, repeatsTotal: 0, conflictsTotal: 0 });
  });

  it('answers the same report again with the first, also when both come at once, and writes nothing', async () => {
    const report = reported([somebody('A')]);
    const answers = await Promise.all([results.report(report), results.report(report), results.report(report)]);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    assert.equal((await stored()).length, 1);
    assert.deepEqual(results.collect(), { recordedTotal: 1, repeatsTotal: 2, conflictsTotal: 0 });
    assert.deepEqual(conflicts, []);
  });

  it('answers a duplicate room, which tells it otherwise, with the first result, counts it and says so', async () => {
    const first = await results.report(reported([somebody('A', { rank: 1 }), somebody('B', { rank: 2 })]));
    const again = new MatchResults({ log, onConflict: (matchId) => conflicts.push(matchId) });
    assert.deepEqual(await again.report(reported([somebody('B', { rank: 1 }), somebody('A', { rank: 2 })])), first);
    assert.deepEqual(await stored(), [first]);
    assert.deepEqual(conflicts, ['m-1']);
    assert.equal(again.collect().conflictsTotal, 1);
  });

  it('says nothing of a match in which no person took a seat', async () => {
    assert.equal(await results.report(reported([])), undefined);
    assert.equal(await results.report(reported([{ ...somebody(''), playerId: '', isBot: true }])), undefined);
    assert.deepEqual(await stored(), []);
  });

  it('of a match that very many left, leaves out those who were there for the shortest time', async () => {
    const stayed = [somebody('A'), somebody('B', { rank: 2 })];
    const left = Array.from({ length: 2_000 }, (_, i) =>
      somebody(`L${i}`, { rank: 3, ticks: 4_000 - i, leftTick: 4_000 - i }),
    );
    const result = await results.report(reported([...stayed, ...left]));
    const { standings } = result!;
    assert.deepEqual(standings.slice(0, 2), stayed);
    assert.deepEqual(standings.slice(2), left.slice(0, standings.length - 2));
    assert.ok(Buffer.byteLength(JSON.stringify(result)) <= LOG_LIMITS.payloadBytesMax);
    assert.ok(standings.length > 300, `${standings.length} fit`);
    assert.deepEqual(await stored(), [result]);
  });

  it('passes on that the log does not answer: whoever reports then reports again', async () => {
    const refusal = new GameError('DATABASE_UNAVAILABLE');
    const down = new MatchResults({ log: { append: () => Promise.reject(refusal) }, onConflict: assert.fail });
    await assert.rejects(down.report(reported([somebody('A')])), refusal);
  });
});
