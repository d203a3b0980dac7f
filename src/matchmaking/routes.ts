/** Matchmaking over HTTP: tickets, parties, and where to measure latency. Questions may wait for news (long poll). */
import * as z from 'zod';
import { type Caller, defineRoute, type Route } from '../api/route.ts';
import { ERRORS, type ErrorCode } from '../kernel/errors.ts';
import { checkName } from '../kernel/names.ts';
import { type Entrant, type Matchmaking, POLL_MS } from './matchmaking.ts';
import { CODE_CHARS } from './parties.ts';
import { modeName, regionName, TICKET_LIMITS, WAIT_CODES } from './ticket.ts';

const TAG = 'matchmaking';

const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const code = z
  .string()
  .regex(new RegExp(`^[0-9A-Za-z]{${CODE_CHARS}}$`))
  .describe('As it is shown; small letters count as capitals.');

/** What a client measured; above the bound of a value, the bound counts. */
export const measuredLatencies = z
  .record(regionName, z.number().min(0).max(60_000))
  .refine((given) => Object.keys(given).length <= TICKET_LIMITS.regionsMax, 'too many regions')
  .default({})
  .describe('Round trip to each region of GET /api/matchmaking/regions, ms; empty if it was not measured.');
const name = z.string().max(80).optional().describe('How the match shall name the player: 1 to 20 visible characters.');
const entrance = { latencies: measuredLatencies, name };
export const ticketRequest = z.strictObject({ mode: modeName, ...entrance });

const poll = z.strictObject({
  after: z.string().max(80).optional().describe('The `tag` that is known: the answer waits until there is another.'),
  waitSeconds: z.coerce
    .number()
    .int()
    .min(0)
    .max(POLL_MS / 1000)
    .default(POLL_MS / 1000),
});

const refusalCode = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);

/** Codes and their numbers; numbers that a code does not have are left out. */
const why = z.strictObject({
  code: z.enum(WAIT_CODES),
  waitedMs: z.int(),
  /** Until the deadline; null where this wait has no promised end. */
  placedInMs: z.int().nullable(),
  size: z.int().optional(),
  sizeMax: z.int().optional(),
  ticketId: z.string().optional(),
  players: z.int().optional(),
  playersMin: z.int().optional(),
  playersWanted: z.int().optional(),
  candidates: z.int().optional(),
  blocked: z.int().optional(),
  withinMin: z.number().optional(),
  withinMax: z.number().optional(),
  withinMs: z.number().optional(),
  startsInMs: z.int().nullable().optional(),
});

const seat = z.strictObject({
  name: z.string(),
  sessionId: z.string(),
  roomId: z.string(),
  processId: z.string(),
  publicAddress: z.string().optional(),
});

const ticket = z.strictObject({
  ticketId: z.string(),
  mode: z.string(),
  /** Changes with everything that is news; for `after`. */
  tag: z.string(),
  state: z.enum(['queued', 'ready-check', 'matched', 'cancelled']),
  partyId: z.string().nullable(),
  playerIds: z.array(z.string()),
  waitedMs: z.int(),
  /** 1 for who has waited longest; null when it does not wait. */
  position: z.int().nullable(),
  /** Tickets in the queue. */
  queueSize: z.int(),
  /** Why it waits, as of the last look at it. */
  why: why.nullable(),
  /** By what others waited lately; null when nobody did. */
  estimatedMs: z.int().nullable(),
  readyCheck: z
    .strictObject({
      remainingMs: z.int(),
      /** Who is asked, and how many of them are ready. */
      players: z.int(),
      ready: z.int(),
      /** You are asked and have not answered. */
      isAsked: z.boolean(),
    })
    .nullable(),
  match: z
    .strictObject({
      matchId: z.string(),
      /** For `consumeSeatReservation` of the SDK; held for some seconds. */
      seat: seat.nullable(),
    })
    .nullable(),
  /** Why it was cancelled. */
  code: refusalCode.nullable(),
  /** Whose doing that was. */
  byPlayerId: z.string().nullable(),
});

