import assert from 'node:assert/strict';
import { RedisJournal, type RedisJournalOptions } from '../../src/adapters/redis-journal.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { CounterMatch, matchHeader, plain } from '../fixtures/recorded-match.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { until } from '../fixtures/until.ts';

const isRefusal = (code: string) => (error: unknown) => error instanceof GameError && error.code === code;

describe('RedisJournal', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let journals: RedisJournal[];
  let events: string[];

  /** One per process in real life. `isDirect`: not through the proxy. */
  async function open(
    options: Partial<RedisJournalOptions> = {},
    isDirect = false,
  ): Promise<{ journal: RedisJournal; totals: JournalTotals }> {
    const totals = new JournalTotals();
    const journal = await RedisJournal.open({
      url: isDirect ? redis.url : `redis://127.0.0.1:${proxy.port}`,
      totals,
      flushEveryMs: 5,
      answerMs: 5_000,
      onDegraded: () => void events.push('degraded'),
      onRecovered: () => void events.push('recovered'),
      onRewritten: (matchId) => void events.push(`rewritten ${matchId}`),
      ...options,
    });
    journals.push(journal);
    return { journal, totals };
  }

  async function begin(journal: RedisJournal, matchId: string, epoch = 1): Promise<CounterMatch> {
    const header = matchHeader(matchId);
    return new CounterMatch(await journal.open(header, epoch), header);
  }

  /** Plays on until the fact holds, so that there is always something under way. */
  async function playUntil(match: CounterMatch, ask: () => boolean, what: string): Promise<void> {
    await until(() => {
      match.play(1);
      return ask();
    }, what);
  }

  async function assertWhole(match: CounterMatch, journal: RedisJournal): Promise<void> {
    const recorded = await journal.load(match.header.matchId);
    assert.deepEqual(plain(recorded!.entries), plain(match.entries));
    assert.equal(restoreMatch(counterSim(), recorded!).divergedAtTick, undefined);
  }

  const top = (key: string) => redis.command((client) => client.xrevrange(key, '+', '-', 'COUNT', 1));

  before(async () => {
    redis = await RedisServer.start();
  });
  beforeEach(async () => {
    journals = [];
    events = [];
    proxy = await TcpProxy.start(redis.port);
  });
  afterEach(async () => {
    redis.resume();
    await Promise.all(journals.map((journal) => journal.close()));
    await proxy.close();
    await redis.command((client) => client.flushall());
  });
  after(() => redis.stop());

  it('of two processes that claim an epoch exactly one wins, 200 times', async () => {
    const { journal: a } = await open();
    const { journal: b } = await open({}, true);
    await begin(a, 'race');
    for (let epoch = 2; epoch <= 201; epoch++) {
      const claims = await Promise.allSettled([a, b].map((journal) => journal.open(matchHeader('race'), epoch)));
      const won = claims.filter(({ status }) => status === 'fulfilled');
      const [lost] = claims.filter((claim) => claim.status === 'rejected');
      assert.equal(won.length, 1, `epoch ${epoch}`);
      assert.ok(isRefusal('JOURNAL_FENCED')(lost?.reason));
    }
    assert.equal((await a.load('race'))?.epoch, 201);
  });

  it('of two processes that begin the same match exactly one wins', async () => {
    const { journal: a } = await open();
    const { journal: b } = await open({}, true);
    for (let i = 0; i < 20; i++) {
      const claims = await Promise.allSettled([
        a.open(matchHeader(`new-${i}`), 1),
        b.open(matchHeader(`new-${i}`), 1 + (i % 2)),
      ]);
      const { epoch, entries } = (await a.load(`new-${i}`))!;
      assert.deepEqual([entries.length, epoch >= 1], [0, true]);
      if (i % 2 === 0) assert.equal(claims.filter(({ status }) => status === 'fulfilled').length, 1);
    }
  });

  it('a writer that did not notice that it was replaced is refused by the store, and not a record of it is kept', async () => {
    const { journal: old, totals } = await open();
    const { journal: young } = await open({}, true);
    const match = (await begin(old, 'm')).play(30);
    await match.writer.flush();
    const kept = match.entries.slice();
    const taken = await young.open(matchHeader('m'), 2);
    await assert.rejects(match.play(5).writer.flush(), isRefusal('JOURNAL_FENCED'));
    assert.equal(match.writer.failure?.code, 'JOURNAL_FENCED');
    assert.equal(totals.collect().fencedTotal, 1);
    assert.equal(totals.collect().failuresTotal, 0);
    const recorded = (await young.load('m'))!;
    assert.deepEqual(plain(recorded.entries), plain(kept));
    const world = restoreMatch(counterSim(), recorded).world;
    const successor = new CounterMatch(taken, match.header);
    Object.assign(successor, { world });
    await successor.play(10).writer.flush();
    assert.equal((await old.load('m'))?.entries.length, 40);
  });

  it('a successor that claims in the middle of many flushes loses nothing that was acknowledged', async () => {
    const { journal: old } = await open();
    const { journal: young } = await open({}, true);
    const match = await begin(old, 'busy');
    let acked = 0;
    const playing = (async () => {
      while (match.writer.failure === undefined) {
        match.play(1);
        const ticks = match.entries.length;
        await match.writer.flush().then(
          () => {
            acked = ticks;
          },
          () => undefined,
        );
      }
    })();
    await until(() => acked > 20, 'some ticks');
    await young.open(matchHeader('busy'), 2);
    await playing;
    const { entries, epoch } = (await young.load('busy'))!;
    assert.equal(epoch, 2);
    assert.ok(entries.length >= acked, `${entries.length} entries of ${acked} acknowledged`);
  });

  it('a removed match refuses who still writes it in another process, and may begin anew', async () => {
    const { journal: a } = await open();
    const { journal: b } = await open({}, true);
    const match = (await begin(a, 'gone')).play(5);
    await match.writer.flush();
    await b.remove('gone');
    await assert.rejects(match.play(1).writer.flush(), isRefusal('JOURNAL_FENCED'));
    assert.equal(await b.load('gone'), undefined);
    assert.deepEqual(await b.list(), []);
    const next = (await begin(b, 'gone')).play(3);
    await next.writer.flush();
    assert.equal((await a.load('gone'))?.entries.length, 3);
  });

  it('shows every process all matches, and which of them it writes itself', async () => {
    const { journal: a } = await open();
    const { journal: b } = await open({}, true);
    await (await begin(a, 'running')).play(7).writer.flush();
    await (await begin(b, 'ended')).play(2).end().writer.close();
    const states = async (journal: RedisJournal) =>
      (await journal.list()).map(({ matchId, state, ticks }) => [matchId, state, ticks]);
    assert.deepEqual(await states(a), [
      ['running', 'open', 7],
      ['ended', 'ended', 2],
    ]);
    assert.deepEqual((await states(b))[0], ['running', 'unfinished', 7]);
  });

  it('while Redis is cut off the match goes on and shows its lag, and nothing is missing afterwards', async () => {
    const { journal, totals } = await open();
    const match = (await begin(journal, 'cut')).play(10);
    await match.writer.flush();
    proxy.cut();
    await playUntil(match, () => events.includes('degraded'), 'the outage to be noticed');
    const { contactAtMs } = journal;
    match.play(50);
    assert.equal(match.writer.failure, undefined);
    assert.ok(match.writer.lag.records >= 50);
    assert.ok(totals.collect().lagSeconds > 0);
    assert.ok(totals.collect().bufferedBytes > 0);
    await assert.rejects(
      (await open({ answerMs: 50 })).journal.open(matchHeader('new'), 1),
      isRefusal('JOURNAL_UNAVAILABLE'),
    );
    assert.equal(journal.contactAtMs, contactAtMs);
    proxy.heal();
    await match.play(1).writer.flush();
    assert.ok(journal.contactAtMs > contactAtMs);
    assert.deepEqual(match.writer.lag, { records: 0, bytes: 0 });
    assert.equal(totals.collect().bufferedBytes, 0);
    assert.ok(events.includes('recovered'));
    await assertWhole(match, journal);
  });

  it('a batch that was applied although its answer was lost is not applied twice, nor mistaken for a fence', async () => {
    const { journal, totals } = await open();
    const match = (await begin(journal, 'lost-answer')).play(3);
    await match.writer.flush();
    for (let i = 0; i < 20; i++) {
      const [[before]] = (await top('hypogeum:journal:lost-answer')) as unknown as [[string]];
      // Redis does it, but nothing comes back.
      proxy.stall(['back']);
      const flushed = match.play(2).writer.flush();
      await until(async () => (await top('hypogeum:journal:lost-answer'))[0]![0] !== before, 'the batch to be applied');
      match.play(1);
      proxy.cut();
      proxy.heal();
      await flushed;
      // Nothing is under way: else its answer would be held, and the next batch would wait for it.
      await match.writer.flush();
    }
    await match.writer.flush();
    assert.equal(totals.collect().fencedTotal, 0);
    assert.equal(totals.collect().rewrittenTotal, 0);
    await assertWhole(match, journal);
  });

  it('a claim whose answer was lost is known again as its own', async () => {
    const { journal } = await open();
    await (await begin(journal, 'claimed')).writer.close();
    for (let epoch = 2; epoch < 12; epoch++) {
      // Of the questions before a claim some answers pass, as the moment of the stall is another each time.
      const claimed = journal.open(matchHeader('claimed'), epoch);
      await new Promise((resolve) => setTimeout(resolve, epoch / 4));
      proxy.stall(['back']);
      await new Promise((resolve) => setTimeout(resolve, 20));
      proxy.cut();
      proxy.heal();
      const writer = await claimed;
      await writer.close();
      assert.equal((await journal.load('claimed'))?.epoch, epoch);
    }
  });

  it('a Redis that is paused for longer than a connection waits has everything afterwards, once', async () => {
    const { journal, totals } = await open({ silenceMs: 100 }, true);
    const matches = await Promise.all(['a', 'b', 'c'].map((id) => begin(journal, id)));
    for (const match of matches) await match.play(5).writer.flush();
    redis.pause();
    const sinceMs = performance.now();
    await until(() => {
      for (const match of matches) match.play(1);
      return performance.now() - sinceMs > 700;
    }, 'several connections to be given up');
    assert.ok(totals.collect().lagSeconds > 0.3);
    redis.resume();
    for (const match of matches) await match.play(1).writer.flush();
    for (const match of matches) await assertWhole(match, journal);
    assert.equal(totals.collect().failuresTotal, 0);
  });

  it('a Redis that was restarted empty gets every match anew, as it is, with what came meanwhile', async () => {
    const { journal, totals } = await open({}, true);
    const other = await open({}, true);
    const matches = await Promise.all(['a', 'b', 'c'].map((id) => begin(journal, id)));
    for (const match of matches) await match.play(120).writer.flush();
    await redis.kill();
    for (const match of matches) match.play(30);
    await redis.start();
    for (const match of matches) await match.play(1).writer.flush();
    assert.deepEqual(
      events.filter((event) => event.startsWith('rewritten')),
      ['rewritten a', 'rewritten b', 'rewritten c'],
    );
    for (const match of matches) await assertWhole(match, other.journal);
    assert.equal((await other.journal.list()).length, 3);
    assert.equal(totals.collect().rewrittenTotal, 3);
    assert.equal(totals.collect().failuresTotal, 0);
    // And it goes on from there, for a successor too.
    await matches[0]!.play(20).writer.flush();
    await other.journal.open(matchHeader('a'), 2);
    await assert.rejects(matches[0]!.play(1).writer.flush(), isRefusal('JOURNAL_FENCED'));
    assert.equal((await other.journal.load('a'))?.entries.length, 171);
  });

  it('connections that are taken and closed at once, as by a load balancer without its Redis, are tried again', async () => {
    const { journal } = await open();
    const match = await begin(journal, 'm');
    await redis.kill();
    const { accepted } = proxy;
    await playUntil(match, () => proxy.accepted > accepted + 3, 'some tries');
    await redis.start();
    await playUntil(match, () => events.includes('recovered'), 'the journal to be written again');
    await match.writer.flush();
    await assertWhole(match, (await open({}, true)).journal);
  });

  it('a match that was taken over is written anew with what its former owner had recorded', async () => {
    const { journal: old } = await open();
    const { journal: young, totals } = await open({}, true);
    const match = (await begin(old, 'inherited')).play(60);
    await match.writer.flush();
    match.writer = await young.open(matchHeader('inherited'), 2);
    assert.equal(totals.collect().unkept, 1);
    await match.play(10).writer.flush();
    await until(() => totals.collect().unkept === 0, 'what the former owner had recorded to be copied');
    await match.play(10).writer.flush();
    await redis.command((client) => client.flushall());
    await match.play(5).writer.flush();
    await assertWhole(match, young);
    assert.equal((await young.load('inherited'))?.epoch, 2);
  });

  it('a match of which the newest part was lost, as by a replica that took over, is noticed and written anew', async () => {
    const { journal } = await open();
    const match = (await begin(journal, 'partly')).play(20);
    await match.writer.flush();
    await match.play(20).writer.flush();
    await redis.command(async (client) => {
      const [[id]] = (await top('hypogeum:journal:partly')) as unknown as [[string]];
      await client.xdel('hypogeum:journal:partly', id);
    });
    await match.play(1).writer.flush();
    assert.ok(events.includes('rewritten partly'));
    await assertWhole(match, journal);
  });

  it('of snapshots only the newest two stay in Redis, and a former owner deletes none of its successor', async () => {
    const { journal: old, totals } = await open();
    const { journal: young, totals: youngTotals } = await open({}, true);
    const match = await begin(old, 'm');
    const inRedis = async () => {
      const rows = await redis.command((client) => client.xrange('hypogeum:journal:m', '-', '+'));
      return rows.filter(([, [name]]) => name === 's').map(([id]) => id);
    };
    for (let i = 0; i < 8; i++) await match.play(25).writer.flush();
    const kept = await inRedis();
    assert.equal(kept.length, 2);
    const { writer } = match;
    const taken = await young.open(matchHeader('m'), 2);
    writer.snapshot(200, Uint8Array.of(1));
    await assert.rejects(writer.flush(), isRefusal('JOURNAL_FENCED'));
    assert.deepEqual(await inRedis(), kept);
    match.writer = taken;
    for (let i = 0; i < 2; i++) await match.play(25).writer.flush();
    const after = await inRedis();
    assert.deepEqual(
      after.map((id) => id.split('-')[0]),
      ['2', '2'],
    );
    assert.equal(totals.collect().rewrittenTotal, 0);
    await assertWhole(match, young);
    // Also of a match that was written anew.
    await until(() => youngTotals.collect().unkept === 0, 'what the former owner had recorded to be copied');
    await redis.command((client) => client.flushall());
    for (let i = 0; i < 3; i++) await match.play(25).writer.flush();
    assert.equal((await inRedis()).length, 2);
    await assertWhole(match, young);
  });

  it('while Redis is away no more than the newest two snapshots wait, and nothing else is left out', async () => {
    const { journal } = await open();
    const match = (await begin(journal, 'm')).play(30);
    await match.writer.flush();
    proxy.cut();
    await playUntil(match, () => events.includes('degraded'), 'the outage to be noticed');
    match.play(100);
    const { bytes } = match.writer.lag;
    for (let i = 0; i < 40; i++) match.writer.snapshot(match.entries.length, new Uint8Array(10_000).fill(i));
    assert.ok(match.writer.lag.bytes < bytes + 2 * 10_100, `${match.writer.lag.bytes} bytes after ${bytes}`);
    proxy.heal();
    await match.writer.flush();
    assert.deepEqual(match.writer.lag, { records: 0, bytes: 0 });
    const recorded = (await journal.load('m'))!;
    assert.deepEqual(plain(recorded.entries), plain(match.entries));
    assert.deepEqual(
      recorded.snapshots.map(({ bytes: [first] }) => first),
      [38, 39],
    );
  });

  it('does not write a match anew that somebody has claimed since the loss', async () => {
    const { journal: old, totals } = await open();
    const { journal: young } = await open({}, true);
    const match = (await begin(old, 'm')).play(30);
    await match.writer.flush();
    await redis.command((client) => client.flushall());
    await young.open(matchHeader('m'), 2);
    await assert.rejects(match.play(1).writer.flush(), isRefusal('JOURNAL_FENCED'));
    assert.equal(totals.collect().rewrittenTotal, 0);
    assert.equal((await young.load('m'))?.epoch, 2);
  });

  it('a match that is too long to be kept in memory fails when Redis has lost it, and only then', async () => {
    const { journal } = await open({ matchCopyMaxBytes: 500 });
    const match = (await begin(journal, 'long')).play(60);
    await match.writer.flush();
    assert.equal(match.writer.failure, undefined);
    await redis.command((client) => client.flushall());
    await assert.rejects(match.play(1).writer.flush(), isRefusal('JOURNAL_UNAVAILABLE'));
  });

  it('fails the match whose records wait for more than its bound, and no other', async () => {
    const { journal, totals } = await open({ matchBufferMaxBytes: 4_000 });
    const busy = await begin(journal, 'busy');
    const calm = await begin(journal, 'calm');
    proxy.cut();
    await playUntil(busy, () => busy.writer.failure !== undefined, 'the bound');
    calm.play(1);
    proxy.heal();
    await calm.writer.flush();
    assert.equal(busy.writer.failure?.code, 'JOURNAL_UNAVAILABLE');
    assert.equal(totals.collect().failuresTotal, 1);
    assert.equal(totals.collect().bufferedBytes, 0);
  });

  it('a writer that is closed while Redis is away gives up after a while, and says so', async () => {
    const { journal, totals } = await open({ closeMs: 50 });
    const match = (await begin(journal, 'closed')).play(5);
    await match.writer.flush();
    proxy.cut();
    await match.play(5).end().writer.close();
    assert.equal(match.writer.failure?.code, 'JOURNAL_UNAVAILABLE');
    assert.equal(totals.collect().failuresTotal, 1);
    proxy.heal();
    assert.equal((await journal.load('closed'))?.end, undefined);
  });

  it('tells of damage in front of the last batch, and other matches are unaffected', async () => {
    const { journal } = await open();
    for (const id of ['hurt', 'well']) await (await begin(journal, id)).play(3).writer.close();
    await redis.command(async (client) => {
      const key = 'hypogeum:journal:hurt';
      const rows = await client.xrangeBuffer(key, '-', '+');
      await client.del(key);
      for (const [id, fields] of rows as unknown as [Buffer, Buffer[]][]) {
        fields[1]![fields[1]!.length - 1]! ^= 1;
        await client.xadd(key, id, ...fields);
      }
    });
    await assert.rejects(journal.load('hurt'), isRefusal('JOURNAL_CORRUPT'));
    await assert.rejects(journal.open(matchHeader('hurt'), 2), isRefusal('JOURNAL_CORRUPT'));
    assert.equal((await journal.load('well'))?.entries.length, 3);
    assert.deepEqual(
      (await journal.list()).map(({ matchId, state }) => [matchId, state]),
      [
        ['hurt', 'corrupt'],
        ['well', 'unfinished'],
      ],
    );
  });

  it('keys expire, but for those of ended matches', async () => {
    const { journal } = await open();
    await (await begin(journal, 'left')).play(3).writer.close();
    await (await begin(journal, 'ended')).play(3).end().writer.close();
    const lives = await redis.command((client) =>
      Promise.all(['left', 'ended'].map((id) => client.pttl(`hypogeum:journal:${id}`))),
    );
    assert.ok(lives[0]! > 71 * 3_600_000);
    assert.equal(lives[1], -1);
    await journal.remove('ended');
    assert.ok((await redis.command((client) => client.pttl('hypogeum:journal:ended'))) > 0);
  });

  it('an idle process says by itself that Redis is there', async () => {
    const { journal } = await open();
    const first = journal.contactAtMs;
    assert.ok(Number.isFinite(first));
    await until(() => journal.contactAtMs > first, 'a beat');
    proxy.cut();
    const last = await until(async () => {
      const before = journal.contactAtMs;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return journal.contactAtMs === before && before;
    }, 'silence');
    assert.ok(last > first);
  });
});
