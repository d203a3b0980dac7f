/**
 * A leaderboard index in Redis, shared by all processes: sorted sets whose members carry the order of ties.
 *
 * Everything is below `<prefix>{boards}:` (one slot of a cluster). `state` says how far the index is and under which
 * `epoch` its data is; every script reads it first, so data without a state, or a state without its data (a flush, an
 * eviction, a replica that took over), is never mistaken for a board. A board's season has, below its epoch:
 *
 *   e  sorted set, all entries: score = sort key (negated when more is better), member = `achieved:player`
 *   p  hash, player -> `score:achieved`, from which the member follows
 *   l  sorted set of the different scores, and c, a hash of how many players have each: dense ranks
 *
 * Redis computes with doubles, in which every score that a board can have is exact; scripts pass numbers as text, as
 * Lua would print them rounded.
 */
import { randomUUID } from 'node:crypto';
import { type Redis, ReplyError } from 'ioredis';
import { GameError } from '../kernel/errors.ts';
import type {
  BoardChange,
  BoardIndex,
  BoardPage,
  FeedMark,
  RankedEntry,
  SeasonKey,
} from '../leaderboards/board-index.ts';
import type { Entry } from '../leaderboards/scoring.ts';
import type { Guard } from './guard.ts';
import { type RedisLinkOptions, redisGuard, redisLink } from './redis-link.ts';

export interface RedisBoardsOptions extends RedisLinkOptions {
  readonly orderOf: (boardId: string) => SeasonKey['order'] | undefined;
}

/** Digits of a position in a member: as many as the largest exact integer has, so text sorts as numbers do. */
const ACHIEVED_DIGITS = 16;
/** Keys looked at in one step when old epochs are cleared away. */
const SCAN_COUNT = 500;

/** What every question begins with: refuses unless the season is there, whole and not older than what was seen. */
const PRELUDE = `
local base = KEYS[1]
local season = ARGV[1] .. '/' .. ARGV[2]
local s = redis.call('HMGET', base .. 'state', 'epoch', 'ready', 'position', 'o:' .. ARGV[1], 'n:' .. season)
if not s[1] then return redis.error_reply('BOARDS lost') end
if s[2] ~= '1' then return redis.error_reply('BOARDS loading') end
if tonumber(s[3]) < tonumber(ARGV[3]) then return redis.error_reply('BOARDS behind') end
if not s[4] or ARGV[2] < s[4] then return redis.error_reply('BOARDS retired') end
local at = base .. s[1] .. ':' .. season .. ':'
local e, p, l, c = at .. 'e', at .. 'p', at .. 'l', at .. 'c'
local players = tonumber(s[5] or '0')
local levels = redis.call('ZCARD', l)
if redis.call('ZCARD', e) ~= players or redis.call('HLEN', p) ~= players or redis.call('HLEN', c) ~= levels
  or (players > 0) ~= (levels > 0) then
  redis.call('DEL', base .. 'state')
  return redis.error_reply('BOARDS lost')
end
local function told(from, to)
  local out = { s[3], tostring(players) }
  if to < from then return out end
  for _, member in ipairs(redis.call('ZRANGE', e, from, to)) do
    local player = string.sub(member, ${ACHIEVED_DIGITS + 2})
    local score = string.match(redis.call('HGET', p, player), '^([^:]*):')
    out[#out + 1] = member
    out[#out + 1] = score
    out[#out + 1] = redis.call('ZRANK', l, score)
  end
  return out
end
local function member_of(own, player)
  return string.match(own, ':(.*)$') .. ':' .. player
end
`;

const PAGE = `${PRELUDE}
local from = 0
if ARGV[5] ~= '' then
  -- The place of one that need not be there: put it there for a moment, which nobody sees.
  local rank = redis.call('ZRANK', e, ARGV[6])
  local has = rank and tonumber(redis.call('ZSCORE', e, ARGV[6])) == tonumber(ARGV[5])
  if has then from = rank + 1
  elseif rank then
    local score = redis.call('ZSCORE', e, ARGV[6])
    redis.call('ZADD', e, ARGV[5], ARGV[6])
    from = redis.call('ZRANK', e, ARGV[6])
    redis.call('ZADD', e, score, ARGV[6])
    if tonumber(score) < tonumber(ARGV[5]) then from = from + 1 end
  else
    redis.call('ZADD', e, ARGV[5], ARGV[6])
    from = redis.call('ZRANK', e, ARGV[6])
    redis.call('ZREM', e, ARGV[6])
  end
end
return told(from, from + tonumber(ARGV[4]) - 1)
`;

const AROUND = `${PRELUDE}
local own = redis.call('HGET', p, ARGV[4])
if not own then return false end
local place = redis.call('ZRANK', e, member_of(own, ARGV[4]))
return told(math.max(0, place - tonumber(ARGV[5])), place + tonumber(ARGV[6]))
`;

