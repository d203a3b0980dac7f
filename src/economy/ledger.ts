/**
 * The ledger of one process: decides commands in memory and answers them when the log has them.
 *
 * A command is decided at once against what is and what was already asked of the log, and goes to the log with the place
 * in the stream that it counts on; thousands may be on their way. If another process wrote first, or the log did not
 * answer, everything on its way is taken back, what the log has is folded, and what is still undecided is decided again.
 * So any number of processes serve one economy without locks, a hot account costs no more than a cold one, opposite
 * transfers cannot deadlock, and no answer (nor a refusal, nor a balance) rests on something that is not durable.
 */
import { ECONOMY_STREAM } from '../events/economy-events.ts';
import type { NewEvent } from '../events/event.ts';
import { AppendChain, type Appended, type EventLog, LOG_LIMITS } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import { type Decide, expireTrades } from './decide.ts';
import type { LedgerReader } from './ledger-reader.ts';
import { LedgerState, type Undo } from './ledger-state.ts';
import { Recent } from './recent.ts';

/** Commands and questions under way. Above: OVERLOADED. */
const PENDING_MAX = 10_000;
/** Answers that a repeat of their key gets without asking the log. Older ones: the log is asked. */
const ANSWERS_KEPT_MAX = 10_000;
/** How often a command is decided again because others were first. Above: OVERLOADED. */
const TRIES_MAX = 200;
/** Looking for what other processes wrote, at most so often, ms. */
const REFRESH_EVERY_MS = 200;
const EXPIRE_EVERY_MS = 15_000;
/** Entries that may stand before the oldest open one; soon let go, as what lives long is costly to collect. */
const SETTLED_KEPT_MAX = 256;
/** A place in a stream at which nobody will ever append. */
const NEVER = Number.MAX_SAFE_INTEGER;

export interface LedgerOptions {
  readonly log: EventLog;
  /** Where the fold begins; without it, at the first event. */
  readonly reader?: Pick<LedgerReader, 'snapshot'>;
  /** Wall clock, ms. */
  readonly nowMs?: () => number;
  readonly pendingMax?: number;
  /** A fold that cannot go on: the economy stands still until it is mended. Once for each cause. */
  readonly onFault?: (error: unknown) => void;
}

export interface Command {
  /** Unique over the whole log; a repeat is answered with the first answer. */
  readonly key?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly decide: Decide;
}

export interface Outcome {
  /** What the command did; of a repeat, what the first one did. Empty when there was nothing to do. */
  readonly events: readonly NewEvent[];
  /** Place in the log of the last of them; 0 without any. */
  readonly position: number;
  readonly isRepeat: boolean;
}

/** A reading for metrics; `Total` members only grow. */
export interface LedgerReading {
  readonly pending: number;
  readonly appendedTotal: number;
  readonly refusedTotal: number;
  readonly repeatsTotal: number;
  /** Times that what was on its way had to be taken back. */
  readonly recoveriesTotal: number;
}

/** What hears of every event that is durable, in order. */
export type OnDurable = (event: NewEvent) => void;

const FLYING = 0;
const DURABLE = 1;
/** Nothing to append: a question, a refusal, or nothing to do. */
const QUIET = 2;
const REPEAT = 3;
const FAILED = 4;
const UNDECIDED = 5;

interface Entry {
  readonly command: Command | undefined;
  readonly question: ((state: LedgerState) => unknown) | undefined;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  status: number;
  events: readonly NewEvent[];
  undo: Undo | readonly Undo[] | undefined;
  appended: Appended | undefined;
  value: unknown;
  error: unknown;
  tries: number;
}

const NO_EVENTS: readonly NewEvent[] = [];

