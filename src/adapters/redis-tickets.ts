/**
 * Cells of the matchmaking in Redis, shared by all processes. Everything is below `<prefix>{matchmaking}:` (one slot of a
 * cluster), every change is one script, and every key has an end but `fences`, a hash with one field a pool.
 *
 * The clock is Redis's own: every answer brings it along. Fences begin at that clock, so that they go on growing when
 * Redis has lost everything.
 */
import type { Redis } from 'ioredis';
import type { CellChange, CommitOutcome, Lease, TicketCells } from '../matchmaking/ticket-cells.ts';
import type { Guard } from './guard.ts';
import { type RedisLinkOptions, redisGuard, redisLink } from './redis-link.ts';

/** Cells of one question; more are asked for in turns, so that no script holds Redis up for long. */
const READ_MAX = 500;

const CLOCK = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
`;

const READ = `${CLOCK}
local out = { now }
for i, name in ipairs(ARGV) do out[i + 1] = redis.call('GET', KEYS[1] .. name) end
return out
`;

const MEMBERS = `${CLOCK}
return { now, redis.call('ZRANGEBYSCORE', KEYS[1] .. ARGV[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3]) }
`;

const RANK = `${CLOCK}
return { now, redis.call('ZCARD', KEYS[1] .. ARGV[1]), redis.call('ZRANK', KEYS[1] .. ARGV[1], ARGV[2]) }
`;

const COMMIT = `${CLOCK}
local base = KEYS[1]
local change = cjson.decode(ARGV[1])
if change.pool and redis.call('HGET', base .. 'fences', change.pool) ~= change.fence then return { now, 'fenced' } end
for _, expected in ipairs(change.expect) do
  if redis.call('GET', base .. expected[1]) ~= expected[2] then return { now, 'conflict' } end
end
for _, name in ipairs(change.remove) do redis.call('DEL', base .. name) end
for _, cell in ipairs(change.write) do redis.call('SET', base .. cell[1], cell[2], 'PX', cell[3]) end
for _, gone in ipairs(change.take) do redis.call('ZREM', base .. gone[1], gone[2]) end
for _, put in ipairs(change.place) do
  redis.call('ZADD', base .. put[1], put[3], put[2])
  redis.call('PEXPIRE', base .. put[1], put[4])
end
if #change.tell > 0 then redis.call('PUBLISH', base .. 'told', cjson.encode(change.tell)) end
return { now, 'done' }
`;

const LEASE = `${CLOCK}
local key = KEYS[1] .. 'lease/' .. ARGV[1]
local held = redis.call('GET', key)
if held and held ~= ARGV[2] then return { now, '', 0 } end
local known = redis.call('HGET', KEYS[1] .. 'fences', ARGV[1])
if held and known then
  redis.call('PEXPIRE', key, ARGV[3])
  return { now, known, 0 }
