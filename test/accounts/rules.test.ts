import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Account,
  type Actor,
  banAt,
  decideBan,
  decideErase,
  decideRole,
  decideUnban,
  evolve,
} from '../../src/accounts/account.ts';
import { normalEmail, normalPassword } from '../../src/accounts/credentials.ts';
import { nameKey, searchKey } from '../../src/accounts/name-key.ts';
import {
  hashesOf,
  judgeRefresh,
  newRefreshToken,
  REFRESH_GRACE_MS,
  readRefreshToken,
  successorOf,
  writeRefreshToken,
} from '../../src/accounts/refresh-tokens.ts';
import { ROLES, type Role } from '../../src/api/route.ts';
import { ACCOUNT_EVENTS, AccountCreated } from '../../src/events/account-events.ts';
import { EVENTS } from '../../src/events/catalogue.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { checkName } from '../../src/kernel/names.ts';

const seed = 20261123;
const DAY_MS = 86_400_000;
const NOW_MS = Date.parse('2026-11-23T12:00:00Z');

function account(role: Role = 'player', facts: Partial<Account> = {}): Account {
  const made = evolve(undefined, AccountCreated({ playerId: 'a-victim', isAnonymous: false }));
  return { ...made, role, ...facts };
}
function code(run: () => unknown): string {
  try {
    run();
    return 'done';
  } catch (error) {
    if (error instanceof GameError) return error.code;
    throw error;
  }
}
const by = (role: Role, playerId = 'a-actor'): Actor => ({ playerId, role });

describe('what may be done to an account', () => {
  it('is done by those above it only: bans of every role by every role', () => {
    for (const actor of ROLES) {
      for (const victim of ROLES) {
        const isAbove = ROLES.indexOf(actor) > ROLES.indexOf(victim);
        const answer = code(() => decideBan(account(victim), by(actor), 'abuse', NOW_MS + DAY_MS, NOW_MS));
        assert.equal(answer, isAbove ? 'done' : 'NOT_ALLOWED', `${actor} bans ${victim}`);
      }
      assert.equal(
        code(() => decideBan(account('player'), by(actor, 'a-victim'), 'abuse', null, NOW_MS)),
        'NOT_ALLOWED',
      );
      assert.equal(
        code(() => decideBan(account(actor), 'operator', 'abuse', null, NOW_MS)),
        'done',
      );
    }
  });

  it('keeps moderators to 30 days, to give and to lift', () => {
    for (const [untilMs, answer] of [
      [NOW_MS + 30 * DAY_MS, 'done'],
      [NOW_MS + 30 * DAY_MS + 1, 'NOT_ALLOWED'],
      [null, 'NOT_ALLOWED'],
      [NOW_MS, 'INVALID_INPUT'],
    ] as const) {
      assert.equal(
        code(() => decideBan(account(), by('moderator'), 'abuse', untilMs, NOW_MS)),
        answer,
      );
      if (untilMs === NOW_MS) continue;
      const banned = account('player', { ban: { reason: 'abuse', untilMs } });
      assert.equal(
        code(() => decideUnban(banned, by('moderator'), NOW_MS)),
        answer,
      );
      assert.equal(
        code(() => decideUnban(banned, by('admin'), NOW_MS)),
        'done',
      );
    }
  });

  it('makes admins on the command line only, and no power without a password', () => {
    assert.equal(
      code(() => decideRole(account(), by('admin'), 'moderator')),
      'done',
    );
    assert.equal(
      code(() => decideRole(account(), by('admin'), 'admin')),
      'NOT_ALLOWED',
    );
    assert.equal(
      code(() => decideRole(account(), by('moderator'), 'moderator')),
      'NOT_ALLOWED',
    );
    assert.equal(
      code(() => decideRole(account('admin'), by('admin'), 'player')),
      'NOT_ALLOWED',
    );
    assert.equal(
      code(() => decideRole(account(), 'operator', 'admin')),
      'done',
    );
    assert.equal(
      code(() => decideRole(account('player', { isAnonymous: true }), 'operator', 'admin')),
      'NOT_ALLOWED',
    );
    assert.deepEqual(decideRole(account('admin'), 'operator', 'admin'), []);
  });

  it('is nothing once it is erased, and nobody erases somebody else', () => {
    const erased = account('player', { isErased: true });
    for (const run of [
      () => decideBan(erased, 'operator', 'abuse', null, NOW_MS),
      () => decideUnban(erased, 'operator', NOW_MS),
      () => decideRole(erased, 'operator', 'admin'),
      () => decideErase(erased, 'operator'),
    ]) {
      assert.equal(code(run), 'ACCOUNT_ERASED');
    }
    assert.equal(
      code(() => decideErase(account(), by('admin'))),
      'NOT_ALLOWED',
    );
    assert.equal(
      code(() => decideErase(account(), by('player', 'a-victim'))),
      'done',
    );
  });

  it('is in force until the ban is over', () => {
    const banned = account('player', { ban: { reason: 'abuse', untilMs: NOW_MS } });
    assert.deepEqual(banAt(banned, NOW_MS - 1), banned.ban);
    assert.equal(banAt(banned, NOW_MS), undefined);
    assert.ok(banAt(account('player', { ban: { reason: 'abuse', untilMs: null } }), Number.MAX_SAFE_INTEGER));
  });

  it('is told in events that the catalogue knows and that have no field for a person', () => {
    for (const { type, shape } of ACCOUNT_EVENTS) {
      assert.equal(EVENTS.get(type).type, type);
      const fields = Object.keys((shape as unknown as { shape: object }).shape);
      assert.equal(fields.includes('playerId'), true);
      for (const field of fields) assert.doesNotMatch(field, /name|mail|password|address|network|note/i, type);
    }
  });
});

