import assert from 'node:assert/strict';
import { Client } from '@colyseus/sdk';
import type { RoomServices } from '../../rooms/game-room.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { SYSTEM_CLOCK, TickScheduler } from '../../src/match/tick-scheduler.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from '../rooms/probe-rooms.ts';

/** Time of matches passes so much faster here: one that is long enough to count takes 2 s. */
const HASTE = 16;
const SHOWN_OUT_WITHIN_MS = 5_000;
const PASSWORD = 'correct horse';

const HASTY_CLOCK = {
  now: () => SYSTEM_CLOCK.now() * HASTE,
  wakeAfter: (delayMs: number, wake: () => void) => SYSTEM_CLOCK.wakeAfter(delayMs / HASTE, wake),
};

/** 35 s of play by its own clock. */
class HastyArena extends ProbeArena {
  readonly #scheduler = new TickScheduler({
    clock: HASTY_CLOCK,
    reportFault: (error) => this.services.log.error({ err: error }, 'bug in handling a bug of a room'),
  });

  override onCreate({ services }: { services: RoomServices }): Promise<void> {
    return super.onCreate({ services: { ...services, scheduler: this.#scheduler } });
  }

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1, liveTicks: 35 * 30, endedTicks: 1 };
  }
}

/** Ends when the test does. */
class LongArena extends ProbeArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), liveTicks: 9_000 };
  }
}

interface SignedIn {
  token: string;
  readonly user: { readonly playerId: string; readonly isAnonymous: boolean };
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the server answered
type Body = any;

describe('a player of a whole server', function () {
  this.timeout(30_000);
  let game: GameServer;
  let keys = 0;

  before(async () => {
    game = await GameServer.start({
      // Ratings and boards go by the name of the room type.
      rooms: { arena: HastyArena, long: LongArena },
      env: { HYPOGEUM_PATCH_EVERY_TICKS: '6' },
    });
  });
  afterEach(() => game.clear());
  after(async () => {
    await game.close();
    assert.deepEqual(game.bugs, []);
  });

  /** A client of the SDK that carries the token of this player; the SDK itself keeps one for the process. */
  async function sdk<T>(token: string | undefined, work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client(game.endpoint);
    client.auth.token = token as string;
    try {
      return await work(client);
    } finally {
      client.auth.token = undefined as unknown as string;
    }
  }
  const guest = () => sdk(undefined, (client) => client.auth.signInAnonymously() as Promise<SignedIn>);
  const registered = (email: string, token?: string) =>
    sdk(token, (client) => client.auth.registerWithEmailAndPassword(email, PASSWORD) as Promise<SignedIn>);
  const join = async (token: string, roomId: string): Promise<TestPlayer> =>
    game.adopt(await sdk(token, (client) => client.joinById(roomId)));

  async function admin(): Promise<string> {
    const email = `admin-${++keys}@example.org`;
    const { user } = await registered(email);
    await game.server.persistence.accounts.setRole(user.playerId, 'operator', 'admin');
    return (await sdk(undefined, (client) => client.auth.signInWithEmailAndPassword(email, PASSWORD))).token;
  }

  async function ask(token: string, path: string, { method = 'GET', body }: { method?: string; body?: object } = {}) {
    const response = await fetch(`${game.endpoint}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'POST' ? { 'idempotency-key': `journey-${++keys}` } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Body };
  }
  const told = async (token: string, path: string): Promise<Body> => (await ask(token, path)).body;

  /** Bans over the API. @returns how long it took until the player was shown out, ms */
  async function ban(by: string, playerId: string, player: TestPlayer): Promise<number> {
    const startedMs = performance.now();
    const body = { reason: 'cheating', untilMs: Date.now() + 3_600_000 };
    const answer = await ask(by, `/api/admin/players/${playerId}/ban`, { method: 'POST', body });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    await until(() => player.leftWith !== undefined, 'the banned player to be shown out');
    return performance.now() - startedMs;
  }

  it('is paid, rated, listed and remembered for a match, and loses none of it, nor its seat, by becoming known', async () => {
    const { roomId } = await game.createRoom('arena');
    const [me, other] = [await guest(), await guest()];
    for (const [who, whom] of [
      [me, other],
      [other, me],
    ] as const) {
      await ask(who.token, `/api/me/friends/${whom.user.playerId}`, { method: 'PUT' });
    }
    for (const { token } of [me, other]) await join(token, roomId);

    const { playerId } = me.user;
    const { ledger, projector, eventLog, boards } = game.server.persistence;
    const account = playerAccount(playerId);
    await until(() => ledger.query((state) => state.balances(account).has('coins')), 'the reward');
    await projector.caughtUp(await eventLog.head());
    // The first may be one that was under way already.
    await boards.sync();
    await boards.sync();
    // Two people who never met share the first rank.
    const paths = {
      wallet: '/api/me/wallet',
      history: '/api/me/history',
      ratings: '/api/me/ratings',
      matches: '/api/me/matches',
      friends: '/api/me/friends',
      board: '/api/leaderboards/arena-best-frags/friends',
    };
    const everything = async (token: string): Promise<Record<keyof typeof paths, Body>> =>
      Object.fromEntries(
        await Promise.all(Object.entries(paths).map(async ([what, path]) => [what, await told(token, path)])),
      );
    const had = await everything(me.token);
    assert.deepEqual(had.wallet.balances, [{ asset: 'coins', amountMinor: 50 }]);
    assert.deepEqual(
      had.history.entries.map(({ reason, cause }: Body) => [reason, cause]),
      [['match-reward', `match/${had.matches.matches[0].matchId}`]],
    );
    assert.equal(had.board.rows.length, 2);
    const { mode, matches, isProvisional } = had.ratings.ratings[0];
    assert.deepEqual({ mode, matches, isProvisional }, { mode: 'arena', matches: 1, isProvisional: true });
    assert.deepEqual(
      had.friends.players.map((friend: Body) => friend.playerId),
      [other.user.playerId],
    );

    const next = await game.createRoom<LongArena>('long');
    const seated = await join(me.token, next.roomId);
    const seat = await seated.seat();
    const known = await registered(`journey-${++keys}@example.org`, me.token);
    assert.equal(known.user.playerId, playerId);
    assert.equal(known.user.isAnonymous, false);
    assert.deepEqual(await everything(known.token), had);
    await seated.patched();
    assert.equal(seated.leftWith, undefined);
    assert.equal(next.match.world.playerId(seat), playerId);

    // The seat was taken with the sign-in of before: a ban ends that one, too.
    const tookMs = await ban(await admin(), playerId, seated);
    assert.ok(tookMs < SHOWN_OUT_WITHIN_MS, `${tookMs} ms`);
    assert.equal(seated.leftWith, 4105);
  });

  it('that is banned over the API is shown out of its match within 5 s, and does not come back; others play on', async () => {
    const by = await admin();
    const { roomId } = await game.createRoom('long');
    const [cheat, other] = [await guest(), await guest()];
    const [banned, stays] = [await join(cheat.token, roomId), await join(other.token, roomId)];
    await banned.patched();
    const tookMs = await ban(by, cheat.user.playerId, banned);
    assert.ok(tookMs < SHOWN_OUT_WITHIN_MS, `${tookMs} ms`);
    assert.equal(banned.leftWith, 4105);
    await assert.rejects(join(cheat.token, roomId), /ACCOUNT_BANNED/);
    assert.equal((await ask(cheat.token, '/api/me')).body.code, 'ACCOUNT_BANNED');
    await stays.patched();
    assert.equal(stays.leftWith, undefined);
  });
});
