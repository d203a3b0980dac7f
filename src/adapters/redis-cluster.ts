/**
 * {@link ClusterStore} in Redis. Keys, all with the tag `{cluster}`, so that one script may touch several:
 *
 * - `hypogeum:{cluster}:generation`: made anew when it is missing, so that everybody sees that everything was lost
 * - `hypogeum:{cluster}:processes`: hash, process id to `BEAT|CARD`
 * - `hypogeum:{cluster}:room:ID`: where a room stands, JSON; parked ones for a day
 * - `hypogeum:{cluster}:rooms:PROCESS`: set of its rooms; `hypogeum:{cluster}:owners`: set of the processes that have one
 *
 * Channels: `hypogeum:cluster` for all, `hypogeum:cluster:p:PROCESS` for one. The second is also the sign of life: the
 * kernel closes the sockets of a process that was killed, and Redis counts one listener less at once.
 *
 * `begin` also looks into the framework's own list of rooms (`roomcaches`), which is in another slot: one Redis with
 * replicas if you like, not a Redis Cluster, which the framework's list would not fit in either.
 */
import { randomUUID } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import type {
  BeatReply,
  ClusterNews,
  ClusterStore,
  Heartbeat,
  ProcessAnswer,
  ProcessRequest,
  StoredRoom,
} from '../cluster/cluster-store.ts';
import type { ProcessCard, RoomOwner, RoomRecord } from '../cluster/directory.ts';
import { GameError } from '../kernel/errors.ts';
import { OutOfTime, within } from '../kernel/time-limit.ts';

export interface RedisClusterOptions {
  readonly url: string;
  /** Whose channel this listens on. */
  readonly processId: string;
  /** Longest that one command may take, ms. Default 1,000. */
  readonly timeoutMs?: number;
}

/** How long the place of a parked room is told, ms. */
export const PARKED_MS = 24 * 3600_000;
/** Requests of others under way here. Above: refused with OVERLOADED. */
const REQUESTS_MAX = 64;

const TAG = 'hypogeum:{cluster}:';
const PROCESSES = `${TAG}processes`;
const NEWS = 'hypogeum:cluster';
const channelOf = (processId: string): string => `${NEWS}:p:${processId}`;
/** Where the record of a room is; the first thing that matters of it is its `processId`. */
export const roomKey = (roomId: string): string => `${TAG}room:${roomId}`;
const roomsKey = (processId: string): string => `${TAG}rooms:${processId}`;

const BEAT = `
local generation = redis.call('GET', KEYS[2])
if not generation then
  generation = ARGV[3]
  redis.call('SET', KEYS[2], generation)
end
local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {generation, known, redis.call('HGETALL', KEYS[1])}
`;

const BURY = `
local found = redis.call('HGET', KEYS[1], ARGV[1])
if not found or string.match(found, '^(%d+)|') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', '${NEWS}', ARGV[3])
return 1
`;

/** Shared by the scripts that change a room: `unlist` takes it out of its process's set. */
const ROOMS = `
local tag = '${TAG}'
local function unlist(process, room)
  redis.call('SREM', tag .. 'rooms:' .. process, room)
  if redis.call('EXISTS', tag .. 'rooms:' .. process) == 0 then redis.call('SREM', tag .. 'owners', process) end
end
local function list(process, room)
  redis.call('SADD', tag .. 'rooms:' .. process, room)
  redis.call('SADD', tag .. 'owners', process)
end
local found = redis.call('GET', KEYS[1])
local old = found and cjson.decode(found)
`;

const BEGIN = `${ROOMS}
local room = cjson.decode(ARGV[1])
if redis.call('HEXISTS', 'roomcaches', room.roomId) == 1 then return 0 end
local epoch = 1
if old then
  if old.state ~= 'creating' or old.processId == room.processId then return 0 end
  epoch = old.epoch + 1
  unlist(old.processId, room.roomId)
end
room.epoch = epoch
room.state = 'creating'
redis.call('SET', KEYS[1], cjson.encode(room))
list(room.processId, room.roomId)
return epoch
`;

