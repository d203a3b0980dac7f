/**
 * Everything that is owned, on hold or in trade, as a fold of the stream `economy`. Pure; each step can be taken back,
 * as a process decides on what it has asked the log to hold before the log does.
 */
import {
  Captured,
  Erased,
  Held,
  type ItemMove,
  type Leg,
  type Posting,
  Released,
  TradeCancelled,
  TradeConfirmed,
  TradeOffered,
  TradeOpened,
  TradeSettled,
} from '../events/economy-events.ts';
import type { EventDefinition, NewEvent } from '../events/event.ts';
import { ECONOMY_LIMITS } from './assets.ts';
import { Recent } from './recent.ts';
import { closed, openTrade, sideOf, type Trade, withConfirmation, withOffer } from './trade.ts';

export const MINT = 'mint';
export const SINK = 'sink';
export const FEES = 'fees';
export const playerAccount = (playerId: string): string => `player:${playerId}`;
export const escrowAccount = (holdId: string): string => `escrow:${holdId}`;

/** A hold that is open: what stands in its escrow, and whose it is. */
export interface Hold {
  readonly holdId: string;
  readonly playerId: string;
  readonly assets: readonly (readonly [asset: string, amountMinor: number])[];
  readonly itemIds: readonly string[];
}

export interface UniqueItem {
  readonly kind: string;
  /** An account. */
  readonly owner: string;
}

/** What a view remembers of the ledger at one place of its stream. */
export interface LedgerSnapshot {
  /** Last event of the stream in it. */
  readonly seq: number;
  readonly balances: Iterable<readonly [account: string, asset: string, amountMinor: number]>;
  readonly items: Iterable<readonly [itemId: string, kind: string, owner: string]>;
  readonly holds: Iterable<Hold>;
  readonly trades: Iterable<Trade>;
  readonly erased: Iterable<string>;
}

export type Undo = () => void;
type PayloadOf<D> = D extends EventDefinition<infer P> ? P : never;

const NO_BALANCES: ReadonlyMap<string, number> = new Map();
const NO_IDS: ReadonlySet<string> = new Set();

export class LedgerState {
  readonly #balances = new Map<string, Map<string, number>>();
  readonly #items = new Map<string, UniqueItem>();
  readonly #itemsOf = new Map<string, Set<string>>();
  readonly #holds = new Map<string, Hold>();
  readonly #holdsOf = new Map<string, Set<string>>();
  readonly #trades = new Map<string, Trade>();
  readonly #tradesOf = new Map<string, Set<string>>();
  readonly #closedHolds = new Recent<string, true>(ECONOMY_LIMITS.closedKeptMax);
  readonly #closedTrades = new Recent<string, Trade>(ECONOMY_LIMITS.closedKeptMax);
  readonly #erased = new Set<string>();

  load(snapshot: LedgerSnapshot): void {
    for (const [account, asset, amountMinor] of snapshot.balances) this.#add(account, asset, amountMinor);
    for (const [itemId, kind, owner] of snapshot.items) this.#own(itemId, { kind, owner });
    for (const hold of snapshot.holds) this.#openHold(hold);
    for (const trade of snapshot.trades) this.#setTrade(trade);
    for (const playerId of snapshot.erased) this.#erased.add(playerId);
  }

  /** Minor units; 0 for an account or asset that was never used. */
  balance(account: string, asset: string): number {
    return this.#balances.get(account)?.get(asset) ?? 0;
  }

  /** All that are not 0, by asset. */
  balances(account: string): ReadonlyMap<string, number> {
    return this.#balances.get(account) ?? NO_BALANCES;
  }

  /** Accounts that were ever used. */
  get accounts(): Iterable<string> {
    return this.#balances.keys();
  }

  item(itemId: string): UniqueItem | undefined {
    return this.#items.get(itemId);
  }

  itemsOf(account: string): ReadonlySet<string> {
    return this.#itemsOf.get(account) ?? NO_IDS;
  }

  hold(holdId: string): Hold | undefined {
    return this.#holds.get(holdId);
  }

  wasHold(holdId: string): boolean {
    return this.#closedHolds.has(holdId);
  }

  holdsOf(playerId: string): ReadonlySet<string> {
    return this.#holdsOf.get(playerId) ?? NO_IDS;
  }

  get openHolds(): Iterable<Hold> {
    return this.#holds.values();
  }

  /** Open ones, and those that were closed not long ago. */
  trade(tradeId: string): Trade | undefined {
    return this.#trades.get(tradeId) ?? this.#closedTrades.get(tradeId);
  }

  /** Open ones. */
  tradesOf(playerId: string): ReadonlySet<string> {
    return this.#tradesOf.get(playerId) ?? NO_IDS;
  }

  get openTrades(): Iterable<Trade> {
    return this.#trades.values();
  }

  isErased(playerId: string): boolean {
    return this.#erased.has(playerId);
  }

  /** Takes one event in. @returns what takes it back, to be called in reverse order */
  apply(event: NewEvent): Undo {
    const payload = event.payload as Posting;
    if (payload.legs === undefined) return this.#applyTrade(event);
    const { legs, items } = payload;
    for (let i = 0; i < legs.length; i++) this.#addLeg(legs[i]!);
    for (let i = 0; i < items.length; i++) this.#moveItem(items[i]!);
    const undoRest = this.#applyRest(event);
    return () => {
      undoRest?.();
      for (let i = items.length - 1; i >= 0; i--) this.#moveItemBack(items[i]!);
      for (let i = 0; i < legs.length; i++) this.#add(legs[i]![0], legs[i]![1], -legs[i]![2]);
    };
  }