const party = z.strictObject({
  partyId: z.string(),
  /** Changes with everything that is news; for `after`. */
  tag: z.string(),
  leaderId: z.string(),
  playersMax: z.int(),
  /** Invitation. */
  code: z.string(),
  /** 0: it is over; the leader can have another. */
  codeRemainingMs: z.int(),
  members: z.array(z.strictObject({ playerId: z.string(), name: z.string().nullable() })),
  /** The ticket on which all of them wait. */
  ticketId: z.string().nullable(),
});

/** Who comes, from what a request says. @throws GameError NAME_INVALID */
export function entrantOf(
  { sessionId: signInId, ...identity }: Caller,
  {
    latencies,
    name: wanted,
  }: { readonly latencies: Readonly<Record<string, number>>; readonly name?: string | undefined },
): Entrant {
  return { identity: { ...identity, signInId }, latencies, name: wanted === undefined ? null : checkName(wanted) };
}

export function matchmakingRoutes(matchmaking: Matchmaking): Route[] {
  return [...ticketRoutes(matchmaking), ...partyRoutes(matchmaking)];
}

function ticketRoutes(matchmaking: Matchmaking): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api/matchmaking/regions',
      summary: 'Where matches are played, and where to measure the way to it; and the modes that have a queue',
      tag: TAG,
      role: 'player',
      answer: z.strictObject({
        regions: z.array(
          z.strictObject({
            region: z.string(),
            /** URL, or a path of the address that was asked. The time of a GET is the latency; any page may send it. */
            pingUrl: z.string(),
          }),
        ),
        modes: z.array(
          z.strictObject({
            mode: z.string(),
            /** Players of a match, at most. */
            playersMax: z.int(),
            /** Of a party. */
            partyMax: z.int(),
          }),
        ),
      }),
      run: () => ({
        regions: matchmaking.regions().map(({ region, pingUrl }) => ({ region, pingUrl })),
        modes: matchmaking.modes.map(({ rules }) => ({
          mode: rules.mode,
          playersMax: rules.teams * rules.teamSize,
          partyMax: Math.min(rules.teamSize, matchmaking.partyMax),
        })),
      }),
    }),
    defineRoute({
      method: 'POST',
      path: '/api/matchmaking/tickets',
      summary: 'Queues for a match, with the whole party that you lead',
      tag: TAG,
      role: 'player',
      body: ticketRequest,
      answer: ticket,
      status: 201,
      refusals: [
        'MODE_UNKNOWN',
        'TICKET_EXISTS',
        'PARTY_NOT_LEADER',
        'PARTY_FULL',
        'NAME_INVALID',
        'DRAINING',
        'OVERLOADED',
        'STORE_UNAVAILABLE',
        'DATABASE_UNAVAILABLE',
      ],
      run: async ({ caller, body, key }) => matchmaking.enqueue(entrantOf(caller, body), body.mode, key ?? null),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/matchmaking/tickets/mine',
      summary: 'Your newest ticket: where it stands, why it waits, and your seat once there is one',
      tag: TAG,
      role: 'player',
      query: poll,
      answer: ticket,
      refusals: ['TICKET_UNKNOWN', 'OVERLOADED', 'STORE_UNAVAILABLE'],
      run: ({ caller, query, signal }) => matchmaking.ticketOf(caller.playerId, waitOf(query, signal)),
    }),
    defineRoute({
      method: 'DELETE',
      path: '/api/matchmaking/tickets/mine',
      summary: 'Cancels your ticket, for your whole party; what has ended stays as it is',
      tag: TAG,
      role: 'player',
      answer: ticket,
      refusals: ['TICKET_UNKNOWN', 'OVERLOADED', 'STORE_UNAVAILABLE'],
      run: ({ caller }) => matchmaking.cancel(caller.playerId),
    }),
    defineRoute({
      method: 'PUT',
      path: '/api/matchmaking/tickets/mine/ready',
      summary: 'Answers a ready check; a "no" cannot be taken back',
      tag: TAG,
      role: 'player',
      body: z.strictObject({ isReady: z.boolean() }),
      answer: ticket,
      refusals: ['TICKET_UNKNOWN', 'OVERLOADED', 'STORE_UNAVAILABLE'],
      run: ({ caller, body }) => matchmaking.answerReadyCheck(caller.playerId, body.isReady),
    }),
  ];
}

