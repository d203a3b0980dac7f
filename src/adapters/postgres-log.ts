/**
 * The event log in PostgreSQL. Appends of many callers become one transaction: one batch is under way, those who come
 * meanwhile form the next, and each is answered when its batch is on disk. The server checks that streams and keys are
 * as this process thinks and stores everything in one call; when they are not it says so, and the batch is decided anew.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { EventCatalogue } from '../events/event.ts';
import type { Append, Appended, EventLog, ReadAllOptions, StoredEvent } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import { type Database, isDatabaseOutage, type Tx } from './database.ts';
import { type CheckedAppend, checkAppend, checkNoGap, type EventRow, eventOfRow, pageMaxOf } from './log-append.ts';
import { APPEND_SQL, BATCH_LIMITS, BatchEncoder, type Decision, decide, type LogFacts } from './log-batch.ts';

export interface PostgresLogOptions {
  readonly database: Database;
  readonly catalogue: EventCatalogue;
  /** Wall clock, ms since 1970. */
  readonly nowMs?: () => number;
  /** Appends that may wait, and their JSON altogether, UTF-16 units. Above: OVERLOADED. Default 20,000 and 64 Mi. */
  readonly queueMax?: number;
  readonly queueWeightMax?: number;
}

/** Readings since the start, for metrics. */
export interface LogTotals {
  readonly appends: number;
  readonly events: number;
  readonly batches: number;
  /** Batches whose picture of the log was not right, and that were decided anew. */
  readonly redecided: number;
}

interface Job extends CheckedAppend {
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

/** What the server did with a batch. */
interface Stored {
  readonly decision: Decision;
  /** Head of the log before the batch. */
  readonly head: number;
  readonly recordedAtMs: number;
}

type Query = (config: pg.QueryArrayConfig<unknown[]>) => Promise<pg.QueryArrayResult<unknown[]>>;

/** Attempts without holding the head of the log; then it is held while the batch is decided. */
const OPTIMISTIC_ATTEMPTS = 3;
const UNIQUE_VIOLATION = '23505';
/** Streams whose length is remembered, for appends that expect `any`. */
const LENGTHS_MAX = 50_000;
/** Watchers are called at least so often, ms; a lost LISTEN connection is replaced after as long. */
const POLL_MS = 1_000;
/** Positions that one statement looks through for a few types; bounds the time of it. */
const TYPES_WINDOW = 50_000;

const COLUMNS = 'position, stream, seq, type, version, payload, key, recorded_at_ms, checksum';
export class PostgresLog implements EventLog {
  readonly #database: Database;
  readonly #catalogue: EventCatalogue;
  readonly #nowMs: () => number;
  readonly #queueMax: number;
  readonly #queueWeightMax: number;
  /** Tells notifications of what own watchers were told already from all others. */
  readonly #origin: string = randomUUID();
  readonly #query: Query;
  /** The one of the last batch that was answered, for the next. */
  #encoder: BatchEncoder | undefined;
  #queue: Job[] = [];
  #queueWeight = 0;
  #pumping: Promise<void> | undefined;
  #isClosed = false;
  readonly #lengths = new Map<string, number>();
  readonly #totals = { appends: 0, events: 0, batches: 0, redecided: 0 };
  readonly #watchers = new Set<() => void>();
  #watching: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;

  constructor(options: PostgresLogOptions) {
    const { database, catalogue, nowMs = Date.now, queueMax = 20_000, queueWeightMax = 64 * 1024 * 1024 } = options;
    this.#database = database;
    this.#catalogue = catalogue;
    this.#nowMs = nowMs;
    this.#queueMax = queueMax;
    this.#queueWeightMax = queueWeightMax;
    this.#query = (config) => database.query(config as unknown as pg.QueryConfig) as never;
  }

