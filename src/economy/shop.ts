/** What the shop sells. A designer changes this; what was sold stays sold as it was. */
import { CURRENCIES, STACKABLES, type UNIQUES } from './assets.ts';

export interface Product {
  /** Kebab-case. */
  readonly id: string;
  readonly title: string;
  readonly price: { readonly currency: (typeof CURRENCIES)[number]; readonly amountMinor: number };
  /** Stackable items and currencies, with their number. */
  readonly assets: readonly (readonly [string, number])[];
  /** Unique items, one of each kind named. */
  readonly items: readonly (typeof UNIQUES)[number][];
}

const [coins, gems] = CURRENCIES;
const [repairKit, flare, confetti] = STACKABLES;

export const PRODUCTS: readonly Product[] = [
  {
    id: 'repair-kit',
    title: 'Repair kit',
    price: { currency: coins, amountMinor: 25 },
    assets: [[repairKit, 1]],
    items: [],
  },
  { id: 'flares', title: 'Five flares', price: { currency: coins, amountMinor: 60 }, assets: [[flare, 5]], items: [] },
  {
    id: 'party',
    title: 'Confetti, for a victory',
    price: { currency: coins, amountMinor: 40 },
    assets: [[confetti, 3]],
    items: [],
  },
  {
    id: 'banner',
    title: 'A banner of your own',
    price: { currency: coins, amountMinor: 500 },
    assets: [],
    items: ['banner'],
  },
  {
    id: 'helmet',
    title: 'A helmet with a name',
    price: { currency: gems, amountMinor: 20 },
    assets: [[repairKit, 2]],
    items: ['helmet'],
  },
];

const BY_ID = new Map(PRODUCTS.map((product) => [product.id, product]));

export function findProduct(id: string): Product | undefined {
  return BY_ID.get(id);
}
