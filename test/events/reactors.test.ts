import assert from 'node:assert/strict';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { MemoryParked, MemoryViews } from '../../src/adapters/memory-views.ts';
import type { StoredEvent } from '../../src/events/event-log.ts';
import { Reactors } from '../../src/events/reactors.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { Counted, TEST_EVENTS, until } from '../fixtures/events-of-tests.ts';

describe('reactors', () => {
  let log: MemoryLog;
  let store: MemoryViews;
  let parked: MemoryParked;
  let running: Reactors[];
  let seen: number[];

  beforeEach(() => {
    log = new MemoryLog({ catalogue: TEST_EVENTS });
    store = new MemoryViews();
    parked = new MemoryParked();
    running = [];
    seen = [];
  });
  afterEach(async () => {
    await Promise.all(running.map((reactors) => reactors.stop()));
  });

  function start(react: (n: number, event: StoredEvent) => Promise<void>, name = 'rewards'): Reactors {
    const reactor = {
      name,
      types: [Counted.type],
      react: (event: StoredEvent) => react((event.payload as { n: number }).n, event),
    };
    const reactors = new Reactors({
      log,
      store,
      parked,
      reactors: [reactor],
      attemptsMax: 3,
      retryFirstMs: 1,
      retryMaxMs: 5,
    });
    running.push(reactors);
    reactors.start();
    return reactors;
  }
  async function count(from: number, to: number): Promise<number> {
    const events = Array.from({ length: to - from + 1 }, (_, at) => Counted({ n: from + at }));
    return (await log.append({ stream: 'test/a', expected: 'any', events })).position;
  }

  it('act on every event in order, and begin with those that happened before they ran', async () => {
    await count(1, 100);
    const reactors = start(async (n) => {
      seen.push(n);
    });
    await reactors.caughtUp(await count(101, 200));
    assert.deepEqual(
      seen,
      Array.from({ length: 200 }, (_, at) => at + 1),
    );
  });

  it('do again at most what was not stored when a process ends in the middle, and skip nothing', async () => {
    await count(1, 50);
    let resume = (): void => undefined;
    const reactors = start(async (n) => {
      if (n === 20 && seen.length === 19) {
        await new Promise<void>((resolve) => {
          resume = resolve;
        });
      }
      seen.push(n);
    });
    await until(() => seen.length === 19, 'the first nineteen');
    const stopping = reactors.stop();
    resume();
    await stopping;
    assert.equal(seen.length, 20);
    assert.equal((await store.checkpoint('reactor/rewards')).position, 20);
    await start(async (n) => {
      seen.push(n);
    }).caughtUp(50);
    assert.deepEqual(
      seen,
      Array.from({ length: 50 }, (_, at) => at + 1),
    );
  });

  it('try again in order, park what always fails, and go on', async () => {
    let tries = 0;
    const reactors = start(async (n) => {
      if (n === 2 && tries++ < 2) throw new GameError('LOG_CONFLICT');
      if (n === 3) throw new Error('never');
      seen.push(n);
    });
    await reactors.caughtUp(await count(1, 5));
    assert.deepEqual(seen, [1, 2, 4, 5]);
    const [only, ...others] = await parked.list('reactor/rewards');
    assert.deepEqual(others, []);
    assert.deepEqual([only!.event.position, only!.attempts, only!.reason], [3, 3, 'never']);
    const [reading] = reactors.readings;
    assert.deepEqual([reading!.failedTriesTotal, reading!.parkedTotal], [5, 1]);
  });

  it('wait through an outage of what they use, and park nothing', async () => {
    let outages = 0;
    const reactors = start(async (n) => {
      if (n === 2 && outages++ < 20) throw new GameError('DATABASE_UNAVAILABLE');
      seen.push(n);
    });
    await reactors.caughtUp(await count(1, 3));
    assert.deepEqual(seen, [1, 2, 3]);
    assert.deepEqual(await parked.list(), []);
  });

  it('do not go on past an event that could not be parked either', async () => {
    let isDown = true;
    parked.park = async (event) => {
      if (isDown) throw new GameError('DATABASE_UNAVAILABLE');
      return MemoryParked.prototype.park.call(parked, event);
    };
    const reactors = start(async (n) => {
      if (n === 2) throw new Error('poison');
      seen.push(n);
    });
    const position = await count(1, 3);
    await until(() => reactors.readings[0]!.failuresTotal > 1, 'refused parking');
    assert.ok(!seen.includes(3));
    isDown = false;
    await reactors.caughtUp(position);
    assert.ok(seen.includes(3));
    assert.equal((await parked.list()).length, 1);
  });

  it('are one at a time of several processes', async () => {
    const react = async (n: number): Promise<void> => {
      seen.push(n);
    };
    const first = start(react);
    const second = start(react);
    await second.caughtUp(await count(1, 10));
    await first.stop();
    await second.caughtUp(await count(11, 20));
    assert.deepEqual(
      seen,
      Array.from({ length: 20 }, (_, at) => at + 1),
    );
  });
});
