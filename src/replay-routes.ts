/** What the HTTP API tells of replays; a root file, as replays belong to the machinery of matches, which knows no HTTP. */
import * as z from 'zod';
import { BINARY, defineRoute, type Route } from './api/route.ts';
import { LIMITS } from './limits.ts';
import type { ReplayStore, ReplaySummary } from './match/replay-store.ts';

const score = z.record(z.string(), z.int());

/** The header of a replay file with name and size of the file, see src/kernel/replay-file.ts. Members that are not here stay in the file. */
const summary = z.object({
  id: z.string().describe('The match id.'),
  bytes: z.int(),
  matchId: z.string(),
  roomName: z.string(),
  simId: z.string(),
  simVersion: z.int(),
  tickRateHz: z.int(),
  setup: z.record(z.string(), z.union([z.int(), z.string(), z.boolean()])),
  createdAtMs: z.int(),
  buildId: z.string(),
  players: z.array(
    z.object({
      seat: z.int(),
      name: z.string(),
      playerId: z.string().describe('A pseudonym; empty for a bot.'),
      isBot: z.boolean(),
      joinedTick: z.int(),
      leftTick: z.int().optional(),
    }),
  ),
  result: z
    .object({
      reason: z.enum(['completed', 'abandoned', 'shutdown']),
      standings: z.array(
        z.object({
          seat: z.int(),
          name: z.string(),
          playerId: z.string(),
          isBot: z.boolean(),
          rank: z.int().optional(),
          team: z.int().optional(),
          score,
        }),
      ),
    })
    .optional(),
  ticks: z.int(),
  finalHash: z.string(),
  hashEveryTicks: z.int(),
});

export function replayRoutes(replays: Pick<ReplayStore, 'list' | 'open'>): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api/replays',
      summary: 'Replays of finished matches, the newest first',
      tag: 'matches',
      role: 'nobody',
      // Not strict: clients of 0.1 were told nothing of members that are not known.
      query: z.object({
        limit: z.coerce.number().int().min(1).max(LIMITS.replaysListedMax).default(LIMITS.replaysListedMax),
      }),
      answer: z.object({ replays: z.array(summary) }),
      async run({ query }) {
        const list = await replays.list(query.limit);
        return { replays: list.map(published) };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/replays/:id',
      summary: 'A replay file, as `npm run replay` reads it',
      tag: 'matches',
      role: 'nobody',
      params: z.strictObject({ id: z.string().max(256) }),
      answer: BINARY,
      refusals: ['REPLAY_NOT_FOUND'],
      // Of one match there is one replay for ever.
      cache: 'public, max-age=86400',
      run: ({ params }) => replays.open(params.id),
    }),
  ];
}

function published({ id, bytes, header: { players, result, ...header } }: ReplaySummary): z.input<typeof summary> {
  const rows = result?.standings.map((row) => ({ ...row, score: { ...row.score } })) ?? [];
  return {
    id,
    bytes,
    ...header,
    players: [...players],
    ...(result === undefined ? {} : { result: { reason: result.reason, standings: rows } }),
  };
}
