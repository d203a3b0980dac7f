/** The data folder on disk: made, proved writable, and the secrets kept in it. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GameError } from '../kernel/errors.ts';

/**
 * Makes the folder if need be and proves that it can be written, to the disk.
 * @throws GameError DATA_UNWRITABLE
 */
export async function prepareDataFolder(dataDir: string): Promise<void> {
  const probe = join(dataDir, `.probe-${randomBytes(8).toString('hex')}`);
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await writeDurably(probe, 'writable\n');
    await rm(probe);
  } catch (cause) {
    throw unwritable(dataDir, cause);
  }
}

/**
 * The text of a secret file in the data folder, made with `create` and mode 0600 if there is none. Of several
 * processes that start at once, one makes it and all read the same.
 * @returns the text without surrounding white space, and whether this call made it
 * @throws GameError DATA_UNWRITABLE
 */
export async function readOrCreateSecret(
  dataDir: string,
  name: string,
  create: () => string | Promise<string>,
): Promise<{ readonly text: string; readonly isNew: boolean }> {
  const path = join(dataDir, name);
  const existing = await readSecret(dataDir, path);
  if (existing !== undefined) return { text: existing, isNew: false };
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const text = await create();
  try {
    await writeDurably(draft, `${text}\n`);
    // Unlike a rename, a link fails when somebody else was first.
    await link(draft, path);
    return { text, isNew: true };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw unwritable(dataDir, cause);
    return { text: (await readSecret(dataDir, path)) ?? '', isNew: false };
  } finally {
    await rm(draft, { force: true });
  }
}

async function readSecret(dataDir: string, path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unwritable(dataDir, cause);
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function unwritable(dataDir: string, cause: unknown): GameError {
  return new GameError('DATA_UNWRITABLE', { folder: dataDir, reason: (cause as NodeJS.ErrnoException).code }, cause);
}
