import assert from 'node:assert/strict';
import { limitTime, OutOfTime, within } from '../../src/kernel/time-limit.ts';
import { standStill } from '../fixtures/stall.ts';

const never = new Promise<never>(() => {});

describe('a time limit', () => {
  it('passes when nobody answers, and lets go of the work first', async () => {
    const order: string[] = [];
    await assert.rejects(
      within(never, 20, () => order.push('let go')).finally(() => order.push('rejected')),
      OutOfTime,
    );
    assert.deepEqual(order, ['let go', 'rejected']);
  });

  it('gives what the work comes to, and is over with it', async () => {
    const late = (): never => assert.fail('it was in time');
    assert.equal(await within(Promise.resolve('there'), 10, late), 'there');
    await assert.rejects(within(Promise.reject(new RangeError('wrong')), 10, late), RangeError);
    await assert.rejects(within(never, 60), OutOfTime);
  });

  it('that was ended never passes', async () => {
    const end = limitTime(10, () => assert.fail('it was ended'));
    standStill(50);
    end();
    end();
    await assert.rejects(within(never, 60), OutOfTime);
  });

  it('counts a stall as a part of it, however long, so that a question can still be sent and answered', async () => {
    const answered = Promise.withResolvers<string>();
    const asked = within(answered.promise, 400);
    standStill(1_000);
    // Sent and answered only now, in some turns of the loop.
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    answered.resolve('there');
    assert.equal(await asked, 'there');
  });
});
