/** What a ViewStore is. Every adapter runs this suite; it is the port's definition. */
import assert from 'node:assert/strict';
import type { ViewStore } from '../../src/events/projection.ts';
import { GameError } from '../../src/kernel/errors.ts';

/** One store under test, as two processes see it. */
export interface ViewStoreHarness<Tx> {
  readonly store: ViewStore<Tx>;
  /** The same, as seen by another process. */
  readonly other: ViewStore<Tx>;
  put(tx: Tx, key: string, value: number): Promise<void>;
  /** What is committed. */
  get(key: string): Promise<number | undefined>;
  /** Takes the lock's ground from under whoever holds it in `store`. */
  breakLocks(): Promise<void>;
  dispose(): Promise<void>;
}

function isRefusal(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GameError && error.code === code;
}

/** A promise that somebody else settles. */
function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

export function viewStoreContract<Tx>(adapter: string, create: () => Promise<ViewStoreHarness<Tx>>): void {
  describe(`ViewStore contract: ${adapter}`, () => {
    let harness: ViewStoreHarness<Tx>;
    let store: ViewStore<Tx>;
    const none = async (): Promise<void> => undefined;
    const forever = new AbortController().signal;

    beforeEach(async () => {
      harness = await create();
      store = harness.store;
    });
    afterEach(() => harness.dispose());

    it('has a name that never ran at position 0 of version 0', async () => {
      assert.deepEqual(await store.checkpoint('view/new'), { position: 0, version: 0 });
      assert.deepEqual(await store.checkpoints(), []);
    });

    it('moves a checkpoint together with what was written', async () => {
      await store.advance('view/a', 0, { position: 7, version: 2 }, (tx) => harness.put(tx, 'coins', 5));
      assert.deepEqual(await harness.other.checkpoint('view/a'), { position: 7, version: 2 });
      assert.equal(await harness.get('coins'), 5);
      const [only, ...others] = await store.checkpoints();
      assert.deepEqual(others, []);
      assert.deepEqual([only!.name, only!.position, only!.version], ['view/a', 7, 2]);
      assert.ok(Math.abs(Date.now() - only!.movedAtMs) < 60_000);
    });

    it('does neither when the work fails', async () => {
      await store.advance('view/a', 0, { position: 1, version: 1 }, (tx) => harness.put(tx, 'coins', 1));
      const failing = store.advance('view/a', 1, { position: 2, version: 1 }, async (tx) => {
        await harness.put(tx, 'coins', 2);
        throw new TypeError('a bug in the fold');
      });
      await assert.rejects(failing, TypeError);
      assert.deepEqual(await store.checkpoint('view/a'), { position: 1, version: 1 });
      assert.equal(await harness.get('coins'), 1);
    });

    it('refuses who believes it elsewhere, and writes nothing', async () => {
      await store.advance('view/a', 0, { position: 5, version: 1 }, none);
      for (const from of [0, 4, 6]) {
        const late = store.advance('view/a', from, { position: 9, version: 1 }, (tx) => harness.put(tx, 'coins', 9));
        await assert.rejects(late, isRefusal('CHECKPOINT_MOVED'));
      }
      const unborn = store.advance('view/b', 3, { position: 9, version: 1 }, none);
      await assert.rejects(unborn, isRefusal('CHECKPOINT_MOVED'));
      assert.equal(await harness.get('coins'), undefined);
      assert.deepEqual(await store.checkpoint('view/a'), { position: 5, version: 1 });
    });

    it('lets one of two win who move it from the same place at once', async () => {
      await store.advance('view/a', 0, { position: 5, version: 1 }, none);
      const both = await Promise.allSettled([
        store.advance('view/a', 5, { position: 6, version: 1 }, (tx) => harness.put(tx, 'one', 1)),
        harness.other.advance('view/a', 5, { position: 7, version: 1 }, (tx) => harness.put(tx, 'two', 1)),
      ]);
      const lost = both.filter((each) => each.status === 'rejected');
      assert.equal(lost.length, 1);
      assert.ok(isRefusal('CHECKPOINT_MOVED')(lost[0]!.reason));
      const written = [await harness.get('one'), await harness.get('two')];
      assert.equal(written.filter((value) => value !== undefined).length, 1);
    });

    it('fences off who worked on a name that has to begin again', async () => {
      await store.advance('view/a', 0, { position: 5, version: 3 }, none);
      await harness.other.forget('view/a');
      assert.deepEqual(await store.checkpoint('view/a'), { position: 0, version: 0 });
      const late = store.advance('view/a', 5, { position: 6, version: 3 }, none);
      await assert.rejects(late, isRefusal('CHECKPOINT_MOVED'));
      await store.forget('view/never-ran');
      assert.deepEqual(await store.checkpoint('view/never-ran'), { position: 0, version: 0 });
    });

    it('lets one at a time hold a name, in whatever process, and the next when it is done', async () => {
      let holders = 0;
      let turns = 0;
      const turn = async (): Promise<void> => {
        assert.equal(++holders, 1);
        turns++;
        await new Promise(setImmediate);
        holders--;
      };
      await Promise.all(
        [store, store, harness.other, harness.other].map((each) => each.whileHolding('view/a', forever, turn)),
      );
      assert.equal(turns, 4);
    });

    it('lets different names be held at the same time', async () => {
      const both = gate();
      let count = 0;
      const meet = async (): Promise<void> => {
        if (++count === 2) both.open();
        await both.opened;
      };
      await Promise.all([
        store.whileHolding('view/a', forever, meet),
        harness.other.whileHolding('view/b', forever, meet),
      ]);
    });

    it('gives up waiting when told to', async () => {
      const held = gate();
      const end = gate();
      const holding = store.whileHolding('view/a', forever, async () => {
        held.open();
        await end.opened;
      });
      await held.opened;
      const impatient = new AbortController();
      const waiting = harness.other.whileHolding('view/a', impatient.signal, async () => assert.fail('it is held'));
      impatient.abort();
      await waiting;
      end.open();
      await holding;
    });

    it('throws what the work throws, and lets go', async () => {
      const failing = store.whileHolding('view/a', forever, async () => {
        throw new TypeError('a bug');
      });
      await assert.rejects(failing, TypeError);
      await harness.other.whileHolding('view/a', forever, none);
    });

    it('tells who lost its lock, while another takes over', async () => {
      const held = gate();
      const told = gate();
      const holding = store.whileHolding('view/a', forever, async (lost) => {
        lost.addEventListener('abort', told.open);
        held.open();
        await told.opened;
      });
      await held.opened;
      const next = harness.other.whileHolding('view/a', forever, none);
      await harness.breakLocks();
      await Promise.all([told.opened, next, holding]);
      await store.whileHolding('view/a', forever, none);
    });
  });
}
