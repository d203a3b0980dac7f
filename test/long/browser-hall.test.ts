import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { matchMaker } from '@colyseus/core';
import { Client } from '@colyseus/sdk';
import type { Page } from 'playwright-core';
import type { ProbeFacts } from '../../clients/browser/probe-facts.ts';
import { playerAccount } from '../../src/economy/ledger-state.ts';
import { DEADLINE_MS, facts, keepPicture, type Stage, startStage } from '../browser/stage.ts';
import { playerNamed } from '../fixtures/ended-match.ts';
import { HastyArena } from '../fixtures/hasty-arena.ts';
import { matchHeader } from '../fixtures/recorded-match.ts';
import { until } from '../fixtures/until.ts';

const SDK = fileURLToPath(new URL('../../node_modules/@colyseus/sdk/dist/colyseus.js', import.meta.url));
const PASSWORD = 'a long password';
const PHONE = { width: 390, height: 844 };

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
    stage = await startStage({}, { arena: HastyArena });
  });
  after(() => stage.close());
  afterEach(() => assert.deepEqual(complaints.splice(0), []));

  interface SignedIn {
    readonly user: { readonly playerId: string; readonly isAnonymous: boolean; name: string; email: string | null };
    readonly token: string;
    readonly refreshToken: string;
  }
  interface OnPage {
    readonly page: Page;
    readonly playerId: string;
    readonly token: string;
  }

  async function signIn(path: string, body: object): Promise<SignedIn> {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(stage.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200);
    return (await answer.json()) as SignedIn;
  }

  /** A page in a browser of its own, in which this player is signed in already. */
  async function pageOf(
    { user, token, refreshToken }: SignedIn,
    viewport = { width: 1280, height: 800 },
  ): Promise<OnPage> {
    const context = await stage.profile({ viewport });
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    const session = { account: user, token, refreshToken, expiresAtMs: Date.now() + 600_000 };
    await context.addInitScript(`if (localStorage['seeded'] === undefined) {
      localStorage['seeded'] = '1';
      localStorage['hypogeum-session'] = ${JSON.stringify(JSON.stringify(session))};
    }`);
    return { page, playerId: user.playerId, token };
  }

  /** A page of somebody new, who is a guest already. */
  const guest = async (viewport?: { width: number; height: number }) =>
    pageOf(await signIn('/auth/anonymous', {}), viewport);

  const register = (name: string) =>
    signIn('/auth/register', { email: `${name.toLowerCase()}@example.com`, password: PASSWORD, options: { name } });

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
    await keepPicture(page, 'account');
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
    const hidden = await page.evaluate(`[...document.querySelectorAll('.hall-head a')]
      .filter((link) => link.getBoundingClientRect().left < 0 || link.getBoundingClientRect().right > innerWidth)
      .map((link) => link.textContent)`);
    assert.deepEqual(hidden, [], 'the whole menu is in sight');
    await page.context().close();
  });

  it('trades between two pages: each sees the other’s offer at once, and a change takes confirmations back', async () => {
    const [ann, bob] = await Promise.all([guest(), guest(PHONE)]);
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
    await keepPicture(bob.page, 'trade-phone');
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
    await page.locator('.door a[href="#boards"]:focus').waitFor();
    await page.context().close();
  });

  it('shows a match that was played: on the leaderboard, around oneself, and in the profile with its replay', async () => {
    const [ann, bob] = await Promise.all([guest(), guest(PHONE)]);
    const { roomId } = await matchMaker.createRoom('arena', {});
    const client = new Client(`http://127.0.0.1:${stage.server.port}`);
    for (const { token } of [ann, bob]) {
      client.auth.token = token;
      const room = await client.joinById(roomId, { name: 'Somebody' });
      room.onMessage('*', () => undefined);
    }
    client.auth.token = undefined as unknown as string;
    const { ledger, results, database, projector, eventLog, boards } = stage.server.persistence;
    const account = playerAccount(ann.playerId);
    await until(() => ledger.query((state) => state.balances(account).has('coins')), 'the match to be over and paid');
    const [replay] = await until(async () => {
      const list = await stage.server.services.replays.list(1);
      return list.length > 0 && list;
    }, 'its replay');
    // A crowd that is better than anybody, so that who has just begun stands on the second page.
    await results.report({
      header: { ...matchHeader('crowd'), roomName: 'arena' },
      ticks: 9_000,
      reason: 'completed',
      participants: Array.from({ length: 30 }, (_, n) => ({
        seat: n,
        playerId: playerNamed(`crowd${n}x`),
        isBot: false,
        rank: n + 1,
        ticks: 9_000,
        score: { frags: 5_000 - n },
      })),
    });
    await projector.caughtUp(await eventLog.head());
    await boards.sync();
    // Last week's season cannot be played any more: it is put where its fold would have put it.
    await database.query(
      `insert into board_seasons (board_id, season_id, starts_at_ms, ends_at_ms, closed_at_ms)
       values ('arena-frags-weekly', '2026-01-05', $1, $2, $2)`,
      [Date.UTC(2026, 0, 5), Date.UTC(2026, 0, 12)],
    );
    await database.query(
      `insert into board_entries (board_id, season_id, player_id, score, sort_key, achieved, changed)
       values ('arena-frags-weekly', '2026-01-05', $1, 4321, -4321, 1, 1)`,
      [ann.playerId],
    );

    const { page } = ann;
    await page.goto(`${stage.url}/#boards`);
    const rows = page.locator('.hall-table tbody tr');
    const own = page.locator('.hall-table tr.is-own');
    await page.getByText('32 players.').waitFor();
    assert.equal(await rows.count(), 25);
    assert.equal(await own.count(), 0);
    await keepPicture(page, 'boards');
    await page.getByRole('button', { name: 'Show more' }).click();
    await own.waitFor();
    assert.equal(await rows.count(), 32, 'nobody is shown twice');
    assert.equal(await page.getByRole('button', { name: 'Show more' }).count(), 0);
    await page.getByRole('link', { name: 'Around me' }).click();
    await page.locator('a[aria-current="page"]', { hasText: 'Around me' }).waitFor();
    await own.waitFor();
    assert.ok((await rows.count()) < 12);
    await page.getByLabel('Season').selectOption({ value: '2026-01-05' });
    await page.getByText('4,321').waitFor();
    assert.equal(await rows.count(), 1);
    await page.getByLabel('Season').selectOption({ label: 'This season' });
    await page.getByText('5,000').or(page.getByText('4,971')).first().waitFor();

    await bob.page.goto(`${stage.url}/#me`);
    await page.goto(`${stage.url}/?profile#me`);
    for (const profile of [page, bob.page]) {
      await profile.getByText('arena · 1 match').waitFor();
      await profile.getByText('provisional').waitFor();
      await profile.getByRole('link', { name: 'Watch' }).waitFor();
      await profile.getByText('match reward').waitFor();
    }
    await keepPicture(bob.page, 'profile-phone');
    await bob.page.goto(`${stage.url}/?again#boards`);
    await bob.page.getByText('32 players.').waitFor();
    await keepPicture(bob.page, 'boards-phone');
    const width = await bob.page.evaluate('document.querySelector(".hall").scrollWidth');
    assert.ok((width as number) <= 390, 'nothing is wider than a phone');
    await bob.page.goto(`${stage.url}/?match#match/${replay!.id}`);
    await bob.page.getByText('Played to the end').waitFor();
    assert.equal(await bob.page.locator('.hall-table tbody tr').count(), 4, 'two people and two bots');
    await keepPicture(bob.page, 'match-phone');
    await bob.page
      .getByRole('link', { name: /^Guest/ })
      .first()
      .waitFor();
    const watch = page.getByRole('link', { name: 'Watch' });
    assert.equal(await watch.getAttribute('href'), `?replay=${replay!.id}`);
    await watch.click();
    await until(async () => {
      // Undefined while the page is loading.
      const now = (await facts(page)) as ProbeFacts | undefined;
      return now?.screen === 'replay' && now.sentence === '';
    }, 'the replay to be shown');
    for (const { page: open } of [ann, bob]) await open.context().close();
  });

  it('makes friends between two pages: one asks, the other accepts', async () => {
    const [ann, bob] = await Promise.all([register('Annia'), register('Bobius')]);
    const [anns, bobs] = [(await pageOf(ann)).page, (await pageOf(bob, PHONE)).page];
    await anns.goto(`${stage.url}/#friends`);
    await anns.getByText('No friends yet.').waitFor();
    await anns.getByLabel('Beginning of the name').fill('bob');
    await anns.getByRole('button', { name: 'Search' }).click();
    await anns.getByRole('button', { name: 'Add Bobius as a friend' }).click();
    await anns.getByRole('heading', { name: 'You have asked' }).waitFor();
    await stage.server.persistence.projector.caughtUp(await stage.server.persistence.eventLog.head());
    await bobs.goto(`${stage.url}/#friends`);
    await bobs.getByRole('heading', { name: 'They ask to be your friend' }).waitFor();
    await keepPicture(bobs, 'friends-phone');
    await bobs.getByRole('button', { name: 'Accept: Annia' }).click();
    await bobs.getByRole('button', { name: 'Remove: Annia' }).waitFor();
    const { projector, eventLog } = stage.server.persistence;
    await projector.caughtUp(await eventLog.head());
    await anns.goto(`${stage.url}/?again#friends`);
    await anns.getByRole('button', { name: 'Remove: Bobius' }).waitFor();
    await keepPicture(anns, 'friends');
    for (const page of [anns, bobs]) await page.context().close();
  });

  it('takes another name, and signing out everywhere ends the sign-in of another browser', async () => {
    const first = await register('Drusa');
    const { page } = await pageOf(first);
    const elsewhere = await pageOf(
      await signIn('/auth/login', { email: 'drusa@example.com', password: PASSWORD }),
      PHONE,
    );
    await elsewhere.page.goto(`${stage.url}/#account`);
    await elsewhere.page.getByText('Signed in as Drusa (drusa@example.com).').waitFor();
    await keepPicture(elsewhere.page, 'account-phone');
    await page.goto(`${stage.url}/#account`);
    const rename = page.getByRole('form', { name: 'Change your name' });
    await rename.getByLabel('Display name').fill('Drusilla');
    await rename.getByRole('button', { name: 'Change name' }).click();
    await page.getByText('You are Drusilla now.').waitFor();
    assert.equal(
      (await stage.server.persistence.accounts.namesOf([first.user.playerId])).values().next().value,
      'Drusilla',
    );
    await page.getByRole('button', { name: 'Sign out everywhere' }).click();
    await page.getByText('Nobody is signed in here.').waitFor();
    await elsewhere.page.goto(`${stage.url}/?again#me`);
    await elsewhere.page.getByText('Nobody is signed in here.').waitFor();
    assert.equal(await kept(elsewhere.page), null);
    for (const open of [page, elsewhere.page]) await open.context().close();
  });

  it('is on a server whose sign-in the unmodified SDK does, in a page: guest, upgrade, out, in, and a seat', async () => {
    const context = await stage.profile({ bypassCSP: true });
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(stage.url);
    await page.addScriptTag({ path: SDK });
    const told = (await page.evaluate(`(async () => {
      const client = new Colyseus.Client(location.origin);
      const guest = await client.auth.signInAnonymously();
      const upgraded = await client.auth.registerWithEmailAndPassword('sdk@example.com', '${PASSWORD}', { name: 'Sedulus' });
      await client.auth.signOut();
      const isOut = client.auth.token == null || client.auth.token === '';
      const wrong = await client.auth.signInWithEmailAndPassword('sdk@example.com', 'no such thing').catch((error) => error.message);
      const back = await client.auth.signInWithEmailAndPassword('sdk@example.com', '${PASSWORD}');
      const { user } = await client.auth.getUserData();
      const room = await client.joinOrCreate('arena', { name: 'Sedulus' });
      const sessionId = room.sessionId;
      await room.leave();
      return { ids: [guest, upgraded, back, { user }].map((one) => one.user.playerId), isOut, wrong, user, sessionId };
    })()`)) as { ids: string[]; isOut: boolean; wrong: string; user: Record<string, unknown>; sessionId: string };
    assert.equal(new Set(told.ids).size, 1, 'it is one player all along');
    assert.ok(told.isOut);
    assert.match(told.wrong, /CREDENTIALS_WRONG/);
    assert.deepEqual([told.user['name'], told.user['isAnonymous']], ['Sedulus', false]);
    assert.match(told.sessionId, /\S/);
    await context.close();
  });
});
