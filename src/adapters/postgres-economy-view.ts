/**
 * The view `economy`: balances, history of every account, items with their chain of owners, what is on hold and in
 * trade. A page of events is netted in memory first, so what it costs grows with the accounts that it touches.
 */
import type { HistoryEntry, LedgerReader, Ownership, Provenance } from '../economy/ledger-reader.ts';
import type { Hold, LedgerSnapshot } from '../economy/ledger-state.ts';
import { LedgerState } from '../economy/ledger-state.ts';
import type { Trade } from '../economy/trade.ts';
import {
  Captured,
  ECONOMY_STREAM,
  ECONOMY_TYPES,
  Erased,
  Held,
  postingOf,
  Released,
  TradeCancelled,
  TradeSettled,
} from '../events/economy-events.ts';
import type { StoredEvent } from '../events/event-log.ts';
import type { Projection } from '../events/projection.ts';
import { GameError } from '../kernel/errors.ts';
import type { Database, Tx } from './database.ts';

const OWNERS_MAX = 1_000;
/** Loading all of it at start, ms. */
const SNAPSHOT_TIMEOUT_MS = 120_000;
const TABLES = [
  'economy_head',
  'economy_balances',
  'economy_entries',
  'economy_items',
  'economy_owners',
  'economy_holds',
  'economy_trades',
  'economy_trades_closed',
  'economy_erased',
] as const;

export function economyView(): Projection<Tx> {
  return { name: 'economy', version: 3, types: ECONOMY_TYPES, fold, reset, tables: [...TABLES] };
}

/** A page of events by what it comes to. */
class Page {
  /** By account and asset, separated by a space. */
  readonly deltas = new Map<string, number>();
  readonly items = new Map<string, readonly [kind: string, owner: string]>();
  readonly entries = new Columns(8);
  readonly owners = new Columns(6);
  readonly holdsClosed = new Set<string>();
  readonly tradesClosed = new Set<string>();
  readonly erased = new Set<string>();

  add({ position, recordedAtMs, type, payload }: StoredEvent): void {
    const posting = postingOf(payload);
    if (posting !== undefined) {
      const { legs, items, reason, cause } = posting;
      const changes = new Map<string, number>();
      for (const [account, asset, delta] of legs) add(changes, `${account} ${asset}`, delta);
      for (const [key, delta] of changes) {
        add(this.deltas, key, delta);
        const [account, asset] = key.split(' ') as [string, string];
        if (hasHistory(account)) this.entries.push(account, position, asset, delta, recordedAtMs, type, reason, cause);
      }
      for (const [itemId, kind, from, to] of items) {
        this.items.set(itemId, [kind, to]);
        this.owners.push(itemId, position, recordedAtMs, from, to, reason);
        if (hasHistory(from)) this.entries.push(from, position, itemId, -1, recordedAtMs, type, reason, cause);
        if (hasHistory(to)) this.entries.push(to, position, itemId, 1, recordedAtMs, type, reason, cause);
      }
    }
    const { holdId, tradeId, playerId } = payload as Record<'holdId' | 'tradeId' | 'playerId', string>;
    if (type === Released.type || type === Captured.type) this.holdsClosed.add(holdId);
    else if (type === TradeSettled.type || type === TradeCancelled.type) this.tradesClosed.add(tradeId);
    else if (type === Erased.type) this.erased.add(playerId);
  }
}

/** Of mint, sink, fees and escrow nobody reads a history. */
function hasHistory(account: string): boolean {
  return account.startsWith('player:');
}

function add(sums: Map<string, number>, key: string, delta: number): void {
  sums.set(key, (sums.get(key) ?? 0) + delta);
}

/**
 * Rows as one array literal a column. What is put in comes out of checked events, whose names, ids and causes have no
 * character that an array literal would have to quote; anything else is a bug, and refused.
 */
class Columns {
  readonly #columns: string[][];

  constructor(count: number) {
    this.#columns = Array.from({ length: count }, () => []);
  }

