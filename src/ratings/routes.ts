/** Questions about ratings. */
import * as z from 'zod';
import { defineRoute, type Route } from '../api/route.ts';
import { PROVISIONAL_MATCHES, ratingPoints } from './rating.ts';
import type { PlayerRating, RatingReader } from './rating-reader.ts';

const PAGE_MAX = 100;

const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const mode = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

const ratings = z.strictObject({
  ratings: z.array(
    z.strictObject({
      mode: z.string(),
      /** What to show: 1,000 for a new player. */
      points: z.int(),
      /** True until enough matches were rated. */
      isProvisional: z.boolean(),
      matches: z.int(),
      mu: z.number(),
      sigma: z.number(),
    }),
  ),
});

const history = z.strictObject({
  changes: z.array(
    z.strictObject({
      matchId: z.string(),
      ratedAtMs: z.int(),
      pointsBefore: z.int(),
      points: z.int(),
      isProvisional: z.boolean(),
    }),
  ),
  /** `before` of the next page; null when there is none. */
  next: z.int().nullable(),
});

export function ratingRoutes({ ratings: reader }: { readonly ratings: RatingReader }): Route[] {
  const of = async (id: string): Promise<z.input<typeof ratings>> => ({
    ratings: (await reader.ratingsOf(id)).map(published),
  });
  return [
    defineRoute({
      method: 'GET',
      path: '/api/players/:playerId/ratings',
      summary: 'Ratings of a player, by mode',
      tag: 'ratings',
      role: 'player',
      params: z.strictObject({ playerId }),
      answer: ratings,
      run: ({ params }) => of(params.playerId),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me/ratings',
      summary: 'Your own ratings, by mode',
      tag: 'ratings',
      role: 'player',
      answer: ratings,
      run: ({ caller }) => of(caller.playerId),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/players/:playerId/ratings/:mode',
      summary: 'How a rating came about, the newest match first',
      tag: 'ratings',
      role: 'player',
      params: z.strictObject({ playerId, mode }),
      query: z.strictObject({
        before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
        limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(20),
      }),
      answer: history,
      async run({ params, query }) {
        const { before = Number.MAX_SAFE_INTEGER, limit } = query;
        const found = await reader.historyOf(params.playerId, params.mode, before, limit + 1);
        const shown = found.slice(0, limit);
        return {
          changes: shown.map(({ matchId, ratedAtMs, muBefore, sigmaBefore, mu, sigma, matches }) => ({
            matchId,
            ratedAtMs,
            pointsBefore: ratingPoints({ mu: muBefore, sigma: sigmaBefore }),
            points: ratingPoints({ mu, sigma }),
            isProvisional: matches < PROVISIONAL_MATCHES,
          })),
          next: found.length > limit ? shown.at(-1)!.position : null,
        };
      },
    }),
  ];
}

function published({ mode: name, mu, sigma, matches }: PlayerRating): z.input<typeof ratings>['ratings'][number] {
  const points = ratingPoints({ mu, sigma });
  return { mode: name, points, isProvisional: matches < PROVISIONAL_MATCHES, matches, mu, sigma };
}
