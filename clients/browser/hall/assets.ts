/** Names of what can be owned, for people. */

const SINGULAR: Readonly<Record<string, string>> = { coins: 'coin', gems: 'gem' };

/** `1,250 coins`, `3 × repair kit`. */
export function amountText({ asset, amountMinor }: { readonly asset: string; readonly amountMinor: number }): string {
  const number = amountMinor.toLocaleString();
  if (asset.startsWith('item/')) return `${number} × ${assetName(asset)}`;
  return `${number} ${amountMinor === 1 ? (SINGULAR[asset] ?? asset) : asset}`;
}

export function assetName(asset: string): string {
  return asset.replace(/^item\//, '').replaceAll('-', ' ');
}
