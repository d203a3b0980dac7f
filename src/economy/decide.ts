/**
 * Commands of the ledger: from what is and what is asked to what happened, or to a refusal. Pure: ids and the time come
 * from outside, so that a command can be decided again when somebody else got to the log first.
 */
import {
  AMOUNT_MAX,
  Captured,
  Erased,
  Granted,
  Held,
  type ItemMove,
  type Leg,
  type Offer,
  type Posting,
  Purchased,
  Released,
  TradeCancelled,
  TradeConfirmed,
  TradeOffered,
  TradeOpened,
  TradeSettled,
  Transferred,
} from '../events/economy-events.ts';
import type { NewEvent } from '../events/event.ts';
import { LOG_LIMITS } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import { checkAmount, checkAsset, checkKind, ECONOMY_LIMITS, isStackable } from './assets.ts';
import { escrowAccount, FEES, type LedgerState, MINT, playerAccount, SINK } from './ledger-state.ts';
import { findProduct } from './shop.ts';
import { checkOpen, sideOf, type Trade } from './trade.ts';

/** @throws GameError when it is refused; nothing has happened then */
export type Decide = (state: LedgerState, nowMs: number) => readonly NewEvent[];

export type Amounts = readonly (readonly [asset: string, amountMinor: number])[];
export interface Cause {
  readonly reason: string;
  readonly cause: string;
}

/** From one player to another. */
export function transfer(
  fromId: string,
  toId: string,
  asset: string,
  amountMinor: number,
  { reason, cause }: Cause = { reason: 'gift', cause: 'player' },
): Decide {
  checkAmount(amountMinor);
  checkAsset(asset);
  if (fromId === toId) throw new GameError('SELF_TRANSFER');
  const from = playerAccount(fromId);
  const to = playerAccount(toId);
  return (state) => {
    checkNotErased(state, toId);
    checkCovers(state, fromId, asset, amountMinor);
    const legs: Leg[] = [
      [from, asset, -amountMinor],
      [to, asset, amountMinor],
    ];
    return [Transferred({ legs, items: [], reason, cause })];
  };
}

/** @param items id and kind of unique items that come into being */
export function grant(
  toId: string,
  assets: Amounts,
  items: readonly (readonly [itemId: string, kind: string])[],
  { reason, cause }: Cause,
): Decide {
  checkAmounts(assets, items.length, ECONOMY_LIMITS.grantMax);
  for (const [, kind] of items) checkKind(kind);
  return (state) => {
    checkNotErased(state, toId);
    const to = playerAccount(toId);
    const legs = move(MINT, to, assets);
    checkFits(state, legs);
    for (const [itemId] of items) checkNew(state, itemId);
    return [Granted({ legs, items: items.map(([itemId, kind]) => [itemId, kind, MINT, to]), reason, cause })];
  };
}

/** @param itemIds one for each unique item of the product, new */
export function purchase(playerId: string, productId: string, itemIds: readonly string[]): Decide {
  const product = findProduct(productId);
  if (product === undefined) throw new GameError('PRODUCT_UNKNOWN', { product: productId.slice(0, 48) });
  const { currency, amountMinor } = product.price;
  const player = playerAccount(playerId);
  return (state) => {
    checkNotErased(state, playerId);
    checkCovers(state, playerId, currency, amountMinor);
    const legs = net([...move(player, SINK, [[currency, amountMinor]]), ...move(MINT, player, product.assets)]);
    checkFits(state, legs);
    const items = product.items.map((kind, i): ItemMove => [itemIds[i]!, kind, MINT, player]);
    for (const [itemId] of items) checkNew(state, itemId);
    return [Purchased({ legs, items, reason: 'purchase', cause: `shop/${productId}`, productId })];
  };
}

export function hold(
  holdId: string,
  playerId: string,
  assets: Amounts,
  itemIds: readonly string[],
  { reason, cause }: Cause,
): Decide {
  checkAmounts(assets, itemIds.length);
  checkDifferent(itemIds, 'itemIds');
  const player = playerAccount(playerId);
  const escrow = escrowAccount(holdId);
  return (state) => {
    checkNotErased(state, playerId);
    if (state.holdsOf(playerId).size >= ECONOMY_LIMITS.holdsPerPlayerMax) {
      throw new GameError('RATE_LIMITED', { holdsMax: ECONOMY_LIMITS.holdsPerPlayerMax });
    }
    if (state.hold(holdId) !== undefined || state.wasHold(holdId)) throw new GameError('HOLD_CLOSED', { holdId });
    for (const [asset, amountMinor] of assets) checkCovers(state, playerId, asset, amountMinor);
    const items = itemIds.map((itemId) => moveItem(state, itemId, playerId, escrow));
    return [Held({ legs: move(player, escrow, assets), items, reason, cause, holdId, playerId })];
  };
}

