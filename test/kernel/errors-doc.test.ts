import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { CLOSE, ERRORS } from '../../src/kernel/errors.ts';

describe('docs/errors.md', () => {
  const docs = readFileSync('docs/errors.md', 'utf8');
  const rows = [...docs.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (yes|no) \| (.+) \|$/gm)].map(
    ([, code, status, retry, text]) => ({ code, status: Number(status), retry: retry === 'yes', text }),
  );

  it('lists every code of the catalogue once, with its status, retry and meaning, and no other', () => {
    const byCode = (a: { code?: string | undefined }, b: { code?: string | undefined }) => (a.code! < b.code! ? -1 : 1);
    const catalogue = Object.entries(ERRORS).map(([code, { status, retry, text }]) => ({ code, status, retry, text }));
    assert.deepEqual(rows.sort(byCode), catalogue.sort(byCode));
  });

  it('lists every close code of ours', () => {
    for (const [name, code] of Object.entries(CLOSE)) assert.ok(docs.includes(`| ${code} | \`${name}\` |`), name);
  });
});
