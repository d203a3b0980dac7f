/**
 * What the journal keeps of a room beside its match: who holds which seat by which token, as it happens, so that another
 * process can let the same people in again. JSON, one record each; never part of a replay.
 */
import { boolean, integer, object, text } from '../kernel/json-check.ts';

/** What the room's `onAuth` gave: JSON-able, opaque here. */
export type SavedAuth = Readonly<Record<string, unknown>>;

export type SessionRecord =
  /** Its join is in an entry that may not be written yet. */
  | {
      readonly kind: 'joined';
      readonly seat: number;
      readonly sessionId: string;
      readonly playerId: string;
      readonly name: string;
      readonly auth: SavedAuth;
      /** With which it comes back. */
      readonly token: string;
    }
  /** The player has its seat by another session now. */
  | {
      readonly kind: 'taken-over';
      readonly from: string;
      readonly sessionId: string;
      readonly auth: SavedAuth;
      readonly token: string;
    }
  | { readonly kind: 'dropped'; readonly sessionId: string }
  /** With which token it came, and which one it was given. */
  | { readonly kind: 'resumed'; readonly sessionId: string; readonly token: string; readonly cameWith?: string }
  | { readonly kind: 'left'; readonly sessionId: string }
  /** Said to a session that is away: waits for it, is lost to it, and all of it was told. */
  | { readonly kind: 'kept'; readonly sessionId: string; readonly type: string; readonly payload: unknown }
  | { readonly kind: 'lost'; readonly sessionId: string; readonly type: string }
  | { readonly kind: 'told'; readonly sessionId: string }
  /** The tick carried a patch, or did not, although the patch rate says otherwise: the room shed load. */
  | { readonly kind: 'patch'; readonly tick: number; readonly isSent: boolean };

/** First byte of a JSON object: other records of a session are binary and begin with something else. */
const OBJECT = 0x7b;

/**
 * @returns undefined for a record of another kind, or of one that only another version knows
 * @throws RangeError, SyntaxError if it is damaged
 */
export function parseSessionRecord(bytes: Uint8Array): SessionRecord | undefined {
  if (bytes[0] !== OBJECT) return undefined;
  const from = object(JSON.parse(new TextDecoder().decode(bytes)), 'record');
  const sessionId = () => text(from, 'sessionId');
  switch (from['kind']) {
    case 'joined':
      return {
        kind: 'joined',
        seat: integer(from, 'seat', 0, 255),
        sessionId: sessionId(),
        playerId: text(from, 'playerId'),
        name: text(from, 'name'),
        auth: object(from['auth'], 'auth'),
        token: text(from, 'token'),
      };
    case 'taken-over':
      return {
        kind: 'taken-over',
        from: text(from, 'from'),
        sessionId: sessionId(),
        auth: object(from['auth'], 'auth'),
        token: text(from, 'token'),
      };
    case 'kept':
      return { kind: 'kept', sessionId: sessionId(), type: text(from, 'type'), payload: from['payload'] };
    case 'lost':
      return { kind: 'lost', sessionId: sessionId(), type: text(from, 'type') };
    case 'dropped':
    case 'told':
    case 'left':
      return { kind: from['kind'], sessionId: sessionId() };
    case 'resumed':
      return {
        kind: 'resumed',
        sessionId: sessionId(),
        token: text(from, 'token'),
        ...(from['cameWith'] === undefined ? {} : { cameWith: text(from, 'cameWith') }),
      };
    case 'patch':
      return {
        kind: 'patch',
        tick: integer(from, 'tick', 0, Number.MAX_SAFE_INTEGER),
        isSent: boolean(from, 'isSent'),
      };
    default:
      return undefined;
  }
}
