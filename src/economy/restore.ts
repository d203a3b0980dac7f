/**
 * What a player owned at a place in the log, and the posting that brings it back: against mint and sink alone, so that
 * nobody else gains or loses by it. Unique items that somebody else owns now stay there and are told.
 */
import { ECONOMY_STREAM, Held, type ItemMove, type Leg, postingOf, Restored } from '../events/economy-events.ts';
import type { EventLog } from '../events/event-log.ts';
import { GameError } from '../kernel/errors.ts';
import type { Decide } from './decide.ts';
import { escrowAccount, type LedgerState, MINT, playerAccount, SINK } from './ledger-state.ts';

/** What is a player's, on hold or not. */
export interface Possessions {
  /** Position of the last event that counted. */
  readonly position: number;
  readonly assets: ReadonlyMap<string, number>;
  /** Kind by id. */
  readonly items: ReadonlyMap<string, string>;
}

export interface RestorePlan {
  /** By asset, what the player gains or loses. */
  readonly changes: readonly (readonly [asset: string, deltaMinor: number])[];
  /** Destroyed since, and brought back. */
  readonly itemsBack: readonly (readonly [itemId: string, kind: string])[];
  /** Came into being since then, and goes. */
  readonly itemsGone: readonly (readonly [itemId: string, kind: string])[];
  /** Cannot be brought back: somebody else owns it, or it came from somebody else. */
  readonly itemsLeft: readonly (readonly [itemId: string, why: string])[];
  /** Would have to go, but is on hold or spent. */
  readonly short: readonly (readonly [asset: string, missingMinor: number])[];
}

export type RestorePoint = { readonly position: number } | { readonly atMs: number };

/**
 * Folds the log up to a point.
 * @throws GameError INVALID_INPUT if that is beyond the end of the log; what reading the log throws
 */
export async function possessionsAt(
  log: Pick<EventLog, 'read' | 'head'>,
  playerId: string,
  point: RestorePoint,
): Promise<Possessions> {
  if ('position' in point && point.position > (await log.head())) {
    throw new GameError('INVALID_INPUT', { field: 'at', wanted: 'a position that the log has' });
  }
  const assets = new Map<string, number>();
  const items = new Map<string, string>();
  const accounts = new Set([playerAccount(playerId)]);
  let position = 0;
  for await (const event of log.read(ECONOMY_STREAM)) {
    if ('position' in point ? event.position > point.position : event.recordedAtMs > point.atMs) break;
    position = event.position;
    const { holdId, playerId: holder } = event.payload as { holdId?: string; playerId?: string };
    if (event.type === Held.type && holder === playerId) accounts.add(escrowAccount(holdId!));
    const posting = postingOf(event.payload);
    if (posting === undefined) continue;
    for (const [account, asset, delta] of posting.legs) {
      if (accounts.has(account)) assets.set(asset, (assets.get(asset) ?? 0) + delta);
    }
    for (const [itemId, kind, from, to] of posting.items) {
      if (accounts.has(to)) items.set(itemId, kind);
      else if (accounts.has(from)) items.delete(itemId);
    }
  }
  return { position, assets: new Map([...assets].filter(([, n]) => n !== 0)), items };
}

/** What would have to happen now. Pure. @param minted ids of items that the player got from the mint since then */
export function planRestore(
  state: LedgerState,
  playerId: string,
  then: Possessions,
  minted: ReadonlySet<string>,
): RestorePlan {
  const player = playerAccount(playerId);
  const escrows = [...state.holdsOf(playerId)].map(escrowAccount);
  const now = new Map(state.balances(player));
  for (const escrow of escrows)
    for (const [asset, n] of state.balances(escrow)) now.set(asset, (now.get(asset) ?? 0) + n);
  const changes: [string, number][] = [];
  const short: [string, number][] = [];
  for (const asset of [...new Set([...now.keys(), ...then.assets.keys()])].sort()) {
    const wanted = (then.assets.get(asset) ?? 0) - (now.get(asset) ?? 0);
    // What is on hold stays on hold.
    const delta = Math.max(wanted, -state.balance(player, asset));
    if (delta !== 0) changes.push([asset, delta]);
    if (delta !== wanted) short.push([asset, delta - wanted]);
  }
  const itemsBack: [string, string][] = [];
  const itemsGone: [string, string][] = [];
  const itemsLeft: [string, string][] = [];
  const own = new Set([player, ...escrows]);
  for (const [itemId, kind] of then.items) {
    const owner = state.item(itemId)?.owner;
    if (owner === SINK) itemsBack.push([itemId, kind]);
    else if (owner === undefined || !own.has(owner)) itemsLeft.push([itemId, `owned by ${owner ?? 'nobody'}`]);
  }
  for (const account of own) {
    for (const itemId of state.itemsOf(account)) {
      if (then.items.has(itemId)) continue;
      if (!minted.has(itemId)) itemsLeft.push([itemId, 'received from somebody else since']);
      else if (account !== player) itemsLeft.push([itemId, 'on hold']);
      else itemsGone.push([itemId, state.item(itemId)!.kind]);
    }
  }
  return { changes, itemsBack, itemsGone, itemsLeft, short };
}

/** Items that came to the player out of the mint after a position. @throws what reading the log throws */
export async function mintedSince(
  log: Pick<EventLog, 'read'>,
  playerId: string,
  position: number,
): Promise<Set<string>> {
  const player = playerAccount(playerId);
  const minted = new Set<string>();
  for await (const event of log.read(ECONOMY_STREAM)) {
    if (event.position <= position) continue;
    for (const [itemId, , from, to] of postingOf(event.payload)?.items ?? []) {
      if (from === MINT && to === player) minted.add(itemId);
    }
  }
  return minted;
}

/** Brings it back; decides nothing when all is as it was, so it may be repeated. 256 items at most at once. */
export function restore(playerId: string, then: Possessions, minted: ReadonlySet<string>): Decide {
  return (state) => {
    if (state.isErased(playerId)) throw new GameError('ACCOUNT_ERASED');
    const { changes, itemsBack, itemsGone } = planRestore(state, playerId, then, minted);
    if (changes.length + itemsBack.length + itemsGone.length === 0) return [];
    const player = playerAccount(playerId);
    const legs = changes.flatMap(([asset, delta]): Leg[] => [
      [player, asset, delta],
      [delta > 0 ? MINT : SINK, asset, -delta],
    ]);
    const items = [
      ...itemsBack.map(([itemId, kind]): ItemMove => [itemId, kind, SINK, player]),
      ...itemsGone.map(([itemId, kind]): ItemMove => [itemId, kind, player, SINK]),
    ].slice(0, 256);
    const { position } = then;
    const cause = `position/${position}`;
    return [Restored({ legs, items, reason: 'restore', cause, playerId, atPosition: position })];
  };
}