export function release(holdId: string, { reason, cause }: Cause): Decide {
  return (state) => {
    const { playerId, assets, itemIds } = openHold(state, holdId);
    const escrow = escrowAccount(holdId);
    const player = playerAccount(playerId);
    const items = itemIds.map((itemId): ItemMove => [itemId, state.item(itemId)!.kind, escrow, player]);
    return [Released({ legs: move(escrow, player, assets), items, reason, cause, holdId })];
  };
}

export interface Capture extends Cause {
  readonly toId: string;
  /** What of the hold is paid; the rest goes back. All of it without this. */
  readonly assets?: Amounts;
  readonly itemIds?: readonly string[];
  /** Of what is paid the game keeps this much. */
  readonly fees?: Amounts;
}

/** Pays a hold out, in whole or in part, and closes it. */
export function capture(holdId: string, capture: Capture): Decide {
  const { toId, reason, cause, fees = [] } = capture;
  checkAmounts(capture.assets ?? [], capture.itemIds?.length ?? 0, AMOUNT_MAX, true);
  checkAmounts(fees, 0, AMOUNT_MAX, true);
  checkDifferent(capture.itemIds ?? [], 'itemIds');
  return (state) => {
    const held = openHold(state, holdId);
    if (held.playerId === toId) throw new GameError('SELF_TRANSFER');
    checkNotErased(state, toId);
    const paid = new Map(capture.assets ?? held.assets);
    const paidItems = new Set(capture.itemIds ?? held.itemIds);
    const inHold = new Map(held.assets);
    for (const [asset, amountMinor] of paid) {
      if (amountMinor > (inHold.get(asset) ?? 0)) throw new GameError('FUNDS_SHORT', { asset });
    }
    for (const itemId of paidItems) {
      if (!held.itemIds.includes(itemId)) throw new GameError('ITEM_MISSING', { itemId });
    }
    const escrow = escrowAccount(holdId);
    const [payer, payee] = [playerAccount(held.playerId), playerAccount(toId)];
    const kept = new Map(fees);
    for (const [asset, amountMinor] of kept) {
      if (amountMinor > (paid.get(asset) ?? 0)) throw new GameError('FUNDS_SHORT', { asset });
    }
    const legs = net(
      held.assets.flatMap(([asset, amountMinor]): Leg[] => {
        const pays = paid.get(asset) ?? 0;
        const fee = kept.get(asset) ?? 0;
        return [
          [escrow, asset, -amountMinor],
          [payee, asset, pays - fee],
          [FEES, asset, fee],
          [payer, asset, amountMinor - pays],
        ];
      }),
    );
    const items = held.itemIds.map(
      (itemId): ItemMove => [itemId, state.item(itemId)!.kind, escrow, paidItems.has(itemId) ? payee : payer],
    );
    return [Captured({ legs, items, reason, cause, holdId })];
  };
}

export function openTradeWith(tradeId: string, playerId: string, otherId: string): Decide {
  if (playerId === otherId) throw new GameError('SELF_TRANSFER');
  return (state, nowMs) => {
    if (state.trade(tradeId) !== undefined) throw new GameError('TRADE_CLOSED', { tradeId });
    checkNotErased(state, playerId);
    checkNotErased(state, otherId);
    const { tradesOpenedMax, invitationsMax } = ECONOMY_LIMITS;
    const own = openTradesOf(state, playerId, nowMs);
    const withOther = own.find(({ playerIds }) => playerIds.includes(otherId));
    if (withOther !== undefined) {
      throw new GameError('RATE_LIMITED', { tradesWithPlayerMax: 1, tradeId: withOther.tradeId });
    }
    if (own.filter(({ playerIds }) => playerIds[0] === playerId).length >= tradesOpenedMax) {
      throw new GameError('RATE_LIMITED', { tradesMax: tradesOpenedMax });
    }
    const invitations = openTradesOf(state, otherId, nowMs).filter(
      ({ playerIds, hasJoined }) => playerIds[1] === otherId && !hasJoined,
    );
    if (invitations.length >= invitationsMax) throw new GameError('RATE_LIMITED', { invitationsMax });
    const expiresAtMs = nowMs + ECONOMY_LIMITS.tradeMs;
    return [TradeOpened({ tradeId, playerIds: [playerId, otherId], expiresAtMs })];
  };
}

