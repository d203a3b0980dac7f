import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { OpenApiDocument } from '../../src/api/openapi.ts';
import { runPlayerCli } from '../../src/cli/player.ts';
import { ERRORS } from '../../src/kernel/errors.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import {
  type DescribedOperation,
  type DescribedRequest,
  goodRequest,
  operationsOf,
  type Place,
  placesOf,
  targetOf,
  withValue,
} from '../fixtures/described-api.ts';
import { type MainProcess, startMain } from '../fixtures/main-process.ts';
import { until } from '../fixtures/until.ts';

const SEED = 20_261_123;
const FUZZ_REQUESTS = 1_500;
const AT_ONCE = 8;
const PASSWORD = 'a password that nobody may read';
const SQL = [
  `'; drop table events; --`,
  `1'; delete from economy_balances; --`,
  `x' or '1'='1`,
  `"; truncate account cascade; --`,
  `\\'; update session set player_id = ''; --`,
  `$1); drop table event_head; --`,
  `%_*`,
];
const NOT_AMOUNTS = [
  '-1',
  '0.5',
  '1e-7',
  '1e400',
  '9007199254740992',
  '9007199254740993',
  '-9007199254740993',
  'NaN',
  'Infinity',
  '"7"',
];
/** Raw JSON of anything at all. */
const ANYTHING = [
  ...NOT_AMOUNTS,
  'null',
  'true',
  '[]',
  '{}',
  '[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]',
  '{"__proto__":{"role":"admin"}}',
  '{"constructor":{"prototype":{"role":"admin"}}}',
  '"\\u0000"',
  '"\\ud800"',
  '"\\u202e\\u0007\\r\\nSet-Cookie: a=b"',
  `"${'\u{1f480}'.repeat(100)}"`,
  `"${'a'.repeat(10_000)}"`,
  '""',
  '" "',
  '"me"',
  '"all"',
  '"a-0000000000000000000000"',
  '0',
  '-0',
  '9007199254740991',
  ...SQL.map((text) => JSON.stringify(text)),
];

interface Player {
  readonly playerId: string;
  token: string;
  readonly refreshToken: string;
}

interface Answered {
  readonly status: number;
  readonly code: string | undefined;
  readonly text: string;
}

