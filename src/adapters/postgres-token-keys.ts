/** Public halves of signing keys, for all processes on one database. */
import type { PublicKey, PublishedKeys } from '../sessions/key-ring.ts';
import type { Database } from './database.ts';

/** Keys listed at most: one a process start or a day, kept two days. */
const KEYS_MAX = 1_000;

export class PostgresTokenKeys implements PublishedKeys {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async publish({ kid, x, notAfterMs }: PublicKey, nowMs: number): Promise<void> {
    await this.#database.query('delete from token_key where not_after_ms < $1', [nowMs]);
    await this.#database.query(
      `insert into token_key (kid, x, not_after_ms) values ($1, $2, $3)
       on conflict (kid) do update set not_after_ms = greatest(token_key.not_after_ms, excluded.not_after_ms)`,
      [kid, x, notAfterMs],
    );
  }

  async list(nowMs: number): Promise<readonly PublicKey[]> {
    const { rows } = await this.#database.query<{ kid: string; x: string; not_after_ms: number }>(
      'select kid, x, not_after_ms from token_key where not_after_ms >= $1 order by not_after_ms desc limit $2',
      [nowMs, KEYS_MAX],
    );
    return rows.map(({ kid, x, not_after_ms }) => ({ kid, x, notAfterMs: not_after_ms }));
  }
}