/** Replaces one's whole offer. It has to be there to be offered; nothing is set aside for it. */
export function offerInTrade(tradeId: string, playerId: string, offer: Offer): Decide {
  checkAmounts(offer.assets, offer.itemIds.length, AMOUNT_MAX, true);
  checkDifferent(offer.itemIds, 'itemIds');
  return (state, nowMs) => {
    const trade = state.trade(tradeId);
    sideOf(trade, playerId);
    checkOpen(trade!, nowMs);
    checkMayJoin(state, trade!, playerId, nowMs);
    checkOffer(state, playerId, offer);
    return [TradeOffered({ tradeId, playerId, offer })];
  };
}

/**
 * Says yes to the offers as they are since `offerVersion`. The second yes settles: all of both offers, or nothing at all
 * if either no longer covers it.
 */
export function confirmTrade(tradeId: string, playerId: string, offerVersion: number): Decide {
  return (state, nowMs) => {
    const trade = state.trade(tradeId);
    const side = sideOf(trade, playerId);
    const { offers, hasConfirmed, playerIds } = trade!;
    checkOpen(trade!, nowMs);
    if (trade!.offerVersion !== offerVersion) {
      throw new GameError('TRADE_CHANGED', { offerVersion: trade!.offerVersion });
    }
    if (hasConfirmed[side]) return [];
    checkMayJoin(state, trade!, playerId, nowMs);
    if (!hasConfirmed[1 - side]) {
      checkOffer(state, playerId, offers[side]);
      return [TradeConfirmed({ tradeId, playerId })];
    }
    const legs: Leg[] = [];
    const items: ItemMove[] = [];
    for (const [i, offer] of offers.entries()) {
      const giver = playerIds[i]!;
      const taker = playerAccount(playerIds[1 - i]!);
      checkOffer(state, giver, offer);
      legs.push(...move(playerAccount(giver), taker, offer.assets));
      for (const itemId of offer.itemIds) items.push(moveItem(state, itemId, giver, taker));
    }
    return [TradeSettled({ legs: net(legs), items, reason: 'trade', cause: `trade/${tradeId}`, tradeId, playerId })];
  };
}

export function cancelTrade(tradeId: string, playerId: string): Decide {
  return (state) => {
    const trade = state.trade(tradeId);
    sideOf(trade, playerId);
    if (trade!.status !== 'open') throw new GameError('TRADE_CLOSED', { status: trade!.status });
    return [TradeCancelled({ tradeId, why: 'player' })];
  };
}

/** Ends trades whose time is over, at most so many at once. */
export function expireTrades(eventsMax: number): Decide {
  return (state, nowMs) => {
    const events: NewEvent[] = [];
    for (const { tradeId, expiresAtMs } of state.openTrades) {
      if (events.length >= eventsMax) break;
      if (expiresAtMs <= nowMs) events.push(TradeCancelled({ tradeId, why: 'expired' }));
    }
    return events;
  };
}

/**
 * One step of taking a player out of the economy: open trades end, holds go back, and what is owned goes into the sink.
 * Decides nothing when nothing is left, so it is repeated until then.
 */
export function erase(playerId: string, cause: string): Decide {
  return (state) => {
    const events: NewEvent[] = [];
    const why = { reason: 'erased', cause };
    for (const tradeId of state.tradesOf(playerId)) events.push(TradeCancelled({ tradeId, why: 'erased' }));
    for (const holdId of state.holdsOf(playerId)) events.push(...release(holdId, why)(state, 0));
    if (events.length > 0) return events.slice(0, LOG_LIMITS.eventsPerAppendMax);
    const player = playerAccount(playerId);
    const assets = [...state.balances(player)].slice(0, 128);
    const itemIds = [...state.itemsOf(player)].slice(0, 256);
    if (assets.length === 0 && itemIds.length === 0 && state.isErased(playerId)) return [];
    const items = itemIds.map((itemId) => moveItem(state, itemId, playerId, SINK));
    return [Erased({ legs: move(player, SINK, assets), items, ...why, playerId })];
  };
}

/** @throws GameError FUNDS_SHORT, or ITEM_MISSING and ITEM_HELD for what is stacked */
function checkCovers(state: LedgerState, playerId: string, asset: string, amountMinor: number): void {
  const has = state.balance(playerAccount(playerId), asset);
  if (has >= amountMinor) return;
  if (!isStackable(asset)) throw new GameError('FUNDS_SHORT', { asset, has });
  let held = 0;
  for (const holdId of state.holdsOf(playerId)) held += state.balance(escrowAccount(holdId), asset);
  throw new GameError(has + held >= amountMinor ? 'ITEM_HELD' : 'ITEM_MISSING', { asset, has });
}

