/**
 * Accounts, persons, credentials and sign-ins in PostgreSQL. The account row is the fold of its stream, kept in the
 * transaction that appends to it, so it is true when the event is.
 *
 * Lock order: the account's row, then names and credentials (unique indexes), last the head of the log, which is held
 * over the commit only.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { type Account, evolve } from '../accounts/account.ts';
import type { AccountStore, Change, Credential, EndedSession, Held, Profile, Session } from '../accounts/store.ts';
import { AccountSessionsEnded, type BanReason } from '../events/account-events.ts';
import { isEvent } from '../events/event.ts';
import type { Append, Appended } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import type { Database, Tx } from './database.ts';

/** Appends inside of a transaction of somebody else's, see postgres-log.ts. */
export type AppendWithin = (tx: Tx, append: Append) => Promise<Appended>;

interface AccountRow {
  readonly player_id: string;
  readonly is_anonymous: boolean;
  readonly role: Account['role'];
  readonly ban_reason: BanReason | null;
  readonly ban_until_ms: number | null;
  readonly is_erased: boolean;
  readonly length: number;
  readonly created_at_ms: number;
}

interface SessionRow {
  readonly session_id: string;
  readonly player_id: string;
  readonly family_hash: Buffer;
  readonly secret_hash: Buffer;
  readonly previous_hash: Buffer | null;
  readonly created_at_ms: number;
  readonly rotated_at_ms: number;
  readonly expires_at_ms: number;
  readonly ended_at_ms: number | null;
}

interface PersonRow {
  readonly email: string | null;
  readonly name: string | null;
}

/** What the unique indexes of ours mean. */
const TAKEN: Readonly<Record<string, 'NAME_TAKEN' | 'ACCOUNT_EXISTS'>> = {
  person_name_key: 'NAME_TAKEN',
  credential_pair: 'ACCOUNT_EXISTS',
};

export class PostgresAccounts implements AccountStore {
  readonly #database: Database;
  readonly #appendWithin: AppendWithin;
  readonly #nowMs: () => number;

  constructor(database: Database, appendWithin: AppendWithin, nowMs: () => number = Date.now) {
    this.#database = database;
    this.#appendWithin = appendWithin;
    this.#nowMs = nowMs;
  }

  async secret(): Promise<Buffer> {
    const insert = 'insert into account_secret (value) values ($1) on conflict do nothing';
    await this.#database.query(insert, [randomBytes(32)]);
    const { rows } = await this.#database.query<{ value: Buffer }>('select value from account_secret');
    return rows[0]!.value;
  }

