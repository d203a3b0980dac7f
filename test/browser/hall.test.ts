import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Page } from 'playwright-core';
import { DEADLINE_MS, keepPicture, type Stage, startStage } from './stage.ts';

interface Kept {
  readonly account: { readonly playerId: string; readonly isAnonymous: boolean };
  readonly token: string;
  readonly expiresAtMs: number;
}

const kept = (page: Page): Promise<Kept | null> =>
  page.evaluate("JSON.parse(localStorage.getItem('hypogeum-session'))") as Promise<Kept | null>;

describe('the hall of the browser client', function () {
  this.timeout(60_000);
  let stage: Stage;
  const complaints: string[] = [];
  before(async () => {
    stage = await startStage();
  });
  after(() => stage.close());
  afterEach(() => assert.deepEqual(complaints.splice(0), []));

  /** A page of somebody new, who is a guest already. */
  async function guest(viewport = { width: 1280, height: 800 }): Promise<{ page: Page; playerId: string }> {
    const context = await stage.profile({ viewport });
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    const answer = await fetch(`${stage.url}/auth/anonymous`, { method: 'POST' });
    const { user, token, refreshToken } = (await answer.json()) as {
      user: { playerId: string; isAnonymous: boolean; name: string; email: null };
      token: string;
      refreshToken: string;
    };
    const session = { account: user, token, refreshToken, expiresAtMs: Date.now() + 600_000 };
    await context.addInitScript(`localStorage['hypogeum-session'] ??= ${JSON.stringify(JSON.stringify(session))}`);
    return { page, playerId: user.playerId };
  }

  async function give(playerId: string, assets: readonly { asset: string; amountMinor: number }[]): Promise<void> {
    const admin = { playerId, isAnonymous: false, role: 'admin', sessionId: `s-${'a'.repeat(22)}` } as const;
    const { token } = await stage.server.tokens.issue(admin);
    const answer = await fetch(`${stage.url}/api/admin/grants`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': randomBytes(8).toString('hex'),
      },
      body: JSON.stringify({ playerId, assets, reason: 'test' }),
    });
    assert.equal(answer.status, 200, await answer.text());
  }

  it('registers a guest, who stays the same player, signs out, and signs in again', async () => {
    const { page, playerId } = await guest();
    const email = `${randomBytes(6).toString('hex')}@example.com`;
    await page.goto(`${stage.url}/#account`);
    const keep = page.getByRole('form', { name: 'Keep this player' });
    await keep.getByLabel('E-mail').fill(email);
    await keep.getByLabel('Password').fill('a long password');
    await keep.getByLabel('Display name').fill('Aemilia');
    await keep.getByRole('button', { name: 'Register' }).click();
    await page.getByRole('heading', { name: 'Aemilia' }).waitFor();
    const registered = await kept(page);
    assert.deepEqual([registered?.account.playerId, registered?.account.isAnonymous], [playerId, false]);
    await page.getByRole('navigation', { name: 'Hall' }).getByText('Account').click();
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByText('Nobody is signed in here.').waitFor();
    assert.equal(await kept(page), null);
    const signIn = page.getByRole('form', { name: 'Sign in' });
    await signIn.getByLabel('E-mail').fill(email);
    await signIn.getByLabel('Password').fill('a wrong password');
    await signIn.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('do not belong together').waitFor();
    await signIn.getByLabel('Password').fill('a long password');
    await signIn.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Aemilia' }).waitFor();
    assert.equal((await kept(page))?.account.playerId, playerId);
    await page.context().close();
  });

  it('renews a token that is about to end, in two tabs at once, and both go on', async () => {
    const { page, playerId } = await guest();
    await page.goto(`${stage.url}/#boards`);
    const other = await page.context().newPage();
    other.setDefaultTimeout(DEADLINE_MS);
    const before = (await kept(page))!;
    await page.evaluate(`{
      const kept = JSON.parse(localStorage.getItem('hypogeum-session'));
      localStorage.setItem('hypogeum-session', JSON.stringify({ ...kept, expiresAtMs: 0 }));
    }`);
    await Promise.all([page.goto(`${stage.url}/?again#me`), other.goto(`${stage.url}/#me`)]);
    for (const tab of [page, other]) await tab.getByText('Nothing yet: finished matches earn coins.').waitFor();
    const after = (await kept(page))!;
    assert.equal(after.account.playerId, playerId);
    assert.notEqual(after.token, before.token);
    assert.ok(after.expiresAtMs > Date.now());
    await page.context().close();
  });

  it('buys what the purse covers, and says so when it does not', async () => {
    const { page, playerId } = await guest({ width: 390, height: 844 });
    await give(playerId, [{ asset: 'coins', amountMinor: 100 }]);
    await page.goto(`${stage.url}/#shop`);
    await page.getByText('In your purse: 100 coins.').waitFor();
    await page.getByRole('button', { name: 'Buy Repair kit for 25 coins' }).click();
    await page.getByText('You bought: Repair kit.').waitFor();
    await page.getByText('In your purse: 75 coins.').waitFor();
    await page.getByRole('button', { name: /Buy A banner/ }).click();
    await page.getByRole('alert').getByText('You do not have enough for that.').waitFor();
    await keepPicture(page, 'shop-phone');
    const width = await page.evaluate('document.querySelector(".hall").scrollWidth');
    assert.ok((width as number) <= 390, 'nothing is wider than a phone');
    await page.context().close();
  });

  it('trades between two pages: each sees the other’s offer at once, and a change takes confirmations back', async () => {
    const [ann, bob] = await Promise.all([guest(), guest()]);
    await give(ann.playerId, [{ asset: 'coins', amountMinor: 50 }]);
    await give(bob.playerId, [{ asset: 'item/flare', amountMinor: 3 }]);
    await ann.page.goto(`${stage.url}/#trade/with/${bob.playerId}`);
    await ann.page.getByRole('button', { name: 'Confirm this trade' }).waitFor();
    await bob.page.goto(`${stage.url}/#trade`);
    await bob.page.getByRole('link', { name: /trade with/i }).click();
    await bob.page.getByRole('button', { name: 'Confirm this trade' }).waitFor();
    const offer = async (page: Page, label: RegExp, amount: string): Promise<void> => {
      await page.getByLabel(label).fill(amount);
      await page.getByRole('button', { name: 'Offer this' }).click();
    };
    await offer(ann.page, /^coins/, '20');
    await bob.page.getByRole('region', { name: 'Their offer' }).getByText('20 coins').waitFor();
    await ann.page.getByRole('button', { name: 'Confirm this trade' }).click();
    await bob.page.getByText('The other side has confirmed.').waitFor();
    await offer(bob.page, /^flare/, '2');
    await ann.page.getByRole('region', { name: 'Their offer' }).getByText('2 × flare').waitFor();
    await keepPicture(ann.page, 'trade');
    await ann.page.getByRole('button', { name: 'Confirm this trade' }).click();
    await bob.page.getByText('The other side has confirmed.').waitFor();
    await bob.page.getByRole('button', { name: 'Confirm this trade' }).click();
    for (const { page } of [ann, bob]) await page.getByText('Done: both offers have changed hands.').waitFor();
    await ann.page.goto(`${stage.url}/?after#me`);
    await ann.page.getByText('30 coins').first().waitFor();
    await ann.page.getByText('2 × flare').first().waitFor();
    await keepPicture(ann.page, 'profile');
    for (const { page } of [ann, bob]) await page.context().close();
  });

  it('is worked with the keyboard, and its heading is told when a screen opens', async () => {
    const { page } = await guest();
    await page.goto(stage.url);
    await page.getByRole('navigation', { name: 'Players and leaderboards' }).getByText('Leaderboards').focus();
    await page.keyboard.press('Enter');
    await page.getByText('Nobody has a score here yet.').waitFor();
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Leaderboards');
    assert.equal(await page.evaluate('document.querySelector(".door").inert'), true, 'what is behind is out of reach');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await page.context().close();
  });
});
