/** The view `results`: how matches ended, and the history of every player. */

import { isEvent, type NewEvent } from '../events/event.ts';
import type { StoredEvent } from '../events/event-log.ts';
import { MatchEnded, type MatchEndedPayload } from '../events/match-events.ts';
import type { Projection } from '../events/projection.ts';
import type { EndedMatch, PlayedMatch, ResultReader } from '../results/result-reader.ts';
import type { Database, Tx } from './database.ts';

export function resultsView(): Projection<Tx> {
  return {
    name: 'results',
    version: 1,
    types: [MatchEnded.type],
    fold,
    reset,
    tables: ['match_results', 'match_players'],
  };
}

/** The result of a match is the first event of its stream; another one there could only be a bug, and changes nothing. */
export function firstResults(events: readonly StoredEvent[]): (StoredEvent & NewEvent<MatchEndedPayload>)[] {
  return events.filter(
    (event): event is StoredEvent & NewEvent<MatchEndedPayload> => event.seq === 1 && isEvent(MatchEnded, event),
  );
}

async function fold(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
  const matches = firstResults(events);
  const results = matches.map(({ position, recordedAtMs, payload }) => ({
    match_id: payload.matchId,
    position,
    room_name: payload.roomName,
    reason: payload.reason,
    created_at_ms: payload.createdAtMs,
    ended_at_ms: recordedAtMs,
    ticks: payload.ticks,
    tick_rate_hz: payload.tickRateHz,
    standings: payload.standings,
  }));
  const players = matches.flatMap(({ position, payload }) => {
    const people = new Map(payload.standings.filter(({ isBot }) => !isBot).map((row) => [row.playerId, row]));
    return [...people.values()].map(({ playerId, rank, ticks, leftTick, score }) => ({
      player_id: playerId,
      position,
      match_id: payload.matchId,
      rank,
      ticks,
      left_tick: leftTick,
      score,
    }));
  });
  await tx.query('insert into match_results select * from jsonb_populate_recordset(null::match_results, $1)', [
    JSON.stringify(results),
  ]);
  await tx.query('insert into match_players select * from jsonb_populate_recordset(null::match_players, $1)', [
    JSON.stringify(players),
  ]);
}

async function reset(tx: Tx): Promise<void> {
  await tx.query('delete from match_results; delete from match_players');
}

export class PostgresResults implements ResultReader {
  readonly #database: Pick<Database, 'query'>;

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  async match(matchId: string): Promise<EndedMatch | undefined> {
    const { rows } = await this.#database.query<EndedMatch>(
      `select match_id as "matchId", room_name as "roomName", reason, created_at_ms as "createdAtMs",
              ended_at_ms as "endedAtMs", ticks, tick_rate_hz as "tickRateHz", standings
       from match_results where match_id = $1`,
      [matchId],
    );
    return rows[0];
  }

  async matchesOf(playerId: string, before: number, limit: number): Promise<readonly PlayedMatch[]> {
    const { rows } = await this.#database.query<PlayedMatch & { leftTick: number | null }>(
      `select p.match_id as "matchId", m.room_name as "roomName", m.reason, m.ended_at_ms as "endedAtMs",
              m.ticks as "matchTicks", m.tick_rate_hz as "tickRateHz", jsonb_array_length(m.standings) as participants,
              p.rank, p.ticks, p.left_tick as "leftTick", p.score, p.position
       from match_players p join match_results m using (match_id)
       where p.player_id = $1 and p.position < $2
       order by p.position desc limit $3`,
      [playerId, before, limit],
    );
    return rows.map((row) => ({ ...row, leftTick: row.leftTick ?? undefined }));
  }
}