const PUT = `${ROOMS}
local room = cjson.decode(ARGV[1])
if old then
  if old.epoch > room.epoch or (old.epoch == room.epoch and old.processId ~= room.processId) then return 0 end
  if old.processId ~= room.processId then unlist(old.processId, room.roomId) end
end
if room.state == 'parked' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  unlist(room.processId, room.roomId)
  return 1
end
redis.call('SET', KEYS[1], ARGV[1])
list(room.processId, room.roomId)
if room.state == 'running' and not (old and old.state == 'running' and old.processId == room.processId) then
  redis.call('PUBLISH', '${NEWS}', ARGV[2])
end
return 1
`;

const RELEASE = `${ROOMS}
if old and old.processId == ARGV[2] and old.epoch == tonumber(ARGV[3]) and old.state ~= 'parked' then
  redis.call('DEL', KEYS[1])
  unlist(ARGV[2], ARGV[1])
end
return 1
`;

const PLACE = `
local found = redis.call('GET', KEYS[1])
if not found then return false end
return {found, redis.call('HGET', KEYS[2], cjson.decode(found).processId)}
`;

const ROOMS_OF = `
local rooms = {}
for _, room in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local found = redis.call('GET', ARGV[1] .. room)
  if found then rooms[#rooms + 1] = found end
end
return rooms
`;

interface Scripts {
  clusterBeat(processes: string, generation: string, ...args: string[]): Promise<[string, number, string[]]>;
  clusterBury(processes: string, processId: string, beat: string, news: string): Promise<number>;
  clusterBegin(key: string, room: string): Promise<number>;
  clusterPut(key: string, room: string, news: string, parkedMs: string): Promise<number>;
  clusterRelease(key: string, roomId: string, processId: string, epoch: string): Promise<number>;
  clusterPlace(key: string, processes: string): Promise<[string, string | null] | null>;
  clusterRoomsOf(key: string, prefix: string): Promise<string[]>;
}

const SCRIPTS: RedisOptions['scripts'] = {
  clusterBeat: { lua: BEAT, numberOfKeys: 2 },
  clusterBury: { lua: BURY, numberOfKeys: 1 },
  clusterBegin: { lua: BEGIN, numberOfKeys: 1 },
  clusterPut: { lua: PUT, numberOfKeys: 1 },
  clusterRelease: { lua: RELEASE, numberOfKeys: 1 },
  clusterPlace: { lua: PLACE, numberOfKeys: 2 },
  clusterRoomsOf: { lua: ROOMS_OF, numberOfKeys: 1 },
};

/** What goes over the channel of one process. */
type Word =
  | { readonly kind: 'request'; readonly id: string; readonly from: string; readonly request: ProcessRequest }
  | { readonly kind: 'answer'; readonly id: string; readonly answer: ProcessAnswer };

export class RedisCluster implements ClusterStore {
  readonly #redis: Redis & Scripts;
  readonly #hears: Redis;
  readonly #processId: string;
  readonly #timeoutMs: number;
  readonly #news: ((news: ClusterNews) => void)[] = [];
  readonly #lost: (() => void)[] = [];
  readonly #asked = new Map<string, (answer: ProcessAnswer) => void>();
  readonly #answers: ((request: ProcessRequest) => Promise<ProcessAnswer> | undefined)[] = [];
  #requests = 0;