/** @throws GameError ITEM_HELD, ITEM_MISSING */
function moveItem(state: LedgerState, itemId: string, fromId: string, to: string): ItemMove {
  const item = state.item(itemId);
  const from = playerAccount(fromId);
  if (item !== undefined && item.owner === from) return [itemId, item.kind, from, to];
  for (const holdId of item === undefined ? [] : state.holdsOf(fromId)) {
    if (item!.owner === escrowAccount(holdId)) throw new GameError('ITEM_HELD', { itemId });
  }
  throw new GameError('ITEM_MISSING', { itemId });
}

function checkOffer(state: LedgerState, playerId: string, offer: Offer): void {
  for (const [asset, amountMinor] of offer.assets) checkCovers(state, playerId, asset, amountMinor);
  for (const itemId of offer.itemIds) moveItem(state, itemId, playerId, SINK);
}

/** Those whose time is over count no more, also when nobody has ended them yet. */
function openTradesOf(state: LedgerState, playerId: string, nowMs: number): Trade[] {
  return [...state.tradesOf(playerId)].map((id) => state.trade(id)!).filter(({ expiresAtMs }) => nowMs < expiresAtMs);
}

/** Of what others opened that counts in which one takes part, so nobody uses up another one's. @throws GameError RATE_LIMITED */
function checkMayJoin(state: LedgerState, { hasJoined, playerIds }: Trade, playerId: string, nowMs: number): void {
  if (hasJoined || playerIds[1] !== playerId) return;
  const { tradesJoinedMax } = ECONOMY_LIMITS;
  const joined = openTradesOf(state, playerId, nowMs).filter((it) => it.playerIds[1] === playerId && it.hasJoined);
  if (joined.length >= tradesJoinedMax) throw new GameError('RATE_LIMITED', { tradesMax: tradesJoinedMax });
}

function openHold(state: LedgerState, holdId: string) {
  const found = state.hold(holdId);
  if (found !== undefined) return found;
  throw new GameError(state.wasHold(holdId) ? 'HOLD_CLOSED' : 'HOLD_UNKNOWN', { holdId: holdId.slice(0, 64) });
}

function checkNotErased(state: LedgerState, playerId: string): void {
  if (state.isErased(playerId)) throw new GameError('ACCOUNT_ERASED');
}

/** Ids are random; two of one kind could only be a bug. */
function checkNew(state: LedgerState, itemId: string): void {
  if (state.item(itemId) !== undefined) throw new RangeError(`item ${itemId} exists`);
}

/** What was minted of an asset, and so every balance, stays countable. */
function checkFits(state: LedgerState, legs: readonly Leg[]): void {
  for (const [account, asset, delta] of legs) {
    if (!Number.isSafeInteger(state.balance(account, asset) + delta)) throw new GameError('BALANCE_LIMIT', { asset });
  }
}

function checkAmounts(assets: Amounts, items: number, max: number = AMOUNT_MAX, isEmptyFine = false): void {
  if (assets.length > ECONOMY_LIMITS.assetsPerPostingMax || items > ECONOMY_LIMITS.itemsPerPostingMax) {
    throw new GameError('INVALID_INPUT', {
      assetsMax: ECONOMY_LIMITS.assetsPerPostingMax,
      itemsMax: ECONOMY_LIMITS.itemsPerPostingMax,
    });
  }
  if (!isEmptyFine && assets.length + items === 0)
    throw new GameError('INVALID_INPUT', { wanted: 'an amount or item' });
  for (const [asset, amountMinor] of assets) {
    checkAsset(asset);
    checkAmount(amountMinor, max);
  }
  checkDifferent(
    assets.map(([asset]) => asset),
    'assets',
  );
}

function checkDifferent(names: readonly string[], field: string): void {
  if (new Set(names).size !== names.length) throw new GameError('INVALID_INPUT', { field, wanted: 'each one once' });
}

/** Legs of amounts from one account to another. */
export function move(from: string, to: string, assets: Amounts): Leg[] {
  return assets.flatMap(([asset, amountMinor]): Leg[] => [
    [from, asset, -amountMinor],
    [to, asset, amountMinor],
  ]);
}

/** One leg for each account and asset, without those that come to nothing. */
export function net(legs: readonly Leg[]): Leg[] {
  const sums = new Map<string, Leg>();
  for (const [account, asset, delta] of legs) {
    const key = `${account} ${asset}`;
    sums.set(key, [account, asset, (sums.get(key)?.[2] ?? 0) + delta]);
  }
  return [...sums.values()].filter(([, , delta]) => delta !== 0);
}

export type { Posting };
