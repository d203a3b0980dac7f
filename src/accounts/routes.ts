/** What anybody may ask about itself and others. `/auth/*` has the paths and shapes that the SDK's `client.auth` uses. */
import * as z from 'zod';
import { defineRoute, ROLES, type Route } from '../api/route.ts';
import { GameError } from '../kernel/errors.ts';
import { NAME_RAW_MAX } from '../kernel/names.ts';
import type { Accounts } from './accounts.ts';
import { EMAIL_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN } from './credentials.ts';

const seconds = z.int().min(0);
const user = z.strictObject({
  playerId: z.string(),
  isAnonymous: z.boolean(),
  role: z.enum(ROLES),
  name: z.string(),
  hasName: z.boolean(),
  email: z.string().nullable(),
  sessionId: z.string(),
});
const signedIn = z.strictObject({
  user,
  token: z.string(),
  expiresAtSeconds: seconds,
  refreshToken: z.string(),
  refreshExpiresAtSeconds: seconds,
});
// Bounded here, judged by the account: a wrong form has a code of its own.
const email = z.string().max(EMAIL_CHARS_MAX + 64);
const password = z.string().max(PASSWORD_CHARS_MAX);
const name = z.string().max(NAME_RAW_MAX);
const refreshToken = z.string().max(256);
/** The SDK passes whatever the game gave it. */
const options = z.looseObject({ name: name.optional() }).nullish();
const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const done = z.strictObject({ ok: z.literal(true) });
const CREDENTIAL_REFUSALS = ['CREDENTIALS_INVALID', 'RATE_LIMITED', 'OVERLOADED'] as const;

export interface AccountRoutesOptions {
  readonly accounts: Accounts;
  readonly tokens: { jwks(): Promise<{ readonly keys: readonly object[] }> };
  /** Counts sign-ins for the metrics. */
  readonly onSignIn?: () => void;
}

