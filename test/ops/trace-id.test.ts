import assert from 'node:assert/strict';
import { traceIdOf } from '../../src/ops/trace-id.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('a trace id', () => {
  it('is that of the caller', () => {
    assert.equal(traceIdOf(`00-${TRACE}-00f067aa0ba902b7-01`), TRACE);
    // A later version may have more after the fields that are known.
    assert.equal(traceIdOf(`01-${TRACE}-00f067aa0ba902b7-01-more`), TRACE);
  });

  it('is made anew without a header, or with one that is none', () => {
    for (const header of [
      undefined,
      null,
      '',
      TRACE,
      `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `ff-${TRACE}-00f067aa0ba902b7-01`,
      `00-${TRACE}-00f067aa0ba902b7-0`,
      `00-${TRACE}-00f067aa0ba902b7-01x`,
      `\n00-${TRACE}-00f067aa0ba902b7-01`,
    ]) {
      const [one, other] = [traceIdOf(header), traceIdOf(header)];
      assert.match(one, /^[0-9a-f]{32}$/);
      assert.notEqual(one, TRACE);
      assert.notEqual(one, other);
    }
  });
});