describe('refresh tokens', () => {
  const key = Buffer.alloc(32, 1);
  const stored = (over = {}) => {
    const token = newRefreshToken();
    const next = successorOf(token, key);
    const previous = hashesOf(token).secret;
    const facts = { ...hashesOf(next), previous, rotatedAtMs: NOW_MS, expiresAtMs: NOW_MS + DAY_MS, endedAtMs: null };
    return { token, next, session: { ...facts, ...over } };
  };

  it('are read as they were written, and anything else is refused by code', () => {
    const token = newRefreshToken();
    assert.deepEqual(readRefreshToken(writeRefreshToken(token)), token);
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: 'binary' })), (raw) => {
        assert.equal(
          code(() => readRefreshToken(raw)),
          'REFRESH_INVALID',
        );
      }),
      { seed },
    );
  });

  it('have one successor each, which needs the secret of the server', () => {
    const token = newRefreshToken();
    assert.deepEqual(successorOf(token, key), successorOf({ ...token }, key));
    assert.notEqual(successorOf(token, key).secret, successorOf(token, Buffer.alloc(32, 2)).secret);
    assert.deepEqual(readRefreshToken(writeRefreshToken(successorOf(token, key))), successorOf(token, key));
  });

  it('are judged: the present one rotates, the one before is repeated for a moment, all others were used twice', () => {
    const { token, next, session } = stored();
    assert.equal(judgeRefresh(session, hashesOf(next), NOW_MS), 'rotate');
    assert.equal(judgeRefresh(session, hashesOf(token), NOW_MS + REFRESH_GRACE_MS - 1), 'repeat');
    assert.equal(judgeRefresh(session, hashesOf(token), NOW_MS + REFRESH_GRACE_MS), 'reused');
    const older = { ...token, secret: newRefreshToken().secret };
    assert.equal(judgeRefresh(session, hashesOf(older), NOW_MS), 'reused');
    const foreign = { ...next, family: newRefreshToken().family };
    assert.equal(judgeRefresh(session, hashesOf(foreign), NOW_MS), 'unknown');
    assert.equal(judgeRefresh(undefined, hashesOf(next), NOW_MS), 'unknown');
    assert.equal(judgeRefresh(session, hashesOf(next), NOW_MS + DAY_MS), 'unknown', 'expired');
    assert.equal(judgeRefresh({ ...session, endedAtMs: NOW_MS }, hashesOf(next), NOW_MS), 'unknown', 'ended');
  });
});

describe('names, e-mails and passwords', () => {
  it('are one name when they look alike', () => {
    for (const alike of ['Paul', 'PAUL', 'раul', 'Pau1', 'P.a-u_l', 'Páúl', 'Ｐａｕｌ', 'PauI']) {
      assert.equal(nameKey(checkName(alike)), nameKey('Paul'), alike);
    }
    for (const other of ['Paula', 'Pul', '玩家', 'Saul']) assert.notEqual(nameKey(checkName(other)), nameKey('Paul'));
  });

  it('have a key for every name there can be, and the same for the same', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (raw) => {
        let name: string;
        try {
          name = checkName(raw);
        } catch {
          return;
        }
        assert.notEqual(nameKey(name), '');
        assert.equal(nameKey(name), nameKey(checkName(name)));
        assert.equal(`${nameKey(name)}${searchKey(name)}`.includes('\0'), false);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('of any kind are brought to one form or refused by code', () => {
    fc.assert(
      fc.property(fc.oneof(fc.emailAddress(), fc.string({ unit: 'binary' }), fc.anything()), (raw) => {
        const email = code(() => normalEmail(raw)) === 'done' ? normalEmail(raw) : undefined;
        if (email === undefined) return;
        assert.equal(normalEmail(email), email, 'the normal form is its own');
        assert.ok(email.length <= 254 && !/\p{C}/u.test(email));
      }),
      { seed, numRuns: 1_000 },
    );
    assert.equal(normalPassword('ﬁshermen'), 'fishermen');
    assert.equal(
      code(() => normalPassword('1234567')),
      'CREDENTIALS_INVALID',
    );
  });
});
