/**
 * What the matcher is given and what it answers: tickets, running matches that want more players, and matches. Plain
 * data, so that a store can keep it as JSON; the shapes here are what a store, a file or another process is held to.
 */
import * as z from 'zod';

/** Everything here is bounded: a pool of 10,000 tickets at every bound still fits into memory. */
export const TICKET_LIMITS = Object.freeze({
  /** Players of one party. */
  partyMax: 16,
  /** Regions of one ticket that have a latency. */
  regionsMax: 16,
  /** Latencies above this are taken for this, ms. */
  latencyMsMax: 1_000,
  /** Players that the players of one ticket do not want to meet, all together. */
  blockedMax: 1_000,
  /** Roles that one player offers to play. */
  rolesMax: 8,
});

/** Names of modes, as ratings know them. */
export const modeName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
export const regionName = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/);
export const roleName = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/);
const id = z.string().min(1).max(64);

const mu = z.number().min(-1_000).max(1_000);
const sigma = z.number().positive().max(1_000);

/** Latency by region, ms. What a client says goes through {@link clampLatencies} first. */
export const latencies = z
  .record(regionName, z.int().min(0).max(TICKET_LIMITS.latencyMsMax))
  .refine((given) => Object.keys(given).length <= TICKET_LIMITS.regionsMax, 'too many regions');

export const ticketPlayer = z.strictObject({
  playerId: id,
  /** Of this mode, stamped by the server; never the client's word. */
  mu,
  sigma,
  /** What this player offers to play; without it, anything. */
  roles: z.array(roleName).min(1).max(TICKET_LIMITS.rolesMax).optional(),
});

export const ticketShape = z.strictObject({
  ticketId: id,
  mode: modeName,
  players: z.array(ticketPlayer).min(1).max(TICKET_LIMITS.partyMax),
  /** Of the party: for each region the worst of its players. Empty: not measured, any region will do. */
  latencies,
  /** When the wait began, ms since 1970. A ticket that is queued again keeps it, and with it its age. */
  createdAtMs: z.int().min(0),
  /** Whom nobody of this party is to meet; one side is enough. */
  blocked: z.array(id).max(TICKET_LIMITS.blockedMax).default([]),
  /** May be put into a match that runs already. */
  acceptsBackfill: z.boolean().default(true),
});

export const backfillPlayer = z.strictObject({
  playerId: id,
  mu,
  sigma,
  /** Index of the team. */
  team: z.int().min(0).max(63),
  /** The role slot that the player fills, in modes with roles. */
  role: roleName.optional(),
  blocked: z.array(id).max(TICKET_LIMITS.blockedMax).default([]),
});

export const backfillShape = z.strictObject({
  matchId: id,
  mode: modeName,
  /** Where it runs; null where nobody measures. */
  region: regionName.nullable(),
  /** Seats that are free, by team. */
  freeSeats: z.array(z.int().min(0).max(128)).min(1).max(64),
  /** Who plays; bots are not among them. */
  players: z.array(backfillPlayer).max(128),
  /** Since when it looks for players, ms since 1970. Its windows widen from then on. */
  createdAtMs: z.int().min(0),
});

/** A player of a ticket, with the rating that the server knows. */
export type TicketPlayer = Readonly<z.output<typeof ticketPlayer>>;
/** One party, which is never split; who plays alone is a party of one. */
export type Ticket = Readonly<Omit<z.output<typeof ticketShape>, 'players' | 'blocked' | 'latencies'>> & {
  readonly players: readonly TicketPlayer[];
  readonly latencies: Readonly<Record<string, number>>;
  readonly blocked: readonly string[];
};
export type BackfillPlayer = Readonly<z.output<typeof backfillPlayer>>;
/** A running match that has free seats and wants them taken. */
export type Backfill = Readonly<Omit<z.output<typeof backfillShape>, 'players' | 'freeSeats'>> & {
  readonly freeSeats: readonly number[];
  readonly players: readonly BackfillPlayer[];
};

/** How good a match is, as far as it can be known before. */
export interface MatchQuality {
  /** Largest distance of the ratings (mu) of two tickets in it. */
  readonly ratingGap: number;
  /** Mean distance from one half of the chance that a side comes before another, by OpenSkill, 0 to 0.5. */
  readonly winProbabilityError: number;
  /** Worst latency of a ticket to the region, ms; null where nobody measured. */
  readonly latencyMsMax: number | null;
  /** Of the oldest ticket, ms. */
  readonly waitMsMax: number;
  /** A ticket in it was past the deadline, so windows may have been passed. */
  readonly isOverdue: boolean;
}