export function accountRoutes({ accounts, tokens, onSignIn = () => undefined }: AccountRoutesOptions): Route[] {
  const counted = async <T>(signIn: Promise<T>): Promise<T> => {
    const answer = await signIn;
    onSignIn();
    return answer;
  };
  return [
    defineRoute({
      method: 'POST',
      path: '/auth/anonymous',
      summary: 'A new account that nobody has put a name to.',
      tag: 'Sign-in',
      role: 'nobody',
      // The SDK for Unity sends what the game gave it as the body itself.
      body: z.looseObject({ options }).optional(),
      answer: signedIn,
      run: () => counted(accounts.signInAnonymously()),
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/register',
      summary: 'A new account with e-mail and password; with the token of a guest, that account gets them.',
      tag: 'Sign-in',
      role: 'nobody',
      body: z.strictObject({ email, password, options }),
      answer: signedIn,
      refusals: ['ACCOUNT_EXISTS', 'NAME_INVALID', 'NAME_TAKEN', 'AUTH_EXPIRED', ...CREDENTIAL_REFUSALS],
      run: async ({ body, network, caller, tokenRefusal }) => {
        // Otherwise a guest whose token has just expired would be left behind, with all that it owns.
        if (tokenRefusal !== undefined) throw tokenRefusal;
        const { email, password, options } = body;
        return counted(accounts.register({ email, password, name: options?.name }, network, caller));
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/login',
      summary: 'Signs in with e-mail and password; the last refresh token, if any, shows a device that is known.',
      tag: 'Sign-in',
      role: 'nobody',
      body: z.strictObject({ email, password, refreshToken: refreshToken.optional() }),
      answer: signedIn,
      refusals: ['CREDENTIALS_WRONG', 'ACCOUNT_BANNED', ...CREDENTIAL_REFUSALS],
      run: ({ body, network }) => counted(accounts.signIn(body, network)),
    }),
    defineRoute({
      method: 'GET',
      path: '/auth/userdata',
      summary: 'Who the bearer of the token is.',
      tag: 'Sign-in',
      role: 'player',
      answer: z.strictObject({ user }),
      refusals: ['ACCOUNT_ERASED', 'PLAYER_UNKNOWN'],
      run: async ({ caller }) => ({ user: await accounts.me(caller) }),
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/forgot-password',
      summary: 'Always the same answer: no mail is sent; who runs the server sets passwords (`npm run player`).',
      tag: 'Sign-in',
      role: 'nobody',
      body: z.strictObject({ email }),
      answer: z.strictObject({ sent: z.literal(false), help: z.string() }),
      run: () => ({ sent: false as const, help: 'Ask who runs this server to set a new password for your account.' }),
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/refresh',
      summary: 'A new token and the next refresh token; the one that was given is used up.',
      tag: 'Sign-in',
      role: 'nobody',
      body: z.strictObject({ refreshToken }),
      answer: signedIn,
      refusals: ['REFRESH_INVALID', 'REFRESH_REUSED', 'ACCOUNT_BANNED'],
      run: ({ body }) => accounts.refresh(body.refreshToken),
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/sign-out',
      summary: 'Ends this sign-in, or with `everywhere` every one of the account.',
      tag: 'Sign-in',
      role: 'player',
      body: z.strictObject({ everywhere: z.boolean().optional() }).optional(),
      answer: z.strictObject({ ended: z.int().min(0) }),
      run: async ({ caller, body }) => ({ ended: await accounts.signOut(caller, body?.everywhere === true) }),
    }),
    defineRoute({
      method: 'POST',
      path: '/auth/password',
      summary: `Another password of ${PASSWORD_CHARS_MIN} to ${PASSWORD_CHARS_MAX} characters; every other sign-in ends.`,
      tag: 'Sign-in',
      role: 'player',
      body: z.strictObject({ password, newPassword: password }),
      answer: done,
      refusals: ['CREDENTIALS_WRONG', 'ACCOUNT_EXISTS', 'ACCOUNT_BANNED', ...CREDENTIAL_REFUSALS],
      run: async ({ caller, body, network }) => {
        await accounts.changePassword(caller, body, network);
        return { ok: true as const };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/.well-known/jwks.json',
      summary: 'Public keys of all tokens that may still be good (RFC 7517).',
      tag: 'Sign-in',
      role: 'nobody',
      answer: z.strictObject({ keys: z.array(z.looseObject({ kid: z.string() })) }),
      cache: 'public, max-age=60',
      run: async () => ({ keys: (await tokens.jwks()).keys as { kid: string }[] }),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me',
      summary: 'The own account.',
      tag: 'Players',
      role: 'player',
      answer: user,
      refusals: ['ACCOUNT_ERASED', 'PLAYER_UNKNOWN'],
      run: ({ caller }) => accounts.me(caller),
    }),
    defineRoute({
      method: 'PUT',
      path: '/api/me/name',
      summary: 'Another display name, which nobody else has; null gives it up.',
      tag: 'Players',
      role: 'player',
      body: z.strictObject({ name: name.nullable() }),
      answer: z.strictObject({ name: z.string() }),
      refusals: ['NAME_INVALID', 'NAME_TAKEN', 'ACCOUNT_BANNED', 'ACCOUNT_ERASED', 'PLAYER_UNKNOWN'],
      run: async ({ caller, body }) => ({ name: await accounts.rename(caller.playerId, body.name) }),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me/export',
      summary: 'Everything that is known of the own person.',
      tag: 'Players',
      role: 'player',
      answer: z.looseObject({ account: z.looseObject({ playerId: z.string() }) }),
      refusals: ['ACCOUNT_ERASED', 'PLAYER_UNKNOWN'],
      run: async ({ caller }) => (await accounts.export(caller.playerId, caller)) as { account: { playerId: string } },
    }),
    defineRoute({
      method: 'DELETE',
      path: '/api/me',
      summary: 'Erases the own person, for good. Wants the password, or of an anonymous account the refresh token.',
      tag: 'Players',
      role: 'player',
      body: z.strictObject({ password: password.optional(), refreshToken: refreshToken.optional() }),
      answer: done,
      refusals: ['CREDENTIALS_WRONG', 'REFRESH_INVALID', 'ACCOUNT_ERASED', 'PLAYER_UNKNOWN', ...CREDENTIAL_REFUSALS],
      run: async ({ caller, body, network }) => {
        await accounts.eraseSelf(caller, body, network);
        return { ok: true as const };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/players',
      summary: 'Players whose display name begins so; case and accents do not count.',
      tag: 'Players',
      role: 'player',
      query: z.strictObject({
        name: z.string().min(1).max(64),
        limit: z.coerce.number().int().min(1).max(50).default(20),
      }),
      answer: z.strictObject({ players: z.array(z.strictObject({ playerId: z.string(), name: z.string() })) }),
      refusals: ['INVALID_INPUT'],
      run: async ({ query }) => {
        // PostgreSQL has no text with a NUL in it, so no name begins so.
        if (query.name.includes('\0') || !query.name.isWellFormed())
          throw new GameError('INVALID_INPUT', { query: 'name' });
        return { players: [...(await accounts.search(query.name, query.limit))] };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/players/:playerId',
      summary: 'What everybody may know of a player.',
      tag: 'Players',
      role: 'player',
      params: z.strictObject({ playerId }),
      answer: z.strictObject({
        playerId: z.string(),
        name: z.string(),
        isAnonymous: z.boolean(),
        createdAtMs: z.int().min(0),
      }),
      refusals: ['PLAYER_UNKNOWN', 'ACCOUNT_ERASED'],
      run: ({ params }) => accounts.find(params.playerId),
    }),
  ];
}