  get totals(): LogTotals {
    return { ...this.#totals };
  }

  /** Appends that wait for their batch. */
  get queued(): number {
    return this.#queue.length;
  }

  append(append: Append): Promise<Appended> {
    const { chain } = append;
    return new Promise((resolve, reject) => {
      // Whatever throws here breaks the chain, too: what comes after it was built on it.
      const wasBroken = chain?.isBroken === true;
      if (chain !== undefined) chain.isBroken = true;
      const { append: checked, texts, checksums, weight } = checkAppend(append, this.#catalogue);
      if (this.#isClosed) throw new GameError('DATABASE_UNAVAILABLE', { store: 'log', outcome: 'none' });
      if (this.#queue.length >= this.#queueMax || this.#queueWeight + weight > this.#queueWeightMax) {
        throw new GameError('OVERLOADED', { store: 'log' });
      }
      if (chain !== undefined) chain.isBroken = wasBroken;
      this.#queueWeight += weight;
      this.#queue.push({ append: checked, texts, checksums, weight, resolve, reject });
      this.#pumping ??= this.#pump();
    });
  }

  /**
   * Appends inside of a transaction of the caller, so that rows of his own and events stand or fall together. What comes
   * back is true once he has committed. It holds the head of the log, on which every other append waits, until then: so
   * take every other lock first, call this last, and commit at once. After an error the transaction can go on (nothing
   * was appended), unless the error is the database's.
   * @throws as {@link append}
   */
  async appendWithin(tx: Tx, append: Append): Promise<Appended> {
    const checked = checkAppend(append, this.#catalogue);
    const query: Query = (config) => tx.query(config);
    // A refusal of its own holds the head from its first look on, so what it was told stays so.
    // What it finds is not remembered: it is true for others only once the caller commits.
    // Nobody is told before that either: the notification is of no origin, so that own watchers hear of the commit by it.
    const options = { lengths: new Map<string, number>(), origin: '' };
    const stored = await this.#store([checked], query, Number.POSITIVE_INFINITY, options);
    const verdict = stored.decision.verdicts[0]!;
    if (verdict.kind === 'refuse') throw verdict.error;
    if (verdict.kind === 'repeat') return repeated(await this.#keyed(query, append.key!));
    return appended(checked, verdict.index, verdict.length, stored);
  }

  findKey(key: string): Promise<readonly StoredEvent[]> {
    return this.#keyed(this.#query, key);
  }

  async *read(stream: string, after = 0): AsyncGenerator<StoredEvent> {
    const pageMax = pageMaxOf();
    for (let seq = after; ; ) {
      const page = await this.#rows(this.#query, {
        name: 'event-stream',
        text: `select ${COLUMNS} from events where stream = $1 and seq > $2 order by seq limit $3`,
        values: [stream, seq, pageMax],
      });
      for (const event of page) {
        if (event.seq !== seq + 1) throw new GameError('LOG_GAP', { stream, seq: seq + 1, found: event.seq });
        seq = event.seq;
        yield event;
      }
      if (page.length < pageMax) return;
    }
  }

  /** With `types`, looks through all events from `after` on, {@link TYPES_WINDOW} at a time: there is no index by type. */
  async *readAll(after: number, options: ReadAllOptions = {}): AsyncGenerator<readonly StoredEvent[]> {
    const pageMax = pageMaxOf(options.pageMax);
    const { types } = options;
    const head = await this.head();
    for (let at = after; at < head; ) {
      const until = types === undefined ? head : Math.min(head, at + TYPES_WINDOW);
      const page = await this.#rows(this.#query, {
        name: types === undefined ? 'event-all' : 'event-types',
        text: `select ${COLUMNS} from events where position > $1 and position <= $2
          ${types === undefined ? '' : 'and type = any($4::text[])'} order by position limit $3`,
        values: [at, until, pageMax, ...(types === undefined ? [] : [types])],
      });
      if (types === undefined) {
        checkNoGap(page, at);
        if (page.length === 0) throw new GameError('LOG_GAP', { position: at + 1 });
      }
      at = page.length === pageMax || types === undefined ? page.at(-1)!.position : until;
      if (page.length > 0) yield page;
    }
  }

  async head(): Promise<number> {
    const { rows } = await this.#query({
      name: 'event-head',
      text: 'select position from event_head',
      rowMode: 'array',
    });
    return rows[0]![0] as number;
  }

