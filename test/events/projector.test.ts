import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { type MemoryTx, MemoryViews } from '../../src/adapters/memory-views.ts';
import type { FollowerReading } from '../../src/events/follower.ts';
import type { Projection } from '../../src/events/projection.ts';
import { Projector } from '../../src/events/projector.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { Counted, Elsewhere, Named, TEST_EVENTS, until } from '../fixtures/events-of-tests.ts';
import { FaultyLog } from '../fixtures/faulty-log.ts';

/** Adds numbers up, and remembers which positions it folded: folded twice, the sum is wrong. */
function sums(name: string, version = 1, types: readonly string[] = [Counted.type]): Projection<MemoryTx> {
  return {
    name,
    version,
    types,
    fold: async (tx, events) => {
      for (const { position, payload } of events) {
        tx.set(`${name}/sum`, ((tx.get(`${name}/sum`) as number) ?? 0) + (payload as { n: number }).n);
        tx.set(`${name}/positions`, [...((tx.get(`${name}/positions`) as number[]) ?? []), position]);
      }
    },
    reset: async (tx) => {
      for (const key of [...tx.keys()]) if (key.startsWith(`${name}/`)) tx.delete(key);
    },
  };
}

describe('the projector', () => {
  let log: FaultyLog;
  let store: MemoryViews;
  let running: Projector<MemoryTx>[];
  let changes: FollowerReading[];

  beforeEach(() => {
    log = new FaultyLog(new MemoryLog({ catalogue: TEST_EVENTS }));
    store = new MemoryViews();
    running = [];
    changes = [];
  });
  afterEach(async () => {
    await Promise.all(running.map((projector) => projector.stop()));
  });

  function start(...projections: Projection<MemoryTx>[]): Projector<MemoryTx> {
    const onChange = (reading: FollowerReading): unknown => changes.push(reading);
    const projector = new Projector({ log, store, projections, retryMaxMs: 20, onChange });
    running.push(projector);
    projector.start();
    return projector;
  }
  async function count(from: number, to: number): Promise<number> {
    let position = 0;
    for (let n = from; n <= to; ) {
      const events = [];
      for (; n <= to && events.length < 200; n++) events.push(Counted({ n }));
      ({ position } = await log.append({ stream: 'test/a', expected: 'any', events }));
    }
    return position;
  }
  const sumOf = (name: string): unknown => store.rows.get(`${name}/sum`);
  const total = (to: number): number => (to * (to + 1)) / 2;
  const reading = (projector: Projector<MemoryTx>, name: string): FollowerReading =>
    projector.readings.find((each) => each.name === `view/${name}`)!;

  it('folds what is there and what comes, each event once, and says when it has', async () => {
    await count(1, 1_500);
    const projector = start(sums('a'), sums('b'));
    await projector.caughtUp(1_500);
    assert.equal(sumOf('a'), total(1_500));
    const position = await count(1_501, 1_510);
    await projector.caughtUp(position);
    assert.equal(sumOf('a'), total(1_510));
    assert.equal(sumOf('b'), total(1_510));
    assert.deepEqual(await store.checkpoint('view/a'), { position: 1_510, version: 1 });
    const { phase, lagEvents, lagSeconds, handledTotal } = reading(projector, 'a');
    assert.deepEqual(
      { phase, lagEvents, lagSeconds, handledTotal },
      {
        phase: 'following',
        lagEvents: 0,
        lagSeconds: 0,
        handledTotal: 1_510,
      },
    );
  });

  it('asks for the types of a view only, and yet moves its checkpoint to the end of the log', async () => {
    const projector = start(sums('few', 1, [Elsewhere.type]));
    await count(1, 300);
    await log.append({ stream: 'test/b', expected: 0, events: [Elsewhere({ n: 7 }), Named({ name: 'x' })] });
    await projector.caughtUp(302);
    assert.equal(sumOf('few'), 7);
    await until(async () => (await store.checkpoint('view/few')).position === 302, 'the checkpoint at the head');
    assert.ok(log.asked.every(({ types }) => types?.length === 1 && types[0] === Elsewhere.type));
    assert.equal(reading(projector, 'few').handledTotal, 1);
  });

  it('takes bigger pages when there is much to do', async () => {
    await count(1, 12_000);
    await start(sums('a')).caughtUp(12_000);
    assert.equal(log.pageSizes[0], 1_000);
    assert.ok(Math.max(...log.pageSizes) >= 4_000, `${log.pageSizes}`);
  });

  it('goes on where another process stopped, in the middle of anything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }), async (bursts) => {
        log = new FaultyLog(new MemoryLog({ catalogue: TEST_EVENTS }));
        store = new MemoryViews();
        let n = 0;
        for (const burst of bursts) {
          const projector = new Projector({ log, store, projections: [sums('a')], pageMax: 7 });
          projector.start();
          const position = await count(n + 1, n + burst);
          n += burst;
          if (burst % 2 === 0) await projector.caughtUp(position);
          await projector.stop();
        }
        await start(sums('a')).caughtUp(n);
        assert.equal(sumOf('a'), total(n));
      }),
      { seed: 3, numRuns: 25 },
    );
  });

  it('lets one of several processes work, and another take over', async () => {
    const projectors = [start(sums('a')), start(sums('a')), start(sums('a'))];
    await projectors[2]!.caughtUp(await count(1, 50));
    const phases = (): string[] => projectors.map((each) => reading(each, 'a').phase);
    assert.equal(phases().filter((phase) => phase === 'following').length, 1);
    await projectors[phases().indexOf('following')]!.stop();
    await projectors[2]!.caughtUp(await count(51, 60)).catch(() => undefined);
    await until(() => sumOf('a') === total(60), 'the sum');
  });

  it('is fenced off when another has folded on without its knowing, and counts nothing twice', async () => {
    const projector = start(sums('a'));
    await projector.caughtUp(await count(1, 5));
    log.outage = new GameError('DATABASE_UNAVAILABLE');
    await count(6, 12);
    await store.advance('view/a', 5, { position: 8, version: 1 }, async (tx) => {
      tx.set('a/sum', total(8));
    });
    log.outage = undefined;
    await count(13, 13);
    await until(
      () => sumOf('a') === total(13),
      () => `sum ${sumOf('a')}`,
    );
    assert.equal(reading(projector, 'a').fencedTotal, 1);
  });

  it('rebuilds a view whose fold has changed, and one that was told to begin again', async () => {
    const old = start(sums('a', 1));
    await old.caughtUp(await count(1, 10));
    await old.stop();
    await store.advance('view/a', 10, { position: 10, version: 1 }, async (tx) => {
      tx.set('a/sum', 12345);
    });
    const changed = start(sums('a', 2));
    await changed.caughtUp(10);
    assert.equal(sumOf('a'), total(10));
    assert.equal(reading(changed, 'a').rebuildsTotal, 1);
    await store.advance('view/a', 10, { position: 10, version: 2 }, async (tx) => {
      tx.set('a/sum', 54321);
    });
    await store.forget('view/a');
    await until(() => sumOf('a') === total(10), 'the rebuilt sum');
    await changed.caughtUp(10);
    assert.equal(reading(changed, 'a').rebuildsTotal, 2);
  });

  for (const code of ['EVENT_CORRUPT', 'EVENT_UNKNOWN', 'EVENT_VERSION', 'LOG_GAP'] as const) {
    it(`stops a view right before an event that cannot be read (${code}), not the others, and goes on when it is repaired`, async () => {
      await log.append({ stream: 'test/b', expected: 0, events: [Elsewhere({ n: 1 })] });
      await count(2, 900);
      await log.append({ stream: 'test/b', expected: 1, events: [Elsewhere({ n: 5 })] });
      log.damage(617, new GameError(code, { position: 617 }));
      const projector = start(sums('hit'), sums('fine', 1, [Elsewhere.type]));
      await projector.caughtUp(901, ['fine']);
      assert.equal(sumOf('fine'), 6);
      const hit = (): FollowerReading => reading(projector, 'hit');
      await until(
        () => hit().phase === 'stopped' && hit().position === 616,
        () => JSON.stringify(hit()),
      );
      assert.equal((hit().error as GameError).code, code);
      assert.equal(sumOf('hit'), total(616) - 1);
      assert.equal(hit().lagEvents, 901 - 616);
      assert.ok(changes.some(({ name, phase }) => name === 'view/hit' && phase === 'stopped'));
      await assert.rejects(
        projector.caughtUp(901, ['hit'], 10),
        (error) => (error as GameError).code === 'VIEW_BEHIND',
      );
      log.repair();
      await projector.caughtUp(901);
      assert.equal(sumOf('hit'), total(900) - 1);
      assert.equal(hit().phase, 'following');
      assert.equal(hit().error, undefined);
    });
  }

  it('stops a view whose checkpoint is ahead of the log, and says so; the others go on', async () => {
    await count(1, 10);
    await store.advance('view/ahead', 0, { position: 11, version: 1 }, async () => undefined);
    const projector = start(sums('ahead'), sums('fine'));
    await projector.caughtUp(10, ['fine']);
    const ahead = (): FollowerReading => reading(projector, 'ahead');
    await until(() => (ahead().error as GameError | undefined)?.code === 'CHECKPOINT_AHEAD', 'the reason');
    assert.equal(ahead().phase, 'stopped');
    assert.deepEqual((ahead().error as GameError).detail, { name: 'view/ahead', position: 11, head: 10 });
    assert.equal(sumOf('ahead'), undefined);
  });

  it('tries a page again when the fold or the store fails, and folds it once', async () => {
    let failures = 0;
    const fold = sums('a');
    const flaky: Projection<MemoryTx> = {
      ...fold,
      fold: async (tx, events) => {
        await fold.fold(tx, events);
        if (failures++ < 3) throw failures === 1 ? new TypeError('a bug') : new GameError('DATABASE_UNAVAILABLE');
      },
    };
    const projector = start(flaky);
    await projector.caughtUp(await count(1, 20));
    assert.equal(sumOf('a'), total(20));
    assert.equal(reading(projector, 'a').failuresTotal, 3);
  });

  it('goes on by itself after the log did not answer', async () => {
    const projector = start(sums('a'));
    await projector.caughtUp(await count(1, 5));
    log.outage = new GameError('DATABASE_UNAVAILABLE');
    await count(6, 9);
    log.outage = undefined;
    await projector.caughtUp(9);
    assert.equal(sumOf('a'), total(9));
  });

  it('gives up its lock while it is stopped, so that a process that can go on may', async () => {
    await count(1, 10);
    const broken: Projection<MemoryTx> = {
      ...sums('a'),
      fold: async () => {
        throw new TypeError('only in this process');
      },
    };
    start(broken);
    const able = start(sums('a'));
    await able.caughtUp(10);
    assert.equal(sumOf('a'), total(10));
  });

  it('refuses two views of one name, and versions below 1', () => {
    const make = (...projections: Projection<MemoryTx>[]) => new Projector({ log, store, projections });
    assert.throws(() => make(sums('a'), sums('a')), RangeError);
    assert.throws(() => make(sums('a', 0)), RangeError);
  });
});
