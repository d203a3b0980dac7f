import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GameError } from '../../src/kernel/errors.ts';
import { checkName, guestName, NAME_BYTES_MAX, NAME_LENGTH_MAX } from '../../src/sessions/names.ts';

const seed = 20261121;

function refusal(raw: unknown): unknown {
  try {
    checkName(raw);
  } catch (error) {
    if (error instanceof GameError && error.code === 'NAME_INVALID') return error.detail['reason'];
    throw error;
  }
  return 'accepted';
}

describe('a display name', () => {
  for (const [raw, name] of [
    ['Ada', 'Ada'],
    ['  Ada   Lovelace \t', 'Ada Lovelace'],
    ['Ａｄａ', 'Ada'],
    ['ﬁsh', 'fish'],
    ['Zoë', 'Zoë'],
    ['Nguyễn', 'Nguyễn'],
    ['ผู้เล่น', 'ผู้เล่น'.normalize('NFKC')],
    ['玩家一号', '玩家一号'],
    ['שחקן', 'שחקן'],
    ['🦊❤️', '🦊❤'],
    ['👍🏽', '👍🏽'],
    ['<b>&amp;', '<b>&amp;'],
    ['x'.repeat(20), 'x'.repeat(20)],
  ] as const) {
    it(`${JSON.stringify(raw)} is accepted as ${JSON.stringify(name)}`, () => {
      assert.equal(checkName(raw), name);
    });
  }

  for (const [what, raw, reason] of [
    ['nothing', undefined, 'shape'],
    ['a number', 7, 'shape'],
    ['an object', { toString: () => 'Ada' }, 'shape'],
    ['an empty string', '', 'empty'],
    ['spaces only', ' \t\u00a0\u3000 ', 'empty'],
    ['21 characters', 'x'.repeat(21), 'long'],
    ['10,000 characters', 'x'.repeat(10_000), 'long'],
    ['one character that NFKC expands to 18 words', '\ufdfa\ufdfa', 'long'],
    ['a null byte', 'A\0da', 'unseen'],
    ['an escape sequence', '\u001b[31mAda', 'unseen'],
    ['a line feed', 'Ada\nadmin', 'unseen'],
    ['a line separator', 'Ada\u2028admin', 'unseen'],
    ['a zero-width space', 'A\u200bda', 'unseen'],
    ['a zero-width joiner', 'A\u200dda', 'unseen'],
    ['only zero-width characters', '\u200b\u200c\u2060\ufeff', 'unseen'],
    ['a right-to-left override', 'Ada\u202enimda', 'unseen'],
    ['a bidirectional isolate', '\u2066Ada\u2069', 'unseen'],
    ['a soft hyphen', 'A\u00adda', 'unseen'],
    ['a Hangul filler', '\u3164', 'unseen'],
    ['a blank Braille pattern', '\u2800', 'unseen'],
    ['a tag character', 'Ada\u{e0041}', 'unseen'],
    ['a private-use character', 'Ada\ue000', 'unseen'],
    ['a lone surrogate', 'Ada\ud800', 'unseen'],
    ['stacked combining marks', `a${'\u0317'.repeat(8)}`, 'marks'],
    ['a combining mark on nothing', '\u0301Ada', 'marks'],
  ] as const) {
    it(`is not ${what}`, () => {
      assert.equal(refusal(raw), reason);
    });
  }

  it('is either refused by code or within its bounds and unchanged by a second check, whatever comes in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (raw) => {
        if (refusal(raw) !== 'accepted') return;
        const name = checkName(raw);
        assert.equal(checkName(name), name);
        assert.ok([...new Intl.Segmenter('en').segment(name)].length <= NAME_LENGTH_MAX);
        assert.ok(Buffer.byteLength(name) <= NAME_BYTES_MAX);
        assert.doesNotMatch(name, /[\p{Cc}\p{Cf}]/u);
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('of a guest is made from the player id and is itself a legal name', () => {
    assert.equal(guestName('a-AbCd_-EfGhIjKlMnOpQr-_'), 'Guest OpQr');
    fc.assert(
      fc.property(fc.string(), (id) => {
        const name = guestName(id);
        assert.equal(checkName(name), name);
      }),
      { seed },
    );
  });
});