describe('whatever anybody sends to any route', function () {
  this.timeout(120_000);
  let folder: string;
  let fresh: FreshDatabase;
  let main: MainProcess;
  let base: string;
  let operations: DescribedOperation[];
  let known: Record<string, unknown>;
  const guests: Player[] = [];
  const admins: Player[] = [];
  const secrets = new Set<string>([PASSWORD]);
  /** Who was there before anything was sent. */
  const players = new Set<string>();
  let turn = 0;
  let keys = 0;
  let rateLimited = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-hostile-'));
    fresh = await freshDatabase();
    main = startMain({
      HYPOGEUM_PORT: '0',
      HYPOGEUM_HOST: '127.0.0.1',
      HYPOGEUM_DATA: folder,
      HYPOGEUM_LOG_LEVEL: 'trace',
      HYPOGEUM_MONITOR_PASSWORD: 'not asked for here',
      DATABASE_URL: fresh.url,
      NODE_ENV: 'production',
    });
    const [, port] = await main.said(/"url":"http:\/\/[^":]+:(\d+)\//);
    base = `http://127.0.0.1:${port}`;
    operations = operationsOf((await (await fetch(`${base}/api/openapi.json`)).json()) as OpenApiDocument);
    assert.ok(operations.length > 50);
    for (let i = 0; i < 60; i++) guests.push(await guest());
    for (let i = 0; i < 6; i++) {
      const email = `admin-${i}@hostile.example`;
      const registered = await send('POST', '/auth/register', JSON.stringify({ email, password: PASSWORD }));
      const { playerId } = (JSON.parse(registered.text) as { user: { playerId: string } }).user;
      const nowhere = new PassThrough().resume();
      const context = { env: { DATABASE_URL: fresh.url, HYPOGEUM_DATA: folder }, stdin: new PassThrough() };
      assert.equal(
        await runPlayerCli(['role', playerId, 'admin'], { ...context, stdout: nowhere, stderr: nowhere }),
        0,
      );
      admins.push(signedIn(await send('POST', '/auth/login', JSON.stringify({ email, password: PASSWORD }))));
    }
    for (const { playerId } of [...guests, ...admins]) players.add(playerId);
    const [one, other] = [guests[0]!, guests[1]!];
    const grant = {
      playerId: one.playerId,
      assets: [{ asset: 'coins', amountMinor: 1_000 }],
      items: ['banner'],
      reason: 'test',
    };
    const granted = await send('POST', '/api/admin/grants', JSON.stringify(grant), admins[0]);
    const trade = await send('POST', '/api/trades', JSON.stringify({ withPlayerId: other.playerId }), one);
    assert.deepEqual([granted.status, trade.status], [200, 201]);
    known = {
      playerId: guests[2]!.playerId,
      toPlayerId: guests[3]!.playerId,
      withPlayerId: guests[4]!.playerId,
      tradeId: (JSON.parse(trade.text) as { tradeId: string }).tradeId,
      itemId: (JSON.parse(granted.text) as { items: { itemId: string }[] }).items[0]!.itemId,
      asset: 'coins',
      board: 'event-points-daily',
      productId: 'repair-kit',
      matchId: 'no-such-match',
      mode: 'arena',
      reason: 'test',
      email: 'nobody-known@hostile.example',
      password: PASSWORD,
      newPassword: PASSWORD,
      refreshToken: one.refreshToken.replace(/.$/, 'x'),
      season: 'all',
    };
  });

  after(async () => {
    main.child.kill('SIGKILL');
    await main.exited;
    await fresh.drop();
    await rm(folder, { recursive: true, force: true });
  });

  afterEach(async () => {
    assert.equal(main.child.exitCode, null, main.output());
    assert.equal((await fetch(`${base}/healthz`)).status, 200);
    const lines = main
      .output()
      .split('\n')
      .filter((line) => line !== '');
    for (const line of lines) {
      const { level } = JSON.parse(line) as { level: number };
      assert.ok(level < 50, line);
      for (const secret of secrets) assert.ok(!line.includes(secret), `a secret stands in the log: ${line}`);
      assert.doesNotMatch(line, /@hostile\.example|eyJ[\w-]+\.eyJ/);
    }
  });

  async function send(
    method: string,
    target: string,
    body?: string,
    by?: Player,
    headers: Record<string, string> = {},
  ): Promise<Answered> {
    const response = await fetch(base + target, {
      method,
      headers: {
        ...(by === undefined ? {} : { authorization: `Bearer ${by.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        'idempotency-key': `hostile-${++keys}`,
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true && text !== '';
    const code = isJson ? (JSON.parse(text) as { code?: string } | null)?.code : undefined;
    return { status: response.status, code, text };
  }

  function signedIn({ status, text }: Answered): Player {
    assert.equal(status, 200, text);
    const { user, token, refreshToken } = JSON.parse(text) as {
      user: { playerId: string };
      token: string;
      refreshToken: string;
    };
    secrets.add(token).add(refreshToken);
    return { playerId: user.playerId, token, refreshToken };
  }

  async function guest(): Promise<Player> {
    return signedIn(await send('POST', '/auth/anonymous'));
  }

  /** By somebody who may, and who has not asked too much yet; asserts what is true of every answer. */
  async function ask(
    request: DescribedRequest,
    rawBody?: string,
    headers: Record<string, string> = {},
  ): Promise<Answered> {
    const { method, path } = request.route;
    const body = rawBody ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
    const target = targetOf(request);
    for (let tries = 0; ; tries++) {
      const group = path.startsWith('/api/admin') ? admins : guests;
      const which = turn++ % group.length;
      const by = group[which]!;
      const answer = await send(method, target, method === 'GET' ? undefined : body, by, headers);
      const what = `${method} ${target.slice(0, 200)} ${body?.slice(0, 200)}: ${answer.status} ${answer.text.slice(0, 300)}`;
      if (answer.status === 429 && !path.startsWith('/auth/') && tries < 200) {
        rateLimited++;
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      assert.ok(answer.status < 500, what);
      if (answer.status >= 400) assert.ok(answer.code !== undefined && Object.hasOwn(ERRORS, answer.code), what);
      // Signed out or erased by what it was made to send.
      if (group === guests && ['AUTH_REVOKED', 'ACCOUNT_ERASED'].includes(answer.code ?? ''))
        guests[which] = await guest();
      return answer;
    }
  }

  async function all<T>(work: readonly T[], one: (each: T) => Promise<void>): Promise<void> {
    const rest = [...work];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let each = rest.shift(); each !== undefined; each = rest.shift()) await one(each);
      }),
    );
  }

  const isText = ({ schema }: Place) => schema.type === 'string' || schema.enum !== undefined;
  const isNumber = ({ schema }: Place) => schema.type === 'integer' || schema.type === 'number';
  const nameOf = ({ way }: Place) => String(way.findLast((part) => typeof part === 'string'));
  const places = (wanted: (place: Place) => boolean) =>
    operations.flatMap((route) =>
      placesOf(route)
        .filter(wanted)
        .map((place) => [route, place] as const),
    );

  /** What is in every table, and what every event up to here is. */
  async function everything(upTo?: number): Promise<Record<string, string>> {
    const { rows: tables } = await fresh.database.query<{ name: string }>(
      `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`,
    );
    const ours = [...players].map((playerId) => `'${playerId}'`).join(', ');
    const found: Record<string, string> = { tables: tables.map(({ name }) => name).join(' ') };
    for (const [name, query] of [
      ['events', `select * from events where position <= ${upTo ?? Number.MAX_SAFE_INTEGER}`],
      [
        'account',
        `select player_id, role, ban_reason, ban_until_ms, is_erased, created_at_ms from account where player_id in (${ours})`,
      ],
      ['economy_balances', 'select * from economy_balances'],
      ['economy_items', 'select * from economy_items'],
      ['economy_owners', 'select * from economy_owners'],
      ['board_entries', 'select * from board_entries'],
    ] as const) {
      const { rows } = await fresh.database.query<{ hash: string }>(
        `select md5(coalesce(string_agg(r::text, e'\\n' order by r::text collate "C"), '')) as hash from (${query}) as r`,
      );
      found[name] = rows[0]!.hash;
    }
    return found;
  }

  it('SQL in every field of every route is text: nothing else comes of it', async () => {
    const { rows } = await fresh.database.query<{ head: number }>('select position as head from event_head');
    await until(async () => {
      const { rows: behind } = await fresh.database.query('select 1 from event_checkpoints where position < $1', [
        rows[0]!.head,
      ]);
      return behind.length === 0;
    }, 'the views to have what was set up');
    const before = await everything(rows[0]!.head);
    const fields = places(isText);
    assert.ok(fields.length > 50, `${fields.length} fields`);
    let sent = 0;
    await all(
      fields.flatMap(([route, place]) => SQL.map((text) => [route, place, text] as const)),
      async ([route, place, text]) => {
        await ask(withValue(goodRequest(route, known), place, text));
        sent++;
      },
    );
    // As a number, as a key and as a header.
    for (const [route, place] of places(isNumber)) await ask(withValue(goodRequest(route, known), place, SQL[0]));
    for (const route of operations) {
      if (route.path !== '/api/transfers') continue;
      for (const text of SQL)
        await ask(goodRequest(route, { ...known, asset: 'no-such' }), undefined, { 'idempotency-key': text });
    }
    assert.deepEqual(await everything(rows[0]!.head), before);
    // What came in is what texts may do: people came, and nothing moved.
    const { rows: types } = await fresh.database.query<{ type: string }>(
      `select distinct type from events where position > $1 and type not like 'account.%'`,
      [rows[0]!.head],
    );
    assert.deepEqual(types, []);
    console.log(`    ${sent} requests with SQL in ${fields.length} fields; told ${rateLimited} times to slow down`);
  });

  it('texts of 10,000 characters are refused by code, wherever they stand', async () => {
    await all(places(isText), async ([route, place]) => {
      const { status, code } = await ask(withValue(goodRequest(route, known), place, 'x'.repeat(10_000)));
      assert.ok(status >= 400, `${route.method} ${route.path} ${nameOf(place)} takes 10,000 characters`);
      assert.ok(code !== 'INTERNAL');
    });
  });

  it('a number that is negative, fractional, too large to be exact, or none at all is refused by code', async () => {
    const fields = places(isNumber);
    assert.ok(fields.some(([, place]) => nameOf(place) === 'amountMinor'));
    await all(fields, async ([route, place]) => {
      for (const raw of NOT_AMOUNTS) {
        // The query is text anyway.
        if (place.in !== 'body' && raw === '"7"') continue;
        // Scores may be below zero.
        if (nameOf(place) === 'score' && raw === '-1') continue;
        const marked = withValue(goodRequest(route, known), place, place.in === 'body' ? '\u{0001}' : raw);
        const body = JSON.stringify(marked.body)?.replace(JSON.stringify('\u{0001}'), raw);
        const { status, text } = await ask(marked, body);
        assert.equal(status, 400, `${route.method} ${route.path} ${nameOf(place)}=${raw}: ${text.slice(0, 200)}`);
      }
    });
  });

  it(`is answered by code, never by a bug (seed ${SEED})`, async () => {
    const state = new Int32Array(4);
    seedSfc32(state, 0, SEED);
    const draw = (below: number) => nextBelow(state, 0, below);
    const pick = <T>(from: readonly T[]): T => from[draw(from.length)]!;
    const requests = Array.from({ length: FUZZ_REQUESTS }, () => {
      const route = pick(operations);
      let request = goodRequest(route, { ...known, tradeId: 't-0000000000000000000000' });
      let body = request.body === undefined ? undefined : JSON.stringify(request.body);
      const spots = placesOf(route);
      for (let i = draw(3); i >= 0 && spots.length > 0; i--) {
        const spot = pick(spots);
        const raw = pick(ANYTHING);
        if (spot.in !== 'body') {
          const text = raw.startsWith('"') ? (JSON.parse(raw) as string) : raw;
          // A lone surrogate cannot be written into an address.
          if (text.isWellFormed() && text !== '' && text !== ' ') request = withValue(request, spot, text);
        } else {
          body = JSON.stringify(withValue(request, spot, '\u{0001}').body).replace(
            JSON.stringify('\u{0001}'),
            () => raw,
          );
        }
      }
      const headers: Record<string, string> = {};
      const twist = draw(20);
      if (twist === 0) headers['idempotency-key'] = pick(['', 'x'.repeat(65), '\u00e9', `' or 1=1`, '\t']);
      else if (twist === 1)
        headers['authorization'] = pick([
          'Bearer',
          'Bearer x',
          'Basic YTpi',
          `Bearer ${'a'.repeat(5_000)}`,
          'Bearer eyJhbGciOiJub25lIn0.e30.',
        ]);
      else if (twist === 2)
        headers['content-type'] = pick([
          'text/plain',
          'application/xml',
          'application/json; charset=utf-16',
          'multipart/form-data',
        ]);
      else if (twist === 3)
        body = pick([
          '{',
          '',
          'nul',
          '[',
          '{"a":1,"a":2}',
          `[${'['.repeat(5_000)}`,
          `{"a":"${'x'.repeat(70_000)}"}`,
          '\u{feff}{}',
        ]);
      else if (twist === 4 && body !== undefined) body = body.slice(0, draw(body.length + 1));
      else if (twist === 5) body = pick(ANYTHING);
      return { request, body, headers };
    });
    const statuses = new Map<number, number>();
    await all(requests, async ({ request, body, headers }) => {
      const { status } = await ask(request, body, headers);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    const counts = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} times ${status}`);
    console.log(`    ${requests.length} requests to ${operations.length} routes: ${counts.join(', ')}`);
    assert.ok(statuses.size > 5, 'the requests get further than the first check');
  });
});