  watch(onAppended: () => void): () => void {
    const call = (): void => onAppended();
    this.#watchers.add(call);
    if (this.#watching === undefined) {
      const abort = new AbortController();
      this.#watching = { abort, done: this.#listen(abort.signal) };
    }
    return () => {
      this.#watchers.delete(call);
      if (this.#watchers.size > 0) return;
      this.#watching?.abort.abort();
      this.#watching = undefined;
    };
  }

  /** Takes no more appends, waits for those it has, and lets go of its connection. The database is the caller's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pumping;
    this.#watchers.clear();
    const watching = this.#watching;
    this.#watching = undefined;
    watching?.abort.abort();
    await watching?.done;
  }

  async #pump(): Promise<void> {
    // Everybody who appends in this turn of the event loop is in the first batch.
    await new Promise(setImmediate);
    let settle: (() => void) | undefined;
    let settling = 0;
    while (this.#queue.length > 0 || settle !== undefined) {
      const batch = this.#take(settling);
      const flight = batch.length === 0 ? undefined : this.#flush(batch);
      // The next batch is on its way before those of the last one are told, so that server and callers work at once.
      if (settle !== undefined) {
        await new Promise(setImmediate);
        settle();
        await new Promise(setImmediate);
      }
      settle = await flight;
      settling = batch.length;
    }
    this.#pumping = undefined;
  }

  /** The next batch: half of those who are busy with the log, so that the other half can work meanwhile. */
  #take(settling: number): Job[] {
    const queue = this.#queue;
    const wanted = Math.min(BATCH_LIMITS.appendsMax, Math.max(64, Math.ceil((queue.length + settling) / 2)));
    let count = 0;
    let events = 0;
    let weight = 0;
    while (count < queue.length && count < wanted) {
      const job = queue[count]!;
      events += job.texts.length;
      weight += job.weight;
      if (count > 0 && (events > BATCH_LIMITS.eventsMax || weight > BATCH_LIMITS.weightMax)) break;
      count++;
    }
    const batch = queue.slice(0, count);
    this.#queue = queue.slice(count);
    for (const job of batch) this.#queueWeight -= job.weight;
    return batch;
  }

  /** Stores a batch. @returns what tells its callers; never rejects */
  async #flush(batch: readonly Job[]): Promise<() => void> {
    try {
      const stored = await this.#storeBatch(batch);
      // Before the next batch is decided, which holds what was handed in before anybody is told.
      for (const [i, { append }] of batch.entries()) {
        if (append.chain !== undefined && stored.decision.verdicts[i]!.kind !== 'store') append.chain.isBroken = true;
      }
      return () => this.#answer(batch, stored);
    } catch (error) {
      this.#lengths.clear();
      // What the server refuses for what one of them holds must not fail the others; nothing was stored.
      if (batch.length > 1 && error instanceof pg.DatabaseError && !isDatabaseOutage(error)) {
        for (const job of batch) (await this.#flush([job]))();
        return () => undefined;
      }
      for (const { append } of batch) if (append.chain !== undefined) append.chain.isBroken = true;
      return () => {
        for (const job of batch) job.reject(error);
      };
    }
  }

