import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { recordStateBytes, type StateBytes } from './state-bytes.ts';

const HINT = 'this is a change of protocol: see docs/protocol.md';

describe('the bytes of the state', () => {
  const golden: StateBytes = JSON.parse(readFileSync(new URL('state-bytes.json', import.meta.url), 'utf8'));
  const now = recordStateBytes();

  it('describe the structure as committed', () => {
    assert.equal(now.handshake, golden.handshake, HINT);
  });

  it('are, frame by frame, those committed', () => {
    for (const [index, frame] of golden.frames.entries()) {
      assert.deepEqual(now.frames[index], frame, `frame ${index}: ${HINT}`);
    }
    assert.equal(now.frames.length, golden.frames.length, HINT);
  });

  it('tell the owner alone when owner-only fields change', () => {
    const sizes = now.frames
      .filter(({ what }) => what === 'owner-only fields change')
      .map(({ to, hex }) => [to, hex.length / 2]);
    // Code, time and acknowledgement; for the owner 255, refId and three fields of two bytes as well.
    assert.deepEqual(sizes, [
      ['owner', 9 + 2 + 3 * 2],
      ['neighbour', 9],
    ]);
  });
});
