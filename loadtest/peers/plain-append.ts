/** What one would write without a log of one's own: a table with a sequence, and a transaction for each append. */
import pg from 'pg';

export class PlainAppend {
  readonly #pool: pg.Pool;

  private constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** Makes its own table, which others never see. @param connections that appends share */
  static async open(url: string, connections: number): Promise<PlainAppend> {
    const pool = new pg.Pool({ connectionString: url, max: connections });
    // `end()` does not wait for its connections to be closed; a server that stops meanwhile tells them so.
    pool.on('error', () => undefined);
    await pool.query(`
      create table if not exists plain_events (
        position bigserial primary key, stream text not null, seq bigint not null, type text not null,
        version integer not null, payload text not null, key text unique, recorded_at timestamptz not null default now(),
        unique (stream, seq)
      )`);
    return new PlainAppend(pool);
  }

  /** Resolves once it is durable. Promises less than the log: its positions have gaps, which late commits fill. */
  async append(stream: string, seq: number, type: string, payload: unknown, key: string): Promise<void> {
    await this.#pool.query({
      name: 'plain-append',
      text: `insert into plain_events (stream, seq, type, version, payload, key) values ($1, $2, $3, 1, $4, $5)
        returning position`,
      values: [stream, seq, type, JSON.stringify(payload), key],
    });
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}
