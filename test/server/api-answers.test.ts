import assert from 'node:assert/strict';
import { Client } from '@colyseus/sdk';
import express, { type Express } from 'express';
import * as z from 'zod';
import { jsonSchemaOf, type OpenApiDocument } from '../../src/api/openapi.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { readReplayHeader } from '../../src/kernel/replay-file.ts';
import { GameServer, until } from '../fixtures/game-server.ts';
import { HastyArena } from '../fixtures/hasty-arena.ts';

const OURS = /^\/(?:api|auth|\.well-known)(?:\/|$)/;
/** Lists that are empty in what is set up below: an open trade holds nothing. */
const EMPTY: ReadonlySet<string> = new Set(['/api/me/wallet held']);

interface SignedIn {
  readonly token: string;
  readonly user: { readonly playerId: string };
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the server answered
type Body = any;

/** What Express keeps of a route, or of a router within it. */
interface Layer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
  readonly handle?: { readonly stack?: readonly Layer[] };
}

function routesOf(stack: readonly Layer[]): { path: string; methods: string[] }[] {
  return stack.flatMap(({ route, handle }) => [
    ...(route === undefined ? [] : [{ path: route.path, methods: Object.keys(route.methods) }]),
    ...routesOf(handle?.stack ?? []),
  ]);
}

