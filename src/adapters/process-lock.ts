/**
 * One process at a time per data folder. The lock is a file that names its owner; what a killed process left behind is
 * recognised by its process id and start time and taken over. Processes in different containers that share a volume
 * do not see each other: they need separate data folders.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GameError } from '../kernel/errors.ts';

const ATTEMPTS = 5;

interface Owner {
  readonly pid: number;
  /** Start of the process in clock ticks after boot, from /proc; empty where there is none. */
  readonly startedAt: string;
}

/** Field 22 of /proc/<pid>/stat, or undefined if there is no such living process; empty where there is no /proc. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The command in parentheses may hold anything, so the fields are counted from its end; the first is the state.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    try {
      process.kill(pid, 0);
      return '';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? '' : undefined;
    }
  }
}

async function readOwner(path: string): Promise<{ text: string; owner: Owner | undefined } | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [pid, startedAt = ''] = text.trim().split(' ');
  const isOwner = /^[1-9][0-9]{0,9}$/.test(pid ?? '');
  return { text, owner: isOwner ? { pid: Number(pid), startedAt } : undefined };
}

async function isAlive({ pid, startedAt }: Owner): Promise<boolean> {
  const start = await startOf(pid);
  return start !== undefined && (start === startedAt || start === '' || startedAt === '');
}

/** The id of the living process that holds the folder, if any. */
export async function lockHolder(folder: string): Promise<number | undefined> {
  const held = await readOwner(join(folder, 'lock'));
  return held?.owner !== undefined && (await isAlive(held.owner)) ? held.owner.pid : undefined;
}

/**
 * Takes the folder, made if missing.
 * @returns how to let go of it
 * @throws GameError DATA_IN_USE (`detail.pid`) if another living process holds it, DATA_UNWRITABLE
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock');
  const mine = `${path}.${randomUUID()}`;
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(mine, 'w', 0o600);
    try {
      await file.writeFile(`${process.pid} ${(await startOf(process.pid)) ?? ''}\n`);
    } finally {
      await file.close();
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        // A link appears whole or not at all, and only where there was nothing.
        await link(mine, path);
        return () => rm(path, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const held = await readOwner(path);
      if (held === undefined) continue;
      if (held.owner !== undefined && (await isAlive(held.owner))) {
        throw new GameError('DATA_IN_USE', { folder, pid: held.owner.pid });
      }
      await discard(path, held.text);
    }
    throw new GameError('DATA_IN_USE', { folder, reason: 'other processes are taking it' });
  } catch (error) {
    if (error instanceof GameError) throw error;
    throw new GameError('DATA_UNWRITABLE', { folder, reason: (error as Error).message }, error);
  } finally {
    await rm(mine, { force: true }).catch(() => undefined);
  }
}

/** Removes a dead owner's lock; puts it back if another process was faster and the file is its own by now. */
async function discard(path: string, expected: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== expected) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