  async change<T>(
    playerId: string,
    decide: (held: Held) => { readonly change: Change; readonly result: T },
  ): Promise<T> {
    try {
      return await this.#database.transaction(async (tx) => {
        const held = await this.#hold(tx, playerId);
        const { change, result } = decide(held);
        await this.#write(tx, playerId, held, change);
        return result;
      });
    } catch (error) {
      if (error instanceof pg.DatabaseError && error.code === '23505') {
        const code = TAKEN[error.constraint ?? ''];
        if (code !== undefined) throw new GameError(code, {}, error);
      }
      throw error;
    }
  }

  async findCredential({ emailKey, passwordHash }: Credential): Promise<string | undefined> {
    const sql = 'select player_id from credential where email_key = $1 and password_hash = $2';
    const { rows } = await this.#database.query<{ player_id: string }>(sql, [emailKey, passwordHash]);
    return rows[0]?.player_id;
  }

  async findSession(
    sessionId: string,
  ): Promise<{ playerId: string; session: Session; emailKey: Buffer | null } | undefined> {
    const { rows } = await this.#database.query<SessionRow & { email_key: Buffer | null }>(
      'select s.*, c.email_key from session s left join credential c using (player_id) where session_id = $1',
      [sessionId],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    return { playerId: row.player_id, session: sessionOf(row), emailKey: row.email_key };
  }

  async profile(playerId: string): Promise<Profile | undefined> {
    const { rows } = await this.#database.query<AccountRow & PersonRow>(
      `select a.*, p.email, p.name from account a left join person p using (player_id) where player_id = $1`,
      [playerId],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    return { account: accountOf(row), person: { email: row.email, name: row.name }, createdAtMs: row.created_at_ms };
  }

  async namesOf(playerIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (playerIds.length > 1_000) throw new RangeError('at most 1,000 players at once');
    const { rows } = await this.#database.query<{ player_id: string; name: string }>(
      'select player_id, name from person where player_id = any($1) and name is not null',
      [playerIds],
    );
    return new Map(rows.map(({ player_id, name }) => [player_id, name]));
  }

  async search(prefix: string, limit: number): Promise<readonly { playerId: string; name: string }[]> {
    const { rows } = await this.#database.query<{ player_id: string; name: string }>(
      `select player_id, name from person
        where name is not null and name_search >= $1 and name_search < $1 || chr(1114111)
        order by name_search, player_id limit $2`,
      [prefix, limit],
    );
    return rows.map(({ player_id, name }) => ({ playerId: player_id, name }));
  }

  async endedSince(sinceMs: number): Promise<readonly EndedSession[]> {
    const { rows } = await this.#database.query<{ session_id: string; player_id: string; ended_reason: string }>(
      'select session_id, player_id, ended_reason from session where ended_at_ms >= $1',
      [sinceMs],
    );
    return rows.map((row) => ({ sessionId: row.session_id, playerId: row.player_id, reason: row.ended_reason }));
  }

  async forgetSessions(beforeMs: number): Promise<number> {
    const { rowCount } = await this.#database.query(
      `delete from session where session_id in (select session_id from session where expires_at_ms < $1 limit 1000)`,
      [beforeMs],
    );
    return rowCount ?? 0;
  }

  async #hold(tx: Tx, playerId: string): Promise<Held> {
    const { rows } = await tx.query<AccountRow>('select * from account where player_id = $1 for update', [playerId]);
    const [row] = rows;
    if (row === undefined) return { account: undefined, person: undefined, credential: undefined, sessions: [] };
    // One statement is not enough: what it sees is from before the lock was granted.
    const { rows: people } = await tx.query<PersonRow & { email_key: Buffer | null; password_hash: Buffer | null }>(
      `select p.email, p.name, c.email_key, c.password_hash
         from account a left join person p using (player_id) left join credential c using (player_id)
        where player_id = $1`,
      [playerId],
    );
    const { rows: sessions } = await tx.query<SessionRow>(
      `select * from session where player_id = $1 and ended_at_ms is null and expires_at_ms > $2
        order by created_at_ms, session_id limit 100`,
      [playerId, this.#nowMs()],
    );
    const { email, name, email_key, password_hash } = people[0]!;
    return {
      account: accountOf(row),
      person: { email, name },
      credential: email_key === null ? undefined : { emailKey: email_key, passwordHash: password_hash! },
      sessions: sessions.map(sessionOf),
    };
  }

  async #write(tx: Tx, playerId: string, { account, sessions }: Held, change: Change): Promise<void> {
    const nowMs = this.#nowMs();
    const { events, person, credential, startSession, rotateSession, endSessions = [] } = change;
    let next = account;
    for (const event of events) next = evolve(next, event);
    if (next !== account) await writeAccount(tx, next!, account === undefined, nowMs);
    if (person !== undefined) await writePerson(tx, playerId, person);
    if (credential !== undefined) {
      await tx.query(
        `insert into credential (player_id, email_key, password_hash) values ($1, $2, $3)
         on conflict (player_id) do update set email_key = $2, password_hash = $3`,
        [playerId, credential.emailKey, credential.passwordHash],
      );
    }
    if (startSession !== undefined) {
      const { sessionId, family, secret, createdAtMs, expiresAtMs } = startSession;
      await tx.query(
        `insert into session (session_id, player_id, family_hash, secret_hash, created_at_ms, rotated_at_ms, expires_at_ms)
         values ($1, $2, $3, $4, $5, $5, $6)`,
        [sessionId, playerId, family, secret, createdAtMs, expiresAtMs],
      );
    }
    if (rotateSession !== undefined) {
      await tx.query(
        `update session set previous_hash = secret_hash, secret_hash = $2, rotated_at_ms = $3, expires_at_ms = $4
          where session_id = $1`,
        [rotateSession.sessionId, rotateSession.secret, nowMs, rotateSession.expiresAtMs],
      );
    }
    if (endSessions.length > 0) {
      const reason = events.find((event) => isEvent(AccountSessionsEnded, event))!.payload as { reason: string };
      await tx.query('update session set ended_at_ms = $2, ended_reason = $3 where session_id = any($1)', [
        endSessions,
        nowMs,
        reason.reason,
      ]);
    }
    if (change.erase === true) {
      await tx.query('delete from person where player_id = $1', [playerId]);
      await tx.query('delete from credential where player_id = $1', [playerId]);
      // Those just ended stay, as ids without meaning, until no token of theirs can be good: a process that starts asks.
      const ended = sessions.map(({ sessionId }) => sessionId);
      await tx.query('delete from session where player_id = $1 and session_id <> all($2)', [playerId, ended]);
    }
    if (events.length === 0) return;
    await this.#appendWithin(tx, { stream: `account/${playerId}`, expected: account?.length ?? 0, events });
  }
}

async function writeAccount(tx: Tx, account: Account, isNew: boolean, nowMs: number): Promise<void> {
  const { playerId, isAnonymous, role, ban, isErased, length } = account;
  const values = [playerId, isAnonymous, role, ban?.reason ?? null, ban?.untilMs ?? null, isErased, length];
  await (isNew
    ? tx.query(
        `insert into account (player_id, is_anonymous, role, ban_reason, ban_until_ms, is_erased, length, created_at_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [...values, nowMs],
      )
    : tx.query(
        `update account set is_anonymous = $2, role = $3, ban_reason = $4, ban_until_ms = $5, is_erased = $6, length = $7
          where player_id = $1`,
        values,
      ));
}

async function writePerson(tx: Tx, playerId: string, person: NonNullable<Change['person']>): Promise<void> {
  await tx.query('insert into person (player_id) values ($1) on conflict do nothing', [playerId]);
  if (person.email !== undefined) {
    await tx.query('update person set email = $2 where player_id = $1', [playerId, person.email]);
  }
  if (person.name !== undefined) {
    const { text, key, search } = person.name ?? { text: null, key: null, search: null };
    const sql = 'update person set name = $2, name_key = $3, name_search = $4 where player_id = $1';
    await tx.query(sql, [playerId, text, key, search]);
  }
}

function accountOf(row: AccountRow): Account {
  const { ban_reason: reason, ban_until_ms: untilMs } = row;
  return {
    playerId: row.player_id,
    isAnonymous: row.is_anonymous,
    role: row.role,
    ban: reason === null ? null : { reason, untilMs },
    isErased: row.is_erased,
    length: row.length,
  };
}

function sessionOf(row: SessionRow): Session {
  return {
    sessionId: row.session_id,
    family: row.family_hash,
    secret: row.secret_hash,
    previous: row.previous_hash,
    createdAtMs: row.created_at_ms,
    rotatedAtMs: row.rotated_at_ms,
    expiresAtMs: row.expires_at_ms,
    endedAtMs: row.ended_at_ms,
  };
}
