/**
 * What an account is, as the fold of its events, and what may be done to it. Pure: no clock, no store, no secrets, and
 * nothing of the person.
 */
import type { Role } from '../api/route.ts';
import { ROLES } from '../api/route.ts';
import {
  AccountBanned,
  AccountCreated,
  AccountErased,
  AccountRegistered,
  AccountRoleChanged,
  AccountUnbanned,
  type BanReason,
} from '../events/account-events.ts';
import { isEvent, type NewEvent } from '../events/event.ts';
import { GameError } from '../kernel/errors.ts';

/** Longest suspension that a moderator may give, days; for longer ones an admin is asked. */
export const MODERATOR_BAN_DAYS_MAX = 30;
const DAY_MS = 86_400_000;

export interface Ban {
  readonly reason: BanReason;
  /** ms since 1970; null for good. */
  readonly untilMs: number | null;
}

export interface Account {
  readonly playerId: string;
  readonly isAnonymous: boolean;
  readonly role: Role;
  readonly ban: Ban | null;
  readonly isErased: boolean;
  /** Length of its stream. */
  readonly length: number;
}

/** Who does something to an account: its owner, another player, or the command line. */
export type Actor = 'operator' | { readonly playerId: string; readonly role: Role };

/** The name of an actor in events. */
export function actorName(actor: Actor, playerId: string): string {
  if (actor === 'operator') return 'operator';
  return actor.playerId === playerId ? 'self' : actor.playerId;
}

/** Folds one event; the first must be `account.created`. */
export function evolve(account: Account | undefined, event: Pick<NewEvent, 'type' | 'payload'>): Account {
  if (isEvent(AccountCreated, event)) {
    if (account !== undefined) throw new Error('an account is created once');
    const { playerId, isAnonymous } = event.payload;
    return { playerId, isAnonymous, role: 'player', ban: null, isErased: false, length: 1 };
  }
  if (account === undefined) throw new Error(`${event.type} of an account that was never created`);
  const next = { ...account, length: account.length + 1 };
  if (isEvent(AccountRegistered, event)) return { ...next, isAnonymous: false };
  if (isEvent(AccountRoleChanged, event)) return { ...next, role: event.payload.role };
  if (isEvent(AccountBanned, event)) {
    return { ...next, ban: { reason: event.payload.reason, untilMs: event.payload.untilMs } };
  }
  if (isEvent(AccountUnbanned, event)) return { ...next, ban: null };
  if (isEvent(AccountErased, event)) return { ...next, isErased: true, ban: null, role: 'player' };
  return next;
}

/** @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED */
export function mustExist(account: Account | undefined): Account {
  if (account === undefined) throw new GameError('PLAYER_UNKNOWN');
  if (account.isErased) throw new GameError('ACCOUNT_ERASED');
  return account;
}

/** The ban that is in force at a time. */
export function banAt(account: Pick<Account, 'ban'>, nowMs: number): Ban | undefined {
  const { ban } = account;
  return ban === null || (ban.untilMs !== null && ban.untilMs <= nowMs) ? undefined : ban;
}

/** @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, ACCOUNT_BANNED */
export function mustBeWelcome(account: Account | undefined, nowMs: number): Account {
  const found = mustExist(account);
  const ban = banAt(found, nowMs);
  if (ban !== undefined) throw new GameError('ACCOUNT_BANNED', { ...ban });
  return found;
}

function rank(role: Role): number {
  return ROLES.indexOf(role);
}

/** @throws GameError NOT_ALLOWED unless the actor stands above the account */
export function mustOutrank(actor: Actor, account: Account): void {
  if (actor === 'operator') return;
  if (actor.playerId === account.playerId || rank(actor.role) <= rank(account.role)) throw new GameError('NOT_ALLOWED');
}

/**
 * @param untilMs null for good
 * @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED; NOT_ALLOWED (an equal or higher role; oneself; a moderator past
 *   {@link MODERATOR_BAN_DAYS_MAX} days); INVALID_INPUT if the end is not in the future
 */
export function decideBan(
  account: Account | undefined,
  actor: Actor,
  reason: BanReason,
  untilMs: number | null,
  nowMs: number,
): NewEvent[] {
  const { playerId } = mustExist(account);
  mustOutrank(actor, account!);
  if (untilMs !== null && untilMs <= nowMs) throw new GameError('INVALID_INPUT', { untilMs: 'not in the future' });
  const isLong = untilMs === null || untilMs > nowMs + MODERATOR_BAN_DAYS_MAX * DAY_MS;
  if (isLong && actor !== 'operator' && actor.role !== 'admin') {
    throw new GameError('NOT_ALLOWED', { daysMax: MODERATOR_BAN_DAYS_MAX });
  }
  return [AccountBanned({ playerId, reason, untilMs, by: actorName(actor, playerId) })];
}

/** Nothing when there is no ban. A moderator lifts only what a moderator may give. @throws as {@link decideBan} */
export function decideUnban(account: Account | undefined, actor: Actor, nowMs: number): NewEvent[] {
  const { playerId, ban } = mustExist(account);
  mustOutrank(actor, account!);
  if (ban === null) return [];
  const isLong = ban.untilMs === null || ban.untilMs > nowMs + MODERATOR_BAN_DAYS_MAX * DAY_MS;
  if (isLong && actor !== 'operator' && actor.role !== 'admin') throw new GameError('NOT_ALLOWED');
  return [AccountUnbanned({ playerId, by: actorName(actor, playerId) })];
}

/**
 * Nothing when the account has that role. An admin is made and unmade by operators only, so that a stolen admin
 * account can neither make others nor shut its colleagues out.
 * @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, NOT_ALLOWED
 */
export function decideRole(account: Account | undefined, actor: Actor, role: Role): NewEvent[] {
  const { playerId, role: present, isAnonymous } = mustExist(account);
  if (actor !== 'operator') {
    mustOutrank(actor, account!);
    if (actor.role !== 'admin' || role === 'admin') throw new GameError('NOT_ALLOWED');
  }
  // Whoever holds power signs in with a password.
  if (isAnonymous && role !== 'player') throw new GameError('NOT_ALLOWED', { reason: 'anonymous' });
  if (present === role) return [];
  return [AccountRoleChanged({ playerId, role, by: actorName(actor, playerId) })];
}

/** @throws GameError PLAYER_UNKNOWN, ACCOUNT_EXISTS when it is registered already */
export function decideUpgrade(account: Account | undefined, nowMs: number): NewEvent[] {
  const { playerId, isAnonymous } = mustBeWelcome(account, nowMs);
  if (!isAnonymous) throw new GameError('ACCOUNT_EXISTS');
  return [AccountRegistered({ playerId })];
}

/** @throws GameError PLAYER_UNKNOWN, ACCOUNT_ERASED, NOT_ALLOWED for anybody but the owner and an operator */
export function decideErase(account: Account | undefined, actor: Actor): NewEvent[] {
  const { playerId } = mustExist(account);
  if (actor !== 'operator' && actor.playerId !== playerId) throw new GameError('NOT_ALLOWED');
  return [AccountErased({ playerId, by: actorName(actor, playerId) })];
}
