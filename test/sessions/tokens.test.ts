import assert from 'node:assert/strict';
import fc from 'fast-check';
import { importJWK, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import { type ErrorCode, GameError } from '../../src/kernel/errors.ts';
import { admitting, generateTokenKey, type Identity, Tokens } from '../../src/sessions/tokens.ts';

const seed = 20261121;

function refusedWith(code: ErrorCode) {
  return (error: unknown) => error instanceof GameError && error.code === code;
}

describe('tokens', () => {
  let key: JWK;
  let tokens: Tokens;
  let nowMs: number;

  before(async () => {
    key = await generateTokenKey();
  });

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    tokens = await Tokens.withKey(key, { minutes: 15, nowMs: () => nowMs });
  });

  /** A token signed with any key and any claims, as a forger or an older version of us might. */
  async function forged(claims: Record<string, unknown>, header: Record<string, unknown> = {}, by = key) {
    const seconds = nowMs / 1000;
    return new SignJWT({
      sub: 'a-AAAAAAAAAAAAAAAAAAAAAA',
      iss: 'hypogeum',
      aud: 'hypogeum:play',
      iat: seconds,
      exp: seconds + 60,
      role: 'player',
      sid: 's-AAAAAAAAAAAAAAAAAAAAAA',
      ...claims,
    })
      .setProtectedHeader({ alg: 'EdDSA', kid: tokens.keyId, ...header })
      .sign(await importJWK(by, 'EdDSA'));
  }

  it('verify to the identity they were issued for', async () => {
    const issued = await tokens.issueAnonymous();
    assert.match(issued.identity.playerId, /^a-[A-Za-z0-9_-]{22}$/);
    assert.equal(issued.expiresAtSeconds, nowMs / 1000 + 15 * 60);
    assert.deepEqual(await tokens.verify(issued.token), issued.identity);
    assert.equal(issued.identity.isAnonymous, true);
    assert.equal(issued.identity.role, 'player');
    assert.match(issued.identity.sessionId, /^s-[A-Za-z0-9_-]{22}$/);
  });

  it('give every anonymous player another identity', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 50; i++) ids.add((await tokens.issueAnonymous()).identity.playerId);
    assert.equal(ids.size, 50);
  });

  it('stay valid when the server restarts with the same key', async () => {
    const { token, identity } = await tokens.issueAnonymous();
    const again = await Tokens.withKey(structuredClone(key), { minutes: 15, nowMs: () => nowMs });
    assert.deepEqual(await again.verify(token), identity);
  });

  it('are refused AUTH_EXPIRED after their time, with 5 s of grace for other clocks', async () => {
    const { token } = await tokens.issueAnonymous();
    nowMs += (15 * 60 + 4) * 1000;
    await tokens.verify(token);
    nowMs += 2000;
    await assert.rejects(tokens.verify(token), refusedWith('AUTH_EXPIRED'));
  });

  for (const nothing of [undefined, null, '']) {
    it(`are refused AUTH_MISSING when there is ${JSON.stringify(nothing) ?? 'undefined'}`, async () => {
      await assert.rejects(tokens.verify(nothing), refusedWith('AUTH_MISSING'));
    });
  }

  it('of a foreign key are refused AUTH_SIGNATURE, also when they claim our key id', async () => {
    const other = await Tokens.withKey(await generateTokenKey(), { minutes: 15, nowMs: () => nowMs });
    await assert.rejects(tokens.verify((await other.issueAnonymous()).token), refusedWith('AUTH_SIGNATURE'));
    await assert.rejects(tokens.verify(await forged({}, {}, await generateTokenKey())), refusedWith('AUTH_SIGNATURE'));
  });

  it('without a signature (`alg: none`) are refused AUTH_MALFORMED', async () => {
    const none = new UnsecuredJWT({ sub: 'a-AAAAAAAAAAAAAAAAAAAAAA' })
      .setIssuer('hypogeum')
      .setAudience('hypogeum:play')
      .setIssuedAt(nowMs / 1000)
      .setExpirationTime(nowMs / 1000 + 60)
      .encode();
    await assert.rejects(tokens.verify(none), refusedWith('AUTH_MALFORMED'));
    const { token } = await tokens.issueAnonymous();
    const header = Buffer.from(JSON.stringify({ alg: 'none', kid: tokens.keyId })).toString('base64url');
    await assert.rejects(
      tokens.verify([header, ...token.split('.').slice(1)].join('.')),
      refusedWith('AUTH_MALFORMED'),
    );
  });

  it('signed by a shared secret (HS256 with our public key) are refused AUTH_MALFORMED', async () => {
    const confused = await new SignJWT({ sub: 'a-AAAAAAAAAAAAAAAAAAAAAA' })
      .setProtectedHeader({ alg: 'HS256', kid: tokens.keyId })
      .setIssuer('hypogeum')
      .setAudience('hypogeum:play')
      .setExpirationTime(nowMs / 1000 + 60)
      .sign(Buffer.from(key.x!.padEnd(32, '0')));
    await assert.rejects(tokens.verify(confused), refusedWith('AUTH_MALFORMED'));
  });

  for (const [what, claims] of [
    ['another issuer', { iss: 'elsewhere' }],
    ['another audience', { aud: 'elsewhere' }],
    ['no expiry', { exp: undefined }],
    ['no session', { sid: undefined }],
    ['a session that is none', { sid: '*' }],
    ['no role', { role: undefined }],
    ['a role that does not exist', { role: 'god' }],
    ['no subject', { sub: undefined }],
    ['a subject that is no player id', { sub: '../../etc/passwd' }],
  ] as const) {
    it(`with ${what} are refused AUTH_MALFORMED even if we signed them`, async () => {
      await tokens.verify(await forged({}));
      await assert.rejects(tokens.verify(await forged(claims)), refusedWith('AUTH_MALFORMED'));
    });
  }

  it('with any character changed are refused', async () => {
    const { token } = await tokens.issueAnonymous();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(token.length - 2),
        fc.constantFrom('A', 'b', '7', '-', '.', '=', ' '),
        async (at, put) => {
          // The last character of each part carries unused bits, which base64url decoders ignore.
          fc.pre(token[at] !== put && token[at + 1] !== '.');
          const tampered = token.slice(0, at) + put + token.slice(at + 1);
          await assert.rejects(
            tokens.verify(tampered),
            (e) => e instanceof GameError && (e.code === 'AUTH_SIGNATURE' || e.code === 'AUTH_MALFORMED'),
          );
        },
      ),
      { seed, numRuns: 200 },
    );
  });

  it('that are anything at all are refused by code, never by a bug', async () => {
    const { token } = await tokens.issueAnonymous();
    const junk = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.anything(),
      fc.string({ maxLength: 50 }).map((s) => `${s}.${s}.${s}`),
      fc.jsonValue().map((v) => `${Buffer.from(JSON.stringify(v)).toString('base64url')}.e30.AAAA`),
    );
    await fc.assert(
      fc.asyncProperty(junk, async (raw) => {
        await assert.rejects(tokens.verify(raw), (e) => e instanceof GameError && e.code.startsWith('AUTH_'));
      }),
      { seed, numRuns: 500 },
    );
    await assert.rejects(tokens.verify(token.padEnd(10_000, 'A')), refusedWith('AUTH_MALFORMED'));
  });

  it('cannot be made from a key that is not a private Ed25519 key', async () => {
    const { d: _, ...publicOnly } = key;
    for (const wrong of [publicOnly, { ...key, crv: 'X25519' }, { ...key, kty: 'EC' }, { ...key, d: 'AAAA' }]) {
      await assert.rejects(Tokens.withKey(wrong, { minutes: 15 }), refusedWith('CONFIG_INVALID'));
    }
  });
});

describe('admitting', () => {
  it('gives a room class that keeps its name and members and lets only bearers in', async () => {
    class SomeRoom {
      readonly answer = 42;
    }
    const identity: Identity = {
      playerId: 'a-AAAAAAAAAAAAAAAAAAAAAA',
      isAnonymous: true,
      role: 'player',
      sessionId: 's-AAAAAAAAAAAAAAAAAAAAAA',
    };
    const verify = async (token: unknown) => {
      if (token !== 'good') throw new GameError('AUTH_SIGNATURE');
      return identity;
    };
    const Admitted = admitting(SomeRoom, { verify }) as typeof SomeRoom & { onAuth(token: unknown): Promise<unknown> };
    assert.equal(Admitted.name, 'SomeRoom');
    assert.equal(new Admitted().answer, 42);
    const { sessionId: signInId, ...rest } = identity;
    assert.deepEqual(
      await Admitted.onAuth('good'),
      { ...rest, signInId },
      'the framework would take a sessionId for its own',
    );
    await assert.rejects(Admitted.onAuth('bad'), refusedWith('AUTH_SIGNATURE'));
    assert.equal('onAuth' in SomeRoom, false, 'the room class itself is not changed');
  });
});
