/** Random commands of a few players on a few holds and trades, for property tests: many of them are refused. */
import fc from 'fast-check';
import {
  cancelTrade,
  capture,
  confirmTrade,
  type Decide,
  grant,
  hold,
  offerInTrade,
  openTradeWith,
  purchase,
  release,
  transfer,
} from '../../src/economy/decide.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { newId, SETUP } from './world.ts';

export const PLAYERS = ['ann', 'bob', 'cat', 'dan'] as const;
const player = fc.constantFrom(...PLAYERS);
const amount = fc.integer({ min: 1, max: 60 });

/** One command of a history, and by which of three processes. */
export interface Step {
  readonly ledger: number;
  readonly burst: boolean;
  readonly decide: () => Decide;
  readonly key?: string;
}

const id = fc.integer({ min: 0, max: 5 });
const decide: fc.Arbitrary<() => Decide> = fc.oneof(
  fc.tuple(player, player, amount).map(
    ([a, b, n]) =>
      () =>
        transfer(a, b, 'coins', n),
  ),
  fc.tuple(player, amount).map(
    ([a, n]) =>
      () =>
        grant(
          a,
          [
            ['coins', n],
            ['item/flare', 1],
          ],
          [[newId('i'), 'banner']],
          SETUP,
        ),
  ),
  fc.tuple(player, id, amount).map(
    ([a, h, n]) =>
      () =>
        hold(`h${h}`, a, [['coins', n]], [], SETUP),
  ),
  id.map((h) => () => release(`h${h}`, SETUP)),
  fc.tuple(id, player, fc.option(amount)).map(
    ([h, to, n]) =>
      () =>
        capture(`h${h}`, { toId: to, ...(n === null ? {} : { assets: [['coins', n]] }), ...SETUP }),
  ),
  player.map((a) => () => purchase(a, 'repair-kit', [])),
  fc.tuple(id, player, player).map(
    ([t, a, b]) =>
      () =>
        openTradeWith(`t${t}`, a, b),
  ),
  fc.tuple(id, player, amount, fc.boolean()).map(
    ([t, a, n, hasItem]) =>
      (): Decide =>
      (state, nowMs) => {
        const itemIds = hasItem ? [...state.itemsOf(playerAccount(a))].slice(0, 1) : [];
        return offerInTrade(`t${t}`, a, { assets: [['coins', n]], itemIds })(state, nowMs);
      },
  ),
  fc.tuple(id, player).map(
    ([t, a]) =>
      (): Decide =>
      (state, nowMs) =>
        confirmTrade(`t${t}`, a, state.trade(`t${t}`)?.offerVersion ?? 1)(state, nowMs),
  ),
  fc.tuple(id, player).map(
    ([t, a]) =>
      () =>
        cancelTrade(`t${t}`, a),
  ),
);
export const step: fc.Arbitrary<Step> = fc.record({
  ledger: fc.integer({ min: 0, max: 2 }),
  burst: fc.boolean(),
  decide,
  key: fc.option(
    fc.integer({ min: 0, max: 12 }).map((n) => `key/${n}`),
    { nil: undefined },
  ),
}) as fc.Arbitrary<Step>;
