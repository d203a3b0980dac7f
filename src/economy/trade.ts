/**
 * A trade between two players, as a state machine. Pure. Either side may change its offer for as long as the trade is
 * open, which takes back what anybody confirmed; when both have confirmed the same offers, both change hands.
 */
import type { Offer } from '../events/economy-events.ts';
import { GameError } from '../kernel/errors.ts';

export interface Trade {
  readonly tradeId: string;
  /** Who opened it, and with whom. */
  readonly playerIds: readonly [string, string];
  readonly offers: readonly [Offer, Offer];
  readonly hasConfirmed: readonly [boolean, boolean];
  /** Whether the one who was asked has made an offer or confirmed; before, it is an invitation that binds nobody. */
  readonly hasJoined: boolean;
  /** Counts everything that happened to it, from 1. */
  readonly version: number;
  /** The version that made the offers what they are: what is confirmed. */
  readonly offerVersion: number;
  readonly expiresAtMs: number;
  readonly status: 'open' | 'settled' | 'cancelled';
  readonly why?: 'player' | 'expired' | 'erased' | undefined;
}

const NOTHING: Offer = { assets: [], itemIds: [] };

export function openTrade(tradeId: string, playerIds: readonly [string, string], expiresAtMs: number): Trade {
  return {
    tradeId,
    playerIds,
    offers: [NOTHING, NOTHING],
    hasConfirmed: [false, false],
    hasJoined: false,
    version: 1,
    offerVersion: 1,
    expiresAtMs,
    status: 'open',
  };
}

/** 0 or 1. @throws GameError TRADE_UNKNOWN for everybody else */
export function sideOf(trade: Trade | undefined, playerId: string): 0 | 1 {
  const side = trade?.playerIds.indexOf(playerId) ?? -1;
  if (side !== 0 && side !== 1) throw new GameError('TRADE_UNKNOWN');
  return side;
}

/** @throws GameError TRADE_CLOSED, also when its time is over */
export function checkOpen(trade: Trade, nowMs: number): void {
  if (trade.status === 'open' && nowMs < trade.expiresAtMs) return;
  throw new GameError('TRADE_CLOSED', { status: trade.status === 'open' ? 'cancelled' : trade.status });
}

export function withOffer(trade: Trade, side: 0 | 1, offer: Offer): Trade {
  const version = trade.version + 1;
  const offers = side === 0 ? ([offer, trade.offers[1]] as const) : ([trade.offers[0], offer] as const);
  const hasJoined = trade.hasJoined || side === 1;
  return { ...trade, offers, hasConfirmed: [false, false], hasJoined, version, offerVersion: version };
}

export function withConfirmation(trade: Trade, side: 0 | 1): Trade {
  const hasConfirmed = [trade.hasConfirmed[0] || side === 0, trade.hasConfirmed[1] || side === 1] as const;
  return { ...trade, hasConfirmed, hasJoined: trade.hasJoined || side === 1, version: trade.version + 1 };
}

export function closed(trade: Trade, status: 'settled' | 'cancelled', why?: Trade['why']): Trade {
  const hasConfirmed = status === 'settled' ? ([true, true] as const) : trade.hasConfirmed;
  return { ...trade, status, hasConfirmed, version: trade.version + 1, ...(why === undefined ? {} : { why }) };
}
