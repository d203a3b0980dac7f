/**
 * What identifies a recorded match and how it ended: the part that journals and replay files share. The
 * parsers take JSON from a disk or a stranger and give back a fresh, checked object. Pure, shared with the browser.
 */
import { boolean, integer, list, object, text } from './json-check.ts';
import type { MatchSetup, Standing } from './simulation.ts';

/** Letters, digits, `_` and `-`, so that an id is a file name and a path of a URL without escaping. */
export const MATCH_ID = /^[A-Za-z0-9_-]{1,64}$/;

const SETUP_KEYS_MAX = 64;
const SETUP_TEXT_CHARS_MAX = 256;
const SCORE_KEYS_MAX = 32;
const STANDINGS_MAX = 4096;

/** Fixed for a match when it is created. With the entries it is everything that a re-simulation needs. */
export interface MatchHeader {
  /** See {@link MATCH_ID}; unique for ever, as it names the journal and the replay. */
  readonly matchId: string;
  /** Room type, such as `arena`. */
  readonly roomName: string;
  readonly simId: string;
  readonly simVersion: number;
  /** Ticks per second the match was played at, 1 to 240. */
  readonly tickRateHz: number;
  readonly setup: MatchSetup;
  /** Wall clock at creation, ms since 1970; for people, no rule reads it. */
  readonly createdAtMs: number;
  /** Build that played it, or empty. */
  readonly buildId: string;
  /** Room it is played in, one for ever; only in journals, and absent in those of before 0.3. */
  readonly roomId?: string;
  /** Shape of what its clients decode, see `Compatibility`; only in journals, and absent in those of before 0.3. */
  readonly schemaHash?: string;
  /** Only whom the queues seated comes in, and who names the room; only in journals. Absent: anybody may. */
  readonly isPrivate?: true;
  /** Of what it was made for, in the logs of every process that it is played in; only in journals. */
  readonly traceId?: string;
}

/** `completed`: the rules ended it. `abandoned`: everybody left. `shutdown`: the process was drained. */
export type EndReason = 'completed' | 'abandoned' | 'shutdown';
const END_REASONS: readonly string[] = ['completed', 'abandoned', 'shutdown'] satisfies EndReason[];

/** How a match ended. A match without a result was cut short by a fault. */
export interface MatchResult {
  readonly reason: EndReason;
  /** Best first, as the simulation ranks them. */
  readonly standings: readonly Standing[];
  /** Who counts, see {@link Participant}; in journals, never in a replay. Absent in journals of 0.1. */
  readonly participants?: readonly Participant[];
}

/** What a match was for one player, over all seats the player held in it; or for one bot seated at its end. */
export interface Participant {
  /** The last one held. */
  readonly seat: number;
  /** Empty for a bot. */
  readonly playerId: string;
  readonly isBot: boolean;
  readonly team?: number;
  /** 1 is best; equal ones are a draw. Who left comes after all who stayed. */
  readonly rank: number;
  /** Ticks seated, all seats together. */
  readonly ticks: number;
  /** When the player gave the match up for good; absent for who stayed until it was decided. */
  readonly leftTick?: number;
  /** That of the last seat, as it stood at the end or when the player left. */
  readonly score: Readonly<Record<string, number>>;
}

/** A match that ended, as it is reported to whom it matters outside of it. */
export interface MatchReport {
  readonly header: MatchHeader;
  readonly ticks: number;
  readonly reason: EndReason;
  /** Best first. */
  readonly participants: readonly Participant[];
}

