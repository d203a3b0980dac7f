import assert from 'node:assert/strict';
import { matchMaker } from '@colyseus/core';
import { Client } from '@colyseus/sdk';
import type { BrowserContext, Page } from 'playwright-core';
import type { ArenaWorld } from '../../src/sim/arena.ts';
import { SEAT } from '../../src/sim/world.ts';
import {
  complaintsOf,
  DEADLINE_MS,
  enterArena,
  facts,
  keepPicture,
  nextFrame,
  openWindow,
  type Stage,
  startStage,
  until,
  walkSomewhere,
  walkTo,
} from '../browser/stage.ts';
import { place, setSeat } from '../sim/arena-scene.ts';

/** Middle of the colosseum. */
const COURT = { column: 39, row: 29 };

describe('the browser client', function () {
  this.timeout(60_000);
  let stage: Stage;
  let profile: BrowserContext;
  let page: Page;
  let other: Page;
  let complaints: string[];

  before(async () => {
    stage = await startStage({ HYPOGEUM_BOTS: '0' });
    profile = await stage.profile();
    page = await profile.newPage();
    complaints = complaintsOf(page);
  });

  after(async () => {
    await stage?.close();
  });

  it('loads under the strict policy of the server and says nothing went wrong', async () => {
    const response = await page.goto(stage.url);
    assert.match(response?.headers()['content-security-policy'] ?? '', /script-src 'self'/);
    await until(page, ({ screen, frames }) => screen === 'door' && frames > 5, 'the door is open and drawn');
    await keepPicture(page, 'door');
    assert.deepEqual(complaints, []);
  });

  it('offers a name, so that one click is enough to play, and remembers the chosen one', async () => {
    assert.notEqual(await page.getByLabel('Your name').inputValue(), '');
    await enterArena(page, stage.url, 'Aelia');
    const { match } = await facts(page);
    assert.equal(match?.connection, 'open');
    assert.ok(match.seat >= 0);
    const again = await profile.newPage();
    await again.goto(stage.url);
    await until(again, ({ screen }) => screen === 'door', 'the door is open');
    assert.equal(await again.getByLabel('Your name').inputValue(), 'Aelia');
    await again.close();
  });

  it('walks with the keys, and ends where the server says', async () => {
    const from = (await facts(page)).match!.prediction!.predicted;
    // Everybody appears at the rim; ten metres towards the court are a walk around some corners.
    const way = Math.hypot(from.x / 64 - COURT.column, from.y / 64 - COURT.row);
    await walkTo(page, COURT.column, COURT.row, way - 10);
    const { match } = await until(
      page,
      ({ match }) =>
        match?.prediction?.errorUnits === 0 && match.prediction.predicted.x === match.prediction.authoritative.x,
      'the server agrees',
    );
    assert.equal(match?.prediction?.desyncs, 0);
  });

  it('shoots: a tracer at once, and a round less when the server has it', async () => {
    const before = (await facts(page)).match;
    await page.mouse.move(600, 160);
    await page.mouse.down();
    const after = await until(
      page,
      ({ match }) => match!.shots >= before!.shots + 2 && match!.vitals!.ammo <= before!.vitals!.ammo - 2,
      'two rounds are gone',
    );
    await page.mouse.up();
    assert.ok(after.match!.vitals!.ammo < before!.vitals!.ammo);
  });

  it('shows a second tab of the same browser as another player', async () => {
    other = await openWindow(stage.browser, page);
    await enterArena(other, stage.url, 'Drusa');
    // Two are enough for the match to begin, and then both appear anew, far apart.
    for (const tab of [page, other]) await until(tab, ({ match }) => match!.phase === 'live', 'the match is live');
    await Promise.all([page, other].map((tab) => walkTo(tab, COURT.column, COURT.row, 7)));
    const seen = await until(
      page,
      ({ match }) => match!.others.some(({ name }) => name === 'Drusa'),
      'Drusa is in sight',
    );
    const drusa = seen.match!.others.find(({ name }) => name === 'Drusa')!;
    assert.notEqual(drusa.seat, seen.match!.seat);
    assert.equal(drusa.isBot, false);
    await until(other, ({ match }) => match!.others.some(({ name }) => name === 'Aelia'), 'Aelia is in sight');
    // What one tab knows of itself is what the other one draws, once both rest.
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const { x, y } = (await facts(other)).match!.prediction!.authoritative;
      const { others } = (await facts(page)).match!;
      if (others.some((one) => Math.hypot(one.x - x / 64, one.y - y / 64) < 0.1)) break;
      if (performance.now() > deadlineMs)
        assert.fail(`Drusa stands at ${x / 64}, ${y / 64}: ${JSON.stringify(others)}`);
      await nextFrame(page);
    }
    await page.keyboard.press('KeyN');
    await page.keyboard.down('Tab');
    await page.getByRole('region', { name: 'Scoreboard' }).getByText('Drusa').waitFor({ timeout: DEADLINE_MS });
    await keepPicture(page, 'two-tabs');
    await page.keyboard.up('Tab');
    await other.mouse.move(300, 420);
    await other.mouse.down();
    const before = (await facts(page)).match!.shots;
    await until(page, ({ match }) => match!.shots > before, 'a tracer of Drusa is drawn');
    await other.mouse.up();
    await keepPicture(page, 'court');
  });

  it('says that the connection is lost, and comes back to the same seat', async () => {
    const { seat } = (await facts(page)).match!;
    stage.proxy.cut();
    await until(page, ({ match }) => match?.connection === 'reconnecting', 'the loss is noticed');
    await page.getByRole('alert').getByText('The connection is lost').waitFor({ timeout: DEADLINE_MS });
    await keepPicture(page, 'connection-lost');
    stage.proxy.heal();
    for (const tab of [page, other]) await until(tab, ({ match }) => match?.connection === 'open', 'it is back');
    const back = await until(page, ({ match }) => match?.prediction !== undefined, 'the avatar is back');
    assert.equal(back.match!.seat, seat);
    await walkSomewhere(page);
  });

  it('takes its seat again after a reload of the page', async () => {
    const { seat } = (await facts(other)).match!;
    await other.reload();
    const back = await until(other, ({ match }) => match?.prediction !== undefined, 'the avatar is back');
    assert.equal(back.match!.seat, seat);
  });

  it('predicts exactly under 150 ms latency and 30 ms jitter: at rest for 3 s the error is 0', async () => {
    stage.proxy.lag = { oneWayMs: 75, jitterMs: 30 };
    await walkSomewhere(page);
    await walkSomewhere(page);
    const pending = (await facts(page)).match!.prediction!.pendingInputs;
    assert.ok(pending >= 3, `only ${pending} inputs were on their way: the proxy does not delay`);
    const rested = await until(page, ({ match }) => match!.prediction!.errorUnits === 0, 'the error is 0', 3000);
    assert.equal(rested.match!.prediction!.desyncs, 0);
    // It stays exact, input after input.
    const { frames } = rested;
    for (;;) {
      const now = await facts(page);
      assert.equal(now.match!.prediction!.errorUnits, 0);
      if (now.frames > frames + 20) break;
      await nextFrame(page);
    }
    stage.proxy.lag = undefined;
  });

  it('shows the connection in numbers', async () => {
    const graph = page.getByRole('region', { name: 'Connection' });
    if (!(await graph.isVisible())) await page.keyboard.press('KeyN');
    const shown = async () => {
      const [labels, values] = await Promise.all([
        graph.getByRole('term').allTextContents(),
        graph.getByRole('definition').allTextContents(),
      ]);
      return Object.fromEntries(labels.map((label, at) => [label, values[at]]));
    };
    const expected = {
      'Round trip': /^\d+ ms$/,
      Jitter: /^\d+\.\d ms$/,
      Tick: /^[1-9]\d*$/,
      Patches: /^[1-9]\d* \/s$/,
      Received: /^\d+\.\d\d kB\/s$/,
      Corrections: /^\d+ \/s$/,
      'Pending inputs': /^\d+$/,
    };
    await until(page, ({ match }) => match!.patchesPerSecond > 0 && match!.rttMs > 0, 'the connection is measured');
    const endsAtMs = performance.now() + DEADLINE_MS;
    let now = await shown();
    // Refreshed four times a second: what stands there at first may be the dashes of before.
    while (!/^[1-9]/.test(now['Patches'] ?? '') && performance.now() < endsAtMs) {
      await nextFrame(page);
      now = await shown();
    }
    assert.deepEqual(Object.keys(now), Object.keys(expected));
    for (const [label, pattern] of Object.entries(expected)) assert.match(now[label] ?? '', pattern, label);
  });

  it('is played by two thumbs on a phone', async () => {
    const phone = await stage.profile({
      viewport: { width: 390, height: 844 },
      deviceScaleFactor: 2,
      hasTouch: true,
      isMobile: true,
    });
    const tab = await phone.newPage();
    await tab.goto(stage.url);
    await until(tab, ({ screen }) => screen === 'door', 'the door is open');
    await keepPicture(tab, 'phone-door');
    assert.ok(await tab.getByText('Right thumb').isVisible());
    assert.ok(!(await tab.getByText('W A S D').isVisible()), 'keys that a phone has not');
    await tab.getByLabel('Your name').fill('Livia');
    await tab.getByRole('button', { name: 'Play' }).tap();
    const start = await until(tab, ({ match }) => match?.vitals?.isAlive === true, 'Livia is in');
    const thumbs = await phone.newCDPSession(tab);
    const [health, weapons] = await Promise.all(
      ['Health', 'Weapons'].map((name) => tab.getByRole('group', { name }).boundingBox()),
    );
    assert.ok(health!.x + health!.width < weapons!.x, 'the weapons cover the health');
    const from = start.match!.prediction!.predicted;
    const { ammo } = start.match!.vitals!;
    await thumbs.send('Input.dispatchTouchEvent', {
      type: 'touchStart',
      touchPoints: [
        { x: 90, y: 600, id: 1 },
        { x: 290, y: 500, id: 2 },
      ],
    });
    // Away from the rim, where everybody appears: towards the middle.
    const awayX = from.x < 40 * 64 ? 45 : -45;
    await thumbs.send('Input.dispatchTouchEvent', {
      type: 'touchMove',
      touchPoints: [
        { x: 90 + awayX, y: 600, id: 1 },
        { x: 290, y: 450, id: 2 },
      ],
    });
    await until(
      tab,
      ({ match }) => {
        const { x, y } = match!.prediction!.predicted;
        return Math.hypot(x - from.x, y - from.y) > 64 && match!.vitals!.ammo < ammo;
      },
      'the left thumb walks and the right one shoots',
    );
    await keepPicture(tab, 'phone-play');
    await thumbs.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await leaveArena(tab);
    await phone.close();
  });

  it('plays what has just been played as a replay, and proves it by its hashes', async () => {
    const { matchId } = (await facts(page)).match!;
    await leaveArena(other);
    await other.close();
    await leaveArena(page);
    await waitForReplay(stage, matchId);
    await page.goto(`${stage.url}/?replay=${matchId}`);
    const verified = await until(page, ({ replay }) => replay?.verdict.kind === 'verified', 'it is verified');
    assert.ok(verified.replay!.ticks > 100);
    await keepPicture(page, 'replay');

    await page.getByLabel('Position in the match').fill(String(verified.replay!.ticks - 90));
    const late = await facts(page);
    assert.ok(late.replay!.tick >= verified.replay!.ticks - 90);
    await page.getByRole('button', { name: 'Ten seconds back' }).click();
    assert.ok((await facts(page)).replay!.tick < late.replay!.tick);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Scoreboard' }).click();
    await page.getByRole('region', { name: 'Scoreboard' }).getByText('Aelia').waitFor({ timeout: DEADLINE_MS });
    assert.equal((await facts(page)).replay!.isPlaying, false);
  });

  it('names in the kill feed who defeated whom', async () => {
    await enterArena(page, stage.url, 'Aelia');
    const { token } = await stage.server.tokens.issueAnonymous();
    const client = new Client(stage.url);
    client.auth.token = token;
    const victim = await client.joinOrCreate('arena', { name: 'Drusa' });
    victim.onMessage('*', () => {});
    const { match } = await facts(page);
    const world = await worldOf(match!.matchId);
    const other = match!.seat === 0 ? 1 : 0;
    await until(page, () => world.isUsed(other), 'Drusa is in');
    place(world, match!.seat, COURT.column, COURT.row + 1);
    place(world, other, COURT.column + 2, COURT.row + 1);
    setSeat(world, other, SEAT.PROTECTED_UNTIL, 0);
    setSeat(world, other, SEAT.HP, 1);
    await until(page, ({ match }) => match!.others.some(({ name }) => name === 'Drusa'), 'Drusa is in sight');
    await page.mouse.move(700, 250);
    await page.mouse.down();
    const line = page.getByRole('list', { name: 'Kill feed' }).getByRole('listitem');
    await line.waitFor({ timeout: DEADLINE_MS });
    await page.mouse.up();
    assert.match(await line.innerText(), /^Aelia\b[\s\S]*\bDrusa$/);
    await victim.leave();
  });

  it('reports a desync, which becomes a metric', async () => {
    const world = await worldOf((await facts(page)).match!.matchId);
    const before = await metric(stage, 'hypogeum_client_desyncs_total');
    const endsAtMs = performance.now() + DEADLINE_MS;
    // A server whose rules differ: it says that the dash is not ready, though nobody dashed.
    for (;;) {
      const { match } = await facts(page);
      if (match!.prediction!.desyncs > 0) break;
      assert.ok(performance.now() < endsAtMs, 'the page notices');
      setSeat(world, match!.seat, SEAT.DASH, 30);
      await nextFrame(page);
    }
    // Reports are sent every 5 s.
    while ((await metric(stage, 'hypogeum_client_desyncs_total')) <= before) {
      assert.ok(performance.now() < endsAtMs, 'the metric counts it');
      await nextFrame(page);
    }
    assert.ok((await metric(stage, 'hypogeum_client_corrections_total')) > 0);
    await leaveArena(page);
  });

  it('says in a sentence what is wrong, by code', async () => {
    await page.goto(`${stage.url}/?replay=there-is-none`);
    const lost = await until(page, ({ sentence }) => sentence !== '', 'a sentence');
    assert.equal(lost.sentence, 'There is no replay of that name.');
    await page.goto(stage.url);
    await until(page, ({ screen }) => screen === 'door', 'the door is open');
    stage.proxy.cut();
    await page.getByRole('button', { name: 'Play' }).click();
    const away = await until(page, ({ sentence }) => sentence !== '', 'a sentence');
    assert.equal(away.sentence, 'The server cannot be reached. Check your connection and try again.');
    stage.proxy.heal();
  });

  it('has raised no error in the whole time', () => {
    assert.deepEqual(complaints, []);
  });
});