  push(...cells: readonly (string | number)[]): void {
    for (const [i, column] of this.#columns.entries()) column.push(cellOf(cells[i]!));
  }

  get length(): number {
    return this.#columns[0]!.length;
  }

  get literals(): string[] {
    return this.#columns.map((column) => `{${column.join(',')}}`);
  }
}

const PLAIN = /^[A-Za-z0-9_.:/-]+$/;

function cellOf(cell: string | number): string {
  if (typeof cell === 'number') return String(cell);
  if (!PLAIN.test(cell) || cell.toLowerCase() === 'null') throw new TypeError('a cell of the view has to be quoted');
  return cell;
}

async function fold(tx: Tx, all: readonly StoredEvent[]): Promise<void> {
  const events = all.filter(({ stream }) => stream === ECONOMY_STREAM);
  if (events.length === 0) return;
  const page = new Page();
  for (const event of events) page.add(event);
  await foldOpen(tx, events, page);
  const balances = new Columns(3);
  for (const [key, delta] of page.deltas) {
    const [account, asset] = key.split(' ') as [string, string];
    if (delta !== 0) balances.push(account, asset, delta);
  }
  if (balances.length > 0) {
    await tx.query({
      name: 'economy-balances',
      text: `insert into economy_balances (account, asset, amount_minor)
             select * from unnest($1::text[], $2::text[], $3::bigint[])
             on conflict (account, asset)
             do update set amount_minor = economy_balances.amount_minor + excluded.amount_minor`,
      values: balances.literals,
    });
  }
  if (page.entries.length > 0) {
    await tx.query({
      name: 'economy-entries',
      text: `insert into economy_entries (account, position, asset, delta_minor, at_ms, type, reason, cause)
             select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
                                  $7::text[], $8::text[])`,
      values: page.entries.literals,
    });
  }
  if (page.items.size > 0) {
    const items = new Columns(3);
    for (const [itemId, [kind, owner]] of page.items) items.push(itemId, kind, owner);
    await tx.query(
      `insert into economy_items (item_id, kind, owner) select * from unnest($1::text[], $2::text[], $3::text[])
       on conflict (item_id) do update set owner = excluded.owner`,
      items.literals,
    );
    await tx.query(
      `insert into economy_owners (item_id, position, at_ms, sender, receiver, reason)
       select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])`,
      page.owners.literals,
    );
  }
  if (page.erased.size > 0) {
    await tx.query('insert into economy_erased select unnest($1::text[]) on conflict do nothing', [[...page.erased]]);
  }
  await tx.query('insert into economy_head (seq) values ($1) on conflict (only_row) do update set seq = excluded.seq', [
    events.at(-1)!.seq,
  ]);
}

const OPEN_TYPES = new Set(ECONOMY_TYPES.filter((type) => type.includes('trade') || type === Held.type));

/** Holds and trades that this page touches: folded by the rules themselves, from what the view has of them. */
async function foldOpen(tx: Tx, events: readonly StoredEvent[], page: Page): Promise<void> {
  const touching = events.filter(({ type }) => OPEN_TYPES.has(type));
  const state = new LedgerState();
  if (touching.length > 0) {
    const tradeIds = new Set(touching.map(({ payload }) => (payload as { tradeId?: string }).tradeId ?? ''));
    const { rows } = await tx.query<{ body: string }>(
      'select body from economy_trades where trade_id = any($1::text[])',
      [[...tradeIds]],
    );
    state.load({ ...NOTHING, trades: rows.map(({ body }) => JSON.parse(body) as Trade) });
    for (const event of touching) state.apply(event);
    await upsert(
      tx,
      'economy_trades',
      'trade_id',
      [...state.openTrades].map((trade) => [trade.tradeId, JSON.stringify(trade)]),
    );
    const held = [...state.openHolds].filter(({ holdId }) => !page.holdsClosed.has(holdId));
    await upsert(
      tx,
      'economy_holds',
      'hold_id',
      held.map((hold) => [hold.holdId, JSON.stringify(hold)]),
    );
  }
  if (page.holdsClosed.size > 0) {
    await tx.query('delete from economy_holds where hold_id = any($1::text[])', [[...page.holdsClosed]]);
  }
  if (page.tradesClosed.size > 0) {
    await tx.query('delete from economy_trades where trade_id = any($1::text[])', [[...page.tradesClosed]]);
    await upsert(
      tx,
      'economy_trades_closed',
      'trade_id',
      [...page.tradesClosed].map((tradeId) => [tradeId, JSON.stringify(state.trade(tradeId))]),
    );
  }
}

async function upsert(tx: Tx, table: string, key: string, rows: readonly (readonly [string, string])[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `insert into ${table} (${key}, body) select * from unnest($1::text[], $2::text[])
     on conflict (${key}) do update set body = excluded.body`,
    [rows.map(([id]) => id), rows.map(([, body]) => body)],
  );
}

const NOTHING: LedgerSnapshot = { seq: 0, balances: [], items: [], holds: [], trades: [], erased: [] };

async function reset(tx: Tx): Promise<void> {
  await tx.query(TABLES.map((table) => `delete from ${table}`).join('; '));
}

export class PostgresEconomy implements LedgerReader {
  readonly #database: Pick<Database, 'query' | 'transaction'>;