export class Ledger {
  readonly #log: EventLog;
  readonly #reader: Pick<LedgerReader, 'snapshot'> | undefined;
  readonly #nowMs: () => number;
  readonly #pendingMax: number;
  readonly #onFault: ((error: unknown) => void) | undefined;
  readonly #listeners = new Set<OnDurable>();
  readonly #inFlight = new Map<string, { readonly command: Command; readonly promise: Promise<Outcome> }>();
  readonly #answers = new Recent<string, { readonly fingerprint: string | undefined; readonly outcome: Outcome }>(
    ANSWERS_KEPT_MAX,
  );
  #state = new LedgerState();
  /** Length of the stream with all that is on its way, and without. */
  #seq = 0;
  #durableSeq = 0;
  /** Oldest first; those before `#first` are answered. */
  #entries: Entry[] = [];
  #first = 0;
  #flying = 0;
  /** What came while the state is being mended. */
  #waiting: Entry[] = [];
  /** Something on its way failed, so what came after it stands on nothing. */
  #isBroken = false;
  #isMending = false;
  /** Of everything on its way: nothing that follows a failure may succeed by chance. */
  #chain = new AppendChain();
  /** The state is not what the log says; mended before the next decision. */
  #isStale = false;
  #faultSeen: unknown;
  #unwatch: (() => void) | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #refreshedAtMs = 0;
  #isRefreshing = false;
  #appendedTotal = 0;
  #refusedTotal = 0;
  #repeatsTotal = 0;
  #recoveriesTotal = 0;

  private constructor(options: LedgerOptions) {
    this.#log = options.log;
    this.#reader = options.reader;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#pendingMax = options.pendingMax ?? PENDING_MAX;
    this.#onFault = options.onFault;
  }

  /**
   * Folds what the log has, and follows it from then on.
   * @throws GameError DATABASE_UNAVAILABLE; EVENT_CORRUPT, EVENT_UNKNOWN, EVENT_VERSION
   */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const ledger = new Ledger(options);
    await ledger.#load();
    ledger.#unwatch = options.log.watch(() => ledger.#refreshSoon());
    ledger.#expiry = setInterval(() => ledger.#expire(), EXPIRE_EVERY_MS);
    ledger.#expiry.unref();
    return ledger;
  }

  /** Ends following the log. What is on its way is still answered. */
  async close(): Promise<void> {
    this.#unwatch?.();
    clearInterval(this.#expiry);
    clearTimeout(this.#refreshTimer);
    await this.query(() => undefined).catch(() => undefined);
  }

  /**
   * Decides and appends. Resolves once that is durable; also for one that had nothing to do, or was done before.
   * @throws GameError what `decide` refuses with; OVERLOADED; KEY_REUSED; DATABASE_UNAVAILABLE: whether it happened is
   *   then unknown, and to repeat it with its key is safe
   */
  execute(command: Command): Promise<Outcome> {
    const { key, fingerprint } = command;
    if (key === undefined) return this.#submit<Outcome>(command, undefined);
    const known = this.#answers.get(key);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint) return Promise.reject(new GameError('KEY_REUSED'));
      this.#repeatsTotal++;
      return Promise.resolve(known.outcome);
    }
    const other = this.#inFlight.get(key);
    if (other !== undefined) {
      if (other.command.fingerprint !== fingerprint) return Promise.reject(new GameError('KEY_REUSED'));
      this.#repeatsTotal++;
      return other.promise.then((outcome) => ({ ...outcome, isRepeat: true }));
    }
    // Not in flight: asked again with its key, it may find room.
    if (this.#isFull) return this.#submit<Outcome>(command, undefined);
    const promise = this.#submit<Outcome>(command, undefined);
    this.#inFlight.set(key, { command, promise });
    return promise;
  }

  /** Asks the state, once everything is durable that was decided before. @throws GameError OVERLOADED, DATABASE_UNAVAILABLE */
  query<T>(question: (state: LedgerState) => T): Promise<T> {
    return this.#submit<T>(undefined, question);
  }

  /** Tells of every durable event from now on. Returns what ends it. */
  onDurable(listener: OnDurable): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get reading(): LedgerReading {
    return {
      pending: this.#pending,
      appendedTotal: this.#appendedTotal,
      refusedTotal: this.#refusedTotal,
      repeatsTotal: this.#repeatsTotal,
      recoveriesTotal: this.#recoveriesTotal,
    };
  }

  get #pending(): number {
    return this.#entries.length - this.#first + this.#waiting.length;
  }

  get #isFull(): boolean {
    return this.#pending >= this.#pendingMax;
  }

  #submit<T>(command: Command | undefined, question: ((state: LedgerState) => unknown) | undefined): Promise<T> {
    if (this.#isFull) {
      return Promise.reject(new GameError('OVERLOADED', { pendingMax: this.#pendingMax }));
    }
    return new Promise<T>((resolve, reject) => {
      const entry: Entry = {
        command,
        question,
        resolve: resolve as (value: never) => void,
        reject,
        status: UNDECIDED,
        events: NO_EVENTS,
        undo: undefined,
        appended: undefined,
        value: undefined,
        error: undefined,
        tries: 0,
      };
      const isSure = !(this.#isBroken || this.#isMending || this.#isStale);
      // What is on its way will prove that nobody else wrote; where nothing is, the log is asked before an answer.
      const isAlone = this.#entries.length === this.#first;
      if (isSure && !(isAlone && question !== undefined)) {
        this.#decide(entry);
        if (entry.status !== QUIET || !isAlone) return;
        this.#entries.length = this.#first;
      }
      this.#waiting.push(entry);
      if (!this.#isMending && this.#flying === 0) void this.#mend();
    });
  }

  /** Decides an entry, puts it behind all others and, if something happened, asks the log to hold it. */
  #decide(entry: Entry): void {
    const { command, question } = entry;
    entry.undo = undefined;
    entry.appended = undefined;
    entry.events = NO_EVENTS;
    entry.error = undefined;
    entry.status = QUIET;
    entry.tries++;
    this.#entries.push(entry);
    try {
      if (command === undefined) {
        entry.value = question!(this.#state);
        return;
      }
      if (entry.tries > TRIES_MAX) throw new GameError('OVERLOADED', { tries: TRIES_MAX });
      const events = command.decide(this.#state, this.#nowMs());
      if (events.length === 0) return;
      if (events.length > LOG_LIMITS.eventsPerAppendMax) throw new RangeError('a command did too much at once');
      entry.undo =
        events.length === 1 ? this.#state.apply(events[0]!) : events.map((event) => this.#state.apply(event));
      entry.events = events;
    } catch (error) {
      entry.error = error;
      return;
    }
    const { events } = entry;
    entry.status = FLYING;
    const expected = this.#seq;
    this.#seq += events.length;
    this.#flying++;
    const { key, fingerprint } = command!;
    let append: Promise<Appended>;
    try {
      append = this.#log.append({
        stream: ECONOMY_STREAM,
        expected,
        events,
        chain: this.#chain,
        ...(key === undefined ? {} : { key }),
        ...(fingerprint === undefined ? {} : { fingerprint }),
      });
    } catch (error) {
      append = Promise.reject(error);
    }
    append.then(
      (appended) => this.#onAppended(entry, appended),
      (error: unknown) => this.#onRefused(entry, error),
    );
  }

  #onAppended(entry: Entry, appended: Appended): void {
    this.#flying--;
    entry.appended = appended;
    if (appended.isRepeat) {
      // It had happened before, so nothing happened now, and what was decided after it stands on nothing.
      entry.status = REPEAT;
      this.#isBroken = true;
    } else {
      entry.status = DURABLE;
      this.#appendedTotal += entry.events.length;
    }
    this.#proceed();
  }

  #onRefused(entry: Entry, error: unknown): void {
    this.#flying--;
    entry.status = error instanceof GameError && error.code === 'LOG_CONFLICT' ? UNDECIDED : FAILED;
    entry.error = error;
    this.#isBroken = true;
    this.#proceed();
  }

  #proceed(): void {
    if (!this.#isBroken) this.#deliver();
    // Only when nothing is on its way any more the log can say what came of it.
    else if (this.#flying === 0 && !this.#isMending) void this.#mend();
  }

  /** Answers what is settled, oldest first, up to the first that is not. */
  #deliver(): void {
    const entries = this.#entries;
    let at = this.#first;
    for (; at < entries.length; at++) {
      const entry = entries[at]!;
      if (entry.status !== DURABLE && entry.status !== QUIET) break;
      if (entry.status === DURABLE) {
        this.#durableSeq += entry.events.length;
        this.#tell(entry.events);
      }
      this.#answer(entry);
    }
    this.#first = at;
    if (at === entries.length) {
      this.#entries = [];
      this.#first = 0;
    } else if (at >= SETTLED_KEPT_MAX && 2 * at >= entries.length) {
      entries.splice(0, at);
      this.#first = 0;
    }
  }

  #tell(events: readonly NewEvent[]): void {
    if (this.#listeners.size === 0) return;
    for (const event of events) for (const listener of this.#listeners) listener(event);
  }

  #answer(entry: Entry): void {
    const { command, appended } = entry;
    if (command === undefined) {
      if (entry.error === undefined) entry.resolve(entry.value as never);
      else entry.reject(entry.error);
      return;
    }
    if (entry.error !== undefined) {
      if (command.key !== undefined && entry.status === QUIET) void this.#answerRefusal(entry, command.key);
      else this.#settle(entry, undefined);
      return;
    }
    if (appended?.isRepeat === true) this.#repeatsTotal++;
    this.#settle(entry, {
      events: appended?.isRepeat === true ? appended.events : entry.events,
      position: appended?.position ?? 0,
      isRepeat: appended?.isRepeat ?? false,
    });
  }

  #settle(entry: Entry, outcome: Outcome | undefined): void {
    const { key, fingerprint } = entry.command!;
    if (key !== undefined) this.#inFlight.delete(key);
    if (outcome === undefined) {
      this.#refusedTotal++;
      entry.reject(entry.error);
      return;
    }
    if (key !== undefined && outcome.events.length > 0) {
      this.#answers.set(key, { fingerprint, outcome: outcome.isRepeat ? outcome : { ...outcome, isRepeat: true } });
    }
    entry.resolve(outcome as never);
  }

  /** What is refused now may be the repeat of what was done before: the money is spent because it was spent. */
  async #answerRefusal(entry: Entry, key: string): Promise<void> {
    try {
      const events = await this.#log.findKey(key);
      if (events.length > 0) {
        const { fingerprint } = entry.command!;
        // Appends nothing: the key is known. It is how the log compares what the key stood for.
        const appended = await this.#log.append({
          stream: ECONOMY_STREAM,
          expected: NEVER,
          events: events.map(({ type, version, payload }) => ({ type, version, payload })),
          key,
          ...(fingerprint === undefined ? {} : { fingerprint }),
        });
        this.#repeatsTotal++;
        this.#settle(entry, { events: appended.events, position: appended.position, isRepeat: true });
        return;
      }
    } catch (error) {
      entry.error = error;
    }
    this.#settle(entry, undefined);
  }

  /** Takes back what is not durable, folds what the log has, and decides again what is still open. */
  async #mend(): Promise<void> {
    this.#isMending = true;
    if (this.#isBroken) this.#recoveriesTotal++;
    try {
      const open = this.#takeBack();
      try {
        await this.#catchUp(open);
        this.#isStale = false;
        this.#faultSeen = undefined;
      } catch (error) {
        this.#isStale = true;
        this.#chain = new AppendChain();
        this.#fault(error);
        for (const entry of [...open, ...this.#waiting.splice(0)]) {
          if (entry.status === UNDECIDED || entry.status === QUIET) {
            entry.status = FAILED;
            entry.error = error;
          }
          this.#answer(entry);
        }
        return;
      }
      const undecided: Entry[] = [];
      for (const entry of open) {
        if (entry.status === UNDECIDED || entry.status === QUIET) undecided.push(entry);
        else this.#answer(entry);
      }
      undecided.push(...this.#waiting.splice(0));
      this.#isBroken = false;
      this.#chain = new AppendChain();
      for (const entry of undecided) this.#decide(entry);
    } finally {
      this.#isMending = false;
      this.#isBroken = false;
    }
    this.#deliver();
  }

  /** The state as it was when the last answer was given. @returns everything unanswered, oldest first */
  #takeBack(): Entry[] {
    const open = this.#entries.slice(this.#first);
    for (let i = open.length - 1; i >= 0; i--) {
      const { undo } = open[i]!;
      if (typeof undo === 'function') undo();
      else if (undo !== undefined) for (let j = undo.length - 1; j >= 0; j--) undo[j]!();
      open[i]!.undo = undefined;
    }
    this.#entries = [];
    this.#first = 0;
    this.#seq = this.#durableSeq;
    return open;
  }

  async #catchUp(open: readonly Entry[]): Promise<void> {
    for (const { error } of open) {
      // The log is shorter than what we have seen of it: it was restored to an earlier state.
      if (
        error instanceof GameError &&
        error.code === 'LOG_CONFLICT' &&
        Number(error.detail['length']) < this.#durableSeq
      ) {
        await this.#load(false);
        return;
      }
    }
    await this.#foldTail();
  }

  async #foldTail(): Promise<void> {
    for await (const event of this.#log.read(ECONOMY_STREAM, this.#durableSeq)) {
      this.#state.apply(event);
      this.#durableSeq = event.seq;
      this.#seq = event.seq;
      this.#tell([event]);
    }
  }

  async #load(isFromView = true): Promise<void> {
    this.#state = new LedgerState();
    this.#durableSeq = 0;
    const snapshot = isFromView ? await this.#reader?.snapshot() : undefined;
    if (snapshot !== undefined) {
      this.#state.load(snapshot);
      this.#durableSeq = snapshot.seq;
    }
    this.#seq = this.#durableSeq;
    await this.#foldTail();
  }

  #refreshSoon(): void {
    if (this.#refreshTimer !== undefined || this.#isRefreshing) return;
    const waitMs = Math.max(0, this.#refreshedAtMs + REFRESH_EVERY_MS - performance.now());
    this.#refreshTimer = setTimeout(() => {
      this.#refreshTimer = undefined;
      void this.#refresh();
    }, waitMs);
    this.#refreshTimer.unref();
  }

  /** Folds what other processes wrote. While we write, a conflict tells us of it instead. */
  async #refresh(): Promise<void> {
    this.#refreshedAtMs = performance.now();
    if (this.#pending > 0 || this.#isMending || this.#isStale) return;
    this.#isRefreshing = true;
    try {
      const after = this.#durableSeq;
      const events = this.#log.read(ECONOMY_STREAM, after)[Symbol.asyncIterator]();
      for (;;) {
        const { value: event, done } = await events.next();
        // What was decided meanwhile is at the same place in the stream and finds out by itself.
        if (done || this.#pending > 0 || this.#isMending || event.seq !== this.#durableSeq + 1) break;
        this.#state.apply(event);
        this.#durableSeq = event.seq;
        this.#seq = event.seq;
        this.#tell([event]);
      }
      await events.return?.();
    } catch (error) {
      this.#isStale = true;
      this.#fault(error);
    } finally {
      this.#isRefreshing = false;
    }
  }

  #expire(): void {
    const nowMs = this.#nowMs();
    const isDue = (state: LedgerState): boolean =>
      [...state.openTrades].some(({ expiresAtMs }) => expiresAtMs <= nowMs);
    this.query(isDue)
      .then((due) => (due ? this.execute({ decide: expireTrades(LOG_LIMITS.eventsPerAppendMax) }) : undefined))
      // Tried again in a while; whoever uses such a trade is refused by its time anyway.
      .catch(() => undefined);
  }

  #fault(error: unknown): void {
    const isOutage =
      error instanceof GameError && (error.code === 'DATABASE_UNAVAILABLE' || error.code === 'OVERLOADED');
    const name = error instanceof Error ? error.message : String(error);
    if (isOutage || this.#faultSeen === name) return;
    this.#faultSeen = name;
    this.#onFault?.(error);
  }
}
