import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watchFiles } from '../../src/file-watch.ts';

describe('watching files', () => {
  let folder: string;
  let stop: () => void;
  let hear: (path: string) => void = () => {};

  /** Does something; resolves when the watch tells of the path. Too late is the test's own timeout. */
  async function tellsOf(path: string, act: () => void): Promise<void> {
    const told = new Promise<void>((resolve) => {
      hear = (changed) => {
        if (changed === path) resolve();
      };
    });
    act();
    await told;
  }

  /** As Git, vim and `sed -i` save: a new file in the place of the old one. */
  function replace(path: string, text: string): void {
    writeFileSync(join(folder, '..', `${text}.new`), text);
    renameSync(join(folder, '..', `${text}.new`), path);
  }

  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'hypogeum-watch-')), 'watched');
    mkdirSync(join(folder, 'inner'), { recursive: true });
    writeFileSync(join(folder, 'inner', 'room.ts'), 'first');
    stop = watchFiles([folder], (path) => hear(path));
  });

  afterEach(() => {
    stop();
    hear = () => {};
    rmSync(join(folder, '..'), { recursive: true });
  });

  it('a file that is replaced again and again is told every time, and so is one written in place', async () => {
    const path = join(folder, 'inner', 'room.ts');
    for (const text of ['second', 'third', 'fourth']) await tellsOf(path, () => replace(path, text));
    await tellsOf(path, () => writeFileSync(path, 'fifth'));
  });

  it('new and removed files are told', async () => {
    const path = join(folder, 'new.ts');
    await tellsOf(path, () => writeFileSync(path, 'new'));
    await tellsOf(path, () => rmSync(path));
  });

  it('a folder that went and came back is watched again', async () => {
    const inner = join(folder, 'inner');
    await tellsOf(inner, () => rmSync(inner, { recursive: true }));
    await tellsOf(inner, () => mkdirSync(inner));
    const path = join(inner, 'room.ts');
    await tellsOf(path, () => writeFileSync(path, 'again'));
    await tellsOf(path, () => replace(path, 'and again'));
  });
});
