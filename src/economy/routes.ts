/** Money, items, shop and trades over HTTP. */
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { defineRoute, type Route } from '../api/route.ts';
import { AMOUNT_MAX, ASSET, Purchased, TradeOpened } from '../events/economy-events.ts';
import { isEvent } from '../events/event.ts';
import { GameError } from '../kernel/errors.ts';
import { ECONOMY_LIMITS, isStackable, UNIQUES } from './assets.ts';
import {
  cancelTrade,
  confirmTrade,
  type Decide,
  grant,
  offerInTrade,
  openTradeWith,
  purchase,
  transfer,
} from './decide.ts';
import type { Ledger, Outcome } from './ledger.ts';
import type { LedgerReader } from './ledger-reader.ts';
import { escrowAccount, type LedgerState, playerAccount } from './ledger-state.ts';
import { findProduct, PRODUCTS } from './shop.ts';
import { openTrade, sideOf, type Trade } from './trade.ts';
import type { TradeWatch } from './trade-watch.ts';

export interface EconomyRoutesDeps {
  readonly ledger: Ledger;
  readonly reader: Pick<LedgerReader, 'history' | 'provenance' | 'closedTrade'>;
  readonly watch: TradeWatch;
  /** Whether an account of that id exists. */
  readonly exists: (playerId: string) => Promise<boolean>;
}

/** Longest wait for a trade to change, ms. */
const POLL_MS = 20_000;
const PAGE_MAX = 100;
/** Unique items of one answer; more are on the next page. */
const ITEMS_PAGE_MAX = 200;
const TAG = 'economy';

const playerId = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const id = z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/);
const assetName = z.string().regex(ASSET);
const amountMinor = z.int().min(1).max(AMOUNT_MAX);
const amount = z.strictObject({ asset: assetName, amountMinor });
const position = z.int().min(0);
const uniqueItem = z.strictObject({ itemId: z.string(), kind: z.string() });

const done = z.strictObject({
  /** Place in the log: the same for every repeat of the command. */
  position,
  isRepeat: z.boolean(),
});

const tradeSide = z.strictObject({
  playerId: z.string(),
  assets: z.array(amount),
  items: z.array(uniqueItem),
  hasConfirmed: z.boolean(),
});
const tradeAnswer = z.strictObject({
  tradeId: z.string(),
  status: z.enum(['open', 'settled', 'cancelled']),
  why: z.enum(['player', 'expired', 'erased']).optional(),
  /** Grows with everything that happens to it: what to wait for. */
  version: z.int(),
  /** What to confirm. */
  offerVersion: z.int(),
  expiresAtMs: z.int(),
  /** Who opened it, then the other one. */
  sides: z.array(tradeSide).length(2),
});

export function economyRoutes(deps: EconomyRoutesDeps): Route[] {
  return [...walletRoutes(deps), ...shopRoutes(deps), ...tradeRoutes(deps)];
}

