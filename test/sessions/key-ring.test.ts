import assert from 'node:assert/strict';
import { PostgresTokenKeys } from '../../src/adapters/postgres-token-keys.ts';
import { type ErrorCode, GameError } from '../../src/kernel/errors.ts';
import type { PublicKey, PublishedKeys } from '../../src/sessions/key-ring.ts';
import { generateTokenKey, Tokens } from '../../src/sessions/tokens.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';

const HOUR_MS = 3_600_000;
const refusedWith = (code: ErrorCode) => (error: unknown) => error instanceof GameError && error.code === code;

describe('signing keys of several processes on one database', () => {
  let fresh: FreshDatabase;
  let published: PostgresTokenKeys;
  let nowMs: number;
  const open = (options: Partial<Parameters<typeof Tokens.open>[0]> = {}) =>
    Tokens.open({ published, minutes: 15, nowMs: () => nowMs, askEveryMs: 20, ...options });

  before(async () => {
    fresh = await freshDatabase();
  });
  after(() => fresh.drop());
  beforeEach(async () => {
    nowMs = Date.parse('2026-11-23T12:00:00Z');
    await fresh.database.query('delete from token_key');
    published = new PostgresTokenKeys(fresh.database);
  });

  it('differ, and each verifies what the others signed, also those that started later or have ended', async () => {
    const first = await open();
    const early = await first.issueAnonymous();
    const second = await open();
    const late = await second.issueAnonymous();
    assert.notEqual(first.keyId, second.keyId);
    assert.deepEqual(await second.verify(early.token), early.identity);
    assert.deepEqual(await first.verify(late.token), late.identity);
    assert.deepEqual((await first.jwks()).keys.map(({ kid }) => kid).sort(), [first.keyId, second.keyId].sort());
  });

  it('of every process that starts later are learnt, one after the other, also when none was asked for lately', async () => {
    const first = await open({ askEveryMs: 0 });
    for (let later = 0; later < 3; later++) {
      const { token, identity } = await (await open()).issueAnonymous();
      assert.deepEqual(await first.verify(token), identity);
    }
    const newest = await open();
    assert.ok((await first.jwks()).keys.some(({ kid }) => kid === newest.keyId));
  });

  it('are changed every day; tokens of the former one are good until they are over', async () => {
    const [signer, other] = [await open(), await open()];
    const former = signer.keyId;
    nowMs += 24 * HOUR_MS - 60_000;
    const old = await signer.issueAnonymous();
    assert.equal(signer.keyId, former);
    nowMs += 60_000;
    await Promise.all([signer.rotate(), signer.rotate(), signer.rotate()]);
    assert.notEqual(signer.keyId, former);
    const fresh = await signer.issueAnonymous();
    for (const tokens of [signer, other]) {
      assert.deepEqual(await tokens.verify(old.token), old.identity);
      assert.deepEqual(await tokens.verify(fresh.token), fresh.identity);
    }
    const { keys } = await signer.jwks();
    assert.equal(keys.length, 3, 'many who rotate at once make one key');
  });

  it('begin their next day by themselves with the first token that is wanted then', async () => {
    const tokens = await open();
    const former = tokens.keyId;
    nowMs += 24 * HOUR_MS;
    await tokens.issueAnonymous();
    await tokens.rotate();
    assert.notEqual(tokens.keyId, former);
  });

  it('are forgotten when no token of theirs can be good', async () => {
    const first = await open();
    const gone = first.keyId;
    nowMs += 49 * HOUR_MS;
    const second = await open();
    assert.deepEqual(
      (await second.jwks()).keys.map(({ kid }) => kid),
      [second.keyId],
    );
    const { rows } = await fresh.database.query('select kid from token_key');
    assert.equal(
      rows.some(({ kid }) => kid === gone),
      false,
    );
  });

  it('never leave the process: neither database nor key set holds a private half', async () => {
    const tokens = await open();
    const { rows } = await fresh.database.query('select * from token_key');
    assert.deepEqual(Object.keys(rows[0]!).sort(), ['kid', 'not_after_ms', 'x']);
    for (const key of (await tokens.jwks()).keys) assert.equal('d' in key, false);
  });

  it('given by an operator sign for all processes, and stay accepted after they were changed', async () => {
    const [one, two] = [await generateTokenKey(), await generateTokenKey()];
    const before = await open({ fixed: one });
    const { token, identity } = await before.issueAnonymous();
    assert.equal((await open({ fixed: one })).keyId, before.keyId);
    const after = await open({ fixed: two });
    assert.deepEqual(await after.verify(token), identity);
    assert.deepEqual(await before.verify((await after.issueAnonymous()).token).then(({ role }) => role), 'player');
  });

  it('go on signing while a new one cannot be published', async () => {
    let isAway = false;
    const faults: unknown[] = [];
    const flaky: PublishedKeys = {
      publish: async (key: PublicKey, atMs: number) => {
        if (isAway) throw new GameError('DATABASE_UNAVAILABLE');
        await published.publish(key, atMs);
      },
      list: async (atMs) => {
        if (isAway) throw new GameError('DATABASE_UNAVAILABLE');
        return published.list(atMs);
      },
    };
    const tokens = await open({ published: flaky, onFault: (error) => faults.push(error) });
    const other = await open();
    const former = tokens.keyId;
    isAway = true;
    await tokens.rotate();
    assert.equal(tokens.keyId, former);
    assert.equal(faults.length, 1);
    const { token, identity } = await tokens.issueAnonymous();
    assert.deepEqual(await tokens.verify(token), identity);
    await assert.rejects(
      tokens.verify((await (await open()).issueAnonymous()).token),
      refusedWith('DATABASE_UNAVAILABLE'),
      'whose key it is, only the database could tell',
    );
    isAway = false;
    await tokens.rotate();
    assert.notEqual(tokens.keyId, former);
    await other.verify((await tokens.issueAnonymous()).token);
  });

  it('are asked for at most as often as stated, however many unknown ones are presented', async () => {
    let asked = 0;
    const counted: PublishedKeys = {
      publish: (key, atMs) => published.publish(key, atMs),
      list: (atMs) => {
        asked++;
        return published.list(atMs);
      },
    };
    const tokens = await open({ published: counted, askEveryMs: 1_000 });
    const foreign = await Promise.all(
      Array.from({ length: 20 }, async () =>
        Tokens.withKey(await generateTokenKey(), { minutes: 15, nowMs: () => nowMs }),
      ),
    );
    const before = asked;
    await Promise.all(
      foreign.map(async (other) => {
        const { token } = await other.issueAnonymous();
        await assert.rejects(tokens.verify(token), refusedWith('AUTH_SIGNATURE'));
      }),
    );
    // Those who had their turn while the first was being answered share the second.
    assert.ok(asked - before <= 2, `${asked - before} times`);
  });
});