/** A new match. */
export interface Match {
  readonly mode: string;
  /** Where all of them accept to play; null if none of them measured any. */
  readonly region: string | null;
  /** By team; one list with everybody where everybody is against everybody. */
  readonly teams: readonly (readonly Ticket[])[];
  /** Bots to add, by team. */
  readonly bots: readonly number[];
  /** By player id, in modes with roles: the slot each one fills. Who has none fills a free one. */
  readonly roles: Readonly<Record<string, string>>;
  readonly quality: MatchQuality;
}

/** Tickets for the free seats of a running match. */
export interface Backfilled {
  readonly matchId: string;
  /** By team, as in the request. */
  readonly teams: readonly (readonly Ticket[])[];
  readonly roles: Readonly<Record<string, string>>;
}

/**
 * Why a ticket waits: the first thing that stands in its way. All numbers are those of the last cycle.
 *
 * - `PARTY_SIZE`, `ROLES`: no match of this mode can take the party as it is.
 * - `DUPLICATE`: one of its players waits with an older ticket, or is in it twice.
 * - `TOO_FEW`: not enough players wait in the whole pool.
 * - `RATING_WINDOW`, `LATENCY`, `BLOCKED`: enough players wait, but too few of those within the rating window, of those
 *   with a region in common, of those who have not blocked each other (named in this order).
 * - `ROLES_SHORT`: enough players, but not with the roles that the teams ask for.
 * - `COMBINATION`: enough players, but no set of them goes together: parties into teams, and all windows at once.
 * - `FILLING`: enough players for a small match; a fuller one is waited for.
 */
export type WaitReason = {
  /** Since it was queued first, ms. */
  readonly waitedMs: number;
  /** Until the deadline, ms; 0 past it, null where this wait has no promised end. */
  readonly placedInMs: number | null;
} & WaitCause;

export type WaitCause =
  | { readonly code: 'PARTY_SIZE'; readonly size: number; readonly sizeMax: number }
  | { readonly code: 'ROLES' }
  | { readonly code: 'DUPLICATE'; readonly ticketId: string }
  | { readonly code: 'TOO_FEW'; readonly players: number; readonly playersMin: number }
  /** `candidates`: other players with ratings (mu) from `withinMin` to `withinMax` who accept this one, too. */
  | {
      readonly code: 'RATING_WINDOW';
      readonly withinMin: number;
      readonly withinMax: number;
      readonly candidates: number;
      readonly playersMin: number;
    }
  /** `candidates`: of those, players who accept a region within `withinMs` that this one accepts. */
  | { readonly code: 'LATENCY'; readonly withinMs: number; readonly candidates: number; readonly playersMin: number }
  | { readonly code: 'BLOCKED'; readonly candidates: number; readonly blocked: number; readonly playersMin: number }
  | { readonly code: 'ROLES_SHORT'; readonly candidates: number }
  | { readonly code: 'COMBINATION'; readonly candidates: number }
  | {
      readonly code: 'FILLING';
      readonly players: number;
      readonly playersWanted: number;
      readonly startsInMs: number | null;
    };

export const WAIT_CODES = [
  'PARTY_SIZE',
  'ROLES',
  'DUPLICATE',
  'TOO_FEW',
  'RATING_WINDOW',
  'LATENCY',
  'BLOCKED',
  'ROLES_SHORT',
  'COMBINATION',
  'FILLING',
] as const satisfies readonly WaitCause['code'][];

/**
 * Latencies as a client measured them, made safe: whole ms from 0 to `latencyMsMax`, by regions that exist, at most
 * `regionsMax` of them (the nearest). What is no number is left out.
 */
export function clampLatencies(
  measured: Readonly<Record<string, unknown>>,
  isRegion: (name: string) => boolean = () => true,
): Record<string, number> {
  const safe: [string, number][] = [];
  for (const [name, ms] of Object.entries(measured)) {
    if (typeof ms !== 'number' || Number.isNaN(ms) || !regionName.safeParse(name).success || !isRegion(name)) continue;
    safe.push([name, Math.round(Math.min(Math.max(ms, 0), TICKET_LIMITS.latencyMsMax))]);
  }
  safe.sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  return Object.fromEntries(safe.slice(0, TICKET_LIMITS.regionsMax));
}

/** Latencies of a party: by region that all who measured anything have, the worst of them. */
export function partyLatencies(ofPlayers: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const measured = ofPlayers.filter((one) => Object.keys(one).length > 0);
  const [first, ...others] = measured;
  if (first === undefined) return {};
  const common = Object.keys(first).filter((region) => others.every((one) => Object.hasOwn(one, region)));
  return Object.fromEntries(common.map((region) => [region, Math.max(...measured.map((one) => one[region]!))]));
}
