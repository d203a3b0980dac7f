import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/**
 * Builds the playable client into `clients/browser/dist`. Relative asset paths, so that it may be served
 * below any path; no inline script or style, so that it runs under a strict content security policy.
 */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  publicDir: false,
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    fs: { allow: [fileURLToPath(new URL('../..', import.meta.url))] },
    proxy: {
      '/api': 'http://127.0.0.1:2567',
      '/auth': 'http://127.0.0.1:2567',
      '/matchmake': 'http://127.0.0.1:2567',
    },
  },
});
