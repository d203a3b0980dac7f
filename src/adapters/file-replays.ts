/** Replay files in one folder, `<matchId>.hypr`, the newest N of them. */
import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { GameError } from '../kernel/errors.ts';
import { inflateRaw } from '../kernel/inflate.ts';
import { MATCH_ID } from '../kernel/match-header.ts';
import {
  packReplay,
  REPLAY_EXTENSION,
  REPLAY_LIMITS,
  type Replay,
  type ReplayHeader,
  readReplayHeader,
  replayHeadBytes,
  unpackReplay,
} from '../kernel/replay-file.ts';
import { keyedPseudonym, type Pseudonym } from '../match/archive.ts';
import type { OpenReplay, ReplayStore, ReplaySummary } from '../match/replay-store.ts';

const KEEP = 200;
const LIST_MAX = 1000;
const KEY_BYTES = 32;
const KEY_NAME = 'pseudonym.key';
const TEMPORARY = /\.tmp$/;
const FIRST_READ_BYTES = 4096;

const deflate = promisify(deflateRaw);

export interface FileReplaysOptions {
  /** Made if missing. */
  readonly folder: string;
  /** Replays kept, 0 to 100,000, default 200; see {@link FileReplays} for which. */
  readonly keep?: number;
  /** Other processes of this machine write the folder, too: what they add or remove is seen. Default false. */
  readonly isShared?: boolean;
}

/** In a shared folder a temporary file of this age is nobody's work under way, ms. */
const ABANDONED_MS = 3_600_000;
const SETTLED_MS = 1_000;

interface Known {
  readonly id: string;
  readonly bytes: number;
  readonly modifiedAtMs: number;
  /** Read when first asked for; null when it cannot be read. */
  header?: ReplayHeader | null;
}

export class FileReplays implements ReplayStore {
  readonly pseudonym: Pseudonym;
  readonly #folder: string;
  readonly #keep: number;
  readonly #isShared: boolean;
  /** By id, the oldest first. */
  #known: Map<string, Known>;
  /** Time of the folder that {@link #known} is of, if that is certain. */
  #surveyedAtMs: number | undefined;
  #putting: Promise<unknown> = Promise.resolve();

  private constructor(
    folder: string,
    { keep = KEEP, isShared = false }: Pick<FileReplaysOptions, 'keep' | 'isShared'>,
    known: Map<string, Known>,
    key: Uint8Array,
  ) {
    this.#folder = folder;
    this.#keep = keep;
    this.#isShared = isShared;
    this.#known = known;
    this.pseudonym = keyedPseudonym(key);
  }

  /**
   * Removes what a killed process left half-written. One process writes a folder, unless it is shared; see lockFolder of
   * the journal.
   * @throws GameError DATA_UNWRITABLE
   */
  static async open({ folder, ...options }: FileReplaysOptions): Promise<FileReplays> {
    try {
      await mkdir(folder, { recursive: true });
      const untilMs = options.isShared === true ? Date.now() - ABANDONED_MS : Number.POSITIVE_INFINITY;
      for (const name of await readdir(folder)) {
        if (TEMPORARY.test(name)) await removeOlder(join(folder, name), untilMs);
      }
      const key = (await readKey(folder)) ?? (await makeKey(folder));
      return new FileReplays(folder, options, await survey(folder), key);
    } catch (error) {
      throw new GameError('DATA_UNWRITABLE', { folder, reason: (error as Error).message }, error);
    }
  }

  /** Reads the folder as it is, also while a server writes it, and changes nothing. */
  static async inspect(folder: string): Promise<Pick<FileReplays, 'list' | 'open' | 'read' | 'pseudonym'>> {
    // Without the server's key nothing was published under it, so any will do.
    const key = (await readKey(folder)) ?? randomBytes(KEY_BYTES);
    return new FileReplays(folder, {}, await survey(folder), key);
  }

