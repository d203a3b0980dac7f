import assert from 'node:assert/strict';
import { KEPT_CHARS_MAX, KEPT_MAX, Outbox } from '../../src/sessions/outbox.ts';

describe('what is said to a player who is away', () => {
  it('waits in order, as it was when it was said, and is gone once taken', () => {
    const outbox = new Outbox();
    const payload = { code: 'A' };
    outbox.keep('notice', payload);
    payload.code = 'B';
    outbox.keep('notice', payload);
    assert.deepEqual(outbox.take().kept, [
      { type: 'notice', payload: { code: 'A' } },
      { type: 'notice', payload: { code: 'B' } },
    ]);
    assert.ok(outbox.isEmpty);
  });

  it('is counted by type where it is not kept', () => {
    const outbox = new Outbox();
    assert.equal(outbox.lose('emote'), true, 'the first of its type');
    assert.equal(outbox.lose('emote'), false);
    outbox.lose('hint');
    assert.deepEqual(outbox.take(), { kept: [], lost: { emote: 2, hint: 1 } });
  });

  it('loses the oldest above its bound, and what is too long, and says so', () => {
    const outbox = new Outbox();
    for (let n = 0; n < KEPT_MAX + 3; n++) outbox.keep('notice', n);
    assert.equal(outbox.keep('story', 'x'.repeat(KEPT_CHARS_MAX)), false);
    const { kept, lost } = outbox.take();
    assert.deepEqual([kept.length, kept[0]!.payload, kept.at(-1)!.payload], [KEPT_MAX, 3, KEPT_MAX + 2]);
    assert.deepEqual(lost, { notice: 3, story: 1 });
  });

  it('tells a bounded number of types apart', () => {
    const outbox = new Outbox();
    for (let n = 0; n < 100; n++) outbox.lose(`type ${n}`);
    const { lost } = outbox.take();
    assert.equal(Object.keys(lost).length, 33);
    assert.equal(lost['other'], 68);
  });

  it('is the same after it was taken down and put up again', () => {
    const outbox = new Outbox();
    outbox.keep('notice', { code: 'A' });
    outbox.lose('emote');
    const other = new Outbox();
    other.load(JSON.parse(JSON.stringify(outbox.save())));
    assert.deepEqual(other.take(), outbox.take());
  });
});
