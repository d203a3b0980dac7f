/**
 * Who a player is, for now: a short-lived token that this server signed (EdDSA over Ed25519).
 *
 * How a room gets its identity. Colyseus calls a room class's *static* `onAuth(token, clientOptions, context)` during
 * the matchmaking request, without the options of `defineRoom`, so a class alone cannot reach a service. The
 * composition root therefore derives the class it registers:
 *
 *     defineRoom(admitting(ArenaRoom, tokens), { services })
 *
 * where {@link admitting} adds nothing but that static method. A room reads who joined as `client.auth`, an
 * {@link Identity}. What is thrown there reaches the client with the code first in its message (`AUTH_EXPIRED: The
 * token …`) under the framework's status 525; see `invokeMethod` in src/server.ts.
 */
import { randomBytes } from 'node:crypto';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  decodeProtectedHeader,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { GameError } from '../kernel/errors.ts';

const ALGORITHM = 'EdDSA';
const CURVE = 'Ed25519';
const ISSUER = 'hypogeum';
const AUDIENCE = 'hypogeum:play';
/** Our own are about 350; above this nothing is parsed. */
const TOKEN_CHARS_MAX = 2048;
/** Clocks of two processes of ours may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 5;
const PLAYER_ID = /^[a-z]-[A-Za-z0-9_-]{22}$/;

/** Who holds a token. */
export interface Identity {
  /** Stable over matches for as long as the token is renewed; `a-` and 128 random bits for an anonymous player. */
  readonly playerId: string;
  readonly isAnonymous: boolean;
}

export interface IssuedToken {
  readonly token: string;
  readonly identity: Identity;
  /** Unix time, s. */
  readonly expiresAtSeconds: number;
}

export interface TokenOptions {
  /** How long a token is good for, 1 to 1440. */
  readonly minutes: number;
  /** Wall clock, ms since 1970; injected by tests. */
  readonly nowMs?: () => number;
}

/** Issues and verifies the tokens of one signing key. */
export class Tokens {
  readonly #privateKey: CryptoKey;
  readonly #publicKey: CryptoKey;
  /** RFC 7638 thumbprint of the key: tells a token of another key from a damaged one. */
  readonly keyId: string;
  readonly #lifeSeconds: number;
  readonly #nowMs: () => number;

  private constructor(privateKey: CryptoKey, publicKey: CryptoKey, keyId: string, options: TokenOptions) {
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
    this.keyId = keyId;
    this.#lifeSeconds = options.minutes * 60;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** @throws GameError CONFIG_INVALID if the key is not a private Ed25519 key in JWK form */
  static async withKey(jwk: JWK, options: TokenOptions): Promise<Tokens> {
    if (jwk.kty !== 'OKP' || jwk.crv !== CURVE || typeof jwk.d !== 'string' || typeof jwk.x !== 'string') {
      throw new GameError('CONFIG_INVALID', { key: 'HYPOGEUM_TOKEN_KEY', wanted: `a private ${CURVE} key as a JWK` });
    }
    const { kty, crv, x, d } = jwk;
    try {
      const privateKey = (await importJWK({ kty, crv, x, d }, ALGORITHM)) as CryptoKey;
      const publicKey = (await importJWK({ kty, crv, x }, ALGORITHM)) as CryptoKey;
      return new Tokens(privateKey, publicKey, await calculateJwkThumbprint({ kty, crv, x }), options);
    } catch (cause) {
      throw new GameError('CONFIG_INVALID', { key: 'HYPOGEUM_TOKEN_KEY', wanted: 'a valid key' }, cause);
    }
  }

  /** A new anonymous player and its token. */
  async issueAnonymous(): Promise<IssuedToken> {
    return this.issue({ playerId: `a-${randomBytes(16).toString('base64url')}`, isAnonymous: true });
  }

  /** A fresh token for a known player. */
  async issue(identity: Identity): Promise<IssuedToken> {
    const issuedAtSeconds = Math.floor(this.#nowMs() / 1000);
    const expiresAtSeconds = issuedAtSeconds + this.#lifeSeconds;
    const token = await new SignJWT({ anonymous: identity.isAnonymous })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.keyId, typ: 'JWT' })
      .setSubject(identity.playerId)
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt(issuedAtSeconds)
      .setExpirationTime(expiresAtSeconds)
      .sign(this.#privateKey);
    return { token, identity, expiresAtSeconds };
  }

  /**
   * Who the bearer is. Total over any input.
   * @throws GameError AUTH_MISSING (nothing given), AUTH_MALFORMED (no token of ours: not a JWT, another algorithm
   *   such as `none`, another issuer or audience, claims missing), AUTH_SIGNATURE (another key, or tampered with),
   *   AUTH_EXPIRED
   */
  async verify(token: unknown): Promise<Identity> {
    if (token === undefined || token === null || token === '') throw new GameError('AUTH_MISSING');
    if (typeof token !== 'string' || token.length > TOKEN_CHARS_MAX) throw new GameError('AUTH_MALFORMED');
    try {
      const { kid, alg } = decodeProtectedHeader(token);
      if (alg !== ALGORITHM) throw new GameError('AUTH_MALFORMED');
      if (kid !== this.keyId) throw new GameError('AUTH_SIGNATURE');
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'iat', 'exp'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(this.#nowMs()),
      });
      const playerId = payload.sub;
      if (playerId === undefined || !PLAYER_ID.test(playerId)) throw new GameError('AUTH_MALFORMED');
      return Object.freeze({ playerId, isAnonymous: payload['anonymous'] === true });
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

function refusalOf(error: unknown): GameError {
  if (error instanceof GameError) return error;
  if (error instanceof errors.JWTExpired) return new GameError('AUTH_EXPIRED');
  if (error instanceof errors.JWSSignatureVerificationFailed) return new GameError('AUTH_SIGNATURE');
  // jose answers hostile bytes with its own errors, and some of them with TypeError or SyntaxError.
  return new GameError('AUTH_MALFORMED');
}

/** A fresh signing key, as the JWK that `HYPOGEUM_TOKEN_KEY` and the key file hold. */
export async function generateTokenKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
  const { kty, crv, x, d } = await exportJWK(privateKey);
  return { kty: kty!, crv: crv!, x: x!, d: d!, alg: ALGORITHM, use: 'sig' };
}

// biome-ignore lint/suspicious/noExplicitAny: a mixin's constructor must accept any arguments
type RoomClass = new (...args: any[]) => object;

/** The class, admitting only bearers of a valid token; `client.auth` is then their {@link Identity}. */
export function admitting<Class extends RoomClass>(room: Class, tokens: Pick<Tokens, 'verify'>): Class {
  const admitted = class extends room {
    static onAuth(token: unknown): Promise<Identity> {
      return tokens.verify(token);
    }
  };
  // The framework and its panels show this name.
  Object.defineProperty(admitted, 'name', { value: room.name });
  return admitted;
}
