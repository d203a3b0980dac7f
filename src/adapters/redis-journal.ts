/**
 * The journal in Redis, shared by all processes: one stream a match is log, lock and fence.
 *
 * Ids of stream entries are `<epoch>-<n>`, and Redis refuses one that is not above the newest: a claim is an entry of a
 * larger epoch, set by compare-and-set, and from then on nothing of a smaller epoch gets in. Each entry is a batch of
 * records (journal-batch.ts). All matches of the process go in one pipeline, at most {@link FLUSH_EVERY_MS} after the
 * tick, one pipeline at a time; what comes in meanwhile is the next one's.
 *
 * A snapshot is an entry of its own, under another name; with it the one goes that two newer ones have replaced. So who
 * takes a match over finds the newest two near the end, and reads no more than what follows them.
 *
 * While Redis is away or refuses, batches are kept as they were and sent again: unlike with a disk, waiting loses
 * nothing. A batch that was applied although its answer was lost is found by its id. A match whose records wait for too
 * long, or are too many, fails.
 *
 * A Redis that comes back without a match, or with a part of it (restarted empty, flushed, a replica that took over), is
 * noticed by the next batch: a stream is never made by one, and its length is counted. The match is then written anew
 * from this process's own copy, unless somebody has claimed it meanwhile. Every match is in the sorted set
 * `<prefix>journal` and under `<prefix>journal:<match id>`; a removed one leaves an empty stream there for a while that
 * takes no writer.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis, ReplyError } from 'ioredis';
import { GameError } from '../kernel/errors.ts';
import { MATCH_ID, type MatchHeader } from '../kernel/match-header.ts';
import { within } from '../kernel/time-limit.ts';
import {
  claimRecord,
  type JournalLag,
  type JournalSummary,
  type JournalWriter,
  type MatchJournal,
  openRecord,
  parseOpenRecord,
  RECORD,
  RECORD_MAX_BYTES,
  type RecordedMatch,
  type RecordedTail,
  RecordFold,
  type RecordKind,
  RecordWriter,
  SNAPSHOTS_KEPT,
} from '../match/journal.ts';
import type { JournalTotals } from '../match/journal-totals.ts';
import {
  type Batch,
  type BatchPlace,
  decodeBatch,
  encodeBatch,
  MatchCopy,
  type Part,
  RecordArea,
  WaitingParts,
} from './journal-batch.ts';
import { isRedisOutage } from './redis-link.ts';

/** With the way to Redis and back, a record is durable within 50 ms. */
const FLUSH_EVERY_MS = 40;
/** Beats of an idle process, and how often what has waited too long is looked for. */
const BEAT_MS = 200;
/** A connection on which an answer is due for longer is given up; a paused Redis is waited for on a new one. */
const SILENCE_MS = 3_000;
const RETRY_MS_MAX = 500;
/** Longest that records wait for Redis before their match goes on unrecorded; the bounds below may come first. */
const PATIENCE_MS = 300_000;
/** Longest that opening, reading, removing or closing waits for Redis. */
const ANSWER_MS = 2_000;
/** Longest that a match which is let go of waits: past a pause of ten seconds, and within a drain of 20. */
const CLOSE_MS = 15_000;
/** Five minutes of 100 busy matches. */
const BUFFER_MAX_BYTES = 64 * 2 ** 20;
const MATCH_BUFFER_MAX_BYTES = 2 * RECORD_MAX_BYTES;
/** Ten minutes of ten players take 1.5 MB. A match whose copy would pass a bound is not written anew after a loss. */
const COPY_MAX_BYTES = 256 * 2 ** 20;
const MATCH_COPY_MAX_BYTES = 16 * 2 ** 20;
/** One pipeline; the rest follows in the next. */
const SEND_MAX_BYTES = 8 * 2 ** 20;
/** A match that nobody writes any more, over a weekend. An ended one stays until it is settled. */
const KEEP_MS = 72 * 3_600_000;
const RENEW_EVERY_MS = 600_000;
/** For how long a removed match refuses who still writes it; longer than any pause of a process. */
const REMOVED_MS = 3_600_000;
/** A match is in the index a moment before its stream is made. */
const INDEX_GRACE_MS = 60_000;
/** Stream entries of one answer, two minutes of a match: some milliseconds in which Redis does nothing else. */
const PAGE = 4_000;
/** A match of ten minutes of which every tick is an entry is copied in a second, by a twentieth of a core. */
const INHERIT_ROWS = 500;
const INHERIT_PAUSE_MS = 25;
const INHERIT_RETRY_MS = 1_000;
const REMOVED_ID = '18446744073709551615-1';

/** How far back snapshots are looked for, stream entries; two minutes, where four seconds should do. */
const LOOK_ROWS = 250;
const LOOK_PAGES = PAGE / LOOK_ROWS;
/** The newest snapshots of a stream, the older first. */
const SNAPSHOTS = `
local function snapshots()
  local found, from = {}, '+'
  for _ = 1, ${LOOK_PAGES} do
    local rows = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', ${LOOK_ROWS})
    for _, row in ipairs(rows) do
      if row[2][1] == 's' then table.insert(found, 1, row[1]) end
      if #found == ${SNAPSHOTS_KEPT} then return found end
    end
    if #rows < ${LOOK_ROWS} then return found end
    from = '(' .. rows[#rows][1]
  end
  return found
end
`;

const LOOK = `${SNAPSHOTS}
return { redis.call('XLEN', KEYS[1]), snapshots() }
`;

/** The first entry, and all from the older of the newest snapshots on. */
const TAIL = `${SNAPSHOTS}
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local from = snapshots()[1]
if not first[1] or not from then return { first, {} } end
return { first, redis.call('XRANGE', KEYS[1], from, '+') }
`;

