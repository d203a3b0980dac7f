/** HTTP routes of leaderboards. */
import * as z from 'zod';
import { defineRoute, type Route } from '../api/route.ts';
import { GameError } from '../kernel/errors.ts';
import { PAGE_MAX } from './board-index.ts';
import { CURSOR_CHARS_MAX } from './cursor.ts';
import type { Leaderboards } from './leaderboards.ts';

const TAG = 'leaderboards';
/** Rows before and after a player at most. */
const REACH_MAX = 50;

const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const seasonId = z.string().regex(/^(?:all|\d{4}-\d{2}-\d{2})$/);
const params = z.strictObject({ board: z.string().min(1).max(48) });
const row = z.strictObject({
  rank: z.int().min(1).describe('Dense: equal scores share a rank, the next different score has the next one.'),
  playerId: z.string(),
  name: z.string().nullable(),
  score: z.int(),
  hasMoved: z.boolean().describe('It changed after the first page, which may have shown it elsewhere.'),
});
const seasonFacts = {
  board: z.string(),
  season: z.string().describe('Local date on which it begins, or `all`.'),
  startsAtMs: z.int(),
  endsAtMs: z.int().nullable(),
};
const rowsAnswer = z.strictObject({ ...seasonFacts, rows: z.array(row) });
const REFUSALS = ['BOARD_UNKNOWN', 'SEASON_UNKNOWN', 'STORE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'] as const;

export function leaderboardRoutes(leaderboards: Leaderboards): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api/leaderboards',
      summary: 'Every leaderboard with its present season',
      tag: TAG,
      role: 'nobody',
      answer: z.strictObject({
        boards: z.array(
          z.strictObject({
            ...seasonFacts,
            title: z.string(),
            operator: z.enum(['best', 'latest', 'sum']),
            order: z.enum(['descending', 'ascending']),
            every: z.enum(['day', 'week', 'month']).nullable(),
            timeZone: z.string().nullable(),
          }),
        ),
      }),
      run: () => ({
        boards: leaderboards.list().map(({ board, season }) => ({
          board: board.id,
          title: board.title,
          operator: board.operator,
          order: board.order,
          every: board.calendar?.every ?? null,
          timeZone: board.calendar?.timeZone ?? null,
          season: season.id,
          startsAtMs: season.startsAtMs,
          endsAtMs: season.endsAtMs ?? null,
        })),
      }),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/leaderboards/:board',
      summary: 'A page of a leaderboard, best first',
      tag: TAG,
      role: 'nobody',
      params,
      query: z.strictObject({
        season: seasonId.optional(),
        cursor: z.string().min(1).max(CURSOR_CHARS_MAX).optional(),
        limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(25),
      }),
      answer: z.strictObject({
        ...seasonFacts,
        players: z.int(),
        rows: z.array(row),
        cursor: z.string().nullable().describe('Give it back to get the next page; null on the last one.'),
      }),
      refusals: REFUSALS,
      run: ({ params, query }) => leaderboards.page(params.board, query),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/leaderboards/:board/around',
      summary: 'A player of a leaderboard, with those before and after it',
      tag: TAG,
      role: 'nobody',
      params,
      query: z.strictObject({
        playerId: z
          .union([playerId, z.literal('me')])
          .default('me')
          .describe('`me` needs a token.'),
        season: seasonId.optional(),
        reach: z.coerce.number().int().min(0).max(REACH_MAX).default(5),
      }),
      answer: rowsAnswer,
      refusals: [...REFUSALS, 'PLAYER_UNKNOWN', 'AUTH_MISSING'],
      run: async ({ params, query, caller }) => {
        const asked = query.playerId === 'me' ? caller?.playerId : query.playerId;
        if (asked === undefined) throw new GameError('AUTH_MISSING');
        return leaderboards.around(params.board, query.season, asked, query.reach);
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/leaderboards/:board/friends',
      summary: 'Oneself and one’s friends on a leaderboard, with their ranks among all',
      tag: TAG,
      role: 'player',
      params,
      query: z.strictObject({ season: seasonId.optional() }),
      answer: rowsAnswer,
      refusals: REFUSALS,
      run: ({ params, query, caller }) => leaderboards.friends(params.board, query.season, caller.playerId),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/leaderboards/:board/seasons',
      summary: 'Seasons in which somebody scored, newest first, 100 at most',
      tag: TAG,
      role: 'nobody',
      params,
      query: z.strictObject({ before: seasonId.optional() }),
      answer: z.strictObject({
        seasons: z.array(
          z.strictObject({
            season: z.string(),
            startsAtMs: z.int(),
            endsAtMs: z.int().nullable(),
            closedAtMs: z.int().nullable().describe('When its result was written down; null while it runs.'),
          }),
        ),
      }),
      refusals: ['BOARD_UNKNOWN', 'DATABASE_UNAVAILABLE'],
      run: async ({ params, query }) => ({
        seasons: (await leaderboards.seasons(params.board, query.before)).map((season) => ({
          season: season.id,
          startsAtMs: season.startsAtMs,
          endsAtMs: season.endsAtMs ?? null,
          closedAtMs: season.closedAtMs ?? null,
        })),
      }),
    }),
    defineRoute({
      method: 'POST',
      path: '/api/admin/leaderboards/:board/scores',
      summary: 'Takes a score for a player, from the studio’s own backend',
      tag: TAG,
      role: 'admin',
      params,
      body: z.strictObject({ playerId, score: z.int() }),
      answer: z.strictObject({ position: z.int().describe('Of its event in the log.') }),
      refusals: ['BOARD_UNKNOWN', 'NOT_ALLOWED', 'PLAYER_UNKNOWN', 'KEY_REUSED', 'DATABASE_UNAVAILABLE'],
      needsKey: true,
      status: 201,
      run: async ({ params, body, key, fingerprint }) => ({
        position: await leaderboards.submit(params.board, body.playerId, body.score, key!, fingerprint),
      }),
    }),
  ];
}
