import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareDataFolder, readOrCreateSecret } from '../../src/adapters/data-folder.ts';
import { GameError } from '../../src/kernel/errors.ts';

const isUnwritable = (error: unknown) => error instanceof GameError && error.code === 'DATA_UNWRITABLE';

describe('the data folder', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-data-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  it('is made with all above it, for its owner only, and left as it was found', async () => {
    const inner = join(folder, 'a', 'b');
    await prepareDataFolder(inner);
    assert.equal((await stat(inner)).mode & 0o777, 0o700);
    await prepareDataFolder(inner);
    assert.deepEqual(await readdir(inner), []);
  });

  it('that cannot be is a refusal that names it', async () => {
    await writeFile(join(folder, 'file'), '');
    await assert.rejects(prepareDataFolder(join(folder, 'file', 'data')), isUnwritable);
    await assert.rejects(prepareDataFolder(join(folder, 'file')), isUnwritable);
    await assert.rejects(
      readOrCreateSecret(join(folder, 'file'), 'key', () => 'x'),
      isUnwritable,
    );
  });

  it('keeps a secret: made once, readable by its owner only, no draft left', async () => {
    assert.deepEqual(await readOrCreateSecret(folder, 'key', () => 'one'), { text: 'one', isNew: true });
    assert.deepEqual(await readOrCreateSecret(folder, 'key', () => 'two'), { text: 'one', isNew: false });
    assert.equal((await stat(join(folder, 'key'))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(folder), ['key']);
  });

  it('gives processes that start at once the same secret, and tells one that it made it', async () => {
    let made = 0;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => readOrCreateSecret(folder, 'key', () => `secret ${made++}`)),
    );
    assert.equal(answers.filter(({ isNew }) => isNew).length, 1);
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal((await readFile(join(folder, 'key'), 'utf8')).trim(), answers[0]!.text);
    assert.deepEqual(await readdir(folder), ['key']);
  });
});
