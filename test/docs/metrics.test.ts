import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';

describe('metrics in the documentation', () => {
  it('are some that the program has', () => {
    const source = globSync('src/**/*.ts')
      .map((path) => readFileSync(path, 'utf8'))
      .join('\n');
    const pages = globSync('docs/**/*.md');
    const named = pages.flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/\bhypogeum_[a-z0-9_]+\b/g)].map(([name]) => ({ path, name })),
    );
    assert.ok(named.length > 50);
    for (const { path, name } of named) assert.ok(source.includes(`'${name}'`), `${path} names ${name}`);
  });
});
