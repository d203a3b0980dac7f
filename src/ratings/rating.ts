/**
 * Ratings: OpenSkill (Weng-Lin, Plackett-Luce) over the results of matches, kept apart by room type. Pure: the same
 * results in the same order give the same numbers to the last bit. What the model sees is in a fixed order, its
 * parameters stand here and not in a default of the package, and what comes out is rounded, so that a last bit in
 * which two engines' exp() differ does not grow.
 */
import type { rate } from 'openskill';
import type { MatchEndedPayload } from '../events/match-events.ts';

/** What a new player begins with, and the model's parameters. Changing one asks for a rebuild: raise the view's version. */
export const MODEL = Object.freeze({ mu: 25, sigma: 25 / 3, beta: 25 / 6, tau: 25 / 300, z: 3 });
/** A rating is provisional until so many matches were rated. */
export const PROVISIONAL_MATCHES = 10;
/** Who was seated for less, or for less than half of a match that is shorter than twice this, is left out. */
export const SEATED_SECONDS_MIN = 30;
/** Decimals of mu and sigma that are kept. */
const ROUNDING = 1e9;

/** How good a player is thought to be, and how unsure that is. */
export interface Rating {
  readonly mu: number;
  readonly sigma: number;
  /** Rated matches so far. */
  readonly matches: number;
}

export const NEW_RATING: Rating = Object.freeze({ mu: MODEL.mu, sigma: MODEL.sigma, matches: 0 });

/** One side of a rated match. */
export interface RatedTeam {
  /** Smaller is better; equal ones drew. */
  readonly rank: number;
  /** Ascending. */
  readonly playerIds: readonly string[];
}

/**
 * Who is rated against whom, in the order in which the model sees them; undefined if the match is not rated: it was not
 * played to its end, or fewer than two sides remain once bots, and who was there too short, are left out. Who left is a
 * side of its own, behind all who stayed: a team does not lose for it.
 */
export function ratedTeams({ reason, ticks, tickRateHz, standings }: MatchEndedPayload): RatedTeam[] | undefined {
  if (reason !== 'completed') return undefined;
  const ticksMin = Math.min(SEATED_SECONDS_MIN * tickRateHz, Math.ceil(ticks / 2));
  const teams = new Map<string, { rank: number; playerIds: string[] }>();
  for (const row of standings) {
    if (row.isBot || row.playerId === '' || row.ticks < ticksMin) continue;
    const isAlone = row.team === undefined || row.leftTick !== undefined;
    const key = isAlone ? `player ${row.playerId}` : `team ${row.team}`;
    const team = teams.get(key);
    if (team === undefined) teams.set(key, { rank: row.rank, playerIds: [row.playerId] });
    else {
      team.rank = Math.min(team.rank, row.rank);
      team.playerIds.push(row.playerId);
    }
  }
  if (teams.size < 2) return undefined;
  for (const { playerIds } of teams.values()) playerIds.sort();
  return [...teams.values()].sort((a, b) => a.rank - b.rank || (a.playerIds[0]! < b.playerIds[0]! ? -1 : 1));
}

/** The new rating of everybody in the teams, in their order. */
export function rateTeams(
  teams: readonly RatedTeam[],
  ratingOf: (playerId: string) => Rating,
  model: typeof rate,
): Map<string, Rating> {
  const before = teams.map(({ playerIds }) => playerIds.map((playerId) => ratingOf(playerId)));
  const after = model(
    before.map((team) => team.map(({ mu, sigma }) => ({ mu, sigma }))),
    { ...MODEL, rank: teams.map(({ rank }) => rank) },
  );
  const rated = new Map<string, Rating>();
  teams.forEach(({ playerIds }, t) => {
    playerIds.forEach((playerId, p) => {
      const { mu, sigma } = after[t]![p]!;
      rated.set(playerId, { mu: rounded(mu), sigma: rounded(sigma), matches: before[t]![p]!.matches + 1 });
    });
  });
  return rated;
}

/** What players are shown: 1,000 for a new one, more for who is surely better; at least 0. */
export function ratingPoints({ mu, sigma }: Pick<Rating, 'mu' | 'sigma'>): number {
  return Math.max(0, Math.round(1_000 + 40 * (mu - MODEL.z * sigma)));
}

/** The package takes some 80 ms to load: not at start, but when the first match is rated, or when asked to. */
export async function loadModel(): Promise<typeof rate> {
  return (await import('openskill')).rate;
}

function rounded(value: number): number {
  return Math.round(value * ROUNDING) / ROUNDING;
}
