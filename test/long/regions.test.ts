/** Two regions of one cluster, measured by who plays: by a browser under the page's own policy, and by a program. */
import assert from 'node:assert/strict';
import { type Browser, chromium } from 'playwright-core';
import { freePort } from '../../loadtest/driver/server-process.ts';
import { buildClient } from '../../src/client-build.ts';
import { CHROMIUM_LAUNCH, complaintsOf, DEADLINE_MS } from '../browser/stage.ts';
import { type Member, TestCluster } from '../fixtures/cluster.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { until } from '../fixtures/until.ts';

/** How far away the region is in whose pages players are. */
const LAG = { oneWayMs: 100, jitterMs: 0 };
const FAR_MS = 2 * LAG.oneWayMs;
/** A timer may be early by the fraction of a millisecond that its clock leaves out. */
const TIMER_MS = 2;
/** Two are a small match, for which a fuller one is waited for. */
const MATCH_MS = 60_000;

interface TicketAnswer {
  readonly tag: string;
  readonly match: { readonly seat: { readonly roomId: string; readonly processId: string } | null } | null;
}

describe('two regions', function () {
  this.timeout(180_000);
  let cluster: TestCluster;
  let browser: Browser;
  /** The addresses for players: no process is told to anybody by its own. */
  const doors: Record<'eu' | 'us', TcpProxy> = {} as never;
  const members: Record<'eu' | 'us', Member> = {} as never;
  const urlOf = (region: 'eu' | 'us'): string => `http://127.0.0.1:${doors[region].port}`;

  before(async () => {
    await buildClient(() => undefined);
    const ports = { eu: await freePort(), us: await freePort() };
    for (const region of ['eu', 'us'] as const) doors[region] = await TcpProxy.start(ports[region]);
    doors.eu.lag = LAG;
    cluster = await TestCluster.start(0, {
      env: { HYPOGEUM_REGION_URLS: `eu=${urlOf('eu')},us=${urlOf('us')},asia=http://127.0.0.1:1` },
    });
    for (const region of ['eu', 'us'] as const) {
      members[region] = await cluster.add({ HYPOGEUM_REGION: region, HYPOGEUM_PORT: String(ports[region]) });
    }
    await cluster.isWhole();
    browser = await chromium.launch(CHROMIUM_LAUNCH);
  });
  after(async () => {
    await browser?.close();
    await cluster?.stop();
    for (const door of Object.values(doors)) await door.close();
  });

  it('are measured by a page and by a program, which meet where both are near', async () => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    const complaints = complaintsOf(page);
    await page.goto(`${urlOf('eu')}/#queue`);
    const isTicket = (request: { url(): string; method(): string }): boolean =>
      request.method() === 'POST' && request.url().endsWith('/api/matchmaking/tickets');
    const [queued] = await Promise.all([
      page.waitForRequest(isTicket),
      page.getByRole('button', { name: 'Find match' }).click(),
    ]);
    const { latencies } = queued.postDataJSON() as { latencies: Record<string, number> };
    assert.deepEqual(Object.keys(latencies).sort(), ['eu', 'us']);
    assert.ok(latencies['eu']! >= FAR_MS - TIMER_MS, `${latencies['eu']} ms`);
    assert.ok(latencies['us']! < latencies['eu']!, JSON.stringify(latencies));
    assert.deepEqual(complaints, [], 'the policy of the page let it measure');

    const { token } = (await cluster.client(members.us)).auth;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const ask = async <T>(path: string, body?: object): Promise<T> => {
      const sent = body === undefined ? { headers } : { headers, method: 'POST', body: JSON.stringify(body) };
      const response = await fetch(`${urlOf('us')}/api/matchmaking/${path}`, sent);
      const text = await response.text();
      assert.ok(response.ok, text);
      return JSON.parse(text) as T;
    };
    const { regions } = await ask<{ regions: { region: string; pingUrl: string }[] }>('regions');
    assert.deepEqual(regions, [
      { region: 'eu', pingUrl: `${urlOf('eu')}/ping` },
      { region: 'us', pingUrl: `${urlOf('us')}/ping` },
    ]);
    const measured: Record<string, number> = {};
    for (const { region, pingUrl } of regions) {
      const startedAtMs = performance.now();
      assert.equal((await fetch(pingUrl)).status, 204);
      measured[region] = performance.now() - startedAtMs;
    }
    let ticket = await ask<TicketAnswer>('tickets', { mode: 'arena', latencies: measured });
    const seat = await until(
      async () => {
        ticket = await ask<TicketAnswer>(`tickets/mine?after=${ticket.tag}&waitSeconds=3`);
        return ticket.match?.seat ?? undefined;
      },
      'the two to be matched',
      MATCH_MS,
    );
    assert.equal(seat.processId, members.us.processId);
    await page.context().close();
  });

  it('are not what a player says who asks for any match', async () => {
    const { token } = (await cluster.client(members.us)).auth;
    const response = await fetch(`${urlOf('us')}/matchmake/joinOrCreate/arena`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ region: 'eu' }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.equal((JSON.parse(text) as { processId: string }).processId, members.us.processId);
  });

  it('are all that a page may ask besides where it came from', async () => {
    const stranger = await TcpProxy.start(Number(new URL(members.us.url).port));
    const page = await (await browser.newContext()).newPage();
    try {
      await page.goto(`${urlOf('eu')}/`);
      const ping = (url: string): Promise<string> =>
        page.evaluate(`fetch('${url}/ping').then(({ status }) => String(status), ({ name }) => name)`);
      assert.equal(await ping(urlOf('us')), '204');
      assert.equal(await ping(`http://127.0.0.1:${stranger.port}`), 'TypeError');
      assert.equal(stranger.accepted, 0);
    } finally {
      await page.context().close();
      await stranger.close();
    }
  });
});