  #applyRest({ type, payload }: NewEvent): Undo | undefined {
    switch (type) {
      case Held.type: {
        const { holdId, playerId, legs, items } = payload as PayloadOf<typeof Held>;
        const escrow = escrowAccount(holdId);
        const assets = legs.filter(([account]) => account === escrow).map(([, asset, n]) => [asset, n] as const);
        this.#openHold({ holdId, playerId, assets, itemIds: items.map(([itemId]) => itemId) });
        return () => this.#closeHold(holdId, false);
      }
      case Released.type:
      case Captured.type: {
        const { holdId } = payload as PayloadOf<typeof Released>;
        const hold = this.#holds.get(holdId);
        this.#closeHold(holdId, true);
        return hold === undefined ? undefined : () => this.#openHold(hold);
      }
      case TradeSettled.type: {
        const { tradeId } = payload as PayloadOf<typeof TradeSettled>;
        return this.#change(tradeId, (trade) => closed(trade, 'settled'));
      }
      case Erased.type: {
        const { playerId } = payload as PayloadOf<typeof Erased>;
        if (this.#erased.has(playerId)) return undefined;
        this.#erased.add(playerId);
        return () => this.#erased.delete(playerId);
      }
      default:
        return undefined;
    }
  }

  #applyTrade({ type, payload }: NewEvent): Undo {
    switch (type) {
      case TradeOpened.type: {
        const { tradeId, playerIds, expiresAtMs } = payload as PayloadOf<typeof TradeOpened>;
        this.#setTrade(openTrade(tradeId, playerIds, expiresAtMs));
        return () => this.#dropTrade(tradeId);
      }
      case TradeOffered.type: {
        const { tradeId, playerId, offer } = payload as PayloadOf<typeof TradeOffered>;
        return this.#change(tradeId, (trade) => withOffer(trade, sideOf(trade, playerId), offer));
      }
      case TradeConfirmed.type: {
        const { tradeId, playerId } = payload as PayloadOf<typeof TradeConfirmed>;
        return this.#change(tradeId, (trade) => withConfirmation(trade, sideOf(trade, playerId)));
      }
      case TradeCancelled.type: {
        const { tradeId, why } = payload as PayloadOf<typeof TradeCancelled>;
        return this.#change(tradeId, (trade) => closed(trade, 'cancelled', why));
      }
      default:
        throw new TypeError(`${type} is no event of the economy`);
    }
  }

  #addLeg([account, asset, deltaMinor]: Leg): void {
    this.#add(account, asset, deltaMinor);
  }

  #add(account: string, asset: string, deltaMinor: number): void {
    const balances = this.#balances.get(account);
    if (balances === undefined) {
      this.#balances.set(account, new Map([[asset, deltaMinor]]));
      return;
    }
    const after = (balances.get(asset) ?? 0) + deltaMinor;
    if (after !== 0) balances.set(asset, after);
    else {
      balances.delete(asset);
      if (balances.size === 0) this.#balances.delete(account);
    }
  }

  #moveItem([itemId, kind, , to]: ItemMove): void {
    this.#disown(itemId);
    this.#own(itemId, { kind, owner: to });
  }

  #moveItemBack([itemId, kind, from]: ItemMove): void {
    this.#disown(itemId);
    if (from === MINT) this.#items.delete(itemId);
    else this.#own(itemId, { kind, owner: from });
  }

  #own(itemId: string, item: UniqueItem): void {
    this.#items.set(itemId, item);
    addTo(this.#itemsOf, item.owner, itemId);
  }

  #disown(itemId: string): void {
    const item = this.#items.get(itemId);
    if (item !== undefined) removeFrom(this.#itemsOf, item.owner, itemId);
  }

  #openHold(hold: Hold): void {
    this.#closedHolds.delete(hold.holdId);
    this.#holds.set(hold.holdId, hold);
    addTo(this.#holdsOf, hold.playerId, hold.holdId);
  }

  #closeHold(holdId: string, isKept: boolean): void {
    const hold = this.#holds.get(holdId);
    if (hold === undefined) return;
    this.#holds.delete(holdId);
    removeFrom(this.#holdsOf, hold.playerId, holdId);
    if (isKept) this.#closedHolds.set(holdId, true);
  }

  #change(tradeId: string, change: (trade: Trade) => Trade): Undo {
    const before = this.#trades.get(tradeId);
    if (before === undefined) throw new TypeError(`trade ${tradeId} is not open`);
    this.#setTrade(change(before));
    return () => this.#setTrade(before);
  }

  #setTrade(trade: Trade): void {
    this.#dropTrade(trade.tradeId);
    if (trade.status === 'open') {
      this.#trades.set(trade.tradeId, trade);
      for (const playerId of trade.playerIds) addTo(this.#tradesOf, playerId, trade.tradeId);
      return;
    }
    this.#closedTrades.set(trade.tradeId, trade);
  }

  #dropTrade(tradeId: string): void {
    this.#closedTrades.delete(tradeId);
    const trade = this.#trades.get(tradeId);
    if (trade === undefined) return;
    this.#trades.delete(tradeId);
    for (const playerId of trade.playerIds) removeFrom(this.#tradesOf, playerId, tradeId);
  }
}

function addTo(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([id]));
  else set.add(id);
}

function removeFrom(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  if (set === undefined) return;
  set.delete(id);
  if (set.size === 0) sets.delete(key);
}