function walletRoutes({ ledger, reader, exists }: EconomyRoutesDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/api/me/wallet',
      summary: 'What I have, and what of mine is on hold',
      tag: TAG,
      role: 'player',
      answer: z.strictObject({ balances: z.array(amount), held: z.array(amount) }),
      run: ({ caller }) =>
        ledger.query((state) => ({
          balances: amountsOf(state.balances(playerAccount(caller.playerId))),
          held: heldBy(state, caller.playerId),
        })),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me/items',
      summary: 'The items I own: how many of the stacked ones, and each unique one',
      tag: TAG,
      role: 'player',
      query: z.strictObject({ after: id.optional() }),
      answer: z.strictObject({
        stacks: z.array(amount),
        uniques: z.array(uniqueItem.extend({ isHeld: z.boolean() })),
        next: z.string().optional(),
      }),
      run: ({ caller, query }) =>
        ledger.query((state) => {
          const account = playerAccount(caller.playerId);
          const own = [...state.itemsOf(account)];
          const held = [...state.holdsOf(caller.playerId)].flatMap((holdId) => [
            ...state.itemsOf(escrowAccount(holdId)),
          ]);
          const heldIds = new Set(held);
          const all = [...own, ...held].sort();
          const after = query.after;
          const from = after === undefined ? 0 : all.findIndex((itemId) => itemId > after);
          const page = from === -1 ? [] : all.slice(from, from + ITEMS_PAGE_MAX);
          const isMore = from !== -1 && from + page.length < all.length;
          return {
            stacks: amountsOf(state.balances(account)).filter(({ asset }) => isStackable(asset)),
            uniques: page.map((itemId) => ({
              itemId,
              kind: state.item(itemId)!.kind,
              isHeld: heldIds.has(itemId),
            })),
            ...(isMore ? { next: page.at(-1)! } : {}),
          };
        }),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/me/history',
      summary: 'What came and went, newest first',
      tag: TAG,
      role: 'player',
      query: z.strictObject({
        before: z.coerce.number().int().min(1).max(AMOUNT_MAX).default(AMOUNT_MAX),
        limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(20),
      }),
      answer: z.strictObject({
        entries: z.array(
          z.strictObject({
            position,
            atMs: z.int(),
            type: z.string(),
            reason: z.string(),
            cause: z.string(),
            changes: z.array(z.strictObject({ asset: z.string(), deltaMinor: z.int() })),
          }),
        ),
        /** `before` of the next page; what happens meanwhile moves nothing. */
        next: position.optional(),
      }),
      async run({ caller, query: { before, limit } }) {
        const entries = [...(await reader.history(playerAccount(caller.playerId), before, limit))];
        const last = entries.at(-1);
        return {
          entries: entries.map((entry) => ({ ...entry, changes: [...entry.changes] })),
          ...(last !== undefined && entries.length === limit ? { next: last.position } : {}),
        };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/items/:itemId',
      summary: 'A unique item and everybody who ever owned it',
      tag: TAG,
      role: 'player',
      params: z.strictObject({ itemId: id }),
      answer: z.strictObject({
        itemId: z.string(),
        kind: z.string(),
        /** An account: `player:ID`, `escrow:HOLD` or `sink`. */
        owner: z.string(),
        owners: z.array(
          z.strictObject({ position, atMs: z.int(), from: z.string(), to: z.string(), reason: z.string() }),
        ),
      }),
      refusals: ['NOT_FOUND'],
      async run({ params }) {
        const found = await reader.provenance(params.itemId);
        if (found === undefined) throw new GameError('NOT_FOUND');
        return { ...found, owners: [...found.owners] };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/transfers',
      summary: 'Give currency or stacked items to another player',
      tag: TAG,
      role: 'player',
      needsKey: true,
      body: z.strictObject({
        toPlayerId: playerId,
        asset: assetName,
        amountMinor: z.int().min(1).max(ECONOMY_LIMITS.transferMax),
      }),
      answer: done,
      refusals: [
        'SELF_TRANSFER',
        'PLAYER_UNKNOWN',
        'ACCOUNT_ERASED',
        'CURRENCY_UNKNOWN',
        'FUNDS_SHORT',
        'ITEM_MISSING',
        'ITEM_HELD',
        'OVERLOADED',
        'DATABASE_UNAVAILABLE',
      ],
      async run({ caller, body, key, fingerprint }) {
        const given = transfer(caller.playerId, body.toPlayerId, body.asset, body.amountMinor);
        const decide = await unlessUnknown(exists, body.toPlayerId, given);
        return doneOf(await ledger.execute({ key, fingerprint, decide }));
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/admin/grants',
      summary: 'Give a player something out of nothing',
      tag: 'admin',
      role: 'admin',
      needsKey: true,
      body: z.strictObject({
        playerId,
        assets: z
          .array(z.strictObject({ asset: assetName, amountMinor: z.int().min(1).max(ECONOMY_LIMITS.grantMax) }))
          .max(ECONOMY_LIMITS.assetsPerPostingMax)
          .default([]),
        /** Kinds of unique items, one of each named. */
        items: z.array(z.enum(UNIQUES)).max(ECONOMY_LIMITS.itemsPerPostingMax).default([]),
        reason: z.string().regex(/^[a-z][a-z0-9-]{0,47}$/),
      }),
      answer: done.extend({ items: z.array(uniqueItem) }),
      refusals: ['PLAYER_UNKNOWN', 'ACCOUNT_ERASED', 'CURRENCY_UNKNOWN', 'ITEM_MISSING', 'BALANCE_LIMIT', 'OVERLOADED'],
      async run({ caller, body, key, fingerprint }) {
        const assets = body.assets.map(({ asset, amountMinor }) => [asset, amountMinor] as const);
        const items = body.items.map((kind) => [newId('i'), kind] as const);
        const given = grant(body.playerId, assets, items, { reason: body.reason, cause: `admin/${caller.playerId}` });
        const decide = await unlessUnknown(exists, body.playerId, given);
        const outcome = await ledger.execute({ key, fingerprint, decide });
        return { ...doneOf(outcome), items: itemsIn(outcome) };
      },
    }),
  ];
}

