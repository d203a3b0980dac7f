/**
 * Who a player is, for now: a short-lived token that a process of ours signed (EdDSA over Ed25519, see key-ring.ts).
 *
 * How a room gets its identity. Colyseus calls a room class's *static* `onAuth(token, clientOptions, context)` during
 * the matchmaking request, without the options of `defineRoom`, so a class alone cannot reach a service. The
 * composition root therefore derives the class it registers:
 *
 *     defineRoom(admitting(ArenaRoom, tokens), { services })
 *
 * where {@link admitting} adds nothing but that static method. A room reads who joined as `client.auth`, an
 * {@link Admitted}. What is thrown there reaches the client with the code first in its message (`AUTH_EXPIRED: The
 * token …`) under the framework's status 525; see `invokeMethod` in src/server.ts.
 */
import { randomBytes } from 'node:crypto';
import {
  decodeProtectedHeader,
  errors,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { GameError } from '../kernel/errors.ts';
import { ALGORITHM, CURVE, KeyRing, type PublishedKeys } from './key-ring.ts';

const ISSUER = 'hypogeum';
const AUDIENCE = 'hypogeum:play';
/** Our own are about 350; above this nothing is parsed. */
const TOKEN_CHARS_MAX = 2048;
/** Clocks of two processes of ours may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 5;
const PLAYER_ID = /^[a-z]-[A-Za-z0-9_-]{22}$/;
const SESSION_ID = /^s-[A-Za-z0-9_-]{22}$/;
const ROLES = ['player', 'moderator', 'admin'] as const;

/** Who holds a token. */
export interface Identity {
  /** The account, for ever: `a-` and 128 random bits. */
  readonly playerId: string;
  /** Nobody has given it an e-mail and a password yet. */
  readonly isAnonymous: boolean;
  /** When the token was signed. */
  readonly role: (typeof ROLES)[number];
  /** The sign-in it belongs to, and ends with. */
  readonly sessionId: string;
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

export interface OpenTokenOptions extends TokenOptions {
  /** Where processes tell each other of their keys. */
  readonly published: PublishedKeys;
  /** `HYPOGEUM_TOKEN_KEY`. */
  readonly fixed?: JWK;
  /** The store is asked for keys of others at most this often, ms. Default 1,000. */
  readonly askEveryMs?: number;
  /** Told when a new key could not be published; the former one goes on signing. */
  readonly onFault?: (error: unknown) => void;
}

/** Issues tokens, and verifies those of every process. */
export class Tokens {
  readonly #ring: KeyRing;
  readonly #lifeSeconds: number;
  readonly #nowMs: () => number;

  private constructor(ring: KeyRing, options: TokenOptions) {
    this.#ring = ring;
    this.#lifeSeconds = options.minutes * 60;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** @throws GameError CONFIG_INVALID if `fixed` is not a private Ed25519 key in JWK form; what `published` throws */
  static async open(options: OpenTokenOptions): Promise<Tokens> {
    const { minutes, nowMs = Date.now, ...rest } = options;
    return new Tokens(await KeyRing.open({ ...rest, tokenMs: minutes * 60_000, nowMs }), options);
  }

  /** Tokens of one key that nobody else hears of. @throws as {@link open} */
  static async withKey(fixed: JWK, options: TokenOptions): Promise<Tokens> {
    const { minutes, nowMs = Date.now } = options;
    return new Tokens(await KeyRing.open({ fixed, tokenMs: minutes * 60_000, nowMs }), options);
  }

  /** RFC 7638 thumbprint of the key that signs now. */
  get keyId(): string {
    return this.#ring.signer().kid;
  }

  /** How long a token is good for, ms. */
  get lifeMs(): number {
    return this.#lifeSeconds * 1000;
  }

  /** Public keys of all tokens that may still be good, of this process and those it has heard of. */
  async jwks(): Promise<JSONWebKeySet> {
    try {
      await this.#ring.refresh();
    } catch (error) {
      // Those known are better than none.
      if (!(error instanceof GameError)) throw error;
    }
    return this.#ring.jwks();
  }

  /** Signs with a new key from now on; happens by itself every day. Never rejects. */
  rotate(): Promise<void> {
    return this.#ring.rotate();
  }

  /** A token of a player that no account stands behind, for tools and tests. */
  async issueAnonymous(): Promise<IssuedToken> {
    const playerId = `a-${randomBytes(16).toString('base64url')}`;
    const sessionId = `s-${randomBytes(16).toString('base64url')}`;
    return this.issue({ playerId, isAnonymous: true, role: 'player', sessionId });
  }

  /** A fresh token for a known player. */
  async issue(identity: Identity): Promise<IssuedToken> {
    const { playerId, isAnonymous, role, sessionId } = identity;
    const { kid, key } = this.#ring.signer();
    const issuedAtSeconds = Math.floor(this.#nowMs() / 1000);
    const expiresAtSeconds = issuedAtSeconds + this.#lifeSeconds;
    const token = await new SignJWT({ anonymous: isAnonymous, role, sid: sessionId })
      .setProtectedHeader({ alg: ALGORITHM, kid, typ: 'JWT' })
      .setSubject(playerId)
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt(issuedAtSeconds)
      .setExpirationTime(expiresAtSeconds)
      .sign(key);
    return { token, identity, expiresAtSeconds };
  }

  /**
   * Who the bearer is. Total over any input.
   * @throws GameError AUTH_MISSING (nothing given), AUTH_MALFORMED (no token of ours: not a JWT, another algorithm
   *   such as `none`, another issuer or audience, claims missing), AUTH_SIGNATURE (a key unknown or past its time, or
   *   tampered with), AUTH_EXPIRED; OVERLOADED and what the store throws while only it could tell whose the key is
   */
  async verify(token: unknown): Promise<Identity> {
    if (token === undefined || token === null || token === '') throw new GameError('AUTH_MISSING');
    if (typeof token !== 'string' || token.length > TOKEN_CHARS_MAX) throw new GameError('AUTH_MALFORMED');
    const key = await this.#ring.find(keyIdOf(token));
    if (key === undefined) throw new GameError('AUTH_SIGNATURE');
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'iat', 'exp'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(this.#nowMs()),
      });
      const playerId = payload.sub;
      if (playerId === undefined || !PLAYER_ID.test(playerId)) throw new GameError('AUTH_MALFORMED');
      const role = ROLES.find((known) => known === payload['role']);
      const sessionId = payload['sid'];
      if (role === undefined || typeof sessionId !== 'string' || !SESSION_ID.test(sessionId)) {
        throw new GameError('AUTH_MALFORMED');
      }
      return Object.freeze({ playerId, isAnonymous: payload['anonymous'] === true, role, sessionId });
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

/** @throws GameError AUTH_MALFORMED, AUTH_SIGNATURE */
function keyIdOf(token: string): string {
  try {
    const { kid, alg } = decodeProtectedHeader(token);
    if (alg !== ALGORITHM) throw new GameError('AUTH_MALFORMED');
    if (typeof kid !== 'string') throw new GameError('AUTH_SIGNATURE');
    return kid;
  } catch (error) {
    throw refusalOf(error);
  }
}

function refusalOf(error: unknown): GameError {
  if (error instanceof GameError) return error;
  if (error instanceof errors.JWTExpired) return new GameError('AUTH_EXPIRED');
  if (error instanceof errors.JWSSignatureVerificationFailed) return new GameError('AUTH_SIGNATURE');
  // jose answers hostile bytes with its own errors, and some of them with TypeError or SyntaxError.
  return new GameError('AUTH_MALFORMED');
}

/** A fresh signing key, as the JWK that `HYPOGEUM_TOKEN_KEY` holds. */
export async function generateTokenKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: CURVE, extractable: true });
  const { kty, crv, x, d } = await exportJWK(privateKey);
  return { kty: kty!, crv: crv!, x: x!, d: d!, alg: ALGORITHM, use: 'sig' };
}

/** Verifies as `tokens` does, and asks whether the sign-in has ended since. @throws also what `check` throws */
export function withRevocations(
  tokens: Pick<Tokens, 'verify'>,
  revocations: { check(sessionId: string): void },
): Pick<Tokens, 'verify'> {
  return {
    async verify(token) {
      const identity = await tokens.verify(token);
      revocations.check(identity.sessionId);
      return identity;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a mixin's constructor must accept any arguments
type RoomClass = new (...args: any[]) => object;

/**
 * Who took a seat. The sign-in has another name here than in {@link Identity}: a member `sessionId` of what `onAuth`
 * gives back would become the room's session id, so that two seats of one sign-in would be one, and everybody in the
 * room would learn it.
 */
export interface Admitted extends Omit<Identity, 'sessionId'> {
  readonly signInId: string;
}

/**
 * The class, admitting only bearers of a valid token; `client.auth` is then {@link Admitted}. What else bars
 * somebody (a session that was ended, a ban) is asked by the `verify` that is given.
 */
export function admitting<Class extends RoomClass>(room: Class, tokens: Pick<Tokens, 'verify'>): Class {
  const admitted = class extends room {
    static async onAuth(token: unknown): Promise<Admitted> {
      const { sessionId: signInId, ...identity } = await tokens.verify(token);
      return { ...identity, signInId };
    }
  };
  // The framework and its panels show this name.
  Object.defineProperty(admitted, 'name', { value: room.name });
  return admitted;
}
