import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { friendsView, PostgresFriends } from '../../src/adapters/postgres-friends.ts';
import { AccountErased } from '../../src/events/account-events.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { FriendRemoved, FriendRequested } from '../../src/events/friend-events.ts';
import { FRIENDS_MAX, Friends, PAIR_EVENTS_MAX } from '../../src/friends/friends.ts';
import { type FriendCommand, type Relation, streamOf } from '../../src/friends/friendship.ts';
import { friendRoutes } from '../../src/friends/routes.ts';
import { madeUpCaller, type ServedApi, serveForTest } from '../fixtures/api.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';

const CALLERS = { a: madeUpCaller('a'), b: madeUpCaller('b'), c: madeUpCaller('c'), d: madeUpCaller('d') };
type Name = keyof typeof CALLERS;
const NAMES = Object.keys(CALLERS) as Name[];
const id = (name: Name): string => CALLERS[name].playerId;

describe('friends', () => {
  let db: FreshDatabase;
  let log: MemoryLog;
  let friends: Friends;
  let table: PostgresFriends;
  let api: ServedApi;
  let folded = 0;
  const view = friendsView();

  const fold = async (): Promise<void> => {
    for await (const events of log.readAll(folded, { types: view.types })) {
      if (events.length === 0) continue;
      await db.database.transaction((tx) => view.fold(tx, events));
      folded = events.at(-1)!.position;
    }
  };
  const put = (name: Name, path: string) => api.ask(`/api/me/${path}`, { method: 'PUT', token: name });
  const remove = (name: Name, path: string) => api.ask(`/api/me/${path}`, { method: 'DELETE', token: name });
  const listOf = async (name: Name): Promise<[string, string][]> => {
    await fold();
    const { body } = await api.ask('/api/me/friends', { token: name });
    return body.players.map(({ playerId, relation }: { playerId: string; relation: string }) => [playerId, relation]);
  };

  before(async () => {
    db = await freshDatabase();
    table = new PostgresFriends(db.database);
  });
  beforeEach(async () => {
    await db.database.transaction((tx) => view.reset(tx));
    folded = 0;
    log = new MemoryLog({ catalogue: EVENTS });
    const known = new Set(Object.values(CALLERS).map(({ playerId }) => playerId));
    friends = new Friends({
      log,
      table,
      isPlayer: async (playerId) => known.has(playerId) || playerId.includes('-many'),
    });
    const namesOf = async (ids: readonly string[]) => new Map(ids.map((each) => [each, 'Somebody']));
    api = await serveForTest(friendRoutes({ friends, namesOf }), { callers: CALLERS });
  });
  afterEach(async () => {
    assert.deepEqual(api.bugs, []);
    await api.close();
  });
  after(() => db.drop());

  it('are asked and accepted, seen from both sides, and known to the friends board', async () => {
    assert.equal((await put('a', `friends/${id('b')}`)).body.relation, 'sent');
    assert.deepEqual([await listOf('a'), await listOf('b')], [[[id('b'), 'sent']], [[id('a'), 'received']]]);
    assert.deepEqual(await friends.friendsOf(id('a')), []);
    assert.equal((await put('b', `friends/${id('a')}`)).body.relation, 'friend');
    assert.deepEqual([await listOf('a'), await listOf('b')], [[[id('b'), 'friend']], [[id('a'), 'friend']]]);
    assert.deepEqual([await friends.friendsOf(id('a')), await friends.friendsOf(id('b'))], [[id('b')], [id('a')]]);
  });

  it('are declined, taken back and ended by the same command, and every command may be repeated', async () => {
    for (const [asks, ends] of [
      ['a', 'a'],
      ['a', 'b'],
    ] as const) {
      await put(asks, `friends/${id('b')}`);
      await put(asks, `friends/${id('b')}`);
      const path = `friends/${ends === 'a' ? id('b') : id('a')}`;
      for (let n = 0; n < 2; n++) assert.equal((await remove(ends, path)).body.relation, 'none');
      assert.deepEqual([await listOf('a'), await listOf('b')], [[], []]);
    }
    assert.equal(await log.head(), 4);
  });

  it('become friends when both ask at once, with one event each', async () => {
    const relations = await Promise.all([
      friends.command('ask', id('a'), id('b')),
      friends.command('ask', id('b'), id('a')),
    ]);
    assert.ok(relations.includes('friend'));
    assert.equal(await log.head(), 2);
    assert.deepEqual(await listOf('a'), [[id('b'), 'friend']]);
  });

  it('are blocked without being told: what the blocked asks looks as if sent, and nothing happens', async () => {
    await put('a', `friends/${id('b')}`);
    await put('b', `friends/${id('a')}`);
    assert.equal((await put('a', `blocks/${id('b')}`)).body.relation, 'blocked');
    const before = await log.head();
    assert.equal((await put('b', `friends/${id('a')}`)).body.relation, 'sent');
    assert.equal(await log.head(), before);
    assert.deepEqual([await listOf('a'), await listOf('b')], [[[id('b'), 'blocked']], []]);
    assert.equal((await remove('a', `blocks/${id('b')}`)).body.relation, 'none');
    assert.deepEqual(await listOf('a'), []);
  });

  it('refuse oneself, strangers to the server, malformed ids and callers without a token', async () => {
    assert.equal((await put('a', `friends/${id('a')}`)).body.code, 'FRIEND_SELF');
    assert.equal((await put('a', `friends/${madeUpCaller('ghost').playerId}`)).body.code, 'PLAYER_UNKNOWN');
    for (const text of [`'; drop table friends; --`, 'x', 'a-%00', 'x'.repeat(500)]) {
      const { status, body } = await put('a', `friends/${encodeURIComponent(text)}`);
      assert.ok(status >= 400 && status < 500 && typeof body.code === 'string', text);
    }
    assert.equal((await api.ask('/api/me/friends')).body.code, 'AUTH_MISSING');
    assert.equal(await log.head(), 0);
  });

  it('end at a bound of requests and of friends, for whoever asks and whoever is asked', async () => {
    const many = (n: number): string => `a-${`${n}-many`.padStart(22, '0')}`;
    const rows = (relation: string) =>
      db.database.query(
        `insert into friends select $1, 'a-x' || n, $2, 0 from generate_series(1, ${FRIENDS_MAX}) n on conflict do nothing`,
        [id('a'), relation],
      );
    await rows('sent');
    await assert.rejects(friends.command('ask', id('a'), many(1)), { code: 'FRIENDS_FULL' });
    assert.equal(await friends.command('ask', id('b'), id('a')), 'sent');
    assert.equal(await friends.command('ask', id('a'), id('b')), 'friend');
    await db.database.query('truncate friends');
    await rows('received');
    await assert.rejects(friends.command('ask', id('c'), id('a')), { code: 'FRIENDS_FULL' });
    await db.database.query('truncate friends');
    await rows('blocked');
    await assert.rejects(friends.command('block', id('a'), many(2)), { code: 'FRIENDS_FULL' });
    assert.equal(await friends.command('remove', id('a'), id('b')), 'none');
  });

  it('may end and block, but begin nothing any more, after a pair has changed its mind a thousand times', async () => {
    const pair = { playerId: id('a'), otherId: id('b') };
    const stream = streamOf(id('a'), id('b'));
    const again = Array.from({ length: 125 }, () => [FriendRequested(pair), FriendRemoved(pair)]).flat();
    for (let length = 0; length < PAIR_EVENTS_MAX - 2; length += again.length) {
      const events = again.slice(0, PAIR_EVENTS_MAX - 2 - length);
      await log.append({ stream, expected: length, events });
    }
    assert.equal(await friends.command('ask', id('a'), id('b')), 'sent');
    assert.equal(await friends.command('remove', id('b'), id('a')), 'none');
    await assert.rejects(friends.command('ask', id('a'), id('b')), { code: 'RATE_LIMITED' });
    assert.equal(await friends.command('block', id('b'), id('a')), 'blocked');
    assert.equal(await friends.command('ask', id('a'), id('b')), 'sent');
    await assert.rejects(friends.command('unblock', id('b'), id('a')), { code: 'RATE_LIMITED' });
    assert.equal(await friends.command('ask', id('a'), id('c')), 'sent');
  });

  it('forget an erased player on both sides', async () => {
    for (const other of ['b', 'c'] as const) {
      await friends.command('ask', id('a'), id(other));
      await friends.command('ask', id(other), id('a'));
    }
    await friends.command('block', id('d'), id('a'));
    await log.append({
      stream: `account/${id('a')}`,
      expected: 'any',
      events: [AccountErased({ playerId: id('a'), by: 'self' })],
    });
    await friends.command('ask', id('b'), id('a'));
    for (const name of NAMES) assert.deepEqual(await listOf(name), [], name);
  });

  it('look to each side as the commands say, in the view as in the stream, after any of them', async () => {
    const commands: readonly FriendCommand[] = ['ask', 'remove', 'block', 'unblock'];
    const step = fc.record({
      by: fc.constantFrom(...NAMES.slice(0, 3)),
      about: fc.constantFrom(...NAMES.slice(0, 3)),
      command: fc.constantFrom(...commands),
    });
    const asked = new Set<string>();
    const friendly = new Set<string>();
    const blocked = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        for (const { by, about, command } of steps) {
          if (by === about) continue;
          const [own, other, pair] = [by + about, about + by, [by, about].sort().join('')];
          const relation = await friends.command(command, id(by), id(about));
          const isBlocked = blocked.has(own) || blocked.has(other);
          if (command === 'ask' && !isBlocked && !friendly.has(pair)) {
            if (asked.delete(other)) friendly.add(pair);
            else asked.add(own);
          } else if (command === 'unblock') blocked.delete(own);
          else if (command !== 'ask') {
            if (command === 'block') blocked.add(own);
            friendly.delete(pair);
            asked.delete(own);
            asked.delete(other);
          }
          const expected: Relation = blocked.has(own)
            ? 'blocked'
            : friendly.has(pair)
              ? 'friend'
              : asked.has(own) || (command === 'ask' && blocked.has(other))
                ? 'sent'
                : asked.has(other)
                  ? 'received'
                  : 'none';
          assert.equal(relation, expected);
        }
        for (const name of NAMES.slice(0, 3)) {
          const seen = new Map(await listOf(name));
          for (const other of NAMES.slice(0, 3)) {
            if (other === name) continue;
            const pair = [name, other].sort().join('');
            const expected = blocked.has(name + other)
              ? 'blocked'
              : friendly.has(pair)
                ? 'friend'
                : asked.has(name + other)
                  ? 'sent'
                  : asked.has(other + name)
                    ? 'received'
                    : undefined;
            assert.equal(seen.get(id(other)), expected, `${name} of ${other}`);
          }
        }
      }),
      { seed: 20261123, numRuns: 30 },
    );
  });
});