function shopRoutes({ ledger }: EconomyRoutesDeps): Route[] {
  const product = z.strictObject({
    id: z.string(),
    title: z.string(),
    price: z.strictObject({ currency: z.string(), amountMinor }),
    assets: z.array(amount),
    items: z.array(z.string()),
  });
  return [
    defineRoute({
      method: 'GET',
      path: '/api/shop',
      summary: 'What can be bought',
      tag: TAG,
      role: 'nobody',
      answer: z.strictObject({ products: z.array(product) }),
      cache: 'public, max-age=60',
      run: () => ({
        products: PRODUCTS.map(({ assets, items, ...rest }) => ({
          ...rest,
          assets: assets.map(([asset, count]) => ({ asset, amountMinor: count })),
          items: [...items],
        })),
      }),
    }),
    defineRoute({
      method: 'POST',
      path: '/api/shop/:productId/purchase',
      summary: 'Buy one',
      tag: TAG,
      role: 'player',
      needsKey: true,
      params: z.strictObject({ productId: z.string().regex(/^[a-z0-9-]{1,48}$/) }),
      answer: done.extend({
        productId: z.string(),
        /** What it cost and what it gave, as changes of the wallet. */
        changes: z.array(z.strictObject({ asset: z.string(), deltaMinor: z.int() })),
        items: z.array(uniqueItem),
      }),
      refusals: [
        'PRODUCT_UNKNOWN',
        'FUNDS_SHORT',
        'ACCOUNT_ERASED',
        'BALANCE_LIMIT',
        'OVERLOADED',
        'DATABASE_UNAVAILABLE',
      ],
      async run({ caller, params, key, fingerprint }) {
        const itemIds = (findProduct(params.productId)?.items ?? []).map(() => newId('i'));
        const decide = purchase(caller.playerId, params.productId, itemIds);
        const outcome = await ledger.execute({ key, fingerprint, decide });
        const event = outcome.events[0]!;
        if (!isEvent(Purchased, event)) throw new TypeError('a purchase is one event');
        const account = playerAccount(caller.playerId);
        return {
          ...doneOf(outcome),
          productId: event.payload.productId,
          changes: event.payload.legs
            .filter(([owner]) => owner === account)
            .map(([, asset, deltaMinor]) => ({ asset, deltaMinor })),
          items: itemsIn(outcome),
        };
      },
    }),
  ];
}

