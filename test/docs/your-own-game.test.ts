import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const GUIDE = 'docs/your-own-game.md';

describe('the guide to a game of your own', () => {
  const guide = readFileSync(GUIDE, 'utf8');
  const blocks = [...guide.matchAll(/^```(ts|diff) (\S+)\n([\s\S]*?)^```$/gm)].map(([, kind, path, code]) => ({
    kind: kind!,
    path: path!,
    code: code!,
  }));

  it('shows the files of tag as they are, and all three of them', () => {
    const shown = new Set(blocks.map(({ path }) => path));
    for (const file of ['sim', 'state', 'room']) assert.ok(shown.has(`test/fixtures/tag/tag-${file}.ts`), file);
    for (const { kind, path, code } of blocks) {
      if (kind !== 'ts') continue;
      assert.ok(readFileSync(path, 'utf8').includes(code), `an excerpt of ${path} is not in it any more:\n${code}`);
    }
  });

  it('changes lines that are there', () => {
    const diffs = blocks.filter(({ kind }) => kind === 'diff');
    assert.ok(diffs.length > 0);
    for (const { path, code } of diffs) {
      const lines = readFileSync(path, 'utf8').split('\n');
      for (const line of code.split('\n')) {
        if (line.startsWith('-') || line.startsWith(' ')) assert.ok(lines.includes(line.slice(1)), `${path}: ${line}`);
      }
    }
  });

  it('links and names only files that exist', () => {
    const links = [...guide.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, target]) => `docs/${target}`);
    const names = [...guide.matchAll(/`((?:src|test|schema|rooms)\/[\w./-]+\.ts)`/g)].map(([, path]) => path!);
    assert.ok(links.length > 0 && names.length > 0);
    for (const path of [...links, ...names]) assert.doesNotThrow(() => readFileSync(path), path);
  });
});
