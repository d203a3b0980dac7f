/** Parked events in PostgreSQL: they outlive every process, and a person in another one can send them back. */
import type { ParkedEvent, ParkedEvents } from '../events/event-bus.ts';
import type { StoredEvent } from '../events/event-log.ts';
import type { Database } from './database.ts';

const LIST_MAX = 1_000;
const REPLAYS_MAX = 100;
const REASON_CHARS_MAX = 1_000;

interface Row {
  readonly consumer: string;
  readonly event: string;
  readonly attempts: number;
  readonly reason: string;
  readonly parked_at_ms: number;
  readonly is_replaying: boolean;
}

const COLUMNS = 'consumer, event, attempts, reason, parked_at_ms, is_replaying';

export class PostgresParked implements ParkedEvents {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async park({ consumer, event, attempts, reason, parkedAtMs }: Omit<ParkedEvent, 'isReplaying'>): Promise<void> {
    // PostgreSQL's text has no NUL; JSON escapes it.
    const text = reason.replaceAll('\0', '\u{fffd}').slice(0, REASON_CHARS_MAX);
    await this.#database.query(
      `insert into parked_events (consumer, position, event, attempts, reason, parked_at_ms)
       values ($1, $2, $3, $4, $5, $6)
       on conflict (consumer, position) do update set event = excluded.event, attempts = excluded.attempts,
         reason = excluded.reason, parked_at_ms = excluded.parked_at_ms, is_replaying = false`,
      [consumer, event.position, JSON.stringify(event), attempts, text, Math.trunc(parkedAtMs)],
    );
  }

  async list(consumer?: string): Promise<readonly ParkedEvent[]> {
    const { rows } = await this.#database.query<Row>(
      `select ${COLUMNS} from parked_events where $1::text is null or consumer = $1
       order by position, consumer collate "C" limit ${LIST_MAX}`,
      [consumer ?? null],
    );
    return rows.map(parkedOf);
  }

  async get(consumer: string, position: number): Promise<ParkedEvent | undefined> {
    const { rows } = await this.#database.query<Row>(
      `select ${COLUMNS} from parked_events where consumer = $1 and position = $2`,
      [consumer, position],
    );
    return rows[0] === undefined ? undefined : parkedOf(rows[0]);
  }

  async remove(consumer: string, position: number): Promise<boolean> {
    const { rowCount } = await this.#database.query('delete from parked_events where consumer = $1 and position = $2', [
      consumer,
      position,
    ]);
    return rowCount === 1;
  }

  async replay(consumer: string, position: number): Promise<boolean> {
    const { rowCount } = await this.#database.query(
      'update parked_events set is_replaying = true where consumer = $1 and position = $2',
      [consumer, position],
    );
    return rowCount === 1;
  }

  async replays(consumer: string): Promise<readonly ParkedEvent[]> {
    const { rows } = await this.#database.query<Row>(
      `select ${COLUMNS} from parked_events where consumer = $1 and is_replaying order by position limit ${REPLAYS_MAX}`,
      [consumer],
    );
    return rows.map(parkedOf);
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.#database.query<{ consumer: string; count: number }>(
      'select consumer, count(*) as count from parked_events group by consumer order by consumer collate "C"',
    );
    return new Map(rows.map(({ consumer, count }) => [consumer, count]));
  }
}

function parkedOf(row: Row): ParkedEvent {
  const { key, ...event } = JSON.parse(row.event) as StoredEvent;
  return {
    consumer: row.consumer,
    // JSON leaves out what is undefined.
    event: { ...event, key },
    attempts: row.attempts,
    reason: row.reason,
    parkedAtMs: row.parked_at_ms,
    isReplaying: row.is_replaying,
  };
}
