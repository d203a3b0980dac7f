/**
 * The trade window: both offers side by side, live by long poll. What is confirmed is the version that is shown: if the
 * other side changed anything meanwhile, the server refuses and the window shows the change.
 */
import { element } from '../hud/element.ts';
import { codeIn, sentenceOf } from '../net/sentences.ts';
import { amountText, assetName } from './assets.ts';
import { actionButton, heading, line, loaded, playerLink, type View, type ViewContext } from './view.ts';

interface Amount {
  readonly asset: string;
  readonly amountMinor: number;
}

interface UniqueItem {
  readonly itemId: string;
  readonly kind: string;
}

interface Side {
  readonly playerId: string;
  readonly assets: readonly Amount[];
  readonly items: readonly UniqueItem[];
  readonly hasConfirmed: boolean;
}

interface Trade {
  readonly tradeId: string;
  readonly status: 'open' | 'settled' | 'cancelled';
  readonly why?: 'player' | 'expired' | 'erased';
  readonly version: number;
  readonly offerVersion: number;
  readonly sides: readonly [Side, Side];
}

interface Purse {
  readonly balances: readonly Amount[];
  readonly uniques: readonly UniqueItem[];
}

const RETRY_MS = 2_000;

/** `#trade`: those that are open. `#trade/with/<playerId>`: opens one. `#trade/<tradeId>`: the window. */
export const tradeView: View = (body, context) => {
  const { api, session, signal, words } = context;
  body.append(heading('Trade'));
  if (session.account === undefined) {
    body.append(line('Play a match or sign in first: then you can trade.'));
    return;
  }
  if (words[0] === undefined || words[0] === '') {
    body.append(
      loaded(
        signal,
        'your trades',
        () => api.get<{ trades: Trade[] }>('/api/trades', signal),
        ({ trades }) => [tradeList(trades, context)],
      ),
    );
  } else if (words[0] === 'with') {
    body.append(
      loaded(
        signal,
        'the trade',
        async () => {
          // A trade that is open already is gone on with: a reload must not open another.
          const { trades } = await api.get<{ trades: Trade[] }>('/api/trades', signal);
          const open = trades.find(({ sides }) => sides.some(({ playerId }) => playerId === words[1]));
          return open ?? api.post<Trade>('/api/trades', { withPlayerId: words[1] });
        },
        ({ tradeId }) => {
          location.replace(`#trade/${tradeId}`);
          return [];
        },
      ),
    );
  } else {
    const address = `/api/trades/${encodeURIComponent(words[0])}`;
    body.append(
      loaded(
        signal,
        'the trade',
        () => Promise.all([api.get<Trade>(address, signal), purseOf(context)]),
        ([trade, purse]) => [tradeWindow(address, trade, purse, context)],
      ),
    );
  }
};

function tradeList(trades: readonly Trade[], { api, session, signal }: ViewContext): HTMLElement {
  const own = session.account?.playerId;
  if (trades.length === 0) return line('No open trade. Open one from the page of a player.');
  return element(
    'ul',
    { class: 'hall-people' },
    trades.map(({ tradeId, sides }) => {
      const other = sides.find(({ playerId }) => playerId !== own)!;
      const link = element('a', { href: `#trade/${tradeId}`, text: 'A trade' });
      void nameOf(other.playerId, api, signal).then((name) => {
        link.textContent = `Trade with ${name}`;
      });
      return element('li', {}, [link]);
    }),
  );
}

async function purseOf({ api, signal }: ViewContext): Promise<Purse> {
  const [{ balances }, { uniques }] = await Promise.all([
    api.get<{ balances: Amount[] }>('/api/me/wallet', signal),
    api.get<{ uniques: (UniqueItem & { isHeld: boolean })[] }>('/api/me/items', signal),
  ]);
  return { balances, uniques: uniques.filter(({ isHeld }) => !isHeld) };
}

function nameOf(playerId: string, api: ViewContext['api'], signal: AbortSignal): Promise<string> {
  return api.get<{ name: string }>(`/api/players/${playerId}`, signal).then(
    ({ name }) => name,
    () => 'a player',
  );
}