function partyRoutes(matchmaking: Matchmaking): Route[] {
  const mine = '/api/matchmaking/parties/mine';
  const refusals = ['PARTY_UNKNOWN', 'OVERLOADED', 'STORE_UNAVAILABLE'] as const;
  return [
    defineRoute({
      method: 'POST',
      path: '/api/matchmaking/parties',
      summary: 'A party of your own, with a code to invite others',
      tag: TAG,
      role: 'player',
      body: z.strictObject(entrance),
      answer: party,
      status: 201,
      refusals: ['PARTY_MEMBER', 'NAME_INVALID', 'DRAINING', 'OVERLOADED', 'STORE_UNAVAILABLE'],
      run: async ({ caller, body }) => matchmaking.createParty(entrantOf(caller, body)),
    }),
    defineRoute({
      method: 'POST',
      path: '/api/matchmaking/parties/join',
      summary: 'Comes into the party of an invitation; what either waited for is cancelled',
      tag: TAG,
      role: 'player',
      body: z.strictObject({ code, ...entrance }),
      answer: party,
      refusals: [...refusals, 'PARTY_FULL', 'PARTY_MEMBER', 'NAME_INVALID', 'DRAINING'],
      run: async ({ caller, body, network }) =>
        matchmaking.joinParty(entrantOf(caller, body), body.code.toUpperCase(), network),
    }),
    defineRoute({
      method: 'GET',
      path: mine,
      summary: 'Your party: who is in it, and whether it waits for a match',
      tag: TAG,
      role: 'player',
      query: poll,
      answer: party,
      refusals,
      run: ({ caller, query, signal }) => matchmaking.partyOf(caller.playerId, waitOf(query, signal)),
    }),
    defineRoute({
      method: 'DELETE',
      path: mine,
      summary: 'Leaves the party; who came next leads it, and its ticket is cancelled',
      tag: TAG,
      role: 'player',
      answer: z.strictObject({}),
      refusals: ['OVERLOADED', 'STORE_UNAVAILABLE'],
      run: async ({ caller }) => {
        await matchmaking.leaveParty(caller.playerId);
        return {};
      },
    }),
    defineRoute({
      method: 'PUT',
      path: `${mine}/me`,
      summary: 'What is new of you: latencies as measured, and a name',
      tag: TAG,
      role: 'player',
      body: z.strictObject(entrance),
      answer: party,
      refusals: [...refusals, 'NAME_INVALID'],
      run: async ({ caller, body }) => matchmaking.updateMember(entrantOf(caller, body)),
    }),
    defineRoute({
      method: 'POST',
      path: `${mine}/code`,
      summary: 'A new invitation for the party that you lead; the old one is void',
      tag: TAG,
      role: 'player',
      answer: party,
      refusals: [...refusals, 'PARTY_NOT_LEADER'],
      run: ({ caller }) => matchmaking.renewCode(caller.playerId),
    }),
    defineRoute({
      method: 'DELETE',
      path: `${mine}/members/:playerId`,
      summary: 'Puts somebody out of the party that you lead; its ticket is cancelled',
      tag: TAG,
      role: 'player',
      params: z.strictObject({ playerId }),
      answer: party,
      refusals: [...refusals, 'PARTY_NOT_LEADER'],
      run: ({ caller, params }) => matchmaking.kick(caller.playerId, params.playerId),
    }),
  ];
}

function waitOf({ after, waitSeconds }: z.output<typeof poll>, signal: AbortSignal) {
  return { ...(after === undefined ? {} : { tag: after }), waitMs: waitSeconds * 1000, signal };
}
