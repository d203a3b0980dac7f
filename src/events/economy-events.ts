/**
 * What happened to money and items. One stream, `economy`: whoever decides has seen everything before.
 *
 * Every event that moves something carries the same {@link posting}: `legs` move assets (currencies, and items that are
 * counted) and sum to zero for each asset; `items` move things that exist once. So one fold of these two columns is the
 * whole ledger, whatever the event is called.
 */
import * as z from 'zod';
import { defineEvent } from './event.ts';

/** The stream of the whole ledger. */
export const ECONOMY_STREAM = 'economy';

/** Largest amount and balance, minor units: what a number counts exactly. */
export const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;

/**
 * `mint` is where everything comes from (the only one that goes below zero), `sink` where it goes, `fees` what the game
 * keeps, `player:ID` a player's, `escrow:HOLD` what is on hold.
 */
export const ACCOUNT = /^(?:mint|sink|fees|(?:player|escrow):[A-Za-z0-9_-]{1,64})$/;
/** A currency (`coins`) or a stackable item (`item/potion`). */
export const ASSET = /^(?:item\/)?[a-z][a-z0-9-]{0,31}$/;

const account = z.string().regex(ACCOUNT);
const asset = z.string().regex(ASSET);
/** Player, hold, trade or unique item: `x-` and random characters, without meaning. */
const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const atMs = z.int().min(0);
const amountMinor = z.int().min(1).max(AMOUNT_MAX);

/** Account, asset, minor units that it gains (or loses, below zero). */
const leg = z.tuple([account, asset, z.int().min(-AMOUNT_MAX).max(AMOUNT_MAX)]);
/** Unique item, its kind, from whom, to whom; from `mint` when it comes into being. */
const itemMove = z.tuple([id, asset, account, account]);

const posting = z.strictObject({
  legs: z.array(leg).max(256),
  items: z.array(itemMove).max(256),
  /** Why, kebab-case, such as `match-reward`. */
  reason: z.string().regex(/^[a-z][a-z0-9-]{0,47}$/),
  /** Through what, such as `match/ID`, `trade/ID` or `player`. */
  cause: z.string().regex(/^[A-Za-z0-9_.:/-]{1,128}$/),
});
export type Posting = z.output<typeof posting>;
export type Leg = Posting['legs'][number];
export type ItemMove = Posting['items'][number];

/** From one player to another. */
export const Transferred = defineEvent('economy.transferred', posting);
/** Out of the mint. */
export const Granted = defineEvent('economy.granted', posting);
/** Paid and received at once. */
export const Purchased = defineEvent('economy.purchased', posting.extend({ productId: z.string().max(48) }));

/** Put aside into `escrow:HOLD`; stays the player's, who cannot spend it. */
export const Held = defineEvent('economy.held', posting.extend({ holdId: id, playerId: id }));
/** All of a hold went back. */
export const Released = defineEvent('economy.released', posting.extend({ holdId: id }));
/** A hold was paid out, in whole or in part, and the rest went back. */
export const Captured = defineEvent('economy.captured', posting.extend({ holdId: id }));

const offer = z.strictObject({
  assets: z.array(z.tuple([asset, amountMinor])).max(16),
  itemIds: z.array(id).max(32),
});
export type Offer = z.output<typeof offer>;

export const TradeOpened = defineEvent(
  'economy.trade-opened',
  z.strictObject({ tradeId: id, playerIds: z.tuple([id, id]), expiresAtMs: atMs }),
);
/** One side's whole offer is now this; nobody has confirmed any more. */
export const TradeOffered = defineEvent('economy.trade-offered', z.strictObject({ tradeId: id, playerId: id, offer }));
export const TradeConfirmed = defineEvent('economy.trade-confirmed', z.strictObject({ tradeId: id, playerId: id }));
/** The second one confirmed, and both offers changed hands. */
export const TradeSettled = defineEvent('economy.trade-settled', posting.extend({ tradeId: id, playerId: id }));
export const TradeCancelled = defineEvent(
  'economy.trade-cancelled',
  z.strictObject({ tradeId: id, why: z.enum(['player', 'expired', 'erased']) }),
);

/** The person is gone: what was left went into the sink. May happen in several parts. */
export const Erased = defineEvent('economy.erased', posting.extend({ playerId: id }));
/** An operator brought a player's possessions back to what they were at a position of the log. */
export const Restored = defineEvent('economy.restored', posting.extend({ playerId: id, atPosition: z.int().min(0) }));

export const ECONOMY_EVENTS = [
  Transferred,
  Granted,
  Purchased,
  Held,
  Released,
  Captured,
  TradeOpened,
  TradeOffered,
  TradeConfirmed,
  TradeSettled,
  TradeCancelled,
  Erased,
  Restored,
] as const;
export const ECONOMY_TYPES: readonly string[] = ECONOMY_EVENTS.map(({ type }) => type);

/** What an event moved; nothing for those of a trade under way. */
export function postingOf(payload: unknown): Posting | undefined {
  return (payload as Partial<Posting>).legs === undefined ? undefined : (payload as Posting);
}
