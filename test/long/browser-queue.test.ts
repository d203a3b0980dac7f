/** Finding a match in the browser client: alone and as a party, at the size of a desk and of a phone. */
import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { DEADLINE_MS, facts, keepPicture, type Stage, startStage } from '../browser/stage.ts';
import { until } from '../fixtures/until.ts';

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
/** A small match is made after some seconds; bots come later. */
const MATCH_MS = 40_000;

describe('finding a match in the browser', function () {
  this.timeout(120_000);
  let stage: Stage;
  const complaints: string[] = [];
  before(async () => {
    stage = await startStage();
  });
  after(() => stage.close());
  afterEach(() => assert.deepEqual(complaints.splice(0), []));

  async function open(viewport: typeof DESK, hash: string): Promise<Page> {
    const context = await stage.profile({ viewport });
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${stage.url}/${hash}`);
    return page;
  }
  const search = (page: Page) => page.getByRole('region', { name: 'Your search' });
  const party = (page: Page) => page.getByRole('region', { name: 'Your party' });
  const inMatch = (page: Page) =>
    until(async () => (await facts(page)).screen === 'match', 'the page to be in a match', MATCH_MS);
  const fits = async (page: Page): Promise<void> => {
    const width = await page.evaluate('document.querySelector(".hall").scrollWidth');
    assert.ok(Number(width) <= page.viewportSize()!.width, 'nothing is out of sight to the right');
  };

  it('who looks alone is told why it takes a while, may stop, and is not left alone for ever', async () => {
    const page = await open(PHONE, '#queue');
    await search(page).getByRole('button', { name: 'Find match' }).click();
    await search(page).getByText('One more player is needed.').waitFor();
    await fits(page);
    await keepPicture(page, 'queue-phone');
    await search(page).getByRole('button', { name: 'Stop looking' }).click();
    await search(page).getByRole('button', { name: 'Find match' }).click();
    await search(page).getByRole('button', { name: 'Stop looking' }).waitFor();
    // It goes on while the player looks at something else.
    await page.goto(`${stage.url}/#boards`);
    await inMatch(page);
    await page.context().close();
  });

  it('a party gathers by a code, is asked whether it is ready, and comes into one match', async () => {
    const leader = await open(DESK, '#queue');
    await party(leader).getByRole('button', { name: 'Make a party' }).click();
    const code = await party(leader).locator('.queue-code').textContent();
    const friend = await open(PHONE, `#queue/join/${code!.replace(' ', '')}`);
    await party(friend).getByRole('button', { name: 'Join', exact: true }).click();
    await party(leader).getByRole('heading', { name: 'Your party, 2 of 8' }).waitFor();
    await fits(friend);
    await keepPicture(leader, 'queue-party');
    await search(friend).getByText('The leader of the party starts the search.').waitFor();
    await search(leader).getByRole('button', { name: 'Find match' }).click();
    for (const page of [leader, friend]) {
      await search(page).getByRole('button', { name: 'I am ready' }).waitFor({ timeout: MATCH_MS });
    }
    await keepPicture(friend, 'queue-ready-phone');
    for (const page of [leader, friend]) await search(page).getByRole('button', { name: 'I am ready' }).click();
    await Promise.all([leader, friend].map(inMatch));
    const rooms = await Promise.all([leader, friend].map(async (page) => (await facts(page)).match));
    assert.ok(rooms.every((room) => room !== undefined));
    await keepPicture(leader, 'queue-match');
    for (const page of [leader, friend]) await page.context().close();
  });

  it('who is not ready ends the search for its party, and everybody is told', async () => {
    const leader = await open(DESK, '#queue');
    await party(leader).getByRole('button', { name: 'Make a party' }).click();
    const code = await party(leader).locator('.queue-code').textContent();
    const friend = await open(DESK, `#queue/join/${code!.replace(' ', '')}`);
    await party(friend).getByRole('button', { name: 'Join', exact: true }).click();
    await party(leader).getByRole('heading', { name: 'Your party, 2 of 8' }).waitFor();
    await search(leader).getByRole('button', { name: 'Find match' }).click();
    await search(friend).getByRole('button', { name: 'Not now' }).click({ timeout: MATCH_MS });
    await search(leader).getByText('Somebody of your party was not ready, so the search was ended.').waitFor();
    await party(leader)
      .getByRole('button', { name: /^Remove .* from the party$/ })
      .click();
    await party(friend).getByRole('button', { name: 'Make a party' }).waitFor();
    for (const page of [leader, friend]) await page.context().close();
  });
});