  async #storeBatch(batch: readonly Job[]): Promise<Stored> {
    const optimistic = await this.#store(batch, this.#query, OPTIMISTIC_ATTEMPTS, { isTrusting: true }).catch(
      (error: unknown) => {
        if (error instanceof Contended) return undefined;
        throw error;
      },
    );
    if (optimistic !== undefined) return optimistic;
    return this.#database.transaction((tx) =>
      this.#store(batch, (config) => tx.query(config), Number.POSITIVE_INFINITY),
    );
  }

  /**
   * @param isTrusting leaves new keys, and streams whose length is known, to the unique indexes in the first attempt: they
   *   find every key that was used and every stream that somebody else made longer, and nothing makes streams shorter
   */
  async #store(
    batch: readonly CheckedAppend[],
    query: Query,
    attemptsMax: number,
    { isTrusting = false, lengths = this.#lengths, origin = this.#origin } = {},
  ): Promise<Stored> {
    const facts: LogFacts = { lengths, keys: new Map() };
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const isBold = isTrusting && attempt === 0;
      const decision = decide(batch, facts);
      // Refusals are told only of what was looked at.
      const isSure = isBold && decision.verdicts.every(({ kind }) => kind === 'store');
      const streams = [...decision.before.keys()].filter((stream) => !(isSure && lengths.has(stream)));
      const checks = { keys: isSure ? [] : decision.newKeys, streams };
      const encoder = this.#encoder ?? new BatchEncoder();
      this.#encoder = undefined;
      const values = encoder.encode(batch, decision, checks, this.#nowMs(), origin);
      const asked = query({ name: 'event-append', text: APPEND_SQL, values, rowMode: 'array' });
      const answered = await (isSure ? asked.catch(undefinedIfTaken) : asked);
      if (answered === undefined) {
        this.#totals.redecided++;
        continue;
      }
      // Only now nobody can want to send from its memory any more.
      if (encoder.isKeepable) this.#encoder = encoder;
      const answer = answered.rows[0]![0] as string;
      if (!answer.startsWith('{')) {
        const [head, recordedAtMs] = answer.split(' ');
        this.#remember(decision, batch.length, lengths);
        return { decision, head: Number(head), recordedAtMs: Number(recordedAtMs) };
      }
      this.#totals.redecided++;
      const found = JSON.parse(answer) as { lengths: number[] | null; keys: [string, string | null][] | null };
      for (const [i, stream] of streams.entries()) lengths.set(stream, found.lengths![i]!);
      for (const [key, fingerprint] of found.keys ?? []) facts.keys.set(key, fingerprint);
    }
    throw new Contended();
  }

  #remember({ after, count }: Decision, appends: number, lengths: Map<string, number>): void {
    this.#totals.batches++;
    this.#totals.appends += appends;
    this.#totals.events += count;
    if (lengths.size + after.size > LENGTHS_MAX) lengths.clear();
    for (const [stream, length] of after) lengths.set(stream, length);
  }

  #answer(batch: readonly Job[], stored: Stored): void {
    const { verdicts, count } = stored.decision;
    const answers: (Appended | undefined)[] = [];
    for (let i = 0; i < batch.length; i++) {
      const job = batch[i]!;
      const verdict = verdicts[i]!;
      if (verdict.kind === 'refuse') job.reject(verdict.error);
      else if (verdict.kind === 'store') {
        answers[i] = appended(job, verdict.index, verdict.length, stored);
        job.resolve(answers[i]!);
      } else if (verdict.first !== undefined) job.resolve({ ...answers[verdict.first]!, isRepeat: true });
      else this.#keyed(this.#query, job.append.key!).then(repeated).then(job.resolve, job.reject);
    }
    if (count > 0) this.#announce();
  }

  async #keyed(query: Query, key: string): Promise<StoredEvent[]> {
    return this.#rows(query, {
      name: 'event-key',
      text: `select ${COLUMNS} from events where key = $1 order by nth`,
      values: [key],
    });
  }

  async #rows(query: Query, config: pg.QueryConfig): Promise<StoredEvent[]> {
    const { rows } = await query({ ...config, rowMode: 'array' });
    return rows.map((row) => {
      const [position, stream, seq, type, version, payload, key, recordedAtMs, checksum] = row as [
        ...[number, string, number, string, number, string, string | null, number, number],
      ];
      const found: EventRow = { position, stream, seq, type, version, payload, key, recordedAtMs, checksum };
      return eventOfRow(found, this.#catalogue);
    });
  }

  #announce(): void {
    for (const onAppended of [...this.#watchers]) onAppended();
  }

  /** Listens to other processes until told to end; in between and besides, calls watchers every second. */
  async #listen(signal: AbortSignal): Promise<void> {
    const poll = setInterval(() => this.#announce(), POLL_MS).unref();
    while (!signal.aborted) {
      let client: pg.Client | undefined;
      try {
        client = await this.#database.connect('event watch');
        await this.#hear(client, signal);
      } catch {
        // The poll goes on meanwhile, and whoever reads finds out why.
      } finally {
        await client?.end().catch(() => undefined);
      }
      await delay(POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
    clearInterval(poll);
  }

  /** Resolves when the connection is lost or `signal` aborts. */
  #hear(client: pg.Client, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      client.on('notification', ({ payload }) => {
        if (payload !== this.#origin) this.#announce();
      });
      client.on('error', () => resolve());
      client.on('end', () => resolve());
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
      else client.query('listen event_log').then(() => this.#announce(), reject);
    });
  }
}

/** The log was not as thought, again and again: others append to the same streams. */
class Contended extends Error {}

/** @throws the error, unless it says that a key or a place in a stream is taken */
function undefinedIfTaken(error: unknown): undefined {
  if (error instanceof pg.DatabaseError && error.code === UNIQUE_VIOLATION) return undefined;
  throw error;
}

function appended({ append, texts }: CheckedAppend, index: number, length: number, stored: Stored): Appended {
  const { stream, key } = append;
  const { head, recordedAtMs } = stored;
  const events = append.events.map(({ type, version, payload }, j): StoredEvent => {
    const position = head + index + j + 1;
    return { position, stream, seq: length + j + 1, type, version, payload, key, recordedAtMs };
  });
  return { length: length + texts.length, position: head + index + texts.length, isRepeat: false, events };
}

function repeated(events: readonly StoredEvent[]): Appended {
  const last = events.at(-1)!;
  return { length: last.seq, position: last.position, isRepeat: true, events };
}
