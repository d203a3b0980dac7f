import assert from 'node:assert/strict';
import { Client } from '@colyseus/sdk';
import { accountAdminRoutes } from '../../src/accounts/admin-routes.ts';
import { accountRoutes } from '../../src/accounts/routes.ts';
import { withRevocations } from '../../src/sessions/tokens.ts';
import { type AccountsStage, accountsStage, eventually } from '../fixtures/accounts.ts';
import { type Answer, type ServedApi, serveForTest } from '../fixtures/api.ts';

const PASSWORD = 'correct horse';

describe('account routes', () => {
  let stage: AccountsStage;
  let api: ServedApi;
  let client: Client;
  let signIns = 0;
  let count = 0;
  const address = () => `route-${++count}@example.org`;

  before(async () => {
    stage = await accountsStage();
    const { revocations } = await stage.revocations();
    const { accounts, tokens } = stage;
    const gate = withRevocations(tokens, revocations);
    const routes = [
      ...accountRoutes({ accounts, tokens, onSignIn: () => signIns++ }),
      ...accountAdminRoutes({ accounts }),
    ];
    api = await serveForTest(routes, { identify: (header) => gate.verify(/^Bearer (.*)$/i.exec(header)?.[1]) });
    client = new Client(api.url);
  });
  beforeEach(() => {
    // All of these tests come from one address.
    stage.pass(600_000);
  });
  afterEach(() => {
    // The SDK keeps a token for every client of the process.
    client.auth.token = undefined as unknown as string;
    assert.deepEqual(api.bugs, []);
  });
  after(async () => {
    await api.close();
    await stage.close();
  });

  const refused = (answer: Answer, status: number, code: string) => {
    assert.equal(answer.body.code, code, JSON.stringify(answer.body));
    assert.equal(answer.status, status);
  };
  async function registered(role: 'player' | 'moderator' | 'admin' = 'player') {
    const email = address();
    const first = (await api.ask('/auth/register', { body: { email, password: PASSWORD } })).body;
    if (role === 'player') return { ...first, email };
    await stage.accounts.setRole(first.user.playerId, 'operator', role);
    return { ...(await api.ask('/auth/login', { body: { email, password: PASSWORD } })).body, email };
  }

  it('serve the unmodified SDK: a guest registers, signs out and in, and is the same player', async () => {
    const before = signIns;
    const guest = await client.auth.signInAnonymously();
    assert.equal((await client.auth.getUserData()).user.playerId, guest.user.playerId);
    const email = address();
    const upgraded = await client.auth.registerWithEmailAndPassword(email, PASSWORD, { name: `Sdk ${count}` });
    assert.equal(upgraded.user.playerId, guest.user.playerId);
    assert.deepEqual([upgraded.user.isAnonymous, upgraded.user.name], [false, `Sdk ${count}`]);
    await client.auth.signOut();
    await assert.rejects(client.auth.getUserData(), /missing auth.token/);
    const again = await client.auth.signInWithEmailAndPassword(email, PASSWORD);
    assert.equal(again.user.playerId, guest.user.playerId);
    assert.equal((await client.auth.getUserData()).user.email, email);
    assert.equal(signIns - before, 3);
    await assert.rejects(client.auth.signInWithEmailAndPassword(email, 'wrong horse'), /CREDENTIALS_WRONG/);
    assert.deepEqual(
      await client.auth.sendPasswordResetEmail(email),
      await client.auth.sendPasswordResetEmail(address()),
    );
  });

  it('take the requests of the SDK for Unity as it sends them', async () => {
    // Options of a guest are the body itself; none is no body at all; those of a registration may be null.
    assert.equal((await api.ask('/auth/anonymous', { body: { name: 'Ada', device: { os: 'ios' } } })).status, 200);
    const bare = await fetch(`${api.url}/auth/anonymous`, { method: 'POST' });
    assert.equal(bare.status, 200);
    const guest = (await bare.json()) as { token: string; user: { playerId: string } };
    const body = { email: address(), password: PASSWORD, options: null };
    const known = await api.ask('/auth/register', { token: guest.token, body });
    assert.equal(known.body.user.playerId, guest.user.playerId);
    // It keeps the token of a sign-in that is long over, and sends it with the next one.
    stage.pass(20 * 60_000);
    const again = await api.ask('/auth/login', {
      token: known.body.token,
      body: { email: body.email, password: PASSWORD },
    });
    assert.equal(again.body.user.playerId, guest.user.playerId);
    assert.equal((await api.ask('/auth/anonymous', { token: known.body.token, body: {} })).status, 200);
  });

  it('refuse to register somebody else where a guest meant itself with a token that is over', async () => {
    const guest = (await api.ask('/auth/anonymous', { body: {} })).body;
    stage.pass(20 * 60_000);
    const body = { email: address(), password: PASSWORD };
    refused(await api.ask('/auth/register', { token: guest.token, body }), 401, 'AUTH_EXPIRED');
    const fresh = (await api.ask('/auth/refresh', { body: { refreshToken: guest.refreshToken } })).body;
    const upgraded = await api.ask('/auth/register', { token: fresh.token, body });
    assert.equal(upgraded.body.user.playerId, guest.user.playerId);
  });

  it('refuse the token of a sign-in that has ended, soon, everywhere', async () => {
    const { token } = await registered();
    assert.equal((await api.ask('/api/me', { token })).status, 200);
    assert.equal((await api.ask('/auth/sign-out', { token, body: {} })).body.ended, 1);
    await eventually(async () => refused(await api.ask('/api/me', { token }), 401, 'AUTH_REVOKED'));
  });

  it('answer a stolen refresh token that is used after its owner with REFRESH_REUSED', async () => {
    const { refreshToken } = await registered();
    const next = (await api.ask('/auth/refresh', { body: { refreshToken } })).body;
    assert.equal((await api.ask('/auth/refresh', { body: { refreshToken: next.refreshToken } })).status, 200);
    refused(await api.ask('/auth/refresh', { body: { refreshToken } }), 401, 'REFRESH_REUSED');
    refused(await api.ask('/auth/refresh', { body: { refreshToken: 'x'.repeat(200) } }), 401, 'REFRESH_INVALID');
  });

  it('let people have a name, look at themselves and others, export and erase', async () => {
    const { token, user, email } = await registered();
    const name = `Route ${count}`;
    assert.deepEqual((await api.ask('/api/me/name', { method: 'PUT', token, body: { name } })).body, { name });
    const other = await registered();
    refused(await api.ask('/api/me/name', { method: 'PUT', token: other.token, body: { name } }), 409, 'NAME_TAKEN');
    const seen = await api.ask(`/api/players/${user.playerId}`, { token: other.token });
    assert.equal(seen.body.name, name);
    assert.equal(JSON.stringify(seen.body).includes('@'), false);
    const found = await api.ask(`/api/players?name=${encodeURIComponent(name.toUpperCase())}`, { token: other.token });
    assert.deepEqual(found.body, { players: [{ playerId: user.playerId, name }] });
    assert.equal((await api.ask('/api/me/export', { token })).body.person.email, email);
    refused(
      await api.ask('/api/me', { method: 'DELETE', token, body: { password: 'wrong horse' } }),
      401,
      'CREDENTIALS_WRONG',
    );
    assert.equal((await api.ask('/api/me', { method: 'DELETE', token, body: { password: PASSWORD } })).status, 200);
    refused(await api.ask(`/api/players/${user.playerId}`, { token: other.token }), 410, 'ACCOUNT_ERASED');
  });

  it('give moderators and admins what their role may, over those below them', async () => {
    const player = await registered();
    const moderator = await registered('moderator');
    const admin = await registered('admin');
    const hour = stage.nowMs() + 3_600_000;
    const ban = (who: { user: { playerId: string } }, token: string, untilMs: number | null = hour) =>
      api.ask(`/api/admin/players/${who.user.playerId}/ban`, { token, body: { reason: 'abuse', untilMs } });
    refused(await ban(player, player.token), 403, 'NOT_ALLOWED');
    refused(await ban(admin, moderator.token), 403, 'NOT_ALLOWED');
    refused(await ban(moderator, moderator.token), 403, 'NOT_ALLOWED');
    refused(await ban(player, moderator.token, null), 403, 'NOT_ALLOWED');
    refused(await ban(player, moderator.token, hour + 31 * 86_400_000), 403, 'NOT_ALLOWED');
    refused(await ban(player, moderator.token, stage.nowMs()), 400, 'INVALID_INPUT');
    assert.equal((await ban(player, moderator.token)).status, 200);
    await eventually(async () => refused(await api.ask('/api/me', { token: player.token }), 403, 'ACCOUNT_BANNED'));
    const login = await api.ask('/auth/login', { body: { email: player.email, password: PASSWORD } });
    refused(login, 403, 'ACCOUNT_BANNED');
    assert.deepEqual([login.body.reason, login.body.untilMs], ['abuse', hour]);
    assert.equal((await ban(player, admin.token, null)).status, 200);
    const unban = `/api/admin/players/${player.user.playerId}/unban`;
    refused(await api.ask(unban, { token: moderator.token, body: {} }), 403, 'NOT_ALLOWED');
    assert.deepEqual((await api.ask(unban, { token: admin.token, body: {} })).body, { wasBanned: true });
    const shown = await api.ask(`/api/admin/players/${player.user.playerId}`, { token: moderator.token });
    assert.equal(shown.body.ban, null);
    assert.equal(JSON.stringify(shown.body).includes('@'), false);
    const role = (who: { user: { playerId: string } }, token: string, wanted: string) =>
      api.ask(`/api/admin/players/${who.user.playerId}/role`, { method: 'PUT', token, body: { role: wanted } });
    refused(await role(player, moderator.token, 'moderator'), 403, 'NOT_ALLOWED');
    refused(await role(player, admin.token, 'admin'), 400, 'INVALID_INPUT');
    refused(await role(admin, admin.token, 'player'), 403, 'NOT_ALLOWED');
    assert.equal((await role(player, admin.token, 'moderator')).status, 200);
    const by = (await stage.eventsOf(player.user.playerId)).filter(({ type }) => type === 'account.banned');
    assert.deepEqual(
      by.map(({ payload }) => (payload as { by: string }).by),
      [moderator.user.playerId, admin.user.playerId],
    );
  });

  it('publish the keys that verify tokens', async () => {
    const { headers, body } = await api.ask('/.well-known/jwks.json');
    assert.equal(headers.get('cache-control'), 'public, max-age=60');
    assert.deepEqual(
      body.keys.map(({ kid }: { kid: string }) => kid),
      [stage.tokens.keyId],
    );
    assert.deepEqual(
      Object.keys(body.keys[0]).sort(),
      ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
      'the public half only',
    );
  });

  const hostile = [
    "'; drop table account; --",
    '\0',
    '\ud800',
    'x'.repeat(10_000),
    '{{7*7}}',
    '<script>',
    { $ne: 1 },
    ['a'],
    -1,
    2 ** 53,
    null,
    true,
  ];
  it('answer anything in any field by code, never by a bug', async () => {
    const { token, user, refreshToken } = await registered();
    for (const bad of hostile) {
      const bodies: [string, string, object][] = [
        ['POST', '/auth/register', { email: bad, password: PASSWORD }],
        ['POST', '/auth/register', { email: address(), password: bad }],
        ['POST', '/auth/register', { email: address(), password: PASSWORD, options: { name: bad } }],
        ['POST', '/auth/login', { email: bad, password: bad }],
        ['POST', '/auth/refresh', { refreshToken: bad }],
        ['POST', '/auth/sign-out', { everywhere: bad === true ? 1 : bad }],
        ['POST', '/auth/password', { password: bad, newPassword: bad }],
        ['PUT', '/api/me/name', { name: bad === null ? 7 : bad }],
        ['DELETE', '/api/me', { password: bad }],
        ['DELETE', '/api/me', { refreshToken: bad }],
      ];
      for (const [method, path, body] of bodies) {
        const answer = await api.ask(path, { method, token: path === '/auth/register' ? undefined : token, body });
        // Some of it is a fine name or password.
        const isFine = answer.status === 200 && (path === '/auth/register' || path === '/api/me/name');
        assert.ok(
          isFine || typeof answer.body.code === 'string',
          `${method} ${path} ${JSON.stringify(body).slice(0, 80)}`,
        );
        assert.notEqual(answer.body.code, 'INTERNAL');
      }
      const text = encodeURIComponent(
        typeof bad === 'string' && bad.isWellFormed() ? bad.slice(0, 500) : JSON.stringify(bad),
      );
      for (const path of [
        `/api/players/${text}`,
        `/api/players?name=${text}`,
        `/api/players?name=a&limit=${text}`,
        `/api/players?${text}=1`,
      ]) {
        const answer = await api.ask(path, { token });
        assert.ok([200, 400].includes(answer.status), `${path}: ${answer.status}`);
      }
      stage.pass(60_000);
    }
    const { body } = await api.ask('/auth/refresh', { body: { refreshToken } });
    assert.equal(body.user.playerId, user.playerId, 'it all did nothing to the account');
  });
});