/** Adds a snapshot and deletes those that it replaces. ARGV: id, batch, ids to delete. */
const TURN_OVER = `
local id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', ARGV[1], 's', ARGV[2])
if id and #ARGV > 2 then redis.call('XDEL', KEYS[1], unpack(ARGV, 3)) end
return id
`;

/** The stream must end with the entry that was seen (none: not exist). */
const CLAIM = `${SNAPSHOTS}
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if (top[1] and top[1][1] or '') ~= ARGV[1] then return 0 end
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) end
redis.call('XADD', KEYS[1], ARGV[2], 'b', ARGV[3], 'w', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return { redis.call('XLEN', KEYS[1]), snapshots() }
`;

/** All of a match or nothing; not over a newer owner, a removal, or what was sent later. ARGV: epoch, n, ms, entries. */
const REWRITE = `
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if top[1] then
  local epoch, n = string.match(top[1][1], '^(%d+)-(%d+)$')
  if tonumber(epoch) > tonumber(ARGV[1]) then return epoch end
  if tonumber(epoch) == tonumber(ARGV[1]) and tonumber(n) >= tonumber(ARGV[2]) then return 'late' end
elseif redis.call('EXISTS', KEYS[1]) == 1 then return 'removed' end
redis.call('DEL', KEYS[1])
for i = 4, #ARGV, 3 do redis.call('XADD', KEYS[1], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'done'
`;

const REMOVE = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('XADD', KEYS[1], '${REMOVED_ID}', 'b', '')
redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`;

export interface RedisJournalOptions {
  /** `redis://…` or `rediss://…` */
  readonly url: string;
  readonly totals: JournalTotals;
  /** Before every key. Default `hypogeum:`. */
  readonly prefix?: string;
  /** 1 to 1,000, default 40. */
  readonly flushEveryMs?: number;
  /** How long records wait for a Redis that is away or refuses; default five minutes. */
  readonly patienceMs?: number;
  /** How long `open`, `load`, `list` and `remove` wait for Redis; default 2,000. */
  readonly answerMs?: number;
  /** How long closing a writer waits for what it has appended; then that is given up, visibly. Default 15,000. */
  readonly closeMs?: number;
  /** A connection on which an answer is due for longer is given up, ms; default 3,000. */
  readonly silenceMs?: number;
  /** What may wait over all matches (default 64 MiB) and of one (8 MiB); the match whose record passes it fails. */
  readonly bufferMaxBytes?: number;
  readonly matchBufferMaxBytes?: number;
  /** What is kept to write a match anew, over all (256 MiB) and of one (16 MiB); above, that match could not be. */
  readonly copyMaxBytes?: number;
  readonly matchCopyMaxBytes?: number;
  /** Once when Redis goes away or begins to refuse. */
  readonly onDegraded?: (error: Error) => void;
  readonly onRecovered?: () => void;
  /** Redis had lost a match, or a part of it, and it was written anew. */
  readonly onRewritten?: (matchId: string) => void;
}

/** A batch on its way; sent again as it is, for it may have been applied. */
interface Flight {
  readonly n: number;
  readonly batch: Buffer;
  readonly part: Part;
  readonly isEnd: boolean;
  /** The snapshots that the stream has then, the older first, and those that go. */
  readonly snapshots: readonly string[];
  readonly replaced: readonly string[];
}

interface Waiter {
  readonly upTo: number;
  readonly settle: (failure?: GameError) => void;
}

/** What this process knows of a match it writes. */
class MatchLog {
  readonly matchId: string;
  readonly key: string;
  readonly epoch: number;
  readonly writer: RedisWriter;
  readonly pending = new WaitingParts();
  readonly waiters: Waiter[] = [];
  copy: MatchCopy | undefined = new MatchCopy();
  flight: Flight | undefined;
  isWritingAnew = false;
  isEndPending = false;
  /** Records appended by this writer, and those of them that are durable. */
  appended = 0;
  acked = 0;
  /** Entries of the match, appended ones included. */
  ticks = 0;
  /** Where the next batch stands, and the stream as it should be: entries, last n of this epoch. */
  place: BatchPlace = { seq: 0, ticks: 0, bytes: 0 };
  length = 0;
  n = 0;
  /** Ids of the snapshots in it, the older first. */
  snapshots: readonly string[] = [];
  renewAtMs = 0;
  waitingSinceMs: number | undefined;
  /** Records that former owners have left, without snapshots; 0 once the copy has them. */
  inherited = 0;

  constructor(journal: RedisJournal, matchId: string, key: string, epoch: number) {
    this.matchId = matchId;
    this.key = key;
    this.epoch = epoch;
    this.writer = new RedisWriter(journal, this);
  }

  get waitingBytes(): number {
    return this.pending.bytes + (this.flight?.part.area.length ?? 0);
  }
}

class RedisWriter extends RecordWriter {
  readonly matchId: string;
  readonly epoch: number;
  readonly #journal: RedisJournal;
  readonly #log: MatchLog;
  #failure: GameError | undefined;

  constructor(journal: RedisJournal, log: MatchLog) {
    super();
    this.#journal = journal;
    this.#log = log;
    this.matchId = log.matchId;
    this.epoch = log.epoch;
  }

  get failure(): GameError | undefined {
    return this.#failure;
  }

