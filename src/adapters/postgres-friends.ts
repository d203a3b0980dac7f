/** Who is whose friend, in PostgreSQL: the fold of the friend events, two rows a pair, and the questions to it. */
import { AccountErased } from '../events/account-events.ts';
import { isEvent } from '../events/event.ts';
import type { StoredEvent } from '../events/event-log.ts';
import {
  FRIEND_EVENTS,
  FriendAccepted,
  FriendBlocked,
  type FriendPayload,
  FriendRemoved,
  FriendRequested,
  FriendUnblocked,
} from '../events/friend-events.ts';
import type { Projection } from '../events/projection.ts';
import type { FriendRow, FriendTable } from '../friends/friends.ts';
import type { Database, Tx } from './database.ts';

const UPSERT = `
  insert into friends (player_id, other_id, relation, since_ms)
  select * from (values ($1::text, $2::text, $3::text, $5::bigint), ($2, $1, $4, $5)) as row (a, b, relation, since)
  where relation is not null and not exists (select from friends_erased where player_id in ($1, $2))
  on conflict (player_id, other_id) do update set relation = excluded.relation, since_ms = excluded.since_ms`;
/** All but that somebody blocks, which only its author ends. */
const PART = `
  delete from friends where relation <> 'blocked'
    and ((player_id = $1 and other_id = $2) or (player_id = $2 and other_id = $1))`;

export function friendsView(): Projection<Tx> {
  return {
    name: 'friends',
    version: 1,
    tables: ['friends', 'friends_erased'],
    types: [...FRIEND_EVENTS.map(({ type }) => type), AccountErased.type],
    async fold(tx, events) {
      for (const event of events) await foldOne(tx, event);
    },
    async reset(tx) {
      await tx.query('truncate friends, friends_erased');
    },
  };
}

async function foldOne(tx: Tx, event: StoredEvent): Promise<void> {
  if (isEvent(AccountErased, event)) {
    const { playerId } = event.payload;
    await tx.query('insert into friends_erased (player_id) values ($1) on conflict do nothing', [playerId]);
    await tx.query('delete from friends where player_id = $1 or other_id = $1', [playerId]);
    return;
  }
  const { playerId, otherId } = event.payload as FriendPayload;
  const both = (own: string | null, others: string | null) =>
    tx.query(UPSERT, [playerId, otherId, own, others, event.recordedAtMs]);
  switch (event.type) {
    case FriendRequested.type:
      await both('sent', 'received');
      break;
    case FriendAccepted.type:
      await both('friend', 'friend');
      break;
    case FriendRemoved.type:
      await tx.query(PART, [playerId, otherId]);
      break;
    case FriendBlocked.type:
      await tx.query(PART, [playerId, otherId]);
      await both('blocked', null);
      break;
    case FriendUnblocked.type:
      await tx.query(`delete from friends where player_id = $1 and other_id = $2 and relation = 'blocked'`, [
        playerId,
        otherId,
      ]);
      break;
  }
}

export class PostgresFriends implements FriendTable {
  readonly #database: Pick<Database, 'query'>;

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  async list(playerId: string, limit: number): Promise<readonly FriendRow[]> {
    const { rows } = await this.#database.query<{ [Key in keyof FriendRow]: FriendRow[Key] }>(
      `select other_id as "otherId", relation, since_ms as "sinceMs" from (
         select *, row_number() over (partition by relation order by since_ms desc, other_id) as place
         from friends where player_id = $1) as own
       where place <= $2
       order by array_position(array['friend', 'received', 'sent', 'blocked'], relation), place`,
      [playerId, limit],
    );
    return rows;
  }

  async counts(playerId: string): Promise<Readonly<Record<FriendRow['relation'], number>>> {
    const { rows } = await this.#database.query<{ relation: FriendRow['relation']; count: number }>(
      'select relation, count(*) as count from friends where player_id = $1 group by relation',
      [playerId],
    );
    const counts = { friend: 0, sent: 0, received: 0, blocked: 0 };
    for (const { relation, count } of rows) counts[relation] = count;
    return counts;
  }

  async friendsOf(playerId: string, limit: number): Promise<readonly string[]> {
    const { rows } = await this.#database.query<{ other_id: string }>(
      `select other_id from friends where player_id = $1 and relation = 'friend' order by since_ms, other_id limit $2`,
      [playerId, limit],
    );
    return rows.map(({ other_id }) => other_id);
  }
}