  constructor(database: Pick<Database, 'query' | 'transaction'>) {
    this.#database = database;
  }

  /** Of a view whose tables are gone: nothing, so that the ledger is folded from the log alone. */
  async snapshot(): Promise<LedgerSnapshot> {
    try {
      return await this.#database.transaction((tx) => snapshotIn(tx), {
        isolation: 'repeatable read',
        isReadOnly: true,
        timeoutMs: SNAPSHOT_TIMEOUT_MS,
      });
    } catch (error) {
      const isMissing = (error as { code?: unknown }).code === '42P01';
      if (error instanceof GameError || !isMissing) throw error;
      return NOTHING;
    }
  }

  /** Tables of the view that are not there. @throws GameError DATABASE_UNAVAILABLE, OVERLOADED */
  async missingTables(): Promise<readonly string[]> {
    const { rows } = await this.#database.query<{ name: string }>(
      'select name from unnest($1::text[]) name where to_regclass(quote_ident(name)) is null',
      [TABLES],
    );
    return rows.map(({ name }) => name);
  }

  /** How many events of the stream the view has, and how many there are. @throws as {@link missingTables} */
  async progress(): Promise<{ readonly seq: number; readonly length: number }> {
    const { rows } = await this.#database.query<{ seq: number; length: number }>(
      `select coalesce((select seq from economy_head), 0) as seq,
         coalesce((select seq from events where stream = $1 order by seq desc limit 1), 0) as length`,
      [ECONOMY_STREAM],
    );
    return rows[0]!;
  }

  async history(account: string, before: number, limit: number): Promise<readonly HistoryEntry[]> {
    const { rows } = await this.#database.query<Omit<HistoryEntry, 'changes'> & { asset: string; deltaMinor: number }>(
      `select position, at_ms as "atMs", type, reason, cause, asset, delta_minor as "deltaMinor"
       from economy_entries
       where account = $1 and position < $2 and position >= coalesce((
         select min(position) from (
           select distinct position from economy_entries where account = $1 and position < $2
           order by position desc limit $3
         ) page), 0)
       order by position desc, asset collate "C"`,
      [account, before, limit],
    );
    const entries: (HistoryEntry & { changes: { asset: string; deltaMinor: number }[] })[] = [];
    for (const { asset, deltaMinor, ...row } of rows) {
      let entry = entries.at(-1);
      if (entry?.position !== row.position) {
        entry = { ...row, changes: [] };
        entries.push(entry);
      }
      entry.changes.push({ asset, deltaMinor });
    }
    return entries;
  }

  async closedTrade(tradeId: string): Promise<Trade | undefined> {
    const { rows } = await this.#database.query<{ body: string }>(
      'select body from economy_trades_closed where trade_id = $1',
      [tradeId],
    );
    return rows[0] === undefined ? undefined : (JSON.parse(rows[0].body) as Trade);
  }

  async provenance(itemId: string): Promise<Provenance | undefined> {
    const { rows } = await this.#database.query<{ kind: string; owner: string }>(
      'select kind, owner from economy_items where item_id = $1',
      [itemId],
    );
    const [item] = rows;
    if (item === undefined) return undefined;
    const { rows: owners } = await this.#database.query<Ownership>(
      `select position, at_ms as "atMs", sender as "from", receiver as "to", reason
       from economy_owners where item_id = $1 order by position desc limit ${OWNERS_MAX}`,
      [itemId],
    );
    return { itemId, ...item, owners: owners.reverse() };
  }
}

async function snapshotIn(tx: Tx): Promise<LedgerSnapshot> {
  const { rows: head } = await tx.query<{ seq: number }>('select seq from economy_head');
  const rowsOf = async (text: string): Promise<never[]> =>
    (await tx.query({ text, rowMode: 'array' } as { text: string })).rows as never[];
  const balances = await rowsOf('select account, asset, amount_minor from economy_balances where amount_minor <> 0');
  const items = await rowsOf('select item_id, kind, owner from economy_items');
  const holds = (await rowsOf('select body from economy_holds')) as [string][];
  const trades = (await rowsOf('select body from economy_trades')) as [string][];
  const erased = (await rowsOf('select player_id from economy_erased')) as [string][];
  return {
    seq: head[0]?.seq ?? 0,
    balances,
    items,
    holds: holds.map(([body]) => JSON.parse(body) as Hold),
    trades: trades.map(([body]) => JSON.parse(body) as Trade),
    erased: erased.map(([playerId]) => playerId),
  };
}