end
local fence = now
if known and tonumber(known) >= tonumber(now) then fence = string.format('%.0f', tonumber(known) + 1) end
redis.call('HSET', KEYS[1] .. 'fences', ARGV[1], fence)
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
return { now, fence, 1 }
`;

const YIELD = `${CLOCK}
local key = KEYS[1] .. 'lease/' .. ARGV[1]
if redis.call('GET', key) == ARGV[2] then redis.call('DEL', key) end
return { now }
`;

type Reply = [now: string, ...rest: unknown[]];

interface Scripts {
  ticketsRead(base: string, ...names: string[]): Promise<Reply>;
  ticketsMembers(base: string, set: string, scoreMax: string, limit: string): Promise<Reply>;
  ticketsRank(base: string, set: string, member: string): Promise<Reply>;
  ticketsCommit(base: string, change: string): Promise<Reply>;
  ticketsLease(base: string, pool: string, holder: string, lifeMs: string): Promise<Reply>;
  ticketsYield(base: string, pool: string, holder: string): Promise<Reply>;
}

export class RedisTickets implements TicketCells {
  readonly guard: Guard;
  readonly #redis: Redis & Scripts;
  readonly #hearing: Redis;
  readonly #base: string;
  readonly #listeners = new Set<(topic: string | undefined) => void>();
  /** Redis's clock minus our monotonic one, as the newest answer had it. */
  #offsetMs = performance.timeOrigin;
  #hasHeard = false;

  /** Resolves once it is connected, or Redis was found away: it goes on trying, and questions are refused meanwhile. */
  static async open(options: RedisLinkOptions): Promise<RedisTickets> {
    const tickets = new RedisTickets(options);
    await Promise.all([
      tickets.#redis.connect().catch(() => undefined),
      tickets.#hearing.connect().catch(() => undefined),
    ]);
    return tickets;
  }

  private constructor(options: RedisLinkOptions) {
    this.#base = `${options.prefix ?? 'hypogeum:'}{matchmaking}:`;
    this.#redis = redisLink(options, {
      scripts: {
        ticketsRead: { lua: READ, numberOfKeys: 1 },
        ticketsMembers: { lua: MEMBERS, numberOfKeys: 1 },
        ticketsRank: { lua: RANK, numberOfKeys: 1 },
        ticketsCommit: { lua: COMMIT, numberOfKeys: 1 },
        ticketsLease: { lua: LEASE, numberOfKeys: 1 },
        ticketsYield: { lua: YIELD, numberOfKeys: 1 },
      },
    }) as Redis & Scripts;
    this.#hearing = redisLink(options, { autoResubscribe: false });
    this.#hearing.on('ready', () => {
      this.#hearing.subscribe(`${this.#base}told`).then(
        () => {
          // What was told while nobody listened is lost: everybody looks for itself.
          if (this.#hasHeard) this.#tell(undefined);
          this.#hasHeard = true;
        },
        () => this.#hearing.disconnect(true),
      );
    });
    this.#hearing.on('message', (_channel: string, text: string) => {
      for (const topic of JSON.parse(text) as string[]) this.#tell(topic);
    });
    this.guard = redisGuard('redis-tickets', 2_000, options);
  }

  nowMs(): number {
    return Math.floor(performance.now() + this.#offsetMs);
  }

  async read(names: readonly string[]): Promise<readonly (string | undefined)[]> {
    const found: (string | undefined)[] = [];
    for (let at = 0; at < names.length; at += READ_MAX) {
      const some = names.slice(at, at + READ_MAX);
      const texts = await this.#run(() => this.#redis.ticketsRead(this.#base, ...some));
      for (let i = 0; i < some.length; i++) found.push((texts[i] as string | null | undefined) ?? undefined);
    }
    return found;
  }

  async members(set: string, limit: number, scoreMax = Number.POSITIVE_INFINITY): Promise<readonly string[]> {
    const most = Number.isFinite(scoreMax) ? String(scoreMax) : '+inf';
    const [members] = await this.#run(() => this.#redis.ticketsMembers(this.#base, set, most, String(limit)));
    return members as string[];
  }

  async rank(set: string, member: string): Promise<{ size: number; before: number | undefined }> {
    const [size, before] = await this.#run(() => this.#redis.ticketsRank(this.#base, set, member));
    return { size: Number(size), before: typeof before === 'number' ? before : undefined };
  }

  async commit(change: CellChange): Promise<CommitOutcome> {
    const text = JSON.stringify({
      ...(change.fence === undefined ? {} : { pool: change.fence.pool, fence: String(change.fence.fence) }),
      // What is not there reads as false in Lua. Numbers go as text: Lua would print them rounded.
      expect: [...change.expect].map(([name, expected]) => [name, expected ?? false]),
      remove: change.remove,
      write: change.write.map(({ name, text: written, lifeMs }) => [name, written, String(Math.ceil(lifeMs))]),
      take: change.take.map(({ set, member }) => [set, member]),
      place: change.place.map(({ set, member, score, lifeMs }) => [
        set,
        member,
        String(score),
        String(Math.ceil(lifeMs)),
      ]),
      tell: change.tell,
    });
    const [outcome] = await this.#run(() => this.#redis.ticketsCommit(this.#base, text));
    return outcome as CommitOutcome;
  }

  async lease(pool: string, holder: string, lifeMs: number): Promise<Lease | undefined> {
    const [fence, isNew] = await this.#run(() =>
      this.#redis.ticketsLease(this.#base, pool, holder, String(Math.ceil(lifeMs))),
    );
    return fence === '' ? undefined : { fence: Number(fence), isNew: isNew === 1 };
  }

  async yieldLease(pool: string, holder: string): Promise<void> {
    await this.#run(() => this.#redis.ticketsYield(this.#base, pool, holder));
  }

  onTold(listener: (topic: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#redis.disconnect();
    this.#hearing.disconnect();
  }

  #tell(topic: string | undefined): void {
    for (const listener of [...this.#listeners]) listener(topic);
  }

  async #run(work: () => Promise<Reply>): Promise<unknown[]> {
    const [now, ...rest] = await this.guard.run(work);
    this.#offsetMs = Number(now) - performance.now();
    return rest;
  }
}
