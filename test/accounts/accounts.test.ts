import assert from 'node:assert/strict';
import { evolve } from '../../src/accounts/account.ts';
import { EXPORTED_EVENTS_MAX, SESSIONS_MAX } from '../../src/accounts/accounts.ts';
import { AccountRenamed } from '../../src/events/account-events.ts';
import type { GameError } from '../../src/kernel/errors.ts';
import { type AccountsStage, accountsStage, callerOf, eventually, refusedWith } from '../fixtures/accounts.ts';

const HOME = '203.0.113.7';
const PASSWORD = 'correct horse';

describe('accounts', () => {
  let stage: AccountsStage;

  before(async () => {
    stage = await accountsStage({ wallet: async (playerId) => ({ playerId, gold: 7 }) });
  });
  after(() => stage.close());

  let count = 0;
  const address = () => `player-${++count}@example.org`;
  /** Another network for each test, so that one spends no other's budget. */
  let net = 0;
  let network = HOME;
  beforeEach(() => {
    network = `198.51.100.${++net}`;
  });
  const registered = async (email = address(), password = PASSWORD) =>
    stage.accounts.register({ email, password }, network);

  it('are made anonymously, with a token of their own that says so', async () => {
    const signedIn = await stage.accounts.signInAnonymously();
    assert.deepEqual(await stage.tokens.verify(signedIn.token), callerOf(signedIn));
    assert.equal(signedIn.user.isAnonymous, true);
    assert.match(signedIn.user.name, /^Guest .{4}$/);
    assert.deepEqual(await stage.typesOf(signedIn.user.playerId), ['account.created']);
  });

  it('that are upgraded keep their id, name and sign-in', async () => {
    const guest = await stage.accounts.signInAnonymously();
    await stage.accounts.rename(guest.user.playerId, `Kept ${net}`);
    const email = address();
    const upgraded = await stage.accounts.register({ email, password: PASSWORD }, network, callerOf(guest));
    assert.equal(upgraded.user.playerId, guest.user.playerId);
    assert.equal(upgraded.user.name, `Kept ${net}`);
    assert.equal(upgraded.user.isAnonymous, false);
    assert.equal((await stage.accounts.refresh(guest.refreshToken)).user.isAnonymous, false);
    assert.equal(
      (await stage.accounts.signIn({ email, password: PASSWORD }, network)).user.playerId,
      guest.user.playerId,
    );
    await refusedWith(
      'ACCOUNT_EXISTS',
      stage.accounts.register({ email: address(), password: PASSWORD }, network, callerOf(guest)),
    );
  });

  it('are found again by e-mail and password, however the address is spelt', async () => {
    const { user } = await registered('Zoë.Ünal@Bücher.example');
    for (const email of [
      'zoë.ünal@xn--bcher-kva.example',
      '  ZOË.ÜNAL@BÜCHER.EXAMPLE ',
      'zoe\u0308.u\u0308nal@bücher.example',
    ]) {
      assert.equal((await stage.accounts.signIn({ email, password: PASSWORD }, network)).user.playerId, user.playerId);
    }
  });

  it('refuse a wrong password and an unknown e-mail with the same answer, after the same work', async () => {
    const email = address();
    await registered(email);
    const work: number[][] = [];
    const answers: unknown[] = [];
    for (const wrong of [
      { email, password: 'wrong horse' },
      { email: address(), password: PASSWORD },
    ]) {
      const [hashes, queries] = [stage.hasher.hashes, stage.statements()];
      const { code, detail, message } = await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn(wrong, network));
      answers.push({ code, detail, message });
      work.push([stage.hasher.hashes - hashes, stage.statements() - queries]);
    }
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual(work[0], work[1]);
    assert.equal(work[0]![0], 1, 'one argon2 hash');
  });

  it('register a taken e-mail like a free one, and tell the pair apart only to who knows the password', async () => {
    const email = address();
    const first = await registered(email);
    const work: number[] = [];
    const count = async (run: () => Promise<unknown>) => {
      const [hashes, queries] = [stage.hasher.hashes, stage.statements()];
      await run();
      assert.equal(stage.hasher.hashes - hashes, 1);
      work.push(stage.statements() - queries);
    };
    let second: Awaited<ReturnType<typeof registered>>;
    await count(async () => {
      second = await registered(email, 'another person');
    });
    await count(() => registered(address()));
    assert.equal(work[0], work[1], 'as many statements for a taken as for a free address');
    assert.notEqual(second!.user.playerId, first.user.playerId);
    assert.deepEqual(Object.keys(second!.user), Object.keys(first.user));
    await refusedWith('ACCOUNT_EXISTS', registered(email, 'another person'));
    assert.equal(
      (await stage.accounts.signIn({ email, password: PASSWORD }, network)).user.playerId,
      first.user.playerId,
    );
  });

  it('let nobody be locked out by who guesses from elsewhere', async () => {
    const email = address();
    const { user } = await registered(email);
    for (let from = 0; from < 3; from++) {
      const attacker = `192.0.2.${from}`;
      for (let guess = 0; guess < 10; guess++) {
        await refusedWith(
          'CREDENTIALS_WRONG',
          stage.accounts.signIn({ email, password: `guess ${guess} ${from}` }, attacker),
        );
      }
      await refusedWith('RATE_LIMITED', stage.accounts.signIn({ email, password: PASSWORD }, attacker));
    }
    assert.equal((await stage.accounts.signIn({ email, password: PASSWORD }, network)).user.playerId, user.playerId);
    assert.equal(
      (await stage.accounts.signIn({ email, password: PASSWORD }, '192.0.2.200')).user.playerId,
      user.playerId,
    );
    // Neither for others in the attacker's network, whose own e-mails it did not guess at.
    const neighbour = address();
    await registered(neighbour);
    await stage.accounts.signIn({ email: neighbour, password: PASSWORD }, '192.0.2.0');
    stage.pass(60_000);
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: 'guess once more' }, '192.0.2.0'));
  });

  it('let a device that signed in before have its own budget, also beside who guesses in the same network', async () => {
    const email = address();
    const { user, refreshToken } = await registered(email);
    const other = await registered();
    await stage.accounts.signOut(callerOf(await stage.accounts.refresh(refreshToken)), false);
    const signIn = (password: string, device?: string) =>
      stage.accounts.signIn({ email, password, ...(device === undefined ? {} : { refreshToken: device }) }, network);
    for (let guess = 0; guess < 9; guess++) await refusedWith('CREDENTIALS_WRONG', signIn(`wrong one ${guess}`));
    await refusedWith('RATE_LIMITED', signIn(PASSWORD));
    const forged = refreshToken.replace(/\.[^.]+\./, `.${'A'.repeat(22)}.`);
    for (const device of [other.refreshToken, forged, 'nonsense'])
      await refusedWith('RATE_LIMITED', signIn(PASSWORD, device));
    assert.equal((await signIn(PASSWORD, refreshToken)).user.playerId, user.playerId);
    for (let guess = 0; guess < 10; guess++)
      await refusedWith('CREDENTIALS_WRONG', signIn(`wrong too ${guess}`, refreshToken));
    await refusedWith('RATE_LIMITED', signIn(PASSWORD, refreshToken));
  });

  it('count registrations as guesses, as these also tell whether a pair is right', async () => {
    const email = address();
    for (let guess = 0; guess < 10; guess++) await registered(email, `password ${guess}`);
    await refusedWith('RATE_LIMITED', registered(email, 'password 10'));
  });

  it('count new passwords as guesses, as these also tell whether a pair is right', async () => {
    const email = address();
    await registered(email, 'of the victim');
    const attacker = await registered(email, 'password 0');
    const change = (guess: number) =>
      stage.accounts.changePassword(
        callerOf(attacker),
        { password: `password ${guess}`, newPassword: `password ${guess + 1}` },
        network,
      );
    for (let guess = 0; guess < 8; guess++) await change(guess);
    await refusedWith('RATE_LIMITED', change(8));
  });

  it('let a device of one account vouch for no other that claims the same e-mail', async () => {
    const email = address();
    const victim = await stage.accounts.register({ email, password: 'of the victim' }, '192.0.2.99');
    await registered(email, 'of the attacker');
    const guess = async (password: string) => {
      // Each sign-in to an account of one's own would bring a device that never guessed.
      const own = await stage.accounts.signIn({ email, password: 'of the attacker' }, network).catch(() => mine);
      mine = own;
      return stage.accounts.signIn({ email, password, refreshToken: own.refreshToken }, network);
    };
    let mine = await stage.accounts.signIn({ email, password: 'of the attacker' }, network);
    for (let tried = 0; tried < 9; tried++) await refusedWith('CREDENTIALS_WRONG', guess(`password ${tried}`));
    // By now the network has no guess left, and neither has a device in it, for what is not its own.
    await refusedWith('CREDENTIALS_WRONG', guess('of the victim'));
    assert.equal((await guess('of the attacker')).user.playerId, mine.user.playerId);
    // Who has two accounts under one e-mail changes between them on one device.
    const elsewhere = { email, password: 'of the victim', refreshToken: mine.refreshToken };
    const changed = await stage.accounts.signIn(elsewhere, '192.0.2.98');
    assert.equal(changed.user.playerId, victim.user.playerId);
  });

  it('give a name to one of those who want it at once', async () => {
    const names = [
      'Sappho',
      'ѕаррһо',
      'SAPPHO',
      'Säpphö',
      'S a p p h o',
      'Ｓａｐｐｈｏ',
      'S4ppho'.replace('4', 'a'),
      'Sapph0',
    ];
    const results = await Promise.allSettled(
      names.map(async (name) => stage.accounts.register({ email: address(), password: PASSWORD, name }, network)),
    );
    const refusals = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as GameError).code] : [],
    );
    assert.deepEqual(refusals, Array(names.length - 1).fill('NAME_TAKEN'));
    const { rows } = await stage.fresh.database.query(
      'select count(*) from account a where not exists (select from session s where s.player_id = a.player_id)',
    );
    assert.equal(rows[0]!['count'], 0, 'those refused left no account behind');
  });

  it('may not be called like a guest, and give a name up', async () => {
    const { user } = await registered();
    await refusedWith('NAME_TAKEN', stage.accounts.rename(user.playerId, 'Guest 1a2B'));
    await stage.accounts.rename(user.playerId, `Free ${net}`);
    assert.equal((await stage.accounts.find(user.playerId)).name, `Free ${net}`);
    const other = await registered();
    await refusedWith('NAME_TAKEN', stage.accounts.rename(other.user.playerId, `FREE ${net}`));
    await stage.accounts.rename(user.playerId, null);
    await stage.accounts.rename(other.user.playerId, `Free ${net}`);
    assert.match((await stage.accounts.find(user.playerId)).name, /^Guest/);
  });

  it('are found by the first letters of the name, whatever these are', async () => {
    const { user } = await registered();
    await stage.accounts.rename(user.playerId, "O'Ré%ly_; --");
    assert.deepEqual(await stage.accounts.search("o're", 5), [{ playerId: user.playerId, name: "O'Ré%ly_; --" }]);
    for (const none of ['%', '_', "' or 1=1 --", 'é%', '\u{10ffff}'])
      assert.deepEqual(await stage.accounts.search(none, 5), []);
    assert.deepEqual(
      await stage.accounts.namesOf([user.playerId, 'a-nobody']),
      new Map([
        [user.playerId, "O'Ré%ly_; --"],
        ['a-nobody', 'Guest body'],
      ]),
    );
  });

  it('renew a sign-in again and again, each refresh token once', async () => {
    let signedIn = await registered();
    const { sessionId } = signedIn.user;
    for (let i = 0; i < 3; i++) {
      stage.pass(14 * 60_000);
      const next = await stage.accounts.refresh(signedIn.refreshToken);
      assert.notEqual(next.refreshToken, signedIn.refreshToken);
      assert.equal(next.user.sessionId, sessionId);
      signedIn = next;
    }
  });

  it('answer a refresh that is repeated at once with the same refresh token, by any process', async () => {
    const signedIn = await registered();
    const another = await stage.another();
    const [a, b] = await Promise.all([
      stage.accounts.refresh(signedIn.refreshToken),
      another.refresh(signedIn.refreshToken),
    ]);
    assert.equal(a.refreshToken, b.refreshToken);
    stage.pass(9_000);
    assert.equal((await stage.accounts.refresh(signedIn.refreshToken)).refreshToken, a.refreshToken);
    await stage.accounts.refresh(a.refreshToken);
  });

  it('end the sign-in when a refresh token is used twice, whoever comes second', async () => {
    for (const [what, late] of [
      ['later than ten seconds', true],
      ['after its successor was used', false],
    ] as const) {
      const stolen = await registered();
      const { playerId, sessionId } = stolen.user;
      let thief = await stage.accounts.refresh(stolen.refreshToken);
      if (late) stage.pass(10_000);
      else thief = await stage.accounts.refresh(thief.refreshToken);
      await refusedWith('REFRESH_REUSED', stage.accounts.refresh(stolen.refreshToken));
      await refusedWith('REFRESH_INVALID', stage.accounts.refresh(thief.refreshToken));
      await refusedWith('REFRESH_INVALID', stage.accounts.refresh(stolen.refreshToken));
      const last = (await stage.eventsOf(playerId)).at(-1)!;
      assert.equal(last.type, 'account.sessions-ended', what);
      assert.deepEqual(last.payload, { playerId, sessionIds: [sessionId], reason: 'reused', by: 'self' });
    }
  });

  it('end no sign-in for a refresh token that never was one of it', async () => {
    const { refreshToken, user } = await registered();
    const [sessionId, family, secret] = refreshToken.split('.') as [string, string, string];
    const other = (await registered()).refreshToken.split('.') as [string, string, string];
    const forged = [
      `${sessionId}.${other[1]}.${secret}`,
      `${sessionId}.${other[1]}.${other[2]}`,
      `${other[0]}.${family}.${secret}`,
      `s-${'A'.repeat(22)}.${family}.${secret}`,
      '',
      'x',
      `${refreshToken}.`,
      refreshToken.replaceAll('.', '\0'),
      "s-' or 1=1 --",
      'a'.repeat(10_000),
      null,
      7,
      {},
    ];
    for (const token of forged) await refusedWith('REFRESH_INVALID', stage.accounts.refresh(token));
    assert.deepEqual(await stage.typesOf(user.playerId), ['account.created']);
    await stage.accounts.refresh(refreshToken);
  });

  it('forget a sign-in that was not used for 30 days', async () => {
    const { refreshToken } = await registered();
    stage.pass(30 * 86_400_000);
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(refreshToken));
    stage.pass(86_400_001);
    assert.ok((await stage.accounts.tidy()) > 0);
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(refreshToken));
  });

  it('sign out here or everywhere, which every process hears of', async () => {
    const { revocations, heard } = await stage.revocations();
    const email = address();
    const first = await registered(email);
    const second = await stage.accounts.signIn({ email, password: PASSWORD }, network);
    const third = await stage.accounts.signIn({ email, password: PASSWORD }, network);
    assert.equal(await stage.accounts.signOut(callerOf(first), false), 1);
    assert.equal(await stage.accounts.signOut(callerOf(first), false), 0);
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(first.refreshToken));
    await eventually(() => assert.equal(heard.length, 1));
    assert.throws(() => revocations.check(first.user.sessionId), { code: 'AUTH_REVOKED' });
    revocations.check(second.user.sessionId);
    assert.equal(await stage.accounts.signOut(callerOf(second), true), 2);
    await eventually(() => assert.equal(heard.length, 3));
    assert.deepEqual(
      heard.map(({ sessionId }) => sessionId).sort(),
      [first, second, third].map(({ user }) => user.sessionId).sort(),
    );
    const late = await stage.revocations();
    for (const { user } of [first, second, third]) {
      assert.throws(
        () => late.revocations.check(user.sessionId),
        { code: 'AUTH_REVOKED' },
        'also in a process that starts later',
      );
    }
  });

  it(`have ${SESSIONS_MAX} sign-ins at once; the oldest gives way`, async () => {
    const email = address();
    const first = await registered(email);
    stage.pass(1);
    const second = await stage.accounts.signIn({ email, password: PASSWORD }, network);
    for (let i = 2; i <= SESSIONS_MAX; i++) {
      stage.pass(1);
      await stage.accounts.signIn({ email, password: PASSWORD }, network);
    }
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(first.refreshToken));
    await stage.accounts.refresh(second.refreshToken);
  });

  it('change the password with the old one, which ends the other sign-ins', async () => {
    const email = address();
    const here = await registered(email);
    const there = await stage.accounts.signIn({ email, password: PASSWORD }, network);
    const caller = callerOf(here);
    await refusedWith(
      'CREDENTIALS_WRONG',
      stage.accounts.changePassword(caller, { password: 'wrong horse', newPassword: 'new password' }, network),
    );
    await stage.accounts.changePassword(caller, { password: PASSWORD, newPassword: 'new password' }, network);
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(there.refreshToken));
    await stage.accounts.refresh(here.refreshToken);
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: PASSWORD }, network));
    await stage.accounts.signIn({ email, password: 'new password' }, network);
  });

  it('get a password from an operator, also an account that never had one', async () => {
    const guest = await stage.accounts.signInAnonymously();
    await refusedWith('CREDENTIALS_INVALID', stage.accounts.setPassword(guest.user.playerId, 'new password'));
    const email = address();
    await stage.accounts.setPassword(guest.user.playerId, 'new password', email);
    assert.equal(
      (await stage.accounts.signIn({ email, password: 'new password' }, network)).user.playerId,
      guest.user.playerId,
    );
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(guest.refreshToken));
    await refusedWith('PLAYER_UNKNOWN', stage.accounts.setPassword(`a-${'A'.repeat(22)}`, 'new password', email));
  });

  it('that are banned are told why and until when, and come back afterwards', async () => {
    const { heard, revocations } = await stage.revocations();
    const email = address();
    const { user, refreshToken } = await registered(email);
    const untilMs = stage.nowMs() + 3_600_000;
    await stage.accounts.ban(user.playerId, 'operator', 'cheating', untilMs);
    for (const attempt of [
      () => stage.accounts.signIn({ email, password: PASSWORD }, network),
      () => stage.accounts.refresh(refreshToken),
    ]) {
      assert.deepEqual((await refusedWith('ACCOUNT_BANNED', attempt())).detail, { reason: 'cheating', untilMs });
    }
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: 'wrong horse' }, network));
    await eventually(() =>
      assert.deepEqual(heard.at(-1), { playerId: user.playerId, sessionId: user.sessionId, code: 'ACCOUNT_BANNED' }),
    );
    for (const one of [revocations, (await stage.revocations()).revocations]) {
      assert.throws(
        () => one.check(user.sessionId),
        (error: GameError) => error.code === 'ACCOUNT_BANNED' && error.detail['untilMs'] === untilMs,
      );
    }
    stage.pass(3_600_000);
    await stage.accounts.signIn({ email, password: PASSWORD }, network);
    await stage.accounts.ban(user.playerId, 'operator', 'abuse', null);
    await refusedWith('ACCOUNT_BANNED', stage.accounts.signIn({ email, password: PASSWORD }, network));
    assert.equal(await stage.accounts.unban(user.playerId, 'operator'), true);
    await stage.accounts.signIn({ email, password: PASSWORD }, network);
  });

  it('change their role with their next sign-in', async () => {
    const email = address();
    const { user, refreshToken } = await registered(email);
    await stage.accounts.setRole(user.playerId, 'operator', 'moderator');
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(refreshToken));
    const again = await stage.accounts.signIn({ email, password: PASSWORD }, network);
    assert.equal((await stage.tokens.verify(again.token)).role, 'moderator');
  });

  it('hand out everything they know of a person, and what others do', async () => {
    const email = address();
    const signedIn = await registered(email);
    const { playerId, sessionId } = signedIn.user;
    await stage.accounts.rename(playerId, `Known ${net}`);
    const all = await stage.accounts.export(playerId, callerOf(signedIn));
    assert.deepEqual(all['person'], { email, name: `Known ${net}` });
    assert.deepEqual(
      (all['signIns'] as { sessionId: string }[]).map((one) => one.sessionId),
      [sessionId],
    );
    assert.deepEqual(
      (all['events'] as { type: string }[]).map(({ type }) => type),
      ['account.created', 'account.renamed', 'account.exported'],
    );
    assert.deepEqual(all['wallet'], { playerId, gold: 7 });
    assert.equal(JSON.stringify(all).includes('hash'), false);
  });

  it('hand out the newest events of an account that has very many, one export of it at a time', async () => {
    const signedIn = await registered();
    const { playerId } = signedIn.user;
    const events = Array.from({ length: 250 }, () => AccountRenamed({ playerId, by: 'self' }));
    for (let part = 0; part < 4; part++) {
      await stage.store.change(playerId, () => ({ change: { events }, result: undefined }));
    }
    const [first, second] = [1, 2].map(() => stage.accounts.export(playerId, callerOf(signedIn)));
    await refusedWith('RATE_LIMITED', second!);
    const handedOut = (await first!)['events'] as { seq: number; type: string }[];
    assert.equal(handedOut.length, EXPORTED_EVENTS_MAX);
    assert.deepEqual([handedOut.at(-1)!.seq, handedOut.at(-1)!.type], [1_002, 'account.exported']);
    await stage.accounts.export(playerId, callerOf(signedIn));
  });

  it('that are erased leave nothing of the person, in any row or event', async () => {
    const email = `Very.Personal-${net}@example.org`;
    const name = `Erase Me ${net}`;
    const signedIn = await stage.accounts.register({ email, password: PASSWORD, name }, network);
    const caller = callerOf(signedIn);
    const { playerId } = caller;
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.eraseSelf(caller, { password: 'wrong horse' }, network));
    await refusedWith('CREDENTIALS_INVALID', stage.accounts.eraseSelf(caller, {}, network));
    await stage.accounts.eraseSelf(caller, { password: PASSWORD }, network);
    for (const table of ['account', 'person', 'credential', 'session']) {
      const { rows } = await stage.fresh.database.query(`select t::text as row from ${table} t`);
      for (const { row } of rows) assert.doesNotMatch(row as string, /personal|erase me/i, table);
    }
    for (const event of await stage.eventsOf(playerId))
      assert.doesNotMatch(JSON.stringify(event), /personal|erase me/i);
    assert.deepEqual((await stage.typesOf(playerId)).slice(-2), ['account.erased', 'account.sessions-ended']);
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: PASSWORD }, network));
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(signedIn.refreshToken));
    for (const attempt of [
      () => stage.accounts.me(caller),
      () => stage.accounts.find(playerId),
      () => stage.accounts.erase(playerId, 'operator'),
    ]) {
      await refusedWith('ACCOUNT_ERASED', attempt());
    }
    await stage.accounts.register({ email, password: PASSWORD, name }, network);
  });

  it('of nobody in particular are erased with the refresh token of the very sign-in', async () => {
    const guest = await stage.accounts.signInAnonymously();
    const other = await stage.accounts.signInAnonymously();
    await refusedWith(
      'REFRESH_INVALID',
      stage.accounts.eraseSelf(callerOf(guest), { refreshToken: other.refreshToken }, network),
    );
    await refusedWith('REFRESH_INVALID', stage.accounts.eraseSelf(callerOf(guest), { password: PASSWORD }, network));
    await stage.accounts.eraseSelf(callerOf(guest), { refreshToken: guest.refreshToken }, network);
    await refusedWith('ACCOUNT_ERASED', stage.accounts.me(callerOf(guest)));
  });

  const hostile = [
    '',
    'a',
    '@',
    'a@',
    '@b',
    'a@b@c d',
    'a b@c.de',
    'a\0@b.de',
    "a'; drop table account; --",
    'x'.repeat(10_000),
    `${'x'.repeat(250)}@b.de`,
    '\ud800@b.de',
    'a@\u202e.de',
    7,
    null,
    undefined,
    {},
    [],
    Number.NaN,
  ];
  it('refuse what is no e-mail or no password by code, before any hash', async () => {
    const hashes = stage.hasher.hashes;
    for (const email of hostile) {
      for (const run of ['register', 'signIn'] as const) {
        await refusedWith('CREDENTIALS_INVALID', stage.accounts[run]({ email, password: PASSWORD }, network));
      }
    }
    for (const password of [
      '',
      '1234567',
      'x'.repeat(257),
      'x'.repeat(10_000),
      '12345678\ud800',
      12345678,
      null,
      undefined,
      {},
    ]) {
      await refusedWith('CREDENTIALS_INVALID', stage.accounts.register({ email: address(), password }, network));
    }
    assert.equal(stage.hasher.hashes, hashes);
  });

  it('take SQL, NUL and any script in every field as what it is: text', async () => {
    const text = `'); drop table account; -- ${net}`.slice(0, 20);
    const email = `"o'hara;--$1"@example.org`;
    const { user } = await stage.accounts.register({ email, password: `${text}\0'";--`, name: text }, network);
    assert.equal(user.name, text);
    assert.equal(user.email, email);
    assert.equal(
      (await stage.accounts.signIn({ email, password: `${text}\0'";--` }, network)).user.playerId,
      user.playerId,
    );
    await refusedWith('NAME_INVALID', stage.accounts.rename(user.playerId, 'x'.repeat(10_000)));
    await refusedWith('NAME_INVALID', stage.accounts.rename(user.playerId, 'a\0b'));
    await refusedWith('PLAYER_UNKNOWN', stage.accounts.find("a-' or 1=1 --"));
  });

  it('have rows that are the fold of their events, after all of the above', async () => {
    const { rows } = await stage.fresh.database.query<{ player_id: string }>('select player_id from account');
    assert.ok(rows.length > 40);
    for (const { player_id } of rows) {
      let account: ReturnType<typeof evolve> | undefined;
      for (const event of await stage.eventsOf(player_id)) account = evolve(account, event);
      assert.deepEqual((await stage.store.profile(player_id))!.account, account);
    }
  });
});
