/** What makes a match of a mode: its teams, how long anybody waits for what, and what is promised. */
import * as z from 'zod';
import { modeName, roleName, TICKET_LIMITS, type Ticket } from './ticket.ts';

/** Players of one match, bots included. */
export const MATCH_PLAYERS_MAX = 128;

/** Roles of a mode. */
const ROLES_MAX = 6;

const seconds = z.number().min(0).max(3_600);

/** Begins at `start` and grows with the wait, to at most `max`. */
const growing = (most: number) =>
  z
    .strictObject({
      start: z.number().min(0).max(most),
      growthPerSecond: z.number().min(0).max(most),
      max: z.number().min(0).max(most),
    })
    .refine(({ start, max }) => start <= max, 'start is above max');

export const rulesShape = z
  .strictObject({
    mode: modeName,
    /** 1: everybody against everybody, and a party only comes into the same match. */
    teams: z.int().min(1).max(64),
    /** Players of a team; of the match, where `teams` is 1. */
    teamSize: z.int().min(1).max(MATCH_PLAYERS_MAX),
    /** People with whom a match may start that is not full; its teams are of equal size. With roles, all. */
    playersMin: z.int().min(1).max(MATCH_PLAYERS_MAX),
    /** So long a full match is waited for, s. */
    partialAfterSeconds: seconds.default(10),
    /** Distance of two tickets' ratings, in mu (a point that players see is 1/40 of it); both sides have to accept. */
    ratingWindow: growing(1_000).default({ start: 2, growthPerSecond: 0.2, max: 12 }),
    /** Latency to the region, ms. The region nearest to a ticket is always accepted by it. */
    latencyWindowMs: growing(TICKET_LIMITS.latencyMsMax).default({ start: 60, growthPerSecond: 4, max: 250 }),
    /** What a party counts for: the mean of its players, or its best one. */
    partyRating: z.enum(['mean', 'best']).default('mean'),
    /** Null: never. */
    bots: z
      .strictObject({
        /** From this wait on bots fill a match in which people are missing, s. */
        afterSeconds: seconds,
        /** People that such a match has at least; past the deadline one is enough. */
        peopleMin: z.int().min(1).max(MATCH_PLAYERS_MAX).default(1),
        /** Where everybody is against everybody: players with bots. Teams are always filled. */
        fillTo: z.int().min(1).max(MATCH_PLAYERS_MAX).optional(),
        /** What a bot counts for when teams are balanced. */
        mu: z.number().min(-1_000).max(1_000).default(20),
        sigma: z
          .number()
          .positive()
          .max(1_000)
          .default(25 / 3),
      })
      .nullable()
      .default(null),
    /**
     * From this wait on windows do not hold, s. With bots a ticket is then placed in the next cycle, whatever else; without
     * them as soon as enough wait who have not blocked each other and whose parties fit into teams.
     */
    deadlineSeconds: z.number().min(1).max(3_600),
    /** Slots of every team that ask for a role, by role; slots that are left take anybody. */
    roles: z
      .record(roleName, z.int().min(1).max(64))
      .refine((roles) => Object.keys(roles).length <= ROLES_MAX, `at most ${ROLES_MAX} roles`)
      .default({}),
    /** Whom to prefer among those who are acceptable: the sum of these decides, smaller is better. */
    weights: z
      .strictObject({
        /** For 1 mu of distance. */
        rating: z.number().min(0).max(1_000).default(1),
        /** Off for each second of wait, so that the old go first. */
        wait: z.number().min(0).max(1_000).default(0.05),
        /** For each 10 ms to the best region in common. */
        latency: z.number().min(0).max(1_000).default(0.1),
      })
      .prefault({}),
    /** Steps for the search of one match's teams; more makes it slower, and balance better. */
    searchSteps: z.int().min(1).max(100_000).default(2_000),
  })
  .superRefine((rules, context) => {
    const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    const full = rules.teams * rules.teamSize;
    if (full > MATCH_PLAYERS_MAX) fault('teams', `at most ${MATCH_PLAYERS_MAX} players`);
    if (rules.playersMin > full) fault('playersMin', 'more than the teams hold');
    if (rules.bots !== null) {
      if (rules.bots.afterSeconds > rules.deadlineSeconds) fault('bots', 'afterSeconds is past the deadline');
      if (rules.bots.peopleMin > full) fault('bots', 'peopleMin is more than a match holds');
      if ((rules.bots.fillTo ?? 1) > full) fault('bots', 'fillTo is more than a match holds');
    }
    const slots = Object.values(rules.roles).reduce((sum, count) => sum + count, 0);
    if (slots > rules.teamSize) fault('roles', 'more slots than a team has players');
    if (slots > 0 && rules.playersMin < full) fault('playersMin', 'with roles a match is full, or bots fill it');
  });

/** The rules of one mode. */
export type Rules = z.output<typeof rulesShape>;
/** As somebody writes them down: what has a default may be left out. */
export type RulesInput = z.input<typeof rulesShape>;

/** @throws z.ZodError naming every fault */
export function defineRules(rules: RulesInput): Rules {
  return rulesShape.parse(rules);
}

/** Everybody against everybody in the arena: a small match soon, with bots when nobody comes. */
export function arenaRules({
  playersMax,
  botsFillTo,
}: {
  /** Seats of a room. */
  readonly playersMax: number;
  /** Players and bots; 0 or 1: no bots but for who would be alone. */
  readonly botsFillTo: number;
}): Rules {
  return defineRules({
    mode: 'arena',
    teams: 1,
    teamSize: playersMax,
    playersMin: Math.min(2, playersMax),
    partialAfterSeconds: 6,
    ratingWindow: { start: 3, growthPerSecond: 0.5, max: 15 },
    latencyWindowMs: { start: 60, growthPerSecond: 6, max: 250 },
    bots: { afterSeconds: 12, fillTo: Math.min(playersMax, Math.max(2, botsFillTo)) },
    deadlineSeconds: 30,
  });
}

/** An example with teams: four against four, fair before fast, with bots when half of them are there. */
export const FOUR_VS_FOUR: Rules = Object.freeze(
  defineRules({
    mode: 'arena-4v4',
    teams: 2,
    teamSize: 4,
    playersMin: 8,
    ratingWindow: { start: 2, growthPerSecond: 0.15, max: 10 },
    latencyWindowMs: { start: 60, growthPerSecond: 3, max: 200 },
    bots: { afterSeconds: 45, peopleMin: 4 },
    deadlineSeconds: 90,
  }),
);

/** Players of a full match. */
export function playersFull({ teams, teamSize }: Rules): number {
  return teams * teamSize;
}

/** Rating window of a ticket after that wait, in mu. */
export function ratingWindowOf({ ratingWindow }: Rules, waitedMs: number): number {
  return grown(ratingWindow, waitedMs);
}

/** Latency window of a ticket after that wait, ms, before its nearest region is considered. */
export function latencyWindowMsOf({ latencyWindowMs }: Rules, waitedMs: number): number {
  return grown(latencyWindowMs, waitedMs);
}

function grown({ start, growthPerSecond, max }: Rules['ratingWindow'], waitedMs: number): number {
  return Math.min(max, start + growthPerSecond * (Math.max(0, waitedMs) / 1_000));
}

/** What a party counts for against the rating window, in mu. */
export function ticketRating({ partyRating }: Pick<Rules, 'partyRating'>, players: Ticket['players']): number {
  if (partyRating === 'best') return players.reduce((best, { mu }) => Math.max(best, mu), -Infinity);
  return players.reduce((sum, { mu }) => sum + mu, 0) / players.length;
}
