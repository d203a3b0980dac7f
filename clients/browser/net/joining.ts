/** Gets a seat: signs in as a guest if nobody is, joins, and repairs what can be repaired without asking the player. */
import { Client, type Room } from '@colyseus/sdk';
import type { ArenaState } from '../../../schema/arena-state.ts';
import type { ErrorCode } from '../../../src/kernel/errors.ts';
import type { Seat } from './finder.ts';
import { codeIn } from './sentences.ts';
import type { Session } from './session.ts';

export type ArenaRoom = Room<unknown, ArenaState>;

const SEAT_KEY = 'hypogeum-seat';
/** A match that has just ended can still be listed for a moment, and a full one gets room again. */
const RETRIES_MAX = 6;
const RETRY_MS = 700;

const SIGN_IN_AGAIN: readonly (ErrorCode | undefined)[] = [
  'AUTH_MISSING',
  'AUTH_MALFORMED',
  'AUTH_EXPIRED',
  'AUTH_SIGNATURE',
  'AUTH_REVOKED',
];
const TRY_LATER: readonly (ErrorCode | undefined)[] = ['MATCH_ENDED', 'MATCH_FULL', 'RATE_LIMITED', 'DRAINING'];
/** The framework's own numbers for the same: no room, room locked, seat expired. */
const TRY_LATER_NUMBERS: readonly unknown[] = [521, 522, 524];

/** What is kept over a reload of the page, in this tab only. */
interface KeptSeat {
  readonly token: string;
  readonly seat: number;
}

function numberOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
}

export class Joining {
  readonly #client: Client;
  readonly #session: Session;

  constructor(endpoint: string, session: Session) {
    this.#client = new Client(endpoint);
    this.#session = session;
  }

  /**
   * Joins any arena that has room, or a new one.
   * @throws whatever the last attempt was refused with; see sentences.ts for what to say
   */
  async join(name: string): Promise<ArenaRoom> {
    let isSignedAfresh = false;
    for (let attempt = 0; ; attempt++) {
      let token: string | undefined;
      try {
        await this.#session.ensure();
        token = await this.#session.token();
        this.#client.auth.token = token ?? '';
        return (await this.#client.joinOrCreate<ArenaState>('arena', {
          name,
          // A guest is whoever sits in front of this browser: another tab is somebody else's turn, not another device.
          takeOver: this.#session.account?.isAnonymous === false,
        })) as ArenaRoom;
      } catch (error) {
        const code = codeIn(error);
        const number = numberOf(error);
        const isTokenRefused = SIGN_IN_AGAIN.includes(code) || (code === undefined && number === 525);
        if (isTokenRefused && !isSignedAfresh && token !== undefined) {
          isSignedAfresh = true;
          await this.#session.renew(token);
          continue;
        }
        // Another tab of this browser plays as the same player. A guest is somebody new here, and stays who it is there.
        if (code === 'SEAT_TAKEN' && !isSignedAfresh && this.#session.account?.isAnonymous === true) {
          isSignedAfresh = true;
          await this.#session.becomeGuestOfTab();
          continue;
        }
        const isWorthWaiting = TRY_LATER.includes(code) || (code === undefined && TRY_LATER_NUMBERS.includes(number));
        if (!isWorthWaiting || attempt >= RETRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Takes a seat that matchmaking holds. @throws whatever it was refused with */
  async take(seat: Seat): Promise<ArenaRoom> {
    this.#client.auth.token = (await this.#session.token()) ?? '';
    return (await this.#client.consumeSeatReservation<ArenaState>(seat)) as ArenaRoom;
  }

  /** Takes the seat of before a reload again, if this tab had one and the room still holds it. */
  async resume(): Promise<{ room: ArenaRoom; seat: number } | undefined> {
    const kept = readKeptSeat();
    forgetSeat();
    if (kept === undefined) return undefined;
    try {
      this.#client.auth.token = (await this.#session.token()) ?? '';
      return { room: (await this.#client.reconnect<ArenaState>(kept.token)) as ArenaRoom, seat: kept.seat };
    } catch {
      // Given away in the meantime: an ordinary new start, nothing to tell.
      return undefined;
    }
  }
}

/** Keeps the seat for a reload. The token changes with every reconnection, so call it again after one. */
export function keepSeat(token: string, seat: number): void {
  try {
    sessionStorage.setItem(SEAT_KEY, JSON.stringify({ token, seat } satisfies KeptSeat));
  } catch {
    // Storage is off: then a reload starts anew.
  }
}

export function forgetSeat(): void {
  try {
    sessionStorage.removeItem(SEAT_KEY);
  } catch {
    // As above.
  }
}

function readKeptSeat(): KeptSeat | undefined {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(SEAT_KEY) ?? 'null');
    if (typeof kept !== 'object' || kept === null) return undefined;
    const { token, seat } = kept as Record<string, unknown>;
    return typeof token === 'string' && typeof seat === 'number' ? { token, seat } : undefined;
  } catch {
    return undefined;
  }
}
