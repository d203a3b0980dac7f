/** One server, one browser and a proxy between them, for a file of tests. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { ProbeFacts } from '../../clients/browser/probe-facts.ts';
import { buildClient } from '../../src/client-build.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/ops/logger.ts';
import { createServer, type HypogeumServer, type RoomClasses } from '../../src/server.ts';
import { arenaMap, stopsBodies } from '../../src/sim/map.ts';
import { ARRIVED, NO_WAY, STEP_X, STEP_Y } from '../../src/sim/navigation.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';

/** Debian's browser, with nothing of its own to do. */
export const CHROMIUM_LAUNCH = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};
const ARTIFACTS = fileURLToPath(new URL('../../test-artifacts', import.meta.url));
/** Longest any single fact is waited for. */
export const DEADLINE_MS = 15_000;

export interface Stage {
  readonly server: HypogeumServer;
  readonly proxy: TcpProxy;
  readonly browser: Browser;
  /** Through the proxy, no slash at the end. */
  readonly url: string;
  /** A fresh browser profile, in which nothing was visited. */
  profile(options?: Parameters<Browser['newContext']>[0]): Promise<BrowserContext>;
  close(): Promise<void>;
}

/** @param env further settings of the server. @param rooms in place of its own */
export async function startStage(env: Readonly<Record<string, string>> = {}, rooms?: RoomClasses): Promise<Stage> {
  await buildClient(() => undefined);
  await mkdir(ARTIFACTS, { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), 'hypogeum-browser-'));
  const config = readConfig({ HYPOGEUM_PORT: '0', HYPOGEUM_HOST: '127.0.0.1', HYPOGEUM_DATA: folder, ...env });
  const log = createLogger({ level: 'silent', isProduction: true, buildId: 'test' });
  const server = await createServer({ config, log, ...(rooms === undefined ? {} : { rooms }) });
  await server.listen();
  const proxy = await TcpProxy.start(server.port);
  const browser = await chromium.launch(CHROMIUM_LAUNCH);
  return {
    server,
    proxy,
    browser,
    url: `http://127.0.0.1:${proxy.port}`,
    profile: (options) => browser.newContext({ viewport: { width: 800, height: 500 }, ...options }),
    async close() {
      await browser.close();
      await proxy.close();
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Another tab of the same profile, in a window of its own: a tab that another one covers hardly draws, and so hardly
 * plays.
 */
export async function openWindow(browser: Browser, beside: Page): Promise<Page> {
  const context = beside.context();
  const pageSession = await context.newCDPSession(beside);
  const { targetInfo } = await pageSession.send('Target.getTargetInfo');
  const browserSession = await browser.newBrowserCDPSession();
  const opened = context.waitForEvent('page');
  await browserSession.send('Target.createTarget', {
    url: 'about:blank',
    newWindow: true,
    ...(targetInfo.browserContextId === undefined ? {} : { browserContextId: targetInfo.browserContextId }),
  });
  await browserSession.detach();
  await pageSession.detach();
  return opened;
}

/** Keeps a picture of the page for people to look at. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
}

/** Everything that the page said went wrong, but for network errors that a test provokes. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    const isNetwork = message.text().startsWith('Failed to load resource') || message.text().includes('WebSocket');
    if (message.type() === 'error' && !isNetwork) complaints.push(message.text());
  });
  return complaints;
}

export function facts(page: Page): Promise<ProbeFacts> {
  return page.evaluate('window.__hypogeum');
}

/** Until the page has drawn once more: nothing changes between two frames. */
export function nextFrame(page: Page): Promise<unknown> {
  return page.evaluate('new Promise((resolve) => requestAnimationFrame(resolve))');
}

/** Waits until the facts of the page are so. */
export async function until(
  page: Page,
  is: (facts: ProbeFacts) => boolean,
  what: string,
  withinMs = DEADLINE_MS,
): Promise<ProbeFacts> {
  const endsAtMs = performance.now() + withinMs;
  for (;;) {
    const now = await facts(page);
    if (is(now)) return now;
    if (performance.now() > endsAtMs) throw new Error(`not within ${withinMs} ms: ${what}; ${JSON.stringify(now)}`);
    await nextFrame(page);
  }
}

/** Opens the door, gives a name, and is in the match with an avatar of its own. */
export async function enterArena(page: Page, url: string, name: string): Promise<void> {
  await page.goto(url);
  await until(page, ({ screen }) => screen === 'door', 'the door is open');
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Play' }).click();
  await until(page, ({ match }) => match?.prediction !== undefined && match.vitals?.isAlive === true, `${name} is in`);
}

const MAP = arenaMap('colosseum', 0, 80, 60);
const KEYS = { left: 'KeyA', right: 'KeyD', up: 'KeyW', down: 'KeyS' } as const;

/** Walks with the keys, as a person would, until within `nearM` metres of a tile. */
export async function walkTo(page: Page, column: number, row: number, nearM: number): Promise<void> {
  const held = new Set<string>();
  const hold = async (key: string, isHeld: boolean): Promise<void> => {
    if (isHeld === held.has(key)) return;
    if (isHeld) held.add(key);
    else held.delete(key);
    await (isHeld ? page.keyboard.down(key) : page.keyboard.up(key));
  };
  const endsAtMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const { match } = await facts(page);
    const prediction = match?.prediction;
    if (prediction !== undefined) {
      const [body, truth] = [prediction.predicted, prediction.authoritative];
      const isNear = (at: { x: number; y: number }) =>
        Math.hypot(at.x / 64 - column - 0.5, at.y / 64 - row - 0.5) < nearM;
      // The server's word counts, too: it may just have put the fighter somewhere else.
      if (isNear(body) && isNear(truth)) break;
      const x = body.x / 64;
      const y = body.y / 64;
      const step = MAP.navigation.stepTowards(column, row, Math.floor(x), Math.floor(y));
      if (step === ARRIVED && isNear(truth)) break;
      if (step === NO_WAY) throw new Error(`no way from ${x}, ${y} to ${column}, ${row}`);
      const dx = Math.floor(x) + (step === ARRIVED ? 0 : STEP_X[step]!) + 0.5 - x;
      const dy = Math.floor(y) + (step === ARRIVED ? 0 : STEP_Y[step]!) + 0.5 - y;
      // A body has 0.125 m to either side in the middle of a tile: further out it hangs on the corner of a wall.
      await hold(KEYS.left, dx < -0.1);
      await hold(KEYS.right, dx > 0.1);
      await hold(KEYS.up, dy < -0.1);
      await hold(KEYS.down, dy > 0.1);
    }
    if (performance.now() > endsAtMs) throw new Error(`did not get to ${column}, ${row}: ${JSON.stringify(match)}`);
    await nextFrame(page);
  }
  for (const key of [...held]) await hold(key, false);
}

const SIDES = [
  { key: KEYS.right, stepX: 1, stepY: 0 },
  { key: KEYS.left, stepX: -1, stepY: 0 },
  { key: KEYS.down, stepX: 0, stepY: 1 },
  { key: KEYS.up, stepX: 0, stepY: -1 },
] as const;

/** Walks a good metre to the side that is most free. */
export async function walkSomewhere(page: Page): Promise<void> {
  const { x, y } = (await facts(page)).match!.prediction!.predicted;
  const freeMetres = ({ stepX, stepY }: { stepX: number; stepY: number }): number => {
    for (let metres = 1; metres <= 4; metres++) {
      // The body is less than a tile wide but may stand on two.
      for (const beside of [-24, 23]) {
        const column = (x + stepX * metres * 64 + (stepX === 0 ? beside : 0)) >> 6;
        const row = (y + stepY * metres * 64 + (stepY === 0 ? beside : 0)) >> 6;
        if (stopsBodies(MAP, column, row)) return metres - 1;
      }
    }
    return 4;
  };
  const [side] = SIDES.toSorted((a, b) => freeMetres(b) - freeMetres(a));
  await page.keyboard.down(side!.key);
  await until(
    page,
    ({ match }) => Math.hypot(match!.prediction!.predicted.x - x, match!.prediction!.predicted.y - y) > 80,
    `a good metre with ${side!.key}`,
  );
  await page.keyboard.up(side!.key);
}
