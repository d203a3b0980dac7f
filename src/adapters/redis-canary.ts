/**
 * The canary of a cluster in Redis: a hash with state and revision, a set for each list of a cohort, and a channel on which
 * changes are told. A script makes each change one step.
 */
import { Redis } from 'ioredis';
import { type CanaryState, COHORT_PLAYERS_MAX, canaryState, NO_CANARY } from '../cluster/canary.ts';
import type { CanaryRecord, CanaryStore } from '../cluster/canary-desk.ts';
import { GameError } from '../kernel/errors.ts';
import { within } from '../kernel/time-limit.ts';

export interface RedisCanaryOptions {
  /** `redis://…` or `rediss://…` */
  readonly url: string;
  /** Before every key. Default `hypogeum:`. */
  readonly prefix?: string;
  /** One question or change, ms. Default 1,000. */
  readonly timeoutMs?: number;
}

const WRITE = `
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
if revision ~= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'by', ARGV[2], 'revision', revision + 1)
redis.call('PUBLISH', KEYS[2], revision + 1)
return 1
`;

const ADD = `
local new = 0
for at = 2, #ARGV do new = new + 1 - redis.call('SISMEMBER', KEYS[1], ARGV[at]) end
if redis.call('SCARD', KEYS[1]) + new > tonumber(ARGV[1]) then return -1 end
for at = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[at]) end
return new
`;

export class RedisCanary implements CanaryStore {
  readonly #client: Redis;
  readonly #subscriber: Redis;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #listeners = new Set<() => void>();

  constructor({ url, prefix = 'hypogeum:', timeoutMs = 1_000 }: RedisCanaryOptions) {
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
    this.#client = new Redis(url, { maxRetriesPerRequest: null });
    // A subscription waits for its connection however long that takes, and is made again on every other one.
    this.#subscriber = new Redis(url, { maxRetriesPerRequest: null });
    for (const client of [this.#client, this.#subscriber]) client.on('error', () => undefined);
    this.#subscriber.on('message', () => this.#tell());
    // What was told while the connection was lost was missed.
    this.#subscriber.on('ready', () => this.#tell());
    this.#subscriber.subscribe(this.#channel).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#client.disconnect();
    this.#subscriber.disconnect();
  }

  async read(): Promise<CanaryRecord> {
    const [state, revision, by] = await this.#run(() => this.#client.hmget(this.#key, 'state', 'revision', 'by'));
    const parsed = canaryState.safeParse(jsonOf(state));
    // A state that a newer program wrote, or somebody by hand: nothing is known that would be safer than none.
    return { state: parsed.success ? parsed.data : NO_CANARY, revision: Number(revision ?? 0), by: by ?? '' };
  }

  async write(state: CanaryState, by: string, revision: number): Promise<boolean> {
    const text = JSON.stringify(state);
    return (await this.#run(() => this.#client.eval(WRITE, 2, this.#key, this.#channel, text, by, revision))) === 1;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async isMember(cohort: string, playerId: string): Promise<boolean> {
    return (await this.#run(() => this.#client.sismember(this.#cohort(cohort), playerId))) === 1;
  }

  async members(cohort: string): Promise<readonly string[]> {
    return (await this.#run(() => this.#client.smembers(this.#cohort(cohort)))).sort();
  }

  async addMembers(cohort: string, playerIds: readonly string[]): Promise<number> {
    if (playerIds.length === 0) return 0;
    const ids = [...new Set(playerIds)];
    const added = await this.#run(() => this.#client.eval(ADD, 1, this.#cohort(cohort), COHORT_PLAYERS_MAX, ...ids));
    if (added === -1) throw new GameError('COHORT_FULL', { cohort, playersMax: COHORT_PLAYERS_MAX });
    return Number(added);
  }

  async removeMembers(cohort: string, playerIds: readonly string[]): Promise<number> {
    if (playerIds.length === 0) return 0;
    return this.#run(() => this.#client.srem(this.#cohort(cohort), ...playerIds));
  }

  get #key(): string {
    return `${this.#prefix}canary`;
  }

  get #channel(): string {
    return `${this.#prefix}canary-changed`;
  }

  #cohort(name: string): string {
    return `${this.#prefix}cohort:${name}`;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await within(work(), this.#timeoutMs);
    } catch (error) {
      throw new GameError('STORE_UNAVAILABLE', { store: 'redis' }, error);
    }
  }
}

function jsonOf(text: string | null | undefined): unknown {
  if (text === null || text === undefined) return NO_CANARY;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