function tradeRoutes({ ledger, reader, watch, exists }: EconomyRoutesDeps): Route[] {
  const params = z.strictObject({ tradeId: id });
  const refusals = ['TRADE_UNKNOWN', 'TRADE_CLOSED', 'OVERLOADED', 'DATABASE_UNAVAILABLE'] as const;
  const look = async (tradeId: string, callerId: string) => {
    const known = await ledger.query((state) => state.trade(tradeId) !== undefined);
    const closed = known ? undefined : await reader.closedTrade(tradeId);
    return ledger.query((state) => {
      const trade = state.trade(tradeId) ?? closed;
      sideOf(trade, callerId);
      return tradeOf(state, trade!);
    });
  };
  /** A trade that this process does not know any more is over, and not unknown. */
  const execute = async (tradeId: string, callerId: string, command: Parameters<Ledger['execute']>[0]) => {
    try {
      await ledger.execute(command);
    } catch (error) {
      if (!(error instanceof GameError) || error.code !== 'TRADE_UNKNOWN') throw error;
      const { status } = await look(tradeId, callerId);
      throw new GameError('TRADE_CLOSED', { status });
    }
    return look(tradeId, callerId);
  };
  return [
    defineRoute({
      method: 'POST',
      path: '/api/trades',
      summary: 'Open a trade with another player',
      tag: TAG,
      role: 'player',
      needsKey: true,
      status: 201,
      body: z.strictObject({ withPlayerId: playerId }),
      answer: tradeAnswer,
      refusals: ['SELF_TRANSFER', 'PLAYER_UNKNOWN', 'ACCOUNT_ERASED', 'RATE_LIMITED', ...refusals],
      async run({ caller, body, key, fingerprint }) {
        const opened = openTradeWith(newId('t'), caller.playerId, body.withPlayerId);
        const decide = await unlessUnknown(exists, body.withPlayerId, opened);
        const { events } = await ledger.execute({ key, fingerprint, decide });
        const event = events[0]!;
        if (!isEvent(TradeOpened, event)) throw new TypeError('an opening is one event');
        const { tradeId, playerIds, expiresAtMs } = event.payload;
        // As it was opened, also to a repeat that comes when it has gone on.
        return ledger.query((state) => tradeOf(state, openTrade(tradeId, playerIds, expiresAtMs)));
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/api/trades',
      summary: 'My open trades',
      tag: TAG,
      role: 'player',
      answer: z.strictObject({ trades: z.array(tradeAnswer) }),
      run: ({ caller }) =>
        ledger.query((state) => ({
          trades: [...state.tradesOf(caller.playerId)].map((tradeId) => tradeOf(state, state.trade(tradeId)!)),
        })),
    }),
    defineRoute({
      method: 'GET',
      path: '/api/trades/:tradeId',
      summary: 'A trade of mine; with `afterVersion`, as soon as it is newer than that',
      tag: TAG,
      role: 'player',
      params,
      query: z.strictObject({ afterVersion: z.coerce.number().int().min(0).max(AMOUNT_MAX).optional() }),
      answer: tradeAnswer,
      refusals,
      async run({ caller, params: { tradeId }, query: { afterVersion }, signal }) {
        const now = await look(tradeId, caller.playerId);
        if (afterVersion === undefined || now.version > afterVersion || now.status !== 'open') return now;
        const newer = async () => {
          const found = await look(tradeId, caller.playerId);
          return found.version > afterVersion ? found : undefined;
        };
        return (await watch.newer(tradeId, newer, POLL_MS, signal)) ?? now;
      },
    }),
    defineRoute({
      method: 'PUT',
      path: '/api/trades/:tradeId/offer',
      summary: 'Replace my whole offer; takes back what anybody confirmed',
      tag: TAG,
      role: 'player',
      params,
      body: z.strictObject({
        assets: z.array(amount).max(ECONOMY_LIMITS.assetsPerPostingMax).default([]),
        itemIds: z.array(id).max(ECONOMY_LIMITS.itemsPerPostingMax).default([]),
      }),
      answer: tradeAnswer,
      refusals: ['CURRENCY_UNKNOWN', 'FUNDS_SHORT', 'ITEM_MISSING', 'ITEM_HELD', ...refusals],
      async run({ caller, params: { tradeId }, body, key, fingerprint }) {
        const assets = body.assets.map(({ asset, amountMinor }): [string, number] => [asset, amountMinor]);
        const decide = offerInTrade(tradeId, caller.playerId, { assets, itemIds: body.itemIds });
        return execute(tradeId, caller.playerId, { key, fingerprint, decide });
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/trades/:tradeId/confirm',
      summary: 'Agree to the offers as they are; the second one to agree settles the trade',
      tag: TAG,
      role: 'player',
      needsKey: true,
      params,
      body: z.strictObject({ offerVersion: z.int().min(1).max(AMOUNT_MAX) }),
      answer: tradeAnswer,
      refusals: ['TRADE_CHANGED', 'FUNDS_SHORT', 'ITEM_MISSING', 'ITEM_HELD', ...refusals],
      async run({ caller, params: { tradeId }, body, key, fingerprint }) {
        const decide = confirmTrade(tradeId, caller.playerId, body.offerVersion);
        return execute(tradeId, caller.playerId, { key, fingerprint, decide });
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/api/trades/:tradeId/cancel',
      summary: 'End a trade without exchange',
      tag: TAG,
      role: 'player',
      params,
      answer: tradeAnswer,
      refusals,
      run: ({ caller, params: { tradeId }, key, fingerprint }) =>
        execute(tradeId, caller.playerId, { key, fingerprint, decide: cancelTrade(tradeId, caller.playerId) }),
    }),
  ];
}

/** Refused by the ledger, not here: to a repeat it gives the first answer, also when the other account is gone since. */
async function unlessUnknown(exists: EconomyRoutesDeps['exists'], otherId: string, decide: Decide): Promise<Decide> {
  if (await exists(otherId)) return decide;
  return () => {
    throw new GameError('PLAYER_UNKNOWN');
  };
}

function newId(prefix: string): string {
  return `${prefix}-${randomBytes(16).toString('base64url')}`;
}

function doneOf({ position, isRepeat }: Outcome): z.output<typeof done> {
  return { position, isRepeat };
}

function itemsIn({ events }: Outcome): { itemId: string; kind: string }[] {
  const { items } = events[0]!.payload as { items: readonly (readonly [string, string])[] };
  return items.map(([itemId, kind]) => ({ itemId, kind }));
}

function amountsOf(balances: Iterable<readonly [string, number]>): { asset: string; amountMinor: number }[] {
  return [...balances]
    .map(([asset, amountMinor]) => ({ asset, amountMinor }))
    .sort((a, b) => (a.asset < b.asset ? -1 : 1));
}

function heldBy(state: LedgerState, callerId: string): { asset: string; amountMinor: number }[] {
  const sums = new Map<string, number>();
  for (const holdId of state.holdsOf(callerId)) {
    for (const [asset, held] of state.balances(escrowAccount(holdId))) sums.set(asset, (sums.get(asset) ?? 0) + held);
  }
  return amountsOf(sums);
}

function tradeOf(state: LedgerState, trade: Trade): z.output<typeof tradeAnswer> {
  const { tradeId, status, why, version, offerVersion, expiresAtMs, playerIds, offers, hasConfirmed } = trade;
  return {
    tradeId,
    status,
    ...(why === undefined ? {} : { why }),
    version,
    offerVersion,
    expiresAtMs,
    sides: playerIds.map((each, side) => ({
      playerId: each,
      assets: amountsOf(offers[side]!.assets),
      items: offers[side]!.itemIds.map((itemId) => ({ itemId, kind: state.item(itemId)?.kind ?? '' })),
      hasConfirmed: hasConfirmed[side]!,
    })),
  };
}