describe('what a whole server answers', function () {
  this.timeout(30_000);
  let game: GameServer;
  let document: OpenApiDocument;
  let app: Express | undefined;
  let keys = 0;

  before(async () => {
    // The only way to the app that the framework makes: it answers a request.
    const shared = express.application as unknown as { handle: (...args: unknown[]) => unknown };
    const { handle } = shared;
    shared.handle = function (this: Express, ...args: unknown[]) {
      app = this;
      return handle.apply(this, args);
    };
    try {
      game = await GameServer.start({
        rooms: { arena: HastyArena },
        env: { HYPOGEUM_BOTS: '4', HYPOGEUM_PATCH_EVERY_TICKS: '6' },
      });
      document = (await (await fetch(`${game.endpoint}/api/openapi.json`)).json()) as OpenApiDocument;
    } finally {
      shared.handle = handle;
    }
  });
  after(async () => {
    await game.close();
    assert.deepEqual(game.bugs, []);
  });

  async function ask(token: string, path: string, { method = 'GET', body }: { method?: string; body?: object } = {}) {
    const response = await fetch(`${game.endpoint}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'POST' ? { 'idempotency-key': `answers-${++keys}` } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response;
  }
  async function told(token: string, path: string, how: { method?: string; body?: object } = {}): Promise<Body> {
    const response = await ask(token, path, how);
    const body = (await response.json()) as Body;
    assert.ok(response.ok, `${path}: ${JSON.stringify(body)}`);
    return body;
  }

  it('under /api, /auth and /.well-known is described, all of it, and nothing is described that it does not answer', async () => {
    const served = routesOf((app as unknown as { router: { stack: Layer[] } }).router.stack)
      .filter(({ path }) => OURS.test(path))
      .map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}'));
    const described = Object.keys(document.paths);
    assert.deepEqual([...new Set(served)].sort(), described.sort());
    for (const [path, methods] of Object.entries(document.paths)) {
      const { status, headers } = await fetch(game.endpoint + path.replaceAll(/\{\w+\}/g, 'x'), { method: 'PATCH' });
      assert.equal(status, 405, path);
      const allowed = headers.get('allow')!.toLowerCase().split(', ');
      assert.deepEqual(
        allowed.filter((method) => method !== 'head' && method !== 'options').sort(),
        Object.keys(methods).sort(),
        path,
      );
    }
  });

  it('to every question fits its description', async () => {
    const client = new Client(game.endpoint);
    const sdk = async (work: () => Promise<unknown>): Promise<SignedIn> => {
      client.auth.token = undefined as unknown as string;
      return (await work()) as SignedIn;
    };
    const name = `Ann ${process.pid}`;
    const email = `answers-${process.pid}-${Date.now()}@example.org`;
    const ann = await sdk(() => client.auth.registerWithEmailAndPassword(email, 'correct horse', { name }));
    const bob = await sdk(() => client.auth.signInAnonymously());
    const { token: admin } = await game.server.tokens.issue({
      playerId: ann.user.playerId,
      isAnonymous: false,
      role: 'admin',
      sessionId: `s-${'a'.repeat(22)}`,
    });

    const { roomId } = await game.createRoom('arena');
    for (const { token } of [ann, bob]) {
      client.auth.token = token;
      game.adopt(await client.joinById(roomId, { name: 'Somebody' }));
    }
    client.auth.token = undefined as unknown as string;

    const [annId, bobId] = [ann.user.playerId, bob.user.playerId];
    const assets = [
      { asset: 'coins', amountMinor: 1_000 },
      { asset: 'item/flare', amountMinor: 2 },
    ];
    const reason = 'test';
    await told(admin, '/api/admin/grants', { method: 'POST', body: { playerId: annId, assets, reason } });
    const bought = await told(ann.token, '/api/shop/banner/purchase', { method: 'POST', body: {} });
    await told(ann.token, `/api/me/friends/${bobId}`, { method: 'PUT' });
    await told(bob.token, `/api/me/friends/${annId}`, { method: 'PUT' });
    const opened = { method: 'POST', body: { withPlayerId: bobId } };
    const { tradeId } = await told(ann.token, '/api/trades', opened);
    const offer = { assets: [{ asset: 'coins', amountMinor: 5 }] };
    await told(ann.token, `/api/trades/${tradeId}/offer`, { method: 'PUT', body: offer });
    const { code } = await told(ann.token, '/api/matchmaking/parties', { method: 'POST', body: { name: 'Ann' } });
    await told(bob.token, '/api/matchmaking/parties/join', { method: 'POST', body: { code } });
    await told(ann.token, '/api/matchmaking/tickets', {
      method: 'POST',
      body: { mode: 'arena', latencies: { local: 9 } },
    });
    // 1,000 granted, 500 for the banner: 500 are left, and what the match pays.

    const { ledger, projector, eventLog, boards } = game.server.persistence;
    const coins = () => ledger.query((state) => state.balances(playerAccount(annId)).get('coins') ?? 0);
    await until(async () => (await coins()) > 500, 'the reward of the match');
    const replay = await until(async () => (await game.server.services.replays.list(1))[0], 'its replay');
    await projector.caughtUp(await eventLog.head());
    await boards.sync();
    const matchId = replay.id;

    const known: Readonly<Record<string, string>> = {
      playerId: annId,
      matchId,
      tradeId,
      itemId: bought.items[0].itemId,
      board: 'arena-best-frags',
      mode: 'arena',
      id: matchId,
    };
    const asked: Readonly<Record<string, string>> = { '/api/players': `?name=${encodeURIComponent(name)}` };
    const empty: string[] = [];
    for (const [path, { get }] of Object.entries(document.paths)) {
      if (get === undefined) continue;
      const target = path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
        assert.ok(known[parameter], `${path}: this test knows a ${parameter}`);
        return known[parameter]!;
      });
      const token = path.startsWith('/api/admin/') ? admin : ann.token;
      const response = await ask(token, target + (asked[path] ?? ''));
      const described = get.responses['200']!;
      if (described.content['application/octet-stream'] !== undefined) {
        const bytes = new Uint8Array(await response.arrayBuffer());
        assert.equal(response.headers.get('content-type'), 'application/octet-stream');
        assert.equal(readReplayHeader(bytes).matchId, matchId, path);
        continue;
      }
      const body = (await response.json()) as Body;
      assert.equal(response.status, 200, `${path}: ${JSON.stringify(body)}`);
      const result = z.fromJSONSchema(strict(jsonSchemaOf(described)) as z.core.JSONSchema.JSONSchema).safeParse(body);
      assert.ok(result.success, `${path}: ${result.error?.message}`);
      for (const [member, value] of Object.entries(body)) {
        if (Array.isArray(value) && value.length === 0) empty.push(`${path} ${member}`);
      }
    }
    assert.deepEqual(
      empty.filter((list) => !EMPTY.has(list)),
      [],
      'a list with nothing in it says nothing of its members',
    );
  });
});

/** Members that are not described may come with the next release; here they are a fault. */
function strict(schema: object): object {
  return JSON.parse(JSON.stringify(schema), (_name, inner: unknown) => {
    const isObject = typeof inner === 'object' && inner !== null && (inner as { type?: unknown }).type === 'object';
    return isObject && !('additionalProperties' in inner) ? { ...inner, additionalProperties: false } : inner;
  });
}