  get lag(): JournalLag {
    if (this.#failure !== undefined) return { records: 0, bytes: 0 };
    return { records: this.#log.appended - this.#log.acked, bytes: this.#log.waitingBytes };
  }

  fail(failure: GameError): void {
    this.#failure ??= failure;
  }

  protected append(kind: RecordKind, payload: Uint8Array): void {
    if (this.#failure === undefined) this.#journal.append(this.#log, kind, payload);
  }

  protected release(): void {
    this.#journal.release(this.#log);
  }

  flush(): Promise<void> {
    return this.#journal.flush(this.#log);
  }

  override async close(): Promise<void> {
    const patience = this.#journal.giveUpLater(this.#log);
    await super.close();
    clearTimeout(patience);
  }
}

export class RedisJournal implements MatchJournal {
  readonly #options: RedisJournalOptions;
  readonly #redis: Redis;
  readonly #totals: JournalTotals;
  readonly #index: string;
  readonly #flushEveryMs: number;
  readonly #patienceMs: number;
  readonly #answerMs: number;
  readonly #silenceMs: number;
  readonly #bufferMaxBytes: number;
  readonly #matchBufferMaxBytes: number;
  readonly #copyMaxBytes: number;
  readonly #matchCopyMaxBytes: number;
  readonly #logs = new Map<string, MatchLog>();
  readonly #dirty = new Set<MatchLog>();
  readonly #lost = new Set<MatchLog>();
  /** Matches whose copy lacks what former owners have left. */
  readonly #heirs = new Set<MatchLog>();
  readonly #beat: NodeJS.Timeout;
  #bufferedBytes = 0;
  #copiedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = 0;
  #isSending = false;
  #isSendingAgain = false;
  #isRewriting = false;
  #isInheriting = false;
  #isDegraded = false;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #contactAtMs = Number.NEGATIVE_INFINITY;
  /** When what is under way was sent, by what it is. */
  readonly #askedAtMs = new Map<'batches' | 'beat' | 'rewrite', number>();

  /** Resolves once it is connected, or Redis was found away: it goes on trying. */
  static async open(options: RedisJournalOptions): Promise<RedisJournal> {
    const journal = new RedisJournal(options);
    await journal.#redis.connect().catch(() => undefined);
    await journal.#sendBeat();
    return journal;
  }

  private constructor(options: RedisJournalOptions) {
    this.#options = options;
    this.#totals = options.totals;
    this.#index = `${options.prefix ?? 'hypogeum:'}journal`;
    this.#flushEveryMs = options.flushEveryMs ?? FLUSH_EVERY_MS;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#answerMs = options.answerMs ?? ANSWER_MS;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#bufferMaxBytes = options.bufferMaxBytes ?? BUFFER_MAX_BYTES;
    this.#matchBufferMaxBytes = options.matchBufferMaxBytes ?? MATCH_BUFFER_MAX_BYTES;
    this.#copyMaxBytes = options.copyMaxBytes ?? COPY_MAX_BYTES;
    this.#matchCopyMaxBytes = options.matchCopyMaxBytes ?? MATCH_COPY_MAX_BYTES;
    this.#redis = new Redis(options.url, {
      lazyConnect: true,
      connectionName: 'hypogeum-journal',
      connectTimeout: this.#answerMs,
      disconnectTimeout: 200,
      // What was under way when a connection was lost is sent again from here, where it is known what it was.
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // Without its check the client takes a connection that was closed before it was usable for a good one, and never
      // connects again.
      enableReadyCheck: true,
      retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 6), RETRY_MS_MAX),
    });
    this.#redis.on('error', () => undefined);
    this.#redis.on('ready', () => this.#sendNow());
    this.#redis.on('close', () => {
      if (!this.#isClosed) this.#degrade(new Error('the connection to Redis is lost'));
    });
    this.#beat = setInterval(() => void this.#onBeat(), Math.min(BEAT_MS, this.#patienceMs, this.#silenceMs / 2));
    this.#beat.unref();
  }

  get contactAtMs(): number {
    return this.#contactAtMs;
  }

  async open(header: MatchHeader, epoch: number): Promise<JournalWriter> {
    const { matchId } = header;
    if (!MATCH_ID.test(matchId)) throw new RangeError('matchId is not 1 to 64 letters, digits, _ or -');
    if (this.#isClosed) throw new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'closed' });
    const former = this.#logs.get(matchId);
    if (former !== undefined && epoch <= former.epoch)
      throw new GameError('JOURNAL_FENCED', { matchId, epoch, seen: former.epoch });
    // What the former owner had handed over is the successor's to go on from.
    if (former !== undefined) await within(this.flush(former), this.#answerMs).catch(() => undefined);
    const log = new MatchLog(this, matchId, this.#keyOf(matchId), epoch);
    try {
      await this.#claim(log, header);
    } catch (error) {
      if (error instanceof GameError && error.code === 'JOURNAL_UNAVAILABLE') this.#totals.failures++;
      throw error;
    }
    const other = this.#logs.get(matchId);
    if (other !== undefined && other.epoch > epoch)
      throw new GameError('JOURNAL_FENCED', { matchId, epoch, seen: other.epoch });
    if (other !== undefined) this.#fence(other, epoch);
    if (this.#isClosed) throw new GameError('JOURNAL_UNAVAILABLE', { matchId, reason: 'closed' });
    this.#logs.set(matchId, log);
    if (log.inherited > 0) {
      this.#heirs.add(log);
      void this.#inheritAll();
    }
    this.#noteUnkept();
    return log.writer;
  }

  load(matchId: string): Promise<RecordedMatch | undefined> {
    return this.#read(matchId).catch((error: unknown) => {
      if (!isCorrupt(error)) throw error;
      // It may have been written anew between two pages.
      return this.#read(matchId);
    });
  }

  async loadTail(matchId: string): Promise<RecordedTail | undefined> {
    const [[first], rows] = (await this.#ask(matchId, () =>
      this.#redis.callBuffer('EVAL', TAIL, '1', this.#keyOf(matchId)),
    )) as [Row[], Row[]];
    const [oldest] = rows;
    if (first === undefined || oldest === undefined) return this.load(matchId);
    const batches = [first, ...rows].map((row) => this.#batchOf(matchId, row));
    const open = batches.shift()!.records[0]!;
    const fold = new RecordFold(matchId);
    const { header } = read(matchId, () => parseOpenRecord(open.payload));
    fold.begin(header, idOf(oldest).epoch, batches[0]!.ticks);
    foldBatches(fold, matchId, batches, batches[0]!.seq);
    return fold.tail(false);
  }

  async list(): Promise<JournalSummary[]> {
    const rows = await this.#ask('', () => this.#redis.zrange(this.#index, 0, -1, 'WITHSCORES'));
    const summaries: JournalSummary[] = [];
    for (let at = 0; at < rows.length; at += 2 * PAGE) {
      const page = rows.slice(at, at + 2 * PAGE);
      const matchIds = page.filter((_, i) => i % 2 === 0);
      const replies = await this.#ask('', async () => {
        const pipeline = this.#redis.pipeline();
        for (const matchId of matchIds) {
          const key = this.#keyOf(matchId);
          pipeline.exists(key).xrangeBuffer(key, '-', '+', 'COUNT', 1).xrevrangeBuffer(key, '+', '-', 'COUNT', 1);
        }
        return repliesOf((await pipeline.exec()) ?? []);
      });
      for (const [i, matchId] of matchIds.entries()) {
        const [exists, [first], [last]] = replies.slice(3 * i, 3 * i + 3) as [number, Row[], Row[]];
        if (first !== undefined && last !== undefined) summaries.push(this.#summaryOf(matchId, first, last));
        else if (exists === 0) this.#forgetIndex(matchId, Number(page[2 * i + 1]));
      }
    }
    return summaries;
  }

  async remove(matchId: string): Promise<void> {
    const log = this.#logs.get(matchId);
    if (log !== undefined) this.#drop(log, new GameError('JOURNAL_FENCED', { matchId, reason: 'removed' }));
    await this.#ask(matchId, () => this.#redis.eval(REMOVE, 1, this.#keyOf(matchId), REMOVED_MS));
    await this.#ask(matchId, () => this.#redis.zrem(this.#index, matchId));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const flushed = Promise.allSettled([...this.#logs.values()].map((log) => this.flush(log)));
    await within(flushed, this.#answerMs).catch(() => undefined);
    this.#isClosed = true;
    clearInterval(this.#beat);
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    for (const log of [...this.#logs.values()]) {
      this.#drop(log, new GameError('JOURNAL_UNAVAILABLE', { matchId: log.matchId, reason: 'closed' }));
    }
    this.#redis.disconnect();
  }

  // What writers call --------------------------------------------------------------------------------------------

  /** Never throws. */
  append(log: MatchLog, kind: RecordKind, payload: Uint8Array): void {
    const { pending } = log;
    let refusal: string | undefined;
    if (payload.length > RECORD_MAX_BYTES + 32) refusal = 'a record is too large';
    else if (log.waitingBytes + payload.length > this.#matchBufferMaxBytes) refusal = 'Redis does not keep up';
    else if (this.#bufferedBytes + payload.length > this.#bufferMaxBytes) refusal = 'Redis does not keep up';
    if (refusal !== undefined) {
      this.#fail(log, refusal);
      return;
    }
    const before = pending.bytes;
    pending.append(kind, payload, { ticks: log.ticks, upTo: log.appended });
    this.#buffered(pending.bytes - before);
    this.#copy(log, kind, payload);
    log.appended++;
    if (kind === RECORD.ENTRY) log.ticks++;
    else if (kind === RECORD.END) log.isEndPending = true;
    log.waitingSinceMs ??= performance.now();
    this.#totals.oldestPendingAtMs ??= log.waitingSinceMs;
    this.#dirty.add(log);
    this.#timer ??= setTimeout(() => this.#sendNow(), this.#flushEveryMs);
  }

  flush(log: MatchLog): Promise<void> {
    const { failure } = log.writer;
    if (failure !== undefined) return Promise.reject(failure);
    if (log.acked >= log.appended) return Promise.resolve();
    const settled = new Promise<void>((resolve, reject) => {
      log.waiters.push({ upTo: log.appended, settle: (error) => (error === undefined ? resolve() : reject(error)) });
    });
    this.#sendNow();
    return settled;
  }

  giveUpLater(log: MatchLog): NodeJS.Timeout {
    return setTimeout(() => {
      if (log.writer.failure === undefined && log.acked < log.appended) this.#fail(log, 'Redis was away at its end');
    }, this.#options.closeMs ?? CLOSE_MS);
  }

  release(log: MatchLog): void {
    if (this.#logs.get(log.matchId) !== log) return;
    this.#logs.delete(log.matchId);
    this.#letGo(log);
  }

  // Sending ------------------------------------------------------------------------------------------------------

  #sendNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isSending) this.#isSendingAgain = true;
    else if (this.#retry === undefined && this.#redis.status === 'ready') void this.#send();
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    // Other rooms whose tick is due in this turn go along.
    await undefined;
    let isOrdered = true;
    while (isOrdered) {
      this.#isSendingAgain = false;
      const logs = this.#gather();
      if (logs.length === 0) break;
      const isAnswered = await this.#sendBatches(logs);
      if (!isAnswered) break;
      isOrdered = this.#isSendingAgain;
    }
    this.#isSending = false;
    if (this.#dirty.size > 0) this.#timer ??= setTimeout(() => this.#sendNow(), this.#flushEveryMs);
    if (this.#lost.size > 0) void this.#rewriteAll();
  }

  /** Takes what is pending of as many matches as fit into one pipeline. */
  #gather(): MatchLog[] {
    const logs: MatchLog[] = [];
    let bytes = 0;
    for (const log of this.#dirty) {
      if (bytes > SEND_MAX_BYTES) {
        this.#isSendingAgain = true;
        break;
      }
      this.#dirty.delete(log);
      if (log.isWritingAnew) continue;
      log.flight ??= this.#depart(log);
      if (log.flight === undefined) continue;
      bytes += log.flight.batch.length;
      logs.push(log);
    }
    return logs;
  }

  #depart(log: MatchLog): Flight | undefined {
    const part = log.pending.shift({ ticks: log.ticks, upTo: log.appended });
    if (part === undefined) return undefined;
    const n = log.n + 1;
    const batch = encodeBatch({ ...log.place, ticks: part.ticks }, part.area);
    const isEnd = log.isEndPending && part.upTo === log.appended;
    const snapshots = part.isSnapshot ? [...log.snapshots, `${log.epoch}-${n}`] : log.snapshots;
    const kept = snapshots.slice(-SNAPSHOTS_KEPT);
    return { n, batch, part, isEnd, snapshots: kept, replaced: snapshots.slice(0, -SNAPSHOTS_KEPT) };
  }

  /** @returns false where it has to be tried again later */
  async #sendBatches(logs: readonly MatchLog[]): Promise<boolean> {
    const pipeline = this.#redis.pipeline();
    const sentAtMs = performance.now();
    for (const log of logs) {
      const { n, batch, part, replaced } = log.flight!;
      const id = `${log.epoch}-${n}`;
      if (part.isSnapshot) pipeline.eval(TURN_OVER, 1, log.key, id, batch, ...replaced);
      else pipeline.xadd(log.key, 'NOMKSTREAM', id, 'b', batch);
      pipeline.xlen(log.key);
    }
    const at = 2 * logs.length;
    for (const log of logs) this.#renew(pipeline, log, sentAtMs);
    let replies: Reply[];
    this.#askedAtMs.set('batches', sentAtMs);
    try {
      replies = (await pipeline.exec()) ?? [];
    } catch (error) {
      replies = logs.flatMap((): Reply[] => [
        [error as Error, null],
        [error as Error, null],
      ]);
    }
    this.#askedAtMs.delete('batches');
    let outage: Error | undefined;
    for (const [i, log] of logs.entries()) {
      const [[error, id], [, length]] = replies.slice(2 * i, 2 * i + 2) as [Reply, Reply];
      if (log.flight === undefined || log.writer.failure !== undefined) continue;
      if (error !== null && !isVerdict(error)) {
        if (isRedisOutage(error)) outage = error;
        else this.#fail(log, error.message, error);
        this.#dirty.add(log);
      } else if (error === null && id !== null && length === lengthAfter(log)) {
        this.#arrive(log);
      } else {
        outage = (await this.#inquire(log)) ?? outage;
      }
    }
    const lateFault = replies.slice(at).find(([error]) => error !== null && isRedisOutage(error))?.[0];
    if (outage === undefined) {
      this.#contact(sentAtMs);
      this.#totals.commits++;
      this.#totals.observeAck(performance.now() - sentAtMs);
    } else {
      this.#later(outage);
    }
    this.#noteOldest();
    return outage === undefined && lateFault === undefined;
  }

  /** Keys of a match that is written live on; those of an ended one until it is settled. */
  #renew(pipeline: ReturnType<Redis['pipeline']>, log: MatchLog, nowMs: number): void {
    if (log.flight!.isEnd) {
      pipeline.persist(log.key);
    } else if (nowMs >= log.renewAtMs) {
      log.renewAtMs = nowMs + RENEW_EVERY_MS;
      pipeline.pexpire(log.key, KEEP_MS).zadd(this.#index, 'NX', microsNow(), log.matchId);
    }
  }

  #arrive(log: MatchLog): void {
    const { n, batch, part, snapshots } = log.flight!;
    const { records, ticks, upTo, area, isSnapshot } = part;
    log.length = lengthAfter(log);
    log.flight = undefined;
    log.n = n;
    log.snapshots = snapshots;
    const { seq, bytes } = log.place;
    log.place = isSnapshot ? log.place : { seq: seq + records, ticks, bytes: bytes + area.length };
    this.#buffered(-area.length);
    this.#totals.records += records;
    this.#totals.bytes += batch.length;
    this.#acknowledge(log, upTo);
  }

  #acknowledge(log: MatchLog, upTo: number): void {
    log.acked = upTo;
    log.waitingSinceMs = log.appended > upTo ? performance.now() : undefined;
    while (log.waiters.length > 0 && log.waiters[0]!.upTo <= upTo) log.waiters.shift()!.settle();
    if (log.appended === upTo) return;
    this.#dirty.add(log);
    // A snapshot has cut in two what was to go now.
    if (log.pending.isCut || log.waiters.length > 0) this.#isSendingAgain = true;
  }

  /** Why a batch did not get in as it should: it had before, another owns the match, or Redis has lost something. */
  async #inquire(log: MatchLog): Promise<Error | undefined> {
    const { matchId, key, epoch } = log;
    let exists: number;
    let top: Row | undefined;
    let length: number;
    try {
      const pipeline = this.#redis.pipeline().exists(key).xrevrangeBuffer(key, '+', '-', 'COUNT', 1).xlen(key);
      let rows: Row[];
      [exists, rows, length] = repliesOf((await pipeline.exec()) ?? []) as [number, Row[], number];
      top = rows[0];
    } catch (error) {
      this.#dirty.add(log);
      return error as Error;
    }
    if (log.writer.failure !== undefined || log.flight === undefined) return undefined;
    const seen = top === undefined ? undefined : idOf(top);
    if (exists === 1 && seen === undefined) {
      this.#drop(log, new GameError('JOURNAL_FENCED', { matchId, reason: 'removed' }));
    } else if (seen !== undefined && seen.epoch > epoch) {
      this.#fence(log, seen.epoch);
    } else if (seen?.epoch === epoch && seen.n === log.flight.n && length === lengthAfter(log)) {
      this.#arrive(log);
    } else if (seen?.epoch === epoch && seen.n === log.n && length === log.length) {
      this.#dirty.add(log);
      this.#isSendingAgain = true;
    } else {
      log.isWritingAnew = true;
      this.#lost.add(log);
    }
    return undefined;
  }

  /** One match after another, so that Redis and this process can do something else in between. */
  async #rewriteAll(): Promise<void> {
    if (this.#isRewriting || this.#redis.status !== 'ready') return;
    this.#isRewriting = true;
    for (const log of this.#lost) {
      this.#lost.delete(log);
      if (log.writer.failure !== undefined) continue;
      this.#askedAtMs.set('rewrite', performance.now());
      const outage = await this.#rewrite(log).catch((error: unknown) => error as Error);
      this.#askedAtMs.delete('rewrite');
      if (outage === undefined || log.writer.failure !== undefined) continue;
      this.#lost.add(log);
      this.#later(outage);
      break;
    }
    this.#isRewriting = false;
  }

  async #rewrite(log: MatchLog): Promise<undefined> {
    const { matchId, key, epoch, copy } = log;
    if (copy === undefined || log.inherited > 0) {
      this.#fail(log, 'Redis has lost it, and not all of it is kept here');
      return;
    }
    const { batches, end } = copy.batches();
    const { appended: upTo } = log;
    const flying = log.waitingBytes;
    log.flight = undefined;
    log.pending.clear();
    this.#buffered(-flying);
    const firstN = log.n + 2;
    log.n = firstN + batches.length - 1;
    const idAt = (i: number): string => `${epoch}-${firstN + i}`;
    const entries = batches.flatMap(({ batch, isSnapshot }, i) => [idAt(i), isSnapshot ? 's' : 'b', batch]);
    const reply = await this.#redis.eval(REWRITE, 1, key, epoch, log.n, KEEP_MS, ...entries);
    if (reply === 'late') throw new Error('an older try came later');
    if (reply === 'removed') {
      this.#drop(log, new GameError('JOURNAL_FENCED', { matchId, reason: 'removed' }));
      return;
    }
    if (reply !== 'done') {
      this.#fence(log, Number(reply));
      return;
    }
    log.isWritingAnew = false;
    log.place = end;
    log.length = batches.length;
    log.snapshots = batches.flatMap(({ isSnapshot }, i) => (isSnapshot ? [idAt(i)] : []));
    log.renewAtMs = 0;
    this.#totals.rewritten++;
    this.#options.onRewritten?.(matchId);
    // With the next batch, or now, it is in the index again.
    await this.#redis.zadd(this.#index, 'NX', microsNow(), matchId);
    if (log.isEndPending) await this.#redis.persist(key);
    this.#acknowledge(log, upTo);
    this.#noteOldest();
    if (log.appended > upTo) this.#sendNow();
  }

  /** Redis is away or refuses: everything is sent again a little later. */
  #later(error: Error): void {
    this.#degrade(error);
    if (this.#isClosed) return;
    this.#retryMs = Math.min(Math.max(20, 2 * this.#retryMs), RETRY_MS_MAX);
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#sendNow();
      void this.#rewriteAll();
    }, this.#retryMs);
  }

  #degrade(error: Error): void {
    if (this.#isDegraded) return;
    this.#isDegraded = true;
    this.#options.onDegraded?.(error);
  }

  #contact(sentAtMs: number): void {
    this.#contactAtMs = Math.max(this.#contactAtMs, sentAtMs);
    this.#retryMs = 0;
    if (!this.#isDegraded) return;
    this.#isDegraded = false;
    this.#options.onRecovered?.();
  }

  async #onBeat(): Promise<void> {
    // After a stall timers run first: what has arrived meanwhile is read before anything is judged by its age.
    await new Promise(setImmediate);
    const nowMs = performance.now();
    for (const log of this.#logs.values()) {
      if (log.waitingSinceMs !== undefined && nowMs - log.waitingSinceMs > this.#patienceMs)
        this.#fail(log, 'Redis was away for too long');
    }
    // ioredis has a time-out of its own, which may end the connection after the one it was for.
    const askedAtMs = Math.min(...this.#askedAtMs.values());
    if (this.#redis.status === 'ready' && nowMs - askedAtMs > this.#silenceMs) this.#redis.disconnect(true);
    else if (nowMs - this.#contactAtMs >= BEAT_MS / 2) await this.#sendBeat();
  }

  async #sendBeat(): Promise<void> {
    if (this.#askedAtMs.has('beat') || this.#redis.status !== 'ready') return;
    const sentAtMs = performance.now();
    this.#askedAtMs.set('beat', sentAtMs);
    try {
      await this.#redis.ping();
      this.#contact(sentAtMs);
    } catch {
      // The age of the last contact says it.
    }
    this.#askedAtMs.delete('beat');
  }

  // How a writer ends --------------------------------------------------------------------------------------------

  #fail(log: MatchLog, reason: string, cause?: Error): void {
    this.#totals.failures++;
    this.#drop(log, new GameError('JOURNAL_UNAVAILABLE', { matchId: log.matchId, reason }, cause));
  }

  #fence(log: MatchLog, seen: number): void {
    this.#totals.fenced++;
    this.#drop(log, new GameError('JOURNAL_FENCED', { matchId: log.matchId, epoch: log.epoch, seen }));
  }

  #drop(log: MatchLog, failure: GameError): void {
    log.writer.fail(failure);
    this.#letGo(log);
    if (this.#logs.get(log.matchId) === log) this.#logs.delete(log.matchId);
    for (const { settle } of log.waiters.splice(0)) settle(failure);
  }

  #letGo(log: MatchLog): void {
    this.#dirty.delete(log);
    this.#lost.delete(log);
    this.#heirs.delete(log);
    this.#buffered(-log.waitingBytes);
    log.pending.clear();
    log.flight = undefined;
    log.waitingSinceMs = undefined;
    this.#dropCopy(log);
    this.#noteOldest();
  }

  #buffered(moreBytes: number): void {
    this.#bufferedBytes += moreBytes;
    this.#totals.bufferedBytes = this.#bufferedBytes;
  }

  #copy(log: MatchLog, kind: RecordKind, payload: Uint8Array): void {
    const { copy } = log;
    if (copy === undefined) return;
    const before = copy.bytes;
    copy.append(kind, payload);
    this.#copiedBytes += copy.bytes - before;
    if (copy.bytes > this.#matchCopyMaxBytes || this.#copiedBytes > this.#copyMaxBytes) this.#dropCopy(log);
  }

  #dropCopy(log: MatchLog): void {
    this.#copiedBytes -= log.copy?.bytes ?? 0;
    log.copy = undefined;
    this.#noteUnkept();
  }

  #noteUnkept(): void {
    let unkept = 0;
    for (const { copy, inherited } of this.#logs.values()) if (copy === undefined || inherited > 0) unkept++;
    this.#totals.unkept = unkept;
  }

  // What former owners have left --------------------------------------------------------------------------------

  /** One match after another and a little at a time: whoever takes matches over has better things to do first. */
  async #inheritAll(): Promise<void> {
    if (this.#isInheriting) return;
    this.#isInheriting = true;
    while (this.#heirs.size > 0 && !this.#isClosed) {
      const log = this.#heirs.values().next().value!;
      this.#heirs.delete(log);
      try {
        await this.#inherit(log);
      } catch (error) {
        if (isCorrupt(error)) this.#dropCopy(log);
        else if (this.#logs.get(log.matchId) === log) this.#heirs.add(log);
        await delay(INHERIT_RETRY_MS, undefined, { ref: false });
      }
      this.#noteUnkept();
      await delay(INHERIT_PAUSE_MS, undefined, { ref: false });
    }
    this.#isInheriting = false;
  }

  async #inherit(log: MatchLog): Promise<void> {
    const { matchId, epoch } = log;
    const former = new MatchCopy();
    let seq = 0;
    try {
      for await (const batches of this.#pages(matchId, INHERIT_ROWS, `(${epoch}-0`)) {
        if (log.copy === undefined) return;
        const before = former.bytes;
        for (const { records } of batches) for (const { kind, payload } of records) former.append(kind, payload);
        seq = batches.at(-1)!.next.seq;
        this.#copiedBytes += former.bytes - before;
        if (former.bytes + log.copy.bytes > this.#matchCopyMaxBytes || this.#copiedBytes > this.#copyMaxBytes) {
          this.#dropCopy(log);
          return;
        }
        await delay(INHERIT_PAUSE_MS, undefined, { ref: false });
      }
    } finally {
      this.#copiedBytes -= former.bytes;
    }
    if (seq !== log.inherited) throw new GameError('JOURNAL_CORRUPT', { matchId, reason: 'its beginning is missing' });
    if (log.copy === undefined) return;
    this.#copiedBytes -= log.copy.bytes;
    log.copy.prepend(former);
    this.#copiedBytes += log.copy.bytes;
    log.inherited = 0;
  }

  #noteOldest(): void {
    let oldest: number | undefined;
    for (const { waitingSinceMs } of this.#logs.values()) {
      if (waitingSinceMs !== undefined && !(waitingSinceMs >= (oldest ?? Number.POSITIVE_INFINITY)))
        oldest = waitingSinceMs;
    }
    this.#totals.oldestPendingAtMs = oldest;
  }

  // Claiming and reading -----------------------------------------------------------------------------------------

  async #claim(log: MatchLog, header: MatchHeader): Promise<void> {
    const { matchId, key, epoch } = log;
    const token = randomBytes(12).toString('base64url');
    for (;;) {
      const [top] = await this.#ask(matchId, () => this.#redis.xrevrangeBuffer(key, '+', '-', 'COUNT', 1));
      const seen = top === undefined ? undefined : this.#topOf(matchId, top as unknown as Row);
      if (seen?.epoch === epoch && seen.n === 0 && seen.token === token) {
        // Its answer was lost.
        this.#begin(log, seen.batch, (await this.#ask(matchId, () => this.#redis.eval(LOOK, 1, key))) as Look);
        return;
      }
      if (seen !== undefined && epoch <= seen.epoch)
        throw new GameError('JOURNAL_FENCED', { matchId, epoch, seen: seen.epoch });
      if (seen?.batch.records.at(-1)?.kind === RECORD.END) throw new GameError('MATCH_ENDED', { matchId });
      const batch = claimBatch(seen?.batch, header, epoch);
      await this.#ask(matchId, () => this.#redis.zadd(this.#index, 'NX', microsNow(), matchId));
      const sentAtMs = performance.now();
      const look = await this.#ask(
        matchId,
        () => this.#redis.eval(CLAIM, 1, key, seen?.id ?? '', `${epoch}-0`, batch, token, KEEP_MS) as Promise<Look | 0>,
      );
      this.#contact(sentAtMs);
      // Somebody was quicker, or this claim was sent twice: it is looked at again.
      if (look === 0) continue;
      this.#begin(log, decodeBatch(batch), look);
      return;
    }
  }

  #begin(log: MatchLog, claim: Batch, [length, snapshots]: Look): void {
    log.place = claim.next;
    log.length = length;
    log.snapshots = snapshots;
    log.ticks = claim.ticks;
    log.inherited = claim.seq;
    log.renewAtMs = performance.now() + RENEW_EVERY_MS;
    for (const { kind, payload } of claim.records) this.#copy(log, kind, payload);
    this.#totals.records++;
    this.#totals.bytes += claim.area.length;
  }

  #topOf(matchId: string, row: Row): { id: string; epoch: number; n: number; token: string; batch: Batch } {
    const { epoch, n } = idOf(row);
    const fields = row[1].map(String);
    const token = fields[2] === 'w' ? fields[3]! : '';
    return { id: `${epoch}-${n}`, epoch, n, token, batch: this.#batchOf(matchId, row) };
  }

  #batchOf(matchId: string, row: Row): Batch {
    return read(matchId, () => decodeBatch(row[1][1]!));
  }

  async #read(matchId: string): Promise<RecordedMatch | undefined> {
    const fold = new RecordFold(matchId);
    let seq: number | undefined;
    for await (const batches of this.#pages(matchId, PAGE)) seq = foldBatches(fold, matchId, batches, seq ?? 0);
    return seq === undefined ? undefined : fold.match(false);
  }

  /** The stream up to an id, some rows at a time; no empty page. */
  async *#pages(matchId: string, rows: number, to = '+'): AsyncGenerator<Batch[]> {
    const key = this.#keyOf(matchId);
    for (let from = '-'; ; ) {
      const page = (await this.#ask(matchId, () =>
        this.#redis.xrangeBuffer(key, from, to, 'COUNT', rows),
      )) as unknown as Row[];
      if (page.length > 0) yield page.map((row) => this.#batchOf(matchId, row));
      if (page.length < rows) return;
      from = `(${page.at(-1)![0]}`;
    }
  }

  #summaryOf(matchId: string, first: Row, last: Row): JournalSummary {
    const { epoch } = idOf(last);
    try {
      const [open] = decodeBatch(first[1][1]!).records;
      const { ticks, records, next } = decodeBatch(last[1][1]!);
      const isEnded = records.at(-1)?.kind === RECORD.END;
      const state = isEnded ? 'ended' : this.#logs.has(matchId) ? 'open' : 'unfinished';
      const { header } = parseOpenRecord(open!.payload);
      return { matchId, state, header, epoch, ticks, bytes: next.bytes, isTorn: false };
    } catch {
      return { matchId, state: 'corrupt', epoch, ticks: 0, bytes: 0, isTorn: false };
    }
  }

  /** Its stream has expired, or was lost with nobody to write it anew. */
  #forgetIndex(matchId: string, sinceMicros: number): void {
    if (Date.now() - sinceMicros / 1000 < INDEX_GRACE_MS) return;
    this.#redis.zrem(this.#index, matchId).catch(() => undefined);
  }

  #keyOf(matchId: string): string {
    return `${this.#index}:${matchId}`;
  }

  /** Asks until there is an answer, for so long at most. @throws GameError JOURNAL_UNAVAILABLE */
  async #ask<T>(matchId: string, work: () => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + this.#answerMs;
    for (;;) {
      try {
        return await within(work(), deadlineMs - performance.now());
      } catch (error) {
        if (!isRedisOutage(error)) throw error;
        if (this.#isClosed || performance.now() + 20 > deadlineMs) {
          const { message: reason } = error as Error;
          throw new GameError('JOURNAL_UNAVAILABLE', matchId === '' ? { reason } : { matchId, reason }, error);
        }
        await delay(20);
      }
    }
  }
}