  /**
   * Resolves once it is connected and listens.
   * @throws GameError STORE_UNAVAILABLE
   */
  static async open(options: RedisClusterOptions): Promise<RedisCluster> {
    const store = new RedisCluster(options);
    try {
      await Promise.all([connect(store.#redis), connect(store.#hears)]);
      await store.#hears.subscribe(NEWS, channelOf(options.processId));
    } catch (error) {
      await store.close();
      throw unavailable(error);
    }
    return store;
  }

  private constructor({ url, processId, timeoutMs = 1_000 }: RedisClusterOptions) {
    this.#processId = processId;
    this.#timeoutMs = timeoutMs;
    const options: RedisOptions = {
      lazyConnect: true,
      connectTimeout: timeoutMs,
      retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 5), 500),
    };
    this.#redis = new Redis(url, {
      ...options,
      // What found no connection is refused, not kept: a beat that is sent late says nothing.
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: true,
      ...(SCRIPTS === undefined ? {} : { scripts: SCRIPTS }),
    }) as Redis & Scripts;
    // Subscriptions are asked for again by themselves; the ready check would be refused on such a connection.
    this.#hears = new Redis(url, { ...options, enableReadyCheck: false, maxRetriesPerRequest: null });
    for (const redis of [this.#redis, this.#hears]) {
      // It connects again by itself. Without a listener the error would be printed.
      redis.on('error', () => undefined);
    }
    this.#redis.on('close', () => {
      for (const listener of this.#lost) listener();
    });
    this.#hears.on('message', (channel: string, text: string) => this.#hear(channel, text));
  }

  async beat({ card, beat }: Heartbeat): Promise<BeatReply> {
    const [generation, known, pairs] = await this.#run(() =>
      this.#redis.clusterBeat(
        PROCESSES,
        `${TAG}generation`,
        card.processId,
        `${beat}|${JSON.stringify(card)}`,
        randomUUID(),
      ),
    );
    const processes = heartbeatsIn(pairs.filter((_, at) => at % 2 === 1));
    return { generation, wasKnown: known === 1, processes };
  }

  async processes(): Promise<readonly Heartbeat[]> {
    return heartbeatsIn(await this.#run(() => this.#redis.hvals(PROCESSES)));
  }

  async listeners(processIds: readonly string[]): Promise<readonly number[]> {
    if (processIds.length === 0) return [];
    const reply = (await this.#run(() => this.#redis.pubsub('NUMSUB', ...processIds.map(channelOf)))) as (
      | string
      | number
    )[];
    return processIds.map((_, at) => Number(reply[2 * at + 1]));
  }

  async bury(processId: string, beat: number): Promise<boolean> {
    const news = JSON.stringify({ kind: 'gone', processId } satisfies ClusterNews);
    return (await this.#run(() => this.#redis.clusterBury(PROCESSES, processId, String(beat), news))) === 1;
  }

  async leave(processId: string): Promise<void> {
    const news = JSON.stringify({ kind: 'gone', processId } satisfies ClusterNews);
    await this.#run(() => this.#redis.multi().hdel(PROCESSES, processId).publish(NEWS, news).exec());
  }

  async owners(): Promise<readonly string[]> {
    return this.#run(() => this.#redis.smembers(`${TAG}owners`));
  }

  async roomsOf(processId: string): Promise<readonly StoredRoom[]> {
    const texts = await this.#run(() => this.#redis.clusterRoomsOf(roomsKey(processId), `${TAG}room:`));
    return texts.map((text) => JSON.parse(text) as StoredRoom);
  }

  async room(roomId: string): Promise<{ room: StoredRoom; card: ProcessCard | undefined } | undefined> {
    const reply = await this.#run(() => this.#redis.clusterPlace(roomKey(roomId), PROCESSES));
    if (reply === null) return undefined;
    const [room, heartbeat] = reply;
    return {
      room: JSON.parse(room) as StoredRoom,
      card: heartbeat === null ? undefined : heartbeatOf(heartbeat)?.card,
    };
  }

  async begin(room: RoomRecord): Promise<number | undefined> {
    const epoch = await this.#run(() => this.#redis.clusterBegin(roomKey(room.roomId), JSON.stringify(room)));
    return epoch === 0 ? undefined : epoch;
  }

  async put(room: StoredRoom, owner: RoomOwner): Promise<boolean> {
    const news = JSON.stringify({ kind: 'owner', roomId: room.roomId, owner } satisfies ClusterNews);
    const key = roomKey(room.roomId);
    return (await this.#run(() => this.#redis.clusterPut(key, JSON.stringify(room), news, String(PARKED_MS)))) === 1;
  }

  async release(roomId: string, processId: string, epoch: number): Promise<void> {
    await this.#run(() => this.#redis.clusterRelease(roomKey(roomId), roomId, processId, String(epoch)));
  }

  onNews(listener: (news: ClusterNews) => void): void {
    this.#news.push(listener);
  }

  onLost(listener: () => void): void {
    this.#lost.push(listener);
  }

  onRequest(answer: (request: ProcessRequest) => Promise<ProcessAnswer> | undefined): void {
    this.#answers.push(answer);
  }

  async ask(processId: string, request: ProcessRequest, timeoutMs: number): Promise<ProcessAnswer> {
    const id = randomUUID();
    const answered = Promise.withResolvers<ProcessAnswer>();
    this.#asked.set(id, answered.resolve);
    const told = async (): Promise<ProcessAnswer> => {
      const hearers = await this.#say(processId, { kind: 'request', id, from: this.#processId, request });
      if (hearers === 0) throw new Error(`nobody listens as process ${processId}`);
      return answered.promise;
    };
    try {
      return await within(told(), timeoutMs);
    } catch (error) {
      throw error instanceof OutOfTime
        ? unavailable(new Error(`process ${processId} gave ${error.message}`))
        : unavailable(error);
    } finally {
      this.#asked.delete(id);
    }
  }

  async close(): Promise<void> {
    this.#lost.length = 0;
    this.#hears.disconnect();
    this.#redis.disconnect();
  }

  #hear(channel: string, text: string): void {
    let word: unknown;
    try {
      word = JSON.parse(text);
    } catch {
      // Somebody else's: the channels are ours, whoever can write to them is trusted no further.
      return;
    }
    if (channel === NEWS) for (const listener of this.#news) listener(word as ClusterNews);
    else void this.#obey(word as Word);
  }

  async #obey(word: Word): Promise<void> {
    if (word.kind === 'answer') {
      this.#asked.get(word.id)?.(word.answer);
      return;
    }
    let answer: ProcessAnswer;
    if (this.#requests >= REQUESTS_MAX) {
      answer = { outcome: 'OVERLOADED' };
    } else {
      this.#requests++;
      answer = await this.#answerTo(word.request)
        .catch((error: unknown) => ({ outcome: error instanceof GameError ? error.code : 'INTERNAL' }))
        .finally(() => this.#requests--);
    }
    // Who asked waits no longer than it said; a lost answer is found out by the store.
    await this.#say(word.from, { kind: 'answer', id: word.id, answer }).catch(() => undefined);
  }

  async #answerTo(request: ProcessRequest): Promise<ProcessAnswer> {
    for (const answer of this.#answers) {
      const answering = answer(request);
      if (answering !== undefined) return answering;
    }
    return { outcome: 'refused' };
  }

  #say(processId: string, word: Word): Promise<number> {
    return this.#run(() => this.#redis.publish(channelOf(processId), JSON.stringify(word)));
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await within(work(), this.#timeoutMs);
    } catch (error) {
      throw unavailable(error);
    }
  }
}

/** Twice, if need be: a stall of this process can end an attempt that was answered, as the client counts its time itself. */
function connect(redis: Redis): Promise<void> {
  return redis.connect().catch(() => redis.connect());
}

function heartbeatsIn(texts: readonly string[]): Heartbeat[] {
  return texts.map(heartbeatOf).filter((heartbeat) => heartbeat !== undefined);
}

function heartbeatOf(text: string): Heartbeat | undefined {
  const bar = text.indexOf('|');
  const beat = Number(text.slice(0, bar));
  if (bar < 1 || !Number.isSafeInteger(beat)) return undefined;
  return { beat, card: JSON.parse(text.slice(bar + 1)) as ProcessCard };
}

function unavailable(error: unknown): GameError {
  if (error instanceof GameError) return error;
  return new GameError('STORE_UNAVAILABLE', { store: 'redis', reason: (error as Error).message }, error);
}
