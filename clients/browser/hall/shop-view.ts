/** The shop: what there is, what it costs, and what is in the purse. */
import { element } from '../hud/element.ts';
import { amountText } from './assets.ts';
import { actionButton, heading, line, loaded, type View } from './view.ts';

interface Amount {
  readonly asset: string;
  readonly amountMinor: number;
}

interface Product {
  readonly id: string;
  readonly title: string;
  readonly price: { readonly currency: string; readonly amountMinor: number };
  readonly assets: readonly Amount[];
  readonly items: readonly string[];
}

/** `#shop` */
export const shopView: View = (body, { api, session, signal }) => {
  const purse = element('p', { class: 'hall-line', role: 'status' });
  const isSignedIn = session.account !== undefined;
  const balances = async (): Promise<ReadonlyMap<string, number>> => {
    if (!isSignedIn) return new Map();
    const wallet = await api.get<{ balances: Amount[] }>('/api/me/wallet', signal);
    const currencies = wallet.balances.filter(({ asset }) => !asset.startsWith('item/'));
    purse.textContent =
      currencies.length === 0
        ? 'Your purse is empty: finished matches earn coins.'
        : `In your purse: ${currencies.map(amountText).join(', ')}.`;
    return new Map(currencies.map(({ asset, amountMinor }) => [asset, amountMinor]));
  };
  const bought = element('p', { class: 'hall-said', role: 'status' });
  bought.hidden = true;
  body.append(heading('Shop'));
  if (!isSignedIn) body.append(line('Play a match or sign in first: then you can buy here.'));
  body.append(
    purse,
    bought,
    loaded(
      signal,
      'the shop',
      () => Promise.all([api.get<{ products: Product[] }>('/api/shop', signal), balances()]),
      ([{ products }]) => [
        element(
          'ul',
          { class: 'hall-cards is-shop' },
          products.map((product) => {
            const { price, title } = product;
            const cost = amountText({ asset: price.currency, amountMinor: price.amountMinor });
            const gives = [...product.assets.map(amountText), ...product.items].join(', ');
            const buy = actionButton(
              `Buy for ${cost}`,
              async () => {
                await api.post(`/api/shop/${product.id}/purchase`);
                bought.textContent = `You bought: ${title}.`;
                bought.hidden = false;
                // The purchase stands, whether or not the purse can be read again now.
                await balances().catch(() => undefined);
              },
              `Buy ${title} for ${cost}`,
            );
            return element('li', {}, [
              element('b', { text: title }),
              element('span', { text: gives }),
              ...(isSignedIn ? [buy] : [element('span', { text: cost })]),
            ]);
          }),
        ),
      ],
    ),
  );
};