/** Says goodbye: whoever only closes the tab keeps the seat for a minute. */
async function leaveArena(page: Page): Promise<void> {
  const board = page.getByRole('region', { name: 'Scoreboard' });
  const isOpen = await board.isVisible();
  if (!isOpen) await page.getByRole('button', { name: 'Scoreboard' }).click();
  await page.getByRole('button', { name: 'Leave the arena' }).click();
  await until(page, ({ screen }) => screen === 'door', 'the door is open');
}

/** The world of a running match, for scenes that nobody plays in a few seconds. */
async function worldOf(matchId: string): Promise<ArenaWorld> {
  const listings = await matchMaker.query({ name: 'arena' });
  const listing = listings.find(({ metadata }) => (metadata as { matchId?: string }).matchId === matchId);
  assert.ok(listing !== undefined, `match ${matchId} is listed`);
  return (matchMaker.getLocalRoomById(listing.roomId) as unknown as { world: ArenaWorld }).world;
}

/** A counter as /metrics shows it. */
async function metric(stage: Stage, name: string): Promise<number> {
  const text = await (await fetch(`${stage.url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  assert.ok(line !== undefined, `${name} is in /metrics`);
  return Number(line.slice(name.length + 1));
}

/** A match that everybody left is archived when its room closes. */
async function waitForReplay(stage: Stage, matchId: string): Promise<void> {
  const endsAtMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const list = await stage.server.services.replays.list(100);
    if (list.some(({ id }) => id === matchId)) return;
    if (performance.now() > endsAtMs) throw new Error(`no replay of ${matchId} among ${list.map(({ id }) => id)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