const OF = `${PRELUDE}
local out = { s[3], tostring(players) }
for i = 4, #ARGV do
  local own = redis.call('HGET', p, ARGV[i])
  if own then
    local score = string.match(own, '^([^:]*):')
    out[#out + 1] = member_of(own, ARGV[i])
    out[#out + 1] = score
    out[#out + 1] = redis.call('ZRANK', l, score)
  end
end
return out
`;

/** ARGV: from generation, from after, new epoch, generation, after, position, ready, then boards kept, then changes. */
const APPLY = `
local base = KEYS[1]
local state = base .. 'state'
local s = redis.call('HMGET', state, 'generation', 'after', 'epoch')
if (s[1] or '') ~= ARGV[1] or (s[2] or '') ~= ARGV[2] then return 0 end
local epoch = s[3] or ARGV[3]
local at = 9
for _ = 1, tonumber(ARGV[8]) do
  local board, first = ARGV[at], ARGV[at + 1]
  at = at + 2
  local known = redis.call('HGET', state, 'o:' .. board)
  if not known or known < first then
    redis.call('HSET', state, 'o:' .. board, first)
    if known then
      for _, field in ipairs(redis.call('HKEYS', state)) do
        local name, season = string.match(field, '^n:(.*)/(.*)$')
        if name == board and season < first then
          redis.call('HDEL', state, field)
          local old = base .. epoch .. ':' .. board .. '/' .. season .. ':'
          redis.call('UNLINK', old .. 'e', old .. 'p', old .. 'l', old .. 'c')
        end
      end
    end
  end
end
local function leave(keys, own, player)
  local score, achieved = string.match(own, '^([^:]*):(.*)$')
  redis.call('ZREM', keys .. 'e', achieved .. ':' .. player)
  redis.call('HDEL', keys .. 'p', player)
  if redis.call('HINCRBY', keys .. 'c', score, -1) <= 0 then
    redis.call('HDEL', keys .. 'c', score)
    redis.call('ZREM', keys .. 'l', score)
  end
end
while at <= #ARGV do
  local board, season, player, score, key, achieved = unpack(ARGV, at, at + 5)
  at = at + 6
  local first = redis.call('HGET', state, 'o:' .. board)
  if first and season >= first then
    local name = board .. '/' .. season
    local keys = base .. epoch .. ':' .. name .. ':'
    local own = redis.call('HGET', keys .. 'p', player)
    if own then leave(keys, own, player) end
    if score ~= '' then
      redis.call('ZADD', keys .. 'e', key, achieved .. ':' .. player)
      redis.call('HSET', keys .. 'p', player, score .. ':' .. achieved)
      if redis.call('HINCRBY', keys .. 'c', score, 1) == 1 then redis.call('ZADD', keys .. 'l', key, score) end
    end
    local change = (score ~= '' and 1 or 0) - (own and 1 or 0)
    if change ~= 0 then redis.call('HINCRBY', state, 'n:' .. name, change) end
  end
end
redis.call('HSET', state, 'epoch', epoch, 'generation', ARGV[4], 'after', ARGV[5], 'position', ARGV[6], 'ready', ARGV[7])
return 1
`;

const RESET = `
if redis.call('HGET', KEYS[1] .. 'state', 'generation') == ARGV[1] then redis.call('DEL', KEYS[1] .. 'state') end
return 1
`;

interface Scripts {
  boardsPage(base: string, ...values: string[]): Promise<string[]>;
  boardsAround(base: string, ...values: string[]): Promise<string[] | null>;
  boardsOf(base: string, ...values: string[]): Promise<string[]>;
  boardsApply(base: string, ...values: string[]): Promise<number>;
  boardsReset(base: string, ...values: string[]): Promise<number>;
}

export class RedisBoards implements BoardIndex {
  readonly guard: Guard;
  readonly #redis: Redis & Scripts;
  readonly #base: string;
  readonly #orderOf: RedisBoardsOptions['orderOf'];
  /** An index that is behind what this process has seen of it is not asked: it would take back what was shown. */
  #seen = 0;

  /** Resolves once it is connected, or Redis was found away: it goes on trying, and questions are refused meanwhile. */
  static async open(options: RedisBoardsOptions): Promise<RedisBoards> {
    const boards = new RedisBoards(options);
    await boards.#redis.connect().catch(() => undefined);
    return boards;
  }

