/** An event log in memory, for tests and for programs that may forget. */
import type { EventCatalogue } from '../events/event.ts';
import type { Append, Appended, EventLog, ReadAllOptions, StoredEvent } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import {
  type CheckedAppend,
  checkAppend,
  checkNoGap,
  contentChecksum,
  type EventRow,
  eventOfRow,
  pageMaxOf,
  rowChecksum,
} from './log-append.ts';

interface KnownKey {
  readonly fingerprint: string | undefined;
  readonly rows: readonly EventRow[];
}

export interface MemoryLogOptions {
  readonly catalogue: EventCatalogue;
  /** Wall clock, ms since 1970. */
  readonly nowMs?: () => number;
}

export class MemoryLog implements EventLog {
  readonly #catalogue: EventCatalogue;
  readonly #nowMs: () => number;
  readonly #rows: EventRow[] = [];
  readonly #streams = new Map<string, EventRow[]>();
  readonly #keys = new Map<string, KnownKey>();
  readonly #watchers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ catalogue, nowMs = Date.now }: MemoryLogOptions) {
    this.#catalogue = catalogue;
    this.#nowMs = nowMs;
  }

  async append(append: Append): Promise<Appended> {
    const { chain, stream } = append;
    if (chain?.isBroken)
      throw new GameError('LOG_CONFLICT', { stream, length: this.#streams.get(stream)?.length ?? 0 });
    let isBroken = true;
    try {
      const appended = this.#take(checkAppend(append, this.#catalogue));
      isBroken = appended.isRepeat;
      return appended;
    } finally {
      if (chain !== undefined && isBroken) chain.isBroken = true;
    }
  }

  #take({ append, texts }: CheckedAppend): Appended {
    const { stream, expected, events, key, fingerprint } = append;
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint) throw new GameError('KEY_REUSED', {});
      const first = known.rows.map((row) => eventOfRow(row, this.#catalogue));
      const last = first.at(-1)!;
      return { length: last.seq, position: last.position, isRepeat: true, events: first };
    }
    const rows = this.#streams.get(stream) ?? [];
    if (expected !== 'any' && expected !== rows.length) {
      throw new GameError('LOG_CONFLICT', { stream, length: rows.length });
    }
    const recordedAtMs = Math.max(this.#nowMs(), this.#rows.at(-1)?.recordedAtMs ?? 0);
    const added = events.map(({ type, version }, i): EventRow => {
      const place = { position: this.#rows.length + 1 + i, seq: rows.length + 1 + i };
      const payload = texts[i]!;
      const content = contentChecksum(type, version, stream, key ?? '', payload);
      const checksum = rowChecksum(content, place.position, place.seq);
      return { ...place, stream, type, version, payload, key: key ?? null, recordedAtMs, checksum };
    });
    this.#rows.push(...added);
    rows.push(...added);
    this.#streams.set(stream, rows);
    if (key !== undefined) this.#keys.set(key, { fingerprint, rows: added });
    for (const onAppended of this.#watchers) queueMicrotask(onAppended);
    return {
      length: rows.length,
      position: this.#rows.length,
      isRepeat: false,
      events: added.map((row) => eventOfRow(row, this.#catalogue)),
    };
  }

  async findKey(key: string): Promise<readonly StoredEvent[]> {
    return (this.#keys.get(key)?.rows ?? []).map((row) => eventOfRow(row, this.#catalogue));
  }

  async *read(stream: string, after = 0): AsyncGenerator<StoredEvent> {
    for (const row of (this.#streams.get(stream) ?? []).slice(after)) yield eventOfRow(row, this.#catalogue);
  }

  async *readAll(after: number, options: ReadAllOptions = {}): AsyncGenerator<readonly StoredEvent[]> {
    const pageMax = pageMaxOf(options.pageMax);
    const types = options.types === undefined ? undefined : new Set(options.types);
    const rows = this.#rows.slice(after).filter(({ type }) => types === undefined || types.has(type));
    if (types === undefined) checkNoGap(rows, after);
    for (let from = 0; from < rows.length; from += pageMax) {
      yield rows.slice(from, from + pageMax).map((row) => eventOfRow(row, this.#catalogue));
    }
  }

  async head(): Promise<number> {
    return this.#rows.length;
  }

  watch(onAppended: () => void): () => void {
    const call = (): void => onAppended();
    this.#watchers.add(call);
    this.#timer ??= setInterval(() => {
      for (const each of this.#watchers) each();
    }, 1_000).unref();
    return () => {
      this.#watchers.delete(call);
      if (this.#watchers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }
}