/** What begins a match, or says who goes on with it after the batch that is its newest. */
function claimBatch(newest: Batch | undefined, header: MatchHeader, epoch: number): Buffer {
  const record = new RecordArea();
  if (newest === undefined) {
    record.append(RECORD.OPEN, openRecord(header, epoch));
    return encodeBatch({ seq: 0, ticks: 0, bytes: 0 }, record.view());
  }
  record.append(RECORD.CLAIM, claimRecord(epoch));
  return encodeBatch(newest.next, record.view());
}

/**
 * Puts batches into a fold, and sees that none is missing before, among or between them.
 * @returns records until then
 * @throws GameError JOURNAL_CORRUPT
 */
function foldBatches(fold: RecordFold, matchId: string, batches: readonly Batch[], firstSeq: number): number {
  let seq = firstSeq;
  for (const batch of batches) {
    if (batch.seq !== seq) {
      throw new GameError('JOURNAL_CORRUPT', { matchId, reason: `record ${batch.seq} follows ${seq} records` });
    }
    for (const { kind, payload } of batch.records) fold.push(kind, payload);
    seq = batch.next.seq;
  }
  return seq;
}

/** @throws GameError JOURNAL_CORRUPT for whatever it throws */
function read<T>(matchId: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new GameError('JOURNAL_CORRUPT', { matchId, reason: (error as Error).message }, error);
  }
}

function isCorrupt(error: unknown): boolean {
  return error instanceof GameError && error.code === 'JOURNAL_CORRUPT';
}

/** Entries of the stream once the batch is in it that is on its way. */
function lengthAfter({ length, flight }: MatchLog): number {
  return length + 1 - flight!.replaced.length;
}

/** Entries of a stream, and its newest snapshots. */
type Look = [length: number, snapshots: string[]];
type Row = [id: Buffer, fields: Buffer[]];
type Reply = [error: Error | null, value: unknown];

function idOf([id]: Row): { epoch: number; n: number } {
  const [epoch, n] = id.toString().split('-').map(Number) as [number, number];
  return { epoch, n };
}

/** @throws the first error among them */
function repliesOf(replies: readonly Reply[]): unknown[] {
  return replies.map(([error, value]) => {
    if (error !== null) throw error;
    return value;
  });
}

/** Redis has looked at the stream and does not take the entry. */
function isVerdict(error: Error): boolean {
  return error instanceof ReplyError && /equal or smaller|exhausted the last possible ID/.test(error.message);
}

/** Sorts matches by age also where several began within a millisecond. Exact: far below 2^53. */
function microsNow(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