  private constructor(options: RedisBoardsOptions) {
    this.#base = `${options.prefix ?? 'hypogeum:'}{boards}:`;
    this.#orderOf = options.orderOf;
    // The table answers instead.
    this.#redis = redisLink(options, {
      scripts: {
        boardsPage: { lua: PAGE, numberOfKeys: 1 },
        boardsAround: { lua: AROUND, numberOfKeys: 1 },
        boardsOf: { lua: OF, numberOfKeys: 1 },
        boardsApply: { lua: APPLY, numberOfKeys: 1 },
        boardsReset: { lua: RESET, numberOfKeys: 1 },
      },
    }) as Redis & Scripts;
    this.guard = redisGuard('redis', 1_000, options);
  }

  async page(key: SeasonKey, after: Entry | undefined, limit: number): Promise<BoardPage> {
    const reply = await this.#run(() =>
      this.#redis.boardsPage(
        ...this.#question(key),
        String(limit),
        ...(after === undefined ? ['', ''] : [sortKey(key.order, after.score), memberOf(after)]),
      ),
    );
    return { entries: entriesOf(reply), players: Number(reply[1]), position: Number(reply[0]) };
  }

  async around(key: SeasonKey, playerId: string, before: number, after: number) {
    const values = [playerId, String(before), String(after)];
    const reply = await this.#run(() => this.#redis.boardsAround(...this.#question(key), ...values));
    return reply === null ? undefined : entriesOf(reply);
  }

  async of(key: SeasonKey, playerIds: readonly string[]): Promise<readonly RankedEntry[]> {
    const reply = await this.#run(() => this.#redis.boardsOf(...this.#question(key), ...new Set(playerIds)));
    return entriesOf(reply).sort(
      (a, b) => a.rank - b.rank || a.achieved - b.achieved || (a.playerId < b.playerId ? -1 : 1),
    );
  }

  async mark(): Promise<FeedMark | undefined> {
    const fields = ['generation', 'after', 'position', 'ready'] as const;
    const [generation, after, position, ready] = await this.#run(() => this.#redis.hmget(this.#state, ...fields));
    if (generation == null || after == null) return undefined;
    return { generation, after, position: Number(position), isReady: ready === '1' };
  }

  async apply(
    from: FeedMark | undefined,
    changes: readonly BoardChange[],
    to: FeedMark,
    oldest: ReadonlyMap<string, string>,
  ): Promise<boolean> {
    const values = [from?.generation ?? '', from?.after ?? '', randomUUID(), to.generation, to.after];
    values.push(String(to.position), to.isReady ? '1' : '0', String(oldest.size), ...[...oldest].flat());
    for (const { boardId, seasonId, playerId, score, achieved } of changes) {
      const order = this.#orderOf(boardId);
      if (order === undefined) continue;
      const [text, key] = score === undefined ? ['', ''] : [String(score), sortKey(order, score)];
      values.push(boardId, seasonId, playerId, text, key, padded(achieved));
    }
    const isDone = (await this.#run(() => this.#redis.boardsApply(this.#base, ...values))) === 1;
    if (isDone && to.isReady) this.#seen = to.position;
    if (isDone && from === undefined) await this.#clearOldEpochs();
    return isDone;
  }

  async reset(generation: string): Promise<void> {
    await this.#run(() => this.#redis.boardsReset(this.#base, generation));
    this.#seen = 0;
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  get #state(): string {
    return `${this.#base}state`;
  }

  #question({ boardId, seasonId }: SeasonKey): [string, string, string, string] {
    return [this.#base, boardId, seasonId, String(this.#seen)];
  }

  /** What an index that was lost or reset has left behind. Nobody reads it, so it may take its time. */
  async #clearOldEpochs(): Promise<void> {
    const epoch = await this.#run(() => this.#redis.hget(this.#state, 'epoch'));
    let cursor = '0';
    do {
      const pattern = `${this.#base.replaceAll(/[[\]*?\\]/g, '\\$&')}*`;
      const [next, keys] = await this.#run(() => this.#redis.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT));
      const old = keys.filter((key) => key !== this.#state && !key.startsWith(`${this.#base}${epoch}:`));
      if (old.length > 0) await this.#run(() => this.#redis.unlink(...old));
      cursor = next;
    } while (cursor !== '0');
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.guard.run(work);
    } catch (error) {
      const reason = error instanceof ReplyError ? /BOARDS (\w+)/.exec((error as Error).message)?.[1] : undefined;
      if (reason === undefined) throw error;
      throw new GameError('STORE_UNAVAILABLE', { store: 'redis', reason }, error);
    }
  }
}

function padded(achieved: number): string {
  return String(achieved).padStart(ACHIEVED_DIGITS, '0');
}

function memberOf({ achieved, playerId }: Entry): string {
  return `${padded(achieved)}:${playerId}`;
}

function sortKey(order: SeasonKey['order'], score: number): string {
  return String(order === 'descending' ? 0 - score : score);
}

/** Replies are position, players, then member, score and 0-based dense rank of each entry. */
function entriesOf(reply: readonly (string | number)[]): RankedEntry[] {
  const entries: RankedEntry[] = [];
  for (let at = 2; at < reply.length; at += 3) {
    const member = String(reply[at]);
    entries.push({
      playerId: member.slice(ACHIEVED_DIGITS + 1),
      score: Number(reply[at + 1]),
      achieved: Number(member.slice(0, ACHIEVED_DIGITS)),
      rank: Number(reply[at + 2]) + 1,
    });
  }
  return entries;
}
