/** The view `ratings`: how good players are thought to be, and how every match changed that. */
import type { StoredEvent } from '../events/event-log.ts';
import { MatchEnded } from '../events/match-events.ts';
import type { Projection } from '../events/projection.ts';
import { loadModel, NEW_RATING, type RatedTeam, type Rating, ratedTeams, rateTeams } from '../ratings/rating.ts';
import type { PlayerRating, RatingChange, RatingReader } from '../ratings/rating-reader.ts';
import type { Database, Tx } from './database.ts';
import { firstResults } from './postgres-results-view.ts';

export function ratingsView(): Projection<Tx> {
  return { name: 'ratings', version: 1, types: [MatchEnded.type], fold, reset, tables: ['ratings', 'rating_history'] };
}

interface RatedMatch {
  readonly matchId: string;
  readonly mode: string;
  readonly position: number;
  readonly ratedAtMs: number;
  readonly teams: readonly RatedTeam[];
}

/** Matches in the order of the log; every rating is read once a page, and written once. */
async function fold(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
  const matches: RatedMatch[] = [];
  for (const { position, recordedAtMs, payload } of firstResults(events)) {
    const teams = ratedTeams(payload);
    if (teams === undefined) continue;
    matches.push({ matchId: payload.matchId, mode: payload.roomName, position, ratedAtMs: recordedAtMs, teams });
  }
  if (matches.length === 0) return;
  const model = await loadModel();
  const ratings = await readRatings(tx, matches);
  const changed = new Map<string, object>();
  const changes: object[] = [];
  for (const { matchId, mode, position, ratedAtMs, teams } of matches) {
    const ratingOf = (playerId: string): Rating => ratings.get(keyOf(mode, playerId)) ?? NEW_RATING;
    const rated = rateTeams(teams, ratingOf, model);
    for (const [playerId, { mu, sigma, matches: count }] of rated) {
      const before = ratingOf(playerId);
      changes.push({
        mode,
        player_id: playerId,
        position,
        match_id: matchId,
        rated_at_ms: ratedAtMs,
        mu_before: before.mu,
        sigma_before: before.sigma,
        mu,
        sigma,
        matches: count,
      });
      changed.set(keyOf(mode, playerId), { mode, player_id: playerId, mu, sigma, matches: count });
    }
    for (const [playerId, rating] of rated) ratings.set(keyOf(mode, playerId), rating);
  }
  await tx.query('insert into rating_history select * from json_populate_recordset(null::rating_history, $1)', [
    JSON.stringify(changes),
  ]);
  await tx.query(
    `insert into ratings select * from json_populate_recordset(null::ratings, $1)
     on conflict (player_id, mode) do update
       set mu = excluded.mu, sigma = excluded.sigma, matches = excluded.matches`,
    [JSON.stringify([...changed.values()])],
  );
}

async function readRatings(tx: Tx, matches: readonly RatedMatch[]): Promise<Map<string, Rating>> {
  const wanted = new Map<string, { mode: string; playerId: string }>();
  for (const { mode, teams } of matches) {
    for (const playerId of teams.flatMap(({ playerIds }) => playerIds)) {
      wanted.set(keyOf(mode, playerId), { mode, playerId });
    }
  }
  const who = [...wanted.values()];
  const { rows } = await tx.query<PlayerRating & { playerId: string }>(
    `select mode, player_id as "playerId", mu, sigma, matches
     from ratings join unnest($1::text[], $2::text[]) as wanted (player_id, mode) using (player_id, mode)`,
    [who.map(({ playerId }) => playerId), who.map(({ mode }) => mode)],
  );
  return new Map(
    rows.map(({ mode, playerId, mu, sigma, matches: n }) => [keyOf(mode, playerId), { mu, sigma, matches: n }]),
  );
}

function keyOf(mode: string, playerId: string): string {
  return `${mode} ${playerId}`;
}

async function reset(tx: Tx): Promise<void> {
  await tx.query('delete from ratings; delete from rating_history');
}

export class PostgresRatings implements RatingReader {
  readonly #database: Pick<Database, 'query'>;

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  async ratingsOf(playerId: string): Promise<readonly PlayerRating[]> {
    const { rows } = await this.#database.query<PlayerRating>(
      'select mode, mu, sigma, matches from ratings where player_id = $1 order by mode',
      [playerId],
    );
    return rows;
  }

  async historyOf(playerId: string, mode: string, before: number, limit: number): Promise<readonly RatingChange[]> {
    const { rows } = await this.#database.query<RatingChange>(
      `select match_id as "matchId", rated_at_ms as "ratedAtMs", mu_before as "muBefore", sigma_before as "sigmaBefore",
              mu, sigma, matches, position
       from rating_history where player_id = $1 and mode = $2 and position < $3
       order by position desc limit $4`,
      [playerId, mode, before, limit],
    );
    return rows;
  }
}
