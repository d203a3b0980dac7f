/** What each area answers while the database is away: the table in docs/database.md, row by row. */
import assert from 'node:assert/strict';
import { GameServer, until } from '../fixtures/game-server.ts';
import { type PrivatePostgres, privatePostgres } from '../fixtures/postgres-server.ts';
import { BotArena } from '../rooms/probe-rooms.ts';

describe('while the database is away', function () {
  this.timeout(60_000);
  let postgres: PrivatePostgres;
  let game: GameServer;
  let token: string;
  let refreshToken: string;
  let playerId: string;

  before(async () => {
    postgres = await privatePostgres();
    game = await GameServer.start({ rooms: { brief: BotArena }, env: { DATABASE_URL: postgres.url } });
    const { body } = await ask('POST', '/auth/anonymous', {});
    ({ token, refreshToken } = body);
    playerId = body.user.playerId;
    const { boards, database } = game.server.persistence;
    await until(() => boards.reading.isReady, 'the boards to be filled');
    await postgres.kill9();
    await until(async () => {
      await database.query('select').catch(() => undefined);
      return database.guard.state === 'open';
    }, 'the breaker to open');
  });
  after(async () => {
    await postgres.start();
    await game.close();
    await postgres.drop();
  });

  it('accounts: sign-ins, registrations, refreshes and names are refused by code', async () => {
    await unavailable('POST', '/auth/anonymous', {});
    await unavailable('POST', '/auth/login', { email: 'ann@example.org', password: 'correct horse' });
    await unavailable('POST', '/auth/register', { email: 'ann@example.org', password: 'correct horse' });
    await unavailable('POST', '/auth/refresh', { refreshToken });
    await unavailable('PUT', '/api/me/name', { name: 'Ann' });
  });

  it('tokens: are verified as before, and the public keys are given out', async () => {
    // Refused for the body, which is looked at after the token.
    assert.equal((await ask('POST', '/api/transfers', { amountMinor: 'x' })).body.code, 'INVALID_INPUT');
    assert.equal((await ask('POST', '/api/transfers', {}, 'not.a.token')).body.code, 'AUTH_MALFORMED');
    const { status, body } = await ask('GET', '/.well-known/jwks.json');
    assert.equal(status, 200);
    assert.ok(body.keys.length >= 1);
  });

  it('economy: commands and balances are refused by code, the shop window is open', async () => {
    await unavailable('POST', '/api/transfers', { toPlayerId: `a-${'x'.repeat(22)}`, asset: 'coins', amountMinor: 1 });
    await unavailable('POST', '/api/shop/flares/purchase', {});
    await unavailable('GET', '/api/me/wallet');
    assert.equal((await ask('GET', '/api/shop')).status, 200);
  });

  it('boards: the index goes on answering, submitted scores and old seasons are refused by code', async () => {
    const top = await ask('GET', '/api/leaderboards/arena-best-frags');
    assert.deepEqual([top.status, top.body.rows], [200, []]);
    assert.equal((await ask('GET', '/api/leaderboards')).status, 200);
    await unavailable('GET', '/api/leaderboards/arena-frags-weekly/seasons');
  });

  it('friends, results and ratings: are refused by code', async () => {
    await unavailable('GET', '/api/me/friends');
    await unavailable('GET', '/api/me/matches');
    await unavailable('GET', '/api/me/ratings');
    await unavailable('GET', `/api/players/${playerId}`);
  });

  it('the process stays ready, as matches can be played', async () => {
    assert.equal((await ask('GET', '/readyz')).status, 200);
  });

  it('the log says once that it is away, and once that it is back, without a stack for every try', async () => {
    const { database } = game.server.persistence;
    const tried = database.guard.totals.failed;
    await until(() => database.guard.totals.failed >= tried + 3, 'the database to be tried again, in vain');
    await postgres.start();
    const isBack = () =>
      database.query('select').then(
        () => true,
        () => false,
      );
    await until(isBack, 'the database to be back');
    const said = game.log.filter(({ msg }) => /store|follow the log|not fed/.test(msg)).map(({ msg }) => msg);
    assert.deepEqual(said, ['store does not answer; asked again soon']);
  });

  async function unavailable(method: string, path: string, body?: unknown): Promise<void> {
    const answer = await ask(method, path, body);
    assert.deepEqual([path, answer.status, answer.body.code], [path, 503, 'DATABASE_UNAVAILABLE']);
    assert.match(answer.retryAfter ?? '', /^\d+$/);
  }

  async function ask(method: string, path: string, body?: unknown, by: string | undefined = token) {
    const response = await fetch(game.endpoint + path, {
      method,
      headers: {
        'idempotency-key': 'asked-while-away',
        ...(by === undefined || path.startsWith('/auth/') ? {} : { authorization: `Bearer ${by}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    // biome-ignore lint/suspicious/noExplicitAny: JSON of whatever was asked
    const answered: any = text.startsWith('{') ? JSON.parse(text) : text;
    return { status: response.status, retryAfter: response.headers.get('retry-after'), body: answered };
  }
});
