/**
 * The framework's list of rooms and its messages between processes, in Redis, made fit for rooms that change their
 * process. Both are public extension points of the framework.
 */
import type { IRoomCache } from '@colyseus/core';
import { RedisDriver } from '@colyseus/redis-driver';
import { RedisPresence } from '@colyseus/redis-presence';
import { Redis, type RedisOptions } from 'ioredis';

const LIST = 'roomcaches';
/** Rooms of which it is remembered that they are over: longer than any of them still says something. */
const REMOVED_KEPT = 4_096;
/** Rows that are read and deleted in one step of the store. */
const CLEAN_AT_ONCE = 500;
/** Tries to connect after which a waiting command is refused: about ten seconds. Above, commands would pile up. */
const RETRIES_MAX = 24;

/**
 * A row is its process's as long as it names that process. Of two who make a room of one id the one that the registry
 * of the cluster names wins, else the first.
 */
const INSERT = `
local found = redis.call('GET', KEYS[2])
local names = found and cjson.decode(found).processId
if names and names ~= ARGV[2] then return 0 end
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row and not (names and cjson.decode(row).processId ~= ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
`;

/** Writes a row unless it has become another process's. */
const PERSIST = `
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row and cjson.decode(row).processId ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
`;

const REMOVE_OF = `
local removed = 0
for at = 2, #ARGV do
  local row = redis.call('HGET', KEYS[1], ARGV[at])
  if row and cjson.decode(row).processId == ARGV[1] then removed = removed + redis.call('HDEL', KEYS[1], ARGV[at]) end
end
return removed
`;

interface Scripts {
  roomsInsert(list: string, record: string, roomId: string, processId: string, row: string): Promise<number>;
  roomsPersist(list: string, roomId: string, processId: string, row: string): Promise<number>;
  roomsRemoveOf(list: string, processId: string, ...roomIds: string[]): Promise<number>;
}

const OPTIONS: RedisOptions = {
  maxRetriesPerRequest: RETRIES_MAX,
  retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 5), 500),
};

export interface DurableDriverOptions {
  readonly url: string;
  /** Key under which the registry of the cluster has a room, see RedisCluster. */
  readonly registryKey: (roomId: string) => string;
  readonly onFault: (error: unknown) => void;
  /** Told of a room that was made here although another process had it first; it is thrown away. */
  readonly onDuplicate: (roomId: string) => void;
}

export class DurableDriver extends RedisDriver {
  /** Rooms that are another process's now: whatever this one still says of them is left unsaid. */
  readonly disowned = new Set<string>();
  /** Taken off the list here. A leave that is said afterwards would put them there again, for ever. */
  readonly #removed = new Set<string>();
  readonly #redis: Redis & Scripts;
  readonly #options: DurableDriverOptions;
  #processId = '';

  constructor(options: DurableDriverOptions) {
    const redis = new Redis(options.url, {
      ...OPTIONS,
      scripts: {
        roomsInsert: { lua: INSERT, numberOfKeys: 2 },
        roomsPersist: { lua: PERSIST, numberOfKeys: 1 },
        roomsRemoveOf: { lua: REMOVE_OF, numberOfKeys: 1 },
      },
    }) as Redis & Scripts;
    // It connects again by itself, and whoever waits is told. Without a listener the error would be printed.
    redis.on('error', () => undefined);
    super(redis);
    this.#redis = redis;
    this.#options = options;
  }

  /** Settles who has a room of this id; also lets the framework choose the id before it asks another process. */
  async insert(room: IRoomCache): Promise<boolean> {
    this.#processId = room.processId;
    this.#isHereAgain(room.roomId);
    const row = JSON.stringify(room);
    const key = this.#options.registryKey(room.roomId);
    if ((await this.#redis.roomsInsert(LIST, key, room.roomId, room.processId, row)) === 1) return true;
    // Said first: in a moment the room is disposed as if its match had ended.
    this.#options.onDuplicate(room.roomId);
    return false;
  }

  /** Nobody of the framework waits for these: what fails is said again with the next change. */
  override async persist(room: IRoomCache, isNew = false): Promise<boolean> {
    if (isNew) this.#isHereAgain(room.roomId);
    if (!room.roomId || this.disowned.has(room.roomId) || this.#removed.has(room.roomId)) return false;
    try {
      const row = JSON.stringify(room);
      return (await this.#redis.roomsPersist(LIST, room.roomId, room.processId, row)) === 1;
    } catch (error) {
      this.#options.onFault(error);
      return false;
    }
  }

  override async update(
    room: IRoomCache,
    { $set, $inc }: Partial<{ $set: Partial<IRoomCache>; $inc: Partial<IRoomCache> }>,
  ): Promise<boolean> {
    const row = room as unknown as Record<string, unknown>;
    Object.assign(row, $set);
    for (const [field, by] of Object.entries($inc ?? {})) row[field] = (row[field] as number) + (by as number);
    return this.persist(room);
  }

  override async remove(roomId: string): Promise<boolean> {
    if (!roomId || this.disowned.has(roomId)) return false;
    this.#forget(roomId);
    try {
      return (await this.#redis.roomsRemoveOf(LIST, this.#processId, roomId)) > 0;
    } catch (error) {
      this.#options.onFault(error);
      return false;
    }
  }

  /** Made here once more, as when it went elsewhere and has come back: what is said of it counts. */
  #isHereAgain(roomId: string): void {
    this.#removed.delete(roomId);
    this.disowned.delete(roomId);
  }

  #forget(roomId: string): void {
    this.#removed.add(roomId);
    if (this.#removed.size <= REMOVED_KEPT) return;
    const [oldest] = this.#removed;
    this.#removed.delete(oldest!);
  }

  /** Deletes the rows that still name a process when it is their turn: not those that somebody has taken over. */
  override async cleanup(processId: string): Promise<void> {
    const rooms = await this.query({ processId });
    for (let at = 0; at < rooms.length; at += CLEAN_AT_ONCE) {
      const some = rooms.slice(at, at + CLEAN_AT_ONCE).map(({ roomId }) => roomId);
      await this.#redis.roomsRemoveOf(LIST, processId, ...some);
    }
  }

  override async shutdown(): Promise<void> {
    this.#redis.disconnect();
  }
}

/**
 * The framework's messages between processes. Those that it sends without waiting must not become rejections that
 * nobody handles while Redis is away; those that it waits for run into its own time-outs.
 */
export class DurablePresence extends RedisPresence {
  readonly #onFault: (error: unknown) => void;

  constructor({ url, onFault }: { readonly url: string; readonly onFault: (error: unknown) => void }) {
    const redis = new Redis(url, OPTIONS);
    super(redis);
    this.#onFault = onFault;
    // Subscriptions must outlast any outage.
    (this.sub as Redis).options.maxRetriesPerRequest = null;
  }

  override async publish(topic: string, data: unknown): Promise<void> {
    await super.publish(topic, data).catch(this.#onFault);
  }

  override async hset(key: string, field: string, value: string): Promise<boolean> {
    return super.hset(key, field, value).catch((error: unknown) => this.#failed(error));
  }

  override async hdel(key: string, field: string): Promise<boolean> {
    return super.hdel(key, field).catch((error: unknown) => this.#failed(error));
  }

  override async unsubscribe(topic: string, callback?: (...args: unknown[]) => void): Promise<this> {
    await super.unsubscribe(topic, callback).catch(this.#onFault);
    return this;
  }

  override shutdown(): void {
    (this.sub as Redis).disconnect();
    (this.pub as Redis).disconnect();
  }

  #failed(error: unknown): boolean {
    this.#onFault(error);
    return false;
  }
}
