import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { CHROMIUM_LAUNCH } from './stage.ts';

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };

describe('the golden match in a browser', function () {
  this.timeout(30_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-golden-'));
    await build({
      root: fileURLToPath(new URL('pages', import.meta.url)),
      configFile: false,
      publicDir: false,
      logLevel: 'error',
      build: { outDir: folder, emptyOutDir: true, rollupOptions: { input: 'golden.html' } },
    });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it('gives the very hashes, standings and maps that are committed', async () => {
    const browser = await chromium.launch(CHROMIUM_LAUNCH);
    try {
      const page = await browser.newPage();
      await page.route('http://golden.test/**', async (route) => {
        const path = join(folder, new URL(route.request().url()).pathname);
        await route.fulfill({ body: await readFile(path), contentType: TYPES[extname(path)] ?? 'text/plain' });
      });
      await page.goto('http://golden.test/golden.html');
      const faults = await page.waitForFunction('document.body.dataset.faults');
      assert.deepEqual(JSON.parse((await faults.jsonValue()) as string), []);
    } finally {
      await browser.close();
    }
  });
});