/** @throws RangeError naming the first member that is missing or out of range */
export function parseMatchHeader(value: unknown): MatchHeader {
  const from = object(value, 'header');
  const matchId = text(from, 'matchId');
  if (!MATCH_ID.test(matchId)) throw new RangeError('matchId is not 1 to 64 letters, digits, _ or -');
  return {
    matchId,
    roomName: text(from, 'roomName'),
    simId: text(from, 'simId'),
    simVersion: integer(from, 'simVersion', 0, 0xffffffff),
    tickRateHz: integer(from, 'tickRateHz', 1, 240),
    setup: parseSetup(from['setup']),
    createdAtMs: integer(from, 'createdAtMs', 0, Number.MAX_SAFE_INTEGER),
    buildId: text(from, 'buildId'),
    ...(from['roomId'] === undefined ? {} : { roomId: text(from, 'roomId') }),
    ...(from['schemaHash'] === undefined ? {} : { schemaHash: text(from, 'schemaHash') }),
    ...(from['isPrivate'] !== undefined && boolean(from, 'isPrivate') ? { isPrivate: true } : {}),
    ...(from['traceId'] === undefined ? {} : { traceId: text(from, 'traceId') }),
  };
}

/** @throws RangeError naming the first member that is missing or out of range */
export function parseMatchResult(value: unknown): MatchResult {
  const from = object(value, 'result');
  const reason = text(from, 'reason');
  if (!END_REASONS.includes(reason)) throw new RangeError(`reason is not one of ${END_REASONS.join(', ')}`);
  return {
    reason: reason as EndReason,
    standings: list(from, 'standings', STANDINGS_MAX).map(parseStanding),
    ...(from['participants'] === undefined
      ? {}
      : { participants: list(from, 'participants', STANDINGS_MAX).map(parseParticipant) }),
  };
}

function parseStanding(value: unknown): Standing {
  const from = object(value, 'standing');
  return {
    seat: integer(from, 'seat', 0, 255),
    name: text(from, 'name'),
    playerId: text(from, 'playerId'),
    isBot: boolean(from, 'isBot'),
    ...optionalInteger(from, 'rank', 1, STANDINGS_MAX),
    ...optionalInteger(from, 'team', 0, 255),
    score: parseScore(from['score']),
  };
}

function parseParticipant(value: unknown): Participant {
  const from = object(value, 'participant');
  return {
    seat: integer(from, 'seat', 0, 255),
    playerId: text(from, 'playerId'),
    isBot: boolean(from, 'isBot'),
    ...optionalInteger(from, 'team', 0, 255),
    rank: integer(from, 'rank', 1, STANDINGS_MAX),
    ticks: integer(from, 'ticks', 0, Number.MAX_SAFE_INTEGER),
    ...optionalInteger(from, 'leftTick', 0, Number.MAX_SAFE_INTEGER),
    score: parseScore(from['score']),
  };
}

function parseScore(value: unknown): Record<string, number> {
  const score = Object.entries(object(value, 'score'));
  if (score.length > SCORE_KEYS_MAX) throw new RangeError(`score has more than ${SCORE_KEYS_MAX} columns`);
  for (const [, points] of score) {
    if (!Number.isSafeInteger(points)) throw new RangeError('score has a column that is not an integer');
  }
  return Object.fromEntries(score) as Record<string, number>;
}

function optionalInteger<K extends string>(
  from: Readonly<Record<string, unknown>>,
  key: K,
  min: number,
  max: number,
): { readonly [Key in K]?: number } {
  return from[key] === undefined ? {} : ({ [key]: integer(from, key, min, max) } as { [Key in K]: number });
}

function parseSetup(value: unknown): MatchSetup {
  const from = object(value, 'setup');
  const entries = Object.entries(from);
  if (entries.length > SETUP_KEYS_MAX) throw new RangeError(`setup has more than ${SETUP_KEYS_MAX} members`);
  for (const [key, member] of entries) {
    const isPlain =
      typeof member === 'boolean' ||
      Number.isSafeInteger(member) ||
      (typeof member === 'string' && member.length <= SETUP_TEXT_CHARS_MAX);
    if (!isPlain) throw new RangeError(`setup.${key.slice(0, 32)} is not an integer, boolean or short text`);
  }
  return { ...(Object.fromEntries(entries) as MatchSetup), seed: integer(from, 'seed', -(2 ** 31), 2 ** 32 - 1) };
}
