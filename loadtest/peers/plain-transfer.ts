/** What one would write first: each transfer is a transaction that locks both rows, in order so as not to deadlock. */
import pg from 'pg';

export class PlainTransfer {
  readonly #pool: pg.Pool;

  constructor(url: string, connections: number) {
    this.#pool = new pg.Pool({ connectionString: url, max: connections });
    // `end()` does not wait for its connections to be closed; a server that stops meanwhile tells them so.
    this.#pool.on('error', () => undefined);
  }

  async open(accounts: number, balance: number): Promise<void> {
    await this.#pool.query(`
      create table plain_accounts (id integer primary key, balance bigint not null check (balance >= 0));
      create table plain_transfers (key text primary key, sender integer, receiver integer, amount bigint)`);
    await this.#pool.query('insert into plain_accounts select i, $2 from generate_series(0, $1 - 1) i', [
      accounts,
      balance,
    ]);
  }

  /** @returns false when the balance does not cover it */
  async transfer(key: string, from: number, to: number, amount: number): Promise<boolean> {
    const client = await this.#pool.connect();
    try {
      await client.query('begin');
      const { rows } = await client.query({
        name: 'lock',
        text: 'select id, balance from plain_accounts where id in ($1, $2) order by id for update',
        values: [from, to],
      });
      const has = Number(rows.find(({ id }) => id === from).balance);
      if (has < amount) {
        await client.query('rollback');
        return false;
      }
      const move = 'update plain_accounts set balance = balance + $2 where id = $1';
      await client.query({ name: 'move', text: move, values: [from, -amount] });
      await client.query({ name: 'move', text: move, values: [to, amount] });
      await client.query({
        name: 'note',
        text: 'insert into plain_transfers values ($1, $2, $3, $4)',
        values: [key, from, to, amount],
      });
      await client.query('commit');
      return true;
    } finally {
      client.release();
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}
