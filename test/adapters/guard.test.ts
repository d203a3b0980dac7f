import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Guard, type GuardOptions, type GuardState } from '../../src/adapters/guard.ts';
import { GameError } from '../../src/kernel/errors.ts';

class Outage extends Error {}

function guardOf(options: Partial<GuardOptions> = {}): Guard {
  return new Guard({
    name: 'store',
    timeoutMs: 5_000,
    concurrencyMax: 2,
    queueMax: 3,
    failuresToOpen: 3,
    halfOpenAfterMs: 20,
    isOutage: (error) => error instanceof Outage,
    unavailable: 'STORE_UNAVAILABLE',
    ...options,
  });
}

const fail = (): Promise<never> => Promise.reject(new Outage('gone'));
const done = (): Promise<string> => Promise.resolve('done');

/** Runs work until the guard is in the wanted state. */
async function until(guard: Guard, state: GuardState, work: () => Promise<unknown>): Promise<void> {
  for (const endMs = performance.now() + 5_000; guard.state !== state; ) {
    assert.ok(performance.now() < endMs, `the breaker stays ${guard.state}`);
    await guard.run(work).catch(() => undefined);
    await new Promise(setImmediate);
  }
}

describe('guard', () => {
  it('opens after the stated number of outages in a row, and asks the store no more', async () => {
    const guard = guardOf({ halfOpenAfterMs: 60_000 });
    let asked = 0;
    const work = (): Promise<never> => {
      asked++;
      return fail();
    };
    for (let n = 0; n < 5; n++) {
      const outcome = n < 3 ? 'unknown' : 'none';
      await assert.rejects(guard.run(work), (error) => {
        assert.ok(error instanceof GameError);
        assert.equal(error.code, 'STORE_UNAVAILABLE');
        assert.equal(error.detail['outcome'], outcome);
        return true;
      });
    }
    assert.equal(asked, 3);
    assert.equal(guard.state, 'open');
    assert.deepEqual(guard.totals, { done: 0, faulted: 0, failed: 3, timedOut: 0, refusedOpen: 2, refusedFull: 0 });
  });

  it('lets one piece of work try after a while, and closes when that succeeds', async () => {
    const seen: GuardState[] = [];
    const guard = guardOf({ onStateChange: (state) => seen.push(state) });
    await until(guard, 'open', fail);
    await until(guard, 'closed', done);
    assert.deepEqual(seen, ['open', 'half-open', 'closed']);
  });

  it('refuses others while one tries, and does not let them wait for a store that hangs', async () => {
    const guard = guardOf();
    await until(guard, 'open', fail);
    const hanging = Promise.withResolvers<string>();
    let trying = guard.run(() => hanging.promise);
    for (const endMs = performance.now() + 5_000; guard.state !== 'half-open'; ) {
      assert.ok(performance.now() < endMs, 'nothing is ever tried');
      await assert.rejects(trying, { code: 'STORE_UNAVAILABLE' });
      await new Promise(setImmediate);
      trying = guard.run(() => hanging.promise);
    }
    await assert.rejects(guard.run(done), { code: 'STORE_UNAVAILABLE' });
    hanging.resolve('there');
    assert.equal(await trying, 'there');
    assert.equal(await guard.run(done), 'done');
  });

  it('stays open when the try fails', async () => {
    const seen: GuardState[] = [];
    const guard = guardOf({ onStateChange: (state) => seen.push(state) });
    await until(guard, 'open', fail);
    let tries = 0;
    for (const endMs = performance.now() + 5_000; tries === 0; ) {
      assert.ok(performance.now() < endMs, 'nothing is ever tried');
      const trying = guard.run(() => {
        tries++;
        assert.equal(guard.state, 'half-open');
        return fail();
      });
      await assert.rejects(trying, { code: 'STORE_UNAVAILABLE' });
      await new Promise(setImmediate);
    }
    assert.deepEqual(seen, ['open', 'half-open', 'open']);
    assert.equal(guard.state, 'open');
  });

  it('does not count errors that say what was wrong with the request', async () => {
    const guard = guardOf();
    const wrong = new TypeError('no such column');
    for (let n = 0; n < 10; n++)
      await assert.rejects(
        guard.run(() => Promise.reject(wrong)),
        wrong,
      );
    assert.equal(guard.state, 'closed');
    assert.equal(guard.totals.faulted, 10);
  });

  it('a success between them begins the count of outages anew', async () => {
    const guard = guardOf();
    for (let n = 0; n < 4; n++) {
      await guard.run(fail).catch(() => undefined);
      await guard.run(fail).catch(() => undefined);
      await guard.run(done);
    }
    assert.equal(guard.state, 'closed');
  });

  it('runs no more at once than stated, lets the stated number wait, and refuses the rest', async () => {
    const guard = guardOf();
    const gate = new AbortController();
    let most = 0;
    let running = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running);
      if (!gate.signal.aborted) await once(gate.signal, 'abort');
      running--;
    };
    const accepted = [1, 2, 3, 4, 5].map(() => guard.run(work));
    assert.deepEqual([guard.running, guard.queued], [2, 3]);
    await assert.rejects(guard.run(work), { code: 'OVERLOADED' });
    gate.abort();
    await Promise.all(accepted);
    assert.equal(most, 2);
    assert.deepEqual([guard.running, guard.queued], [0, 0]);
    assert.equal(guard.totals.refusedFull, 1);
    assert.equal(guard.state, 'closed', 'being busy is no outage');
  });

  it('work that waits when the breaker opens is refused without asking the store', async () => {
    const guard = guardOf({ concurrencyMax: 1, queueMax: 10, failuresToOpen: 1, halfOpenAfterMs: 60_000 });
    let asked = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () =>
        guard.run(() => {
          asked++;
          return fail();
        }),
      ),
    );
    assert.equal(asked, 1);
    assert.ok(results.every(({ status }) => status === 'rejected'));
  });

  it('tells work whose time is up, answers that its outcome is unknown, and counts it as an outage', async () => {
    const guard = guardOf({ timeoutMs: 5, failuresToOpen: 1, halfOpenAfterMs: 60_000 });
    const told = Promise.withResolvers<void>();
    const run = guard.run(async (signal) => {
      await once(signal, 'abort');
      told.resolve();
    });
    await assert.rejects(run, (error) => {
      assert.ok(error instanceof GameError);
      assert.deepEqual([error.code, error.detail['outcome']], ['STORE_UNAVAILABLE', 'unknown']);
      return true;
    });
    await told.promise;
    assert.equal(guard.state, 'open');
    assert.equal(guard.totals.timedOut, 1);
  });
});
