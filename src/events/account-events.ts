/**
 * What happens to accounts. Stream `account/<playerId>`. No name, e-mail or other personal data is in them: those are
 * rows that can be deleted, while events stay.
 */
import * as z from 'zod';
import { defineEvent } from './event.ts';

const playerId = z.string().min(1).max(64);
const sessionId = z.string().min(1).max(64);
/** Who did it: a player id, `self` for the account's owner, `operator` for the command line. */
const by = z.string().min(1).max(64);

/** Why somebody may not play; free text would be personal data. */
export const BAN_REASONS = ['cheating', 'abuse', 'fraud', 'name', 'other'] as const;
export type BanReason = (typeof BAN_REASONS)[number];

export const AccountCreated = defineEvent('account.created', z.strictObject({ playerId, isAnonymous: z.boolean() }));
/** An anonymous account got e-mail and password; it stays the same account. */
export const AccountRegistered = defineEvent('account.registered', z.strictObject({ playerId }));
export const AccountRenamed = defineEvent('account.renamed', z.strictObject({ playerId, by }));
export const AccountPasswordSet = defineEvent('account.password-set', z.strictObject({ playerId, by }));
/** Sign-ins that ended before their time; their tokens are void from now on. */
export const AccountSessionsEnded = defineEvent(
  'account.sessions-ended',
  z.strictObject({
    playerId,
    sessionIds: z.array(sessionId).min(1).max(100),
    reason: z.enum(['signed-out', 'reused', 'password', 'role', 'banned', 'erased', 'too-many']),
    by,
  }),
);
export const AccountRoleChanged = defineEvent(
  'account.role-changed',
  z.strictObject({ playerId, role: z.enum(['player', 'moderator', 'admin']), by }),
);
/** `untilMs` null: for good. A later one replaces an earlier one. */
export const AccountBanned = defineEvent(
  'account.banned',
  z.strictObject({ playerId, reason: z.enum(BAN_REASONS), untilMs: z.int().min(0).nullable(), by }),
);
export const AccountUnbanned = defineEvent('account.unbanned', z.strictObject({ playerId, by }));
/** Everything known of the person was handed out. */
export const AccountExported = defineEvent('account.exported', z.strictObject({ playerId, by }));
/** The person is gone; what it owned falls to the sink, what it did stays under a number that means nobody. */
export const AccountErased = defineEvent('account.erased', z.strictObject({ playerId, by }));

export const ACCOUNT_EVENTS = [
  AccountCreated,
  AccountRegistered,
  AccountRenamed,
  AccountPasswordSet,
  AccountSessionsEnded,
  AccountRoleChanged,
  AccountBanned,
  AccountUnbanned,
  AccountExported,
  AccountErased,
] as const;
