/** The log of what happened, and the one function that appends to it. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

export const eventLog: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Payloads are kept as the exact text that was appended. A key is that of all events of its append; `nth` counts them.
    await sql`
      create table events (
        position bigint primary key,
        stream text collate "C" not null,
        seq bigint not null,
        type text collate "C" not null,
        version integer not null,
        payload text not null,
        key text collate "C",
        nth integer not null,
        fingerprint text collate "C",
        recorded_at_ms bigint not null,
        checksum bigint not null
      )
    `.execute(db);
    await sql`create unique index events_by_stream on events (stream, seq)`.execute(db);
    await sql`create unique index events_by_key on events (key, nth) where key is not null`.execute(db);
    // Who appends holds this row until the commit: positions become visible in the order in which they were given.
    await sql`
      create table event_head (
        id boolean primary key default true check (id),
        position bigint not null,
        recorded_at_ms bigint not null
      ) with (fillfactor = 10)
    `.execute(db);
    await sql`insert into event_head (position, recorded_at_ms) values (0, 0)`.execute(db);
    // Appends the events of many commands, or nothing when one of the keys is known or a stream has another length than
    // the caller thinks; then it answers with what is so, and the caller decides anew. Its plans are made once, for
    // tables of any size: each look-up is a sub-select with a limit, which
    // only an index can answer, also while the tables are empty (a join read the whole index for each batch).
    await sql`
      create function event_append(
        p_now bigint, p_origin text, p_keys text[], p_streams text[], p_lengths bigint[],
        p_stream text[], p_seq bigint[], p_type text[], p_version integer[], p_payload text[],
        p_key text[], p_nth integer[], p_fingerprint text[], p_checksum bigint[]
      ) returns text language plpgsql
      set plan_cache_mode = force_generic_plan
      set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
      as $$
      declare
        v_position bigint;
        v_recorded_at_ms bigint;
      begin
        select position, recorded_at_ms into v_position, v_recorded_at_ms from event_head where id for update;
        if exists (
            select from unnest(p_keys) as k (key)
            where (select e.position from events e where e.key = k.key order by e.nth limit 1) is not null
          )
          or exists (
            select from unnest(p_streams, p_lengths) as s (stream, length)
            where s.length <> coalesce(
              (select e.seq from events e where e.stream = s.stream order by e.seq desc limit 1), 0)
          )
        then
          return json_build_object(
            'lengths', (
              select json_agg(coalesce(
                (select e.seq from events e where e.stream = s.stream order by e.seq desc limit 1), 0) order by s.i)
              from unnest(p_streams) with ordinality as s (stream, i)
            ),
            'keys', (
              select json_agg(json_build_array(e.key, e.fingerprint))
              from unnest(p_keys) as k (key),
                lateral (select * from events e where e.key = k.key order by e.nth limit 1) as e
            )
          );
        end if;
        if cardinality(p_seq) = 0 then
          return v_position || ' ' || v_recorded_at_ms;
        end if;
        v_recorded_at_ms := greatest(v_recorded_at_ms, p_now);
        insert into events
          (position, stream, seq, type, version, payload, key, nth, fingerprint, recorded_at_ms, checksum)
        select v_position + e.i, e.stream, e.seq, e.type, e.version, e.payload, e.key, e.nth, e.fingerprint,
          v_recorded_at_ms, e.checksum # ((v_position + e.i) & 4294967295)
        from unnest(p_stream, p_seq, p_type, p_version, p_payload, p_key, p_nth, p_fingerprint, p_checksum)
          with ordinality as e (stream, seq, type, version, payload, key, nth, fingerprint, checksum, i);
        update event_head set position = v_position + cardinality(p_seq), recorded_at_ms = v_recorded_at_ms where id;
        perform pg_notify('event_log', p_origin);
        return v_position || ' ' || v_recorded_at_ms;
      end
      $$
    `.execute(db);
  },
};