function tradeWindow(address: string, first: Trade, purse: Purse, context: ViewContext): HTMLElement {
  const { api, session, signal } = context;
  const mine = first.sides.findIndex(({ playerId }) => playerId === session.account?.playerId);
  const said = element('p', { class: 'hall-line', role: 'status' });
  const fault = element('p', { class: 'hall-error', role: 'alert' });
  const [ownOffer, otherOffer] = [element('div', { class: 'hall-part' }), element('div', { class: 'hall-part' })];
  const confirm = element('button', { class: 'button-main', type: 'button', text: 'Confirm this trade' });
  let trade = first;
  fault.hidden = true;

  const show = (next: Trade): void => {
    if (next.version < trade.version) return;
    trade = next;
    const [own, other] = [next.sides[mine]!, next.sides[1 - mine]!];
    ownOffer.replaceChildren(offerList(own));
    otherOffer.replaceChildren(offerList(other));
    const isOpen = next.status === 'open';
    root.classList.toggle('is-closed', !isOpen);
    confirm.disabled = !isOpen || own.hasConfirmed;
    confirm.textContent = own.hasConfirmed ? 'You have confirmed' : 'Confirm this trade';
    for (const input of editor.querySelectorAll<HTMLInputElement | HTMLButtonElement>('input, button')) {
      input.disabled = !isOpen;
    }
    said.textContent = statusOf(next, own, other);
  };
  const act = async (run: () => Promise<Trade>): Promise<void> => {
    fault.hidden = true;
    try {
      show(await run());
    } catch (error) {
      fault.textContent = sentenceOf(error);
      fault.hidden = false;
      if (codeIn(error) === 'TRADE_CHANGED') show(await api.get<Trade>(address, signal));
    }
  };
  const editor = offerEditor(purse, first.sides[mine]!, (offer) =>
    act(() => api.put<Trade>(`${address}/offer`, offer)),
  );
  confirm.addEventListener('click', () => {
    const { offerVersion } = trade;
    confirm.disabled = true;
    void act(() => api.post<Trade>(`${address}/confirm`, { offerVersion })).finally(() => show(trade));
  });
  const otherTitle = element('h3', { text: 'They offer' });
  const otherId = first.sides[1 - mine]!.playerId;
  void nameOf(otherId, api, signal).then((name) => otherTitle.replaceChildren(playerLink(otherId, name), ' offers'));
  const root = element('div', { class: 'trade' }, [
    element('section', { class: 'trade-side', 'aria-label': 'Your offer' }, [
      element('h3', { text: 'You offer' }),
      ownOffer,
      editor,
    ]),
    element('section', { class: 'trade-side', 'aria-label': 'Their offer', 'aria-live': 'polite' }, [
      otherTitle,
      otherOffer,
    ]),
    element('div', { class: 'trade-foot' }, [
      said,
      fault,
      confirm,
      actionButton('Cancel the trade', () => act(() => api.post<Trade>(`${address}/cancel`))),
    ]),
  ]);
  show(first);
  void follow(address, () => trade, show, said, context);
  return root;
}

/** Keeps the window as the server has it, until the trade or the screen is over. */
async function follow(
  address: string,
  current: () => Trade,
  show: (trade: Trade) => void,
  said: HTMLElement,
  { api, signal }: ViewContext,
): Promise<void> {
  while (!signal.aborted && current().status === 'open') {
    try {
      show(await api.get<Trade>(`${address}?afterVersion=${current().version}`, signal));
    } catch (error) {
      if (signal.aborted) return;
      said.textContent = `${sentenceOf(error)} Trying again …`;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function statusOf(trade: Trade, own: Side, other: Side): string {
  if (trade.status === 'settled') return 'Done: both offers have changed hands.';
  if (trade.status === 'cancelled') {
    return trade.why === 'expired' ? 'The trade has expired; nothing changed hands.' : 'The trade was cancelled.';
  }
  if (own.hasConfirmed) return 'You have confirmed. The trade is made when the other side does, too.';
  if (other.hasConfirmed) return 'The other side has confirmed. Look at both offers before you do.';
  return 'Either side may change its offer; that takes back what anybody has confirmed.';
}

function offerList({ assets, items, hasConfirmed }: Side): HTMLElement {
  const lines = [...assets.map(amountText), ...items.map(({ kind }) => `${kind} (one of a kind)`)];
  return element('div', {}, [
    lines.length === 0
      ? line('Nothing so far.')
      : element(
          'ul',
          { class: 'trade-offer' },
          lines.map((text) => element('li', { text })),
        ),
    ...(hasConfirmed ? [element('p', { class: 'tag', text: 'confirmed' })] : []),
  ]);
}

function offerEditor(
  { balances, uniques }: Purse,
  own: Side,
  offer: (offer: { assets: Amount[]; itemIds: string[] }) => Promise<void>,
): HTMLElement {
  const amounts = balances.map(({ asset, amountMinor }) => {
    const value = own.assets.find((one) => one.asset === asset)?.amountMinor ?? 0;
    const input = element('input', {
      id: `trade-${asset}`,
      type: 'number',
      min: '0',
      max: String(amountMinor),
      step: '1',
      inputmode: 'numeric',
      value: String(value),
    });
    return { asset, amountMinor, input };
  });
  const boxes = uniques.map(({ itemId, kind }) => {
    const input = element('input', { id: `trade-${itemId}`, type: 'checkbox' });
    input.checked = own.items.some((item) => item.itemId === itemId);
    return { itemId, kind, input };
  });
  if (amounts.length + boxes.length === 0) return line('You have nothing to offer yet: finished matches earn coins.');
  const root = element('form', { class: 'hall-form trade-editor' }, [
    ...amounts.flatMap(({ asset, amountMinor, input }) => [
      element('label', { for: input.id, text: `${assetName(asset)} (you have ${amountMinor.toLocaleString()})` }),
      input,
    ]),
    ...boxes.map(({ kind, input }) => element('label', { class: 'trade-box', for: input.id }, [input, ` ${kind}`])),
    element('button', { class: 'button-plain', type: 'submit', text: 'Offer this' }),
  ]);
  root.addEventListener('submit', (event) => {
    event.preventDefault();
    const assets = amounts
      .map(({ asset, input }) => ({ asset, amountMinor: input.valueAsNumber }))
      .filter(({ amountMinor }) => amountMinor > 0);
    const itemIds = boxes.filter(({ input }) => input.checked).map(({ itemId }) => itemId);
    void offer({ assets, itemIds });
  });
  return root;
}
