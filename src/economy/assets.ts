/** What can be owned, and how much of it. A designer changes this; names, once released, are for ever. */
import { AMOUNT_MAX } from '../events/economy-events.ts';
import { GameError } from '../kernel/errors.ts';

/** Currencies, by name; one coin is the minor unit. */
export const CURRENCIES = ['coins', 'gems'] as const;
/** Items of which only the number counts. */
export const STACKABLES = ['item/repair-kit', 'item/flare', 'item/confetti'] as const;
/** Items that exist once each, with an id and a history. */
export const UNIQUES = ['banner', 'helmet', 'trophy'] as const;

const ASSETS: ReadonlySet<string> = new Set([...CURRENCIES, ...STACKABLES]);
const KINDS: ReadonlySet<string> = new Set(UNIQUES);

export const ECONOMY_LIMITS = Object.freeze({
  /** One transfer from player to player, minor units. */
  transferMax: 1_000_000,
  /** One grant by an admin, minor units. */
  grantMax: 1_000_000_000,
  /** Open at once, of one player. Above: RATE_LIMITED. */
  holdsPerPlayerMax: 64,
  tradesOpenedMax: 8,
  /** Opened by others, in which the player has made an offer or confirmed. */
  tradesJoinedMax: 32,
  /** Opened by others, in which the player has not done anything yet. They use up nothing of the player's. */
  invitationsMax: 100,
  /** Unique items and different assets of one offer, hold or grant. */
  itemsPerPostingMax: 32,
  assetsPerPostingMax: 16,
  /** A trade that nobody settles, ms. */
  tradeMs: 10 * 60_000,
  /** Closed holds and trades that are still known by their id; older ones are unknown. */
  closedKeptMax: 10_000,
});

export const isStackable = (asset: string): boolean => asset.startsWith('item/');

/** @throws GameError CURRENCY_UNKNOWN, ITEM_MISSING for an item that does not exist */
export function checkAsset(asset: string): void {
  if (ASSETS.has(asset)) return;
  throw new GameError(isStackable(asset) ? 'ITEM_MISSING' : 'CURRENCY_UNKNOWN', { asset: String(asset).slice(0, 40) });
}

/** @throws GameError ITEM_MISSING */
export function checkKind(kind: string): void {
  if (!KINDS.has(kind)) throw new GameError('ITEM_MISSING', { kind: String(kind).slice(0, 40) });
}

/** @throws GameError INVALID_INPUT for anything but a whole number from 1 to `max` */
export function checkAmount(amountMinor: unknown, max: number = AMOUNT_MAX): asserts amountMinor is number {
  if (typeof amountMinor === 'number' && Number.isSafeInteger(amountMinor) && amountMinor >= 1 && amountMinor <= max) {
    return;
  }
  throw new GameError('INVALID_INPUT', { field: 'amountMinor', wanted: `a whole number from 1 to ${max}` });
}
