/** Ledgers for tests: several of them on one log, as several processes would have. */
import { randomBytes } from 'node:crypto';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { auditEconomy } from '../../src/economy/audit.ts';
import { grant } from '../../src/economy/decide.ts';
import { Ledger } from '../../src/economy/ledger.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import type { Append, Appended, EventLog } from '../../src/events/event-log.ts';
import { GameError } from '../../src/kernel/errors.ts';

export const memoryLog = (): MemoryLog => new MemoryLog({ catalogue: EVENTS });

export const newId = (prefix: string): string => `${prefix}-${randomBytes(16).toString('base64url')}`;

export const SETUP = { reason: 'setup', cause: 'test' };

/** Gives a player what a test begins with. */
export async function give(
  ledger: Ledger,
  playerId: string,
  amounts: Readonly<Record<string, number>>,
  items: readonly (readonly [string, string])[] = [],
): Promise<void> {
  await ledger.execute({ decide: grant(playerId, Object.entries(amounts), items, SETUP) });
}

/** @returns what is wrong with the ledger, by the log alone */
export async function faultsOf(log: EventLog): Promise<readonly string[]> {
  return (await auditEconomy(log)).faults;
}

export async function withLedgers<T>(
  log: EventLog,
  count: number,
  work: (ledgers: readonly Ledger[]) => Promise<T>,
): Promise<T> {
  const ledgers = await Promise.all(Array.from({ length: count }, () => Ledger.open({ log })));
  try {
    return await work(ledgers);
  } finally {
    await Promise.all(ledgers.map((ledger) => ledger.close()));
  }
}

/** The code a promise is refused with, or `fine`. */
export async function codeOf(promise: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof promise === 'function' ? promise() : promise);
    return 'fine';
  } catch (error) {
    if (error instanceof GameError) return error.code;
    throw error;
  }
}

/** What breaks between a ledger and its log. */
export class BreakableLog implements EventLog {
  readonly inner: EventLog;
  /** Of each append from now on: done or not before the connection breaks; undefined: nothing breaks. */
  breaks: ('before' | 'after')[] = [];
  isDown = false;

  constructor(inner: EventLog) {
    this.inner = inner;
  }

  async append(append: Append): Promise<Appended> {
    if (this.isDown || append.chain?.isBroken) {
      if (append.chain !== undefined) append.chain.isBroken = true;
      throw new GameError(this.isDown ? 'DATABASE_UNAVAILABLE' : 'LOG_CONFLICT', { length: 0 });
    }
    const broken = this.breaks.shift();
    if (broken === undefined) return this.inner.append(append);
    const chain = append.chain;
    if (broken === 'after') await this.inner.append(append);
    if (chain !== undefined) chain.isBroken = true;
    throw new GameError('DATABASE_UNAVAILABLE');
  }

  findKey: EventLog['findKey'] = (key) => this.#up(() => this.inner.findKey(key));
  head: EventLog['head'] = () => this.#up(() => this.inner.head());
  readAll: EventLog['readAll'] = (after, options) => this.inner.readAll(after, options);
  watch: EventLog['watch'] = (onAppended) => this.inner.watch(onAppended);

  async *read(stream: string, after?: number) {
    if (this.isDown) throw new GameError('DATABASE_UNAVAILABLE');
    yield* this.inner.read(stream, after);
  }

  #up<T>(work: () => Promise<T>): Promise<T> {
    return this.isDown ? Promise.reject(new GameError('DATABASE_UNAVAILABLE')) : work();
  }
}
