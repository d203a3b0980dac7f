/** HTTP routes of friends. All of them say how it shall be, so each may be repeated. */
import * as z from 'zod';
import { defineRoute, type Route } from '../api/route.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { Friends } from './friends.ts';
import type { FriendCommand } from './friendship.ts';

const TAG = 'friends';
const params = z.strictObject({ playerId: z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/) });
const relation = z
  .enum(['none', 'friend', 'sent', 'received', 'blocked'])
  .describe('`sent`: asked and not answered yet; `received`: the other asked.');

export interface FriendRouteDeps {
  readonly friends: Friends;
  /** Display names; players without one are left out. */
  readonly namesOf: (playerIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

/** Ids of one look-up of names at most. */
const NAMES_MAX = 500;

export function friendRoutes({ friends, namesOf }: FriendRouteDeps): Route[] {
  const command = (
    method: 'PUT' | 'DELETE',
    path: string,
    summary: string,
    name: FriendCommand,
    refusals: readonly ErrorCode[] = [],
  ): Route =>
    defineRoute({
      method,
      path,
      summary,
      tag: TAG,
      role: 'player',
      params,
      answer: z.strictObject({ playerId: z.string(), relation }),
      refusals: ['FRIEND_SELF', 'LOG_CONFLICT', 'DATABASE_UNAVAILABLE', ...refusals],
      run: async ({ caller, params: { playerId } }) => ({
        playerId,
        relation: await friends.command(name, caller.playerId, playerId),
      }),
    });
  const full = ['PLAYER_UNKNOWN', 'FRIENDS_FULL'] as const;
  return [
    defineRoute({
      method: 'GET',
      path: '/api/me/friends',
      summary: 'Friends, requests and blocked players of oneself, at most 500 of each',
      tag: TAG,
      role: 'player',
      answer: z.strictObject({
        players: z.array(
          z.strictObject({ playerId: z.string(), name: z.string().nullable(), relation, sinceMs: z.int() }),
        ),
      }),
      refusals: ['DATABASE_UNAVAILABLE'],
      run: async ({ caller }) => {
        const rows = await friends.list(caller.playerId);
        const names = new Map<string, string>();
        for (let at = 0; at < rows.length; at += NAMES_MAX) {
          const some = await namesOf(rows.slice(at, at + NAMES_MAX).map(({ otherId }) => otherId));
          for (const [playerId, name] of some) names.set(playerId, name);
        }
        return {
          players: rows.map(({ otherId, relation, sinceMs }) => ({
            playerId: otherId,
            name: names.get(otherId) ?? null,
            relation,
            sinceMs,
          })),
        };
      },
    }),
    command('PUT', '/api/me/friends/:playerId', 'Asks a player to be friends, or accepts what it asked', 'ask', full),
    command('DELETE', '/api/me/friends/:playerId', 'Ends a friendship, declines a request or takes it back', 'remove'),
    command('PUT', '/api/me/blocks/:playerId', 'Blocks a player, who is not told', 'block', full),
    command('DELETE', '/api/me/blocks/:playerId', 'Unblocks a player', 'unblock'),
  ];
}
