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
  DRAINING: { status: 503, retry: true, text: 'This process takes no new players; try again.' },
  AUTH_MISSING: { status: 401, retry: false, text: 'A token is needed: sign in first.' },
  AUTH_MALFORMED: { status: 401, retry: false, text: 'The token is not a signed token of this server.' },
  AUTH_EXPIRED: { status: 401, retry: false, text: 'The token has expired: sign in again.' },
  AUTH_SIGNATURE: { status: 401, retry: false, text: 'The signature does not belong to this server.' },
  NAME_INVALID: { status: 400, retry: false, text: 'A name has 1 to 20 visible characters.' },
  MATCH_FULL: { status: 409, retry: true, text: 'Every seat of this match is taken.' },
  MATCH_ENDED: { status: 410, retry: false, text: 'This match has ended; join another one.' },
  MATCH_FAILED: { status: 500, retry: false, text: 'This match was ended by a bug; its journal was kept.' },
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
  CONFIG_INVALID: { status: 500, retry: false, text: 'The configuration has faults; each is named.' },
  PORT_IN_USE: { status: 500, retry: false, text: 'Another program listens on that port.' },
  DATA_UNWRITABLE: { status: 500, retry: false, text: 'The data folder cannot be written.' },
} as const satisfies Record<string, { status: number; retry: boolean; text: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** WebSocket close codes of ours, 4100 to 4199; the framework's own are 4000 to 4010. */
export const CLOSE = {
  MATCH_ENDED: 4100,
  MATCH_FAILED: 4101,
  SLOW_CONSUMER: 4102,
  RATE_LIMITED: 4103,
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
