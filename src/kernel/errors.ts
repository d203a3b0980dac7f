/**
 * The one catalogue of refusals. A code, once released, keeps its meaning for ever and is never reused;
 * `docs/errors.md` lists every code and a test holds the two together.
 *
 * `status` is the HTTP status where the refusal is answered over HTTP. `retry` says whether the same
 * request may succeed later, unchanged.
 */
export const ERRORS = {
  INTERNAL: { status: 500, retry: false, text: 'A bug on the server; it was logged with its cause.' },
  INVALID_INPUT: { status: 400, retry: false, text: 'The message does not have the documented shape.' },
  UNKNOWN_COMMAND: { status: 404, retry: false, text: 'There is no command of that name.' },
  TOO_LARGE: { status: 413, retry: false, text: 'The request is larger than the stated limit.' },
  RATE_LIMITED: { status: 429, retry: true, text: 'Too many requests; slow down and try again.' },
  FOREIGN_ORIGIN: { status: 403, retry: false, text: 'Requests from another site are not accepted here.' },
  NOT_FOUND: { status: 404, retry: false, text: 'There is nothing at that address.' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    retry: false,
    text: 'That address does not take this method; the `Allow` header names those it takes.',
  },
  DRAINING: { status: 503, retry: true, text: 'This process takes no new players; try again.' },
  NOT_ALLOWED: { status: 403, retry: false, text: 'This needs a role that the account does not have.' },
  KEY_MISSING: { status: 400, retry: false, text: 'This command needs an `Idempotency-Key` header.' },
  KEY_REUSED: { status: 409, retry: false, text: 'The idempotency key was used for another command; take a new one.' },
  OVERLOADED: { status: 503, retry: true, text: 'More work waits than the process takes; try again.' },
  DATABASE_UNAVAILABLE: {
    status: 503,
    retry: true,
    text: 'The database does not answer; the same command with the same key is safe.',
  },
  STORE_UNAVAILABLE: { status: 503, retry: true, text: 'A store behind this does not answer; try again.' },
  AUTH_MISSING: { status: 401, retry: false, text: 'A token is needed: sign in first.' },
  AUTH_MALFORMED: { status: 401, retry: false, text: 'The token is not a signed token of this server.' },
  AUTH_EXPIRED: { status: 401, retry: false, text: 'The token has expired: sign in again.' },
  AUTH_SIGNATURE: { status: 401, retry: false, text: 'The signature does not belong to this server.' },
  NAME_INVALID: { status: 400, retry: false, text: 'A name has 1 to 20 visible characters.' },
  AUTH_REVOKED: { status: 401, retry: false, text: 'This session was ended: sign in again.' },
  REFRESH_INVALID: { status: 401, retry: false, text: 'The refresh token is unknown or has expired: sign in again.' },
  REFRESH_REUSED: {
    status: 401,
    retry: false,
    text: 'The refresh token was used twice, so it may be stolen: every token of this sign-in is void.',
  },
  CREDENTIALS_WRONG: { status: 401, retry: false, text: 'E-mail and password do not belong together.' },
  CREDENTIALS_INVALID: {
    status: 400,
    retry: false,
    text: 'An e-mail address has at most 254 characters and an @; a password has 8 to 256.',
  },
  ACCOUNT_EXISTS: { status: 409, retry: false, text: 'This account has been registered already; sign in.' },
  ACCOUNT_BANNED: {
    status: 403,
    retry: false,
    text: 'The account is banned; `reason` and `untilMs` say why and until when.',
  },
  ACCOUNT_ERASED: { status: 410, retry: false, text: 'The account was erased.' },
  PLAYER_UNKNOWN: { status: 404, retry: false, text: 'There is no player of that id.' },
  NAME_TAKEN: { status: 409, retry: false, text: 'Somebody else has that name.' },
  SEAT_TAKEN_OVER: { status: 409, retry: false, text: 'The player goes on with this seat from another device.' },
  MATCH_FULL: { status: 409, retry: true, text: 'Every seat of this match is taken.' },
  MATCH_PARKED: {
    status: 410,
    retry: false,
    text: 'This match could not be restored after its process died; its journal was kept.',
  },
  ROOM_MOVING: { status: 503, retry: true, text: 'No process runs this room right now; one will. Try again.' },
  PROCESS_UNAVAILABLE: { status: 503, retry: true, text: 'No process of the cluster answers; try again.' },
  MATCH_ENDED: { status: 410, retry: false, text: 'This match has ended; join another one.' },
  MATCH_FAILED: { status: 500, retry: false, text: 'This match was ended by a bug; its journal was kept.' },
  MATCH_EXISTS: { status: 409, retry: true, text: 'There is a match of that id already, or one is being made.' },
  NO_SLOTS: { status: 503, retry: true, text: 'No process has room for another match; try again soon.' },
  SEAT_TAKEN: { status: 409, retry: false, text: 'This player already has a seat in this match.' },
  JOIN_TIMEOUT: { status: 408, retry: true, text: 'The client took a seat and never said that it is there.' },
  SLOW_CONSUMER: { status: 408, retry: true, text: 'The connection does not keep up with the match.' },
  REPLAY_NOT_FOUND: { status: 404, retry: false, text: 'There is no replay of that name.' },
  REPLAY_CORRUPT: { status: 422, retry: false, text: 'The replay file is damaged or is not one.' },
  REPLAY_VERSION: { status: 422, retry: false, text: 'The replay was made by another version of the simulation.' },
  SNAPSHOT_CORRUPT: { status: 422, retry: false, text: 'The snapshot is damaged: its checksum does not fit.' },
  SNAPSHOT_VERSION: { status: 422, retry: false, text: 'The snapshot was made by another version.' },
  JOURNAL_CORRUPT: { status: 422, retry: false, text: 'The journal is damaged before its last record.' },
  JOURNAL_UNAVAILABLE: { status: 503, retry: true, text: 'The journal cannot be written: the store refuses.' },
  JOURNAL_FENCED: { status: 409, retry: false, text: 'A newer owner of this match exists; this one may not write.' },
  FUNDS_SHORT: { status: 409, retry: false, text: 'The balance does not cover the amount.' },
  BALANCE_LIMIT: { status: 409, retry: false, text: 'The balance would be more than can be counted exactly.' },
  SELF_TRANSFER: { status: 400, retry: false, text: 'Both sides are the same account.' },
  CURRENCY_UNKNOWN: { status: 404, retry: false, text: 'There is no currency of that name.' },
  PRODUCT_UNKNOWN: { status: 404, retry: false, text: 'The shop does not sell that.' },
  ITEM_MISSING: { status: 409, retry: false, text: 'The account does not own that item, or not as many.' },
  ITEM_HELD: { status: 409, retry: false, text: 'The item is on hold for something else.' },
  HOLD_UNKNOWN: { status: 404, retry: false, text: 'There is no hold of that id.' },
  HOLD_CLOSED: { status: 409, retry: false, text: 'The hold was released or captured already.' },
  TRADE_UNKNOWN: { status: 404, retry: false, text: 'There is no trade of that id in which you take part.' },
  TRADE_CLOSED: { status: 409, retry: false, text: 'The trade was settled or cancelled.' },
  TRADE_CHANGED: { status: 409, retry: false, text: 'An offer was changed; look again before you confirm.' },
  BOARD_UNKNOWN: { status: 404, retry: false, text: 'There is no leaderboard of that name.' },
  SEASON_UNKNOWN: { status: 404, retry: false, text: 'The leaderboard has no such season.' },
  FRIEND_SELF: { status: 400, retry: false, text: 'A player cannot be its own friend.' },
  FRIENDS_FULL: { status: 409, retry: false, text: 'One of the two lists of friends or requests is full.' },
  MODE_UNKNOWN: { status: 404, retry: false, text: 'There is no queue for a mode of that name.' },
  TICKET_EXISTS: { status: 409, retry: false, text: 'A player of this ticket waits for a match already.' },
  TICKET_UNKNOWN: { status: 404, retry: false, text: 'There is no ticket, or none that this can be asked of now.' },
  TICKET_CANCELLED: { status: 410, retry: false, text: 'The ticket was cancelled by one of its players.' },
  TICKET_ABANDONED: {
    status: 410,
    retry: false,
    text: 'The ticket was cancelled, for one of its players was not heard of any more.',
  },
  READY_DECLINED: { status: 410, retry: false, text: 'The ticket was cancelled: one of its players is not ready.' },
  READY_TIMEOUT: {
    status: 410,
    retry: false,
    text: 'The ticket was cancelled: one of its players did not say in time that it is ready.',
  },
  LEASE_LOST: { status: 409, retry: false, text: 'Another process has taken over this work.' },
  PARTY_UNKNOWN: { status: 404, retry: false, text: 'There is no party, or no such invitation any more.' },
  PARTY_FULL: {
    status: 409,
    retry: false,
    text: 'The party has as many players as it can, or more than the mode takes.',
  },
  PARTY_MEMBER: { status: 409, retry: false, text: 'This player is in a party already; leave it first.' },
  PARTY_NOT_LEADER: { status: 403, retry: false, text: 'Only the leader of the party may do that.' },
  PARTY_CHANGED: { status: 410, retry: false, text: 'The ticket was cancelled, for the party is another one now.' },
  EVENT_UNKNOWN: {
    status: 500,
    retry: false,
    text: 'The log holds an event of a type that this program does not know.',
  },
  EVENT_VERSION: { status: 500, retry: false, text: 'The log holds an event that a newer program wrote.' },
  EVENT_CORRUPT: { status: 500, retry: false, text: 'An event in the log is damaged or does not fit its definition.' },
  LOG_CONFLICT: { status: 409, retry: true, text: 'Somebody else appended to the stream first.' },
  LOG_GAP: { status: 500, retry: false, text: 'The log misses a position.' },
  CHECKPOINT_MOVED: { status: 409, retry: true, text: 'Another process has folded this view further.' },
  CHECKPOINT_AHEAD: {
    status: 500,
    retry: false,
    text: 'A view has folded more than the log holds: one of the two was restored alone.',
  },
  VIEW_BEHIND: { status: 503, retry: true, text: 'A view does not show the newest events yet; try again.' },
  VIEW_MISSING: {
    status: 500,
    retry: false,
    text: 'A table of a view is missing; restore it from a backup, or see docs/events.md.',
  },
  VIEW_UNKNOWN: { status: 404, retry: false, text: 'There is no view of that name.' },
  BUS_UNAVAILABLE: { status: 503, retry: true, text: 'The event bus does not answer; events wait in the log.' },
  PROCESS_UNKNOWN: { status: 404, retry: false, text: 'There is no process of that id.' },
  CANARY_NONE: { status: 409, retry: false, text: 'No build is tried that could be promoted or rolled back.' },
  CANARY_CHANGED: { status: 409, retry: true, text: 'Somebody else changed the canary first; look again.' },
  COHORT_FULL: { status: 409, retry: false, text: 'The cohort would have more players than its limit.' },
  BACKUP_KEY: { status: 422, retry: false, text: 'The backup cannot be opened with this key.' },
  BACKUP_CORRUPT: { status: 422, retry: false, text: 'The backup is damaged or incomplete.' },
  BACKUP_TARGET: { status: 409, retry: false, text: 'A backup is restored into an empty database only.' },
  CONFIG_INVALID: { status: 500, retry: false, text: 'The configuration has faults; each is named.' },
  PORT_IN_USE: { status: 500, retry: false, text: 'Another program listens on that port.' },
  DATA_UNWRITABLE: { status: 500, retry: false, text: 'The data folder cannot be written.' },
  DATA_IN_USE: { status: 500, retry: false, text: 'Another program works on that data folder.' },
  DATABASE_FAILED: {
    status: 500,
    retry: false,
    text: 'The private database does not start; its own last words are in the detail.',
  },
  DATABASE_TOO_OLD: { status: 500, retry: false, text: 'The PostgreSQL server is older than 15.' },
  SCHEMA_NEWER: { status: 500, retry: false, text: 'The database was migrated by a newer program; run that one.' },
  SCHEMA_OLDER: { status: 500, retry: false, text: 'The database lacks migrations; a start of the server runs them.' },
} as const satisfies Record<string, { status: number; retry: boolean; text: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** WebSocket close codes of ours, 4100 to 4199; the framework's own are 4000 to 4010. */
export const CLOSE = {
  MATCH_ENDED: 4100,
  MATCH_FAILED: 4101,
  SLOW_CONSUMER: 4102,
  RATE_LIMITED: 4103,
  SIGNED_OUT: 4104,
  BANNED: 4105,
  MATCH_PARKED: 4106,
  SEAT_TAKEN_OVER: 4107,
} as const;

/** An expected failure with a code from the catalogue. Anything else that is thrown is a bug. */
export class GameError extends Error {
  readonly code: ErrorCode;
  /** Facts for the caller, JSON-able, never secrets. */
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, detail: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    const facts = Object.entries(detail)
      .map(([k, v]) => `${k}=${JSON.stringify(v)}`)
      .join(' ');
    super(`${code}: ${ERRORS[code].text}${facts ? ` (${facts})` : ''}`, cause === undefined ? undefined : { cause });
    this.name = 'GameError';
    this.code = code;
    this.detail = detail;
  }
}

/** The refusal of ours that an error is, or carries in its code or message after passing through the framework, also from another process. */
export function refusalIn(error: unknown): { readonly code: ErrorCode; readonly message: string } | undefined {
  if (error instanceof GameError) return { code: error.code, message: error.message };
  if (!(error instanceof Error)) return undefined;
  const { message } = error;
  const named = [(error as { code?: unknown }).code, message.split(':', 1)[0]].find(
    (name): name is ErrorCode => typeof name === 'string' && Object.hasOwn(ERRORS, name),
  );
  if (named === undefined) return undefined;
  return { code: named, message: message.startsWith(`${named}:`) ? message : new GameError(named).message };
}
