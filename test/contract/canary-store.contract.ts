/** What every store of the canary does, see src/cluster/canary-desk.ts. */
import assert from 'node:assert/strict';
import { COHORT_PLAYERS_MAX } from '../../src/cluster/canary.ts';
import type { CanaryStore } from '../../src/cluster/canary-desk.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { until } from '../fixtures/until.ts';

export interface CanaryStoreHarness {
  /** Two that share what they keep, as two processes do. */
  readonly stores: readonly [CanaryStore, CanaryStore];
  dispose(): Promise<void>;
}

const TRIED = { phase: 'percent', build: '1.4.0', percent: 10 } as const;
const PROMOTED = { phase: 'promoted', build: '1.4.0' } as const;

export function canaryStoreContract(name: string, make: () => Promise<CanaryStoreHarness>): void {
  describe(`the contract of canary stores: ${name}`, () => {
    let harness: CanaryStoreHarness;
    let [one, other]: CanaryStoreHarness['stores'] = [] as never;
    beforeEach(async () => {
      harness = await make();
      [one, other] = harness.stores;
    });
    afterEach(() => harness.dispose());

    it('has no canary at first', async () => {
      assert.deepEqual(await one.read(), { state: { phase: 'none' }, revision: 0, by: '' });
    });

    it('shows everybody what one has set, and who it was', async () => {
      assert.equal(await one.write(TRIED, 'p-admin', 0), true);
      assert.deepEqual(await other.read(), { state: TRIED, revision: 1, by: 'p-admin' });
    });

    it('takes one of two changes that were made at once', async () => {
      const outcomes = await Promise.all([one.write(TRIED, 'a', 0), other.write(PROMOTED, 'b', 0)]);
      assert.deepEqual([...outcomes].sort(), [false, true]);
      const { revision, by } = await one.read();
      assert.equal(revision, 1);
      assert.equal(by, outcomes[0] ? 'a' : 'b');
      assert.equal(await one.write(PROMOTED, 'c', 0), false, 'nor one that comes late');
      assert.equal(await one.write(PROMOTED, 'c', 1), true);
    });

    it('tells everybody of a change, until they no longer want to know', async () => {
      let told = 0;
      const stop = other.onChange(() => void told++);
      await one.write(TRIED, 'a', 0);
      await until(() => told > 0, 'a call');
      stop();
      const before = told;
      let toldLater = 0;
      other.onChange(() => void toldLater++);
      await one.write(PROMOTED, 'a', 1);
      await until(() => toldLater > 0, 'a call of another one');
      assert.equal(told, before);
    });

    it('keeps lists of players, each for itself', async () => {
      assert.equal(await one.addMembers('testers', ['p-b', 'p-a', 'p-b']), 2);
      assert.equal(await other.addMembers('testers', ['p-a', 'p-c']), 1);
      assert.deepEqual(await one.members('testers'), ['p-a', 'p-b', 'p-c']);
      assert.equal(await other.isMember('testers', 'p-c'), true);
      assert.equal(await other.isMember('friends', 'p-c'), false);
      assert.equal(await other.removeMembers('testers', ['p-a', 'p-x']), 1);
      assert.equal(await one.isMember('testers', 'p-a'), false);
      assert.deepEqual(await one.members('friends'), []);
      assert.equal(await one.addMembers('testers', []), 0);
      assert.equal(await one.removeMembers('testers', []), 0);
    });

    it('takes no list beyond its limit, nor a part of it', async () => {
      const many = Array.from({ length: COHORT_PLAYERS_MAX - 1 }, (_, at) => `p-${at}`);
      await one.addMembers('testers', many);
      const isFull = (error: unknown) => error instanceof GameError && error.code === 'COHORT_FULL';
      await assert.rejects(one.addMembers('testers', ['p-x', 'p-y']), isFull);
      assert.equal(await one.isMember('testers', 'p-x'), false);
      assert.equal(await one.addMembers('testers', ['p-x', 'p-0']), 1);
    });
  });
}
