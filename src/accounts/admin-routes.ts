/** What moderators and admins may do to accounts. Every one of these is an event that names who did it. */
import * as z from 'zod';
import { defineRoute, ROLES, type Route } from '../api/route.ts';
import { BAN_REASONS } from '../events/account-events.ts';
import { MODERATOR_BAN_DAYS_MAX } from './account.ts';
import type { Accounts } from './accounts.ts';

const params = z.strictObject({ playerId: z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/) });
const untilMs = z.int().min(0).nullable();
const ban = z.strictObject({ reason: z.enum(BAN_REASONS), untilMs });
const REFUSALS = ['PLAYER_UNKNOWN', 'ACCOUNT_ERASED', 'NOT_ALLOWED'] as const;

export function accountAdminRoutes({ accounts }: { readonly accounts: Accounts }): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api/admin/players/:playerId',
      summary: 'An account as moderators see it: without e-mail.',
      tag: 'Moderation',
      role: 'moderator',
      params,
      answer: z.strictObject({
        playerId: z.string(),
        name: z.string().nullable(),
        isAnonymous: z.boolean(),
        role: z.enum(ROLES),
        ban: ban.nullable(),
        isErased: z.boolean(),
        createdAtMs: z.int().min(0),
      }),
      refusals: ['PLAYER_UNKNOWN'],
      run: async ({ params }) => {
        const { account, person, createdAtMs } = await accounts.inspect(params.playerId);
        const { length: _, ...facts } = account;
        return { ...facts, name: person.name, createdAtMs };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/admin/players/:playerId/ban',
      summary: `Bans until a time, or with null for good; moderators for up to ${MODERATOR_BAN_DAYS_MAX} days. Sign-ins end.`,
      tag: 'Moderation',
      role: 'moderator',
      params,
      body: ban,
      answer: z.strictObject({ ban }),
      refusals: [...REFUSALS, 'INVALID_INPUT'],
      run: async ({ params, body, caller }) => {
        await accounts.ban(params.playerId, caller, body.reason, body.untilMs);
        return { ban: body };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/admin/players/:playerId/unban',
      summary: 'Lifts a ban.',
      tag: 'Moderation',
      role: 'moderator',
      params,
      answer: z.strictObject({ wasBanned: z.boolean() }),
      refusals: REFUSALS,
      run: async ({ params, caller }) => ({ wasBanned: await accounts.unban(params.playerId, caller) }),
    }),
    defineRoute({
      method: 'POST',
      path: '/api/admin/players/:playerId/sign-out',
      summary: 'Ends every sign-in of an account.',
      tag: 'Moderation',
      role: 'moderator',
      params,
      answer: z.strictObject({ ended: z.int().min(0) }),
      refusals: REFUSALS,
      run: async ({ params, caller }) => ({ ended: await accounts.endSessions(params.playerId, caller) }),
    }),
    defineRoute({
      method: 'PUT',
      path: '/api/admin/players/:playerId/name',
      summary: 'Takes an offending name away.',
      tag: 'Moderation',
      role: 'moderator',
      params,
      body: z.strictObject({ name: z.null() }),
      answer: z.strictObject({ name: z.string() }),
      refusals: REFUSALS,
      run: async ({ params, caller }) => ({ name: await accounts.clearName(params.playerId, caller) }),
    }),
    defineRoute({
      method: 'PUT',
      path: '/api/admin/players/:playerId/role',
      summary: 'Makes a player a moderator or a moderator a player. Admins are made on the command line only.',
      tag: 'Moderation',
      role: 'admin',
      params,
      body: z.strictObject({ role: z.enum(['player', 'moderator']) }),
      answer: z.strictObject({ role: z.enum(ROLES) }),
      refusals: REFUSALS,
      run: async ({ params, body, caller }) => {
        await accounts.setRole(params.playerId, caller, body.role);
        return { role: body.role };
      },
    }),
  ];
}