  async list(limit: number): Promise<ReplaySummary[]> {
    if (this.#isShared) await this.#putting.then(() => this.#surveyAgain());
    const summaries: ReplaySummary[] = [];
    for (const known of [...this.#known.values()].reverse()) {
      if (summaries.length >= Math.min(limit, LIST_MAX)) break;
      if (known.header === undefined) known.header = await this.#readHeader(known.id);
      if (known.header !== null) summaries.push({ id: known.id, bytes: known.bytes, header: known.header });
    }
    return summaries;
  }

  async open(id: string): Promise<OpenReplay> {
    try {
      const file = await open(this.#pathOf(id), 'r');
      const { size } = await file.stat();
      return { bytes: size, stream: file.createReadStream() };
    } catch (error) {
      throw absent(error, id);
    }
  }

  async read(id: string): Promise<Replay> {
    let bytes: Uint8Array;
    try {
      bytes = await readReplayFile(this.#pathOf(id));
    } catch (error) {
      throw absent(error, id);
    }
    return unpackReplay(bytes, inflateRaw);
  }

  put(replay: Replay): Promise<void> {
    const put = this.#putting.then(() => this.#put(replay));
    // One at a time; a refused one is its caller's and does not hold up the next.
    this.#putting = put.catch(() => undefined);
    return put;
  }

  /** What the others have done; headers that were read are kept. */
  async #surveyAgain(): Promise<void> {
    const { mtimeMs } = await stat(this.#folder);
    if (mtimeMs === this.#surveyedAtMs) return;
    // Times of folders are coarse: one that was changed just now may change again within the same.
    this.#surveyedAtMs = Date.now() - mtimeMs > SETTLED_MS ? mtimeMs : undefined;
    const before = this.#known;
    this.#known = await survey(this.#folder);
    for (const known of this.#known.values()) {
      const header = before.get(known.id)?.header;
      if (header !== undefined) known.header = header;
    }
  }

  async #put(replay: Replay): Promise<void> {
    if (this.#isShared) await this.#surveyAgain();
    const id = replay.header.matchId;
    const path = this.#pathOf(id);
    const bytes = await packReplay(replay, deflate);
    // File times are coarse: two replays of one moment would change places with the next start.
    const newestAtMs = [...this.#known.values()].at(-1)?.modifiedAtMs ?? 0;
    const modifiedAtMs = Math.max(Date.now(), Math.floor(newestAtMs) + 1);
    await writeAtomically(this.#folder, path, bytes, 0o644, modifiedAtMs);
    this.#known.delete(id);
    this.#known.set(id, { id, bytes: bytes.length, modifiedAtMs, header: replay.header });
    while (this.#known.size > this.#keep) {
      const victim = await this.#leastWorth(id);
      await rm(this.#pathOf(victim), { force: true });
      this.#known.delete(victim);
    }
  }

  /**
   * The oldest match that was not played to its end, else the oldest: whoever joins and leaves again and again must not
   * push out what others played. The newest is spared as long as there is another.
   */
  async #leastWorth(newest: string): Promise<string> {
    const others = [...this.#known.values()].filter(({ id }) => id !== newest);
    for (const known of others) {
      if (known.header === undefined) known.header = await this.#readHeader(known.id);
      if (known.header?.result?.reason !== 'completed') return known.id;
    }
    return others[0]?.id ?? newest;
  }

  async #readHeader(id: string): Promise<ReplayHeader | null> {
    try {
      const file = await open(this.#pathOf(id), 'r');
      try {
        const first = await readStart(file, FIRST_READ_BYTES);
        const need = replayHeadBytes(first);
        return readReplayHeader(need <= first.length ? first : await readStart(file, need));
      } finally {
        await file.close();
      }
    } catch {
      // Damaged, of another version, or gone: `read` says which to whoever asks for it by name.
      return null;
    }
  }

  /** @throws GameError REPLAY_NOT_FOUND for what can be no id, such as a path */
  #pathOf(id: string): string {
    if (!MATCH_ID.test(id)) throw new GameError('REPLAY_NOT_FOUND', { id: id.slice(0, 64) });
    return join(this.#folder, id + REPLAY_EXTENSION);
  }
}

/** @throws GameError REPLAY_CORRUPT if the file is larger than a replay can be; errors of the file system as they are */
export async function readReplayFile(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size > REPLAY_LIMITS.fileBytes) throw new GameError('REPLAY_CORRUPT', { reason: `file of ${size} bytes` });
  return readFile(path);
}

function absent(error: unknown, id: string): unknown {
  const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
  return isAbsent ? new GameError('REPLAY_NOT_FOUND', { id }, error) : error;
}

async function survey(folder: string): Promise<Map<string, Known>> {
  const known: Known[] = [];
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const id = name.slice(0, -REPLAY_EXTENSION.length);
    if (!name.endsWith(REPLAY_EXTENSION) || !MATCH_ID.test(id)) continue;
    const file = await stat(join(folder, name)).catch(() => undefined);
    if (file?.isFile()) known.push({ id, bytes: file.size, modifiedAtMs: file.mtimeMs });
  }
  known.sort((a, b) => a.modifiedAtMs - b.modifiedAtMs || (a.id < b.id ? -1 : 1));
  return new Map(known.map((file) => [file.id, file]));
}

async function readKey(folder: string): Promise<Uint8Array | undefined> {
  try {
    const key = await readFile(join(folder, KEY_NAME));
    if (key.length !== KEY_BYTES) throw new Error(`${KEY_NAME} is damaged: players would get new pseudonyms`);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Of several processes that start at once one makes it, and all have the same. */
async function makeKey(folder: string): Promise<Uint8Array> {
  const draft = join(folder, `${KEY_NAME}.${randomUUID()}`);
  await writeAtomically(folder, draft, randomBytes(KEY_BYTES), 0o600);
  try {
    // Unlike a rename, a link fails when somebody else was first.
    await link(draft, join(folder, KEY_NAME));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return (await readKey(folder))!;
}

async function removeOlder(path: string, untilMs: number): Promise<void> {
  const file = await stat(path).catch(() => undefined);
  if (file !== undefined && file.mtimeMs < untilMs) await rm(path, { force: true });
}

/** The file is there whole, under its name and durable, or it is not there. */
async function writeAtomically(
  folder: string,
  path: string,
  bytes: Uint8Array,
  mode: number,
  modifiedAtMs = Date.now(),
): Promise<void> {
  const temporary = join(folder, `${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(bytes);
      await file.utimes(modifiedAtMs / 1000, modifiedAtMs / 1000);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function readStart(file: Awaited<ReturnType<typeof open>>, bytes: number): Promise<Uint8Array> {
  const start = Buffer.alloc(bytes);
  const { bytesRead } = await file.read(start, 0, bytes, 0);
  return start.subarray(0, bytesRead);
}
