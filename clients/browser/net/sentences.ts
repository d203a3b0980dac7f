/** Turns refusals and broken connections into sentences for a player. */
import { CLOSE, ERRORS, type ErrorCode } from '../../../src/kernel/errors.ts';

/** Codes whose catalogue text speaks to a developer rather than to a player. */
const FOR_PLAYERS: Partial<Record<ErrorCode, string>> = {
  INTERNAL: 'The server made a mistake. It was recorded; please try again.',
  INVALID_INPUT: 'The server did not understand this page. Reload it to get the current version.',
  RATE_LIMITED: 'That was a little too fast. Wait a moment and try again.',
  DRAINING: 'This server is being restarted. Try again in a few seconds.',
  AUTH_EXPIRED: 'Your session has expired. Press Play to get a new one.',
  AUTH_MISSING: 'Please sign in first.',
  AUTH_REVOKED: 'You were signed out. Sign in again.',
  REFRESH_INVALID: 'You were signed out. Sign in again.',
  REFRESH_REUSED: 'Your sign-in was used somewhere else, so it was ended for your safety. Sign in again.',
  CREDENTIALS_WRONG: 'This e-mail address and password do not belong together.',
  CREDENTIALS_INVALID: 'Please give an e-mail address, and a password of 8 to 256 characters.',
  ACCOUNT_BANNED: 'This account is banned from this server.',
  NAME_TAKEN: 'Somebody else has that name. Please choose another one.',
  FUNDS_SHORT: 'You do not have enough for that.',
  ITEM_MISSING: 'That item has changed hands meanwhile, or there are not as many.',
  ITEM_HELD: 'That item is on hold for something else.',
  TRADE_UNKNOWN: 'There is no such trade, or it is not yours.',
  TRADE_CLOSED: 'This trade is over.',
  TRADE_CHANGED: 'An offer was changed. Look again before you confirm.',
  SELF_TRANSFER: 'You cannot trade with yourself.',
  SEAT_TAKEN: 'You play in another tab or on another device already.',
  SEAT_TAKEN_OVER: 'You went on with this match in another tab or on another device.',
  PLAYER_UNKNOWN: 'There is no such player.',
  NOT_FOUND: 'There is nothing here yet. It may take a moment to appear.',
  DATABASE_UNAVAILABLE: 'The server cannot reach its records right now. Try again in a moment.',
  STORE_UNAVAILABLE: 'The server cannot reach its records right now. Try again in a moment.',
  OVERLOADED: 'The server is very busy. Try again in a moment.',
  NAME_INVALID: 'Please choose a name of 1 to 20 visible characters.',
  TICKET_EXISTS: 'You, or somebody of your party, looks for a match already.',
  TICKET_UNKNOWN: 'That search is over. Start another one.',
  TICKET_CANCELLED: 'Somebody of your party stopped the search.',
  TICKET_ABANDONED: 'The search was ended, as somebody of you was not there any more.',
  READY_DECLINED: 'Somebody of your party was not ready, so the search was ended.',
  READY_TIMEOUT: 'Somebody of your party did not answer in time, so the search was ended.',
  PARTY_UNKNOWN: 'There is no such party, or its invitation has expired. Ask for a new code.',
  PARTY_FULL: 'This party has no room, or is too large for this kind of match.',
  PARTY_MEMBER: 'You are in a party already. Leave it first.',
  PARTY_NOT_LEADER: 'Only the leader of the party may do that.',
  PARTY_CHANGED: 'Your party has changed, so the search was ended.',
  MATCH_FULL: 'Every seat of this match is taken. Try again in a moment.',
  MATCH_ENDED: 'That match is over. The next one is being prepared.',
  MATCH_FAILED: 'A fault in the server ended this match. Its recording was kept.',
  MATCH_PARKED: 'This match could not be brought back after a fault in the server. Its recording was kept.',
  JOIN_TIMEOUT: 'The match waited for you in vain; try again.',
  SLOW_CONSUMER: 'Your connection could not keep up with the match.',
  REPLAY_VERSION: 'This replay was recorded with other rules than this page knows, so it cannot be played here.',
};

const BY_CLOSE_CODE = new Map<number, string>([
  [CLOSE.MATCH_ENDED, sentenceFor('MATCH_ENDED')],
  [CLOSE.MATCH_FAILED, sentenceFor('MATCH_FAILED')],
  [CLOSE.SLOW_CONSUMER, sentenceFor('SLOW_CONSUMER')],
  [CLOSE.RATE_LIMITED, sentenceFor('RATE_LIMITED')],
  [CLOSE.SIGNED_OUT, sentenceFor('AUTH_REVOKED')],
  [CLOSE.BANNED, sentenceFor('ACCOUNT_BANNED')],
  [CLOSE.MATCH_PARKED, sentenceFor('MATCH_PARKED')],
  [CLOSE.SEAT_TAKEN_OVER, sentenceFor('SEAT_TAKEN_OVER')],
  [1009, 'The server refused a message of this page as too large.'],
  [4001, 'The server is shutting down. Try again in a few seconds.'],
  [4002, 'The server closed the connection because of a fault in a message.'],
  [4003, 'The connection could not be restored within a minute. Your seat was given up.'],
  [521, 'There is no match to join right now. Try again in a moment.'],
  [522, 'Every seat of this match is taken. Try again in a moment.'],
  [524, 'The seat was held too long and given away. Press Play to try again.'],
  [525, 'The server did not accept this session. Press Play to get a new one.'],
]);

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** The catalogue's code named anywhere in an error's message, code or detail; `undefined` if none is. */
export function codeIn(error: unknown): ErrorCode | undefined {
  const texts: string[] = [];
  if (typeof error === 'string') texts.push(error);
  if (typeof error === 'object' && error !== null) {
    for (const key of ['code', 'message', 'reason', 'data'] as const) {
      const value = (error as Record<string, unknown>)[key];
      if (typeof value === 'string') texts.push(value);
      else if (typeof value === 'object' && value !== null) {
        const code = (value as Record<string, unknown>)['code'];
        if (typeof code === 'string') texts.push(code);
      }
    }
  }
  for (const text of texts) {
    for (const word of text.match(/[A-Z][A-Z_]{2,}/g) ?? []) if (isErrorCode(word)) return word;
  }
  return undefined;
}

/** One plain sentence for a code of the catalogue; any other code reads as a fault of the server. */
export function sentenceFor(code: string): string {
  if (!isErrorCode(code))
    return 'The server refused this, and this page does not know the reason. Reload to update it.';
  return FOR_PLAYERS[code] ?? ERRORS[code].text;
}

/** One plain sentence for whatever a request, a join or a closed connection failed with. */
export function sentenceOf(error: unknown): string {
  const code = codeIn(error);
  if (code !== undefined) return sentenceFor(code);
  if (typeof error === 'object' && error !== null) {
    const number = (error as { code?: unknown }).code;
    if (typeof number === 'number') {
      const known = BY_CLOSE_CODE.get(number);
      if (known !== undefined) return known;
    }
  }
  return 'The server cannot be reached. Check your connection and try again.';
}
