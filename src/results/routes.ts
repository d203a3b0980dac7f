/** Questions about matches that have ended. */
import * as z from 'zod';
import { defineRoute, type Route } from '../api/route.ts';
import { GameError } from '../kernel/errors.ts';
import { MATCH_ID } from '../kernel/match-header.ts';
import type { PlayedMatch, ResultReader } from './result-reader.ts';

export interface ResultRoutesDeps {
  readonly results: ResultReader;
  /** Display names as they are now; who has none, or was erased, is missing. */
  readonly namesOf: (playerIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

const PAGE_MAX = 50;

const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const score = z.record(z.string(), z.int());
const reason = z.enum(['completed', 'abandoned', 'shutdown']);
const page = z.strictObject({
  before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(20),
});

const match = z.strictObject({
  matchId: z.string(),
  roomName: z.string(),
  reason,
  createdAtMs: z.int(),
  endedAtMs: z.int(),
  ticks: z.int(),
  tickRateHz: z.int(),
  standings: z.array(
    z.strictObject({
      seat: z.int(),
      /** Empty for a bot. */
      playerId: z.string(),
      /** Empty for a bot and for who has no name any more. */
      name: z.string(),
      isBot: z.boolean(),
      team: z.int().optional(),
      rank: z.int(),
      ticks: z.int(),
      leftTick: z.int().optional(),
      score,
    }),
  ),
});

const history = z.strictObject({
  matches: z.array(
    z.strictObject({
      matchId: z.string(),
      roomName: z.string(),
      reason,
      endedAtMs: z.int(),
      matchTicks: z.int(),
      tickRateHz: z.int(),
      participants: z.int(),
      rank: z.int(),
      ticks: z.int(),
      leftTick: z.int().optional(),
      score,
    }),
  ),
  /** `before` of the next page; null when there is none. */
  next: z.int().nullable(),
});

export function resultRoutes({ results, namesOf }: ResultRoutesDeps): Route[] {
  const historyOf = async (id: string, { before, limit }: z.output<typeof page>): Promise<z.input<typeof history>> => {
    // One more than wanted tells whether there is a next page.
    const found = await results.matchesOf(id, before ?? Number.MAX_SAFE_INTEGER, limit + 1);
    const shown = found.slice(0, limit);
    return { matches: shown.map(published), next: found.length > limit ? shown.at(-1)!.position : null };
  };
  return [
    defineRoute({
      method: 'GET',
      path: '/api/matches/:matchId',
      summary: 'How a match ended',
      tag: 'matches',
      role: 'player',
      params: z.strictObject({ matchId: z.string().regex(MATCH_ID) }),
      answer: match,
      refusals: ['NOT_FOUND'],
      async run({ params }) {
        const found = await results.match(params.matchId);
        if (found === undefined) throw new GameError('NOT_FOUND');
        const people = found.standings.filter(({ isBot }) => !isBot).map((row) => row.playerId);
        const names = await namesOf(people);
        return { ...found, standings: found.standings.map((row) => ({ ...row, name: names.get(row.playerId) ?? '' })) };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/players/:playerId/matches',
      summary: 'Matches of a player, the newest first',
      tag: 'matches',
      role: 'player',
      params: z.strictObject({ playerId }),
      query: page,
      answer: history,
      run: ({ params, query }) => historyOf(params.playerId, query),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me/matches',
      summary: 'Your own matches, the newest first',
      tag: 'matches',
      role: 'player',
      query: page,
      answer: history,
      run: ({ caller, query }) => historyOf(caller.playerId, query),
    }),
  ];
}

function published({ position: _, leftTick, ...row }: PlayedMatch): z.input<typeof history>['matches'][number] {
  return { ...row, score: { ...row.score }, ...(leftTick === undefined ? {} : { leftTick }) };
}
