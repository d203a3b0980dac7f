import assert from 'node:assert/strict';
import { hashPassword, isBearer, isOriginOfHost, isOwnPage, PanelAccess } from '../../src/ops/panel-access.ts';
import { RateLimit } from '../../src/ops/rate-limit.ts';

const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });

describe('access to a panel', () => {
  let access: PanelAccess;

  beforeEach(() => {
    const wrongPasswords = new RateLimit({ burst: 2, perSecond: 0.001, addressesMax: 10, nowMs: () => 0 });
    access = new PanelAccess({ passwordHash: hashPassword('pä:ss'), wrongPasswords });
  });

  it('takes the password with any user name, also one that contains a colon', () => {
    for (const user of ['', 'ops', 'ödön']) assert.equal(access.refusalOf(basic(`${user}:pä:ss`), 'a'), undefined);
  });

  for (const header of ['', 'Basic', 'Basic !!!', 'Basic b3Bz', 'Bearer x', `Basic ${'A'.repeat(5000)}`]) {
    it(`without a password in ${JSON.stringify(header.slice(0, 20))} asks for one`, () => {
      assert.equal(access.refusalOf({ authorization: header }, 'a'), 'AUTH_MISSING');
    });
  }

  it('with wrong ones is closed to that address, before the password is looked at', () => {
    for (const guess of ['x:', 'x:pass']) assert.equal(access.refusalOf(basic(guess), 'a'), 'AUTH_SIGNATURE');
    assert.equal(access.refusalOf(basic('x:pä:ss'), 'a'), 'RATE_LIMITED');
    assert.equal(access.refusalOf(basic('x:pä:ss'), 'b'), undefined);
  });

  it('from a foreign page is refused without counting a guess', () => {
    for (let i = 0; i < 5; i++) {
      const headers = { ...basic('x:wrong'), host: 'game.example', origin: 'https://evil.example' };
      assert.equal(access.refusalOf(headers, 'a'), 'FOREIGN_ORIGIN');
    }
    assert.equal(access.refusalOf(basic('x:pä:ss'), 'a'), undefined);
  });
});

describe('an origin', () => {
  for (const [origin, host, isOwn] of [
    ['https://game.example', 'game.example', true],
    ['https://game.example', 'game.example:443', true],
    ['http://game.example:2567', 'game.example:2567', true],
    ['http://[::1]:2567', '[::1]:2567', true],
    ['https://game.example:444', 'game.example', false],
    ['https://evil.example', 'game.example', false],
    ['https://game.example.evil.example', 'game.example', false],
    ['https://game.example/', 'game.example', false],
    ['https://user@game.example', 'game.example', false],
    ['null', 'game.example', false],
    ['', 'game.example', false],
    ['https://game.example', undefined, false],
    ['https://game.example', '[', false],
  ] as const) {
    it(`${JSON.stringify(origin)} is ${isOwn ? '' : 'not '}that of host ${JSON.stringify(host)}`, () => {
      assert.equal(isOriginOfHost(origin, host), isOwn);
    });
  }

  it('that is absent is no page, unless the browser says that another site asks', () => {
    assert.equal(isOwnPage({ host: 'a' }), true);
    assert.equal(isOwnPage({ host: 'a', 'sec-fetch-site': 'none' }), true);
    assert.equal(isOwnPage({ host: 'a', 'sec-fetch-site': 'cross-site' }), false);
    assert.equal(isOwnPage({ host: 'a', 'sec-fetch-site': 'same-site' }), false);
  });
});

describe('a bearer token', () => {
  it('must equal the expected one', () => {
    assert.equal(isBearer({ authorization: 'Bearer abc' }, 'abc'), true);
    for (const authorization of [undefined, '', 'abc', 'Bearer', 'Bearer abcd', 'Basic abc', 'Bearer ABC']) {
      assert.equal(isBearer({ authorization }, 'abc'), false);
    }
  });
});
